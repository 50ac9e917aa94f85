//! What a worker's threads share with whoever started them: stop signs, the goal, halts, counts.

use crate::model::{NextOffset, Partition, Role};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

#[derive(Debug, Default)]
pub struct Control {
    drain: AtomicBool,
    goal: Mutex<Option<BTreeMap<Partition, NextOffset>>>,
    halts: Mutex<Vec<Halt>>,
    pub counts: Counts,
}

/// One partition stands still until a person acts; the others go on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Halt {
    pub role: Role,
    pub partition: Partition,
    pub reason: String,
}

/// How a role's loop ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Asked to stop: finished what was begun.
    Drained,
    /// Everything below the goal is done, committed and sealed.
    Idle,
}

impl Control {
    /// Asks every loop to finish what it began, and to end.
    pub fn drain(&self) {
        self.drain.store(true, Ordering::Relaxed);
    }

    pub fn is_draining(&self) -> bool {
        self.drain.load(Ordering::Relaxed)
    }

    /// `--until-idle`: each loop ends once it has done everything below these raw positions.
    pub fn set_goal(&self, goal: BTreeMap<Partition, NextOffset>) {
        *self.goal.lock().expect("no thread panics while it holds the goal") = Some(goal);
    }

    pub fn goal(&self) -> Option<BTreeMap<Partition, NextOffset>> {
        self.goal.lock().expect("no thread panics while it holds the goal").clone()
    }

    /// Records a halt once, however often it is found again.
    pub fn halt(&self, halt: Halt) {
        let mut halts = self.halts.lock().expect("no thread panics while it holds the halts");
        if !halts.contains(&halt) {
            halts.push(halt);
        }
    }

    pub fn lift_halt(&self, role: Role, partition: Partition) {
        let mut halts = self.halts.lock().expect("no thread panics while it holds the halts");
        halts.retain(|halt| (halt.role, halt.partition) != (role, partition));
    }

    pub fn halts(&self) -> Vec<Halt> {
        self.halts.lock().expect("no thread panics while it holds the halts").clone()
    }
}

/// Counts since the start of this process, for displays and metrics. No decision reads them.
#[derive(Debug, Default)]
pub struct Counts {
    pub raw_records: AtomicU64,
    pub events_routed: AtomicU64,
    pub refused: AtomicU64,
    /// Contributions without a value for a `by` column.
    pub no_key: AtomicU64,
    /// Products outside 64 bits, absent from their row.
    pub overflowed: AtomicU64,
    /// Map members that are no numbers.
    pub skipped_members: AtomicU64,
    pub blocks: AtomicU64,
    pub units: AtomicU64,
    pub duplicates: AtomicU64,
    pub late: AtomicU64,
    pub future: AtomicU64,
    pub rows_written: AtomicU64,
    pub tombstones: AtomicU64,
    pub commits: AtomicU64,
    pub lake_rows: AtomicU64,
    pub lake_files: AtomicU64,
    pub lake_bytes: AtomicU64,
    /// Event time of the newest unit taken, UTC microseconds.
    pub stream_time: AtomicU64,
}

impl Counts {
    pub fn add(counter: &AtomicU64, by: u64) {
        counter.fetch_add(by, Ordering::Relaxed);
    }

    pub fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}
