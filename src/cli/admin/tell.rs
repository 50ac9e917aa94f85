//! Lines of the log that no call brings: how far the process is, and what came to stand still.

use super::Admin;
use crate::model::Role;
use crate::watch;
use crate::worker::{Counts, Halt};
use std::sync::Arc;
use std::time::{Duration, Instant};

const EVERY: Duration = Duration::from_secs(10);

/// Looked at again and again while the roles run.
pub(in crate::cli) struct Telling {
    admin: Arc<Admin>,
    halts: Vec<Halt>,
    told_at: Instant,
    told: Progress,
}

#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
struct Progress {
    records: u64,
    refused: u64,
    units: u64,
    duplicates: u64,
    late: u64,
    rows: u64,
    lake_rows: u64,
    lake_files: u64,
}

impl Telling {
    pub(in crate::cli) fn new(admin: &Arc<Admin>) -> Self {
        let told = Progress::default();
        Telling { admin: Arc::clone(admin), halts: Vec::new(), told_at: Instant::now(), told }
    }

    pub(in crate::cli) fn look(&mut self) {
        self.halts();
        if self.told_at.elapsed() >= EVERY {
            self.progress();
        }
    }

    /// Each halt once, when it comes and when it goes.
    fn halts(&mut self) {
        let halts = self.admin.control.halts();
        for Halt { role, partition, reason } in halts.iter().filter(|halt| !self.halts.contains(halt)) {
            tracing::error!(role = watch::name(*role), partition = partition.0, error = reason, "halted");
        }
        for Halt { role, partition, .. } in self.halts.iter().filter(|halt| !halts.contains(halt)) {
            tracing::info!(role = watch::name(*role), partition = partition.0, "halt lifted");
        }
        self.halts = halts;
    }

    /// A quiet process says nothing twice.
    pub(in crate::cli) fn progress(&mut self) {
        let counts = &self.admin.control.counts;
        let now = Progress {
            records: Counts::get(&counts.raw_records),
            refused: Counts::get(&counts.refused),
            units: Counts::get(&counts.units),
            duplicates: Counts::get(&counts.duplicates),
            late: Counts::get(&counts.late),
            rows: Counts::get(&counts.rows_written),
            lake_rows: Counts::get(&counts.lake_rows),
            lake_files: Counts::get(&counts.lake_files),
        };
        self.told_at = Instant::now();
        if now == self.told {
            return;
        }
        self.told = now;
        let Progress { records, refused, units, duplicates, late, rows, lake_rows, lake_files } = now;
        let lag = |role| self.admin.board.lag(role);
        tracing::info!(
            records,
            refused,
            units,
            duplicates,
            late,
            rows,
            lake_rows,
            lake_files,
            route_lag = lag(Role::Route),
            aggregate_lag = lag(Role::Aggregate),
            lake_lag = lag(Role::Lake),
            "progress"
        );
    }
}
