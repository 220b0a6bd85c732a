//! Progress of a long run: bars on a terminal, a line every few seconds elsewhere.
use crate::{config::output_choice::ProgressStyle, run::stats::CameraStats};
use indicatif::{MultiProgress, ProgressBar, ProgressStyle as BarStyle};
use mattebox_engine::{
    Watch,
    stop::Stop,
    watch::{Progress, ProgressSource},
};
use std::{
    io::IsTerminal,
    sync::atomic::Ordering::Relaxed,
    time::{Duration, Instant},
};

const BAR_TICK: Duration = Duration::from_millis(100);
const LINE_EVERY: Duration = Duration::from_secs(5);
/// With more cameras than this, one bar shows them all.
const MAX_BARS: usize = 12;

impl ProgressSource for CameraStats {
    fn progress(&self) -> Progress {
        Progress {
            done: self.written.load(Relaxed) + self.skipped.load(Relaxed),
            expected: self.expected.load(Relaxed),
            dropped: self.dropped(),
            failed: self.failed.load(Relaxed),
        }
    }
}

/// Shows what `watch` counts until `stop`. To be run on a thread of its own.
pub fn show<S: ProgressSource>(
    style: ProgressStyle,
    watch: &Watch<S>,
    screen: &MultiProgress,
    stop: &Stop,
) {
    let terminal = std::io::stderr().is_terminal();
    match style {
        ProgressStyle::None => {}
        ProgressStyle::Bar => bars(watch, screen, stop),
        ProgressStyle::Auto if terminal => bars(watch, screen, stop),
        ProgressStyle::Auto | ProgressStyle::Lines => lines(watch, stop),
    }
}

/// The sum over all cameras; the expected number is known only if each camera's is.
fn total<S: ProgressSource>(watch: &Watch<S>) -> Progress {
    let all: Vec<_> = watch.cameras.iter().map(|(_, s)| s.progress()).collect();
    let known = all.iter().all(|c| c.expected > 0);
    let sum = all.iter().fold(Progress::default(), |a, c| Progress {
        done: a.done + c.done,
        expected: a.expected + c.expected,
        dropped: a.dropped + c.dropped,
        failed: a.failed + c.failed,
    });
    Progress {
        expected: if known { sum.expected } else { 0 },
        ..sum
    }
}

fn trouble(c: Progress) -> String {
    let mut text = String::new();
    if c.dropped > 0 {
        text += &format!(", {} dropped", c.dropped);
    }
    if c.failed > 0 {
        text += &format!(", {} failed", c.failed);
    }
    text
}

fn bars<S: ProgressSource>(watch: &Watch<S>, screen: &MultiProgress, stop: &Stop) {
    let single = watch.cameras.len() <= MAX_BARS;
    let names: Vec<String> = if single {
        watch.cameras.iter().map(|(id, _)| id.to_string()).collect()
    } else {
        vec![format!("{} cameras", watch.cameras.len())]
    };
    let known = BarStyle::with_template(
        "{prefix:<12} {wide_bar} {pos}/{len} frames, {per_sec}, {eta} left{msg}",
    );
    let endless =
        BarStyle::with_template("{prefix:<12} {spinner} {pos} frames, {per_sec}, {elapsed}{msg}");
    let known = known.unwrap_or_else(|_| BarStyle::default_bar());
    let endless = endless.unwrap_or_else(|_| BarStyle::default_spinner());
    let bars: Vec<ProgressBar> = names
        .into_iter()
        .map(|n| screen.add(ProgressBar::no_length().with_prefix(n)))
        .collect();
    loop {
        let stopped = stop.wait(BAR_TICK);
        for (i, bar) in bars.iter().enumerate() {
            let c = if single {
                watch.cameras[i].1.progress()
            } else {
                total(watch)
            };
            if c.expected > 0 && bar.length() != Some(c.expected) {
                bar.set_style(known.clone());
                bar.set_length(c.expected);
            } else if c.expected == 0 && bar.position() == 0 {
                bar.set_style(endless.clone());
            }
            bar.set_message(trouble(c));
            bar.set_position(c.done);
        }
        if stopped {
            bars.iter().for_each(ProgressBar::abandon);
            return;
        }
    }
}

fn lines<S: ProgressSource>(watch: &Watch<S>, stop: &Stop) {
    let start = Instant::now();
    let mut before = (start, 0);
    while !stop.wait(LINE_EVERY) {
        let c = total(watch);
        let now = Instant::now();
        let fps = (c.done - before.1) as f64 / (now - before.0).as_secs_f64().max(1e-9);
        before = (now, c.done);
        let of = if c.expected > 0 {
            format!(" of {}", c.expected)
        } else {
            String::new()
        };
        let left = match c.expected.checked_sub(c.done) {
            Some(left) if c.expected > 0 && c.done > 0 => {
                let seconds = start.elapsed().as_secs_f64() / c.done as f64 * left as f64;
                format!(
                    ", {} left",
                    humantime::format_duration(Duration::from_secs(seconds.ceil() as u64))
                )
            }
            _ => String::new(),
        };
        tracing::info!(
            "{}{of} frames, {fps:.1} per second{left}{}",
            c.done,
            trouble(c)
        );
    }
}
