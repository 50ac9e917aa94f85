//! The program itself on a real broker and a real store.

use crate::contract::{fresh, now};
use crate::river::produce;
use crate::servers::{Kafka, S3};
use serde_json::Value;
use std::fs;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use thalweg::kafka::KafkaLog;
use thalweg::kafka::topics::{self, Wanted};
use thalweg::model::Topic;

const PROGRAM: &str = env!("CARGO_BIN_EXE_thalweg");
const TOPOLOGY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/topologies/marketplace");

/// A deployment of its own, with a raw topic that is there.
pub(crate) struct Deployment {
    pub(crate) folder: TempDir,
    pub(crate) log: KafkaLog,
}

impl Deployment {
    pub(crate) fn new(kafka: &Kafka, store: &S3) -> Deployment {
        let mut settings = fresh(&kafka.bootstrap()).settings().clone();
        settings.deployment = format!("{}-program", settings.deployment);
        // The topology names it; deployments of one broker share it no more than they share a test.
        settings.raw_topic = format!("{}.events", settings.deployment);
        let log = KafkaLog::new(settings);
        let raw = Wanted {
            topic: Topic::Raw,
            name: log.settings().raw_topic.clone(),
            partitions: 2,
            settings: [].into(),
        };
        topics::create(log.settings(), &[raw], 1).unwrap();
        let folder = tempfile::tempdir().unwrap();
        let config = format!(
            "deployment: {}\nkafka:\n  brokers: {}\n  security: {{ protocol: plaintext }}\n  timeouts: \
             {{ session: 6s, heartbeat: 500ms, transaction: 5s, request: 10s }}\nlake:\n  url: s3://{}/{}\n  \
             s3: {{ endpoint: \"{}\", region: {}, allow_http: true, access_key: {}, secret_key: {} }}\n",
            log.settings().deployment,
            kafka.bootstrap(),
            store.bucket(),
            log.settings().deployment,
            store.endpoint(),
            store.region(),
            store.access_key(),
            store.secret_key(),
        );
        fs::write(folder.path().join("config.yaml"), config).unwrap();
        let text = fs::read_to_string(format!("{TOPOLOGY}/topology.yaml")).unwrap();
        let topic = text.lines().find(|line| line.trim_start().starts_with("topic:")).unwrap();
        let ours = format!("  topic: {}", log.settings().raw_topic);
        fs::write(folder.path().join("topology.yaml"), text.replace(topic, &ours)).unwrap();
        Deployment { folder, log }
    }

    pub(crate) fn command(&self, verb: &str) -> Command {
        let mut command = Command::new(PROGRAM);
        let path = |name: &str| self.folder.path().join(name);
        command.arg(verb).arg(path("topology.yaml")).arg("--config").arg(path("config.yaml"));
        command
    }

    #[track_caller]
    pub(crate) fn fine(&self, verb: &str, more: &[&str]) -> String {
        let output = self.command(verb).args(more).output().unwrap();
        assert!(output.status.success(), "{verb}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    pub(crate) fn make_topics(&self) {
        self.fine("topics", &["--apply", "--replication", "1"]);
    }

    pub(crate) fn proved(&self, raw: u64) {
        let report: Value = serde_json::from_str(&self.fine("verify", &["--output", "json"])).unwrap();
        assert_eq!(
            (&report["raw_records"], &report["difference_count"]),
            (&raw.into(), &0.into()),
            "{report}"
        );
    }

    pub(crate) fn worker(&self, ordinal: u32) -> Child {
        let mut command = self.command("run");
        command.env("THALWEG__WORKER__ORDINAL", ordinal.to_string());
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }
}

pub(crate) fn said(output: &Output) -> String {
    format!(
        "{}\n{}{}",
        output.status,
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    )
}

#[test]
fn a_deployment_is_made_run_read_and_proved_by_the_program() {
    let (Some(kafka), Some(store)) = (Kafka::shared(), S3::shared()) else { return };
    let deployment = Deployment::new(kafka, store);
    let before = deployment.command("topics").output().unwrap();
    assert_eq!(before.status.code(), Some(4), "{}", said(&before));
    assert!(said(&before).contains("6 topics are missing; --apply makes them"), "{}", said(&before));
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
    let path = deployment.folder.path().join("config.yaml");
    let config = fs::read_to_string(&path).unwrap();

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
