//! F28: the end of a transaction that was sent twice, and whose first copy arrives during the next transaction. Brokers
//! of the older protocol (`transaction.version=1`) cannot tell it from an end of that one.

use crate::block_on::block_on;
use crate::contract::{fresh, now};
use crate::deployment::{Deployment, Shape};
use crate::port_contract::{at, values};
use crate::river::produce;
use crate::servers::ports::Port;
use crate::servers::proxy::{Act, END_TXN, Gate, PRODUCE, Request, TXN_OFFSET_COMMIT, proxy};
use crate::servers::{Kafka, S3};
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use rustix::process::{Pid, Signal, kill_process};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use thalweg::kafka::KafkaLog;
use thalweg::model::{OutBatch, Topic};
use thalweg::port::{Ended, Isolation, Log};

const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(20);
/// After so long without an answer a client sends the end again.
const REQUEST: Duration = Duration::from_secs(3);
const NONE: i16 = 0;
/// What a broker says to the end of an older producer.
const FENCED: [i16; 2] = [47, 90];
/// No client can mend it, so its transaction is aborted.
const INVALID_REQUIRED_ACKS: i16 = 21;

/// Where the end that is going to be late stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Off,
    /// The next end that commits, or aborts, is held.
    Armed {
        commits: bool,
    },
    /// Its sender waits, and will send it again.
    Held,
    /// The copy has passed.
    Repeated,
    /// The broker's answer to the late one.
    Answered(i16),
    /// A record of the next transaction is refused, so that it aborts.
    Refusing,
}

struct Line {
    stage: Mutex<(Stage, Gate)>,
    /// Released by itself in the middle of the next transaction.
    is_released: bool,
}

impl Line {
    fn new(is_released: bool) -> Arc<Line> {
        Arc::new(Line { stage: Mutex::new((Stage::Off, Gate::default())), is_released })
    }

    fn stage(&self) -> Stage {
        self.stage.lock().unwrap().0
    }

    fn set(&self, stage: Stage) {
        *self.stage.lock().unwrap() = (stage, Gate::default());
    }

    fn judge(&self, request: &Request<'_>) -> Act {
        let mut now = self.stage.lock().unwrap();
        match (request.api(), now.0) {
            (END_TXN, Stage::Armed { commits }) if request.commits() == commits => {
                now.0 = Stage::Held;
                return Act::Hold(now.1.clone());
            }
            (END_TXN, Stage::Held) => now.0 = Stage::Repeated,
            (TXN_OFFSET_COMMIT, Stage::Repeated) if self.is_released => {
                drop(now);
                self.release();
            }
            (PRODUCE, Stage::Refusing) if request.is_transactional() => {
                now.0 = Stage::Armed { commits: false };
                return Act::Refuse(Gate::open_after(Duration::ZERO), INVALID_REQUIRED_ACKS);
            }
            _ => {}
        }
        Act::Pass
    }

    /// Lets the late one go, and waits for what the broker says to it.
    fn release(&self) -> i16 {
        let gate = self.stage.lock().unwrap().1.clone();
        gate.release();
        let error = gate.error(PATIENCE).expect("the broker answers to what was late");
        self.stage.lock().unwrap().0 = Stage::Answered(error);
        error
    }

    #[track_caller]
    fn until(&self, what: &str, is_so: impl Fn(Stage) -> bool, mut meanwhile: impl FnMut()) {
        let end = Instant::now() + PATIENCE;
        while !is_so(self.stage()) {
            assert!(Instant::now() < end, "{what} did not happen: {:?}", self.stage());
            meanwhile();
            thread::sleep(LOOK);
        }
    }
}

/// A broker of the older protocol behind such a line.
fn older(line: &Arc<Line>) -> Option<Kafka> {
    let (setup, port, line) = (Kafka::setup(1)?, Port::reserve(), Arc::clone(line));
    let broker = setup.ports()[0];
    let setup = setup.advertise(&[port.number()]).format("--feature").format("transaction.version=1");
    let kafka = setup.start();
    proxy(&port, broker, move |request| line.judge(request));
    Some(kafka)
}

fn log(kafka: &Kafka) -> KafkaLog {
    let mut settings = fresh(&kafka.bootstrap()).settings().clone();
    settings.timeouts.request = REQUEST;
    settings.timeouts.transaction = REQUEST * 5;
    settings.timeouts.session = REQUEST * 6;
    KafkaLog::new(settings)
}

/// Until so many offsets of a partition of the state topic are there, whatever their transaction.
fn until_there(log: &KafkaLog, partition: u32, offsets: u64) {
    let (mut reader, end) = (log.reader(), Instant::now() + PATIENCE);
    let state = at(Topic::State, partition);
    while now(reader.ends(state, Isolation::ReadUncommitted)).unwrap().next.0 < offsets {
        assert!(Instant::now() < end, "a record did not arrive");
        thread::sleep(LOOK);
    }
}

fn committed(log: &KafkaLog, partition: u32) -> Vec<String> {
    block_on(values(log, at(Topic::State, partition)))
}

fn batch(value: &str) -> OutBatch {
    OutBatch::from_iter([("key", value)])
}

#[test]
fn a_late_commit_or_abort_does_nothing_to_the_next_transaction_of_a_new_producer() {
    let line = Line::new(false);
    let Some(kafka) = older(&line) else { return };
    let log = log(&kafka);
    let mut transactions = now(log.transactions()).unwrap();

    line.set(Stage::Armed { commits: true });
    now(transactions.begin()).unwrap();
    now(transactions.send(at(Topic::State, 0), &batch("one"))).unwrap();
    assert_eq!(now(transactions.commit()).unwrap(), Ended::Tainted, "its end was sent twice");
    assert!(now(transactions.begin()).is_err(), "whoever is tainted begins nothing");
    let mut transactions = now(log.transactions()).unwrap();
    now(transactions.begin()).unwrap();
    now(transactions.send(at(Topic::State, 0), &batch("never seen"))).unwrap();
    // A record, its marker, and this one.
    until_there(&log, 0, 3);
    let late = line.release();
    assert!(FENCED.contains(&late), "the late commit: {late}");

    line.set(Stage::Armed { commits: false });
    now(transactions.abort()).unwrap();
    assert_eq!(line.stage(), Stage::Repeated, "the abort was sent twice");
    assert_eq!(committed(&log, 0), ["one"]);
    assert!(now(transactions.begin()).is_err(), "nor does whoever has aborted");
    let mut transactions = now(log.transactions()).unwrap();
    now(transactions.begin()).unwrap();
    now(transactions.send(at(Topic::State, 0), &batch("two"))).unwrap();
    until_there(&log, 0, 5);
    let late = line.release();
    assert!(FENCED.contains(&late), "the late abort: {late}");
    now(transactions.send(at(Topic::State, 1), &batch("three"))).unwrap();
    assert_eq!(now(transactions.commit()).unwrap(), Ended::Clean);
    assert_eq!(
        (committed(&log, 0), committed(&log, 1)),
        (vec!["one".into(), "two".into()], vec!["three".into()])
    );
}

/// The same with a producer that is used again: the fault bites.
#[test]
fn a_producer_that_is_used_again_after_an_end_that_was_sent_twice_loses_and_shows_what_it_should_not() {
    let line = Line::new(false);
    let Some(kafka) = older(&line) else { return };
    let log = log(&kafka);
    let topic = log.settings().topic(Topic::State);
    let request = REQUEST.as_millis().to_string();
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", kafka.bootstrap())
        .set("transactional.id", "used again")
        .set("socket.timeout.ms", request)
        .create()
        .unwrap();
    let send = |partition: i32, value: &str| {
        let sent = producer.send(BaseRecord::to(&topic).partition(partition).key("key").payload(value));
        assert!(sent.is_ok());
        producer.flush(PATIENCE).unwrap();
    };
    producer.init_transactions(PATIENCE).unwrap();

    line.set(Stage::Armed { commits: true });
    producer.begin_transaction().unwrap();
    send(0, "one");
    producer.commit_transaction(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    send(0, "aborted");
    assert_eq!(line.release(), NONE, "the late commit is taken");
    let shown = committed(&log, 0);
    line.set(Stage::Armed { commits: false });
    send(1, "aborted, too");
    producer.abort_transaction(PATIENCE).unwrap();
    producer.begin_transaction().unwrap();
    send(0, "two");
    assert_eq!(line.release(), NONE, "the late abort is taken");
    send(1, "three");
    producer.commit_transaction(PATIENCE).unwrap();

    assert_eq!(shown, ["one", "aborted"]);
    assert_eq!((committed(&log, 0), committed(&log, 1)), (shown, vec!["three".into()]), "`two` is lost");
}

#[test]
fn values_stay_right_while_ends_of_transactions_come_late() {
    let Some(store) = S3::shared() else { return };
    let line = Line::new(true);
    let Some(kafka) = older(&line) else { return };
    let deployment = Deployment::with(&kafka, store, &Shape::default());
    deployment.make_topics();
    let timeouts = "session: 18s, heartbeat: 500ms, transaction: 15s, request: 3s";
    let text = deployment.config_text();
    let config = text.replace("session: 6s, heartbeat: 500ms, transaction: 5s, request: 10s", timeouts);
    assert_ne!(text, config);
    std::fs::write(deployment.config_path(), config).unwrap();
    let (mut worker, mut events, mut seed) = (deployment.worker(0), 0, 0);
    let mut more = || {
        produce(&deployment.log, seed, 100);
        (events, seed) = (events + 100, seed + 1);
    };

    for first in [Stage::Armed { commits: true }, Stage::Refusing] {
        line.set(first);
        line.until("a late end", |stage| matches!(stage, Stage::Answered(_)), &mut more);
        let Stage::Answered(late) = line.stage() else { unreachable!("asked above") };
        assert!(FENCED.contains(&late), "{first:?}: {late}");
    }
    more();
    // It leaves its groups, so that nobody waits for the end of its sessions.
    kill_process(Pid::from_child(&worker), Signal::TERM).unwrap();
    assert!(worker.wait().unwrap().success());

    deployment.fine("run", &["--until-idle"]);
    deployment.proved(events);
}
