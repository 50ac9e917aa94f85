//! The commit record: last of a commit in `state`, all that the next owner needs to decide alike. JSON, for people too.

use super::era::Era;
use super::sources::{SourceState, Sources};
use crate::model::{Cutover, Incarnation, NextOffset, Offset, Partition, RoutingVersion, Source};
use serde::{Deserialize, Serialize};
use std::num::ParseIntError;
use std::sync::Arc;

/// Key of the commit record in `state`; no pane's key is like it.
pub const COMMIT_KEY: &[u8] = b"commit";

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitRecord {
    /// Number of the commit, from 1.
    pub commit: u64,
    /// Repartition offset: the next to read.
    pub next: u64,
    /// Incarnation of the repartition topic that `next` counts in: one that was made again has the same offsets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repartition: Option<String>,
    /// Records of this transaction in `state`, `metrics`, `set-aside` and histories, this one included.
    pub records: u64,
    #[serde(flatten)]
    pub sources: SourceRecord,
    /// Where the duplicate set is rebuilt from, and what was known there.
    pub dedup: Option<Dedup>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Dedup {
    pub from: u64,
    #[serde(flatten)]
    pub sources: SourceRecord,
}

/// [`Sources`], as text.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRecord {
    pub version: String,
    pub configuration: String,
    pub incarnations: Vec<String>,
    pub sources: Vec<OneSource>,
    pub raw_partitions: u32,
    /// UTC microseconds.
    pub now: Option<i64>,
    pub floor: Option<i64>,
    pub cutovers: Vec<OneCutover>,
    /// One for each cut-over.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub eras: Vec<Era>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneSource {
    pub incarnation: String,
    pub partition: u32,
    pub hw: Option<u64>,
    pub from: u64,
    pub time: Option<i64>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gaps: Vec<(u64, u64)>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OneCutover {
    pub version: String,
    pub configuration: String,
    /// Incarnation, partition, first offset of the new version.
    pub cuts: Vec<(String, u32, u64)>,
}

impl From<&Sources> for SourceRecord {
    fn from(from: &Sources) -> Self {
        let one = |(source, state): (&Source, &SourceState)| OneSource {
            incarnation: source.incarnation.to_string(),
            partition: source.partition.0,
            hw: state.hw.map(|hw| hw.0),
            from: state.from.0,
            time: state.time,
            gaps: state.gaps.iter().map(|(from, to)| (from.0, to.0)).collect(),
        };
        let cutover = |cutover: &Cutover| OneCutover {
            version: cutover.version.to_string(),
            configuration: format!("{:016x}", cutover.configuration),
            cuts: cutover
                .cuts
                .iter()
                .map(|(s, cut)| (s.incarnation.to_string(), s.partition.0, cut.0))
                .collect(),
        };
        SourceRecord {
            version: from.version.to_string(),
            configuration: format!("{:016x}", from.configuration),
            incarnations: from.incarnations.iter().map(Incarnation::to_string).collect(),
            sources: from.states.iter().map(one).collect(),
            raw_partitions: from.raw_partitions,
            now: from.now,
            floor: from.floor,
            cutovers: from.cutovers.iter().map(cutover).collect(),
            eras: from.eras.iter().map(|era| Era::clone(era)).collect(),
        }
    }
}

impl SourceRecord {
    /// `None`: the text is not one that we wrote.
    pub fn parse(&self) -> Option<Sources> {
        let hex = |text: &str| u64::from_str_radix(text, 16).ok();
        let source = |incarnation: &str, partition| {
            Some(Source { incarnation: incarnation.parse().ok()?, partition: Partition(partition) })
        };
        let mut sources = Sources::new(RoutingVersion(hex(&self.version)?), hex(&self.configuration)?);
        sources.incarnations =
            self.incarnations.iter().map(|text| text.parse().ok()).collect::<Option<_>>()?;
        for one in &self.sources {
            let state = SourceState {
                hw: one.hw.map(Offset),
                from: NextOffset(one.from),
                time: one.time,
                gaps: one.gaps.iter().map(|&(from, to)| (NextOffset(from), NextOffset(to))).collect(),
            };
            sources.states.insert(source(&one.incarnation, one.partition)?, state);
        }
        sources.raw_partitions = self.raw_partitions;
        sources.now = self.now;
        sources.floor = self.floor;
        for one in &self.cutovers {
            let cut = |(incarnation, partition, cut): &(String, u32, u64)| {
                Some((source(incarnation, *partition)?, NextOffset(*cut)))
            };
            sources.cutovers.push(Cutover {
                version: RoutingVersion(hex(&one.version)?),
                configuration: hex(&one.configuration)?,
                cuts: one.cuts.iter().map(cut).collect::<Option<_>>()?,
                before: String::new(),
            });
        }
        sources.eras = self.eras.iter().cloned().map(Arc::new).collect();
        Some(sources)
    }
}

impl CommitRecord {
    pub fn encode(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("numbers and text make JSON")
    }

    pub fn decode(bytes: &[u8]) -> Option<Self> {
        serde_json::from_slice(bytes).ok()
    }

    /// The repartition topic that it stands in, if that was known. An error: the text is not one that we wrote.
    pub fn reads(&self) -> Result<Option<Incarnation>, ParseIntError> {
        self.repartition.as_deref().map(str::parse).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Link;

    #[test]
    fn a_commit_record_comes_back() {
        let source = Source { incarnation: Incarnation(0xfeed), partition: Partition(1) };
        let mut sources = Sources::new(RoutingVersion(u64::MAX), 7);
        let link = Link {
            source,
            version: RoutingVersion(u64::MAX),
            below: NextOffset(5),
            last: None,
            raw_partitions: 2,
            at_end: None,
        };
        sources.link(&link).unwrap();
        sources.floor = Some(-4);
        sources.cutovers.push(Cutover {
            version: RoutingVersion(3),
            configuration: 9,
            cuts: vec![(source, NextOffset(4))],
            before: String::new(),
        });
        let record = CommitRecord {
            commit: 3,
            next: 17,
            repartition: Some(Incarnation(0xbeef).to_string()),
            records: 5,
            sources: SourceRecord::from(&sources),
            dedup: Some(Dedup { from: 2, sources: SourceRecord::from(&sources) }),
        };

        let back = CommitRecord::decode(&record.encode()).unwrap();

        assert_eq!(back, record);
        assert_eq!(back.reads(), Ok(Some(Incarnation(0xbeef))));
        assert_eq!(back.sources.parse(), Some(sources));
    }
}
