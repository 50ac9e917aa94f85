//! A small HTTP server for health and metrics, on a thread of its own.
//!
//! In: an address, and [`Pages`] that somebody else fills. Out: `GET` of one of them is answered, everything else with
//! 404 or 405. Promises: an address that cannot be had is said before anything else starts; what one connection may
//! send, how long it may last and how many there are is bounded, so whoever can reach the port can take nothing from
//! the roles but a little CPU time. Never: TLS, a body that is read, a path that becomes a file.

mod serve;

pub use serve::start;

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// What can be asked for. Called on the server's thread: it must not wait.
pub trait Pages: Send + Sync {
    /// `None`: there is no such page. `path` begins with `/`.
    fn get(&self, path: &str) -> Option<Page>;
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    pub is_fine: bool,
    pub kind: &'static str,
    pub text: String,
}

/// How Prometheus names its text format.
pub const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
pub const TEXT: &str = "text/plain; charset=utf-8";

#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at a time; more are closed at once.
    pub connections: usize,
    /// For a request's line and headers to arrive whole.
    pub request: Duration,
    /// For the one request of a connection, whatever it does.
    pub connection: Duration,
    /// Of a request's line and headers.
    pub bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 32,
            request: Duration::from_secs(5),
            connection: Duration::from_secs(30),
            // The least that the server's library takes.
            bytes: 8 << 10,
        }
    }
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{address} is in use by another process")]
    InUse { address: SocketAddr },

    #[error("cannot listen on {address}: {source}")]
    Listen { address: SocketAddr, source: io::Error },

    #[error("cannot start the server's thread: {0}")]
    Start(io::Error),
}
