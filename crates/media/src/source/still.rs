//! One picture that only FFmpeg reads: AVIF, HEIC where it can, and rare kinds of others.
use super::{
    SourceOptions,
    container::{self, OrientationStep},
    listing::LeftOutFile,
};
use crate::ffmpeg::{Ffmpeg, INSTALL, file_url, process::Process};
use image::{RgbImage, imageops};
use mattebox_core::codec::{self, DecodeError, Decoder, PictureFormat};
use std::{
    fs::File,
    io::{self, Read},
    path::{Path, PathBuf},
    process::Stdio,
    thread,
};
use thiserror::Error;

/// Pictures of a format that are tried before the format counts as not read.
const MAX_TRIES: usize = 3;
/// The longest file that is tried, in bytes.
const MAX_TRIED_BYTES: u64 = 1 << 30;

/// Why FFmpeg does not read a picture.
#[derive(Debug, Error)]
pub(super) enum StillError {
    /// It is not installed.
    #[error("there is no FFmpeg")]
    NoFfmpeg,
    /// It does not start, or a thread for its messages does not.
    #[error("cannot start {name}: {error}")]
    Start {
        name: &'static str,
        error: io::Error,
    },
    /// The file, or FFmpeg's output, cannot be read.
    #[error(transparent)]
    Read(io::Error),
    /// The picture is over the limits.
    #[error("it is {width}x{height}, more than {max_pixels} pixels in all or {max_side} a side")]
    TooLarge {
        width: u32,
        height: u32,
        max_pixels: u64,
        max_side: u32,
    },
    /// FFmpeg gives one tile of it.
    #[error("it is made of parts, of which FFmpeg gives only one")]
    InParts,
    /// FFmpeg gives bytes that are no picture.
    #[error(transparent)]
    Decode(DecodeError),
    /// FFmpeg gives no picture.
    #[error("{0}")]
    Refused(String),
}

/// The pictures that this FFmpeg does not read, with reasons. If it reads one picture of a format,
/// the format counts as read: others that fail are damaged, and give errors later.
pub(super) fn unread(
    pictures: &[(PathBuf, PictureFormat)],
    options: &SourceOptions,
) -> Vec<LeftOutFile> {
    let mut left_out = Vec::new();
    for format in [PictureFormat::Avif, PictureFormat::Heic] {
        let of_format = || pictures.iter().filter(|(_, kind)| *kind == format);
        let mut problem = None;
        for (path, _) in of_format().take(MAX_TRIES) {
            match try_one(path, options) {
                Ok(()) => {
                    problem = None;
                    break;
                }
                Err(error) => problem = Some(error),
            }
        }
        if let Some(problem) = problem {
            let reason = refusal(format, &problem);
            left_out.extend(of_format().map(|(path, _)| LeftOutFile {
                path: path.clone(),
                reason: reason.clone(),
            }));
        }
    }
    left_out
}

/// The message for a picture that FFmpeg does not read.
pub(super) fn refusal(format: PictureFormat, problem: &StillError) -> String {
    if matches!(problem, StillError::NoFfmpeg) {
        return format!(
            "{} is read by FFmpeg only, and there is none: install it with `{INSTALL}`, or name \
             it with --ffmpeg",
            format.name()
        );
    }
    format!(
        "{} is not read by this FFmpeg: {} ({problem})",
        format.name(),
        format.conversion()
    )
}

fn try_one(path: &Path, options: &SourceOptions) -> Result<(), StillError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(MAX_TRIED_BYTES).read_to_end(&mut bytes))
        .map_err(StillError::Read)?;
    read(path, &bytes, options, &mut Decoder::default()).map(drop)
}

/// Reads the picture in a file with the bytes `bytes`: upright, in sRGB.
pub(super) fn read(
    path: &Path,
    bytes: &[u8],
    options: &SourceOptions,
    decoder: &mut Decoder,
) -> Result<RgbImage, StillError> {
    let said = container::read(bytes);
    let limits = &options.limits;
    if let Some((width, height)) = said.size
        && !limits.hold(width.into(), height.into())
    {
        return Err(StillError::TooLarge {
            width,
            height,
            max_pixels: limits.max_pixels,
            max_side: limits.max_side,
        });
    }
    let mut picture = decoded(path, options)?;
    if said.size.is_some_and(|size| size != picture.dimensions()) {
        return Err(StillError::InParts);
    }
    if let Some(profile) = said.profile {
        decoder.convert_to_srgb(&mut picture, profile);
    }
    for turn in said.turns {
        picture = oriented(picture, turn);
    }
    Ok(picture)
}

fn oriented(picture: RgbImage, turn: OrientationStep) -> RgbImage {
    match turn {
        OrientationStep::Left(1) => imageops::rotate270(&picture),
        OrientationStep::Left(2) => imageops::rotate180(&picture),
        OrientationStep::Left(3) => imageops::rotate90(&picture),
        OrientationStep::Left(_) => picture,
        OrientationStep::TopBottom => imageops::flip_vertical(&picture),
        OrientationStep::LeftRight => imageops::flip_horizontal(&picture),
    }
}

/// The first picture that FFmpeg finds in a file, as it is stored.
fn decoded(path: &Path, options: &SourceOptions) -> Result<RgbImage, StillError> {
    let mut command = Ffmpeg::presume(&options.ffmpeg).command();
    let most = options.limits.max_pixels.min(i32::MAX as u64).to_string();
    command
        .args(["-loglevel", "error", "-max_pixels", &most, "-noautorotate"])
        .arg("-i")
        .arg(file_url(path))
        .args(["-map", "0:v:0", "-frames:v", "1", "-pix_fmt", "rgb24"])
        .args(["-c:v", "png", "-compression_level", "1"])
        .args(["-f", "image2pipe", "pipe:1"])
        .stdin(Stdio::null())
        .stdout(Stdio::piped());
    let mut child = Process::spawn(&mut command).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => StillError::NoFfmpeg,
        _ => StillError::Start {
            name: "FFmpeg",
            error,
        },
    })?;
    let (Some(pictures), Some(mut words)) = (child.take_stdout(), child.take_stderr()) else {
        return Err(StillError::Refused("FFmpeg has no output".to_owned()));
    };
    let said = thread::Builder::new()
        .name("ffmpeg messages".to_owned())
        .spawn(move || {
            let mut said = Vec::new();
            let _ = (&mut words).take(1 << 16).read_to_end(&mut said);
            // FFmpeg must not block on the rest of its messages.
            let _ = io::copy(&mut words, &mut io::sink());
            said
        })
        .map_err(|error| StillError::Start {
            name: "a thread",
            error,
        })?;
    let mut bytes = Vec::new();
    let read = pictures.take(MAX_TRIED_BYTES).read_to_end(&mut bytes);
    // No more of its output is needed.
    drop(child);
    let said = said.join().unwrap_or_default();
    match read {
        Ok(0) => Err(StillError::Refused(reason(
            &String::from_utf8_lossy(&said),
            path,
        ))),
        Ok(_) => codec::decode(&bytes, &options.limits).map_err(StillError::Decode),
        Err(error) => Err(StillError::Read(error)),
    }
}

/// The last line of FFmpeg's messages, without the path.
fn reason(said: &str, path: &Path) -> String {
    let last = said.lines().rev().find(|line| !line.trim().is_empty());
    match last {
        Some(line) => {
            let line = line.replace(&format!("file:{}: ", path.display()), "");
            format!("FFmpeg: {}", line.trim_start_matches("[error] "))
        }
        None => "FFmpeg gives no picture".to_owned(),
    }
}
