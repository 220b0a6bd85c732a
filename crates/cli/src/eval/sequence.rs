//! One sequence of alphas: the frames of a video, the pictures of a folder, or a single picture.
use super::{EvalError, alpha::AlphaFrame, pictures, video::AlphaVideo};
use std::{
    path::{Path, PathBuf},
    vec,
};

/// A sequence that is read frame by frame.
#[derive(Debug)]
pub struct Sequence {
    path: PathBuf,
    from: SequenceSource,
}

#[derive(Debug)]
enum SequenceSource {
    Pictures(vec::IntoIter<PathBuf>),
    Video(AlphaVideo),
}

impl Sequence {
    /// Opens a folder of pictures, a picture, or anything else as a video that FFmpeg reads.
    ///
    /// # Errors
    /// If it is not there, holds no pictures, or FFmpeg cannot read it.
    pub fn open(path: &Path, ffmpeg: &Path) -> Result<Self, EvalError> {
        let from = if !path.exists() {
            return Err(EvalError::NotFound(path.to_owned()));
        } else if path.is_dir() {
            SequenceSource::Pictures(pictures::list(path)?.into_iter())
        } else if pictures::is_picture(path) {
            SequenceSource::Pictures(vec![path.to_owned()].into_iter())
        } else {
            SequenceSource::Video(AlphaVideo::open(path, ffmpeg)?)
        };
        Ok(Sequence {
            path: path.to_owned(),
            from,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The number of frames that are left. It is known for pictures; for a video, only at its end.
    pub fn frames(&self) -> Option<u64> {
        match &self.from {
            SequenceSource::Pictures(files) => Some(files.len() as u64),
            SequenceSource::Video(_) => None,
        }
    }

    /// The next alpha, none at the end.
    ///
    /// # Errors
    /// If it cannot be decoded or is not a matte.
    pub fn next_alpha(&mut self) -> Result<Option<AlphaFrame>, EvalError> {
        match &mut self.from {
            SequenceSource::Pictures(files) => {
                files.next().map(|file| pictures::read(&file)).transpose()
            }
            SequenceSource::Video(video) => Ok(video
                .next_alpha()?
                .map(|alpha| AlphaFrame { alpha, name: None })),
        }
    }

    /// Reads to the end and counts the frames.
    ///
    /// # Errors
    /// If a video cannot be read to its end.
    pub fn skip_all(&mut self) -> Result<u64, EvalError> {
        match &mut self.from {
            SequenceSource::Pictures(files) => Ok(files.count() as u64),
            SequenceSource::Video(video) => {
                let mut skipped = 0;
                while video.next_alpha()?.is_some() {
                    skipped += 1;
                }
                Ok(skipped)
            }
        }
    }
}
