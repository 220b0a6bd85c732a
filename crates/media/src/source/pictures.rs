//! Unrelated pictures: a folder, a pattern, or one file.
use super::video::USUAL_FPS;
use super::{Source, SourceError, SourceInfo, SourceOptions, SourcePicture, listing, still};
use crate::beside::PictureExtras;
use image::RgbImage;
use mattebox_core::codec::{self, Crop, DecodeError, Decoder, Filter, PictureFormat};
use mattebox_core::frame::Timestamp;
use mattebox_engine::stop::Stop;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The longest file that is read as a picture, in bytes.
const MAX_FILE_BYTES: u64 = 1 << 30;

/// Picture files, one after the other. A file that cannot be read or decoded is one error, and the
/// next file follows.
#[derive(Debug)]
pub(super) struct PictureFiles {
    name: String,
    paths: Vec<PathBuf>,
    options: SourceOptions,
    info: SourceInfo,
    decoder: Decoder,
    bytes: Vec<u8>,
    /// The number of pictures begun, from the first one to read.
    number: u64,
    /// The index of that first one.
    first: u64,
    /// Errors since the last good picture.
    bad: usize,
    /// When the first picture was requested.
    begun: Option<Instant>,
}

impl PictureFiles {
    /// `paths` is not empty. Times are those of a video with [`SourceOptions::fps`], 25 if that is
    /// not set.
    pub(super) fn new(
        name: String,
        paths: Vec<PathBuf>,
        options: &SourceOptions,
    ) -> Result<Self, SourceError> {
        let fps = options.fps.unwrap_or(USUAL_FPS);
        let count = |time: Duration| (time.as_secs_f64() * fps).round() as u64;
        let first = options.start.map_or(0, count);
        let there = (paths.len() as u64).saturating_sub(first);
        if there == 0 {
            let problem = format!(
                "there are only {} pictures, and --start skips {}",
                paths.len(),
                first
            );
            return Err(SourceError::Usage { name, problem });
        }
        let frames = match options.duration.map(count) {
            wanted if options.repeat => wanted,
            wanted => Some(wanted.map_or(there, |wanted| wanted.min(there))),
        };
        let info = SourceInfo {
            frames,
            fps: Some(fps),
            live: false,
            still: true,
            motion_jpeg: None,
        };
        let options = options.clone();
        Ok(PictureFiles {
            name,
            paths,
            options,
            info,
            decoder: Decoder::default(),
            bytes: Vec::new(),
            number: 0,
            first,
            bad: 0,
            begun: None,
        })
    }

    fn read(&mut self, path: &Path) -> Result<RgbImage, SourceError> {
        self.bytes.clear();
        File::open(path)
            .and_then(|file| file.take(MAX_FILE_BYTES + 1).read_to_end(&mut self.bytes))
            .and_then(|length| match length as u64 > MAX_FILE_BYTES {
                true => Err(io::Error::other(format!(
                    "the file is longer than {MAX_FILE_BYTES} bytes"
                ))),
                false => Ok(()),
            })
            .map_err(|source| SourceError::Unreadable {
                path: path.to_owned(),
                source,
            })?;
        let picture = self.decode(path)?;
        Ok(match self.options.max_width {
            Some(width) if picture.width() > width => narrow(&picture, width),
            _ => picture,
        })
    }

    /// Decodes the bytes that were read, with FFmpeg if our decoders do not know the format.
    fn decode(&mut self, path: &Path) -> Result<RgbImage, SourceError> {
        let mut picture = RgbImage::default();
        let decoded = self
            .decoder
            .decode_into(&self.bytes, &self.options.limits, &mut picture);
        let source = match decoded {
            Ok(()) => return Ok(picture),
            Err(source) => source,
        };
        let is_known_elsewhere = match &source {
            DecodeError::Convert(format) => *format != PictureFormat::Raw,
            DecodeError::Unsupported { .. } => true,
            DecodeError::UnknownFormat { .. } => listing::is_for_ffmpeg(path),
            _ => false,
        };
        if !is_known_elsewhere {
            return Err(SourceError::Picture {
                path: path.to_owned(),
                source,
            });
        }
        still::read(path, &self.bytes, &self.options, &mut self.decoder).map_err(|problem| {
            match &source {
                DecodeError::Convert(format) => SourceError::Unreadable {
                    path: path.to_owned(),
                    source: io::Error::other(still::refusal(*format, &problem)),
                },
                _ => SourceError::Picture {
                    path: path.to_owned(),
                    source,
                },
            }
        })
    }
}

impl Source for PictureFiles {
    fn info(&self) -> &SourceInfo {
        &self.info
    }

    fn file(&self) -> Option<&Path> {
        let begun = self.number.checked_sub(1)?;
        Some(&self.paths[((self.first + begun) % self.paths.len() as u64) as usize])
    }

    fn next(&mut self, stop: &Stop) -> Result<Option<SourcePicture>, SourceError> {
        if stop.is_stopped() || self.info.frames.is_some_and(|frames| self.number >= frames) {
            return Ok(None);
        }
        let fps = self.info.fps.unwrap_or(USUAL_FPS);
        let begun = *self.begun.get_or_insert_with(Instant::now);
        if self.options.realtime {
            let due =
                Duration::try_from_secs_f64(self.number as f64 / fps).unwrap_or(Duration::MAX);
            if stop.wait(due.saturating_sub(begun.elapsed())) {
                return Ok(None);
            }
        }
        let place = self.first + self.number;
        let path = self.paths[(place % self.paths.len() as u64) as usize].clone();
        self.number += 1;
        let picture = self.read(&path).inspect_err(|_| self.bad += 1);
        if picture.is_err() && self.options.repeat && self.bad > self.paths.len() {
            self.info.frames = Some(self.number);
            let problem = "none of its pictures can be read".to_owned();
            return Err(SourceError::Failed {
                name: self.name.clone(),
                frames: self.number,
                problem,
            });
        }
        let picture = picture?;
        self.bad = 0;
        let time = Timestamp((place as f64 * 1e6 / fps).round() as i64);
        Ok(Some(SourcePicture {
            picture,
            time,
            read: Instant::now(),
            beside: PictureExtras::default(),
        }))
    }
}

/// Scales a picture down to `width` with its proportions. Each pixel is an average.
pub fn narrow(picture: &RgbImage, width: u32) -> RgbImage {
    let scale = f64::from(width) / f64::from(picture.width());
    let height = ((f64::from(picture.height()) * scale).round() as u32).max(1);
    codec::scale(picture, width, height, Filter::Box, Crop::Nothing)
}
