//! Which topology counted what: each target changes hands at its own cut-overs, and keeps what was counted before.

use super::facts::Facts;
use super::run::NotVerified;
use crate::lake::{StoredTopology, config_path};
use crate::port::Objects;
use crate::topology::{Aggregate, Function, Topology, WindowKind, check};
use std::collections::BTreeMap;

/// The topology that was asked for, and those before it as the lake keeps them.
pub(super) struct Topologies<'a> {
    current: &'a Topology,
    stored: BTreeMap<u64, Topology>,
}

impl<'a> Topologies<'a> {
    pub(super) async fn load(
        current: &'a Topology,
        objects: &dyn Objects,
        prefix: &str,
    ) -> Result<Topologies<'a>, NotVerified> {
        let mut stored = BTreeMap::new();
        for key in objects.list(&format!("{prefix}_control/v1/config/")).await? {
            let Some(body) = objects.read(&key).await? else { continue };
            // One that this build does not take is missed only if somebody asks for it.
            let Ok(kept) = StoredTopology::decode(&body) else { continue };
            if kept.configuration != current.configuration_hash
                && config_path(prefix, kept.configuration) == key
                && let Ok(checked) = check(&kept.text)
                && checked.configuration_hash == kept.configuration
            {
                stored.insert(kept.configuration, checked);
            }
        }
        Ok(Topologies { current, stored })
    }

    pub(super) fn current(&self) -> &'a Topology {
        self.current
    }

    pub(super) fn get(&self, configuration: u64) -> Result<&Topology, NotVerified> {
        if configuration == self.current.configuration_hash {
            return Ok(self.current);
        }
        self.stored.get(&configuration).ok_or_else(|| {
            let what =
                format!("the topology of configuration {configuration:016x}, which the lake keeps none of");
            NotVerified::Unreadable(what)
        })
    }

    /// All that are known, the current one first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Topology> {
        std::iter::once(self.current).chain(self.stored.values())
    }

    /// The topologies of one target, in their order; the last is the current one.
    pub(super) fn chain(&self, facts: &Facts) -> Result<Vec<&Topology>, NotVerified> {
        let before = facts.eras.iter().map(|era| self.get(era.configuration));
        before.chain([Ok(self.current)]).collect()
    }
}

/// How what one topology counted lies in the rows of the last one.
#[derive(Debug, Clone)]
pub(super) struct Shape {
    /// For each value of the last topology its place in the one that counted; `None` if it was not there all the time.
    pub values: Vec<Option<usize>>,
    /// For each carried column of the last one its column in the one that counted.
    pub carry: Vec<Option<usize>>,
    /// By window of the last one: was it there all the time?
    pub windows: Vec<bool>,
}

impl Shape {
    /// `chain` begins with the topology that counted.
    pub(super) fn of(chain: &[&Topology], aggregate: &str) -> Option<Shape> {
        let of = |topology: &'_ &Topology| topology.aggregates.iter().position(|it| it.name == aggregate);
        let (first, last) = (chain.first()?, chain.last()?);
        let (counted, shown) = (&first.aggregates[of(first)?], &last.aggregates[of(last)?]);
        let always = |has: &dyn Fn(&Aggregate) -> bool| {
            chain.iter().all(|topology| of(topology).is_some_and(|at| has(&topology.aggregates[at])))
        };
        let value = |name: &String| {
            let is_whole = always(&|it| it.values.iter().any(|value| value.name == *name));
            counted.values.iter().position(|value| value.name == *name).filter(|_| is_whole)
        };
        let carried = |column: &usize| {
            let name = &shown.columns[*column].name;
            let is_it = |it: &Aggregate, column: &usize| it.columns[*column].name == *name;
            let is_whole = always(&|it| it.carry.iter().any(|column| is_it(it, column)));
            counted.carry.iter().copied().find(|column| is_it(counted, column)).filter(|_| is_whole)
        };
        let window = |kind: WindowKind| always(&|it| it.windows.iter().any(|window| window.kind == kind));
        Some(Shape {
            values: shown.values.iter().map(|it| value(&it.name)).collect(),
            carry: shown.carry.iter().map(carried).collect(),
            windows: shown.windows.iter().map(|it| window(it.kind)).collect(),
        })
    }
}

/// Since when a value of a window counts, after the first `eras` cut-overs of a target. What is made of others counts
/// since the youngest of them does.
pub(super) fn since(
    facts: &Facts,
    eras: usize,
    aggregate: &Aggregate,
    kind: WindowKind,
    value: usize,
) -> Option<i64> {
    match aggregate.values[value].function {
        Function::Ratio { over: left, under: right, .. } | Function::Difference(left, right) => {
            let of = |value| since(facts, eras, aggregate, kind, value);
            of(left).max(of(right))
        }
        _ => {
            let wanted = (&aggregate.name, kind.name(), &aggregate.values[value].name);
            let all = facts.eras[..eras].iter().flat_map(|era| &era.since);
            let own = all.filter(|(aggregate, window, value, _)| {
                aggregate == wanted.0 && *window == wanted.1 && value == wanted.2
            });
            own.map(|(_, _, _, at)| *at).max()
        }
    }
}
