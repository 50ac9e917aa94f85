//! The engine's own stages, driven as the worker's loops drive them, batch by batch.

use crate::stage::{Commit, Made, Stage, Times};
use crate::support::world::{LogClock, now};
use anyhow::{bail, ensure};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use thalweg::aggregate::{Limits, Target, Transaction};
use thalweg::decode::Decoder;
use thalweg::embedded::EmbeddedLog;
use thalweg::lake::{Chunk, Decided, Format, Layout, Parquet, Taken};
use thalweg::model::{
    EventBatch, NextOffset, OutRecord, Partition, RecordBatch, Role, RoutingVersion, Topic, TopicPartition,
};
use thalweg::port::{Consumer, Isolation, Log, Polled, Producer, Transactions};
use thalweg::route::{Opening, Outgoing, Pace, RoutePosition, Sequence, Session};
use thalweg::topology::Topology;
use thalweg::worker::Settings;

/// A consumer of a role, started at the beginning of each of its partitions.
pub(crate) fn consumer(log: &EmbeddedLog, role: Role) -> anyhow::Result<(Box<dyn Consumer>, Vec<Partition>)> {
    let mut consumer = log.consumer(role);
    let Polled::Assigned(partitions) = now(consumer.poll(1, Duration::ZERO))? else {
        bail!("the first poll assigns");
    };
    for &partition in &partitions {
        now(consumer.start(partition, NextOffset(0)))?;
    }
    Ok((consumer, partitions))
}

/// The next batch, if there is one by now.
pub(crate) fn poll(consumer: &mut dyn Consumer) -> anyhow::Result<Option<RecordBatch>> {
    match now(consumer.poll(Settings::default().poll_bytes, Duration::ZERO))? {
        Polled::Records(batch) => Ok(Some(batch)),
        Polled::Idle => Ok(None),
        polled => bail!("a lone member is not told of {polled:?}"),
    }
}

/// Route and aggregate, taking turns at each commit of `commit_events` events.
pub(crate) struct River<'a> {
    pub(crate) topology: &'a Arc<Topology>,
    pub(crate) raw: &'a EmbeddedLog,
    pub(crate) out: &'a EmbeddedLog,
    pub(crate) clock: &'a LogClock,
    pub(crate) commit_events: u64,
}

pub(crate) struct Flow {
    pub(crate) times: Times,
    pub(crate) commits: Vec<Commit>,
    pub(crate) events: u64,
    /// Keys in memory at the end.
    pub(crate) keys: usize,
}

impl River<'_> {
    pub(crate) fn run(&self) -> anyhow::Result<Flow> {
        let mut flow = Flow { times: Times::default(), commits: Vec::new(), events: 0, keys: 0 };
        let mut route = Route::new(self)?;
        let mut aggregate = Aggregate::new(self)?;
        let mut is_open = true;
        while is_open {
            let mut commit = Commit::default();
            is_open =
                route.until((flow.commits.len() as u64 + 1) * self.commit_events, &mut flow, &mut commit)?;
            aggregate.commit(&mut flow.times, &mut commit)?;
            flow.commits.push(commit);
        }
        flow.keys = aggregate.targets.iter().map(Target::entities).sum();
        Ok(flow)
    }
}

struct Route<'a> {
    river: &'a River<'a>,
    consumer: Box<dyn Consumer>,
    decoder: Decoder,
    session: Session,
    producer: Box<dyn Producer>,
    /// Sent, by ticket.
    open: Vec<Sequence>,
}

impl<'a> Route<'a> {
    fn new(river: &'a River<'a>) -> anyhow::Result<Self> {
        let (consumer, partitions) = consumer(river.raw, Role::Route)?;
        let facts = now(river.raw.reader().facts(Topic::Raw))?;
        let pace = Pace { block_bytes: Settings::default().block_bytes, says_at_end: true };
        let mut route = Route {
            consumer,
            decoder: Decoder::new(river.topology),
            session: Session::new(Arc::clone(river.topology), pace),
            producer: river.out.producer(),
            open: Vec::new(),
            river,
        };
        let version = RoutingVersion(river.topology.routing_version);
        let opening = |&partition: &Partition| {
            let targets = river.topology.partitions;
            let position = RoutePosition::first(facts.incarnation, version, NextOffset(0), targets);
            Opening { partition, position, gap_to: None }
        };
        let links = route.session.open(partitions.iter().map(opening).collect(), facts.partitions);
        route.send(links, &mut Commit::default());
        route.settle(&mut Times::default())?;
        Ok(route)
    }

    fn send(&mut self, records: Vec<Outgoing>, commit: &mut Commit) {
        for Outgoing { sequence, to, record } in records {
            commit.block_bytes += weight(&record);
            let ticket = self.producer.send(to, record);
            assert_eq!(ticket.0, self.open.len() as u64, "tickets rise from 0");
            self.open.push(sequence);
        }
    }

    /// Waits for all that was sent.
    fn settle(&mut self, times: &mut Times) -> anyhow::Result<()> {
        while !self.session.is_settled() {
            let producer = &mut self.producer;
            let deliveries =
                times.of(Stage::RouteWrite, || now(producer.deliveries(Duration::from_secs(1))))?;
            times.of(Stage::HopOne, || {
                deliveries.into_iter().try_for_each(|delivery| {
                    let (_, time) = delivery.outcome?;
                    self.session.acknowledged(self.open[delivery.ticket.0 as usize], time);
                    anyhow::Ok(())
                })
            })?;
        }
        Ok(())
    }

    /// Routes until so many events are taken, and closes what is open; is there more?
    fn until(&mut self, events: u64, flow: &mut Flow, commit: &mut Commit) -> anyhow::Result<bool> {
        let times = &mut flow.times;
        let mut is_open = true;
        while flow.events < events {
            let polled = times.of(Stage::RouteRead, || poll(&mut *self.consumer))?;
            let Some(batch) = polled else {
                is_open = false;
                break;
            };
            let batch = times.of(Stage::RouteDecode, || self.decoder.decode(batch));
            ensure!(batch.refused.is_empty(), "all events are believed: {:?}", batch.refused.first());
            flow.events += batch.len() as u64;
            let newest = batch.event_time.iter().map(|time| time.0).max();
            newest.into_iter().for_each(|time| self.river.clock.set(time));
            let records = times.of(Stage::HopOne, || self.session.take(&batch));
            times.of(Stage::RouteWrite, || self.send(records, commit));
            times.of(Stage::RouteDecode, || drop(batch));
        }
        let records = times.of(Stage::HopOne, || self.session.barrier());
        times.of(Stage::RouteWrite, || self.send(records, commit));
        self.settle(times)?;
        let facts = times.of(Stage::HopOne, || self.session.committable());
        for (partition, offset) in facts {
            let next = offset.next;
            times.of(Stage::RouteWrite, || now(self.consumer.commit(partition, offset)))?;
            self.session.committed(partition, next);
        }
        Ok(is_open)
    }
}

struct Aggregate {
    consumer: Box<dyn Consumer>,
    transactions: Box<dyn Transactions>,
    targets: Vec<Target>,
    next: Vec<NextOffset>,
    written: Transaction,
}

impl Aggregate {
    fn new(river: &River<'_>) -> anyhow::Result<Self> {
        let (consumer, partitions) = consumer(river.out, Role::Aggregate)?;
        let target = |partition| Target::new(Arc::clone(river.topology), partition, Limits::default());
        Ok(Aggregate {
            consumer,
            transactions: now(river.out.transactions())?,
            next: vec![NextOffset(0); partitions.len()],
            targets: partitions.into_iter().map(target).collect(),
            written: Transaction::default(),
        })
    }

    /// Takes all that stands in the log, and writes it as one transaction.
    fn commit(&mut self, times: &mut Times, commit: &mut Commit) -> anyhow::Result<()> {
        while let Some(batch) = times.of(Stage::AggregateRead, || poll(&mut *self.consumer))? {
            let partition = batch.source.partition.0 as usize;
            let target = &mut self.targets[partition];
            times.of(Stage::Aggregate, || {
                batch.records.iter().try_for_each(|record| {
                    target.take(record.offset, record.time, batch.value(record).unwrap_or_default())
                })
            })?;
            self.next[partition] = batch.next;
            times.of(Stage::AggregateRead, || drop(batch));
        }
        for target in &self.targets {
            let counted = target.counted();
            let lost = counted.late + counted.future + counted.duplicates + counted.holes;
            ensure!(lost == 0, "all events count: {counted:?}");
        }
        now(self.transactions.begin())?;
        let mut offsets = BTreeMap::new();
        for (target, &next) in self.targets.iter_mut().zip(&self.next) {
            let partition = target.partition();
            let written = &mut self.written;
            times.of(Stage::Rows, || target.prepare(next, written));
            note(written, commit);
            offsets.insert(partition, next);
            times.of(Stage::AggregateWrite, || send(&mut *self.transactions, partition, written))?;
        }
        times.of(Stage::AggregateWrite, || {
            let Some(member) = self.consumer.membership() else { bail!("the consumer is a member") };
            now(self.transactions.send_offsets(&offsets, &member))?;
            now(self.transactions.commit())
        })?;
        times.of(Stage::Rows, || {
            self.targets.iter_mut().zip(&self.next).for_each(|(target, &next)| target.fold(next));
        });
        Ok(())
    }
}

/// As the worker does.
fn send(to: &mut dyn Transactions, partition: Partition, written: &Transaction) -> anyhow::Result<()> {
    for (topic, records) in written.in_order() {
        now(to.send(TopicPartition { topic, partition }, records))?;
    }
    Ok(())
}

fn note(transaction: &Transaction, commit: &mut Commit) {
    for record in transaction.metrics.iter() {
        match kind(record.key) {
            Some(true) => commit.vendor_rows += 1,
            Some(false) => commit.product_rows += 1,
            None => {}
        }
    }
    for record in transaction.panes.iter() {
        match kind(record.key) {
            Some(true) => commit.vendor_panes += 1,
            Some(false) => commit.product_panes += 1,
            None => {}
        }
    }
    commit.bytes += transaction.in_order().map(|(_, records)| records.bytes()).sum::<usize>();
}

/// Of a vendor (or of a product)? Positions and commit records are of none.
fn kind(key: &[u8]) -> Option<bool> {
    let name = key.strip_prefix(b"{\"aggregate\":\"")?;
    Some(name.starts_with(b"vendor"))
}

fn weight(record: &OutRecord) -> usize {
    [&record.key, &record.value].iter().map(|part| part.as_ref().map_or(0, Vec::len)).sum()
}

/// The lake over the raw log; files stay in memory and are thrown away.
pub(crate) fn lake(topology: &Arc<Topology>, raw: &EmbeddedLog, times: &mut Times) -> anyhow::Result<Made> {
    let (mut consumer, partitions) = consumer(raw, Role::Lake)?;
    let facts = now(raw.reader().facts(Topic::Raw))?;
    let layout = Rc::new(Layout::new(topology, ""));
    let start = |partition| {
        let source = thalweg::model::Source { incarnation: facts.incarnation, partition };
        Chunk::new(source, NextOffset(0), Rc::clone(&layout))
    };
    let chunks = partitions.into_iter().map(start).collect();
    let mut lake = Lake { topology, layout: Rc::clone(&layout), chunks, made: Made::default() };
    let mut decoder = Decoder::new(topology);
    while let Some(batch) = times.of(Stage::LakeRead, || poll(&mut *consumer))? {
        let batch = times.of(Stage::LakeDecode, || Rc::new(decoder.decode(batch)));
        times.of(Stage::Files, || lake.take(&batch));
    }
    times.of(Stage::Files, || (0..lake.chunks.len()).for_each(|partition| lake.close(partition)));
    let ends = raw_ends(raw, lake.chunks.len())?;
    let sealed: Vec<_> = lake.chunks.iter().map(Chunk::next).collect();
    ensure!(sealed == ends, "the lake ends at {sealed:?}, the log at {ends:?}");
    Ok(lake.made)
}

fn raw_ends(raw: &EmbeddedLog, partitions: usize) -> anyhow::Result<Vec<NextOffset>> {
    let end = |partition| {
        let at = TopicPartition { topic: Topic::Raw, partition: Partition(partition) };
        Ok(now(raw.reader().ends(at, Isolation::ReadCommitted))?.next)
    };
    (0..partitions as u32).map(end).collect()
}

struct Lake<'a> {
    topology: &'a Topology,
    layout: Rc<Layout>,
    /// By partition.
    chunks: Vec<Chunk>,
    made: Made,
}

impl Lake<'_> {
    fn take(&mut self, batch: &Rc<EventBatch>) {
        let partition = batch.source.partition.0 as usize;
        while self.chunks[partition].push(batch) == Taken::Full {
            self.close(partition);
        }
        // The worker's rule: over the budget of all chunks, the largest is closed.
        let bytes = |chunk: &Chunk| chunk.bytes();
        if self.chunks.iter().map(bytes).sum::<usize>() > Settings::default().lake_budget {
            let largest = (0..self.chunks.len()).max_by_key(|&chunk| self.chunks[chunk].bytes());
            largest.into_iter().for_each(|partition| self.close(partition));
        }
    }

    fn close(&mut self, partition: usize) {
        let chunk = &mut self.chunks[partition];
        if chunk.count() == 0 {
            return;
        }
        let next = Chunk::new(chunk.source(), chunk.next(), Rc::clone(&self.layout));
        let chunk = std::mem::replace(chunk, next);
        let plan = Decided::new(chunk.plan(self.made.chunks));
        for file in 0..plan.plan.files.len() {
            self.made.bytes += Parquet.write(self.topology, &chunk, &plan, file).len() as u64;
        }
        self.made.chunks += 1;
        self.made.files += plan.plan.files.len() as u64;
        self.made.rows += chunk.count();
    }
}
