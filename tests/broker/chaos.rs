//! Two processes under load while workers and brokers are killed and paused, and somebody reads the lake all the time.

use crate::contract::now;
use crate::deployment::{Deployment, Shape, said};
use crate::python::Python;
use crate::seed::Seed;
use crate::servers::{Kafka, S3};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use thalweg::model::{Partition, Role, Topic, TopicPartition};
use thalweg::port::{Isolation, Log, Reader};

const EVENTS: u64 = 180_000;
const RATE: u64 = 800;
/// Of each worker.
const KILLS: usize = 20;
const PAUSES: usize = 3;
const BROKERS: u16 = 3;
/// Three times the session time-out of the tests' deployments.
const PAUSE: Duration = Duration::from_secs(18);
const FAILOVER_MAX: Duration = Duration::from_secs(20);
const RAW_PARTITIONS: u32 = 6;

#[derive(Debug, Clone, Copy)]
enum Fault {
    KillWorker(usize),
    PauseWorker(usize),
    KillBroker(u16),
}

/// Every fault as often as it was promised, in an order of the seed's.
fn faults(seed: &mut Seed) -> Vec<Fault> {
    let mut all = Vec::new();
    for worker in 0..2 {
        all.extend(vec![Fault::KillWorker(worker); KILLS]);
        all.extend(vec![Fault::PauseWorker(worker); PAUSES]);
    }
    all.extend((1..=BROKERS).map(Fault::KillBroker));
    seed.shuffle(&mut all);
    all
}

struct Workers<'a> {
    deployment: &'a Deployment,
    running: Vec<Child>,
}

impl Workers<'_> {
    fn kill(&mut self, worker: usize) {
        self.running[worker].kill().unwrap();
        self.running[worker].wait().unwrap();
    }

    fn start(&mut self, worker: usize) {
        self.running[worker] = self.deployment.worker(worker as u32);
    }

    fn signal(&self, worker: usize, signal: Signal) {
        kill_process(Pid::from_child(&self.running[worker]), signal).unwrap();
    }

    /// A worker that found out that somebody else does its work may have ended; like any supervisor, start it again.
    fn keep(&mut self) {
        for worker in 0..self.running.len() {
            if self.running[worker].try_wait().unwrap().is_some() {
                self.start(worker);
            }
        }
    }

    fn suffer(&mut self, fault: Fault, kafka: &Kafka) {
        match fault {
            Fault::KillWorker(worker) => {
                self.kill(worker);
                self.start(worker);
            }
            Fault::PauseWorker(worker) => {
                self.signal(worker, Signal::STOP);
                thread::sleep(PAUSE);
                self.signal(worker, Signal::CONT);
            }
            Fault::KillBroker(node) => {
                kafka.kill(node);
                thread::sleep(Duration::from_secs(5));
                kafka.restart(node);
            }
        }
    }
}

/// Has `route` committed all that stands in the raw topic, and `aggregate` all that `route` made of it?
fn has_caught_up(reader: &mut dyn Reader) -> bool {
    let mut end = |topic, partition| {
        let at = TopicPartition { topic, partition: Partition(partition) };
        now(reader.ends(at, Isolation::ReadCommitted)).map(|ends| ends.next)
    };
    let raw: Vec<_> = (0..RAW_PARTITIONS).map(|partition| end(Topic::Raw, partition)).collect();
    let targets: Vec<_> = (0..4).map(|partition| end(Topic::Repartition, partition)).collect();
    let mut has = |role, ends: Vec<Result<_, _>>| {
        ends.into_iter().enumerate().all(|(partition, end)| {
            let committed = now(reader.committed(role, Partition(partition as u32)));
            matches!((committed, end), (Ok(Some(at)), Ok(end)) if at.next >= end)
        })
    };
    has(Role::Route, raw) && has(Role::Aggregate, targets)
}

fn until_caught_up(reader: &mut dyn Reader, patience: Duration) -> Duration {
    let began = Instant::now();
    while !has_caught_up(reader) {
        assert!(began.elapsed() < patience, "not caught up after {patience:?}");
        thread::sleep(Duration::from_millis(200));
    }
    began.elapsed()
}

#[test]
fn killed_and_paused_workers_and_brokers_lose_and_double_nothing_and_no_reader_is_misled() {
    let (Some(python), Some(kafka), Some(store)) =
        (Python::or_left_out(), Kafka::start(BROKERS), S3::shared())
    else {
        return;
    };
    let mut seed = Seed::of_this_run();
    println!("the order of faults again with SEED={}", seed.number());
    let shape = Shape { raw_partitions: RAW_PARTITIONS, replication: 3, ..Shape::default() };
    let deployment = Deployment::with(&kafka, store, &shape);
    // Small chunks: so that every kill finds a plan or a file on its way.
    deployment.edit_topology("age: 5m, bytes: 128MiB", "age: 3s, bytes: 1MiB");
    deployment.make_topics();
    let stop = deployment.config_path().with_file_name("stop");
    let poll = python
        .oracle(
            "poll.py",
            &[
                &deployment.glob(store, "marketplace_events"),
                &deployment.glob(store, "marketplace_events_refused"),
                stop.to_str().unwrap(),
                "2",
            ],
        )
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut load = deployment.generating(&["--events", &EVENTS.to_string(), "--rate", &RATE.to_string()]);
    let mut workers =
        Workers { deployment: &deployment, running: vec![deployment.worker(0), deployment.worker(1)] };

    for fault in faults(&mut seed) {
        thread::sleep(Duration::from_millis(500 + seed.below(2_000)));
        workers.keep();
        workers.suffer(fault, &kafka);
    }

    // One goes for good; the other has all of it soon.
    let mut log = deployment.log.reader();
    thread::sleep(Duration::from_secs(10));
    workers.keep();
    until_caught_up(&mut *log, Duration::from_secs(120));
    workers.kill(0);
    deployment.generate(&["--events", "600", "--seed", "99"]);
    let failover = until_caught_up(&mut *log, Duration::from_secs(60));
    workers.kill(1);
    let loaded = load.wait().unwrap();

    deployment.fine("run", &["--until-idle"]);
    fs::write(&stop, "").unwrap();
    let verdict = poll.wait_with_output().unwrap();
    println!("failover took {failover:?}; reader: {}", String::from_utf8_lossy(&verdict.stdout));
    assert!(verdict.status.success(), "{}", said(&verdict));
    assert!(loaded.success(), "the load was not acknowledged");
    assert!(failover < FAILOVER_MAX, "failover took {failover:?}");
    deployment.proved(EVENTS + 600);
}
