//! Any record gives a frame or an error, and a frame that is written again reads the same.
//!
//! The input is the value of a record without headers, and also a record in the manner of HTTP:
//! lines `name: value`, an empty line, the value.
#![no_main]
use libfuzzer_sys::fuzz_target;
use mattebox_wire::{
    FrameMeta, FrameRecord, Header, Record, WireError, frame_headers, json_value, read,
    read_position,
};

fuzz_target!(|bytes: &[u8]| {
    check(&Record {
        key: None,
        value: Some(bytes),
        headers: &[],
    });

    let mut headers = Vec::new();
    let mut rest = bytes;
    while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
        let line = &rest[..end];
        rest = &rest[end + 1..];
        let Some(colon) = line.windows(2).position(|pair| pair == b": ") else {
            break;
        };
        let Ok(name) = std::str::from_utf8(&line[..colon]) else {
            break;
        };
        headers.push(Header {
            name,
            value: Some(&line[colon + 2..]),
        });
    }
    let key = headers
        .iter()
        .find(|header| header.name == "key")
        .and_then(|header| header.value);
    check(&Record {
        key,
        value: Some(rest),
        headers: &headers,
    });
});

fn check(record: &Record<'_>) {
    let position = read_position(record);
    let mut buffer = Vec::new();
    let error = match read(record) {
        Ok(frame) => {
            assert_eq!(position, Some((frame.camera.clone(), frame.number)));
            match frame.picture().bytes(&mut buffer) {
                Ok(picture) => return again(&frame, picture),
                Err(error) => error,
            }
        }
        Err(error) => error,
    };
    assert!(WireError::CODES.contains(&error.code()));
    assert!(error.to_string().len() < 1000, "{error}");
}

fn again(frame: &FrameRecord<'_>, picture: &[u8]) {
    assert!(!picture.is_empty());
    let meta = FrameMeta {
        camera: &frame.camera,
        session: frame.session.unwrap_or("none"),
        number: frame.number,
        time: frame.time,
        width: frame.width.unwrap_or(1),
        height: frame.height.unwrap_or(1),
    };
    let texts = frame_headers(&meta);
    let headers: Vec<_> = texts
        .iter()
        .map(|(name, value)| Header {
            name,
            value: Some(value.as_bytes()),
        })
        .collect();
    let mut json = Vec::new();
    json_value(&meta, picture, &mut json);
    // Seconds as f64 are exact to the microsecond up to the year 2242.
    let exact = frame.time.0 < (1 << 33) * 1_000_000;
    for (value, headers, exact) in [(picture, &headers[..], true), (&json, &[], exact)] {
        let record = Record {
            key: Some(frame.camera.as_str().as_bytes()),
            value: Some(value),
            headers,
        };
        let copy = read(&record).expect("it was just written");
        assert_eq!((&copy.camera, copy.number), (&frame.camera, frame.number));
        assert_eq!(
            (copy.width, copy.height),
            (Some(meta.width), Some(meta.height))
        );
        assert!(!exact || copy.time == frame.time);
        assert_eq!(
            copy.picture()
                .bytes(&mut Vec::new())
                .expect("it was just written"),
            picture
        );
    }
}
