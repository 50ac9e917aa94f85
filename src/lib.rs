//! Thalweg: exact rolling metrics and an exact Parquet lake from a Kafka-compatible log, with proof.
//!
//! The rooms, in an event's order:
//!
//! ```text
//! decode ─► route ─► aggregate     what should happen: pure, same input, same output
//!    └────► lake
//! worker ─► port                   makes it happen, in order, through the port alone
//! embedded, kafka, objects, sim    what the port is made of: one foreign system each
//! watch ─► telemetry ─► http       what a process does, for people and for Prometheus
//! generate                         seeded events of shoppers, for the demo and for tests
//! cli                              the only one that joins them
//! ```
//!
//! `model` (nouns) knows nobody, nor does `yaml` (files that people write); `topology` (what the user asked for) and
//! `config` (how a process runs) know these two; the four cores know `model` and `topology`, and not each other.
//! `tests/tidy.rs` holds the table.

pub mod aggregate;
pub mod config;
pub mod decisions;
pub mod decode;
pub mod generate;
pub mod lake;
pub mod model;
pub mod port;
pub mod route;
pub mod sim;
pub mod telemetry;
pub mod topology;
#[cfg(feature = "parquet")]
pub mod verify;
pub mod watch;
pub mod worker;
mod yaml;

#[cfg(feature = "embedded")]
pub mod cli;
#[cfg(feature = "embedded")]
pub mod embedded;
#[cfg(feature = "http")]
pub mod http;
#[cfg(feature = "kafka")]
pub mod kafka;
#[cfg(any(feature = "embedded", feature = "s3"))]
pub mod objects;
