//! Groups, generations and topic ids as brokers have them.

use crate::contract::{fresh, now};
use crate::port_contract::{at, record, send};
use crate::servers::Kafka;
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};
use thalweg::kafka::KafkaLog;
use thalweg::kafka::topics::{self, Wanted};
use thalweg::model::{CommittedOffset, NextOffset, OutBatch, Partition, Role, Topic};
use thalweg::port::{Consumer, Isolation, Log, Polled, Reaction};

const PATIENCE: Duration = Duration::from_secs(30);
const SHORT: Duration = Duration::from_millis(50);

/// A member and what it was told.
struct Told {
    consumer: Box<dyn Consumer>,
    held: BTreeSet<Partition>,
    revoked: Vec<Partition>,
}

impl Told {
    fn new(log: &KafkaLog, role: Role) -> Told {
        Told { consumer: log.consumer(role), held: BTreeSet::new(), revoked: Vec::new() }
    }

    /// One poll; a revoke is answered by whoever tests it.
    fn poll(&mut self) {
        match now(self.consumer.poll(1 << 20, SHORT)).unwrap() {
            Polled::Assigned(partitions) => self.held.extend(partitions),
            Polled::Revoked(partitions) => self.revoked = partitions,
            Polled::Lost(partitions) => self.held.retain(|held| !partitions.contains(held)),
            Polled::Records(_) | Polled::Idle => {}
        }
    }

    fn release(&mut self) {
        let revoked = std::mem::take(&mut self.revoked);
        now(self.consumer.release(&revoked)).unwrap();
        self.held.retain(|held| !revoked.contains(held));
    }
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "{what} did not happen");
    }
}

/// Two members, each with one of the two partitions; the older one had both.
fn shared(log: &KafkaLog, role: Role) -> (Told, Told) {
    let (mut older, mut newer) = (Told::new(log, role), Told::new(log, role));
    until("the first assignment", || {
        older.poll();
        older.held.len() == 2
    });
    for &partition in &older.held {
        now(older.consumer.start(partition, NextOffset(0))).unwrap();
    }
    until("a revoke", || {
        newer.poll();
        older.poll();
        !older.revoked.is_empty()
    });
    let position = CommittedOffset { next: NextOffset(7), metadata: "mine".into() };
    if role != Role::Aggregate {
        now(older.consumer.commit(older.revoked[0], position)).unwrap();
    }
    assert!(newer.held.is_empty(), "a partition has two owners");
    older.release();
    until("the move", || {
        older.poll();
        newer.poll();
        newer.held.len() == 1
    });
    (older, newer)
}

/// A role that starts over drops its consumer in the middle of whatever the group is doing.
#[test]
fn a_member_that_is_dropped_before_it_has_answered_an_assignment_gives_its_partitions_back() {
    let Some(kafka) = Kafka::shared() else { return };
    let log = fresh(&kafka.bootstrap());
    let (mut older, mut newer) = (Told::new(&log, Role::Lake), Told::new(&log, Role::Lake));
    until("the first assignment", || {
        older.poll();
        older.held.len() == 2
    });
    for &partition in &older.held {
        now(older.consumer.start(partition, NextOffset(0))).unwrap();
    }
    // Joins, and is not polled again: its assignment waits for an answer.
    newer.poll();
    until("a revoke", || {
        older.poll();
        !older.revoked.is_empty()
    });
    let generation = |told: &mut Told| told.consumer.membership().map(|member| member.generation);
    until("the same generation", || generation(&mut newer) == generation(&mut older));

    drop(newer);
    let mut others = older.held.clone();
    others.retain(|partition| !older.revoked.contains(partition));
    older.release();

    until("the way back", || {
        older.poll();
        older.held.len() == 2
    });
    assert_eq!(others.len(), 1);
}

#[test]
fn a_partition_moves_once_it_is_released_and_the_new_owner_finds_the_last_commit() {
    let Some(kafka) = Kafka::shared() else { return };
    let log = fresh(&kafka.bootstrap());

    let (mut older, mut newer) = shared(&log, Role::Lake);

    let moved = *newer.held.first().unwrap();
    assert!(!older.held.contains(&moved) && older.held.len() == 1);
    let found = now(newer.consumer.committed(moved)).unwrap().unwrap();
    assert_eq!((found.next, found.metadata.as_str()), (NextOffset(7), "mine"));
    now(newer.consumer.start(moved, NextOffset(0))).unwrap();
    now(send(&log, at(Topic::Raw, moved.0), vec![record("k", "behind the move")]));
    until("the record", || {
        matches!(now(newer.consumer.poll(1 << 20, SHORT)).unwrap(), Polled::Records(batch)
            if batch.source.partition == moved && batch.records.len() == 1)
    });

    now(newer.consumer.leave()).unwrap();
    until("the way back", || {
        older.poll();
        older.held.len() == 2
    });
    // It was unassigned, and is read again from where it is started.
    now(older.consumer.start(moved, NextOffset(0))).unwrap();
    until("the record once more", || {
        matches!(now(older.consumer.poll(1 << 20, SHORT)).unwrap(), Polled::Records(batch)
            if batch.source.partition == moved)
    });
}

#[test]
fn a_partition_that_went_while_it_was_paused_is_read_again_when_it_comes_back() {
    let Some(kafka) = Kafka::shared() else { return };
    let log = fresh(&kafka.bootstrap());
    let mut older = Told::new(&log, Role::Lake);
    until("the assignment", || {
        older.poll();
        older.held.len() == 2
    });
    for &partition in &older.held {
        now(older.consumer.start(partition, NextOffset(0))).unwrap();
        older.consumer.pause(partition);
    }
    let mut newer = Told::new(&log, Role::Lake);
    until("the move", || {
        older.poll();
        newer.poll();
        if !older.revoked.is_empty() {
            older.release();
        }
        newer.held.len() == 1
    });
    let moved = *newer.held.first().unwrap();
    now(newer.consumer.leave()).unwrap();
    until("the way back", || {
        older.poll();
        older.held.len() == 2
    });

    now(older.consumer.start(moved, NextOffset(0))).unwrap();
    now(send(&log, at(Topic::Raw, moved.0), vec![record("k", "v")]));

    until("the record", || {
        matches!(now(older.consumer.poll(1 << 20, SHORT)).unwrap(), Polled::Records(batch)
            if batch.source.partition == moved)
    });
}

#[test]
fn offsets_of_an_older_generation_are_refused_in_a_transaction() {
    let Some(kafka) = Kafka::shared() else { return };
    let log = fresh(&kafka.bootstrap());
    let mut before = Told::new(&log, Role::Aggregate);
    until("the first assignment", || {
        before.poll();
        before.held.len() == 2
    });
    let stale = before.consumer.membership().unwrap();
    now(before.consumer.leave()).unwrap();
    drop(before);
    let (mut older, _newer) = shared(&log, Role::Aggregate);

    let mut transactions = now(log.transactions()).unwrap();
    now(transactions.begin()).unwrap();
    now(transactions.send(at(Topic::State, 0), &OutBatch::from_iter([("a", "stale")]))).unwrap();
    let offsets = BTreeMap::from([(Partition(0), NextOffset(1))]);
    let refused = now(transactions.send_offsets(&offsets, &stale)).unwrap_err();
    assert_eq!(refused.reaction, Reaction::Rejoin, "{refused}");
    now(transactions.abort()).unwrap();

    let current = older.consumer.membership().unwrap();
    let mut transactions = now(log.transactions()).unwrap();
    now(transactions.begin()).unwrap();
    now(transactions.send(at(Topic::State, 0), &OutBatch::from_iter([("a", "current")]))).unwrap();
    now(transactions.send_offsets(&offsets, &current)).unwrap();
    now(transactions.commit()).unwrap();
    assert_eq!(now(crate::port_contract::decided_values(&log, at(Topic::State, 0))), ["current"]);
    until("the offset", || now(log.reader().committed(Role::Aggregate, Partition(0))).unwrap().is_some());
    older.poll();
}

#[test]
fn a_position_outside_of_the_log_halts_with_both_ends_named() {
    let Some(kafka) = Kafka::shared() else { return };
    let log = fresh(&kafka.bootstrap());
    now(send(&log, at(Topic::Raw, 0), vec![record("k", "v")]));
    let mut member = Told::new(&log, Role::Route);
    until("the assignment", || {
        member.poll();
        member.held.len() == 2
    });

    let refused = now(member.consumer.start(Partition(0), NextOffset(9))).unwrap_err();

    assert_eq!(refused.reaction, Reaction::Halt);
    assert!(refused.to_string().contains("from offset 9 on, and the brokers have [0, 1)"), "{refused}");
}

#[test]
fn a_topic_that_is_made_again_under_its_name_is_another_incarnation() {
    let Some(kafka) = Kafka::shared() else { return };
    let log = fresh(&kafka.bootstrap());
    let name = format!("{}.again", log.settings().deployment);
    let wanted = Wanted { topic: Topic::Raw, name, partitions: 3, settings: BTreeMap::new() };
    let mut settings = log.settings().clone();
    settings.raw_topic = wanted.name.clone();
    let log = KafkaLog::new(settings);
    topics::create(log.settings(), std::slice::from_ref(&wanted), 1).unwrap();
    let mut reader = log.reader();
    let first = now(reader.facts(Topic::Raw)).unwrap();

    let mut delete = kafka.tool("TopicCommand");
    delete.args(["--delete", "--topic", &wanted.name]);
    let deleted = delete.output().unwrap();
    assert!(deleted.status.success(), "{}", String::from_utf8_lossy(&deleted.stderr));
    until("the second topic", || {
        topics::create(log.settings(), std::slice::from_ref(&wanted), 1).is_ok_and(|made| made.len() == 1)
    });

    until("its facts", || now(reader.facts(Topic::Raw)).is_ok_and(|facts| facts.partitions == 3));
    let second = now(reader.facts(Topic::Raw)).unwrap();
    assert_ne!(first.incarnation, second.incarnation);
    assert_eq!(first.partitions, second.partitions);
    let at = at(Topic::Raw, 0);
    assert_eq!(now(reader.ends(at, Isolation::ReadCommitted)).unwrap().next, NextOffset(0));
}
