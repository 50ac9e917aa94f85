//! `verify` for operators: what a difference means and where to look, in parts, in steps, and as metrics.

use super::cli::{code, ended, fine, text, thalweg, topology};
use crate::objects::now;
use serde_json::Value;
use std::fs;
use std::process::Stdio;
use std::thread;
use std::time::{Duration, Instant};
use thalweg::embedded::{EmbeddedLog, Layout, ReadOnlyLog};
use thalweg::model::{NextOffset, OutBatch, Partition, Topic, TopicPartition};
use thalweg::objects::LocalObjects;
use thalweg::port::{Isolation, Log, Reader};
use thalweg::topology::{Topology, check};
use thalweg::verify::{Part, Proved, Report, Scope, verify_part};

struct Place {
    dir: tempfile::TempDir,
    topology: String,
}

impl Place {
    /// So many made-up events, counted.
    fn with(events: &str) -> Place {
        let place = Place { dir: tempfile::tempdir().unwrap(), topology: topology("marketplace") };
        let made = fine(&["generate", "--events", events]);
        fs::write(place.path("events"), made).unwrap();
        let (log, input) = (place.path("log"), place.path("events"));
        fine(&["run", &place.topology, "--embedded", &log, "--input", &input, "--until-idle"]);
        place
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    fn checked(&self) -> Topology {
        check(&fs::read_to_string(format!("{}/topology.yaml", self.topology)).unwrap()).unwrap()
    }

    /// The exit code, the report, and what is said beside it.
    fn verify(&self, more: &[&str]) -> (i32, Report, String) {
        let log = self.path("log");
        let output =
            ended(&[&["verify", &self.topology, "--embedded", &log, "--output", "json"], more].concat());
        let said = text(&output.stderr);
        let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|_| panic!("{said}"));
        (code(&output), report, said)
    }

    fn part(&self, scope: Scope) -> Report {
        let log = ReadOnlyLog::open(&self.dir.path().join("log")).unwrap();
        let objects = LocalObjects::open_read_only(&self.dir.path().join("log/lake"));
        let (topology, mut proved) = (self.checked(), Proved::default());
        let mut reader = log.reader();
        now(Box::pin(async {
            let proof = verify_part(&topology, &mut *reader, &objects, "", scope, &mut proved, |_, _| ());
            Ok::<_, std::convert::Infallible>(proof.await.unwrap())
        }))
        .unwrap()
    }

    /// Writes another number into one row by day, as a faulty `aggregate` would; its key.
    fn forge(&self) -> String {
        let topology = self.checked();
        let layout = Layout::new(&topology.deployment, topology.partitions, 1, Duration::ZERO);
        let log = EmbeddedLog::open(&self.dir.path().join("log"), &layout).unwrap();
        let mut reader = log.reader();
        for partition in 0..topology.partitions {
            let at = TopicPartition { topic: Topic::Metrics, partition: Partition(partition) };
            if let Some((key, value)) = forged(&mut *reader, at) {
                let mut transactions = now(log.transactions()).unwrap();
                now(transactions.begin()).unwrap();
                now(transactions.send(at, &OutBatch::from_iter([(&key, value)]))).unwrap();
                now(transactions.commit()).unwrap();
                return key;
            }
        }
        panic!("no row by day");
    }
}

fn forged(reader: &mut dyn Reader, at: TopicPartition) -> Option<(String, String)> {
    let ends = now(reader.ends(at, Isolation::ReadCommitted)).unwrap();
    let (mut next, mut found) = (ends.first, None);
    while next < ends.next {
        let batch = now(reader.read(at, next, 1 << 20)).unwrap();
        for record in &batch.records {
            let text = |bytes: Option<&[u8]>| String::from_utf8(bytes.unwrap_or_default().to_vec()).unwrap();
            let (key, value) = (text(batch.key(record)), text(batch.value(record)));
            if key.contains("\"vendor\"") && key.contains("\"window\":\"day\"") {
                found = Some((key, value));
            }
        }
        next = batch.next.max(NextOffset(next.0 + 1));
    }
    found.map(|(key, value)| {
        let lie = value.replacen("\"profile_views\":", "\"profile_views\":7", 1);
        assert_ne!(lie, value);
        (key, lie)
    })
}

#[test]
fn a_difference_says_what_it_means_where_it_is_and_which_events_to_look_at() {
    let place = Place::with("600");
    let metrics = place.path("metrics.prom");
    let (status, green, _) = place.verify(&["--hours", "--metrics-file", &metrics]);
    assert_eq!((status, green.difference_count), (0, 0));
    assert_eq!(green.hours.iter().map(|hour| hour.events).sum::<u64>(), green.events);
    assert_eq!(green.hours.iter().map(|hour| hour.rows).sum::<u64>(), green.rows);
    assert!(
        fs::read_to_string(&metrics).unwrap().contains("\nthalweg_verify_verdict{verdict=\"green\"} 1\n")
    );
    let key: Value = serde_json::from_str(&place.forge()).unwrap();

    let (status, report, _) = place.verify(&["--hours", "--metrics-file", &metrics]);

    assert_eq!((status, report.difference_count), (4, 1));
    let difference = &report.differences[0];
    assert!(difference.meaning.contains("not what its events say"), "{difference:?}");
    let hour = report.hours.iter().find(|hour| hour.differences > 0).unwrap();
    let (tenant, start) = (key["tenant_id"].as_str().unwrap(), key["start"].as_str().unwrap());
    assert_eq!((hour.tenant.as_str(), hour.hour.as_str(), hour.differences), (tenant, start, 1));
    // What is named are events of that vendor, as the raw topic has them.
    assert!(!difference.look_at.is_empty());
    let vendor = key["by"]["vendor_id"].as_str().unwrap();
    let log = ReadOnlyLog::open(&place.dir.path().join("log")).unwrap();
    for coordinate in &difference.look_at {
        let at: thalweg::model::Coordinate = coordinate.parse().unwrap();
        let place = TopicPartition { topic: Topic::Raw, partition: at.source.partition };
        let batch = now(log.reader().read(place, NextOffset(at.offset.0), 1)).unwrap();
        let event = String::from_utf8_lossy(batch.value(&batch.records[0]).unwrap()).into_owned();
        assert!(
            event.contains(&format!("\"{vendor}\"")) && event.contains(&format!("\"{tenant}\"")),
            "{event}"
        );
    }
    let told = fs::read_to_string(&metrics).unwrap();
    assert!(told.contains("\nthalweg_verify_verdict{verdict=\"different\"} 1\n"), "{told}");
    assert!(told.contains("\nthalweg_verify_differences{kind=\"row\"} 1\n"), "{told}");
    let shown = ended(&["verify", &place.topology, "--embedded", &place.path("log")]);
    assert!(text(&shown.stdout).contains(&format!("look at  {}", difference.look_at[0])));

    // A sample of all finds it; one of no tenant at all does not.
    assert_eq!(place.verify(&["--sample", "100%"]).1.difference_count, 1);
}

#[test]
fn parts_of_the_tenants_are_together_the_whole_and_read_less() {
    let place = Place::with("1500");
    let whole = place.part(Scope::default());
    let parts: Vec<Report> = (0..4)
        .map(|number| {
            place.part(Scope { part: Some(Part { number, of: 4 }), has_log: false, by_hour: false })
        })
        .collect();

    let sum = |of: fn(&Report) -> u64| parts.iter().map(of).sum::<u64>();
    assert!(whole.is_green() && parts.iter().all(Report::is_green), "{parts:#?}");
    assert_eq!(sum(|part| part.events), whole.events);
    assert_eq!(sum(|part| part.rows), whole.rows);
    assert_eq!(sum(|part| part.history_rows), whole.history_rows);
    assert_eq!(sum(|part| part.contributions), whole.contributions);
    // No file is read for two of them, and none of refused records.
    assert!(sum(|part| part.files) < whole.files && sum(|part| part.raw_records) == 0);
    assert!(parts.iter().filter(|part| part.events > 0).count() > 1);
}

#[test]
fn a_proof_that_is_killed_goes_on_and_the_next_one_is_shorter() {
    let place = Place::with("4000");
    let (state, log) = (place.path("state.json"), place.path("log"));
    let arguments = ["verify", &place.topology, "--embedded", &log, "--state", &state];
    let whole = place.verify(&[]).1;

    let mut child = thalweg(&arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let patience = Instant::now() + Duration::from_secs(60);
    while !fs::read_to_string(&state).is_ok_and(|text| text.contains("\"steps\":{\"0\":")) {
        assert!(Instant::now() < patience && child.try_wait().unwrap().is_none(), "no step was kept");
        thread::sleep(Duration::from_millis(2));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let (status, rest, said) = place.verify(&["--state", &state]);
    let (_, again, said_again) = place.verify(&["--state", &state]);

    assert_eq!(status, 0, "{said}");
    assert!(said.contains("of 8 steps") && !said.contains("0 of 8 steps"), "{said}");
    assert!(said_again.contains("0 of 8 steps and ") && !said_again.contains("and 0 chunks"), "{said_again}");
    for report in [&rest, &again] {
        assert_eq!((report.events, report.rows), (whole.events, whole.rows));
        assert_eq!((report.raw_records, report.refused), (whole.raw_records, whole.refused));
        assert_eq!((report.late, report.duplicates), (whole.late, whole.duplicates));
        assert_eq!((&report.commits, report.part), (&whole.commits, None));
    }
}
