//! Which frame a free thread works on next: bounded queues, one per camera, served in turn.
//!
//! With the soft matte a camera's frames are segmented one after the other, because each needs the state that the one before
//! left. That state is the token: a thread takes it along with the frame and gives it back as soon as the frame is segmented,
//! and goes on with refining, compositing and encoding while another thread segments the next frame.
use crate::{live::Treatment, trace::Span};
use image::RgbImage;
use mattebox_core::{
    compose::Background,
    frame::{FrameNumber, Timestamp},
    matte::MatteState,
};
use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

/// A frame that waits for a thread.
pub(crate) struct Waiting {
    pub(crate) number: FrameNumber,
    pub(crate) time: Timestamp,
    /// When it had come out of its source.
    pub(crate) read: Instant,
    pub(crate) picture: RgbImage,
    pub(crate) background: Background,
    pub(crate) treatment: Treatment,
    /// Its way, for whoever collects such things.
    pub(crate) span: Span,
    /// It needs what the frame before it left behind.
    pub(crate) chained: bool,
}

/// A frame that a thread works on.
pub(crate) struct Task {
    /// Index of its camera.
    pub(crate) lane: usize,
    /// Its place in the camera's output, without gaps.
    pub(crate) sequence: u64,
    pub(crate) frame: Waiting,
    /// The camera's matte state, where it has one. To be given back with [`Scheduler::release`].
    pub(crate) state: Option<Box<MatteState>>,
}

/// How one camera's frames are queued.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LaneSettings {
    /// Frames that may wait.
    pub(crate) waiting: usize,
    /// Frames that may be worked on or wait for their turn at an ordered sink.
    pub(crate) working: usize,
    /// The oldest waiting frame is dropped when another comes; else the reader waits.
    pub(crate) live: bool,
}

/// What became of a pushed frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Pushed {
    /// It waits.
    Queued,
    /// It waits in the place of an older one.
    Replaced,
    /// The camera takes no more frames.
    Refused,
}

enum Chain {
    Free(Box<MatteState>),
    Taken,
}

struct Lane {
    settings: LaneSettings,
    waiting: VecDeque<Waiting>,
    chain: Chain,
    working: usize,
    sequence: u64,
    ended: bool,
    closed: bool,
}

impl Lane {
    /// Whether its first frame can be worked on now.
    fn is_ready(&self) -> bool {
        let is_free = matches!(self.chain, Chain::Free(_));
        let is_next = self
            .waiting
            .front()
            .is_some_and(|first| is_free || !first.chained);
        is_next && self.working < self.settings.working
    }
}

struct State {
    lanes: Vec<Lane>,
    /// Whose turn it is.
    turn: usize,
}

/// The queues of all cameras. Shared by readers, workers and writers.
pub(crate) struct Scheduler {
    state: Mutex<State>,
    /// A frame may be there for a worker, or the end.
    work: Condvar,
    /// There may be space for a reader.
    space: Condvar,
}

impl Scheduler {
    pub(crate) fn new(lanes: impl IntoIterator<Item = LaneSettings>) -> Self {
        let lane = |settings: LaneSettings| Lane {
            settings,
            waiting: VecDeque::with_capacity(settings.waiting),
            chain: Chain::Free(Box::default()),
            working: 0,
            sequence: 0,
            ended: false,
            closed: false,
        };
        let state = State {
            lanes: lanes.into_iter().map(lane).collect(),
            turn: 0,
        };
        Scheduler {
            state: Mutex::new(state),
            work: Condvar::new(),
            space: Condvar::new(),
        }
    }

    /// A panic elsewhere leaves the queues as they were between two operations: they stay usable.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Sets how a camera is queued, once its source is known and before its first frame.
    pub(crate) fn configure(&self, lane: usize, settings: LaneSettings) {
        self.lock().lanes[lane].settings = settings;
    }

    /// Adds a frame; waits for space unless the camera is live.
    pub(crate) fn push(&self, lane: usize, frame: Waiting) -> Pushed {
        let mut state = self.lock();
        loop {
            let l = &mut state.lanes[lane];
            if l.closed {
                return Pushed::Refused;
            }
            let full = l.waiting.len() >= l.settings.waiting;
            if !full || l.settings.live {
                if full && let Some(dropped) = l.waiting.pop_front() {
                    dropped.span.became("dropped");
                }
                l.waiting.push_back(frame);
                self.work.notify_one();
                return if full {
                    Pushed::Replaced
                } else {
                    Pushed::Queued
                };
            }
            state = self
                .space
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// No more frames will be pushed for this camera.
    pub(crate) fn end(&self, lane: usize) {
        self.lock().lanes[lane].ended = true;
        self.work.notify_all();
    }

    /// Takes no more frames for this camera; returns how many were waiting.
    pub(crate) fn close(&self, lane: usize) -> u64 {
        let mut state = self.lock();
        let l = &mut state.lanes[lane];
        l.closed = true;
        let dropped = l.waiting.len() as u64;
        l.waiting.clear();
        self.work.notify_all();
        self.space.notify_all();
        dropped
    }

    /// The next frame, cameras in turn; waits for one. `None`: there will be no more.
    pub(crate) fn take(&self) -> Option<Task> {
        let mut state = self.lock();
        loop {
            let n = state.lanes.len();
            let turn = state.turn;
            for lane in (0..n).map(|i| (turn + i) % n) {
                let l = &mut state.lanes[lane];
                if !l.is_ready() {
                    continue;
                }
                let Some(frame) = l.waiting.pop_front() else {
                    continue;
                };
                let held = match frame.chained {
                    false => None,
                    true => match std::mem::replace(&mut l.chain, Chain::Taken) {
                        Chain::Free(s) => Some(s),
                        Chain::Taken => None,
                    },
                };
                l.working += 1;
                let sequence = l.sequence;
                l.sequence += 1;
                state.turn = (lane + 1) % n;
                self.space.notify_all();
                // Whoever woke us knew of one frame; another may have become ready with it.
                if state.lanes.iter().any(Lane::is_ready) {
                    self.work.notify_one();
                }
                return Some(Task {
                    lane,
                    sequence,
                    frame,
                    state: held,
                });
            }
            if state
                .lanes
                .iter()
                .all(|l| l.waiting.is_empty() && (l.ended || l.closed))
            {
                // The end is announced while frames may still wait; after the last of them one thread is woken, which wakes the next.
                self.work.notify_one();
                return None;
            }
            state = self
                .work
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Gives a camera's matte state back: its next frame may be segmented.
    pub(crate) fn release(&self, lane: usize, matte: Box<MatteState>) {
        self.lock().lanes[lane].chain = Chain::Free(matte);
        self.work.notify_one();
    }

    /// A frame has left the pipeline.
    pub(crate) fn done(&self, lane: usize) {
        self.lock().lanes[lane].working -= 1;
        self.work.notify_one();
    }

    /// Whether a thread has taken a camera's last frame.
    pub(crate) fn is_processed(&self, lane: usize) -> bool {
        let l = &self.lock().lanes[lane];
        l.waiting.is_empty() && (l.ended || l.closed)
    }

    /// Whether a camera's last frame has left the pipeline.
    pub(crate) fn is_finished(&self, lane: usize) -> bool {
        let l = &self.lock().lanes[lane];
        l.waiting.is_empty() && l.working == 0 && (l.ended || l.closed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mattebox_core::matte::MatteMode;
    use std::time::Duration;

    fn frame(number: u64) -> Waiting {
        chained(number, false)
    }
    fn chained(number: u64, chained: bool) -> Waiting {
        Waiting {
            number: FrameNumber(number),
            time: Timestamp(0),
            read: Instant::now(),
            picture: RgbImage::new(1, 1),
            background: Background::Color([0; 3]),
            treatment: Treatment {
                matte: MatteMode::Soft,
                foreground_cleanup: true,
                skip_still: false,
            },
            span: Span::default(),
            chained,
        }
    }
    fn lane(waiting: usize, live: bool) -> LaneSettings {
        LaneSettings {
            waiting,
            working: 4,
            live,
        }
    }

    #[test]
    fn cameras_take_turns() {
        let s = Scheduler::new([lane(4, false); 2]);
        for n in 0..3 {
            s.push(0, frame(n));
        }
        s.push(1, frame(0));
        let order: Vec<_> = (0..4).map(|_| s.take().unwrap().lane).collect();
        assert_eq!(order, [0, 1, 0, 0]);
    }

    #[test]
    fn a_live_camera_keeps_the_newest_frames() {
        let s = Scheduler::new([lane(2, true)]);
        let pushed: Vec<_> = (0..4).map(|n| s.push(0, frame(n))).collect();
        assert_eq!(
            pushed,
            [
                Pushed::Queued,
                Pushed::Queued,
                Pushed::Replaced,
                Pushed::Replaced
            ]
        );
        assert_eq!(s.take().unwrap().frame.number, FrameNumber(2));
        assert_eq!(s.take().unwrap().frame.number, FrameNumber(3));
    }

    #[test]
    fn a_chained_camera_has_one_frame_in_segmentation() {
        let s = Scheduler::new([lane(4, false)]);
        s.push(0, chained(0, true));
        s.push(0, chained(1, true));
        s.end(0);
        let first = s.take().unwrap();
        let second = std::thread::scope(|scope| {
            let waiting = scope.spawn(|| s.take().unwrap());
            std::thread::sleep(Duration::from_millis(20));
            assert!(
                !waiting.is_finished(),
                "the second frame must wait for the state of the first"
            );
            s.release(0, first.state.unwrap());
            waiting.join().unwrap()
        });
        assert_eq!((second.frame.number, second.sequence), (FrameNumber(1), 1));
        s.release(0, second.state.unwrap());
        assert!(s.take().is_none());
    }

    #[test]
    fn a_full_queue_holds_its_reader_until_a_frame_is_taken_or_the_lane_is_closed() {
        let s = Scheduler::new([lane(1, false)]);
        s.push(0, frame(0));
        std::thread::scope(|scope| {
            let reader = scope.spawn(|| (s.push(0, frame(1)), s.push(0, frame(2))));
            std::thread::sleep(Duration::from_millis(20));
            assert!(!reader.is_finished());
            assert_eq!(s.take().unwrap().frame.number, FrameNumber(0));
            while s.close(0) == 0 && !reader.is_finished() {
                std::thread::yield_now();
            }
            assert_eq!(reader.join().unwrap().1, Pushed::Refused);
        });
        assert!(s.take().is_none());
    }
}
