//! From what was read to what has to be done. Pure.

use super::{Asked, Forgiven, Plan, Restart, Why};
use crate::aggregate::{Halt, Scan};
use crate::model::{
    CommittedOffset, Incarnation, NextOffset, Offset, Partition, Reroute, RoutingVersion, Source,
};
use crate::port::{Ends, TopicFacts};
use crate::route::{ForeignPosition, RoutePosition};
use crate::topology::Topology;
use crate::worker::stand::is_of_a_cutover;
use std::collections::BTreeMap;

pub(super) struct Facts {
    pub(super) raw: TopicFacts,
    /// By raw partition.
    pub(super) committed: Vec<Option<CommittedOffset>>,
    pub(super) ends: Vec<Ends>,
    /// By target.
    pub(super) targets: Vec<Scan>,
}

/// `Err`: what a person has to do instead.
pub(super) fn decide(topology: &Topology, facts: &Facts, asked: &Asked) -> Result<Plan, String> {
    if let Some(none) = asked.partitions.iter().find(|partition| partition.0 >= facts.raw.partitions) {
        return Err(format!("there is no raw partition {none}: the topic has {}", facts.raw.partitions));
    }
    check_targets(topology, facts)?;
    let deciding = Deciding { topology, facts, asked, retires: facts.retired() };
    if !deciding.retires.is_empty() && !asked.new_incarnation {
        return Err(format!(
            "`{}` was recreated: it is incarnation {}, and {} was routed; --new-incarnation takes it, and retires the old",
            topology.events.topic, facts.raw.incarnation, deciding.retires[0]
        ));
    }
    let mut restarts = Vec::new();
    for partition in (0..facts.raw.partitions).map(Partition) {
        if let Some((why, was)) = deciding.needs(partition)? {
            restarts.push(deciding.restart(partition, why, was)?);
        }
    }
    Ok(deciding.plan(restarts))
}

/// What counts must be of this topology, or a restart would send what nobody takes.
fn check_targets(topology: &Topology, facts: &Facts) -> Result<(), String> {
    for (target, scan) in facts.targets.iter().enumerate() {
        if let Some((offset, halt)) = scan.halts().find(|(_, halt)| is_of_a_cutover(halt)) {
            return Err(format!("target {target} is halted at offset {offset} by a cut-over: {halt}"));
        }
        let sources = scan.sources();
        if sources.configuration != topology.configuration_hash {
            return Err(format!(
                "target {target} counts under configuration {:016x}, and this topology has {:016x}: give the one in force",
                sources.configuration, topology.configuration_hash
            ));
        }
    }
    Ok(())
}

impl Facts {
    fn source(&self, partition: Partition) -> Source {
        Source { incarnation: self.raw.incarnation, partition }
    }

    /// Incarnations that are counted somewhere as the current one, and are not the raw topic's.
    fn retired(&self) -> Vec<Incarnation> {
        let counted = self.targets.iter().filter_map(|scan| scan.sources().incarnations.last().copied());
        let mut retired: Vec<Incarnation> =
            counted.filter(|&incarnation| incarnation != self.raw.incarnation).collect();
        retired.sort_unstable();
        retired.dedup();
        retired
    }

    /// Where the source was first read, as far as any target knows.
    fn from(&self, source: Source) -> Option<NextOffset> {
        let known = |scan: &Scan| {
            let of = [scan.committed(), scan.sources()].map(|of| of.states.get(&source));
            of.into_iter().flatten().map(|state| state.from).min()
        };
        self.targets.iter().filter_map(known).min()
    }
}

struct Deciding<'a> {
    topology: &'a Topology,
    facts: &'a Facts,
    asked: &'a Asked,
    retires: Vec<Incarnation>,
}

impl Deciding<'_> {
    fn needs(&self, partition: Partition) -> Result<Option<(Why, Option<NextOffset>)>, String> {
        let (facts, asked) = (self.facts, self.asked);
        let index = partition.0 as usize;
        let committed = facts.committed[index].as_ref();
        let was = committed.map(|committed| committed.next);
        // All of a new topic: whoever is told of one partition of it must be told of every one.
        if !self.retires.is_empty() {
            return Ok(Some((Why::NewIncarnation, None)));
        }
        if !asked.partitions.is_empty() && !asked.partitions.contains(&partition) {
            return Ok(None);
        }
        let is_known = facts.from(facts.source(partition)).is_some();
        let why = match committed.map(|committed| RoutePosition::parse(committed, self.topology.partitions)) {
            // Its first start is route's own to make.
            None if !is_known => None,
            None => Some(Why::Missing),
            Some(Err(foreign @ ForeignPosition::Targets { .. })) => {
                return Err(format!(
                    "raw partition {partition}: {foreign}; the number of targets is fixed for a deployment's life"
                ));
            }
            Some(Err(foreign)) if !is_known => {
                return Err(format!(
                    "the position of raw partition {partition} is not ours ({foreign}), and nothing of it was ever routed: \
                     delete the group's offset, and start `route` with --start"
                ));
            }
            Some(Err(foreign)) => Some(Why::Foreign(foreign.to_string())),
            Some(Ok(position)) => self.trouble(partition, &position)?,
        };
        let is_asked = asked.partitions.contains(&partition) && is_known;
        Ok(why.or(is_asked.then_some(Why::Asked)).map(|why| (why, was)))
    }

    fn trouble(&self, partition: Partition, position: &RoutePosition) -> Result<Option<Why>, String> {
        let facts = self.facts;
        if position.incarnation != facts.raw.incarnation {
            // A commit of the topic before: brokers forget them with the topic, others may not.
            if self.asked.new_incarnation {
                return Ok(Some(Why::NewIncarnation));
            }
            return Err(format!(
                "raw partition {partition} stands in incarnation {}, and the topic is {}; --new-incarnation takes it",
                position.incarnation, facts.raw.incarnation
            ));
        }
        if position.version != RoutingVersion(self.topology.routing_version) {
            return Err(format!(
                "raw partition {partition} stands at {} under routing version {}, and this topology's is {:016x}",
                position.at, position.version, self.topology.routing_version
            ));
        }
        let targets = self.lost(partition, position);
        if !targets.is_empty() {
            return Ok(Some(Why::Lost { targets }));
        }
        Ok((position.at > facts.ends[partition.0 as usize].next).then_some(Why::Beyond))
    }

    /// Targets that lack something which the position states, or that halted because of it.
    fn lost(&self, partition: Partition, position: &RoutePosition) -> Vec<Partition> {
        let source = self.facts.source(partition);
        let is_lost = |(target, scan): &(u32, &Scan)| {
            let names = |halt: &Halt| matches!(halt, Halt::Lost { partition: of, .. } if *of == partition);
            position.last[*target as usize] > scan.sources().hw(source)
                || scan.halts().any(|(_, halt)| names(halt))
        };
        (0u32..).zip(&self.facts.targets).filter(is_lost).map(|(target, _)| Partition(target)).collect()
    }

    /// X: all of the source below it stands in every target.
    fn restart(&self, partition: Partition, why: Why, was: Option<NextOffset>) -> Result<Restart, String> {
        let source = self.facts.source(partition);
        let from = self.facts.from(source).unwrap_or_default();
        let taken = |scan: &Scan| scan.committed().hw(source).map_or(from, Offset::next);
        let at = self.facts.targets.iter().map(taken).min().unwrap_or(from);
        let end = self.facts.ends[partition.0 as usize].next;
        if at > end {
            return Err(format!(
                "raw partition {partition} ends at {end}, and all below {at} was counted: the raw log was truncated, \
                 and what it holds now is not what was counted"
            ));
        }
        // Below `from` nothing was ever sent, so there is nothing for a target to have.
        let last = if at > from { at.last() } else { None };
        let position = RoutePosition {
            incarnation: source.incarnation,
            version: RoutingVersion(self.topology.routing_version),
            at,
            last: vec![last; self.topology.partitions as usize],
        };
        Ok(Restart { partition, why, was, at, commit: position.to_commit() })
    }

    fn plan(self, restarts: Vec<Restart>) -> Plan {
        let starts: BTreeMap<Partition, NextOffset> =
            restarts.iter().map(|restart| (restart.partition, restart.at)).collect();
        let mut forgives = Vec::new();
        let mut records = Vec::new();
        for (target, scan) in (0u32..).zip(&self.facts.targets) {
            let mut of = Vec::new();
            // The last halt first: whoever reads on from the first one has then seen all.
            for (offset, halt) in scan.halts().rev() {
                let Some((partition, at)) = self.spokesman(halt, &starts) else { continue };
                of.push(Reroute { source: self.facts.source(partition), at, forgives: Some(offset) });
                forgives.push(Forgiven { target: Partition(target), offset, halt: halt.to_string() });
            }
            for (&partition, &at) in &starts {
                let source = self.facts.source(partition);
                if !of.iter().any(|reroute| reroute.source == source) {
                    of.push(Reroute { source, at, forgives: None });
                }
            }
            records.push(of);
        }
        forgives.sort_by_key(|forgiven| (forgiven.target, forgiven.offset));
        Plan { incarnation: self.facts.raw.incarnation, retires: self.retires, restarts, forgives, records }
    }

    /// The source in whose name a halt is forgiven: the one that it names, else any.
    fn spokesman(
        &self,
        halt: &Halt,
        starts: &BTreeMap<Partition, NextOffset>,
    ) -> Option<(Partition, NextOffset)> {
        let restarted = |partition: &Partition| starts.get(partition).map(|&at| (*partition, at));
        match halt {
            Halt::Lost { partition, .. } => restarted(partition),
            Halt::CutTooLow { .. } | Halt::OtherConfiguration { .. } | Halt::UnknownTopology { .. } => None,
            Halt::Recreated { .. } | Halt::BeginsLate { .. } | Halt::Damaged(_) => {
                let any = starts.first_key_value().map(|(&partition, &at)| (partition, at));
                any.or_else(|| {
                    let known = |partition: &Partition| self.facts.from(self.facts.source(*partition));
                    (0..self.facts.raw.partitions)
                        .map(Partition)
                        .find_map(|partition| known(&partition).map(|from| (partition, from)))
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{HopOne, Link, Links};
    use crate::topology::check;
    use std::sync::Arc;

    const BEFORE: Incarnation = Incarnation(1);
    const NOW: Incarnation = Incarnation(2);

    fn topology() -> Arc<Topology> {
        let text = include_str!("../../../topologies/tenant-insights/topology.yaml");
        Arc::new(Topology { partitions: 2, ..check(text).unwrap() })
    }

    fn link(topology: &Topology, incarnation: Incarnation, below: u64, last: Option<u64>) -> HopOne {
        HopOne::Links(Links {
            links: vec![Link {
                source: Source { incarnation, partition: Partition(0) },
                version: RoutingVersion(topology.routing_version),
                below: NextOffset(below),
                last: last.map(Offset),
                raw_partitions: 1,
                at_end: None,
            }],
        })
    }

    /// One raw partition of incarnation `NOW` with 100 records, and two targets that have read these records.
    fn facts(topology: &Arc<Topology>, targets: [&[HopOne]; 2], position: Option<RoutePosition>) -> Facts {
        let scan = |records: &[HopOne]| {
            let mut scan = Scan::new(Arc::clone(topology), None).unwrap();
            (0..).zip(records).for_each(|(offset, record)| scan.take(Offset(offset), &record.encode()));
            scan
        };
        Facts {
            raw: TopicFacts { incarnation: NOW, partitions: 1 },
            committed: vec![position.map(|position| position.to_commit())],
            ends: vec![Ends { first: NextOffset(0), next: NextOffset(100) }],
            targets: targets.map(scan).into(),
        }
    }

    fn at(topology: &Topology, at: u64, last: [Option<u64>; 2]) -> Option<RoutePosition> {
        let version = RoutingVersion(topology.routing_version);
        let first = RoutePosition::first(NOW, version, NextOffset(at), 2);
        Some(RoutePosition { last: last.map(|last| last.map(Offset)).into(), ..first })
    }

    fn reroutes(plan: &Plan) -> Vec<Vec<(u64, Option<u64>)>> {
        let of = |of: &Vec<Reroute>| of.iter().map(|it| (it.at.0, it.forgives.map(|at| at.0))).collect();
        plan.records.iter().map(of).collect()
    }

    #[test]
    fn what_is_as_it_should_be_is_left_alone() {
        let topology = topology();
        let told = [link(&topology, NOW, 0, None), link(&topology, NOW, 40, None)];
        let facts = facts(&topology, [&told, &told], at(&topology, 40, [None, Some(39)]));

        let plan = decide(&topology, &facts, &Asked::default()).unwrap();

        assert!(plan.is_empty() && plan.restarts.is_empty(), "{plan:?}");
    }

    #[test]
    fn what_the_position_states_and_a_target_lacks_is_sent_again_from_what_all_have() {
        let topology = topology();
        let told = [link(&topology, NOW, 10, None), link(&topology, NOW, 40, None)];
        let lost = [link(&topology, NOW, 10, None), link(&topology, NOW, 40, Some(30))];
        let facts = facts(&topology, [&told, &lost], at(&topology, 40, [None, Some(30)]));

        let plan = decide(&topology, &facts, &Asked::default()).unwrap();

        // Nothing was committed by either target, so it goes on where the source began.
        assert_eq!(plan.restarts[0].why, Why::Lost { targets: vec![Partition(1)] });
        assert_eq!(plan.restarts[0].at, NextOffset(10));
        let commit = RoutePosition::parse(&plan.restarts[0].commit, 2).unwrap();
        assert_eq!(commit.last, [None, None], "nothing was ever sent below");
        assert_eq!(reroutes(&plan), [vec![(10, None)], vec![(10, Some(1))]]);
    }

    #[test]
    fn a_forgiven_record_needs_no_second_word_and_the_last_halt_is_forgiven_first() {
        let topology = topology();
        let bad = link(&topology, NOW, 40, Some(30));
        let forgiven = HopOne::Reroute(Reroute {
            source: Source { incarnation: NOW, partition: Partition(0) },
            at: NextOffset(10),
            forgives: Some(Offset(1)),
        });
        let told = [link(&topology, NOW, 10, None), link(&topology, NOW, 40, None)];
        let lost = [told[0].clone(), bad.clone(), bad.clone(), bad, forgiven];
        let facts = facts(&topology, [&told, &lost], at(&topology, 40, [None, Some(30)]));

        let plan = decide(&topology, &facts, &Asked::default()).unwrap();

        assert_eq!(reroutes(&plan)[1], [(10, Some(3)), (10, Some(2))]);
    }

    #[test]
    fn a_recreated_topic_is_taken_only_when_asked_and_from_its_beginning() {
        let topology = topology();
        let told = [link(&topology, BEFORE, 0, None), link(&topology, BEFORE, 70, None)];
        // Somebody's session of the new topic got as far as one target.
        let early = [told[0].clone(), link(&topology, NOW, 0, None)];
        let facts = facts(&topology, [&told, &early], None);

        let refused = decide(&topology, &facts, &Asked::default()).unwrap_err();
        let asked = Asked { new_incarnation: true, ..Asked::default() };
        let plan = decide(&topology, &facts, &asked).unwrap();

        assert!(refused.contains("--new-incarnation takes it"), "{refused}");
        assert_eq!(plan.retires, [BEFORE]);
        assert_eq!((plan.restarts[0].at, &plan.restarts[0].why), (NextOffset(0), &Why::NewIncarnation));
        assert_eq!(reroutes(&plan), [vec![(0, None)], vec![(0, Some(1))]]);
    }

    #[test]
    fn a_truncated_raw_log_is_no_place_to_start_from() {
        let topology = topology();
        let told = [link(&topology, NOW, 0, None), link(&topology, NOW, 170, None)];
        let mut facts = facts(&topology, [&told, &told], at(&topology, 170, [None, None]));
        let plan = decide(&topology, &facts, &Asked::default()).unwrap();
        assert_eq!(
            plan.restarts[0].why,
            Why::Beyond,
            "nothing was committed, so all of it can be sent again"
        );

        facts.targets = facts.targets.into_iter().map(committed).collect();
        let refused = decide(&topology, &facts, &Asked::default()).unwrap_err();

        assert!(refused.contains("ends at 100, and all below 170 was counted"), "{refused}");
    }

    /// As if the target had committed all that it has taken.
    fn committed(scan: Scan) -> Scan {
        let record = crate::aggregate::CommitRecord {
            commit: 1,
            next: scan.next().0,
            repartition: None,
            records: 1,
            sources: scan.sources().into(),
            dedup: None,
        };
        Scan::new(topology(), Some(&record)).unwrap()
    }
}
