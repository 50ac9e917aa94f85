//! What the log forgets, and what it must not.

use super::*;
use crate::port_contract::{START, at, read_all, record, send};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use thalweg::embedded::{Error, Options, Upkeep};
use thalweg::model::{LogTime, NextOffset, OutRecord, Topic, TopicPartition};

const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

struct World {
    dir: tempfile::TempDir,
    clock: Arc<AtomicI64>,
    log: EmbeddedLog,
}

impl World {
    fn new(upkeep: Upkeep) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let clock = Arc::new(AtomicI64::new(1_000 * DAY));
        let read = clock.clone();
        let clock_fn = Arc::new(move || LogTime(read.load(Ordering::Relaxed)));
        let options = Options { clock: clock_fn, upkeep, ..Options::default() };
        let log = EmbeddedLog::open_with(dir.path(), &layout(), options).unwrap();
        World { dir, clock, log }
    }

    fn pass(&self, time: i64) {
        self.clock.fetch_add(time, Ordering::Relaxed);
    }

    fn send(&self, to: TopicPartition, records: Vec<OutRecord>) -> Vec<LogTime> {
        let places = now(Box::pin(send(&self.log, to, records)));
        places.into_iter().map(|(_, time)| time).collect()
    }

    /// Offset, key, value of all that is left.
    fn left(&self, from: TopicPartition) -> Vec<(u64, String, Option<String>)> {
        let first = now(self.log.reader().ends(from, thalweg::port::Isolation::ReadCommitted)).unwrap().first;
        let batches = now(Box::pin(async { read_all(&mut *self.log.reader(), from, first).await }));
        let mut left = Vec::new();
        for batch in &batches {
            let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
            left.extend(batch.records.iter().map(|record| {
                (record.offset.0, text(batch.key(record).unwrap()), batch.value(record).map(text))
            }));
        }
        left
    }
}

fn tombstone(key: &str) -> OutRecord {
    OutRecord { key: Some(key.into()), value: None, headers: Vec::new() }
}

#[test]
fn append_time_never_falls_when_the_clock_does() {
    let world = World::new(Upkeep::default());
    let to = at(Topic::Repartition, 0);

    let before = world.send(to, vec![record("a", "1")]);
    world.pass(-HOUR);
    let after = world.send(to, vec![record("a", "2")]);

    assert_eq!(before, after);
}

#[test]
fn compaction_leaves_the_last_record_of_every_key_at_its_offset() {
    let world = World::new(Upkeep::default());
    let to = at(Topic::State, 0);
    let mut last = BTreeMap::new();
    for round in 0..20 {
        let records: Vec<_> = (0..500u64)
            .map(|n| {
                let key = n * 7 % (round + 1) * 31 % 997 + n % 40;
                let offset = round * 500 + n;
                last.insert(format!("k{key}"), offset);
                record(&format!("k{key}"), &format!("{offset} {}", "v".repeat(300)))
            })
            .collect();
        world.send(to, records);
        world.pass(MINUTE / 2);
        if round % 5 == 4 {
            world.log.maintain_now().unwrap();
        }
    }
    let full = world.log.bytes(Topic::State).unwrap();
    world.pass(2 * MINUTE);
    world.log.maintain_now().unwrap();

    let left = world.left(to);
    let came: BTreeMap<_, _> = left.iter().map(|(offset, key, _)| (key.clone(), *offset)).collect();
    assert_eq!(came, last);
    assert_eq!(left.len(), last.len());
    assert!(left.is_sorted());
    let right = |(offset, _, value): &(u64, String, Option<String>)| {
        value.as_ref().unwrap().starts_with(&format!("{offset} "))
    };
    assert!(left.iter().all(right), "a record changed its value");
    assert!(world.log.bytes(Topic::State).unwrap() < full / 2);
    // A read in a hole goes on with the next record; the end is still the end.
    for from in (0..10_000).step_by(101) {
        let batch = now(world.log.reader().read(to, NextOffset(from), 1)).unwrap();
        let expected = left.iter().map(|&(offset, ..)| offset).find(|&offset| offset >= from);
        assert_eq!(batch.records.first().map(|record| record.offset.0), expected);
    }
}

#[test]
fn a_young_record_stays_whatever_came_after_it() {
    let world = World::new(Upkeep::default());
    let to = at(Topic::Metrics, 0);
    world.send(to, vec![record("a", "1")]);
    world.send(to, vec![record("a", "2")]);
    world.pass(30 * 1_000_000);

    world.log.maintain_now().unwrap();
    assert_eq!(world.left(to).len(), 2);
    world.pass(MINUTE);
    world.log.maintain_now().unwrap();

    assert_eq!(world.left(to), [(1, "a".into(), Some("2".into()))]);
}

#[test]
fn a_tombstone_outlives_its_key_by_a_day_and_then_goes() {
    let world = World::new(Upkeep::default());
    let to = at(Topic::State, 1);
    world.send(to, vec![record("a", "1"), record("b", "2")]);
    world.send(to, vec![tombstone("a")]);
    world.pass(30 * DAY);

    // Passed for the first time just now: a reader may be on its way to it.
    world.log.maintain_now().unwrap();
    assert_eq!(world.left(to), [(1, "b".into(), Some("2".into())), (2, "a".into(), None)]);
    world.pass(23 * HOUR);
    world.log.maintain_now().unwrap();
    assert_eq!(world.left(to).len(), 2);
    world.pass(2 * HOUR);
    world.log.maintain_now().unwrap();

    assert_eq!(world.left(to), [(1, "b".into(), Some("2".into()))]);
    // The end of the log is a hole now: a reader moves over it, and the next offset is new.
    let end = now(world.log.reader().read(to, NextOffset(2), 1)).unwrap();
    assert_eq!((end.records.len(), end.next), (0, NextOffset(3)));
    world.send(to, vec![record("c", "3")]);
    assert_eq!(world.left(to).last().unwrap().0, 3);
}

#[test]
fn a_tombstone_is_not_dropped_while_a_later_one_of_its_key_is_young() {
    let world = World::new(Upkeep::default());
    let to = at(Topic::State, 0);
    for value in ["1", "2", "3"] {
        world.send(to, vec![record("a", value)]);
        world.send(to, vec![tombstone("a")]);
        world.pass(25 * HOUR);
        world.log.maintain_now().unwrap();
        // Whoever reads from the start must not find `a` alive.
        assert!(world.left(to).last().is_none_or(|(_, _, value)| value.is_none()));
    }
}

#[test]
fn records_expire_from_the_front_and_a_read_below_halts() {
    let world = World::new(Upkeep::default());
    let to = at(Topic::Raw, 0);
    world.send(to, (0..10).map(|n| record("k", &n.to_string())).collect());
    world.pass(4 * DAY);
    world.send(to, (10..20).map(|n| record("k", &n.to_string())).collect());
    world.pass(4 * DAY);

    world.log.maintain_now().unwrap();

    assert_eq!(world.left(to).first().unwrap().0, 10);
    let below = now(world.log.reader().read(to, NextOffset(9), 1)).unwrap_err();
    assert_eq!(below.reaction, thalweg::port::Reaction::Halt);
    assert!(below.to_string().contains("offset 9 of raw partition 0"), "{below}");
    let mut consumer = world.log.consumer(thalweg::model::Role::Route);
    now(consumer.poll(1, Duration::ZERO)).unwrap();
    assert!(now(consumer.start(thalweg::model::Partition(0), START)).is_err());
    // All of it may go; the next record has the next offset, and so it is after a restart.
    world.pass(8 * DAY);
    world.log.maintain_now().unwrap();
    let ends = now(world.log.reader().ends(to, thalweg::port::Isolation::ReadCommitted)).unwrap();
    assert_eq!((ends.first, ends.next), (NextOffset(20), NextOffset(20)));
    let World { dir, clock: _, log } = world;
    drop((log, consumer));
    let log = open(dir.path());
    let places = now(Box::pin(send(&log, to, vec![record("k", "new")])));
    assert_eq!(places[0].0.0, 20);
}

#[test]
fn a_position_that_expires_under_a_reader_is_told_and_never_skipped() {
    let world = World::new(Upkeep::default());
    let to = at(Topic::Raw, 1);
    world.send(to, vec![record("k", "1")]);
    let mut consumer = world.log.consumer(thalweg::model::Role::Lake);
    now(consumer.poll(1, Duration::ZERO)).unwrap();
    now(consumer.start(thalweg::model::Partition(1), START)).unwrap();
    world.pass(8 * DAY);
    world.log.maintain_now().unwrap();
    world.send(to, vec![record("k", "2")]);

    let told = now(consumer.poll(1 << 20, Duration::from_secs(1))).unwrap_err();

    assert_eq!(told.reaction, thalweg::port::Reaction::Halt);
    assert!(told.to_string().contains("out of range"), "{told}");
}

#[test]
fn what_was_compacted_and_set_to_expire_does_both() {
    let world = World::new(Upkeep::default());
    let to = at(Topic::History(0), 0);
    world.send(to, vec![record("a", "1"), record("b", "1")]);
    world.send(to, vec![record("a", "2")]);
    world.pass(DAY);
    world.log.maintain_now().unwrap();
    assert_eq!(world.left(to).len(), 2);

    world.pass(7 * DAY);
    world.log.maintain_now().unwrap();

    assert_eq!(world.left(to), []);
}

#[test]
fn a_log_that_is_written_all_the_time_grows_only_by_its_live_keys() {
    let upkeep = Upkeep { dirty_bytes_min: 64 << 10, step_bytes: 64 << 10, ..Upkeep::default() };
    let world = World::new(upkeep);
    let to = at(Topic::State, 0);
    let value = "v".repeat(500);
    let mut largest = 0;

    for round in 0..300 {
        let records = (0..40).map(|n| record(&format!("k{}", (round * 40 + n) % 200), &value)).collect();
        world.send(to, records);
        world.pass(2_000_000);
        largest = largest.max(world.log.bytes(Topic::State).unwrap());
    }

    // 200 keys of half a kilobyte live; a minute of writes (30 rounds) must stay; the rest is slack.
    assert!(largest < 3 << 20, "{largest} bytes, though 6 MB were written and 0.1 MB live");
    let keys: std::collections::BTreeSet<_> = world.left(to).into_iter().map(|(_, key, _)| key).collect();
    assert_eq!(keys.len(), 200);
}

#[test]
fn another_count_of_partitions_is_refused_by_name() {
    let world = World::new(Upkeep::default());
    let World { dir, clock: _, log } = world;
    drop(log);

    let more = EmbeddedLog::open(dir.path(), &Layout::new("test", 3, 1, Duration::ZERO)).err().unwrap();
    let other = EmbeddedLog::open(dir.path(), &Layout::new("other", 2, 1, Duration::ZERO)).err().unwrap();
    let history = EmbeddedLog::open(dir.path(), &Layout::new("test", 2, 2, Duration::ZERO));

    assert!(matches!(more, Error::OtherPartitions { found: 2, asked: 3, .. }), "{more}");
    assert!(matches!(other, Error::OtherDeployment { .. }), "{other}");
    assert!(history.is_ok());
}
