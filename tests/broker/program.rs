//! The program itself on a real broker and a real store.

use crate::contract::now;
use crate::deployment::{Deployment, said};
use crate::river::produce;
use crate::servers::{Kafka, S3};
use std::fs;
use std::thread;
use std::time::{Duration, Instant};
use thalweg::model::Topic;

#[test]
fn a_deployment_is_made_run_read_and_proved_by_the_program() {
    let (Some(kafka), Some(store)) = (Kafka::shared(), S3::shared()) else { return };
    let deployment = Deployment::new(kafka, store);
    let before = deployment.command("topics").output().unwrap();
    assert_eq!(before.status.code(), Some(4), "{}", said(&before));
    assert!(said(&before).contains(".repartition, "), "{}", said(&before));
    deployment.make_topics();
    produce(&deployment.log, 3, 2_000);

    deployment.fine("run", &["--until-idle"]);

    deployment.proved(2_000);
    let rows = deployment.fine("metrics", &["--aggregate", "vendor"]);
    assert!(rows.lines().count() > 50, "{rows}");
    // Again, and nothing is counted twice.
    deployment.fine("run", &["--until-idle"]);
    assert_eq!(deployment.fine("metrics", &["--aggregate", "vendor"]), rows);
}

#[test]
fn brokers_that_are_away_and_a_wrong_file_are_said_in_a_sentence() {
    let (Some(kafka), Some(store)) = (Kafka::shared(), S3::shared()) else { return };
    let deployment = Deployment::new(kafka, store);
    let path = deployment.config_path();
    let config = deployment.config_text();

    fs::write(
        &path,
        config.replace(&kafka.bootstrap(), "127.0.0.1:1").replace("request: 10s", "request: 2s"),
    )
    .unwrap();
    let away = deployment.command("run").arg("--until-idle").output().unwrap();
    fs::write(&path, config.replace("brokers", "borkers")).unwrap();
    let wrong = deployment.command("run").output().unwrap();

    assert_eq!(away.status.code(), Some(75), "{}", said(&away));
    assert_eq!(wrong.status.code(), Some(78), "{}", said(&wrong));
    assert!(said(&wrong).contains("brokers"), "{}", said(&wrong));
    assert!(!said(&wrong).contains(store.secret_key()), "a secret was printed");
}

#[test]
fn two_processes_that_are_killed_at_random_moments_lose_and_double_nothing() {
    const KILLS: u64 = 10;
    let (Some(kafka), Some(store)) = (Kafka::shared(), S3::shared()) else { return };
    let deployment = Deployment::new(kafka, store);
    deployment.make_topics();
    produce(&deployment.log, 4, 40_000);
    let mut workers = [deployment.worker(0), deployment.worker(1)];

    let mut chance = Instant::now().elapsed().as_nanos() as u64 | 1;
    for kill in 0..KILLS {
        chance = chance.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(kill);
        thread::sleep(Duration::from_millis(300 + (chance >> 33) % 2_500));
        let ordinal = (kill % 2) as usize;
        workers[ordinal].kill().unwrap();
        workers[ordinal].wait().unwrap();
        workers[ordinal] = deployment.worker(ordinal as u32);
    }
    for worker in &mut workers {
        worker.kill().unwrap();
        worker.wait().unwrap();
    }

    deployment.fine("run", &["--until-idle"]);
    deployment.proved(40_000);
    // The reader of the port sees what the program saw.
    let facts = now(thalweg::port::Log::reader(&deployment.log).facts(Topic::Metrics)).unwrap();
    assert_eq!(facts.partitions, 4);
}
