//! The outcome of a record, and its form for Java.
use mattebox_core::frame::{CameraId, FrameNumber, Timestamp};
use mattebox_wire::{OutgoingRecord, OutgoingValue};
use std::{fs, path::Path};

/// The outcome of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowStatus {
    /// Its file is in place.
    Written,
    /// Its file existed already.
    Skipped,
    /// Its file existed already, with other bytes.
    SkippedDifferent,
    /// It cannot be a frame.
    Dead,
}

impl RowStatus {
    /// Its name in rows and in records. Another field tells whether the file that existed differs.
    pub fn name(self) -> &'static str {
        match self {
            RowStatus::Written => "written",
            RowStatus::Skipped | RowStatus::SkippedDifferent => "skipped",
            RowStatus::Dead => "dead",
        }
    }
}

/// One row for one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ResultRow {
    /// The outcome.
    pub status: RowStatus,
    /// The frame's camera, if it could be read.
    pub camera: Option<CameraId>,
    /// The number in its file's name.
    pub frame: Option<FrameNumber>,
    /// When it was taken.
    pub time: Option<Timestamp>,
    /// The time from then until its file was in place, in microseconds.
    pub latency_us: Option<i64>,
    /// Width and height in pixels.
    pub size: (u32, u32),
    /// Bytes of the file.
    pub bytes: usize,
    /// The path of the file.
    pub path: Option<String>,
    /// The reason for a dead letter: a code for programs and a text for people.
    pub fault: Option<(&'static str, String)>,
    /// The encoded picture, if the settings ask for it or publish it.
    pub picture: Option<Vec<u8>>,
    /// The headers of the picture's record, if there is a picture: the same as those of a worker's
    /// result.
    pub headers: Vec<(&'static str, String)>,
}

impl ResultRow {
    /// A record that cannot be a frame.
    pub fn dead(code: &'static str, message: String) -> Self {
        ResultRow {
            status: RowStatus::Dead,
            camera: None,
            frame: None,
            time: None,
            latency_us: None,
            size: (0, 0),
            bytes: 0,
            path: None,
            fault: Some((code, message)),
            picture: None,
            headers: Vec::new(),
        }
    }

    /// A frame whose file is in place, at `path` if it is known.
    pub fn in_place(
        status: RowStatus,
        path: Option<&Path>,
        size: (u32, u32),
        bytes: usize,
    ) -> Self {
        ResultRow {
            status,
            camera: None,
            frame: None,
            time: None,
            latency_us: None,
            size,
            bytes,
            path: path.map(|path| path.to_string_lossy().into_owned()),
            fault: None,
            picture: None,
            headers: Vec::new(),
        }
    }

    /// A frame whose file existed before.
    pub fn skipped(status: RowStatus, path: Option<&Path>, size: (u32, u32)) -> Self {
        let found = path.and_then(|path| fs::metadata(path).ok());
        let bytes = found.map_or(0, |found| found.len() as usize);
        ResultRow::in_place(status, path, size, bytes)
    }

    /// For `Result.java`: numbers (the smallest `i64` for none), width and height, whether the file
    /// that existed differs, texts, the picture and its headers, then the records to publish.
    /// Everything is big-endian, as Java reads it.
    ///
    /// The picture is sent once, also if two columns need it: as a column of the row if
    /// `picture_column` is set, or else within the record that publishes it. The value of the
    /// record that was read is not sent: Java has it.
    pub fn to_bytes(&self, picture_column: bool, publish: &[OutgoingRecord<'_>]) -> Vec<u8> {
        let mut out = Packer::with_capacity(1024 + self.picture.as_ref().map_or(0, Vec::len));
        let frame = self.frame.and_then(|frame| i64::try_from(frame.0).ok());
        for number in [
            frame,
            self.time.map(|time| time.0),
            self.latency_us,
            i64::try_from(self.bytes).ok(),
        ] {
            out.0.extend(number.unwrap_or(i64::MIN).to_be_bytes());
        }
        out.0.extend(self.size.0.to_be_bytes());
        out.0.extend(self.size.1.to_be_bytes());
        out.0
            .push(u8::from(self.status == RowStatus::SkippedDifferent));
        let (code, message) = self
            .fault
            .as_ref()
            .map(|(code, message)| (*code, message.as_str()))
            .unzip();
        let texts = [
            Some(self.status.name()),
            self.camera.as_ref().map(CameraId::as_str),
            self.path.as_deref(),
            code,
            message,
        ];
        for text in texts {
            out.part(text.map(str::as_bytes));
        }
        if picture_column {
            out.part(self.picture.as_deref());
            out.length(self.headers.len());
            for text in self.headers.iter().flat_map(|(name, value)| [*name, value]) {
                out.part(Some(text.as_bytes()));
            }
        } else {
            out.part(None);
            out.length(0);
        }
        out.length(publish.len());
        for record in publish {
            out.part(Some(record.topic.as_bytes()));
            out.part(record.key);
            match &record.value {
                Some(OutgoingValue::Original(_)) => out.0.push(FROM_RECORD),
                Some(OutgoingValue::Picture(_)) if picture_column => out.0.push(FROM_PICTURE),
                value => {
                    out.0.push(FOLLOWS);
                    out.part(value.as_ref().map(OutgoingValue::bytes));
                }
            }
            out.length(record.headers.len());
            for header in &record.headers {
                out.part(Some(header.name.as_bytes()));
                out.part(header.value.as_deref());
            }
        }
        out.0
    }
}

/// The place of the value of a record to publish: it follows this byte, if there is one.
const FOLLOWS: u8 = 0;
/// It is the value of the record that was read.
const FROM_RECORD: u8 = 1;
/// It is the picture of the row.
const FROM_PICTURE: u8 = 2;

/// Bytes for Java.
struct Packer(Vec<u8>);

impl Packer {
    fn with_capacity(bytes: usize) -> Self {
        Packer(Vec::with_capacity(bytes))
    }

    fn length(&mut self, length: usize) {
        let length = i32::try_from(length).unwrap_or(i32::MAX);
        self.0.extend(length.to_be_bytes());
    }

    /// A part with its length in front, -1 for none.
    fn part(&mut self, part: Option<&[u8]>) {
        match part {
            Some(part) => {
                self.length(part.len());
                self.0.extend(part);
            }
            None => self.0.extend((-1_i32).to_be_bytes()),
        }
    }
}
