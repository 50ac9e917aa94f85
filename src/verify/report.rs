//! What was compared, what differs and what that means, what cannot be proved.

use super::scope::Part;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// How many differences are kept; the rest are counted.
const DIFFERENCES_MAX: usize = 50;
/// How many places one of them names.
pub(super) const PLACES_MAX: usize = 20;

#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// Only these tenants were looked at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub part: Option<Part>,
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
    /// If it was asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hours: Vec<Hour>,
    /// By hour and tenant, until the end.
    #[serde(skip)]
    pub(crate) cells: Option<BTreeMap<(i64, String), Hour>>,
}

/// What is wrong with what; each asks for another look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    Row,
    History,
    Repeat,
    File,
    Chunk,
    Chain,
    DeadLetter,
}

impl Kind {
    /// For people; `docs/verify.md` says more under the same word.
    pub fn meaning(self) -> &'static str {
        match self {
            Kind::Row => {
                "a metrics row is not what its events say: look at these events, and at what was set aside of them"
            }
            Kind::History => "a history is not what its events say",
            Kind::Repeat => "an event id was counted more or less than once: look at its deliveries",
            Kind::File => "a lake file does not hold what its plan says, or no plan names it",
            Kind::Chunk => {
                "the lake does not hold what the raw topic holds: readers of the lake see other events than came"
            }
            Kind::Chain => {
                "the lake's plans do not follow each other: somebody wrote or deleted under _control"
            }
            Kind::DeadLetter => "route and lake do not refuse the same records, or a letter was taken away",
        }
    }
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Difference {
    pub kind: Kind,
    pub what: String,
    pub expected: String,
    pub found: String,
    pub meaning: String,
    /// Coordinates of the raw log, some of them if there are many.
    pub look_at: Vec<String>,
}

/// One hour of event time of one tenant.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hour {
    /// Where it begins. Rows stand in the hour in which their window begins; those of rolling windows in none.
    pub hour: String,
    pub tenant: String,
    pub events: u64,
    /// Its events of which a target set something aside.
    pub duplicates: u64,
    pub late: u64,
    /// Rows that are right.
    pub rows: u64,
    pub differences: u64,
}

impl Report {
    pub fn is_green(&self) -> bool {
        self.difference_count == 0
    }

    /// The places at which to look come later, if somebody knows them.
    pub(super) fn differ(
        &mut self,
        kind: Kind,
        what: impl Into<String>,
        expected: impl ToString,
        found: impl ToString,
    ) {
        self.difference_count += 1;
        if self.differences.len() < DIFFERENCES_MAX {
            let (what, meaning) = (what.into(), kind.meaning().to_owned());
            let (expected, found) = (expected.to_string(), found.to_string());
            self.differences.push(Difference { kind, what, expected, found, meaning, look_at: Vec::new() });
        }
    }

    /// Names a place of the difference that was told last, if that one is kept.
    pub(super) fn look_at(&mut self, place: String) {
        if self.difference_count as usize == self.differences.len()
            && let Some(last) = self.differences.last_mut()
        {
            last.look_at.push(place);
        }
    }

    pub(super) fn cannot_prove(&mut self, what: impl Into<String>) {
        let what = what.into();
        if !self.not_provable.contains(&what) {
            self.not_provable.push(what);
        }
    }

    /// The cell of a time and tenant, where cells are wanted. `None` as time: no hour.
    pub(super) fn cell(&mut self, time: Option<i64>, tenant: &str) -> Option<&mut Hour> {
        const HOUR: i64 = 3_600_000_000;
        let cells = self.cells.as_mut()?;
        let hour = time.map_or(i64::MIN, |time| time.div_euclid(HOUR) * HOUR);
        Some(cells.entry((hour, tenant.to_owned())).or_default())
    }

    /// Cells become a list.
    pub(super) fn close(&mut self) {
        let named = |((hour, tenant), cell): ((i64, String), Hour)| Hour {
            hour: if hour == i64::MIN { String::new() } else { super::value::instant(hour) },
            tenant,
            ..cell
        };
        self.hours = self.cells.take().unwrap_or_default().into_iter().map(named).collect();
    }

    /// Takes in what was found of another part.
    pub fn add(&mut self, other: Report) {
        self.raw_records += other.raw_records;
        self.events += other.events;
        self.refused += other.refused;
        self.redriven += other.redriven;
        self.files += other.files;
        self.plans = self.plans.max(other.plans);
        self.rows += other.rows;
        self.history_rows += other.history_rows;
        self.duplicates += other.duplicates;
        self.late += other.late;
        self.future += other.future;
        self.contributions += other.contributions;
        // Each part at a commit of its own: the last one is told.
        self.commits = other.commits;
        self.difference_count += other.difference_count;
        let room = DIFFERENCES_MAX.saturating_sub(self.differences.len());
        self.differences.extend(other.differences.into_iter().take(room));
        other.not_provable.into_iter().for_each(|what| self.cannot_prove(what));
        self.gaps.extend(other.gaps);
        self.gaps.sort();
        self.gaps.dedup();
        self.hours.extend(other.hours);
        self.hours.sort_by(|a, b| (&a.hour, &a.tenant).cmp(&(&b.hour, &b.tenant)));
    }
}
