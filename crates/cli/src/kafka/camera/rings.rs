//! The frames that wait to be published: a ring for each camera. A full ring loses its oldest frame, never its newest, and whoever fills it
//! does not wait for the broker.
use crate::trace::Span;
use mattebox_core::frame::Timestamp;
use std::{
    collections::VecDeque,
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// A frame as it will be published, without its number.
#[derive(Debug)]
pub(super) struct Encoded {
    pub(super) jpeg: Vec<u8>,
    pub(super) width: u32,
    pub(super) height: u32,
    /// When it was taken.
    pub(super) time: Timestamp,
    /// The same by the clock that is never set: its latency begins here.
    pub(super) taken: Instant,
    /// Its bytes are those of the source.
    pub(super) as_it_was: bool,
    /// Its way, for whoever collects such things.
    pub(super) span: Span,
}

/// The rings of all cameras, between their threads, the publisher and the broker's answers.
#[derive(Debug)]
pub(super) struct Rings {
    state: Mutex<State>,
    /// The publisher has something to do.
    work: Condvar,
    /// A ring has space.
    space: Condvar,
    /// Frames that a ring holds.
    capacity: usize,
    /// Frames of one camera that the client has at a time. What it has cannot be replaced by newer frames any more.
    most_on_their_way: usize,
}

#[derive(Debug)]
struct State {
    rings: Vec<Ring>,
    /// The camera that is asked first for the next frame.
    turn: usize,
    aborted: bool,
}

#[derive(Debug)]
struct Ring {
    waiting: VecDeque<Encoded>,
    on_their_way: usize,
    /// Its camera still gives frames.
    open: bool,
}

impl Rings {
    pub(super) fn new(cameras: usize, capacity: usize, most_on_their_way: usize) -> Self {
        let ring = || Ring {
            waiting: VecDeque::new(),
            on_their_way: 0,
            open: true,
        };
        let state = State {
            rings: (0..cameras).map(|_| ring()).collect(),
            turn: 0,
            aborted: false,
        };
        Rings {
            state: Mutex::new(state),
            work: Condvar::new(),
            space: Condvar::new(),
            capacity,
            most_on_their_way,
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Puts a frame in. True if the oldest had to go for it.
    pub(super) fn push(&self, camera: usize, frame: Encoded) -> bool {
        let mut state = self.state();
        let ring = &mut state.rings[camera];
        let full = ring.waiting.len() >= self.capacity;
        if full && let Some(dropped) = ring.waiting.pop_front() {
            dropped.span.became("dropped");
        }
        ring.waiting.push_back(frame);
        if ring.on_their_way < self.most_on_their_way {
            self.work.notify_one();
        }
        full
    }

    /// Puts a frame in as soon as there is space. False if `stopped` says so or everything is aborted: the frame is gone.
    pub(super) fn push_patiently(
        &self,
        camera: usize,
        frame: Encoded,
        stopped: impl Fn() -> bool,
    ) -> bool {
        let mut state = self.state();
        loop {
            if state.aborted || stopped() {
                return false;
            }
            if state.rings[camera].waiting.len() < self.capacity {
                break;
            }
            let glance = Duration::from_millis(100);
            state = self
                .space
                .wait_timeout(state, glance)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        state.rings[camera].waiting.push_back(frame);
        self.work.notify_one();
        true
    }

    /// The next frame to publish, in turn over the cameras. `None` when every camera is closed and everything has arrived, or at an abort.
    pub(super) fn take(&self) -> Option<(usize, Encoded)> {
        let mut state = self.state();
        loop {
            if state.aborted
                || state
                    .rings
                    .iter()
                    .all(|r| !r.open && r.waiting.is_empty() && r.on_their_way == 0)
            {
                return None;
            }
            let cameras = state.rings.len();
            let ready = |ring: &Ring| {
                !ring.waiting.is_empty() && ring.on_their_way < self.most_on_their_way
            };
            let next = (0..cameras)
                .map(|i| (state.turn + i) % cameras)
                .find(|&camera| ready(&state.rings[camera]));
            if let Some(camera) = next
                && let Some(frame) = state.rings[camera].waiting.pop_front()
            {
                state.rings[camera].on_their_way += 1;
                state.turn = camera + 1;
                self.space.notify_all();
                return Some((camera, frame));
            }
            state = self
                .work
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Waits for a moment, or until something arrives. True at an abort.
    pub(super) fn pause(&self) -> bool {
        let state = self.state();
        let moment = Duration::from_millis(50);
        self.work
            .wait_timeout(state, moment)
            .unwrap_or_else(PoisonError::into_inner)
            .0
            .aborted
    }

    /// A frame of a camera is no longer on its way.
    pub(super) fn arrived(&self, camera: usize) {
        let mut state = self.state();
        let ring = &mut state.rings[camera];
        ring.on_their_way = ring.on_their_way.saturating_sub(1);
        if !ring.waiting.is_empty() || !ring.open {
            self.work.notify_one();
        }
    }

    /// A camera gives no more frames.
    pub(super) fn close(&self, camera: usize) {
        self.state().rings[camera].open = false;
        self.work.notify_all();
    }

    /// Nothing more is published. Returns how many waiting frames each camera loses by it.
    pub(super) fn abort(&self) -> Vec<usize> {
        let mut state = self.state();
        state.aborted = true;
        self.work.notify_all();
        self.space.notify_all();
        state
            .rings
            .iter_mut()
            .map(|ring| std::mem::take(&mut ring.waiting).len())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::{sync::Arc, thread};

    fn frame(number: i64) -> Encoded {
        Encoded {
            jpeg: vec![],
            width: 1,
            height: 1,
            time: Timestamp(number),
            taken: Instant::now(),
            as_it_was: false,
            span: Span::default(),
        }
    }

    fn take(rings: &Rings) -> (usize, i64) {
        let (camera, frame) = rings.take().unwrap();
        (camera, frame.time.0)
    }

    #[test]
    fn the_newest_frames_stay() {
        let rings = Rings::new(1, 3, 8);
        let dropped = (0..10).filter(|&i| rings.push(0, frame(i))).count();
        assert_eq!(dropped, 7);
        assert_eq!(
            [take(&rings), take(&rings), take(&rings)],
            [(0, 7), (0, 8), (0, 9)]
        );
    }

    #[test]
    fn cameras_take_turns_and_none_has_more_than_its_share_on_the_way() {
        let rings = Rings::new(2, 10, 2);
        for i in 0..4 {
            let _ = rings.push(0, frame(i));
        }
        rings.push(1, frame(10));
        assert_eq!(
            [take(&rings), take(&rings), take(&rings)],
            [(0, 0), (1, 10), (0, 1)]
        );
        rings.arrived(0);
        assert_eq!(take(&rings), (0, 2));
    }

    #[test]
    fn it_ends_when_all_is_closed_and_has_arrived() {
        let rings = Arc::new(Rings::new(1, 2, 8));
        rings.push(0, frame(1));
        rings.close(0);
        assert_eq!(take(&rings), (0, 1));
        let ended = thread::spawn({
            let rings = rings.clone();
            move || rings.take().is_none()
        });
        rings.arrived(0);
        assert!(ended.join().unwrap());
    }

    #[test]
    fn who_is_patient_waits_for_space_and_loses_nothing() {
        let rings = Arc::new(Rings::new(1, 2, 100));
        let filler = thread::spawn({
            let rings = rings.clone();
            move || {
                assert!((0..50).all(|i| rings.push_patiently(0, frame(i), || false)));
                rings.close(0);
            }
        });
        for i in 0..50 {
            assert_eq!(take(&rings), (0, i));
            rings.arrived(0);
        }
        assert!(rings.take().is_none());
        filler.join().unwrap();
    }

    #[test]
    fn an_abort_tells_what_is_lost_and_wakes_everybody() {
        let rings = Arc::new(Rings::new(2, 2, 1));
        for i in 0..3 {
            let _ = rings.push(0, frame(i));
        }
        take(&rings);
        rings.push(0, frame(3));
        let waiting = thread::spawn({
            let rings = rings.clone();
            move || rings.push_patiently(0, frame(4), || false)
        });
        assert_eq!(rings.abort(), [2, 0]);
        assert!(rings.take().is_none() && rings.pause());
        assert!(!waiting.join().unwrap());
    }
}
