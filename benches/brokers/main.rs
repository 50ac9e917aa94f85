//! What an event costs on real brokers and a real store: CPU time of whole processes, beside the same roles on the log in
//! a directory and beside the least that the brokers' client costs for the same bytes, all in one run.
//!
//! ```text
//! EVENTS=1000000 RUNS=3 cargo bench --features kafka,s3 --bench brokers
//! KEYS=1000000 RUNS=3 cargo bench --features kafka,s3 --bench brokers -- restart
//! ```
//!
//! Kafka and the S3 server are those of the tests: one node each, on this machine, so they share cores and caches with
//! what is measured. Their own CPU time is not in the figures. Every repetition measures everything once, in turns; a
//! ratio is made within one repetition. CPU time does not count waiting for a core, but whoever else is busy empties the
//! caches: `load` beside each repetition says how many wanted a core.

#![expect(clippy::print_stdout, reason = "a bench is read where it runs")]

mod floor;
mod report;
mod restart;
mod river;
#[path = "../../tests/servers/mod.rs"]
mod servers;
#[path = "../support/mod.rs"]
mod support;
mod usage;

use report::{Floors, Run};
use river::{Brokers, Copied, RAW_PARTITIONS, ROLES};
use servers::{Kafka, S3};
use std::path::Path;
use support::cpu::setting;
use support::world;
use thalweg::model::Topic;

/// What `aggregate` writes.
const ROWS: [Topic; 4] = [Topic::State, Topic::Metrics, Topic::SetAside, Topic::History(0)];

fn main() -> anyhow::Result<()> {
    let (events, runs) = (setting("EVENTS", 1_000_000), setting("RUNS", 3).max(1));
    let (Some(kafka), Some(store)) = (Kafka::start(1), S3::start()) else { return Ok(()) };
    let (kafka, store) = (&kafka, &store);
    println!("{}; load {}", report::machine(), report::load());
    if std::env::args().any(|argument| argument == "restart") {
        return restart::run(kafka, store, setting("KEYS", 1_000_000), runs);
    }
    let sent = Brokers::new(kafka, store, "bench-raw")?.generate(events)?;
    println!(
        "{events} events of the demo's shoppers in {RAW_PARTITIONS} raw partitions; `generate` cost {:.0} ns each",
        sent.cpu() * 1e9 / events as f64
    );
    let base = river::embedded(events)?;
    let measured = (0..runs).map(|number| run(kafka, store, base.path(), number));
    report::print(events, &measured.collect::<anyhow::Result<Vec<Run>>>()?);
    Ok(())
}

fn run(kafka: &Kafka, store: &S3, base: &Path, number: u64) -> anyhow::Result<Run> {
    let began = report::load();
    let (apart, together) = (Copied::of(base)?, Copied::of(base)?);
    let mut embedded = Vec::new();
    let mut brokers = Vec::new();
    let deployment = Brokers::new(kafka, store, &format!("bench-{number}-apart"))?;
    deployment.make_topics()?;
    for role in ROLES {
        brokers.push(deployment.run(role)?);
        embedded.push(apart.run(role)?);
    }
    let floors = floors(kafka, &deployment, number)?;
    let all = Brokers::new(kafka, store, &format!("bench-{number}-together"))?;
    all.make_topics()?;
    let roles = ROLES.join(",");
    brokers.push(all.run(&roles)?);
    embedded.push(together.run(&roles)?);
    let again = all.run(&roles)?;
    if number == 0 {
        deployment.verify()?;
        all.verify()?;
        println!("`verify` is green for both");
    }
    let run = Run { brokers, embedded, again, floors };
    println!("repetition {}: load {began} before, {} behind; {}", number + 1, report::load(), run.line());
    Ok(run)
}

fn floors(kafka: &Kafka, deployment: &Brokers, number: u64) -> anyhow::Result<Floors> {
    let (brokers, targets) = (kafka.bootstrap(), world::by_tenant()?.partitions);
    let send = |what: &str, of: &[Topic]| {
        let (topic, records) = (format!("floor-{number}-{what}"), deployment.records(of)?);
        deployment.create(&topic, targets)?;
        floor::send(&brokers, &topic, &records)
    };
    let read = |topic: Topic, partitions: u32| {
        floor::read(&brokers, &deployment.topic(topic), i32::try_from(partitions)?)
    };
    Ok(Floors {
        read_raw: read(Topic::Raw, RAW_PARTITIONS)?,
        send_blocks: send("blocks", &[Topic::Repartition, Topic::DeadLetters])?,
        read_blocks: read(Topic::Repartition, targets)?,
        send_rows: send("rows", &ROWS)?,
    })
}
