//! Joins topics, chains and the fold.

use super::cover::{Covered, chains, compare_with_log};
use super::event::{BadFile, read_events, read_refused};
use super::facts::{Facts, each_batch, facts};
use super::fold::Fold;
use super::force::Topologies;
use super::report::Report;
use crate::lake::FileKey;
use crate::model::{Offset, Partition, Source, Topic, TopicPartition};
use crate::port::{Failure, Objects, Reader};
use crate::topology::{Topology, refused_table};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Why there is no verdict.
#[derive(Debug, thiserror::Error)]
pub enum NotVerified {
    /// The lake has not come as far as the metrics: wait, and ask again.
    #[error(
        "not covered: the lake holds raw partition {partition} up to {have}, the metrics count up to {want}; \
         run `lake`, or wait"
    )]
    NotCovered { partition: Partition, have: u64, want: u64 },
    #[error("target {0} commits faster than it can be read; try again when it is calmer")]
    Overtaken(Partition),
    #[error(
        "target {partition} counts under configuration {found:016x}, and this topology has {given:016x}: give the one in \
         force, or wait until `aggregate` has come to the cut-over"
    )]
    OtherConfiguration { partition: Partition, found: u64, given: u64 },
    #[error("cannot read {0}")]
    Unreadable(String),
    #[error(transparent)]
    BadFile(#[from] BadFile),
    #[error(transparent)]
    World(#[from] Failure),
}

/// Compares everything; tells `progress` about each file. Writes nothing.
pub async fn verify(
    topology: &Topology,
    reader: &mut dyn Reader,
    objects: &dyn Objects,
    prefix: &str,
    mut progress: impl FnMut(u64, u64),
) -> Result<Report, NotVerified> {
    let mut report = Report::default();
    let mut targets = Vec::new();
    for partition in (0..topology.partitions).map(Partition) {
        targets.push(facts(reader, topology, partition).await?);
    }
    let topologies = Topologies::load(topology, objects, prefix).await?;
    let covered = chains(objects, &topologies, prefix, &mut report).await?;
    check_covered(&targets, &covered, &mut report)?;
    let mut fold = Fold::new(&topologies, targets)?;
    let refused =
        read_files(&topologies, objects, prefix, &covered, &mut fold, &mut report, &mut progress).await?;
    compare_dead_letters(reader, topology, &fold, &covered, &refused, &mut report).await?;
    compare_with_log(reader, &covered, &mut report).await?;
    fold.compare(&mut report);
    Ok(report)
}

fn check_covered(
    targets: &[Option<Facts>],
    covered: &BTreeMap<Source, Covered>,
    report: &mut Report,
) -> Result<(), NotVerified> {
    for facts in targets.iter().flatten() {
        for (source, taken) in &facts.sources {
            for (from, to) in &taken.gaps {
                report.gaps.push(format!("metrics: raw partition {}, [{from}, {to})", source.partition));
            }
            let chain = covered.get(source);
            let have = chain.map_or(0, |chain| chain.next.0);
            if have < taken.next {
                return Err(NotVerified::NotCovered { partition: source.partition, have, want: taken.next });
            }
            let from = chain.map_or(0, |chain| chain.from.0);
            if from > taken.from {
                report.cannot_prove(format!(
                    "raw partition {}: metrics begin at {}, the lake at {from}",
                    source.partition, taken.from
                ));
            }
        }
    }
    report.gaps.sort();
    report.gaps.dedup();
    Ok(())
}

/// Reads every file of every plan once: events go into the fold; returns the coordinates of refused records.
async fn read_files(
    topologies: &Topologies<'_>,
    objects: &dyn Objects,
    prefix: &str,
    covered: &BTreeMap<Source, Covered>,
    fold: &mut Fold<'_>,
    report: &mut Report,
    progress: &mut impl FnMut(u64, u64),
) -> Result<BTreeSet<(Source, Offset)>, NotVerified> {
    let mut refused = BTreeSet::new();
    let total: u64 =
        covered.values().flat_map(|chain| &chain.plans).map(|plan| plan.files.len() as u64).sum();
    for (source, chain) in covered {
        for plan in &chain.plans {
            report.plans += 1;
            let topology = topologies.get(plan.configuration)?;
            // Each offset of the chunk at most once, over all of its files.
            let mut seen: HashMap<Offset, ()> = HashMap::new();
            let mut rows = 0;
            for file in &plan.files {
                let Some(bytes) = objects.read(&file.key).await? else {
                    continue;
                };
                let is_refused = FileKey::parse(prefix, &file.key)
                    .is_some_and(|key| key.table == refused_table(&topology.lake));
                let mut strangers = 0;
                let mut note = |from: Source, offset: Offset| {
                    let is_inside = from == *source && (plan.s.0..plan.e.0).contains(&offset.0);
                    if !is_inside || seen.insert(offset, ()).is_some() {
                        strangers += 1;
                    }
                };
                let count = if is_refused {
                    read_refused(&file.key, bytes, |from, offset| {
                        note(from, offset);
                        refused.insert((from, offset));
                        report.refused += 1;
                    })?
                } else {
                    read_events(&file.key, bytes, topology, |event| {
                        note(event.source, event.offset);
                        report.events += 1;
                        fold.add(&event, topology, report);
                    })?
                };
                if strangers > 0 {
                    report.differ(
                        format!("file `{}`", file.key),
                        "each coordinate of its chunk once",
                        format!("{strangers} others"),
                    );
                }
                if count != file.rows {
                    report.differ(
                        format!("file `{}`", file.key),
                        format!("{} rows", file.rows),
                        format!("{count} rows"),
                    );
                }
                rows += count;
                report.files += 1;
                progress(report.files, total);
            }
            if rows != plan.count && !plan.gap {
                let what = format!("chunk [{}, {}) of raw partition {}", plan.s, plan.e, source.partition);
                report.differ(what, format!("{} rows", plan.count), format!("{rows} rows"));
            }
        }
    }
    Ok(refused)
}

/// Dead letters and refused rows are the same coordinates, as far as both roles have come.
async fn compare_dead_letters(
    reader: &mut dyn Reader,
    topology: &Topology,
    fold: &Fold<'_>,
    covered: &BTreeMap<Source, Covered>,
    refused: &BTreeSet<(Source, Offset)>,
    report: &mut Report,
) -> Result<(), NotVerified> {
    let (mut letters, mut redriven) = (BTreeSet::new(), BTreeSet::new());
    for partition in (0..topology.partitions).map(Partition) {
        each_batch(reader, TopicPartition { topic: Topic::DeadLetters, partition }, |batch| {
            for record in &batch.records {
                let key = batch.key(record).and_then(|key| std::str::from_utf8(key).ok());
                // The mark of a letter that was sent again: the letter stays, and so does the refused row.
                if let Some(marked) = key.and_then(|key| key.strip_prefix("redriven:")).and_then(coordinate) {
                    redriven.insert(marked);
                    continue;
                }
                match key.and_then(coordinate) {
                    Some(coordinate) => {
                        letters.insert(coordinate);
                    }
                    None => report.differ(
                        format!("dead letter at {}", record.offset),
                        "a coordinate as its key",
                        format!("{key:?}"),
                    ),
                }
            }
        })
        .await?;
    }
    report.redriven = redriven.len() as u64;
    // Below what every target has taken, route had acknowledged every dead letter.
    let routed = |source: Source| {
        let next = fold.targets().map(|facts| facts.sources.get(&source).map_or(0, |taken| taken.next));
        next.min().unwrap_or(0)
    };
    for &(source, offset) in refused {
        if offset.0 < routed(source) && !letters.contains(&(source, offset)) {
            report.differ(
                format!("refused record {offset} of raw partition {}", source.partition),
                "a dead letter",
                "none",
            );
        }
    }
    for &(source, offset) in &letters {
        let is_covered =
            covered.get(&source).is_some_and(|chain| (chain.from.0..chain.next.0).contains(&offset.0));
        if is_covered && !refused.contains(&(source, offset)) {
            report.differ(
                format!("dead letter {offset} of raw partition {}", source.partition),
                "a refused row",
                "none",
            );
        }
    }
    Ok(())
}

/// `<incarnation>-p<partition>-o<offset>`
fn coordinate(text: &str) -> Option<(Source, Offset)> {
    let mut parts = text.splitn(3, '-');
    let incarnation = parts.next()?.parse().ok()?;
    let partition = Partition(parts.next()?.strip_prefix('p')?.parse().ok()?);
    Some((Source { incarnation, partition }, Offset(parts.next()?.strip_prefix('o')?.parse().ok()?)))
}
