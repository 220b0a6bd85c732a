//! The blocks of names of one camera, built from the lines of the journal one by one.
use super::line::JournalEntry;
use mattebox_core::frame::{BLOCK, Block, Reserve, Reserved, SessionKey};

/// The most names by which a block grows at once.
const MAX_GROWTH: u64 = 1_000_000;

/// The blocks of one camera. No two of them have a name in common.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CameraBlocks {
    /// In the order of the lines that begin them.
    blocks: Vec<(SessionKey, Block)>,
    /// Sessions with the partitions that have frames of them, in the order of the lines.
    joins: Vec<(SessionKey, String)>,
}

/// The way in which a number gets a block.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BlockPlan {
    /// The block exists.
    There(Reserved),
    /// These entries have to be appended first.
    Append(Vec<JournalEntry>),
}

impl CameraBlocks {
    /// Whether the journal does not know the camera.
    pub fn is_empty(&self) -> bool {
        self.blocks.is_empty()
    }

    /// All blocks, in the order of their lines.
    pub fn iter(&self) -> impl Iterator<Item = (&SessionKey, &Block)> {
        self.blocks.iter().map(|(key, block)| (key, block))
    }

    /// The blocks of a session.
    pub fn blocks(&self, session: &SessionKey) -> Vec<Block> {
        self.of(session).copied().collect()
    }

    fn of(&self, session: &SessionKey) -> impl DoubleEndedIterator<Item = &Block> {
        let is_its = move |(key, _): &&(SessionKey, Block)| key == session;
        self.blocks.iter().filter(is_its).map(|(_, block)| block)
    }

    /// Applies an entry. An entry that contradicts an earlier one changes nothing.
    pub fn apply(&mut self, entry: &JournalEntry) {
        match entry {
            JournalEntry::Begin { session, block, by } => {
                let is_taken = self.blocks.iter().any(|(_, other)| other.overlaps(block));
                let before = Block::of(self.of(session), block.first);
                let has_name = before.is_some_and(|b| b.name(block.first).is_some());
                if !is_taken && !has_name {
                    self.blocks.push((session.clone(), *block));
                    self.join(session, by);
                }
            }
            JournalEntry::Join { session, by } => self.join(session, by),
            JournalEntry::End {
                session,
                first,
                end,
                by,
            } => {
                let is_it = |(key, b): &(SessionKey, Block)| key == session && b.first == *first;
                let Some(at) = self.blocks.iter().position(is_it) else {
                    return;
                };
                let changed = Block {
                    end: *end,
                    ..self.blocks[at].1
                };
                let is_shorter = changed.end < self.blocks[at].1.end;
                if is_shorter && !self.is_alone(session, by) {
                    return;
                }
                let mut others = self.blocks.iter().enumerate().filter(|(n, _)| *n != at);
                if changed.end >= changed.start && !others.any(|(_, (_, b))| b.overlaps(&changed)) {
                    self.blocks[at].1 = changed;
                }
            }
        }
    }

    fn join(&mut self, session: &SessionKey, by: &str) {
        let is_known = self.of(session).next().is_some();
        if is_known && self.joined(session, by).is_none() {
            self.joins.push((session.clone(), by.to_owned()));
        }
    }

    /// The place of the line that adds a partition to a session.
    fn joined(&self, session: &SessionKey, by: &str) -> Option<usize> {
        let mut joins = self.joins.iter();
        joins.position(|(key, partition)| key == session && partition == by)
    }

    /// The partitions that have frames of a session.
    pub fn partitions(&self, session: &SessionKey) -> impl Iterator<Item = &str> {
        let joins = self.joins.iter().filter(move |(key, _)| key == session);
        joins.map(|(_, partition)| partition.as_str())
    }

    /// Whether no other partition has frames of a session.
    fn is_alone(&self, session: &SessionKey, by: &str) -> bool {
        self.partitions(session).all(|partition| partition == by)
    }

    /// Plans a block for a number. No file has a name from `above` on.
    pub(super) fn plan(&self, want: &Reserve, above: u64) -> BlockPlan {
        if let Some(plan) = self.plan_known(&want.key, want) {
            return plan;
        }
        if want.is_lost
            && let Some(key) = self.session_that_goes_on(want)
            && let Some(plan) = self.plan_known(key, want)
        {
            return plan;
        }
        self.plan_new(want, above)
    }

    /// The plan for a session that the journal knows. `None`: it needs another block.
    fn plan_known(&self, key: &SessionKey, want: &Reserve) -> Option<BlockPlan> {
        let blocks = self.blocks(key);
        if blocks.is_empty() {
            return None;
        }
        let is_older = self.is_older(key, want);
        if !is_older && self.joined(key, &want.by).is_none() {
            return Some(BlockPlan::Append(vec![JournalEntry::Join {
                session: key.clone(),
                by: want.by.clone(),
            }]));
        }
        let last = Block::of(&blocks, want.number).copied();
        let has_name = last.is_some_and(|block| block.name(want.number).is_some());
        if has_name || is_older {
            return Some(BlockPlan::There(Reserved {
                key: key.clone(),
                blocks,
                is_older,
            }));
        }
        let last = last?;
        let name = last.base.checked_add_unsigned(want.number)?;
        let name = u64::try_from(name).ok()?;
        let growth = (last.end - last.start).clamp(BLOCK, MAX_GROWTH);
        let end = name + growth;
        let longer = Block { end, ..last };
        let is_it = |b: &Block| b.first == last.first && b.base == last.base;
        let mut others = self.blocks.iter().filter(|(k, b)| k != key || !is_it(b));
        if others.any(|(_, other)| other.overlaps(&longer)) {
            return None;
        }
        Some(BlockPlan::Append(vec![JournalEntry::End {
            session: key.clone(),
            first: last.first,
            end,
            by: want.by.clone(),
        }]))
    }

    /// Whether a partition had this session before its newest one.
    fn is_older(&self, key: &SessionKey, want: &Reserve) -> bool {
        let Some(newest) = want.newest.as_ref().filter(|newest| *newest != key) else {
            return false;
        };
        let joined = self.joined(key, &want.by);
        joined.is_some() && joined < self.joined(newest, &want.by)
    }

    /// The session that continues at a record without any state: the last one that began before it
    /// in its partition, if the number is above the session's first one.
    fn session_that_goes_on(&self, want: &Reserve) -> Option<&SessionKey> {
        let SessionKey::Inferred {
            topic,
            partition,
            offset,
        } = &want.key
        else {
            return None;
        };
        let began_before = |key: &SessionKey| match key {
            SessionKey::Inferred { offset: at, .. } if key.is_in(topic, *partition) => {
                (at < offset).then_some(*at)
            }
            _ => None,
        };
        let (_, key) = self
            .blocks
            .iter()
            .filter_map(|(key, _)| Some((began_before(key)?, key)))
            .max_by_key(|(at, _)| *at)?;
        let first = self.of(key).map(|b| b.first).min()?;
        // Frames that an earlier version of this program has named have the names below `used`.
        let is_free = |block: &Block| {
            let name = block.base.checked_add_unsigned(want.number);
            name.is_some_and(|name| i128::from(name) >= i128::from(want.used))
        };
        let block = Block::of(self.of(key), want.number)?;
        (want.number > first && is_free(block)).then_some(key)
    }

    /// The entries that end the blocks of a partition's own sessions at `used`.
    pub(super) fn closed(
        &self,
        own: impl AsRef<[SessionKey]>,
        used: u64,
        by: &str,
    ) -> Vec<JournalEntry> {
        let is_own = |key: &SessionKey| own.as_ref().contains(key) && self.is_alone(key, by);
        let too_long = self.blocks.iter().filter(|(key, block)| {
            let end = used.max(block.start);
            is_own(key) && block.end > end
        });
        let close = |(key, block): &(SessionKey, Block)| JournalEntry::End {
            session: key.clone(),
            first: block.first,
            end: used.max(block.start),
            by: by.to_owned(),
        };
        too_long.map(close).collect()
    }

    /// A block above all names in use.
    fn plan_new(&self, want: &Reserve, above: u64) -> BlockPlan {
        let others = want.own.iter().filter(|key| **key != want.key);
        let closing: Vec<SessionKey> = others.cloned().collect();
        let is_closed = |key: &SessionKey| closing.contains(key) && self.is_alone(key, &want.by);
        let others = self.blocks.iter().filter(|(key, _)| !is_closed(key));
        let highest = others.map(|(_, b)| b.end).fold(above, u64::max);
        let is_first = self.of(&want.key).next().is_none();
        let block = want.block(highest, is_first);
        let mut entries = self.closed(&closing, want.used, &want.by);
        entries.push(JournalEntry::begin(&want.key, block, &want.by));
        BlockPlan::Append(entries)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(name: &str) -> SessionKey {
        SessionKey::Named(name.to_owned())
    }

    fn want(key: &str, number: u64) -> Reserve {
        Reserve {
            key: named(key),
            number,
            base: None,
            used: 0,
            own: vec![],
            by: "t/0".to_owned(),
            newest: None,
            is_lost: true,
        }
    }

    /// Session `b` begins after session `a` has used the names below 40.
    fn after_a() -> Reserve {
        Reserve {
            base: Some(0),
            used: 40,
            own: vec![named("a")],
            newest: Some(named("a")),
            is_lost: false,
            ..want("b", 0)
        }
    }

    /// Reserves as a journal with one writer does.
    fn reserve(blocks: &mut CameraBlocks, want: &Reserve, above: u64) -> Reserved {
        for _ in 0..3 {
            match blocks.plan(want, above) {
                BlockPlan::There(reserved) => return reserved,
                BlockPlan::Append(entries) => entries.iter().for_each(|entry| blocks.apply(entry)),
            }
        }
        panic!("{want:?} finds no block in {blocks:?}");
    }

    fn name(reserved: &Reserved, number: u64) -> Option<u64> {
        Block::of(&reserved.blocks, number)?.name(number)
    }

    #[test]
    fn the_first_session_keeps_the_cameras_numbers_and_another_begins_after_its_block() {
        let mut blocks = CameraBlocks::default();
        let first = reserve(&mut blocks, &want("a", 7), 0);
        assert_eq!(name(&first, 7), Some(7));
        let second = reserve(&mut blocks, &want("b", 0), 0);
        assert_eq!(name(&second, 0), Some(first.blocks[0].end));
    }

    #[test]
    fn numbers_go_on_above_existing_files() {
        let mut blocks = CameraBlocks::default();
        let reserved = reserve(&mut blocks, &want("a", 0), 30);
        assert_eq!(name(&reserved, 0), Some(30));
        let mut blocks = CameraBlocks::default();
        let reserved = reserve(&mut blocks, &want("a", 100), 30);
        assert_eq!(name(&reserved, 100), Some(100));
    }

    #[test]
    fn the_owner_of_the_session_before_closes_its_block() {
        let mut blocks = CameraBlocks::default();
        reserve(&mut blocks, &want("a", 0), 0);
        let second = reserve(&mut blocks, &after_a(), 0);
        assert_eq!(name(&second, 0), Some(40));
        assert_eq!(blocks.of(&named("a")).next().unwrap().end, 40);
    }

    #[test]
    fn a_block_grows_up_to_the_next_block() {
        let mut blocks = CameraBlocks::default();
        reserve(&mut blocks, &want("a", 0), 0);
        let grown = reserve(&mut blocks, &want("a", BLOCK), 0);
        assert_eq!(name(&grown, BLOCK), Some(BLOCK));
        let end = grown.blocks[0].end;
        reserve(&mut blocks, &want("b", 0), 0);
        let moved = reserve(&mut blocks, &want("a", end), 0);
        assert!(name(&moved, end).unwrap() >= end + BLOCK);
        assert_eq!(blocks.iter().count(), 3);
    }

    #[test]
    fn the_first_line_wins() {
        let mut blocks = CameraBlocks::default();
        let block = |base| Block {
            first: 0,
            base,
            start: base.unsigned_abs(),
            end: base.unsigned_abs() + 10,
        };
        blocks.apply(&JournalEntry::begin(&named("a"), block(0), "t/0"));
        blocks.apply(&JournalEntry::begin(&named("b"), block(5), "t/0"));
        blocks.apply(&JournalEntry::begin(&named("a"), block(100), "t/0"));
        let there: Vec<_> = blocks
            .iter()
            .map(|(key, b)| (key.clone(), b.base))
            .collect();
        assert_eq!(there, [(named("a"), 0)]);
    }

    #[test]
    fn a_session_in_two_partitions_is_closed_by_neither() {
        let mut blocks = CameraBlocks::default();
        reserve(&mut blocks, &want("a", 0), 0);
        let other = Reserve {
            by: "t/1".to_owned(),
            ..want("a", 1)
        };
        reserve(&mut blocks, &other, 0);
        let partitions: Vec<&str> = blocks.partitions(&named("a")).collect();
        assert_eq!(partitions, ["t/0", "t/1"]);
        let second = reserve(&mut blocks, &after_a(), 0);
        assert_eq!(name(&second, 0), Some(BLOCK));
    }
}
