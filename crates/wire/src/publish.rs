//! The records to publish for one record, to the topics of the Spark job.
use super::{DeadLetter, FrameStatus, OutgoingHeader, OutgoingRecord, OutgoingValue, Record};
use serde::Deserialize;
use std::borrow::Cow;

/// The topics to publish to, and the sizes that they take.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PublishTopics {
    /// Gets the status of every frame.
    pub results: String,
    /// Gets every dead letter.
    pub dead: String,
    /// The largest value of a dead letter, in bytes.
    pub max_dead_bytes: usize,
    /// Gets every picture, if it is set.
    pub pictures: Option<PictureTopic>,
}

/// A topic of pictures.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PictureTopic {
    /// Its name.
    pub topic: String,
    /// The largest picture that it takes, in bytes.
    pub max_bytes: usize,
}

/// A frame's encoded picture with its new background.
#[derive(Debug, Clone, Copy)]
pub struct ResultPicture<'a> {
    /// The picture file.
    pub bytes: &'a [u8],
    /// The headers of its record: [`result_headers`](super::result_headers), then
    /// [`trace_headers`](super::trace_headers).
    pub headers: &'a [(&'static str, String)],
}

impl PublishTopics {
    /// The records for a frame whose file is in place: its status, then its picture if there is a
    /// topic for it. A picture that is too large for its topic makes the frame's record a dead
    /// letter.
    pub fn frame<'a>(
        &'a self,
        record: &Record<'a>,
        status: &FrameStatus<'a>,
        picture: Option<ResultPicture<'a>>,
    ) -> Vec<OutgoingRecord<'a>> {
        let key = status.camera.map(str::as_bytes);
        let mut records = Vec::with_capacity(2);
        let (name, content_type) = FrameStatus::HEADER;
        records.push(OutgoingRecord {
            topic: &self.results,
            key,
            value: Some(OutgoingValue::Made(status.to_json())),
            headers: vec![text_header(name, content_type)],
        });
        let (Some(to), Some(picture)) = (&self.pictures, picture) else {
            return records;
        };
        let bytes = picture.bytes.len();
        if bytes > to.max_bytes {
            let message = format!(
                "the result has {bytes} bytes, and topic {} takes {}",
                to.topic, to.max_bytes
            );
            let dead_letter = DeadLetter {
                code: "result-too-large",
                message: &message,
                topic: status.topic,
                partition: status.partition,
                offset: status.offset,
            };
            records.push(self.dead_letter(record, &dead_letter));
        } else {
            let headers = picture.headers.iter();
            records.push(OutgoingRecord {
                topic: &to.topic,
                key,
                value: Some(OutgoingValue::Picture(picture.bytes)),
                headers: headers
                    .map(|(name, value)| text_header(name, value))
                    .collect(),
            });
        }
        records
    }

    /// The dead letter for a record that cannot be processed.
    pub fn dead_letter<'a>(
        &'a self,
        record: &Record<'a>,
        dead_letter: &DeadLetter<'_>,
    ) -> OutgoingRecord<'a> {
        dead_letter.record(&self.dead, record, self.max_dead_bytes)
    }
}

fn text_header<'a>(name: &'a str, value: &'a str) -> OutgoingHeader<'a> {
    OutgoingHeader {
        name,
        value: Some(Cow::Borrowed(value.as_bytes())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATUS: FrameStatus<'_> = FrameStatus {
        camera: Some("cam01"),
        frame: Some(17),
        status: "kept",
        differs: false,
        path: Some("/out/cam01/frame_000017.png"),
        bytes: 3,
        width: 640,
        height: 360,
        taken_us: Some(5),
        latency_ms: Some(1.5),
        topic: "frames",
        partition: 2,
        offset: 17,
    };
    const RECORD: Record<'_> = Record {
        key: Some(b"cam01"),
        value: Some(b"frame"),
        headers: &[],
    };

    fn topics(max_bytes: Option<usize>) -> PublishTopics {
        PublishTopics {
            results: "frames.results".to_owned(),
            dead: "frames.dead".to_owned(),
            max_dead_bytes: 5,
            pictures: max_bytes.map(|max_bytes| PictureTopic {
                topic: "matted".to_owned(),
                max_bytes,
            }),
        }
    }

    fn names<'a>(headers: &'a [OutgoingHeader<'_>]) -> Vec<&'a str> {
        headers.iter().map(|header| header.name).collect()
    }

    #[test]
    fn a_frame_is_a_status_and_a_picture_where_there_is_a_topic_for_it() {
        let headers = [("ce_type", "mattebox.matted.v1".to_owned())];
        let picture = ResultPicture {
            bytes: b"png",
            headers: &headers,
        };
        let status = OutgoingRecord {
            topic: "frames.results",
            key: Some(b"cam01"),
            value: Some(OutgoingValue::Made(STATUS.to_json())),
            headers: vec![text_header("content-type", "application/json")],
        };
        for topics in [topics(None), topics(Some(3))] {
            let of_frame = topics.frame(&RECORD, &STATUS, None);
            assert_eq!(of_frame, std::slice::from_ref(&status));
        }
        let without = topics(None);
        assert_eq!(
            without.frame(&RECORD, &STATUS, Some(picture)),
            std::slice::from_ref(&status)
        );
        let sent = OutgoingRecord {
            topic: "matted",
            key: Some(b"cam01"),
            value: Some(OutgoingValue::Picture(b"png")),
            headers: vec![text_header("ce_type", "mattebox.matted.v1")],
        };
        assert_eq!(
            topics(Some(3)).frame(&RECORD, &STATUS, Some(picture)),
            [status, sent]
        );
    }

    #[test]
    fn a_picture_that_is_too_large_is_a_dead_letter_beside_the_status() {
        let picture = ResultPicture {
            bytes: b"png",
            headers: &[],
        };
        let topics = topics(Some(2));
        let of_frame = topics.frame(&RECORD, &STATUS, Some(picture));
        let [status, dead_letter] = &of_frame[..] else {
            panic!("{of_frame:?}")
        };
        assert_eq!(status.topic, "frames.results");
        assert_eq!(dead_letter.topic, "frames.dead");
        assert_eq!(dead_letter.key, Some(&b"cam01"[..]));
        assert_eq!(dead_letter.value, Some(OutgoingValue::Original(b"frame")));
        let values: Vec<_> = dead_letter
            .headers
            .iter()
            .map(|header| String::from_utf8_lossy(header.value.as_deref().unwrap()))
            .collect();
        let expected = [
            "result-too-large",
            "the result has 3 bytes, and topic matted takes 2",
            "frames",
            "2",
            "17",
        ];
        assert_eq!(values, expected);
    }

    #[test]
    fn a_dead_letter_keeps_a_value_that_its_topic_takes() {
        let dead_letter = DeadLetter {
            code: "bad-json",
            message: "m",
            topic: "frames",
            partition: 0,
            offset: 1,
        };
        let topics = topics(None);
        let kept = topics.dead_letter(&RECORD, &dead_letter);
        assert_eq!(kept.value, Some(OutgoingValue::Original(b"frame")));
        let large = Record {
            value: Some(b"frames"),
            ..RECORD
        };
        let left_out = topics.dead_letter(&large, &dead_letter);
        assert_eq!(left_out.value, None);
        assert_eq!(
            names(&left_out.headers).last(),
            Some(&"mattebox-error-value-bytes")
        );
    }
}
