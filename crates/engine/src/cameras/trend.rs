//! The last minutes of a camera: its counts for each second.
use super::quality::Quality;
use crate::{
    latency::{LatencyReport, Times},
    metrics::FrameCounts,
};
use serde::Serialize;
use std::collections::VecDeque;
#[cfg(feature = "view")]
use utoipa::ToSchema;

/// Seconds that are kept.
pub const SECONDS: usize = 300;
/// Rates of "now" are the mean over this many seconds, so that they are steady.
const NOW: usize = 3;

/// The last minutes, oldest first; one value for each second.
#[derive(Debug, Clone, Default, Serialize)]
#[cfg_attr(feature = "view", derive(ToSchema))]
pub struct History {
    /// Unix time.
    pub seconds: Vec<i64>,
    /// Frames read per second.
    pub fps_read: Vec<f64>,
    /// Frames written or skipped per second.
    pub fps_written: Vec<f64>,
    /// Median latency of the second's frames, in milliseconds.
    pub latency_p50_ms: Vec<Option<f64>>,
    /// The 95th percentile.
    pub latency_p95_ms: Vec<Option<f64>>,
    /// Frames dropped, per second.
    pub dropped: Vec<f64>,
    /// The share of the picture that is person, 0 to 1; null where mattes are not made.
    pub coverage: Vec<Option<f64>>,
    /// How much alpha changes where the picture does not, root mean square, 0 to 1.
    pub flicker: Vec<Option<f64>>,
}

/// One second.
#[derive(Debug, Clone)]
struct Second {
    at: i64,
    read: f64,
    done: f64,
    dropped: f64,
    latency: Option<LatencyReport>,
    quality: Option<Quality>,
}

/// The counts and the latencies so far at one time.
#[derive(Debug)]
struct TrendPoint {
    at: f64,
    counts: FrameCounts,
    times: Times,
}

/// Samples the counts of a camera once a second.
#[derive(Debug, Default)]
pub struct Trend {
    last: Option<TrendPoint>,
    seconds: VecDeque<Second>,
    /// Latencies of each of the last [`NOW`] seconds.
    times: VecDeque<Times>,
}

impl Trend {
    /// Adds the counts, the latencies so far and the quality of the mattes at unix time `at`.
    pub(super) fn add(
        &mut self,
        at: f64,
        counts: FrameCounts,
        times: Times,
        quality: Option<Quality>,
    ) {
        if let Some(last) = self.last.take()
            && at > last.at
        {
            let rate = |now: u64, then: u64| now.saturating_sub(then) as f64 / (at - last.at);
            let since = times.since(&last.times);
            self.seconds.push_back(Second {
                at: at as i64,
                read: rate(counts.read, last.counts.read),
                done: rate(counts.done(), last.counts.done()),
                dropped: rate(counts.dropped.total(), last.counts.dropped.total()),
                latency: since.report(),
                quality,
            });
            self.times.push_back(since);
            if self.seconds.len() > SECONDS {
                self.seconds.pop_front();
            }
            if self.times.len() > NOW {
                self.times.pop_front();
            }
        }
        self.last = Some(TrendPoint { at, counts, times });
    }

    /// The last counts.
    pub fn counts(&self) -> FrameCounts {
        self.last
            .as_ref()
            .map(|last| last.counts)
            .unwrap_or_default()
    }

    /// Frames per second now: those that are read, and those that are written or skipped.
    pub fn fps(&self) -> (f64, f64) {
        let n = self.seconds.len().clamp(1, NOW) as f64;
        let now = || self.seconds.iter().rev().take(NOW);
        (
            now().map(|s| s.read).sum::<f64>() / n,
            now().map(|s| s.done).sum::<f64>() / n,
        )
    }

    /// Usual frames per second: the mean over the 30 seconds before the last frame.
    pub fn usual_fps(&self) -> f64 {
        let mut frames = 0.0;
        let mut n = 0.0;
        for second in self
            .seconds
            .iter()
            .rev()
            .skip_while(|second| second.read == 0.0)
            .take(30)
        {
            frames += second.read;
            n += 1.0;
        }
        if n > 0.0 { frames / n } else { 0.0 }
    }

    /// The latency now.
    pub fn latency(&self) -> Option<LatencyReport> {
        let mut times = Times::default();
        self.times.iter().for_each(|second| times.merge(second));
        times.report()
    }

    /// The last minutes.
    pub fn history(&self) -> History {
        let mut history = History::default();
        for second in &self.seconds {
            history.seconds.push(second.at);
            history.fps_read.push(second.read);
            history.fps_written.push(second.done);
            history.latency_p50_ms.push(second.latency.map(|l| l.p50));
            history.latency_p95_ms.push(second.latency.map(|l| l.p95));
            history.dropped.push(second.dropped);
            let quality = second.quality;
            history.coverage.push(quality.map(|q| q.coverage));
            let flicker = quality.and_then(|q| q.flicker);
            history.flicker.push(flicker.map(|percent| percent / 100.0));
        }
        history
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{latency::Latency, metrics::DroppedFrames};
    use std::time::Duration;

    #[test]
    fn each_second_has_its_own_rate_and_times() {
        let mut trend = Trend::default();
        let latency = Latency::default();
        let mut frames = 0;
        for second in 0..6 {
            for _ in 0..10 {
                latency.add(Duration::from_millis(if second == 3 { 90 } else { 20 }));
            }
            let counts = FrameCounts {
                read: frames,
                written: frames / 2,
                dropped: DroppedFrames {
                    behind: 3 * second as u64,
                    ..Default::default()
                },
                ..Default::default()
            };
            trend.add(f64::from(second), counts, latency.times(), None);
            frames += 10;
        }
        assert_eq!(trend.fps(), (10.0, 5.0));
        let history = trend.history();
        assert_eq!(history.seconds, [1, 2, 3, 4, 5]);
        assert_eq!(history.dropped, [3.0; 5]);
        assert_eq!(history.coverage, [None; 5]);
        let p50: Vec<f64> = history
            .latency_p50_ms
            .iter()
            .map(|p| p.expect("there were frames").round())
            .collect();
        assert!(
            (20.0..22.0).contains(&p50[0])
                && (90.0..95.0).contains(&p50[2])
                && (20.0..22.0).contains(&p50[3]),
            "{p50:?}"
        );
    }

    #[test]
    fn old_seconds_are_dropped() {
        let mut trend = Trend::default();
        (0..SECONDS as u32 + 50).for_each(|second| {
            let (counts, times) = Default::default();
            trend.add(f64::from(second), counts, times, None);
        });
        assert_eq!(trend.history().seconds.len(), SECONDS);
        assert!(trend.latency().is_none());
    }
}
