//! Where a raw partition begins: its committed position if it is one of ours, else a first start, else a halt.

use super::{Router, Stage};
use crate::model::{
    Cutover, HopOne, Incarnation, LogTime, NextOffset, Partition, Source, Topic, TopicPartition,
};
use crate::port::{Consumer, Ends, Failure, Isolation, Reaction, Reader, TopicFacts};
use crate::route::{Opening, RoutePosition};
use crate::worker::{Context, Start};
use std::collections::{BTreeMap, BTreeSet};

/// How much one read of a scan may bring.
const SCAN_BYTES: usize = 4 << 20;

impl Router {
    /// Whether retention took what was about to be read, or the log became shorter than it was. Then every source begins
    /// anew at its commit: that names the gap, or halts the one whose log is too short.
    pub(super) async fn is_overtaken(&mut self) -> bool {
        for partition in self.partitions_in(Stage::Reading) {
            let position = self.deliveries.session.position(partition);
            match self.reader.ends(raw(partition), Isolation::ReadUncommitted).await {
                Ok(ends) if position.is_some_and(|at| (ends.first..=ends.next).contains(&at)) => {}
                // Who cannot ask begins anew as well, and asks there.
                Ok(_) | Err(_) => return true,
            }
        }
        false
    }
}

pub(super) enum Beginning {
    At(Opening),
    /// Why no session can begin there, and what to do about it.
    Halted(String),
}

/// What stands in the repartition topic about the raw topic's incarnations.
#[derive(Debug, Default)]
pub(super) struct LinksKnown {
    sources: BTreeSet<(Incarnation, Partition)>,
    /// The most partitions that a link of this incarnation states.
    partitions: BTreeMap<Incarnation, u32>,
    /// For each target the newest cut-over.
    cutovers: BTreeMap<Partition, Cutover>,
    /// Records were there that are there no more.
    is_cut: bool,
}

pub(super) struct Finder<'a> {
    pub(super) context: &'a Context,
    pub(super) consumer: &'a mut dyn Consumer,
    pub(super) reader: &'a mut dyn Reader,
    pub(super) raw: TopicFacts,
    /// Scanned once for all partitions that have no commit.
    pub(super) links_known: &'a mut Option<LinksKnown>,
}

impl Finder<'_> {
    pub(super) async fn find(&mut self, partition: Partition) -> Result<Beginning, Failure> {
        if self.consumer.committed(partition).await?.is_none() {
            // Links first, and then the position once more: whoever wrote links had a position before. Asked for only
            // before them, it may be that of a first start of somebody else, which came meanwhile.
            self.known().await?;
            if self.consumer.committed(partition).await?.is_none()
                && let Some(reason) = self.start_first(partition).await?
            {
                return Ok(Beginning::Halted(reason));
            }
        }
        // A first start is used only as it was read back.
        let Some(committed) = self.consumer.committed(partition).await? else {
            return Err(Failure::new(
                Reaction::Retry,
                format!("the first commit of {partition} is not there yet"),
            ));
        };
        let position = match RoutePosition::parse(&committed, self.context.topology.partitions) {
            Ok(position) => position,
            Err(foreign) => return Ok(Beginning::Halted(self.foreign(partition, &foreign.to_string()))),
        };
        if position.incarnation != self.raw.incarnation {
            return Ok(Beginning::Halted(recreated(self.context, self.raw.incarnation)));
        }
        let position = if position.version == self.context.version() {
            position
        } else {
            match self.behind_cutover(partition).await? {
                Some(position) => position,
                None => return Ok(Beginning::Halted(self.other_version(partition, &position))),
            }
        };
        let ends = self.ends(partition).await?;
        if position.at > ends.next {
            return Ok(Beginning::Halted(format!(
                "position {} of raw partition {partition} is beyond its end {}: truncated, or recreated?",
                position.at, ends.next
            )));
        }
        let gap_to = (position.at < ends.first).then_some(ends.first);
        Ok(Beginning::At(Opening { partition, position, gap_to }))
    }

    fn other_version(&self, partition: Partition, position: &RoutePosition) -> String {
        format!(
            "raw partition {partition} stands at {} under routing version {}, and this topology's is {}; \
             `thalweg cutover OLD NEW` changes it",
            position.at,
            position.version,
            self.context.version()
        )
    }

    /// A late commit of the old version may have come behind the cut-over to ours. If that is the newest one of every
    /// target, all below its cut stands in all of them.
    async fn behind_cutover(&mut self, partition: Partition) -> Result<Option<RoutePosition>, Failure> {
        let (version, targets) = (self.context.version(), self.context.topology.partitions);
        let source = Source { incarnation: self.raw.incarnation, partition };
        let known = self.known().await?;
        let cut = |target| {
            let cutover =
                known.cutovers.get(&Partition(target)).filter(|newest| newest.version == version)?;
            cutover.cuts.iter().find(|(of, _)| *of == source).map(|&(_, cut)| cut)
        };
        let cuts: Option<Vec<NextOffset>> = (0..targets).map(cut).collect();
        let Some(at) = cuts.and_then(|cuts| cuts.into_iter().min()) else { return Ok(None) };
        let position = RoutePosition::behind_cut(source.incarnation, version, at, targets);
        self.consumer.commit(partition, position.to_commit()).await?;
        Ok(Some(position))
    }

    async fn known(&mut self) -> Result<&LinksKnown, Failure> {
        if self.links_known.is_none() {
            *self.links_known = Some(self.scan().await?);
        }
        Ok(self.links_known.as_ref().expect("scanned above"))
    }

    fn foreign(&self, partition: Partition, what: &str) -> String {
        format!(
            "the position of raw partition {partition} is not ours: {what}; \
             stop every route worker and run `thalweg reroute`"
        )
    }

    /// Commits where a source that was never routed begins. The reason to halt instead, if there is one.
    async fn start_first(&mut self, partition: Partition) -> Result<Option<String>, Failure> {
        let incarnation = self.raw.incarnation;
        let known = self.known().await?;
        if known.sources.contains(&(incarnation, partition)) {
            return Ok(Some(self.foreign(partition, "it was routed before, but has no committed offset")));
        }
        let is_new_incarnation = !known.partitions.contains_key(&incarnation) && !known.partitions.is_empty();
        if is_new_incarnation {
            return Ok(Some(recreated(self.context, incarnation)));
        }
        // Away for longer than positions and links are kept: whoever takes that for a first start skips, or does not name
        // what the raw topic has lost meanwhile.
        if known.partitions.is_empty() && known.is_cut {
            let what = "the repartition topic had records, so it may have been routed before, and nothing of them is left";
            return Ok(Some(self.foreign(partition, what)));
        }
        let at = match known.partitions.get(&incarnation) {
            // It came later than the rest, and so all of it is new.
            Some(&count) if partition.0 >= count => NextOffset(0),
            Some(_) | None => self.resolve(partition).await?,
        };
        let (version, targets) = (self.context.version(), self.context.topology.partitions);
        let first = RoutePosition::first(incarnation, version, at, targets);
        self.consumer.commit(partition, first.to_commit()).await?;
        Ok(None)
    }

    async fn ends(&mut self, partition: Partition) -> Result<Ends, Failure> {
        self.reader.ends(raw(partition), Isolation::ReadUncommitted).await
    }

    async fn resolve(&mut self, partition: Partition) -> Result<NextOffset, Failure> {
        match self.context.settings.start {
            Start::Earliest => Ok(self.ends(partition).await?.first),
            Start::Latest => Ok(self.reader.ends(raw(partition), Isolation::ReadCommitted).await?.next),
            Start::At(time) => self.first_since(partition, time).await,
        }
    }

    /// The first record at or after `time`, or the end. Record times need not rise, so all are looked at.
    async fn first_since(&mut self, partition: Partition, time: LogTime) -> Result<NextOffset, Failure> {
        let ends = self.reader.ends(raw(partition), Isolation::ReadCommitted).await?;
        let mut from = ends.first;
        while from < ends.next {
            let batch = self.reader.read(raw(partition), from, SCAN_BYTES).await?;
            if let Some(found) = batch.records.iter().find(|record| record.time >= time) {
                return Ok(NextOffset(found.offset.0));
            }
            if batch.next <= from {
                break;
            }
            from = batch.next;
        }
        Ok(from.max(ends.next))
    }

    /// Reads the whole repartition topic. Only before a first start, when there is little or nothing in it.
    async fn scan(&mut self) -> Result<LinksKnown, Failure> {
        let mut known = LinksKnown::default();
        for target in 0..self.context.topology.partitions {
            let at = TopicPartition { topic: Topic::Repartition, partition: Partition(target) };
            let ends = self.reader.ends(at, Isolation::ReadCommitted).await?;
            let mut from = ends.first;
            known.is_cut |= from > NextOffset(0);
            while from < ends.next {
                let batch = self.reader.read(at, from, SCAN_BYTES).await?;
                for record in &batch.records {
                    let value = batch.value(record).unwrap_or_default();
                    let found = HopOne::decode(value).map_err(|damaged| {
                        let place = format!("repartition partition {target}, offset {}", record.offset);
                        Failure::new(Reaction::Halt, format!("{damaged} of {place}"))
                    })?;
                    known.note(Partition(target), found);
                }
                if batch.next <= from {
                    break;
                }
                from = batch.next;
            }
        }
        Ok(known)
    }
}

impl LinksKnown {
    fn note(&mut self, target: Partition, record: HopOne) {
        let mut add = |source: Source, partitions: u32| {
            self.sources.insert((source.incarnation, source.partition));
            let count = self.partitions.entry(source.incarnation).or_default();
            *count = (*count).max(partitions).max(source.partition.0 + 1);
        };
        match record {
            HopOne::Links(links) => {
                links.links.iter().for_each(|link| add(link.source, link.raw_partitions));
            }
            HopOne::Block(block) => add(block.source, 0),
            HopOne::Gap(gap) => add(gap.source, 0),
            HopOne::Reroute(reroute) => add(reroute.source, 0),
            HopOne::Cutover(cutover) => {
                cutover.cuts.iter().for_each(|&(source, _)| add(source, 0));
                self.cutovers.insert(target, cutover);
            }
        }
    }
}

pub(super) fn recreated(context: &Context, found: Incarnation) -> String {
    format!(
        "`{}` is incarnation {found}, which was not routed before: the topic was recreated; \
         `thalweg reroute --new-incarnation` takes the new one and retires the old",
        context.topology.events.topic
    )
}

fn raw(partition: Partition) -> TopicPartition {
    TopicPartition { topic: Topic::Raw, partition }
}
