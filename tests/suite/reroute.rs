//! `reroute`, as a person uses it on the embedded log: what is broken is named, and the books balance again.

use super::cli::{code, ended, fine, text, topology};
use crate::objects::now;
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;
use thalweg::embedded::{EmbeddedLog, Layout};
use thalweg::model::{CommittedOffset, NextOffset, Partition, Role, RoutingVersion, Topic};
use thalweg::port::{Log, Polled};
use thalweg::route::RoutePosition;
use thalweg::topology::Topology;

const EVENTS: usize = 600;

/// A deployment with half of its events routed, counted and stored, and the other half in the raw topic.
pub(super) struct Shop {
    dir: tempfile::TempDir,
    topology: String,
}

impl Shop {
    pub(super) fn half_done() -> Shop {
        let shop = Shop { dir: tempfile::tempdir().unwrap(), topology: topology("marketplace") };
        let events = fine(&["generate", "--events", &EVENTS.to_string(), "--late", "0"]);
        let half: Vec<&str> = events.lines().take(EVENTS / 2).collect();
        fs::write(shop.path("events.ndjson"), half.join("\n") + "\n").unwrap();
        shop.fine("run", &["--input", &shop.path("events.ndjson"), "--until-idle"]);
        fs::write(shop.path("events.ndjson"), events).unwrap();
        shop.fine("run", &["--roles", "lake", "--input", &shop.path("events.ndjson"), "--until-idle"]);
        shop
    }

    pub(super) fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn verb(&self, verb: &str, more: &[&str]) -> Vec<String> {
        let first = [verb, &self.topology, "--embedded", &self.path("log")].map(str::to_owned);
        first.into_iter().chain(more.iter().map(|&more| more.to_owned())).collect()
    }

    #[track_caller]
    pub(super) fn fine(&self, verb: &str, more: &[&str]) -> String {
        let words = self.verb(verb, more);
        fine(&words.iter().map(String::as_str).collect::<Vec<_>>())
    }

    /// Ends badly, with this code; what it said on both streams.
    #[track_caller]
    pub(super) fn refused(&self, expected: i32, verb: &str, more: &[&str]) -> String {
        let words = self.verb(verb, more);
        let output = ended(&words.iter().map(String::as_str).collect::<Vec<_>>());
        let said = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(code(&output), expected, "{said}");
        said
    }

    /// The same under another topology than the one in force, with exit code 1.
    #[track_caller]
    pub(super) fn refused_under(&self, topology: &str, verb: &str, more: &[&str]) -> String {
        let log = self.path("log");
        let output = ended(&[&[verb, topology, "--embedded", &log], more].concat());
        let said = text(&output.stdout) + &text(&output.stderr);
        assert_eq!(code(&output), 1, "{said}");
        said
    }

    pub(super) fn topology(&self) -> &str {
        &self.topology
    }

    fn checked(&self) -> Topology {
        thalweg::topology::check(&fs::read_to_string(format!("{}/topology.yaml", self.topology)).unwrap())
            .unwrap()
    }

    /// The log, with nobody running.
    pub(super) fn with_log<T>(&self, act: impl FnOnce(&EmbeddedLog, &Topology) -> T) -> T {
        let topology = self.checked();
        let layout = Layout::new(&topology.deployment, topology.partitions, 1, Duration::ZERO);
        let log = EmbeddedLog::open(&self.dir.path().join("log"), &layout).unwrap();
        act(&log, &topology)
    }

    /// Moves the group of `route`, as no tool of ours does.
    pub(super) fn commit(&self, partition: Partition, offset: CommittedOffset) {
        self.with_log(|log, _| {
            let mut consumer = log.consumer(Role::Route);
            assert!(matches!(now(consumer.poll(1, Duration::ZERO)).unwrap(), Polled::Assigned(_)));
            now(consumer.commit(partition, offset)).unwrap();
            now(consumer.leave()).unwrap();
        });
    }

    /// As if all of the partition had been routed and acknowledged, and then the repartition topic had lost it.
    fn lose_what_was_acknowledged(&self, partition: Partition) -> NextOffset {
        let (position, end) = self.with_log(|log, topology| {
            let end = log.raw_ends()[&partition];
            let incarnation = now(log.reader().facts(Topic::Raw)).unwrap().incarnation;
            let version = RoutingVersion(topology.routing_version);
            let first = RoutePosition::first(incarnation, version, end, topology.partitions);
            let last = first.last.iter().map(|_| end.last()).collect();
            (RoutePosition { last, ..first }, end)
        });
        self.commit(partition, position.to_commit());
        end
    }

    /// Everything is counted, once, and the lake says the same.
    #[track_caller]
    pub(super) fn balances(&self) {
        self.fine("run", &["--until-idle"]);
        let report: Value = serde_json::from_str(&self.fine("verify", &["--output", "json"])).unwrap();
        let found = (&report["raw_records"], &report["difference_count"], &report["gaps"]);
        assert_eq!(found, (&EVENTS.into(), &0.into(), &Value::Array(vec![])), "{report}");
        let (found, expected) = (self.rows(), clean_rows());
        let differs = expected.iter().find(|&(key, value)| found.get(key) != Some(value));
        assert!(differs.is_none() && found.len() == expected.len(), "{} rows; {differs:?}", found.len());
        assert!(self.fine("reroute", &[]).contains("nothing to restart"));
    }

    fn rows(&self) -> BTreeMap<String, String> {
        rows(&self.fine("metrics", &[]))
    }
}

/// Calendar rows without `as_of`: the same however often something was sent.
fn rows(text: &str) -> BTreeMap<String, String> {
    let mut rows = BTreeMap::new();
    for line in text.lines() {
        let row: Value = serde_json::from_str(line).unwrap();
        // Where a rolling row ends depends on when it was written; `verify` has an eye on those.
        if row["window"].as_str().unwrap().starts_with("rolling") {
            continue;
        }
        let key = ["aggregate", "tenant_id", "by", "window", "start"].map(|part| row[part].to_string());
        rows.insert(key.join(" "), format!("{} {}", row["carry"], row["values"]));
    }
    rows
}

/// What the same events leave where nothing ever goes wrong.
fn clean_rows() -> BTreeMap<String, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name).to_str().unwrap().to_owned();
    fs::write(path("events.ndjson"), fine(&["generate", "--events", &EVENTS.to_string(), "--late", "0"]))
        .unwrap();
    let (topology, log) = (topology("marketplace"), path("log"));
    fine(&["run", &topology, "--embedded", &log, "--input", &path("events.ndjson"), "--until-idle"]);
    rows(&fine(&["metrics", &topology, "--embedded", &log]))
}

#[test]
fn a_lost_block_halts_by_name_and_reroute_brings_the_books_back() {
    let shop = Shop::half_done();
    let end = shop.lose_what_was_acknowledged(Partition(0));

    let halted = shop.refused(1, "run", &["--until-idle"]);
    let shown = shop.refused(4, "reroute", &[]);
    let done: Value = serde_json::from_str(&shop.fine("reroute", &["--apply", "--output", "json"])).unwrap();

    assert!(halted.contains("the log lost records of raw partition 0"), "{halted}");
    assert!(halted.contains("stop every route worker and run `thalweg reroute`"), "{halted}");
    assert!(shown.contains("raw partition 0: from 150 on, had position 300"), "{shown}");
    let restart = &done["restarts"][0];
    assert_eq!((&restart["partition"], &restart["was"]), (&0.into(), &end.0.into()));
    assert!(
        done["restarts"].as_array().unwrap().len() == 1 && !done["forgives"].as_array().unwrap().is_empty()
    );
    shop.balances();
}

/// Hours may pass before somebody looks, and each session states the same again.
#[test]
fn every_record_that_halts_is_forgiven_and_not_only_the_first() {
    let shop = Shop::half_done();
    shop.lose_what_was_acknowledged(Partition(1));
    for _ in 0..3 {
        shop.refused(1, "run", &["--roles", "route,aggregate", "--until-idle"]);
    }

    let done: Value = serde_json::from_str(&shop.fine("reroute", &["--apply", "--output", "json"])).unwrap();

    assert!(done["forgives"].as_array().unwrap().len() >= 12, "{done}");
    shop.balances();
}

#[test]
fn a_reroute_that_broke_off_between_its_commit_and_its_records_is_made_good_by_the_next() {
    let shop = Shop::half_done();
    shop.lose_what_was_acknowledged(Partition(0));
    shop.refused(1, "run", &["--until-idle"]);
    let told: Value =
        serde_json::from_str(shop.refused(4, "reroute", &["--output", "json"]).lines().next().unwrap())
            .unwrap();
    let at = NextOffset(told["restarts"][0]["at"].as_u64().unwrap());
    let position = shop.with_log(|log, topology| {
        let incarnation = now(log.reader().facts(Topic::Raw)).unwrap().incarnation;
        let version = RoutingVersion(topology.routing_version);
        let first = RoutePosition::first(incarnation, version, at, topology.partitions);
        RoutePosition { last: vec![at.last(); topology.partitions as usize], ..first }
    });
    shop.commit(Partition(0), position.to_commit());
    shop.refused(1, "run", &["--until-idle"]);

    shop.fine("reroute", &["--apply"]);

    shop.balances();
}

#[test]
fn a_position_that_a_tool_moved_is_refused_by_name_and_found_again() {
    let shop = Shop::half_done();
    shop.commit(Partition(1), CommittedOffset { next: NextOffset(3), metadata: String::new() });

    let halted = shop.refused(1, "run", &["--until-idle"]);
    let done = shop.fine("reroute", &["--apply"]);

    assert!(halted.contains("the position of raw partition 1 is not ours"), "{halted}");
    assert!(
        done.contains("raw partition 1: from 150 on, had position 3: its position is not ours"),
        "{done}"
    );
    shop.balances();
}

#[test]
fn what_is_asked_for_is_sent_again_and_counted_once() {
    let shop = Shop::half_done();

    let done = shop.fine("reroute", &["--partition", "0", "--partition", "1", "--apply"]);
    let wrong = shop.refused(1, "reroute", &["--partition", "7"]);

    assert!(done.contains("raw partition 1: from 150 on, had position 150: asked for"), "{done}");
    assert!(wrong.contains("there is no raw partition 7: the topic has 2"), "{wrong}");
    shop.balances();
}

#[test]
fn a_running_worker_keeps_its_group() {
    let shop = Shop::half_done();
    let words = shop.verb("run", &[]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let mut worker = super::cli::thalweg(&words).stderr(std::process::Stdio::null()).spawn().unwrap();
    // It has written its name as soon as the directory is its own.
    let is_there = || {
        fs::read_to_string(shop.path("log/lock")).is_ok_and(|text| text.contains(&worker.id().to_string()))
    };
    while !is_there() {
        std::thread::sleep(Duration::from_millis(20));
    }

    let refused = shop.refused(75, "reroute", &["--apply", "--partition", "0"]);
    worker.kill().unwrap();
    worker.wait().unwrap();

    assert!(refused.contains(&worker.id().to_string()), "{refused}");
    shop.balances();
}
