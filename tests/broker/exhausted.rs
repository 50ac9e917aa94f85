//! F33 on brokers: a process that may open nothing more goes on with what it has, and with all of it once it may again.

use crate::contract::now;
use crate::deployment::{Deployment, Shape};
use crate::foreign::{address, until};
use crate::operations::get;
use crate::river::produce;
use crate::servers::{Fate, Kafka, S3, StoreProxy};
use std::fs::File;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use thalweg::model::{Partition, Role};
use thalweg::port::Log;

/// The soft limit of open files of a process that runs.
fn limit_files(process: &Child, limit: &str) {
    let limit = format!("--nofile={limit}:");
    let set = Command::new("prlimit").args(["--pid", &process.id().to_string(), &limit]).status().unwrap();
    assert!(set.success());
}

fn committed(deployment: &Deployment, role: Role) -> u64 {
    let mut reader = deployment.log.reader();
    let partitions = if role == Role::Aggregate { 4 } else { 2 };
    let mut at = |partition| now(reader.committed(role, Partition(partition))).unwrap();
    (0..partitions).map(|partition| at(partition).map_or(0, |at| at.next.0)).sum()
}

#[test]
fn a_process_that_may_open_no_file_goes_on_counting_and_all_of_it_goes_on_when_it_may() {
    let (Some(kafka), Some(real)) = (Kafka::shared(), S3::shared()) else { return };
    // Every request to the store needs a new connection.
    let is_asked = Arc::new(AtomicBool::new(false));
    let asked = Arc::clone(&is_asked);
    let proxy = StoreProxy::before(real.port(), move |_| {
        asked.store(true, Ordering::SeqCst);
        Fate::Pass
    });
    let config = "pace: { commit_every: 200ms, route_commit_every: 200ms, backoff: { longest: 500ms } }\n";
    let deployment = Deployment::with(kafka, real, &Shape { config, ..Shape::default() });
    deployment.edit_topology("age: 5m, bytes: 128MiB", "age: 1s, bytes: 1MiB");
    let text = deployment.config_text().replace(&real.endpoint(), &proxy.endpoint());
    std::fs::write(deployment.config_path(), text).unwrap();
    deployment.make_topics();
    let log = deployment.folder.path().join("worker.log");
    let mut worker = deployment.command("run");
    let mut worker = worker.stdout(Stdio::null()).stderr(File::create(&log).unwrap()).spawn().unwrap();
    let (mut events, mut seed) = (0, 0);
    let mut more = || {
        produce(&deployment.log, seed, 100);
        (events, seed) = (events + 100, seed + 1);
    };
    more();
    until("a first chunk", || committed(&deployment, Role::Lake) == 100);
    // Each of its clients has its connections by now.
    for _ in 0..2 {
        let metrics = committed(&deployment, Role::Aggregate);
        more();
        until("metrics", || committed(&deployment, Role::Aggregate) > metrics);
    }
    let address = address(&log).unwrap();
    assert_eq!(get(address, "/livez").0, 200);

    limit_files(&worker, "3");
    // What was open for the store already may pass.
    more();
    until("a store that is not asked", || {
        std::thread::sleep(std::time::Duration::from_secs(1));
        !is_asked.swap(false, Ordering::SeqCst)
    });
    let [metrics, lake] = [Role::Aggregate, Role::Lake].map(|role| committed(&deployment, role));
    more();
    until("metrics all the same", || committed(&deployment, Role::Aggregate) > metrics);
    assert_eq!(committed(&deployment, Role::Lake), lake, "without a connection nothing can be sealed");
    assert!(worker.try_wait().unwrap().is_none(), "the worker gave up");

    limit_files(&worker, "1024");
    until("the lake again", || committed(&deployment, Role::Lake) > lake);
    assert_eq!(get(address, "/livez").0, 200, "the admin port outlives it");
    worker.kill().unwrap();
    worker.wait().unwrap();
    deployment.fine("run", &["--until-idle"]);
    deployment.proved(events);
}
