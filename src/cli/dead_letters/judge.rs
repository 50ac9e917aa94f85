//! What would become of a letter's record if it were sent again now, by the topology that was given.

use crate::aggregate::late_windows;
use crate::cli::exit::Exit;
use crate::cli::memory::{Cores, Routed};
use crate::cli::river::block_on;
use crate::cli::{say, topic};
use crate::model::{Column, LogTime, NextOffset, Partition, Topic, TopicPartition};
use crate::port::{Failure, Reaction, Reader};
use crate::topology::{Clock, Topology};
use crate::worker::behind_last_record;
use crate::worker::redrive::Letter;
use jiff::Timestamp;
use serde_json::Value;
use std::collections::BTreeSet;

const READ_BYTES: usize = 1 << 16;

/// What would become of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    /// Counted wherever the topology counts it, or recognised as a repeat.
    Counted,
    /// Set aside in these windows, which are closed: counted in others at most.
    Late(String),
    /// Set aside: it lies further ahead than `lake.accept.future`.
    Future,
    /// A new dead letter: reason and detail.
    Refused(String),
    /// The letter does not hold the whole record.
    NotWhole(String),
}

pub(super) struct Verdict {
    pub(super) fate: Fate,
    /// As far as it can be read.
    pub(super) tenant: Option<String>,
}

pub(super) struct Judge {
    topology: Topology,
    cores: Cores,
    /// Of each target: what decides which windows are closed.
    floors: Vec<Option<i64>>,
    now: LogTime,
}

impl Judge {
    pub(super) fn new(topology: &Topology, reader: &mut dyn Reader) -> Result<Judge, Exit> {
        let now = LogTime(Timestamp::now().as_microsecond());
        let floors = match block_on(floors(topology, reader)) {
            Ok(floors) => floors,
            Err(failure) if failure.reaction != Reaction::Retry && topology.clock == Clock::Wall => {
                say(format_args!(
                    "late is judged by this machine's clock: the metrics cannot be read: {failure}"
                ));
                vec![Some(now.0); topology.partitions as usize]
            }
            Err(failure) => return Err(topic::failed(failure)),
        };
        Ok(Judge { topology: topology.clone(), cores: Cores::routing(topology.clone())?, floors, now })
    }

    pub(super) fn judge(&mut self, letter: &Letter) -> Result<Verdict, Exit> {
        if let Err(why) = letter.original() {
            let tenant = named_tenant(&self.topology, &letter.payload);
            return Ok(Verdict { fate: Fate::NotWhole(why.to_string()), tenant });
        }
        let routed = self.cores.take(Some(self.now), &letter.payload)?;
        if let Some(refused) = routed.batch.refused.first() {
            let fate = match refused.detail.as_str() {
                "" => refused.reason.as_str().to_owned(),
                detail => format!("{}: {detail}", refused.reason.as_str()),
            };
            let tenant = named_tenant(&self.topology, &letter.payload);
            return Ok(Verdict { fate: Fate::Refused(fate), tenant });
        }
        let batch = &routed.batch;
        let tenant = match &batch.columns[self.topology.tenant] {
            Column::Text(spans) => spans[0].is_present().then(|| batch.text(spans[0]).to_owned()),
            _ => None,
        };
        let is_ahead = batch.event_time[0].0 > self.now.0.saturating_add(self.topology.accept_future);
        let late = self.late(&routed);
        let fate = match () {
            () if is_ahead => Fate::Future,
            () if late.is_empty() => Fate::Counted,
            () => Fate::Late(late.into_iter().collect::<Vec<_>>().join("; ")),
        };
        Ok(Verdict { fate, tenant })
    }

    /// Closed windows, by aggregate.
    fn late(&self, routed: &Routed) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        for (target, block) in &routed.blocks {
            let floor = self.floors[target.0 as usize];
            for unit in &block.units {
                let rows = &block.rows[unit.rows.start as usize..unit.rows.end as usize];
                for aggregate in rows.iter().map(|row| block.keys[row.key as usize].aggregate) {
                    let aggregate = &self.topology.aggregates[usize::from(aggregate)];
                    let windows = late_windows(&self.topology, aggregate, unit.event_time.0, floor);
                    if !windows.is_empty() {
                        all.insert(format!("{} {}", aggregate.name, windows.join(", ")));
                    }
                }
            }
        }
        all
    }
}

/// What the record says its tenant is, believed or not.
fn named_tenant(topology: &Topology, payload: &[u8]) -> Option<String> {
    let event: Value = serde_json::from_slice(payload).ok()?;
    let path = &topology.events.fields[topology.tenant].path;
    match path.iter().try_fold(&event, |value, name| value.get(name))? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

/// The last record of every transaction in `metrics` says how far time has come.
async fn floors(topology: &Topology, reader: &mut dyn Reader) -> Result<Vec<Option<i64>>, Failure> {
    let mut floors = Vec::new();
    // Tells at once whether we may look.
    reader.facts(Topic::Metrics).await?;
    for partition in (0..topology.partitions).map(Partition) {
        let at = TopicPartition { topic: Topic::Metrics, partition };
        let behind = behind_last_record(reader, at).await?;
        let floor = match behind.0.checked_sub(1) {
            None => None,
            Some(last) => {
                let batch = reader.read(at, NextOffset(last), READ_BYTES).await?;
                batch.records.first().and_then(|record| floor(batch.value(record)?))
            }
        };
        floors.push(floor);
    }
    Ok(floors)
}

fn floor(position: &[u8]) -> Option<i64> {
    let position: Value = serde_json::from_slice(position).ok()?;
    Some(position["floor"].as_str()?.parse::<Timestamp>().ok()?.as_microsecond())
}
