//! The program itself over the same events, on brokers and a store and on the log in a directory.

use crate::floor::Record;
use crate::servers::{Kafka, S3};
use crate::support::world::{self, now};
use crate::usage::{self, Used};
use anyhow::Context as _;
use std::fs::{self, File};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;
use thalweg::embedded::{EmbeddedLog, Input, Layout};
use thalweg::kafka::topics::{self, Wanted};
use thalweg::kafka::{KafkaLog, Settings};
use thalweg::model::{NextOffset, OutRecord, Partition, Topic, TopicPartition};
use thalweg::port::{Isolation, Log};

const TOPOLOGY: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/topologies/marketplace");
const SEED: &str = "7";
/// As many as the log in a directory has.
pub(crate) const RAW_PARTITIONS: u32 = thalweg::embedded::RAW_PARTITIONS;
const READ_BYTES: usize = 4 << 20;
const DELIVERY: Duration = Duration::from_secs(10);
pub(crate) const ROLES: [&str; 3] = ["route", "aggregate", "lake"];

/// It dies with this process, however that ends.
fn program(verb: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--pdeathsig", "KILL", "--", env!("CARGO_BIN_EXE_thalweg"), verb]);
    command
}

fn run(place: &Path, flag: &str, log: &Path, roles: &str) -> anyhow::Result<Used> {
    let mut command = program("run");
    command.args([TOPOLOGY, flag]).arg(place).args(["--roles", roles, "--until-idle"]);
    usage::run(&mut command, log)
}

/// One deployment on the brokers. All of them read the same raw topic.
pub(crate) struct Brokers {
    folder: tempfile::TempDir,
    log: KafkaLog,
}

impl Brokers {
    pub(crate) fn new(kafka: &Kafka, store: &S3, name: &str) -> anyhow::Result<Brokers> {
        let topology = world::by_tenant()?;
        let mut settings = Settings::new(&kafka.bootstrap(), name, &topology.events.topic);
        settings.histories = topology.histories.iter().map(|history| history.name.clone()).collect();
        let folder = tempfile::tempdir()?;
        let config = format!(
            "deployment: {name}\nkafka:\n  brokers: \"{}\"\n  replication: 1\n  security: {{ protocol: plaintext }}\n\
             lake:\n  url: s3://{}/{name}\n  s3: {{ endpoint: \"{}\", region: {}, allow_http: true, access_key: {}, \
             secret_key: {} }}\nadmin: {{ address: \"127.0.0.1:0\" }}\n",
            kafka.bootstrap(),
            store.bucket(),
            store.endpoint(),
            store.region(),
            store.access_key(),
            store.secret_key(),
        );
        fs::write(folder.path().join("config.yaml"), config)?;
        Ok(Brokers { folder, log: KafkaLog::new(settings) })
    }

    fn config(&self) -> PathBuf {
        self.folder.path().join("config.yaml")
    }

    fn said(&self) -> PathBuf {
        self.folder.path().join("said")
    }

    pub(crate) fn topic(&self, topic: Topic) -> String {
        self.log.settings().topic(topic)
    }

    /// The raw topic, and as many events in it.
    pub(crate) fn generate(&self, events: u64) -> anyhow::Result<Used> {
        self.create(&self.topic(Topic::Raw), RAW_PARTITIONS)?;
        let mut command = program("generate");
        command.args(["--events", &events.to_string(), "--seed", SEED, "--config"]).arg(self.config());
        usage::run(&mut command, &self.said())
    }

    /// Lines into the raw topic, each once it is acknowledged; line *k* of all goes to partition *k* mod theirs.
    pub(crate) fn send(&self, lines: &str, first: u64) -> anyhow::Result<()> {
        let mut producer = self.log.producer();
        let mut left = 0;
        for (line, number) in lines.lines().zip(first..) {
            let partition = Partition(u32::try_from(number % u64::from(RAW_PARTITIONS))?);
            let record = OutRecord { value: Some(line.as_bytes().to_vec()), ..OutRecord::default() };
            producer.send(TopicPartition { topic: Topic::Raw, partition }, record);
            left += 1;
        }
        while left > 0 {
            for delivery in now(producer.deliveries(DELIVERY))? {
                delivery.outcome?;
                left -= 1;
            }
        }
        Ok(())
    }

    pub(crate) fn create(&self, name: &str, partitions: u32) -> anyhow::Result<()> {
        let settings = [("max.message.bytes", (8 << 20).to_string())].into();
        let wanted = Wanted { topic: Topic::Raw, name: name.to_owned(), partitions, settings };
        topics::create(self.log.settings(), &[wanted], 1).with_context(|| format!("{name} is made"))?;
        Ok(())
    }

    pub(crate) fn make_topics(&self) -> anyhow::Result<()> {
        self.verb("topics", &["--apply"])
    }

    /// The figures are of work that is right.
    pub(crate) fn verify(&self) -> anyhow::Result<()> {
        self.verb("verify", &[])
    }

    fn verb(&self, verb: &str, more: &[&str]) -> anyhow::Result<()> {
        let mut command = program(verb);
        command.arg(TOPOLOGY).arg("--config").arg(self.config()).args(more);
        usage::run(&mut command, &self.said()).map(drop)
    }

    pub(crate) fn run(&self, roles: &str) -> anyhow::Result<Used> {
        run(&self.config(), "--config", &self.said(), roles)
    }

    /// All that stands in these topics, to be sent once more.
    pub(crate) fn records(&self, of: &[Topic]) -> anyhow::Result<Vec<Record>> {
        let mut reader = self.log.reader();
        let mut records = Vec::new();
        for &topic in of {
            for partition in 0..now(reader.facts(topic))?.partitions {
                let place = TopicPartition { topic, partition: Partition(partition) };
                let ends = now(reader.ends(place, Isolation::ReadCommitted))?;
                let mut at = ends.first;
                while at < ends.next {
                    let batch = now(reader.read(place, at, READ_BYTES))?;
                    for record in &batch.records {
                        records.push(Record {
                            partition: i32::try_from(partition)?,
                            key: batch.key(record).map(<[u8]>::to_vec),
                            value: batch.value(record).map(<[u8]>::to_vec),
                        });
                    }
                    at = batch.next.max(NextOffset(at.0));
                }
            }
        }
        Ok(records)
    }
}

/// The same events as [`Brokers::generate`] sends, in a log that no role has read yet.
pub(crate) fn embedded(events: u64) -> anyhow::Result<tempfile::TempDir> {
    let folder = tempfile::tempdir()?;
    let lines = folder.path().join("events.ndjson");
    let mut command = program("generate");
    command.args(["--events", &events.to_string(), "--seed", SEED]).stdout(File::create(&lines)?);
    anyhow::ensure!(command.stdin(Stdio::null()).status()?.success(), "events are made");
    let topology = world::by_tenant()?;
    let histories = u16::try_from(topology.histories.len())?;
    let layout =
        Layout::new(&topology.deployment, topology.partitions, histories, Duration::from_secs(30 * 86_400));
    let log = EmbeddedLog::open(&folder.path().join("river"), &layout)?;
    log.append_input(Input::File(&lines), false, &mut |_| ControlFlow::Continue(()))?;
    Ok(folder)
}

/// A river of its own for one measurement.
pub(crate) struct Copied(tempfile::TempDir);

impl Copied {
    pub(crate) fn of(base: &Path) -> anyhow::Result<Copied> {
        let to = tempfile::tempdir()?;
        copy(&base.join("river"), &to.path().join("river"))?;
        Ok(Copied(to))
    }

    pub(crate) fn run(&self, roles: &str) -> anyhow::Result<Used> {
        run(&self.0.path().join("river"), "--embedded", &self.0.path().join("said"), roles)
    }
}

fn copy(from: &Path, to: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let (from, to) = (entry.as_ref().map(fs::DirEntry::path), to);
        let from = from.map_err(|error| anyhow::anyhow!("{error}"))?;
        let to = to.join(from.file_name().context("an entry has a name")?);
        if from.is_dir() {
            copy(&from, &to)?;
        } else {
            fs::copy(&from, &to)?;
        }
    }
    Ok(())
}
