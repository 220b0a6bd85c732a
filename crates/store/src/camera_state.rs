//! The state of one camera between two frames, as one value that can be stored.
use mattebox_core::{
    frame::{Numbering, NumberingError},
    matte::{MatteState, StateError},
};
use thiserror::Error;

const MAGIC: [u8; 4] = *b"MBCM";
/// The version that is written. Version 1 can be read too; its numbering has another form.
const VERSION: u16 = 2;
/// Magic, version and checksum.
const HEAD: usize = 10;

/// Everything on which a camera's next frame depends, besides the frame itself.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct CameraState {
    /// Gives the next frame its name.
    pub numbering: Numbering,
    /// The state of the soft matte.
    pub matte: MatteState,
}

/// Why bytes are no [`CameraState`].
#[derive(Debug, Error, PartialEq, Eq)]
pub enum CameraStateError {
    /// They are cut off or changed, or belong to something else.
    #[error("it is damaged")]
    Damaged,
    /// Another version of the program wrote it.
    #[error("it has version {0}, this program reads versions 1 to {VERSION}")]
    Version(u16),
    /// The part with the numbering cannot be used.
    #[error(transparent)]
    Numbering(#[from] NumberingError),
    /// The part with the matte cannot be used.
    #[error(transparent)]
    Matte(#[from] StateError),
}

impl CameraState {
    /// `MBCM`, version, CRC-32 of the rest, the length of the numbering, the numbering, the matte's
    /// state. Numbers are little-endian.
    pub fn to_bytes(&self) -> Vec<u8> {
        let numbering = self.numbering.to_bytes();
        let matte = self.matte.to_bytes();
        let mut bytes = Vec::with_capacity(HEAD + 4 + numbering.len() + matte.len());
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend([0; 4]);
        bytes.extend((numbering.len() as u32).to_le_bytes());
        bytes.extend(numbering);
        bytes.extend(matte);
        let sum = crc32fast::hash(&bytes[HEAD..]);
        bytes[6..HEAD].copy_from_slice(&sum.to_le_bytes());
        bytes
    }

    /// Reads the bytes of [`CameraState::to_bytes`], and those of version 1.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, CameraStateError> {
        let (magic, rest) = bytes.split_first_chunk().ok_or(CameraStateError::Damaged)?;
        let (version, rest) = rest.split_first_chunk().ok_or(CameraStateError::Damaged)?;
        let (sum, rest) = rest.split_first_chunk().ok_or(CameraStateError::Damaged)?;
        if *magic != MAGIC {
            return Err(CameraStateError::Damaged);
        }
        let version = u16::from_le_bytes(*version);
        if !(1..=VERSION).contains(&version) {
            return Err(CameraStateError::Version(version));
        }
        if crc32fast::hash(rest) != u32::from_le_bytes(*sum) {
            return Err(CameraStateError::Damaged);
        }
        let (numbering, matte) = match version {
            1 => numbering_of_version_1(rest).ok_or(CameraStateError::Damaged)?,
            _ => {
                let (length, rest) = rest.split_first_chunk().ok_or(CameraStateError::Damaged)?;
                let length = u32::from_le_bytes(*length) as usize;
                let split = rest.split_at_checked(length);
                let (numbering, matte) = split.ok_or(CameraStateError::Damaged)?;
                (Numbering::from_bytes(numbering)?, matte)
            }
        };
        Ok(CameraState {
            numbering,
            matte: MatteState::from_bytes(matte)?,
        })
    }
}

/// The numbering of version 1 has 25 bytes: the base, whether there was a frame, its number and its
/// time.
fn numbering_of_version_1(bytes: &[u8]) -> Option<(Numbering, &[u8])> {
    let (base, rest) = bytes.split_first_chunk()?;
    let (flag, rest) = rest.split_first()?;
    let (last, rest) = rest.split_first_chunk()?;
    let (_time, rest) = rest.split_first_chunk::<8>()?;
    let base = u64::from_le_bytes(*base);
    let last = u64::from_le_bytes(*last);
    let numbering = match flag {
        0 => Numbering::default(),
        _ => Numbering::resumed(
            i64::try_from(base).ok()?,
            base.checked_add(last)?.checked_add(1)?,
        ),
    };
    Some((numbering, rest))
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn a_state_reads_back_and_damage_is_noticed() {
        let state = CameraState {
            numbering: Numbering::resumed(-3, 8),
            matte: MatteState::default(),
        };
        let bytes = state.to_bytes();
        assert_eq!(CameraState::from_bytes(&bytes).unwrap(), state);
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

    #[test]
    fn version_1_is_read_and_its_numbers_go_on() {
        let mut bytes = [&MAGIC[..], &1_u16.to_le_bytes(), &[0; 4]].concat();
        bytes.extend(5_u64.to_le_bytes());
        bytes.push(1);
        bytes.extend(37_u64.to_le_bytes());
        bytes.extend(1_700_000_000_i64.to_le_bytes());
        bytes.extend(MatteState::default().to_bytes());
        let sum = crc32fast::hash(&bytes[HEAD..]);
        bytes[6..HEAD].copy_from_slice(&sum.to_le_bytes());
        let state = CameraState::from_bytes(&bytes).unwrap();
        assert_eq!(state.numbering, Numbering::resumed(5, 43));
    }
}
