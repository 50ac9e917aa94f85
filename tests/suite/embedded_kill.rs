//! SIGKILL at random moments: what was answered is there, and nothing is torn.
//!
//! The tests start this same binary again, as the process that is killed.

use super::*;
use crate::port_contract::{START, at, read_all, record, values};
use std::collections::BTreeMap;
use std::env;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Duration;
use thalweg::embedded::{Error, ReadOnlyLog};
use thalweg::model::{NextOffset, OutBatch, Partition, Role, Topic};
use thalweg::port::{Isolation, Producer, Transactions};

const DIR: &str = "THALWEG_TEST_KILL_DIR";

/// Starts this test again as a child that writes to `dir` until it is killed.
fn start(test: &str, dir: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(DIR, dir)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// The child: writes for ever, and says what was answered.
fn write_for_ever(dir: &Path) -> ! {
    let log = open(dir);
    let raw = at(Topic::Raw, 0);
    let mut consumer = log.consumer(Role::Aggregate);
    now(consumer.poll(1, Duration::ZERO)).unwrap();
    let member = consumer.membership().unwrap();
    let mut producer = log.producer();
    let mut transactions = now(log.transactions()).unwrap();
    let ends = |topic| now(log.reader().ends(at(topic, 0), Isolation::ReadCommitted)).unwrap().next.0;
    let (mut sent, mut commit) = (ends(Topic::Raw), ends(Topic::State));
    println!();
    loop {
        for _ in 0..7 {
            producer.send(raw, record("k", &text(sent)));
            sent += 1;
        }
        transact(&mut *transactions, commit, &member);
        commit += 1;
        println!("commit {commit}");
        say_delivered(&mut *producer);
    }
}

fn transact(transactions: &mut dyn Transactions, commit: u64, member: &thalweg::port::Membership) {
    now(transactions.begin()).unwrap();
    now(transactions.send(at(Topic::State, 0), &OutBatch::from_iter([("k", &text(commit))]))).unwrap();
    now(transactions.send(at(Topic::Metrics, 1), &OutBatch::from_iter([("k", &text(commit))]))).unwrap();
    let offsets = BTreeMap::from([(Partition(0), NextOffset(commit + 1))]);
    now(transactions.send_offsets(&offsets, member)).unwrap();
    now(transactions.commit()).unwrap();
}

fn say_delivered(producer: &mut dyn Producer) {
    for delivery in now(producer.deliveries(Duration::ZERO)).unwrap() {
        println!("raw {}", delivery.outcome.unwrap().0.next());
    }
}

/// Different lengths, some longer than a run.
fn text(number: u64) -> String {
    let len = if number.is_multiple_of(11) { 70_000 } else { number % 13 * 500 };
    format!("{number} {}", "x".repeat(len as usize))
}

/// What the child said before it was killed: raw records and commits that were answered.
fn kill_after(mut child: Child, time: Duration) -> (u64, u64) {
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    // It writes: the clock starts.
    let first = lines.by_ref().map(Result::unwrap).find(|line| line.starts_with("commit "));
    assert!(first.is_some(), "the child wrote nothing");
    std::thread::sleep(time);
    child.kill().unwrap();
    child.wait().unwrap();
    let (mut raw, mut commits) = (0, 1);
    for line in lines.map_while(Result::ok) {
        match line.split_once(' ') {
            Some(("raw", next)) => raw = next.parse().unwrap_or(raw),
            Some(("commit", commit)) => commits = commit.parse().unwrap_or(commits),
            Some(_) | None => {}
        }
    }
    (raw, commits)
}

fn check(values: &[String], at_least: u64) -> u64 {
    let expected = (0..values.len() as u64).map(text);
    assert!(expected.eq(values.iter().cloned()), "torn, lost or doubled");
    assert!(values.len() as u64 >= at_least, "{} of {at_least} that were answered", values.len());
    values.len() as u64
}

#[test]
fn every_answered_record_survives_a_kill_and_no_transaction_is_torn() {
    const NAME: &str = "embedded::kill::every_answered_record_survives_a_kill_and_no_transaction_is_torn";
    if let Some(dir) = env::var_os(DIR) {
        write_for_ever(&PathBuf::from(dir));
    }
    let dir = tempfile::tempdir().unwrap();

    for round in 0..15u64 {
        let time = Duration::from_micros(round * 7_919 % 120_000);
        let (raw, commits) = kill_after(start(NAME, dir.path()), time);
        assert!(commits > 0);

        let log = open(dir.path());
        let values = |topic, partition| now(Box::pin(values(&log, at(topic, partition))));
        check(&values(Topic::Raw, 0), raw);
        let state = check(&values(Topic::State, 0), commits);
        let metrics = check(&values(Topic::Metrics, 1), commits);
        let position = now(log.reader().committed(Role::Aggregate, Partition(0))).unwrap();
        assert_eq!(state, metrics, "one half of a transaction");
        assert_eq!(position.unwrap().next, NextOffset(state), "offsets without their transaction");
    }
}

#[test]
fn another_process_is_refused_by_name_but_may_read() {
    const NAME: &str = "embedded::kill::another_process_is_refused_by_name_but_may_read";
    if let Some(dir) = env::var_os(DIR) {
        write_for_ever(&PathBuf::from(dir));
    }
    let dir = tempfile::tempdir().unwrap();
    let empty = dir.path().join("empty");
    assert!(matches!(ReadOnlyLog::open(&empty), Err(Error::NoLog { .. })));
    assert!(!empty.exists(), "a reader made a directory");
    let mut child = start(NAME, dir.path());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines.by_ref().map(Result::unwrap).find(|line| line.starts_with("commit ")).unwrap();
    let drained = std::thread::spawn(move || lines.count());

    let refused = EmbeddedLog::open(dir.path(), &layout()).err().unwrap();
    assert!(matches!(refused, Error::Locked { .. }));
    assert!(refused.to_string().contains(&format!("process {}", child.id())), "{refused}");
    let read = |log: &ReadOnlyLog, topic| {
        let batches = now(Box::pin(async { read_all(&mut *log.reader(), at(topic, 0), START).await }));
        batches.iter().map(|batch| batch.records.len() as u64).sum::<u64>()
    };
    let log = ReadOnlyLog::open(dir.path()).unwrap();
    let mut seen = 0;
    for _ in 0..20 {
        // What it reads is always whole, and goes on while the other process writes.
        let count = read(&log, Topic::State);
        let position = now(log.reader().committed(Role::Aggregate, Partition(0))).unwrap();
        assert!(count >= seen && position.unwrap().next.0 >= count);
        seen = count;
        std::thread::sleep(Duration::from_millis(20));
    }
    assert!(seen > 1, "nothing came while another process wrote");

    child.kill().unwrap();
    child.wait().unwrap();
    drained.join().unwrap();
    // Whoever was reading goes on, and sees what the next writer does.
    assert!(read(&log, Topic::State) >= seen);
    let writer = open(dir.path());
    let before = read(&log, Topic::State);
    now(Box::pin(crate::port_contract::send(&writer, at(Topic::State, 0), vec![record("k", "v")])));
    assert_eq!(read(&log, Topic::State), before + 1);
    drop((log, writer));
    let killed = start(NAME, dir.path());
    kill_after(killed, Duration::from_millis(10));
    // The kill left the file to be repaired; a reader sees to that.
    let log = ReadOnlyLog::open(dir.path()).unwrap();
    assert!(read(&log, Topic::State) >= seen);
    assert_eq!(log.facts(Topic::State).unwrap().partitions, 2);
    assert!(log.ends(Topic::State).unwrap()[&Partition(0)].next.0 >= seen);
    drop(open(dir.path()));
}
