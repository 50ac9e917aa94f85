//! What was asked of the store, and how it went: plain numbers for whoever makes metrics of them.

use super::answer::Kind;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts since the store was opened, by what was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct StoreCounts {
    pub create: CallCounts,
    pub read: CallCounts,
    pub tail: CallCounts,
    pub list: CallCounts,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct CallCounts {
    pub calls: u64,
    /// How often a call was tried, all pages of a list one by one. Many more than `calls`: the store is in trouble.
    pub attempts: u64,
    /// Attempts that the store said no to: the key was there, no right, too many requests.
    pub refused: u64,
    /// Attempts whose outcome nobody can tell.
    pub unknown: u64,
    /// Calls that ended in a failure.
    pub errors: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counts {
    pub(super) create: Calls,
    pub(super) read: Calls,
    pub(super) tail: Calls,
    pub(super) list: Calls,
}

impl Counts {
    pub(super) fn snapshot(&self) -> StoreCounts {
        StoreCounts {
            create: self.create.snapshot(),
            read: self.read.snapshot(),
            tail: self.tail.snapshot(),
            list: self.list.snapshot(),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Calls {
    calls: AtomicU64,
    attempts: AtomicU64,
    refused: AtomicU64,
    unknown: AtomicU64,
    errors: AtomicU64,
}

impl Calls {
    pub(super) fn call(&self) {
        self.calls.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn attempt(&self) {
        self.attempts.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn trouble(&self, kind: Kind) {
        match kind {
            Kind::Exists | Kind::Conflict | Kind::Busy | Kind::Lasting => &self.refused,
            Kind::Doubtful => &self.unknown,
            // The first two are answers, and the last never came as far as the store.
            Kind::Missing | Kind::NoRange | Kind::Unsent => return,
        }
        .fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn error(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }

    fn snapshot(&self) -> CallCounts {
        let [calls, attempts, refused, unknown, errors] =
            [&self.calls, &self.attempts, &self.refused, &self.unknown, &self.errors]
                .map(|count| count.load(Ordering::Relaxed));
        CallCounts { calls, attempts, refused, unknown, errors }
    }
}
