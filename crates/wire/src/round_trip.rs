//! Records of both formats read back unchanged; results and damaged records give a frame or an
//! error.
use super::*;
use proptest::{collection::vec, prelude::*};

/// The parts of a frame: camera, session, number, microseconds, width, height, picture.
type FrameParts = (String, String, u64, i64, u32, u32, Vec<u8>);

fn parts() -> impl Strategy<Value = FrameParts> {
    let camera = vec(any::<prop::sample::Index>(), 1..=CameraId::MAX_LEN).prop_map(|indices| {
        let alphabet = b"abcxyzABCXYZ0189_.-";
        let pick = |(i, index): (usize, &prop::sample::Index)| {
            // An id may not begin with the last two characters.
            char::from(
                alphabet[index.index(if i == 0 {
                    alphabet.len() - 2
                } else {
                    alphabet.len()
                })],
            )
        };
        indices.iter().enumerate().map(pick).collect::<String>()
    });
    let session = vec(b'!'..=b'~', 1..=MAX_SESSION).prop_map(|bytes| {
        bytes
            .into_iter()
            .map(|byte| char::from(if byte == b'/' { b':' } else { byte }))
            .collect()
    });
    // Up to the year 2242, see `json_value`.
    let micros = 0..(1i64 << 33) * 1_000_000;
    (
        camera,
        session,
        0..=MAX_FRAME_NUMBER,
        micros,
        1u32..,
        1u32..,
        vec(any::<u8>(), 1..300),
    )
}

/// A record that owns its parts.
#[derive(Debug, Clone)]
struct OwnedRecord {
    key: Vec<u8>,
    value: Vec<u8>,
    headers: Vec<(&'static str, Vec<u8>)>,
}

impl OwnedRecord {
    fn with<T>(&self, look: impl FnOnce(&Record<'_>) -> T) -> T {
        let headers: Vec<_> = self
            .headers
            .iter()
            .map(|(name, value)| Header {
                name,
                value: Some(value.as_slice()),
            })
            .collect();
        look(&Record {
            key: Some(&self.key),
            value: Some(&self.value),
            headers: &headers,
        })
    }
}

fn write(parts: &FrameParts, wire: Wire) -> OwnedRecord {
    let (camera, session, number, micros, width, height, picture) = parts;
    let meta = FrameMeta {
        camera: &camera.parse().unwrap(),
        session,
        number: FrameNumber(*number),
        time: Timestamp(*micros),
        width: *width,
        height: *height,
    };
    let key = camera.as_bytes().to_vec();
    match wire {
        Wire::Json => {
            let mut value = Vec::new();
            json_value(&meta, picture, &mut value);
            OwnedRecord {
                key,
                value,
                headers: Vec::new(),
            }
        }
        Wire::Binary => {
            let headers = frame_headers(&meta)
                .into_iter()
                .map(|(name, value)| (name, value.into_bytes()))
                .collect();
            OwnedRecord {
                key,
                value: picture.clone(),
                headers,
            }
        }
    }
}

/// Reads a record in every way and checks the promises of every answer.
fn check_invariants(record: &Record<'_>) {
    let position = read_position(record);
    let mut buffer = Vec::new();
    let answer = read(record).and_then(|frame| {
        assert_eq!(
            position,
            Some((frame.camera.clone(), frame.number)),
            "both readers find the same frame"
        );
        assert!(!frame.picture().bytes(&mut buffer)?.is_empty());
        Ok(())
    });
    if let Err(error) = answer {
        assert!(WireError::CODES.contains(&error.code()));
        assert!(error.to_string().len() < 1000, "{error}");
    }
}

proptest! {
    #[test]
    fn a_written_record_reads_back(parts in parts(), json in any::<bool>()) {
        let wire = if json { Wire::Json } else { Wire::Binary };
        write(&parts, wire).with(|record| {
            let frame = read(record).unwrap();
            let (camera, session, number, micros, width, height, picture) = &parts;
            assert_eq!(frame.camera.as_str(), camera);
            assert_eq!(frame.session, (!json).then_some(session.as_str()));
            assert_eq!((frame.number, frame.time), (FrameNumber(*number), Timestamp(*micros)));
            assert_eq!((frame.width, frame.height), (Some(*width), Some(*height)));
            assert_eq!(frame.wire, wire);
            assert_eq!(frame.picture().bytes(&mut Vec::new()).unwrap(), picture);
            check_invariants(record);
        });
    }

    #[test]
    fn a_changed_record_is_a_frame_or_an_error(
        parts in parts(),
        json in any::<bool>(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>()), 0..8),
        cut in any::<Option<prop::sample::Index>>(),
    ) {
        let mut owned = write(&parts, if json { Wire::Json } else { Wire::Binary });
        // Changes the part with the metadata: changes within the picture have little effect.
        let bytes: &mut Vec<u8> = match changes.first() {
            Some((index, _)) if !json => {
                let index = index.index(owned.headers.len());
                &mut owned.headers[index].1
            }
            _ => &mut owned.value,
        };
        for (index, byte) in &changes {
            let at = index.index(bytes.len().min(200));
            bytes[at] = *byte;
        }
        if let Some(index) = cut {
            bytes.truncate(index.index(bytes.len()));
        }
        owned.with(check_invariants);
    }

    #[test]
    fn any_bytes_are_a_frame_or_an_error(
        key in any::<Option<Vec<u8>>>(),
        value in any::<Option<Vec<u8>>>(),
        headers in vec((0usize..6, any::<Option<Vec<u8>>>()), 0..6),
        brace in any::<bool>(),
    ) {
        let names = ["ce_specversion", "ce_type", "ce_source", "ce_sequence", "content-type", "x"];
        let headers: Vec<_> = headers
            .iter()
            .map(|(i, value)| Header { name: names[*i], value: value.as_deref() })
            .collect();
        let start: &[u8] = if brace { b"{" } else { b"" };
        let value = value.map(|value| [start, &value].concat());
        check_invariants(&Record {
            key: key.as_deref(),
            value: value.as_deref(),
            headers: &headers,
        });
    }

    #[test]
    fn any_text_of_json_tokens_is_a_frame_or_an_error(tokens in vec(0usize..22, 0..30)) {
        let words = [
            "{", "}", "[", "]", ",", ":", "\"camera_id\":", "\"frame_id\":", "\"ts\":",
            "\"codec\":", "\"width\":", "\"data_b64\":", "\"a\"", "\"jpg\"",
            "\"AAAA\"", "1", "-1", "0.5", "null", "true", "\"\\u0041\"", "\"\\",
        ];
        let tokens = tokens.into_iter().map(|i| words[i]);
        let text: String = std::iter::once("{").chain(tokens).collect();
        check_invariants(&Record { key: None, value: Some(text.as_bytes()), headers: &[] });
    }
}

#[test]
fn a_result_is_not_a_frame_but_has_a_position() {
    let camera: CameraId = "cam01".parse().unwrap();
    let headers = result_headers(&ResultMeta {
        camera: &camera,
        session: None,
        number: FrameNumber(5),
        time: Timestamp(0),
        width: 1,
        height: 1,
        format: mattebox_core::codec::ImageFormat::Png,
        model_sha256: "0",
        settings: "0",
    });
    let headers = headers
        .into_iter()
        .map(|(name, value)| (name, value.into_bytes()))
        .collect();
    OwnedRecord {
        key: b"cam01".to_vec(),
        value: b"\x89PNG".to_vec(),
        headers,
    }
    .with(|record| {
        assert_eq!(read(record).unwrap_err().code(), "unsupported-type");
        assert_eq!(read_position(record), Some((camera, FrameNumber(5))));
    });
}

/// `docs/ref/wire.md` explains every code, header and field.
#[test]
fn the_reference_is_complete() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/ref/wire.md");
    let text = std::fs::read_to_string(path).expect("the reference lies in the repository");
    let headers = [
        "ce_specversion",
        "ce_id",
        "ce_source",
        "ce_type",
        "ce_time",
        "content-type",
        "ce_sequence",
        "ce_width",
        "ce_height",
        "ce_session",
        "ce_modelsha256",
        "ce_settings",
        "mattebox-error-code",
        "mattebox-error-message",
        "mattebox-error-topic",
        "mattebox-error-partition",
        "mattebox-error-offset",
    ];
    let fields = [
        "camera_id",
        "frame_id",
        "ts",
        "codec",
        "width",
        "height",
        "data_b64",
    ];
    for word in WireError::CODES
        .iter()
        .chain(PICTURE_CODES)
        .chain(&headers)
        .chain(&fields)
    {
        assert!(
            text.contains(&format!("| `{word}` |")),
            "docs/ref/wire.md has no row for {word}"
        );
    }
}
