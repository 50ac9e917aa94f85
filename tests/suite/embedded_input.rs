//! A file is appended once, however often and however far it was given before.

use super::*;
use crate::port_contract::{START, at, read_all, values};
use std::fs;
use std::ops::ControlFlow;
use std::path::PathBuf;
use thalweg::embedded::{Error, Input, InputReport};
use thalweg::model::{NextOffset, Partition, RECORD_BYTES_MAX, Topic};

struct Desk {
    dir: tempfile::TempDir,
    log: EmbeddedLog,
}

impl Desk {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let log = open(&dir.path().join("log"));
        Desk { dir, log }
    }

    fn file(&self, name: &str, text: &[u8]) -> PathBuf {
        let path = self.dir.path().join(name);
        fs::write(&path, text).unwrap();
        path
    }

    fn append(&self, name: &str, text: &str) -> Result<InputReport, Error> {
        let path = self.file(name, text.as_bytes());
        self.log.append_input(Input::File(&path), false, &mut |_| ControlFlow::Continue(()))
    }

    fn raw(&self) -> (Vec<String>, Vec<String>) {
        let raw = |partition| now(Box::pin(values(&self.log, at(Topic::Raw, partition))));
        (raw(0), raw(1))
    }
}

#[test]
fn lines_go_to_the_two_partitions_in_turn_and_empty_ones_do_not_count() {
    let desk = Desk::new();

    let report = desk.append("a", "1\n\n2\r\n\r\n3\n4\n5").unwrap();

    assert_eq!(desk.raw(), (vec!["1".into(), "3".into(), "5".into()], vec!["2".into(), "4".into()]));
    let expected = InputReport { lines: 5, bytes: 13, is_finished: true, ..InputReport::default() };
    assert_eq!(report, expected);
    assert_eq!(desk.log.raw_ends(), [(Partition(0), NextOffset(3)), (Partition(1), NextOffset(2))].into());
}

#[test]
fn a_file_given_twice_is_appended_once_and_a_grown_one_goes_on() {
    let desk = Desk::new();
    desk.append("a", "1\n2\n3\n").unwrap();

    let same = desk.append("a", "1\n2\n3\n").unwrap();
    let renamed = desk.append("b", "1\n2\n3\n").unwrap();
    let grown = desk.append("a", "1\n2\n3\n4\n5\n").unwrap();

    assert_eq!((same.lines, renamed.lines), (0, 0));
    assert_eq!((grown.lines, grown.bytes_before), (2, 6));
    assert_eq!(desk.raw(), (vec!["1".into(), "3".into(), "5".into()], vec!["2".into(), "4".into()]));
}

#[test]
fn a_changed_file_is_another_input_and_several_are_remembered() {
    let desk = Desk::new();
    desk.append("a", "1\n2\n").unwrap();
    desk.append("b", "x\n").unwrap();

    assert_eq!(desk.append("a", "1\n3\n").unwrap().lines, 2);
    assert_eq!(desk.append("b", "x\ny\n").unwrap().lines, 1);
    assert_eq!(desk.append("a", "1\n2\n").unwrap().lines, 0);
    assert_eq!(desk.append("a", "1\n").unwrap().lines, 1);
}

#[test]
fn again_appends_anew_and_goes_on_where_it_was_cut_short() {
    let desk = Desk::new();
    let line = "x".repeat(1_000);
    let text = (0..30_000).map(|n| format!("{n} {line}\n")).collect::<String>();
    let path = desk.file("a", text.as_bytes());
    let again = |on: &mut dyn FnMut() -> ControlFlow<()>| {
        desk.log.append_input(Input::File(&path), true, &mut |_| on()).unwrap()
    };

    let first = desk.append("a", &text).unwrap();
    let cut = again(&mut || ControlFlow::Break(()));
    let rest = again(&mut || ControlFlow::Continue(()));
    let third = again(&mut || ControlFlow::Continue(()));

    assert_eq!((first.lines, third.lines), (30_000, 30_000));
    assert!(!cut.is_finished && rest.is_finished);
    assert!(cut.lines > 0 && rest.lines > 0, "{cut:?} {rest:?}");
    assert_eq!(cut.lines + rest.lines, 30_000);
    assert_eq!(rest.bytes_before, cut.bytes);
    let (even, odd) = desk.raw();
    assert_eq!(even.len() + odd.len(), 90_000);
    let number = |record: &String| record.split(' ').next().unwrap().parse::<u64>().unwrap();
    assert!(even.iter().map(number).eq((0..3).flat_map(|_| (0..30_000).step_by(2))));
}

#[test]
fn a_last_line_that_grew_is_refused_and_one_that_only_ended_is_not() {
    let desk = Desk::new();
    desk.append("a", "1\n{\"a\":").unwrap();

    let ended = desk.append("a", "1\n{\"a\":\n3\n").unwrap();
    desk.append("b", "x").unwrap();
    let grew = desk.append("b", "xy\n").unwrap_err();

    assert_eq!(ended.lines, 1);
    assert!(matches!(grew, Error::LineGrew { line: 1, .. }), "{grew}");
    assert_eq!(desk.raw().0, ["1", "3", "x"]);
}

#[test]
fn a_line_beyond_all_limits_is_cut_and_says_how_long_it_was() {
    let desk = Desk::new();
    let long = "y".repeat(10 << 20);

    let report = desk.append("a", &format!("1\n{long}\n3\n")).unwrap();

    assert_eq!((report.lines, report.truncated), (3, 1));
    let batches = now(Box::pin(async { read_all(&mut *desk.log.reader(), at(Topic::Raw, 1), START).await }));
    let (batch, record) = (&batches[0], &batches[0].records[0]);
    assert_eq!(batch.value(record).unwrap().len(), RECORD_BYTES_MAX + 1);
    let (name, value) = record.headers[0];
    assert_eq!(
        (name.of(&batch.bytes), value.of(&batch.bytes)),
        (&b"thalweg.truncated"[..], &b"10485760"[..])
    );
    assert_eq!(desk.raw().0, ["1", "3"]);
}

#[test]
fn a_stream_is_appended_each_time_and_an_empty_file_is_nothing() {
    let desk = Desk::new();
    let stream = || {
        let mut bytes = &b"1\n2"[..];
        desk.log.append_input(Input::Stream(&mut bytes), false, &mut |_| ControlFlow::Continue(())).unwrap()
    };

    assert_eq!((stream().lines, stream().lines), (2, 2));
    assert_eq!(desk.append("empty", "").unwrap(), InputReport { is_finished: true, ..Default::default() });
    assert_eq!(desk.append("a", "7\n").unwrap().lines, 1);
    assert_eq!(desk.raw(), (vec!["1".into(), "1".into(), "7".into()], vec!["2".into(), "2".into()]));
}

#[test]
fn an_input_that_is_not_there_is_named() {
    let desk = Desk::new();
    let path = desk.dir.path().join("nowhere.ndjson");

    let refused =
        desk.log.append_input(Input::File(&path), false, &mut |_| ControlFlow::Continue(())).unwrap_err();

    assert!(refused.to_string().contains("nowhere.ndjson"), "{refused}");
}
