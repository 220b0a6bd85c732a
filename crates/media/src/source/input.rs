//! The FFmpeg command for a source.
use super::decoded::{PORTRAIT_ROWS, TIME_OFFSET};
use super::plan::StreamPlan;
use super::{SourceError, SourceOptions, SourceSpec, pipe::Pipe, protocols, spec};
use crate::ffmpeg::{Ffmpeg, file_url};
use mattebox_engine::address::Address;
use mattebox_engine::stop::Stop;
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, Stdio};
use std::time::Duration;

/// The input of FFmpeg.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SourceInput {
    /// Its name in messages.
    pub(super) name: String,
    kind: InputKind,
}

#[derive(Debug, Clone, PartialEq)]
enum InputKind {
    File(PathBuf),
    Url(Address),
    Device {
        format: &'static str,
        device: String,
    },
    Lavfi(Address),
    /// Standard input that is a file.
    Stdin,
    /// Standard input or a named pipe, which can be read only once.
    Pipe(Pipe),
}

/// The amount of data that FFmpeg reads to find a source's streams.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProbeLength {
    /// 32 kB for the format, 100 kB or a fifth of a second for the streams, so that live sources
    /// begin at once. Not every source shows its streams that early.
    Quick,
    /// FFmpeg's own 5 MB or 5 seconds.
    Long,
}

/// Protocols of live streams. With http, ftp and others only opening shows whether a source is
/// live.
const LIVE: &[&str] = &[
    "rtsp", "rtsps", "rtp", "srtp", "rtmp", "rtmps", "rtmpt", "rtmpe", "udp", "tcp", "tls", "srt",
    "rist", "unix", "mmsh", "mmst",
];

/// The way in which an input is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReadMode {
    /// It is read in real time.
    pub(super) live: bool,
    /// The time of a picture is that of its arrival. FFmpeg then cannot tell the length of a source
    /// that turns out to have an end.
    pub(super) our_clock: bool,
    /// How much FFmpeg reads first.
    pub(super) probe: ProbeLength,
    /// The time to begin at.
    pub(super) start: Option<Duration>,
    /// The time left to read.
    pub(super) duration: Option<Duration>,
    /// FFmpeg begins again at the end.
    pub(super) rewinds: bool,
    /// The work on its streams.
    pub(super) plan: StreamPlan,
}

impl SourceInput {
    /// Finds out the kind of a source and whether it exists, without opening it.
    pub(super) fn resolve(spec: &SourceSpec) -> Result<Self, SourceError> {
        let name = spec.to_string();
        let refuse = |problem: String| SourceError::Usage {
            name: name.clone(),
            problem,
        };
        let kind = match spec {
            SourceSpec::Path(path) => match path.metadata() {
                Ok(there) if there.is_file() && there.len() == 0 => {
                    return Err(refuse("the file is empty".to_owned()));
                }
                Ok(there) if is_pipe(&there) => InputKind::Pipe(Pipe::named(path)),
                Ok(_) => InputKind::File(path.clone()),
                // A numbered sequence such as frame_%06d.tif, which FFmpeg reads.
                Err(_) if path.to_string_lossy().contains('%') => InputKind::File(path.clone()),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    return Err(refuse(missing_text(path)));
                }
                Err(error) => return Err(refuse(format!("cannot be read: {error}"))),
            },
            SourceSpec::Url(url) => InputKind::Url(url.clone()),
            SourceSpec::Device(device) => {
                camera(device).ok_or_else(|| refuse(NO_CAMERA_NUMBERS.to_owned()))?
            }
            SourceSpec::Lavfi(graph) => InputKind::Lavfi(graph.clone()),
            SourceSpec::Stdin if std::io::stdin().is_terminal() => {
                return Err(refuse(
                    "it is the terminal: pipe a video into it, as in `mattebox run - < clip.mkv`"
                        .to_owned(),
                ));
            }
            SourceSpec::Stdin if is_a_file(&std::io::stdin()) => InputKind::Stdin,
            SourceSpec::Stdin => InputKind::Pipe(Pipe::standard_input()),
        };
        Ok(SourceInput { name, kind })
    }

    /// Whether it is live, as far as that is known before it is opened.
    pub(super) fn is_live(&self) -> bool {
        match &self.kind {
            InputKind::Device { .. } => true,
            InputKind::Url(_) => LIVE.contains(&self.scheme()),
            _ => false,
        }
    }

    /// The problem if it is a camera that is not plugged in.
    pub(super) fn missing_device(&self) -> Option<String> {
        match &self.kind {
            InputKind::Device {
                format: "v4l2",
                device,
            } if !Path::new(device).exists() => Some(no_such_camera(device)),
            _ => None,
        }
    }

    /// Whether it comes over a network.
    pub(super) fn is_remote(&self) -> bool {
        matches!(self.kind, InputKind::Url(_))
    }

    /// Starts to send the data of a pipe to its child.
    pub(super) fn supply(&self, to: Option<ChildStdin>) {
        if let (InputKind::Pipe(pipe), Some(to)) = (&self.kind, to) {
            pipe.supply(to);
        }
    }

    /// Whether another child can read it from its beginning.
    pub(super) fn can_be_read_from_its_beginning(&self) -> bool {
        match &self.kind {
            InputKind::Pipe(pipe) => pipe.is_whole(),
            InputKind::Stdin => false,
            _ => true,
        }
    }

    /// The first probe of a source with an end: pictures in a pipe, which may be as live as a
    /// camera, need only a quick one.
    pub(super) fn first_probe(&self, timeout: Duration, stop: &Stop) -> ProbeLength {
        match &self.kind {
            InputKind::Pipe(pipe) if pipe.begins_with_pictures(timeout, stop) => ProbeLength::Quick,
            _ => ProbeLength::Long,
        }
    }

    /// Whether it may turn out to be live once it is open.
    pub(super) fn may_be_live(&self) -> bool {
        matches!(self.kind, InputKind::Url(_))
    }

    /// Whether FFmpeg can go back to its beginning.
    pub(super) fn can_rewind(&self) -> bool {
        matches!(self.kind, InputKind::File(_) | InputKind::Url(_))
    }

    /// Whether it can be opened a second time and then gives the same data.
    pub(super) fn can_be_opened_again(&self) -> bool {
        match &self.kind {
            InputKind::File(path) => path.metadata().is_ok_and(|there| there.is_file()),
            InputKind::Url(_) | InputKind::Device { .. } => true,
            InputKind::Lavfi(_) | InputKind::Stdin | InputKind::Pipe(_) => false,
        }
    }

    /// Whether it is an RTSP server.
    pub(super) fn is_rtsp(&self) -> bool {
        matches!(self.scheme(), "rtsp" | "rtsps")
    }

    /// Whether it is a web server.
    pub(super) fn is_web(&self) -> bool {
        matches!(self.scheme(), "http" | "https")
    }

    fn scheme(&self) -> &str {
        match &self.kind {
            InputKind::Url(url) => url.reveal().split("://").next().unwrap_or_default(),
            _ => "",
        }
    }

    /// The command that sends its JPEG pictures to stdout unchanged, each in a part of a multipart
    /// message. The options for pictures and their rate do not apply.
    pub(super) fn copy_command(
        &self,
        ffmpeg: &Ffmpeg,
        options: &SourceOptions,
        reading: ReadMode,
    ) -> Command {
        let mut command = self.reading(ffmpeg, options, reading);
        command.args([
            "-c:v",
            "copy",
            "-flush_packets",
            "1",
            "-f",
            "mpjpeg",
            "pipe:1",
        ]);
        command
    }

    /// The command that decodes it to pictures on stdout, in NUT, with their times, and with sound.
    /// Only `fps` drops or repeats pictures. A picture whose time is not later than the one before
    /// gets the next free time.
    pub(super) fn command(
        &self,
        ffmpeg: &Ffmpeg,
        options: &SourceOptions,
        reading: ReadMode,
    ) -> Command {
        let mut command = self.reading(ffmpeg, options, reading);
        let plan = reading.plan;
        let mut filters: Vec<String> = Vec::new();
        filters.extend(plan.deinterlacer().map(str::to_owned));
        filters.extend(options.fps.map(|fps| format!("fps={fps}")));
        filters.extend(size_filter(options));
        filters.extend(plan.tone_map());
        filters.push("format=yuv420p|yuvj420p|rgb24".to_owned());
        if plan.marks_portrait {
            let rows = format!("if(gt(ih\\,iw)\\,{PORTRAIT_ROWS}\\,0)");
            filters.push(format!("pad=iw:ih+{rows}"));
        }
        filters.push("settb=1/1000000".to_owned());
        let floor = "if(isnan(PREV_OUTPTS)\\,0\\,PREV_OUTPTS+1)";
        filters.push(format!(
            "setpts=if(isnan(PTS)\\,{floor}\\,\
             if(isnan(PREV_OUTPTS)\\,PTS\\,max(PTS\\,PREV_OUTPTS+1)))"
        ));
        command.args(["-vf", &filters.join(",")]);
        command.args(ffmpeg.frame_mode("passthrough"));
        // More threads would only copy pictures, and each would hold one back.
        command.args(["-c:v", "rawvideo", "-threads:v", "1"]);
        command.args(["-enc_time_base", "1:1000000"]);
        if self.can_be_opened_again() {
            // Pictures of another size are sent unscaled, and another child is started for them.
            command.args(["-autoscale", "0"]);
        }
        if plan.sound {
            // Pictures do not wait long in memory for sound that is late or has ended before them.
            let micros = if reading.live { "50000" } else { "200000" };
            command.args(["-max_interleave_delta", micros]);
        }
        command.args(["-output_ts_offset", &TIME_OFFSET.to_string()]);
        command.args(["-flush_packets", "1", "-f", "nut", "-write_index", "0"]);
        // Without syncpoints, which both sides would keep in memory, the format counts as
        // experimental.
        command.args(["-f_strict", "experimental", "-syncpoints", "none"]);
        // A picture is written to the pipe at once, and not in small pieces.
        command.args(["-avioflags", "direct", "pipe:1"]);
        command
    }

    /// The part of a command for the input, and the range to read.
    fn reading(&self, ffmpeg: &Ffmpeg, options: &SourceOptions, reading: ReadMode) -> Command {
        let ReadMode {
            live,
            our_clock,
            probe,
            start,
            duration,
            rewinds,
            plan,
        } = reading;
        let mut command = ffmpeg.command();
        command.stdout(Stdio::piped());
        command.stdin(match self.kind {
            InputKind::Stdin => Stdio::inherit(),
            InputKind::Pipe(_) => Stdio::piped(),
            _ => Stdio::null(),
        });
        let seconds = |time: Duration| format!("{}us", time.as_micros());
        if probe == ProbeLength::Quick {
            command.args([
                "-formatprobesize",
                "32768",
                "-probesize",
                "100000",
                "-analyzeduration",
                "200000",
            ]);
        }
        if let Some(threads) = options.decode_threads {
            command.args(["-threads", &threads.to_string()]);
        }
        if live {
            // Frame threads would hold back one frame for each thread.
            command.args(["-thread_type", "slice"]);
            // Some cameras send no times, or wrong ones. Our own clock then gives the time of
            // arrival, also for a fixed rate.
            if our_clock {
                command.args(["-copyts", "-use_wallclock_as_timestamps", "1"]);
            }
        } else {
            if rewinds {
                command.args(["-stream_loop", "-1"]);
            }
            if options.realtime {
                command.arg("-re");
            }
            if let Some(start) = start {
                command.args(["-ss", &seconds(start)]);
            }
        }
        if let Some(protocols) = self.protocols() {
            command.args(["-protocol_whitelist", &protocols]);
        }
        self.choices(&mut command, options);
        match &self.kind {
            InputKind::File(path) => command.arg("-i").arg(file_url(path)),
            InputKind::Url(url) => {
                if self.is_rtsp() {
                    command.args(["-rtsp_transport", options.rtsp_transport.ffmpeg_name()]);
                }
                command.args(["-i", url.reveal()])
            }
            InputKind::Device { format, device } => command.args(["-f", format, "-i", device]),
            InputKind::Lavfi(address) => command.args(["-f", "lavfi", "-i", spec::graph(address)]),
            InputKind::Pipe(pipe)
                if probe == ProbeLength::Quick
                    && pipe.begins_with_jpeg()
                    && options.input_format.is_none() =>
            {
                command.args(["-f", "mjpeg", "-i", "pipe:0"])
            }
            InputKind::Stdin | InputKind::Pipe(_) => command.args(["-i", "pipe:0"]),
        };
        // The first video that is no cover picture, unless players show another one.
        match plan.stream {
            Some(stream) => command.args(["-map", &format!("0:{stream}")]),
            None => command.args(["-map", "0:V:0"]),
        };
        if plan.sound {
            command.args(["-map", "0:a:0?", "-c:a", "copy"]);
        }
        if let Some(duration) = duration {
            command.args(["-t", &seconds(duration)]);
        }
        command
    }

    /// The protocols that FFmpeg may use for it. Devices and test patterns need none.
    fn protocols(&self) -> Option<String> {
        match &self.kind {
            InputKind::File(_) => Some(protocols::FILE.to_owned()),
            InputKind::Stdin | InputKind::Pipe(_) => Some(protocols::PIPE.to_owned()),
            InputKind::Url(_) => Some(protocols::of_scheme(self.scheme())),
            InputKind::Device { .. } | InputKind::Lavfi(_) => None,
        }
    }

    /// The options that a person has set. They come last, so that they win.
    fn choices(&self, command: &mut Command, options: &SourceOptions) {
        if let Some(name) = options.hwaccel.ffmpeg_name() {
            command.args(["-hwaccel", name]);
        }
        if let Some(format) = &options.input_format {
            match &self.kind {
                InputKind::Device { format: "v4l2", .. } => {
                    command.args(["-input_format", format.ffmpeg_name()]);
                }
                InputKind::Device { .. } => {
                    command.args(["-pixel_format", format.ffmpeg_name()]);
                }
                InputKind::Lavfi(_) => {}
                InputKind::File(_) | InputKind::Url(_) | InputKind::Stdin | InputKind::Pipe(_) => {
                    command.args(["-f", format.ffmpeg_name()]);
                }
            }
        }
        if let (Some(size), InputKind::Device { .. }) = (options.size, &self.kind) {
            command.args(["-video_size", &size.to_string()]);
        }
        for option in &options.input_options {
            command.args([&format!("-{}", option.name()), option.value()]);
        }
    }
}

/// The filter for the requested size and square pixels. It does not change video that has both.
fn size_filter(options: &SourceOptions) -> Option<String> {
    let (width, height) = match options.square_pixels {
        true => ("iw*max(sar\\,1)", "ih/min(sar\\,1)"),
        false => ("iw", "ih"),
    };
    let square = if options.square_pixels {
        ",setsar=1"
    } else {
        ""
    };
    match options.max_width {
        Some(most) => {
            let width = format!("round({width})");
            Some(format!(
                "scale=w=min({width}\\,{most}):\
                 h=max(1\\,round({height}*min(1\\,{most}/{width}))):flags=area{square}"
            ))
        }
        None if options.square_pixels => Some(format!(
            "scale=w=round({width}):h=round({height}):flags=bicubic{square}"
        )),
        None => None,
    }
}

fn missing_text(path: &Path) -> String {
    let here = std::env::current_dir()
        .map(|dir| dir.display().to_string())
        .unwrap_or_default();
    let from = if path.is_relative() {
        format!(" in {here}")
    } else {
        String::new()
    };
    format!("no such file{from}")
}

/// The problem with a camera on a system without numbers for them.
const NO_CAMERA_NUMBERS: &str = "cameras have no numbers on this system: read it with another \
    program and send it to standard input";

/// How FFmpeg opens a camera on this system. `None`: cameras have no numbers here.
fn camera(device: &str) -> Option<InputKind> {
    let number = device.strip_prefix("/dev/video").unwrap_or(device);
    if cfg!(target_os = "macos") {
        return Some(InputKind::Device {
            format: "avfoundation",
            device: format!("{number}:none"),
        });
    }
    if cfg!(windows) {
        return None;
    }
    Some(InputKind::Device {
        format: "v4l2",
        device: format!("/dev/video{number}"),
    })
}

fn no_such_camera(path: &str) -> String {
    let mut others: Vec<String> = std::fs::read_dir("/dev")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with("video") && name.len() > 5)
        .map(|name| format!("/dev/{name}"))
        .collect();
    others.sort();
    match others.is_empty() {
        true => format!(
            "there is no {path}, and no other camera either: plug one in, or give a video file"
        ),
        false => format!("there is no {path}; there is {}", others.join(", ")),
    }
}

#[cfg(unix)]
fn is_pipe(there: &std::fs::Metadata) -> bool {
    std::os::unix::fs::FileTypeExt::is_fifo(&there.file_type())
}

#[cfg(not(unix))]
fn is_pipe(_: &std::fs::Metadata) -> bool {
    false
}

/// Whether an open file is a regular file.
#[cfg(unix)]
fn is_a_file(open: &impl std::os::fd::AsFd) -> bool {
    let kind =
        rustix::fs::fstat(open).map(|there| rustix::fs::FileType::from_raw_mode(there.st_mode));
    kind.is_ok_and(|kind| kind == rustix::fs::FileType::RegularFile)
}

#[cfg(not(unix))]
fn is_a_file<T>(_: &T) -> bool {
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn live_sources_are_known_by_their_protocol() {
        let live = |text: &str| {
            SourceInput::resolve(&text.parse().unwrap())
                .unwrap()
                .is_live()
        };
        assert!(live("rtsp://h/1") && live("udp://127.0.0.1:9") && live("tcp://h:1"));
        assert!(
            !live("https://h/a.mp4") && !live("lavfi:testsrc") && !live("-") && !live("Cargo.toml")
        );
    }

    #[test]
    fn a_size_and_a_format_are_requested_from_a_camera() {
        let options = SourceOptions {
            size: Some("1280x720".parse().unwrap()),
            input_format: Some("mjpeg".parse().unwrap()),
            input_options: vec!["fflags=nobuffer".parse().unwrap()],
            hwaccel: "vaapi".parse().unwrap(),
            ..Default::default()
        };
        let reading = ReadMode {
            live: true,
            our_clock: true,
            probe: ProbeLength::Quick,
            duration: None,
            start: None,
            rewinds: false,
            plan: StreamPlan::default(),
        };
        let words = |spec: &str| {
            let input = SourceInput::resolve(&spec.parse().unwrap()).unwrap();
            let ffmpeg = Ffmpeg::presume(Path::new("ffmpeg"));
            let command = input.command(&ffmpeg, &options, reading);
            let words = command.get_args().map(|arg| arg.to_string_lossy());
            let words = words.collect::<Vec<_>>().join(" ");
            words.split(" -map").next().unwrap().to_owned()
        };
        let camera = words("999");
        let url = words("tcp://h:1");
        if cfg!(target_os = "linux") {
            assert!(
                camera.ends_with(
                    "-hwaccel vaapi -input_format mjpeg -video_size 1280x720 -fflags nobuffer \
                     -f v4l2 -i /dev/video999"
                ),
                "{camera}"
            );
        }
        assert!(
            url.ends_with("-hwaccel vaapi -f mjpeg -fflags nobuffer -i tcp://h:1"),
            "{url}"
        );
        assert!(url.contains("-protocol_whitelist tcp,rtp,"), "{url}");
        assert!(words("Cargo.toml").contains("-protocol_whitelist file,crypto,data "));
    }

    #[test]
    fn a_missing_file_or_camera_is_named() {
        let text = |spec: &str| {
            SourceInput::resolve(&spec.parse().unwrap())
                .unwrap_err()
                .to_string()
        };
        assert!(text("no/such.mp4").contains("no/such.mp4: no such file in /"));
        let away = SourceInput::resolve(&"999".parse().unwrap()).unwrap();
        assert!(away.missing_device().unwrap().contains("/dev/video999"));
    }
}
