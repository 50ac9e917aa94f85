//! `reroute`: restarts raw partitions whose way to the targets is broken, and ends the halts that this caused.
//!
//! ```text
//! hold the group ─► read positions ─► read every target to its end ─► decide ─► commit X ─► tell every target
//! ```
//!
//! In: the group, the raw topic, the targets. Out: offset commits at X, and records that forgive what halts. Promises: all
//! of a source below X stands in every target; what is sent again from X is taken where it is missing and ignored
//! elsewhere. A run that broke off anywhere is made good by the next one. Never: guesses a position, or forgives a halt
//! whose source it did not restart.

mod decide;

use super::alone::{Alone, Refused};
use super::{Context, stand};
use crate::model::{
    CommittedOffset, HopOne, Incarnation, NextOffset, Offset, OutRecord, Partition, Reroute, Role, Topic,
    TopicPartition,
};
use crate::port::{Isolation, Producer, Reader, Ticket};
use crate::topology::Topology;
use decide::Facts;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

/// How long the log may take to acknowledge what every target is told.
const DELIVERY_PATIENCE: Duration = Duration::from_secs(60);

/// What a person asked for.
#[derive(Debug, Clone, Default)]
pub struct Asked {
    /// These, whether they need it or not; empty: all that need it.
    pub partitions: BTreeSet<Partition>,
    /// Takes a recreated raw topic, and retires the sources of the one before.
    pub new_incarnation: bool,
}

/// What is to be done, or was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    pub incarnation: Incarnation,
    /// What was counted of these stays; nothing more of them is taken.
    pub retires: Vec<Incarnation>,
    pub restarts: Vec<Restart>,
    pub forgives: Vec<Forgiven>,
    /// For each target, in the order of sending.
    records: Vec<Vec<Reroute>>,
}

/// One raw partition that is routed again from `at` on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Restart {
    pub partition: Partition,
    pub why: Why,
    /// Its position before.
    pub was: Option<NextOffset>,
    pub at: NextOffset,
    commit: CommittedOffset,
}

/// Why a raw partition cannot go on from its position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Why {
    /// The repartition log lost records that were acknowledged.
    Lost {
        targets: Vec<Partition>,
    },
    /// The group's position was moved by something else.
    Foreign(String),
    /// It was routed before, and the group has no position.
    Missing,
    /// The position is beyond the end of the raw log.
    Beyond,
    /// The raw topic was recreated.
    NewIncarnation,
    Asked,
}

/// A record that a target skips.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forgiven {
    pub target: Partition,
    pub offset: Offset,
    pub halt: String,
}

impl Plan {
    /// Everything is as it should be.
    pub fn is_empty(&self) -> bool {
        self.records.iter().all(Vec::is_empty)
    }
}

/// Says what would be done. Writes nothing, and does not disturb the group.
pub async fn plan(topology: &Arc<Topology>, reader: &mut dyn Reader, asked: &Asked) -> Result<Plan, Refused> {
    let facts = facts(topology, reader, None).await?;
    decide::decide(topology, &facts, asked).map_err(Refused::Wrong)
}

/// Does it, with the group held alone from before the first look until everything stands.
pub async fn apply(context: &Context, asked: &Asked) -> Result<Plan, Refused> {
    let alone = Alone::join(&*context.log, &*context.clock).await?;
    let done = carry_out(context, &alone, asked).await;
    alone.leave().await;
    done
}

async fn carry_out(context: &Context, alone: &Alone, asked: &Asked) -> Result<Plan, Refused> {
    let mut reader = context.log.reader();
    let facts = facts(&context.topology, &mut *reader, Some(alone)).await?;
    let plan = decide::decide(&context.topology, &facts, asked).map_err(Refused::Wrong)?;
    // First the position: a target that goes on before it stands would halt at the next link again.
    for restart in &plan.restarts {
        alone.commit(&*context.clock, restart.partition, &restart.commit).await?;
    }
    let records = plan.records.iter().map(|of| of.iter().cloned().map(HopOne::Reroute).collect()).collect();
    tell(context, alone, records).await?;
    Ok(plan)
}

/// Positions first: all that they state stood in the log when its ends are asked for.
async fn facts(
    topology: &Arc<Topology>,
    reader: &mut dyn Reader,
    alone: Option<&Alone>,
) -> Result<Facts, Refused> {
    let raw = reader.facts(Topic::Raw).await?;
    let (mut committed, mut ends) = (Vec::new(), Vec::new());
    for partition in (0..raw.partitions).map(Partition) {
        committed.push(match alone {
            Some(alone) => alone.committed(partition).await?,
            None => reader.committed(Role::Route, partition).await?,
        });
        let place = TopicPartition { topic: Topic::Raw, partition };
        ends.push(reader.ends(place, Isolation::ReadUncommitted).await?);
    }
    let targets = stand::targets(topology, reader, alone).await?;
    Ok(Facts { raw, committed, ends, targets })
}

/// Sends to every target what is meant for it, in order, and waits until all of it is acknowledged.
pub(super) async fn tell(context: &Context, alone: &Alone, records: Vec<Vec<HopOne>>) -> Result<(), Refused> {
    let mut producer = context.log.producer();
    let rounds = records.iter().map(Vec::len).max().unwrap_or(0);
    // One for each target at a time: a broker that does not know the producer takes any first record, and one that was
    // refused would seem delivered as soon as another one follows it.
    for round in 0..rounds {
        let mut open = BTreeSet::new();
        for (target, of) in (0u32..).zip(&records) {
            let Some(record) = of.get(round) else { continue };
            let to = TopicPartition { topic: Topic::Repartition, partition: Partition(target) };
            let record = OutRecord { value: Some(record.encode()), ..OutRecord::default() };
            open.insert(producer.send(to, record));
        }
        wait(context, alone, &mut *producer, open).await?;
    }
    Ok(())
}

async fn wait(
    context: &Context,
    alone: &Alone,
    producer: &mut dyn Producer,
    mut open: BTreeSet<Ticket>,
) -> Result<(), Refused> {
    let began = context.clock.now().0;
    while !open.is_empty() {
        alone.check().await?;
        for delivery in producer.deliveries(context.settings.poll_wait).await? {
            delivery.outcome?;
            open.remove(&delivery.ticket);
        }
        let passed = context.clock.now().0.saturating_sub(began);
        if passed > DELIVERY_PATIENCE.as_micros() as i64 {
            return Err(Refused::Wrong("the repartition topic does not take records; run this again".into()));
        }
    }
    Ok(())
}
