//! Whole runs on the embedded log, as a person starts them.

use super::cli::{code, ended, fine, text, thalweg, topology};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).expect("is JSON")).collect()
}

/// Waits until the verb prints something.
fn until_printed(arguments: &[&str]) -> String {
    let began = Instant::now();
    loop {
        let output = ended(arguments);
        if !output.stdout.is_empty() {
            return text(&output.stdout);
        }
        assert!(began.elapsed() < Duration::from_secs(60), "nothing yet: {}", text(&output.stderr));
        thread::sleep(Duration::from_millis(100));
    }
}

fn interrupt(child: &Child) {
    let sent = std::process::Command::new("kill").args(["-INT", &child.id().to_string()]).status();
    assert!(sent.is_ok_and(|status| status.success()));
}

struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Place { dir: tempfile::tempdir().expect("a directory can be made") }
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().expect("is text").to_owned()
    }

    fn write(&self, name: &str, body: &str) -> String {
        fs::write(self.path(name), body).expect("is written");
        self.path(name)
    }
}

#[test]
fn a_file_given_twice_is_counted_once_and_one_that_grew_goes_on() {
    let (place, marketplace) = (Place::new(), topology("marketplace"));
    let log = place.path("log");
    let events = fine(&["generate", "--events", "400", "--late", "0"]);
    let half = events.lines().take(200).collect::<Vec<_>>().join("\n") + "\n";
    let input = place.write("events.ndjson", &half);
    let run = ["run", &marketplace, "--embedded", &log, "--input", &input, "--until-idle"];
    let metrics = ["metrics", &marketplace, "--embedded", &log];

    fine(&run);
    let once = fine(&metrics);
    fine(&run);
    let twice = fine(&metrics);
    place.write("events.ndjson", &events);
    fine(&run);

    assert!(!once.is_empty());
    assert_eq!(once, twice);
    let whole = fine(&metrics);
    assert!(whole.lines().count() > once.lines().count());
    let report = fine(&["verify", &marketplace, "--embedded", &log, "--output", "json"]);
    let report: Value = serde_json::from_str(&report).expect("is JSON");
    assert_eq!((&report["raw_records"], &report["difference_count"]), (&400.into(), &0.into()));
}

#[test]
fn rows_are_sorted_filtered_and_followed_by_what_was_set_aside_or_refused() {
    let (place, marketplace) = (Place::new(), topology("marketplace"));
    let log = place.path("log");
    let event = |id: &str, kind: &str, vendor: &str| {
        format!(
            r#"{{"eventId":"{id}","eventType":"{kind}","ts":"2026-11-02T10:00:05Z","tenantId":"t1","vendorId":"{vendor}","orderId":"o1"}}"#
        )
    };
    let body = [
        event("e1", "VendorView", "v2"),
        event("e2", "OrderCreated", "v1"),
        event("e1", "VendorView", "v2"),
        "{".into(),
    ];
    let input = place.write("events.ndjson", &body.join("\n"));
    fine(&["run", &marketplace, "--embedded", &log, "--input", &input, "--until-idle"]);
    let metrics = |more: &[&str]| {
        let all = [&["metrics", &marketplace, "--embedded", &log], more].concat();
        lines(&fine(&all))
    };

    let vendors: Vec<_> = metrics(&["--aggregate", "vendor"])
        .into_iter()
        .filter(|row| row["window"] == "day")
        .map(|row| (row["by"]["vendor_id"].clone(), row["values"]["profile_views"].clone()))
        .collect();
    assert_eq!(vendors, [("v1".into(), 0.into()), (Value::from("v2"), Value::from(1))]);
    assert_eq!(metrics(&["--tenant", "t2"]), [Value::Null; 0]);
    let orders = metrics(&["--history", "orders"]);
    assert_eq!((orders.len(), &orders[0]["columns"]["type"]), (1, &"OrderCreated".into()));
    let aside = metrics(&["--set-aside"]);
    assert_eq!((aside.len(), &aside[0]["reason"]), (1, &"duplicate".into()));

    let letters = fine(&["dead-letters", "ls", &marketplace, "--embedded", &log, "--output", "json"]);
    let letter = &lines(&letters)[0];
    assert_eq!((letters.lines().count(), &letter["reason"]), (1, &"invalid_json".into()));
    let coordinate = letter["coordinate"].as_str().expect("is text");
    let shown = fine(&["dead-letters", "show", &marketplace, coordinate, "--embedded", &log]);
    assert!(shown.ends_with("\n\n{\n"), "{shown}");

    for wrong in [&["--history", "none"][..], &["--aggregate", "none"]] {
        let output = ended(&[&["metrics", &marketplace, "--embedded", &log], wrong].concat());
        assert_eq!(code(&output), 2);
    }
}

#[test]
fn a_running_directory_is_read_by_others_refused_to_a_second_writer_and_drained_by_an_interrupt() {
    let (place, marketplace) = (Place::new(), topology("marketplace"));
    let log = place.path("log");
    let input = place.write("events.ndjson", &fine(&["generate", "--events", "100"]));
    let run = ["run", &marketplace, "--embedded", &log, "--input", &input];
    let child = thalweg(&run).stderr(Stdio::piped()).spawn().expect("the binary starts");
    until_printed(&["metrics", &marketplace, "--embedded", &log]);

    let second = ended(&run);
    interrupt(&child);
    let pid = child.id().to_string();
    let drained = child.wait_with_output().expect("it ends");

    assert_eq!(code(&second), 75);
    assert!(text(&second.stderr).contains(&pid), "{}", text(&second.stderr));
    assert_eq!(code(&drained), 0, "{}", text(&drained.stderr));
    fine(&["run", &marketplace, "--embedded", &log, "--until-idle"]);
    fine(&["verify", &marketplace, "--embedded", &log]);
}

#[test]
fn a_directory_without_a_log_and_a_missing_input_are_named_and_nothing_is_made() {
    let (place, marketplace) = (Place::new(), topology("marketplace"));
    let log = place.path("log");

    let none = ended(&["metrics", &marketplace, "--embedded", &log]);
    let missing = ended(&[
        "run",
        &marketplace,
        "--embedded",
        &log,
        "--input",
        &place.path("no.ndjson"),
        "--until-idle",
    ]);

    assert_eq!((code(&none), code(&missing)), (1, 78));
    assert!(text(&none.stderr).contains("holds no log yet"), "{}", text(&none.stderr));
    assert!(text(&missing.stderr).contains("no.ndjson"), "{}", text(&missing.stderr));
    assert!(!Path::new(&log).exists());
}

#[test]
fn a_demo_ends_with_what_it_made_a_query_and_a_green_verdict() {
    let place = Place::new();
    let log = place.path("demo");

    let told = fine(&["demo", "--events", "600", "--dir", &log, "--output", "json"]);

    let made: Value = serde_json::from_str(&told).expect("is JSON");
    assert_eq!((&made["is_green"], &made["raw_records"]), (&true.into(), &600.into()));
    assert_eq!(made["lake"]["rows"], made["raw_records"]);
    assert!(made["query"].as_str().is_some_and(|query| query.contains("read_parquet(")));
    // The folder is a topology of its own, for all other verbs.
    let rows = fine(&["metrics", &log, "--embedded", &log]);
    assert_eq!(made["metrics_rows"], rows.lines().count());
    let again = ended(&["demo", "--events", "600", "--dir", &log]);
    assert_eq!(code(&again), 2, "{}", text(&again.stderr));
}
