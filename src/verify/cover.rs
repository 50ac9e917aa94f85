//! Is the lake the log? The chains of plans, their files, and the raw records that are still there.

use super::facts::each_batch_from;
use super::force::Topologies;
use super::report::{Kind, Report};
use super::run::NotVerified;
use crate::lake::{Chain, Checksum, ControlKey, Genesis, Plan};
use crate::model::{Coordinate, NextOffset, Offset, Source, Topic, TopicPartition};
use crate::port::{Objects, Reader};
use crate::topology::refused_table;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What the lake holds of one source: [from, next), as a chain of plans without a hole.
#[derive(Debug)]
pub(super) struct Covered {
    pub from: NextOffset,
    pub next: NextOffset,
    pub plans: Vec<Plan>,
}

/// Follows every chain as far as all files are there.
pub(super) async fn chains(
    objects: &dyn Objects,
    topologies: &Topologies<'_>,
    prefix: &str,
    report: &mut Report,
) -> Result<BTreeMap<Source, Covered>, NotVerified> {
    let topology = topologies.current();
    let mut found: BTreeMap<Source, BTreeMap<NextOffset, String>> = BTreeMap::new();
    let mut starts: BTreeMap<Source, NextOffset> = BTreeMap::new();
    let mut lost: BTreeSet<(Source, NextOffset)> = BTreeSet::new();
    for key in objects.list(&format!("{prefix}_control/v1/")).await? {
        let Some((chain, control)) = Chain::parse(prefix, &key) else { continue };
        if chain.topic != topology.events.topic {
            continue;
        }
        match control {
            ControlKey::Genesis => {
                let genesis: Genesis = read_json(objects, &key).await?;
                starts.insert(chain.source, genesis.s);
            }
            ControlKey::Plan(start) => {
                found.entry(chain.source).or_default().insert(start, key);
            }
            ControlKey::Lost(start) => {
                lost.insert((chain.source, start));
            }
            ControlKey::Checkpoint(_) => {}
        }
    }
    let there = data_keys(objects, topologies, prefix).await?;
    let mut named = BTreeSet::new();
    let mut covered = BTreeMap::new();
    for (source, from) in starts {
        let slots = found.remove(&source).unwrap_or_default();
        let chain = follow(objects, source, from, &slots, &lost, &there, &mut named, report).await?;
        covered.insert(source, chain);
    }
    for (source, slots) in found {
        report.differ(
            Kind::Chain,
            format!("chain of {source:?}"),
            "a genesis",
            format!("{} plans and none", slots.len()),
        );
    }
    for orphan in there.difference(&named) {
        report.differ(Kind::File, format!("object `{orphan}`"), "a plan that names it", "none");
    }
    Ok(covered)
}

#[expect(
    clippy::too_many_arguments,
    reason = "one walk over what was listed; a struct would only rename the list"
)]
async fn follow(
    objects: &dyn Objects,
    source: Source,
    from: NextOffset,
    slots: &BTreeMap<NextOffset, String>,
    lost: &BTreeSet<(Source, NextOffset)>,
    there: &BTreeSet<String>,
    named: &mut BTreeSet<String>,
    report: &mut Report,
) -> Result<Covered, NotVerified> {
    let mut covered = Covered { from, next: from, plans: Vec::new() };
    let mut walked = 0;
    let mut is_whole = true;
    let mut at = from;
    while let Some(key) = slots.get(&at) {
        let body = objects.read(key).await?.ok_or_else(|| NotVerified::Unreadable(key.clone()))?;
        let plan = Plan::decode(&body).map_err(|error| NotVerified::Unreadable(format!("{key}: {error}")))?;
        let index = walked;
        walked += 1;
        if plan.s != at || plan.n != index || plan.e <= plan.s {
            report.differ(
                Kind::Chain,
                format!("plan `{key}`"),
                format!("plan {index} from {at}"),
                format!("{} from {}", plan.n, plan.s),
            );
            break;
        }
        named.extend(plan.files.iter().map(|file| file.key.clone()));
        let missing = plan.files.iter().filter(|file| !there.contains(&file.key)).count();
        let partition = source.partition;
        if plan.gap {
            report.gaps.push(format!("lake: raw partition {partition}, [{}, {})", plan.s, plan.e));
        } else if lost.contains(&(source, plan.s)) {
            report.gaps.push(format!(
                "lake: lost with the log: raw partition {partition}, [{}, {})",
                plan.s, plan.e
            ));
        } else if missing > 0 {
            is_whole = false;
        }
        at = plan.e;
        if is_whole {
            covered.next = at;
            covered.plans.push(plan);
        } else if slots.contains_key(&at) {
            report.differ(
                Kind::Chain,
                format!("plan `{key}`"),
                "all of its files, because a plan follows it",
                format!("{missing} missing"),
            );
        }
    }
    if walked as usize != slots.len() {
        report.differ(
            Kind::Chain,
            format!("chain of raw partition {}", source.partition),
            format!("{} plans", slots.len()),
            format!("{walked} on the chain"),
        );
    }
    Ok(covered)
}

async fn data_keys(
    objects: &dyn Objects,
    topologies: &Topologies<'_>,
    prefix: &str,
) -> Result<BTreeSet<String>, NotVerified> {
    let mut keys = BTreeSet::new();
    let tables = topologies.all().flat_map(|it| [it.lake.table.clone(), refused_table(&it.lake)]);
    for table in tables.collect::<BTreeSet<String>>() {
        keys.extend(objects.list(&format!("{prefix}{table}/")).await?);
    }
    Ok(keys)
}

async fn read_json<T: serde::de::DeserializeOwned>(
    objects: &dyn Objects,
    key: &str,
) -> Result<T, NotVerified> {
    let body = objects.read(key).await?.ok_or_else(|| NotVerified::Unreadable(key.to_owned()))?;
    serde_json::from_slice(&body).map_err(|error| NotVerified::Unreadable(format!("{key}: {error}")))
}

/// Compares the plans with the raw log, as far as it still stands: count and checksum of every chunk.
pub(super) async fn compare_with_log(
    reader: &mut dyn Reader,
    covered: &BTreeMap<Source, Covered>,
    proved: &mut Proved,
    report: &mut Report,
) -> Result<(), NotVerified> {
    for (source, chain) in covered {
        let facts = reader.facts(Topic::Raw).await?;
        if facts.incarnation != source.incarnation {
            report.cannot_prove(format!("raw partition {} of an incarnation that is gone", source.partition));
            continue;
        }
        let at = TopicPartition { topic: Topic::Raw, partition: source.partition };
        let first = reader.ends(at, crate::port::Isolation::ReadCommitted).await?.first;
        let is_new = |plan: &&Plan| {
            let is_known = proved.chunks.get(&chunk_key(*source, plan)) == Some(&chunk_text(plan));
            report.raw_records += if is_known && plan.s >= first { plan.count } else { 0 };
            !is_known
        };
        let new: Vec<&Plan> = chain.plans.iter().filter(|plan| !plan.gap).filter(is_new).collect();
        let from = new.first().map_or(chain.next, |plan| plan.s);
        let mut plans = new.into_iter().peekable();
        while plans.next_if(|plan| plan.s < first).is_some() {
            report.cannot_prove(format!(
                "raw partition {}: chunks below {first}, which retention took",
                source.partition
            ));
        }
        let (mut count, mut checksum) = (0, Checksum::default());
        each_batch_from(reader, at, from, |batch| {
            for record in &batch.records {
                while let Some(done) = plans.next_if(|plan| plan.e.0 <= record.offset.0) {
                    close(report, proved, *source, done, (count, checksum.finish()));
                    (count, checksum) = (0, Checksum::default());
                }
                if plans.peek().is_some_and(|plan| plan.s.0 <= record.offset.0) {
                    count += 1;
                    report.raw_records += 1;
                    let value = batch.value(record).unwrap_or_default();
                    checksum.add(record.offset, xxhash_rust::xxh3::xxh3_64(value));
                }
            }
        })
        .await?;
        if let Some(last) = plans.next() {
            close(report, proved, *source, last, (count, checksum.finish()));
        }
    }
    Ok(())
}

fn close(report: &mut Report, proved: &mut Proved, source: Source, plan: &Plan, found: (u64, u64)) {
    if found == (plan.count, plan.checksum) {
        proved.chunks.insert(chunk_key(source, plan), chunk_text(plan));
        return;
    }
    let what = format!("chunk [{}, {}) of raw partition {}", plan.s, plan.e, source.partition);
    let text = |(count, checksum): (u64, u64)| format!("{count} records, checksum {checksum:016x}");
    report.differ(Kind::Chunk, what, text(found), text((plan.count, plan.checksum)));
    for edge in [plan.s.0, plan.e.0.saturating_sub(1)] {
        report.look_at(Coordinate { source, offset: Offset(edge) }.to_string());
    }
}

/// Chunks that were once compared with the raw log: a plan is for ever, and so is a record.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proved {
    /// Where the chunk starts, and what its plan says.
    chunks: BTreeMap<String, String>,
}

impl Proved {
    pub fn len(&self) -> usize {
        self.chunks.len()
    }

    pub fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }
}

fn chunk_key(source: Source, plan: &Plan) -> String {
    Coordinate { source, offset: Offset(plan.s.0) }.to_string()
}

fn chunk_text(plan: &Plan) -> String {
    format!("{} {} {:016x}", plan.e, plan.count, plan.checksum)
}
