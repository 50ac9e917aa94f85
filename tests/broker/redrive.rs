//! `dead-letters redrive` on a real broker of the older transaction protocol: killed while the end of its transaction is on
//! its way, overtaken by a second run, and looked at by `verify`.

use crate::contract::now;
use crate::deployment::{Deployment, said};
use crate::port_contract::at;
use crate::river::produce;
use crate::servers::ports::Port;
use crate::servers::proxy::{Act, END_TXN, Gate, proxy};
use crate::servers::{Kafka, S3};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use thalweg::model::{OutRecord, Partition, Topic, TopicPartition};
use thalweg::port::{Isolation, Log};

const EVENTS: u64 = 200;
const LETTERS: usize = 24;
const PATIENCE: Duration = Duration::from_secs(60);
/// What a broker says to the end of an older producer.
const FENCED: [i16; 2] = [47, 90];

/// Holds the next end of a transaction, once it is armed.
#[derive(Default)]
struct Line {
    is_armed: AtomicBool,
    held: Mutex<Option<Gate>>,
}

fn older(line: &Arc<Line>) -> Option<Kafka> {
    let (setup, port, line) = (Kafka::setup(1)?, Port::reserve(), Arc::clone(line));
    let broker = setup.ports()[0];
    let setup = setup.advertise(&[port.number()]).format("--feature").format("transaction.version=1");
    let kafka = setup.start();
    proxy(&port, broker, move |request| {
        if request.api() == END_TXN && line.is_armed.swap(false, Ordering::SeqCst) {
            let gate = Gate::default();
            *line.held.lock().unwrap() = Some(gate.clone());
            return Act::Hold(gate);
        }
        Act::Pass
    });
    Some(kafka)
}

impl Deployment {
    fn dead_letters(&self, verb: &str, more: &[&str]) -> Command {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--", env!("CARGO_BIN_EXE_thalweg"), "dead-letters", verb]);
        command.arg(self.topology_path()).arg("--config").arg(self.config_path()).args(more);
        command
    }

    fn redrive(&self, more: &[&str]) -> (Output, Value) {
        let command = &mut self.dead_letters("redrive", &["--refused", "--output", "json"]);
        let output = command.args(more).output().unwrap();
        let told = serde_json::from_slice(&output.stdout).unwrap_or(Value::Null);
        (output, told)
    }

    fn redriving(&self, rate: &str) -> Child {
        let mut command = self.dead_letters("redrive", &["--refused", "--apply", "--rate", rate]);
        command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap()
    }

    /// As a producer with keys and headers of its own sends what nobody can read.
    fn send_broken(&self) -> BTreeMap<Vec<u8>, u32> {
        let mut producer = self.log.producer();
        let mut sent = BTreeMap::new();
        for number in 0..LETTERS as u32 {
            let value = format!("{{{number}").into_bytes();
            let record = OutRecord {
                key: (number % 3 > 0).then(|| format!("k{number}").into_bytes()),
                value: Some(value.clone()),
                headers: vec![("trace".into(), number.to_string().into_bytes())],
            };
            producer.send(TopicPartition { topic: Topic::Raw, partition: Partition(number % 2) }, record);
            sent.insert(value, number % 2);
        }
        let mut left = LETTERS;
        while left > 0 {
            for delivery in now(producer.deliveries(PATIENCE)).unwrap() {
                delivery.outcome.unwrap();
                left -= 1;
            }
        }
        sent
    }

    /// Whatever was sent again, as often as it was: payload, partition, key, headers.
    fn again(&self) -> Vec<(Vec<u8>, u32, Option<Vec<u8>>, Vec<String>)> {
        let (mut reader, mut all) = (self.log.reader(), Vec::new());
        for partition in 0..2 {
            let place = at(Topic::Raw, partition);
            let ends = now(reader.ends(place, Isolation::ReadCommitted)).unwrap();
            let mut next = ends.first;
            while next < ends.next {
                let batch = now(reader.read(place, next, 1 << 20)).unwrap();
                for record in &batch.records {
                    let name = |place: usize| {
                        String::from_utf8(record.headers[place].0.of(&batch.bytes).to_vec()).unwrap()
                    };
                    let names: Vec<String> = (0..record.headers.len()).map(name).collect();
                    if names.iter().any(|name| name == "thalweg.redriven") {
                        let key = batch.key(record).map(<[u8]>::to_vec);
                        all.push((batch.value(record).unwrap().to_vec(), partition, key, names));
                    }
                }
                if batch.next <= next {
                    break;
                }
                next = batch.next;
            }
        }
        all
    }
}

#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "{what} did not happen");
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn refused_records_go_back_once_whoever_is_killed_fenced_or_late() {
    let line = Arc::new(Line::default());
    let (Some(kafka), Some(store)) = (older(&line), S3::shared()) else { return };
    let deployment = Deployment::new(&kafka, store);
    deployment.make_topics();
    produce(&deployment.log, 31, EVENTS);
    let broken = deployment.send_broken();
    deployment.fine("run", &["--until-idle"]);
    let (output, plan) = deployment.redrive(&[]);
    let to_send = plan["to_send"].as_u64().unwrap();
    assert_eq!(output.status.code(), Some(4), "{}", said(&output));
    assert!(to_send >= LETTERS as u64, "{plan}");

    // Killed with all of a transaction written and its end on the way: nothing of it is there, and the end is late.
    line.is_armed.store(true, Ordering::SeqCst);
    let mut killed = deployment.redriving("20");
    until("the end of a transaction", || line.held.lock().unwrap().is_some());
    killed.kill().unwrap();
    killed.wait().unwrap();
    assert_eq!(deployment.again(), []);
    // One is slow, and a second comes in between: each fences the other, and neither sends what the other sent.
    let mut slow = deployment.redriving("5");
    let mut told = BufReader::new(slow.stderr.take().unwrap()).lines();
    assert!(told.any(|line| line.unwrap().contains(" sent")), "it sent nothing");
    let gate = line.held.lock().unwrap().take().unwrap();
    gate.release();
    let (between, _) = deployment.redrive(&["--apply"]);
    let first = slow.wait().unwrap();
    let rest: Vec<String> = told.map(Result::unwrap).collect();
    let (output, _) = deployment.redrive(&["--apply"]);
    let (_, twice) = deployment.redrive(&["--apply"]);

    let error = gate.error(PATIENCE);
    assert!(error.is_some_and(|error| FENCED.contains(&error)), "the late end was answered with {error:?}");
    assert!(output.status.success(), "{}", said(&output));
    for (status, heard) in [(between.status, said(&between)), (first, rest.join("\n"))] {
        assert!(status.success() || heard.contains("run it again"), "{heard}");
    }
    assert_eq!((&twice["sent"], &twice["redriven_before"]), (&0.into(), &to_send.into()), "{twice}");
    let again = deployment.again();
    assert_eq!(again.len() as u64, to_send);
    let ours: Vec<_> = again.iter().filter(|(value, ..)| broken.contains_key(value)).collect();
    assert_eq!(ours.len(), LETTERS);
    for (value, partition, key, names) in ours {
        let number: u32 = std::str::from_utf8(&value[1..]).unwrap().parse().unwrap();
        assert_eq!(
            (broken[value], &names[..]),
            (*partition, &["trace".to_owned(), "thalweg.redriven".into()][..])
        );
        assert_eq!(*key, (number % 3 > 0).then(|| format!("k{number}").into_bytes()));
    }

    deployment.fine("run", &["--until-idle"]);
    let report = deployment.verified();
    let raw = EVENTS + LETTERS as u64 + to_send;
    assert_eq!((&report["raw_records"], &report["redriven"]), (&raw.into(), &to_send.into()), "{report}");
    assert_eq!(report["refused"], 2 * to_send);
}
