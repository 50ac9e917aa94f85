//! A deployment of its own on some broker and store, run by the program itself.
#![allow(dead_code, reason = "two test binaries include this, and none of them uses all of it")]

use crate::fresh;
use crate::servers::{Kafka, S3};
use serde_json::Value;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use tempfile::TempDir;
use thalweg::kafka::KafkaLog;
use thalweg::kafka::topics::{self, Wanted};
use thalweg::model::Topic;

const PROGRAM: &str = env!("CARGO_BIN_EXE_thalweg");

/// It dies with the test's thread, however that ends.
fn program() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", PROGRAM]);
    command
}

/// What a test may ask for.
pub(crate) struct Shape {
    /// A folder of `topologies/`.
    pub(crate) topology: &'static str,
    pub(crate) raw_partitions: u32,
    pub(crate) replication: u32,
    /// Further lines of the configuration.
    pub(crate) config: &'static str,
}

impl Default for Shape {
    fn default() -> Self {
        Shape { topology: "marketplace", raw_partitions: 2, replication: 1, config: "" }
    }
}

pub(crate) struct Deployment {
    pub(crate) folder: TempDir,
    pub(crate) log: KafkaLog,
}

impl Deployment {
    pub(crate) fn new(kafka: &Kafka, store: &S3) -> Deployment {
        Self::with(kafka, store, &Shape::default())
    }

    /// With a raw topic that is there, and none of ours.
    pub(crate) fn with(kafka: &Kafka, store: &S3, shape: &Shape) -> Deployment {
        let mut settings = fresh::settings(&kafka.bootstrap());
        // The topology names it; deployments of one broker share it no more than they share a test.
        settings.raw_topic = format!("{}.events", settings.deployment);
        let log = KafkaLog::new(settings);
        let raw = Wanted {
            topic: Topic::Raw,
            name: log.settings().raw_topic.clone(),
            partitions: shape.raw_partitions,
            settings: [].into(),
        };
        topics::create(log.settings(), &[raw], shape.replication).unwrap();
        let deployment = Deployment { folder: tempfile::tempdir().unwrap(), log };
        fs::write(deployment.config_path(), deployment.config(kafka, store, shape)).unwrap();
        let original = format!("{}/topologies/{}/topology.yaml", env!("CARGO_MANIFEST_DIR"), shape.topology);
        let text = fs::read_to_string(original).unwrap();
        let topic = text.lines().find(|line| line.trim_start().starts_with("topic:")).unwrap();
        let ours = format!("  topic: {}", deployment.log.settings().raw_topic);
        fs::write(deployment.topology_path(), text.replace(topic, &ours)).unwrap();
        deployment
    }

    fn config(&self, kafka: &Kafka, store: &S3, shape: &Shape) -> String {
        let deployment = &self.log.settings().deployment;
        let mut text = format!("deployment: {deployment}\n");
        write!(
            text,
            "kafka:\n  brokers: \"{}\"\n  replication: {}\n  security: {{ protocol: plaintext }}\n  timeouts: \
             {{ session: 6s, heartbeat: 500ms, transaction: 5s, request: 10s }}\n",
            kafka.bootstrap(),
            shape.replication,
        )
        .unwrap();
        write!(
            text,
            "lake:\n  url: s3://{}/{deployment}\n  s3: {{ endpoint: \"{}\", region: {}, allow_http: true, \
             access_key: {}, secret_key: {} }}\nadmin: {{ address: \"127.0.0.1:0\" }}\n{}",
            store.bucket(),
            store.endpoint(),
            store.region(),
            store.access_key(),
            store.secret_key(),
            shape.config,
        )
        .unwrap();
        text
    }

    pub(crate) fn config_path(&self) -> PathBuf {
        self.folder.path().join("config.yaml")
    }

    pub(crate) fn topology_path(&self) -> PathBuf {
        self.folder.path().join("topology.yaml")
    }

    /// The file itself, for tests that write another one.
    pub(crate) fn config_text(&self) -> String {
        fs::read_to_string(self.config_path()).unwrap()
    }

    pub(crate) fn command(&self, verb: &str) -> Command {
        let mut command = program();
        command.arg(verb).arg(self.topology_path()).arg("--config").arg(self.config_path());
        command
    }

    #[track_caller]
    pub(crate) fn fine(&self, verb: &str, more: &[&str]) -> String {
        let output = self.command(verb).args(more).output().unwrap();
        assert!(output.status.success(), "{verb}: {}", said(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// The documented glob over one table of the lake: the store keeps objects as files.
    pub(crate) fn glob(&self, store: &S3, table: &str) -> String {
        let lake = store.folder().join(store.bucket()).join(&self.log.settings().deployment);
        lake.join(table).join("**/*.parquet").to_str().unwrap().to_owned()
    }

    /// Another topology than the one in the repository, in one place.
    #[track_caller]
    pub(crate) fn edit_topology(&self, from: &str, to: &str) {
        let text = fs::read_to_string(self.topology_path()).unwrap();
        assert_eq!(text.matches(from).count(), 1, "{from}");
        fs::write(self.topology_path(), text.replace(from, to)).unwrap();
    }

    fn generator(&self, more: &[&str]) -> Command {
        let mut command = program();
        command.arg("generate").arg("--config").arg(self.config_path());
        command.arg("--topology").arg(self.topology_path()).args(more);
        command
    }

    /// Goes on in the background.
    pub(crate) fn generating(&self, more: &[&str]) -> Child {
        self.generator(more).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// Made-up events into the raw topic; what the verb says of them.
    #[track_caller]
    pub(crate) fn generate(&self, more: &[&str]) -> String {
        let output = self.generator(more).output().unwrap();
        assert!(output.status.success(), "generate: {}", said(&output));
        String::from_utf8(output.stderr).unwrap()
    }

    pub(crate) fn make_topics(&self) {
        self.fine("topics", &["--apply"]);
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
