//! All that one commit of one target writes.

use crate::model::{NextOffset, OutBatch, Topic};
use std::collections::BTreeMap;

/// Records of one transaction, by what they are for. Made to be filled again: its memory is the largest thing that a
/// commit needs.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// Of the repartition partition: the next to read.
    pub next: NextOffset,
    /// Panes that changed.
    pub panes: OutBatch,
    pub set_aside: OutBatch,
    /// By the history's place in the topology.
    pub histories: BTreeMap<u16, OutBatch>,
    /// Rows that changed, and tombstones of rows.
    pub metrics: OutBatch,
    /// Tombstones of panes.
    pub buried: OutBatch,
    /// The commit record, alone.
    pub record: OutBatch,
    /// The position row, alone.
    pub position: OutBatch,
    /// Rows that were written, and rows that were taken back.
    pub rows: u64,
    pub tombstones: u64,
}

impl Transaction {
    /// The order in which it is written. A late end of another transaction may commit the first part of it and nothing
    /// else, so: panes first, because they tell the next owner how far readers were shown; a row's tombstone before
    /// its pane's, because nobody would bury the row of a pane that is gone; the commit record and the position last.
    pub fn in_order(&self) -> impl Iterator<Item = (Topic, &OutBatch)> {
        let before = [(Topic::State, &self.panes), (Topic::SetAside, &self.set_aside)];
        let histories = self.histories.iter().map(|(&history, records)| (Topic::History(history), records));
        let behind = [
            (Topic::Metrics, &self.metrics),
            (Topic::State, &self.buried),
            (Topic::State, &self.record),
            (Topic::Metrics, &self.position),
        ];
        let all = before.into_iter().chain(histories).chain(behind);
        all.filter(|(_, records)| !records.is_empty())
    }

    /// Records in all topics.
    pub fn records(&self) -> usize {
        self.in_order().map(|(_, records)| records.len()).sum()
    }

    /// Empty, and ready to be filled.
    pub(crate) fn begin(&mut self, next: NextOffset) {
        self.histories.values_mut().for_each(OutBatch::clear);
        let batches = [&mut self.panes, &mut self.set_aside, &mut self.metrics];
        let batches = batches.into_iter().chain([&mut self.buried, &mut self.record, &mut self.position]);
        batches.for_each(OutBatch::clear);
        (self.next, self.rows, self.tombstones) = (next, 0, 0);
    }
}
