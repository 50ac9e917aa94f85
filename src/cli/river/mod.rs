//! Joins the embedded log, the local store and the worker: every role on a thread of its own.

mod block_on;
mod clock;
mod signals;

pub(super) use block_on::block_on;
