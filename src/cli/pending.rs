//! Stands in for rooms that are not here yet.

use crate::topology::Topology;

pub(super) struct Problem {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) message: String,
}

pub(super) fn check(_: &str) -> Result<Topology, Vec<Problem>> {
    Err(vec![Problem { line: 1, column: 1, message: "topologies cannot be read yet".into() }])
}
