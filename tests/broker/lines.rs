//! F27, F29, F29b: trouble on the line to a broker. Requests and answers that are lost, held and cut at the moment of a
//! commit; offset commits that arrive after newer ones; records of a session that are refused in its middle.

use crate::contract::{fresh, now};
use crate::deployment::{Deployment, Shape};
use crate::river::{ends_with, produce, proved, topology};
use crate::servers::ports::Port;
use crate::servers::proxy::{
    Act, END_TXN, Gate, NOT_ENOUGH_REPLICAS, OFFSET_COMMIT, PRODUCE, Request, TXN_OFFSET_COMMIT, proxy,
};
use crate::servers::{Kafka, S3};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use thalweg::kafka::KafkaLog;
use thalweg::model::{Partition, Role, Topic, TopicPartition};
use thalweg::port::{Isolation, Log, Polled, Reaction};

const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);
/// Longer than a client waits for an answer.
const AWAY: Duration = Duration::from_secs(5);
/// So long a client waits for an answer, and the brokers for a transaction and for a member.
const TIMEOUTS: &str = "session: 18s, heartbeat: 500ms, transaction: 15s, request: 3s";

/// One broker behind a line that `judge` rules.
fn broker(judge: impl Fn(&Request<'_>) -> Act + Send + Sync + 'static) -> Option<Kafka> {
    let (setup, port) = (Kafka::setup(1)?, Port::reserve());
    let broker = setup.ports()[0];
    let kafka = setup.advertise(&[port.number()]).start();
    proxy(&port, broker, judge);
    Some(kafka)
}

fn deployment(kafka: &Kafka, store: &S3) -> Deployment {
    let config = "pace: { commit_every: 200ms, route_commit_every: 200ms, link_every: 1s }\n";
    let deployment = Deployment::with(kafka, store, &Shape { config, ..Shape::default() });
    deployment.edit_topology("age: 5m, bytes: 128MiB", "age: 1s, bytes: 1MiB");
    deployment.make_topics();
    let text = deployment.config_text();
    let config = text.replace("session: 6s, heartbeat: 500ms, transaction: 5s, request: 10s", TIMEOUTS);
    assert_ne!(text, config);
    std::fs::write(deployment.config_path(), config).unwrap();
    deployment
}

/// The deployment's log for the test itself, which waits no longer for answers than the worker does.
fn log(deployment: &Deployment) -> KafkaLog {
    let mut settings = deployment.log.settings().clone();
    settings.timeouts.request = Duration::from_secs(3);
    KafkaLog::new(settings)
}

/// How far a role has committed, in each of its partitions.
fn positions(log: &KafkaLog, role: Role) -> Vec<u64> {
    let (mut reader, end) = (log.reader(), Instant::now() + PATIENCE);
    let partitions = if role == Role::Aggregate { 4 } else { 2 };
    let at = |partition| loop {
        match now(reader.committed(role, Partition(partition))) {
            Ok(at) => return at.map_or(0, |at| at.next.0),
            // While the line is in trouble nobody can tell.
            Err(failure) => assert!(Instant::now() < end, "{failure}"),
        }
    };
    (0..partitions).map(at).collect()
}

/// The same, over all partitions.
fn committed(log: &KafkaLog, role: Role) -> u64 {
    positions(log, role).into_iter().sum()
}

/// Where the raw partitions end.
fn raw_ends(log: &KafkaLog) -> Vec<u64> {
    let mut reader = log.reader();
    let at = |partition| TopicPartition { topic: Topic::Raw, partition: Partition(partition) };
    (0..2)
        .map(|partition| now(reader.ends(at(partition), Isolation::ReadCommitted)).unwrap().next.0)
        .collect()
}

#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "{what} did not happen");
        thread::sleep(LOOK);
    }
}

/// What happens to the line at the next end of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trouble {
    CutBefore,
    CutBehind,
    /// Its answer is lost.
    Unanswered,
    /// Nothing passes for a while; then all of it does, long after it was given up.
    BlackHole,
    /// Requests pass for a while, and no answer does.
    Deaf,
}

const TROUBLES: [Trouble; 5] =
    [Trouble::CutBefore, Trouble::CutBehind, Trouble::Unanswered, Trouble::BlackHole, Trouble::Deaf];

#[derive(Default)]
struct Line {
    next: Option<Trouble>,
    /// Everything on every connection, until then.
    on: Option<(Trouble, Instant, Gate)>,
    /// Epochs of transactional requests, in order: of an end, or of offsets.
    seen: Vec<(bool, i16)>,
}

impl Line {
    fn judge(&mut self, request: &Request<'_>) -> Act {
        let is_end = request.api() == END_TXN;
        if is_end || request.api() == TXN_OFFSET_COMMIT {
            self.seen.push((is_end, request.epoch()));
        }
        self.on.take_if(|(_, until, _)| Instant::now() > *until);
        if let Some((trouble, _, gate)) = &self.on {
            return if *trouble == Trouble::Deaf { Act::Lose } else { Act::Hold(gate.clone()) };
        }
        if !(is_end && request.commits()) {
            return Act::Pass;
        }
        match self.next.take() {
            None => Act::Pass,
            Some(Trouble::CutBefore) => Act::Cut,
            Some(Trouble::CutBehind) => Act::CutBehind,
            Some(Trouble::Unanswered) => Act::Lose,
            Some(trouble) => {
                let gate = Gate::open_after(AWAY);
                self.on = Some((trouble, Instant::now() + AWAY, gate.clone()));
                if trouble == Trouble::Deaf { Act::Lose } else { Act::Hold(gate) }
            }
        }
    }

    /// I13: whoever sent the end of a transaction more than once begins none with the same epoch.
    fn reused_epochs(&self) -> Vec<i16> {
        let (mut last, mut tainted, mut reused) = (None, Vec::new(), Vec::new());
        for &(is_end, epoch) in &self.seen {
            if is_end && last == Some((true, epoch)) {
                tainted.push(epoch);
            }
            if !is_end && tainted.contains(&epoch) {
                reused.push(epoch);
            }
            last = Some((is_end, epoch));
        }
        reused
    }
}

#[test]
fn a_line_that_breaks_at_a_commit_in_any_way_costs_time_and_nothing_else() {
    let Some(store) = S3::shared() else { return };
    let line = Arc::new(Mutex::new(Line::default()));
    let judge = Arc::clone(&line);
    let Some(kafka) = broker(move |request| judge.lock().unwrap().judge(request)) else { return };
    let deployment = deployment(&kafka, store);
    let log = log(&deployment);
    let mut worker = deployment.worker(0);
    let (mut events, mut seed) = (0, 0);
    let mut more = || {
        produce(&log, seed, 100);
        (events, seed) = (events + 100, seed + 1);
    };

    for trouble in TROUBLES {
        let began = Instant::now();
        let before = committed(&log, Role::Aggregate);
        more();
        until("a commit before the trouble", || committed(&log, Role::Aggregate) > before);
        line.lock().unwrap().next = Some(trouble);
        more();
        until("the trouble", || line.lock().unwrap().next.is_none());
        until("its end", || {
            let line = line.lock().unwrap();
            line.on.as_ref().is_none_or(|(_, until, _)| Instant::now() > *until)
        });
        let before = committed(&log, Role::Aggregate);
        more();
        until("a commit behind the trouble", || committed(&log, Role::Aggregate) > before);
        println!("{trouble:?}: {:?}", began.elapsed());
    }
    assert!(worker.try_wait().unwrap().is_none(), "the worker gave up");
    // It leaves its groups, so that nobody waits for the end of its sessions.
    kill_process(Pid::from_child(&worker), Signal::TERM).unwrap();
    assert!(worker.wait().unwrap().success());

    assert_eq!(line.lock().unwrap().reused_epochs(), [0i16; 0]);
    deployment.fine("run", &["--until-idle"]);
    deployment.proved(events);
}

/// Offset commits of two groups on their way.
#[derive(Default)]
struct Late {
    held: BTreeMap<&'static str, Gate>,
    is_armed: bool,
}

const GROUPS: [&str; 2] = ["-route", "-lake"];

impl Late {
    fn judge(&mut self, request: &Request<'_>) -> Act {
        if request.api() != OFFSET_COMMIT || !self.is_armed {
            return Act::Pass;
        }
        let group = request.group();
        match GROUPS.into_iter().find(|suffix| group.ends_with(suffix)) {
            Some(suffix) if !self.held.contains_key(suffix) => {
                let gate = Gate::default();
                self.held.insert(suffix, gate.clone());
                Act::Hold(gate)
            }
            _ => Act::Pass,
        }
    }
}

/// The first sends again from there, and it is ignored; for the second a commit is only a hint.
#[test]
fn offset_commits_of_route_and_lake_that_arrive_after_newer_ones_take_nothing_back() {
    let Some(store) = S3::shared() else { return };
    let late = Arc::new(Mutex::new(Late::default()));
    let judge = Arc::clone(&late);
    let Some(kafka) = broker(move |request| judge.lock().unwrap().judge(request)) else { return };
    let deployment = deployment(&kafka, store);
    let log = log(&deployment);
    let mut worker = deployment.worker(0);
    let (mut events, mut seed) = (0, 0);
    let mut more = || {
        produce(&log, seed, 100);
        (events, seed) = (events + 100, seed + 1);
    };
    let roles = [Role::Route, Role::Lake];
    let all = || roles.map(|role| positions(&log, role));
    more();
    until("first commits", || all().iter().all(|at| at.iter().sum::<u64>() > 0));

    late.lock().unwrap().is_armed = true;
    until("commits that are held", || {
        more();
        late.lock().unwrap().held.len() == GROUPS.len()
    });
    // Whichever partition a commit that is held is of, it says no more than that.
    let ends = raw_ends(&log);
    until("newer commits", || {
        more();
        all().iter().flat_map(|at| at.iter().zip(&ends)).all(|(at, end)| at > end)
    });
    worker.kill().unwrap();
    worker.wait().unwrap();
    let newer = all();
    for (suffix, gate) in &late.lock().unwrap().held {
        gate.release();
        until(suffix, || gate.is_answered());
    }
    let older = all();
    let went_back =
        |(older, newer): (&Vec<u64>, &Vec<u64>)| older.iter().zip(newer).any(|(old, new)| old < new);
    assert!(older.iter().zip(&newer).all(went_back), "{newer:?} → {older:?}");

    late.lock().unwrap().is_armed = false;
    more();
    deployment.fine("run", &["--until-idle"]);
    deployment.proved(events);
}

/// Blocks, links and letters in the middle of sessions: what is behind the refused one passes, and is a hole until the
/// next session has sent it again.
#[test]
fn records_that_are_refused_in_the_middle_of_sessions_leave_no_hole() {
    /// No client sends these again by itself.
    const INVALID_RECORD: i16 = 87;
    const EVENTS: u64 = 2_000;
    let sent = Mutex::new(0);
    let refused = Arc::new(Mutex::new(0));
    let count = Arc::clone(&refused);
    let judge = move |request: &Request<'_>| {
        if request.api() != PRODUCE || !request.place().0.ends_with(".repartition") {
            return Act::Pass;
        }
        let mut sent = sent.lock().unwrap();
        *sent += 1;
        let error = match *sent {
            4 | 9 => INVALID_RECORD,
            6 => NOT_ENOUGH_REPLICAS,
            _ => return Act::Pass,
        };
        *count.lock().unwrap() += 1;
        Act::Refuse(Gate::open_after(Duration::from_millis(50)), error)
    };
    let Some(kafka) = broker(judge) else { return };
    let mut settings = fresh(&kafka.bootstrap()).settings().clone();
    // Many requests, and several of them on their way.
    settings.client.insert("batch.num.messages".into(), "2".into());
    settings.client.insert("log_level".into(), "3".into());
    let (log, topology, lake) = (KafkaLog::new(settings), topology(), tempfile::tempdir().unwrap());
    produce(&log, 11, EVENTS);

    let halts = ends_with(&log, &topology, lake.path(), |_| ());

    assert_eq!(halts, []);
    assert_eq!(*refused.lock().unwrap(), 3, "each was sent and refused");
    proved(&log, &topology, lake.path(), EVENTS);
}

/// The group says once what a member gets, and the member looks up the topic then.
#[test]
fn partitions_that_are_given_while_no_broker_tells_of_the_topic_are_read_afterwards() {
    const METADATA: i16 = 3;
    const SYNC_GROUP: i16 = 14;
    let is_silent = Arc::new(AtomicBool::new(false));
    let silence = Arc::clone(&is_silent);
    let judge = move |request: &Request<'_>| match request.api() {
        SYNC_GROUP => {
            silence.store(true, Ordering::SeqCst);
            Act::Pass
        }
        METADATA if silence.load(Ordering::SeqCst) => Act::Lose,
        _ => Act::Pass,
    };
    let Some(kafka) = broker(judge) else { return };
    let mut settings = fresh(&kafka.bootstrap()).settings().clone();
    settings.timeouts.request = Duration::from_secs(2);
    let mut consumer = KafkaLog::new(settings).consumer(Role::Route);

    let (mut failures, mut given) = (0, Vec::new());
    until("partitions that are given", || {
        match now(consumer.poll(1 << 20, LOOK)) {
            Ok(Polled::Assigned(partitions)) => given.extend(partitions),
            Ok(_) => {}
            Err(failure) => {
                assert_eq!(failure.reaction, Reaction::Retry, "{failure}");
                failures += 1;
                is_silent.store(false, Ordering::SeqCst);
            }
        }
        !given.is_empty()
    });

    given.sort();
    assert_eq!((failures, given), (1, vec![Partition(0), Partition(1)]));
}
