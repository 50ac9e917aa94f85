//! How long a start takes that has to restore many live keys from real brokers.
//!
//! Every key is a product that somebody has seen once; it has as many panes as its windows need. Each start is the
//! program itself with the role `aggregate` and nothing to do, from its start to its end: joining the group and leaving it
//! are in the figure.

use crate::river::{Brokers, RAW_PARTITIONS};
use crate::servers::{Kafka, S3};
use crate::support::cpu::Spread;
use crate::support::events::{DAY, Events};
use jiff::{Timestamp, ToSpan, tz::TimeZone};
use std::collections::HashMap;
use thalweg::model::Topic;

const GOAL: f64 = 10.0;
/// Lines that are sent before their deliveries are waited for.
const AT_ONCE: u64 = 50_000;

pub(crate) fn run(kafka: &Kafka, store: &S3, keys: u64, runs: u64) -> anyhow::Result<()> {
    let deployment = Brokers::new(kafka, store, "bench-restart")?;
    deployment.create(&deployment.topic(Topic::Raw), RAW_PARTITIONS)?;
    deployment.make_topics()?;
    fill(&deployment, keys)?;
    let filled = deployment.run("route,aggregate")?;
    println!("{keys} events were routed and counted in {:.0} s on the clock", filled.wall);
    let (panes, bytes) = live(&deployment)?;
    println!(
        "{panes} live records in `state`, {:.1} for each key, {} MiB",
        panes as f64 / keys as f64,
        bytes >> 20
    );
    let mut walls = Vec::new();
    for _ in 0..runs {
        let start = deployment.run("aggregate")?;
        let (wall, cpu, memory) = (start.wall, start.cpu(), start.memory);
        println!("start: {wall:.2} s on the clock, {cpu:.2} s of CPU, {memory:.0} MiB at most");
        walls.push(wall);
    }
    let wall = Spread::of(walls);
    let verdict = if wall.median < GOAL { "is under" } else { "misses" };
    println!(
        "restart with {keys} live keys {verdict} its goal of {GOAL} s: {:.2} ({:.2}–{:.2}) s",
        wall.median, wall.min, wall.max
    );
    Ok(())
}

/// A view of each product, all of yesterday: old enough not to be of the future, and not yet late.
fn fill(deployment: &Brokers, keys: u64) -> anyhow::Result<()> {
    let yesterday =
        Timestamp::now().to_zoned(TimeZone::UTC).checked_sub(1.day())?.strftime("%Y-%m-%d").to_string();
    let mut events = Events::new(7, 50_000);
    let mut product = 0;
    while product < keys {
        let end = keys.min(product + AT_ONCE);
        let mut lines = Vec::new();
        (product..end).for_each(|product| events.write_view_of(&mut lines, product));
        deployment.send(&String::from_utf8(lines)?.replace(DAY, &yesterday), product)?;
        product = end;
    }
    Ok(())
}

/// Records of `state` that are left once it is cleaned, and their bytes.
fn live(deployment: &Brokers) -> anyhow::Result<(usize, usize)> {
    let mut newest = HashMap::new();
    for record in deployment.records(&[Topic::State])? {
        let key = (record.partition, record.key.unwrap_or_default());
        match record.value {
            Some(value) => newest.insert(key, value.len()),
            None => newest.remove(&key),
        };
    }
    Ok((newest.len(), newest.iter().map(|((_, key), value)| key.len() + value).sum()))
}
