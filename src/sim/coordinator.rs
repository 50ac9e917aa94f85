//! The transaction coordinator, as brokers were before KIP-890: an EndTxn names only producer and epoch,
//! so a copy that comes late ends whatever transaction of that epoch is open then. With
//! [`Faults::transaction_epochs`](super::Faults) it is as they are since: each end begins a new epoch.

use super::partition::{Fate, TransactionNumber};
use super::state::{Event, SECOND, State, change, change_of};
use crate::model::{CommittedOffset, LogTime, NextOffset, OutRecord, Partition, Role, TopicPartition};
use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Default)]
pub(super) struct Coordinator {
    pub(super) epoch: u32,
    pub(super) open: Option<Open>,
    /// Copies of ends that are still on their way, with their epoch: they hit the next transaction that is of it.
    late: Vec<(u32, bool)>,
    /// Epoch of the last transaction that was committed.
    committed_in: Option<u32>,
}

#[derive(Debug)]
pub(super) struct Open {
    number: TransactionNumber,
    partitions: BTreeSet<TopicPartition>,
    offsets: BTreeMap<Partition, NextOffset>,
}

impl State {
    /// `init_transactions`: whatever its predecessor left open is aborted, and it is fenced.
    pub(super) fn new_epoch(&mut self, id: &str) -> u32 {
        self.end(id, false);
        let coordinator = self.coordinators.entry(id.to_owned()).or_default();
        coordinator.epoch += 1;
        coordinator.epoch
    }

    /// As its producer learns it with every answer.
    pub(super) fn epoch_of(&self, id: &str) -> u32 {
        self.coordinators.get(id).map_or(0, |coordinator| coordinator.epoch)
    }

    pub(super) fn is_current(&self, id: &str, epoch: u32) -> bool {
        self.coordinators.get(id).is_some_and(|coordinator| coordinator.epoch == epoch)
    }

    pub(super) fn has_open(&self, id: &str) -> bool {
        self.coordinators.get(id).is_some_and(|coordinator| coordinator.open.is_some())
    }

    /// Ends of earlier transactions of this epoch that are on their way arrive while this one is open.
    ///
    /// A copy that nobody saw sent is possible only where an end was sent in this epoch at all. And it hits nobody who was
    /// replaced: nothing protects a new owner's panes from a part of a zombie's transaction that commits, so that is not
    /// promised; it takes a client that hides what it sends, a network that keeps it for longer than a session, and a zombie.
    pub(super) fn transaction_begun(&mut self, id: &str, epoch: u32, is_member: bool) {
        let late = self.coordinators.get_mut(id).map(|found| std::mem::take(&mut found.late));
        for (epoch, commit) in late.unwrap_or_default() {
            self.schedule_end(id, epoch, commit);
        }
        let has_committed = self.coordinators.get(id).is_some_and(|found| found.committed_in == Some(epoch));
        let may_tear = has_committed && is_member && !self.faults.transaction_epochs;
        if may_tear && self.strikes(self.faults.transaction_torn) {
            self.schedule_end(id, epoch, true);
        }
    }

    fn schedule_end(&mut self, id: &str, epoch: u32, commit: bool) {
        let at = self.now + self.chance.below(15_000) as i64;
        self.schedule(at, Event::LateEnd { id: id.to_owned(), epoch, commit });
    }

    pub(super) fn end_again_later(&mut self, id: &str, epoch: u32, commit: bool) {
        if let Some(coordinator) = self.coordinators.get_mut(id) {
            coordinator.late.push((epoch, commit));
        }
    }

    pub(super) fn late_end(&mut self, id: &str, epoch: u32, commit: bool) {
        if self.is_current(id, epoch) && self.has_open(id) {
            self.trace(7, u64::from(commit), u64::from(epoch));
            self.end(id, commit);
        }
    }

    fn open(&mut self, id: &str) -> &mut Open {
        if !self.has_open(id) {
            let number = self.fates.len() as TransactionNumber;
            self.fates.push(Fate::Open);
            // The coordinator looks every so often; always before a session of usual length ends.
            let timeout = 15 * SECOND + self.chance.below(9) as i64 * SECOND;
            self.schedule(self.now + timeout, Event::TransactionTimeout { id: id.to_owned(), number });
            let open = Open { number, partitions: BTreeSet::new(), offsets: BTreeMap::new() };
            self.coordinators.entry(id.to_owned()).or_default().open = Some(open);
        }
        let coordinator = self.coordinators.get_mut(id).expect("opened above");
        coordinator.open.as_mut().expect("opened above")
    }

    pub(super) fn append_open(&mut self, id: &str, to: TopicPartition, record: OutRecord) {
        let open = self.open(id);
        open.partitions.insert(to);
        let number = open.number;
        self.append(to, number, record);
    }

    pub(super) fn add_offsets(&mut self, id: &str, offsets: &BTreeMap<Partition, NextOffset>) {
        self.open(id).offsets.extend(offsets);
    }

    /// Is an offset of this partition part of a transaction that is not decided?
    pub(super) fn is_pending(&self, partition: Partition) -> bool {
        let mut open = self.coordinators.values().filter_map(|coordinator| coordinator.open.as_ref());
        open.any(|open| open.offsets.contains_key(&partition))
    }

    pub(super) fn end(&mut self, id: &str, commit: bool) {
        let Some(open) = self.coordinators.get_mut(id).and_then(|coordinator| coordinator.open.take()) else {
            return;
        };
        self.trace(8, u64::from(open.number), u64::from(commit));
        if let Some(coordinator) = self.coordinators.get_mut(id).filter(|_| commit) {
            coordinator.committed_in = Some(coordinator.epoch);
        }
        if self.faults.transaction_epochs
            && let Some(coordinator) = self.coordinators.get_mut(id)
        {
            coordinator.epoch += 1;
        }
        self.fates[open.number as usize] = if commit { Fate::Committed } else { Fate::Aborted };
        for at in open.partitions {
            self.log(at).append_marker(open.number);
            self.signal(change_of(at.topic));
        }
        if commit {
            for (partition, next) in open.offsets {
                let offset = CommittedOffset { next, metadata: String::new() };
                let now = LogTime(self.now);
                self.group(Role::Aggregate).commit(partition, now, offset);
            }
        }
        self.signal(change::TRANSACTION);
    }

    /// The coordinator aborts it and fences its producer.
    pub(super) fn time_out_transaction(&mut self, id: &str, number: TransactionNumber) {
        let Some(coordinator) = self.coordinators.get_mut(id) else { return };
        if coordinator.open.as_ref().is_some_and(|open| open.number == number) {
            coordinator.epoch += 1;
            self.end(id, false);
        }
    }
}
