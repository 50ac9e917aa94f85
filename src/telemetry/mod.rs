//! Every metric of a process: its name, its kind, its labels, and what a change of it tells an operator.
//!
//! In: numbers that others counted. Out: the text that Prometheus reads (exposition format 0.0.4), and the page
//! `docs/metrics.md`. Promises: what is not in [`ALL`] cannot be told, so a dashboard that goes by the page never looks
//! for a metric that is not there. Pure: no clock, no global registry. Never: a tenant, a topic's name or anybody's data
//! in a label.
//!
//! The text is written by hand: whoever counts here owns its numbers already, and a library's registry would be a second
//! place for each of them, to be kept the same.

mod histogram;
mod list;
mod page;
mod text;

pub use histogram::Histogram;
pub use list::*;
pub use page::page;
pub use text::{Exposition, Value};

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Metric {
    pub name: &'static str,
    pub kind: Kind,
    pub unit: &'static str,
    pub labels: &'static [&'static str],
    /// What it counts, and what to do about it.
    pub meaning: &'static str,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only grows, from 0 at the start of the process.
    Counter,
    /// What is so now.
    Gauge,
    /// How many were at most so large.
    Histogram,
}

impl Kind {
    pub fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
        }
    }
}
