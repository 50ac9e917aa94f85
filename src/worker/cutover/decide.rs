//! From what was read to what is left to do. Pure.

use super::Told;
use crate::aggregate::{Halt, Scan};
use crate::model::{CommittedOffset, Cutover, NextOffset, Partition, RoutingVersion, Source};
use crate::port::TopicFacts;
use crate::route::RoutePosition;
use crate::topology::{Change, Demand, Topology, compare};
use std::collections::BTreeMap;

pub(super) struct Facts {
    pub(super) raw: TopicFacts,
    /// By raw partition.
    pub(super) committed: Vec<Option<CommittedOffset>>,
    pub(super) ends: Vec<NextOffset>,
    /// By target.
    pub(super) targets: Vec<Scan>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    /// Every target has the record, and every position is the new version's.
    Done,
    /// No target has heard of it.
    Finish,
    /// A record is out: with these cuts, whatever has happened since.
    Tell(BTreeMap<Partition, NextOffset>),
}

pub(super) struct Decision {
    pub(super) step: Step,
    pub(super) told: Vec<Told>,
}

impl Decision {
    pub(super) fn cuts(&self, facts: &Facts) -> BTreeMap<Partition, NextOffset> {
        match &self.step {
            Step::Done => BTreeMap::new(),
            Step::Finish => (0u32..).map(Partition).zip(facts.ends.iter().copied()).collect(),
            Step::Tell(cuts) => cuts.clone(),
        }
    }
}

impl Facts {
    /// Whether the partition stands under this topology's version already.
    pub(super) fn is_at(&self, partition: Partition, topology: &Topology) -> bool {
        let committed = self.committed[partition.0 as usize].as_ref();
        let position =
            committed.and_then(|committed| RoutePosition::parse(committed, topology.partitions).ok());
        position.is_some_and(|position| position.version.0 == topology.routing_version)
    }
}

/// Refuses what no cut-over can bring.
pub(super) fn check_changes(old: &Topology, new: &Topology) -> Result<Vec<Change>, String> {
    let changes = compare(old, new);
    if let Some(change) = changes.iter().find(|change| change.demand == Demand::NewName) {
        return Err(format!("{change}, so no cut-over can bring it"));
    }
    if let Some(change) = changes.iter().find(|change| is_missing(&change.what)) {
        return Err(format!("a cut-over cannot bring this yet, use another deployment: {}", change.what));
    }
    Ok(changes)
}

/// Rows and topics of things that go would have to be taken away, and topics of histories be made.
fn is_missing(what: &str) -> bool {
    let is_gone = what.ends_with(" is gone");
    (what.starts_with("aggregates.") && is_gone && !what.contains(".values."))
        || (what.starts_with("histories.") && (is_gone || what.ends_with(" is new")))
}

/// `Err`: what a person has to do instead.
pub(super) fn decide(old: &Topology, new: &Topology, facts: &Facts) -> Result<Decision, String> {
    let mut told = Vec::new();
    let mut known: Vec<&Cutover> = Vec::new();
    for (target, scan) in facts.targets.iter().enumerate() {
        told.push(one(target, scan, old, new)?);
        let halted = scan.halts().map(|(offset, _)| offset);
        let halted = halted.filter_map(|at| scan.cutovers().iter().find(|(offset, _)| *offset == at));
        known.extend(halted.map(|(_, cutover)| cutover));
        if *told.last().expect("just pushed") == Told::Already {
            known.extend(scan.sources().cutovers.last());
        }
    }
    check_positions(old, new, facts)?;
    let partitions = || (0..facts.raw.partitions).map(Partition);
    let step = if known.is_empty() {
        Step::Finish
    } else if told.iter().all(|told| *told == Told::Already) && partitions().all(|one| facts.is_at(one, new))
    {
        Step::Done
    } else {
        let incarnation = facts.raw.incarnation;
        let cut = |partition: Partition| {
            let cuts = known.iter().flat_map(|cutover| &cutover.cuts);
            let of = cuts.filter(|(source, _)| *source == Source { incarnation, partition });
            of.map(|&(_, cut)| cut).min().map(|cut| (partition, cut))
        };
        Step::Tell(partitions().filter_map(cut).collect())
    };
    Ok(Decision { step, told })
}

fn one(target: usize, scan: &Scan, old: &Topology, new: &Topology) -> Result<Told, String> {
    let in_force = scan.sources().configuration;
    let mut is_late = false;
    for (offset, halt) in scan.halts() {
        let cutover = scan.cutovers().iter().find(|(at, _)| *at == offset).map(|(_, cutover)| cutover);
        let is_ours = cutover.is_some_and(|cutover| cutover.configuration == new.configuration_hash);
        match halt {
            Halt::CutTooLow { .. } if is_ours && in_force == old.configuration_hash => is_late = true,
            _ => {
                return Err(format!(
                    "target {target} is halted at offset {offset}: {halt}; \
                     end that under the old topology before the new one takes over"
                ));
            }
        }
    }
    if in_force == new.configuration_hash {
        return Ok(Told::Already);
    }
    if in_force != old.configuration_hash {
        return Err(format!(
            "target {target} counts under configuration {in_force:016x}, and OLD has {:016x}: give the topology in force",
            old.configuration_hash
        ));
    }
    Ok(if is_late { Told::Later } else { Told::Now })
}

fn check_positions(old: &Topology, new: &Topology, facts: &Facts) -> Result<(), String> {
    let versions = [old, new].map(|topology| RoutingVersion(topology.routing_version));
    for (partition, committed) in (0u32..).zip(&facts.committed) {
        // The old version's loop starts it, or says why it cannot.
        let Some(committed) = committed else { continue };
        let position = RoutePosition::parse(committed, old.partitions).map_err(|foreign| {
            format!("the position of raw partition {partition} is not ours: {foreign}; run `thalweg reroute` first")
        })?;
        if position.incarnation != facts.raw.incarnation {
            return Err(format!(
                "raw partition {partition} stands in incarnation {}, and the topic is {}; \
                 run `thalweg reroute --new-incarnation` first",
                position.incarnation, facts.raw.incarnation
            ));
        }
        if !versions.contains(&position.version) {
            return Err(format!(
                "raw partition {partition} stands under routing version {}, which is neither topology's",
                position.version
            ));
        }
    }
    Ok(())
}
