//! What the log knows of a partition as a whole: its ends, its clock, how much of it is dirty.

use super::error::Error;
use crate::model::{Damaged, LogTime, NextOffset, Reader, TopicPartition, Writer};
use crate::port::Ends;

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct PartitionRow {
    pub(super) first: NextOffset,
    pub(super) next: NextOffset,
    /// Append time of the last record. Never falls, whatever the machine's clock does.
    pub(super) time: i64,
    /// Bytes of all runs.
    pub(super) bytes: u64,
    /// Below it compaction has left one record per key.
    pub(super) cleaned: u64,
    /// Bytes of the runs from `cleaned` on.
    pub(super) dirty: u64,
    pub(super) tombstones: Tombstones,
}

/// Tombstones that compaction has passed: their keys have no older record left.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tombstones {
    /// They stand below this offset.
    pub(super) below: u64,
    /// When compaction passed them. A reader that was on its way then has had time since.
    pub(super) since: i64,
    pub(super) count: u64,
}

impl PartitionRow {
    pub(super) fn ends(&self) -> Ends {
        Ends { first: self.first, next: self.next }
    }

    /// A position below what is left is never skipped in silence; one beyond the end belongs to another log.
    pub(super) fn check(&self, at: TopicPartition, asked: NextOffset) -> Result<(), Error> {
        if (self.first..=self.next).contains(&asked) {
            return Ok(());
        }
        Err(Error::OutOfRange { at, asked, first: self.first, next: self.next })
    }

    /// The time that a record appended now gets.
    pub(super) fn tick(&mut self, clock: LogTime) -> LogTime {
        self.time = self.time.max(clock.0);
        LogTime(self.time)
    }

    pub(super) fn encode(&self) -> Vec<u8> {
        let mut to = Writer::default();
        to.varint(self.first.0);
        to.varint(self.next.0);
        to.zigzag(self.time);
        to.varint(self.bytes);
        to.varint(self.cleaned);
        to.varint(self.dirty);
        to.varint(self.tombstones.below);
        to.zigzag(self.tombstones.since);
        to.varint(self.tombstones.count);
        to.bytes
    }

    pub(super) fn decode(bytes: &[u8]) -> Result<Self, String> {
        Self::read(&mut Reader::new(bytes, "partition row")).map_err(|damaged| damaged.to_string())
    }

    fn read(from: &mut Reader<'_>) -> Result<Self, Damaged> {
        Ok(PartitionRow {
            first: NextOffset(from.varint()?),
            next: NextOffset(from.varint()?),
            time: from.zigzag()?,
            bytes: from.varint()?,
            cleaned: from.varint()?,
            dirty: from.varint()?,
            tombstones: Tombstones { below: from.varint()?, since: from.zigzag()?, count: from.varint()? },
        })
    }
}
