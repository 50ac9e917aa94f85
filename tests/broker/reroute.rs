//! R5, F37, F38: what the log lost, topics that were made again, and counts that changed, on a real broker.

use crate::contract::now;
use crate::deployment::{Deployment, said};
use crate::port_contract::at;
use crate::river::{produce, produce_to};
use crate::servers::{Kafka, S3};
use serde_json::Value;
use std::fs;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};
use thalweg::kafka::topics::{self, Wanted};
use thalweg::model::{NextOffset, OutRecord, Partition, Role, RoutingVersion, Topic};
use thalweg::port::{Isolation, Log, Polled};
use thalweg::route::RoutePosition;

const PATIENCE: Duration = Duration::from_secs(60);

impl Deployment {
    /// Ends badly, with this code; what it said on both streams.
    #[track_caller]
    pub(crate) fn refused(&self, code: i32, verb: &str, more: &[&str]) -> String {
        let output = self.command(verb).args(more).output().unwrap();
        assert_eq!(output.status.code(), Some(code), "{verb}: {}", said(&output));
        said(&output)
    }

    pub(crate) fn verified(&self) -> Value {
        serde_json::from_str(&self.fine("verify", &["--output", "json"])).unwrap()
    }

    pub(crate) fn tool(&self, kafka: &Kafka, name: &str, arguments: &[&str]) {
        let mut command: Command = kafka.tool(name);
        let output = command.args(arguments).output().unwrap();
        assert!(output.status.success(), "{name}: {}", said(&output));
    }

    /// What the checked topology of this deployment says.
    fn routing_version(&self) -> RoutingVersion {
        let text = fs::read_to_string(self.folder.path().join("topology.yaml")).unwrap();
        RoutingVersion(thalweg::topology::check(&text).unwrap().routing_version)
    }

    /// As if all of the partition had been routed and acknowledged, and the brokers had lost it.
    fn lose_what_was_acknowledged(&self, partition: Partition) {
        let mut reader = self.log.reader();
        let incarnation = now(reader.facts(Topic::Raw)).unwrap().incarnation;
        let end = now(reader.ends(at(Topic::Raw, partition.0), Isolation::ReadCommitted)).unwrap().next;
        let first = RoutePosition::first(incarnation, self.routing_version(), end, 4);
        let position = RoutePosition { last: vec![end.last(); 4], ..first };
        let mut consumer = self.log.consumer(Role::Route);
        let patience = Instant::now() + PATIENCE;
        while !matches!(now(consumer.poll(1, Duration::from_millis(100))).unwrap(), Polled::Assigned(_)) {
            assert!(Instant::now() < patience, "the group answers nothing");
        }
        now(consumer.commit(partition, position.to_commit())).unwrap();
        now(consumer.leave()).unwrap();
    }

    fn repartition_ends(&self) -> Vec<u64> {
        let mut reader = self.log.reader();
        let mut ends = |target| now(reader.ends(at(Topic::Repartition, target), Isolation::ReadUncommitted));
        (0..4).map(|target| ends(target).unwrap().next.0).collect()
    }

    /// Filled up to where the one before ended.
    fn make_repartition_topic_again(&self, ends: &[u64]) {
        let patience = Instant::now() + PATIENCE;
        while !self.command("topics").arg("--apply").output().unwrap().status.success() {
            assert!(Instant::now() < patience, "the repartition topic cannot be made");
            thread::sleep(Duration::from_millis(100));
        }
        let mut producer = self.log.producer();
        for (target, &end) in (0..).zip(ends) {
            let filler = || OutRecord { value: Some(b"filler".to_vec()), ..OutRecord::default() };
            for _ in 0..end {
                producer.send(at(Topic::Repartition, target), filler());
            }
        }
        let mut left: u64 = ends.iter().sum();
        while left > 0 {
            for delivery in now(producer.deliveries(Duration::from_secs(10))).unwrap() {
                delivery.outcome.unwrap();
                left -= 1;
            }
        }
    }

    fn make_raw_topic(&self, partitions: u32) {
        let name = self.log.settings().raw_topic.clone();
        let raw = Wanted { topic: Topic::Raw, name, partitions, settings: [].into() };
        let patience = Instant::now() + PATIENCE;
        // A topic that is being deleted is still in the way.
        while topics::create(self.log.settings(), std::slice::from_ref(&raw), 1)
            .map_or(true, |made| made.is_empty())
        {
            assert!(Instant::now() < patience, "{} cannot be made", raw.name);
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// R5, as a link finds it.
#[test]
fn lost_blocks_halt_by_name_and_the_runbook_brings_the_books_back() {
    let (Some(kafka), Some(store)) = (Kafka::shared(), S3::shared()) else { return };
    let deployment = Deployment::new(kafka, store);
    deployment.make_topics();
    produce(&deployment.log, 21, 2_000);
    deployment.fine("run", &["--until-idle"]);
    produce(&deployment.log, 22, 2_000);
    deployment.lose_what_was_acknowledged(Partition(0));

    let halted = deployment.refused(1, "run", &["--until-idle"]);
    let shown = deployment.refused(4, "reroute", &[]);
    let done = deployment.fine("reroute", &["--apply"]);
    deployment.fine("run", &["--until-idle"]);

    assert!(halted.contains("the log lost records of raw partition 0"), "{halted}");
    assert!(halted.contains("run `thalweg reroute`"), "{halted}");
    assert!(shown.contains("raw partition 0: from 1000 on, had position 2000"), "{shown}");
    assert!(done.contains("is forgiven: the log lost records of raw partition 0"), "{done}");
    deployment.proved(4_000);
    assert!(deployment.fine("reroute", &[]).contains("nothing to restart"));
}

/// R5, where the log lost its beginning before anybody had read it.
#[test]
fn a_repartition_log_that_lost_its_beginning_is_restarted() {
    let (Some(kafka), Some(store)) = (Kafka::shared(), S3::shared()) else { return };
    let deployment = Deployment::new(kafka, store);
    deployment.make_topics();
    produce(&deployment.log, 23, 1_000);
    deployment.fine("run", &["--until-idle"]);
    produce(&deployment.log, 24, 1_000);
    deployment.fine("run", &["--roles", "route,lake", "--until-idle"]);
    let topic = format!("{}.repartition", deployment.log.settings().deployment);
    let end =
        now(deployment.log.reader().ends(at(Topic::Repartition, 2), Isolation::ReadCommitted)).unwrap().next;
    let file = deployment.folder.path().join("delete.json");
    let asked =
        format!(r#"{{"version":1,"partitions":[{{"topic":"{topic}","partition":2,"offset":{end}}}]}}"#);
    fs::write(&file, asked).unwrap();
    deployment.tool(kafka, "DeleteRecordsCommand", &["--offset-json-file", file.to_str().unwrap()]);

    let halted = deployment.refused(1, "run", &["--until-idle"]);
    let done = deployment.fine("reroute", &["--apply"]);
    deployment.fine("run", &["--until-idle"]);

    assert!(halted.contains("aggregate partition 2 is halted: the repartition log begins at"), "{halted}");
    assert!(done.contains("raw partition 0: from 500 on, had position 1000"), "{done}");
    deployment.proved(2_000);
}

#[test]
fn reroute_refuses_while_a_worker_routes() {
    let (Some(kafka), Some(store)) = (Kafka::shared(), S3::shared()) else { return };
    let deployment = Deployment::new(kafka, store);
    deployment.make_topics();
    produce(&deployment.log, 25, 500);
    let mut worker = deployment.worker(0);
    let has_routed = || now(deployment.log.reader().committed(Role::Route, Partition(0))).unwrap().is_some();
    let patience = Instant::now() + PATIENCE;
    while !has_routed() {
        assert!(Instant::now() < patience, "the worker routes nothing");
        thread::sleep(Duration::from_millis(100));
    }

    let refused = deployment.refused(75, "reroute", &["--apply", "--partition", "0"]);
    worker.kill().unwrap();
    worker.wait().unwrap();

    assert!(refused.contains("the group of `route` has another member"), "{refused}");
    // A worker that was killed is waited for, and is no member any more.
    let done = deployment.fine("reroute", &["--apply", "--partition", "0"]);
    assert!(done.contains("raw partition 0: from"), "{done}");
    deployment.fine("run", &["--until-idle"]);
    deployment.proved(500);
}

/// F37, while everything is down, and while it runs.
#[test]
fn a_raw_topic_that_was_made_again_halts_by_name_and_is_taken_when_a_person_says_so() {
    let (Some(kafka), Some(store)) = (Kafka::shared(), S3::shared()) else { return };
    for is_running in [false, true] {
        let deployment = Deployment::new(kafka, store);
        deployment.make_topics();
        produce(&deployment.log, 26, 1_000);
        deployment.fine("run", &["--until-idle"]);
        let before = deployment.verified();
        let raw = deployment.log.settings().raw_topic.clone();
        let mut worker = is_running.then(|| {
            let worker = deployment.worker(0);
            thread::sleep(Duration::from_secs(5));
            worker
        });
        deployment.tool(kafka, "TopicCommand", &["--delete", "--topic", &raw]);
        deployment.make_raw_topic(2);
        produce(&deployment.log, 27, 600);
        if let Some(worker) = &mut worker {
            // Long enough to do something wrong.
            thread::sleep(Duration::from_secs(8));
            worker.kill().unwrap();
            worker.wait().unwrap();
        }

        let halted = deployment.refused(1, "run", &["--roles", "route,aggregate", "--until-idle"]);
        let unasked = deployment.refused(1, "reroute", &["--apply"]);
        let done = deployment.fine("reroute", &["--new-incarnation", "--apply"]);
        deployment.fine("run", &["--until-idle"]);

        assert!(halted.contains("`thalweg reroute --new-incarnation` takes the new one"), "{halted}");
        assert!(unasked.contains("was recreated"), "{unasked}");
        assert!(done.contains("raw partition 1: from 0 on"), "{done}");
        let report = deployment.verified();
        let events =
            |report: &Value| report["events"].as_u64().unwrap() + report["refused"].as_u64().unwrap();
        assert_eq!((events(&before), events(&report)), (1_000, 1_600), "{report}");
        assert_eq!(
            (&report["difference_count"], &report["raw_records"]),
            (&0.into(), &600.into()),
            "{report}"
        );
        // Again is no harm.
        assert!(deployment.fine("reroute", &["--new-incarnation", "--apply"]).contains("nothing to restart"));
    }
}

/// F37: the topic behind the raw one. Where it ends says nothing: it has as many records as before.
#[test]
fn a_repartition_topic_that_was_made_again_halts_by_name_even_if_it_ends_where_it_did() {
    let (Some(kafka), Some(store)) = (Kafka::shared(), S3::shared()) else { return };
    let deployment = Deployment::new(kafka, store);
    deployment.make_topics();
    produce(&deployment.log, 30, 1_000);
    deployment.fine("run", &["--until-idle"]);
    let ends = deployment.repartition_ends();
    let topic = format!("{}.repartition", deployment.log.settings().deployment);
    deployment.tool(kafka, "TopicCommand", &["--delete", "--topic", &topic]);
    deployment.make_repartition_topic_again(&ends);
    assert_eq!(deployment.repartition_ends(), ends);

    let halted = deployment.refused(1, "run", &["--roles", "aggregate", "--until-idle"]);
    let refused = deployment.refused(1, "reroute", &["--apply"]);

    for said in [halted, refused] {
        assert!(said.contains("the repartition topic was recreated: incarnation"), "{said}");
    }
}

/// F38.
#[test]
fn raw_partitions_may_become_more_and_targets_may_not() {
    let (Some(kafka), Some(store)) = (Kafka::shared(), S3::shared()) else { return };
    let deployment = Deployment::new(kafka, store);
    deployment.make_topics();
    produce(&deployment.log, 28, 1_000);
    deployment.fine("run", &["--until-idle"]);
    let settings = deployment.log.settings();
    let (raw, name) = (settings.raw_topic.clone(), settings.deployment.clone());

    deployment.tool(kafka, "TopicCommand", &["--alter", "--topic", &raw, "--partitions", "4"]);
    produce_to(&deployment.log, 29, 400, 4);
    deployment.fine("run", &["--until-idle"]);
    deployment.proved(1_400);
    let position = now(deployment.log.reader().committed(Role::Route, Partition(3))).unwrap().unwrap();
    assert_eq!(position.next, NextOffset(100));

    for topic in ["state", "repartition"] {
        let topic = format!("{name}.{topic}");
        deployment.tool(kafka, "TopicCommand", &["--alter", "--topic", &topic, "--partitions", "6"]);
        let refused = deployment.refused(4, "run", &["--roles", "aggregate", "--until-idle"]);
        let named = format!("topic {topic}: partitions is 6 and should be 4");
        assert!(refused.contains(&named), "{refused}");
        deployment.refused(4, "topics", &[]);
    }
    let refused = deployment.refused(4, "run", &["--roles", "route", "--until-idle"]);
    assert!(refused.contains(".repartition: partitions is 6 and should be 4"), "{refused}");
    let refused = deployment.refused(1, "reroute", &["--apply"]);
    assert!(refused.contains("the repartition topic has 6 partitions, the topology says 4"), "{refused}");
}
