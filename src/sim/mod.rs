//! The world in memory: a log, its groups, an object store and a clock, all from one seed, with faults.
//!
//! In: a seed, a shape, and worker futures that see nothing but `port`. Out: a history that is the same
//! for the same seed, and everything that was written, for an oracle to judge. The world promises what
//! `port` promises and not one thing more: whatever may come late, twice, out of order or not at all, does.
//! Each call is held up on its way there and on its way back, so that a crash (the future is dropped) may
//! come before or after its effect, and other workers act in between. It never looks into a record: what a
//! block, a plan or a commit record means is for the test to know.

mod consumer;
mod coordinator;
mod faults;
mod group;
mod look;
mod partition;
mod producer;
mod reader;
mod seed;
mod sender;
mod state;
mod store;
#[cfg(test)]
mod tests;
mod transactions;
mod wire;
mod world;

pub use faults::Faults;
pub use seed::Seed;
pub use store::Stored;
pub use world::{Handles, Kept, Shape, Task, World};
