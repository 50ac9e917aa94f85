//! What was sent to brokers and asked of the store, counted.

use crate::model::Topic;
use crate::telemetry::{self, Exposition, Histogram};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard};
use std::time::Duration;

/// Every part that a topic of ours can play, in this order.
const TOPICS: [&str; 6] = ["repartition", "dead_letters", "state", "metrics", "set_aside", "history"];
pub(super) const OUTCOMES: [&str; 4] = ["clean", "tainted", "failed", "aborted"];
const CALLS: [&str; 4] = ["create", "read", "tail", "list"];

#[derive(Debug, Default)]
pub(super) struct Sent {
    records: [AtomicU64; 6],
    bytes: [AtomicU64; 6],
    failed_deliveries: AtomicU64,
    in_flight: AtomicU64,
    transactions: Mutex<Transactions>,
}

#[derive(Debug)]
struct Transactions {
    /// By [`OUTCOMES`].
    ended: [u64; 4],
    durations: Histogram,
}

impl Default for Transactions {
    fn default() -> Self {
        Transactions { ended: [0; 4], durations: Histogram::new(Histogram::SECONDS) }
    }
}

impl Sent {
    pub(super) fn add(&self, topic: Topic, records: usize, bytes: usize) {
        let place = match topic {
            // Nobody but `route` sends plain records, and never to the raw topic.
            Topic::Raw | Topic::Repartition => 0,
            Topic::DeadLetters => 1,
            Topic::State => 2,
            Topic::Metrics => 3,
            Topic::SetAside => 4,
            Topic::History(_) => 5,
        };
        self.records[place].fetch_add(records as u64, Ordering::Relaxed);
        self.bytes[place].fetch_add(bytes as u64, Ordering::Relaxed);
    }

    pub(super) fn delivery_failed(&self) {
        self.failed_deliveries.fetch_add(1, Ordering::Relaxed);
    }

    /// One producer has so much in flight, and had so much before.
    pub(super) fn in_flight(&self, now: usize, before: usize) {
        self.in_flight.fetch_add(now as u64, Ordering::Relaxed);
        self.in_flight.fetch_sub(before as u64, Ordering::Relaxed);
    }

    /// `outcome` is one of [`OUTCOMES`].
    pub(super) fn transaction(&self, outcome: &str, took: Option<Duration>) {
        let mut transactions = self.transactions();
        let place = OUTCOMES.iter().position(|known| *known == outcome);
        transactions.ended[place.expect("all outcomes stand in the list")] += 1;
        if let Some(took) = took {
            transactions.durations.observe(took.as_secs_f64());
        }
    }

    fn transactions(&self) -> MutexGuard<'_, Transactions> {
        self.transactions.lock().expect("no thread panics while it counts")
    }

    pub(super) fn tell(&self, told: &mut Exposition) {
        let get = |count: &AtomicU64| count.load(Ordering::Relaxed);
        for (place, topic) in TOPICS.iter().enumerate() {
            told.set(&telemetry::SENT_RECORDS, &[topic], get(&self.records[place]));
            told.set(&telemetry::SENT_BYTES, &[topic], get(&self.bytes[place]));
        }
        told.set(&telemetry::FAILED_DELIVERIES, &[], get(&self.failed_deliveries));
        told.set(&telemetry::IN_FLIGHT_BYTES, &[], get(&self.in_flight));
        let transactions = self.transactions();
        for (outcome, count) in OUTCOMES.iter().zip(transactions.ended) {
            told.set(&telemetry::TRANSACTIONS, &[outcome], count);
        }
        told.histogram(&telemetry::TRANSACTION_DURATION, &[], &transactions.durations);
    }
}

/// Calls to the store: how long they took, and how many failed.
#[derive(Debug, Default)]
pub(super) struct Stored(Mutex<BTreeMap<&'static str, (Histogram, u64)>>);

impl Stored {
    /// `call` is one of [`CALLS`].
    pub(super) fn add(&self, call: &'static str, took: Duration, has_failed: bool) {
        let mut calls = self.0.lock().expect("no thread panics while it counts");
        let (durations, errors) =
            calls.entry(call).or_insert_with(|| (Histogram::new(Histogram::SECONDS), 0));
        durations.observe(took.as_secs_f64());
        *errors += u64::from(has_failed);
    }

    pub(super) fn tell(&self, told: &mut Exposition) {
        let calls = self.0.lock().expect("no thread panics while it counts");
        let none = (Histogram::new(Histogram::SECONDS), 0);
        for call in CALLS {
            let (durations, errors) = calls.get(call).unwrap_or(&none);
            told.histogram(&telemetry::STORE_CALL_DURATION, &[call], durations);
            told.set(&telemetry::STORE_CALL_ERRORS, &[call], *errors);
        }
    }
}
