//! The proof: the metrics at a commit are what an independent fold over the lake says, and the lake is the log.
//!
//! In: the topics of a deployment and its object store, as any reader sees them. Out: a [`Report`].
//! Books are kept in contributions. Shares no code with what it checks: rows of the lake are read one
//! by one into plain values, conditions and windows are evaluated the naive way.
//! Never: a write, a guess; what cannot be proved is listed.

mod contribution;
mod cover;
mod event;
mod expected;
mod facts;
mod fold;
mod force;
mod histories;
mod look;
mod others;
mod report;
mod rows;
mod run;
mod scope;
mod value;
mod window;

pub use cover::Proved;
pub use report::{Difference, Hour, Kind, Report};
pub use run::{NotVerified, verify, verify_part};
pub use scope::{Part, Scope};
