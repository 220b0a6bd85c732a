//! Another way to read a source, where FFmpeg says that this one does not work.
use super::choices::{HardwareDecoder, InputFormat, RtspTransport};
use super::{SourceOptions, input::SourceInput};
use crate::ffmpeg::log::FfmpegErrors;
use tracing::{info, warn};

/// What an RTSP server, or FFmpeg, says where RTP does not go through the RTSP connection.
const NO_TCP: &[&str] = &[
    "461 unsupported transport",
    "protocol not supported",
    "nonmatching transport",
];
/// What FFmpeg says where hardware does not decode.
const NO_HARDWARE: &[&str] = &[
    "device creation failed",
    "device setup failed",
    "no device available for decoder",
    "hwaccel initialisation",
    "hwaccel requested for",
    "failed to create a vaapi device",
    "no hardware config",
];
/// What FFmpeg says where it does not know what it reads, as the pictures of a web camera that do
/// not begin with a boundary.
const UNKNOWN: &[&str] = &["invalid data found", "expected boundary"];

/// Another way to read a source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fallback {
    /// RTP as datagrams.
    Udp,
    /// The processor decodes.
    Software,
}

impl Fallback {
    /// The way that FFmpeg's errors speak for, if it was not asked for another one.
    pub(super) fn find(
        input: &SourceInput,
        options: &SourceOptions,
        errors: &FfmpegErrors,
    ) -> Option<Self> {
        let asks_tcp = input.is_rtsp() && options.rtsp_transport == RtspTransport::Auto;
        if asks_tcp && errors.mention(NO_TCP) {
            return Some(Fallback::Udp);
        }
        let asks_hardware = options.hwaccel != HardwareDecoder::None;
        (asks_hardware && errors.mention(NO_HARDWARE)).then_some(Fallback::Software)
    }

    /// From now on the source is read in this way. It is said, once.
    pub(super) fn take(self, name: &str, options: &mut SourceOptions) {
        match self {
            Fallback::Udp => {
                options.rtsp_transport = RtspTransport::Udp;
                info!(
                    source = name,
                    "the server refuses RTP over TCP, UDP is used: \
                     --rtsp-transport udp does so at once"
                );
            }
            Fallback::Software => {
                let hardware = options.hwaccel.ffmpeg_name().unwrap_or_default().to_owned();
                options.hwaccel = HardwareDecoder::None;
                warn!(
                    source = name,
                    "{hardware} does not decode here: the processor does (--hwaccel none)"
                );
            }
        }
    }
}

/// JPEG pictures, whatever stands between them: a guess at what a web server sends, if FFmpeg does
/// not know and was not told.
pub(super) fn guess(
    input: &SourceInput,
    options: &SourceOptions,
    errors: &FfmpegErrors,
) -> Option<InputFormat> {
    let is_guessed = input.is_web() && options.input_format.is_none();
    (is_guessed && errors.mention(UNKNOWN)).then(InputFormat::motion_jpeg)
}
