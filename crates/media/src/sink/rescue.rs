//! Keeps the beginning of a video until its encoder has begun: if it does not begin, another
//! encoder gets all of it.
use super::SinkError;
use super::encoder::{EncoderSetup, EncoderTask};
use super::encoder_input::EncoderPiece;
use crate::beside::PictureExtras;
use crate::ffmpeg::log::OutputLog;

/// The most pieces that are kept, and the most bytes of their pictures, but at least two pieces.
/// Channels and pipes have room for many small pictures before the encoder is open.
const KEPT: usize = 64;
const KEPT_BYTES: usize = 64 << 20;

/// Watches whether an encoder begins.
#[derive(Debug)]
pub(super) struct Rescue {
    begun: UnbegunVideo,
    output: OutputLog,
}

/// The data for another encoder that begins again.
#[derive(Debug)]
pub(super) struct UnbegunVideo {
    /// The encoder that did not begin.
    pub(super) setup: EncoderSetup,
    pub(super) task: EncoderTask,
    /// The other data of the first picture.
    pub(super) beside: PictureExtras,
    /// All pieces that were sent.
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

    /// Keeps a piece. False if the encoder has begun: no piece is needed any more.
    pub(super) fn keep(&mut self, piece: &EncoderPiece) -> bool {
        let sizes = self.begun.pieces.iter().map(EncoderPiece::len);
        let has_room = self.begun.pieces.len() < 2 || sizes.sum::<usize>() < KEPT_BYTES;
        let is_needed = !self.output.has_begun() && self.begun.pieces.len() < KEPT && has_room;
        if is_needed {
            self.begun.pieces.push(piece.clone());
        }
        is_needed
    }

    /// The pieces that were sent, if this error can mean that the encoder did not begin.
    pub(super) fn begun(self, error: &SinkError) -> Option<UnbegunVideo> {
        // Another encoder does not help against these errors.
        let is_other = matches!(
            error,
            SinkError::Stopped | SinkError::Stalled { .. } | SinkError::Unreachable { .. }
        );
        (!is_other && !self.output.has_begun()).then_some(self.begun)
    }
}
