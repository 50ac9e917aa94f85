//! A coordinator that nobody can find, and calls of the client library that never return because of it.

use crate::contract::{fresh, now};
use crate::servers::Kafka;
use crate::servers::ports::Port;
use crate::servers::proxy::{Act, FIND_COORDINATOR, proxy};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use thalweg::kafka::KafkaLog;
use thalweg::model::{NextOffset, OutRecord, Partition, Role, Topic, TopicPartition};
use thalweg::port::{Consumer, Ended, Log, Membership, Reaction, Transactions};

const REQUEST: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(60);
const AT: TopicPartition = TopicPartition { topic: Topic::State, partition: Partition(0) };

fn membership(consumer: &mut dyn Consumer) -> Membership {
    let end = Instant::now() + PATIENCE;
    loop {
        now(consumer.poll(1 << 20, Duration::from_millis(100))).unwrap();
        if let Some(member) = consumer.membership().filter(|member| member.generation > 0) {
            return member;
        }
        assert!(Instant::now() < end, "nobody became a member");
    }
}

/// A transaction with one record, up to where its offsets are sent.
fn begun(log: &KafkaLog) -> Box<dyn Transactions> {
    let mut transactions = now(log.transactions()).unwrap();
    let record = OutRecord { key: Some(b"key".to_vec()), value: Some(b"value".to_vec()), headers: vec![] };
    now(transactions.begin()).unwrap();
    now(transactions.send_one(AT, &record)).unwrap();
    transactions
}

/// The library looks for the group's coordinator again and again, whatever limit it was given (its issue 5456).
#[test]
fn offsets_whose_coordinator_cannot_be_found_are_given_up_and_the_next_producer_goes_on() {
    let Some(setup) = Kafka::setup(1) else { return };
    let (port, broker) = (Port::reserve(), setup.ports()[0]);
    let kafka = setup.advertise(&[port.number()]).start();
    let is_lost = Arc::new(AtomicBool::new(false));
    let lost = Arc::clone(&is_lost);
    proxy(&port, broker, move |request| match request.api() {
        FIND_COORDINATOR if lost.load(Ordering::SeqCst) => Act::Lose,
        _ => Act::Pass,
    });
    let mut settings = fresh(&kafka.bootstrap()).settings().clone();
    (settings.timeouts.request, settings.timeouts.transaction) = (REQUEST, Duration::from_secs(60));
    let log = KafkaLog::new(settings);
    let mut consumer = log.consumer(Role::Aggregate);
    let member = membership(&mut *consumer);
    let offsets = BTreeMap::from([(Partition(0), NextOffset(0))]);

    let mut stuck = begun(&log);
    is_lost.store(true, Ordering::SeqCst);
    let began = Instant::now();
    let failure = now(stuck.send_offsets(&offsets, &member)).unwrap_err();
    assert_eq!(failure.reaction, Reaction::Replay, "{failure}");
    assert!(began.elapsed() < REQUEST * 3, "after {:?}", began.elapsed());
    now(stuck.abort()).unwrap();
    drop(stuck);

    is_lost.store(false, Ordering::SeqCst);
    let mut next = begun(&log);
    now(next.send_offsets(&offsets, &member)).unwrap();
    assert_eq!(now(next.commit()).unwrap(), Ended::Clean);
    let committed = now(consumer.committed(Partition(0))).unwrap();
    assert_eq!(committed.map(|committed| committed.next), Some(NextOffset(0)));
}
