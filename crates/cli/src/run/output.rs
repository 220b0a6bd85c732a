//! Where one camera's finished frames go.
//!
//! Files are written by whichever thread finished the frame: a folder has no order. A video or a stream has one, so there
//! frames go to a writer thread that holds back what came early. What can come early is bounded by the scheduler.
use super::{Shared, stats::Failure};
use crossbeam_channel::{Receiver, Sender};
use mattebox_core::{compose::Composed, frame::FrameNumber};
use mattebox_engine::{stages::Stage, trace::Span, watch::count};
use mattebox_media::sink::{self, SinkError, SinkOptions, SinkSpec};
use mattebox_store::FrameDir;
use std::{collections::BTreeMap, time::Instant};

/// One camera's output, as the workers see it.
pub(crate) enum Output {
    /// A folder of picture files.
    Files(FrameDir),
    /// Nowhere: only who looks at the live page sees them.
    Nothing,
    /// A writer thread.
    Ordered {
        /// Frames, and the end.
        to: Sender<Message>,
        /// Pictures that the writer is done with, to be filled again.
        spare: Receiver<Composed>,
    },
}

/// What a writer is told.
pub(crate) enum Message {
    /// A frame by its sequence; `None` where it failed, so that the writer does not wait for it.
    Frame(u64, Option<Finished>),
    /// There will be no more.
    End,
}

/// A frame that waits for its turn at a writer.
pub(crate) struct Finished {
    pub(crate) number: FrameNumber,
    /// When it had come out of its source.
    pub(crate) read: Instant,
    pub(crate) picture: Composed,
    /// Its trace.
    pub(crate) span: Span,
}

/// The other end of [`Output::Ordered`].
pub(crate) struct Writer {
    pub(crate) lane: usize,
    pub(crate) spec: SinkSpec,
    pub(crate) options: SinkOptions,
    pub(crate) from: Receiver<Message>,
    pub(crate) spare: Sender<Composed>,
}

/// What a writer writes to.
enum Sink {
    /// Opened with the first frame.
    Awaited,
    Open(Box<dyn sink::OrderedSink>),
    /// Its reader has seen enough.
    Closed,
}

impl Writer {
    /// Writes frames in their order until the camera's last one is written, then completes the output.
    pub(crate) fn run(self, shared: &Shared<'_>) {
        let mut early = BTreeMap::new();
        let mut next = 0;
        let mut sink = Sink::Awaited;
        let id = shared.lanes[self.lane].queue;
        while let Ok(Message::Frame(sequence, frame)) = self.from.recv() {
            early.insert(sequence, frame);
            while let Some(frame) = early.remove(&next) {
                next += 1;
                if let Some(frame) = frame {
                    self.write(shared, &mut sink, frame);
                }
                shared.queues.done(id);
            }
        }
        // An aborted or failed run leaves nothing under the final name.
        if let Sink::Open(sink) = sink
            && !shared.abort.is_stopped()
            && shared.lanes[self.lane]
                .stats
                .failure()
                .is_none_or(|f| f.keep_output)
            && let Err(e) = shared.clock.time(Stage::Write, || sink.finish())
            && !e.is_closed()
        {
            self.fail(shared, &e);
        }
    }

    fn write(&self, shared: &Shared<'_>, sink: &mut Sink, frame: Finished) {
        let stats = &shared.lanes[self.lane].stats;
        let is_closed = matches!(sink, Sink::Closed);
        let has_failed = stats.failure().is_some_and(|f| !f.keep_output);
        if is_closed || has_failed || shared.abort.is_stopped() {
            count(&stats.dropped_stopped);
            return;
        }
        let written = shared.clock.trace(&frame.span, Stage::Write, || {
            if let Sink::Awaited = sink {
                // Unless asked otherwise, the output has the pace of the source, which is known by now.
                let info = shared.lanes[self.lane]
                    .info
                    .get()
                    .copied()
                    .unwrap_or_default();
                let fps = self.options.fps.or(info.fps);
                let options = SinkOptions {
                    fps,
                    live: self.options.live || info.live,
                    still: info.still,
                    ..self.options.clone()
                };
                *sink = Sink::Open(sink::open_ordered(&self.spec, &options)?);
            }
            match sink {
                Sink::Open(sink) => sink.write(&frame.picture),
                Sink::Awaited | Sink::Closed => Ok(()),
            }
        });
        match written {
            Ok(()) => {
                count(&stats.written);
                frame.span.became("written");
                stats.arrived(frame.number, frame.read);
                // A full pool of spares only means that this one is not needed again.
                let _ = self.spare.try_send(frame.picture);
            }
            Err(e) if e.is_closed() => {
                // The reader of standard output has seen enough: an end, not a failure.
                *sink = Sink::Closed;
                count(&stats.dropped_stopped);
                shared.drop_waiting(self.lane);
            }
            Err(_) if shared.abort.is_stopped() => count(&stats.dropped_stopped),
            Err(e) => {
                count(&stats.failed);
                frame.span.fail(e.to_string());
                self.fail(shared, &e);
            }
        }
    }

    fn fail(&self, shared: &Shared<'_>, error: &SinkError) {
        let exit_code = match error {
            e if e.is_usage() => 2,
            e if e.is_unreachable() => 3,
            _ => 1,
        };
        shared.fail(
            self.lane,
            Failure {
                message: error.to_string(),
                exit_code,
                keep_output: false,
            },
        );
    }
}
