//! `dead-letters redrive` in a world with faults: killed, stopped, replaced and lied to, it sends each letter once.

use std::cell::Cell;
use std::rc::Rc;
use std::time::Duration;
use thalweg::model::{Coordinate, Incarnation, LogTime, NextOffset, Offset, OutRecord, Partition, Source};
use thalweg::model::{Topic, TopicPartition};
use thalweg::sim::{Faults, Handles, Seed, Shape, World};
use thalweg::worker::redrive::{ORIGIN, Redrive};

const SEEDS: u64 = 300;
const INCARNATION: Incarnation = Incarnation(7);
/// Four letters a transaction.
const RATE: Option<u32> = Some(20);

fn coordinates(count: u64) -> impl Iterator<Item = Coordinate> {
    (0..count).map(|number| Coordinate {
        source: Source { incarnation: INCARNATION, partition: Partition((number % 2) as u32) },
        offset: Offset(number),
    })
}

fn letter(coordinate: Coordinate) -> OutRecord {
    OutRecord {
        key: Some(coordinate.to_string().into()),
        value: Some(format!("payload of {coordinate}").into()),
        headers: vec![
            ("thalweg.key".into(), b"k".to_vec()),
            ("__connect.errors.topic".into(), b"raw".to_vec()),
            ("thalweg.reason".into(), b"missing".to_vec()),
        ],
    }
}

/// One life: sends whatever is not marked.
async fn live(handles: Handles) -> Result<(), String> {
    let mut redrive =
        Redrive::begin(&*handles.log, &*handles.clock).await.map_err(|failure| failure.to_string())?;
    let letters = redrive.letters();
    let is_left = |place: &usize| !letters.redriven.contains(&letters.all[*place].coordinate);
    let chosen: Vec<usize> = (0..letters.all.len()).filter(is_left).collect();
    let sent = redrive.send(&chosen, RATE, &mut |_| ()).await;
    sent.map(|_| ()).map_err(|failure| failure.to_string())
}

fn history(seed: u64) -> Result<usize, String> {
    let mut chance = Seed(seed);
    // Each transaction has an epoch of its own, so that no earlier end can hit it.
    let faults = Faults { transaction_torn: 0, clock_skew: false, ..Faults::draw(&mut chance) };
    let shape = Shape { raw_partitions: 2, targets: 2, incarnation: INCARNATION, start: LogTime(1_000_000) };
    let mut world = World::new(chance.draw(), shape, faults);
    let count = chance.between(1, 40);
    let at = |topic, partition| TopicPartition { topic, partition };
    for coordinate in coordinates(count) {
        let lies_in = at(Topic::DeadLetters, coordinate.source.partition);
        // Some were refused by two sessions.
        for _ in 0..1 + u64::from(chance.one_in(4)) {
            world.append(lies_in, LogTime(1_000_000), letter(coordinate));
        }
    }
    let is_done = Rc::new(Cell::new(false));
    let ended = Rc::clone(&is_done);
    world.spawn(0, move |handles| {
        let ended = Rc::clone(&ended);
        Box::pin(async move {
            live(handles).await?;
            ended.set(true);
            Ok(())
        })
    });
    world.run_until(Duration::from_secs(60), |_| is_done.get());
    world.heal();
    if !world.run_until(Duration::from_secs(600), |_| is_done.get()) {
        return Err(format!("it does not end: {:?}", world.exits()));
    }
    // What is late may still come.
    world.run_for(Duration::from_secs(120));
    if let Some(violation) = world.violations().first() {
        return Err(violation.clone());
    }
    for coordinate in coordinates(count) {
        let raw = world.records(at(Topic::Raw, coordinate.source.partition), NextOffset(0));
        let is_its = |record: &OutRecord| {
            record.headers == [(ORIGIN.to_owned(), coordinate.to_string().into_bytes())]
                && record.key.as_deref() == Some(b"k")
                && record.value == letter(coordinate).value
        };
        let sent = raw.iter().filter(|kept| is_its(&kept.record)).count();
        if sent != 1 {
            return Err(format!("{coordinate} was sent {sent} times"));
        }
    }
    let all =
        [0, 1].map(|partition| world.records(at(Topic::Raw, Partition(partition)), NextOffset(0)).len());
    match all.iter().sum::<usize>() as u64 == count {
        true => Ok(world.exits().len()),
        false => Err(format!("{all:?} records of {count} letters")),
    }
}

#[test]
fn letters_are_sent_again_once_whatever_breaks() {
    let mut exits = 0;
    for seed in 0..SEEDS {
        match history(seed) {
            Ok(more) => exits += more,
            Err(why) => panic!("seed {seed}: {why}"),
        }
    }
    assert!(exits > 100, "only {exits} lives ended badly: nothing was broken");
}
