//! Writes the packets to a child.
use super::{
    FILE_ID, INFO, MAIN, NutContent, NutPacket, NutStream, PIPE, STREAM, SYNCPOINT, VERSION,
    checksum, flag,
};
use std::io::{self, Write};

/// Bits of a time that is written without its upper part. All times are written whole.
const SHIFT: u32 = 7;
/// The only frame code: each frame writes all its fields.
const CODE: u8 = 1;
const FLAGS: u64 =
    flag::CODED | flag::STREAM_ID | flag::CODED_PTS | flag::SIZE_MSB | flag::CHECKSUM;

/// Writes a stream of the format.
#[derive(Debug)]
pub struct NutWriter<W> {
    to: W,
    streams: Vec<NutStream>,
    /// The header of a frame.
    header: Vec<u8>,
}

impl<W: Write> NutWriter<W> {
    /// Writes the headers. `frame_rate` of the first stream is only information: the times of its
    /// packets count.
    pub fn new(
        mut to: W,
        streams: Vec<NutStream>,
        frame_rate: Option<(u32, u32)>,
    ) -> io::Result<Self> {
        let mut bytes = FILE_ID.to_vec();
        put_packet(&mut bytes, MAIN, &main_header(&streams));
        for (place, stream) in streams.iter().enumerate() {
            put_packet(&mut bytes, STREAM, &stream_header(place, stream));
        }
        if let Some((frames, seconds)) = frame_rate {
            put_packet(&mut bytes, INFO, &rate_info(frames, seconds));
        }
        // The format requires one syncpoint: at time 0, with nothing before it.
        put_packet(&mut bytes, SYNCPOINT, &[0, 0]);
        to.write_all(&bytes)?;
        Ok(NutWriter {
            to,
            streams,
            header: vec![],
        })
    }

    /// Writes a packet. Times before 0 count as 0.
    pub fn write(&mut self, packet: NutPacket, body: &[u8]) -> io::Result<()> {
        let Some(stream) = self.streams.get(packet.stream) else {
            return Err(io::Error::other("a packet of no stream"));
        };
        let (numerator, denominator) = stream.time_base;
        let unit = i128::from(numerator) * 1_000_000;
        let units = (i128::from(packet.micros.max(0)) * i128::from(denominator) + unit / 2) / unit;
        let units = u64::try_from(units).map_err(io::Error::other)?;
        let header = &mut self.header;
        header.clear();
        header.push(CODE);
        // The flags that differ from those of the code.
        put(header, u64::from(packet.is_key));
        put(header, packet.stream as u64);
        put(header, units + (1 << SHIFT));
        put(header, body.len() as u64);
        let sum = checksum(header);
        header.extend(sum.to_be_bytes());
        self.to.write_all(header)?;
        self.to.write_all(body)?;
        self.to.flush()
    }
}

fn main_header(streams: &[NutStream]) -> Vec<u8> {
    let mut fields = Vec::new();
    for value in [
        VERSION,
        1,
        streams.len() as u64,
        65_536,
        streams.len() as u64,
    ] {
        put(&mut fields, value);
    }
    for stream in streams {
        put(&mut fields, stream.time_base.0.into());
        put(&mut fields, stream.time_base.1.into());
    }
    let mut codes = |flags: u64, count: u64| {
        put(&mut fields, flags);
        put(&mut fields, 6);
        for value in [0, 1, 0, 0, 0, count] {
            put(&mut fields, value);
        }
    };
    codes(flag::INVALID, u64::from(CODE));
    codes(FLAGS, 1);
    // The byte that begins a startcode is no frame code and is not counted.
    codes(flag::INVALID, 256 - u64::from(CODE) - 2);
    put(&mut fields, 0);
    put(&mut fields, PIPE);
    fields
}

fn stream_header(place: usize, stream: &NutStream) -> Vec<u8> {
    let mut fields = Vec::new();
    put(&mut fields, place as u64);
    put(
        &mut fields,
        match stream.content {
            NutContent::Video { .. } => 0,
            NutContent::Audio { .. } => 1,
            NutContent::Other => 3,
        },
    );
    put_bytes(&mut fields, &stream.codec_tag);
    put(&mut fields, place as u64);
    put(&mut fields, SHIFT.into());
    put(&mut fields, u64::from(stream.time_base.1));
    put(&mut fields, stream.decode_delay.into());
    put(&mut fields, 0);
    put_bytes(&mut fields, &stream.codec_private);
    match stream.content {
        NutContent::Video {
            width,
            height,
            pixel_aspect: (x, y),
        } => [width, height, x, y, 0]
            .iter()
            .for_each(|value| put(&mut fields, (*value).into())),
        NutContent::Audio { rate, channels } => [rate.0, rate.1, channels]
            .iter()
            .for_each(|value| put(&mut fields, (*value).into())),
        NutContent::Other => {}
    }
    fields
}

/// FFmpeg's own field for a rate.
fn rate_info(frames: u32, seconds: u32) -> Vec<u8> {
    let mut fields = Vec::new();
    // Of the first stream, of no chapter, one pair of words.
    put(&mut fields, 1);
    for value in [0, 0, 0, 1] {
        put(&mut fields, value);
    }
    put_bytes(&mut fields, b"r_frame_rate");
    // A value of -1 is a text.
    put(&mut fields, 2);
    put_bytes(&mut fields, format!("{frames}/{seconds}").as_bytes());
    fields
}

fn put_packet(to: &mut Vec<u8>, code: u64, fields: &[u8]) {
    let begun = to.len();
    to.extend(code.to_be_bytes());
    let length = fields.len() as u64 + 4;
    put(to, length);
    if length > 4096 {
        let sum = checksum(&to[begun..]);
        to.extend(sum.to_be_bytes());
    }
    to.extend(fields);
    to.extend(checksum(fields).to_be_bytes());
}

fn put_bytes(to: &mut Vec<u8>, bytes: &[u8]) {
    put(to, bytes.len() as u64);
    to.extend(bytes);
}

/// Seven bits a byte, the highest first; all but the last have the eighth set.
fn put(to: &mut Vec<u8>, value: u64) {
    for group in (1..10).rev() {
        let rest = value >> (7 * group);
        if rest != 0 {
            to.push(0x80 | (rest & 0x7f) as u8);
        }
    }
    to.push((value & 0x7f) as u8);
}
