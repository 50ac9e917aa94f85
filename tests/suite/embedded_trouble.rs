//! Full and read-only disks, damaged files: a clear sentence, nothing partial, nothing wrong.

use super::*;
use crate::port_contract::{at, record, values};
use std::env;
use std::fs;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
use thalweg::embedded::Error;
use thalweg::model::Topic;
use thalweg::objects::LocalObjects;
use thalweg::port::{Objects, Reaction};

const FULL: &str = "THALWEG_TEST_FULL_DIR";
const READ_ONLY: &str = "THALWEG_TEST_READ_ONLY_DIR";

/// Runs a test of this binary again under a shell that first changes the world around it.
fn again_under(shell: &[&str], script: &str, test: &str, variable: &str, dir: &Path) -> String {
    let exe = env::current_exe().unwrap();
    let output = Command::new(shell[0])
        .args(&shell[1..])
        .args(["sh", "-c", script, "sh"])
        .arg(exe)
        .args(["--exact", test, "--nocapture", "--test-threads=1"])
        .env(variable, dir)
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{text}{}", String::from_utf8_lossy(&output.stderr));
    text
}

/// Can this process mount something that only it sees? If not, the test is left out, said aloud and counted.
#[track_caller]
fn can_mount(test: &str) -> bool {
    let mounted = Command::new("unshare").args(["-rm", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]).output();
    let can = mounted.is_ok_and(|output| output.status.success());
    if !can {
        crate::left_out::mark();
        eprintln!("not run: {test}: needs `unshare -rm` (user namespaces) to mount a small file system");
    }
    can
}

/// Appends until the disk is full; how many records were answered.
fn fill(dir: &Path) -> usize {
    let log = open(&dir.join("log"));
    let mut producer = log.producer();
    let mut answered = 0;
    let failed = loop {
        producer.send(at(Topic::Raw, 0), record("k", &"x".repeat(50_000)));
        let deliveries = now(producer.deliveries(Duration::from_secs(10))).unwrap();
        match deliveries.into_iter().next().unwrap().outcome {
            Ok(_) => answered += 1,
            Err(failure) => break failure,
        }
    };
    assert_eq!(failed.reaction, Reaction::Halt);
    assert!(failed.to_string().contains("no space left for"), "{failed}");
    assert!(failed.to_string().contains("log.redb"), "{failed}");
    assert!(log.failure().is_some());
    // It stays stopped, with the same reason, and a transaction does not pretend.
    assert!(now(log.transactions()).is_err());
    let again = now(log.reader().facts(Topic::Raw)).unwrap_err();
    assert!(again.to_string().contains("no space left for"), "{again}");
    answered
}

fn no_partial_object(dir: &Path) {
    let objects = LocalObjects::open(&dir.join("lake")).unwrap();
    let full = now(objects.create("t/x.parquet", vec![1; 16 << 20])).unwrap_err();

    assert_eq!(full.reaction, Reaction::Retry);
    assert!(full.to_string().contains("no space left for"), "{full}");
    assert_eq!(now(objects.list("")).unwrap(), Vec::<String>::new());
    assert_eq!(fs::read_dir(dir.join("lake/.tmp")).unwrap().count(), 0, "an unfinished object stayed");
}

#[test]
fn at_a_file_size_limit_nothing_answered_is_lost_and_nothing_is_partial() {
    const NAME: &str =
        "embedded::trouble::at_a_file_size_limit_nothing_answered_is_lost_and_nothing_is_partial";
    if let Some(dir) = env::var_os(FULL) {
        let dir = PathBuf::from(dir);
        println!("\nanswered {}", fill(&dir));
        return no_partial_object(&dir);
    }
    let dir = tempfile::tempdir().unwrap();

    // 8 MiB a file, in blocks of 512 bytes; the signal that comes with it is ignored.
    let script = "trap '' XFSZ; ulimit -f 16384; exec \"$@\"";
    let said = again_under(&["env"], script, NAME, FULL, dir.path());

    let answered = said.lines().find_map(|line| line.strip_prefix("answered ")).unwrap().parse().unwrap();
    let log = open(&dir.path().join("log"));
    let left = now(Box::pin(values(&log, at(Topic::Raw, 0)))).len();
    assert!((answered..=answered + 1).contains(&left), "{left} left of {answered} that were answered");
}

#[test]
fn on_a_full_disk_the_log_stops_and_goes_on_when_there_is_room() {
    const NAME: &str = "embedded::trouble::on_a_full_disk_the_log_stops_and_goes_on_when_there_is_room";
    if let Some(dir) = env::var_os(FULL) {
        let dir = PathBuf::from(dir);
        fs::write(dir.join("filler"), vec![0; 4 << 20]).unwrap();
        let answered = fill(&dir);
        no_partial_object(&dir);
        fs::remove_file(dir.join("filler")).unwrap();

        let log = open(&dir.join("log"));
        let left = now(Box::pin(values(&log, at(Topic::Raw, 0)))).len();
        assert!((answered..=answered + 1).contains(&left), "{left} left of {answered} that were answered");
        now(Box::pin(crate::port_contract::send(&log, at(Topic::Raw, 1), vec![record("k", "v")])));
        return;
    }
    if can_mount(NAME) {
        let dir = tempfile::tempdir().unwrap();
        let script = format!("mount -t tmpfs -o size=12m tmpfs \"${FULL}\" && exec \"$@\"");
        again_under(&["unshare", "-rm"], &script, NAME, FULL, dir.path());
    }
}

#[test]
fn a_read_only_directory_is_named_and_left_as_it_was() {
    const NAME: &str = "embedded::trouble::a_read_only_directory_is_named_and_left_as_it_was";
    if let Some(dir) = env::var_os(READ_ONLY) {
        let dir = PathBuf::from(dir);
        let refused = EmbeddedLog::open(&dir.join("log"), &layout()).err().unwrap();
        assert!(matches!(refused, Error::NotWritable { .. }), "{refused}");
        assert!(refused.to_string().contains("log` cannot be written"), "{refused}");
        let refused = LocalObjects::open(&dir.join("lake")).err().unwrap();
        assert_eq!(refused.reaction, Reaction::Halt);
        assert!(refused.to_string().contains("cannot be written"), "{refused}");
        assert_eq!(fs::read_dir(&dir).unwrap().count(), 0);
        return;
    }
    if can_mount(NAME) {
        let dir = tempfile::tempdir().unwrap();
        let script = format!("mount -t tmpfs -o ro tmpfs \"${READ_ONLY}\" && exec \"$@\"");
        again_under(&["unshare", "-rm"], &script, NAME, READ_ONLY, dir.path());
    }
}

/// A log with records of several sizes in several topics; what is in it.
fn made(dir: &Path) -> Vec<Vec<String>> {
    let log = open(dir);
    for (topic, len) in [(Topic::Raw, 300), (Topic::State, 20), (Topic::Repartition, 60_000)] {
        for partition in 0..2 {
            let text = |n: usize| format!("{n} {}", "x".repeat(len));
            let records = (0..40).map(|n| record(&format!("k{n}"), &text(n))).collect();
            now(Box::pin(crate::port_contract::send(&log, at(topic, partition), records)));
        }
    }
    all(&log)
}

fn all(log: &EmbeddedLog) -> Vec<Vec<String>> {
    let places = [Topic::Raw, Topic::State, Topic::Repartition].into_iter();
    let places = places.flat_map(|topic| [at(topic, 0), at(topic, 1)]);
    places.map(|place| now(Box::pin(values(log, place)))).collect()
}

/// Opens and reads a log that may be damaged: an error, or what it holds.
fn try_all(dir: &Path) -> Result<Vec<Vec<String>>, String> {
    let log = EmbeddedLog::open(dir, &layout()).map_err(|error| error.to_string())?;
    let mut found = Vec::new();
    for topic in [Topic::Raw, Topic::State, Topic::Repartition] {
        for partition in 0..2 {
            let mut next = crate::port_contract::START;
            let mut values = Vec::new();
            loop {
                let read = now(log.reader().read(at(topic, partition), next, 1 << 20));
                let batch = read.map_err(|failure| failure.to_string())?;
                if batch.next == next {
                    break;
                }
                let value = |record| String::from_utf8(batch.value(record).unwrap().to_vec()).unwrap();
                values.extend(batch.records.iter().map(value));
                next = batch.next;
            }
            found.push(values);
        }
    }
    Ok(found)
}

#[test]
fn a_damaged_log_is_refused_or_right_and_never_a_panic() {
    let dir = tempfile::tempdir().unwrap();
    let expected = made(dir.path());
    let path = dir.path().join("log.redb");
    let whole = fs::read(&path).unwrap();
    let mut refused = 0;

    for round in 0..150u64 {
        // Somewhere in the file, a few bytes that are not what was written.
        let place = round.wrapping_mul(0x9E37_79B9_7F4A_7C15) % (whole.len() as u64 - 8);
        fs::write(&path, &whole).unwrap();
        let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
        let mut bytes: [u8; 8] = whole[place as usize..place as usize + 8].try_into().unwrap();
        bytes.iter_mut().for_each(|byte| *byte ^= 0x5A);
        file.write_all_at(&bytes, place).unwrap();
        match try_all(dir.path()) {
            Ok(found) => assert!(found == expected, "other records after damage at byte {place}"),
            Err(error) => {
                assert!(error.contains("log.redb"), "{error}");
                refused += 1;
            }
        }
    }

    assert!(refused > 20, "only {refused} of 150 were noticed");
}

#[test]
fn a_file_that_is_no_log_is_refused_and_left_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    made(dir.path());
    let path = dir.path().join("log.redb");
    let whole = fs::read(&path).unwrap();

    for other in [&b""[..], b"not a log", &whole[..whole.len() / 2], &whole[..100], &[0; 100_000]] {
        fs::write(&path, other).unwrap();
        let refused = EmbeddedLog::open(dir.path(), &layout()).err().map(|error| error.to_string());
        let refused = refused.unwrap_or_else(|| panic!("{} bytes were taken for a log", other.len()));
        assert!(refused.contains("log.redb"), "{refused}");
        assert!(fs::read(&path).unwrap() == other, "the file was changed");
    }
}

#[test]
fn what_a_kill_left_while_the_log_was_made_does_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("log.redb.new"), b"half of a log").unwrap();

    let log = open(dir.path());

    now(Box::pin(crate::port_contract::send(&log, at(Topic::Raw, 0), vec![record("k", "v")])));
    assert!(!dir.path().join("log.redb.new").exists());
}
