//! Writes and reads a numbering as bytes. Numbers are little-endian, counts have 16 bits, and texts
//! have their length in front.
use super::{
    MAX_RECENT, MAX_SESSIONS, MAX_SUSPICIOUS, Numbering,
    session::{Block, Session, SessionKey, UsedNumbers},
};
use std::collections::VecDeque;
use thiserror::Error;

/// The bytes are not a numbering: they are cut off or changed, or another version wrote them.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("its numbering is damaged")]
pub struct NumberingError;

impl Numbering {
    /// The numbering as bytes.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        put_option(&mut out, self.base.map(i64::cast_unsigned));
        [
            self.used,
            self.records,
            self.shared,
            self.refused,
            self.fresh,
        ]
        .iter()
        .for_each(|word| put(&mut out, *word));
        put_all(&mut out, self.suspicious.iter().copied());
        put_all(&mut out, self.recent.iter().copied());
        put_count(&mut out, self.sessions.len());
        for session in &self.sessions {
            let key = session.key.to_string();
            put_count(&mut out, key.len());
            out.extend(key.as_bytes());
            put(&mut out, session.first);
            put_option(&mut out, session.far);
            put(&mut out, session.used.floor());
            let ends = session.used.intervals().iter();
            put_all(&mut out, ends.flat_map(|(first, last)| [*first, *last]));
            put_all(&mut out, session.blocks.iter().flat_map(words));
        }
        out
    }

    /// Reads the bytes of [`Numbering::to_bytes`].
    ///
    /// # Errors
    /// The bytes are too short, too long or hold impossible values.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NumberingError> {
        let mut reader = NumberingReader(bytes);
        let base = reader.option()?.map(u64::cast_signed);
        let [used, records, shared, refused, fresh] = [
            reader.word()?,
            reader.word()?,
            reader.word()?,
            reader.word()?,
            reader.word()?,
        ];
        let suspicious = VecDeque::from(reader.all(MAX_SUSPICIOUS)?);
        let recent = VecDeque::from(reader.all(MAX_RECENT)?);
        let count = reader.count(MAX_SESSIONS)?;
        let sessions = (0..count)
            .map(|_| reader.session())
            .collect::<Result<_, _>>()?;
        if !reader.0.is_empty() {
            return Err(NumberingError);
        }
        Ok(Numbering {
            sessions,
            base,
            used,
            recent,
            records,
            suspicious,
            shared,
            refused,
            fresh,
        })
    }
}

fn words(block: &Block) -> [u64; 4] {
    [
        block.first,
        block.base.cast_unsigned(),
        block.start,
        block.end,
    ]
}

fn put(out: &mut Vec<u8>, word: u64) {
    out.extend(word.to_le_bytes());
}

/// Counts are below 65,536, because all lists are bounded.
fn put_count(out: &mut Vec<u8>, count: usize) {
    out.extend((count as u16).to_le_bytes());
}

fn put_option(out: &mut Vec<u8>, word: Option<u64>) {
    out.push(u8::from(word.is_some()));
    put(out, word.unwrap_or(0));
}

fn put_all(out: &mut Vec<u8>, words: impl Iterator<Item = u64>) {
    let at = out.len();
    put_count(out, 0);
    let mut count = 0;
    for word in words {
        put(out, word);
        count += 1;
    }
    out[at..at + 2].copy_from_slice(&u16::to_le_bytes(count));
}

struct NumberingReader<'a>(&'a [u8]);

impl<'a> NumberingReader<'a> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], NumberingError> {
        let (head, tail) = self.0.split_first_chunk().ok_or(NumberingError)?;
        self.0 = tail;
        Ok(*head)
    }

    fn word(&mut self) -> Result<u64, NumberingError> {
        Ok(u64::from_le_bytes(self.take()?))
    }

    fn count(&mut self, max: usize) -> Result<usize, NumberingError> {
        let count = usize::from(u16::from_le_bytes(self.take()?));
        (count <= max).then_some(count).ok_or(NumberingError)
    }

    fn option(&mut self) -> Result<Option<u64>, NumberingError> {
        let [flag] = self.take()?;
        let word = self.word()?;
        match flag {
            0 => Ok(None),
            1 => Ok(Some(word)),
            _ => Err(NumberingError),
        }
    }

    fn all(&mut self, max: usize) -> Result<Vec<u64>, NumberingError> {
        let count = self.count(max)?;
        (0..count).map(|_| self.word()).collect()
    }

    fn text(&mut self) -> Result<&'a str, NumberingError> {
        let length = self.count(usize::from(u16::MAX))?;
        let (text, rest) = self.0.split_at_checked(length).ok_or(NumberingError)?;
        self.0 = rest;
        std::str::from_utf8(text).map_err(|_| NumberingError)
    }

    fn session(&mut self) -> Result<Session, NumberingError> {
        let key: SessionKey = self.text()?.parse().map_err(|()| NumberingError)?;
        let first = self.word()?;
        let far = self.option()?;
        let floor = self.word()?;
        let ends = self.all(2 * UsedNumbers::MAX)?;
        let intervals = ends.chunks_exact(2).map(|pair| (pair[0], pair[1]));
        let used = UsedNumbers::from_parts(intervals.collect(), floor).ok_or(NumberingError)?;
        let words = self.all(4 * Session::MAX_BLOCKS)?;
        let blocks: Vec<Block> = words
            .chunks_exact(4)
            .map(|word| Block {
                first: word[0],
                base: word[1].cast_signed(),
                start: word[2],
                end: word[3],
            })
            .collect();
        if blocks.is_empty() || words.len() % 4 != 0 || ends.len() % 2 != 0 {
            return Err(NumberingError);
        }
        Ok(Session {
            key,
            blocks,
            used,
            first,
            far,
        })
    }
}
