//! A frame as a record of the topic.
use super::encoded::Encoded;
use mattebox_core::frame::{CameraId, FrameNumber};
use mattebox_wire::{FrameMeta, Wire, frame_headers, json_value};
use rdkafka::message::{Header, Headers, OwnedHeaders};
use std::{
    hash::{BuildHasher, Hasher, RandomState},
    process,
    time::SystemTime,
};

/// The most bytes of a batch with one record beside key, value and headers: 61 bytes of the batch,
/// seven numbers of the record (<https://kafka.apache.org/documentation/#messageformat>).
const OVERHEAD: usize = 128;

/// A record's value and headers.
pub(super) struct Body<'a> {
    pub(super) value: &'a [u8],
    pub(super) headers: Option<OwnedHeaders>,
}

impl<'a> Body<'a> {
    /// `trace` holds additional headers; `scratch` holds the value if it is not the picture itself.
    pub(super) fn new(
        wire: Wire,
        camera: &CameraId,
        session: &str,
        number: u64,
        frame: &'a Encoded,
        trace: &[(String, String)],
        scratch: &'a mut Vec<u8>,
    ) -> Self {
        let number = FrameNumber(number);
        let meta = FrameMeta {
            camera,
            session,
            number,
            time: frame.time,
            width: frame.width,
            height: frame.height,
        };
        let (value, headers) = match wire {
            Wire::Json => {
                scratch.clear();
                json_value(&meta, &frame.jpeg, scratch);
                (&*scratch, None)
            }
            Wire::Binary => {
                let headers = frame_headers(&meta);
                let all = headers.iter().fold(
                    OwnedHeaders::new_with_capacity(headers.len()),
                    |all, (key, value)| {
                        all.insert(Header {
                            key,
                            value: Some(value),
                        })
                    },
                );
                (&frame.jpeg, Some(all))
            }
        };
        let headers = trace.iter().fold(headers, |all, (key, value)| {
            Some(all.unwrap_or_else(OwnedHeaders::new).insert(Header {
                key,
                value: Some(value.as_bytes()),
            }))
        });
        Body { value, headers }
    }

    /// The size that the broker compares with its limit, or a few bytes more.
    pub(super) fn size(&self, camera: &CameraId) -> usize {
        let headers = self.headers.iter().flat_map(|headers| headers.iter());
        let of_headers: usize = headers
            .map(|h| h.key.len() + h.value.map_or(0, <[u8]>::len) + 8)
            .sum();
        self.value.len() + camera.as_str().len() + of_headers + OVERHEAD
    }
}

/// A name for one start of one camera: 16 hexadecimal digits that no other start has.
pub(super) fn session(camera: &CameraId) -> String {
    let mut hasher = RandomState::new().build_hasher();
    hasher.write(camera.as_str().as_bytes());
    hasher.write_u32(process::id());
    hasher.write_u128(
        SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .map_or(0, |since| since.as_nanos()),
    );
    format!("{:016x}", hasher.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sessions_differ() {
        let camera = "cam01".parse().unwrap();
        let one = session(&camera);
        let other = session(&camera);
        assert!(
            one != other && one.len() == 16 && one.chars().all(|c| c.is_ascii_hexdigit()),
            "{one} {other}"
        );
    }
}
