//! How far one role is.
//!
//! ```text
//! Starting ─consumer made─► Joining ─assigned─► Opening ─all are read─► Reading ─► Left ─► Ended
//!                              ▲                   ▲─────── assigned ──────┘│
//!                              └────────────── another consumer ◄───────────┘
//! ```

use super::reaction;
use crate::model::{CommittedOffset, LogTime, NextOffset, Partition, RecordBatch, Role};
use crate::port::{Ends, Failure, Reaction};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

pub(super) const REACTIONS: [Reaction; 4] =
    [Reaction::Retry, Reaction::Replay, Reaction::Rejoin, Reaction::Halt];
pub(super) const CHANGES: [&str; 3] = ["assigned", "revoked", "lost"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    Starting,
    Joining,
    Joined,
    Left,
    Ended,
}

/// What a role is at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum State {
    /// Its ports are made; the lake probes its store.
    Starting,
    /// Waits for its group to say what is its own.
    Joining,
    /// Waits for these partitions to be restored, or for their positions.
    Opening(BTreeSet<Partition>),
    /// Reads all that it has, which may be nothing.
    Reading,
    /// Has left its group, in order.
    Left,
    Ended,
}

/// One role at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    pub role: Role,
    pub state: State,
    /// Since it last began or ended a call.
    pub quiet: Duration,
    /// The call that it is in.
    pub doing: Option<&'static str>,
    /// The call that failed last, and what that asks for, until a poll succeeds. Why it failed stands in the log: an
    /// error may name an object, and an object a tenant.
    pub trouble: Option<(&'static str, &'static str)>,
}

/// One partition of a role's input that the group gave us.
#[derive(Debug, Default)]
pub(super) struct Held {
    pub(super) is_started: bool,
    /// How far it was handed to the role.
    pub(super) read: NextOffset,
    pub(super) committed: Option<NextOffset>,
    /// When the log took the newest record that was read.
    pub(super) newest: Option<LogTime>,
    pub(super) ends: Option<Ends>,
    /// Offsets between the last stable one and the log's end.
    pub(super) blocked: u64,
}

#[derive(Debug)]
pub(super) struct Row {
    stage: Stage,
    beat: Instant,
    doing: Option<&'static str>,
    /// And the error's text.
    trouble: Option<(&'static str, &'static str, String)>,
    pub(super) held: BTreeMap<Partition, Held>,
    pub(super) joins: u64,
    /// By [`CHANGES`].
    pub(super) changes: [u64; 3],
    /// By [`REACTIONS`].
    pub(super) failures: [u64; 4],
    pub(super) commits: u64,
    pub(super) last_commit: Option<LogTime>,
    pub(super) records: u64,
    pub(super) bytes: u64,
}

impl Row {
    pub(super) fn new() -> Row {
        Row {
            stage: Stage::Starting,
            beat: Instant::now(),
            doing: None,
            trouble: None,
            held: BTreeMap::new(),
            joins: 0,
            changes: [0; 3],
            failures: [0; 4],
            commits: 0,
            last_commit: None,
            records: 0,
            bytes: 0,
        }
    }

    pub(super) fn begins(&mut self, doing: &'static str) {
        self.beat = Instant::now();
        self.doing = Some(doing);
    }

    /// Says whether a failure is another one than last time.
    pub(super) fn ends(&mut self, failure: Option<&Failure>) -> bool {
        self.beat = Instant::now();
        let doing = self.doing.take().unwrap_or_default();
        let Some(failure) = failure else { return false };
        let place = REACTIONS.iter().position(|known| *known == failure.reaction);
        self.failures[place.expect("all reactions stand in the list")] += 1;
        let trouble = Some((doing, reaction(failure.reaction), failure.to_string()));
        let is_new = trouble != self.trouble;
        self.trouble = trouble;
        is_new
    }

    pub(super) fn joining(&mut self) {
        self.held.clear();
        self.stage = Stage::Joining;
    }

    pub(super) fn assigned(&mut self, partitions: &[Partition]) {
        if self.stage == Stage::Joining {
            self.joins += 1;
        }
        self.stage = Stage::Joined;
        self.changes[0] += 1;
        self.held.extend(partitions.iter().map(|&partition| (partition, Held::default())));
    }

    /// Still ours until it is released.
    pub(super) fn revoked(&mut self) {
        self.changes[1] += 1;
    }

    pub(super) fn lost(&mut self, partitions: &[Partition]) {
        self.changes[2] += 1;
        self.gone(partitions);
    }

    pub(super) fn gone(&mut self, partitions: &[Partition]) {
        self.held.retain(|partition, _| !partitions.contains(partition));
    }

    /// A poll succeeded: what went wrong before is over.
    pub(super) fn polled(&mut self) {
        self.trouble = None;
    }

    pub(super) fn read(&mut self, batch: &RecordBatch) {
        self.records += batch.records.len() as u64;
        self.bytes += batch.bytes.len() as u64;
        if let Some(held) = self.held.get_mut(&batch.source.partition) {
            held.read = held.read.max(batch.next);
            held.newest = batch.records.last().map(|record| record.time).or(held.newest);
        }
    }

    /// Says whether it is the first time since the partition came.
    pub(super) fn started(&mut self, partition: Partition, at: NextOffset) -> bool {
        let Some(held) = self.held.get_mut(&partition) else { return false };
        held.read = at;
        held.committed = held.committed.or(Some(at));
        !std::mem::replace(&mut held.is_started, true)
    }

    pub(super) fn committed(&mut self, offsets: &BTreeMap<Partition, NextOffset>, now: LogTime) {
        self.commits += 1;
        self.last_commit = Some(now);
        for (partition, &next) in offsets {
            if let Some(held) = self.held.get_mut(partition) {
                held.committed = Some(next);
            }
        }
    }

    /// What the group has, asked by the role.
    pub(super) fn found(&mut self, partition: Partition, committed: Option<&CommittedOffset>) {
        if let (Some(held), Some(committed)) = (self.held.get_mut(&partition), committed) {
            held.committed = held.committed.or(Some(committed.next));
        }
    }

    pub(super) fn left(&mut self) {
        self.held.clear();
        self.stage = Stage::Left;
    }

    pub(super) fn ended(&mut self) {
        self.held.clear();
        self.stage = Stage::Ended;
    }

    pub(super) fn look(&self, role: Role) -> Look {
        let unread = self.held.iter().filter(|(_, held)| !held.is_started).map(|(&partition, _)| partition);
        let unread: BTreeSet<Partition> = unread.collect();
        let state = match self.stage {
            Stage::Starting => State::Starting,
            Stage::Joining => State::Joining,
            Stage::Joined if unread.is_empty() => State::Reading,
            Stage::Joined => State::Opening(unread),
            Stage::Left => State::Left,
            Stage::Ended => State::Ended,
        };
        let quiet = self.beat.elapsed();
        let trouble = self.trouble.as_ref().map(|(call, reaction, _)| (*call, *reaction));
        Look { role, state, quiet, doing: self.doing, trouble }
    }
}
