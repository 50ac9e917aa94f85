//! The stages of the three roles, and the time spent in each.

use crate::support::cpu;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    RouteRead,
    RouteDecode,
    HopOne,
    RouteWrite,
    AggregateRead,
    Aggregate,
    Rows,
    AggregateWrite,
    LakeRead,
    LakeDecode,
    Files,
}

impl Stage {
    /// In the order of an event's walk; `as usize` is the place in it.
    pub(crate) const ALL: [Stage; 11] = [
        Stage::RouteRead,
        Stage::RouteDecode,
        Stage::HopOne,
        Stage::RouteWrite,
        Stage::AggregateRead,
        Stage::Aggregate,
        Stage::Rows,
        Stage::AggregateWrite,
        Stage::LakeRead,
        Stage::LakeDecode,
        Stage::Files,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Stage::RouteRead => "route      read",
            Stage::RouteDecode => "route      decode",
            Stage::HopOne => "route      hop one",
            Stage::RouteWrite => "route      write blocks",
            Stage::AggregateRead => "aggregate  read blocks",
            Stage::Aggregate => "aggregate  take",
            Stage::Rows => "aggregate  rows",
            Stage::AggregateWrite => "aggregate  write",
            Stage::LakeRead => "lake       read",
            Stage::LakeDecode => "lake       decode",
            Stage::Files => "lake       files",
        }
    }

    /// The log's write side is a figure of its own: its floor is a store's, not a processor's.
    pub(crate) fn is_write(self) -> bool {
        matches!(self, Stage::RouteWrite | Stage::AggregateWrite)
    }
}

/// CPU time of one repetition, by stage.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Times([u64; Stage::ALL.len()]);

impl Times {
    /// Runs `what` on the account of a stage.
    pub(crate) fn of<T>(&mut self, stage: Stage, what: impl FnOnce() -> T) -> T {
        cpu::add(&mut self.0[stage as usize], what)
    }

    pub(crate) fn nanos(&self, stage: Stage) -> u64 {
        self.0[stage as usize]
    }

    pub(crate) fn sum(&self, stages: impl IntoIterator<Item = Stage>) -> u64 {
        stages.into_iter().map(|stage| self.nanos(stage)).sum()
    }
}

/// What one commit wrote: how much its floor has to write, too.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Commit {
    pub(crate) block_bytes: usize,
    pub(crate) vendor_rows: u64,
    pub(crate) product_rows: u64,
    pub(crate) vendor_panes: u64,
    pub(crate) product_panes: u64,
    /// Of all records of the transaction.
    pub(crate) bytes: usize,
}

/// What the lake made.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Made {
    pub(crate) chunks: u64,
    pub(crate) files: u64,
    pub(crate) rows: u64,
    pub(crate) bytes: u64,
}
