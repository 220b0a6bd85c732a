//! The decoded pictures that FFmpeg sends, and the sound beside them.
use super::feed::{Piece, Pieces};
use crate::beside::SoundFormat;
use crate::ffmpeg::log::OutputLog;
use crate::ffmpeg::nut::{Content, Reader};
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
/// Rows that FFmpeg adds to a picture that is higher than wide. Its bytes then differ in number
/// from those of the same picture turned, so that a camera that is turned over is noticed.
pub(super) const PORTRAIT_ROWS: u32 = 2;
/// How long the description of the output may take, which FFmpeg writes before it.
const LOG_PATIENCE: Duration = Duration::from_secs(2);
/// The longest packet of sound, in bytes.
const MAX_SOUND: usize = 16 << 20;

/// Reads the pictures of one child.
#[derive(Debug)]
pub(super) struct Decoded<R> {
    state: State<R>,
    limits: Limits,
    log: OutputLog,
    /// As in [`super::plan::Plan`].
    marks_portrait: bool,
}

#[derive(Debug)]
enum State<R> {
    /// Nothing was read.
    New(R),
    Open(Box<Open<R>>),
    Ended,
}

#[derive(Debug)]
struct Open<R> {
    from: Reader<R>,
    /// The place of the pictures among the streams.
    video: usize,
    shape: Shape,
    samples: Samples,
    pixel_aspect: Option<(u32, u32)>,
    sound: Option<(usize, Arc<SoundFormat>)>,
    body: Vec<u8>,
}

/// The size of the pictures.
#[derive(Debug, Clone, Copy)]
struct Shape {
    width: u32,
    height: u32,
    /// Rows that are sent, some of which are no part of the picture.
    rows: u32,
}

/// What the bytes of a picture are.
#[derive(Debug)]
enum Samples {
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
            state: State::New(from),
            limits,
            log,
            marks_portrait,
        }
    }

    fn open(&self, from: R) -> io::Result<Open<R>> {
        let from = Reader::open(from)?;
        let mut video = None;
        let mut audio = None;
        for (place, stream) in from.streams().iter().enumerate() {
            match stream.content {
                Content::Video {
                    width,
                    height,
                    pixel_aspect,
                } => video = Some((place, width, height, pixel_aspect)),
                Content::Audio { .. } => audio = Some(place),
                Content::Other => {}
            }
        }
        let Some((place, width, rows, aspect)) = video else {
            return Err(bad("FFmpeg sends no pictures".to_owned()));
        };
        let shape = Shape::new(width, rows, self.marks_portrait);
        self.check(shape)?;
        let (header, output) = self.log.wait(audio.is_some(), LOG_PATIENCE);
        let streams = from.streams();
        let samples = match streams[place].codec_tag.as_slice() {
            b"I420" => {
                let colours = output.colours.unwrap_or_default();
                Samples::Yuv420 {
                    to_rgb: ToRgb::default(),
                    matrix: colours.matrix_of(header.video.and_then(|video| video.size)),
                    range: colours.range.unwrap_or(Range::Limited),
                }
            }
            [b'R', b'G', b'B', 24] => Samples::Rgb,
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
        Ok(Open {
            from,
            video: place,
            shape,
            samples,
            pixel_aspect,
            sound,
            body: vec![],
        })
    }

    fn check(&self, Shape { width, height, .. }: Shape) -> io::Result<()> {
        if width == 0 || height == 0 || !self.limits.hold(width.into(), height.into()) {
            let Limits {
                max_pixels,
                max_side,
                ..
            } = self.limits;
            return Err(bad(format!(
                "its pictures of {width}x{height} are over the limit of {max_pixels} pixels in all and {max_side} a side"
            )));
        }
        Ok(())
    }
}

impl<R: BufRead + Send + 'static> Pieces<RgbImage> for Decoded<R> {
    fn next(&mut self, spare: &Receiver<RgbImage>) -> io::Result<Option<Piece<RgbImage>>> {
        match std::mem::replace(&mut self.state, State::Ended) {
            State::New(mut from) => {
                if from.fill_buf()?.is_empty() {
                    return Ok(None);
                }
                self.state = State::Open(Box::new(self.open(from)?));
            }
            state => self.state = state,
        }
        match &mut self.state {
            State::Open(open) => open.next(spare),
            State::New(_) | State::Ended => Ok(None),
        }
    }
}

impl<R: BufRead> Open<R> {
    fn next(&mut self, spare: &Receiver<RgbImage>) -> io::Result<Option<Piece<RgbImage>>> {
        let bytes = self.samples.len_of(self.shape);
        // A picture of another size may be larger, which is no error of the stream.
        let most = bytes.max(MAX_SOUND).saturating_mul(4);
        loop {
            let Some(packet) = self.from.next(most, &mut self.body)? else {
                return Ok(None);
            };
            let micros = packet.micros - i64::from(TIME_OFFSET) * 1_000_000;
            if packet.stream == self.video {
                if self.body.len() != bytes {
                    return Ok(Some(Piece::NewSize { micros }));
                }
                return Ok(Some(Piece::Picture {
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
                return Ok(Some(Piece::Sound {
                    micros,
                    bytes: self.body.clone(),
                    is_key: packet.is_key,
                }));
            }
        }
    }
}

impl Shape {
    fn new(width: u32, rows: u32, marks_portrait: bool) -> Self {
        let is_padded = marks_portrait && rows > width.saturating_add(PORTRAIT_ROWS);
        Shape {
            width,
            height: rows - if is_padded { PORTRAIT_ROWS } else { 0 },
            rows,
        }
    }
}

impl Samples {
    fn len_of(&self, shape: Shape) -> usize {
        let bytes = match self {
            Samples::Rgb => u64::from(shape.width) * u64::from(shape.rows) * 3,
            Samples::Yuv420 { .. } => Yuv420::len_of(shape.width, shape.rows),
        };
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    /// The picture, in the memory of `into`.
    fn picture(&mut self, shape: Shape, bytes: &[u8], mut into: RgbImage) -> io::Result<RgbImage> {
        let Shape {
            width,
            height,
            rows,
        } = shape;
        let picture = match self {
            Samples::Rgb => {
                let used = width as usize * height as usize * 3;
                let mut rgb = into.into_raw();
                rgb.clear();
                rgb.extend_from_slice(&bytes[..used]);
                RgbImage::from_raw(width, height, rgb)
            }
            Samples::Yuv420 {
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

fn bad(what: String) -> io::Error {
    io::Error::new(ErrorKind::InvalidData, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pictures_higher_than_wide_lose_the_rows_that_were_added() {
        for (width, height) in [(640, 360), (360, 640), (8, 8), (8, 10), (2, 4), (4, 2)] {
            let added = if height > width { PORTRAIT_ROWS } else { 0 };
            let shape = Shape::new(width, height + added, true);
            assert_eq!((shape.width, shape.height), (width, height));
            let shape = Shape::new(width, height, false);
            assert_eq!((shape.width, shape.height), (width, height));
        }
    }

    #[test]
    fn a_turned_picture_has_another_number_of_bytes() {
        let length = |width, rows| Samples::Rgb.len_of(Shape::new(width, rows, true));
        assert_ne!(length(640, 360), length(360, 640 + PORTRAIT_ROWS));
    }
}
