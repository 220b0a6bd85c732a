//! What became of a record, and how it crosses to Java.
use mattebox_core::frame::{CameraId, FrameNumber, Timestamp};

/// What became of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Status {
    /// Its file is in place.
    Written,
    /// Its file was there already, and was left as it was.
    Kept,
    /// It cannot be a frame.
    Dead,
}

/// One row for one record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// What became of it.
    pub status: Status,
    /// Whose frame it is, where that could be read.
    pub camera: Option<CameraId>,
    /// The number in its file's name.
    pub frame: Option<FrameNumber>,
    /// When it was taken.
    pub time: Option<Timestamp>,
    /// From then until its file was in place, in microseconds.
    pub latency_us: Option<i64>,
    /// Width and height in pixels.
    pub size: (u32, u32),
    /// Bytes of the file.
    pub bytes: usize,
    /// Where the file is.
    pub path: Option<String>,
    /// Why it is dead: a code for programs and a text for people.
    pub fault: Option<(&'static str, String)>,
    /// The encoded picture, if it was asked for.
    pub picture: Option<Vec<u8>>,
    /// The headers of the picture's record, if it was asked for: those that a worker gives its results.
    pub headers: Vec<(&'static str, String)>,
}

impl Row {
    /// A record that cannot be a frame.
    pub fn dead(code: &'static str, message: String) -> Self {
        Row {
            status: Status::Dead,
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

    /// For `Result.java`: status, then numbers (the smallest `i64` where there is none), then texts and the picture, each with its length in
    /// front (-1 where there is none), then how many headers there are, with the name and value of each. Everything is big-endian, as Java
    /// reads it.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(128 + self.picture.as_ref().map_or(0, Vec::len));
        out.push(match self.status {
            Status::Written => 0,
            Status::Kept => 1,
            Status::Dead => 2,
        });
        let frame = self.frame.and_then(|frame| i64::try_from(frame.0).ok());
        for number in [
            frame,
            self.time.map(|time| time.0),
            self.latency_us,
            i64::try_from(self.bytes).ok(),
        ] {
            out.extend(number.unwrap_or(i64::MIN).to_be_bytes());
        }
        out.extend(self.size.0.to_be_bytes());
        out.extend(self.size.1.to_be_bytes());
        let (code, message) = self
            .fault
            .as_ref()
            .map(|(code, message)| (*code, message.as_str()))
            .unzip();
        let texts = [
            self.camera.as_ref().map(CameraId::as_str),
            self.path.as_deref(),
            code,
            message,
        ];
        for part in texts
            .map(|text| text.map(str::as_bytes))
            .into_iter()
            .chain([self.picture.as_deref()])
        {
            let length = part.map_or(-1, |part| i32::try_from(part.len()).unwrap_or(i32::MAX));
            out.extend(length.to_be_bytes());
            out.extend(part.unwrap_or_default());
        }
        let length = |bytes: usize| i32::try_from(bytes).unwrap_or(i32::MAX).to_be_bytes();
        out.extend(length(self.headers.len()));
        for text in self.headers.iter().flat_map(|(name, value)| [*name, value]) {
            out.extend(length(text.len()));
            out.extend(text.as_bytes());
        }
        out
    }
}
