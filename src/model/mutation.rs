//! Wrong behaviours, one at a time: tests switch one on and must see it caught, or the tests prove nothing.
//!
//! Only builds with the feature `mutations` have the switch; in all others [`is`] is `false` for ever, and
//! costs nothing. Each variant is asked for in one place, where the right behaviour stands.

/// Named by what is done wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mutation {
    /// A block is taken though something before it is missing.
    PrevIgnored,
    /// The last unit of a block is cut in two.
    UnitSplit,
    /// Offsets are committed before what is below them is acknowledged.
    CommitBeforeAcknowledgement,
    /// A session knows of nothing before it: its first blocks follow none, and its links state none.
    PrevForgotten,
    /// Blocks are sent before the session's links stand.
    LinksNotAwaited,
    /// Every link says "at end", also during a backlog.
    AlwaysAtEnd,
    /// Offsets go into a transaction without a look at the membership that they are sent with.
    MembershipUnchecked,
    /// Panes keep what an aborted transaction added.
    OverlayKept,
    /// A restored pane takes events again that are in it.
    PaneAtIgnored,
    /// What follows the last commit record is thrown away.
    TornTailDiscarded,
    /// The duplicate set holds only what counted.
    CountedDuplicatesOnly,
    /// The duplicate set confuses ids.
    DuplicatesByFilter,
    /// The end of the chain is gone on from, whether or not its last plan is finished.
    UnfinishedPlanPassed,
    /// Files are written without a plan.
    PlanSkipped,
    /// Whoever finds its slot taken goes on with the end that its own clock chose.
    EndByClock,
    /// A plan's last file is written only behind the next plan.
    PlansPipelined,
    /// The offset is committed before the files are there.
    CommitBeforeUpload,
    /// A committed offset is a position without proof.
    HintTrusted,
    /// A tenant's name is part of a path as it is.
    TenantUnescaped,
}

impl Mutation {
    pub const ALL: [Mutation; 19] = [
        Mutation::PrevIgnored,
        Mutation::UnitSplit,
        Mutation::CommitBeforeAcknowledgement,
        Mutation::PrevForgotten,
        Mutation::LinksNotAwaited,
        Mutation::AlwaysAtEnd,
        Mutation::MembershipUnchecked,
        Mutation::OverlayKept,
        Mutation::PaneAtIgnored,
        Mutation::TornTailDiscarded,
        Mutation::CountedDuplicatesOnly,
        Mutation::DuplicatesByFilter,
        Mutation::UnfinishedPlanPassed,
        Mutation::PlanSkipped,
        Mutation::EndByClock,
        Mutation::PlansPipelined,
        Mutation::CommitBeforeUpload,
        Mutation::HintTrusted,
        Mutation::TenantUnescaped,
    ];
}

#[cfg(feature = "mutations")]
mod switch {
    use super::Mutation;
    use std::cell::Cell;

    thread_local! {
        static ON: Cell<Option<Mutation>> = const { Cell::new(None) };
    }

    pub fn mutate(mutation: Option<Mutation>) {
        ON.set(mutation);
    }

    pub fn is(mutation: Mutation) -> bool {
        ON.get() == Some(mutation)
    }
}

#[cfg(not(feature = "mutations"))]
mod switch {
    use super::Mutation;

    #[inline(always)]
    pub const fn is(_: Mutation) -> bool {
        false
    }
}

pub use switch::*;
