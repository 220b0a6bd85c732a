//! Moves the index of a finished MP4 or MOV file to its beginning.
//!
//! During the recording the file is a chain of fragments, each with its index, so that an
//! unfinished file plays up to its end. Players are slow to begin such a file and to seek in it,
//! and some editors refuse it. So a finished file is copied once, without encoding it again, into a
//! file with a single index at its beginning.
use super::format::VideoFormat;
use super::video::SPOILT;
use crate::ffmpeg::log::FfmpegLog;
use crate::ffmpeg::process::Process;
use crate::ffmpeg::{Ffmpeg, file_url};
use mattebox_engine::stop::Stop;
use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

/// The interval at which the wait for FFmpeg checks whether to end.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Copies `from` over `to`. False if that fails or is aborted; `to` is then unusable.
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
