//! Drives the three roles: each is one loop over the ports, on one thread of its own.
//!
//! In: ports, a checked topology, settings. Out: records, transactions and objects, through the ports
//! alone. Promises: whatever a loop holds in memory may be lost at any `await`; the next owner goes on
//! from what the log and the store say. Never: a clock or a file that is not behind a port.

pub mod aggregate;
mod alone;
mod control;
pub mod cutover;
mod ends;
pub mod lake;
pub mod redrive;
pub mod reroute;
pub mod route;
mod stand;

pub use alone::Refused;
pub use control::*;
pub use ends::behind_last_record;

use crate::model::RoutingVersion;
use crate::port::{Clock, Log, Objects};
use crate::topology::Topology;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// All that a role's loop gets.
#[derive(Clone)]
pub struct Context {
    pub topology: Arc<Topology>,
    pub log: Rc<dyn Log>,
    pub objects: Rc<dyn Objects>,
    pub clock: Rc<dyn Clock>,
    pub settings: Settings,
    pub control: Arc<Control>,
}

impl Context {
    pub fn version(&self) -> RoutingVersion {
        RoutingVersion(self.topology.routing_version)
    }
}

/// Where a source is read from when it has no position yet; ignored once there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    Earliest,
    Latest,
    /// The first record whose record time is at or after this (UTC microseconds).
    At(crate::model::LogTime),
}

/// Pace and budget. No decision about a row depends on any of them.
#[derive(Debug, Clone)]
pub struct Settings {
    pub start: Start,
    /// How long a poll waits.
    pub poll_wait: Duration,
    /// How much one poll may bring.
    pub poll_bytes: usize,
    /// Time between two transactions.
    pub commit_every: Duration,
    /// Bytes of blocks taken into one transaction at most.
    pub commit_bytes: usize,
    /// Time between two offset commits of route.
    pub route_commit_every: Duration,
    /// Time between two links.
    pub link_every: Duration,
    /// A block is sent when it has grown to this.
    pub block_bytes: usize,
    /// Bytes that route may have in flight.
    pub in_flight_bytes: usize,
    /// Decoded bytes that all chunks of one lake worker may hold; the largest is closed when they pass it.
    pub lake_budget: usize,
    /// Prefix of every object of this deployment; empty or ending in `/`.
    pub prefix: String,
    /// Never write "at end" (`--until-idle`), as with `clock: events`.
    pub events_clock: bool,
    /// First and longest pause after a failure that says "retry".
    pub backoff: (Duration, Duration),
}

impl Default for Settings {
    fn default() -> Self {
        Settings {
            start: Start::Earliest,
            poll_wait: Duration::from_millis(100),
            poll_bytes: 1 << 20,
            commit_every: Duration::from_secs(1),
            commit_bytes: 4 << 20,
            route_commit_every: Duration::from_millis(500),
            link_every: Duration::from_secs(10),
            block_bytes: 60 << 10,
            in_flight_bytes: 8 << 20,
            lake_budget: 48 << 20,
            prefix: String::new(),
            events_clock: false,
            backoff: (Duration::from_millis(100), Duration::from_secs(10)),
        }
    }
}
