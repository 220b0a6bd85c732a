//! Which file a frame gets when its camera may begin to count anew.
use super::{FrameNumber, Timestamp};

/// The numbers that one camera's frames get in the order of the log. A camera that was started again and counts from 0 must not
/// write over its earlier frames, so from there on its numbers are moved up behind the last one.
///
/// What a frame gets depends on the frames before it in the log and on nothing else: read again, each gets its number again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Numbering {
    /// What is added to the camera's own numbers.
    pub(super) base: u64,
    /// The last frame in order: the camera's own number, and when it was taken.
    pub(super) last: Option<(u64, Timestamp)>,
}

/// A frame's place among the frames before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// It follows them.
    Next(FrameNumber),
    /// It is the first of a camera that counts anew.
    Restarted(FrameNumber),
    /// It was taken before the last of them, or is that one once more: a repeated delivery, or a record that was sent again.
    Late(FrameNumber),
}

impl Place {
    /// The number that the frame gets.
    pub fn number(self) -> FrameNumber {
        match self {
            Place::Next(number) | Place::Restarted(number) | Place::Late(number) => number,
        }
    }
}

impl Numbering {
    /// Bytes of [`Numbering::to_bytes`].
    pub const LEN: usize = 25;

    /// For a camera of which only the highest number in its folder is known: every later frame gets a higher one.
    pub fn above(highest: Option<FrameNumber>) -> Self {
        Numbering {
            base: 0,
            last: highest.map(|highest| (highest.0, Timestamp(i64::MIN))),
        }
    }

    /// Where a frame with the camera's own `number`, taken at `time`, belongs. Late frames leave no trace.
    pub fn place(&mut self, number: FrameNumber, time: Timestamp) -> Place {
        let at = |base: u64| FrameNumber(base.saturating_add(number.0));
        match self.last {
            Some((last, taken)) if number.0 <= last && time <= taken => {
                return Place::Late(at(self.base));
            }
            Some((last, _)) if number.0 <= last => {
                self.base = self.base.saturating_add(last).saturating_add(1);
                self.last = Some((number.0, time));
                return Place::Restarted(at(self.base));
            }
            _ => {}
        }
        self.last = Some((number.0, time));
        Place::Next(at(self.base))
    }

    /// Little-endian: base, whether there was a frame, its number and its time.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let (number, time) = self.last.unwrap_or_default();
        let mut bytes = [0; Self::LEN];
        bytes[..8].copy_from_slice(&self.base.to_le_bytes());
        bytes[8] = u8::from(self.last.is_some());
        bytes[9..17].copy_from_slice(&number.to_le_bytes());
        bytes[17..].copy_from_slice(&time.0.to_le_bytes());
        bytes
    }

    /// Reads what [`Numbering::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Self {
        let word = |at: usize| std::array::from_fn(|i| bytes[at + i]);
        let last = (
            u64::from_le_bytes(word(9)),
            Timestamp(i64::from_le_bytes(word(17))),
        );
        Numbering {
            base: u64::from_le_bytes(word(0)),
            last: (bytes[8] != 0).then_some(last),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Place::*;

    fn places(frames: &[(u64, i64)]) -> Vec<Place> {
        let mut numbering = Numbering::default();
        frames
            .iter()
            .map(|&(number, time)| numbering.place(FrameNumber(number), Timestamp(time)))
            .collect()
    }

    #[test]
    fn a_camera_that_counts_anew_writes_over_nothing() {
        let n = FrameNumber;
        assert_eq!(
            places(&[(0, 10), (1, 20), (0, 30), (1, 40), (0, 50)]),
            [
                Next(n(0)),
                Next(n(1)),
                Restarted(n(2)),
                Next(n(3)),
                Restarted(n(4))
            ]
        );
    }

    #[test]
    fn gaps_stay_and_repeated_frames_are_late() {
        let n = FrameNumber;
        assert_eq!(
            places(&[(3, 10), (7, 20), (7, 20), (3, 10), (8, 30)]),
            [Next(n(3)), Next(n(7)), Late(n(7)), Late(n(3)), Next(n(8))]
        );
    }

    #[test]
    fn above_a_number_no_frame_gets_that_number_or_a_lower_one() {
        for first in [0, 9, 10, 500] {
            let mut numbering = Numbering::above(Some(FrameNumber(9)));
            for (number, time) in [(first, 5), (first + 1, 6), (0, 7)] {
                let place = numbering.place(FrameNumber(number), Timestamp(time));
                assert!(
                    place.number().0 > 9,
                    "{number} after {first} became {place:?}"
                );
            }
        }
        assert_eq!(Numbering::above(None), Numbering::default());
    }

    #[test]
    fn it_reads_back_as_it_was_written() {
        let mut numbering = Numbering::default();
        for (number, time) in [(u64::MAX, i64::MIN), (5, 6), (5, 7)] {
            assert_eq!(Numbering::from_bytes(&numbering.to_bytes()), numbering);
            numbering.place(FrameNumber(number), Timestamp(time));
        }
        assert_eq!(Numbering::from_bytes(&numbering.to_bytes()), numbering);
    }
}
