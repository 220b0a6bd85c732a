//! Results and dead letters of one partition that wait for the next transaction.
use super::job::{EncodedResult, Job, RejectedRecord};
use crate::record::value_bytes;
use std::{collections::BTreeMap, sync::Arc};

/// A result or a dead letter.
#[derive(Debug)]
pub(super) enum HeldItem {
    Result(Arc<Job>, EncodedResult),
    DeadLetter(RejectedRecord),
}

/// The held items of one partition, by offset.
#[derive(Debug, Default)]
pub(super) struct Held {
    items: BTreeMap<i64, HeldItem>,
    bytes: usize,
}

impl HeldItem {
    fn bytes(&self) -> usize {
        match self {
            HeldItem::Result(_, result) => result.bytes.len(),
            HeldItem::DeadLetter(rejected) => value_bytes(&*rejected.record),
        }
    }
}

impl Held {
    /// Holds the result of a frame.
    pub(super) fn add_result(&mut self, job: Arc<Job>, result: EncodedResult) {
        self.add(job.position.offset, HeldItem::Result(job, result));
    }

    /// Holds a dead letter.
    pub(super) fn add_dead_letter(&mut self, offset: i64, rejected: RejectedRecord) {
        self.add(offset, HeldItem::DeadLetter(rejected));
    }

    fn add(&mut self, offset: i64, item: HeldItem) {
        self.bytes += item.bytes();
        self.items.insert(offset, item);
    }

    /// The bytes of all values.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Whether there is a dead letter.
    pub(super) fn has_dead_letters(&self) -> bool {
        let mut items = self.items.values();
        items.any(|item| matches!(item, HeldItem::DeadLetter(_)))
    }

    /// All items before a checkpoint, in the order of the log.
    pub(super) fn before(&self, end: i64) -> impl Iterator<Item = (i64, &HeldItem)> {
        self.items
            .range(..end)
            .map(|(offset, item)| (*offset, item))
    }

    /// The frames with a result before a checkpoint, and the bytes of these results.
    pub(super) fn results_before(&self, end: i64) -> impl Iterator<Item = (&Arc<Job>, usize)> {
        self.before(end).filter_map(|(_, item)| match item {
            HeldItem::Result(job, result) => Some((job, result.bytes.len())),
            HeldItem::DeadLetter(_) => None,
        })
    }

    /// Forgets all items before a checkpoint: they are published.
    pub(super) fn drop_before(&mut self, end: i64) {
        self.items = self.items.split_off(&end);
        self.bytes = self.items.values().map(HeldItem::bytes).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mattebox_engine::Rejection;
    use rdkafka::{Timestamp, message::OwnedMessage};

    fn rejected(value: &str) -> RejectedRecord {
        let value = Some(value.as_bytes().to_vec());
        let topic = "frames".to_owned();
        let record = OwnedMessage::new(value, None, topic, Timestamp::NotAvailable, 0, 0, None);
        RejectedRecord {
            record: Arc::new(record),
            rejection: Rejection::internal(),
        }
    }

    #[test]
    fn only_items_before_a_checkpoint_are_published() {
        let mut held = Held::default();
        held.add_dead_letter(12, rejected("three"));
        held.add_dead_letter(10, rejected("one"));
        held.add_dead_letter(11, rejected("two"));
        assert_eq!(held.bytes(), 11);
        let offsets: Vec<i64> = held.before(12).map(|(offset, _)| offset).collect();
        assert_eq!(offsets, [10, 11]);
        assert_eq!(held.results_before(12).count(), 0);
        held.drop_before(12);
        assert_eq!(held.bytes(), 5);
        assert!(held.has_dead_letters());
        held.drop_before(13);
        assert!(!held.has_dead_letters());
    }
}
