//! One sequence of alphas: the frames of a video, the pictures of a folder, or a single picture.
use super::{EvalError, alpha::Alpha, pictures, video::Video};
use std::{
    path::{Path, PathBuf},
    vec,
};

/// A sequence that is read frame by frame.
#[derive(Debug)]
pub struct Sequence {
    path: PathBuf,
    from: From,
}

#[derive(Debug)]
enum From {
    Pictures(vec::IntoIter<PathBuf>),
    Video(Video),
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
            From::Pictures(pictures::list(path)?.into_iter())
        } else if pictures::is_picture(path) {
            From::Pictures(vec![path.to_owned()].into_iter())
        } else {
            From::Video(Video::open(path, ffmpeg)?)
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

    /// How many frames are still to come, if that is certain: of pictures it is, of a video only its end tells.
    pub fn frames(&self) -> Option<u64> {
        match &self.from {
            From::Pictures(files) => Some(files.len() as u64),
            From::Video(_) => None,
        }
    }

    /// The next alpha, none at the end.
    ///
    /// # Errors
    /// If it cannot be decoded or is not a matte.
    pub fn next_alpha(&mut self) -> Result<Option<Alpha>, EvalError> {
        match &mut self.from {
            From::Pictures(files) => files.next().map(|file| pictures::read(&file)).transpose(),
            From::Video(video) => Ok(video.next_alpha()?.map(|alpha| Alpha { alpha, name: None })),
        }
    }

    /// Goes to the end and tells how many frames that were.
    ///
    /// # Errors
    /// If a video cannot be read to its end.
    pub fn skip_all(&mut self) -> Result<u64, EvalError> {
        match &mut self.from {
            From::Pictures(files) => Ok(files.count() as u64),
            From::Video(video) => {
                let mut skipped = 0;
                while video.next_alpha()?.is_some() {
                    skipped += 1;
                }
                Ok(skipped)
            }
        }
    }
}
