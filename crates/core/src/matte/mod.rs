//! The matte of a picture: how much of each pixel is person.
//!
//! [`Segmenter`] runs the network on a picture. It takes a camera's frames in order, because it
//! remembers the last frame in a [`MatteState`]. [`Refiner`] brings the result to the picture's
//! size, for any frame on any thread.
//!
//! # Layout
//!
//! * `segment`: the network, on the whole picture or on a crop; the state from frame to frame.
//! * `network`: the interface of a network that finds people in a small picture.
//! * `fine`: a second network that draws the edges; `key_frame`: carries its edges to the frames
//!   after.
//! * `focus`: the part of the picture that the network sees, and the search for newcomers; `blobs`:
//!   connected parts of a mask.
//! * `grid`: the low resolution of the soft matte; `resample`: from the picture to the network's
//!   input, and from its output to the grid.
//! * `smooth`: motion-aware smoothing over time.
//! * `state`: the memory of a camera, as bytes.
//! * `full`: a matte at the picture's size, and its plain parts.
//! * `refine`: brings a matte to the picture's size; `guided`: the colour guided filter; `spread`:
//!   from cells to pixels; `settled`: the cells whose alpha is certain; `blocks`: parts of a row of
//!   cells; `window`: sums over windows.
//! * `evidence`: the places where people are believed; `average`: averaged colours and the camera's
//!   noise.
//! * `people`: chooses the people who are shown; `plate`: the learned room.
//! * `hard`: MediaPipe's category mask.
mod average;
mod blobs;
mod blocks;
mod coarse;
mod evidence;
mod fine;
mod focus;
mod full;
mod grid;
mod guided;
mod hard;
mod key_frame;
mod network;
mod people;
mod plate;
mod refine;
mod resample;
mod segment;
mod settled;
mod smooth;
mod spread;
mod state;
mod window;

pub use coarse::CoarseMatte;
pub use full::Matte;
pub(crate) use full::{AlphaRun, AlphaRunKind};
pub use network::Network;
pub use people::{People, PeopleError};
pub use plate::{PlateMode, PlateModeError};
pub use refine::Refiner;
pub use segment::Segmenter;
pub use state::{MatteState, StateError};
use std::{fmt, str::FromStr};
use thiserror::Error;

/// The kinds of mattes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum MatteMode {
    /// MediaPipe's category mask: 0 or 255, each frame for itself.
    Hard,
    /// Soft edges that follow the picture's edges, steady over time.
    #[default]
    Soft,
    /// As `Soft`; a network that is better at edges draws them in key frames.
    Fine,
    /// As `Fine`, in every frame.
    FineAlways,
}

impl MatteMode {
    /// All of them.
    pub const ALL: [MatteMode; 4] = [
        MatteMode::Hard,
        MatteMode::Soft,
        MatteMode::Fine,
        MatteMode::FineAlways,
    ];

    /// Whether a frame's matte depends on the frames before it.
    pub fn has_state(self) -> bool {
        self != MatteMode::Hard
    }

    /// Whether a second network draws the edges.
    pub fn is_fine(self) -> bool {
        matches!(self, MatteMode::Fine | MatteMode::FineAlways)
    }
}

/// A text that is not a [`MatteMode`].
#[derive(Debug, Error, PartialEq, Eq)]
#[error("unknown matte {0:?}: use soft, hard, fine or fine:always")]
pub struct MatteModeError(String);

impl FromStr for MatteMode {
    type Err = MatteModeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "hard" => Ok(MatteMode::Hard),
            "soft" => Ok(MatteMode::Soft),
            "fine" => Ok(MatteMode::Fine),
            "fine:always" => Ok(MatteMode::FineAlways),
            other => Err(MatteModeError(other.to_owned())),
        }
    }
}

impl fmt::Display for MatteMode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            MatteMode::Hard => "hard",
            MatteMode::Soft => "soft",
            MatteMode::Fine => "fine",
            MatteMode::FineAlways => "fine:always",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn modes_read_back_what_they_print() {
        for mode in MatteMode::ALL {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        assert!("Soft".parse::<MatteMode>().is_err());
    }
}
