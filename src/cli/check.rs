//! `check TOPOLOGY`: every problem at once, nothing started, nothing written.

use super::args::Check;
use super::exit::Exit;
use super::files;
use std::io::Write;

pub(super) fn check(arguments: &Check, out: &mut dyn Write) -> Result<(), Exit> {
    let topology = files::load(&arguments.topology)?;
    Ok(writeln!(
        out,
        "{}: {} aggregates, {} histories, lake table {}; routing version {:016x}, configuration {:016x}",
        topology.name,
        topology.aggregates.len(),
        topology.histories.len(),
        topology.lake.table,
        topology.routing_version,
        topology.configuration_hash,
    )?)
}
