//! Judges what `lake` stored. Objects are only ever added, so what holds for the whole history in the order of
//! its creates holds at every instant.

use super::oracle::Raw;
use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use thalweg::lake::{PlainKind, PlainRow, Rows};
use thalweg::model::{Partition, Role};
use thalweg::sim::World;
use xxhash_rust::xxh3::xxh3_64;

#[derive(Debug)]
struct Plan {
    end: u64,
    files: Vec<(String, u64)>,
    /// When it and its last file were there.
    complete: Option<i64>,
}

#[derive(Debug, Default)]
struct Chain {
    genesis: Option<u64>,
    plans: BTreeMap<u64, Plan>,
}

/// Hears of one create after the other, in the order in which they took effect.
#[derive(Default)]
pub(super) struct Judge {
    chains: BTreeMap<u32, Chain>,
    stored: BTreeMap<String, i64>,
    seen: BTreeSet<(u32, u64)>,
}

pub(super) fn check(world: &World, raw: &Raw) -> Result<(), String> {
    let mut judge = Judge::default();
    for created in world.stored(0) {
        let body = world.object(&created.key).ok_or_else(|| format!("`{}` is gone", created.key))?;
        judge.created(raw, &created.key, &body, created.time)?;
    }
    judge.ended(raw)?;
    for partition in 0..raw.records.len() as u32 {
        let commits = world.commits(Role::Lake, Partition(partition));
        let commits = commits.iter().map(|(time, committed)| (time.0, committed.next.0));
        judge.committed(partition, commits)?;
    }
    Ok(())
}

impl Judge {
    pub(super) fn created(&mut self, raw: &Raw, key: &str, body: &[u8], time: i64) -> Result<(), String> {
        if self.stored.insert(key.to_owned(), time).is_some() {
            return Err(format!("I6: `{key}` was created twice"));
        }
        if key.starts_with("_control/") {
            add_control(&mut self.chains, &self.stored, key, body, time)
        } else {
            add_file(&self.chains, raw, &mut self.seen, key, body)?;
            complete(&mut self.chains, &self.stored, time);
            Ok(())
        }
    }

    /// Nothing is missing now.
    pub(super) fn ended(&self, raw: &Raw) -> Result<(), String> {
        for (partition, records) in (0..).zip(&raw.records) {
            let no_chain = Chain::default();
            let chain = self.chains.get(&partition).unwrap_or(&no_chain);
            check_chain(raw, partition, chain).map_err(|error| format!("partition {partition}: {error}"))?;
            let missing: Vec<&u64> =
                records.keys().filter(|offset| !self.seen.contains(&(partition, **offset))).collect();
            if !missing.is_empty() {
                return Err(format!("I4: partition {partition}: {missing:?} are missing"));
            }
        }
        Ok(())
    }

    /// I9: what was committed, and when, was there to be seen.
    pub(super) fn committed(
        &self,
        partition: u32,
        commits: impl Iterator<Item = (i64, u64)>,
    ) -> Result<(), String> {
        let no_chain = Chain::default();
        let chain = self.chains.get(&partition).unwrap_or(&no_chain);
        for (time, committed) in commits {
            let done = chain.plans.values().take_while(|plan| plan.complete.is_some_and(|at| at <= time));
            let done = done.last().map_or(chain.genesis.unwrap_or(0), |plan| plan.end);
            if committed > done {
                return Err(format!("I9: {committed} was committed, but only {done} could be seen"));
            }
        }
        Ok(())
    }
}

/// Rows that were found in the lake so far, and creates that were looked at.
#[derive(Debug, Default)]
pub(super) struct Found {
    rows: u64,
    creates: usize,
}

impl Found {
    /// Everything below the raw ends is in the lake.
    pub(super) fn is_complete(&mut self, world: &World, raw: &Raw) -> bool {
        for created in world.stored(self.creates) {
            self.creates += 1;
            if !created.key.starts_with("_control/") {
                let body = world.object(&created.key).unwrap_or_default();
                self.rows += Rows::read(&body).map_or(0, |(_, rows)| rows.len() as u64);
            }
        }
        self.rows >= raw.records.iter().map(BTreeMap::len).sum::<usize>() as u64
    }
}

fn add_control(
    chains: &mut BTreeMap<u32, Chain>,
    stored: &BTreeMap<String, i64>,
    key: &str,
    body: &[u8],
    time: i64,
) -> Result<(), String> {
    let parts: Vec<&str> = key.split('/').collect();
    let ["_control", "v1", _, _, partition, name] = parts[..] else { return Ok(()) };
    let partition: u32 = partition.trim_start_matches('p').parse().map_err(|_| format!("key `{key}`"))?;
    let chain = chains.entry(partition).or_default();
    let body: Value = serde_json::from_slice(body).map_err(|error| format!("`{key}`: {error}"))?;
    let start = body["s"].as_u64().ok_or_else(|| format!("`{key}` has no start"))?;
    if name == "genesis" {
        chain.genesis = Some(start);
        return Ok(());
    }
    if !name.ends_with(".plan") {
        return Ok(());
    }
    // I22: nothing before it is unfinished, and it starts where the chain ends.
    let before = chain.plans.values().next_back();
    let ends = before.map_or(chain.genesis, |before| Some(before.end));
    if ends != Some(start) {
        return Err(format!("I7: plan {start} was created where the chain ends at {ends:?}"));
    }
    if before.is_some_and(|before| before.complete.is_none()) {
        return Err(format!("I22: plan {start} follows one whose files are not all there"));
    }
    let file = |file: &Value| {
        (file["key"].as_str().unwrap_or_default().to_owned(), file["rows"].as_u64().unwrap_or(0))
    };
    let files: Vec<_> = body["files"].as_array().into_iter().flatten().map(file).collect();
    let end = body["e"].as_u64().ok_or_else(|| format!("`{key}` has no end"))?;
    chain.plans.insert(start, Plan { end, files, complete: None });
    complete(chains, stored, time);
    Ok(())
}

fn complete(chains: &mut BTreeMap<u32, Chain>, stored: &BTreeMap<String, i64>, time: i64) {
    for plan in chains.values_mut().filter_map(|chain| chain.plans.values_mut().next_back()) {
        if plan.complete.is_none() && plan.files.iter().all(|(key, _)| stored.contains_key(key)) {
            plan.complete = Some(time);
        }
    }
}

/// I8: a plan names it; I5: none of its rows is there already; I4: its rows are the log's.
fn add_file(
    chains: &BTreeMap<u32, Chain>,
    raw: &Raw,
    seen: &mut BTreeSet<(u32, u64)>,
    key: &str,
    body: &[u8],
) -> Result<(), String> {
    let planned = chains.values().flat_map(|chain| chain.plans.values()).flat_map(|plan| &plan.files);
    let Some((_, planned)) = planned.clone().find(|(planned, _)| planned == key) else {
        return Err(format!("I8: no plan names `{key}`"));
    };
    let (source, rows) = Rows::read(body).map_err(|error| error.to_string())?;
    if rows.len() as u64 != *planned {
        return Err(format!("`{key}` has {} rows, its plan says {planned}", rows.len()));
    }
    let partition = source.partition.0;
    for row in rows {
        let offset = row.offset.0;
        check_key(key, &row)?;
        if !seen.insert((partition, offset)) {
            return Err(format!("I5: {partition}:{offset} is there twice"));
        }
        let record = raw.records[partition as usize].get(&offset);
        let Some((value, event, _)) = record else {
            return Err(format!("I4: {partition}:{offset} was never sent"));
        };
        let is_refused = row.kind == PlainKind::Refused;
        if row.value_hash != xxh3_64(value) || is_refused != event.is_none() {
            return Err(format!("I4: {partition}:{offset} is not what was sent"));
        }
    }
    Ok(())
}

fn check_chain(raw: &Raw, partition: u32, chain: &Chain) -> Result<(), String> {
    let mut at = chain.genesis.unwrap_or(0);
    for (&start, plan) in &chain.plans {
        if start != at {
            return Err(format!("I7: plan {start} is not where the chain stands, at {at}"));
        }
        at = plan.end;
    }
    if at < raw.end(partition) {
        return Err(format!("I4: the chain ends at {at} of {}", raw.end(partition)));
    }
    Ok(())
}

/// I17: one folder for each partition column, and the tenant in it as text that no path can be made of.
fn check_key(key: &str, row: &PlainRow) -> Result<(), String> {
    let PlainKind::Event { tenant, .. } = &row.kind else { return Ok(()) };
    let parts: Vec<&str> = key.split('/').collect();
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b".-".contains(&byte);
    let number = |part: &str, name: &str, digits: usize| {
        let number = part.strip_prefix(name).unwrap_or_default();
        number.len() == digits && number.bytes().all(|byte| byte.is_ascii_digit())
    };
    let is_well = match parts[..] {
        ["sim", found, year, month, day, name] => {
            found.strip_prefix("tenant_id=") == Some(&escaped(tenant))
                && number(year, "year=", 4)
                && number(month, "month=", 2)
                && number(day, "day=", 2)
                && name.ends_with(".parquet")
                && name.bytes().all(is_name)
        }
        _ => false,
    };
    if is_well { Ok(()) } else { Err(format!("I17: `{key}` holds a row of tenant {tenant:?}")) }
}

/// Our own reading of the rule: letters, digits, dots and dashes stand for themselves.
fn escaped(text: &[u8]) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
    text.iter()
        .map(|&byte| if plain(byte) { char::from(byte).to_string() } else { format!("!{byte:02X}") })
        .collect()
}
