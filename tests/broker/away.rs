//! Brokers or a store that are away for two minutes: memory stays bounded, nothing is lost, and metrics go on without a
//! store.

use crate::contract::now;
use crate::deployment::Deployment;
use crate::servers::{Kafka, S3};
use std::process::Child;
use std::thread;
use std::time::{Duration, Instant};
use std::{env, fs};
use thalweg::model::{NextOffset, Partition, Role, Topic, TopicPartition};
use thalweg::port::{Isolation, Log};

const RATE: u64 = 500;
/// Nine of ten looks find metrics that are no older, while the store is away.
const FRESH: Duration = Duration::from_secs(5);
/// Of the one process with all roles.
const MEMORY_MAX_MIB: u64 = 512;
const PATIENCE: Duration = Duration::from_secs(120);

/// `AWAY_SECONDS`, for longer runs by hand.
fn away() -> Duration {
    let asked = env::var("AWAY_SECONDS").ok().and_then(|seconds| seconds.parse().ok());
    Duration::from_secs(asked.unwrap_or(120))
}

/// As long as something is away, and somewhat longer.
fn events() -> u64 {
    (away().as_secs() + 40) * RATE
}

/// The most that the process ever held, from proc(5).
fn peak_mib(process: &Child) -> u64 {
    let status = fs::read_to_string(format!("/proc/{}/status", process.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

/// How far `aggregate` has committed, over all targets.
fn committed(deployment: &Deployment) -> u64 {
    let mut reader = deployment.log.reader();
    let at = |partition| now(reader.committed(Role::Aggregate, Partition(partition))).unwrap();
    (0..4).map(at).map(|at| at.map_or(0, |at| at.next.0)).sum()
}

fn raw(deployment: &Deployment) -> u64 {
    let mut reader = deployment.log.reader();
    let end = |partition| {
        let at = TopicPartition { topic: Topic::Raw, partition: Partition(partition) };
        now(reader.ends(at, Isolation::ReadCommitted)).unwrap().next.0
    };
    (0..2).map(end).sum()
}

fn files(deployment: &Deployment, store: &S3) -> usize {
    fn count(folder: &std::path::Path) -> usize {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        entries.map(|entry| if entry.path().is_dir() { count(&entry.path()) } else { 1 }).sum()
    }
    let lake = store.folder().join(store.bucket()).join(&deployment.log.settings().deployment);
    count(&lake.join("marketplace_events"))
}

/// How long what stands in the raw topic now takes to be counted: not longer than this.
fn freshness(deployment: &Deployment) -> Duration {
    let mut reader = deployment.log.reader();
    let mut ends = |topic, partitions| -> Vec<NextOffset> {
        let place = |partition| TopicPartition { topic, partition: Partition(partition) };
        let mut end = |partition| now(reader.ends(place(partition), Isolation::ReadCommitted)).unwrap().next;
        (0..partitions).map(&mut end).collect()
    };
    let began = Instant::now();
    let raw = ends(Topic::Raw, 2);
    reaches(deployment, Role::Route, &raw);
    let blocks = ends(Topic::Repartition, 4);
    reaches(deployment, Role::Aggregate, &blocks);
    began.elapsed()
}

fn reaches(deployment: &Deployment, role: Role, ends: &[NextOffset]) {
    let mut reader = deployment.log.reader();
    for (partition, end) in (0..).zip(ends) {
        until("what was counted", || {
            let at = now(reader.committed(role, Partition(partition))).unwrap();
            at.is_some_and(|at| at.next >= *end)
        });
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "{what} did not happen");
        thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn a_store_that_is_away_for_two_minutes_costs_time_and_nothing_else() {
    let (Some(kafka), Some(store)) = (Kafka::shared(), S3::start()) else { return };
    let deployment = Deployment::new(kafka, &store);
    deployment.edit_topology("age: 5m, bytes: 128MiB", "age: 3s, bytes: 1MiB");
    deployment.make_topics();
    let worker = deployment.worker(0);
    let mut load = deployment.generating(&["--events", &events().to_string(), "--rate", &RATE.to_string()]);
    until("the first file", || files(&deployment, &store) > 0);

    store.kill();
    let (begun, mut looks) = (Instant::now(), Vec::new());
    while begun.elapsed() < away() {
        looks.push(freshness(&deployment));
    }
    looks.sort();
    let (most, nine_of_ten) = (looks[looks.len() - 1], looks[looks.len() * 9 / 10]);
    println!("{} looks: nine of ten within {nine_of_ten:.1?}, all within {most:.1?}", looks.len());
    assert!(nine_of_ten < FRESH, "without a store: {looks:?}");
    let before = files(&deployment, &store);
    store.restart();
    until("files again", || files(&deployment, &store) > before);

    assert!(load.wait().unwrap().success(), "the load was not acknowledged");

    let peak = peak_mib(&worker);
    println!("peak memory: {peak} MiB");
    assert!(peak < MEMORY_MAX_MIB, "{peak} MiB");
    balances(&deployment, worker, events());
}

/// In the middle of its work, and with the default watchdog: the process that was there before is there after.
#[test]
fn brokers_that_are_away_for_two_minutes_cost_time_and_nothing_else() {
    let (Some(kafka), Some(store)) = (Kafka::start(1), S3::start()) else { return };
    let deployment = Deployment::new(&kafka, &store);
    deployment.make_topics();
    let half = &["--events", &(events() / 2).to_string()];
    deployment.generate(half);
    let mut worker = deployment.worker(0);
    until("a first commit", || committed(&deployment) > 0);

    kafka.kill(1);
    thread::sleep(away());
    assert!(worker.try_wait().unwrap().is_none(), "the worker gave up");
    kafka.restart(1);
    let before = committed(&deployment);
    deployment.generate(&[half, &["--seed", "2"][..]].concat());
    until("commits again", || committed(&deployment) > before);

    let peak = peak_mib(&worker);
    println!("peak memory: {peak} MiB");
    assert!(peak < MEMORY_MAX_MIB, "{peak} MiB");
    balances(&deployment, worker, events());
}

/// It may be killed on top of it: whoever comes next finishes, and `verify` finds no difference.
#[track_caller]
fn balances(deployment: &Deployment, mut worker: Child, events: u64) {
    assert!(worker.try_wait().unwrap().is_none(), "the worker gave up");
    worker.kill().unwrap();
    worker.wait().unwrap();
    assert_eq!(raw(deployment), events);
    deployment.fine("run", &["--until-idle"]);
    deployment.proved(events);
}
