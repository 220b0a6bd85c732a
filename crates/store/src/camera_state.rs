//! What is remembered of one camera between two frames, as one value that can be stored.
use mattebox_core::{
    frame::Numbering,
    matte::{MatteState, StateError},
};
use thiserror::Error;

const MAGIC: [u8; 4] = *b"MBCM";
const VERSION: u16 = 1;
/// Magic, version and checksum.
const HEAD: usize = 10;

/// Everything that a camera's next frame depends on, besides that frame.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CameraState {
    /// Which number the next frame gets.
    pub numbering: Numbering,
    /// What the soft matte remembers.
    pub matte: MatteState,
}

/// Why bytes are no [`CameraState`].
#[derive(Debug, Error, PartialEq, Eq)]
pub enum CameraStateError {
    /// They were cut off, changed, or never were one.
    #[error("it is damaged")]
    Damaged,
    /// Another version of the program wrote it.
    #[error("it has version {0}, this program reads version {VERSION}")]
    Version(u16),
    /// The matte's part cannot be used.
    #[error(transparent)]
    Matte(#[from] StateError),
}

impl CameraState {
    /// `MBCM`, version, CRC-32 of what follows, the numbering, the matte's state. Numbers are little-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let matte = self.matte.to_bytes();
        let mut bytes = Vec::with_capacity(HEAD + Numbering::LEN + matte.len());
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend(self.numbering.to_bytes());
        bytes.extend(matte);
        let sum = crc32fast::hash(&bytes[HEAD..]);
        bytes[6..HEAD].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Reads what [`CameraState::to_bytes`] wrote.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CameraStateError> {
        let (magic, rest) = bytes.split_first_chunk().ok_or(CameraStateError::Damaged)?;
        let (version, rest) = rest.split_first_chunk().ok_or(CameraStateError::Damaged)?;
        let (sum, rest) = rest.split_first_chunk().ok_or(CameraStateError::Damaged)?;
        if *magic != MAGIC {
            return Err(CameraStateError::Damaged);
        }
        match u16::from_le_bytes(*version) {
            VERSION => {}
            other => return Err(CameraStateError::Version(other)),
        }
        if crc32fast::hash(rest) != u32::from_le_bytes(*sum) {
            return Err(CameraStateError::Damaged);
        }
        let (numbering, matte) = rest.split_first_chunk().ok_or(CameraStateError::Damaged)?;
        Ok(CameraState {
            numbering: Numbering::from_bytes(numbering),
            matte: MatteState::from_bytes(matte)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mattebox_core::frame::{FrameNumber, Timestamp};

    #[test]
    fn it_reads_back_and_damage_is_noticed() {
        let mut memory = CameraState::default();
        memory.numbering.place(FrameNumber(7), Timestamp(8));
        let bytes = memory.to_bytes();
        assert_eq!(CameraState::from_bytes(&bytes).unwrap(), memory);
        for at in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[at] ^= 1;
            assert!(CameraState::from_bytes(&changed).is_err(), "byte {at}");
            assert!(
                CameraState::from_bytes(&bytes[..at]).is_err(),
                "the first {at} bytes"
            );
        }
    }
}
