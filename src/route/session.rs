//! One life of the route producer: what it sent, what of it stands in the log, and so what may be said.
//!
//! ```text
//! open ─links─► acknowledged ─► ready ─take─► blocks ─barrier─► waits ─acknowledged─► fact ─► commit, link
//! ```
//!
//! A record that failed is never acknowledged, so nothing behind it becomes a fact; the worker drops the session
//! and opens another one from what was committed. Dropping it at any time is safe for the same reason.

use super::dead_letter::dead_letter;
use super::lane::Lane;
use super::plan::Plan;
use super::position::RoutePosition;
use crate::model::{
    Block, CommittedOffset, EventBatch, Gap, HopOne, Incarnation, Link, Links, LogTime, NextOffset, Offset,
    OutRecord, Partition, Source, Topic, TopicPartition,
    mutation::{self, Mutation},
};
use crate::topology::Topology;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

/// Number of a record in its session, in the order of sending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Sequence(pub u64);

/// A record to be sent. Those to one partition must be sent in the order that they came in.
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use = "a record that is not sent is never acknowledged, and its source stands still"]
pub struct Outgoing {
    pub sequence: Sequence,
    pub to: TopicPartition,
    pub record: OutRecord,
}

/// Where a source begins in this session: a committed position, read back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Opening {
    pub partition: Partition,
    pub position: RoutePosition,
    /// Retention took what lies between the position and this.
    pub gap_to: Option<NextOffset>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pace {
    /// A block is closed when it has grown to this.
    pub block_bytes: usize,
    /// Whether links may say "at end", so that time moves without events.
    pub says_at_end: bool,
}

/// Counts since they were last asked for.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    pub events: u64,
    pub refused: u64,
    pub units: u64,
    pub blocks: u64,
    /// Contributions and history records without a value for a `by` column.
    pub no_key: u64,
    /// Products outside `i64`, absent from their row.
    pub overflowed: u64,
    /// Map members that are no numbers.
    pub skipped_members: u64,
}

pub struct Session {
    plan: Plan,
    pace: Pace,
    sources: BTreeMap<Partition, Tracked>,
    next: u64,
    unacknowledged: BTreeSet<u64>,
    /// Links in flight, with their target.
    links: BTreeMap<u64, Partition>,
    /// For each target when the log took the newest acknowledged link.
    linked: Vec<Option<LogTime>>,
    tally: Tally,
}

struct Tracked {
    lane: Lane,
    /// All below it is acknowledged.
    fact: Fact,
    /// What becomes a fact once every record before that number is acknowledged, by rising number.
    ahead: VecDeque<(u64, Fact)>,
    committed: NextOffset,
    /// Ready once every record before this number is acknowledged.
    opened: u64,
}

#[derive(Clone)]
struct Fact {
    at: NextOffset,
    last: Vec<Option<Offset>>,
}

impl Session {
    pub fn new(topology: Arc<Topology>, pace: Pace) -> Self {
        let plan = Plan::new(topology);
        Session {
            linked: vec![None; plan.targets as usize],
            plan,
            pace,
            sources: BTreeMap::new(),
            next: 0,
            unacknowledged: BTreeSet::new(),
            links: BTreeMap::new(),
            tally: Tally::default(),
        }
    }

    /// Adds sources. The records state what is known of them to every target; a source is ready for
    /// [`Session::take`] when they are acknowledged ([`Session::is_ready`]).
    pub fn open(&mut self, openings: Vec<Opening>, raw_partitions: u32) -> Vec<Outgoing> {
        let mut links: Vec<Partition> = Vec::new();
        let mut records = Vec::new();
        for opening in &openings {
            match opening.gap_to {
                None => links.push(opening.partition),
                Some(to) => records.extend(self.gaps(opening, to)),
            }
        }
        let opened: Vec<Partition> = openings.iter().map(|opening| opening.partition).collect();
        for opening in openings {
            self.sources.insert(opening.partition, Tracked::new(opening));
        }
        records.extend(self.links_of(&links, None, raw_partitions));
        for partition in opened {
            let tracked = self.sources.get_mut(&partition).expect("inserted above");
            tracked.opened = self.next;
            tracked.note(self.next);
        }
        records
    }

    fn gaps(&mut self, opening: &Opening, to: NextOffset) -> Vec<Outgoing> {
        let position = &opening.position;
        let source = Source { incarnation: position.incarnation, partition: opening.partition };
        let gap = |&last| Gap { source, version: self.plan.version, from: position.at, to, last };
        let gaps: Vec<Gap> = position.last.iter().map(gap).collect();
        let sent = |(target, gap)| self.hop_one(Partition(target), &HopOne::Gap(gap));
        (0u32..).zip(gaps).map(sent).collect()
    }

    /// Forgets a source that was lost, or released after its last commit.
    pub fn close(&mut self, partition: Partition) {
        self.sources.remove(&partition);
    }

    /// Whether all that states where the source begins is acknowledged: before that, nothing of it may be sent.
    pub fn is_ready(&self, partition: Partition) -> bool {
        self.sources.get(&partition).is_some_and(|tracked| {
            tracked.opened <= self.acknowledged_below() || mutation::is(Mutation::LinksNotAwaited)
        })
    }

    /// Takes the events and refused records of a ready source, from its position on.
    pub fn take(&mut self, batch: &EventBatch) -> Vec<Outgoing> {
        let partition = batch.source.partition;
        assert!(self.is_ready(partition), "raw partition {partition} was read before its links stood");
        let tracked = self.sources.get_mut(&partition).expect("a ready source is open");
        assert_eq!(tracked.lane.source, batch.source, "the incarnation is compared before a batch is taken");
        self.tally.events += batch.len() as u64;
        self.tally.refused += batch.refused.len() as u64;
        self.tally.skipped_members += batch.skipped_members;
        let mut blocks = Vec::new();
        tracked.lane.take(&self.plan, batch, self.pace.block_bytes, &mut self.tally, &mut |target, block| {
            blocks.push((target, block))
        });
        let mut records = self.blocks(blocks);
        let letters = Partition(partition.0 % self.plan.targets);
        let to = TopicPartition { topic: Topic::DeadLetters, partition: letters };
        for refused in &batch.refused {
            let record = dead_letter(&self.plan.topology.events.topic, batch, refused);
            records.push(self.outgoing(to, record));
        }
        records
    }

    /// Closes every open block, so that all that was taken becomes a fact when it is acknowledged.
    pub fn barrier(&mut self) -> Vec<Outgoing> {
        let mut blocks = Vec::new();
        for tracked in self.sources.values_mut() {
            tracked.lane.flush(&self.plan, &mut |target, block| blocks.push((target, block)));
        }
        let records = self.blocks(blocks);
        for tracked in self.sources.values_mut() {
            tracked.note(self.next);
        }
        self.settle();
        records
    }

    /// The record stands in the log for good, since `time`.
    pub fn acknowledged(&mut self, sequence: Sequence, time: LogTime) {
        self.unacknowledged.remove(&sequence.0);
        if let Some(target) = self.links.remove(&sequence.0) {
            let linked = &mut self.linked[target.0 as usize];
            *linked = (*linked).max(Some(time));
        }
        self.settle();
    }

    /// For each source its newest fact, if it was not committed yet.
    pub fn committable(&self) -> Vec<(Partition, CommittedOffset)> {
        self.commits_of(|tracked| tracked.fact.at > tracked.committed)
    }

    /// For each source its newest fact: a late commit may have taken the group's position back since it was committed.
    pub fn facts(&self) -> Vec<(Partition, CommittedOffset)> {
        self.commits_of(|_| true)
    }

    fn commits_of(&self, is_wanted: impl Fn(&Tracked) -> bool) -> Vec<(Partition, CommittedOffset)> {
        let commit =
            |tracked: &Tracked| (tracked.lane.source.partition, self.position_of(tracked).to_commit());
        self.sources.values().filter(|tracked| is_wanted(tracked)).map(commit).collect()
    }

    pub fn committed(&mut self, partition: Partition, next: NextOffset) {
        if let Some(tracked) = self.sources.get_mut(&partition) {
            tracked.committed = tracked.committed.max(next);
        }
    }

    /// Links of all sources to every target: the newest facts. `ends` are the ends of the raw log, asked for after
    /// the last acknowledgement was noted: a source that is there with all acknowledged is "at end".
    pub fn links(&mut self, ends: &BTreeMap<Partition, NextOffset>, raw_partitions: u32) -> Vec<Outgoing> {
        let all: Vec<Partition> = self.sources.keys().copied().collect();
        self.links_of(&all, self.pace.says_at_end.then_some(ends), raw_partitions)
    }

    /// Links of sources that are somebody else's, as their commits state them.
    pub fn links_of_commits(
        &mut self,
        commits: &[(Partition, RoutePosition)],
        raw_partitions: u32,
    ) -> Vec<Outgoing> {
        if commits.is_empty() {
            return Vec::new();
        }
        let link = |target: usize, (partition, position): &(Partition, RoutePosition)| Link {
            source: Source { incarnation: position.incarnation, partition: *partition },
            version: position.version,
            below: position.at,
            last: position.last[target],
            raw_partitions,
            at_end: None,
        };
        let targets = 0..self.linked.len();
        targets
            .map(|target| {
                let links = commits.iter().map(|commit| link(target, commit)).collect();
                self.hop_one(Partition(target as u32), &HopOne::Links(Links { links }))
            })
            .collect()
    }

    /// Where reading of the source goes on.
    pub fn position(&self, partition: Partition) -> Option<NextOffset> {
        self.sources.get(&partition).map(|tracked| tracked.lane.position)
    }

    pub fn incarnation(&self, partition: Partition) -> Option<Incarnation> {
        self.sources.get(&partition).map(|tracked| tracked.lane.source.incarnation)
    }

    /// The offset up to which the source is committed.
    pub fn committed_below(&self, partition: Partition) -> Option<NextOffset> {
        self.sources.get(&partition).map(|tracked| tracked.committed)
    }

    /// Nothing that was sent is still open.
    pub fn is_settled(&self) -> bool {
        self.unacknowledged.is_empty()
    }

    /// Counts since the last call.
    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    fn links_of(
        &mut self,
        partitions: &[Partition],
        ends: Option<&BTreeMap<Partition, NextOffset>>,
        raw_partitions: u32,
    ) -> Vec<Outgoing> {
        if partitions.is_empty() {
            return Vec::new();
        }
        let link = |target: usize, partition: &Partition| {
            let tracked = &self.sources[partition];
            let end = ends.and_then(|ends| ends.get(partition));
            let is_at_end = end.is_some_and(|&end| tracked.fact.at >= end && !tracked.is_ahead());
            let is_at_end = is_at_end || (mutation::is(Mutation::AlwaysAtEnd) && end.is_some());
            Link {
                source: tracked.lane.source,
                version: self.plan.version,
                below: tracked.fact.at,
                last: tracked.fact.last[target],
                raw_partitions,
                at_end: if is_at_end { self.linked[target] } else { None },
            }
        };
        let links_to =
            |target| Links { links: partitions.iter().map(|source| link(target, source)).collect() };
        let links: Vec<Links> = (0..self.linked.len()).map(links_to).collect();
        let mut records = Vec::with_capacity(links.len());
        for (target, links) in (0u32..).map(Partition).zip(links) {
            let record = self.hop_one(target, &HopOne::Links(links));
            self.links.insert(record.sequence.0, target);
            records.push(record);
        }
        records
    }

    fn position_of(&self, tracked: &Tracked) -> RoutePosition {
        RoutePosition {
            incarnation: tracked.lane.source.incarnation,
            version: self.plan.version,
            at: tracked.fact.at,
            last: tracked.fact.last.clone(),
        }
    }

    fn blocks(&mut self, blocks: Vec<(Partition, Vec<u8>)>) -> Vec<Outgoing> {
        let blocks = if mutation::is(Mutation::UnitSplit) { split(blocks) } else { blocks };
        self.tally.blocks += blocks.len() as u64;
        blocks.into_iter().map(|(target, block)| self.repartition(target, block)).collect()
    }

    fn hop_one(&mut self, target: Partition, record: &HopOne) -> Outgoing {
        self.repartition(target, record.encode())
    }

    fn repartition(&mut self, target: Partition, value: Vec<u8>) -> Outgoing {
        let to = TopicPartition { topic: Topic::Repartition, partition: target };
        self.outgoing(to, OutRecord { value: Some(value), ..OutRecord::default() })
    }

    fn outgoing(&mut self, to: TopicPartition, record: OutRecord) -> Outgoing {
        let sequence = self.next;
        self.next += 1;
        self.unacknowledged.insert(sequence);
        Outgoing { sequence: Sequence(sequence), to, record }
    }

    /// Every record before this number is acknowledged.
    fn acknowledged_below(&self) -> u64 {
        match self.unacknowledged.first() {
            Some(&first) if !mutation::is(Mutation::CommitBeforeAcknowledgement) => first,
            _ => self.next,
        }
    }

    fn settle(&mut self) {
        let below = self.acknowledged_below();
        for tracked in self.sources.values_mut() {
            while let Some((_, fact)) = tracked.ahead.pop_front_if(|(number, _)| *number <= below) {
                tracked.fact = fact;
            }
        }
    }
}

/// A mutation: the last unit of each block is cut behind its first row.
fn split(blocks: Vec<(Partition, Vec<u8>)>) -> Vec<(Partition, Vec<u8>)> {
    let cut = |(target, bytes): (Partition, Vec<u8>)| match HopOne::decode(&bytes) {
        Ok(HopOne::Block(block)) => {
            cut(block).into_iter().map(|block| (target, HopOne::Block(block).encode())).collect()
        }
        _ => vec![(target, bytes)],
    };
    blocks.into_iter().flat_map(cut).collect()
}

fn cut(mut block: Block) -> Vec<Block> {
    let last = block.units.last_mut().filter(|unit| unit.rows.len() > 1 && unit.history.is_empty());
    let Some(last) = last else { return vec![block] };
    let mut rest = last.clone();
    last.rows.end = last.rows.start + 1;
    rest.rows = 0..rest.rows.len() as u32 - 1;
    rest.history = 0..0;
    let rows = block.rows.split_off(last.rows.end as usize);
    let second = Block { units: vec![rest], rows, history: Vec::new(), ..block.clone() };
    vec![block, second]
}

impl Tracked {
    fn new(opening: Opening) -> Self {
        let Opening { partition, mut position, gap_to } = opening;
        if mutation::is(Mutation::PrevForgotten) {
            position.last.fill(None);
        }
        let source = Source { incarnation: position.incarnation, partition };
        let fact = Fact { at: position.at, last: position.last };
        let lane = match gap_to {
            // Behind a gap every target has all up to its end: that is what the gap says.
            Some(to) => Lane::new(source, to, vec![to.last(); fact.last.len()]),
            None => Lane::new(source, fact.at, fact.last.clone()),
        };
        Tracked { lane, committed: fact.at, fact, ahead: VecDeque::new(), opened: u64::MAX }
    }

    /// All that was taken so far is a fact once every record before `number` is acknowledged.
    fn note(&mut self, number: u64) {
        let known = self.ahead.back().map_or(self.fact.at, |(_, fact)| fact.at);
        if self.lane.position == known {
            return;
        }
        // Nothing was sent since the last note: the later one holds as soon as it does.
        self.ahead.pop_back_if(|(last, _)| *last == number);
        self.ahead.push_back((number, Fact { at: self.lane.position, last: self.lane.last.clone() }));
    }

    /// More was taken than is known to be acknowledged.
    fn is_ahead(&self) -> bool {
        self.lane.position != self.fact.at
    }
}

#[cfg(test)]
mod tests;
