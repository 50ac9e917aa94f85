//! What an operator leans on: health, metrics, the log, and a stop that hands everything over at once.

use crate::contract::now;
use crate::deployment::{Deployment, said};
use crate::river::produce;
use crate::servers::{Kafka, S3, lint};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use thalweg::model::Role;
use thalweg::port::{Consumer, Log, Polled};
use thalweg::telemetry;

const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(100);

/// The program as it runs, and every line of its log.
struct Running {
    child: Child,
    lines: Arc<Mutex<Vec<String>>>,
    reading: Option<JoinHandle<()>>,
}

impl Running {
    fn start(mut command: Command) -> Running {
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (lines, stderr) = (Arc::<Mutex<Vec<String>>>::default(), child.stderr.take().unwrap());
        let to = Arc::clone(&lines);
        let read =
            move || BufReader::new(stderr).lines().for_each(|line| to.lock().unwrap().push(line.unwrap()));
        Running { child, lines, reading: Some(thread::spawn(read)) }
    }

    fn lines(&self) -> Vec<String> {
        self.lines.lock().unwrap().clone()
    }

    /// The first line with this message.
    fn line(&self, message: &str) -> Value {
        let find = || {
            let lines = self.lines();
            let mut objects = lines.iter().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            objects.find(|object| object["message"] == message)
        };
        self.until(message, || find().is_some());
        find().unwrap()
    }

    #[track_caller]
    fn until(&self, what: &str, mut is_so: impl FnMut() -> bool) {
        let end = Instant::now() + PATIENCE;
        while !is_so() {
            assert!(Instant::now() < end, "{what} did not happen:\n{}", self.lines().join("\n"));
            thread::sleep(LOOK);
        }
    }

    /// Where it says that its admin port is.
    fn address(&self) -> SocketAddr {
        self.line("admin port open")["address"].as_str().unwrap().parse().unwrap()
    }

    #[track_caller]
    fn until_ready(&self) -> SocketAddr {
        let address = self.address();
        self.until("readiness", || get(address, "/readyz").0 == 200);
        address
    }

    fn terminate(&self) {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
    }

    /// How it ended, and after how long.
    fn ended(&mut self) -> (ExitStatus, Duration) {
        let began = Instant::now();
        let status = loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                break status;
            }
            assert!(began.elapsed() < PATIENCE, "it does not end:\n{}", self.lines().join("\n"));
            thread::sleep(LOOK);
        };
        let took = began.elapsed();
        self.reading.take().unwrap().join().unwrap();
        (status, took)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended, unless its test failed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Status and body.
pub(crate) fn get(from: SocketAddr, path: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(from).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nhost: {from}\r\n\r\n").as_bytes()).unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Names of the families that have a sample.
fn told(metrics: &str) -> BTreeSet<String> {
    let kinds = metrics.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    kinds.map(|kind| kind.split(' ').next().unwrap().to_owned()).collect()
}

/// How long a new member of a role's group waits for all of its partitions.
fn takes_over(consumer: &mut dyn Consumer, partitions: usize) -> Duration {
    let (began, mut held) = (Instant::now(), 0);
    while held < partitions {
        assert!(began.elapsed() < PATIENCE, "{held} of {partitions} partitions");
        if let Polled::Assigned(more) = now(consumer.poll(1 << 20, LOOK)).unwrap() {
            held += more.len();
        }
    }
    began.elapsed()
}

#[test]
fn a_running_process_shows_its_health_every_metric_and_a_clean_end() {
    let (Some(kafka), Some(store)) = (Kafka::shared(), S3::shared()) else { return };
    let deployment = Deployment::new(kafka, store);
    deployment.make_topics();
    produce(&deployment.log, 11, 2_000);
    let mut command = deployment.command("run");
    // Much longer than the next owners may have to wait.
    command.env("THALWEG__KAFKA__TIMEOUTS__SESSION", "60s").env("THALWEG__LOG__LEVEL", "debug");

    let mut running = Running::start(command);
    let address = running.address();
    let early = get(address, "/readyz");
    assert!(early.0 == 200 || early.1.contains(" waits for "), "{early:?}");
    assert_eq!(running.until_ready(), address);
    assert_eq!(get(address, "/livez"), (200, "alive\n".into()));
    assert_eq!(get(address, "/readyz"), (200, "ready\n".into()));
    assert_eq!(get(address, "/").0, 404);

    let all: BTreeSet<String> = telemetry::ALL.iter().map(|metric| metric.name.to_owned()).collect();
    let mut metrics = String::new();
    running.until("every metric", || {
        metrics = get(address, "/metrics").1;
        told(&metrics) == all
    });
    for sample in [
        "thalweg_route_records_total 2000",
        "thalweg_role_ready{role=\"aggregate\"} 1",
        "thalweg_read_lag_offsets{role=\"route\",partition=\"1\"} 0",
        "thalweg_weak_settings 3",
    ] {
        running.until(sample, || get(address, "/metrics").1.lines().any(|line| line == sample));
    }
    assert_eq!(lint(&metrics), "");
    // It would say so.
    assert!(
        lint(&metrics.replace("TYPE thalweg_draining gauge", "TYPE thalweg_draining counter"))
            .contains("_total")
    );

    running.terminate();
    let (status, took) = running.ended();
    assert_eq!(status.code(), Some(0), "{}", running.lines().join("\n"));
    assert!(took < Duration::from_secs(25), "{took:?}");
    for (role, partitions) in [(Role::Route, 2), (Role::Aggregate, 4), (Role::Lake, 2)] {
        let waited = takes_over(&mut *deployment.log.consumer(role), partitions);
        assert!(waited < Duration::from_secs(15), "{role:?} waited {waited:?}");
    }

    for line in running.lines() {
        let object: Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("no object: {line}"));
        let time: jiff::Timestamp = object["timestamp"].as_str().unwrap().parse().unwrap();
        assert!(time > jiff::Timestamp::UNIX_EPOCH, "{line}");
        assert!(object["level"].is_string() && object["message"].is_string(), "{line}");
        assert!(!line.contains(store.secret_key()), "a secret: {line}");
    }
    assert_eq!(running.line("started")["roles"], "route,aggregate,lake");
    for (message, level) in [("assigned", "INFO"), ("left the group", "INFO"), ("offset committed", "DEBUG")]
    {
        assert_eq!(running.line(message)["level"], level);
    }
    assert!(running.lines().iter().any(|line| line.contains("\"WARN\"") && line.contains("weak: ")));
}

#[test]
fn a_drain_that_cannot_end_is_ended_by_its_grace() {
    let (Some(kafka), Some(store)) = (Kafka::shared(), S3::start()) else { return };
    let deployment = Deployment::new(kafka, &store);
    deployment.make_topics();
    produce(&deployment.log, 12, 500);
    let mut command = deployment.command("run");
    command.env("THALWEG__WORKER__GRACE", "3s");
    let mut running = Running::start(command);
    let address = running.until_ready();
    running.until("the lake's reading", || {
        let (_, metrics) = get(address, "/metrics");
        metrics.lines().any(|line| line == "thalweg_read_records_total{role=\"lake\"} 500")
    });

    // The lake wants to seal what it has read.
    store.pause();
    running.terminate();
    running.until("the drain", || get(address, "/readyz") == (503, "draining\n".into()));
    let (status, took) = running.ended();
    store.resume();

    assert_eq!(status.code(), Some(143), "{}", running.lines().join("\n"));
    assert!((1..10).contains(&took.as_secs()), "{took:?}");
    assert!(
        running.lines().last().unwrap().contains("the grace of 3s is over"),
        "{:?}",
        running.lines().last()
    );
}

#[test]
fn brokers_that_are_away_at_the_start_end_it_with_a_sentence_and_without_secrets() {
    const CANARY: &str = "hunter2-canary";
    let folder = tempfile::tempdir().unwrap();
    let config = format!(
        "kafka:\n  brokers: 127.0.0.1:1\n  security: {{ protocol: sasl_plaintext, mechanism: PLAIN, username: u, \
         password: {CANARY} }}\n  timeouts: {{ request: 1s }}\n  client: {{ debug: \"conf,security\" }}\n\
         lake: {{ url: \"file://{}/lake\" }}\nadmin: {{ address: \"127.0.0.1:0\" }}\nlog: {{ level: debug }}\n",
        folder.path().display()
    );
    fs::write(folder.path().join("config.yaml"), config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
    command.args(["run", concat!(env!("CARGO_MANIFEST_DIR"), "/topologies/marketplace"), "--config"]);
    command.arg(folder.path().join("config.yaml"));

    let output = command.output().unwrap();

    assert_eq!(output.status.code(), Some(75), "{}", said(&output));
    let text = String::from_utf8(output.stderr).unwrap();
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let last = lines.last().unwrap();
    assert_eq!(last["level"], "ERROR");
    assert!(last["message"].as_str().unwrap().contains("cannot ask for the brokers"), "{text}");
    assert!(!text.contains(CANARY), "a secret: {text}");
}

#[test]
fn an_admin_address_that_cannot_be_had_ends_the_process_before_it_reads() {
    let (Some(kafka), Some(store)) = (Kafka::shared(), S3::shared()) else { return };
    let deployment = Deployment::new(kafka, store);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let in_use = taken.local_addr().unwrap().to_string();

    for (address, code, sentence) in [
        (in_use.as_str(), 75, "is in use by another process"),
        ("192.0.2.1:80", 78, "cannot listen on 192.0.2.1:80"),
    ] {
        let mut command = deployment.command("run");
        command.env("THALWEG__ADMIN__ADDRESS", address).env("THALWEG__LOG__FORMAT", "text");
        let output = command.output().unwrap();

        let text = said(&output);
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains("ERROR `admin.address`: ") && text.contains(sentence), "{text}");
        assert!(!text.contains('{') && !text.contains("assigned"), "{text}");
    }
}
