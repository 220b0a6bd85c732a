//! The beginning of a video, kept until its encoder has begun: where it does not, another one gets
//! all of it.
use super::SinkError;
use super::encoder::{EncoderSetup, EncoderTask};
use super::encoder_input::EncoderPiece;
use crate::beside::PictureExtras;
use crate::ffmpeg::log::OutputLog;

/// Pieces that are kept, and bytes of their pictures: at least two pieces. What is sent waits in
/// channels and pipes at first, where many small pictures have room before the encoder is open.
const KEPT: usize = 64;
const KEPT_BYTES: usize = 64 << 20;

/// Watches whether an encoder begins.
#[derive(Debug)]
pub(super) struct Rescue {
    begun: UnbegunVideo,
    output: OutputLog,
}

/// What another encoder needs to begin again.
#[derive(Debug)]
pub(super) struct UnbegunVideo {
    /// The one that was to encode.
    pub(super) setup: EncoderSetup,
    pub(super) task: EncoderTask,
    /// What belongs to the first picture.
    pub(super) beside: PictureExtras,
    /// All that was sent.
    pub(super) pieces: Vec<EncoderPiece>,
}

impl Rescue {
    pub(super) fn new(
        setup: EncoderSetup,
        task: EncoderTask,
        beside: PictureExtras,
        output: OutputLog,
    ) -> Self {
        let begun = UnbegunVideo {
            setup,
            task,
            beside,
            pieces: Vec::new(),
        };
        Rescue { begun, output }
    }

    /// Keeps a piece. False if the encoder has begun: nothing needs to be kept any more.
    pub(super) fn keep(&mut self, piece: &EncoderPiece) -> bool {
        let sizes = self.begun.pieces.iter().map(EncoderPiece::len);
        let has_room = self.begun.pieces.len() < 2 || sizes.sum::<usize>() < KEPT_BYTES;
        let is_needed = !self.output.has_begun() && self.begun.pieces.len() < KEPT && has_room;
        if is_needed {
            self.begun.pieces.push(piece.clone());
        }
        is_needed
    }

    /// What was sent, if this error can mean that the encoder did not begin.
    pub(super) fn begun(self, error: &SinkError) -> Option<UnbegunVideo> {
        // No encoder helps against these.
        let is_other = matches!(
            error,
            SinkError::Stopped | SinkError::Stalled { .. } | SinkError::Unreachable { .. }
        );
        (!is_other && !self.output.has_begun()).then_some(self.begun)
    }
}
