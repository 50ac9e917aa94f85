//! What was compared, what differs, what cannot be proved.

use serde::Serialize;

/// How many differences are kept; the rest are counted.
const DIFFERENCES_MAX: usize = 50;

#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Records of the raw log that the lake was compared with, and how many of them are events.
    pub raw_records: u64,
    pub events: u64,
    pub refused: u64,
    /// Refused records that were sent again since: they stand in the raw topic a second time.
    pub redriven: u64,
    pub files: u64,
    pub plans: u64,
    /// Metrics rows that equal the fold over the lake.
    pub rows: u64,
    pub history_rows: u64,
    /// Units set aside, by reason.
    pub duplicates: u64,
    pub late: u64,
    pub future: u64,
    /// Contributions that were folded.
    pub contributions: u64,
    /// Target partitions, and the commit at which each was compared.
    pub commits: Vec<(u32, u64)>,
    pub difference_count: u64,
    pub differences: Vec<Difference>,
    /// What cannot be proved, and why.
    pub not_provable: Vec<String>,
    /// Raw records that retention took before they were read: for ever on record.
    pub gaps: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Difference {
    pub what: String,
    pub expected: String,
    pub found: String,
}

impl Report {
    pub fn is_green(&self) -> bool {
        self.difference_count == 0
    }

    pub(super) fn differ(&mut self, what: impl Into<String>, expected: impl ToString, found: impl ToString) {
        self.difference_count += 1;
        if self.differences.len() < DIFFERENCES_MAX {
            let (expected, found) = (expected.to_string(), found.to_string());
            self.differences.push(Difference { what: what.into(), expected, found });
        }
    }

    pub(super) fn cannot_prove(&mut self, what: impl Into<String>) {
        let what = what.into();
        if !self.not_provable.contains(&what) {
            self.not_provable.push(what);
        }
    }
}
