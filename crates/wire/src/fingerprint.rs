//! A hash by which a record is known when it comes again.
use mattebox_core::frame::{FrameNumber, Timestamp};

/// The hash of a record: equal for a repeated delivery, and in nearly no other case. The upper half
/// is the CRC-32 of the frame's number and time, the lower half that of the record's value.
pub fn fingerprint(number: FrameNumber, time: Timestamp, value: &[u8]) -> u64 {
    let mut head = [0; 16];
    head[..8].copy_from_slice(&number.0.to_le_bytes());
    head[8..].copy_from_slice(&time.0.to_le_bytes());
    u64::from(crc32fast::hash(&head)) << 32 | u64::from(crc32fast::hash(value))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_time_and_value_count() {
        let of =
            |number, time, value: &[u8]| fingerprint(FrameNumber(number), Timestamp(time), value);
        let one = of(1, 2, b"x");
        assert_eq!(of(1, 2, b"x"), one);
        for other in [of(2, 2, b"x"), of(1, 3, b"x"), of(1, 2, b"y")] {
            assert_ne!(other, one);
        }
    }
}
