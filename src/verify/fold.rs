//! The independent fold: every event of the lake into the rows that each target should have.

use super::contribution::{contributions, holds};
use super::event::Event;
use super::expected::{Expected, Place};
use super::facts::{Aside, Facts};
use super::report::Report;
use super::value::{Value, instant};
use super::window::{in_rolling, window};
use crate::model::Source;
use crate::topology::{Aggregate, EventId, Topology, WindowKind};
use serde_json::Value as Json;
use std::collections::{BTreeMap, HashMap};
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// (aggregate, prefix) → (window, start) → row; a rolling row's start is 0.
type Rows = HashMap<(usize, String), BTreeMap<(usize, i64), Expected>>;

/// A 128-bit hash of an event id, in halves: millions of them are held, and so each takes 24 bytes instead of 32.
type Id = [u64; 2];

/// One record that a history should have; as text, because there are many.
struct Record {
    time: i64,
    columns: String,
}

/// Stands in a key between its tenant and its `by`.
const BY: &str = ",\"by\":";

pub(super) struct Fold<'a> {
    topology: &'a Topology,
    targets: Vec<Option<Facts>>,
    /// Per target.
    rows: Vec<Rows>,
    histories: Vec<HashMap<(usize, String), Record>>,
    /// Per target and id: units, and how many of them counted.
    ids: Vec<HashMap<Id, (u32, u32)>>,
    /// Record times of the units of each target: repeats are only proved within the horizon.
    spans: Vec<(i64, i64)>,
}

impl<'a> Fold<'a> {
    pub(super) fn new(topology: &'a Topology, targets: Vec<Option<Facts>>) -> Self {
        let count = targets.len();
        Fold {
            topology,
            targets,
            rows: (0..count).map(|_| HashMap::new()).collect(),
            histories: (0..count).map(|_| HashMap::new()).collect(),
            ids: (0..count).map(|_| HashMap::new()).collect(),
            spans: vec![(i64::MAX, i64::MIN); count],
        }
    }

    pub(super) fn targets(&self) -> impl Iterator<Item = &Facts> {
        self.targets.iter().flatten()
    }

    fn target(&self, prefix: &str) -> usize {
        (xxh3_64(prefix.as_bytes()) % u64::from(self.topology.partitions)) as usize
    }

    pub(super) fn add(&mut self, event: &Event, report: &mut Report) {
        let mut touched: BTreeMap<usize, bool> = BTreeMap::new();
        for (index, aggregate) in self.topology.aggregates.iter().enumerate() {
            for contribution in contributions(self.topology, aggregate, event) {
                let target = self.target(&contribution.prefix);
                let Some(aside) = self.counts(target, event, &mut touched) else { continue };
                report.contributions += 1;
                let Some(facts) = &self.targets[target] else { continue };
                let place = place(facts, event);
                let mut windows: Vec<(usize, i64)> = Vec::new();
                for (number, one) in aggregate.windows.iter().enumerate() {
                    match one.kind {
                        WindowKind::Rolling { length, pane } => {
                            if facts.now.is_some_and(|now| in_rolling(event.time, now, length, pane)) {
                                windows.push((number, 0));
                            }
                        }
                        kind => {
                            let is_late = matches!(&aside, Some(Aside::Late(late))
                                if late.contains(&(aggregate.name.clone(), kind.name())));
                            if !is_late {
                                windows.push((number, window(kind, &self.topology.zone, event.time).0));
                            }
                        }
                    }
                }
                let rows = self.rows[target].entry((index, contribution.prefix)).or_default();
                for window in windows {
                    let row = rows.entry(window).or_insert_with(|| Expected::new(aggregate));
                    row.add(aggregate, place, &contribution.elements);
                }
            }
        }
        self.add_histories(event, &mut touched);
        self.count_ids(event, &touched);
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

    fn add_histories(&mut self, event: &Event, touched: &mut BTreeMap<usize, bool>) {
        for (index, history) in self.topology.histories.iter().enumerate() {
            if !holds(&history.when, &event.fields) {
                continue;
            }
            let quoted = |text: &str| serde_json::to_string(text).expect("text makes JSON");
            let mut by = Vec::new();
            for &field in &history.by {
                let Some(value) = &event.fields[field] else { break };
                by.push(format!(
                    "{}:{}",
                    quoted(&self.topology.events.fields[field].name),
                    quoted(&value.text())
                ));
            }
            if by.len() < history.by.len() {
                continue;
            }
            let (name, tenant, by) = (quoted(&history.name), quoted(&event.tenant), by.join(","));
            let prefix = format!("{{\"history\":{name},\"tenant_id\":{tenant},\"by\":{{{by}}}");
            let target = self.target(&prefix);
            if self.counts(target, event, touched).is_none() {
                continue;
            }
            let coordinate =
                format!("{}-p{}-o{}", event.source.incarnation, event.source.partition, event.offset);
            let id = event.id.clone().unwrap_or(coordinate);
            let key = format!("{prefix},\"event_id\":{}}}", quoted(&id));
            let columns = history.columns.iter().map(|&field| {
                let named = &self.topology.events.fields[field];
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
        let id = xxh3_128(event.id.as_deref().unwrap_or_default().as_bytes());
        let id: Id = [(id >> 64) as u64, id as u64];
        for (&target, &is_counted) in touched {
            let entry = self.ids[target].entry(id).or_default();
            entry.0 += 1;
            entry.1 += u32::from(is_counted);
            let span = &mut self.spans[target];
            *span = (span.0.min(event.record_time), span.1.max(event.record_time));
        }
    }

    /// Compares with what the topics say.
    pub(super) fn compare(mut self, report: &mut Report) {
        for target in 0..self.targets.len() {
            let Some(mut facts) = self.targets[target].take() else {
                if !self.rows[target].is_empty() {
                    report.differ(format!("target {target}"), "a commit", "none");
                }
                continue;
            };
            report.commits.push((facts.partition.0, facts.commit));
            self.compare_ids(target, report);
            let rows = std::mem::take(&mut self.rows[target]);
            self.compare_rows(&mut facts, rows, report);
            let histories = std::mem::take(&mut self.histories[target]);
            compare_histories(&mut facts, histories, report);
            for aside in facts.set_aside.values() {
                match aside {
                    Aside::Duplicate => report.duplicates += 1,
                    Aside::Future => report.future += 1,
                    Aside::Late(_) => report.late += 1,
                }
            }
        }
    }

    fn compare_ids(&self, target: usize, report: &mut Report) {
        let rule = self.topology.duplicates;
        let units: u64 = self.ids[target].values().map(|&(units, _)| u64::from(units)).sum();
        let (first, last) = self.spans[target];
        if units > rule.last || last.saturating_sub(first) > rule.horizon {
            report.cannot_prove(format!("target {target}: repeats beyond the horizon of {units} units"));
            return;
        }
        for ([high, low], (units, counted)) in &self.ids[target] {
            if *counted != 1 {
                let what = format!(
                    "event id with hash {high:016x}{low:016x} in target {target}, delivered {units} times"
                );
                report.differ(what, "counted once", format!("counted {counted} times"));
            }
        }
    }

    fn compare_rows(&self, facts: &mut Facts, rows: Rows, report: &mut Report) {
        let mut others = Others::of(facts);
        for ((aggregate, prefix), windows) in rows {
            let definition = &self.topology.aggregates[aggregate];
            for (window, expected) in windows {
                let kind = definition.windows[window.0].kind;
                let key = row_key(&prefix, kind, window.1);
                match facts.rows.remove(&key).map(|text| serde_json::from_str::<Json>(&text)) {
                    None if others.has(&prefix) => {
                        others.add(definition, (aggregate, &prefix, window), expected)
                    }
                    // A dead row leaves one commit later.
                    None if self.is_expired(facts, aggregate, window) => {}
                    None => report.differ(key, Json::Object(expected.values(definition)), "no row"),
                    Some(Err(error)) => report.differ(key, "JSON", error),
                    Some(Ok(found)) => compare_row(report, key, definition, &expected, &found),
                }
            }
        }
        for ((aggregate, prefix, window), expected) in others.rows {
            let definition = &self.topology.aggregates[aggregate];
            let key = row_key(&prefix, definition.windows[window.0].kind, window.1);
            match facts.rows.remove(&key).map(|text| serde_json::from_str::<Json>(&text)) {
                // Keys that had rows of their own are in this sum too, if those rows are gone.
                _ if self.is_expired(facts, aggregate, window) => {}
                Some(Ok(found)) => compare_row(report, key, definition, &expected, &found),
                Some(Err(error)) => report.differ(key, "JSON", error),
                None => report.differ(key, Json::Object(expected.values(definition)), "no row"),
            }
        }
        for (key, value) in facts.rows.drain() {
            report.differ(key, "no row", value);
        }
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

/// Keys without a row of their own, where the tenant has a row that sums such keys. A key is in that row with all its
/// living windows, or with none: so what lacks a row is exactly what that row has.
struct Others {
    /// Beginnings of keys, up to `by`, to the row that sums their others.
    prefixes: HashMap<String, String>,
    /// By aggregate, prefix of the summing row, window.
    rows: HashMap<(usize, String, (usize, i64)), Expected>,
}

impl Others {
    fn of(facts: &Facts) -> Others {
        let prefix = |key: &String| {
            let (tenant, rest) = key.split_once(BY)?;
            let by = rest.starts_with("{\"__other__\":").then(|| rest.split_inclusive('}').next())??;
            Some((tenant.to_owned(), format!("{tenant}{BY}{by}")))
        };
        Others { prefixes: facts.rows.keys().filter_map(prefix).collect(), rows: HashMap::new() }
    }

    fn summing(&self, prefix: &str) -> Option<&String> {
        self.prefixes.get(prefix.split_once(BY)?.0)
    }

    fn has(&self, prefix: &str) -> bool {
        self.summing(prefix).is_some()
    }

    fn add(
        &mut self,
        definition: &Aggregate,
        (aggregate, prefix, window): (usize, &str, (usize, i64)),
        expected: Expected,
    ) {
        let Some(summing) = self.summing(prefix) else { return };
        let sum = self.rows.entry((aggregate, summing.clone(), window));
        sum.or_insert_with(|| Expected::new(definition)).merge(definition, expected);
    }
}

fn compare_row(report: &mut Report, key: String, aggregate: &Aggregate, expected: &Expected, found: &Json) {
    let mut values = expected.values(aggregate);
    if let Some(names) = found["approximate"].as_array() {
        for name in names.iter().filter_map(Json::as_str) {
            // A sketch: near, and said so. Whatever is made of it is not compared either.
            if let (Some(exact), Some(near)) =
                (values.get(name).and_then(Json::as_f64), found["values"][name].as_f64())
                && (exact - near).abs() > exact * 0.1
            {
                report.differ(format!("{key} {name}"), exact, near);
            }
            values.insert(name.to_owned(), found["values"][name].clone());
        }
    }
    let values = Json::Object(values);
    let carry = expected.carry(aggregate);
    let found_carry = found["carry"].as_object().cloned().unwrap_or_default();
    if values == found["values"] && carry == found_carry {
        report.rows += 1;
    } else {
        let both = |values: &Json, carry: &serde_json::Map<String, Json>| match carry.is_empty() {
            true => values.to_string(),
            false => format!("{values} carry {}", Json::Object(carry.clone())),
        };
        report.differ(key, both(&values, &carry), both(&found["values"], &found_carry));
    }
}

fn compare_histories(facts: &mut Facts, expected: HashMap<(usize, String), Record>, report: &mut Report) {
    for ((history, key), value) in expected {
        let found = facts.histories.remove(&(history, key.clone()));
        let found = found.and_then(|text| serde_json::from_str::<Json>(&text).ok());
        let Some(found) = found else {
            report.differ(key, value.columns, "no record");
            continue;
        };
        let time = found["event_time"].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
        let same_time = time.map(jiff::Timestamp::as_microsecond) == Some(value.time);
        let columns = found["columns"].to_string();
        if same_time && columns == value.columns {
            report.history_rows += 1;
        } else {
            report.differ(key, format!("{} at {}", value.columns, instant(value.time)), found);
        }
    }
    for ((_, key), value) in facts.histories.drain() {
        report.differ(key, "no record", value);
    }
}

/// A field as history records show it: lists of objects by member name.
fn history_json(field: &crate::topology::Field, value: Option<&Value>) -> Json {
    match (&field.ty, value) {
        (_, None) => Json::Null,
        (crate::topology::FieldType::ListOfStruct(members), Some(Value::List(items))) => {
            let item = |item: &Vec<Option<Value>>| {
                let pairs = members.iter().zip(item);
                let json = |value: &Option<Value>| value.as_ref().map_or(Json::Null, Value::json);
                Json::Object(pairs.map(|(member, value)| (member.name.clone(), json(value))).collect())
            };
            Json::Array(items.iter().map(item).collect())
        }
        (crate::topology::FieldType::ListOfScalar(_), Some(Value::List(items))) => {
            let item = |item: &Vec<Option<Value>>| item[0].as_ref().map_or(Json::Null, Value::json);
            Json::Array(items.iter().map(item).collect())
        }
        (_, Some(value)) => value.json(),
    }
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
