//! `describe TOPOLOGY [--against OLD]`: what it makes, or what a change of it asks for.

use super::args::{Describe, Output};
use super::exit::Exit;
use super::files;
use crate::topology;
use serde_json::json;
use std::io::Write;

pub(super) fn describe(arguments: &Describe, out: &mut dyn Write) -> Result<(), Exit> {
    let new = files::load(&arguments.topology)?;
    let Some(old) = &arguments.against else {
        return Ok(out.write_all(topology::describe(&new).as_bytes())?);
    };
    let changes = topology::compare(&files::load(old)?, &new);
    for change in &changes {
        match arguments.output {
            Output::Text => writeln!(out, "{change}")?,
            Output::Json => {
                writeln!(out, "{}", json!({"demand": change.demand.to_string(), "what": change.what}))?
            }
        }
    }
    if changes.is_empty() && arguments.output == Output::Text {
        writeln!(out, "nothing changed")?;
    }
    Ok(())
}
