//! Bare pictures on standard output, for the next program in a pipe.
use super::format::Shape;
use super::{OrderedSink, SinkError, SinkPicture};
use crate::beside::SoundPacket;
use mattebox_core::codec::{Encoder, ImageFormat};
use std::io::{self, ErrorKind, Write};
use std::{fmt, str::FromStr};
use thiserror::Error;

/// What standard output carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StdoutFormat {
    /// The samples only, row by row: `rgb24`, or `rgba` if transparent. The reader must know the size.
    #[default]
    Raw,
    /// PNG files, one after the other, as `ffmpeg -f image2pipe` reads them.
    Png,
}

/// The text names no [`StdoutFormat`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error("unknown format {0:?} for standard output: use raw or png")]
pub struct UnknownStdoutFormat(String);

impl FromStr for StdoutFormat {
    type Err = UnknownStdoutFormat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "raw" => Ok(StdoutFormat::Raw),
            "png" => Ok(StdoutFormat::Png),
            _ => Err(UnknownStdoutFormat(text.to_owned())),
        }
    }
}

impl fmt::Display for StdoutFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            StdoutFormat::Raw => "raw",
            StdoutFormat::Png => "png",
        })
    }
}

/// The sink for this process's own standard output.
pub(super) fn on_stdout(format: StdoutFormat) -> Box<dyn OrderedSink> {
    Box::new(Stream::new(io::stdout(), format))
}

/// Pictures into anything that takes bytes.
#[derive(Debug)]
struct Stream<W> {
    to: W,
    png: Option<Encoder>,
    bytes: Vec<u8>,
    frames: u64,
    first: Option<Shape>,
}

impl<W: Write> Stream<W> {
    fn new(to: W, format: StdoutFormat) -> Self {
        let png = (format == StdoutFormat::Png).then(|| Encoder::new(ImageFormat::Png, 100));
        Stream {
            to,
            png,
            bytes: Vec::new(),
            frames: 0,
            first: None,
        }
    }
}

fn closed_or_broken(error: io::Error) -> SinkError {
    if error.kind() == ErrorKind::BrokenPipe {
        SinkError::Closed
    } else {
        SinkError::Stdout(error)
    }
}

impl<W: Write + Send> OrderedSink for Stream<W> {
    fn write(&mut self, picture: SinkPicture<'_>) -> Result<(), SinkError> {
        let picture = picture.picture;
        let bytes = match &mut self.png {
            Some(encoder) => {
                encoder.encode(picture, &mut self.bytes)?;
                &self.bytes
            }
            None => {
                Shape::of(picture).check(&mut self.first, "standard output", self.frames)?;
                picture.as_raw()
            }
        };
        self.to
            .write_all(bytes)
            .and_then(|()| self.to.flush())
            .map_err(closed_or_broken)?;
        self.frames += 1;
        Ok(())
    }

    fn finish(mut self: Box<Self>, _: Vec<SoundPacket>) -> Result<(), SinkError> {
        self.to.flush().map_err(closed_or_broken)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::beside::Beside;
    use image::{Rgb, RgbImage, Rgba, RgbaImage};
    use mattebox_core::codec::{Limits, decode};
    use mattebox_core::compose::Composed;
    use mattebox_core::frame::Timestamp;

    fn red(width: u32) -> Composed {
        Composed::Rgb(RgbImage::from_pixel(width, 2, Rgb([200, 0, 0])))
    }

    fn shown(picture: &Composed) -> SinkPicture<'_> {
        SinkPicture {
            picture,
            time: Timestamp(0),
            beside: Beside::default(),
        }
    }

    #[test]
    fn raw_pictures_are_their_samples() {
        let mut sink = Stream::new(Vec::new(), StdoutFormat::Raw);
        sink.write(shown(&red(1))).unwrap();
        sink.write(shown(&red(1))).unwrap();
        assert_eq!(sink.to, [200, 0, 0].repeat(4));
        let message = sink.write(shown(&red(3))).unwrap_err().to_string();
        assert!(
            message.contains("picture 2 is 3x2, those before are 1x2"),
            "{message}"
        );
        let clear = Composed::Rgba(RgbaImage::from_pixel(1, 2, Rgba([1, 2, 3, 4])));
        assert!(
            sink.write(shown(&clear))
                .unwrap_err()
                .to_string()
                .contains("1x2 with alpha")
        );
    }

    #[test]
    fn png_pictures_follow_each_other() {
        let mut sink = Stream::new(Vec::new(), StdoutFormat::Png);
        sink.write(shown(&red(1))).unwrap();
        let length = sink.to.len();
        sink.write(shown(&red(7))).unwrap();
        assert_eq!(
            decode(&sink.to[length..], &Limits::default())
                .unwrap()
                .dimensions(),
            (7, 2)
        );
    }

    #[test]
    fn a_reader_that_is_gone_is_no_failure() {
        struct Gone;
        impl Write for Gone {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let error = Stream::new(Gone, StdoutFormat::Raw)
            .write(shown(&red(1)))
            .unwrap_err();
        assert!(error.is_closed());
    }
}
