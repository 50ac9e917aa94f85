//! `completions SHELL`

use super::args::{Arguments, Completions};
use super::exit::Exit;
use clap::CommandFactory;
use std::io::Write;

pub(super) fn completions(arguments: &Completions, out: &mut dyn Write) -> Result<(), Exit> {
    // The generator panics when a write fails, so it writes to memory.
    let mut script = Vec::new();
    clap_complete::generate(arguments.shell, &mut Arguments::command(), "thalweg", &mut script);
    Ok(out.write_all(&script)?)
}
