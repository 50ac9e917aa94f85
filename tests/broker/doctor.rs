//! What `doctor` says of a deployment on real brokers and a real store: sound, half made, without rights, with one of
//! them away.

use crate::deployment::{Deployment, said};
use crate::river::produce;
use crate::servers::{Kafka, S3};
use serde_json::Value;
use std::fs;
use std::process::{Command, Output};

/// Exit code and findings.
fn judged(command: &mut Command) -> (Option<i32>, Vec<Value>) {
    let output = command.args(["--output", "json"]).output().unwrap();
    (output.status.code(), findings(&output))
}

pub(crate) fn findings(output: &Output) -> Vec<Value> {
    let text = String::from_utf8(output.stdout.clone()).unwrap();
    let line = |line: &str| serde_json::from_str(line).unwrap_or_else(|_| panic!("{}", said(output)));
    let all: Vec<Value> = text.lines().map(line).collect();
    assert!(!all.is_empty(), "{}", said(output));
    all
}

/// Facts of a check that is in this state.
pub(crate) fn facts<'a>(findings: &'a [Value], check: &str, state: &str) -> Vec<&'a str> {
    let wanted = findings.iter().filter(|one| one["check"] == check && one["state"] == state);
    wanted.map(|one| one["fact"].as_str().unwrap()).collect()
}

const CHECKS: [&str; 6] = ["configuration", "brokers", "topics", "rights", "store", "clock"];

#[test]
fn a_sound_deployment_is_called_so() {
    let (Some(kafka), Some(store)) = (Kafka::shared(), S3::shared()) else { return };
    let deployment = Deployment::new(kafka, store);
    deployment.make_topics();
    produce(&deployment.log, 3, 200);
    deployment.fine("run", &["--until-idle"]);

    let (code, found) = judged(&mut deployment.command("doctor"));
    let text = deployment.fine("doctor", &[]);

    assert_eq!(code, Some(0), "{found:#?}");
    for check in CHECKS {
        assert!(!facts(&found, check, "ok").is_empty(), "{check}: {found:#?}");
    }
    // What somebody chose: one copy, and no encryption on the way.
    let rest: Vec<_> = found.iter().filter(|one| one["state"] != "ok").collect();
    assert_eq!(rest.len(), 3, "{rest:#?}");
    assert!(rest.iter().all(|one| one["check"] == "configuration" && one["state"] == "weak"), "{rest:#?}");
    assert!(text.contains("what to do:") && text.contains("a second create"), "{text}");
    assert!(!text.contains(store.secret_key()), "a secret was printed");
    deployment.proved(200);
}

#[test]
fn topics_that_nobody_made_yet_are_named_with_the_command_that_makes_them() {
    let (Some(kafka), Some(store)) = (Kafka::shared(), S3::shared()) else { return };
    let deployment = Deployment::new(kafka, store);

    let (code, found) = judged(&mut deployment.command("doctor"));

    assert_eq!(code, Some(4), "{found:#?}");
    let missing = facts(&found, "topics", "missing");
    for name in ["repartition", "state", "metrics", "set-aside", "dead-letters", "history.orders"] {
        let topic = format!("{}.{name} is not there", deployment.log.settings().deployment);
        assert!(missing.contains(&topic.as_str()), "{topic}: {missing:?}");
    }
    let made = found.iter().find(|one| one["check"] == "topics" && one["state"] == "missing").unwrap();
    assert!(made["advice"].as_str().unwrap().contains("thalweg topics "), "{made}");
    // The raw topic is there, and so are the rights on what is there.
    assert_eq!(facts(&found, "topics", "ok").len(), 1, "{found:#?}");
    assert_eq!(facts(&found, "rights", "missing"), [""; 0]);
    assert!(!facts(&found, "rights", "unknown").is_empty());
    assert_eq!(facts(&found, "store", "ok").len(), 4, "{found:#?}");
    // Only what the asked roles use.
    let (code, found) = judged(deployment.command("doctor").args(["--roles", "lake"]));
    assert_eq!((code, facts(&found, "topics", "missing").len()), (Some(0), 0), "{found:#?}");
}

#[test]
fn topics_with_fewer_copies_than_asked_for_are_wrong_and_too_few_brokers_are_weak() {
    let (Some(kafka), Some(store)) = (Kafka::shared(), S3::shared()) else { return };
    let deployment = Deployment::new(kafka, store);
    deployment.make_topics();
    let config = deployment.config_text();
    fs::write(deployment.config_path(), config.replace("replication: 1", "replication: 3")).unwrap();

    let (code, found) = judged(&mut deployment.command("doctor"));

    assert_eq!(code, Some(4), "{found:#?}");
    assert_eq!(facts(&found, "brokers", "weak").len(), 1, "{found:#?}");
    let wrong = facts(&found, "topics", "missing");
    assert_eq!(wrong.len(), 7, "{found:#?}");
    assert!(wrong.iter().all(|fact| fact.contains("replication=1, should be 3: ")), "{wrong:?}");
}

#[test]
fn a_store_that_is_away_or_does_not_know_us_is_told_apart_and_brokers_are_judged_all_the_same() {
    let (Some(kafka), Some(store)) = (Kafka::shared(), S3::start()) else { return };
    let deployment = Deployment::new(kafka, &store);
    deployment.make_topics();
    let config = deployment.config_text();

    fs::write(deployment.config_path(), config.replace(store.secret_key(), "hunter2")).unwrap();
    let unknown = deployment.command("doctor").args(["--output", "json"]).output().unwrap();
    fs::write(deployment.config_path(), &config).unwrap();
    store.kill();
    let (code, away) = judged(&mut deployment.command("doctor"));

    assert_eq!(unknown.status.code(), Some(4), "{}", said(&unknown));
    assert!(!said(&unknown).contains("hunter2"), "{}", said(&unknown));
    let refused = findings(&unknown);
    assert_eq!(facts(&refused, "store", "missing").len(), 1, "{refused:#?}");
    let advice = &refused.iter().find(|one| one["state"] == "missing").unwrap()["advice"];
    assert!(advice.as_str().unwrap().contains("mend the access key"), "{advice}");
    assert_eq!(code, Some(75), "{away:#?}");
    assert_eq!(facts(&away, "store", "missing").len(), 1, "{away:#?}");
    for found in [&refused, &away] {
        assert_eq!(facts(found, "brokers", "ok").len(), 1, "{found:#?}");
        assert_eq!(facts(found, "topics", "ok").len(), 7, "{found:#?}");
        assert!(facts(found, "rights", "ok").len() > 15, "{found:#?}");
    }
}

#[test]
fn brokers_that_are_away_leave_the_store_to_be_judged() {
    let (Some(kafka), Some(store)) = (Kafka::shared(), S3::shared()) else { return };
    let deployment = Deployment::new(kafka, store);
    let config = deployment.config_text().replace(&kafka.bootstrap(), "127.0.0.1:1");
    fs::write(deployment.config_path(), config.replace("request: 10s", "request: 2s")).unwrap();

    let (code, found) = judged(&mut deployment.command("doctor"));

    assert_eq!(code, Some(75), "{found:#?}");
    assert_eq!(facts(&found, "brokers", "missing").len(), 1);
    assert_eq!(facts(&found, "rights", "unknown").len(), 1);
    assert_eq!(facts(&found, "store", "ok").len(), 4, "{found:#?}");
}

#[test]
fn a_file_that_cannot_be_read_is_a_bad_file() {
    let (Some(kafka), Some(store)) = (Kafka::shared(), S3::shared()) else { return };
    let deployment = Deployment::new(kafka, store);
    let config = deployment.config_text();
    let key = format!("secret_key: {}", store.secret_key());
    fs::write(deployment.config_path(), config.replace(&key, "secret_key_file: /no/such/file")).unwrap();

    let (code, found) = judged(&mut deployment.command("doctor"));

    assert_eq!(code, Some(78), "{found:#?}");
    assert!(facts(&found, "configuration", "missing")[0].contains("/no/such/file"), "{found:#?}");
}
