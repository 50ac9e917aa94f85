//! What a test may look at: all that was ever written, and all that ever was committed.

use super::partition::{Entry, PartitionLog, is_committed};
use super::world::Kept;
use super::{Stored, World};
use crate::model::{CommittedOffset, LogTime, NextOffset, Offset, Partition, Role, TopicPartition};
use crate::port::Isolation;

impl World {
    pub fn committed(&self, role: Role, partition: Partition) -> Option<CommittedOffset> {
        self.state.borrow_mut().group(role).committed.get(&partition).cloned()
    }

    /// All positions that ever were committed, and when.
    pub fn commits(&self, role: Role, partition: Partition) -> Vec<(LogTime, CommittedOffset)> {
        self.state.borrow_mut().group(role).history.get(&partition).cloned().unwrap_or_default()
    }

    pub fn end(&self, at: TopicPartition, isolation: Isolation) -> NextOffset {
        let mut state = self.state.borrow_mut();
        let log = state.log(at);
        NextOffset(match isolation {
            Isolation::ReadCommitted => log.last_stable(),
            Isolation::ReadUncommitted => log.next,
        })
    }

    /// Nobody has read what stands here or behind it.
    pub fn read_below(&self, at: TopicPartition) -> NextOffset {
        NextOffset(self.state.borrow_mut().log(at).read_below)
    }

    /// All records from `from` on that ever were visible to `read_committed`, also those that the
    /// cleaner or retention took since.
    pub fn records(&self, at: TopicPartition, from: NextOffset) -> Vec<Kept> {
        let state = self.state.borrow();
        let Some(log) = state.logs.get(&at) else { return Vec::new() };
        let start = log.entries.partition_point(|entry| entry.offset < from.0);
        let end = log.last_stable();
        let below = log.entries[start..].iter().take_while(|entry| entry.offset < end);
        let committed = below.filter(|entry| is_committed(entry, &state.fates));
        committed.map(|entry| kept(log, entry)).collect()
    }

    /// The newest of those whose key is asked for.
    pub fn newest(&self, at: TopicPartition, is_it: impl Fn(&[u8]) -> bool) -> Option<Kept> {
        let state = self.state.borrow();
        let log = state.logs.get(&at)?;
        let end = log.last_stable();
        let is_it = |entry: &&Entry| {
            let key = entry.record.key.as_deref().unwrap_or_default();
            entry.offset < end && is_it(key) && is_committed(entry, &state.fates)
        };
        log.entries.iter().rev().find(is_it).map(|entry| kept(log, entry))
    }

    pub fn object(&self, key: &str) -> Option<Vec<u8>> {
        self.state.borrow().store.objects.get(key).cloned()
    }

    /// Creates that took effect, in order, from the `from`th on.
    pub fn stored(&self, from: usize) -> Vec<Stored> {
        self.state.borrow().store.history.get(from..).unwrap_or_default().to_vec()
    }

    /// What no port call may do, and one did (I6, I12, I13).
    pub fn violations(&self) -> Vec<String> {
        self.state.borrow().violations.clone()
    }

    pub fn has_open_transaction(&self, at: TopicPartition) -> bool {
        self.state.borrow().logs.get(&at).is_some_and(|log| log.has_open())
    }
}

fn kept(log: &PartitionLog, entry: &Entry) -> Kept {
    Kept {
        offset: Offset(entry.offset),
        time: LogTime(entry.time),
        is_cleaned: entry.cleaned || entry.offset < log.first,
        record: entry.record.clone(),
    }
}
