//! Judges what `aggregate` wrote, at every position that it ever showed to a reader.

use super::oracle::{Raw, instant};
use super::target::{Expected, Walk};
use super::workload::Setting;
use serde::Deserialize;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use thalweg::model::{NextOffset, Partition, Role, Topic, TopicPartition};
use thalweg::sim::{Kept, World};

/// A visible record of `metrics`.
struct Shown {
    key: String,
    /// `None`: a tombstone.
    value: Option<Value>,
    /// The repartition position at which it is right; a tombstone's is that of the position row behind it.
    at: Option<u64>,
}

/// `is_whole`: nothing is missing any more.
pub(super) fn check(world: &World, raw: &Raw, setting: &Setting, is_whole: bool) -> Result<(), String> {
    (0..setting.targets).try_for_each(|target| {
        check_target(world, raw, setting, target, is_whole)
            .map_err(|error| format!("target {target}: {error}"))
    })
}

/// How far the metrics of a target have come, as their newest position row says.
pub(super) fn reached(world: &World, target: u32) -> BTreeMap<u32, u64> {
    let at = TopicPartition { topic: Topic::Metrics, partition: Partition(target) };
    let position = world.newest(at, |key| key.starts_with(POSITION.as_bytes()));
    let value = position.and_then(|kept| kept.record.value);
    value.map(|value| sources_of(&serde_json::from_slice(&value).unwrap())).unwrap_or_default()
}

fn records(world: &World, topic: Topic, target: u32) -> Vec<Kept> {
    world.records(TopicPartition { topic, partition: Partition(target) }, NextOffset(0))
}

const POSITION: &str = "{\"position\":";

fn is_position(key: &str) -> bool {
    key.starts_with(POSITION)
}

fn sources_of(position: &Value) -> BTreeMap<u32, u64> {
    let members = position["sources"].as_object().into_iter().flatten();
    members.map(|(name, next)| (name.parse().unwrap(), next.as_u64().unwrap())).collect()
}

fn shown(records: &[Kept]) -> Result<Vec<Shown>, String> {
    let text = |bytes: &Option<Vec<u8>>| bytes.clone().map(|bytes| String::from_utf8(bytes).unwrap());
    records
        .iter()
        .map(|kept| {
            let key = text(&kept.record.key).ok_or("a row without a key")?;
            let value: Option<Value> =
                text(&kept.record.value).map(|value| serde_json::from_str(&value).unwrap());
            let at = value.as_ref().and_then(|value| match is_position(&key) {
                true => value["offset"].as_u64(),
                false => value["as_of"]["offset"].as_u64(),
            });
            Ok(Shown { key, value, at })
        })
        .collect()
}

fn check_target(
    world: &World,
    raw: &Raw,
    setting: &Setting,
    target: u32,
    is_whole: bool,
) -> Result<(), String> {
    let metrics = shown(&records(world, Topic::Metrics, target))?;
    check_order(&metrics)?;
    let mut walk = Walk::new(raw, setting, target);
    let mut hop_one = records(world, Topic::Repartition, target).into_iter().peekable();
    let mut due: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (index, row) in metrics.iter().enumerate() {
        due.entry(row.at.unwrap_or(0)).or_default().push(index);
    }
    let mut latest = Latest {
        metrics: &metrics,
        next: 0,
        rows: BTreeMap::new(),
        dead: (0, BTreeSet::new()),
        dead_before: BTreeSet::new(),
    };
    for (at, rows) in due {
        while let Some(record) = hop_one.next_if(|record| record.offset.0 < at) {
            walk.step(record.time.0, record.record.value.as_deref().unwrap_or_default())?;
        }
        for index in rows {
            let row = &metrics[index];
            match &row.value {
                None => {}
                Some(value) if is_position(&row.key) => {
                    check_position(&walk, value)?;
                    latest.check_all(&walk, index, at)?;
                }
                Some(value) => check_row(&walk, &row.key, value, at)?,
            }
        }
    }
    if !is_whole {
        return check_commits(world, target);
    }
    for record in hop_one {
        walk.step(record.time.0, record.record.value.as_deref().unwrap_or_default())?;
    }
    walk.is_complete()?;
    check_set_aside(world, &walk, target)?;
    check_history(world, &walk, target)?;
    check_commits(world, target)
}

/// I3: positions of one key, and of the position rows, never go back.
fn check_order(metrics: &[Shown]) -> Result<(), String> {
    let mut seen: BTreeMap<&str, u64> = BTreeMap::new();
    for row in metrics {
        let Some(at) = row.at else { continue };
        let before = seen.insert(&row.key, at).unwrap_or(0);
        if before > at {
            return Err(format!("I3: {} goes back from {before} to {at}", row.key));
        }
    }
    Ok(())
}

/// I2: right at its own position.
fn check_row(walk: &Walk<'_>, key: &str, value: &Value, at: u64) -> Result<(), String> {
    let expected = walk.expected(key);
    if expected.is(value) {
        return Ok(());
    }
    Err(format!("I2: {key} at {at}: {value}, expected {expected:?}, now {:?}", walk.now.map(instant)))
}

/// I24: time stands where the log says.
fn check_position(walk: &Walk<'_>, value: &Value) -> Result<(), String> {
    let time = |name: &str| {
        value[name].as_str().map(|text| text.parse::<jiff::Timestamp>().unwrap().as_microsecond())
    };
    let sources: BTreeMap<u32, u64> = walk.sources().map(|source| (source, walk.next_of(source))).collect();
    let found = (time("now"), time("floor"), sources_of(value));
    let expected = (walk.now, walk.floor, sources);
    if found == expected { Ok(()) } else { Err(format!("I24: position {found:?}, expected {expected:?}")) }
}

/// What a reader who followed the topic so far holds.
struct Latest<'a> {
    metrics: &'a [Shown],
    next: usize,
    rows: BTreeMap<&'a str, Option<&'a Value>>,
    /// Number of the last commit, keys that were dead then, and keys that were dead at the commit before it: a
    /// commit that was tainted shows its position again.
    dead: (u64, BTreeSet<String>),
    dead_before: BTreeSet<String>,
}

impl Latest<'_> {
    /// I1 at a position: every row that must be there is there, and holds.
    fn check_all(&mut self, walk: &Walk<'_>, upto: usize, at: u64) -> Result<(), String> {
        while self.next <= upto {
            let row = &self.metrics[self.next];
            self.rows.insert(&row.key, row.value.as_ref());
            self.next += 1;
        }
        let wrong = |key: &str, found: Option<&Value>, expected: &dyn std::fmt::Debug| {
            Err(format!("I1: {key} at position {at}: {found:?}, expected {expected:?}"))
        };
        let commit =
            self.metrics[upto].value.as_ref().and_then(|value| value["commit"].as_u64()).unwrap_or(0);
        if commit != self.dead.0 {
            self.dead_before = std::mem::take(&mut self.dead.1);
        }
        let mut dead = BTreeSet::new();
        for key in walk.keys() {
            let found = self.rows.get(&key[..]).copied().flatten();
            let expected = walk.expected(&key);
            let is_fine = match &expected {
                Expected::Nothing => found.is_none(),
                Expected::Row(_) => found.is_some_and(|row| expected.is(row)),
                Expected::Dead(..) => {
                    let was_dead = self.dead_before.contains(&key);
                    dead.insert(key.clone());
                    !was_dead || found.is_none()
                }
            };
            if !is_fine {
                return wrong(&key, found, &expected);
            }
        }
        self.dead = (commit, dead);
        Ok(())
    }
}

fn check_set_aside(world: &World, walk: &Walk<'_>, target: u32) -> Result<(), String> {
    let mut left: BTreeSet<&String> = walk.set_aside.keys().collect();
    for kept in records(world, Topic::SetAside, target) {
        let value: Value = serde_json::from_slice(kept.record.value.as_deref().unwrap_or_default()).unwrap();
        let coordinate = &value["coordinate"];
        let key = format!("{}:{}", coordinate["partition"], coordinate["offset"]);
        let late = value["late"].as_array().into_iter().flatten();
        let late =
            late.map(|pair| (pair[0].as_str().unwrap().to_owned(), pair[1].as_str().unwrap().to_owned()));
        let found = (value["reason"].as_str().unwrap_or_default(), late.collect::<BTreeSet<_>>());
        match walk.set_aside.get(&key) {
            Some((reason, late)) if found == (*reason, late.clone()) => {}
            expected => return Err(format!("I24: {key} is set aside as {found:?}, expected {expected:?}")),
        }
        left.retain(|left| **left != key);
    }
    if left.is_empty() { Ok(()) } else { Err(format!("I1: nobody set aside {left:?}")) }
}

fn check_history(world: &World, walk: &Walk<'_>, target: u32) -> Result<(), String> {
    let records = records(world, Topic::History(0), target);
    let found: BTreeSet<String> =
        records.iter().map(|kept| String::from_utf8(kept.record.key.clone().unwrap()).unwrap()).collect();
    if found == walk.history {
        Ok(())
    } else {
        Err(format!("history {found:?}, expected {:?}", walk.history))
    }
}

/// What the judge needs of it.
#[derive(Deserialize)]
struct CommitRecord {
    commit: u64,
    next: u64,
}

/// I10: the group's position never stands before a commit record that says it; commits are numbered without a hole.
fn check_commits(world: &World, target: u32) -> Result<(), String> {
    let mut known: Vec<(i64, u64)> = Vec::new();
    let mut number = 0;
    for kept in records(world, Topic::State, target) {
        if kept.record.key.as_deref() != Some(b"commit") {
            continue;
        }
        let value = kept.record.value.unwrap_or_default();
        let CommitRecord { commit, next } = serde_json::from_slice(&value).unwrap();
        if commit != number && commit != number + 1 {
            return Err(format!("commit {commit} follows commit {number}"));
        }
        number = commit;
        known.push((kept.time.0, next));
    }
    for (time, committed) in world.commits(Role::Aggregate, Partition(target)) {
        if !known.iter().any(|&(at, next)| at <= time.0 && next >= committed.next.0) {
            return Err(format!("I10: {} was committed before a commit record says it", committed.next));
        }
    }
    Ok(())
}
