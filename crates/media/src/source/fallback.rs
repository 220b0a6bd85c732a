//! Another way to read a source, if FFmpeg reports that the first one does not work.
use super::choices::{HardwareDecoder, InputFormat, RtspTransport};
use super::{SourceOptions, input::SourceInput};
use crate::ffmpeg::log::FfmpegErrors;
use tracing::{info, warn};

/// The messages of an RTSP server, or of FFmpeg, if RTP does not go through the RTSP connection.
const NO_TCP: &[&str] = &[
    "461 unsupported transport",
    "protocol not supported",
    "nonmatching transport",
];
/// FFmpeg's messages if hardware does not decode.
const NO_HARDWARE: &[&str] = &[
    "device creation failed",
    "device setup failed",
    "no device available for decoder",
    "hwaccel initialisation",
    "hwaccel requested for",
    "failed to create a vaapi device",
    "no hardware config",
];
/// FFmpeg's messages for unknown data, such as the pictures of a web camera that do not begin with
/// a boundary.
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
    /// The way that FFmpeg's errors suggest, if the options leave the choice.
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

    /// Changes the options to this way, and reports it.
    pub(super) fn apply(self, name: &str, options: &mut SourceOptions) {
        match self {
            Fallback::Udp => {
                options.rtsp_transport = RtspTransport::Udp;
                info!(
                    source = name,
                    "the server refuses RTP over TCP, so UDP is used: \
                     --rtsp-transport udp uses it from the start"
                );
            }
            Fallback::Software => {
                let hardware = options.hwaccel.ffmpeg_name().unwrap_or_default().to_owned();
                options.hwaccel = HardwareDecoder::None;
                warn!(
                    source = name,
                    "{hardware} does not decode on this machine, so the processor does: \
                     --hwaccel none"
                );
            }
        }
    }
}

/// The format to guess for a web server if FFmpeg does not find it and none was set: JPEG pictures,
/// with anything between them.
pub(super) fn guess(
    input: &SourceInput,
    options: &SourceOptions,
    errors: &FfmpegErrors,
) -> Option<InputFormat> {
    let is_guessed = input.is_web() && options.input_format.is_none();
    (is_guessed && errors.mention(UNKNOWN)).then(InputFormat::motion_jpeg)
}
