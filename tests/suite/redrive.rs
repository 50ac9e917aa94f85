//! `dead-letters redrive`, as a person uses it: a topology is mended, and what it had refused is sent again.

use super::cli::{code, ended, fine, text, thalweg, topology};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::thread;
use std::time::Duration;
use thalweg::embedded::ReadOnlyLog;
use thalweg::model::{NextOffset, Partition, Topic, TopicPartition};
use thalweg::port::Isolation;

const LOOSE: &str = "customer_id: { type: text, from: customerId }";
const STRICT: &str = "customer_id: { type: text, from: customerId, required: true }";

struct Shop {
    dir: tempfile::TempDir,
}

impl Shop {
    /// With a topology `old`, which asks for a customer, and `new`, which does not.
    fn new() -> Shop {
        let shop = Shop { dir: tempfile::tempdir().unwrap() };
        let text = fs::read_to_string(format!("{}/topology.yaml", topology("marketplace"))).unwrap();
        assert_eq!(text.matches(LOOSE).count(), 1);
        shop.write("new", &text);
        shop.write("old", &text.replace(LOOSE, STRICT));
        shop
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn write(&self, name: &str, body: &str) {
        fs::write(self.path(name), body).unwrap();
    }

    fn verb(&self, verb: &[&str], topology: &str, more: &[&str]) -> Vec<String> {
        let mut all: Vec<String> = verb.iter().map(|word| (*word).to_owned()).collect();
        all.extend([self.path(topology), "--embedded".into(), self.path("log")]);
        all.extend(more.iter().map(|word| (*word).to_owned()));
        all
    }

    #[track_caller]
    fn fine(&self, verb: &[&str], topology: &str, more: &[&str]) -> String {
        let all = self.verb(verb, topology, more);
        fine(&all.iter().map(String::as_str).collect::<Vec<_>>())
    }

    #[track_caller]
    fn run(&self, topology: &str, more: &[&str]) {
        self.fine(&["run"], topology, &[&["--until-idle"], more].concat());
    }

    /// The exit code and what it says.
    #[track_caller]
    fn redrive(&self, topology: &str, more: &[&str]) -> (i32, Value) {
        let all = self.verb(&["dead-letters", "redrive"], topology, &[&["--output", "json"], more].concat());
        let output = ended(&all.iter().map(String::as_str).collect::<Vec<_>>());
        let said = text(&output.stdout);
        let said = serde_json::from_str(&said).unwrap_or_else(|_| panic!("{said}{}", text(&output.stderr)));
        (code(&output), said)
    }

    #[track_caller]
    fn letters(&self, more: &[&str]) -> Vec<Value> {
        let all = self.fine(&["dead-letters", "ls"], "new", &[&["--output", "json"], more].concat());
        all.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    #[track_caller]
    fn verified(&self) -> Value {
        serde_json::from_str(&self.fine(&["verify"], "new", &["--output", "json"])).unwrap()
    }

    /// Raw records that were sent again: origin to (partition, payload), each origin as often as it is there.
    fn again(&self) -> Vec<(String, u32, Vec<u8>)> {
        let log = ReadOnlyLog::open(&self.dir.path().join("log")).unwrap();
        let (mut reader, mut again) = (log.reader(), Vec::new());
        for partition in [0, 1] {
            let at = TopicPartition { topic: Topic::Raw, partition: Partition(partition) };
            let end = crate::objects::now(reader.ends(at, Isolation::ReadCommitted)).unwrap().next;
            let mut next = NextOffset(0);
            while next < end {
                let batch = crate::objects::now(reader.read(at, next, 1 << 20)).unwrap();
                for record in &batch.records {
                    for (name, value) in &record.headers {
                        assert_eq!(name.of(&batch.bytes), b"thalweg.redriven");
                        let origin = String::from_utf8(value.of(&batch.bytes).to_vec()).unwrap();
                        again.push((origin, partition, batch.value(record).unwrap().to_vec()));
                    }
                }
                next = batch.next;
            }
        }
        again
    }
}

fn event(id: &str, time: &str, tenant: &str, customer: &str) -> String {
    let ts = format!("2026-11-{time}:00Z");
    format!(
        r#"{{"eventId":"{id}","eventType":"VendorView","ts":"{ts}","tenantId":"{tenant}","vendorId":"v"{customer}}}"#
    )
}

fn fates(plan: &Value) -> BTreeMap<String, u64> {
    let mut fates = BTreeMap::new();
    for line in plan["wanted"].as_array().unwrap() {
        *fates.entry(line["fate"].as_str().unwrap().to_owned()).or_default() += 1;
    }
    fates
}

#[test]
fn what_a_mended_topology_believes_is_sent_again_once_and_counted() {
    let shop = Shop::new();
    let known = r#","customerId":"c""#;
    let lines = [
        event("a0", "10T12:00", "t1", known),
        event("a1", "10T12:00", "t2", known),
        // Time comes as far as the slowest raw partition that a key hears of.
        event("b0", "10T12:00", "t2", known),
        event("b1", "10T12:00", "t1", known),
        event("r2", "10T11:30", "t1", ""),
        event("r3", "10T11:45", "t2", ""),
        event("late", "01T00:00", "t1", ""),
        "{".into(),
    ];
    shop.write("events.ndjson", &lines.join("\n"));
    let input = shop.path("events.ndjson");
    shop.run("old", &["--input", &input]);
    let counts = shop.letters(&["--counts"]);
    assert_eq!((&counts[0]["reason"], &counts[0]["letters"]), (&"invalid_json".into(), &1.into()));
    assert_eq!((&counts[1]["reason"], &counts[1]["letters"]), (&"missing".into(), &3.into()));
    let letters = shop.letters(&[]);

    // The old topology would refuse them all again.
    let (status, plan) = shop.redrive("old", &["--reason", "missing"]);
    assert_eq!((status, fates(&plan)), (0, [("refused".into(), 3)].into()), "{plan}");
    let (old, new) = (shop.path("old"), shop.path("new"));
    fine(&["cutover", &old, &new, "--embedded", &shop.path("log"), "--apply"]);
    shop.run("new", &[]);

    // Nothing is done before somebody says so.
    let (status, plan) = shop.redrive("new", &[]);
    assert_eq!((status, &plan["to_send"], &plan["done"]), (4, &2.into(), &false.into()), "{plan}");
    assert_eq!(fates(&plan), [("counted".into(), 2), ("late".into(), 1), ("refused".into(), 1)].into());
    let late = plan["wanted"].as_array().unwrap().iter().find(|line| line["fate"] == "late").unwrap();
    assert_eq!(late["detail"], "vendor day, week", "{late}");
    let of = |more: &[&str]| shop.redrive("new", more).1["to_send"].as_u64().unwrap();
    assert_eq!((of(&["--tenant", "t1"]), of(&["--tenant", "t3"]), of(&["--reason", "empty"])), (1, 0, 0));
    let record_time = letters[0]["record_time"].as_str().unwrap();
    assert_eq!((of(&["--from", record_time]), of(&["--to", record_time])), (2, 0));
    let third = letters.iter().find(|letter| letter["reason"] == "missing").unwrap();
    assert_eq!(of(&["--coordinate", third["coordinate"].as_str().unwrap()]), 1);
    assert_eq!(shop.again(), []);

    let (status, done) = shop.redrive("new", &["--apply"]);
    assert_eq!((status, &done["sent"]), (0, &2.into()), "{done}");
    let (status, twice) = shop.redrive("new", &["--apply"]);
    assert_eq!((status, &twice["sent"], &twice["redriven_before"]), (0, &0.into(), &2.into()), "{twice}");
    shop.run("new", &[]);

    let again = shop.again();
    let payloads: Vec<_> = again.iter().map(|(_, partition, value)| (*partition, value.clone())).collect();
    assert_eq!(payloads, [(0, lines[4].clone().into_bytes()), (1, lines[5].clone().into_bytes())]);
    let views = |tenant: &str| {
        let rows = shop.fine(&["metrics"], "new", &["--aggregate", "vendor", "--tenant", tenant]);
        let rows = rows.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        let day = rows.into_iter().find(|row| row["window"] == "day").unwrap();
        day["values"]["profile_views"].as_u64().unwrap()
    };
    assert_eq!((views("t1"), views("t2")), (3, 3));
    let report = shop.verified();
    assert_eq!((&report["raw_records"], &report["refused"]), (&10.into(), &4.into()), "{report}");
    assert_eq!((&report["redriven"], &report["difference_count"]), (&2.into(), &0.into()));

    // What is late, or refused once more, is sent by a word of its own.
    assert_eq!(shop.redrive("new", &["--late", "--refused", "--apply"]).1["sent"], 2);
    shop.run("new", &[]);
    let letters = shop.letters(&[]);
    let broken: Vec<_> = letters.iter().filter(|letter| letter["reason"] == "invalid_json").collect();
    assert_eq!(broken.len(), 2, "{letters:#?}");
    assert_eq!((&broken[0]["redriven"], &broken[0]["origin"]), (&true.into(), &Value::Null));
    assert_eq!((&broken[1]["redriven"], &broken[1]["origin"]), (&false.into(), &broken[0]["coordinate"]));
    let report = shop.verified();
    assert_eq!((&report["late"], &report["refused"], &report["redriven"]), (&1.into(), &5.into(), &4.into()));
    let told = shop.fine(&["dead-letters", "ls"], "new", &[]);
    assert!(
        told.contains("invalid_json: 2, 1 redriven") && told.contains("refused again, first as"),
        "{told}"
    );
}

#[test]
fn a_redrive_that_is_killed_at_any_moment_sends_nothing_twice() {
    const LETTERS: usize = 300;
    let shop = Shop::new();
    let lines: Vec<_> = (0..LETTERS).map(|number| format!("{{{number}")).collect();
    shop.write("events.ndjson", &lines.join("\n"));
    let input = shop.path("events.ndjson");
    shop.run("new", &["--input", &input]);
    let all = |rate: &'static str| {
        shop.verb(&["dead-letters", "redrive"], "new", &["--refused", "--apply", "--rate", rate])
    };

    let mut partial = 0;
    for round in 0..6u64 {
        let arguments = all("1000");
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let mut child = thalweg(&arguments)
            .stderr(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .expect("the binary starts");
        let mut said = BufReader::new(child.stderr.take().unwrap()).lines();
        if round > 0 {
            let _ = said.find(|line| line.as_ref().is_ok_and(|line| line.contains(" sent")));
        }
        thread::sleep(Duration::from_micros(round * 7_919 % 40_000));
        child.kill().unwrap();
        child.wait().unwrap();
        let marked = shop.letters(&[]).iter().filter(|letter| letter["redriven"] == true).count();
        assert_eq!(shop.again().len(), marked, "a mark without its record, or the other way round");
        partial += usize::from(0 < marked && marked < LETTERS);
    }
    let rest = all("100000");
    fine(&rest.iter().map(String::as_str).collect::<Vec<_>>());

    assert!(partial > 0, "no kill came in the middle");
    let mut again: Vec<String> = shop.again().into_iter().map(|(origin, ..)| origin).collect();
    again.sort();
    let count = again.len();
    again.dedup();
    assert_eq!((count, again.len()), (LETTERS, LETTERS));
}

#[test]
fn what_cannot_be_asked_of_a_redrive_is_a_usage_error() {
    let shop = Shop::new();
    for wrong in
        [&["--reason", "boring"][..], &["--from", "yesterday"], &["--coordinate", "p1"], &["--rate", "0"]]
    {
        let arguments = shop.verb(&["dead-letters", "redrive"], "new", wrong);
        let output = ended(&arguments.iter().map(String::as_str).collect::<Vec<_>>());
        assert_eq!(code(&output), 2, "{wrong:?}: {}", text(&output.stderr));
    }
}
