//! What the roles do, seen from their ports: whoever runs them puts these in front of the real ones.
//!
//! ```text
//! worker ─► watch ─► kafka, objects
//!             └────► Board ─► health, metrics, log lines
//! ```
//!
//! In: the calls of one role, and what became of them. Out: the same answers, unchanged; a [`Board`] that says how far
//! each role is and when it last did something; what is rare and worth a line, through `tracing`. So a role's loop
//! needs no word about being watched. Costs a lock that nobody contends for a call, and calls are made per batch. Never:
//! a call of its own, an answer that differs, a part of a record.

mod board;
mod consumer;
mod health;
mod log;
mod objects;
mod producer;
mod row;
mod sent;
mod transactions;

pub use board::{Board, measure};
pub use consumer::now;
pub use health::{is_alive, is_ready};
pub use log::watch_log;
pub use objects::watch_objects;
pub use row::{Look, State};

use crate::model::{Role, Topic};
use crate::port::{Failure, Reaction};
use std::sync::Arc;

/// Where the calls of one role are noted.
#[derive(Clone)]
struct Seen {
    board: Arc<Board>,
    role: Role,
}

impl Seen {
    /// Notes when a call begins and ends, and whether it failed.
    async fn call<T>(
        &self,
        doing: &'static str,
        call: impl Future<Output = Result<T, Failure>>,
    ) -> Result<T, Failure> {
        self.board.row(self.role).begins(doing);
        let result = call.await;
        let is_new = self.board.row(self.role).ends(result.as_ref().err());
        if let Err(failure) = &result {
            let (role, reaction) = (name(self.role), reaction(failure.reaction));
            // The same again and again is counted, and said once.
            if is_new {
                tracing::warn!(role, call = doing, reaction, error = %failure, "call failed");
            } else {
                tracing::debug!(role, call = doing, reaction, error = %failure, "call failed again");
            }
        }
        result
    }
}

/// As metrics, logs and health say it.
pub fn name(role: Role) -> &'static str {
    match role {
        Role::Route => "route",
        Role::Aggregate => "aggregate",
        Role::Lake => "lake",
    }
}

fn reaction(reaction: Reaction) -> &'static str {
    match reaction {
        Reaction::Retry => "retry",
        Reaction::Replay => "replay",
        Reaction::Rejoin => "rejoin",
        Reaction::Halt => "halt",
    }
}

/// The topic that a role's group reads.
fn input(role: Role) -> Topic {
    match role {
        Role::Route | Role::Lake => Topic::Raw,
        Role::Aggregate => Topic::Repartition,
    }
}
