//! `describe TOPOLOGY [--against OLD]`

use super::args::Describe;
use super::exit::Exit;
use super::files;
use std::io::Write;

pub(super) fn describe(arguments: &Describe, _out: &mut dyn Write) -> Result<(), Exit> {
    let _ = files::load(&arguments.topology)?;
    Err(Exit::usage("describe: not there yet"))
}
