//! Which frame a free thread works on next. Each camera of each partition has a lane, in which frames are segmented in their order.
//!
//! With the soft matte a lane has one matte state. A thread takes it along with a frame, and gives it back as soon as the frame is segmented.
//! While it is away, another thread may decode the lane's next frame.
use super::job::{Event, Job, Picture};
use crossbeam_channel::Sender;
use mattebox_core::{frame::CameraId, matte::MatteState};
use std::{
    collections::{HashMap, VecDeque},
    mem,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
};

/// A lane's name.
pub(super) type LaneId = u64;

/// What a thread is to do.
pub(super) enum Work {
    /// Make a frame. The state, if there is one, is given back with [`Lanes::release`].
    Make {
        lane: LaneId,
        job: Arc<Job>,
        picture: Picture,
        state: Option<Box<MatteState>>,
    },
    /// Decode a frame whose turn has not come; to be given back with [`Lanes::decoded`].
    Decode { lane: LaneId, job: Arc<Job> },
}

enum Chain {
    /// Frames have nothing to do with each other.
    Unneeded,
    Free(Box<MatteState>),
    Taken,
}

struct Waiting {
    job: Arc<Job>,
    picture: Picture,
    /// What is remembered after it is asked for, for this mark.
    mark: Option<i64>,
}

struct Lane {
    camera: CameraId,
    partition: i32,
    turn: u64,
    chain: Chain,
    waiting: VecDeque<Waiting>,
    /// What is remembered after the frame that is being segmented is asked for, for this mark.
    mark: Option<i64>,
    /// It is in the list of lanes with work.
    listed: bool,
}

#[derive(Default)]
struct State {
    lanes: HashMap<LaneId, Lane>,
    next_id: LaneId,
    /// Lanes with a frame that can be made now, in turn.
    ready: VecDeque<LaneId>,
    closed: bool,
}

/// All lanes. Shared by the loop and its threads.
pub(super) struct Lanes {
    state: Mutex<State>,
    work: Condvar,
    events: Sender<Event>,
    /// Whether frames depend on those before.
    chained: bool,
}

impl Lanes {
    pub(super) fn new(chained: bool, events: Sender<Event>) -> Self {
        Lanes {
            state: Mutex::default(),
            work: Condvar::new(),
            events,
            chained,
        }
    }

    /// A panic elsewhere leaves the lanes as they were between two operations: they stay usable.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A lane for a camera, going on from `matte`; `None` for frames that have nothing to do with each other.
    pub(super) fn open(
        &self,
        camera: &CameraId,
        partition: i32,
        turn: u64,
        matte: Option<MatteState>,
    ) -> LaneId {
        let mut state = self.lock();
        let id = state.next_id;
        state.next_id += 1;
        let chain = match matte.filter(|_| self.chained) {
            Some(matte) => Chain::Free(Box::new(matte)),
            None => Chain::Unneeded,
        };
        let lane = Lane {
            camera: camera.clone(),
            partition,
            turn,
            chain,
            waiting: VecDeque::new(),
            mark: None,
            listed: false,
        };
        state.lanes.insert(id, lane);
        id
    }

    /// Forgets a lane. What waits in it is not made; what is being made will be, and nobody asks for it.
    pub(super) fn close(&self, lane: LaneId) {
        self.lock().lanes.remove(&lane);
    }

    /// Whether its frames are still ours.
    pub(super) fn is_open(&self, lane: LaneId) -> bool {
        self.lock().lanes.contains_key(&lane)
    }

    /// Appends a frame.
    pub(super) fn submit(&self, lane: LaneId, job: Arc<Job>) {
        let mut state = self.lock();
        if let Some(l) = state.lanes.get_mut(&lane) {
            l.waiting.push_back(Waiting {
                job,
                picture: Picture::Encoded,
                mark: None,
            });
            state.list(lane);
            self.work.notify_one();
        }
    }

    /// Asks for what is remembered after the last frame that was submitted. It comes as [`Event::Remembered`], at once if that frame is segmented.
    pub(super) fn mark(&self, lane: LaneId, mark: i64) {
        let mut state = self.lock();
        let Some(l) = state.lanes.get_mut(&lane) else {
            return;
        };
        let matte = match (l.waiting.back_mut(), &l.chain) {
            (_, Chain::Unneeded) => MatteState::default(),
            (Some(last), _) => {
                last.mark = Some(mark);
                return;
            }
            (None, Chain::Taken) => {
                l.mark = Some(mark);
                return;
            }
            (None, Chain::Free(state)) => (**state).clone(),
        };
        let event = l.remembered(mark, matte);
        drop(state);
        self.tell(event);
    }

    /// The next work, cameras in turn; waits for some. `None`: there will be no more.
    pub(super) fn take(&self) -> Option<Work> {
        let mut state = self.lock();
        loop {
            if state.closed {
                return None;
            }
            if let Some(work) = state.make() {
                return Some(work);
            }
            if let Some(work) = state.decode_ahead() {
                return Some(work);
            }
            state = self
                .work
                .wait(state)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// A frame that was decoded ahead.
    pub(super) fn decoded(&self, lane: LaneId, job: &Arc<Job>, picture: Picture) {
        let mut state = self.lock();
        if let Some(waiting) = state
            .lanes
            .get_mut(&lane)
            .and_then(|l| l.waiting.iter_mut().find(|w| Arc::ptr_eq(&w.job, job)))
        {
            waiting.picture = picture;
            state.list(lane);
            self.work.notify_one();
        }
    }

    /// Gives a lane's matte state back: its next frame may be segmented.
    pub(super) fn release(&self, lane: LaneId, matte: Box<MatteState>) {
        let mut state = self.lock();
        let Some(l) = state.lanes.get_mut(&lane) else {
            return;
        };
        let event = l
            .mark
            .take()
            .map(|mark| l.remembered(mark, (*matte).clone()));
        l.chain = Chain::Free(matte);
        state.list(lane);
        self.work.notify_one();
        drop(state);
        if let Some(event) = event {
            self.tell(event);
        }
    }

    /// No more work is given out.
    pub(super) fn shut(&self) {
        self.lock().closed = true;
        self.work.notify_all();
    }

    /// Passes an event to the loop. When the loop is gone nobody wants it.
    pub(super) fn tell(&self, event: Event) {
        let _ = self.events.send(event);
    }
}

impl Lane {
    fn remembered(&self, mark: i64, matte: MatteState) -> Event {
        Event::Remembered {
            partition: self.partition,
            turn: self.turn,
            camera: self.camera.clone(),
            mark,
            matte,
        }
    }

    /// Whether its first frame can be made now.
    fn is_ready(&self) -> bool {
        let picture = self.waiting.front().map(|first| &first.picture);
        !matches!(self.chain, Chain::Taken)
            && picture.is_some_and(|picture| !matches!(picture, Picture::Decoding))
    }
}

impl State {
    /// Lists a lane whose first frame can be made.
    fn list(&mut self, lane: LaneId) {
        if let Some(l) = self.lanes.get_mut(&lane)
            && !l.listed
            && l.is_ready()
        {
            l.listed = true;
            self.ready.push_back(lane);
        }
    }

    fn make(&mut self) -> Option<Work> {
        loop {
            let lane = self.ready.pop_front()?;
            let Some(l) = self.lanes.get_mut(&lane) else {
                continue;
            };
            l.listed = false;
            if !l.is_ready() {
                continue;
            }
            let Some(Waiting { job, picture, mark }) = l.waiting.pop_front() else {
                continue;
            };
            let state = match mem::replace(&mut l.chain, Chain::Taken) {
                Chain::Free(state) => Some(state),
                other => {
                    l.chain = other;
                    None
                }
            };
            l.mark = mark;
            self.list(lane);
            return Some(Work::Make {
                lane,
                job,
                picture,
                state,
            });
        }
    }

    /// The first frame of a lane whose state is away.
    fn decode_ahead(&mut self) -> Option<Work> {
        let (&lane, l) = self.lanes.iter_mut().find(|(_, l)| {
            matches!(l.chain, Chain::Taken)
                && l.waiting
                    .front()
                    .is_some_and(|first| matches!(first.picture, Picture::Encoded))
        })?;
        let first = l.waiting.front_mut()?;
        first.picture = Picture::Decoding;
        Some(Work::Decode {
            lane,
            job: first.job.clone(),
        })
    }
}

/// A camera's frame, for tests.
#[cfg(test)]
pub(super) fn test_job(number: u64) -> Arc<Job> {
    use super::job::Ticket;
    use mattebox_core::frame::{FrameNumber, Timestamp};
    use rdkafka::message::OwnedMessage;
    let record = OwnedMessage::new(
        None,
        None,
        "t".into(),
        rdkafka::Timestamp::NotAvailable,
        0,
        number as i64,
        None,
    );
    let ticket = Ticket {
        partition: 0,
        turn: 1,
        offset: number as i64,
    };
    let camera = "cam".parse().unwrap();
    Arc::new(Job {
        ticket,
        camera,
        number: FrameNumber(number),
        time: Timestamp(0),
        late: false,
        record,
        span: crate::trace::Span::default(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossbeam_channel::{Receiver, unbounded};

    fn lanes(chained: bool) -> (Lanes, Receiver<Event>) {
        let (to, from) = unbounded();
        (Lanes::new(chained, to), from)
    }

    fn make(work: Option<Work>) -> (LaneId, u64, Option<Box<MatteState>>) {
        match work {
            Some(Work::Make {
                lane, job, state, ..
            }) => (lane, job.number.0, state),
            _ => panic!("no frame to be made"),
        }
    }

    fn open(lanes: &Lanes) -> LaneId {
        lanes.open(&"cam".parse().unwrap(), 0, 1, Some(MatteState::default()))
    }

    #[test]
    fn while_a_frame_is_segmented_the_next_is_decoded_and_waits() {
        let (lanes, _events) = lanes(true);
        let lane = open(&lanes);
        lanes.submit(lane, test_job(0));
        lanes.submit(lane, test_job(1));
        let (_, first, state) = make(lanes.take());
        assert_eq!(first, 0);
        let Some(Work::Decode { job: next, .. }) = lanes.take() else {
            panic!("nothing to decode")
        };
        lanes.release(lane, state.unwrap());
        lanes.decoded(lane, &next, Picture::Decoded(image::RgbImage::new(1, 1)));
        match lanes.take() {
            Some(Work::Make {
                job,
                picture: Picture::Decoded(_),
                ..
            }) => assert_eq!(job.number.0, 1),
            _ => panic!("the decoded frame comes next"),
        }
    }

    #[test]
    fn cameras_take_turns() {
        let (lanes, _events) = lanes(false);
        let a = open(&lanes);
        let b = open(&lanes);
        for n in 0..3 {
            lanes.submit(a, test_job(n));
        }
        lanes.submit(b, test_job(9));
        let order: Vec<_> = (0..4).map(|_| make(lanes.take()).1).collect();
        assert_eq!(order, [0, 9, 1, 2]);
    }

    #[test]
    fn a_mark_is_answered_after_the_last_frame_before_it() {
        let (lanes, events) = lanes(true);
        let lane = open(&lanes);
        lanes.mark(lane, 0);
        assert!(
            matches!(events.try_recv(), Ok(Event::Remembered { mark: 0, .. })),
            "nothing is on its way: at once"
        );
        lanes.submit(lane, test_job(0));
        lanes.mark(lane, 1);
        lanes.submit(lane, test_job(1));
        let (_, _, state) = make(lanes.take());
        assert!(events.try_recv().is_err(), "it is not segmented yet");
        lanes.release(lane, state.unwrap());
        assert!(matches!(
            events.try_recv(),
            Ok(Event::Remembered { mark: 1, .. })
        ));
        let (_, _, state) = make(lanes.take());
        lanes.mark(lane, 2);
        assert!(
            events.try_recv().is_err(),
            "the last frame is being segmented"
        );
        lanes.release(lane, state.unwrap());
        assert!(matches!(
            events.try_recv(),
            Ok(Event::Remembered { mark: 2, .. })
        ));
    }

    #[test]
    fn what_waits_in_a_closed_lane_is_not_made() {
        let (lanes, _events) = lanes(true);
        let lane = open(&lanes);
        lanes.submit(lane, test_job(0));
        lanes.submit(lane, test_job(1));
        let (_, _, state) = make(lanes.take());
        lanes.close(lane);
        lanes.release(lane, state.unwrap());
        lanes.shut();
        assert!(lanes.take().is_none());
    }
}
