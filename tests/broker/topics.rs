//! What `topics` makes, finds and refuses on real brokers, and what stops a start.

use crate::block_on::block_on;
use crate::deployment::{Deployment, Shape, said};
use crate::servers::{Kafka, S3};
use rdkafka::admin::{AdminClient, AdminOptions, AlterConfig, ResourceSpecifier};
use rdkafka::client::DefaultClientContext;
use rdkafka::config::ClientConfig;
use serde_json::Value;
use std::time::{Duration, Instant};

fn set(kafka: &Kafka, topic: &str, settings: &[(&str, &str)]) {
    let client: AdminClient<DefaultClientContext> =
        ClientConfig::new().set("bootstrap.servers", kafka.bootstrap()).create().unwrap();
    let new = AlterConfig::new(ResourceSpecifier::Topic(topic));
    let new = settings.iter().fold(new, |new, (name, value)| new.set(name, value));
    let done = block_on(client.alter_configs([&new], &AdminOptions::new())).unwrap();
    assert!(done.iter().all(Result::is_ok));
    // The controller answers before the broker knows it.
    let end = Instant::now() + Duration::from_secs(30);
    let named = || {
        let found = described(kafka, topic);
        settings.iter().all(|(name, value)| found.contains(&format!("{name}={value}")))
    };
    while !named() {
        assert!(Instant::now() < end, "{topic} is not set to {settings:?}");
    }
}

/// Kafka's own tool is asked, so that nobody believes what we say of ourselves.
fn described(kafka: &Kafka, topic: &str) -> String {
    let output = kafka.tool("TopicCommand").args(["--describe", "--topic", topic]).output().unwrap();
    assert!(output.status.success(), "{}", said(&output));
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn three_brokers_get_three_copies_and_the_settings_that_the_protocols_lean_on() {
    let (Some(kafka), Some(store)) = (Kafka::start(3), S3::shared()) else { return };
    let deployment = Deployment::with(&kafka, store, &Shape { replication: 3, ..Shape::default() });

    let made = deployment.command("topics").arg("--apply").output().unwrap();

    assert!(made.status.success(), "{}", said(&made));
    assert!(!said(&made).contains("weak"), "{}", said(&made));
    let name = |name: &str| format!("{}.{name}", deployment.log.settings().deployment);
    let state = described(&kafka, &name("state"));
    for wanted in [
        "ReplicationFactor: 3",
        "PartitionCount: 4",
        "cleanup.policy=compact",
        "min.insync.replicas=2",
        "unclean.leader.election.enable=false",
        "message.timestamp.type=LogAppendTime",
        "delete.retention.ms=86400000",
        "min.compaction.lag.ms=60000",
        "max.compaction.lag.ms=21600000",
        "min.cleanable.dirty.ratio=0.3",
        "segment.bytes=67108864",
        "segment.ms=600000",
    ] {
        assert!(state.contains(wanted), "{wanted} is not in {state}");
    }
    for (topic, policy) in [
        ("repartition", "delete"),
        ("metrics", "compact"),
        ("set-aside", "delete"),
        ("dead-letters", "compact"),
    ] {
        let described = described(&kafka, &name(topic));
        assert!(described.contains(&format!("cleanup.policy={policy}")), "{described}");
        assert!(described.contains("ReplicationFactor: 3"), "{described}");
    }
    let history = described(&kafka, &name("history.orders"));
    assert!(history.contains("cleanup.policy=compact,delete"), "{history}");
    // Nothing is left to do.
    deployment.fine("topics", &[]);
}

#[test]
fn one_broker_is_too_few_unless_somebody_says_that_it_is_meant() {
    let (Some(kafka), Some(store)) = (Kafka::shared(), S3::shared()) else { return };
    let deployment = Deployment::new(kafka, store);
    let config = deployment.config_text();
    std::fs::write(deployment.config_path(), config.replace("  replication: 1\n", "")).unwrap();

    let refused = deployment.command("topics").arg("--apply").output().unwrap();
    let none = deployment.command("topics").args(["--output", "json"]).output().unwrap();
    let meant = deployment.command("topics").args(["--apply", "--replication", "1"]).output().unwrap();
    // The configuration still asks for three copies, and roles do not start on fewer.
    let run = deployment.command("run").arg("--until-idle").output().unwrap();

    assert_eq!(refused.status.code(), Some(1), "{}", said(&refused));
    assert!(said(&refused).contains("the cluster has 1 broker; `--replication 1`"), "{}", said(&refused));
    assert_eq!(none.status.code(), Some(1), "{}", said(&none));
    assert_eq!(meant.status.code(), Some(0), "{}", said(&meant));
    assert!(said(&meant).contains("weak: 1 copy of each partition"), "{}", said(&meant));
    assert_eq!(run.status.code(), Some(4), "{}", said(&run));
    assert!(said(&run).contains("replication is 1 and should be 3"), "{}", said(&run));
}

#[test]
fn what_differs_is_shown_mended_where_that_is_safe_and_stops_every_role() {
    let (Some(kafka), Some(store)) = (Kafka::shared(), S3::shared()) else { return };
    let deployment = Deployment::new(kafka, store);
    let unmade = deployment.command("run").arg("--until-idle").output().unwrap();
    deployment.make_topics();
    let name = |name: &str| format!("{}.{name}", deployment.log.settings().deployment);
    // All other settings of the topic fall back to the brokers' own.
    set(kafka, &name("repartition"), &[("retention.ms", "3600000"), ("flush.ms", "1234567")]);
    set(kafka, &name("state"), &[("cleanup.policy", "delete")]);

    let run = deployment.command("run").arg("--until-idle").output().unwrap();
    let shown = deployment.command("topics").args(["--output", "json"]).output().unwrap();
    let applied = deployment.command("topics").arg("--apply").output().unwrap();
    let left = deployment.command("topics").args(["--output", "json"]).output().unwrap();

    assert_eq!(unmade.status.code(), Some(1), "{}", said(&unmade));
    assert!(said(&unmade).contains("`thalweg topics --apply` makes them"), "{}", said(&unmade));
    assert_eq!(run.status.code(), Some(4), "{}", said(&run));
    assert!(said(&run).contains("cleanup.policy is delete and should be compact"), "{}", said(&run));
    let differing = |output: &std::process::Output| -> Vec<(String, String)> {
        let text = String::from_utf8(output.stdout.clone()).unwrap();
        let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let pairs = lines.flat_map(|line| {
            let topic = line["topic"].as_str().unwrap().rsplit('.').next().unwrap().to_owned();
            let all = line["differences"].as_array().unwrap().clone();
            all.into_iter().map(move |one| (topic.clone(), one["setting"].as_str().unwrap().to_owned()))
        });
        pairs.collect()
    };
    let before = differing(&shown);
    assert!(before.contains(&("repartition".into(), "retention.ms".into())), "{before:?}");
    assert!(before.contains(&("repartition".into(), "message.timestamp.type".into())), "{before:?}");
    assert_eq!(shown.status.code(), Some(4));
    assert_eq!(applied.status.code(), Some(4), "{}", said(&applied));
    assert_eq!(differing(&left), [("state".into(), "cleanup.policy".into())]);
    // What somebody else had set for the topic stays.
    assert!(described(kafka, &name("repartition")).contains("flush.ms=1234567"));
}
