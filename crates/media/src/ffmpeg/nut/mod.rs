//! NUT, FFmpeg's own container: decoded pictures with their times, and the sound beside them,
//! through one pipe.
//!
//! * `read`: the packets from a child.
//! * `write`: the packets to a child.
//!
//! Both speak version 4 of the format without syncpoints (`-syncpoints none`): those are for
//! seeking, and both sides would keep one for each packet in memory for as long as the child lives.
//!
//! The format: <https://git.ffmpeg.org/gitweb/nut.git/blob/HEAD:/docs/nut.txt>.
mod read;
mod write;

pub use read::NutReader;
pub use write::NutWriter;

/// The content of a stream of the format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NutContent {
    /// Pictures.
    Video {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
        /// Width and height of a pixel on a screen; 0 and 0 if unknown.
        pixel_aspect: (u32, u32),
    },
    /// Sound.
    Audio {
        /// Samples per second, as a fraction.
        rate: (u32, u32),
        /// Channels.
        channels: u32,
    },
    /// Other data.
    Other,
}

/// One stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NutStream {
    /// The name of its codec in the format: `I420`, or two bytes of a WAVE format tag.
    pub codec_tag: Vec<u8>,
    /// Seconds of a unit of time, as a fraction.
    pub time_base: (u32, u32),
    /// The number of packets that a decoder holds back.
    pub decode_delay: u32,
    /// The parameters of its decoder.
    pub codec_private: Vec<u8>,
    /// Its content.
    pub content: NutContent,
}

/// A packet; its bytes are given beside it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NutPacket {
    /// The index of its stream.
    pub stream: usize,
    /// When it is shown, in microseconds.
    pub micros: i64,
    /// Decoding can begin here.
    pub is_key: bool,
}

const FILE_ID: &[u8] = b"nut/multimedia container\0";
const MAIN: u64 = 0x4e4d_7a56_1f5f_04ad;
const STREAM: u64 = 0x4e53_1140_5bf2_f9db;
const SYNCPOINT: u64 = 0x4e4b_e4ad_eeca_4569;
const INFO: u64 = 0x4e49_ab68_b596_ba78;

/// The first byte of every packet that is no frame.
const STARTCODE: u8 = b'N';
/// The version without syncpoints.
const VERSION: u64 = 4;
/// Flag of the main header: there are no syncpoints.
const PIPE: u64 = 2;

/// Flags of a frame.
mod flag {
    pub(super) const KEY: u64 = 1;
    pub(super) const CODED_PTS: u64 = 1 << 3;
    pub(super) const STREAM_ID: u64 = 1 << 4;
    pub(super) const SIZE_MSB: u64 = 1 << 5;
    pub(super) const CHECKSUM: u64 = 1 << 6;
    pub(super) const RESERVED: u64 = 1 << 7;
    pub(super) const SIDE_AND_META_DATA: u64 = 1 << 8;
    pub(super) const HEADER_INDEX: u64 = 1 << 10;
    pub(super) const MATCH_TIME: u64 = 1 << 11;
    pub(super) const CODED: u64 = 1 << 12;
    pub(super) const INVALID: u64 = 1 << 13;
}

/// CRC-32 of the polynomial 0x04c11db7, highest bit first, from 0 and without inversion.
fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |crc, byte| {
        (crc << 8) ^ TABLE[usize::from((crc >> 24) as u8 ^ byte)]
    })
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = (i as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 0x8000_0000 == 0 {
                crc << 1
            } else {
                crc << 1 ^ 0x04c1_1db7
            };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    fn streams() -> Vec<NutStream> {
        let video = NutStream {
            codec_tag: b"I420".to_vec(),
            time_base: (1, 90_000),
            decode_delay: 0,
            codec_private: vec![],
            content: NutContent::Video {
                width: 720,
                height: 576,
                pixel_aspect: (64, 45),
            },
        };
        let audio = NutStream {
            codec_tag: vec![0xff, 0],
            time_base: (1, 44_100),
            decode_delay: 0,
            codec_private: vec![0x12, 0x08, 0x56, 0xe5, 0],
            content: NutContent::Audio {
                rate: (44_100, 1),
                channels: 1,
            },
        };
        vec![video, audio]
    }

    #[test]
    fn checksums_are_those_of_the_format() {
        // The check value of CRC-32/MPEG-2 is 0x0376e6e7, which begins with all ones; this is its
        // value for a begin of zero.
        assert_eq!(checksum(b"123456789"), 0x89a1_897f);
        assert_eq!(checksum(b""), 0);
    }

    #[test]
    fn written_packets_are_read_back() {
        let mut bytes = Vec::new();
        let mut writer = NutWriter::new(&mut bytes, streams(), Some((30_000, 1001))).unwrap();
        let sent = [
            (0, 0, vec![1; 70_000]),
            (1, 23_220, vec![2; 3]),
            (0, 33_367, vec![3; 5]),
            (0, 33_368, vec![]),
            (0, 86_400_000_000, vec![4; 5]),
        ];
        for (stream, micros, bytes) in &sent {
            let packet = NutPacket {
                stream: *stream,
                micros: *micros,
                is_key: true,
            };
            writer.write(packet, bytes).unwrap();
        }
        let mut reader = NutReader::open(bytes.as_slice()).unwrap();
        assert_eq!(reader.streams(), streams());
        let mut body = Vec::new();
        for (stream, micros, bytes) in &sent {
            let packet = reader.next(1 << 20, &mut body).unwrap().unwrap();
            assert_eq!((packet.stream, &body), (*stream, bytes));
            assert!((packet.micros - micros).abs() <= 12, "{packet:?}");
            assert!(packet.is_key);
        }
        assert_eq!(reader.next(1 << 20, &mut body).unwrap(), None);
    }

    #[test]
    fn a_stream_that_is_cut_anywhere_gives_an_error_or_ends_between_packets() {
        let mut bytes = Vec::new();
        let mut writer = NutWriter::new(&mut bytes, streams(), None).unwrap();
        for micros in [0, 40_000] {
            let packet = NutPacket {
                stream: 0,
                micros,
                is_key: true,
            };
            writer.write(packet, b"picture").unwrap();
        }
        let mut body = Vec::new();
        for length in 0..bytes.len() {
            let mut whole = 0;
            if let Ok(mut reader) = NutReader::open(&bytes[..length]) {
                while let Ok(Some(_)) = reader.next(100, &mut body) {
                    assert_eq!(body, b"picture");
                    whole += 1;
                }
            }
            assert!(whole < 2, "{length} of {} bytes", bytes.len());
        }
    }

    #[test]
    fn hostile_bytes_end_in_errors() {
        let mut bytes = Vec::new();
        let mut writer = NutWriter::new(&mut bytes, streams(), Some((25, 1))).unwrap();
        let packet = NutPacket {
            stream: 0,
            micros: 7,
            is_key: true,
        };
        writer.write(packet, b"picture").unwrap();
        let mut body = Vec::new();
        for at in 0..bytes.len() {
            for value in [0, 1, 0x4e, 0x7f, 0x80, 0xff] {
                let mut changed = bytes.clone();
                changed[at] = value;
                changed.extend([value; 40]);
                if let Ok(mut reader) = NutReader::open(changed.as_slice()) {
                    for _ in 0..50 {
                        match reader.next(100, &mut body) {
                            Ok(Some(packet)) => assert!(packet.stream < reader.streams().len()),
                            Ok(None) | Err(_) => break,
                        }
                        assert!(body.len() <= 100);
                    }
                }
            }
        }
    }
}
