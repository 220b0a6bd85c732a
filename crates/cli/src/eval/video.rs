//! Alphas of a video: FFmpeg decodes it to gray pictures on a pipe.
use super::EvalError;
use image::GrayImage;
use mattebox_media::ffmpeg::{Ffmpeg, diagnose::last_message, log::FfmpegLog, process::Process};
use serde::Deserialize;
use std::{
    ffi::OsString,
    io::{BufRead, BufReader, ErrorKind, Read},
    path::{Path, PathBuf},
    process::{ChildStdout, Command, Stdio},
    time::Duration,
};

/// The widest and highest frame that is read, in pixels.
const MAX_SIDE: u32 = 16_384;
/// How long FFmpeg may take to end after its last frame.
const END_TIMEOUT: Duration = Duration::from_secs(10);

/// A video being decoded. The child process ends with it.
#[derive(Debug)]
pub struct AlphaVideo {
    path: PathBuf,
    frames: BufReader<ChildStdout>,
    process: Process,
    /// `None` after an error has read its messages.
    log: Option<FfmpegLog>,
    width: u32,
    height: u32,
}

impl AlphaVideo {
    /// Starts the FFmpeg `program` on the first video stream of `path`. A stream with an alpha
    /// channel gives that channel, any other its luma at full range.
    ///
    /// # Errors
    /// If there is no FFmpeg or it cannot read the file.
    pub fn open(path: &Path, program: &Path) -> Result<Self, EvalError> {
        let ffmpeg = Ffmpeg::find(program)?;
        let stream = probe(path, &program.with_file_name("ffprobe"))?;
        let mut command = ffmpeg.command();
        // A decoder may invent pictures after an error, and measuring them is worthless: -xerror
        // stops at the first error.
        command.arg("-xerror");
        if let Some(decoder) = stream.alpha_decoder() {
            command.args(["-c:v", decoder]);
        }
        let filter = if stream.has_alpha() {
            "alphaextract,format=gray"
        } else {
            "format=gray"
        };
        command
            .arg("-i")
            .arg(as_url(path))
            .args(["-map", "0:v:0", "-vf", filter]);
        // Every frame once, for any time stamp. YUV4MPEG has the size of the frames after rotation.
        command.args(ffmpeg.frame_mode("passthrough")).args([
            "-f",
            "yuv4mpegpipe",
            "-strict",
            "-1",
            "-",
        ]);
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let failed = |error: std::io::Error| EvalError::Video {
            path: path.to_owned(),
            message: error.to_string(),
        };
        let mut process = Process::spawn(&mut command).map_err(failed)?;
        let (Some(stdout), Some(stderr)) = (process.take_stdout(), process.take_stderr()) else {
            return Err(failed(ErrorKind::BrokenPipe.into()));
        };
        let log = FfmpegLog::follow(stderr, &command);
        let frames = BufReader::new(stdout);
        let mut video = AlphaVideo {
            path: path.to_owned(),
            frames,
            process,
            log: Some(log),
            width: 0,
            height: 0,
        };
        match video.read_line() {
            Ok(header) => {
                (video.width, video.height) =
                    parse_header(&header).ok_or_else(|| video.error("its size is not usable"))?;
                Ok(video)
            }
            Err(_) => Err(video.error("it has no frames")),
        }
    }

    /// The next alpha, none at the end.
    ///
    /// # Errors
    /// If FFmpeg ends with an error.
    pub fn next_alpha(&mut self) -> Result<Option<GrayImage>, EvalError> {
        let ended = self.frames.fill_buf().map(|bytes| bytes.is_empty());
        if ended.map_err(|error| self.error(&error.to_string()))? {
            return match self.process.wait(END_TIMEOUT) {
                Some(status) if status.success() => Ok(None),
                Some(status) => Err(self.error(&format!("FFmpeg ended with {status}"))),
                None => Err(self.error("FFmpeg does not end")),
            };
        }
        let mut alpha = GrayImage::new(self.width, self.height);
        self.read_line()
            .and_then(|_| self.frames.read_exact(&mut alpha))
            .map_err(|_| self.error("it ends within a frame"))?;
        Ok(Some(alpha))
    }

    /// A line of the stream without its end.
    fn read_line(&mut self) -> std::io::Result<String> {
        let mut line = String::new();
        (&mut self.frames).take(1024).read_line(&mut line)?;
        line.pop()
            .filter(|&end| end == '\n')
            .ok_or(ErrorKind::UnexpectedEof)?;
        Ok(line)
    }

    /// The error in the words of FFmpeg, or in ours if it has none.
    fn error(&mut self, otherwise: &str) -> EvalError {
        // FFmpeg may still write frames. Its log ends when it ends.
        if self.process.wait(Duration::from_millis(100)).is_none() {
            self.process.kill();
        }
        let said = self
            .log
            .take()
            .and_then(|log| last_message(&log.into_errors()));
        EvalError::Video {
            path: self.path.clone(),
            message: said.unwrap_or_else(|| otherwise.to_owned()),
        }
    }
}

/// A path that FFmpeg takes for a file, even if its name begins like an address.
fn as_url(path: &Path) -> OsString {
    let mut url = OsString::from("file:");
    url.push(path);
    url
}

/// Width and height in the first line of a YUV4MPEG stream.
fn parse_header(line: &str) -> Option<(u32, u32)> {
    let mut fields = line.strip_prefix("YUV4MPEG2 ")?.split(' ');
    let side = |field: Option<&str>, key| {
        field?
            .strip_prefix(key)?
            .parse()
            .ok()
            .filter(|side| (1..=MAX_SIDE).contains(side))
    };
    Some((side(fields.next(), 'W')?, side(fields.next(), 'H')?))
}

/// The part of a stream's description that is needed.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ProbedStream {
    codec_name: String,
    pix_fmt: String,
    tags: ProbedTags,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct ProbedTags {
    #[serde(alias = "ALPHA_MODE")]
    alpha_mode: String,
}

impl ProbedStream {
    /// WebM stores alpha beside the pictures, and only libvpx decodes it.
    fn alpha_decoder(&self) -> Option<&'static str> {
        match (self.codec_name.as_str(), self.tags.alpha_mode.as_str()) {
            ("vp8", "1") => Some("libvpx"),
            ("vp9", "1") => Some("libvpx-vp9"),
            _ => None,
        }
    }

    fn has_alpha(&self) -> bool {
        let with_alpha = [
            "yuva", "rgba", "bgra", "argb", "abgr", "gbrap", "ya8", "ya16", "ayuv", "vuya",
        ];
        self.alpha_decoder().is_some()
            || with_alpha.iter().any(|name| self.pix_fmt.starts_with(name))
    }
}

/// Asks ffprobe about the first video stream.
fn probe(path: &Path, ffprobe: &Path) -> Result<ProbedStream, EvalError> {
    #[derive(Deserialize)]
    struct ProbeOutput {
        #[serde(default)]
        streams: Vec<ProbedStream>,
    }
    let mut command = Command::new(ffprobe);
    command.args(["-v", "error", "-select_streams", "v:0", "-of", "json"]);
    command
        .args([
            "-show_entries",
            "stream=codec_name,pix_fmt:stream_tags=alpha_mode",
        ])
        .arg(as_url(path));
    let failed = |source| EvalError::Ffprobe {
        program: ffprobe.to_owned(),
        source,
    };
    let output = command.stdin(Stdio::null()).output().map_err(failed)?;
    let error = |message| EvalError::Video {
        path: path.to_owned(),
        message,
    };
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        return Err(error(
            said.lines()
                .last()
                .unwrap_or("ffprobe cannot read it")
                .trim()
                .to_owned(),
        ));
    }
    let answer: ProbeOutput =
        serde_json::from_slice(&output.stdout).map_err(|e| error(format!("ffprobe: {e}")))?;
    answer
        .streams
        .into_iter()
        .next()
        .ok_or_else(|| error("it has no video stream".to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_give_the_size() {
        assert_eq!(
            parse_header("YUV4MPEG2 W640 H360 F25:1 Ip A1:1 Cmono"),
            Some((640, 360))
        );
        for bad in [
            "",
            "YUV4MPEG2 W640",
            "YUV4MPEG2 W0 H360 F25:1",
            "YUV4MPEG2 W640 H-1",
            "YUV4MPEG2 W99999 H9",
            "RIFF W1 H1",
        ] {
            assert_eq!(parse_header(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn alpha_is_known_by_pixel_format_or_by_tag() {
        let stream = |codec: &str, format: &str, mode: &str| ProbedStream {
            codec_name: codec.into(),
            pix_fmt: format.into(),
            tags: ProbedTags {
                alpha_mode: mode.into(),
            },
        };
        assert!(stream("prores", "yuva444p12le", "").has_alpha());
        assert!(stream("vp9", "yuv420p", "1").has_alpha());
        assert!(!stream("vp9", "yuv420p", "").has_alpha());
        assert!(!stream("h264", "yuv420p", "1").has_alpha());
        assert!(!stream("ffv1", "gray", "").has_alpha());
    }
}
