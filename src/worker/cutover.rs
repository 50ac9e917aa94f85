//! `cutover`: another topology takes over between two raw records.
//!
//! ```text
//! hold the group ─► c = the raw ends ─► the old version, up to c and committed ─► the record to every target ─► commit c
//!                     └── a record of ours is there already: its c, and on from where it broke off ──┘      (new version)
//! ```
//!
//! In: the group, the raw topic, the targets. Out: what is left of the old version's blocks, one record to every target,
//! offset commits under the new version. Promises: each raw record is counted by one of the two, in each target; a run that
//! broke off anywhere is made good by the next one. Never: moves a cut that some target may have taken.

mod decide;
mod lake;

use super::alone::{Alone, Refused};
use super::{Context, Control, Outcome, reroute, route, stand};
use crate::aggregate::Scan;
use crate::model::{
    Cutover, HopOne, Incarnation, NextOffset, Partition, Role, RoutingVersion, Source, Topic, TopicPartition,
};
use crate::port::{Isolation, Reader};
use crate::route::RoutePosition;
use crate::topology::{Change, Topology};
use decide::{Decision, Facts, Step};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;

/// What is to be done, or was.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// What the new topology changes.
    pub changes: Vec<Change>,
    pub incarnation: Incarnation,
    pub cuts: Vec<Cut>,
    /// An earlier run broke off; its cuts are kept.
    pub is_rerun: bool,
    /// By target.
    pub targets: Vec<Told>,
}

/// From here on a raw partition is the new version's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cut {
    pub partition: Partition,
    /// The group's position before.
    pub was: Option<NextOffset>,
    pub at: NextOffset,
}

/// What one target hears.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It has the record.
    Already,
    Now,
    /// It had taken more of the old version before the record came; from there on it takes the new one.
    Later,
}

impl Plan {
    /// Nothing is left to be done.
    pub fn is_done(&self) -> bool {
        self.cuts.is_empty()
    }
}

/// Says what would be done. Writes nothing, and does not disturb the group.
pub async fn plan(
    old: &Arc<Topology>,
    new: &Arc<Topology>,
    reader: &mut dyn Reader,
) -> Result<Plan, Refused> {
    let changes = decide::check_changes(old, new).map_err(Refused::Wrong)?;
    if old.configuration_hash == new.configuration_hash {
        return Ok(Plan::nothing(changes, reader.facts(Topic::Raw).await?.incarnation));
    }
    let facts = facts(old, reader, None).await?;
    let decision = decide::decide(old, new, &facts).map_err(Refused::Wrong)?;
    let cuts = decision.cuts(&facts);
    Ok(Plan::of(changes, &facts, &decision, &cuts))
}

/// Does it, with the group held alone from before the first look until everything stands. `context` is the old topology's.
pub async fn apply(context: &Context, new: &Arc<Topology>) -> Result<Plan, Refused> {
    let old = &context.topology;
    let changes = decide::check_changes(old, new).map_err(Refused::Wrong)?;
    if old.configuration_hash == new.configuration_hash {
        return Ok(Plan::nothing(changes, context.log.reader().facts(Topic::Raw).await?.incarnation));
    }
    let alone = Alone::join(&*context.log, &*context.clock).await?;
    let done = carry_out(context, new, &alone, changes).await;
    alone.leave().await;
    done
}

async fn carry_out(
    context: &Context,
    new: &Arc<Topology>,
    alone: &Alone,
    changes: Vec<Change>,
) -> Result<Plan, Refused> {
    let mut reader = context.log.reader();
    let mut facts = facts(&context.topology, &mut *reader, Some(alone)).await?;
    let mut decision = decide::decide(&context.topology, new, &facts).map_err(Refused::Wrong)?;
    if decision.step == Step::Done {
        return Ok(Plan::of(changes, &facts, &decision, &BTreeMap::new()));
    }
    let cuts = decision.cuts(&facts);
    if decision.step == Step::Finish {
        finish(context, alone, &cuts).await?;
        stand::go_on(&mut facts.targets, &mut *reader, Some(alone)).await?;
        decision = decide::decide(&context.topology, new, &facts).map_err(Refused::Wrong)?;
    }
    lake::check(context, new, facts.raw.incarnation, &cuts).await?;
    let plan = Plan::of(changes, &facts, &decision, &cuts);
    let records = records(context, new, &facts, &cuts);
    check_new(&facts, &records)?;
    reroute::tell(context, alone, records).await?;
    for (&partition, &at) in &cuts {
        if facts.is_at(partition, new) {
            continue;
        }
        let version = RoutingVersion(new.routing_version);
        let position = RoutePosition::behind_cut(facts.raw.incarnation, version, at, new.partitions);
        alone.commit(&*context.clock, partition, &position.to_commit()).await?;
    }
    Ok(plan)
}

/// The old version up to the cuts: by its own loop, so all of it is acknowledged, committed, and stated by links.
async fn finish(
    context: &Context,
    alone: &Alone,
    cuts: &BTreeMap<Partition, NextOffset>,
) -> Result<(), Refused> {
    let control = Arc::new(Control::default());
    control.set_goal(cuts.clone());
    let mut lent = context.clone();
    lent.log = Rc::new(alone.lend(Rc::clone(&context.log), Arc::clone(&control), cuts.clone()));
    lent.control = control;
    // It ends at the cuts, which more has come behind meanwhile: nothing here is the end of the log.
    lent.settings.events_clock = true;
    match route::run(lent).await? {
        Outcome::Idle => alone.check().await,
        Outcome::Drained => match alone.halts().first() {
            Some(halt) => Err(Refused::Wrong(format!(
                "the old version cannot be finished: raw partition {} is halted: {}",
                halt.partition, halt.reason
            ))),
            None => Err(Refused::Joined),
        },
    }
}

/// What every target is told that has not been told: first that a record of ours which came too early is forgiven.
fn records(
    context: &Context,
    new: &Topology,
    facts: &Facts,
    cuts: &BTreeMap<Partition, NextOffset>,
) -> Vec<Vec<HopOne>> {
    let source = |partition| Source { incarnation: facts.raw.incarnation, partition };
    let of = |scan: &Scan| {
        if scan.sources().configuration == new.configuration_hash {
            return Vec::new();
        }
        let forgiving = |(offset, _)| {
            let (&partition, &at) = cuts.first_key_value().expect("a raw topic has partitions");
            let forgives = Some(offset);
            HopOne::Reroute(crate::model::Reroute { source: source(partition), at, forgives })
        };
        let mut records: Vec<HopOne> = scan.halts().rev().map(forgiving).collect();
        // What it took beyond the cut it keeps: the new version's units below are ignored there.
        let cut = |(&partition, &at): (&Partition, &NextOffset)| {
            let taken = scan.sources().hw(source(partition)).map_or(NextOffset(0), |hw| hw.next());
            (source(partition), at.max(taken))
        };
        records.push(HopOne::Cutover(Cutover {
            version: RoutingVersion(new.routing_version),
            configuration: new.configuration_hash,
            cuts: cuts.iter().map(cut).collect(),
            before: context.topology.text.clone(),
        }));
        records
    };
    facts.targets.iter().map(of).collect()
}

/// A record that a target took before is no news to it. Only back and forth without an event in between makes one.
fn check_new(facts: &Facts, records: &[Vec<HopOne>]) -> Result<(), Refused> {
    for (scan, records) in facts.targets.iter().zip(records) {
        let Some(HopOne::Cutover(cutover)) = records.last() else { continue };
        let remembered = Cutover { before: String::new(), ..cutover.clone() };
        if scan.sources().cutovers.contains(&remembered) {
            let text = "nothing was written to the raw topic since this topology was in force before; \
                        a cut-over needs a record in between";
            return Err(Refused::Wrong(text.into()));
        }
    }
    Ok(())
}

async fn facts(
    old: &Arc<Topology>,
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
        ends.push(reader.ends(place, Isolation::ReadCommitted).await?.next);
    }
    let scans = stand::begin(old, reader, alone).await?;
    let mut targets: Vec<Scan> = scans.into_iter().map(Scan::following).collect();
    stand::go_on(&mut targets, reader, alone).await?;
    Ok(Facts { raw, committed, ends, targets })
}

impl Plan {
    fn nothing(changes: Vec<Change>, incarnation: Incarnation) -> Plan {
        Plan { changes, incarnation, cuts: Vec::new(), is_rerun: false, targets: Vec::new() }
    }

    fn of(
        changes: Vec<Change>,
        facts: &Facts,
        decision: &Decision,
        cuts: &BTreeMap<Partition, NextOffset>,
    ) -> Plan {
        let was = |partition: Partition| {
            facts.committed[partition.0 as usize].as_ref().map(|committed| committed.next)
        };
        let is_rerun = matches!(decision.step, Step::Tell(_));
        let cuts = cuts.iter().map(|(&partition, &at)| Cut { partition, was: was(partition), at });
        let targets = decision.told.clone();
        Plan { changes, incarnation: facts.raw.incarnation, cuts: cuts.collect(), is_rerun, targets }
    }
}
