//! What brokers and store hold in the end, computed again by readers that share no code with us.

use crate::deployment::{Deployment, Shape, said};
use crate::python::Python;
use crate::servers::{Kafka, S3};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};
use thalweg::model::{OutRecord, Partition, Topic, TopicPartition};
use thalweg::port::Log;

/// Both topologies leave `partitions` at its default.
const PARTITIONS: &str = "4";

/// What the verbs and foreign readers say, in files of one folder.
struct Said<'a> {
    deployment: &'a Deployment,
    folder: tempfile::TempDir,
}

impl<'a> Said<'a> {
    /// The store keeps objects as files, so DuckDB reads the lake where it lies.
    fn of(deployment: &'a Deployment, store: &S3) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let lake = store.folder().join(store.bucket()).join(&deployment.log.settings().deployment);
        fs::create_dir(folder.path().join("river")).unwrap();
        symlink(lake, folder.path().join("river/lake")).unwrap();
        Said { deployment, folder }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().unwrap().to_owned()
    }

    #[track_caller]
    fn keep(&self, name: &str, verb: &str, more: &[&str]) -> String {
        fs::write(self.path(name), self.deployment.fine(verb, more)).unwrap();
        self.path(name)
    }

    #[track_caller]
    fn ddl(&self) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
        command.arg("ddl").arg(self.deployment.topology_path());
        command.args(["--engine", "duckdb", "--embedded", &self.path("river")]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        fs::write(self.path("lake.sql"), output.stdout).unwrap();
        self.path("lake.sql")
    }

    /// The metrics topic as Python and Java read it: the same rows, and those that `metrics` prints.
    #[track_caller]
    fn foreign(&self, python: &Python, kafka: &Kafka) -> String {
        let topic = self.deployment.log.settings().topic(Topic::Metrics);
        let (read, folded) = (self.path("python.ndjson"), self.path("java.ndjson"));
        python.agrees("kafka_rows.py", &["read", &kafka.bootstrap(), &topic, &read]);
        fs::write(self.path("console.txt"), console(kafka, &topic)).unwrap();
        python.agrees("kafka_rows.py", &["fold", &self.path("console.txt"), &folded]);
        python.agrees("kafka_rows.py", &["same", &read, &folded]);
        python.agrees("kafka_rows.py", &["same", &read, &self.keep("metrics.ndjson", "metrics", &[])]);
        read
    }
}

/// Kafka's own consumer, in Java: every committed record, until nothing comes for a while.
fn console(kafka: &Kafka, topic: &str) -> Vec<u8> {
    let mut command = kafka.tool("consumer.ConsoleConsumer");
    command.args(["--topic", topic, "--from-beginning", "--timeout-ms", "10000"]);
    command.args(["--isolation-level", "read_committed", "--formatter-property", "print.key=true"]);
    let output = command.stderr(Stdio::piped()).output().unwrap();
    // Ends with an error when the time is up, which is how it always ends.
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(complaint.contains("Processed a total of"), "{}", said(&output));
    output.stdout
}

/// Two processes with all roles, until both have done everything that stands in the raw topic.
fn run_two(deployment: &Deployment) {
    let start = |ordinal: u32| {
        let mut command = deployment.command("run");
        command.env("THALWEG__WORKER__ORDINAL", ordinal.to_string());
        command.arg("--until-idle").stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let workers = [start(0), start(1)];
    for worker in workers {
        let output: Output = worker.wait_with_output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
    }
}

#[test]
fn a_million_events_over_brokers_give_the_totals_that_duckdb_computes_from_the_store() {
    let (Some(python), Some(kafka), Some(store)) = (Python::or_left_out(), Kafka::shared(), S3::shared())
    else {
        return;
    };
    let deployment = Deployment::with(kafka, store, &Shape { raw_partitions: 6, ..Shape::default() });
    deployment.make_topics();
    let sent = deployment.generate(&["--events", "1000000", "--seed", "7"]);
    assert!(sent.contains("1,000,000 events sent"), "{sent}");
    let began = Instant::now();

    run_two(&deployment);

    println!("two processes took {:.0} s", began.elapsed().as_secs_f64());
    deployment.proved(1_000_000);
    let files = Said::of(&deployment, store);
    let (sql, rows) = (files.ddl(), files.foreign(&python, kafka));
    let aside = files.keep("set-aside.ndjson", "metrics", &["--set-aside"]);
    python.agrees("calendar_rows.py", &["marketplace", &sql, &rows, &aside, PARTITIONS]);
    let history = files.keep("history.ndjson", "metrics", &["--history", "orders"]);
    python.agrees("history.py", &[&sql, &history, &aside]);
}

#[test]
fn the_flights_of_2013_in_the_order_of_their_file_are_right_over_brokers() {
    let (Some(python), Some(kafka), Some(store)) = (Python::or_left_out(), Kafka::shared(), S3::shared())
    else {
        return;
    };
    let deployment = Deployment::with(kafka, store, &Shape { topology: "flights", ..Shape::default() });
    deployment.make_topics();
    let files = Said::of(&deployment, store);
    let input = files.path("flights.ndjson");
    python.agrees("flights.py", &["events", &input]);
    let flights = send_lines(&deployment, Path::new(&input), 2);

    run_two(&deployment);

    deployment.proved(flights);
    let rows = files.foreign(&python, kafka);
    let aside = files.keep("set-aside.ndjson", "metrics", &["--set-aside"]);
    let letters = files.keep_letters();
    python.agrees("flights.py", &["compare", &rows, &aside, &letters]);
}

impl Said<'_> {
    fn keep_letters(&self) -> String {
        let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
        command.args(["dead-letters", "ls"]).arg(self.deployment.topology_path());
        command.arg("--config").arg(self.deployment.config_path()).args(["--output", "json"]);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", said(&output));
        let path = PathBuf::from(self.path("letters.ndjson"));
        fs::write(&path, output.stdout).unwrap();
        path.to_str().unwrap().to_owned()
    }
}

/// Line *k* goes to partition *k* mod `partitions`, as `run --input` does on one machine.
fn send_lines(deployment: &Deployment, input: &Path, partitions: u64) -> u64 {
    let text = fs::read_to_string(input).unwrap();
    let mut producer = deployment.log.producer();
    let (mut sent, mut delivered) = (0u64, 0u64);
    let mut collect = |producer: &mut dyn thalweg::port::Producer, until: u64| {
        while delivered < until {
            for delivery in crate::contract::now(producer.deliveries(Duration::from_secs(10))).unwrap() {
                delivery.outcome.unwrap();
                delivered += 1;
            }
        }
    };
    for line in text.lines() {
        let partition = Partition((sent % partitions) as u32);
        let record = OutRecord { value: Some(line.as_bytes().to_vec()), ..OutRecord::default() };
        producer.send(TopicPartition { topic: Topic::Raw, partition }, record);
        sent += 1;
        if sent.is_multiple_of(50_000) {
            collect(&mut *producer, sent);
        }
    }
    collect(&mut *producer, sent);
    sent
}
