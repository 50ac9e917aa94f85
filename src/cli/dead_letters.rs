//! `dead-letters ls|show`: refused records, with place, reason and payload.

use super::args::{DeadLetters, Output, Place};
use super::exit::Exit;
use super::files;
use super::topic::Tail;
use crate::model::{RecordBatch, RecordSlice, Topic};
use comfy_table::presets;
use comfy_table::{ContentArrangement, Table};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

/// One refused record, as its dead letter tells it.
struct Letter {
    coordinate: String,
    payload: Vec<u8>,
    headers: Vec<(String, Vec<u8>)>,
}

pub(super) fn dead_letters(arguments: &DeadLetters, out: &mut dyn Write) -> Result<(), Exit> {
    match arguments {
        DeadLetters::Ls { topology, place, output } => {
            let letters = read(topology, place)?;
            match output {
                Output::Text => table(&letters, out),
                Output::Json => letters.iter().try_for_each(|letter| Ok(writeln!(out, "{}", letter.line())?)),
            }
        }
        DeadLetters::Show { topology, coordinate, place } => {
            let letters = read(topology, place)?;
            match letters.iter().find(|letter| letter.coordinate == *coordinate) {
                Some(letter) => Ok(letter.show(out)?),
                None => Err(Exit::failed(format_args!("there is no dead letter `{coordinate}`"))),
            }
        }
        DeadLetters::Redrive { .. } => Err(Exit::usage("redrive is not there yet")),
    }
}

/// By coordinate: the topic is compacted, and a record may have been refused by several sessions.
fn read(topology: &Path, place: &Place) -> Result<Vec<Letter>, Exit> {
    let topology = files::load(topology)?;
    let mut reader = place.open_to_read(&topology)?.reader;
    let mut tail = Tail::open(&mut *reader, Topic::DeadLetters)?;
    let mut letters = BTreeMap::new();
    tail.advance(&mut *reader, |batch, record| {
        if let Some(letter) = Letter::of(batch, record) {
            letters.insert(number(&letter.coordinate), letter);
        }
        Ok(())
    })?;
    Ok(letters.into_values().collect())
}

/// `<incarnation>-p<partition>-o<offset>`, in the order of the numbers.
fn number(coordinate: &str) -> (String, u64, u64) {
    let mut parts = coordinate.splitn(3, '-');
    let incarnation = parts.next().unwrap_or_default().to_owned();
    let mut number = || parts.next().and_then(|part| part.get(1..)?.parse().ok()).unwrap_or(u64::MAX);
    let partition = number();
    (incarnation, partition, number())
}

fn table(letters: &[Letter], out: &mut dyn Write) -> Result<(), Exit> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["coordinate", "record time", "reason", "bytes", "detail"]);
    for letter in letters {
        table.add_row([
            letter.coordinate.clone(),
            letter.header("thalweg.record_time"),
            letter.header("thalweg.reason"),
            letter.length().to_string(),
            letter.header("thalweg.detail"),
        ]);
    }
    Ok(writeln!(out, "{}", table.trim_fmt())?)
}

impl Letter {
    fn of(batch: &RecordBatch, record: &RecordSlice) -> Option<Letter> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let headers = record.headers.iter().map(|(name, value)| {
            (text(name.of(&batch.bytes)), value.get(&batch.bytes).unwrap_or_default().to_vec())
        });
        Some(Letter {
            coordinate: text(batch.key(record)?),
            // A letter that was taken back has no value.
            payload: batch.value(record)?.to_vec(),
            headers: headers.collect(),
        })
    }

    /// Headers are written behind the record's own, which may have the same names.
    fn header(&self, wanted: &str) -> String {
        let found = self.headers.iter().rev().find(|(name, _)| name == wanted);
        found.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
    }

    /// Of the record as it was; its letter may hold less.
    fn length(&self) -> u64 {
        self.header("thalweg.length").parse().unwrap_or(self.payload.len() as u64)
    }

    fn line(&self) -> Value {
        json!({
            "coordinate": self.coordinate,
            "record_time": self.header("thalweg.record_time"),
            "reason": self.header("thalweg.reason"),
            "detail": self.header("thalweg.detail"),
            "bytes": self.length(),
        })
    }

    /// Headers, an empty line, and the payload as it was.
    fn show(&self, out: &mut dyn Write) -> io::Result<()> {
        let headers: Map<String, Value> = self
            .headers
            .iter()
            .map(|(name, value)| (name.clone(), String::from_utf8_lossy(value).into()))
            .collect();
        writeln!(out, "{}\n", json!({"coordinate": self.coordinate, "headers": headers}))?;
        out.write_all(&self.payload)?;
        writeln!(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn letters_stand_in_the_order_of_the_log() {
        let mut coordinates = ["ab-p1-o9", "ab-p0-o10", "ab-p0-o9", "aa-p7-o1"];
        coordinates.sort_by_key(|coordinate| number(coordinate));

        assert_eq!(coordinates, ["aa-p7-o1", "ab-p0-o9", "ab-p0-o10", "ab-p1-o9"]);
    }
}
