//! The beginning of a video, kept until its encoder has begun: where it does not, another one gets
//! all of it.
use super::SinkError;
use super::encoder::{EncoderSetup, Task};
use super::encoder_input::Piece;
use crate::beside::Beside;
use crate::ffmpeg::log::OutputLog;

/// Pieces that are kept, and bytes of their pictures: at least two pieces. What is sent waits in
/// channels and pipes at first, where many small pictures have room before the encoder is open.
const KEPT: usize = 64;
const KEPT_BYTES: usize = 64 << 20;

/// Watches whether an encoder begins.
#[derive(Debug)]
pub(super) struct Rescue {
    begun: Begun,
    output: OutputLog,
}

/// What another encoder needs to begin again.
#[derive(Debug)]
pub(super) struct Begun {
    /// The one that was to encode.
    pub(super) setup: EncoderSetup,
    pub(super) task: Task,
    /// What belongs to the first picture.
    pub(super) beside: Beside,
    /// All that was sent.
    pub(super) pieces: Vec<Piece>,
}

impl Rescue {
    pub(super) fn new(setup: EncoderSetup, task: Task, beside: Beside, output: OutputLog) -> Self {
        let begun = Begun {
            setup,
            task,
            beside,
            pieces: Vec::new(),
        };
        Rescue { begun, output }
    }

    /// Keeps a piece. False if the encoder has begun: nothing needs to be kept any more.
    pub(super) fn keep(&mut self, piece: &Piece) -> bool {
        let sizes = self.begun.pieces.iter().map(Piece::len);
        let has_room = self.begun.pieces.len() < 2 || sizes.sum::<usize>() < KEPT_BYTES;
        let is_needed = !self.output.has_begun() && self.begun.pieces.len() < KEPT && has_room;
        if is_needed {
            self.begun.pieces.push(piece.clone());
        }
        is_needed
    }

    /// What was sent, if this error can mean that the encoder did not begin.
    pub(super) fn begun(self, error: &SinkError) -> Option<Begun> {
        // No encoder helps against these.
        let is_other = matches!(
            error,
            SinkError::Stopped | SinkError::Stalled { .. } | SinkError::Unreachable { .. }
        );
        (!is_other && !self.output.has_begun()).then_some(self.begun)
    }
}
