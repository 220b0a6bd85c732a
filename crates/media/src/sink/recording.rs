//! Video files, one after the other: a new file begins when the size of the pictures changes, and
//! after each `segment`.
//!
//! A file has its unfinished name while it is written. Another thread finishes it, so that the next
//! one begins at once.
use super::encoder::EncoderChoice;
use super::format::{PictureShape, VideoFormat};
use super::video::VideoSink;
use super::{OrderedSink, SinkError, SinkOptions, SinkPicture, index};
use crate::beside::SoundPacket;
use crate::ffmpeg::Ffmpeg;
use mattebox_core::frame::Timestamp;
use mattebox_store::pending::{create_folder, folder_of, remove_stale};
use mattebox_store::{OnExisting, PendingFile, StoreError, UnfinishedFile, recordings};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::thread::{self, JoinHandle};
use std::time::Duration;
use tracing::{debug, info, warn};

/// A recording in one or more files.
#[derive(Debug)]
pub(super) struct RecordingSink {
    place: Arc<RecordingPlan>,
    /// The file that is written now.
    part: Option<RecordingFile>,
    /// The thread that finishes the file before.
    before: Option<JoinHandle<Result<(), SinkError>>>,
    shape: Option<PictureShape>,
    /// Pictures taken.
    frames: u64,
    /// The time of the first picture.
    first: Option<Timestamp>,
    /// Segments that are over.
    segments: u32,
}

/// The data that all files of a recording share.
#[derive(Debug)]
struct RecordingPlan {
    /// The path from the user.
    path: PathBuf,
    format: VideoFormat,
    ffmpeg: Ffmpeg,
    options: SinkOptions,
    /// The encoder, which is chosen only before the first file.
    choice: Arc<EncoderChoice>,
}

/// One file.
#[derive(Debug)]
struct RecordingFile {
    // Dropped in this order: the encoder ends before the file is unlocked.
    video: VideoSink,
    file: UnfinishedFile,
    on_existing: OnExisting,
}

impl RecordingSink {
    pub(super) fn open(path: &Path, options: &SinkOptions) -> Result<Self, SinkError> {
        let format = VideoSink::format_of(path, options)?;
        let existing = match options.segment {
            Some(_) => recordings::existing(path),
            None => path.symlink_metadata().ok().map(|_| path.to_owned()),
        };
        if let Some(existing) = existing.filter(|_| options.on_existing != OnExisting::Overwrite) {
            return Err(StoreError::Exists(existing).into());
        }
        let ffmpeg = Ffmpeg::find(&options.ffmpeg)?;
        let folder = folder_of(path);
        create_folder(folder)?;
        remove_stale(folder);
        let place = RecordingPlan {
            path: path.to_owned(),
            format,
            ffmpeg,
            options: options.clone(),
            choice: Arc::new(EncoderChoice::new(&options.coding)),
        };
        let part = match options.segment {
            Some(_) => place.numbered_file(0)?,
            None => place.part(path, options.on_existing)?,
        };
        Ok(RecordingSink {
            place: Arc::new(place),
            part: Some(part),
            before: None,
            shape: None,
            frames: 0,
            first: None,
            segments: 0,
        })
    }

    /// Whether a segment is over at the time of the next picture.
    fn is_segment_over(&mut self, time: Timestamp) -> bool {
        let Some(segment) = self
            .place
            .options
            .segment
            .filter(|segment| !segment.is_zero())
        else {
            return false;
        };
        let first = *self.first.get_or_insert(time);
        // A microsecond: frames at 29.97 per second have no exact time.
        let elapsed = time.micros_since(first).unsigned_abs().saturating_add(1);
        let elapsed = Duration::from_micros(elapsed);
        let segments = elapsed.as_nanos() / segment.as_nanos();
        let segments = u32::try_from(segments).unwrap_or(u32::MAX);
        let is_over = segments > self.segments;
        self.segments = segments;
        is_over
    }

    /// The file for a picture: the current one, or a new one. With a new file the picture's sound
    /// goes to the end of the old one.
    fn file_for(
        &mut self,
        picture_in: &mut SinkPicture<'_>,
    ) -> Result<&mut RecordingFile, SinkError> {
        let shape = PictureShape::of(picture_in.picture);
        let is_over = self.is_segment_over(picture_in.time);
        let has_changed = self.shape.is_some_and(|before| before != shape);
        if has_changed && self.place.options.still {
            shape.check(&mut self.shape, &self.place.name(), self.frames)?;
        }
        if has_changed {
            info!(
                sink = self.place.name(),
                "the pictures are {shape} now: a new file begins"
            );
        }
        self.shape = Some(shape);
        let part = match self.part.take() {
            Some(part) if (is_over || has_changed) && part.video.frames() > 0 => {
                self.finish_in_background(part, std::mem::take(&mut picture_in.beside.sound))?;
                self.place.numbered_file(self.first_number())?
            }
            Some(part) => part,
            None => return Err(self.failed_before()),
        };
        Ok(self.part.insert(part))
    }

    /// The number of the first numbered file.
    fn first_number(&self) -> u64 {
        match self.place.options.segment {
            Some(_) => 0,
            None => 1,
        }
    }

    fn failed_before(&self) -> SinkError {
        SinkError::Failed {
            name: self.place.name(),
            frames: self.frames,
            problem: "it has failed before".to_owned(),
        }
    }

    /// Finishes a file while the next one is written, after it has waited for the file before.
    fn finish_in_background(
        &mut self,
        part: RecordingFile,
        rest: Vec<SoundPacket>,
    ) -> Result<(), SinkError> {
        self.wait_for_the_file_before()?;
        let place = self.place.clone();
        let finish = move || place.finish(part, rest);
        let spawned = thread::Builder::new()
            .name("finish video".into())
            .spawn(finish);
        self.before = Some(spawned.map_err(|error| SinkError::Failed {
            name: self.place.name(),
            frames: self.frames,
            problem: format!("cannot start a thread: {error}"),
        })?);
        Ok(())
    }

    fn wait_for_the_file_before(&mut self) -> Result<(), SinkError> {
        let Some(before) = self.before.take() else {
            return Ok(());
        };
        before.join().unwrap_or_else(|_| Err(self.failed_before()))
    }

    /// The error of the file before, as soon as there is one.
    fn check_the_file_before(&mut self) -> Result<(), SinkError> {
        match self.before.as_ref().is_some_and(JoinHandle::is_finished) {
            true => self.wait_for_the_file_before(),
            false => Ok(()),
        }
    }
}

impl RecordingPlan {
    fn name(&self) -> String {
        self.path.display().to_string()
    }

    fn numbered_file(&self, first: u64) -> Result<RecordingFile, SinkError> {
        self.part(&recordings::next(&self.path, first), OnExisting::Fail)
    }

    fn part(&self, target: &Path, on_existing: OnExisting) -> Result<RecordingFile, SinkError> {
        let file = UnfinishedFile::create(target)?;
        for left in file.left() {
            warn!(
                "{} is of a recording that ended early: it is kept",
                left.display()
            );
        }
        let name = target.display().to_string();
        let ffmpeg = self.ffmpeg.clone();
        let choice = self.choice.clone();
        Ok(RecordingFile {
            video: VideoSink::to_file(
                file.path(),
                name,
                self.format,
                ffmpeg,
                &self.options,
                choice,
            ),
            file,
            on_existing,
        })
    }

    /// Completes a file and gives it its final name. A file that cannot be completed is kept under
    /// its unfinished name.
    fn finish(&self, part: RecordingFile, rest: Vec<SoundPacket>) -> Result<(), SinkError> {
        let RecordingFile {
            video,
            file,
            on_existing,
        } = part;
        if video.frames() == 0 {
            file.discard();
            return Box::new(video).finish(vec![]);
        }
        let finished = Box::new(video).finish(rest);
        let has_copy = finished.and_then(|()| match self.format.has_index() {
            true => self.commit_copy(&file, on_existing),
            false => Ok(false),
        });
        let committed = has_copy.and_then(|has_copy| match has_copy {
            true => Ok(true),
            false => {
                file.commit(on_existing, self.options.durable)?;
                Ok(false)
            }
        });
        match committed {
            Ok(true) => file.discard(),
            Ok(false) => {}
            Err(error) => return Err(ended_early(file, error)),
        }
        Ok(())
    }

    /// Gives the final name to a copy with the index at its beginning. False if there is no such
    /// copy: the file itself is good too.
    fn commit_copy(
        &self,
        file: &UnfinishedFile,
        on_existing: OnExisting,
    ) -> Result<bool, SinkError> {
        let Ok(copy) = PendingFile::create(file.target()) else {
            return Ok(false);
        };
        let abort = &self.options.abort;
        let from = file.path();
        if !index::copy_with_index_first(&self.ffmpeg, self.format, from, copy.path(), abort) {
            debug!(
                sink = self.name(),
                "the file stays fragmented: there was no space or no time for a copy"
            );
            return Ok(false);
        }
        let on_existing = match on_existing {
            OnExisting::Overwrite => OnExisting::Overwrite,
            OnExisting::Skip | OnExisting::Fail => OnExisting::Fail,
        };
        copy.commit(on_existing, self.options.durable)?;
        Ok(true)
    }
}

/// After an error: keeps the file if it can be played, and names it in the error.
fn ended_early(file: UnfinishedFile, error: SinkError) -> SinkError {
    let is_empty = file.path().metadata().is_ok_and(|there| there.len() == 0);
    // A name that was taken meanwhile is a user's mistake too, but it must not cost the recording.
    let is_refused = error.is_usage() && !matches!(error, SinkError::Store(_));
    if is_empty || is_refused {
        file.discard();
        return error;
    }
    SinkError::Kept {
        error: Box::new(error),
        path: file.path().to_owned(),
    }
}

impl RecordingFile {
    fn end_early(self, error: SinkError) -> SinkError {
        let RecordingFile {
            mut video, file, ..
        } = self;
        video.cut_short();
        if video.frames() == 0 {
            file.discard();
            return error;
        }
        ended_early(file, error)
    }
}

impl OrderedSink for RecordingSink {
    fn write(&mut self, mut picture_in: SinkPicture<'_>) -> Result<(), SinkError> {
        self.check_the_file_before()?;
        let part = self.file_for(&mut picture_in)?;
        if let Err(error) = part.video.write(picture_in) {
            return Err(match self.part.take() {
                Some(part) => part.end_early(error),
                None => error,
            });
        }
        if let (0, Some(first), Some(_)) = (self.frames, &self.part, self.place.options.segment) {
            recordings::note(&self.place.path, first.file.target())?;
        }
        self.frames += 1;
        Ok(())
    }

    fn finish(mut self: Box<Self>, rest: Vec<SoundPacket>) -> Result<(), SinkError> {
        let Some(part) = self.part.take() else {
            return Err(self.failed_before());
        };
        let last = self.place.finish(part, rest);
        self.wait_for_the_file_before().and(last)
    }
}

impl Drop for RecordingSink {
    fn drop(&mut self) {
        let before = self.wait_for_the_file_before();
        let part = self.part.take();
        let last = part.map(|part| part.end_early(SinkError::Stopped));
        for error in before.err().into_iter().chain(last) {
            if let SinkError::Kept { path, .. } = error {
                warn!(
                    "{} is not finished: it holds the recording so far",
                    path.display()
                );
            }
        }
    }
}
