//! What a slot says, for ever: where a chunk ends, and which files hold it.

use super::json::{hex64, position};
use crate::model::{NextOffset, Offset};
use serde::{Deserialize, Serialize};
use std::fmt;
use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// How records become rows and files: decode, the choice of files, the limits. A change of any of them is a new version,
/// and the version before it is kept until no plan of it can be unfinished.
pub const TRANSFORM_VERSION: u32 = 1;

/// Plans with an index of so many times *k* get a checkpoint.
pub const CHECKPOINT_EVERY: u64 = 1000;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Its index in the chain, from 0.
    pub n: u64,
    /// The chunk is the records [s, e).
    #[serde(with = "position")]
    pub s: NextOffset,
    #[serde(with = "position")]
    pub e: NextOffset,
    /// Records: events and refused ones.
    pub count: u64,
    #[serde(with = "hex64")]
    pub checksum: u64,
    pub transform: u32,
    #[serde(with = "hex64")]
    pub configuration: u64,
    /// Retention took these records before they were read.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gap: bool,
    pub files: Vec<PlannedFile>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PlannedFile {
    /// The object's whole key.
    pub key: String,
    pub rows: u64,
    #[serde(with = "hex64")]
    pub checksum: u64,
}

/// Hash of a plan's bytes: each of its files names it. Prints as 32 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PlanHash(pub u128);

impl fmt::Display for PlanHash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// A plan that stands in its slot, with its hash: files are written and compared by both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decided {
    pub plan: Plan,
    pub hash: PlanHash,
}

impl Decided {
    pub fn new(plan: Plan) -> Decided {
        let hash = plan.hash();
        Decided { plan, hash }
    }

    /// What the `file`-th file must say of itself.
    pub fn footer(&self, file: usize) -> Footer {
        let of = &self.plan.files[file];
        Footer { plan: self.hash, rows: of.rows, checksum: of.checksum }
    }
}

/// What a file says of itself: enough to tell whether it is the one that a plan names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Footer {
    pub plan: PlanHash,
    pub rows: u64,
    pub checksum: u64,
}

/// A plan that cannot be followed. Each halts the partition: a guess could lose or double rows.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    #[error("damaged plan: {0}")]
    Damaged(String),
    #[error("plan of transform version {0}, this build knows up to {TRANSFORM_VERSION}: use a newer one")]
    UnknownTransform(u64),
}

impl Plan {
    /// Retention took [s, e).
    pub fn gap(n: u64, s: NextOffset, e: NextOffset, configuration: u64) -> Plan {
        let checksum = Checksum::default().finish();
        let transform = TRANSFORM_VERSION;
        Plan { n, s, e, count: 0, checksum, transform, configuration, gap: true, files: Vec::new() }
    }

    /// The same plan always gives the same bytes.
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a plan holds nothing that JSON cannot")
    }

    pub fn hash(&self) -> PlanHash {
        PlanHash(xxh3_128(&self.encode()))
    }

    pub fn decode(bytes: &[u8]) -> Result<Plan, PlanError> {
        let damaged = |error: serde_json::Error| PlanError::Damaged(error.to_string());
        // The version first: another one may have other members.
        #[derive(Deserialize)]
        struct Version {
            transform: u64,
        }
        let version: Version = serde_json::from_slice(bytes).map_err(damaged)?;
        if version.transform != u64::from(TRANSFORM_VERSION) {
            return Err(PlanError::UnknownTransform(version.transform));
        }
        let plan: Plan = serde_json::from_slice(bytes).map_err(damaged)?;
        plan.contradiction().map_or(Ok(plan), |what| Err(PlanError::Damaged(what)))
    }

    fn contradiction(&self) -> Option<String> {
        let Plan { s, e, count, gap, files, .. } = self;
        let rows = files.iter().try_fold(0u64, |sum, file| sum.checked_add(file.rows));
        if s >= e {
            Some(format!("it starts at {s} and ends at {e}"))
        } else if rows != Some(*count) {
            Some(format!("its files hold {rows:?} rows of {count} records"))
        } else if *gap != files.is_empty() || files.iter().any(|file| file.rows == 0) {
            Some(format!("gap: {gap}, with {} files, or an empty one", files.len()))
        } else {
            None
        }
    }

    /// Which checkpoint must stand before the plan after this one.
    pub fn checkpoint(&self) -> Option<u64> {
        (self.n > 0 && self.n.is_multiple_of(CHECKPOINT_EVERY)).then_some(self.n / CHECKPOINT_EVERY)
    }
}

/// Checksum over (offset, value hash) of records in the order of their offsets.
#[derive(Clone, Default)]
pub struct Checksum(Box<Xxh3>);

impl Checksum {
    #[inline]
    pub fn add(&mut self, offset: Offset, value_hash: u64) {
        let mut pair = [0; 16];
        pair[..8].copy_from_slice(&offset.0.to_le_bytes());
        pair[8..].copy_from_slice(&value_hash.to_le_bytes());
        self.0.update(&pair);
    }

    pub fn finish(&self) -> u64 {
        self.0.digest()
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Checksum({:016x})", self.finish())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    pub(in crate::lake) fn plan(n: u64, s: u64, e: u64) -> Plan {
        let file = |key: &str, rows| PlannedFile { key: key.into(), rows, checksum: 0xfeed };
        Plan {
            n,
            s: NextOffset(s),
            e: NextOffset(e),
            count: 5,
            checksum: 0xff,
            transform: TRANSFORM_VERSION,
            configuration: 0xbeef,
            gap: false,
            files: vec![file("a.parquet", 2), file("b.parquet", 3)],
        }
    }

    #[test]
    fn a_plan_has_one_form() {
        let text = "{\"n\":7,\"s\":10,\"e\":15,\"count\":5,\"checksum\":\"00000000000000ff\",\"transform\":1,\
                    \"configuration\":\"000000000000beef\",\"files\":[\
                    {\"key\":\"a.parquet\",\"rows\":2,\"checksum\":\"000000000000feed\"},\
                    {\"key\":\"b.parquet\",\"rows\":3,\"checksum\":\"000000000000feed\"}]}";

        assert_eq!(String::from_utf8(plan(7, 10, 15).encode()).unwrap(), text);
        assert_eq!(Plan::decode(text.as_bytes()), Ok(plan(7, 10, 15)));
        let gap = Plan::gap(8, NextOffset(15), NextOffset(20), 1);
        assert_eq!(Plan::decode(&gap.encode()), Ok(gap));
    }

    #[test]
    fn a_plan_of_an_unknown_version_says_so_whatever_else_it_holds() {
        let later = br#"{"transform":2,"rows":"elsewhere"}"#;

        assert_eq!(Plan::decode(later), Err(PlanError::UnknownTransform(2)));
    }

    #[test]
    fn a_damaged_plan_is_never_followed() {
        let good = String::from_utf8(plan(7, 10, 15).encode()).unwrap();
        let damages = [
            ("\"e\":15", "\"e\":10"),
            ("\"rows\":2", "\"rows\":1"),
            ("\"rows\":2", "\"rows\":18446744073709551615"),
            ("00000000000000ff", "ff"),
            ("\"count\"", "\"counts\""),
            ("\"files\"", "\"gap\":true,\"files\""),
        ];
        for (from, to) in damages {
            let bad = good.replacen(from, to, 1);
            assert_ne!(good, bad);
            assert!(matches!(Plan::decode(bad.as_bytes()), Err(PlanError::Damaged(_))), "{bad}");
        }
        for end in 0..good.len() {
            assert!(Plan::decode(&good.as_bytes()[..end]).is_err());
        }
    }

    #[test]
    fn every_thousandth_plan_but_the_first_asks_for_a_checkpoint() {
        let asks: Vec<_> = [0, 1, 999, 1000, 1001, 2000].map(|n| plan(n, 0, 5).checkpoint()).into();

        assert_eq!(asks, [None, None, None, Some(1), None, Some(2)]);
    }
}
