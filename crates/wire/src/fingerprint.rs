//! A number that tells records apart.
use mattebox_core::frame::{FrameNumber, Timestamp};

/// A hash of a record's value, and of the number and time of its frame. A record that is delivered
/// twice has the same hash. Two records of one camera with equal pictures, such as those of a dark
/// room, have other numbers or times.
pub fn fingerprint(number: FrameNumber, time: Timestamp, value: &[u8]) -> u64 {
    let mut place = [0; 16];
    place[..8].copy_from_slice(&number.0.to_le_bytes());
    place[8..].copy_from_slice(&time.0.to_le_bytes());
    u64::from(crc32fast::hash(value)) | u64::from(crc32fast::hash(&place)) << 32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Stored numberings hold fingerprints: with another value for the same record, a repeated
    /// delivery would become a new frame.
    #[test]
    fn a_fingerprint_never_changes() {
        let of =
            |number, time, value: &[u8]| fingerprint(FrameNumber(number), Timestamp(time), value);
        let known = of(41, 1_700_000_000_000_000, b"picture");
        assert_eq!(known & 0xffff_ffff, u64::from(crc32fast::hash(b"picture")));
        assert_eq!(of(0, 0, b""), u64::from(crc32fast::hash(&[0; 16])) << 32);
        assert_eq!(of(0, 0, b""), 0xecbb_4b55_0000_0000);
        for other in [
            of(42, 1_700_000_000_000_000, b"picture"),
            of(41, 1_700_000_000_000_001, b"picture"),
            of(41, 1_700_000_000_000_000, b"pictures"),
        ] {
            assert_ne!(other, known);
        }
    }
}
