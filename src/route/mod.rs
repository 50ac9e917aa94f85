//! Hop one, as decisions without I/O: which rows an event makes, to which target, in which block, and what may be said
//! about the log.
//!
//! In: an [`crate::model::EventBatch`] of one raw partition, and news of acknowledged records. Out: records to send
//! ([`Outgoing`]: blocks, links, gaps, dead letters), and positions that may be committed.
//!
//! ```text
//! EventBatch ─► contribution ─► lane ─► builder ─► session ─► records, by sequence
//!                   (rows)     (units)  (blocks)      └─ acknowledged ─► links, commits
//! ```
//!
//! Promises: the units, their `prev` chain and their targets are a pure function of the raw log and the routing
//! version; batch and block edges change nothing. A link or a commit states only what is acknowledged. All rows of
//! one event for one target stand in one block. Never: refuses an event (`decode` did), waits, or reads a clock.

mod builder;
mod condition;
mod contribution;
mod dead_letter;
mod history;
mod key_text;
mod lane;
mod plan;
mod position;
mod session;
#[cfg(test)]
mod testing;
mod when;

pub use position::{ForeignPosition, RoutePosition};
pub use session::{Opening, Outgoing, Pace, Sequence, Session, Tally};
