//! Progress of a long run: a bar for each camera on a terminal, a line every few seconds elsewhere.
use crate::{config::output_choice::ProgressStyle, output, telemetry};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle as BarStyle};
use mattebox_engine::{
    Watch,
    latency::Times,
    status::{Condition, Status, TimedCondition},
    stop::Stop,
    watch::{Progress, ProgressSource},
};
use std::{
    collections::VecDeque,
    io::{self, IsTerminal},
    time::{Duration, Instant, SystemTime},
};

const BAR_TICK: Duration = Duration::from_millis(100);
const LINE_INTERVAL: Duration = Duration::from_secs(5);
/// The period of the shown rates and latencies: long enough to read the digits.
const RECENT: Duration = Duration::from_secs(3);
/// With more cameras than this, one bar shows them all.
const MAX_BARS: usize = 12;
/// Longer names are cut.
const MAX_NAME: usize = 20;

/// The progress of one camera.
pub struct ProgressRow {
    /// Its name.
    pub name: String,
    /// Its counts.
    pub progress: Progress,
    /// How long its frames took, since the start.
    pub latencies: Times,
    /// The condition of its source; `None` if it has none.
    pub source: Option<TimedCondition>,
}

impl ProgressRow {
    /// Whether it failed before its first frame.
    fn failed_at_start(&self) -> bool {
        let condition = self.source.as_ref().map(|since| &since.condition);
        matches!(condition, Some(Condition::Failed { .. })) && self.progress.done == 0
    }
}

/// A row for each camera of `watch`, with the condition of its source.
pub fn rows<S: ProgressSource>(
    watch: &Watch<S>,
    latencies: impl Fn(&S) -> Times,
    status: impl Fn(usize, &S) -> Option<Status>,
) -> Vec<ProgressRow> {
    let cameras = watch.cameras.iter().enumerate();
    cameras
        .map(|(i, (id, counters))| ProgressRow {
            name: id.to_string(),
            progress: counters.progress(),
            latencies: latencies(counters),
            source: status(i, counters).map(|status| status.get()),
        })
        .collect()
}

/// Shows the progress of the cameras until `stop`. To be run on a separate thread.
pub fn show(
    style: ProgressStyle,
    rows: impl Fn() -> Vec<ProgressRow>,
    screen: &MultiProgress,
    stop: &Stop,
) {
    match style {
        ProgressStyle::None => {}
        ProgressStyle::Bar => bars(rows, screen, stop),
        ProgressStyle::Auto if telemetry::is_screen() => bars(rows, screen, stop),
        ProgressStyle::Auto | ProgressStyle::Lines => lines(rows, stop),
    }
}

/// Counts of the last seconds, for the present speed.
struct ProgressPace(VecDeque<(Instant, u64, Times)>);

/// The present speed.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Speed {
    frames_per_s: f64,
    /// Half of the recent frames took no longer.
    latency_ms: Option<f64>,
}

impl ProgressPace {
    fn new(begun: Instant) -> Self {
        ProgressPace(VecDeque::from([(begun, 0, Times::default())]))
    }

    fn of(&mut self, now: Instant, done: u64, latencies: &Times) -> Speed {
        self.0.push_back((now, done, latencies.clone()));
        // Keeps one count that is older than the period.
        while self
            .0
            .get(1)
            .is_some_and(|(then, ..)| now - *then >= RECENT)
        {
            self.0.pop_front();
        }
        let (then, before, earlier) = &self.0[0];
        let seconds = (now - *then).as_secs_f64();
        Speed {
            frames_per_s: match seconds > 0.0 {
                true => done.saturating_sub(*before) as f64 / seconds,
                false => 0.0,
            },
            latency_ms: latencies.since(earlier).report().map(|l| l.p50),
        }
    }
}

/// The sum over all cameras; the expected number is known only if each camera's is.
fn total(rows: &[ProgressRow]) -> (Progress, Times) {
    let known = rows.iter().all(|row| row.progress.expected > 0);
    let mut sum = Progress::default();
    let mut latencies = Times::default();
    for row in rows {
        sum.done += row.progress.done;
        sum.expected += row.progress.expected;
        sum.dropped += row.progress.dropped;
        sum.failed += row.progress.failed;
        latencies.merge(&row.latencies);
    }
    if !known {
        sum.expected = 0;
    }
    (sum, latencies)
}

/// The condition of a source that gives no frames. Its first words keep their width and place.
fn away(since: &TimedCondition) -> Option<String> {
    let seconds = SystemTime::now()
        .duration_since(since.since)
        .unwrap_or_default();
    let seconds = clock(seconds);
    match &since.condition {
        Condition::Connecting => Some(format!("connecting for {seconds}")),
        Condition::Unreached { why } => Some(format!("not reached for {seconds}: {}", brief(why))),
        Condition::Lost { why } => Some(format!("reconnecting for {seconds}: {}", brief(why))),
        Condition::Failed { why } => Some(format!("FAILED {seconds} ago: {}", brief(why))),
        Condition::Open | Condition::Ended => None,
    }
}

/// A reason without FFmpeg's own words, which the log has.
fn brief(why: &str) -> &str {
    why.split(" (FFmpeg: ").next().unwrap_or(why)
}

/// `0:05`, `12:34`, `1:02:03`.
fn clock(time: Duration) -> String {
    let all = time.as_secs();
    let (hours, minutes, seconds) = (all / 3600, all / 60 % 60, all % 60);
    match hours {
        0 => format!("{minutes}:{seconds:02}"),
        _ => format!("{hours}:{minutes:02}:{seconds:02}"),
    }
}

/// The numbers of a line, each padded to its likely final width.
fn numbers(progress: Progress, speed: Speed, left: Option<Duration>) -> String {
    let count = match progress.expected {
        0 => format!("{:>7}", progress.done),
        expected => {
            let width = expected.to_string().len();
            format!("{:>width$}/{expected}", progress.done)
        }
    };
    let latency = match speed.latency_ms {
        Some(ms) => format!("{ms:>5.0} ms"),
        None => format!("{:>5} ms", "-"),
    };
    let mut text = format!("{count} frames {:>6.1} fps {latency}", speed.frames_per_s);
    if let Some(left) = left {
        text += &format!(" {:>5} left", clock(left));
    }
    if progress.dropped > 0 {
        text += &format!(" {} dropped", progress.dropped);
    }
    if progress.failed > 0 {
        text += &format!(" {} failed", progress.failed);
    }
    text
}

/// The time until the end, if it is known.
fn left(progress: Progress, begun: Instant) -> Option<Duration> {
    let to_do = progress.expected.checked_sub(progress.done)?;
    let is_known = progress.expected > 0 && progress.done > 0;
    let seconds = begun.elapsed().as_secs_f64() / progress.done as f64 * to_do as f64;
    is_known.then(|| Duration::from_secs(seconds.ceil() as u64))
}

/// A name cut or padded to one width.
fn name(text: &str, width: usize) -> String {
    match text.chars().count() > width {
        true => text.chars().take(width - 1).chain(['…']).collect(),
        false => format!("{text:<width$}"),
    }
}

/// The cameras without frames, each with the reason.
fn troubles(rows: &[ProgressRow]) -> Vec<String> {
    let away = |row: &ProgressRow| Some(format!("{}: {}", row.name, away(row.source.as_ref()?)?));
    rows.iter().filter_map(away).collect()
}

fn bars(rows: impl Fn() -> Vec<ProgressRow>, screen: &MultiProgress, stop: &Stop) {
    let begun = Instant::now();
    let first = rows();
    let single = first.len() <= MAX_BARS;
    let names: Vec<String> = if single {
        first.iter().map(|row| row.name.clone()).collect()
    } else {
        vec![format!("{} cameras", first.len())]
    };
    let widest = names.iter().map(|n| n.chars().count()).max().unwrap_or(0);
    let width = widest.min(MAX_NAME);
    let known = BarStyle::with_template("{prefix} {wide_bar} {msg}");
    let endless = BarStyle::with_template("{prefix} {spinner} {wide_msg}");
    let known = known.unwrap_or_else(|_| BarStyle::default_bar());
    let endless = endless.unwrap_or_else(|_| BarStyle::default_spinner());
    let bars: Vec<ProgressBar> = names
        .iter()
        .map(|n| screen.add(ProgressBar::no_length().with_prefix(name(n, width))))
        .collect();
    let mut paces: Vec<_> = bars.iter().map(|_| ProgressPace::new(begun)).collect();
    loop {
        let stopped = stop.wait(BAR_TICK);
        let rows = rows();
        let now = Instant::now();
        for (i, (bar, pace)) in bars.iter().zip(&mut paces).enumerate() {
            let (progress, latencies) = match single {
                true => total(&rows[i..=i]),
                false => total(&rows),
            };
            let speed = pace.of(now, progress.done, &latencies);
            let message = match single {
                true => rows[i].source.as_ref().and_then(away),
                false => match troubles(&rows) {
                    away if away.is_empty() => None,
                    away => Some(format!(
                        "{} {} away: {}",
                        numbers(progress, speed, None),
                        away.len(),
                        away.join("; ")
                    )),
                },
            };
            let is_away = message.is_some();
            let message =
                message.unwrap_or_else(|| numbers(progress, speed, left(progress, begun)));
            match progress.expected > 0 && !is_away {
                true => {
                    bar.set_style(known.clone());
                    bar.set_length(progress.expected);
                    bar.set_position(progress.done);
                }
                false => bar.set_style(endless.clone()),
            }
            bar.set_message(message);
            bar.tick();
        }
        if stopped {
            let rows = rows.iter().filter(|_| single).map(Some);
            for (bar, row) in bars.iter().zip(rows.chain(std::iter::repeat(None))) {
                // The reason of the failure is shown below.
                match row.is_some_and(ProgressRow::failed_at_start) {
                    true => bar.finish_and_clear(),
                    false => bar.abandon(),
                }
            }
            // The last bar fills its line; later text begins below it, even in a copy of the
            // screen.
            if io::stderr().is_terminal() {
                output::tell("");
            }
            return;
        }
    }
}

fn lines(rows: impl Fn() -> Vec<ProgressRow>, stop: &Stop) {
    let begun = Instant::now();
    let mut pace = ProgressPace::new(begun);
    while !stop.wait(LINE_INTERVAL) {
        let rows = rows();
        let (progress, latencies) = total(&rows);
        let speed = pace.of(Instant::now(), progress.done, &latencies);
        let away = troubles(&rows);
        // There is nothing to count before the first camera.
        let mut parts = match away.len() == rows.len() && progress.done == 0 {
            true => vec![],
            false => vec![numbers(progress, speed, left(progress, begun))],
        };
        parts.extend(away);
        tracing::info!("{}", parts.join("; "));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(done: u64, expected: u64) -> Progress {
        Progress {
            done,
            expected,
            ..Progress::default()
        }
    }

    fn speed(frames_per_s: f64, latency_ms: Option<f64>) -> Speed {
        Speed {
            frames_per_s,
            latency_ms,
        }
    }

    #[test]
    fn digits_keep_their_places() {
        let texts = [
            numbers(progress(3, 250), speed(0.0, None), None),
            numbers(progress(42, 250), speed(7.25, Some(3.4)), None),
            numbers(progress(250, 250), speed(1234.5, Some(12345.0)), None),
        ];
        let ends =
            |text: &String| ["frames", "fps", "ms"].map(|word| text.find(word).expect("a word"));
        assert_eq!(ends(&texts[0]), ends(&texts[1]), "{texts:#?}");
        assert_eq!(ends(&texts[1]), ends(&texts[2]), "{texts:#?}");
        assert_eq!(texts[1], " 42/250 frames    7.2 fps     3 ms");
    }

    #[test]
    fn a_rate_is_that_of_the_last_seconds() {
        let begun = Instant::now();
        let mut pace = ProgressPace::new(begun);
        let none = Times::default();
        let mut at = |seconds, done| {
            let now = begun + Duration::from_secs(seconds);
            pace.of(now, done, &none).frames_per_s
        };
        assert_eq!(at(0, 0), 0.0);
        assert_eq!(at(1, 10), 10.0);
        assert_eq!(at(3, 30), 10.0);
        // Ten frames a second until now, then none: after three seconds nothing of it is left.
        assert_eq!(at(6, 30), 0.0);
    }

    #[test]
    fn a_camera_that_is_away_says_why_and_for_how_long() {
        let since = TimedCondition {
            condition: Condition::Lost {
                why: "no answer".to_owned(),
            },
            since: SystemTime::now() - Duration::from_secs(75),
        };
        let text = away(&since).expect("it is away");
        assert!(
            text.starts_with("reconnecting for 1:1") && text.ends_with(": no answer"),
            "{text}"
        );
        let open = TimedCondition {
            condition: Condition::Open,
            ..since
        };
        assert_eq!(away(&open), None);
    }

    #[test]
    fn long_names_are_cut_and_short_ones_filled() {
        assert_eq!(name("door", 6), "door  ");
        assert_eq!(name("front-door", 6), "front…");
    }
}
