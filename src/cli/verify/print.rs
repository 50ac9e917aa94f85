//! A report for people.

use crate::cli::progress::grouped;
use crate::cli::say;
use crate::verify::{Difference, Hour, Report};
use comfy_table::{ContentArrangement, Table, presets};
use std::io::{self, Write};

/// Differences that are printed; `--output json` has as many as are kept.
const PRINTED: usize = 10;
/// Hours that are printed: those with differences, and the newest.
const HOURS_PRINTED: usize = 48;

pub(in crate::cli) fn print(report: &Report, out: &mut dyn Write) -> io::Result<()> {
    let verdict = if report.is_green() { "green" } else { "DIFFERENT" };
    match report.part {
        Some(part) => writeln!(
            out,
            "verify: {verdict}, of the tenants of part {} of {}; neither lake and log nor dead letters were compared",
            part.number + 1,
            part.of
        )?,
        None => writeln!(out, "verify: {verdict}")?,
    }
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
    hours(&report.hours, out)?;
    for Difference { what, expected, found, meaning, look_at, .. } in report.differences.iter().take(PRINTED)
    {
        writeln!(out, "  {what}\n    expected {expected}\n    found    {found}\n    {meaning}")?;
        if !look_at.is_empty() {
            writeln!(out, "    look at  {}", look_at.join(" "))?;
        }
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

fn hours(hours: &[Hour], out: &mut dyn Write) -> io::Result<()> {
    if hours.is_empty() {
        return Ok(());
    }
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["  hour", "tenant", "events", "duplicates", "late", "rows", "differences"]);
    let from = hours.len().saturating_sub(HOURS_PRINTED);
    let shown = hours.iter().enumerate().filter(|(place, hour)| *place >= from || hour.differences > 0);
    for (_, hour) in shown.take(2 * HOURS_PRINTED) {
        let name = if hour.hour.is_empty() { "rolling, ever" } else { &hour.hour };
        let counts = [hour.events, hour.duplicates, hour.late, hour.rows, hour.differences].map(grouped);
        let cells = [format!("  {name}"), hour.tenant.clone()];
        table.add_row(cells.into_iter().chain(counts));
    }
    writeln!(out, "{}", table.trim_fmt())?;
    if from > 0 {
        writeln!(out, "  {} lines in all; --output json has them", grouped(hours.len() as u64))?;
    }
    Ok(())
}
