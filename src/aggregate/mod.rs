//! Blocks become panes, panes become metrics rows: one target partition of hop one at a time.
//!
//! In: records of one repartition partition, in the order of the log. Out: what one transaction writes
//! (pane records, set-aside records, rows, histories, the commit record and the position), and the
//! state that the next owner needs to decide alike.
//!
//! Promised: every decision (taken, duplicate, late, capped, expired) is a function of the log up to
//! the record it is about, so any replay with other batches and commits decides alike. A change goes to the
//! overlay; [`Target::fold`] makes it the base after a commit, [`Target::drop_overlay`] forgets it
//! after an abort. Never: a clock, I/O, or a count that depends on where a batch was cut.
//!
//! ```text
//! record ─► sources (taken?) ─► duplicates ─► time (late?) ─► panes in the overlay ─► commit ─► rows
//! ```

mod calendar;
mod commit;
mod commit_record;
mod cross;
mod distinct;
mod duplicates;
mod entities;
mod era;
mod pane;
mod places;
mod restore;
mod rows;
mod scan;
mod series;
mod sources;
mod target;
#[cfg(test)]
mod tests;
mod transaction;

pub use commit_record::{COMMIT_KEY, CommitRecord, SourceRecord};
pub use era::{Era, Since};
pub use restore::{NotRestored, Position, Rebuilding, Restoring};
pub use scan::Scan;
pub use series::late_windows;
pub use sources::{Halt, SourceState, Sources, Verdict};
pub use target::{Counted, Limits, Recreated, Target};
pub use transaction::Transaction;
