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

/// What FFmpeg is to read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct SourceInput {
    /// How messages name it.
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

/// How much FFmpeg reads of a source before it says what is in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProbeLength {
    /// 32 kB for the format, 100 kB or a fifth of a second for the rest: what comes live begins at
    /// once. Not every stream tells by then what is in it.
    Quick,
    /// FFmpeg's own 5 MB or 5 seconds.
    Long,
}

/// Protocols that carry what happens now. Of http, ftp and the like it shows only when they are
/// open.
const LIVE: &[&str] = &[
    "rtsp", "rtsps", "rtp", "srtp", "rtmp", "rtmps", "rtmpt", "rtmpe", "udp", "tcp", "tls", "srt",
    "rist", "unix", "mmsh", "mmst",
];

/// How an input is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Reading {
    /// As it happens.
    pub(super) live: bool,
    /// Pictures have the time when they came. FFmpeg cannot tell then how long a video is that
    /// turns out to have an end.
    pub(super) our_clock: bool,
    /// How long FFmpeg looks first.
    pub(super) probe: ProbeLength,
    /// Where it begins.
    pub(super) start: Option<Duration>,
    /// What is still wanted.
    pub(super) duration: Option<Duration>,
    /// FFmpeg itself begins again at the end.
    pub(super) rewinds: bool,
    /// What is done with its streams.
    pub(super) plan: StreamPlan,
}

impl SourceInput {
    /// Finds out what a source is and whether it is there, as far as that costs nothing.
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
                // A numbered sequence such as frame_%06d.tif, which FFmpeg knows how to read.
                Err(_) if path.to_string_lossy().contains('%') => InputKind::File(path.clone()),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                    return Err(refuse(missing(path)));
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

    /// Whether it is known before it is opened that it gives pictures as they happen.
    pub(super) fn is_live(&self) -> bool {
        match &self.kind {
            InputKind::Device { .. } => true,
            InputKind::Url(_) => LIVE.contains(&self.scheme()),
            _ => false,
        }
    }

    /// What is wrong if it is a camera that is not plugged in.
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

    /// Starts to send what a pipe gives to a child that was started for it.
    pub(super) fn supply(&self, to: Option<ChildStdin>) {
        if let (InputKind::Pipe(pipe), Some(to)) = (&self.kind, to) {
            pipe.supply(to);
        }
    }

    /// Whether everything that a pipe gave so far can be given to another child.
    pub(super) fn can_be_read_from_its_beginning(&self) -> bool {
        match &self.kind {
            InputKind::Pipe(pipe) => pipe.is_whole(),
            InputKind::Stdin => false,
            _ => true,
        }
    }

    /// How a source with an end is opened first: pictures in a pipe, which may be as live as a
    /// camera, need no long look.
    pub(super) fn first_probe(&self, patience: Duration, stop: &Stop) -> ProbeLength {
        match &self.kind {
            InputKind::Pipe(pipe) if pipe.begins_with_pictures(patience, stop) => {
                ProbeLength::Quick
            }
            _ => ProbeLength::Long,
        }
    }

    /// Whether it may turn out, when it is open, to give pictures as they happen.
    pub(super) fn may_be_live(&self) -> bool {
        matches!(self.kind, InputKind::Url(_))
    }

    /// Whether FFmpeg can go back to its beginning by itself.
    pub(super) fn can_rewind(&self) -> bool {
        matches!(self.kind, InputKind::File(_) | InputKind::Url(_))
    }

    /// Whether it can be opened a second time and is then the same.
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

    /// The command that sends its JPEG pictures to stdout as they are, each in a part of a
    /// multipart message. Nothing of the options that change pictures or their rate applies.
    pub(super) fn copy_command(
        &self,
        ffmpeg: &Ffmpeg,
        options: &SourceOptions,
        reading: Reading,
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
    /// Nothing is left out or repeated but for `fps`. Pictures that come before their time get the
    /// next one that is free.
    pub(super) fn command(
        &self,
        ffmpeg: &Ffmpeg,
        options: &SourceOptions,
        reading: Reading,
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
        // More threads would copy pictures side by side, and each hold one back.
        command.args(["-c:v", "rawvideo", "-threads:v", "1"]);
        command.args(["-enc_time_base", "1:1000000"]);
        if self.can_be_opened_again() {
            // Pictures of another size come as they are, and another child is started for them.
            command.args(["-autoscale", "0"]);
        }
        if plan.sound {
            // Pictures do not wait long for sound that is late, or has ended before them: they
            // would wait in memory.
            let micros = if reading.live { "50000" } else { "200000" };
            command.args(["-max_interleave_delta", micros]);
        }
        command.args(["-output_ts_offset", &TIME_OFFSET.to_string()]);
        command.args(["-flush_packets", "1", "-f", "nut", "-write_index", "0"]);
        // The format without syncpoints, which both sides would keep in memory, is called
        // experimental.
        command.args(["-f_strict", "experimental", "-syncpoints", "none"]);
        // A picture goes into the pipe at once, and not in small pieces.
        command.args(["-avioflags", "direct", "pipe:1"]);
        command
    }

    /// The part of a command that says what is read, and how much of it.
    fn reading(&self, ffmpeg: &Ffmpeg, options: &SourceOptions, reading: Reading) -> Command {
        let Reading {
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
            // Threads that share the frames among them would hold as many frames back as there are
            // threads.
            command.args(["-thread_type", "slice"]);
            // Some cameras send no times, or wrong ones. Our own clock says when a picture came,
            // and a rate is made by it.
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
        // The first video that is no cover picture, unless another is shown by players.
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

    /// What FFmpeg may open for it. Devices and test patterns use no protocols.
    fn protocols(&self) -> Option<String> {
        match &self.kind {
            InputKind::File(_) => Some(protocols::FILE.to_owned()),
            InputKind::Stdin | InputKind::Pipe(_) => Some(protocols::PIPE.to_owned()),
            InputKind::Url(_) => Some(protocols::of_scheme(self.scheme())),
            InputKind::Device { .. } | InputKind::Lavfi(_) => None,
        }
    }

    /// What a person has asked for. It comes last, so that it wins.
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

/// What gives pictures the size that is asked for, and square pixels. Video that has both passes
/// unchanged.
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

fn missing(path: &Path) -> String {
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

/// Whether an open file is one that lies on a disk.
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
    fn what_is_live_is_known_by_its_protocol() {
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
    fn a_camera_is_asked_for_a_size_and_a_format() {
        let options = SourceOptions {
            size: Some("1280x720".parse().unwrap()),
            input_format: Some("mjpeg".parse().unwrap()),
            input_options: vec!["fflags=nobuffer".parse().unwrap()],
            hwaccel: "vaapi".parse().unwrap(),
            ..Default::default()
        };
        let reading = Reading {
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
    fn what_is_not_there_is_named() {
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
