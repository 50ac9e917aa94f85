//! `explain TOPOLOGY < event`: what one event would do, or why it is refused.

mod fields;
mod rows;

use super::args::{Explain, Output};
use super::exit::Exit;
use super::files;
use super::memory::{Cores, Routed};
use super::row::Row;
use super::when;
use crate::lake::{Chunk, Layout};
use crate::model::{LogTime, NextOffset};
use crate::topology::Topology;
use serde_json::{Value, json};
use std::io::{self, Read, Write};
use std::rc::Rc;

/// More than any event may have, so that one that is too large is refused by its name.
const READ_BYTES: u64 = 64 << 20;

pub(super) fn explain(arguments: &Explain, out: &mut dyn Write) -> Result<(), Exit> {
    let topology = files::load(&arguments.topology)?;
    let at = when::instant(&arguments.at)?;
    let mut event = Vec::new();
    let read = io::stdin().lock().take(READ_BYTES).read_to_end(&mut event);
    read.map_err(|error| Exit::failed(format_args!("cannot read standard input: {error}")))?;
    // As a line of input: its newline is none of it.
    let event = event.strip_suffix(b"\n").unwrap_or(&event);

    let explanation = Explanation::of(topology, at, event)?;
    match arguments.output {
        Output::Text => Ok(explanation.print(out)?),
        Output::Json => Ok(writeln!(out, "{}", explanation.json())?),
    }
}

/// Everything that the event alone would leave.
struct Explanation {
    /// Reason and detail.
    refused: Option<(String, String)>,
    /// Identity and fields, by name.
    fields: Row,
    contributions: Vec<Row>,
    histories: Vec<Row>,
    rows: Vec<Row>,
    set_aside: Vec<Row>,
    /// Folder of its row in the lake.
    folder: String,
}

impl Explanation {
    fn of(topology: Topology, at: LogTime, event: &[u8]) -> Result<Self, Exit> {
        let mut cores = Cores::new(topology.clone())?;
        let routed = cores.take(Some(at), event)?;
        let batch = &routed.batch;
        let refused = batch.refused.first();
        let (contributions, histories) = rows::of(&topology, &routed)?;
        Ok(Explanation {
            refused: refused.map(|refused| (refused.reason.as_str().to_owned(), refused.detail.clone())),
            fields: if batch.is_empty() { Row::new() } else { fields::of(&topology, batch) },
            contributions,
            histories: without(histories, "coordinate"),
            rows: without(cores.rows()?, "as_of"),
            set_aside: cores.set_aside()?,
            folder: folder(&topology, &routed),
        })
    }

    fn json(&self) -> Value {
        let refused =
            self.refused.as_ref().map(|(reason, detail)| json!({"reason": reason, "detail": detail}));
        json!({
            "refused": refused,
            "fields": self.fields,
            "contributions": self.contributions,
            "histories": self.histories,
            "set_aside": self.set_aside,
            "rows": self.rows,
            "lake": self.folder,
        })
    }

    fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        if let Some((reason, detail)) = &self.refused {
            writeln!(out, "refused: {reason}{}{detail}", if detail.is_empty() { "" } else { ", " })?;
        }
        section(out, "fields", self.fields.iter().map(|(name, value)| format!("{name}: {value}")))?;
        let lines = |rows: &[Row]| rows.iter().map(|row| json!(row).to_string()).collect::<Vec<_>>();
        section(out, "contributions", lines(&self.contributions))?;
        section(out, "histories", lines(&self.histories))?;
        section(out, "set aside", lines(&self.set_aside))?;
        section(out, "rows that it alone would make", lines(&self.rows))?;
        section(out, "lake", [self.folder.clone()])
    }
}

/// There is no log here that it could be a place in.
fn without(mut rows: Vec<Row>, member: &str) -> Vec<Row> {
    rows.iter_mut().for_each(|row| drop(row.shift_remove(member)));
    rows
}

fn section(out: &mut dyn Write, title: &str, lines: impl IntoIterator<Item = String>) -> io::Result<()> {
    let mut lines = lines.into_iter().peekable();
    if lines.peek().is_some() {
        writeln!(out, "{title}")?;
    }
    lines.try_for_each(|line| writeln!(out, "  {line}"))
}

/// Where the lake files it: the folder, because the file's name depends on what comes with it.
fn folder(topology: &Topology, routed: &Routed) -> String {
    let mut chunk = Chunk::new(routed.batch.source, NextOffset(0), Rc::new(Layout::new(topology, "")));
    // One record never fills a chunk.
    let _ = chunk.push(&routed.batch);
    let file = chunk.plan(0).files.into_iter().next();
    file.map(|file| file.key.rsplit_once('/').map_or(String::new(), |(folder, _)| format!("{folder}/")))
        .unwrap_or_default()
}
