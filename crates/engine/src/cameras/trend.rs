//! How a camera did over the last minutes: a row of numbers for each second.
use super::quality::Quality;
use crate::latency::{LatencyReport, Times};
use serde::Serialize;
use std::collections::VecDeque;
#[cfg(feature = "view")]
use utoipa::ToSchema;

/// Seconds that are kept.
pub const SECONDS: usize = 300;
/// What is shown as "now" is the mean over so many seconds, so that it does not jump about.
const NOW: usize = 3;

/// What is counted of a camera, at one moment.
#[derive(Debug, Clone, Default)]
pub struct Counted {
    /// Frames that came.
    pub frames_in: u64,
    /// Frames that are where they were to go.
    pub frames_out: u64,
    /// Frames dropped, for whatever reason.
    pub dropped: u64,
    /// Frames that could not be made.
    pub failed: u64,
    /// How long all frames took so far.
    pub times: Times,
}

/// The last minutes, oldest first; one value for each second.
#[derive(Debug, Clone, Default, Serialize)]
#[cfg_attr(feature = "view", derive(ToSchema))]
pub struct History {
    /// Unix time.
    pub seconds: Vec<i64>,
    /// Frames that came.
    pub fps_in: Vec<f64>,
    /// Frames that went.
    pub fps_out: Vec<f64>,
    /// Half of the second's frames took no longer, in milliseconds.
    pub latency_p50_ms: Vec<Option<f64>>,
    /// 95 of 100 took no longer.
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
    frames_in: f64,
    frames_out: f64,
    dropped: f64,
    latency: Option<LatencyReport>,
    quality: Option<Quality>,
}

/// Collects what was counted, once a second.
#[derive(Debug, Default)]
pub struct Trend {
    last: Option<(f64, Counted)>,
    seconds: VecDeque<Second>,
    /// How long frames took in each of the last [`NOW`] seconds.
    times: VecDeque<Times>,
}

impl Trend {
    /// Adds what is counted, and how good the mattes seem, at unix time `at`.
    pub(super) fn add(&mut self, at: f64, counted: Counted, quality: Option<Quality>) {
        if let Some((before, last)) = self.last.take()
            && at > before
        {
            let rate = |now: u64, then: u64| now.saturating_sub(then) as f64 / (at - before);
            let times = counted.times.since(&last.times);
            let frames_in = rate(counted.frames_in, last.frames_in);
            let frames_out = rate(counted.frames_out, last.frames_out);
            let dropped = rate(counted.dropped, last.dropped);
            self.seconds.push_back(Second {
                at: at as i64,
                frames_in,
                frames_out,
                dropped,
                latency: times.report(),
                quality,
            });
            self.times.push_back(times);
            if self.seconds.len() > SECONDS {
                self.seconds.pop_front();
            }
            if self.times.len() > NOW {
                self.times.pop_front();
            }
        }
        self.last = Some((at, counted));
    }

    /// What was counted last.
    pub fn counted(&self) -> Counted {
        self.last
            .as_ref()
            .map(|(_, counted)| counted.clone())
            .unwrap_or_default()
    }

    /// Frames per second that came and that went, now.
    pub fn fps(&self) -> (f64, f64) {
        let n = self.seconds.len().clamp(1, NOW) as f64;
        let now = || self.seconds.iter().rev().take(NOW);
        (
            now().map(|s| s.frames_in).sum::<f64>() / n,
            now().map(|s| s.frames_out).sum::<f64>() / n,
        )
    }

    /// Frames per second that usually come: over the half minute that ends with the last frame.
    pub fn usual_fps(&self) -> f64 {
        let mut frames = 0.0;
        let mut n = 0.0;
        for second in self
            .seconds
            .iter()
            .rev()
            .skip_while(|second| second.frames_in == 0.0)
            .take(30)
        {
            frames += second.frames_in;
            n += 1.0;
        }
        if n > 0.0 { frames / n } else { 0.0 }
    }

    /// How long frames take now.
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
            history.fps_in.push(second.frames_in);
            history.fps_out.push(second.frames_out);
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
    use crate::latency::Latency;
    use std::time::Duration;

    #[test]
    fn each_second_has_its_own_rate_and_times() {
        let mut trend = Trend::default();
        let latency = Latency::default();
        let mut frames = 0;
        for second in 0..6 {
            for _ in 0..10 {
                latency.add_time(Duration::from_millis(if second == 3 { 90 } else { 20 }));
            }
            trend.add(
                f64::from(second),
                Counted {
                    frames_in: frames,
                    frames_out: frames / 2,
                    times: latency.times(),
                    dropped: 3 * second as u64,
                    ..Default::default()
                },
                None,
            );
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
    fn minutes_ago_is_forgotten() {
        let mut trend = Trend::default();
        (0..SECONDS as u32 + 50)
            .for_each(|second| trend.add(f64::from(second), Counted::default(), None));
        assert_eq!(trend.history().seconds.len(), SECONDS);
        assert!(trend.latency().is_none());
    }
}
