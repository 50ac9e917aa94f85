//! `verify TOPOLOGY`: the verdict, and exit 4 on any difference.

use super::args::{Output, Verify};
use super::exit::Exit;
use super::files;
use super::place::Reading;
use super::progress::grouped;
use super::river::block_on;
use super::say;
use super::when;
use crate::port::{Objects, Reaction, Reader};
use crate::topology::Topology;
use crate::verify::{self, NotVerified, Report};
use std::io::{self, IsTerminal, Write};
use std::thread;
use std::time::{Duration, Instant};

const ASK_AGAIN: Duration = Duration::from_millis(500);
const SAY_EVERY: Duration = Duration::from_millis(100);
/// Differences that are printed; `--output json` has as many as are kept.
const PRINTED: usize = 10;

pub(super) fn verify(arguments: &Verify, out: &mut dyn Write) -> Result<(), Exit> {
    let topology = files::load(&arguments.topology)?;
    let patience = arguments.wait.as_deref().map_or(Ok(Duration::ZERO), when::duration)?;
    let until = Instant::now() + patience;
    let report = loop {
        let Reading { mut reader, objects } = arguments.place.open_to_read(&topology)?;
        match prove(&topology, &mut *reader, &*objects) {
            Ok(report) => break report,
            Err(
                NotVerified::NotCovered { .. }
                | NotVerified::Overtaken(_)
                | NotVerified::OtherConfiguration { .. },
            ) if Instant::now() < until => {
                drop((reader, objects));
                thread::sleep(ASK_AGAIN);
            }
            Err(reason) => return Err(not_verified(reason)),
        }
    };
    match arguments.output {
        Output::Text => print(&report, out)?,
        Output::Json => writeln!(out, "{}", serde_json::to_string(&report).expect("a report is JSON"))?,
    }
    verdict(&report)
}

/// Compares everything. On a terminal it says how far it is.
pub(super) fn prove(
    topology: &Topology,
    reader: &mut dyn Reader,
    objects: &dyn Objects,
) -> Result<Report, NotVerified> {
    let is_watched = io::stderr().is_terminal();
    let mut said = Instant::now();
    let progress = |done: u64, of: u64| {
        if is_watched && (done == of || said.elapsed() >= SAY_EVERY) {
            said = Instant::now();
            let mut stderr = io::stderr().lock();
            let _ = write!(
                stderr,
                "\r\x1b[2Kverify: file {done} of {of}{}",
                if done == of { "\r\x1b[2K" } else { "" }
            );
        }
    };
    block_on(verify::verify(topology, reader, objects, "", progress))
}

pub(super) fn not_verified(reason: NotVerified) -> Exit {
    match &reason {
        NotVerified::NotCovered { .. }
        | NotVerified::Overtaken(_)
        | NotVerified::OtherConfiguration { .. } => Exit::away(reason),
        NotVerified::World(failure) if failure.reaction == Reaction::Retry => Exit::away(reason),
        NotVerified::World(_) | NotVerified::Unreadable(_) | NotVerified::BadFile(_) => Exit::failed(reason),
    }
}

/// Exit 4 on any difference.
pub(super) fn verdict(report: &Report) -> Result<(), Exit> {
    match report.difference_count {
        0 => Ok(()),
        count => Err(Exit::drift(format_args!("{} differences", grouped(count)))),
    }
}

pub(super) fn print(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let verdict = if report.is_green() { "green" } else { "DIFFERENT" };
    writeln!(out, "verify: {verdict}")?;
    let books = [
        ("raw records", report.raw_records),
        ("events in the lake", report.events),
        ("refused", report.refused),
        ("of these redriven", report.redriven),
        ("contributions folded", report.contributions),
        ("metrics rows that are right", report.rows),
        ("history rows that are right", report.history_rows),
        ("set aside as duplicate", report.duplicates),
        ("set aside as late", report.late),
        ("set aside as future", report.future),
        ("lake files", report.files),
    ];
    for (what, count) in books {
        writeln!(out, "  {:>14}  {what}", grouped(count))?;
    }
    for gap in &report.gaps {
        writeln!(out, "  gap: {gap}")?;
    }
    for unknown in &report.not_provable {
        writeln!(out, "  not provable: {unknown}")?;
    }
    for difference in report.differences.iter().take(PRINTED) {
        let verify::Difference { what, expected, found } = difference;
        writeln!(out, "  {what}\n    expected {expected}\n    found    {found}")?;
    }
    if report.difference_count > PRINTED as u64 {
        say(format_args!(
            "{} more; --output json has {}",
            report.difference_count - PRINTED as u64,
            report.differences.len()
        ));
    }
    Ok(())
}
