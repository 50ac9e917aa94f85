//! The world keeps what `port` promises, and can do everything that `port` warns of.

use super::{Faults, Handles, Shape, World};
use crate::model::{
    CommittedOffset, Incarnation, LogTime, NextOffset, OutBatch, OutRecord, Partition, Role, Topic,
    TopicPartition,
};
use crate::port::{Consumer, Created, Ended, Isolation, Membership, Polled, Reaction};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::future::Future;
use std::rc::Rc;
use std::time::Duration;

mod loss;

const WAIT: Duration = Duration::from_millis(100);
const P0: Partition = Partition(0);

fn world(seed: u64, faults: Faults) -> World {
    let shape =
        Shape { raw_partitions: 2, targets: 2, incarnation: Incarnation(7), start: LogTime(1_000_000) };
    World::new(seed, shape, faults)
}

fn at(topic: Topic) -> TopicPartition {
    TopicPartition { topic, partition: P0 }
}

fn record(value: &str) -> OutRecord {
    OutRecord { key: Some(value.into()), value: Some(value.into()), headers: vec![] }
}

fn batch(value: &str) -> OutBatch {
    OutBatch::from_iter([(value, value)])
}

/// Runs one worker's life until it ends.
fn drive<F: Future<Output = ()> + 'static>(
    world: &mut World,
    worker: u32,
    life: impl Fn(Handles) -> F + 'static,
) {
    let task = world.spawn(worker, move |handles| {
        let life = life(handles);
        Box::pin(async move {
            life.await;
            Ok(())
        })
    });
    assert!(
        world.run_until(Duration::from_secs(600), |world| !world.is_running(task)),
        "a life without faults ends"
    );
}

/// Polls until something else than idleness comes.
async fn news(consumer: &mut dyn Consumer) -> Polled {
    loop {
        match consumer.poll(1 << 20, WAIT).await.unwrap() {
            Polled::Idle => {}
            news => return news,
        }
    }
}

fn texts(world: &World, topic: Topic) -> Vec<String> {
    let records = world.records(at(topic), NextOffset(0));
    records.into_iter().map(|kept| String::from_utf8(kept.record.value.unwrap()).unwrap()).collect()
}

fn offset(next: u64) -> CommittedOffset {
    CommittedOffset { next: NextOffset(next), metadata: String::new() }
}

#[test]
fn without_faults_every_record_is_read_in_order() {
    let mut world = world(1, Faults::calm());
    for number in 0..50 {
        world.append_raw(Partition(number % 2), None, Some(number.to_string().into_bytes()));
        world.append_raw_hole(Partition(number % 2));
    }
    let seen: Rc<RefCell<BTreeMap<Partition, Vec<u64>>>> = Rc::default();
    let sink = seen.clone();

    drive(&mut world, 1, move |handles| {
        let sink = sink.clone();
        async move {
            let mut consumer = handles.log.consumer(Role::Route);
            while sink.borrow().values().map(Vec::len).sum::<usize>() < 50 {
                match news(&mut *consumer).await {
                    Polled::Assigned(partitions) => {
                        for partition in partitions {
                            consumer.start(partition, NextOffset(0)).await.unwrap();
                        }
                    }
                    Polled::Records(batch) => {
                        let mut sink = sink.borrow_mut();
                        let seen = sink.entry(batch.source.partition).or_default();
                        seen.extend(batch.records.iter().map(|record| record.offset.0));
                    }
                    other => panic!("{other:?} without a cause"),
                }
            }
        }
    });

    let every_second: Vec<u64> = (0..25).map(|number| number * 2).collect();
    assert_eq!(seen.borrow()[&P0], every_second);
    assert_eq!(seen.borrow()[&Partition(1)], every_second);
}

#[test]
fn without_faults_deliveries_stand_where_they_say() {
    let mut world = world(2, Faults::calm());

    drive(&mut world, 1, |handles| async move {
        let mut producer = handles.log.producer();
        let mut open: BTreeMap<_, _> =
            (0..20).map(|n| (producer.send(at(Topic::Repartition), record(&n.to_string())), n)).collect();
        while !open.is_empty() {
            for delivery in producer.deliveries(WAIT).await.unwrap() {
                let number = open.remove(&delivery.ticket).unwrap();
                assert_eq!(delivery.outcome.unwrap().0.0, number);
            }
        }
        assert_eq!(producer.queued_bytes(), 0);
    });

    let expected: Vec<String> = (0..20).map(|number| number.to_string()).collect();
    assert_eq!(texts(&world, Topic::Repartition), expected);
}

#[test]
fn a_refused_first_record_is_reported_as_delivered_if_a_second_is_in_flight() {
    let faults = Faults { refused_first: 1000, ..Faults::calm() };
    let mut many = world(3, faults.clone());
    let mut alone = world(3, faults);
    let send = |count: u64, wait_for_first: bool| {
        move |handles: Handles| async move {
            let mut producer = handles.log.producer();
            for number in 0..count {
                producer.send(at(Topic::Repartition), record(&number.to_string()));
                while number == 0 && wait_for_first && producer.queued_bytes() > 0 {
                    producer.deliveries(WAIT).await.unwrap().into_iter().for_each(|delivery| {
                        delivery.outcome.unwrap();
                    });
                }
            }
            while producer.queued_bytes() > 0 {
                producer.deliveries(WAIT).await.unwrap().into_iter().for_each(|delivery| {
                    delivery.outcome.unwrap();
                });
            }
        }
    };

    drive(&mut many, 1, send(3, false));
    drive(&mut alone, 1, send(3, true));
    assert_eq!(texts(&many, Topic::Repartition), ["2"]);
    assert_eq!(texts(&alone, Topic::Repartition), ["0", "1", "2"]);
}

#[test]
fn an_open_transaction_hides_later_records_and_its_own_until_it_ends() {
    let mut world = world(4, Faults::calm());

    drive(&mut world, 1, |handles| async move {
        let mut transactions = handles.log.transactions().await.unwrap();
        transactions.begin().await.unwrap();
        transactions.send(at(Topic::State), &batch("a")).await.unwrap();
        let mut reader = handles.log.reader();
        let committed = reader.ends(at(Topic::State), Isolation::ReadCommitted).await.unwrap();
        let all = reader.ends(at(Topic::State), Isolation::ReadUncommitted).await.unwrap();
        assert_eq!((committed.next, all.next), (NextOffset(0), NextOffset(1)));
        assert!(reader.read(at(Topic::State), NextOffset(0), 100).await.unwrap().is_empty());

        assert_eq!(transactions.commit().await.unwrap(), Ended::Clean);
        let batch = reader.read(at(Topic::State), NextOffset(0), 100).await.unwrap();
        assert_eq!((batch.records.len(), batch.next), (1, NextOffset(2)), "the marker takes an offset");
    });
}

#[test]
fn a_dead_workers_transaction_is_aborted_by_its_successor_or_by_time() {
    let mut world = world(5, Faults::calm());
    world.spawn(1, |handles| {
        Box::pin(async move {
            let mut transactions = handles.log.transactions().await.map_err(|e| e.to_string())?;
            transactions.begin().await.map_err(|e| e.to_string())?;
            transactions.send(at(Topic::State), &batch("lost")).await.map_err(|e| e.to_string())?;
            handles.clock.sleep(Duration::from_secs(3600)).await;
            Ok(())
        })
    });
    assert!(world.run_until(Duration::from_secs(10), |world| world.has_open_transaction(at(Topic::State))));
    world.remove(1);

    assert!(world.run_until(Duration::from_secs(40), |world| !world.has_open_transaction(at(Topic::State))));
    assert!(world.records(at(Topic::State), NextOffset(0)).is_empty());
}

/// Begins, ends with a copy on its way, and begins again on the same producer.
async fn reuse_producer(handles: Handles, abort: bool) {
    let mut transactions = handles.log.transactions().await.unwrap();
    transactions.begin().await.unwrap();
    transactions.send(at(Topic::State), &batch("first")).await.unwrap();
    match abort {
        true => transactions.abort().await.unwrap(),
        false => assert_eq!(transactions.commit().await.unwrap(), Ended::Tainted),
    }
    transactions.begin().await.unwrap();
    transactions.send(at(Topic::State), &batch("second")).await.unwrap();
    handles.clock.sleep(Duration::from_secs(1)).await;
    transactions.send(at(Topic::State), &batch("third")).await.unwrap();
    handles.clock.sleep(Duration::from_secs(60)).await;
}

#[test]
fn a_late_abort_hits_the_next_transaction_of_a_producer_that_is_used_again() {
    let mut world = world(6, Faults { transaction_late_abort: 1000, ..Faults::calm() });
    world.spawn(1, |handles| {
        Box::pin(async move {
            reuse_producer(handles, true).await;
            Ok(())
        })
    });

    // The rest of the transaction stays open: only its first part is gone.
    assert!(world.run_until(Duration::from_secs(10), |world| {
        world.end(at(Topic::State), Isolation::ReadUncommitted).0 == 5
    }));
    assert_eq!(world.end(at(Topic::State), Isolation::ReadCommitted), NextOffset(4));
    assert_eq!(texts(&world, Topic::State), [""; 0]);
    assert_eq!(world.violations().len(), 1, "{:?}", world.violations());
}

#[test]
fn a_tainted_commit_leaves_a_copy_that_ends_the_next_transaction_early() {
    let early = (0..20).filter(|&seed| {
        let mut world = world(seed, Faults { transaction_tainted: 1000, ..Faults::calm() });
        world.spawn(1, |handles| {
            Box::pin(async move {
                reuse_producer(handles, false).await;
                Ok(())
            })
        });
        world.run_for(Duration::from_secs(10));
        texts(&world, Topic::State) == ["first", "second"]
    });

    let early = early.count();
    assert!((3..=17).contains(&early), "commit and abort both come late: {early} of 20");
}

#[test]
fn since_every_end_begins_an_epoch_a_late_one_ends_nothing() {
    for (abort, faults) in [
        (true, Faults { transaction_late_abort: 1000, ..Faults::calm() }),
        (false, Faults { transaction_tainted: 1000, ..Faults::calm() }),
    ] {
        let mut world = world(6, Faults { transaction_epochs: true, ..faults });
        world.spawn(1, move |handles| {
            Box::pin(async move {
                reuse_producer(handles, abort).await;
                Ok(())
            })
        });
        world.run_for(Duration::from_secs(10));

        assert!(world.has_open_transaction(at(Topic::State)), "the second transaction is still open");
        assert_eq!(texts(&world, Topic::State).len(), usize::from(!abort));
        assert_eq!(world.violations(), [""; 0]);
    }
}

#[test]
fn offsets_without_generation_and_member_are_taken_and_noticed() {
    let mut world = world(9, Faults::calm());

    drive(&mut world, 1, |handles| async move {
        let mut transactions = handles.log.transactions().await.unwrap();
        transactions.begin().await.unwrap();
        let offsets = BTreeMap::from([(P0, NextOffset(5))]);
        let hollow = Membership { generation: -1, member: String::new() };
        transactions.send_offsets(&offsets, &hollow).await.unwrap();
        transactions.commit().await.unwrap();
    });

    assert_eq!(world.committed(Role::Aggregate, P0), Some(offset(5)));
    assert!(world.violations()[0].starts_with("I12"), "{:?}", world.violations());
}

#[test]
fn a_client_that_was_expelled_names_a_hollow_membership_before_it_hears_of_it() {
    let mut world = world(10, Faults { hollow_membership: true, ..Faults::calm() });
    let found = Rc::new(RefCell::new(None));
    let heard = found.clone();
    world.spawn(1, move |handles| {
        let heard = heard.clone();
        Box::pin(async move {
            let mut consumer = handles.log.consumer(Role::Aggregate);
            while !matches!(news(&mut *consumer).await, Polled::Assigned(_)) {}
            for _ in 0..50 {
                handles.clock.sleep(Duration::from_millis(100)).await;
            }
            *heard.borrow_mut() = Some(consumer.membership());
            handles.clock.sleep(Duration::from_secs(600)).await;
            Ok(())
        })
    });
    world.run_for(Duration::from_secs(2));
    let until = world.now() + 200_000_000;
    world.pause(1, until);
    world.run_for(Duration::from_secs(201));

    let hollow = Membership { generation: -1, member: String::new() };
    assert_eq!(found.take(), Some(Some(hollow)));
}

#[test]
fn an_earlier_producer_of_the_same_worker_is_fenced() {
    let mut world = world(7, Faults::calm());

    drive(&mut world, 1, |handles| async move {
        let mut older = handles.log.transactions().await.unwrap();
        older.begin().await.unwrap();
        older.send(at(Topic::State), &batch("old")).await.unwrap();
        let _newer = handles.log.transactions().await.unwrap();
        assert_eq!(older.commit().await.unwrap_err().reaction, Reaction::Rejoin);
    });

    assert!(world.records(at(Topic::State), NextOffset(0)).is_empty());
}

#[test]
fn a_zombies_commits_are_refused_and_it_hears_of_its_loss() {
    let mut world = world(8, Faults::calm());
    let (held, refused) = (Rc::new(Cell::new(false)), Rc::new(Cell::new(false)));
    let (on_held, on_refused) = (held.clone(), refused.clone());
    world.spawn(1, move |handles| {
        let (held, refused) = (on_held.clone(), on_refused.clone());
        Box::pin(async move {
            let mut consumer = handles.log.consumer(Role::Aggregate);
            assert!(matches!(news(&mut *consumer).await, Polled::Assigned(_)));
            held.set(true);
            handles.clock.sleep(Duration::from_secs(30)).await;

            let member = consumer.membership().expect("a zombie believes what it last heard");
            let plain = consumer.commit(P0, offset(1)).await.unwrap_err();
            let mut transactions = handles.log.transactions().await.unwrap();
            transactions.begin().await.unwrap();
            let offsets = BTreeMap::from([(P0, NextOffset(1))]);
            let fenced = transactions.send_offsets(&offsets, &member).await.unwrap_err();
            assert_eq!((plain.reaction, fenced.reaction), (Reaction::Rejoin, Reaction::Rejoin));
            assert!(matches!(news(&mut *consumer).await, Polled::Lost(_)));
            refused.set(true);
            Ok(())
        })
    });
    assert!(world.run_until(Duration::from_secs(10), |_| held.get()));

    world.pause(1, world.now() + 120_000_000);
    assert!(world.run_until(Duration::from_secs(200), |_| refused.get()));
    assert_eq!(world.committed(Role::Aggregate, P0), None);
}

#[test]
fn a_late_offset_commit_may_move_a_position_back_within_a_generation() {
    let faults = Faults { commit_again: 1000, ..Faults::calm() };
    let back = (0..20).filter(|&seed| {
        let mut world = world(seed, faults.clone());
        let done = Rc::new(Cell::new(false));
        let on_done = done.clone();
        world.spawn(1, move |handles| {
            let done = on_done.clone();
            Box::pin(async move {
                let mut consumer = handles.log.consumer(Role::Route);
                assert!(matches!(news(&mut *consumer).await, Polled::Assigned(_)));
                consumer.commit(P0, offset(1)).await.unwrap();
                consumer.commit(P0, offset(2)).await.unwrap();
                done.set(true);
                handles.clock.sleep(Duration::from_secs(60)).await;
                Ok(())
            })
        });
        world.run_for(Duration::from_secs(50));
        assert!(done.get());
        world.committed(Role::Route, P0) == Some(offset(1))
    });
    assert!(back.count() > 0);
}

/// A member that reads, sends on, commits and releases, whatever comes.
async fn busy(handles: Handles) -> Result<(), String> {
    let mut consumer = handles.log.consumer(Role::Route);
    let mut producer = handles.log.producer();
    loop {
        match consumer.poll(1000, WAIT).await {
            Ok(Polled::Assigned(partitions)) => {
                for partition in partitions {
                    let at = consumer.committed(partition).await.map_err(|e| e.to_string())?;
                    let at = at.map_or(NextOffset(0), |at| at.next);
                    consumer.start(partition, at).await.map_err(|e| e.to_string())?;
                }
            }
            Ok(Polled::Revoked(going)) => consumer.release(&going).await.map_err(|e| e.to_string())?,
            Ok(Polled::Records(batch)) => {
                let partition = batch.source.partition;
                producer.send(TopicPartition { topic: Topic::Repartition, partition }, record("x"));
                producer.deliveries(Duration::ZERO).await.map_err(|e| e.to_string())?;
                let next = offset(batch.next.0);
                consumer.commit(partition, next).await.map_err(|e| e.to_string())?;
            }
            Ok(Polled::Lost(_) | Polled::Idle) => {}
            Err(error) if error.reaction == Reaction::Retry => handles.clock.sleep(WAIT).await,
            Err(error) => return Err(error.to_string()),
        }
    }
}

fn busy_history(seed: u64) -> World {
    let mut chance = super::Seed(seed);
    let mut world = world(seed, Faults::draw(&mut chance));
    (0..3).for_each(|worker| {
        world.spawn(worker, |handles| Box::pin(busy(handles)));
    });
    for number in 0..40 {
        world.append_raw(Partition(number % 2), None, Some(vec![0; 10]));
        world.run_for(Duration::from_secs(1));
    }
    world.heal();
    world
}

#[test]
fn the_same_seed_is_the_same_history() {
    let hashes: Vec<u64> = (0..20).map(|seed| busy_history(seed).trace_hash()).collect();
    let again: Vec<u64> = (0..20).map(|seed| busy_history(seed).trace_hash()).collect();

    assert_eq!(hashes, again);
    assert!(hashes.windows(2).all(|pair| pair[0] != pair[1]));
}

#[test]
fn whatever_struck_a_healed_world_lets_its_workers_finish() {
    for seed in 0..100 {
        let mut world = busy_history(seed);
        // A late commit may have moved a position back behind the last one: whoever starts next reads on from there.
        world.run_for(Duration::from_secs(70));
        (0..3).for_each(|worker| world.crash(worker));

        let is_done = |world: &World| {
            (0..2).all(|partition| {
                let end = world.end(
                    TopicPartition { topic: Topic::Raw, partition: Partition(partition) },
                    Isolation::ReadCommitted,
                );
                world.committed(Role::Route, Partition(partition)).is_some_and(|at| at.next == end)
            })
        };
        assert!(world.run_until(Duration::from_secs(600), is_done), "seed {seed} does not finish");
    }
}
