//! Moves the index of a finished MP4 or MOV file to its beginning.
//!
//! While it is recorded the file is a chain of fragments, each with an index of its own, so that it
//! plays up to wherever it breaks off. Players begin such a file later and search in it longer, and
//! some editors refuse it. So it is copied once, without encoding it again, into a file with one
//! index, which stands first.
use super::format::VideoFormat;
use super::video::SPOILT;
use crate::ffmpeg::log::FfmpegLog;
use crate::ffmpeg::process::Process;
use crate::ffmpeg::{Ffmpeg, file_url};
use mattebox_engine::stop::Stop;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// How often the wait for FFmpeg looks whether it should end.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Copies `from` over `to`. False if that did not work, or took too long; `to` is spoilt then.
pub(super) fn copy_with_index_first(
    ffmpeg: &Ffmpeg,
    format: VideoFormat,
    from: &Path,
    to: &Path,
    abort: &Stop,
) -> bool {
    let mut command = ffmpeg.command();
    command.args(["-y", "-i"]).arg(file_url(from));
    command.args(["-map", "0", "-c", "copy", "-movflags", "faststart"]);
    command.args(["-f", format.muxer()]).arg(file_url(to));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let Ok(mut process) = Process::spawn(&mut command) else {
        return false;
    };
    let Some(stderr) = process.take_stderr() else {
        return false;
    };
    let log = FfmpegLog::follow(stderr, &command);
    let status = loop {
        match process.wait(POLL_INTERVAL) {
            Some(status) => break status,
            None if abort.is_stopped() => return false,
            None => {}
        }
    };
    let errors = log.into_errors();
    status.success() && errors.is_empty() && !errors.mention(SPOILT)
}
