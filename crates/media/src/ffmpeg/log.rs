//! FFmpeg's messages on stderr: its errors, and its descriptions of input and output.
use super::streams::{Colours, VideoStream, audio_codec};
use mattebox_engine::address::scrub::Scrubber;
use std::collections::VecDeque;
use std::io::{ErrorKind, Read};
use std::process::Command;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// The number of errors that are kept, the last ones.
const KEPT_LINES: usize = 12;
/// Bytes of a line that are kept.
const KEPT_BYTES: usize = 600;

/// The highest plausible frame rate. If FFmpeg knows no rate, it prints the ticks of the stream's
/// clock, which are higher.
const FASTEST: f64 = 480.0;

/// FFmpeg's description of its first input.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct InputHeader {
    /// Decoding has begun. False: the child ended before.
    pub opened: bool,
    /// Length in seconds; of a live stream it is unknown.
    pub duration: Option<f64>,
    /// The video that players show.
    pub video: Option<VideoStream>,
    /// The index of the first video.
    pub first_video: Option<u32>,
    /// It has sound.
    pub has_sound: bool,
    /// The video must be turned or mirrored to be upright.
    pub turned: bool,
}

/// FFmpeg's description of its first output.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct OutputHeader {
    /// The meaning of its pictures' samples.
    pub colours: Option<Colours>,
    /// The name of its sound's codec, if it has sound.
    pub sound: Option<String>,
}

/// The last errors of a child, oldest first. They may hold addresses with passwords, so only
/// [`super::diagnose`] can read them, and it removes the passwords.
#[derive(Default)]
pub struct FfmpegErrors {
    lines: Vec<String>,
    scrubber: Scrubber,
}

impl FfmpegErrors {
    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// Whether a line has one of these words, which are in lower case.
    pub fn mention(&self, words: &[&str]) -> bool {
        self.lines.iter().any(|line| {
            words
                .iter()
                .any(|words| line.to_lowercase().contains(words))
        })
    }

    /// The unchanged lines, to be compared and never to be shown.
    pub(super) fn lines(&self) -> &[String] {
        &self.lines
    }

    /// A line without its secrets.
    pub(super) fn shown(&self, line: &str) -> String {
        self.scrubber.scrub(line)
    }

    #[cfg(test)]
    pub(super) fn of(lines: &[&str], address: &str) -> Self {
        FfmpegErrors {
            lines: lines.iter().map(|line| line.to_string()).collect(),
            scrubber: Scrubber::of([address]),
        }
    }
}

impl std::fmt::Debug for FfmpegErrors {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.lines.iter().map(|line| self.shown(line)))
            .finish()
    }
}

/// The log of one child, which a thread fills.
#[derive(Debug)]
pub struct FfmpegLog {
    shared: Arc<LogShared>,
    scrubber: Scrubber,
    reader: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct LogShared {
    state: Mutex<LogState>,
    changed: Condvar,
}

#[derive(Default)]
struct LogState {
    errors: VecDeque<String>,
    header: InputHeader,
    /// The last described stream is the one that players show.
    is_chosen: bool,
    /// The output, as soon as its description begins.
    output: Option<OutputHeader>,
    /// The child closed its stderr.
    ended: bool,
}

impl std::fmt::Debug for LogState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogState")
            .field("header", &self.header)
            .field("ended", &self.ended)
            .finish_non_exhaustive()
    }
}

impl FfmpegLog {
    /// Reads the `stderr` of `command` until its end.
    pub fn follow(stderr: impl Read + Send + 'static, command: &Command) -> FfmpegLog {
        let shared = Arc::<LogShared>::default();
        let reader = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                each_line(stderr, |line| shared.line(line));
                let mut state = shared.state.lock().unwrap_or_else(PoisonError::into_inner);
                state.ended = true;
                shared.changed.notify_all();
            }
        });
        FfmpegLog {
            shared,
            scrubber: Scrubber::of_command(command),
            reader: Some(reader),
        }
    }

    /// The description of the output, which FFmpeg prints before it sends the output.
    pub fn output(&self) -> OutputLog {
        OutputLog(Arc::clone(&self.shared))
    }

    /// Waits up to `timeout` until the input is open or the child has ended. `None` if neither
    /// happens.
    pub fn wait_for_header(&self, timeout: Duration) -> Option<InputHeader> {
        let state = self
            .shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let (state, _) = self
            .shared
            .changed
            .wait_timeout_while(state, timeout, |state| !state.header.opened && !state.ended)
            .unwrap_or_else(PoisonError::into_inner);
        (state.header.opened || state.ended).then_some(state.header)
    }

    /// The last errors, oldest first, after the child has ended: waits for the rest of its log.
    pub fn into_errors(mut self) -> FfmpegErrors {
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
        self.errors()
    }

    /// The last errors so far, oldest first.
    pub fn errors(&self) -> FfmpegErrors {
        let state = self
            .shared
            .state
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        FfmpegErrors {
            lines: state.errors.iter().cloned().collect(),
            scrubber: self.scrubber.clone(),
        }
    }
}

/// FFmpeg's messages about the output.
#[derive(Debug, Clone)]
pub struct OutputLog(Arc<LogShared>);

impl OutputLog {
    /// Whether the output has begun: its encoders are open.
    pub fn has_begun(&self) -> bool {
        let state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.output.is_some()
    }

    /// Waits up to `timeout` until the output is described, with its sound if `has_sound`. Returns
    /// the descriptions so far.
    pub fn wait(&self, has_sound: bool, timeout: Duration) -> (InputHeader, OutputHeader) {
        let is_told = |output: &OutputHeader| {
            output.colours.is_some() && (!has_sound || output.sound.is_some())
        };
        let state = self.0.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (state, _) = self
            .0
            .changed
            .wait_timeout_while(state, timeout, |state| {
                !state.output.as_ref().is_some_and(is_told) && !state.ended
            })
            .unwrap_or_else(PoisonError::into_inner);
        (state.header, state.output.clone().unwrap_or_default())
    }
}

impl LogShared {
    fn line(&self, line: &str) {
        let Some(line) = LogLine::parse(line) else {
            return;
        };
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
                    state.learn(line.text.trim_start());
                }
            }
            "info" if state.learn_output(line.text.trim()) => self.changed.notify_all(),
            _ => {}
        }
    }
}

impl InputHeader {
    /// The size of its video, if its pictures are upright JPEG.
    pub fn upright_motion_jpeg(&self) -> Option<(u32, u32)> {
        let video = self
            .video
            .filter(|video| video.is_motion_jpeg && !self.turned);
        video.and_then(|video| video.size)
    }

    /// Pictures per second of the video.
    pub fn fps(&self) -> Option<f64> {
        let fps = self.video.and_then(|video| video.fps);
        fps.filter(|fps| *fps <= FASTEST)
    }

    /// Whether it has a video whose size FFmpeg does not know yet.
    pub fn is_unsized(&self) -> bool {
        self.video.is_some_and(|video| video.size.is_none())
    }
}

impl LogState {
    /// Reads a line of the input's description.
    fn learn(&mut self, line: &str) {
        let header = &mut self.header;
        if let Some(rest) = line.strip_prefix("Duration: ") {
            if header.duration.is_none() {
                header.duration = rest.split(',').next().and_then(clock);
            }
        } else if line.starts_with("Stream #0:") {
            header.has_sound |= audio_codec(line).is_some();
            let video = VideoStream::read(line).filter(|video| !video.is_cover);
            header.first_video = header.first_video.or(video.map(|video| video.index));
            self.is_chosen = video
                .is_some_and(|video| header.video.is_none_or(|before| video.goes_before(&before)));
            if self.is_chosen {
                header.video = video;
                header.turned = false;
            }
        } else if line.starts_with("displaymatrix:") {
            header.turned |= self.is_chosen;
        }
    }

    /// Reads a line of the output's description. True if it changes the description.
    fn learn_output(&mut self, line: &str) -> bool {
        if line.starts_with("Output #0") {
            self.output = Some(OutputHeader::default());
            return false;
        }
        let Some(output) = self
            .output
            .as_mut()
            .filter(|_| line.starts_with("Stream #0:"))
        else {
            return false;
        };
        if let Some(video) = VideoStream::read(line) {
            output.colours = Some(video.colours);
        } else if let Some(codec) = audio_codec(line) {
            output.sound = Some(codec.to_owned());
        }
        true
    }
}

/// Seconds of `00:01:02.50`.
fn clock(text: &str) -> Option<f64> {
    let seconds = text.trim().split(':').try_fold(0.0, |sum, part| {
        part.parse::<f64>().ok().map(|part| sum * 60.0 + part)
    })?;
    (seconds > 0.0).then_some(seconds)
}

/// Reads a rate as FFmpeg prints it: `25`, `29.97`, `1k`. It prints two decimals; the rates of NTSC
/// are 1/1.001 of a whole number.
pub(super) fn frame_rate(text: &str) -> Option<f64> {
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

/// One line: `[component @ 0x55a0] [level] text`, where the component may be missing.
#[derive(Debug, PartialEq)]
struct LogLine<'a> {
    component: &'a str,
    level: &'a str,
    text: &'a str,
}

impl<'a> LogLine<'a> {
    fn parse(line: &'a str) -> Option<Self> {
        let mut rest = line;
        let mut component = "";
        // A component may follow its parent, each in brackets.
        while let Some((inside, after)) = rest.strip_prefix('[').and_then(|r| r.split_once("] ")) {
            if matches!(inside, "panic" | "fatal" | "error" | "warning" | "info") {
                return Some(LogLine {
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

/// Calls `take` with every line, cut to [`KEPT_BYTES`]. Always reads to the end, so that the child
/// never blocks.
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

/// Ends a line that was cut with its last whole word: half of a secret would not be recognised.
fn whole_words(line: &str) -> &str {
    match line.len() >= KEPT_BYTES {
        true => line.rsplit_once(' ').map_or("", |(before, _)| before),
        false => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn follow(text: &'static str) -> (InputHeader, Vec<String>, OutputHeader) {
        let log = FfmpegLog::follow(text.as_bytes(), &Command::new("ffmpeg"));
        let header = log.wait_for_header(Duration::from_secs(10)).unwrap();
        let (_, output) = log.output().wait(true, Duration::from_secs(10));
        (header, log.into_errors().lines().to_vec(), output)
    }

    #[test]
    fn a_file_is_described() {
        let (header, errors, output) = follow(
            "[info] Input #0, mov,mp4, from 'file:a.mp4':\n\
             [info]   Duration: 00:01:02.50, start: 0.000000, bitrate: 720 kb/s\n\
             [info]   Stream #0:0: Video: png, rgba(pc), 512x512, 90k tbr, 90k tbn (attached pic)\n\
             [info]       displaymatrix: rotation of -90.00 degrees\n\
             [info]   Stream #0:1[0x1](und): Video: h264 (High), yuv420p(tv, bt709, progressive), \
             640x360, 716 kb/s, 29.97 fps, 25 tbr\n\
             [info]   Stream #0:2: Audio: aac (LC), 44100 Hz, mono\n\
             [info] Stream mapping:\n\
             [info]   Stream #0:1 -> #0:0 (h264 (native) -> rawvideo (native))\n\
             [info] Output #0, nut, to 'pipe:1':\n\
             [info]   Stream #0:0: Video: rawvideo (I420 / 0x30323449), yuv420p(tv, bt709, \
             progressive), 640x360, 25 fps\n\
             [info]   Stream #0:1: Audio: aac (LC) ([255][0][0][0] / 0x00FF), 44100 Hz, mono\n\
             [h264 @ 0x1] [error] error while decoding MB 1 2",
        );
        let video = header.video.unwrap();
        assert_eq!((video.index, video.size), (1, Some((640, 360))));
        assert_eq!(header.fps(), Some(30000.0 / 1001.0));
        assert_eq!(
            (header.duration, header.has_sound, header.turned),
            (Some(62.5), true, false)
        );
        assert!(header.opened && header.upright_motion_jpeg().is_none());
        assert_eq!(errors, ["error while decoding MB 1 2"]);
        assert_eq!(output.colours, Some(video.colours));
        assert_eq!(output.sound.as_deref(), Some("aac"));
    }

    #[test]
    fn a_live_stream_has_no_duration_and_may_have_no_rate() {
        let (header, _, output) = follow(
            "[info]   Duration: N/A, start: 0.0\n[info]   Stream #0:0: Video: mjpeg, yuvj420p, \
             9x9\n[info] Stream mapping:\n",
        );
        assert_eq!(
            (header.duration, header.fps(), header.has_sound),
            (None, None, false)
        );
        assert_eq!(header.upright_motion_jpeg(), Some((9, 9)));
        let (header, _, _) = follow(
            "[info]   Stream #0:0: Video: vp8, yuv420p, 9x9, 1k tbr, 1k tbn\n[info] Stream \
             mapping:\n",
        );
        assert_eq!(header.fps(), None, "ticks");
        assert_eq!(output, OutputHeader::default());
    }

    #[test]
    fn motion_jpeg_is_told_from_other_video() {
        let (header, _, _) = follow(
            "[info]   Duration: 00:00:00.60, start: 0.000000, bitrate: 170 kb/s\n\
             [info]   Stream #0:0: Video: mjpeg (Baseline) (MJPG / 0x47504A4D), yuvj420p(pc, \
             bt470bg/unknown/unknown), 64x48 [SAR 1:1 DAR 4:3], 5 fps, 5 tbr, 5 tbn\n\
             [info]       displaymatrix: rotation of -90.00 degrees\n\
             [info] Stream mapping:\n",
        );
        assert_eq!((header.fps(), header.turned), (Some(5.0), true));
        assert_eq!(header.upright_motion_jpeg(), None, "it is to be turned");
        let (header, _, _) = follow(
            "[info]   Stream #0:0: Video: mjpegb, yuvj420p, 0x7, 5 fps\n[info] Stream mapping:\n",
        );
        assert_eq!(header.upright_motion_jpeg(), None, "another codec");
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
