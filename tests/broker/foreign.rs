//! F46 and F44: what others do to us. A producer that leaves its transaction open in the raw topic, and a second
//! deployment that was given our name by mistake.

use crate::deployment::{Deployment, Shape, said};
use crate::operations::get;
use crate::river::produce;
use crate::servers::{Kafka, S3};
use rdkafka::config::ClientConfig;
use rdkafka::producer::{BaseProducer, BaseRecord, Producer};
use serde_json::Value;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);

#[track_caller]
pub(crate) fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "{what} did not happen");
        thread::sleep(LOOK);
    }
}

/// Where a worker's admin port is, by its log.
pub(crate) fn address(log: &Path) -> Option<SocketAddr> {
    let text = fs::read_to_string(log).ok()?;
    let line = text.lines().find(|line| line.contains("admin port open"))?;
    let line: Value = serde_json::from_str(line).ok()?;
    line["address"].as_str()?.parse().ok()
}

/// The sum of a metric over `role`'s partitions.
fn sum(address: SocketAddr, metric: &str, role: &str) -> f64 {
    let start = format!("{metric}{{role=\"{role}\"");
    let page = get(address, "/metrics").1;
    let lines = page.lines().filter(|line| line.starts_with(&start));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
}

#[test]
fn a_transaction_that_somebody_left_open_in_the_raw_topic_is_told_and_what_is_behind_it_waits_for_its_end() {
    let (Some(kafka), Some(store)) = (Kafka::shared(), S3::shared()) else { return };
    let deployment = Deployment::with(kafka, store, &Shape::default());
    deployment.edit_topology("age: 5m, bytes: 128MiB", "age: 1s, bytes: 1MiB");
    deployment.make_topics();
    produce(&deployment.log, 1, 200);
    let log = deployment.folder.path().join("worker.log");
    let mut worker = deployment.command("run");
    let mut worker = worker.stdout(Stdio::null()).stderr(File::create(&log).unwrap()).spawn().unwrap();
    until("an admin port", || address(&log).is_some());
    let address = address(&log).unwrap();
    until("the first events", || sum(address, "thalweg_committed_offset", "lake") >= 200.0);

    let foreign: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", kafka.bootstrap())
        .set("transactional.id", "somebody else's")
        .create()
        .unwrap();
    foreign.init_transactions(PATIENCE).unwrap();
    foreign.begin_transaction().unwrap();
    let topic = &deployment.log.settings().raw_topic;
    for partition in 0..2 {
        let sent =
            foreign.send(BaseRecord::<[u8], str>::to(topic).partition(partition).payload("never an event"));
        assert!(sent.is_ok());
    }
    foreign.flush(PATIENCE).unwrap();
    produce(&deployment.log, 2, 300);
    for role in ["route", "lake"] {
        until("what nobody may read", || sum(address, "thalweg_read_blocked_offsets", role) == 302.0);
        assert_eq!(sum(address, "thalweg_read_lag_offsets", role), 0.0, "no lag says so");
    }
    assert_eq!(sum(address, "thalweg_read_records_total", "lake"), 200.0, "and nothing of it is read");

    // What `kafka-transactions.sh abort` does.
    foreign.abort_transaction(PATIENCE).unwrap();
    for role in ["route", "lake"] {
        until("the rest", || sum(address, "thalweg_committed_offset", role) >= 502.0);
        until("an end of the alarm", || sum(address, "thalweg_read_blocked_offsets", role) == 0.0);
    }
    worker.kill().unwrap();
    worker.wait().unwrap();
    deployment.fine("run", &["--until-idle"]);
    deployment.proved(500);
}

/// Somebody copied the configuration and changed the topology: same groups, same topics, same place in the store.
#[test]
fn another_topology_under_our_name_takes_nothing_and_what_it_was_given_is_found_again() {
    let (Some(kafka), Some(store)) = (Kafka::shared(), S3::shared()) else { return };
    let deployment = Deployment::with(kafka, store, &Shape::default());
    deployment.edit_topology("age: 5m, bytes: 128MiB", "age: 1s, bytes: 1MiB");
    deployment.make_topics();
    let ours = fs::read_to_string(deployment.topology_path()).unwrap();
    produce(&deployment.log, 1, 400);
    deployment.fine("run", &["--until-idle"]);
    deployment.proved(400);

    let rule = "profile_views: { count: events, when: { type: VendorView } }";
    let other = "profile_views: { count: events, when: { type: CartAdd } }";
    deployment.edit_topology(rule, other);
    produce(&deployment.log, 2, 400);
    let theirs = deployment.command("run").arg("--until-idle").output().unwrap();
    assert!(!theirs.status.success(), "{}", said(&theirs));
    let text = said(&theirs);
    for (role, reason) in [("route", "cutover"), ("aggregate", "the state was made under configuration")] {
        let line =
            text.lines().find(|line| line.contains(reason)).unwrap_or_else(|| panic!("{role}: {text}"));
        println!("{role}: {line}");
    }

    fs::write(deployment.topology_path(), &ours).unwrap();
    deployment.fine("run", &["--until-idle"]);
    deployment.proved(800);
}
