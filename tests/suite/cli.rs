//! The command line as scripts meet it: verbs, exit codes, what stands on which stream.

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::{env, fs};

fn thalweg(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
    command.args(arguments).stdin(Stdio::null()).env_remove("COLUMNS");
    command
}

fn ended(arguments: &[&str]) -> Output {
    thalweg(arguments).output().expect("the binary starts")
}

fn code(output: &Output) -> i32 {
    output.status.code().expect("it ended by itself")
}

fn text(bytes: &[u8]) -> String {
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
    let verbs: &[&[&str]] = &[
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
        &["ddl"],
        &["dead-letters"],
        &["dead-letters", "ls"],
        &["dead-letters", "show"],
        &["dead-letters", "redrive"],
        &["completions"],
    ];
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

    golden("help.txt", &all);
}

#[test]
fn the_version_is_printed() {
    let output = ended(&["--version"]);

    assert_eq!(code(&output), 0);
    assert_eq!(text(&output.stdout), concat!("thalweg ", env!("CARGO_PKG_VERSION"), "\n"));
}

#[test]
fn what_cannot_be_asked_for_is_a_usage_error() {
    for arguments in
        [&["run"][..], &["fly"], &[], &["generate", "--from", "yesterday"], &["generate", "--late", "2"]]
    {
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
