//! One partition of a log: records with holes between them, open transactions, a start that moves.

use crate::model::{LogTime, NextOffset, Offset, OutRecord, RecordBatch, Source};
use std::collections::BTreeSet;

/// Number of a transaction, over all producers. 0 stands for none.
pub(super) type TransactionNumber = u32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fate {
    Open,
    Committed,
    Aborted,
}

/// A record where it lies. What the cleaner took is only marked, so that an oracle still sees all
/// that was ever visible.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) offset: u64,
    pub(super) time: i64,
    pub(super) transaction: TransactionNumber,
    pub(super) cleaned: bool,
    pub(super) record: OutRecord,
}

#[derive(Debug, Default)]
pub(super) struct PartitionLog {
    pub(super) first: u64,
    pub(super) next: u64,
    pub(super) entries: Vec<Entry>,
    /// Up to here somebody has read.
    pub(super) read_below: u64,
    /// Open transactions and where each one's first record lies.
    open: Vec<(TransactionNumber, u64)>,
    last_time: i64,
}

impl PartitionLog {
    /// Appends with a time that never falls (`LogAppendTime`).
    pub(super) fn append(&mut self, now: i64, transaction: TransactionNumber, record: OutRecord) -> u64 {
        let offset = self.next;
        self.next += 1;
        self.last_time = self.last_time.max(now);
        if transaction != 0 && !self.open.iter().any(|&(open, _)| open == transaction) {
            self.open.push((transaction, offset));
        }
        self.entries.push(Entry { offset, time: self.last_time, transaction, cleaned: false, record });
        offset
    }

    /// A control record takes an offset and is never handed out.
    pub(super) fn append_marker(&mut self, transaction: TransactionNumber) {
        self.next += 1;
        self.open.retain(|&(open, _)| open != transaction);
    }

    /// Below every open transaction.
    pub(super) fn last_stable(&self) -> u64 {
        self.open.iter().map(|&(_, first)| first).min().unwrap_or(self.next)
    }

    pub(super) fn has_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// The entries from `from` on that a `read_committed` reader may see.
    pub(super) fn visible<'a>(&'a self, from: u64, fates: &'a [Fate]) -> impl Iterator<Item = &'a Entry> {
        let end = self.last_stable();
        let start = self.entries.partition_point(|entry| entry.offset < from);
        self.entries[start..]
            .iter()
            .take_while(move |entry| entry.offset < end)
            .filter(|entry| !entry.cleaned && is_committed(entry, fates))
    }

    /// Records from `from` on: at most `count_max` and about `bytes_max`, at least one if there is any.
    pub(super) fn read(
        &self,
        from: u64,
        fates: &[Fate],
        source: Source,
        bytes_max: usize,
        count_max: usize,
    ) -> RecordBatch {
        let mut batch = RecordBatch::empty(source, NextOffset(from));
        let mut stopped = false;
        for entry in self.visible(from, fates) {
            let is_full = batch.bytes.len() >= bytes_max || batch.records.len() >= count_max;
            if is_full && !batch.is_empty() {
                stopped = true;
                break;
            }
            let record = &entry.record;
            batch.push(
                Offset(entry.offset),
                LogTime(entry.time),
                record.key.as_deref(),
                record.value.as_deref(),
            );
            for (name, value) in &record.headers {
                batch.push_header(name.as_bytes(), Some(value));
            }
        }
        if !stopped {
            batch.next = NextOffset(self.last_stable().max(from));
        }
        batch
    }

    /// Retention: nothing below `to` is left.
    pub(super) fn expire(&mut self, to: u64) {
        self.first = self.first.max(to.min(self.last_stable()));
    }

    /// An unclean election: whatever stands at `to` and behind it is gone, and its offsets are given again.
    pub(super) fn truncate(&mut self, to: u64) {
        let kept = self.entries.partition_point(|entry| entry.offset < to);
        self.entries.truncate(kept);
        self.open.retain(|&(_, first)| first < to);
        self.next = self.next.min(to.max(self.first));
    }

    /// Drops what a newer record of the same key replaces, but only if that one lies below the active
    /// tail and is older than `lag`; tombstones of before `tombstones_before`; and what was aborted.
    pub(super) fn compact(&mut self, fates: &[Fate], tail: usize, before: i64, tombstones_before: i64) {
        let stable = self.last_stable();
        let dirty_end = self.entries.partition_point(|entry| entry.offset < stable).saturating_sub(tail);
        let mut newer: BTreeSet<Vec<u8>> = BTreeSet::new();
        for entry in self.entries[..dirty_end].iter_mut().rev().filter(|entry| !entry.cleaned) {
            if !is_committed(entry, fates) {
                entry.cleaned = true;
                continue;
            }
            let Some(key) = &entry.record.key else { continue };
            let is_old_tombstone = entry.record.value.is_none() && entry.time < tombstones_before;
            if newer.contains(key) || is_old_tombstone {
                entry.cleaned = true;
            }
            if entry.time <= before && !newer.contains(key) {
                newer.insert(key.clone());
            }
        }
    }
}

pub(super) fn is_committed(entry: &Entry, fates: &[Fate]) -> bool {
    entry.transaction == 0 || fates[entry.transaction as usize] == Fate::Committed
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Incarnation, Partition};

    fn record(key: &str, value: Option<&str>) -> OutRecord {
        OutRecord {
            key: Some(key.into()),
            value: value.map(|value| value.as_bytes().to_vec()),
            headers: vec![],
        }
    }

    fn offsets(log: &PartitionLog, fates: &[Fate]) -> Vec<u64> {
        log.visible(0, fates).map(|entry| entry.offset).collect()
    }

    #[test]
    fn an_open_transaction_hides_the_records_behind_it() {
        let mut log = PartitionLog::default();
        log.append(0, 1, record("a", Some("1")));
        log.append(0, 0, record("b", Some("2")));
        let mut fates = vec![Fate::Committed, Fate::Open];

        assert_eq!((log.last_stable(), log.next), (0, 2));
        assert_eq!(offsets(&log, &fates), [0u64; 0]);

        fates[1] = Fate::Aborted;
        log.append_marker(1);
        assert_eq!(log.last_stable(), 3);
        assert_eq!(offsets(&log, &fates), [1]);
    }

    #[test]
    fn a_batch_ends_behind_the_hole_that_follows_it() {
        let mut log = PartitionLog::default();
        log.append(0, 1, record("a", None));
        log.append_marker(1);
        let source = Source { incarnation: Incarnation(0), partition: Partition(0) };
        let fates = [Fate::Committed, Fate::Committed];

        assert_eq!(log.read(0, &fates, source, 100, 9).next, NextOffset(2));
        assert!(log.read(1, &fates, source, 100, 9).is_empty());
        assert_eq!(log.read(1, &fates, source, 100, 9).next, NextOffset(2));
    }

    #[test]
    fn compaction_keeps_the_newest_of_every_key() {
        let mut log = PartitionLog::default();
        for (time, key, value) in [(0, "a", "1"), (1, "b", "2"), (2, "a", "3"), (3, "a", "4")] {
            log.append(time, 0, record(key, Some(value)));
        }

        log.compact(&[Fate::Committed], 0, 2, -1);
        assert_eq!(offsets(&log, &[Fate::Committed]), [1, 2, 3], "the last is younger than the lag");
        log.compact(&[Fate::Committed], 0, 3, -1);
        assert_eq!(offsets(&log, &[Fate::Committed]), [1, 3]);
    }

    #[test]
    fn compaction_takes_nothing_from_the_active_tail() {
        let mut log = PartitionLog::default();
        log.append(0, 0, record("a", Some("1")));
        log.append(0, 0, record("a", Some("2")));

        log.compact(&[Fate::Committed], 1, 10, -1);
        assert_eq!(offsets(&log, &[Fate::Committed]), [0, 1]);
    }
}
