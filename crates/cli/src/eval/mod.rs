//! `mattebox eval`: measures a matte against the true one.
//!
//! Two sequences of alphas, predicted and true, are read side by side, each from a video, a folder
//! of pictures or a single picture, and every frame is measured with [`mattebox_core::quality`].
//!
//! # Layout
//!
//! * [`alpha`]: the alpha of one frame.
//! * [`sequence`]: one sequence of alphas, from pictures or a video.
//! * [`pictures`]: alphas of picture files.
//! * [`video`]: alphas of a video, through FFmpeg.
//! * [`report`]: the result as a table, JSON and CSV.
pub mod alpha;
pub mod pictures;
pub mod report;
pub mod sequence;
pub mod video;

use alpha::AlphaFrame;
use image::GrayImage;
use mattebox_core::quality::{self, FrameQuality, Pair, QualityError};
use mattebox_engine::address::harmless;
use mattebox_media::ffmpeg::{FfmpegError, INSTALL};
pub use report::{EvalReport, MeasuredFrame};
use sequence::Sequence;
use std::{
    path::{Path, PathBuf},
    thread,
};
use thiserror::Error;

/// Why an evaluation gave no result.
#[derive(Debug, Error)]
pub enum EvalError {
    /// An input that is not there.
    #[error("there is no file or folder {}", harmless::path(.0))]
    NotFound(PathBuf),
    /// A folder without pictures.
    #[error("the folder {} holds no PNG, JPEG or WebP pictures{hint}", path.display())]
    NoPictures {
        /// The folder.
        path: PathBuf,
        /// A suggestion, or nothing.
        hint: String,
    },
    /// A folder that cannot be listed or a file that cannot be opened.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// A picture that cannot be decoded.
    #[error("cannot decode the picture {}: {source}", path.display())]
    Decode {
        /// The picture.
        path: PathBuf,
        /// What the decoder said.
        source: image::ImageError,
    },
    /// A picture that shows colours is no matte.
    #[error(
        "{} is a colour picture without an alpha channel; a matte is gray or has an alpha channel \
         (`mattebox run --alpha-out` writes mattes)",
        .0.display()
    )]
    NotAlpha(PathBuf),
    /// There is no FFmpeg to read a video with.
    #[error(transparent)]
    Ffmpeg(#[from] FfmpegError),
    /// FFmpeg is there, but ffprobe beside it is not.
    #[error(
        "cannot start {}: {source}. It belongs to FFmpeg: install that with `{INSTALL}`, or name \
         another with --ffmpeg",
        harmless::path(program)
    )]
    Ffprobe {
        /// The program.
        program: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// FFmpeg could not read the video.
    #[error("cannot read the video {}: {message}", harmless::path(path))]
    Video {
        /// The video.
        path: PathBuf,
        /// What FFmpeg said.
        message: String,
    },
    /// One sequence is longer than the other.
    #[error(
        "{} has {predicted_frames} frames and {} has {truth_frames}: the predicted and the true \
         alpha must have the same number of frames",
        predicted.display(),
        truth.display()
    )]
    CountsDiffer {
        /// Where the predicted alpha is.
        predicted: PathBuf,
        /// How many frames it has.
        predicted_frames: u64,
        /// Where the true alpha is.
        truth: PathBuf,
        /// How many frames it has.
        truth_frames: u64,
    },
    /// Neither sequence has a frame.
    #[error("{} and {} have no frames", predicted.display(), truth.display())]
    NoFrames {
        /// Where the predicted alpha is.
        predicted: PathBuf,
        /// Where the true alpha is.
        truth: PathBuf,
    },
    /// A frame that cannot be measured.
    #[error("frame {frame} of {} against {}: {source}", predicted.display(), truth.display())]
    Frame {
        /// Its place in the sequence, counted from 0.
        frame: u64,
        /// Where the predicted alpha is.
        predicted: PathBuf,
        /// Where the true alpha is.
        truth: PathBuf,
        /// What is wrong.
        source: QualityError,
    },
}

/// How far an evaluation has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EvalProgress {
    /// Frames measured.
    pub done: u64,
    /// All frames, if a sequence knows its length.
    pub total: Option<u64>,
}

/// Measures the sequence at `predicted` against the one at `truth`, on every core, reading as it
/// goes. `ffmpeg` is the program that reads videos; ffprobe must be in the same folder. `progress`
/// is called after every few frames.
///
/// # Errors
/// Everything in [`EvalError`]; a sequence that cannot be measured to its end has no result.
pub fn evaluate(
    predicted: &Path,
    truth: &Path,
    ffmpeg: &Path,
    progress: &mut dyn FnMut(EvalProgress),
) -> Result<EvalReport, EvalError> {
    let mut sequences = SequencePair {
        predicted: Sequence::open(predicted, ffmpeg)?,
        truth: Sequence::open(truth, ffmpeg)?,
    };
    let total = sequences.check_counts()?;
    // A frame is also compared with the one before it, so the last frame of a batch stays for the
    // next.
    let mut pairs: Vec<(AlphaFrame, GrayImage)> = Vec::new();
    let mut frames: Vec<MeasuredFrame> = Vec::new();
    let batch = thread::available_parallelism().map_or(1, |cores| cores.get());
    loop {
        pairs.drain(..pairs.len().saturating_sub(1));
        let kept = pairs.len();
        while pairs.len() < kept + batch
            && let Some(pair) = sequences.next(frames.len() as u64 + (pairs.len() - kept) as u64)?
        {
            pairs.push(pair);
        }
        if pairs.len() == kept {
            break;
        }
        for (at, measured) in (kept..).zip(measure_all(&pairs, kept)) {
            let frame = frames.len() as u64;
            let error = |source| EvalError::Frame {
                frame,
                predicted: predicted.to_owned(),
                truth: truth.to_owned(),
                source,
            };
            let quality = measured.map_err(error)?;
            let (AlphaFrame { name, .. }, truth) = &pairs[at];
            let (width, height) = truth.dimensions();
            frames.push(MeasuredFrame {
                frame,
                name: name.clone(),
                width,
                height,
                quality,
            });
        }
        progress(EvalProgress {
            done: frames.len() as u64,
            total,
        });
    }
    if frames.is_empty() {
        return Err(EvalError::NoFrames {
            predicted: predicted.to_owned(),
            truth: truth.to_owned(),
        });
    }
    Ok(EvalReport {
        predicted: predicted.to_owned(),
        truth: truth.to_owned(),
        frames,
        with_static: false,
    })
}

/// Measures `pairs[from..]`, each on its own thread.
fn measure_all(
    pairs: &[(AlphaFrame, GrayImage)],
    from: usize,
) -> Vec<Result<FrameQuality, QualityError>> {
    let pair = |at: usize| Pair::new(&pairs[at].0.alpha, &pairs[at].1);
    let measure = |at: usize| {
        let now = pair(at)?;
        // An earlier frame without a pair was reported before. Stills may differ in size; they then
        // have no dtSSD.
        let before = at
            .checked_sub(1)
            .map(pair)
            .transpose()?
            .filter(|before| before.dimensions() == now.dimensions());
        quality::measure(now, before)
    };
    thread::scope(|scope| {
        let threads: Vec<_> = (from..pairs.len())
            .map(|at| scope.spawn(move || measure(at)))
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
            })
            .collect()
    })
}

/// The two sequences, in step.
struct SequencePair {
    predicted: Sequence,
    truth: Sequence,
}

impl SequencePair {
    /// The number of frames, if a sequence knows it. If both know it, they are compared before any
    /// work.
    fn check_counts(&self) -> Result<Option<u64>, EvalError> {
        match (self.predicted.frames(), self.truth.frames()) {
            (Some(predicted), Some(truth)) if predicted != truth => {
                Err(self.counts_differ(predicted, truth))
            }
            (predicted, truth) => Ok(predicted.or(truth)),
        }
    }

    /// The next frame, number `number`, of both; none when both end.
    fn next(&mut self, number: u64) -> Result<Option<(AlphaFrame, GrayImage)>, EvalError> {
        match (self.predicted.next_alpha()?, self.truth.next_alpha()?) {
            (Some(predicted), Some(truth)) => Ok(Some((predicted, truth.alpha))),
            (None, None) => Ok(None),
            // The rest is read, so that the message can name both numbers.
            (Some(_), None) => {
                let rest = self.predicted.skip_all()?;
                Err(self.counts_differ(number + 1 + rest, number))
            }
            (None, Some(_)) => {
                let rest = self.truth.skip_all()?;
                Err(self.counts_differ(number, number + 1 + rest))
            }
        }
    }

    fn counts_differ(&self, predicted_frames: u64, truth_frames: u64) -> EvalError {
        EvalError::CountsDiffer {
            predicted: self.predicted.path().to_owned(),
            predicted_frames,
            truth: self.truth.path().to_owned(),
            truth_frames,
        }
    }
}

#[cfg(test)]
mod tests;
