//! `dead-letters ls|show|redrive`: refused records, with place, reason and payload, and sending them again.

mod judge;
mod redrive;

use super::args::{DeadLetters, Output, Place};
use super::exit::Exit;
use super::files;
use super::progress::grouped;
use super::river::block_on;
use super::topic;
use crate::worker::redrive::{Letter, Letters, read};
use comfy_table::presets;
use comfy_table::{ContentArrangement, Table};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

/// Letters of one reason that are listed, unless all are asked for.
const LISTED: usize = 10;

pub(super) fn dead_letters(arguments: &DeadLetters, out: &mut dyn Write) -> Result<(), Exit> {
    match arguments {
        DeadLetters::Ls { topology, place, counts, all, output } => {
            let letters = load(topology, place)?;
            let groups = groups(&letters);
            match (output, counts) {
                (Output::Text, true) => count(&groups, out),
                (Output::Text, false) => table(&groups, if *all { usize::MAX } else { LISTED }, out),
                (Output::Json, true) => groups.iter().try_for_each(|group| line(&group.json(), out)),
                (Output::Json, false) => {
                    let redriven = |letter: &Letter| letters.redriven.contains(&letter.coordinate);
                    letters.all.iter().try_for_each(|letter| line(&json(letter, redriven(letter)), out))
                }
            }
        }
        DeadLetters::Show { topology, coordinate, place } => {
            let letters = load(topology, place)?;
            match letters.all.iter().find(|letter| letter.coordinate == *coordinate) {
                Some(letter) => Ok(show(letter, letters.redriven.contains(coordinate), out)?),
                None => Err(Exit::failed(format_args!("there is no dead letter `{coordinate}`"))),
            }
        }
        DeadLetters::Redrive(arguments) => redrive::redrive(arguments, out),
    }
}

fn load(topology: &Path, place: &Place) -> Result<Letters, Exit> {
    let topology = files::load(topology)?;
    let mut reader = place.open_to_read(&topology)?.reader;
    block_on(read(&mut *reader)).map_err(topic::failed)
}

fn line(value: &Value, out: &mut dyn Write) -> Result<(), Exit> {
    Ok(writeln!(out, "{value}")?)
}

/// Letters of one reason, in the order of the log.
struct Group<'a> {
    reason: String,
    /// And whether it was sent again.
    letters: Vec<(&'a Letter, bool)>,
}

/// By reason.
fn groups(letters: &Letters) -> Vec<Group<'_>> {
    let mut by_reason: BTreeMap<String, Vec<(&Letter, bool)>> = BTreeMap::new();
    for letter in &letters.all {
        let is_redriven = letters.redriven.contains(&letter.coordinate);
        by_reason.entry(letter.header("thalweg.reason")).or_default().push((letter, is_redriven));
    }
    by_reason.into_iter().map(|(reason, letters)| Group { reason, letters }).collect()
}

impl Group<'_> {
    fn redriven(&self) -> usize {
        self.letters.iter().filter(|(_, is_redriven)| *is_redriven).count()
    }

    /// When the first and the last of them were taken by the log. Text of one form sorts as its times do.
    fn span(&self) -> (String, String) {
        let times = || self.letters.iter().map(|(letter, _)| letter.header("thalweg.record_time"));
        (times().min().unwrap_or_default(), times().max().unwrap_or_default())
    }

    fn json(&self) -> Value {
        let (first, last) = self.span();
        json!({
            "reason": self.reason,
            "letters": self.letters.len(),
            "redriven": self.redriven(),
            "first": first,
            "last": last,
        })
    }
}

fn plain() -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table
}

fn count(groups: &[Group<'_>], out: &mut dyn Write) -> Result<(), Exit> {
    let mut table = plain();
    table.set_header(["reason", "letters", "redriven", "first", "last"]);
    for group in groups {
        let (first, last) = group.span();
        let counts = [group.letters.len(), group.redriven()].map(|count| grouped(count as u64));
        let [letters, redriven] = counts;
        table.add_row([group.reason.clone(), letters, redriven, first, last]);
    }
    Ok(writeln!(out, "{}", table.trim_fmt())?)
}

/// Each reason with its letters, the newest last.
fn table(groups: &[Group<'_>], most: usize, out: &mut dyn Write) -> Result<(), Exit> {
    for group in groups {
        let (count, redriven) = (group.letters.len(), group.redriven());
        let again =
            if redriven > 0 { format!(", {} redriven", grouped(redriven as u64)) } else { String::new() };
        writeln!(out, "{}: {}{again}", group.reason, grouped(count as u64))?;
        let mut table = plain();
        table.set_header(["  coordinate", "record time", "bytes", "detail", ""]);
        for (letter, is_redriven) in &group.letters[count.saturating_sub(most)..] {
            table.add_row([
                format!("  {}", letter.coordinate),
                letter.header("thalweg.record_time"),
                letter.length().to_string(),
                letter.header("thalweg.detail"),
                story(letter, *is_redriven),
            ]);
        }
        writeln!(out, "{}", table.trim_fmt())?;
        if count > most {
            writeln!(out, "  and {} before these; --all lists them", grouped((count - most) as u64))?;
        }
    }
    Ok(())
}

/// What else happened to it.
fn story(letter: &Letter, is_redriven: bool) -> String {
    let origin = letter.origin().map(|origin| format!("refused again, first as {origin}"));
    let redriven = is_redriven.then(|| "redriven".to_owned());
    [origin, redriven].into_iter().flatten().collect::<Vec<_>>().join("; ")
}

fn json(letter: &Letter, is_redriven: bool) -> Value {
    json!({
        "coordinate": letter.coordinate,
        "record_time": letter.header("thalweg.record_time"),
        "reason": letter.header("thalweg.reason"),
        "detail": letter.header("thalweg.detail"),
        "bytes": letter.length(),
        "redriven": is_redriven,
        "origin": letter.origin(),
    })
}

/// Headers, an empty line, and the payload as it was.
fn show(letter: &Letter, is_redriven: bool, out: &mut dyn Write) -> io::Result<()> {
    let headers: Map<String, Value> = letter
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into()))
        .collect();
    let (coordinate, origin) = (&letter.coordinate, letter.origin());
    writeln!(
        out,
        "{}\n",
        json!({"coordinate": coordinate, "redriven": is_redriven, "origin": origin, "headers": headers})
    )?;
    out.write_all(&letter.payload)?;
    writeln!(out)
}
