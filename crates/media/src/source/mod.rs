//! The sources of pictures: files, cameras, network streams, test patterns, folders of pictures.
//!
//! * `spec`: the text that names a source.
//! * `options`: how to read it; `choices` and `input_option`: single options; `fallback`: another
//!   way to read it if one does not work.
//! * `error`: its errors; `mattebox_engine::status`: whether it is reached, lost or well.
//! * `input`: the FFmpeg command for it.
//! * `plan`: the work of FFmpeg beyond decoding.
//! * `feed`: one running FFmpeg and its output; `decoded`: the pictures and the sound in that
//!   output.
//! * `pipe`: input that can be read only once, and is sent to FFmpeg.
//! * `video`: sources with an end: files and test patterns.
//! * `live`: sources without an end, which are connected again: cameras and network streams.
//! * `pictures`: pictures in files; `listing` finds them in folders, `sequence` those with numbers.
//! * `still`: one picture that only FFmpeg reads; `container`: the metadata in its file.
//! * `files`: the files of this machine that a source reads.
//!
//! ```no_run
//! use mattebox_engine::stop::Stop;
//! use mattebox_media::source::{self, SourceOptions};
//! let stop = Stop::new();
//! let options = SourceOptions::default();
//! let mut source = source::open(&"samples/person.mp4".parse()?, &options, &stop)?;
//! while let Some(picture) = source.next(&stop)? {
//!     println!("{} µs: {:?}", picture.time.0, picture.picture.dimensions());
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
mod choices;
mod container;
mod decoded;
mod error;
mod fallback;
mod feed;
mod files;
mod input;
mod input_option;
mod listing;
mod live;
mod options;
mod pictures;
mod pipe;
mod plan;
mod protocols;
mod sequence;
mod spec;
mod still;
mod video;

pub use crate::ffmpeg::jpeg::{Jpeg, JpegOddity};
pub use choices::{FrameSize, HardwareDecoder, InputFormat, RtspTransport, UnknownChoice};
pub use error::SourceError;
pub use files::{SourceFile, files};
pub use input_option::{InputOption, InputOptionError};
pub use options::SourceOptions;
pub use pictures::narrow;
pub use spec::{CameraSource, SourceSpec, SourceSpecError};

use crate::beside::{PictureExtras, SoundPacket};
use crate::ffmpeg::Ffmpeg;
use feed::FeedPicture;
use image::RgbImage;
use input::SourceInput;
use mattebox_core::frame::Timestamp;
use mattebox_engine::stop::Stop;
use std::path::{Path, PathBuf};
use std::time::Instant;
use tracing::warn;

/// One picture and its time.
#[derive(Debug, Clone)]
pub struct SourcePicture<P = RgbImage> {
    /// The picture, upright, sRGB; or the [`Jpeg`] that holds it.
    pub picture: P,
    /// In microseconds: the unix time of its arrival for live sources, else its position in the
    /// source, from 0.
    pub time: Timestamp,
    /// The beginning of its latency: its arrival for live sources, else the time when FFmpeg had
    /// sent it, or its file was decoded.
    pub read: Instant,
    /// Its other data.
    pub beside: PictureExtras,
}

/// The properties of a source that are known before its pictures.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct SourceInfo {
    /// The estimated number of its pictures, for a progress bar. `None`: without end, or unknown.
    pub frames: Option<u64>,
    /// Pictures per second.
    pub fps: Option<f64>,
    /// It gives pictures in real time, and does not wait for its reader.
    pub live: bool,
    /// Its pictures are unrelated: they are not smoothed over time.
    pub still: bool,
    /// The width and height of its pictures, if [`open_jpegs`] can pass them on as JPEG files.
    pub motion_jpeg: Option<(u32, u32)>,
}

/// Something that gives pictures.
pub trait Source<P = RgbImage>: Send {
    /// Its properties.
    fn info(&self) -> &SourceInfo;

    /// Waits for the next picture. `None` at the end, and always after it, and within about 50 ms
    /// after `stop` was asked to stop.
    ///
    /// After an error whose [`SourceError::is_fatal`] is false one picture is missing, and the
    /// source continues.
    fn next(&mut self, stop: &Stop) -> Result<Option<SourcePicture<P>>, SourceError>;

    /// Takes back a picture to use its memory again.
    fn reuse(&mut self, _: P) {}

    /// After the end: the sound after the last picture.
    fn rest_of_sound(&mut self) -> Vec<SoundPacket> {
        vec![]
    }

    /// The file of the last picture or error, if the source has a file for each picture.
    fn file(&self) -> Option<&Path> {
        None
    }
}

/// Opens a source. Returns when FFmpeg has opened it, which may take up to
/// [`SourceOptions::connect_timeout`]; errors of its first picture can still follow.
pub fn open(
    spec: &SourceSpec,
    options: &SourceOptions,
    stop: &Stop,
) -> Result<Box<dyn Source>, SourceError> {
    options.check(spec)?;
    if let SourceSpec::Path(path) = spec
        && let Some(listing) = pictures_at(path, spec, options)?
    {
        let name = spec.to_string();
        if let Some(note) = &listing.note {
            warn!(source = name, "{note}");
        }
        if !listing.left_out.is_empty() {
            let count = listing.left_out.len();
            let files = listing::describe(&listing.left_out);
            warn!(source = name, "left out ({count}): {files}");
        }
        let pictures = pictures::PictureFiles::new(name, listing.paths, options)?;
        return Ok(Box::new(pictures));
    }
    open_video(SourceInput::resolve(spec)?, options, stop)
}

/// The files of a source with a file for each picture, in the order in which they are read. `None`:
/// it is another kind of source.
pub fn picture_files(
    spec: &SourceSpec,
    options: &SourceOptions,
) -> Result<Option<Vec<PathBuf>>, SourceError> {
    let SourceSpec::Path(path) = spec else {
        return Ok(None);
    };
    let listing = pictures_at(path, spec, options)?;
    Ok(listing.map(|listing| listing.paths))
}

/// The pictures at a path, without those that this FFmpeg does not read.
fn pictures_at(
    path: &Path,
    spec: &SourceSpec,
    options: &SourceOptions,
) -> Result<Option<listing::Listing>, SourceError> {
    let usage = |problem| SourceError::Usage {
        name: spec.to_string(),
        problem,
    };
    let Some(found) = listing::find(path) else {
        return Ok(None);
    };
    let mut listing = found.map_err(|error| usage(error.to_string()))?;
    let unread = still::unread(&listing.by_ffmpeg, options);
    if !unread.is_empty() {
        listing
            .paths
            .retain(|path| unread.iter().all(|file| file.path != *path));
        if listing.paths.is_empty() && path.is_file() {
            return Err(usage(unread[0].reason.clone()));
        }
        listing.left_out.extend(unread);
        if listing.paths.is_empty() {
            let but = listing::but(&listing.left_out);
            return Err(usage(format!(
                "there are no pictures that can be read{but}"
            )));
        }
    }
    Ok(Some(listing))
}

/// Opens a source of Motion JPEG that passes on its pictures byte for byte: all of them, in their
/// own size, as fast as they arrive. It only adds missing Huffman tables. A damaged picture is
/// passed on too, with its [`Jpeg::oddity`]. For sources with [`SourceInfo::motion_jpeg`]; the
/// options `fps` and `max_width` do not apply.
pub fn open_jpegs(
    spec: &SourceSpec,
    options: &SourceOptions,
    stop: &Stop,
) -> Result<Box<dyn Source<Jpeg>>, SourceError> {
    options.check(spec)?;
    let options = SourceOptions {
        fps: None,
        max_width: None,
        ..options.clone()
    };
    open_video(SourceInput::resolve(spec)?, &options, stop)
}

fn open_video<P: FeedPicture>(
    input: SourceInput,
    options: &SourceOptions,
    stop: &Stop,
) -> Result<Box<dyn Source<P>>, SourceError> {
    if let Some(problem) = input.missing_device().filter(|_| !options.keep_trying) {
        return Err(SourceError::Usage {
            name: input.name.clone(),
            problem,
        });
    }
    if input.is_live() || input.may_be_live() {
        let ffmpeg = Ffmpeg::find(&options.ffmpeg)?;
        let live = live::LiveSource::open(ffmpeg.clone(), input.clone(), options, stop)?;
        if input.is_live() || !live.has_end() {
            return Ok(Box::new(live));
        }
        return Ok(Box::new(video::VideoSource::open(
            ffmpeg, input, options, stop,
        )?));
    }
    // To ask FFmpeg for its version takes as long as to open a file, so it is done only if the file
    // cannot be opened without it.
    let presumed = Ffmpeg::presume(&options.ffmpeg);
    match video::VideoSource::open(presumed.clone(), input.clone(), options, stop) {
        Ok(video) => Ok(Box::new(video)),
        Err(SourceError::Stopped) => Err(SourceError::Stopped),
        Err(error) => {
            let found = Ffmpeg::find(&options.ffmpeg)?;
            if found.takes_options_of(&presumed) {
                return Err(error);
            }
            Ok(Box::new(video::VideoSource::open(
                found, input, options, stop,
            )?))
        }
    }
}
