//! Places at which a crash is worth a test: a process may be ended or stopped exactly there.
//!
//! Only builds with debug assertions have the hook (`arm`), which are those that tests run; in a release [`reached`] is
//! nothing, and nobody can set it. Each place is named where it stands, in one line that says
//! between which two acts a crash would fall.

/// Named by what has just happened, or is about to; `docs/faults.md` says which fault each belongs to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failpoint {
    /// A block or a link was handed to the client; nobody knows whether it arrived.
    RouteSent,
    RouteCommitting,
    RouteCommitted,

    AggregateBeginning,
    /// The records of one target lie in the open transaction.
    AggregateProduced,
    AggregateOffsetsSent,
    /// The end of the transaction was written to the socket; its answer has not come.
    AggregateEndSent,
    /// Committed, and not folded.
    AggregateCommitted,
    AggregateAborting,
    AggregateAborted,
    /// A producer is there, and with it a new epoch.
    AggregateProducerMade,
    AggregateRestoring,
    /// A part of the state was read.
    AggregateHalfRestored,
    AggregateRestored,
    /// All is committed; the group still waits for our answer.
    AggregateRevoked,

    LakeBuffered,
    LakePlanning,
    LakePlanned,
    /// A plan stands, and its first file is about to be created.
    LakeWriting,
    LakeFirstFile,
    /// All files of a plan are there but one.
    LakeLastFile,
    LakeCommitting,
    LakeCommitted,
}

impl Failpoint {
    pub const ALL: [Failpoint; 23] = [
        Failpoint::RouteSent,
        Failpoint::RouteCommitting,
        Failpoint::RouteCommitted,
        Failpoint::AggregateBeginning,
        Failpoint::AggregateProduced,
        Failpoint::AggregateOffsetsSent,
        Failpoint::AggregateEndSent,
        Failpoint::AggregateCommitted,
        Failpoint::AggregateAborting,
        Failpoint::AggregateAborted,
        Failpoint::AggregateProducerMade,
        Failpoint::AggregateRestoring,
        Failpoint::AggregateHalfRestored,
        Failpoint::AggregateRestored,
        Failpoint::AggregateRevoked,
        Failpoint::LakeBuffered,
        Failpoint::LakePlanning,
        Failpoint::LakePlanned,
        Failpoint::LakeWriting,
        Failpoint::LakeFirstFile,
        Failpoint::LakeLastFile,
        Failpoint::LakeCommitting,
        Failpoint::LakeCommitted,
    ];

    pub fn named(name: &str) -> Option<Failpoint> {
        Self::ALL.into_iter().find(|point| format!("{point:?}") == name)
    }
}

#[cfg(debug_assertions)]
mod hook {
    use super::Failpoint;
    use std::sync::OnceLock;

    type Hook = Box<dyn Fn(Failpoint) + Send + Sync>;

    static HOOK: OnceLock<Hook> = OnceLock::new();

    /// For the rest of the process; only the first counts.
    pub fn arm(hook: impl Fn(Failpoint) + Send + Sync + 'static) {
        let _ = HOOK.set(Box::new(hook));
    }

    /// May not return.
    pub fn reached(at: Failpoint) {
        if let Some(hook) = HOOK.get() {
            hook(at);
        }
    }
}

#[cfg(not(debug_assertions))]
mod hook {
    use super::Failpoint;

    #[inline(always)]
    pub const fn reached(_: Failpoint) {}
}

pub use hook::*;
