//! Poison: what cannot be believed is refused with its bytes, and what stands behind it goes on.

use crate::program::{River, command, fine, text, topology};
use crate::python::Python;
use std::fs;
use std::io::Write;
use std::process::Stdio;

/// The input is 25 MB with lines of 10 MB; whoever gathers it all passes this.
const MEMORY_MAX: &str = "256";

#[test]
fn bad_input_is_refused_with_its_bytes_and_good_input_behind_it_is_counted() {
    let Some(python) = Python::or_left_out() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let river = River::new("marketplace", &folder.path().join("river"));
    let (dir, input) = (text(&river.dir), text(&folder.path().join("bad.ndjson")));
    python.agrees("bad_input.py", &["write", &input]);

    let run = ["run", &river.topology, "--embedded", &dir, "--input", &input, "--until-idle"];
    python.agrees("peak.py", &[&[MEMORY_MAX, env!("CARGO_BIN_EXE_thalweg")], &run[..]].concat());

    river.verify();
    let said = [river.ddl(), river.dead_letters(), river.metrics(&[])];
    python.agrees("bad_input.py", &["compare", &said[0], &said[1], &said[2], &text(&river.dir.join("lake"))]);
}

#[test]
fn an_event_that_is_refused_is_explained() {
    let mut explain = command(&["explain", &topology("marketplace")])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the program starts");
    let event = br#"{"eventId":"e","eventType":"ProductView","vendorId":"v"}"#;
    explain.stdin.take().expect("piped").write_all(event).expect("the program reads");

    let said = explain.wait_with_output().expect("the program ends");

    let words = String::from_utf8_lossy(&[said.stdout, said.stderr].concat()).into_owned();
    assert!(words.contains("missing") && words.contains("tenant"), "{words}");
}

#[test]
fn a_bad_topology_names_every_problem_and_starts_nothing() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let bad = folder.path().join("topology.yaml");
    let good = fs::read_to_string(format!("{}/topology.yaml", topology("marketplace"))).expect("it is there");
    let broken =
        good.replacen("id: event_id", "id: no_such_field", 1).replacen("keep: 31d", "keep: 31 days", 1);
    assert_ne!(good, broken);
    fs::write(&bad, broken).expect("a temporary folder can be written");
    let dir = folder.path().join("river");

    let ran = crate::program::thalweg(&["run", &text(&bad), "--embedded", &text(&dir), "--until-idle"]);

    assert_eq!(ran.status.code(), Some(78), "{}{}", ran.stdout, ran.stderr);
    let words = ran.stdout + &ran.stderr;
    let places = words.lines().filter(|line| line.contains("topology.yaml:")).count();
    assert!(places >= 2 && words.contains("no_such_field") && words.contains("31 days"), "{words}");
    assert!(!dir.exists(), "something was written");
}

#[test]
fn a_second_writer_of_a_directory_is_refused_by_name() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let (dir, marketplace) = (text(&folder.path().join("river")), topology("marketplace"));
    let run = ["run", &marketplace, "--embedded", &dir, "--input", "-"];
    let mut first = command(&run)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("the program starts");
    let refused = (0..100).find_map(|_| {
        std::thread::sleep(std::time::Duration::from_millis(100));
        let log_is_there = fs::read_dir(&dir).is_ok_and(|mut entries| entries.next().is_some());
        log_is_there
            .then(|| crate::program::thalweg(&["run", &marketplace, "--embedded", &dir, "--until-idle"]))
    });
    first.kill().expect("it still runs");
    first.wait().expect("it ends");

    let refused = refused.expect("the first run makes its directory within ten seconds");
    assert_eq!(refused.status.code(), Some(75), "{}{}", refused.stdout, refused.stderr);
    assert!(refused.stderr.contains("river"), "the directory is not named: {}", refused.stderr);
    fine(&["run", &marketplace, "--embedded", &dir, "--until-idle"]);
}
