//! The latency of frames, from capture or reading to writing.
use hdrhistogram::Histogram;
use mattebox_core::frame::Timestamp;
use serde::Serialize;
use std::{
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime, UNIX_EPOCH},
};
#[cfg(feature = "view")]
use utoipa::ToSchema;

/// The age of a frame in microseconds; negative if its time lies in the future.
pub fn age_us(taken: Timestamp) -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_micros());
    i64::try_from(now)
        .unwrap_or(i64::MAX)
        .saturating_sub(taken.0)
}

/// How long ago a frame was captured, by the clock of its camera; zero for a time that lies in the
/// future. `None`: its time is a position in a file.
pub fn age(time: Timestamp) -> Option<Duration> {
    captured(time)?;
    Some(Duration::from_micros(
        u64::try_from(age_us(time)).unwrap_or(0),
    ))
}

/// Times before this one (in 2001, unix microseconds) are positions in files.
const FIRST_CLOCK_TIME: i64 = 1_000_000_000_000_000;

/// The time of capture by the camera's clock. `None`: the time is a position in a file.
pub fn captured(time: Timestamp) -> Option<SystemTime> {
    let micros = u64::try_from(time.0)
        .ok()
        .filter(|_| time.0 >= FIRST_CLOCK_TIME)?;
    UNIX_EPOCH.checked_add(Duration::from_micros(micros))
}

/// Significant decimal digits of a histogram: times are at most 1 % too long.
const DIGITS: u8 = 2;
/// The longest time: a hostile timestamp cannot make a huge histogram.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The latencies of one camera's frames.
#[derive(Debug, Default)]
pub struct Latency {
    times: Mutex<Times>,
}

impl Latency {
    /// Adds the time of one frame.
    pub fn add(&self, time: Duration) {
        self.lock().add(time);
    }

    /// The times so far.
    pub fn times(&self) -> Times {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Times> {
        self.times.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A histogram of times.
#[derive(Debug, Clone)]
pub struct Times {
    /// In microseconds. 32 bits last for 50 days at 1000 frames a second; then the counts stay.
    histogram: Histogram<u32>,
    sum: Duration,
}

impl Default for Times {
    fn default() -> Self {
        Times {
            histogram: Histogram::new(DIGITS).expect("at most 5 digits"),
            sum: Duration::ZERO,
        }
    }
}

impl Times {
    fn add(&mut self, time: Duration) {
        let time = time.min(LONGEST);
        let micros = time.as_micros() as u64;
        // The histogram grows to hold every time up to LONGEST.
        if self.histogram.record(micros).is_ok() {
            self.sum = self.sum.saturating_add(time);
        }
    }

    /// Adds the times of another camera.
    pub fn merge(&mut self, other: &Times) {
        if self.histogram.add(&other.histogram).is_ok() {
            self.sum = self.sum.saturating_add(other.sum);
        }
    }

    /// The times that were added since `earlier`, an older copy.
    pub fn since(&self, earlier: &Times) -> Times {
        let mut since = self.clone();
        match since.histogram.subtract(&earlier.histogram) {
            Ok(()) => since.sum = self.sum.saturating_sub(earlier.sum),
            // The counters restarted in between.
            Err(_) => since.clone_from(self),
        }
        since
    }

    /// The number of times.
    pub fn count(&self) -> u64 {
        self.histogram.len()
    }

    /// The sum of all times.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// The number of times up to `limit`, which is rounded up by at most 1 %.
    pub fn up_to(&self, limit: Duration) -> u64 {
        let micros = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX);
        self.histogram.count_between(0, micros)
    }

    /// The percentiles; `None` before the first time.
    pub fn report(&self) -> Option<LatencyReport> {
        let ms = |micros: u64| micros as f64 / 1e3;
        let at = |share| ms(self.histogram.value_at_quantile(share));
        (!self.histogram.is_empty()).then(|| LatencyReport {
            p50: at(0.5),
            p95: at(0.95),
            p99: at(0.99),
            max: ms(self.histogram.max()),
        })
    }
}

/// Milliseconds from capture or reading of a frame to writing.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(feature = "view", derive(ToSchema))]
pub struct LatencyReport {
    /// The median.
    pub p50: f64,
    /// The 95th percentile.
    pub p95: f64,
    /// The 99th percentile.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_in_a_file_is_no_time_of_capture() {
        let second = |seconds: i64| captured(Timestamp(seconds.saturating_mul(1_000_000)));
        assert_eq!(
            second(1_700_000_000),
            UNIX_EPOCH.checked_add(Duration::from_secs(1_700_000_000))
        );
        assert!(second(0).is_none() && second(3600).is_none() && second(i64::MIN).is_none());
        // A hostile time does not panic.
        let _ = second(i64::MAX);
    }

    #[test]
    fn a_time_is_at_most_a_hundredth_too_long() {
        // Times under 100 µs are exact; a longer one reads as the end of its bucket.
        for micros in (1..100_000).step_by(7).chain((17..34).map(|bit| 3 << bit)) {
            let mut times = Times::default();
            times.add(Duration::from_micros(micros));
            let read = times.histogram.value_at_quantile(0.5);
            assert!(
                read >= micros && read <= micros + micros / 100 + 1,
                "{micros} reads as {read}"
            );
        }
    }

    #[test]
    fn a_time_beyond_a_day_counts_as_a_day() {
        let mut times = Times::default();
        times.add(Duration::MAX);
        assert_eq!(times.count(), 1);
        let day_ms = LONGEST.as_secs_f64() * 1e3;
        assert!(times.report().unwrap().max < day_ms * 1.01);
    }

    #[test]
    fn shares_are_of_all_frames() {
        let mut times = Times::default();
        assert!(times.report().is_none());
        (1..=100).for_each(|ms| times.add(Duration::from_millis(ms)));
        let mut both = times.clone();
        both.merge(&times);
        for report in [times.report().unwrap(), both.report().unwrap()] {
            for (found, wanted) in [
                (report.p50, 50.0),
                (report.p95, 95.0),
                (report.p99, 99.0),
                (report.max, 100.0),
            ] {
                assert!(
                    (wanted..wanted * 1.04).contains(&found),
                    "{found} instead of {wanted}"
                );
            }
        }
    }

    #[test]
    fn times_up_to_a_limit_are_counted() {
        let mut times = Times::default();
        (1..=100).for_each(|ms| times.add(Duration::from_millis(ms)));
        assert_eq!(times.sum(), Duration::from_millis(5050));
        for (limit, wanted) in [
            (0, 0..=0),
            (10, 10..=10),
            (50, 50..=50),
            (100, 99..=100),
            (1000, 100..=100),
        ] {
            let found = times.up_to(Duration::from_millis(limit));
            assert!(wanted.contains(&found), "{found} up to {limit} ms");
        }
    }

    #[test]
    fn times_since_a_moment_leave_out_the_earlier_ones() {
        let mut times = Times::default();
        times.add(Duration::from_millis(500));
        let before = times.clone();
        times.add(Duration::from_millis(10));
        let since = times.since(&before);
        let report = since.report().unwrap();
        assert_eq!(since.count(), 1);
        assert!(
            (10.0..10.4).contains(&report.p99) && (10.0..10.4).contains(&report.max),
            "{report:?}"
        );
        assert!(times.since(&times).report().is_none());
    }
}
