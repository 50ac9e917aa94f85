//! `--until-idle`: whether every target has all of every source below the goal.

use super::{Held, Member};
use crate::aggregate::{COMMIT_KEY, CommitRecord, Sources, Target};
use crate::model::{NextOffset, Offset, Partition, Source, Topic, TopicPartition};
use crate::port::{Failure, Isolation};
use std::collections::BTreeMap;

type Goal = BTreeMap<Partition, NextOffset>;

/// A commit record is the last of its transaction in `state`; a marker may follow.
const BEHIND_THE_LAST_RECORD: u64 = 3;

impl Member<'_> {
    /// Nothing is left to do, here or in partitions that somebody else holds, or held: what was committed tells.
    pub(super) async fn is_idle(&mut self) -> Result<bool, Failure> {
        let Some(goal) = self.context.control.goal() else { return Ok(false) };
        if !self.has_all(&goal) {
            return Ok(false);
        }
        self.commit().await?;
        // A commit that was refused went back: what it was about is still to be read.
        if !self.has_all(&goal) || self.held.values().any(Held::is_behind) {
            return Ok(false);
        }
        for partition in (0..self.context.topology.partitions).map(Partition) {
            if !self.held.contains_key(&partition) && !self.is_done_elsewhere(partition, &goal).await? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// A halt is not done: a record further on may forgive it, and somebody else decides how long to look for one.
    fn has_all(&self, goal: &Goal) -> bool {
        let has_reached = |target: &Target| has_reached(target.sources(), goal);
        let has_all = |held: &Held| held.halted_at.is_none() && held.target.as_ref().is_none_or(has_reached);
        self.held.values().all(has_all)
    }

    async fn is_done_elsewhere(&mut self, partition: Partition, goal: &Goal) -> Result<bool, Failure> {
        let state = TopicPartition { topic: Topic::State, partition };
        let ends = self.reader.ends(state, Isolation::ReadCommitted).await?;
        let mut at = NextOffset(ends.next.0.saturating_sub(BEHIND_THE_LAST_RECORD)).max(ends.first);
        let mut committed = None;
        while at < ends.next {
            let batch = self.reader.read(state, at, self.context.settings.poll_bytes).await?;
            let commits = batch.records.iter().filter(|record| batch.key(record) == Some(COMMIT_KEY));
            committed = commits
                .filter_map(|record| batch.value(record))
                .next_back()
                .map(<[u8]>::to_vec)
                .or(committed);
            if batch.next <= at {
                break;
            }
            at = batch.next;
        }
        let sources = committed.and_then(|record| CommitRecord::decode(&record)?.sources.parse());
        Ok(sources.is_some_and(|sources| has_reached(&sources, goal)))
    }
}

/// Of the newest incarnation: others have been retired.
fn has_reached(sources: &Sources, goal: &Goal) -> bool {
    let current = sources.incarnations.last().copied();
    goal.iter().all(|(&partition, &end)| {
        let source = current.map(|incarnation| Source { incarnation, partition });
        let have = source.and_then(|source| sources.hw(source)).map_or(NextOffset(0), Offset::next);
        have >= end
    })
}
