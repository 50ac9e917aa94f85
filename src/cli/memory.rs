//! A few events through the pure cores, without a log: decode → route → aggregate.

use super::cases::{Event, Left};
use super::exit::Exit;
use crate::topology::Topology;

pub(super) fn run(_: &Topology, _: &[Event]) -> Result<Left, Exit> {
    Err(Exit::failed("the cores are not joined yet"))
}
