//! The guarantees of `port.rs`, as one list of tests that every adapter passes.
//!
//! Each function gets a fresh, empty log with at least two partitions of every topic. An adapter
//! calls `log_contract!(|contract| …)` with whatever runs a contract over a log of its own.
#![cfg_attr(
    not(feature = "embedded"),
    expect(unused_macros, unused_imports, dead_code, reason = "the log that needs all of it is not built")
)]

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::time::Duration;
use thalweg::model::{
    CommittedOffset, LogTime, NextOffset, Offset, OutBatch, OutRecord, Partition, RecordBatch, Role, Topic,
    TopicPartition,
};
use thalweg::port::{Consumer, Created, Ended, Isolation, Log, Objects, Polled, Reaction, Reader};

pub(crate) type Contract<T> = fn(Rc<T>) -> Pin<Box<dyn Future<Output = ()>>>;

/// Makes one test of every guarantee. `$run` takes a `Contract<dyn Log>`.
macro_rules! log_contract {
    ($run:expr) => {
        crate::port_contract::contract_tests! { $run;
            records_come_in_order_and_as_they_were_sent
            a_delivery_says_where_and_when
            a_read_is_bounded_and_moves_on
            nothing_is_read_before_its_transaction_commits
            nothing_is_ever_read_of_an_aborted_transaction
            a_new_transactional_producer_fences_the_one_before
            a_transaction_moves_its_offsets_with_its_records
            a_member_reads_what_it_started_and_did_not_pause
            a_poll_ends_while_records_of_a_paused_partition_wait
            a_position_comes_back_with_its_metadata
            a_newer_member_makes_the_older_one_harmless
            whoever_left_commits_nothing
            an_idle_poll_ends
            a_topic_keeps_its_incarnation
        }
    };
}

macro_rules! objects_contract {
    ($run:expr) => {
        crate::port_contract::contract_tests! { $run;
            a_key_is_created_once
            what_is_not_there_is_not_found
            keys_are_listed_in_order
        }
    };
}

macro_rules! contract_tests {
    ($run:expr; $($name:ident)*) => {
        $(
            #[test]
            fn $name() {
                $run(|world| Box::pin(crate::port_contract::$name(world)));
            }
        )*
    };
}

pub(crate) use {contract_tests, log_contract, objects_contract};

const LONG: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(10);
pub(crate) const START: NextOffset = NextOffset(0);

pub(crate) fn at(topic: Topic, partition: u32) -> TopicPartition {
    TopicPartition { topic, partition: Partition(partition) }
}

pub(crate) fn record(key: &str, value: &str) -> OutRecord {
    OutRecord { key: Some(key.into()), value: Some(value.into()), headers: Vec::new() }
}

/// Sends records and waits until all are delivered; where and when each stands.
pub(crate) async fn send(
    log: &dyn Log,
    to: TopicPartition,
    records: Vec<OutRecord>,
) -> Vec<(Offset, LogTime)> {
    let mut producer = log.producer();
    let mut places = BTreeMap::new();
    let sent = records.len();
    for record in records {
        producer.send(to, record);
    }
    while places.len() < sent {
        for delivery in producer.deliveries(LONG).await.unwrap() {
            places.insert(delivery.ticket, delivery.outcome.unwrap());
        }
    }
    assert_eq!(producer.queued_bytes(), 0);
    places.into_values().collect()
}

/// All that a reader sees from a position on.
pub(crate) async fn read_all(
    reader: &mut dyn Reader,
    from: TopicPartition,
    start: NextOffset,
) -> Vec<RecordBatch> {
    let mut next = start;
    let mut batches = Vec::new();
    loop {
        let batch = reader.read(from, next, 1 << 20).await.unwrap();
        if batch.next == next {
            assert!(batch.is_empty(), "records, but no progress");
            return batches;
        }
        next = batch.next;
        batches.push(batch);
    }
}

pub(crate) async fn values(log: &dyn Log, from: TopicPartition) -> Vec<String> {
    let batches = read_all(&mut *log.reader(), from, START).await;
    let text = |batch: &RecordBatch| -> Vec<String> {
        let value = |record| String::from_utf8_lossy(batch.value(record).unwrap_or(b"(none)")).into_owned();
        batch.records.iter().map(value).collect()
    };
    batches.iter().flat_map(text).collect()
}

async fn join(consumer: &mut dyn Consumer) -> Vec<Partition> {
    loop {
        match consumer.poll(1 << 20, LONG).await.unwrap() {
            Polled::Assigned(partitions) => return partitions,
            Polled::Idle => {}
            polled => panic!("{polled:?} before any partition was assigned"),
        }
    }
}

/// The next records, however long they take.
async fn next_batch(consumer: &mut dyn Consumer) -> RecordBatch {
    for _ in 0..1_000 {
        if let Some(batch) = batch_at_once(consumer).await {
            return batch;
        }
    }
    panic!("no records came");
}

async fn batch_at_once(consumer: &mut dyn Consumer) -> Option<RecordBatch> {
    match consumer.poll(1 << 20, SHORT).await.unwrap() {
        Polled::Records(batch) => Some(batch),
        Polled::Idle => None,
        polled => panic!("{polled:?}, but nothing happened to the group"),
    }
}

/// As [`values`], once every transaction in front of the end is decided: brokers write that down after they answered.
pub(crate) async fn decided_values(log: &dyn Log, from: TopicPartition) -> Vec<String> {
    let mut reader = log.reader();
    for _ in 0..1_000 {
        let all = reader.ends(from, Isolation::ReadUncommitted).await.unwrap();
        if reader.ends(from, Isolation::ReadCommitted).await.unwrap() == all {
            return values(log, from).await;
        }
    }
    panic!("a transaction stays open");
}

fn position(next: u64, metadata: &str) -> CommittedOffset {
    CommittedOffset { next: NextOffset(next), metadata: metadata.to_owned() }
}

pub(crate) async fn records_come_in_order_and_as_they_were_sent(log: Rc<dyn Log>) {
    let to = at(Topic::Raw, 1);
    let mut sent: Vec<_> = (0..500).map(|n| record(&format!("k{n}"), &"v".repeat(n))).collect();
    sent.push(OutRecord { key: None, value: Some(Vec::new()), headers: Vec::new() });
    sent.push(OutRecord { key: Some(Vec::new()), value: None, headers: Vec::new() });
    let headers = vec![("a".to_owned(), b"1".to_vec()), ("b".to_owned(), Vec::new())];
    sent.push(OutRecord { key: None, value: Some(vec![0, 255]), headers });
    sent.push(record("big", &"x".repeat(1 << 20)));
    send(&*log, to, sent.clone()).await;

    for _ in 0..2 {
        let mut came = Vec::new();
        for batch in read_all(&mut *log.reader(), to, START).await {
            for slice in &batch.records {
                let text = |span: thalweg::model::Span| span.of(&batch.bytes).to_vec();
                let header = |&(name, value): &_| (String::from_utf8(text(name)).unwrap(), text(value));
                let headers = slice.headers.iter().map(header).collect();
                let (key, value) = (batch.key(slice), batch.value(slice));
                let record = OutRecord { key: key.map(Vec::from), value: value.map(Vec::from), headers };
                came.push((slice.offset, record));
            }
        }
        assert!(came.is_sorted_by_key(|&(offset, _)| offset));
        assert!(came.iter().map(|(_, record)| record).eq(&sent), "other records than those that were sent");
    }
    assert!(values(&*log, at(Topic::Raw, 0)).await.is_empty());
}

pub(crate) async fn a_delivery_says_where_and_when(log: Rc<dyn Log>) {
    let to = at(Topic::Repartition, 0);
    let places = send(&*log, to, (0..50).map(|n| record("k", &n.to_string())).collect()).await;

    let batches = read_all(&mut *log.reader(), to, START).await;
    let stand = batches.iter().flat_map(|batch| &batch.records).map(|record| (record.offset, record.time));
    assert!(stand.eq(places.iter().copied()));
    assert!(places.is_sorted(), "offsets and append times never fall");
    let ends = log.reader().ends(to, Isolation::ReadCommitted).await.unwrap();
    assert_eq!(Some(ends.next), places.last().map(|(offset, _)| offset.next()));
}

pub(crate) async fn a_read_is_bounded_and_moves_on(log: Rc<dyn Log>) {
    let to = at(Topic::Raw, 0);
    send(&*log, to, (0..200).map(|_| record("k", &"v".repeat(5_000))).collect()).await;

    let mut reader = log.reader();
    let mut next = START;
    let mut records = 0;
    loop {
        let batch = reader.read(to, next, 1).await.unwrap();
        if batch.is_empty() {
            break;
        }
        assert!(batch.bytes.len() <= 128 << 10, "{} bytes, though one was asked for", batch.bytes.len());
        assert!(batch.records.iter().all(|record| record.offset.0 >= next.0), "records from before");
        assert!(batch.next > next);
        records += batch.records.len();
        next = batch.next;
    }
    assert_eq!(records, 200);
    let in_the_middle = reader.read(to, NextOffset(137), 1 << 20).await.unwrap();
    assert_eq!(in_the_middle.records[0].offset, Offset(137));
}

pub(crate) async fn nothing_is_read_before_its_transaction_commits(log: Rc<dyn Log>) {
    let mut transaction = log.transactions().await.unwrap();
    transaction.begin().await.unwrap();
    transaction.send(at(Topic::State, 0), &OutBatch::from_iter([("a", "1"), ("b", "2")])).await.unwrap();
    transaction.send(at(Topic::Metrics, 1), &OutBatch::from_iter([("m", "3")])).await.unwrap();

    assert!(values(&*log, at(Topic::State, 0)).await.is_empty());
    assert_eq!(transaction.commit().await.unwrap(), Ended::Clean);

    assert_eq!(decided_values(&*log, at(Topic::State, 0)).await, ["1", "2"]);
    assert_eq!(decided_values(&*log, at(Topic::Metrics, 1)).await, ["3"]);
    transaction.begin().await.unwrap();
    transaction.send(at(Topic::State, 0), &OutBatch::from_iter([("a", "4")])).await.unwrap();
    transaction.commit().await.unwrap();
    assert_eq!(decided_values(&*log, at(Topic::State, 0)).await, ["1", "2", "4"]);
}

pub(crate) async fn nothing_is_ever_read_of_an_aborted_transaction(log: Rc<dyn Log>) {
    let mut consumer = log.consumer(Role::Aggregate);
    join(&mut *consumer).await;
    let member = consumer.membership().unwrap();

    let mut transaction = log.transactions().await.unwrap();
    transaction.begin().await.unwrap();
    transaction.send(at(Topic::State, 0), &OutBatch::from_iter([("a", "aborted")])).await.unwrap();
    let offsets = BTreeMap::from([(Partition(0), NextOffset(7))]);
    transaction.send_offsets(&offsets, &member).await.unwrap();
    transaction.abort().await.unwrap();
    let mut transaction = log.transactions().await.unwrap();
    transaction.begin().await.unwrap();
    transaction.send(at(Topic::State, 0), &OutBatch::from_iter([("a", "committed")])).await.unwrap();
    transaction.commit().await.unwrap();

    assert_eq!(decided_values(&*log, at(Topic::State, 0)).await, ["committed"]);
    assert_eq!(log.reader().committed(Role::Aggregate, Partition(0)).await.unwrap(), None);
}

pub(crate) async fn a_new_transactional_producer_fences_the_one_before(log: Rc<dyn Log>) {
    let mut old = log.transactions().await.unwrap();
    old.begin().await.unwrap();
    old.send(at(Topic::State, 0), &OutBatch::from_iter([("a", "old")])).await.unwrap();

    let mut new = log.transactions().await.unwrap();
    assert!(old.commit().await.is_err(), "a zombie committed");
    new.begin().await.unwrap();
    new.send(at(Topic::State, 0), &OutBatch::from_iter([("a", "new")])).await.unwrap();
    new.commit().await.unwrap();

    assert_eq!(decided_values(&*log, at(Topic::State, 0)).await, ["new"]);
}

pub(crate) async fn a_transaction_moves_its_offsets_with_its_records(log: Rc<dyn Log>) {
    let mut consumer = log.consumer(Role::Aggregate);
    join(&mut *consumer).await;
    let member = consumer.membership().unwrap();
    let mut transaction = log.transactions().await.unwrap();
    transaction.begin().await.unwrap();
    transaction.send(at(Topic::State, 1), &OutBatch::from_iter([("a", "1")])).await.unwrap();
    let offsets = BTreeMap::from([(Partition(1), NextOffset(42))]);
    transaction.send_offsets(&offsets, &member).await.unwrap();

    assert_eq!(consumer.committed(Partition(1)).await.unwrap(), None);
    transaction.commit().await.unwrap();

    assert_eq!(consumer.committed(Partition(1)).await.unwrap().unwrap().next, NextOffset(42));
    assert_eq!(consumer.committed(Partition(0)).await.unwrap(), None);
}

pub(crate) async fn a_member_reads_what_it_started_and_did_not_pause(log: Rc<dyn Log>) {
    send(&*log, at(Topic::Raw, 0), (0..5).map(|n| record("k", &n.to_string())).collect()).await;
    send(&*log, at(Topic::Raw, 1), vec![record("k", "other")]).await;
    let mut consumer = log.consumer(Role::Route);
    let assigned = join(&mut *consumer).await;
    assert!(assigned.contains(&Partition(0)) && assigned.contains(&Partition(1)), "{assigned:?}");
    assert!(batch_at_once(&mut *consumer).await.is_none(), "records before anything was started");

    consumer.start(Partition(0), NextOffset(3)).await.unwrap();
    let batch = next_batch(&mut *consumer).await;
    assert_eq!(batch.source.partition, Partition(0));
    assert_eq!(batch.records.iter().map(|record| record.offset.0).collect::<Vec<_>>(), [3, 4]);
    assert!(batch_at_once(&mut *consumer).await.is_none());

    consumer.pause(Partition(0));
    consumer.start(Partition(0), START).await.unwrap();
    assert!(batch_at_once(&mut *consumer).await.is_none(), "records of a paused partition");
    consumer.resume(Partition(0));
    assert_eq!(next_batch(&mut *consumer).await.records.len(), 5);
    send(&*log, at(Topic::Raw, 0), vec![record("k", "new")]).await;
    assert_eq!(next_batch(&mut *consumer).await.records[0].offset, Offset(5));
}

pub(crate) async fn a_poll_ends_while_records_of_a_paused_partition_wait(log: Rc<dyn Log>) {
    send(&*log, at(Topic::Raw, 0), vec![record("k", "one")]).await;
    send(&*log, at(Topic::Raw, 1), vec![record("k", "other")]).await;
    let mut consumer = log.consumer(Role::Route);
    join(&mut *consumer).await;
    for partition in [0, 1].map(Partition) {
        consumer.start(partition, START).await.unwrap();
    }
    // An adapter may have read both by the time that it hands out the first.
    let first = next_batch(&mut *consumer).await.source.partition;
    let other = Partition(1 - first.0);

    consumer.pause(other);
    assert!(batch_at_once(&mut *consumer).await.is_none(), "records of a paused partition");
    consumer.resume(other);

    assert_eq!(next_batch(&mut *consumer).await.source.partition, other);
}

pub(crate) async fn a_position_comes_back_with_its_metadata(log: Rc<dyn Log>) {
    let mut consumer = log.consumer(Role::Lake);
    join(&mut *consumer).await;
    assert_eq!(consumer.committed(Partition(0)).await.unwrap(), None);

    consumer.commit(Partition(0), position(9, "{\"q\":3}")).await.unwrap();
    consumer.commit(Partition(0), position(5, "back")).await.unwrap();

    assert_eq!(consumer.committed(Partition(0)).await.unwrap(), Some(position(5, "back")));
    assert_eq!(log.reader().committed(Role::Lake, Partition(0)).await.unwrap(), Some(position(5, "back")));
    // Each role is a group of its own.
    assert_eq!(log.reader().committed(Role::Route, Partition(0)).await.unwrap(), None);
}

pub(crate) async fn a_newer_member_makes_the_older_one_harmless(log: Rc<dyn Log>) {
    let mut old = log.consumer(Role::Aggregate);
    join(&mut *old).await;
    let old_member = old.membership().unwrap();
    let mut new = log.consumer(Role::Aggregate);
    // Where a rebalance takes partitions from a live member, that member is asked first.
    let mut is_lost = false;
    let mut has_joined = false;
    for _ in 0..100 {
        if !has_joined {
            has_joined = matches!(new.poll(1, SHORT).await.unwrap(), Polled::Assigned(_));
        }
        match old.poll(1, SHORT).await.unwrap() {
            Polled::Lost(_) => is_lost = true,
            Polled::Revoked(partitions) => {
                old.release(&partitions).await.unwrap();
                is_lost = true;
            }
            Polled::Records(_) | Polled::Assigned(_) | Polled::Idle => {}
        }
        if has_joined && is_lost {
            break;
        }
    }
    assert!(has_joined && is_lost, "joined {has_joined}, told the older one {is_lost}");

    let refused = old.commit(Partition(0), position(1, "zombie")).await.unwrap_err();
    assert_eq!(refused.reaction, Reaction::Rejoin, "{refused}");
    assert_ne!(new.membership().unwrap().generation, old_member.generation);
    let mut transaction = log.transactions().await.unwrap();
    transaction.begin().await.unwrap();
    transaction.send(at(Topic::State, 0), &OutBatch::from_iter([("a", "zombie")])).await.unwrap();
    let offsets = BTreeMap::from([(Partition(0), NextOffset(1))]);
    let sent = transaction.send_offsets(&offsets, &old_member).await;
    assert!(sent.is_err() || transaction.commit().await.is_err(), "an older generation committed");
    assert!(values(&*log, at(Topic::State, 0)).await.is_empty());
    assert_eq!(new.committed(Partition(0)).await.unwrap(), None);
}

pub(crate) async fn whoever_left_commits_nothing(log: Rc<dyn Log>) {
    let mut consumer = log.consumer(Role::Route);
    join(&mut *consumer).await;

    consumer.leave().await.unwrap();

    assert_eq!(consumer.membership(), None);
    assert!(consumer.commit(Partition(0), position(1, "")).await.is_err());
    assert_eq!(log.reader().committed(Role::Route, Partition(0)).await.unwrap(), None);
}

pub(crate) async fn an_idle_poll_ends(log: Rc<dyn Log>) {
    let mut consumer = log.consumer(Role::Route);
    join(&mut *consumer).await;
    consumer.start(Partition(0), START).await.unwrap();
    assert!(batch_at_once(&mut *consumer).await.is_none());
    assert!(log.producer().deliveries(SHORT).await.unwrap().is_empty());
}

pub(crate) async fn a_topic_keeps_its_incarnation(log: Rc<dyn Log>) {
    let mut reader = log.reader();
    let raw = reader.facts(Topic::Raw).await.unwrap();
    let state = reader.facts(Topic::State).await.unwrap();

    assert!(raw.partitions >= 2 && state.partitions >= 2);
    assert_ne!(raw.incarnation, state.incarnation);
    send(&*log, at(Topic::Raw, 0), vec![record("k", "v")]).await;
    let batch = reader.read(at(Topic::Raw, 0), START, 1).await.unwrap();
    assert_eq!(batch.source.incarnation, raw.incarnation);
    assert_eq!(log.reader().facts(Topic::Raw).await.unwrap(), raw);
}

pub(crate) async fn a_key_is_created_once(objects: Rc<dyn Objects>) {
    let key = "t/category=a%2Fb/year=2026/x.parquet";
    assert_eq!(objects.create(key, b"first".to_vec()).await.unwrap(), Created::Now);
    assert_eq!(objects.create(key, b"second".to_vec()).await.unwrap(), Created::Before);

    assert_eq!(objects.read(key).await.unwrap().unwrap(), b"first");
    assert_eq!(objects.read_tail(key, 3).await.unwrap().unwrap(), b"rst");
    assert_eq!(objects.read_tail(key, 100).await.unwrap().unwrap(), b"first");
    assert_eq!(objects.create("empty", Vec::new()).await.unwrap(), Created::Now);
    assert_eq!(objects.read("empty").await.unwrap().unwrap(), b"");
}

pub(crate) async fn what_is_not_there_is_not_found(objects: Rc<dyn Objects>) {
    assert_eq!(objects.read("a/b").await.unwrap(), None);
    assert_eq!(objects.read_tail("a/b", 1).await.unwrap(), None);
    assert_eq!(objects.list("a/").await.unwrap(), Vec::<String>::new());
}

pub(crate) async fn keys_are_listed_in_order(objects: Rc<dyn Objects>) {
    for key in ["b/1", "a/2/z", "a/10", "a/1", "ab", "a-b/c"] {
        objects.create(key, Vec::new()).await.unwrap();
    }
    assert_eq!(objects.list("").await.unwrap(), ["a-b/c", "a/1", "a/10", "a/2/z", "ab", "b/1"]);
    assert_eq!(objects.list("a/").await.unwrap(), ["a/1", "a/10", "a/2/z"]);
    assert_eq!(objects.list("a/1").await.unwrap(), ["a/1", "a/10"]);
    assert_eq!(objects.list("a").await.unwrap(), ["a-b/c", "a/1", "a/10", "a/2/z", "ab"]);
}
