//! Watched ports are ports: they keep every guarantee, and the board tells what went through them.

use crate::objects::now;
use crate::port_contract::{Contract, at, log_contract, objects_contract, record, send};
use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use thalweg::embedded::{EmbeddedLog, Layout};
use thalweg::model::{CommittedOffset, LogTime, NextOffset, OutBatch, Partition, Role, Topic};
use thalweg::objects::{LocalObjects, MemoryObjects};
use thalweg::port::{Consumer, Log, Objects, Polled, Reaction};
use thalweg::telemetry::Exposition;
use thalweg::watch::{Board, State, is_ready, measure, watch_log, watch_objects};

const SHORT: Duration = Duration::from_millis(10);

fn watched(dir: &Path, role: Role) -> (Arc<Board>, Rc<dyn Log>) {
    let log = EmbeddedLog::open(dir, &Layout::new("test", 2, 1, Duration::ZERO)).unwrap();
    let board = Arc::new(Board::new(&[role]));
    let watched = watch_log(Rc::new(log), &board, role);
    (board, watched)
}

fn run(contract: Contract<dyn Log>) {
    let dir = tempfile::tempdir().unwrap();
    now(contract(watched(dir.path(), Role::Aggregate).1));
}
log_contract!(run);

fn run_objects(contract: Contract<dyn Objects>) {
    let board = Arc::new(Board::new(&[Role::Lake]));
    now(contract(watch_objects(Rc::new(MemoryObjects::default()), &board, Role::Lake)));
}
objects_contract!(run_objects);

fn state(board: &Board) -> State {
    board.look().remove(0).state
}

fn metrics(board: &Board) -> Vec<String> {
    let mut told = Exposition::default();
    board.tell(&mut told, LogTime(i64::MAX));
    told.text().lines().map(str::to_owned).collect()
}

#[track_caller]
fn has(board: &Board, sample: &str) {
    let metrics = metrics(board);
    assert!(metrics.iter().any(|line| line == sample), "{sample} is not in {metrics:#?}");
}

fn assigned(consumer: &mut dyn Consumer) -> Vec<Partition> {
    loop {
        if let Polled::Assigned(partitions) = now(consumer.poll(1 << 20, SHORT)).unwrap() {
            return partitions;
        }
    }
}

#[test]
fn a_role_is_ready_once_it_reads_all_that_it_was_assigned() {
    let dir = tempfile::tempdir().unwrap();
    let (board, log) = watched(dir.path(), Role::Lake);
    let (nobody, both) = (BTreeSet::new(), BTreeSet::from([Partition(0), Partition(1)]));
    assert_eq!(state(&board), State::Starting);

    let mut consumer = log.consumer(Role::Lake);
    assert_eq!(state(&board), State::Joining);
    assert!(is_ready(&board.look(), &nobody, false).unwrap_err().starts_with("lake waits for its group"));
    assert_eq!(assigned(&mut *consumer).len(), 2);
    assert_eq!(state(&board), State::Opening(both));
    now(consumer.start(Partition(0), NextOffset(0))).unwrap();
    assert_eq!(state(&board), State::Opening([Partition(1)].into()));
    now(consumer.start(Partition(1), NextOffset(0))).unwrap();
    assert_eq!(state(&board), State::Reading);
    assert_eq!(is_ready(&board.look(), &nobody, false), Ok("ready\n".into()));
    has(&board, "thalweg_role_reading_partitions{role=\"lake\"} 2");
    has(&board, "thalweg_role_joins_total{role=\"lake\"} 1");

    now(consumer.leave()).unwrap();
    assert_eq!(state(&board), State::Left);
    drop((consumer, log));
    assert_eq!(state(&board), State::Ended);
}

#[test]
fn lag_is_what_was_not_read_and_what_was_read_but_not_committed() {
    let dir = tempfile::tempdir().unwrap();
    let (board, log) = watched(dir.path(), Role::Route);
    let records = ["a", "b", "c"].map(|value| record("k", value)).to_vec();
    now(Box::pin(send(&*log, at(Topic::Raw, 0), records)));
    has(&board, "thalweg_in_flight_bytes 0");
    let mut consumer = log.consumer(Role::Route);
    for partition in assigned(&mut *consumer) {
        now(consumer.start(partition, NextOffset(0))).unwrap();
    }

    now(Box::pin(measure(&mut *log.reader(), &board))).unwrap();
    assert_eq!(board.lag(Role::Route), 3);
    has(&board, "thalweg_read_lag_offsets{role=\"route\",partition=\"0\"} 3");
    while board.lag(Role::Route) > 0 {
        now(consumer.poll(1 << 20, SHORT)).unwrap();
    }
    has(&board, "thalweg_read_records_total{role=\"route\"} 3");
    has(&board, "thalweg_read_lag_seconds{role=\"route\",partition=\"0\"} 0");
    has(&board, "thalweg_uncommitted_offsets{role=\"route\",partition=\"0\"} 3");
    let position = CommittedOffset { next: NextOffset(2), metadata: String::new() };
    now(consumer.commit(Partition(0), position)).unwrap();

    has(&board, "thalweg_uncommitted_offsets{role=\"route\",partition=\"0\"} 1");
    has(&board, "thalweg_committed_offset{role=\"route\",partition=\"0\"} 2");
    has(&board, "thalweg_retained_offsets{role=\"route\",partition=\"0\"} 2");
    has(&board, "thalweg_role_commits_total{role=\"route\"} 1");
}

#[test]
fn a_transaction_moves_the_position_when_it_commits_and_not_when_it_is_aborted() {
    let dir = tempfile::tempdir().unwrap();
    let (board, log) = watched(dir.path(), Role::Aggregate);
    let mut consumer = log.consumer(Role::Aggregate);
    for partition in assigned(&mut *consumer) {
        now(consumer.start(partition, NextOffset(0))).unwrap();
    }
    let member = consumer.membership().unwrap();
    let offsets = BTreeMap::from([(Partition(1), NextOffset(0))]);
    let batch = OutBatch::from_iter([("key", "value")]);

    let mut transactions = now(log.transactions()).unwrap();
    now(transactions.begin()).unwrap();
    now(transactions.send(at(Topic::State, 1), &batch)).unwrap();
    now(transactions.send_offsets(&offsets, &member)).unwrap();
    now(transactions.abort()).unwrap();
    has(&board, "thalweg_transactions_total{outcome=\"aborted\"} 1");
    has(&board, "thalweg_role_commits_total{role=\"aggregate\"} 0");
    let mut transactions = now(log.transactions()).unwrap();
    now(transactions.begin()).unwrap();
    now(transactions.send(at(Topic::State, 1), &batch)).unwrap();
    now(transactions.send_offsets(&offsets, &member)).unwrap();
    now(transactions.commit()).unwrap();

    has(&board, "thalweg_transactions_total{outcome=\"clean\"} 1");
    has(&board, "thalweg_role_commits_total{role=\"aggregate\"} 1");
    has(&board, "thalweg_sent_records_total{topic=\"state\"} 2");
    has(&board, "thalweg_sent_bytes_total{topic=\"state\"} 16");
    has(&board, "thalweg_transaction_duration_seconds_count 1");
}

#[test]
fn a_failure_is_counted_by_what_it_asks_for_and_told_until_a_poll_succeeds() {
    let dir = tempfile::tempdir().unwrap();
    let (board, log) = watched(dir.path(), Role::Lake);
    let mut consumer = log.consumer(Role::Lake);
    assigned(&mut *consumer);

    let refused = now(consumer.start(Partition(0), NextOffset(99))).unwrap_err();

    let asks = match refused.reaction {
        Reaction::Retry => "retry",
        Reaction::Replay => "replay",
        Reaction::Rejoin => "rejoin",
        Reaction::Halt => "halt",
    };
    has(&board, &format!("thalweg_role_failures_total{{role=\"lake\",reaction=\"{asks}\"}} 1"));
    assert_eq!(board.look().remove(0).trouble, Some(("start", asks)));
    now(consumer.poll(1 << 20, SHORT)).unwrap();
    assert_eq!(board.look().remove(0).trouble, None);
}

#[test]
fn calls_to_the_store_are_timed() {
    let (dir, board) = (tempfile::tempdir().unwrap(), Arc::new(Board::new(&[Role::Lake])));
    let local = LocalObjects::open(dir.path()).unwrap();
    let objects = watch_objects(Rc::new(local), &board, Role::Lake);

    now(objects.create("a", b"body".to_vec())).unwrap();
    now(objects.create("/a", b"body".to_vec())).unwrap_err();

    has(&board, "thalweg_store_call_duration_seconds_count{call=\"create\"} 2");
    has(&board, "thalweg_store_call_errors_total{call=\"create\"} 1");
    has(&board, "thalweg_store_call_errors_total{call=\"read\"} 0");
}
