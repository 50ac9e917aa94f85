//! A tenant at and beyond its cap of keys.

use super::cli::fine;
use serde_json::Value;
use std::fmt::Write;
use std::fs;

/// Keys of a tenant that get rows of their own in one target.
const CAP: usize = 100_000;
/// Keys beyond it.
const MORE: usize = 50;

const TOPOLOGY: &str = "
topology: meters
events:
  topic: meters
  format: json
  id: id
  time: at
  fields: { id: text, at: time, site: text, meter: text, watts: int }
tenant: site
partitions: 1
aggregates:
  meter:
    by: [meter]
    carry: [site]
    windows: [day, rolling 1h]
    values:
      readings: { count: events }
      watts: { sum: watts }
      lowest: { min: watts }
      newest: { last: watts }
      mean: { mean: watts, scale: 2 }
      levels: { distinct: watts }
lake: { table: meters, partition: [tenant_id, year, month, day], roll: { age: 5m, bytes: 128MiB } }
";

/// Every meter once, then once more those around the cap.
fn readings() -> String {
    let mut lines = String::new();
    let again = CAP - MORE..CAP + MORE;
    for (number, meter) in (0..CAP + MORE).chain(again).enumerate() {
        let (minute, watts) = (number / 10_000, number % 977);
        writeln!(
            lines,
            r#"{{"id":"e{number}","at":"2026-11-02T10:{minute:02}:30Z","site":"s","meter":"m{meter}","watts":{watts}}}"#
        )
        .unwrap();
    }
    lines
}

#[test]
fn keys_beyond_a_tenants_cap_are_summed_under_other_and_proved() {
    let place = tempfile::tempdir().unwrap();
    let path = |name: &str| place.path().join(name).to_str().unwrap().to_owned();
    let (topology, input, log) = (path("topology.yaml"), path("readings.ndjson"), path("log"));
    fs::write(&topology, TOPOLOGY).unwrap();
    fs::write(&input, readings()).unwrap();

    fine(&["run", &topology, "--embedded", &log, "--input", &input, "--until-idle"]);

    let rows = fine(&["metrics", &topology, "--embedded", &log]);
    let days = rows.lines().filter(|row| row.contains("\"window\":\"day\""));
    let (others, own): (Vec<_>, Vec<_>) = days.partition(|row| row.contains("__other__"));
    assert_eq!((own.len(), others.len()), (CAP, 1));
    let other: Value = serde_json::from_str(others[0]).unwrap();
    // Each meter beyond the cap was read twice.
    assert_eq!(other["values"]["readings"], 2 * MORE);
    let report = fine(&["verify", &topology, "--embedded", &log, "--output", "json"]);
    let report: Value = serde_json::from_str(&report).unwrap();
    assert_eq!((&report["not_provable"], &report["difference_count"]), (&Value::Array(vec![]), &0.into()));
    // A day and a rolling hour for each, and for those beyond the cap together.
    assert_eq!(report["rows"], 2 * (CAP + 1));
}
