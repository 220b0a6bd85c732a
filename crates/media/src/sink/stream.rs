//! Bare pictures on standard output, for the next program in a pipe.
use super::format::{PictureShape, VideoFormat};
use super::video::VideoSink;
use super::{OrderedSink, SinkError, SinkOptions, SinkPicture};
use crate::beside::SoundPacket;
use mattebox_core::codec::{Encoder, ImageFormat};
use std::io::{self, ErrorKind, Write};
use std::{fmt, str::FromStr};
use thiserror::Error;

/// The format of pictures on standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum StdoutFormat {
    /// Only the samples, row by row: `rgb24`, or `rgba` if transparent. The reader must know the
    /// size.
    #[default]
    Raw,
    /// PNG files, one after the other, as `ffmpeg -f image2pipe` reads them.
    Png,
    /// JPEG files, one after the other, as `ffmpeg -f mjpeg` reads them.
    Jpeg,
    /// YUV4MPEG2: samples with their size and rate.
    Y4m,
    /// H.264 in an MPEG transport stream.
    MpegTs,
}

/// Every name of a [`StdoutFormat`].
const NAMES: &[(&str, StdoutFormat)] = &[
    ("png", StdoutFormat::Png),
    ("jpg", StdoutFormat::Jpeg),
    ("mjpeg", StdoutFormat::Jpeg),
    ("raw", StdoutFormat::Raw),
    ("y4m", StdoutFormat::Y4m),
    ("mpegts", StdoutFormat::MpegTs),
];

/// The text names no [`StdoutFormat`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error("unknown format {0:?} for standard output: use png, jpg, mjpeg, raw, y4m or mpegts")]
pub struct UnknownStdoutFormat(String);

impl FromStr for StdoutFormat {
    type Err = UnknownStdoutFormat;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let found = NAMES.iter().find(|(name, _)| *name == text);
        found
            .map(|(_, format)| *format)
            .ok_or_else(|| UnknownStdoutFormat(text.to_owned()))
    }
}

impl fmt::Display for StdoutFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = NAMES.iter().find(|(_, format)| format == self);
        f.write_str(found.map_or("", |(name, _)| name))
    }
}

/// The sink for this process's own standard output.
pub(super) fn on_stdout(options: &SinkOptions) -> Result<Box<dyn OrderedSink>, SinkError> {
    let files = match options.stdout {
        StdoutFormat::Raw => None,
        StdoutFormat::Png => Some(ImageFormat::Png),
        StdoutFormat::Jpeg if options.alpha => {
            let problem = "a JPEG picture cannot be transparent: use png or raw";
            return Err(SinkError::Usage {
                name: STDOUT.to_owned(),
                problem: problem.to_owned(),
            });
        }
        StdoutFormat::Jpeg => Some(ImageFormat::Jpeg),
        StdoutFormat::Y4m => return Ok(Box::new(VideoSink::to_stdout(VideoFormat::Y4m, options)?)),
        StdoutFormat::MpegTs => {
            return Ok(Box::new(VideoSink::to_stdout(
                VideoFormat::MpegTs,
                options,
            )?));
        }
    };
    let encoder = files.map(|format| Encoder::new(format, options.jpeg_quality));
    Ok(Box::new(PictureStream::new(io::stdout(), encoder)))
}

/// Its name in messages.
pub(super) const STDOUT: &str = "standard output";

/// Writes pictures to any writer.
#[derive(Debug)]
struct PictureStream<W> {
    to: W,
    /// Encodes the pictures; without it their samples are written.
    encoder: Option<Encoder>,
    bytes: Vec<u8>,
    frames: u64,
    first: Option<PictureShape>,
}

impl<W: Write> PictureStream<W> {
    fn new(to: W, encoder: Option<Encoder>) -> Self {
        PictureStream {
            to,
            encoder,
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

impl<W: Write + Send> OrderedSink for PictureStream<W> {
    fn write(&mut self, picture: SinkPicture<'_>) -> Result<(), SinkError> {
        let picture = picture.picture;
        let bytes = match &mut self.encoder {
            Some(encoder) => {
                encoder.encode(picture, &mut self.bytes)?;
                &self.bytes
            }
            None => {
                PictureShape::of(picture).check(&mut self.first, STDOUT, self.frames)?;
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
    use crate::beside::PictureExtras;
    use image::{Rgb, RgbImage, Rgba, RgbaImage};
    use mattebox_core::codec::{Limits, decode};
    use mattebox_core::compose::Composed;
    use mattebox_core::frame::Timestamp;

    fn red(width: u32) -> Composed {
        Composed::Rgb(RgbImage::from_pixel(width, 2, Rgb([200, 0, 0])))
    }

    fn sink_picture(picture: &Composed) -> SinkPicture<'_> {
        SinkPicture {
            picture,
            time: Timestamp(0),
            beside: PictureExtras::default(),
        }
    }

    #[test]
    fn raw_pictures_are_their_samples() {
        let mut sink = PictureStream::new(Vec::new(), None);
        sink.write(sink_picture(&red(1))).unwrap();
        sink.write(sink_picture(&red(1))).unwrap();
        assert_eq!(sink.to, [200, 0, 0].repeat(4));
        let message = sink.write(sink_picture(&red(3))).unwrap_err().to_string();
        assert!(
            message.contains("picture 2 is 3x2, those before are 1x2"),
            "{message}"
        );
        let clear = Composed::Rgba(RgbaImage::from_pixel(1, 2, Rgba([1, 2, 3, 4])));
        assert!(
            sink.write(sink_picture(&clear))
                .unwrap_err()
                .to_string()
                .contains("1x2 with alpha")
        );
    }

    #[test]
    fn every_name_is_listed_where_one_is_unknown() {
        let message = "bmp".parse::<StdoutFormat>().unwrap_err().to_string();
        for (name, format) in NAMES {
            assert_eq!(name.parse(), Ok(*format));
            assert_eq!(format.to_string().parse(), Ok(*format));
            assert!(message.contains(name), "{name}: {message}");
        }
    }

    #[test]
    fn png_pictures_follow_each_other() {
        let encoder = Encoder::new(ImageFormat::Png, 100);
        let mut sink = PictureStream::new(Vec::new(), Some(encoder));
        sink.write(sink_picture(&red(1))).unwrap();
        let length = sink.to.len();
        sink.write(sink_picture(&red(7))).unwrap();
        assert_eq!(
            decode(&sink.to[length..], &Limits::default())
                .unwrap()
                .dimensions(),
            (7, 2)
        );
    }

    #[test]
    fn a_closed_pipe_is_no_failure() {
        struct ClosedPipe;
        impl Write for ClosedPipe {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let error = PictureStream::new(ClosedPipe, None)
            .write(sink_picture(&red(1)))
            .unwrap_err();
        assert!(error.is_closed());
    }
}
