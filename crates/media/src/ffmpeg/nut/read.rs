//! Reads the packets from a child.
use super::{FILE_ID, MAIN, NutContent, NutPacket, NutStream, STARTCODE, STREAM, SYNCPOINT, flag};
use std::io::{self, BufRead, ErrorKind, Read};

/// The longest header, in bytes. A header holds the parameters of a decoder, which are long for
/// some codecs.
const MAX_HEADER: u64 = 16 << 20;
/// The most streams.
const MAX_STREAMS: u64 = 64;

/// Reads a stream of the format.
#[derive(Debug)]
pub struct NutReader<R> {
    from: R,
    streams: Vec<NutStream>,
    /// The meanings of a frame's first byte.
    codes: Vec<FrameCode>,
    /// The first bytes that frames can leave out.
    elided: Vec<Vec<u8>>,
    /// The time bases that streams share, in seconds as fractions.
    time_bases: Vec<(u64, u64)>,
    /// One for each stream.
    clocks: Vec<StreamClock>,
}

/// The coding of a stream's times.
#[derive(Debug, Clone, Copy)]
struct StreamClock {
    time_base: (u64, u64),
    /// Bits of a time that is written without its upper part.
    shift: u32,
    /// The time before, in units.
    last: i64,
}

#[derive(Debug, Clone, Copy)]
struct FrameCode {
    flags: u64,
    pts_delta: i64,
    size_mul: u64,
    size_lsb: u64,
    stream: u64,
    reserved: u64,
    header: u64,
}

const NO_CODE: FrameCode = FrameCode {
    flags: flag::INVALID,
    pts_delta: 0,
    size_mul: 1,
    size_lsb: 0,
    stream: 0,
    reserved: 0,
    header: 0,
};

impl<R: BufRead> NutReader<R> {
    /// Reads the headers.
    pub fn open(mut from: R) -> io::Result<Self> {
        let mut id = [0; FILE_ID.len()];
        from.read_exact(&mut id)?;
        if id != FILE_ID {
            return Err(bad("it is no NUT stream"));
        }
        let mut reader = NutReader {
            from,
            streams: vec![],
            codes: vec![],
            elided: vec![],
            time_bases: vec![],
            clocks: vec![],
        };
        if reader.from.fill_buf()?.first() != Some(&STARTCODE) {
            return Err(bad("its main header is missing"));
        }
        reader.from.consume(1);
        let (code, body) = reader.header_packet()?;
        if code != MAIN {
            return Err(bad("its main header is missing"));
        }
        let count = reader.main_header(&mut HeaderFields(&body))?;
        for place in 0..count {
            match reader.from.fill_buf()?.first() {
                Some(&STARTCODE) => reader.from.consume(1),
                Some(_) => return Err(bad("a header of a stream is missing")),
                None => return Err(ErrorKind::UnexpectedEof.into()),
            }
            let (code, body) = reader.header_packet()?;
            if code != STREAM {
                return Err(bad("a header of a stream is missing"));
            }
            reader.stream_header(place, &mut HeaderFields(&body))?;
        }
        Ok(reader)
    }

    /// The streams, in their order.
    pub fn streams(&self) -> &[NutStream] {
        &self.streams
    }

    /// Reads the next packet and puts its bytes into `body`. `None` at the end; `UnexpectedEof`
    /// within a packet. One longer than `max_bytes` is an error.
    pub fn next(&mut self, max_bytes: usize, body: &mut Vec<u8>) -> io::Result<Option<NutPacket>> {
        loop {
            let Some(&first) = self.from.fill_buf()?.first() else {
                return Ok(None);
            };
            self.from.consume(1);
            if first != STARTCODE {
                return self.frame(first, max_bytes, body).map(Some);
            }
            // Other packets hold nothing that is needed here.
            if let (SYNCPOINT, packet) = self.header_packet()? {
                self.syncpoint(&mut HeaderFields(&packet))?;
            }
        }
    }

    /// Reads a packet that is no frame, behind the first byte of its startcode.
    fn header_packet(&mut self) -> io::Result<(u64, Vec<u8>)> {
        let mut code = [STARTCODE; 8];
        self.from.read_exact(&mut code[1..])?;
        let length = self.varint()?;
        if !(4..=MAX_HEADER).contains(&length) {
            return Err(bad("a header has an impossible length"));
        }
        if length > 4096 {
            self.from.read_exact(&mut [0; 4])?;
        }
        let mut body = Vec::new();
        self.from.by_ref().take(length).read_to_end(&mut body)?;
        if body.len() as u64 != length {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        body.truncate(body.len() - 4);
        Ok((u64::from_be_bytes(code), body))
    }

    /// Gives the number of streams.
    fn main_header(&mut self, fields: &mut HeaderFields<'_>) -> io::Result<u64> {
        let version = fields.varint()?;
        if version > 3 {
            fields.varint()?;
        }
        let streams = fields.varint()?;
        if !(1..=MAX_STREAMS).contains(&streams) {
            return Err(bad("it has an impossible number of streams"));
        }
        fields.varint()?;
        let time_bases = fields.varint()?;
        if !(1..=MAX_STREAMS).contains(&time_bases) {
            return Err(bad("it has an impossible number of time bases"));
        }
        for _ in 0..time_bases {
            let time_base = (fields.varint()?, fields.varint()?);
            let fits = |n| (1..1 << 31).contains(&n);
            if !fits(time_base.0) || !fits(time_base.1) {
                return Err(bad("it has an impossible time base"));
            }
            self.time_bases.push(time_base);
        }
        self.frame_codes(streams, fields)?;
        self.elided = vec![vec![]];
        if !fields.0.is_empty() {
            let headers = fields.varint()?;
            if headers > 127 {
                return Err(bad("it leaves out too many beginnings"));
            }
            for _ in 0..headers {
                let header = fields.bytes()?.to_vec();
                self.elided.push(header);
            }
        }
        Ok(streams)
    }

    fn frame_codes(&mut self, streams: u64, fields: &mut HeaderFields<'_>) -> io::Result<()> {
        let mut code = NO_CODE;
        while self.codes.len() < 256 {
            code.flags = fields.varint()?;
            let given = fields.varint()?;
            code.reserved = 0;
            code.size_lsb = 0;
            if given > 0 {
                code.pts_delta = fields.signed()?;
            }
            if given > 1 {
                code.size_mul = fields.varint()?;
            }
            if given > 2 {
                code.stream = fields.varint()?;
            }
            if given > 3 {
                code.size_lsb = fields.varint()?;
            }
            if given > 4 {
                code.reserved = fields.varint()?;
            }
            let count = match given > 5 {
                true => fields.varint()?,
                false => code.size_mul.saturating_sub(code.size_lsb),
            };
            if given > 6 {
                fields.signed()?;
            }
            if given > 7 {
                code.header = fields.varint()?;
            }
            for _ in 8..given.min(64) {
                fields.varint()?;
            }
            if count == 0 || code.stream >= streams {
                return Err(bad("its frame codes are impossible"));
            }
            for step in 0..count {
                if self.codes.len() == usize::from(STARTCODE) {
                    self.codes.push(NO_CODE);
                }
                if self.codes.len() >= 256 {
                    return Err(bad("it has too many frame codes"));
                }
                self.codes.push(FrameCode {
                    size_lsb: code.size_lsb.saturating_add(step),
                    ..code
                });
            }
            if self.codes.len() == usize::from(STARTCODE) {
                self.codes.push(NO_CODE);
            }
        }
        Ok(())
    }

    fn stream_header(&mut self, place: u64, fields: &mut HeaderFields<'_>) -> io::Result<()> {
        if fields.varint()? != place {
            return Err(bad("its streams are out of order"));
        }
        let class = fields.varint()?;
        let codec_tag = fields.bytes()?.to_vec();
        let time_base = usize::try_from(fields.varint()?).unwrap_or(usize::MAX);
        let Some(&time_base) = self.time_bases.get(time_base) else {
            return Err(bad("a stream has no time base"));
        };
        let (numerator, denominator) = time_base;
        let shift = fields.varint()?;
        if shift >= 32 {
            return Err(bad("a stream has impossible times"));
        }
        fields.varint()?;
        let decode_delay = fields.number()?;
        fields.varint()?;
        let codec_private = fields.bytes()?.to_vec();
        let content = match class {
            0 => NutContent::Video {
                width: fields.number()?,
                height: fields.number()?,
                pixel_aspect: (fields.number()?, fields.number()?),
            },
            1 => NutContent::Audio {
                rate: (fields.number()?, fields.number()?),
                channels: fields.number()?,
            },
            _ => NutContent::Other,
        };
        self.clocks.push(StreamClock {
            time_base,
            shift: shift as u32,
            last: 0,
        });
        self.streams.push(NutStream {
            codec_tag,
            // Both were checked to fit.
            time_base: (numerator as u32, denominator as u32),
            decode_delay,
            codec_private,
            content,
        });
        Ok(())
    }

    fn syncpoint(&mut self, fields: &mut HeaderFields<'_>) -> io::Result<()> {
        let coded = fields.varint()?;
        let bases = self.time_bases.len() as u64;
        let (numerator, denominator) = self.time_bases[(coded % bases) as usize];
        let time = i128::from(coded / bases) * i128::from(numerator);
        for clock in &mut self.clocks {
            let units = time * i128::from(clock.time_base.1)
                / (i128::from(denominator) * i128::from(clock.time_base.0));
            clock.last = i64::try_from(units).map_err(|_| bad("a time is impossible"))?;
        }
        Ok(())
    }

    fn frame(&mut self, first: u8, max_bytes: usize, body: &mut Vec<u8>) -> io::Result<NutPacket> {
        let code = self.codes[usize::from(first)];
        let mut flags = code.flags;
        if flags & flag::INVALID != 0 {
            return Err(bad("a frame has an unknown code"));
        }
        if flags & flag::CODED != 0 {
            flags ^= self.varint()?;
        }
        let mut stream = code.stream;
        if flags & flag::STREAM_ID != 0 {
            stream = self.varint()?;
        }
        let stream = usize::try_from(stream)
            .ok()
            .filter(|stream| *stream < self.streams.len())
            .ok_or_else(|| bad("a frame is of no stream"))?;
        let coded = match flags & flag::CODED_PTS {
            0 => None,
            _ => Some(self.varint()?),
        };
        let micros = self.clocks[stream].time(coded, code.pts_delta)?;
        let mut size = code.size_lsb;
        if flags & flag::SIZE_MSB != 0 {
            let upper = self.varint()?.checked_mul(code.size_mul);
            size = upper
                .and_then(|upper| upper.checked_add(size))
                .ok_or_else(|| bad("a frame is too long"))?;
        }
        if flags & flag::MATCH_TIME != 0 {
            self.varint()?;
        }
        let mut header = code.header;
        if flags & flag::HEADER_INDEX != 0 {
            header = self.varint()?;
        }
        let mut reserved = code.reserved;
        if flags & flag::RESERVED != 0 {
            reserved = self.varint()?;
        }
        for _ in 0..reserved.min(256) {
            self.varint()?;
        }
        if size > 4096 {
            header = 0;
        }
        if flags & flag::CHECKSUM != 0 {
            self.from.read_exact(&mut [0; 4])?;
        }
        let beginning = usize::try_from(header)
            .ok()
            .and_then(|header| self.elided.get(header))
            .ok_or_else(|| bad("a frame leaves out an unknown beginning"))?;
        if size < beginning.len() as u64 {
            return Err(bad("a frame is shorter than its beginning"));
        }
        if size > max_bytes as u64 {
            return Err(bad("a frame is too long"));
        }
        // The size is within the limit, which is a `usize`.
        body.resize(size as usize, 0);
        let (start, rest) = body.split_at_mut(beginning.len());
        start.copy_from_slice(beginning);
        self.from.read_exact(rest)?;
        if flags & flag::SIDE_AND_META_DATA != 0 {
            let mut fields = HeaderFields(body);
            fields.side_data()?;
            fields.side_data()?;
            let used = body.len() - fields.0.len();
            body.drain(..used);
        }
        Ok(NutPacket {
            stream,
            micros,
            is_key: flags & flag::KEY != 0,
        })
    }

    fn varint(&mut self) -> io::Result<u64> {
        varint(|| {
            let mut byte = [0];
            self.from.read_exact(&mut byte)?;
            Ok(byte[0])
        })
    }
}

impl StreamClock {
    /// The next time in microseconds.
    fn time(&mut self, coded: Option<u64>, delta: i64) -> io::Result<i64> {
        let impossible = || bad("a time is impossible");
        let lower = 1u64 << self.shift;
        self.last = match coded {
            None => self.last.checked_add(delta).ok_or_else(impossible)?,
            // Only the lower bits: the time is the nearest to the one before.
            Some(coded) if coded < lower => {
                let mask = lower as i64 - 1;
                let from = self.last.checked_sub(mask / 2).ok_or_else(impossible)?;
                from.checked_add((coded as i64).wrapping_sub(from) & mask)
                    .ok_or_else(impossible)?
            }
            Some(coded) => i64::try_from(coded - lower).map_err(|_| impossible())?,
        };
        let (numerator, denominator) = self.time_base;
        let (numerator, denominator) = (i128::from(numerator), i128::from(denominator));
        let micros = (i128::from(self.last) * numerator * 2_000_000 + denominator)
            .div_euclid(denominator * 2);
        i64::try_from(micros).map_err(|_| impossible())
    }
}

/// The fields of a header.
struct HeaderFields<'a>(&'a [u8]);

impl<'a> HeaderFields<'a> {
    fn varint(&mut self) -> io::Result<u64> {
        varint(|| {
            let (first, rest) = self.0.split_first().ok_or(ErrorKind::InvalidData)?;
            self.0 = rest;
            Ok(*first)
        })
    }

    fn number(&mut self) -> io::Result<u32> {
        u32::try_from(self.varint()?).map_err(|_| bad("a number is too large"))
    }

    fn signed(&mut self) -> io::Result<i64> {
        let coded = self.varint()?.wrapping_add(1);
        let half = (coded >> 1) as i64;
        Ok(if coded & 1 == 1 { -half } else { half })
    }

    fn bytes(&mut self) -> io::Result<&'a [u8]> {
        let length = usize::try_from(self.varint()?).unwrap_or(usize::MAX);
        let (bytes, rest) = self
            .0
            .split_at_checked(length)
            .ok_or_else(|| bad("a field is longer than its header"))?;
        self.0 = rest;
        Ok(bytes)
    }

    /// Skips pairs of names and values.
    fn side_data(&mut self) -> io::Result<()> {
        for _ in 0..self.varint()?.min(4096) {
            self.bytes()?;
            match self.signed()? {
                -1 => drop(self.bytes()?),
                -2 => {
                    self.bytes()?;
                    self.bytes()?;
                }
                -4 => drop(self.varint()?),
                ..-2 => drop(self.signed()?),
                _ => {}
            }
        }
        Ok(())
    }
}

fn varint(mut next: impl FnMut() -> io::Result<u8>) -> io::Result<u64> {
    let mut value: u64 = 0;
    loop {
        let byte = next()?;
        if value >> 57 != 0 {
            return Err(bad("a number is too large"));
        }
        value = value << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Ok(value);
        }
    }
}

fn bad(problem: &str) -> io::Error {
    io::Error::new(
        ErrorKind::InvalidData,
        format!("FFmpeg's stream: {problem}"),
    )
}
