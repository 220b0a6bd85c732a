//! Reads the decoded pictures that FFmpeg sends, and the sound beside them.
use super::feed::{FeedPiece, FeedReader};
use crate::beside::SoundFormat;
use crate::ffmpeg::log::OutputLog;
use crate::ffmpeg::nut::{NutContent, NutReader};
use crossbeam_channel::Receiver;
use image::RgbImage;
use mattebox_core::codec::Limits;
use mattebox_core::yuv::{Matrix, Range, ToRgb, Yuv420};
use std::io::{self, BufRead, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

/// FFmpeg adds this to all times, in seconds: the format has no negative ones, and sound may begin
/// before the pictures.
pub(super) const TIME_OFFSET: u32 = 10;
/// Rows that FFmpeg adds to a picture that is higher than wide, so that it has another number of
/// bytes than the same picture turned. So a turn of the camera is noticed.
pub(super) const PORTRAIT_ROWS: u32 = 2;
/// The longest wait for the description of the output, which FFmpeg writes before the output.
const LOG_TIMEOUT: Duration = Duration::from_secs(2);
/// The longest packet of sound, in bytes.
const MAX_SOUND: usize = 16 << 20;

/// Reads the pictures of one child.
#[derive(Debug)]
pub(super) struct Decoded<R> {
    state: DecodedState<R>,
    limits: Limits,
    log: OutputLog,
    /// As in [`super::plan::Plan`].
    marks_portrait: bool,
}

#[derive(Debug)]
enum DecodedState<R> {
    /// Nothing is read yet.
    New(R),
    Open(Box<DecodedStream<R>>),
    Ended,
}

#[derive(Debug)]
struct DecodedStream<R> {
    from: NutReader<R>,
    /// The index of the stream with the pictures.
    video: usize,
    shape: DecodedSize,
    samples: SampleFormat,
    pixel_aspect: Option<(u32, u32)>,
    sound: Option<(usize, Arc<SoundFormat>)>,
    body: Vec<u8>,
}

/// The size of the pictures.
#[derive(Debug, Clone, Copy)]
struct DecodedSize {
    width: u32,
    height: u32,
    /// Rows that FFmpeg sends, with those that it has added.
    rows: u32,
}

/// The meaning of a picture's bytes.
#[derive(Debug)]
enum SampleFormat {
    Rgb,
    Yuv420 {
        to_rgb: ToRgb,
        matrix: Matrix,
        range: Range,
    },
}

impl<R: BufRead> Decoded<R> {
    pub(super) fn new(from: R, limits: Limits, log: OutputLog, marks_portrait: bool) -> Self {
        Decoded {
            state: DecodedState::New(from),
            limits,
            log,
            marks_portrait,
        }
    }

    fn open(&self, from: R) -> io::Result<DecodedStream<R>> {
        let from = NutReader::open(from)?;
        let mut video = None;
        let mut audio = None;
        for (place, stream) in from.streams().iter().enumerate() {
            match stream.content {
                NutContent::Video {
                    width,
                    height,
                    pixel_aspect,
                } => video = Some((place, width, height, pixel_aspect)),
                NutContent::Audio { .. } => audio = Some(place),
                NutContent::Other => {}
            }
        }
        let Some((place, width, rows, aspect)) = video else {
            return Err(bad("FFmpeg sends no pictures".to_owned()));
        };
        let shape = DecodedSize::new(width, rows, self.marks_portrait);
        self.check(shape)?;
        let (header, output) = self.log.wait(audio.is_some(), LOG_TIMEOUT);
        let streams = from.streams();
        let samples = match streams[place].codec_tag.as_slice() {
            b"I420" => {
                let colours = output.colours.unwrap_or_default();
                SampleFormat::Yuv420 {
                    to_rgb: ToRgb::default(),
                    matrix: colours.matrix_of(header.video.and_then(|video| video.size)),
                    range: colours.range.unwrap_or(Range::Limited),
                }
            }
            [b'R', b'G', b'B', 24] => SampleFormat::Rgb,
            _ => return Err(bad("FFmpeg sends pictures of an unknown kind".to_owned())),
        };
        let sound = audio.map(|place| {
            let format = SoundFormat {
                codec: output.sound.unwrap_or_default(),
                stream: streams[place].clone(),
            };
            (place, Arc::new(format))
        });
        let pixel_aspect = Some(aspect).filter(|(x, y)| *x > 0 && *y > 0 && x != y);
        Ok(DecodedStream {
            from,
            video: place,
            shape,
            samples,
            pixel_aspect,
            sound,
            body: vec![],
        })
    }

    fn check(&self, DecodedSize { width, height, .. }: DecodedSize) -> io::Result<()> {
        if width == 0 || height == 0 || !self.limits.hold(width.into(), height.into()) {
            let Limits {
                max_pixels,
                max_side,
                ..
            } = self.limits;
            return Err(bad(format!(
                "its pictures of {width}x{height} are over the limit of {max_pixels} pixels in \
                 all and {max_side} a side"
            )));
        }
        Ok(())
    }
}

impl<R: BufRead + Send + 'static> FeedReader<RgbImage> for Decoded<R> {
    fn next(&mut self, spare: &Receiver<RgbImage>) -> io::Result<Option<FeedPiece<RgbImage>>> {
        match std::mem::replace(&mut self.state, DecodedState::Ended) {
            DecodedState::New(mut from) => {
                if from.fill_buf()?.is_empty() {
                    return Ok(None);
                }
                self.state = DecodedState::Open(Box::new(self.open(from)?));
            }
            state => self.state = state,
        }
        match &mut self.state {
            DecodedState::Open(open) => open.next(spare),
            DecodedState::New(_) | DecodedState::Ended => Ok(None),
        }
    }
}

impl<R: BufRead> DecodedStream<R> {
    fn next(&mut self, spare: &Receiver<RgbImage>) -> io::Result<Option<FeedPiece<RgbImage>>> {
        let bytes = self.samples.len_of(self.shape);
        // A larger packet can be a picture of another size, which is no error.
        let most = bytes.max(MAX_SOUND).saturating_mul(4);
        loop {
            let Some(packet) = self.from.next(most, &mut self.body)? else {
                return Ok(None);
            };
            let micros = packet.micros - i64::from(TIME_OFFSET) * 1_000_000;
            if packet.stream == self.video {
                if self.body.len() != bytes {
                    return Ok(Some(FeedPiece::NewSize { micros }));
                }
                return Ok(Some(FeedPiece::Picture {
                    picture: self.samples.picture(
                        self.shape,
                        &self.body,
                        spare.try_recv().unwrap_or_default(),
                    )?,
                    micros: Some(micros),
                    pixel_aspect: self.pixel_aspect,
                    sound_format: self.sound.as_ref().map(|(_, format)| format.clone()),
                }));
            }
            if self
                .sound
                .as_ref()
                .is_some_and(|(place, _)| *place == packet.stream)
            {
                return Ok(Some(FeedPiece::Sound {
                    micros,
                    bytes: self.body.clone(),
                    is_key: packet.is_key,
                }));
            }
        }
    }
}

impl DecodedSize {
    fn new(width: u32, rows: u32, marks_portrait: bool) -> Self {
        let is_padded = marks_portrait && rows > width.saturating_add(PORTRAIT_ROWS);
        DecodedSize {
            width,
            height: rows - if is_padded { PORTRAIT_ROWS } else { 0 },
            rows,
        }
    }
}

impl SampleFormat {
    fn len_of(&self, shape: DecodedSize) -> usize {
        let bytes = match self {
            SampleFormat::Rgb => u64::from(shape.width) * u64::from(shape.rows) * 3,
            SampleFormat::Yuv420 { .. } => Yuv420::len_of(shape.width, shape.rows),
        };
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// The picture, in the memory of `into`.
    fn picture(
        &mut self,
        shape: DecodedSize,
        bytes: &[u8],
        mut into: RgbImage,
    ) -> io::Result<RgbImage> {
        let DecodedSize {
            width,
            height,
            rows,
        } = shape;
        let picture = match self {
            SampleFormat::Rgb => {
                let used = width as usize * height as usize * 3;
                let mut rgb = into.into_raw();
                rgb.clear();
                rgb.extend_from_slice(&bytes[..used]);
                RgbImage::from_raw(width, height, rgb)
            }
            SampleFormat::Yuv420 {
                to_rgb,
                matrix,
                range,
            } => Yuv420::new(width, rows, bytes).map(|samples| {
                to_rgb.convert_into(samples.top(height), *matrix, *range, &mut into);
                into
            }),
        };
        picture.ok_or_else(|| bad("a picture is incomplete".to_owned()))
    }
}

fn bad(problem: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, problem)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_higher_than_wide_lose_the_rows_that_were_added() {
        for (width, height) in [(640, 360), (360, 640), (8, 8), (8, 10), (2, 4), (4, 2)] {
            let added = if height > width { PORTRAIT_ROWS } else { 0 };
            let shape = DecodedSize::new(width, height + added, true);
            assert_eq!((shape.width, shape.height), (width, height));
            let shape = DecodedSize::new(width, height, false);
            assert_eq!((shape.width, shape.height), (width, height));
        }
    }

    #[test]
    fn a_turned_picture_has_another_number_of_bytes() {
        let length = |width, rows| SampleFormat::Rgb.len_of(DecodedSize::new(width, rows, true));
        assert_ne!(length(640, 360), length(360, 640 + PORTRAIT_ROWS));
    }
}
