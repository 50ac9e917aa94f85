//! F36: workers whose clocks are a day fast, a day slow, and jump.

use crate::contract::now;
use crate::deployment::{Deployment, Shape};
use crate::foreign::until;
use crate::river::produce;
use crate::servers::{Kafka, S3};
use rustix::process::{Pid, Signal, kill_process};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use thalweg::model::{Partition, Role, Topic, TopicPartition};
use thalweg::port::{Isolation, Log, Reader};

const EVENTS: u64 = 2_000;
/// Both clocks have done so by then.
const JUMPED: Duration = Duration::from_secs(10);

/// Have all three roles committed all that there is for them?
fn have_caught_up(reader: &mut dyn Reader) -> bool {
    let mut has = |role, topic, partition| {
        let at = TopicPartition { topic, partition: Partition(partition) };
        let end = now(reader.ends(at, Isolation::ReadCommitted)).unwrap().next;
        let committed = now(reader.committed(role, Partition(partition))).unwrap();
        committed.is_some_and(|at| at.next >= end)
    };
    let raw = (0..2)
        .all(|partition| has(Role::Route, Topic::Raw, partition) && has(Role::Lake, Topic::Raw, partition));
    raw && (0..4).all(|partition| has(Role::Aggregate, Topic::Repartition, partition))
}

fn with_clock(deployment: &Deployment, ordinal: &str, clock: &str) -> Child {
    let mut command = deployment.command("run");
    command.env("THALWEG__WORKER__ORDINAL", ordinal).env("THALWEG_CLOCK", clock);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn clocks_that_are_days_wrong_and_jump_stop_nobody_and_change_no_row() {
    let (Some(kafka), Some(store)) = (Kafka::shared(), S3::shared()) else { return };
    let config = "pace: { commit_every: 200ms, route_commit_every: 200ms }\n";
    let deployment = Deployment::with(kafka, store, &Shape { config, ..Shape::default() });
    deployment.edit_topology("age: 5m, bytes: 128MiB", "age: 1s, bytes: 1MiB");
    deployment.make_topics();
    let mut reader = deployment.log.reader();

    let began = Instant::now();
    let mut workers = [("0", "86400:0,-86400:6"), ("1", "-86400:0,86400:4,-172800:8")]
        .map(|(ordinal, clock)| with_clock(&deployment, ordinal, clock));
    produce(&deployment.log, 5, EVENTS / 2);
    until("the first half", || have_caught_up(&mut *reader));
    thread::sleep(JUMPED.saturating_sub(began.elapsed()));
    produce(&deployment.log, 6, EVENTS / 2);
    // Nobody waits for his clock to be there again.
    until("the second half", || have_caught_up(&mut *reader));

    for worker in &mut workers {
        assert!(worker.try_wait().unwrap().is_none(), "a worker gave up");
        kill_process(Pid::from_child(worker), Signal::TERM).unwrap();
        assert!(worker.wait().unwrap().success());
    }
    deployment.fine("run", &["--until-idle"]);
    deployment.proved(EVENTS);
}
