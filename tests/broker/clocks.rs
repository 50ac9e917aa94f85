//! F36: workers whose clocks are a day fast, a day slow, and jump.

use crate::deployment::{Deployment, Shape};
use crate::foreign::until;
use crate::river::produce;
use crate::servers::{Kafka, S3};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const EVENTS: u64 = 4_000;
/// Both clocks have done so by then.
const JUMPED: Duration = Duration::from_secs(10);

/// Calendar rows of one aggregate, without the ends of rolling windows, which move with the log's time.
fn rows(deployment: &Deployment) -> Vec<Value> {
    let text = deployment.fine("metrics", &["--aggregate", "vendor"]);
    let rows = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    rows.filter(|row| !row["window"].to_string().contains("rolling")).map(without_place).collect()
}

/// Where a row stands in its log is another matter.
fn without_place(mut row: Value) -> Value {
    for member in ["as_of", "since", "commit"] {
        row.as_object_mut().unwrap().remove(member);
    }
    row
}

fn with_clock(deployment: &Deployment, ordinal: &str, clock: &str) -> Child {
    let mut command = deployment.command("run");
    command.env("THALWEG__WORKER__ORDINAL", ordinal).env("THALWEG_CLOCK", clock);
    command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
}

#[test]
fn clocks_that_are_days_wrong_and_jump_change_no_row() {
    let (Some(kafka), Some(store)) = (Kafka::shared(), S3::shared()) else { return };
    let config = "pace: { commit_every: 200ms, route_commit_every: 200ms }\n";
    let [right, wrong] = [(); 2].map(|()| {
        let deployment = Deployment::with(kafka, store, &Shape { config, ..Shape::default() });
        deployment.edit_topology("age: 5m, bytes: 128MiB", "age: 1s, bytes: 1MiB");
        deployment.make_topics();
        deployment
    });
    for seed in [5, 6] {
        produce(&right.log, seed, EVENTS / 2);
    }
    right.fine("run", &["--until-idle"]);

    let began = Instant::now();
    produce(&wrong.log, 5, EVENTS / 2);
    let mut workers = [("0", "86400:0,-86400:6"), ("1", "-86400:0,86400:4,0:8")]
        .map(|(ordinal, clock)| with_clock(&wrong, ordinal, clock));
    thread::sleep(JUMPED.saturating_sub(began.elapsed()));
    produce(&wrong.log, 6, EVENTS / 2);
    // By themselves: nobody's clock keeps anybody from committing.
    until("all rows", || rows(&wrong).len() == rows(&right).len());
    for worker in &mut workers {
        assert!(worker.try_wait().unwrap().is_none(), "a worker gave up");
        kill_process(Pid::from_child(worker), Signal::TERM).unwrap();
        assert!(worker.wait().unwrap().success());
    }
    wrong.fine("run", &["--until-idle"]);

    wrong.proved(EVENTS);
    assert_eq!(rows(&wrong), rows(&right));
}
