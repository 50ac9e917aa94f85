//! The command line as scripts meet it: verbs, exit codes, what stands on which stream.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::{env, fs};

pub(crate) fn thalweg(arguments: &[&str]) -> Command {
    let mut command = Command::new(program());
    command.args(arguments).stdin(Stdio::null()).env_remove("COLUMNS");
    command
}

/// The one that was built with these tests, unless somebody names another: what newcomers build has other features.
fn program() -> OsString {
    env::var_os("THALWEG_PROGRAM").unwrap_or_else(|| env!("CARGO_BIN_EXE_thalweg").into())
}

pub(crate) fn ended(arguments: &[&str]) -> Output {
    thalweg(arguments).output().expect("the binary starts")
}

/// A topology of this repository.
pub(crate) fn topology(name: &str) -> String {
    format!("{}/topologies/{name}", env!("CARGO_MANIFEST_DIR"))
}

/// Ends with 0, and says on standard output what is returned.
pub(crate) fn fine(arguments: &[&str]) -> String {
    let output = ended(arguments);
    assert_eq!(code(&output), 0, "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// What is on standard input of the verb.
fn with_input(arguments: &[&str], input: &str) -> Output {
    let mut child = thalweg(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    child.stdin.take().expect("is piped").write_all(input.as_bytes()).expect("it reads");
    child.wait_with_output().expect("it ends")
}

pub(crate) fn code(output: &Output) -> i32 {
    output.status.code().expect("it ended by itself")
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("output is text")
}

/// Compares with the text on disk; `BLESS=1` rewrites it instead, for the diff to be reviewed.
fn golden(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suite/golden").join(name);
    if env::var_os("BLESS").is_some() {
        return fs::write(path, actual).expect("golden text can be written");
    }
    let expected = fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == actual, "{}: rerun with BLESS=1, or fix\n{actual}", path.display());
}

#[test]
fn help_says_what_was_reviewed() {
    let has_brokers = code(&ended(&["topics", "--help"])) == 0;
    let mut verbs: Vec<&[&str]> = vec![
        &[],
        &["demo"],
        &["generate"],
        &["run"],
        &["check"],
        &["describe"],
        &["explain"],
        &["test"],
        &["metrics"],
        &["verify"],
        &["reroute"],
        &["cutover"],
        &["ddl"],
        &["dead-letters"],
        &["dead-letters", "ls"],
        &["dead-letters", "show"],
        &["dead-letters", "redrive"],
        &["completions"],
    ];
    if has_brokers {
        verbs.extend([&["topics"][..], &["doctor"]]);
    }
    let mut all = String::new();
    for verb in verbs {
        let output = ended(&[verb, &["--help"][..]].concat());
        assert_eq!(code(&output), 0);
        all.push_str(&format!(
            "$ thalweg {}\n{}\n",
            [verb, &["--help"][..]].concat().join(" "),
            text(&output.stdout)
        ));
    }

    golden(if has_brokers { "help-with-brokers.txt" } else { "help.txt" }, &all);
}

#[test]
fn the_version_is_printed() {
    let output = ended(&["--version"]);

    assert_eq!(code(&output), 0);
    assert_eq!(text(&output.stdout), concat!("thalweg ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn what_cannot_be_asked_for_is_a_usage_error() {
    for arguments in [
        &["run"][..],
        &["fly"],
        &[],
        &["generate", "--from", "yesterday"],
        &["generate", "--late", "2"],
        &["demo", "--topology", &topology("flights")],
    ] {
        let output = ended(arguments);
        assert_eq!(code(&output), 2, "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}");
    }
}

#[test]
fn a_missing_topology_is_an_invalid_file() {
    let output = ended(&["check", "no/such/file.yaml"]);

    assert_eq!(code(&output), 78);
    assert!(text(&output.stderr).contains("cannot read no/such/file.yaml"));
}

#[test]
fn completions_are_made_for_every_shell() {
    for shell in ["bash", "zsh", "fish", "powershell", "elvish"] {
        let output = ended(&["completions", shell]);
        assert_eq!(code(&output), 0);
        assert!(text(&output.stdout).contains("dead-letters"), "{shell}");
    }
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let mut child = thalweg(&["completions", "bash"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    drop(child.stdout.take());

    let status = child.wait().expect("it ends");
    let mut stderr = String::new();
    child.stderr.take().expect("is piped").read_to_string(&mut stderr).expect("is text");

    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
}

#[test]
fn every_problem_of_a_topology_is_named_by_file_line_and_column() {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let file = dir.path().join("topology.yaml");
    fs::File::create(&file)
        .and_then(|mut file| file.write_all(b"topology: X\nevnts: {}\n"))
        .expect("is written");

    // The folder stands for the file in it.
    let output = ended(&["check", dir.path().to_str().expect("is text")]);

    assert_eq!(code(&output), 78);
    let stderr = text(&output.stderr);
    let named = stderr.lines().filter(|line| line.starts_with(&format!("{}:", file.display()))).count();
    assert!(named >= 2 && output.stdout.is_empty(), "{stderr}");
}

#[test]
fn the_cases_of_every_topology_hold() {
    for name in ["tenant-insights", "flights", "marketplace"] {
        let told = fine(&["test", &topology(name)]);
        let cases = told.lines().count();
        assert!(cases >= 8 && told.lines().all(|line| line.starts_with("holds")), "{told}");
    }
}

#[test]
fn a_case_that_does_not_hold_is_shown_with_what_differs() {
    let dir = tempfile::tempdir().expect("a directory can be made");
    let flights = topology("flights");
    fs::copy(format!("{flights}/topology.yaml"), dir.path().join("topology.yaml")).expect("is copied");
    let wrong = "- case: nothing is left\n  windows: [day]\n  events:\n    - value: {time_hour: 2013-01-01T17:00:00Z, \
                 origin: EWR, carrier: UA, flight: 7}\n- case: nothing comes of nothing\n  events: []\n";
    fs::write(dir.path().join("cases.yaml"), wrong).expect("is written");

    let output = ended(&["test", dir.path().to_str().expect("is text")]);

    assert_eq!(code(&output), 3, "{}", text(&output.stderr));
    let told = text(&output.stdout);
    assert!(told.starts_with("FAILS") && told.contains("cases.yaml:1  nothing is left"), "{told}");
    assert!(told.contains(r#"+ row {"aggregate":"carrier","tenant_id":"EWR""#), "{told}");
    assert!(told.lines().last().is_some_and(|line| line.starts_with("holds")), "{told}");
    assert!(text(&output.stderr).contains("1 of 2 cases do not hold"));
}

#[test]
fn an_event_is_explained_or_said_to_be_refused() {
    let marketplace = topology("marketplace");
    let arguments = ["explain", &marketplace, "--at", "2026-11-02T10:00:02Z", "--output", "json"];
    let event = r#"{"eventId":"e1","eventType":"OrderCompleted","tenantId":"t/1","vendorId":"v1","orderId":"o1",
                    "ts":"2026-11-02T10:00:01Z","total":12.5,"items":[{"productId":"p1","quantity":2,"price":3.25}]}"#;

    let explained = with_input(&arguments, event);
    let refused = with_input(&arguments, r#"{"eventId":"e1","#);

    assert_eq!((code(&explained), code(&refused)), (0, 0));
    let explained: serde_json::Value = serde_json::from_slice(&explained.stdout).expect("is JSON");
    assert_eq!(explained["fields"]["total"], "12.50");
    assert_eq!(explained["contributions"].as_array().map(Vec::len), Some(2));
    assert_eq!(explained["histories"].as_array().map(Vec::len), Some(1));
    // A vendor has seven windows, a product five.
    assert_eq!(explained["rows"].as_array().map(Vec::len), Some(12));
    assert_eq!(
        explained["lake"],
        "marketplace_events/category=OrderCompleted/tenant_id=t!2F1/year=2026/month=11/day=02/hour=10/"
    );
    let refused: serde_json::Value = serde_json::from_slice(&refused.stdout).expect("is JSON");
    assert_eq!(refused["refused"]["reason"], "invalid_json");
    assert_eq!(refused["lake"], "marketplace_events_refused/year=2026/month=11/day=02/hour=10/");
}

#[test]
fn generated_events_are_the_same_bytes_for_the_same_flags() {
    let arguments = ["generate", "--events", "500", "--seed", "7"];

    let events = fine(&arguments);

    assert_eq!(events.lines().count(), 500);
    assert_eq!(events, fine(&arguments));
    assert_eq!(events, fine(&[&arguments[..], &["--rate", "100000"]].concat()));
    assert_ne!(events, fine(&["generate", "--events", "500", "--seed", "8"]));
}

#[test]
fn athena_and_terraform_get_their_tables_for_a_place_that_they_can_read() {
    let marketplace = topology("marketplace");
    let ddl = |engine, more: &[&'static str]| [&["ddl", &marketplace, "--engine", engine][..], more].concat();

    let sql = fine(&ddl("athena", &["--location", "s3://shop/v1", "--database", "shop", "--from", "2026"]));
    let hcl = fine(&ddl("terraform", &["--location", "s3://shop/v1/"]));

    assert!(sql.contains("LOCATION 's3://shop/v1/marketplace_events/'"), "{sql}");
    assert!(sql.contains("`shop`.`marketplace_events_files`"), "{sql}");
    assert!(sql.contains("'projection.year.range' = '2026,2039'"), "{sql}");
    assert!(hcl.contains("location      = \"s3://shop/v1/marketplace_events/\""), "{hcl}");
    for (more, sentence) in [
        (&[][..], "where is the lake?"),
        (&["--embedded", "river"], "Athena reads no directory"),
        (&["--location", "/srv/lake"], "Athena reads what lies at s3://bucket/prefix"),
        (&["--location", "s3://shop/it's"], "is not trusted with"),
        (&["--location", "s3://shop", "--database", "my shop"], "a database is called"),
        (&["--location", "s3://shop", "--from", "2040"], "no year is from 2040 on and up to 2039"),
    ] {
        let output = ended(&ddl("athena", more));
        assert_eq!(code(&output), 2, "{more:?}");
        assert!(text(&output.stderr).contains(sentence), "{}", text(&output.stderr));
    }
}
