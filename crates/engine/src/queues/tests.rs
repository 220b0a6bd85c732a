use super::*;
use crate::StateAccess;
use proptest::{collection::vec, prelude::*};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
        mpsc,
    },
    thread,
};

#[derive(Debug, PartialEq, Eq)]
struct Numbered {
    number: u64,
    chained: bool,
    is_prepared: bool,
}

impl QueuedFrame for Numbered {
    type State = MatteState;

    fn needs_state(&self) -> bool {
        self.chained
    }

    fn can_prepare(&self) -> bool {
        !self.is_prepared
    }
}

fn frame(number: u64) -> Numbered {
    Numbered {
        number,
        chained: false,
        is_prepared: false,
    }
}

fn chained(number: u64) -> Numbered {
    Numbered {
        chained: true,
        ..frame(number)
    }
}

fn settings(waiting: usize, in_flight: usize, when_full: WhenFull) -> QueueSettings {
    QueueSettings {
        waiting,
        in_flight,
        when_full,
    }
}

const WAITS: QueueSettings = QueueSettings {
    waiting: 100,
    in_flight: 100,
    when_full: WhenFull::Wait,
};

fn process(queues: &CameraQueues<Numbered>) -> Turn<'_, Numbered> {
    match queues.take() {
        Some(ThreadTask::Process(turn)) => turn,
        Some(ThreadTask::Prepare(_)) => panic!("a frame to prepare"),
        None => panic!("no work"),
    }
}

#[test]
fn cameras_take_turns() {
    let queues = CameraQueues::new(Lifetime::UntilShut);
    let a = queues.open(WAITS, MatteState::default());
    let b = queues.open(WAITS, MatteState::default());
    for n in 0..3 {
        queues.push(a, frame(n));
    }
    queues.push(b, frame(9));
    let order: Vec<_> = (0..4).map(|_| process(&queues).frame.number).collect();
    assert_eq!(order, [0, 9, 1, 2]);
}

#[test]
fn a_full_queue_keeps_the_newest_frames() {
    let queues = CameraQueues::new(Lifetime::UntilShut);
    let id = queues.open(settings(2, 9, WhenFull::DropOldest), MatteState::default());
    let pushed: Vec<_> = (0..4).map(|n| queues.push(id, frame(n))).collect();
    let replaced = [Pushed::Replaced(frame(0)), Pushed::Replaced(frame(1))];
    assert_eq!(pushed[..2], [Pushed::Queued, Pushed::Queued]);
    assert_eq!(pushed[2..], replaced);
    assert_eq!(process(&queues).frame.number, 2);
    assert_eq!(process(&queues).frame.number, 3);
}

#[test]
fn the_reader_of_a_full_queue_waits_until_a_frame_is_taken_or_the_camera_is_closed() {
    let queues = CameraQueues::new(Lifetime::Cameras);
    let id = queues.open(settings(1, 9, WhenFull::Wait), MatteState::default());
    queues.push(id, frame(0));
    thread::scope(|scope| {
        let reader = scope.spawn(|| (queues.push(id, frame(1)), queues.push(id, frame(2))));
        assert_eq!(process(&queues).frame.number, 0);
        let mut dropped = Vec::new();
        while dropped.is_empty() {
            dropped = queues.close(id);
            thread::yield_now();
            if reader.is_finished() {
                break;
            }
        }
        let (_, second) = reader.join().unwrap();
        assert_eq!(second, Pushed::Refused(frame(2)));
    });
    assert!(queues.take().is_none());
}

#[test]
fn while_a_frame_is_segmented_the_next_is_prepared_and_waits() {
    let queues = CameraQueues::new(Lifetime::UntilShut);
    let id = queues.open(WAITS, MatteState::default());
    queues.push(id, chained(0));
    queues.push(id, chained(1));
    let mut first = process(&queues);
    let Some(ThreadTask::Prepare(mut ahead)) = queues.take() else {
        panic!("nothing to prepare")
    };
    ahead.frame().is_prepared = true;
    first.state.segmented();
    drop(ahead);
    let second = process(&queues);
    assert_eq!((second.frame.number, second.sequence), (1, 1));
    assert!(second.frame.is_prepared);
}

#[test]
fn a_lease_that_is_dropped_unused_gives_the_state_back_unchanged() {
    let queues = CameraQueues::new(Lifetime::UntilShut);
    let id = queues.open(WAITS, MatteState::default());
    queues.push(id, chained(0));
    drop(process(&queues));
    queues.push(id, chained(1));
    assert_eq!(process(&queues).frame.number, 1);
}

#[test]
fn a_barrier_gets_the_state_after_the_last_frame_before_it() {
    let queues = CameraQueues::new(Lifetime::UntilShut);
    let id = queues.open(WAITS, MatteState::default());
    let (to, from) = mpsc::channel();
    let ask = |mark: u64| {
        let to = to.clone();
        queues.barrier(id, move |_| to.send(mark).unwrap());
    };
    ask(0);
    assert_eq!(from.try_recv(), Ok(0), "nothing waits: at once");
    queues.push(id, chained(0));
    ask(1);
    queues.push(id, chained(1));
    let first = process(&queues);
    assert!(from.try_recv().is_err(), "it is not segmented yet");
    drop(first);
    assert_eq!(from.try_recv(), Ok(1));
    let second = process(&queues);
    ask(2);
    assert!(
        from.try_recv().is_err(),
        "the last frame is being segmented"
    );
    drop(second);
    assert_eq!(from.try_recv(), Ok(2));
}

#[test]
fn no_camera_has_more_frames_in_flight_than_its_share() {
    let queues = CameraQueues::new(Lifetime::UntilShut);
    let narrow = settings(10, 2, WhenFull::DropOldest);
    let a = queues.open(narrow, MatteState::default());
    let b = queues.open(narrow, MatteState::default());
    for n in 0..4 {
        queues.push(a, frame(n));
    }
    queues.push(b, frame(10));
    let taken: Vec<_> = (0..3).map(|_| process(&queues).frame.number).collect();
    assert_eq!(taken, [0, 10, 1]);
    queues.done(a);
    assert_eq!(process(&queues).frame.number, 2);
}

#[test]
fn on_drained_is_called_once_when_the_last_frame_is_done() {
    let queues = CameraQueues::new(Lifetime::Cameras);
    let id = queues.open(WAITS, MatteState::default());
    let called = Arc::new(AtomicBool::new(false));
    let call = called.clone();
    queues.on_drained(id, move || assert!(!call.swap(true, Relaxed)));
    queues.push(id, frame(0));
    queues.end(id);
    drop(process(&queues));
    assert!(!called.load(Relaxed), "it is not done");
    assert!(queues.take().is_none() && queues.is_taken(id));
    queues.done(id);
    assert!(called.load(Relaxed));
    queues.wait_drained();
}

#[test]
fn waiting_frames_of_a_removed_queue_are_not_processed() {
    let queues = CameraQueues::new(Lifetime::UntilShut);
    let id = queues.open(WAITS, MatteState::default());
    queues.push(id, chained(0));
    queues.push(id, chained(1));
    let first = process(&queues);
    assert_eq!(queues.remove(id), [chained(1)]);
    drop(first);
    assert!(!queues.is_open(id));
    queues.shut();
    assert!(queues.take().is_none());
    assert_eq!(queues.push(id, frame(2)), Pushed::Refused(frame(2)));
}

#[test]
fn threads_that_wait_for_space_or_for_the_end_wake() {
    let queues = Arc::new(CameraQueues::new(Lifetime::Cameras));
    let id = queues.open(settings(1, 1, WhenFull::Wait), MatteState::default());
    queues.push(id, frame(0));
    let turn = process(&queues);
    let drained = thread::spawn({
        let queues = queues.clone();
        move || queues.wait_drained()
    });
    queues.push(id, frame(1));
    let reader = thread::spawn({
        let queues = queues.clone();
        move || queues.push(id, frame(2))
    });
    while !reader.is_finished() {
        queues.end_all();
        thread::yield_now();
    }
    assert_eq!(reader.join().unwrap(), Pushed::Refused(frame(2)));
    drop(turn);
    queues.done(id);
    assert_eq!(process(&queues).frame.number, 1);
    queues.done(id);
    drained.join().unwrap();
    assert!(!queues.wait_for_space(Duration::ZERO));
    queues.shut();
    assert!(queues.wait_for_space(Duration::MAX));
}

#[test]
fn cameras_that_kept_their_turn_come_before_those_that_were_served() {
    let queues = CameraQueues::new(Lifetime::UntilShut);
    let ids =
        [(); 6].map(|()| queues.open(settings(2, 9, WhenFull::DropOldest), MatteState::default()));
    let mut served = [0; 6];
    for burst in 0..30 {
        for id in ids {
            queues.push(id, frame(burst));
        }
        // There is time for two of the six.
        for turn in 0..6 {
            let id = process(&queues).id;
            if turn < 2 {
                served[ids.iter().position(|other| *other == id).unwrap()] += 1;
            } else {
                queues.keep_turn(id);
            }
            queues.done(id);
        }
    }
    assert_eq!(served, [10; 6]);
}

/// An operation on the queues.
#[derive(Debug, Clone, Copy)]
enum Action {
    Push {
        camera: usize,
        chained: bool,
    },
    Take,
    /// The oldest frame in flight is segmented and done.
    Finish,
}

fn action() -> impl Strategy<Value = Action> {
    prop_oneof![
        (0..4usize, any::<bool>()).prop_map(|(camera, chained)| Action::Push { camera, chained }),
        Just(Action::Take),
        Just(Action::Finish),
    ]
}

/// A simple model of the queues: it looks at every queue for every frame.
#[derive(Default)]
struct QueueModel {
    waiting: [VecDeque<Numbered>; 4],
    segmenting: [bool; 4],
    in_flight: [usize; 4],
    /// Cameras in the order in which they became ready.
    order: Vec<usize>,
}

impl QueueModel {
    fn is_ready(&self, camera: usize) -> bool {
        self.in_flight[camera] < 2
            && self.waiting[camera]
                .front()
                .is_some_and(|first| !first.chained || !self.segmenting[camera])
    }

    fn order_ready(&mut self) {
        for camera in 0..4 {
            if self.is_ready(camera) && !self.order.contains(&camera) {
                self.order.push(camera);
            }
        }
    }

    fn take(&mut self) -> Option<(usize, Numbered)> {
        let at = self
            .order
            .iter()
            .position(|&camera| self.is_ready(camera))?;
        // The cameras before it have lost their turn: a newer frame replaced the ready one.
        self.order.drain(..at);
        let camera = self.order.remove(0);
        let frame = self.waiting[camera].pop_front()?;
        self.in_flight[camera] += 1;
        self.segmenting[camera] |= frame.chained;
        self.order_ready();
        Some((camera, frame))
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]
    #[test]
    fn the_queues_agree_with_the_model(actions in vec(action(), 0..120)) {
        let queues = CameraQueues::new(Lifetime::UntilShut);
        let ids = [(); 4].map(|()| {
            queues.open(settings(3, 2, WhenFull::DropOldest), MatteState::default())
        });
        let mut model = QueueModel::default();
        let mut in_flight_turns = VecDeque::new();
        for (number, action) in actions.into_iter().enumerate() {
            match action {
                Action::Push { camera, chained } => {
                    let new = || Numbered {
                        number: number as u64,
                        chained,
                        is_prepared: true,
                    };
                    let expected = match model.waiting[camera].len() {
                        3.. => {
                            let oldest = model.waiting[camera].pop_front();
                            oldest.map_or(Pushed::Queued, Pushed::Replaced)
                        }
                        _ => Pushed::Queued,
                    };
                    model.waiting[camera].push_back(new());
                    model.order_ready();
                    prop_assert_eq!(queues.push(ids[camera], new()), expected);
                }
                Action::Take => {
                    let Some((camera, frame)) = model.take() else { continue };
                    let turn = process(&queues);
                    prop_assert_eq!(turn.id, ids[camera]);
                    prop_assert_eq!(&turn.frame, &frame);
                    in_flight_turns.push_back((camera, turn));
                }
                Action::Finish => {
                    let Some((camera, turn)) = in_flight_turns.pop_front() else { continue };
                    if turn.frame.chained {
                        model.segmenting[camera] = false;
                    }
                    drop(turn);
                    model.order_ready();
                    model.in_flight[camera] -= 1;
                    model.order_ready();
                    queues.done(ids[camera]);
                }
            }
        }
    }
}
