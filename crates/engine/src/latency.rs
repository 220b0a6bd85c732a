//! How long frames take from being read to being written.
use mattebox_core::frame::Timestamp;
use serde::Serialize;
use std::{
    sync::{Mutex, PoisonError},
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};
#[cfg(feature = "view")]
use utoipa::ToSchema;

/// How long ago a frame was taken, in microseconds; negative for a time that lies in the future.
pub fn age_us(taken: Timestamp) -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_micros());
    i64::try_from(now)
        .unwrap_or(i64::MAX)
        .saturating_sub(taken.0)
}

/// Times before this one (2001, in unix microseconds) are positions in files.
const FIRST_CLOCK_TIME: i64 = 1_000_000_000_000_000;

/// When a frame was captured, by the clock of its camera. `None`: its time is a position in a file.
pub fn captured(time: Timestamp) -> Option<SystemTime> {
    let micros = u64::try_from(time.0)
        .ok()
        .filter(|_| time.0 >= FIRST_CLOCK_TIME)?;
    UNIX_EPOCH.checked_add(Duration::from_micros(micros))
}

/// Each doubling of the time has so many buckets, so that what is told is at most 3 % too long.
const BUCKETS_PER_DOUBLING: u64 = 32;

/// How long one camera's frames have taken.
#[derive(Debug, Default)]
pub struct Latency {
    taken: Mutex<Times>,
}

impl Latency {
    /// A frame that was read at `read` is written. True if it was the camera's first.
    pub fn add(&self, read: Instant) -> bool {
        self.add_time(read.elapsed())
    }

    /// A frame took this long. True if it was the camera's first.
    pub fn add_time(&self, time: Duration) -> bool {
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        taken.add(time);
        taken.count == 1
    }

    /// The times so far.
    pub fn times(&self) -> Times {
        self.taken
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

/// A histogram of times, in microseconds, whose buckets grow with the time.
#[derive(Debug, Clone, Default)]
pub struct Times {
    buckets: Vec<u64>,
    count: u64,
    sum: Duration,
    longest: Duration,
}

impl Times {
    fn add(&mut self, time: Duration) {
        let bucket = bucket(u64::try_from(time.as_micros()).unwrap_or(u64::MAX));
        if self.buckets.len() <= bucket {
            self.buckets.resize(bucket + 1, 0);
        }
        self.buckets[bucket] += 1;
        self.count += 1;
        self.sum += time;
        self.longest = self.longest.max(time);
    }

    /// Adds another camera's.
    pub fn merge(&mut self, other: &Times) {
        self.buckets
            .resize(self.buckets.len().max(other.buckets.len()), 0);
        self.buckets
            .iter_mut()
            .zip(&other.buckets)
            .for_each(|(mine, others)| *mine += others);
        self.count += other.count;
        self.sum += other.sum;
        self.longest = self.longest.max(other.longest);
    }

    /// Those that came after `earlier`, a copy of this from before.
    pub fn since(&self, earlier: &Times) -> Times {
        let then = earlier.buckets.iter().copied().chain(std::iter::repeat(0));
        let buckets: Vec<u64> = self
            .buckets
            .iter()
            .zip(then)
            .map(|(now, then)| now.saturating_sub(then))
            .collect();
        let longest = buckets
            .iter()
            .rposition(|&count| count > 0)
            .map_or(0, upper_end);
        let longest = Duration::from_micros(longest).min(self.longest);
        let sum = self.sum.saturating_sub(earlier.sum);
        Times {
            count: self.count.saturating_sub(earlier.count),
            sum,
            longest,
            buckets,
        }
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// All of them together.
    pub fn sum(&self) -> Duration {
        self.sum
    }

    /// How many were no longer than `limit`; those less than 3 % below it may be missing.
    pub fn up_to(&self, limit: Duration) -> u64 {
        let limit = u64::try_from(limit.as_micros()).unwrap_or(u64::MAX);
        self.buckets
            .iter()
            .enumerate()
            .take_while(|(bucket, _)| upper_end(*bucket) <= limit)
            .map(|(_, count)| count)
            .sum()
    }

    /// `None` before the first.
    pub fn report(&self) -> Option<LatencyReport> {
        (self.count > 0).then(|| LatencyReport {
            p50: self.quantile(0.5),
            p95: self.quantile(0.95),
            p99: self.quantile(0.99),
            max: self.longest.as_secs_f64() * 1e3,
        })
    }

    /// Milliseconds that this share of the frames did not exceed.
    fn quantile(&self, share: f64) -> f64 {
        let wanted = (self.count as f64 * share).ceil() as u64;
        let mut seen = 0;
        let reached = self.buckets.iter().position(|count| {
            seen += count;
            seen >= wanted
        });
        let micros = upper_end(reached.unwrap_or_default());
        (micros as f64 / 1e3).min(self.longest.as_secs_f64() * 1e3)
    }
}

/// Times below `BUCKETS_PER_DOUBLING` have a bucket each; from there on, each doubling has that many.
fn bucket(micros: u64) -> usize {
    let doublings = (micros / BUCKETS_PER_DOUBLING)
        .checked_ilog2()
        .map_or(0, |log| u64::from(log) + 1);
    let width = doublings.saturating_sub(1);
    let within = if doublings == 0 {
        micros
    } else {
        (micros >> width) - BUCKETS_PER_DOUBLING
    };
    (doublings * BUCKETS_PER_DOUBLING + within) as usize
}

/// The longest time in a bucket.
fn upper_end(bucket: usize) -> u64 {
    let doublings = bucket as u64 / BUCKETS_PER_DOUBLING;
    let within = bucket as u64 % BUCKETS_PER_DOUBLING;
    match doublings {
        0 => within,
        _ => ((BUCKETS_PER_DOUBLING + within + 1) << (doublings - 1)) - 1,
    }
}

/// Milliseconds from the moment a picture came out of its source to the moment it was in place: the file under its name, or the
/// picture with the encoder.
#[derive(Debug, Clone, Copy, Serialize)]
#[cfg_attr(feature = "view", derive(ToSchema))]
pub struct LatencyReport {
    /// Half of the frames took no longer.
    pub p50: f64,
    /// 95 of 100 took no longer.
    pub p95: f64,
    /// 99 of 100 took no longer.
    pub p99: f64,
    /// The longest.
    pub max: f64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_position_in_a_file_is_no_moment_of_a_clock() {
        let second = |seconds: i64| captured(Timestamp(seconds.saturating_mul(1_000_000)));
        assert_eq!(
            second(1_700_000_000),
            UNIX_EPOCH.checked_add(Duration::from_secs(1_700_000_000))
        );
        assert!(second(0).is_none() && second(3600).is_none() && second(i64::MIN).is_none());
        // hostile, and not the end of the program
        let _ = second(i64::MAX);
    }

    #[test]
    fn every_time_is_in_the_bucket_that_ends_at_most_a_thirtieth_above_it() {
        let mut last = 0;
        for micros in (0..100_000)
            .chain((17..40).map(|bit| (1 << bit) - 1))
            .chain((17..40).map(|bit| 3 << bit))
        {
            let end = upper_end(bucket(micros));
            assert!(
                end >= micros && end <= micros + micros / 31,
                "{micros} is in the bucket up to {end}"
            );
            assert!(
                micros == 0 || bucket(micros) == 0 || upper_end(bucket(micros) - 1) < micros,
                "{micros}"
            );
            last = last.max(end);
        }
        assert!(last > 1 << 40);
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
    fn how_many_were_no_longer_than_a_limit() {
        let mut times = Times::default();
        (1..=100).for_each(|ms| times.add(Duration::from_millis(ms)));
        assert_eq!(times.sum(), Duration::from_millis(5050));
        for (limit, wanted) in [
            (0, 0..=0),
            (10, 9..=10),
            (50, 48..=50),
            (100, 96..=100),
            (1000, 100..=100),
        ] {
            let found = times.up_to(Duration::from_millis(limit));
            assert!(wanted.contains(&found), "{found} up to {limit} ms");
        }
    }

    #[test]
    fn what_came_since_is_told_apart() {
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

    #[test]
    fn the_first_frame_is_told_apart() {
        let latency = Latency::default();
        let now = Instant::now();
        assert!(latency.add(now), "the first that is written");
        assert!(!latency.add(now));
        assert_eq!(latency.times().count, 2);
    }
}
