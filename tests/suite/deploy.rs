//! What lies in `deploy/` fits the program: its configuration, the commands of its containers, its dashboard.

use serde_json::Value;
use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path))
        .unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// `THALWEG__…: value` of the containers; of `${NAME:-default}` the default.
fn variables() -> Vec<(String, String)> {
    let compose = read("deploy/compose.yaml");
    let pairs = compose.lines().filter_map(|line| line.trim().split_once(": "));
    let ours = pairs.filter(|(name, _)| name.starts_with("THALWEG__"));
    let plain = |value: &str| match value.trim_end_matches('}').split_once(":-") {
        Some((_, default)) => default.to_owned(),
        None => value.to_owned(),
    };
    ours.map(|(name, value)| (name.to_owned(), plain(value))).collect()
}

#[test]
fn the_configuration_of_the_containers_is_one() {
    let checked = thalweg::config::check(&read("deploy/thalweg.yaml"), &variables());

    let config = checked.unwrap_or_else(|problems| panic!("{problems:#?}"));
    assert_eq!(config.kafka.brokers, ["kafka:9092"]);
    assert!(config.lake.s3.credentials.is_some(), "the store's secret comes from the environment");
    assert!(config.admin.address.ip().is_unspecified(), "Prometheus is in another container");
}

/// With `--help` behind it a command is read to its end, and nothing is done.
#[cfg(all(feature = "kafka", feature = "s3"))]
#[test]
fn the_commands_of_the_containers_are_commands_of_the_program() {
    let compose = read("deploy/compose.yaml");
    let lists = compose.lines().filter_map(|line| line.trim().strip_prefix("command: "));
    let lists = lists.map(|list| serde_json::from_str::<Vec<String>>(list).expect("a list in one line"));
    let ours: Vec<_> =
        lists.filter(|list| matches!(list[0].as_str(), "run" | "topics" | "generate")).collect();

    assert_eq!(ours.len(), 5, "{ours:?}");
    for command in ours {
        let program = env!("CARGO_BIN_EXE_thalweg");
        let output = std::process::Command::new(program).args(&command).arg("--help").output().unwrap();
        assert!(output.status.success(), "{command:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn the_dashboard_asks_for_metrics_that_there_are() {
    let dashboard: Value = serde_json::from_str(&read("deploy/grafana/thalweg.json")).expect("is JSON");
    let page = read("docs/metrics.md");
    let known: BTreeSet<&str> = page.split('`').filter(|word| word.starts_with("thalweg_")).collect();

    assert_eq!(dashboard["uid"], "thalweg");
    assert_eq!(dashboard["templating"]["list"][0]["name"], "datasource");
    let panels = dashboard["panels"].as_array().expect("a list").iter();
    let mut asked = BTreeSet::new();
    for target in panels.filter_map(|panel| panel["targets"].as_array()).flatten() {
        assert_eq!(target["datasource"]["uid"], "${datasource}", "{target}");
        let query = target["expr"].as_str().expect("is text").to_owned();
        let names = query.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        asked.extend(names.filter(|name| name.starts_with("thalweg_")).map(str::to_owned));
    }
    assert!(asked.len() > 15, "{asked:?}");
    for name in asked {
        let of_histogram = ["_bucket", "_count", "_sum"].iter().find_map(|end| name.strip_suffix(end));
        let is_known = known.contains(name.as_str()) || of_histogram.is_some_and(|name| known.contains(name));
        assert!(is_known, "docs/metrics.md has no {name}");
    }
}
