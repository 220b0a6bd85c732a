//! How often a picture is published that is not decoded: FFmpeg does not adjust its rate.
use std::time::{Duration, Instant};

/// Converts the rate of a source to the published rate.
#[derive(Debug)]
pub(super) enum Rate {
    /// The source keeps the rate itself.
    Kept,
    /// A file: its pictures are evenly spaced in its own time, at any reading speed.
    Even {
        /// Published pictures for each picture of the source.
        ratio: f64,
        /// Pictures so far.
        pictures: u64,
    },
    /// A live source: the arrival time of a picture counts.
    Live {
        /// The time between two frames.
        interval: Duration,
        /// When the next frame is due.
        due: Option<Instant>,
    },
}

impl Rate {
    /// For the pictures of a file at `source` per second, to be published at `wanted`.
    pub(super) fn even(source: Option<f64>, wanted: f64) -> Self {
        let ratio = source.map_or(1.0, |source| wanted / source);
        Rate::Even {
            ratio: if ratio.is_finite() && ratio > 0.0 {
                ratio
            } else {
                1.0
            },
            pictures: 0,
        }
    }

    /// For a live source. The rate of a slower source does not change: no picture is published
    /// twice.
    pub(super) fn live(wanted: f64) -> Self {
        Rate::Live {
            interval: Duration::try_from_secs_f64(1.0 / wanted).unwrap_or(Duration::MAX),
            due: None,
        }
    }

    /// How often the picture that came at `read` is published: not at all, once, or several times
    /// if a file is slower than the wanted rate. Rounds as FFmpeg's filter `fps` does.
    pub(super) fn copies(&mut self, read: Instant) -> u64 {
        match self {
            Rate::Kept => 1,
            Rate::Even { ratio, pictures } => {
                let before = (*pictures as f64 * *ratio).round();
                *pictures += 1;
                // Both are whole and at least 0, and the second is not the smaller.
                ((*pictures as f64 * *ratio).round() - before) as u64
            }
            Rate::Live { interval, due } => {
                let wanted = *due.get_or_insert(read);
                // Half an interval early is near enough: pictures arrive less evenly than they were
                // captured.
                if read + *interval / 2 < wanted {
                    return 0;
                }
                // Counts from the due time and not from this picture, so that delays do not add up.
                // After a pause it begins again.
                let late = read.saturating_duration_since(wanted);
                *due = Some(if late > *interval { read } else { wanted } + *interval);
                1
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn even(source: f64, wanted: f64, pictures: usize) -> Vec<u64> {
        let mut rate = Rate::even(Some(source), wanted);
        let now = Instant::now();
        (0..pictures).map(|_| rate.copies(now)).collect()
    }

    #[test]
    fn a_file_is_thinned_and_filled_up_evenly() {
        assert_eq!(even(30.0, 10.0, 9), [0, 1, 0, 0, 1, 0, 0, 1, 0]);
        assert_eq!(even(5.0, 10.0, 3), [2, 2, 2]);
        assert_eq!(even(25.0, 25.0, 4), [1; 4]);
        assert_eq!(even(25.0, 10.0, 1000).iter().sum::<u64>(), 400);
        assert_eq!(
            even(30_000.0 / 1001.0, 10.0, 30_000).iter().sum::<u64>(),
            10_010
        );
        assert_eq!(Rate::even(None, 10.0).copies(Instant::now()), 1);
    }

    /// How many of the pictures of `seconds` of a live source are published.
    fn live(source: f64, wanted: f64, seconds: f64) -> u64 {
        let mut rate = Rate::live(wanted);
        let begun = Instant::now();
        let pictures = (source * seconds) as u64;
        // Each comes up to a third of its interval late.
        let jitter = |i: u64| (i * 7919 % 100) as f64 / 300.0;
        let at = |i: u64| begun + Duration::from_secs_f64((i as f64 + jitter(i)) / source);
        (0..pictures).map(|i| rate.copies(at(i))).sum()
    }

    #[test]
    fn a_live_source_is_thinned_to_the_rate_and_never_filled_up() {
        for (source, wanted, seconds, frames) in [
            (30.0, 10.0, 100.0, 1000),
            (25.0, 10.0, 100.0, 1000),
            (15.0, 10.0, 100.0, 1000),
            (10.0, 10.0, 100.0, 1000),
            (5.0, 10.0, 100.0, 500),
        ] {
            let found = live(source, wanted, seconds);
            assert!(
                found.abs_diff(frames) <= frames / 100,
                "{source} to {wanted}: {found} instead of {frames}"
            );
        }
    }

    #[test]
    fn a_pause_is_not_made_up_for() {
        let mut rate = Rate::live(10.0);
        let begun = Instant::now();
        let at = |ms| begun + Duration::from_millis(ms);
        assert_eq!(rate.copies(at(0)), 1);
        let after: u64 = (0..30).map(|i| rate.copies(at(5000 + i * 33))).sum();
        assert!(
            (9..=11).contains(&after),
            "{after} in the second after a pause"
        );
    }
}
