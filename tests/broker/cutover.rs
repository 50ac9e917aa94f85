//! A topology changes while a producer goes on producing, on a real broker and by the program.

use crate::contract::now;
use crate::deployment::{Deployment, said};
use crate::port_contract::at;
use crate::servers::{Kafka, S3};
use serde_json::Value;
use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use thalweg::generate::{Generator, Settings as Shoppers};
use thalweg::kafka::KafkaLog;
use thalweg::model::{OutRecord, Partition, Role, Topic};
use thalweg::port::{Isolation, Log};

const PATIENCE: Duration = Duration::from_secs(60);
const OWN: &str = "      profile_views: { count: events, when: { type: VendorView } }\n";
const EVENTS: u64 = 9_000;

/// The two topologies of a deployment: the new one has values whose like the old one has already.
struct Change {
    deployment: Deployment,
    old: PathBuf,
    new: PathBuf,
}

impl Change {
    fn new(kafka: &Kafka, store: &S3) -> Change {
        let deployment = Deployment::new(kafka, store);
        let folder = deployment.folder.path();
        let (old, new) = (folder.join("topology.yaml"), folder.join("new.yaml"));
        let text = fs::read_to_string(&old).unwrap();
        let edit = |text: &str, from: &str, to: &str| {
            assert!(text.contains(from), "{from}");
            text.replacen(from, to, 1)
        };
        let text = edit(&text, "tenant: tenant_id\n", "tenant: tenant_id\nclock: events\n");
        let text =
            edit(&text, "windows: [day, week, month, rolling 5m,", "windows: [hour, day, ever, rolling 5m,");
        let text = edit(&text, OWN, &format!("{OWN}      all: {{ count: events }}\n"));
        let more = "      all_again: { count: events }\n      earned: { sum: total, when: { type: OrderCompleted } }\n";
        fs::write(&new, edit(&text, OWN, &format!("{OWN}{more}"))).unwrap();
        fs::write(&old, text).unwrap();
        Change { deployment, old, new }
    }

    fn worker(&self, topology: &PathBuf) -> Child {
        let mut command = self.command("run", &[topology]);
        command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    fn command(&self, verb: &str, topologies: &[&PathBuf]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
        command.arg(verb).args(topologies);
        command.arg("--config").arg(self.deployment.folder.path().join("config.yaml"));
        command
    }

    fn cutover(&self, more: &[&str]) -> Output {
        self.command("cutover", &[&self.old, &self.new]).args(more).output().unwrap()
    }

    fn routed(&self) -> u64 {
        let mut reader = self.deployment.log.reader();
        let of = |partition| now(reader.committed(Role::Route, Partition(partition))).unwrap();
        [0, 1].map(of).into_iter().flatten().map(|committed| committed.next.0).sum()
    }

    /// Every record that was ever written to `metrics` and is still there: is a new value ever a part of a number?
    fn whole_numbers(&self) -> usize {
        let mut reader = self.deployment.log.reader();
        let mut whole = 0;
        for partition in 0..4 {
            let place = at(Topic::Metrics, partition);
            let ends = now(reader.ends(place, Isolation::ReadCommitted)).unwrap();
            let mut next = ends.first;
            while next < ends.next {
                let batch = now(reader.read(place, next, 1 << 20)).unwrap();
                for record in &batch.records {
                    let key = std::str::from_utf8(batch.key(record).unwrap()).unwrap();
                    let Some(value) = batch.value(record).filter(|_| key.contains("\"vendor\"")) else {
                        continue;
                    };
                    let row: Value = serde_json::from_slice(value).unwrap();
                    let values = &row["values"];
                    for (new, old) in [("all_again", "all"), ("earned", "revenue")] {
                        if values[new].is_null() {
                            continue;
                        }
                        if key.contains("\"ever\"") {
                            assert!(row["since"][new].is_string(), "{key} {row}");
                        } else {
                            assert_eq!(values[new], values[old], "{key} {row}");
                            whole += 1;
                        }
                    }
                }
                next = batch.next;
            }
        }
        whole
    }
}

fn terminate(mut worker: Child) {
    let sent = Command::new("kill").args(["-TERM", &worker.id().to_string()]).status();
    assert!(sent.unwrap().success());
    worker.wait().unwrap();
}

fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "{what} did not happen");
        thread::sleep(Duration::from_millis(100));
    }
}

/// Six hours of shoppers, in a minute; at once as soon as nobody waits for them any more.
fn produce_slowly(log: &KafkaLog, is_over: &AtomicBool) {
    let mut producer = log.producer();
    let span = 6 * 3_600_000_000;
    let (mut lines, mut line) = (Generator::new(Shoppers { span, ..Shoppers::new(31, EVENTS) }), Vec::new());
    for number in 0.. {
        if !lines.next_line(&mut line) {
            break;
        }
        let value = std::mem::take(&mut line).trim_ascii_end().to_vec();
        producer.send(at(Topic::Raw, number % 2), OutRecord { value: Some(value), ..OutRecord::default() });
        if number % 15 == 0 && !is_over.load(Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(100));
        }
    }
    while producer.queued_bytes() > 0 {
        for delivery in now(producer.deliveries(Duration::from_secs(10))).unwrap() {
            delivery.outcome.unwrap();
        }
    }
}

#[test]
fn a_value_is_added_under_load_and_no_row_is_ever_a_part_of_a_number() {
    let (Some(kafka), Some(store)) = (Kafka::shared(), S3::shared()) else { return };
    let change = Change::new(kafka, store);
    change.deployment.make_topics();
    let is_over = Arc::new(AtomicBool::new(false));
    let producer = {
        let (log, is_over) = (change.deployment.log.clone(), Arc::clone(&is_over));
        thread::spawn(move || produce_slowly(&log, &is_over))
    };
    let worker = change.worker(&change.old);
    until("routing", || change.routed() > 1_000);

    let beside = change.cutover(&["--apply"]);
    terminate(worker);
    let shown = change.cutover(&[]);
    let done = change.cutover(&["--apply", "--output", "json"]);
    assert!(!producer.is_finished(), "the producer was too fast for this test");
    is_over.store(true, Ordering::Relaxed);
    let worker = change.worker(&change.new);
    producer.join().unwrap();
    until("all of it", || change.routed() >= EVENTS);
    terminate(worker);
    let ended = change.command("run", &[&change.new]).arg("--until-idle").output().unwrap();
    let verified = change.command("verify", &[&change.new]).args(["--output", "json"]).output().unwrap();

    assert_eq!(beside.status.code(), Some(75), "{}", said(&beside));
    assert!(said(&beside).contains("the group of `route` has another member"), "{}", said(&beside));
    assert_eq!(shown.status.code(), Some(4), "{}", said(&shown));
    assert!(said(&shown).contains("aggregates.vendor.values.all_again is new"), "{}", said(&shown));
    assert!(done.status.success(), "{}", said(&done));
    let plan: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(plan["targets"], serde_json::json!(["now", "now", "now", "now"]));
    assert!(ended.status.success(), "{}", said(&ended));
    let report: Value =
        serde_json::from_slice(&verified.stdout).unwrap_or_else(|_| panic!("{}", said(&verified)));
    assert_eq!(
        (&report["raw_records"], &report["difference_count"]),
        (&EVENTS.into(), &0.into()),
        "{report}"
    );
    assert_eq!(report["not_provable"], serde_json::json!([]), "{report}");
    assert!(change.whole_numbers() > 300);
    // Again is no harm, and the old topology is refused by name.
    let again = change.cutover(&["--apply"]);
    assert!(
        again.status.success() && said(&again).contains("nothing is left to be done"),
        "{}",
        said(&again)
    );
    let stale = change.command("run", &[&change.old]).arg("--until-idle").output().unwrap();
    assert_eq!(stale.status.code(), Some(1), "{}", said(&stale));
    assert!(said(&stale).contains("`thalweg cutover OLD NEW` changes it"), "{}", said(&stale));
}
