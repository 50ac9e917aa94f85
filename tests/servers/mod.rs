//! Real servers for tests: Apache Kafka with one or three nodes, an S3 server that creates only if absent, and Trino,
//! the engine that Athena is made of.
//!
//! A test asks for a server and gets one that is ready, on free ports, with a folder of its own; when the value is
//! dropped, processes and data are gone. Programs that are not in the repository are fetched once into the cache
//! folder (`THALWEG_CACHE`, else the user's) with Maven and Go. A machine that lacks what is needed fails the test
//! with a sentence that says how to get it; `THALWEG_SKIP_REAL=1` leaves the test out, and the last line of
//! `cargo test` counts it.
//!
//! ```text
//! let Some(kafka) = Kafka::start(3) else { return };          // three nodes, ready
//! kafka.kill(2);                                               // SIGKILL, and gone when this returns
//! kafka.restart(2);                                            // same ports, same data, ready again
//! ```
//!
//! Promised: the ports stay ours while a node is dead, so a restart cannot lose them; no server outlives the test
//! process, even if that is killed (see `process`); data that a killed test process left are removed by the next
//! start. Never: a name that is looked up, an address other than 127.0.0.1, a fixed port, a file outside the
//! target folder and the cache. Linux only: both the death signal and the way ports are held are Linux's.

// Several test binaries include this, and none of them uses all of it.
#![allow(dead_code, unused_imports, reason = "each test binary uses a part")]

pub(crate) mod cached;
mod java;
mod kafka;
pub(crate) mod left_out;
pub(crate) mod ports;
pub(crate) mod process;
mod promlint;
pub(crate) mod proxy;
mod s3;
mod trino;
pub(crate) mod workdir;

pub(crate) use kafka::{Kafka, Setup};
pub(crate) use promlint::lint;
pub(crate) use s3::{Answer, Asked, Fate, S3, StoreProxy};
pub(crate) use trino::Trino;
