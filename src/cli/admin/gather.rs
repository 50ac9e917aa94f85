//! Every number of this process, from wherever it is counted.

use super::{Admin, machine};
use crate::objects::{CallCounts, StoreCounts};
use crate::telemetry::{self as t, Exposition, Metric};
use crate::watch;
use crate::worker::Counts;
use std::sync::atomic::AtomicU64;
use std::time::UNIX_EPOCH;

impl Admin {
    /// The text for Prometheus.
    pub(super) fn metrics(&self) -> String {
        let mut told = Exposition::default();
        self.process(&mut told);
        self.roles(&mut told);
        self.board.tell(&mut told, watch::now());
        self.lines(&mut told);
        counts(&mut told, &self.control.counts);
        self.store(&mut told);
        told.text()
    }

    fn process(&self, told: &mut Exposition) {
        told.set(&t::BUILD_INFO, &[env!("CARGO_PKG_VERSION")], 1_u64);
        let began = self.began.duration_since(UNIX_EPOCH).unwrap_or_default();
        told.set(&t::START_TIME, &[], began.as_secs_f64());
        if let Some(bytes) = machine::resident_bytes() {
            told.set(&t::RESIDENT_MEMORY, &[], bytes);
        }
        if let Some(seconds) = machine::cpu_seconds() {
            told.set(&t::CPU_SECONDS, &[], seconds);
        }
        told.set(&t::WEAK_SETTINGS, &[], self.weak_settings);
        told.set(&t::DRAINING, &[], self.control.is_draining());
    }

    fn roles(&self, told: &mut Exposition) {
        let halts = self.control.halts();
        for look in self.board.look() {
            let role = look.role;
            let halted = halts.iter().filter(|halt| halt.role == role).count();
            told.set(&t::ROLE_HALTED, &[watch::name(role)], halted);
            let is_ready = self.ready(&[look]).is_ok();
            told.set(&t::ROLE_READY, &[watch::name(role)], is_ready);
        }
    }

    /// What the producers see of the brokers.
    fn lines(&self, told: &mut Exposition) {
        for (role, line) in self.log.get().into_iter().flat_map(|log| log.lines().look()) {
            let role = [watch::name(role)];
            if let Some(time) = line.round_trip {
                told.set(&t::BROKER_ROUND_TRIP, &role, time.as_secs_f64());
            }
            told.set(&t::BROKER_WAITING, &role, line.waiting);
            told.set(&t::BROKER_RETRIES, &role, line.retries);
            told.set(&t::BROKER_TIMEOUTS, &role, line.timeouts);
            told.set(&t::BROKER_DISCONNECTS, &role, line.disconnects);
        }
    }

    fn store(&self, told: &mut Exposition) {
        let stores = self.stores.lock().expect("no thread panics while it holds the stores");
        if stores.is_empty() {
            return;
        }
        let all: Vec<StoreCounts> = stores.iter().map(|store| store.counts()).collect();
        tell_calls(told, "create", all.iter().map(|counts| counts.create));
        tell_calls(told, "read", all.iter().map(|counts| counts.read));
        tell_calls(told, "tail", all.iter().map(|counts| counts.tail));
        tell_calls(told, "list", all.iter().map(|counts| counts.list));
    }
}

fn tell_calls(told: &mut Exposition, call: &str, stores: impl Iterator<Item = CallCounts> + Clone) {
    let sum = |number: fn(CallCounts) -> u64| stores.clone().map(number).sum::<u64>();
    told.set(&t::STORE_ATTEMPTS, &[call], sum(|counts| counts.attempts));
    told.set(&t::STORE_REFUSED, &[call], sum(|counts| counts.refused));
    told.set(&t::STORE_UNKNOWN, &[call], sum(|counts| counts.unknown));
}

/// What became of the events.
fn counts(told: &mut Exposition, counts: &Counts) {
    let all: [(&Metric, &AtomicU64); 16] = [
        (&t::ROUTE_RECORDS, &counts.raw_records),
        (&t::ROUTE_EVENTS, &counts.events_routed),
        (&t::ROUTE_REFUSED, &counts.refused),
        (&t::ROUTE_WITHOUT_KEY, &counts.no_key),
        (&t::ROUTE_OVERFLOWED, &counts.overflowed),
        (&t::ROUTE_SKIPPED_MEMBERS, &counts.skipped_members),
        (&t::ROUTE_BLOCKS, &counts.blocks),
        (&t::AGGREGATE_UNITS, &counts.units),
        (&t::AGGREGATE_DUPLICATES, &counts.duplicates),
        (&t::AGGREGATE_LATE, &counts.late),
        (&t::AGGREGATE_FUTURE, &counts.future),
        (&t::AGGREGATE_ROWS, &counts.rows_written),
        (&t::AGGREGATE_TOMBSTONES, &counts.tombstones),
        (&t::LAKE_ROWS, &counts.lake_rows),
        (&t::LAKE_FILES, &counts.lake_files),
        (&t::LAKE_BYTES, &counts.lake_bytes),
    ];
    for (metric, count) in all {
        told.set(metric, &[], Counts::get(count));
    }
    let stream_time = Counts::get(&counts.stream_time);
    if stream_time > 0 {
        told.set(&t::AGGREGATE_STREAM_TIME, &[], stream_time as f64 / 1e6);
    }
}
