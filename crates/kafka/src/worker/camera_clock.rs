//! How far a camera's clock is from this machine's, judged by the youngest of its frames.
//!
//! With `--max-age` the age of a frame is relative to the age that its camera's youngest frame had
//! on arrival: the clocks of two machines are never compared. Only frames that arrive at the end of
//! their partition count: frames of a backlog are old by any clock. Measurements are forgotten
//! after a while, so that a clock that is set back harms the camera only for some seconds.
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

/// The youngest frame counts for this long, and at most twice as long.
const WINDOW: Duration = Duration::from_secs(5);

/// The clock of one camera.
#[derive(Debug, Default)]
pub(super) struct CameraClock(Mutex<Youngest>);

#[derive(Debug, Default)]
struct Youngest {
    /// When the present window began, and the smallest age in it.
    present: Option<(Instant, i64)>,
    /// The smallest age in the window before.
    before: Option<i64>,
    is_logged: bool,
}

impl CameraClock {
    /// A frame has arrived at the end of its partition, this many microseconds after its camera's
    /// time.
    pub(super) fn heard(&self, age_us: i64, now: Instant) {
        let mut youngest = self.lock();
        youngest.present = match youngest.present {
            Some((began, age)) if now.saturating_duration_since(began) < WINDOW => {
                Some((began, age.min(age_us)))
            }
            present => {
                let is_recent = |began: Instant| now.saturating_duration_since(began) < WINDOW * 2;
                youngest.before = present
                    .filter(|(began, _)| is_recent(*began))
                    .map(|(_, age)| age);
                Some((now, age_us))
            }
        };
    }

    /// The microseconds by which the camera's clock is behind ours, plus the shortest transit time
    /// of a frame. Negative: it is ahead. `None`: not known yet.
    pub(super) fn behind_us(&self) -> Option<i64> {
        let youngest = self.lock();
        let present = youngest.present.map(|(_, age)| age);
        present.into_iter().chain(youngest.before).min()
    }

    /// The offset in microseconds, returned once, when a whole window shows that it is more than
    /// `limit`.
    pub(super) fn take_news(&self, limit: Duration) -> Option<i64> {
        let off = self.behind_us()?;
        let mut youngest = self.lock();
        let is_off =
            youngest.before.is_some() && u128::from(off.unsigned_abs()) > limit.as_micros();
        (is_off && !std::mem::replace(&mut youngest.is_logged, true)).then_some(off)
    }

    fn lock(&self) -> MutexGuard<'_, Youngest> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: i64 = 1_000_000;

    #[test]
    fn the_age_is_relative_to_the_youngest_frame_by_any_clock() {
        for off in [-3600 * SECOND, -SECOND, 0, SECOND, 3600 * SECOND] {
            let clock = CameraClock::default();
            assert_eq!(clock.behind_us(), None);
            let begun = Instant::now();
            for (ms, transit) in [(0, 90_000), (100, 20_000), (200, 400_000)] {
                clock.heard(off + transit, begun + Duration::from_millis(ms));
            }
            assert_eq!(clock.behind_us(), Some(off + 20_000));
        }
    }

    #[test]
    fn a_clock_that_is_set_is_followed() {
        for step in [-10 * SECOND, 10 * SECOND] {
            let clock = CameraClock::default();
            let begun = Instant::now();
            let mut followed = None;
            for tenth in 0..300_u64 {
                let now = begun + Duration::from_millis(tenth * 100);
                let off = if tenth < 100 { 0 } else { step };
                clock.heard(off, now);
                if followed.is_none() && tenth >= 100 && clock.behind_us() == Some(step) {
                    followed = Some(tenth - 100);
                }
            }
            // Ahead at once, back within two windows.
            let within = if step < 0 { 0 } else { 100 };
            assert!(
                followed.is_some_and(|tenths| tenths <= within),
                "{followed:?}"
            );
        }
    }

    #[test]
    fn a_clock_that_is_off_is_reported_once() {
        let clock = CameraClock::default();
        let begun = Instant::now();
        let offset = |clock: &CameraClock| clock.take_news(Duration::from_millis(250));
        let mut news = Vec::new();
        for second in 0..60 {
            clock.heard(700_000, begun + Duration::from_secs(second));
            news.extend(offset(&clock));
        }
        assert_eq!(news, [700_000]);
        let right = CameraClock::default();
        for second in 0..60 {
            right.heard(30_000, begun + Duration::from_secs(second));
            assert_eq!(offset(&right), None);
        }
    }
}
