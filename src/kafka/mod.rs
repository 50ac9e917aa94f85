//! The log on Kafka-compatible brokers: Apache Kafka, Redpanda, Amazon MSK.
//!
//! In: what the roles ask through [`port::Log`]. Out: records, deliveries and commits as the brokers
//! have them. One OS thread owns a role with its clients, and calls block it: the client library's own threads do the
//! work behind. A rebalance is noted in a callback and answered between two polls.
//!
//! Promises: what the ports ask, on brokers with the settings that [`topics`] checks; every wait has a limit, or a
//! watchdog that ends the process. Never: an automatic commit, an automatic reset of a position, a record of an
//! open transaction. All `unsafe` is in `native`.

mod base64url;
mod consumer;
mod error;
mod greet;
#[cfg(feature = "s3")]
mod iam;
mod lines;
mod native;
mod paused;
mod producer;
mod reader;
pub mod rights;
mod said;
mod settings;
mod token;
pub mod topics;
mod transactions;
mod watchdog;

pub use error::Error;
pub use lines::{Line, Lines};
pub use settings::{Settings, Timeouts};

use crate::model::{Role, Topic};
use crate::port::{self, Failure, Pending};
use std::sync::Arc;

/// The log of one deployment. Clones share its settings; each handle has clients of its own.
#[derive(Debug, Clone)]
pub struct KafkaLog {
    settings: Arc<Settings>,
    lines: Arc<Lines>,
}

impl KafkaLog {
    /// Connects to nothing yet.
    pub fn new(settings: Settings) -> Self {
        KafkaLog { settings: Arc::new(settings), lines: Arc::default() }
    }

    /// Whether the brokers answer and know us; how many they are. A refusal is told at once, and not when the time of a
    /// request is over.
    pub fn greet(&self) -> Result<usize, Error> {
        greet::greet(&self.settings)
    }

    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// How the producers of this log and of its clones reach the brokers.
    pub fn lines(&self) -> &Lines {
        &self.lines
    }
}

impl port::Log for KafkaLog {
    fn reader(&self) -> Box<dyn port::Reader> {
        Box::new(reader::Reader::new(Arc::clone(&self.settings)))
    }

    fn consumer(&self, role: Role) -> Box<dyn port::Consumer> {
        Box::new(consumer::Consumer::new(Arc::clone(&self.settings), role))
    }

    fn producer(&self) -> Box<dyn port::Producer> {
        Box::new(producer::Producer::new(Arc::clone(&self.settings), Arc::clone(&self.lines)))
    }

    fn transactions(&self) -> Pending<'_, Box<dyn port::Transactions>> {
        let made = transactions::Transactions::open(Arc::clone(&self.settings), Arc::clone(&self.lines));
        ready(made.map(|made| Box::new(made) as _))
    }
}

/// The topic that a role's group reads.
fn input(role: Role) -> Topic {
    match role {
        Role::Route | Role::Lake => Topic::Raw,
        Role::Aggregate => Topic::Repartition,
    }
}

/// What a call that blocked has to say.
fn ready<'a, T: 'a, E: Into<Failure>>(result: Result<T, E>) -> Pending<'a, T> {
    Box::pin(std::future::ready(result.map_err(Into::into)))
}
