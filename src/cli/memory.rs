//! A few events through the pure cores, without a log: decode → route → aggregate.
//!
//! Stands in for the worker where there is nothing to wait for: one raw partition, every record
//! acknowledged at once, and one commit for each event. Decisions do not depend on where commits are, so
//! the rows are those of a real run.

use super::cases::{Case, Left, Refused};
use super::exit::Exit;
use super::row::{self, Row};
use crate::aggregate::{Limits, Target, Transaction};
use crate::decode::Decoder;
use crate::model::{Block, EventBatch};
use crate::model::{
    EventTime, HopOne, Incarnation, LogTime, NextOffset, Offset, Partition, RecordBatch, RoutingVersion,
    Source, Topic,
};
use crate::route::{Opening, Outgoing, Pace, RoutePosition, Session};
use crate::topology::Topology;
use serde_json::Value;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

const SOURCE: Source = Source { incarnation: Incarnation(0), partition: Partition(0) };
/// When the log takes the first event of a case, unless the case or the event says it: 2026-11-01T00:00:00Z.
const FIRST: LogTime = LogTime(1_793_491_200_000_000);

/// The cores, joined.
pub(super) struct Cores {
    topology: Arc<Topology>,
    decoder: Decoder,
    session: Session,
    targets: Vec<TargetLog>,
    next: NextOffset,
    /// Append time never falls.
    now: LogTime,
    live: BTreeMap<Vec<u8>, Vec<u8>>,
    set_aside: Vec<Vec<u8>>,
}

/// A repartition partition that keeps nothing but its end.
struct TargetLog {
    target: Target,
    next: NextOffset,
}

/// What hop one made of one event.
pub(super) struct Routed {
    pub(super) batch: Rc<EventBatch>,
    pub(super) blocks: Vec<(Partition, Block)>,
}

impl Cores {
    pub(super) fn new(topology: Topology) -> Result<Self, Exit> {
        let topology = Arc::new(topology);
        let targets = (0..topology.partitions).map(|target| TargetLog {
            target: Target::new(Arc::clone(&topology), Partition(target), Limits::default()),
            next: NextOffset(0),
        });
        Cores::over(Arc::clone(&topology), targets.collect())
    }

    /// Decodes and routes, and counts nothing.
    pub(super) fn routing(topology: Topology) -> Result<Self, Exit> {
        Cores::over(Arc::new(topology), Vec::new())
    }

    fn over(topology: Arc<Topology>, targets: Vec<TargetLog>) -> Result<Self, Exit> {
        let version = RoutingVersion(topology.routing_version);
        let pace = Pace { block_bytes: usize::MAX, says_at_end: false };
        let mut cores = Cores {
            decoder: Decoder::new(&topology),
            session: Session::new(Arc::clone(&topology), pace),
            targets,
            next: NextOffset(0),
            now: LogTime(0),
            live: BTreeMap::new(),
            set_aside: Vec::new(),
            topology,
        };
        let position =
            RoutePosition::first(SOURCE.incarnation, version, NextOffset(0), cores.topology.partitions);
        let opening = Opening { partition: SOURCE.partition, position, gap_to: None };
        let links = cores.session.open(vec![opening], 1);
        cores.append(links)?;
        Ok(cores)
    }

    /// One event, from its bytes to its rows. Without a time the log takes it when it happened, and
    /// never before the one that came before it.
    pub(super) fn take(&mut self, at: Option<LogTime>, value: &[u8]) -> Result<Routed, Exit> {
        let at = match at {
            Some(at) => at,
            None => self.event_time(value).map_or(self.now.max(FIRST), |EventTime(time)| LogTime(time)),
        };
        self.now = self.now.max(at);
        let batch = Rc::new(self.decode(self.now, value));
        self.next = batch.next;
        let mut sent = self.session.take(&batch);
        sent.extend(self.session.barrier());
        let blocks = self.append(sent)?;
        self.commit();
        Ok(Routed { batch, blocks })
    }

    /// What the next link and commit bring: tombstones come one commit after the event that made a row die.
    pub(super) fn settle(&mut self) -> Result<(), Exit> {
        let links = self.session.links(&BTreeMap::new(), 1);
        self.append(links)?;
        self.commit();
        Ok(())
    }

    pub(super) fn rows(&self) -> Result<Vec<Row>, Exit> {
        let mut rows = Vec::new();
        for (key, value) in &self.live {
            rows.extend(row::join(key, Some(value))?);
        }
        Ok(rows)
    }

    /// What was not counted, as the set-aside topic says it.
    pub(super) fn set_aside(&self) -> Result<Vec<Row>, Exit> {
        let mut rows = Vec::new();
        for value in &self.set_aside {
            rows.extend(row::join(b"", Some(value))?);
        }
        Ok(rows)
    }

    fn decode(&mut self, at: LogTime, value: &[u8]) -> EventBatch {
        let mut batch = RecordBatch::empty(SOURCE, self.next);
        batch.push(Offset(self.next.0), at, None, Some(value));
        self.decoder.decode(batch)
    }

    /// The event's own time, if it has one.
    fn event_time(&mut self, value: &[u8]) -> Option<EventTime> {
        // The event says nothing about its time if its time moves with the log's.
        let (one, other) = (self.decode(FIRST, value), self.decode(LogTime(FIRST.0 + 1), value));
        let time = one.event_time.first().copied();
        time.filter(|time| other.event_time.first() == Some(time))
    }

    fn append(&mut self, sent: Vec<Outgoing>) -> Result<Vec<(Partition, Block)>, Exit> {
        let mut blocks = Vec::new();
        for Outgoing { sequence, to, record } in sent {
            let value = record.value.unwrap_or_default();
            if to.topic == Topic::Repartition {
                let halted = |halt: &dyn std::fmt::Display| Exit::failed(format_args!("halted: {halt}"));
                if let Some(log) = self.targets.get_mut(to.partition.0 as usize) {
                    log.target.take(Offset(log.next.0), self.now, &value).map_err(|halt| halted(&halt))?;
                    log.next.0 += 1;
                }
                if let HopOne::Block(block) = HopOne::decode(&value).map_err(|damaged| halted(&damaged))? {
                    blocks.push((to.partition, block));
                }
            }
            self.session.acknowledged(sequence, self.now);
        }
        Ok(blocks)
    }

    fn commit(&mut self) {
        for TargetLog { target, next } in &mut self.targets {
            let mut transaction = Transaction::default();
            target.prepare(*next, &mut transaction);
            for record in transaction.metrics.iter() {
                match record.value {
                    Some(value) => self.live.insert(record.key.to_vec(), value.to_vec()),
                    None => self.live.remove(record.key),
                };
            }
            let set_aside =
                transaction.set_aside.iter().filter_map(|record| record.value.map(<[u8]>::to_vec));
            self.set_aside.extend(set_aside);
            target.fold(*next);
        }
    }
}

/// Runs a case. All keys share one target, so that time moves for all of them with every event.
pub(super) fn run(topology: &Topology, case: &Case) -> Result<Left, Exit> {
    let mut cores = Cores::new(Topology { partitions: 1, ..topology.clone() })?;
    let mut refused = Vec::new();
    for (number, event) in (1..).zip(&case.events) {
        let routed = cores.take(event.at, &event.value)?;
        let reasons = routed.batch.refused.iter().map(|refused| refused.reason.as_str().into());
        refused.extend(reasons.map(|reason| Refused { event: number, reason }));
    }
    cores.settle()?;
    let mut rows = cores.rows()?;
    for row in &mut rows {
        row.shift_remove("as_of");
    }
    let set_aside = cores.set_aside()?.into_iter().map(as_case_says).collect();
    Ok(Left { rows, refused, set_aside })
}

/// A set-aside record with the event's number in place of its coordinate.
fn as_case_says(mut record: Row) -> Row {
    let offset = record.get("coordinate").and_then(|coordinate| coordinate["offset"].as_u64());
    let mut row = Row::new();
    row.insert("event".into(), offset.map_or(Value::Null, |offset| (offset + 1).into()));
    for name in ["reason", "late"] {
        row.extend(record.shift_remove(name).map(|member| (name.into(), member)));
    }
    row
}
