//! Which rights the roles need on the brokers, and which of them we have.
//!
//! In: a deployment's names and roles. Out: each need with what brokers say of it, and the command that grants it.
//! Never: a change, but for a transactional id of its own that no worker has.

mod ask;
mod needs;

pub use ask::ask;
pub use needs::{Answer, Need, Operation, Resource, Verdict, command, judge, needs, redrive_needs, topics};
