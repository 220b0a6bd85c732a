//! The FFmpeg command for a source.
use super::{RtspTransport, SourceError, SourceOptions, SourceSpec};
use crate::address::Address;
use crate::ffmpeg::{Ffmpeg, file_url};
use std::io::IsTerminal;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// What FFmpeg is to read.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Input {
    /// How messages name it.
    pub(super) name: String,
    kind: Kind,
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    File(PathBuf),
    Url(Address),
    Device { format: &'static str, device: String },
    Lavfi(Address),
    Stdin,
}

/// Protocols that carry what happens now. Of http, ftp and the like it shows only when they are open.
const LIVE: &[&str] = &[
    "rtsp", "rtsps", "rtp", "srtp", "rtmp", "rtmps", "rtmpt", "rtmpe", "udp", "tcp", "tls", "srt", "rist", "unix", "mmsh", "mmst",
];

impl Input {
    /// Finds out what a source is and whether it is there, as far as that costs nothing.
    pub(super) fn resolve(spec: &SourceSpec) -> Result<Self, SourceError> {
        let name = spec.to_string();
        let refuse = |problem: String| SourceError::Usage { name: name.clone(), problem };
        let kind = match spec {
            SourceSpec::Path(path) => match path.metadata() {
                Ok(there) if there.is_file() && there.len() == 0 => return Err(refuse("the file is empty".to_owned())),
                Ok(_) => Kind::File(path.clone()),
                // A numbered sequence such as frame_%06d.tif, which FFmpeg knows how to read.
                Err(_) if path.to_string_lossy().contains('%') => Kind::File(path.clone()),
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(refuse(missing(path))),
                Err(error) => return Err(refuse(format!("cannot be read: {error}"))),
            },
            SourceSpec::Url(url) => Kind::Url(url.clone()),
            SourceSpec::Device(device) => camera(device).map_err(refuse)?,
            SourceSpec::Lavfi(graph) => Kind::Lavfi(graph.clone()),
            SourceSpec::Stdin if std::io::stdin().is_terminal() => {
                return Err(refuse("it is the terminal: pipe a video into it, as in `mattebox run - < clip.mkv`".to_owned()));
            }
            SourceSpec::Stdin => Kind::Stdin,
        };
        Ok(Input { name, kind })
    }

    /// Whether it is known before it is opened that it gives pictures as they happen.
    pub(super) fn is_live(&self) -> bool {
        match &self.kind {
            Kind::Device { .. } => true,
            Kind::Url(_) => LIVE.contains(&self.scheme()),
            _ => false,
        }
    }

    /// Whether it may turn out, when it is open, to give pictures as they happen.
    pub(super) fn may_be_live(&self) -> bool {
        matches!(self.kind, Kind::Url(_))
    }

    /// Whether FFmpeg can go back to its beginning by itself.
    pub(super) fn can_rewind(&self) -> bool {
        matches!(self.kind, Kind::File(_) | Kind::Url(_))
    }

    /// Whether it can be opened a second time and is then the same.
    pub(super) fn can_be_opened_again(&self) -> bool {
        match &self.kind {
            // Not a pipe.
            Kind::File(path) => path.metadata().is_ok_and(|there| there.is_file()),
            Kind::Url(_) | Kind::Device { .. } => true,
            Kind::Lavfi(_) | Kind::Stdin => false,
        }
    }

    fn scheme(&self) -> &str {
        match &self.kind {
            Kind::Url(url) => url.reveal().split("://").next().unwrap_or_default(),
            _ => "",
        }
    }

    /// The command that sends its JPEG pictures to stdout as they are. Nothing of the options that change pictures or their rate applies.
    pub(super) fn copy_command(
        &self,
        ffmpeg: &Ffmpeg,
        options: &SourceOptions,
        live: bool,
        duration: Option<Duration>,
    ) -> Command {
        let mut command = self.reading(ffmpeg, options, live, duration);
        command.args(["-c:v", "copy", "-flush_packets", "1", "-f", "mjpeg", "pipe:1"]);
        command
    }

    /// The command that decodes it to PPM pictures on stdout. With `showinfo` the log tells each picture's time, and nothing
    /// is left out or repeated but for `fps`. `duration` is what is still wanted.
    pub(super) fn command(&self, ffmpeg: &Ffmpeg, options: &SourceOptions, live: bool, duration: Option<Duration>) -> Command {
        let mut command = self.reading(ffmpeg, options, live, duration);
        let mut filters = Vec::new();
        if let Some(fps) = options.fps {
            filters.push(format!("fps={fps}"));
        }
        if let Some(width) = options.max_width {
            filters.push(format!("scale=w='min(iw,{width})':h='if(gt(iw,{width}),max(1,round(ih*{width}/iw)),ih)':flags=area"));
        }
        if !live {
            filters.push("showinfo=checksum=0".to_owned());
        }
        if !filters.is_empty() {
            command.args(["-vf", &filters.join(",")]);
        }
        command.args(ffmpeg.frame_mode("passthrough"));
        command.args(["-pix_fmt", "rgb24", "-c:v", "ppm", "-f", "image2pipe", "pipe:1"]);
        command
    }

    /// The part of a command that says what is read, and how much of it.
    fn reading(&self, ffmpeg: &Ffmpeg, options: &SourceOptions, live: bool, duration: Option<Duration>) -> Command {
        let mut command = ffmpeg.command();
        command.stdout(Stdio::piped());
        command.stdin(if self.kind == Kind::Stdin { Stdio::inherit() } else { Stdio::null() });
        let seconds = |time: Duration| format!("{}us", time.as_micros());
        if live {
            // Some cameras send no times, or wrong ones: a rate is made by our own clock.
            if options.fps.is_some() {
                command.args(["-use_wallclock_as_timestamps", "1"]);
            }
        } else {
            if options.repeat && self.can_rewind() {
                command.args(["-stream_loop", "-1"]);
            }
            if options.realtime {
                command.arg("-re");
            }
            if let Some(start) = options.start {
                command.args(["-ss", &seconds(start)]);
            }
        }
        match &self.kind {
            // A numbered sequence needs its bare name.
            Kind::File(path) if path.exists() => command.arg("-i").arg(file_url(path)),
            Kind::File(path) => command.arg("-i").arg(path),
            Kind::Url(url) => {
                if matches!(self.scheme(), "rtsp" | "rtsps") {
                    let transport = match options.rtsp_transport {
                        RtspTransport::Tcp => "tcp",
                        RtspTransport::Udp => "udp",
                    };
                    command.args(["-rtsp_transport", transport]);
                }
                command.args(["-i", url.reveal()])
            }
            Kind::Device { format, device } => command.args(["-f", format, "-i", device]),
            Kind::Lavfi(graph) => {
                let graph = graph.reveal();
                command.args(["-f", "lavfi", "-i", graph.strip_prefix("lavfi:").unwrap_or(graph)])
            }
            Kind::Stdin => command.args(["-i", "pipe:0"]),
        };
        // The first video that is no cover picture.
        command.args(["-map", "0:V:0"]);
        if let Some(duration) = duration {
            command.args(["-t", &seconds(duration)]);
        }
        command
    }
}

fn missing(path: &Path) -> String {
    let here = std::env::current_dir().map(|dir| dir.display().to_string()).unwrap_or_default();
    let from = if path.is_relative() { format!(" in {here}") } else { String::new() };
    format!("there is no such file{from}")
}

/// How this system's FFmpeg opens a camera.
fn camera(device: &str) -> Result<Kind, String> {
    let number = device.strip_prefix("/dev/video").unwrap_or(device);
    if cfg!(target_os = "macos") {
        return Ok(Kind::Device { format: "avfoundation", device: format!("{number}:none") });
    }
    if cfg!(windows) {
        return Err("cameras have no numbers on this system: read it with another program and send it to standard input".into());
    }
    let path = format!("/dev/video{number}");
    if Path::new(&path).exists() {
        return Ok(Kind::Device { format: "v4l2", device: path });
    }
    let mut others: Vec<String> = std::fs::read_dir("/dev")
        .into_iter()
        .flatten()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| name.starts_with("video") && name.len() > 5)
        .map(|name| format!("/dev/{name}"))
        .collect();
    others.sort();
    Err(match others.is_empty() {
        true => format!("there is no {path}, and no other camera either: plug one in, or give a video file"),
        false => format!("there is no {path}; there is {}", others.join(", ")),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_live_is_known_by_its_protocol() {
        let live = |text: &str| Input::resolve(&text.parse().unwrap()).unwrap().is_live();
        assert!(live("rtsp://h/1") && live("udp://127.0.0.1:9") && live("tcp://h:1"));
        assert!(!live("https://h/a.mp4") && !live("lavfi:testsrc") && !live("-") && !live("Cargo.toml"));
    }

    #[test]
    fn what_is_not_there_is_named() {
        let text = |spec: &str| Input::resolve(&spec.parse().unwrap()).unwrap_err().to_string();
        assert!(text("no/such.mp4").contains("no/such.mp4: there is no such file in /"));
        assert!(text("999").contains("/dev/video999"));
    }
}
