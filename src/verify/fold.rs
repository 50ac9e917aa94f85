//! The independent fold: every event of the lake into the rows that each target should have.

use super::contribution::{contributions, holds};
use super::event::Event;
use super::expected::{Expected, Place};
use super::facts::{Aside, Facts};
use super::force::{Shape, Topologies};
use super::histories::{Record, compare_histories, history_json};
use super::look::{Deliveries, Wanted};
use super::others::Others;
use super::report::{Kind, Report};
use super::rows::Judge;
use super::run::NotVerified;
use super::scope::{Scope, tenant_of};
use super::value::instant;
use super::window::{in_rolling, window};
use crate::model::Source;
use crate::topology::{EventId, Topology, WindowKind};
use serde_json::Value as Json;
use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::rc::Rc;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// Aggregate and prefix of a key.
type Key = (usize, String);
/// Window and start; a rolling row's start is 0.
type At = (usize, i64);
type Rows = HashMap<Key, BTreeMap<At, Expected>>;

/// A 128-bit hash of an event id, in halves: millions of them are held, and so each takes 24 bytes instead of 32.
pub(super) type Id = [u64; 2];

pub(super) struct Fold<'a> {
    topology: &'a Topology,
    targets: Vec<Option<Facts>>,
    /// Per target its topologies, in their order.
    chains: Vec<Vec<&'a Topology>>,
    /// All that stand in any chain.
    topologies: Vec<&'a Topology>,
    /// Per target, cut-overs before the record, aggregate.
    shapes: HashMap<(usize, usize, usize), Rc<Shape>>,
    /// Per target.
    rows: Vec<Rows>,
    /// Windows that were not there yet when something came that would lie in them.
    missed: HashSet<(usize, Key, At)>,
    histories: Vec<HashMap<(usize, String), Record>>,
    /// Per target and id: units, and how many of them counted.
    ids: Vec<HashMap<Id, (u32, u32)>>,
    /// Record times of the units of each target: repeats are only proved within the horizon.
    spans: Vec<(i64, i64)>,
    scope: Scope,
    /// What differs, and whose events are to be named.
    wanted: Vec<Wanted>,
}

impl<'a> Fold<'a> {
    pub(super) fn new(
        topologies: &'a Topologies<'a>,
        mut targets: Vec<Option<Facts>>,
        scope: Scope,
    ) -> Result<Self, NotVerified> {
        for facts in targets.iter_mut().flatten() {
            facts.rows.retain(|key, _| scope.takes_key(key));
            facts.histories.retain(|(_, key), _| scope.takes_key(key));
        }
        let count = targets.len();
        let topology = topologies.current();
        let chain =
            |facts: &Option<Facts>| facts.as_ref().map_or(Ok(vec![topology]), |it| topologies.chain(it));
        let chains: Vec<Vec<&Topology>> = targets.iter().map(chain).collect::<Result<_, _>>()?;
        let mut all: Vec<&Topology> = Vec::new();
        for &one in chains.iter().flatten() {
            if !all.iter().any(|known| known.configuration_hash == one.configuration_hash) {
                all.push(one);
            }
        }
        Ok(Fold {
            topology,
            targets,
            chains,
            topologies: all,
            shapes: HashMap::new(),
            rows: (0..count).map(|_| HashMap::new()).collect(),
            missed: HashSet::new(),
            histories: (0..count).map(|_| HashMap::new()).collect(),
            ids: (0..count).map(|_| HashMap::new()).collect(),
            spans: vec![(i64::MAX, i64::MIN); count],
            scope,
            wanted: Vec::new(),
        })
    }

    pub(super) fn targets(&self) -> impl Iterator<Item = &Facts> {
        self.targets.iter().flatten()
    }

    fn target(&self, prefix: &str) -> usize {
        (xxh3_64(prefix.as_bytes()) % u64::from(self.topology.partitions)) as usize
    }

    /// Takes an event as the lake keeps it: by the fields of the topology that stored it.
    pub(super) fn add(&mut self, event: &Event, stored: &Topology, report: &mut Report) {
        let mut touched: BTreeMap<usize, bool> = BTreeMap::new();
        let in_force = |facts: &Option<Facts>| {
            facts.as_ref().map_or(0, |facts| facts.in_force(event.source, event.offset.0))
        };
        let places: Vec<usize> = self.targets.iter().map(in_force).collect();
        for at in 0..self.topologies.len() {
            let topology = self.topologies[at];
            if !(0..places.len()).any(|target| self.counts_there(topology, &places, target)) {
                continue;
            }
            let event = read_as(event, stored, topology, report);
            self.add_rows(&event, topology, &places, &mut touched, report);
            self.add_histories(&event, topology, &places, &mut touched);
        }
        self.count_ids(event, &touched);
        if report.cells.is_some() {
            let place = (event.source, event.offset.0);
            let aside = |target: &usize| self.targets[*target].as_ref()?.set_aside.get(&place);
            let is_late = touched.keys().filter_map(aside).any(|aside| matches!(aside, Aside::Late(_)));
            let is_duplicate = touched.values().any(|is_counted| !is_counted);
            if let Some(cell) = report.cell(Some(event.time), &event.tenant) {
                cell.events += 1;
                cell.duplicates += u64::from(is_duplicate);
                cell.late += u64::from(is_late);
            }
        }
    }

    /// Whether this topology counts the event in the target.
    fn counts_there(&self, topology: &Topology, places: &[usize], target: usize) -> bool {
        self.chains[target][places[target]].configuration_hash == topology.configuration_hash
    }

    fn add_rows(
        &mut self,
        event: &Event,
        topology: &Topology,
        places: &[usize],
        touched: &mut BTreeMap<usize, bool>,
        report: &mut Report,
    ) {
        for counted in &topology.aggregates {
            let current = self.topology.aggregates.iter().position(|it| it.name == counted.name);
            let Some(index) = current else { continue };
            for contribution in contributions(topology, counted, event) {
                let target = self.target(&contribution.prefix);
                if !self.counts_there(topology, places, target) {
                    continue;
                }
                let Some(aside) = self.counts(target, event, touched) else { continue };
                report.contributions += 1;
                let shape = Rc::clone(self.shape(target, places[target], index));
                let windows = self.windows(target, index, event, &aside);
                let (windows, missed): (Vec<At>, Vec<At>) =
                    windows.into_iter().partition(|window| shape.windows[window.0]);
                let key = (index, contribution.prefix);
                self.missed.extend(missed.into_iter().map(|window| (target, key.clone(), window)));
                let Some(facts) = &self.targets[target] else { continue };
                let place = place(facts, event);
                let rows = self.rows[target].entry(key).or_default();
                let aggregate = &self.topology.aggregates[index];
                for window in windows {
                    let row = rows.entry(window).or_insert_with(|| Expected::new(aggregate));
                    row.add(counted, &shape, place, &contribution.elements);
                }
            }
        }
    }

    fn shape(&mut self, target: usize, before: usize, aggregate: usize) -> &Rc<Shape> {
        let (chain, name) = (&self.chains[target][before..], &self.topology.aggregates[aggregate].name);
        let made = || Rc::new(Shape::of(chain, name).expect("both ends of the chain have the aggregate"));
        self.shapes.entry((target, before, aggregate)).or_insert_with(made)
    }

    /// Windows of the current topology that the event lies in, less those that it came too late for.
    fn windows(&self, target: usize, aggregate: usize, event: &Event, aside: &Option<Aside>) -> Vec<At> {
        let Some(facts) = &self.targets[target] else { return Vec::new() };
        let aggregate = &self.topology.aggregates[aggregate];
        let mut windows = Vec::new();
        for (number, one) in aggregate.windows.iter().enumerate() {
            match one.kind {
                WindowKind::Rolling { length, pane } => {
                    if facts.now.is_some_and(|now| in_rolling(event.time, now, length, pane)) {
                        windows.push((number, 0));
                    }
                }
                kind => {
                    let is_late = matches!(aside, Some(Aside::Late(late))
                        if late.contains(&(aggregate.name.clone(), kind.name())));
                    if !is_late {
                        windows.push((number, window(kind, &self.topology.zone, event.time).0));
                    }
                }
            }
        }
        windows
    }

    /// Does this target count the event? `Some(aside)` if so, with what is late of it. Notes the unit.
    fn counts(
        &self,
        target: usize,
        event: &Event,
        touched: &mut BTreeMap<usize, bool>,
    ) -> Option<Option<Aside>> {
        let facts = self.targets[target].as_ref()?;
        if !facts.covers(event.source, event.offset.0) {
            return None;
        }
        let aside = facts.set_aside.get(&(event.source, event.offset.0)).cloned();
        let is_counted = !matches!(aside, Some(Aside::Duplicate | Aside::Future));
        touched.insert(target, !matches!(aside, Some(Aside::Duplicate)));
        is_counted.then_some(aside)
    }

    fn add_histories(
        &mut self,
        event: &Event,
        topology: &Topology,
        places: &[usize],
        touched: &mut BTreeMap<usize, bool>,
    ) {
        for history in &topology.histories {
            let current = self.topology.histories.iter().position(|it| it.name == history.name);
            let Some(index) = current else { continue };
            if !holds(&history.when, &event.fields) {
                continue;
            }
            let quoted = |text: &str| serde_json::to_string(text).expect("text makes JSON");
            let mut by = Vec::new();
            for &field in &history.by {
                let Some(value) = &event.fields[field] else { break };
                by.push(format!("{}:{}", quoted(&topology.events.fields[field].name), quoted(&value.text())));
            }
            if by.len() < history.by.len() {
                continue;
            }
            let (name, tenant, by) = (quoted(&history.name), quoted(&event.tenant), by.join(","));
            let prefix = format!("{{\"history\":{name},\"tenant_id\":{tenant},\"by\":{{{by}}}");
            let target = self.target(&prefix);
            let is_its = self.counts_there(topology, places, target);
            if !is_its || self.counts(target, event, touched).is_none() {
                continue;
            }
            let coordinate =
                format!("{}-p{}-o{}", event.source.incarnation, event.source.partition, event.offset);
            let id = event.id.clone().unwrap_or(coordinate);
            let key = format!("{prefix},\"event_id\":{}}}", quoted(&id));
            let columns = history.columns.iter().map(|&field| {
                let named = &topology.events.fields[field];
                (named.name.clone(), history_json(named, event.fields[field].as_ref()))
            });
            let columns = Json::Object(columns.collect()).to_string();
            let value = Record { time: event.time, columns };
            self.histories[target].insert((index, key), value);
        }
    }

    fn count_ids(&mut self, event: &Event, touched: &BTreeMap<usize, bool>) {
        if self.topology.events.id == EventId::Coordinate {
            return;
        }
        let id = id_of(event);
        for (&target, &is_counted) in touched {
            let entry = self.ids[target].entry(id).or_default();
            entry.0 += 1;
            entry.1 += u32::from(is_counted);
            let span = &mut self.spans[target];
            *span = (span.0.min(event.record_time), span.1.max(event.record_time));
        }
    }

    /// Compares with what the topics say.
    pub(super) fn compare(mut self, report: &mut Report) -> Vec<Wanted> {
        for target in 0..self.targets.len() {
            let Some(mut facts) = self.targets[target].take() else {
                if !self.rows[target].is_empty() {
                    report.differ(Kind::Row, format!("target {target}"), "a commit", "none");
                }
                continue;
            };
            report.commits.push((facts.partition.0, facts.commit));
            self.compare_ids(target, report);
            self.compare_rows(target, &mut facts, report);
            let histories = std::mem::take(&mut self.histories[target]);
            compare_histories(&mut facts, histories, report);
            if !self.scope.has_log {
                continue;
            }
            for aside in facts.set_aside.values() {
                match aside {
                    Aside::Duplicate => report.duplicates += 1,
                    Aside::Future => report.future += 1,
                    Aside::Late(_) => report.late += 1,
                }
            }
        }
        self.wanted
    }

    fn compare_ids(&mut self, target: usize, report: &mut Report) {
        let rule = self.topology.duplicates;
        let units: u64 = self.ids[target].values().map(|&(units, _)| u64::from(units)).sum();
        let (first, last) = self.spans[target];
        let all_units = units.saturating_mul(self.scope.part.map_or(1, |part| u64::from(part.of)));
        if all_units > rule.last || last.saturating_sub(first) > rule.horizon {
            report.cannot_prove(format!("target {target}: repeats beyond the horizon of {units} units"));
            return;
        }
        let mut foreign = 0;
        for (id @ [high, low], (units, counted)) in &self.ids[target] {
            if *counted == 0 && self.scope.part.is_some() {
                // The one that counted may be of a tenant that is not looked at.
                foreign += 1;
            } else if *counted != 1 {
                let what = format!(
                    "event id with hash {high:016x}{low:016x} in target {target}, delivered {units} times"
                );
                report.differ(Kind::Repeat, what, "counted once", format!("counted {counted} times"));
                self.wanted.extend(Wanted::last(report, Deliveries::Id(*id)));
            }
        }
        if foreign > 0 {
            report.cannot_prove(format!(
                "target {target}: {foreign} event ids of which only repeats are in this part of the tenants"
            ));
        }
    }

    fn compare_rows(&mut self, target: usize, facts: &mut Facts, report: &mut Report) {
        let rows = self.expected(target);
        let mut found_rows = std::mem::take(&mut facts.rows);
        let judge = Judge { facts, chain: &self.chains[target] };
        let mut others = Others::of(&found_rows);
        for ((aggregate, prefix), windows) in rows {
            let definition = &self.topology.aggregates[aggregate];
            for (window, expected) in windows {
                let kind = definition.windows[window.0].kind;
                let key = row_key(&prefix, kind, window.1);
                let before = (report.rows, report.difference_count);
                match found_rows.remove(&key).map(|text| serde_json::from_str::<Json>(&text)) {
                    None if others.has(&prefix) => {
                        others.add(definition, (aggregate, &prefix, window), expected)
                    }
                    // A dead row leaves one commit later.
                    None if self.is_expired(facts, aggregate, window) => {}
                    None => {
                        report.differ(Kind::Row, key, Json::Object(expected.values(definition)), "no row")
                    }
                    Some(Err(error)) => report.differ(Kind::Row, key, "JSON", error),
                    Some(Ok(found)) => {
                        judge.compare(report, key, (definition, kind, window.1), &expected, &found);
                    }
                }
                let deliveries = || Deliveries::Row {
                    aggregate: definition.name.clone(),
                    prefix: prefix.clone(),
                    kind,
                    start: window.1,
                    now: facts.now,
                };
                self.wanted.extend(settle(report, before, (&prefix, kind, window.1), deliveries));
            }
        }
        for ((aggregate, prefix, window), expected) in others.rows {
            let definition = &self.topology.aggregates[aggregate];
            let kind = definition.windows[window.0].kind;
            let key = row_key(&prefix, kind, window.1);
            match found_rows.remove(&key).map(|text| serde_json::from_str::<Json>(&text)) {
                // Keys that had rows of their own are in this sum too, if those rows are gone.
                _ if self.is_expired(facts, aggregate, window) => {}
                Some(Ok(found)) => {
                    judge.compare(report, key, (definition, kind, window.1), &expected, &found);
                }
                Some(Err(error)) => report.differ(Kind::Row, key, "JSON", error),
                None => report.differ(Kind::Row, key, Json::Object(expected.values(definition)), "no row"),
            }
        }
        for (key, value) in found_rows.drain() {
            let tenant = tenant_of(&key).unwrap_or_default();
            report.differ(Kind::Row, key, "no row", value);
            if let Some(cell) = report.cell(None, &tenant) {
                cell.differences += 1;
            }
        }
    }

    /// The rows that this target should have; with a mark on those whose window was not there all the time.
    fn expected(&mut self, target: usize) -> Rows {
        let mut rows = std::mem::take(&mut self.rows[target]);
        for (_, key, window) in self.missed.iter().filter(|(of, ..)| *of == target) {
            if let Some(row) = rows.get_mut(key).and_then(|rows| rows.get_mut(window)) {
                row.lacks_all();
            }
        }
        rows
    }

    fn is_expired(&self, facts: &Facts, aggregate: usize, (number, start): (usize, i64)) -> bool {
        let one = &self.topology.aggregates[aggregate].windows[number];
        let end = match one.kind {
            WindowKind::Rolling { .. } | WindowKind::Ever => i64::MAX,
            kind => window(kind, &self.topology.zone, start).1,
        };
        facts.floor.is_some_and(|floor| end.saturating_add(one.keep) <= floor)
    }
}

/// Puts a row that was compared into its hour, and says whose events are to be named if it differs.
fn settle(
    report: &mut Report,
    (rows, differences): (u64, u64),
    (prefix, kind, start): (&str, WindowKind, i64),
    deliveries: impl Fn() -> Deliveries,
) -> Option<Wanted> {
    let (right, wrong) = (report.rows - rows, report.difference_count - differences);
    if report.cells.is_some() {
        let has_hour = !matches!(kind, WindowKind::Rolling { .. } | WindowKind::Ever);
        let tenant = tenant_of(prefix).unwrap_or_default();
        if let Some(cell) = report.cell(has_hour.then_some(start), &tenant) {
            cell.rows += right;
            cell.differences += wrong;
        }
    }
    if wrong > 0 { Wanted::last(report, deliveries()) } else { None }
}

pub(super) fn id_of(event: &Event) -> Id {
    let id = xxh3_128(event.id.as_deref().unwrap_or_default().as_bytes());
    [(id >> 64) as u64, id as u64]
}

fn place(facts: &Facts, event: &Event) -> Place {
    let Source { incarnation, partition } = event.source;
    let text = incarnation.to_string();
    let known = facts.incarnations.iter().position(|known| *known == text).unwrap_or(usize::MAX);
    (event.time, known, partition.0, event.offset.0, 0)
}

fn row_key(prefix: &str, kind: WindowKind, start: i64) -> String {
    match kind {
        WindowKind::Ever | WindowKind::Rolling { .. } => format!("{prefix},\"window\":\"{}\"}}", kind.name()),
        kind => format!("{prefix},\"window\":\"{}\",\"start\":\"{}\"}}", kind.name(), instant(start)),
    }
}

/// The event with the fields of another topology, by their names.
fn read_as<'e>(
    event: &'e Event,
    stored: &Topology,
    wanted: &Topology,
    report: &mut Report,
) -> Cow<'e, Event> {
    if stored.configuration_hash == wanted.configuration_hash {
        return Cow::Borrowed(event);
    }
    let place = |name: &String| stored.events.fields.iter().position(|known| known.name == *name);
    let mut fields = Vec::with_capacity(wanted.events.fields.len());
    for field in &wanted.events.fields {
        let place = place(&field.name);
        if place.is_none() {
            report.cannot_prove(format!(
                "events that the lake stored before it knew `{}`, and that were counted by a topology that does",
                field.name
            ));
        }
        fields.push(place.and_then(|place| event.fields[place].clone()));
    }
    Cow::Owned(Event { fields, ..event.clone() })
}
