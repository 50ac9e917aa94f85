//! Whether the books balance: how far everybody is while it runs, and every check at the end.

use crate::deployment::{Deployment, said};
use crate::fresh::now;
use crate::python::Python;
use crate::servers::S3;
use serde_json::Value;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};
use std::{fs, thread};
use thalweg::model::{NextOffset, Partition, Role, Topic, TopicPartition};
use thalweg::port::{Isolation, Log, Reader};

pub(crate) const RAW_PARTITIONS: u32 = 6;
/// The topology leaves `partitions` at its default.
const TARGETS: u32 = 4;
const LOOK: Duration = Duration::from_millis(200);
/// Once nothing is broken any more, no transaction stays open for longer (I16).
const STALL_MAX: Duration = Duration::from_secs(30);

/// How far everybody is. What cannot be asked just now is as it was.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Far {
    raw: u64,
    routed: u64,
    repartition: u64,
    aggregated: u64,
    filed: u64,
}

impl Far {
    /// Kept by a thread of its own: while brokers are broken a question takes as long as it takes.
    pub(crate) fn keep(log: &dyn Log, far: &Mutex<Far>, is_over: impl Fn() -> bool) {
        let mut reader = log.reader();
        while !is_over() {
            let mut next = *far.lock().unwrap_or_else(PoisonError::into_inner);
            next.ask(&mut *reader);
            *far.lock().unwrap_or_else(PoisonError::into_inner) = next;
            thread::sleep(LOOK);
        }
    }

    fn ask(&mut self, reader: &mut dyn Reader) {
        let to = |known: &mut u64, asked: Option<u64>| *known = asked.unwrap_or(*known);
        to(&mut self.routed, committed(reader, Role::Route, RAW_PARTITIONS));
        to(&mut self.aggregated, committed(reader, Role::Aggregate, TARGETS));
        to(&mut self.filed, committed(reader, Role::Lake, RAW_PARTITIONS));
        to(&mut self.raw, ends(reader, Topic::Raw, RAW_PARTITIONS, Isolation::ReadCommitted));
        to(&mut self.repartition, ends(reader, Topic::Repartition, TARGETS, Isolation::ReadCommitted));
    }

    /// All that is in the raw topic is routed and counted.
    pub(crate) fn is_counted(&self) -> bool {
        self.raw > 0 && self.routed >= self.raw && self.aggregated >= self.repartition
    }

    /// And filed.
    pub(crate) fn is_all(&self) -> bool {
        self.is_counted() && self.filed >= self.raw
    }

    fn words(&self) -> String {
        format!(
            "{} events; behind: route {}, aggregate {}, lake {}",
            self.raw,
            self.raw.saturating_sub(self.routed),
            self.repartition.saturating_sub(self.aggregated),
            self.raw.saturating_sub(self.filed),
        )
    }
}

fn committed(reader: &mut dyn Reader, role: Role, partitions: u32) -> Option<u64> {
    let one = |partition| now(reader.committed(role, Partition(partition))).ok();
    (0..partitions).map(one).map(|at| at.map(|at| at.map_or(0, |at| at.next.0))).sum()
}

fn ends(reader: &mut dyn Reader, topic: Topic, partitions: u32, isolation: Isolation) -> Option<u64> {
    let mut one = |partition| end(reader, topic, partition, isolation).map(|end| end.0);
    (0..partitions).map(&mut one).sum()
}

fn end(reader: &mut dyn Reader, topic: Topic, partition: u32, isolation: Isolation) -> Option<NextOffset> {
    let at = TopicPartition { topic, partition: Partition(partition) };
    now(reader.ends(at, isolation)).ok().map(|ends| ends.next)
}

/// For the board: one line of how far everybody is.
pub(crate) struct Pulse<'a> {
    pub(crate) far: &'a Mutex<Far>,
    pub(crate) so_far: PathBuf,
}

impl Pulse<'_> {
    pub(crate) fn take(&self) -> String {
        let far = *self.far.lock().unwrap_or_else(PoisonError::into_inner);
        let seen = fs::read(&self.so_far).ok().and_then(|text| serde_json::from_slice::<Value>(&text).ok());
        let seen = seen.map_or("nothing yet".to_owned(), |seen| {
            let faults = seen["faults"].as_array().map_or(0, Vec::len);
            format!("{} rows in {} files, misled {faults} times", seen["rows"], seen["files"])
        });
        format!("{} · reader: {seen}", far.words())
    }
}

/// Asks until they are so far, and says how long that took. Meanwhile `keep` does what a supervisor does.
pub(crate) fn until_caught_up(
    reader: &mut dyn Reader,
    is_so_far: fn(&Far) -> bool,
    patience: Duration,
    mut keep: impl FnMut(),
) -> Result<Duration, String> {
    let began = Instant::now();
    let mut far = Far::default();
    while !is_so_far(&far) {
        if began.elapsed() > patience {
            return Err(format!("not caught up after {patience:?}: {}", far.words()));
        }
        keep();
        thread::sleep(LOOK);
        far = Far::default();
        far.ask(reader);
    }
    Ok(began.elapsed())
}

/// I16: no transaction stays open where nobody is broken.
pub(crate) fn no_transaction_hangs(reader: &mut dyn Reader) -> Result<(), String> {
    let until = Instant::now() + STALL_MAX;
    for topic in [Topic::Repartition, Topic::State, Topic::Metrics, Topic::SetAside] {
        for partition in 0..TARGETS {
            // Workers go on committing, so there is an instant without a transaction soon, and not at all times.
            let mut are_equal = || {
                let stable = end(reader, topic, partition, Isolation::ReadCommitted);
                stable.is_some() && stable >= end(reader, topic, partition, Isolation::ReadUncommitted)
            };
            while !are_equal() {
                if Instant::now() > until {
                    return Err(format!(
                        "{topic:?} {partition} has had an open transaction for {STALL_MAX:?}"
                    ));
                }
                thread::sleep(LOOK);
            }
        }
    }
    Ok(())
}

/// Somebody who reads the lake all the time, with plain globs.
pub(crate) struct Watcher {
    child: Child,
    stop: PathBuf,
}

impl Watcher {
    pub(crate) fn start(python: &Python, deployment: &Deployment, store: &S3) -> Watcher {
        let stop = deployment.folder.path().join("stop");
        let (events, refused) = ("marketplace_events", "marketplace_events_refused");
        let globs = [deployment.glob(store, events), deployment.glob(store, refused)];
        let child = python
            .oracle("poll.py", &[&globs[0], &globs[1], stop.to_str().expect("a path of ours is text"), "2"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the reader starts");
        Watcher { child, stop }
    }

    pub(crate) fn so_far(&self) -> PathBuf {
        self.stop.with_file_name("stop.so-far")
    }

    /// What it saw, and whether it was ever misled.
    pub(crate) fn verdict(self) -> Result<Value, String> {
        fs::write(&self.stop, "").map_err(|error| error.to_string())?;
        let output = self.child.wait_with_output().map_err(|error| error.to_string())?;
        match output.status.success() {
            true => Ok(serde_json::from_slice(&output.stdout).expect("a verdict is JSON")),
            false => Err(format!("a reader of the lake was misled: {}", said(&output))),
        }
    }
}

/// `verify`'s report, if it is green.
pub(crate) fn verified(deployment: &Deployment) -> Result<Value, String> {
    let output = deployment.command("verify").args(["--output", "json"]).output().expect("verify starts");
    if !output.status.success() {
        return Err(format!("verify: {}", said(&output)));
    }
    Ok(serde_json::from_slice(&output.stdout).expect("a report is JSON"))
}

/// Every record that was ever committed to the metrics topic is right at its own position (I2, I3).
pub(crate) fn every_commit(
    python: &Python,
    deployment: &Deployment,
    store: &S3,
    brokers: &str,
) -> Result<Value, String> {
    let folder = deployment.folder.path();
    let lake = store.folder().join(store.bucket()).join(&deployment.log.settings().deployment);
    let (river, sql, aside) =
        (folder.join("river"), folder.join("lake.sql"), folder.join("set-aside.ndjson"));
    fs::create_dir_all(&river).expect("a folder of ours can be made");
    symlink(lake, river.join("lake")).expect("a folder of ours can be written");
    let mut ddl = Command::new(env!("CARGO_BIN_EXE_thalweg"));
    ddl.arg("ddl").arg(deployment.topology_path()).args(["--engine", "duckdb", "--embedded"]).arg(&river);
    fs::write(&sql, ddl.output().expect("ddl starts").stdout).expect("a file of ours can be written");
    fs::write(&aside, deployment.fine("metrics", &["--set-aside"])).expect("a file of ours can be written");
    let topic = deployment.log.settings().topic(Topic::Metrics);
    let targets = TARGETS.to_string();
    let output = python
        .oracle("every_commit.py", &[brokers, &topic, text(&sql), text(&aside), &targets])
        .output()
        .expect("the oracle starts");
    match output.status.success() {
        true => Ok(serde_json::from_slice(&output.stdout).expect("what it found is JSON")),
        false => Err(format!("a committed record was wrong: {}", said(&output))),
    }
}

/// Every transaction is whole, in all topics that it wrote to.
pub(crate) fn whole_transactions(
    python: &Python,
    deployment: &Deployment,
    brokers: &str,
) -> Result<Value, String> {
    let name = &deployment.log.settings().deployment;
    let output =
        python.oracle("whole_transactions.py", &[brokers, name]).output().expect("the oracle starts");
    match output.status.success() {
        true => Ok(serde_json::from_slice(&output.stdout).expect("what it found is JSON")),
        false => Err(format!("a transaction is not whole: {}", said(&output))),
    }
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a path of ours is text")
}
