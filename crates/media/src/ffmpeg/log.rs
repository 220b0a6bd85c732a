//! What FFmpeg says on stderr: its errors, what it found in the input, and the time of each frame.
use crossbeam_channel::{Receiver, Sender};
use mattebox_engine::address::scrub::Scrubber;
use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// Lines of errors that are kept, the last ones.
const KEPT_LINES: usize = 12;
/// Bytes of a line that are kept.
const KEPT_BYTES: usize = 600;
/// Frame times that may wait for their frames. FFmpeg runs at most a few frames ahead of its pipe.
const WAITING_TIMES: usize = 4096;

/// What FFmpeg told about its first input.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct Header {
    /// Decoding begins. False: the child ended before.
    pub opened: bool,
    /// Length in seconds; of a live stream it is unknown.
    pub duration: Option<f64>,
    /// Frames per second of its video.
    pub fps: Option<f64>,
    /// The size of its video, if that is Motion JPEG.
    pub motion_jpeg: Option<(u32, u32)>,
    /// It is to be turned or mirrored to be upright.
    pub turned: bool,
    /// It has a video whose size FFmpeg does not know yet.
    pub unsized_video: bool,
}

/// The last errors of a child, oldest first. They may repeat its addresses with their passwords, so that they are only to be had by
/// [`super::diagnose`], which leaves those out.
#[derive(Default)]
pub struct Errors {
    lines: Vec<String>,
    scrubber: Scrubber,
}

impl Errors {
    /// Whether it said nothing.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether one of these words is in a line, in lower case.
    pub fn mention(&self, words: &[&str]) -> bool {
        self.lines.iter().any(|line| {
            words
                .iter()
                .any(|words| line.to_lowercase().contains(words))
        })
    }

    /// The lines as they came: to be compared, never to be shown.
    pub(super) fn lines(&self) -> &[String] {
        &self.lines
    }

    /// A line as it may be shown.
    pub(super) fn shown(&self, line: &str) -> String {
        self.scrubber.scrub(line)
    }

    #[cfg(test)]
    pub(super) fn of(lines: &[&str], address: &str) -> Self {
        Errors {
            lines: lines.iter().map(|line| line.to_string()).collect(),
            scrubber: Scrubber::of([address]),
        }
    }
}

impl std::fmt::Debug for Errors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.lines.iter().map(|line| self.shown(line)))
            .finish()
    }
}

/// The log of one child, filled by a thread of its own.
#[derive(Debug)]
pub struct Log {
    shared: Arc<Shared>,
    scrubber: Scrubber,
    reader: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    errors: VecDeque<String>,
    header: Header,
    /// Seconds of one unit of the frames' times, as a fraction.
    time_base: Option<(f64, f64)>,
    /// The child closed its stderr.
    ended: bool,
}

impl std::fmt::Debug for State {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("State")
            .field("header", &self.header)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl Log {
    /// Reads the `stderr` of `command` until its end. The second value gives the time of each frame in seconds, in order, where the filter
    /// `showinfo` prints it.
    pub fn follow(
        stderr: impl Read + Send + 'static,
        command: &Command,
    ) -> (Log, Receiver<Option<f64>>) {
        let shared = Arc::<Shared>::default();
        let (times, receiver) = crossbeam_channel::bounded(WAITING_TIMES);
        let reader = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                each_line(stderr, |line| shared.line(line, &times));
                let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
                state.ended = true;
                shared.changed.notify_all();
            }
        });
        (
            Log {
                shared,
                scrubber: Scrubber::of_command(command),
                reader: Some(reader),
            },
            receiver,
        )
    }

    /// Waits up to `patience` until the input is open or the child has ended. `None` if neither came.
    pub fn wait_for_header(&self, patience: Duration) -> Option<Header> {
        let state = self
            .shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (state, _) = self
            .shared
            .changed
            .wait_timeout_while(state, patience, |state| {
                !state.header.opened && !state.ended
            })
            .unwrap_or_else(PoisonError::into_inner);
        (state.header.opened || state.ended).then_some(state.header)
    }

    /// The last errors, oldest first, after the child has ended: waits for the rest of its log.
    pub fn into_errors(mut self) -> Errors {
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        self.errors()
    }

    /// The last errors so far, oldest first.
    pub fn errors(&self) -> Errors {
        let state = self
            .shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        Errors {
            lines: state.errors.iter().cloned().collect(),
            scrubber: self.scrubber.clone(),
        }
    }
}

impl Shared {
    fn line(&self, line: &str, times: &Sender<Option<f64>>) {
        let Some(line) = Line::parse(line) else {
            return;
        };
        if line.component.starts_with("Parsed_showinfo") {
            let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(rest) = line.text.strip_prefix("config in time_base: ") {
                state.time_base = rest.split(',').next().and_then(fraction);
            } else if line.text.starts_with("n:") {
                let _ = times.try_send(frame_time(line.text, state.time_base));
            }
            return;
        }
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match line.level {
            "error" | "fatal" | "panic" => {
                if state.errors.len() == KEPT_LINES {
                    state.errors.pop_front();
                }
                state.errors.push_back(line.text.to_owned());
            }
            "info" if !state.header.opened => {
                if line.text.starts_with("Stream mapping:") {
                    state.header.opened = true;
                    self.changed.notify_all();
                } else {
                    state.header.learn(line.text);
                }
            }
            _ => {}
        }
    }
}

impl Header {
    /// The size of its video, if its pictures are JPEG and whole as they are.
    pub fn upright_motion_jpeg(&self) -> Option<(u32, u32)> {
        self.motion_jpeg.filter(|_| !self.turned)
    }

    /// Takes what a line of the input's description says.
    fn learn(&mut self, line: &str) {
        let line = line.trim_start();
        if let Some(rest) = line.strip_prefix("Duration: ") {
            if self.duration.is_none() {
                self.duration = rest.split(',').next().and_then(clock);
            }
        } else if line.starts_with("Stream #0:")
            && line.contains(" Video: ")
            && !line.contains("(attached pic)")
            && self.fps.is_none()
        {
            let size = |part: &str| {
                let (width, height) = part.split(' ').next()?.split_once('x')?;
                Some((width.parse().ok()?, height.parse().ok()?))
            };
            let size: Option<(u32, u32)> = line.split(", ").skip(1).find_map(size);
            self.unsized_video = size.is_none();
            self.motion_jpeg =
                size.filter(|_| line.contains(" Video: mjpeg ") || line.contains(" Video: mjpeg,"));
            let rate = |unit: &str| {
                line.split(", ")
                    .find_map(|part| part.split(' ').nth(1).filter(|u| *u == unit).map(|_| part))
            };
            let part = rate("fps").or_else(|| rate("tbr"));
            self.fps = part
                .and_then(|part| part.split(' ').next())
                .and_then(frame_rate);
        } else if line.starts_with("displaymatrix:") {
            self.turned = true;
        }
    }
}

/// Numerator and denominator of `1/12800`.
fn fraction(text: &str) -> Option<(f64, f64)> {
    let (numerator, denominator) = text.trim().split_once('/')?;
    Some((numerator.parse().ok()?, denominator.parse().ok()?))
}

/// The seconds in a line of `showinfo`. `pts_time` has six digits only, so that it is used where there is nothing better.
fn frame_time(line: &str, time_base: Option<(f64, f64)>) -> Option<f64> {
    let number = |name: &str| {
        line.split_once(name)?
            .1
            .split_ascii_whitespace()
            .next()?
            .parse::<f64>()
            .ok()
    };
    match time_base {
        Some((numerator, denominator)) => number(" pts:").map(|pts| pts * numerator / denominator),
        None => number(" pts_time:"),
    }
}

/// Seconds of `00:01:02.50`.
fn clock(text: &str) -> Option<f64> {
    let seconds = text.trim().split(':').try_fold(0.0, |sum, part| {
        part.parse::<f64>().ok().map(|part| sum * 60.0 + part)
    })?;
    (seconds > 0.0).then_some(seconds)
}

/// A rate as FFmpeg prints it: `25`, `29.97`, `1k`. It prints two decimals; the rates of NTSC are 1/1.001 of a whole number.
fn frame_rate(text: &str) -> Option<f64> {
    let rate = match text.strip_suffix('k') {
        Some(thousands) => thousands.parse::<f64>().ok()? * 1000.0,
        None => text.parse::<f64>().ok()?,
    };
    let ntsc = rate.round() * 1000.0 / 1001.0;
    let exact = if rate.fract() != 0.0 && (rate - ntsc).abs() < 0.0051 {
        ntsc
    } else {
        rate
    };
    (exact > 0.0 && exact.is_finite()).then_some(exact)
}

/// One line: `[component @ 0x55a0] [level] text`, the component is not always there.
#[derive(Debug, PartialEq)]
struct Line<'a> {
    component: &'a str,
    level: &'a str,
    text: &'a str,
}

impl<'a> Line<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut rest = line;
        let mut component = "";
        // A component may have a parent before it, each in brackets of its own.
        while let Some((inside, after)) = rest.strip_prefix('[').and_then(|r| r.split_once("] ")) {
            if matches!(inside, "panic" | "fatal" | "error" | "warning" | "info") {
                return Some(Line {
                    component,
                    level: inside,
                    text: after.trim_end(),
                });
            }
            component = inside.split(" @ ").next().unwrap_or(inside);
            rest = after;
        }
        None
    }
}

/// Calls `take` with every line, cut to [`KEPT_BYTES`]. Reads to the end whatever comes, so that the child never blocks.
fn each_line(mut from: impl Read, mut take: impl FnMut(&str)) {
    let mut buffer = [0; 8192];
    let mut line = Vec::new();
    loop {
        let read = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        for &byte in &buffer[..read] {
            if matches!(byte, b'\n' | b'\r') {
                take(whole_words(&String::from_utf8_lossy(&line)));
                line.clear();
            } else if line.len() < KEPT_BYTES {
                line.push(byte);
            }
        }
    }
    take(whole_words(&String::from_utf8_lossy(&line)));
}

/// A line that was cut ends with its last whole word: half of a secret would not be known as one.
fn whole_words(line: &str) -> &str {
    match line.len() >= KEPT_BYTES {
        true => line.rsplit_once(' ').map_or("", |(before, _)| before),
        false => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(text: &'static str) -> (Header, Vec<String>, Vec<Option<f64>>) {
        let (log, times) = Log::follow(text.as_bytes(), &Command::new("ffmpeg"));
        let header = log.wait_for_header(Duration::from_secs(10)).unwrap();
        (
            header,
            log.into_errors().lines().to_vec(),
            times.iter().collect(),
        )
    }

    #[test]
    fn a_file_is_described() {
        let (header, errors, times) = follow(
            "[info] Input #0, mov,mp4, from 'file:a.mp4':\n\
             [info]   Duration: 00:01:02.50, start: 0.000000, bitrate: 720 kb/s\n\
             [info]   Stream #0:0: Video: png, rgba(pc), 512x512, 90k tbr, 90k tbn (attached pic)\n\
             [info]   Stream #0:1[0x1](und): Video: h264 (High), yuv420p(tv, bt709, progressive), 640x360, 716 kb/s, 29.97 fps, 25 tbr\n\
             [info] Stream mapping:\n\
             [Parsed_showinfo_0 @ 0x56] [info] config in time_base: 1/12800, frame_rate: 25/1\n\
             [Parsed_showinfo_0 @ 0x56] [info] n:   0 pts:      0 pts_time:0       pos:     1774 fmt:yuv420p\n\
             [Parsed_showinfo_0 @ 0x56] [info] color_range:tv\n\
             [Parsed_showinfo_0 @ 0x56] [info] n:   1 pts:    NOPTS pts_time:NOPTS    pos:    26452\n\
             [Parsed_showinfo_0 @ 0x56] [info] n:   2 pts:   1024 pts_time:0.08    pos:    26452\n\
             [Parsed_showinfo_0 @ 0x56] [info] n:   3 pts: 128000512 pts_time:10000    pos:    26452\n\
             [h264 @ 0x1] [error] error while decoding MB 1 2",
        );
        assert_eq!(
            header,
            Header {
                opened: true,
                duration: Some(62.5),
                fps: Some(30000.0 / 1001.0),
                ..Header::default()
            }
        );
        assert_eq!(errors, ["error while decoding MB 1 2"]);
        assert_eq!(times, [Some(0.0), None, Some(0.08), Some(10_000.04)]);
    }

    #[test]
    fn a_live_stream_has_no_duration_and_may_have_no_rate() {
        let (header, _, _) = follow(
            "[info]   Duration: N/A, start: 0.0\n[info]   Stream #0:0: Video: mjpeg, 9x9\n[info] Stream mapping:\n",
        );
        assert_eq!(
            header,
            Header {
                opened: true,
                motion_jpeg: Some((9, 9)),
                ..Header::default()
            }
        );
    }

    #[test]
    fn motion_jpeg_is_told_from_other_video() {
        let (header, _, _) = follow(
            "[info]   Duration: 00:00:00.60, start: 0.000000, bitrate: 170 kb/s\n\
             [info]   Stream #0:0: Video: mjpeg (Baseline) (MJPG / 0x47504A4D), yuvj420p(pc, bt470bg/unknown/unknown), 64x48 [SAR 1:1 DAR 4:3], 5 fps, 5 tbr, 5 tbn\n\
             [info]       displaymatrix: rotation of -90.00 degrees\n\
             [info] Stream mapping:\n",
        );
        assert_eq!(
            (header.motion_jpeg, header.fps, header.turned),
            (Some((64, 48)), Some(5.0), true)
        );
        let (header, _, _) = follow(
            "[info]   Stream #0:0: Video: mjpegb, yuvj420p, 0x7, 5 fps\n[info] Stream mapping:\n",
        );
        assert_eq!(header.motion_jpeg, None, "another codec");
    }

    #[test]
    fn only_the_last_errors_are_kept_and_long_lines_are_cut() {
        let mut text = String::new();
        for i in 0..10_000 {
            text.push_str(&format!(
                "[a @ 0x1] [b @ 0x2] [error] line {i} {}\r\n",
                "x".repeat(5000)
            ));
        }
        let (_, errors, _) = follow(text.leak());
        assert_eq!(errors.len(), KEPT_LINES);
        assert!(errors[KEPT_LINES - 1].starts_with("line 9999"));
        assert!(errors.iter().all(|line| line.len() <= KEPT_BYTES));
    }

    #[test]
    fn rates_as_ffmpeg_prints_them() {
        let near =
            |text, want: f64| assert!((frame_rate(text).unwrap() - want).abs() < 1e-9, "{text}");
        near("25", 25.0);
        near("12.50", 12.5);
        near("23.98", 24000.0 / 1001.0);
        near("59.94", 60000.0 / 1001.0);
        near("1k", 1000.0);
        near("0.0333", 0.0333);
        assert_eq!(frame_rate("0"), None);
    }
}
