//! One partition of this worker: how far it has come, and when it may try again.

use super::elapsed;
use super::rebuild::Rebuild;
use crate::lake::position::Walk;
use crate::lake::seal::Seal;
use crate::lake::{Chain, Chunk, Taken};
use crate::model::{EventBatch, LogTime, NextOffset};
use crate::port::Created;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

/// How often a log that ends before its own plan is asked again before it counts as truncated: a new leader
/// may need a moment to know how far its log is committed.
const SHORT_MAX: u32 = 10;

#[derive(Default)]
pub(super) struct Held {
    pub(super) stage: Stage,
    pub(super) pace: Pace,
    pub(super) is_paused: bool,
    /// Records came that nobody could take: reading starts again from the next chunk's start.
    pub(super) has_missed: bool,
}

#[derive(Default)]
pub(super) enum Stage {
    /// Nothing is known yet.
    #[default]
    Fresh,
    Walking(Walking),
    /// The chain ends here, and all of it is finished.
    Placing {
        chain: Chain,
        at: NextOffset,
        n: u64,
    },
    Buffering(Buffering),
    Sealing(Box<Sealing>),
    /// A person has to act.
    Halted,
    /// A step is at work on it.
    Moving,
}

pub(super) struct Walking {
    pub(super) chain: Chain,
    pub(super) walk: Walk,
    /// Slot of the plan that this worker has just finished.
    pub(super) finished: Option<NextOffset>,
    /// How far the search for the first start has come.
    pub(super) searched: Option<NextOffset>,
}

pub(super) struct Buffering {
    pub(super) chain: Chain,
    /// Index of the plan that it will be.
    pub(super) n: u64,
    pub(super) chunk: Chunk,
    /// When its first record came.
    opened: Option<LogTime>,
}

pub(super) struct Sealing {
    pub(super) chain: Chain,
    pub(super) seal: Seal,
    /// What the proposal was made of.
    pub(super) chunk: Option<Chunk>,
    /// What of a batch is behind the chunk's end.
    pub(super) rest: Option<Rc<EventBatch>>,
    /// The chunk of somebody's plan, made again.
    pub(super) rebuild: Option<Rebuild>,
    /// What became of files that were created beside the one that was asked for.
    pub(super) written: BTreeMap<usize, Created>,
}

impl Held {
    /// Drops all but the right to the partition: the chain says where to go on.
    pub(super) fn start_over(&mut self, now: LogTime, backoff: (Duration, Duration)) {
        if !matches!(self.stage, Stage::Halted) {
            self.stage = Stage::Fresh;
            self.pace.fail(now, backoff);
        }
    }

    /// Proposes the plan of what is buffered, if there is anything.
    pub(super) fn close(&mut self, rest: Option<Rc<EventBatch>>) {
        self.stage = match std::mem::replace(&mut self.stage, Stage::Moving) {
            Stage::Buffering(Buffering { chain, n, chunk, .. }) if chunk.count() > 0 => {
                let seal = Seal::propose(chunk.plan(n));
                Stage::Sealing(Box::new(Sealing {
                    chain,
                    seal,
                    chunk: Some(chunk),
                    rest,
                    rebuild: None,
                    written: BTreeMap::new(),
                }))
            }
            stage => stage,
        };
    }
}

impl Stage {
    pub(super) fn sealing(chain: Chain, seal: Seal) -> Stage {
        Stage::Sealing(Box::new(Sealing {
            chain,
            seal,
            chunk: None,
            rest: None,
            rebuild: None,
            written: BTreeMap::new(),
        }))
    }

    /// Is there a step to take?
    pub(super) fn has_work(&self) -> bool {
        matches!(self, Stage::Fresh | Stage::Walking(_) | Stage::Placing { .. } | Stage::Sealing(_))
    }

    /// Is it on the way to a seal of what this worker buffered, or should be?
    pub(super) fn seals_own(&self) -> bool {
        matches!(self, Stage::Sealing(sealing) if sealing.chunk.is_some())
    }

    /// Nothing below the goal is left to do. A halt is reported elsewhere.
    pub(super) fn is_sealed_to(&self, goal: NextOffset) -> bool {
        match self {
            Stage::Buffering(buffering) => {
                buffering.chunk.start() >= goal || (buffering.chunk.count() == 0 && buffering.next() >= goal)
            }
            Stage::Halted => true,
            Stage::Fresh | Stage::Walking(_) | Stage::Placing { .. } | Stage::Sealing(_) | Stage::Moving => {
                false
            }
        }
    }

    pub(super) fn buffered_bytes(&self) -> usize {
        if let Stage::Buffering(buffering) = self { buffering.chunk.bytes() } else { 0 }
    }

    pub(super) fn bytes(&self) -> usize {
        match self {
            Stage::Buffering(buffering) => buffering.chunk.bytes(),
            Stage::Sealing(sealing) => {
                let rebuilt = sealing.rebuild.as_ref().map_or(0, Rebuild::bytes);
                sealing.chunk.as_ref().map_or(0, Chunk::bytes) + rebuilt
            }
            _ => 0,
        }
    }
}

impl Buffering {
    pub(super) fn new(chain: Chain, n: u64, chunk: Chunk) -> Buffering {
        Buffering { chain, n, chunk, opened: None }
    }

    pub(super) fn take(&mut self, events: &Rc<EventBatch>, now: LogTime) -> Taken {
        let taken = self.chunk.push(events);
        if self.chunk.count() > 0 {
            self.opened.get_or_insert(now);
        }
        taken
    }

    pub(super) fn next(&self) -> NextOffset {
        self.chunk.next()
    }

    /// Since the first record.
    pub(super) fn age(&mut self, now: LogTime) -> Duration {
        // A clock that stepped back must not keep the chunk open for longer than its age.
        self.opened = self.opened.map(|opened| opened.min(now));
        self.opened.map_or(Duration::ZERO, |opened| elapsed(opened, now))
    }
}

/// When a partition may try again.
#[derive(Debug, Default)]
pub(super) struct Pace {
    failures: u32,
    shorts: u32,
    since: Option<LogTime>,
    pause: Duration,
}

impl Pace {
    pub(super) fn is_due(&self, now: LogTime) -> bool {
        // A clock that stepped back has waited long enough.
        self.since.is_none_or(|since| now < since || elapsed(since, now) >= self.pause)
    }

    pub(super) fn fail(&mut self, now: LogTime, (first, longest): (Duration, Duration)) {
        self.pause = first.saturating_mul(1 << self.failures.min(16)).min(longest);
        self.failures += 1;
        self.since = Some(now);
    }

    /// Something was achieved.
    pub(super) fn succeed(&mut self) {
        *self = Pace::default();
    }

    /// The log ended too early once more.
    pub(super) fn is_short_too_long(&mut self, now: LogTime, backoff: (Duration, Duration)) -> bool {
        self.fail(now, backoff);
        self.shorts += 1;
        self.shorts > SHORT_MAX
    }
}
