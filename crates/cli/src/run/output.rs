//! The output of one camera's finished frames.
//!
//! The thread that finished a frame writes its file: a folder has no order. A video or a stream has
//! one, so its frames go to a writer thread that holds early frames back. The scheduler bounds
//! their number.
use super::{RunContext, stats::RunFailure};
use crossbeam_channel::{Receiver, Sender};
use mattebox_core::{compose::Composed, frame::Timestamp};
use mattebox_engine::{
    CameraFailure,
    events::{Event, FrameDropped, FrameFailed, FrameWritten},
    metrics::{DropReason, FrameCounters},
    stages::Stage,
    trace::Span,
};
use mattebox_media::{
    beside::{PictureExtras, SoundPacket},
    sink::{self, OrderedSink, SinkError, SinkOptions, SinkPicture, SinkSpec},
};
use mattebox_store::FrameDir;
use std::{
    collections::{BTreeMap, VecDeque},
    time::Instant,
};

/// One camera's output, as the workers see it.
pub(crate) enum CameraOutput {
    /// A folder of picture files.
    Files(FrameDir),
    /// Nowhere: only the live page shows them.
    Nothing,
    /// A writer thread.
    Ordered {
        /// Frames, and the end of them.
        to: Sender<WriterMessage>,
        /// Used pictures of the writer, to be filled again.
        spare: Receiver<Composed>,
        /// Sound, which is not processed.
        sound: Sender<SoundPacket>,
    },
}

/// A message to a writer.
pub(crate) enum WriterMessage {
    /// A frame and its number in the sequence; `None` if it failed, so that the writer does not
    /// wait for it.
    Frame(u64, Option<FinishedFrame>),
    /// There are no more frames.
    End,
}

/// A frame that waits for its turn at a writer.
pub(crate) struct FinishedFrame {
    /// Its time in the video.
    pub(crate) time: Timestamp,
    /// When its source gave it.
    pub(crate) read: Instant,
    pub(crate) picture: Composed,
    /// Its trace.
    pub(crate) span: Span,
}

/// The other end of [`Output::Ordered`].
pub(crate) struct OrderedWriter {
    pub(crate) index: usize,
    pub(crate) spec: SinkSpec,
    pub(crate) options: SinkOptions,
    pub(crate) from: Receiver<WriterMessage>,
    pub(crate) spare: Sender<Composed>,
    pub(crate) sound: Receiver<SoundPacket>,
}

/// The state of a writer.
#[derive(Default)]
struct Writing {
    sink: WriterSink,
    /// Sound that waits for its pictures.
    sound: VecDeque<SoundPacket>,
}

/// The output of a writer.
#[derive(Default)]
enum WriterSink {
    /// Opened with the first frame.
    #[default]
    Awaited,
    Open(Box<dyn OrderedSink>),
    /// Its reader has closed it.
    Closed,
}

impl OrderedWriter {
    /// Writes frames in their order until the camera's last one is written, then completes the
    /// output.
    pub(crate) fn run(self, shared: &RunContext<'_>) {
        let mut early = BTreeMap::new();
        let mut next = 0;
        let mut writing = Writing::default();
        let id = shared.cameras[self.index].queue;
        while let Ok(WriterMessage::Frame(sequence, frame)) = self.from.recv() {
            early.insert(sequence, frame);
            while let Some(frame) = early.remove(&next) {
                next += 1;
                if let Some(frame) = frame {
                    self.write(shared, &mut writing, frame);
                }
                shared.queues.done(id);
            }
        }
        // An aborted or failed run leaves nothing under the final name.
        writing.sound.extend(self.sound.try_iter());
        if let WriterSink::Open(sink) = writing.sink
            && !shared.abort.is_stopped()
            && shared.cameras[self.index]
                .stats
                .failure()
                .is_none_or(|f| f.keep_output)
            && let Err(e) = shared
                .clock
                .time(Stage::Write, || sink.finish(writing.sound.into()))
            && !e.is_closed()
        {
            self.fail(shared, &e);
        }
    }

    fn write(&self, shared: &RunContext<'_>, writing: &mut Writing, frame: FinishedFrame) {
        writing.sound.extend(self.sound.try_iter());
        let stats = &shared.cameras[self.index].stats;
        let is_closed = matches!(writing.sink, WriterSink::Closed);
        let has_failed = stats.failure().is_some_and(|f| !f.keep_output);
        if is_closed || has_failed || shared.abort.is_stopped() {
            return dropped(&stats.frames, &frame.span).emit();
        }
        // The sound before the picture.
        let due = writing
            .sound
            .iter()
            .take_while(|packet| packet.time <= frame.time)
            .count();
        let sound = writing.sound.drain(..due).collect();
        let sink = &mut writing.sink;
        let written = shared.clock.trace(&frame.span, Stage::Write, || {
            if let WriterSink::Awaited = sink {
                // By default the output has the frame rate of the source, which is known by now.
                let info = shared.cameras[self.index]
                    .info
                    .get()
                    .copied()
                    .unwrap_or_default();
                let fps = self.options.fps.or(info.fps);
                let options = SinkOptions {
                    fps,
                    still: info.still,
                    ..self.options.clone()
                };
                *sink = WriterSink::Open(sink::open_ordered(&self.spec, &options)?);
            }
            let extras = shared.cameras[self.index].extras.get();
            let beside = PictureExtras {
                sound,
                ..extras.cloned().unwrap_or_default()
            };
            let picture = SinkPicture {
                picture: &frame.picture,
                time: frame.time,
                beside,
            };
            match sink {
                WriterSink::Open(sink) => sink.write(picture),
                WriterSink::Awaited | WriterSink::Closed => Ok(()),
            }
        });
        match written {
            Ok(()) => {
                stats.note_time(frame.time);
                FrameWritten {
                    frames: &stats.frames,
                    span: &frame.span,
                    bytes: 0,
                    latency: Some(frame.read.elapsed()),
                }
                .emit();
                // If the pool of used pictures is full, this one is not needed.
                let _ = self.spare.try_send(frame.picture);
            }
            Err(e) if e.is_closed() => {
                // The reader of standard output has closed it: an end, not a failure.
                *sink = WriterSink::Closed;
                dropped(&stats.frames, &frame.span).emit();
                shared.drop_waiting(self.index);
            }
            Err(_) if shared.abort.is_stopped() => dropped(&stats.frames, &frame.span).emit(),
            Err(e) => {
                FrameFailed {
                    frames: &stats.frames,
                    frame: None,
                    span: Some(&frame.span),
                    problem: &e,
                    needs_action: false,
                }
                .emit();
                self.fail(shared, &e);
            }
        }
    }

    fn fail(&self, shared: &RunContext<'_>, error: &SinkError) {
        shared.fail(
            self.index,
            RunFailure {
                camera: CameraFailure {
                    message: error.to_string(),
                    domain: error.domain(),
                },
                keep_output: false,
            },
        );
    }
}

/// A frame is dropped because the run was stopped or its output has ended.
fn dropped<'a>(frames: &'a FrameCounters, span: &'a Span) -> FrameDropped<'a> {
    FrameDropped {
        frames,
        span,
        reason: DropReason::Stopped,
    }
}
