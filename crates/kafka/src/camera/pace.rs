//! The steady clock of `--fps`: when a frame is due whose source has no time.
use std::time::{Duration, Instant};

/// Ticks of a camera. The n-th is n intervals after the first, so that delays do not add up. A
/// frame that comes more than an interval after its tick is published at once, and the ticks begin
/// again with it: a source or machine that cannot keep up publishes every frame that it has, and
/// does not hurry after a short delay.
#[derive(Debug)]
pub(super) struct Pace {
    fps: f64,
    /// How long after the first frame its tick is.
    phase: Duration,
    start: Option<Instant>,
    ticks: u64,
}

/// When a frame is published.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// After this wait.
    In(Duration),
    /// At once: it came this long after its tick, more than an interval.
    Late(Duration),
}

impl Pace {
    /// `fps` is positive. `phase`, from 0 to below 1, shifts the ticks of cameras that start
    /// together, so that they do not all work at the same time.
    pub(super) fn new(fps: f64, phase: f64) -> Self {
        Pace {
            fps,
            phase: Duration::from_secs_f64(phase / fps),
            start: None,
            ticks: 0,
        }
    }

    /// When the frame is due that is ready `now`.
    pub(super) fn frame(&mut self, now: Instant) -> Due {
        let start = *self.start.get_or_insert(now + self.phase);
        // A quotient of whole numbers and not a sum of intervals: exact for centuries.
        let due = start
            + Duration::try_from_secs_f64(self.ticks as f64 / self.fps).unwrap_or(Duration::ZERO);
        self.ticks += 1;
        let late = now.saturating_duration_since(due);
        if late.as_secs_f64() * self.fps > 1.0 {
            self.start = Some(now);
            self.ticks = 1;
            return Due::Late(late);
        }
        Due::In(due.saturating_duration_since(now))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs a pace by a simulated clock: each frame takes `work` to come. Returns when frames were
    /// due.
    fn simulate(fps: f64, work: &[Duration]) -> (Vec<Duration>, usize) {
        let begun = Instant::now();
        let mut pace = Pace::new(fps, 0.0);
        let mut now = begun;
        let mut through = vec![];
        let mut late = 0;
        for work in work {
            now += *work;
            match pace.frame(now) {
                Due::In(wait) => {
                    now += wait;
                    through.push(now - begun);
                }
                Due::Late(_) => {
                    late += 1;
                    through.push(now - begun);
                }
            }
        }
        (through, late)
    }

    #[test]
    fn the_clock_does_not_drift() {
        let work: Vec<_> = (0..100_000)
            .map(|i| Duration::from_micros(i * 7919 % 33_000))
            .collect();
        let (through, late) = simulate(30.0, &work);
        assert_eq!(late, 0);
        let last = through[through.len() - 1].as_secs_f64();
        assert!((last - 99_999.0 / 30.0).abs() < 1e-3, "{last}");
    }

    #[test]
    fn after_a_pause_the_clock_begins_again_and_no_frame_is_lost() {
        let mut work = vec![Duration::from_millis(1); 30];
        work[10] = Duration::from_millis(450);
        let (through, late) = simulate(10.0, &work);
        assert_eq!((through.len(), late), (30, 1));
        // The tenth frame came at 901 ms, the next 450 ms later instead of 100.
        assert_eq!(through[10].as_millis(), 901 + 450);
        let intervals = through[10..].windows(2).map(|pair| pair[1] - pair[0]);
        assert!(intervals.into_iter().all(|i| i.as_millis() == 100));
    }

    #[test]
    fn a_source_slower_than_its_clock_publishes_all_that_it_has() {
        for percent in [101, 130, 200, 550] {
            let work = vec![Duration::from_millis(percent); 200];
            let (through, late) = simulate(10.0, &work);
            assert_eq!(through.len(), 200);
            let last = through[199].as_millis();
            assert_eq!(last, u128::from(200 * percent), "none waits");
            assert!(late > 0, "{percent}");
        }
    }

    #[test]
    fn a_frame_within_its_interval_is_not_late() {
        let begun = Instant::now();
        let mut pace = Pace::new(10.0, 0.0);
        assert_eq!(pace.frame(begun), Due::In(Duration::ZERO));
        assert_eq!(
            pace.frame(begun + Duration::from_millis(199)),
            Due::In(Duration::ZERO)
        );
        assert_eq!(
            pace.frame(begun + Duration::from_millis(301)),
            Due::Late(Duration::from_millis(101))
        );
        assert_eq!(
            pace.frame(begun + Duration::from_millis(390)),
            Due::In(Duration::from_millis(11))
        );
    }

    #[test]
    fn cameras_that_start_together_tick_apart() {
        let now = Instant::now();
        assert_eq!(
            Pace::new(10.0, 0.5).frame(now),
            Due::In(Duration::from_millis(50))
        );
    }
}
