//! F30, F31, F32: a store that refuses, lies, is heard late or not at all, and is slow, under load and with a reader.

use crate::contract::now;
use crate::deployment::{Deployment, Shape, said};
use crate::python::Python;
use crate::servers::{Asked, Fate, Kafka, S3, StoreProxy};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use thalweg::model::{Partition, Role, Topic, TopicPartition};
use thalweg::port::{Isolation, Log};

const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);
/// More than the test takes; the load is stopped at its end.
const EVENTS: u64 = 1_000_000;
const RATE: u64 = 100;
/// How long nothing but errors comes back.
const BURST: Duration = Duration::from_secs(5);
/// Each answer takes so long, for longer than a session lasts.
const SLOW: Duration = Duration::from_secs(1);
const SLOW_FOR: Duration = Duration::from_secs(8);
/// How often each of these happens, at least.
const TIMES: usize = 1;
/// Longer than the pause before the next attempt: what is late meets what was sent again.
const LATE: Duration = Duration::from_secs(1);
/// In this order, for plans and for everything else.
const CREATES: [Fate; 9] = [
    Fate::Unheard,
    Fate::Pass,
    Fate::Late(LATE),
    Fate::Pass,
    Fate::FalselyFine,
    Fate::TakenAndDenied,
    Fate::Pass,
    Fate::Refused(503),
    Fate::Pass,
];
const READS: [Fate; 5] = [Fate::Half, Fate::Pass, Fate::Refused(500), Fate::Pass, Fate::Pass];

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
enum Weather {
    #[default]
    Fine,
    Refusing,
    Lying,
    Slow,
}

#[derive(Default)]
struct Store {
    weather: Weather,
    /// Of plans, and of everything else.
    creates: [usize; 2],
    reads: usize,
    /// By kind of object and fate.
    seen: BTreeMap<(bool, String), usize>,
}

impl Store {
    fn judge(&mut self, asked: &Asked) -> Fate {
        let fate = match self.weather {
            Weather::Fine => return Fate::Pass,
            Weather::Slow => return Fate::Slow(SLOW),
            Weather::Refusing => {
                self.reads += 1;
                return Fate::Refused(if self.reads.is_multiple_of(2) { 500 } else { 503 });
            }
            Weather::Lying if asked.method == "PUT" => {
                let count = &mut self.creates[usize::from(is_plan(&asked.path))];
                *count += 1;
                CREATES[*count % CREATES.len()]
            }
            Weather::Lying => {
                self.reads += 1;
                READS[self.reads % READS.len()]
            }
        };
        if asked.method == "PUT" {
            *self.seen.entry((is_plan(&asked.path), format!("{fate:?}"))).or_default() += 1;
        }
        fate
    }

    /// Has each of them happened to plans and to files?
    fn has_lied(&self) -> bool {
        let often = |is_plan| {
            let seen = |fate: &Fate| self.seen.get(&(is_plan, format!("{fate:?}"))).copied().unwrap_or(0);
            CREATES.iter().all(|fate| seen(fate) >= TIMES)
        };
        often(true) && often(false)
    }
}

fn is_plan(path: &str) -> bool {
    path.ends_with(".plan")
}

/// I8 and I20: nothing is deleted or overwritten, and no file is created before its plan stands.
fn has_kept_its_word(asked: &[Asked]) {
    let mut plans: BTreeMap<String, usize> = BTreeMap::new();
    let mut files = 0;
    for (at, request) in asked.iter().enumerate() {
        assert!(matches!(request.method.as_str(), "GET" | "HEAD" | "PUT"), "{request:?}");
        assert!(request.method != "PUT" || request.is_create_only, "{request:?}");
        if is_plan(&request.path) && matches!((&*request.method, request.status), ("PUT" | "GET", Some(200)))
        {
            let (chain, slot) = request.path.rsplit_once('/').unwrap();
            let partition = chain.rsplit_once('/').unwrap().1;
            let slot: u64 = slot.trim_end_matches(".plan").parse().unwrap();
            let first = plans.entry(format!("{partition}-o{slot}")).or_insert(request.answered_at);
            *first = (*first).min(request.answered_at);
        }
        if request.method == "PUT" && request.path.ends_with(".parquet") {
            files += 1;
            let name = request.path.rsplit_once('/').unwrap().1;
            let mut parts = name.split('-').skip(1);
            let slot = format!("{}-{}", parts.next().unwrap(), parts.next().unwrap());
            assert!(plans.get(&slot).is_some_and(|&answered| answered <= at), "before its plan: {request:?}");
        }
    }
    assert!(files > 100, "{files} files");
}

#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "{what} did not happen");
        thread::sleep(LOOK);
    }
}

#[test]
fn a_store_that_refuses_lies_and_dawdles_is_never_overwritten_and_metrics_do_not_wait_for_it() {
    let (Some(python), Some(kafka), Some(real)) = (Python::or_left_out(), Kafka::shared(), S3::shared())
    else {
        return;
    };
    let store = Arc::new(Mutex::new(Store::default()));
    let judge = Arc::clone(&store);
    let proxy = StoreProxy::before(real.port(), move |asked| judge.lock().unwrap().judge(asked));
    let config = "pace: { commit_every: 200ms, route_commit_every: 200ms, backoff: { first: 50ms, longest: 500ms } }\n";
    let deployment = Deployment::with(kafka, real, &Shape { config, ..Shape::default() });
    deployment.edit_topology("age: 5m, bytes: 128MiB", "age: 1s, bytes: 1MiB");
    let text = deployment.config_text();
    fs::write(deployment.config_path(), text.replace(&real.endpoint(), &proxy.endpoint())).unwrap();
    deployment.make_topics();
    let stop = deployment.folder.path().join("stop");
    let [events, refused] =
        ["marketplace_events", "marketplace_events_refused"].map(|table| deployment.glob(real, table));
    let poll = python
        .oracle("poll.py", &[&events, &refused, stop.to_str().unwrap(), "1"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut load = deployment.generating(&["--events", &EVENTS.to_string(), "--rate", &RATE.to_string()]);
    let log = deployment.folder.path().join("worker.log");
    let mut worker = deployment.command("run");
    let mut worker = worker.stderr(File::create(&log).unwrap()).spawn().unwrap();
    let mut reader = deployment.log.reader();
    let mut committed = |role: Role| -> u64 {
        let partitions = if role == Role::Aggregate { 4 } else { 2 };
        let mut at = |partition| now(reader.committed(role, Partition(partition))).unwrap();
        (0..partitions).map(|partition| at(partition).map_or(0, |at| at.next.0)).sum()
    };
    let mut moves = |role: Role| {
        let before = committed(role);
        until(&format!("progress of {role:?}"), || committed(role) > before);
    };
    let weather = |weather| store.lock().unwrap().weather = weather;
    moves(Role::Lake);

    weather(Weather::Refusing);
    let burst = Instant::now();
    while burst.elapsed() < BURST {
        // Not one of them waits for the store.
        let began = Instant::now();
        moves(Role::Aggregate);
        println!("metrics without a store: {:?}", began.elapsed());
    }
    weather(Weather::Lying);
    until("every lie", || store.lock().unwrap().has_lied());
    moves(Role::Aggregate);
    weather(Weather::Slow);
    thread::sleep(SLOW_FOR);
    moves(Role::Aggregate);
    weather(Weather::Fine);
    moves(Role::Lake);

    assert!(worker.try_wait().unwrap().is_none(), "the worker gave up");
    worker.kill().unwrap();
    worker.wait().unwrap();
    load.kill().unwrap();
    load.wait().unwrap();
    let said_it = fs::read_to_string(&log).unwrap();
    assert!(!said_it.contains("\"message\":\"lost\""), "a session was lost:\n{said_it}");
    let mut reader = deployment.log.reader();
    let end = |partition| {
        let at = TopicPartition { topic: Topic::Raw, partition: Partition(partition) };
        now(reader.ends(at, Isolation::ReadCommitted)).unwrap().next.0
    };
    let events = (0..2).map(end).sum();
    deployment.fine("run", &["--until-idle"]);
    deployment.proved(events);
    fs::write(&stop, "").unwrap();
    let verdict = poll.wait_with_output().unwrap();
    assert!(verdict.status.success(), "{}", said(&verdict));
    println!("{:?}", store.lock().unwrap().seen);
    has_kept_its_word(&proxy.asked());
}
