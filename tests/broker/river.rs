//! The production loops on a real broker: raw records in, rows out, proved by `verify`.

use crate::contract::{fresh, now};
use crate::servers::Kafka;
use std::collections::BTreeMap;
use std::future::ready;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use thalweg::generate::{Generator, Settings as Shoppers};
use thalweg::kafka::KafkaLog;
use thalweg::lake::Parquet;
use thalweg::model::{LogTime, NextOffset, OutBatch, OutRecord, Partition, Role, Topic, TopicPartition};
use thalweg::objects::LocalObjects;
use thalweg::port::{Clock, Isolation, Log, Reader};
use thalweg::topology::Topology;
use thalweg::worker::{Context, Control, Halt, Outcome, Settings, aggregate, lake, route};

struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> LogTime {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        LogTime(i64::try_from(since.as_micros()).unwrap())
    }

    fn sleep(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + '_>> {
        thread::sleep(time);
        Box::pin(ready(()))
    }
}

pub(crate) fn topology() -> Arc<Topology> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/topologies/marketplace/topology.yaml");
    let checked = thalweg::topology::check(&std::fs::read_to_string(path).unwrap());
    Arc::new(Topology { partitions: 2, ..checked.unwrap() })
}

/// Sends made-up events to both raw partitions.
pub(crate) fn produce(log: &KafkaLog, seed: u64, events: u64) {
    produce_to(log, seed, events, 2);
}

/// Sends made-up events to so many raw partitions.
pub(crate) fn produce_to(log: &KafkaLog, seed: u64, events: u64, partitions: u64) {
    let mut producer = log.producer();
    let mut sent = 0u64;
    let (mut lines, mut line) = (Generator::new(Shoppers::new(seed, events)), Vec::new());
    while lines.next_line(&mut line) {
        let partition = Partition((sent % partitions) as u32);
        let value = std::mem::take(&mut line);
        let record = OutRecord { value: Some(value.trim_ascii_end().to_vec()), ..OutRecord::default() };
        producer.send(TopicPartition { topic: Topic::Raw, partition }, record);
        sent += 1;
    }
    let mut delivered = 0;
    while delivered < sent {
        for delivery in now(producer.deliveries(Duration::from_secs(10))).unwrap() {
            delivery.outcome.unwrap();
            delivered += 1;
        }
    }
}

fn drive(role: Role, context: Context) -> Outcome {
    let outcome = match role {
        Role::Route => now(route::run(context)),
        Role::Aggregate => now(aggregate::run(context)),
        Role::Lake => now(lake::run(context, Rc::new(Parquet))),
    };
    outcome.unwrap()
}

/// Runs all roles in this process until everything is done that stands in the raw topic now.
pub(crate) fn until_idle(log: &KafkaLog, topology: &Arc<Topology>, lake: &Path) {
    assert_eq!(ends_with(log, topology, lake, |_| ()), []);
}

/// The same with something that each role's thread does first; what is halted in the end.
pub(crate) fn ends_with(log: &KafkaLog, topology: &Arc<Topology>, lake: &Path, first: fn(Role)) -> Vec<Halt> {
    let control = Arc::new(Control::default());
    let mut reader = log.reader();
    let goal: BTreeMap<Partition, NextOffset> = (0..2)
        .map(|partition| {
            let at = TopicPartition { topic: Topic::Raw, partition: Partition(partition) };
            (Partition(partition), now(reader.ends(at, Isolation::ReadCommitted)).unwrap().next)
        })
        .collect();
    control.set_goal(goal);
    let roles = [Role::Route, Role::Aggregate, Role::Lake].map(|role| {
        let (log, topology, control) = (log.clone(), topology.clone(), control.clone());
        let lake = lake.to_owned();
        thread::spawn(move || {
            first(role);
            let context = Context {
                topology,
                log: Rc::new(log),
                objects: Rc::new(LocalObjects::open(&lake).unwrap()),
                clock: Rc::new(WallClock),
                settings: Settings { events_clock: true, ..Settings::default() },
                control,
            };
            drive(role, context)
        })
    });
    for role in roles {
        assert_eq!(role.join().unwrap(), Outcome::Idle);
    }
    control.halts()
}

/// Everything is there, and the same fold over the lake says so.
pub(crate) fn proved(log: &KafkaLog, topology: &Topology, lake: &Path, raw: u64) {
    let objects = LocalObjects::open_read_only(lake);
    let mut reader = log.reader();
    let verified = thalweg::verify::verify(topology, &mut *reader, &objects, "", |_, _| ());
    let report = now(verified).unwrap();
    assert!(report.is_green(), "{:?}", report.differences);
    assert_eq!((report.raw_records, report.not_provable.as_slice()), (raw, &[][..]));
    assert!(report.rows > 100, "{report:?}");
}

#[test]
fn a_thousand_events_come_out_as_rows_and_files_that_verify_proves() {
    let Some(kafka) = Kafka::shared() else { return };
    let (log, topology) = (fresh(&kafka.bootstrap()), topology());
    let lake = tempfile::tempdir().unwrap();
    produce(&log, 7, 1_000);

    until_idle(&log, &topology, lake.path());

    proved(&log, &topology, lake.path(), 1_000);
}

/// F24: what a zombie left open must neither be believed nor hide what stands behind it.
#[test]
fn a_restore_waits_until_a_zombies_open_transaction_is_decided() {
    let Some(kafka) = Kafka::shared() else { return };
    let (log, topology) = (fresh(&kafka.bootstrap()), topology());
    let lake = tempfile::tempdir().unwrap();
    produce(&log, 7, 500);
    until_idle(&log, &topology, lake.path());
    let state = TopicPartition { topic: Topic::State, partition: Partition(0) };
    let mut zombie = now(log.transactions()).unwrap();
    now(zombie.begin()).unwrap();
    now(zombie.send(state, &OutBatch::from_iter([("no pane", "of anybody")]))).unwrap();
    let mut reader = log.reader();
    let is_open = |reader: &mut dyn Reader| {
        let next = |isolation, reader: &mut dyn Reader| now(reader.ends(state, isolation)).unwrap().next;
        next(Isolation::ReadCommitted, reader) < next(Isolation::ReadUncommitted, reader)
    };
    while !is_open(&mut *reader) {
        thread::sleep(Duration::from_millis(20));
    }
    let mut settings = log.settings().clone();
    settings.ordinal = 1;
    let successor = KafkaLog::new(settings);

    produce(&log, 8, 500);
    until_idle(&successor, &topology, lake.path());

    proved(&log, &topology, lake.path(), 1_000);
    assert!(!is_open(&mut *reader), "the broker's time-out decides it");
    drop(zombie);
}

/// F25, one node: everything stands still, and goes on.
#[test]
fn a_broker_that_is_killed_and_comes_back_costs_nothing_but_time() {
    let Some(kafka) = Kafka::start(1) else { return };
    let (log, topology) = (fresh(&kafka.bootstrap()), topology());
    let lake = tempfile::tempdir().unwrap();
    produce(&log, 9, 20_000);

    thread::scope(|scope| {
        let kills = scope.spawn(|| {
            for _ in 0..2 {
                thread::sleep(Duration::from_millis(1_500));
                kafka.kill(1);
                kafka.restart(1);
            }
        });
        until_idle(&log, &topology, lake.path());
        kills.join().unwrap();
    });

    proved(&log, &topology, lake.path(), 20_000);
}
