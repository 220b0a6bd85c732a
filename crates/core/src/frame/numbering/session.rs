//! A session: one life of a camera's process, with its blocks of names and its used numbers.
use std::{fmt, str::FromStr};

/// The key of one life of a camera's process.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SessionKey {
    /// The record names it (`ce_session`). The key is the same in every topic, so mirrored, copied
    /// and redriven records keep their names.
    Named(String),
    /// Records do not name it. The key is the place of the session's first record in the log.
    Inferred {
        /// The topic's id. A topic that is deleted and created again gets another id.
        topic: String,
        /// The partition.
        partition: i32,
        /// The offset.
        offset: i64,
    },
}

impl SessionKey {
    /// Whether it was inferred from the records of this partition of this topic.
    pub fn is_in(&self, its_topic: &str, its_partition: i32) -> bool {
        match self {
            SessionKey::Named(_) => false,
            SessionKey::Inferred {
                topic, partition, ..
            } => topic == its_topic && *partition == its_partition,
        }
    }
}

impl fmt::Display for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SessionKey::Named(name) => write!(f, "={name}"),
            SessionKey::Inferred {
                topic,
                partition,
                offset,
            } => write!(f, "@{topic}/{partition}/{offset}"),
        }
    }
}

impl FromStr for SessionKey {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        if let Some(name) = text.strip_prefix('=') {
            return Ok(SessionKey::Named(name.to_owned()));
        }
        let mut parts = text.strip_prefix('@').ok_or(())?.rsplitn(3, '/');
        let mut next = || parts.next().ok_or(());
        let offset = next()?.parse().map_err(drop)?;
        let partition = next()?.parse().map_err(drop)?;
        let topic = next()?.to_owned();
        Ok(SessionKey::Inferred {
            topic,
            partition,
            offset,
        })
    }
}

/// A block of names that a session has for itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Block {
    /// The camera's lowest number in the block. A number belongs to the block with the highest
    /// `first` that is not above it.
    pub first: u64,
    /// Added to the camera's numbers.
    pub base: i64,
    /// The lowest name.
    pub start: u64,
    /// The name behind the highest.
    pub end: u64,
}

impl Block {
    /// The block that a number belongs to, if there is one.
    pub fn of<'a>(blocks: impl IntoIterator<Item = &'a Block>, number: u64) -> Option<&'a Block> {
        let below = blocks.into_iter().filter(|block| block.first <= number);
        below.max_by_key(|block| block.first)
    }

    /// The name of a frame; `None` if it is not in the block.
    pub fn name(&self, number: u64) -> Option<u64> {
        let name = self.base.checked_add_unsigned(number)?;
        let name = u64::try_from(name).ok()?;
        (self.start..self.end).contains(&name).then_some(name)
    }

    /// Whether two blocks have a name in common.
    pub fn overlaps(&self, other: &Block) -> bool {
        self.start < other.end && other.start < self.end
    }
}

/// The used numbers, as intervals: `first..=last`, in order, with gaps between them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct UsedNumbers {
    intervals: Vec<(u64, u64)>,
    /// Numbers below it are not known: their intervals were forgotten.
    floor: u64,
}

impl UsedNumbers {
    /// The most intervals that are kept.
    pub(super) const MAX: usize = 256;

    pub(super) fn from_parts(intervals: Vec<(u64, u64)>, floor: u64) -> Option<Self> {
        let is_ordered = intervals.iter().all(|(first, last)| first <= last)
            && intervals.windows(2).all(|pair| pair[0].1 < pair[1].0);
        (is_ordered && intervals.len() <= Self::MAX).then_some(UsedNumbers { intervals, floor })
    }

    pub(super) fn intervals(&self) -> &[(u64, u64)] {
        &self.intervals
    }

    /// Numbers below it are not known.
    pub(super) fn floor(&self) -> u64 {
        self.floor
    }

    pub(super) fn lowest(&self) -> Option<u64> {
        self.intervals.first().map(|interval| interval.0)
    }

    pub(super) fn highest(&self) -> Option<u64> {
        self.intervals.last().map(|interval| interval.1)
    }

    pub(super) fn contains(&self, number: u64) -> bool {
        let at = self.intervals.partition_point(|i| i.1 < number);
        self.intervals.get(at).is_some_and(|i| i.0 <= number)
    }

    pub(super) fn insert(&mut self, number: u64) {
        if self.contains(number) {
            return;
        }
        let at = self.intervals.partition_point(|i| i.1 < number);
        let joins_before = at > 0 && self.intervals[at - 1].1 + 1 == number;
        let joins_after = self.intervals.get(at).is_some_and(|i| number + 1 == i.0);
        match (joins_before, joins_after) {
            (true, true) => {
                let (_, last) = self.intervals.remove(at);
                self.intervals[at - 1].1 = last;
            }
            (true, false) => self.intervals[at - 1].1 = number,
            (false, true) => self.intervals[at].0 = number,
            (false, false) => self.intervals.insert(at, (number, number)),
        }
        if self.intervals.len() > Self::MAX {
            let (_, last) = self.intervals.remove(0);
            self.floor = last + 1;
        }
    }
}

/// The facts about a session.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Session {
    pub(super) key: SessionKey,
    /// In the order of their first numbers.
    pub(super) blocks: Vec<Block>,
    pub(super) used: UsedNumbers,
    /// The camera's first number in the session.
    pub(super) first: u64,
    /// A number far above the last one. If another one near it follows, the camera has jumped.
    pub(super) far: Option<u64>,
}

impl Session {
    /// The most blocks that are kept. The journal has all.
    pub(super) const MAX_BLOCKS: usize = 8;

    pub(super) fn new(key: SessionKey, first: u64, blocks: Vec<Block>) -> Self {
        let mut session = Session {
            key,
            blocks: Vec::new(),
            used: UsedNumbers::default(),
            first,
            far: None,
        };
        session.set_blocks(blocks);
        session
    }

    /// Takes over the blocks that the journal has.
    pub(super) fn set_blocks(&mut self, mut blocks: Vec<Block>) {
        blocks.sort_by_key(|block| block.first);
        let too_many = blocks.len().saturating_sub(Self::MAX_BLOCKS);
        blocks.drain(..too_many);
        self.blocks = blocks;
    }

    /// The name of a number, if a block has it.
    pub(super) fn name(&self, number: u64) -> Option<u64> {
        Block::of(&self.blocks, number)?.name(number)
    }

    /// The highest number that was used.
    pub(super) fn last(&self) -> Option<u64> {
        self.used.highest()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn keys_read_back_as_they_print() {
        for key in [
            SessionKey::Named("a-1".to_owned()),
            SessionKey::Inferred {
                topic: "x/y+z==".to_owned(),
                partition: 5,
                offset: 77,
            },
        ] {
            assert_eq!(key.to_string().parse(), Ok(key));
        }
        assert!("x".parse::<SessionKey>().is_err());
    }

    #[test]
    fn inserted_numbers_are_used() {
        let mut used = UsedNumbers::default();
        let mut expected = BTreeSet::new();
        for n in 0..400_u64 {
            let number = n * 7919 % 301;
            used.insert(number);
            expected.insert(number);
            assert!((0..310).all(|n| used.contains(n) == expected.contains(&n)));
        }
        assert_eq!(used.intervals(), [(0, 300)]);
    }

    #[test]
    fn with_too_many_gaps_the_lowest_numbers_are_forgotten() {
        let mut used = UsedNumbers::default();
        (0..UsedNumbers::MAX as u64 + 3).for_each(|n| used.insert(2 * n));
        assert_eq!(used.intervals().len(), UsedNumbers::MAX);
        assert_eq!((used.floor(), used.lowest()), (5, Some(6)));
    }
}
