//! What the topics of one target say at its last position: rows, commit record, what was set aside, histories.

use super::run::NotVerified;
use crate::model::{NextOffset, Partition, RecordBatch, Source, Topic, TopicPartition};
use crate::port::{Isolation, Reader};
use crate::topology::Topology;
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet, HashMap};

const READ_BYTES: usize = 1 << 20;
/// How often metrics and state are read again because a commit came in between.
const OVERTAKEN_MAX: u32 = 50;

/// Everything about one target that does not come from the lake.
#[derive(Debug)]
pub(super) struct Facts {
    pub partition: Partition,
    pub commit: u64,
    pub now: Option<i64>,
    pub floor: Option<i64>,
    pub configuration: u64,
    /// One for each cut-over, in their order.
    pub eras: Vec<EraFacts>,
    /// In the order of the commit record.
    pub incarnations: Vec<String>,
    pub sources: BTreeMap<Source, SourceFacts>,
    /// Live rows: key, value.
    pub rows: HashMap<String, String>,
    pub set_aside: HashMap<(Source, u64), Aside>,
    /// Live history rows: (history, key) → value.
    pub histories: HashMap<(usize, String), String>,
}

/// The time that a cut-over ended.
#[derive(Debug, Clone)]
pub(super) struct EraFacts {
    pub configuration: u64,
    /// Repartition offset: rows that are right at or below it are of this time.
    pub until: u64,
    /// First offset of each source that is not of this time any more.
    pub cuts: BTreeMap<Source, u64>,
    /// What its cut-over added: aggregate, window, value, since when.
    pub since: Vec<(String, String, String, i64)>,
}

#[derive(Debug, Clone)]
pub(super) struct SourceFacts {
    /// [from, next) was taken.
    pub from: u64,
    pub next: u64,
    pub gaps: Vec<(u64, u64)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Aside {
    Duplicate,
    Future,
    /// (aggregate, window)
    Late(BTreeSet<(String, String)>),
}

impl Facts {
    /// How many cut-overs lie before this record: the place of the topology that counted it.
    pub(super) fn in_force(&self, source: Source, offset: u64) -> usize {
        let place = |source: Source| {
            let text = source.incarnation.to_string();
            self.incarnations.iter().position(|known| *known == text)
        };
        let is_behind = |era: &&EraFacts| match (era.cuts.get(&source), era.cuts.first_key_value()) {
            (Some(&cut), _) => offset >= cut,
            // A topic that was gone by then, or a partition that came later.
            (None, Some((&cut, _))) => place(source) >= place(cut),
            (None, None) => true,
        };
        self.eras.iter().filter(is_behind).count()
    }

    /// How many cut-overs lie before a row that is right at this repartition offset.
    pub(super) fn written_in(&self, as_of: u64) -> usize {
        self.eras.iter().filter(|era| era.until < as_of).count()
    }

    pub(super) fn covers(&self, source: Source, offset: u64) -> bool {
        self.sources.get(&source).is_some_and(|facts| {
            (facts.from..facts.next).contains(&offset)
                && !facts.gaps.iter().any(|&(from, to)| (from..to).contains(&offset))
        })
    }
}

/// `None`: nothing was ever committed for this target.
pub(super) async fn facts(
    reader: &mut dyn Reader,
    topology: &Topology,
    partition: Partition,
) -> Result<Option<Facts>, NotVerified> {
    for _ in 0..OVERTAKEN_MAX {
        let mut rows = live(reader, Topic::Metrics, partition).await?;
        let position = rows.remove(&format!("{{\"position\":{partition}}}"));
        let record = live(reader, Topic::State, partition).await?.remove("commit");
        let (Some(position), Some(record)) = (position, record) else { return Ok(None) };
        let (position, record) = (json("position", &position)?, json("commit record", &record)?);
        // A commit between the two reads: the rows are older than the record.
        if position["commit"] != record["commit"] || position["offset"] != record["next"] {
            continue;
        }
        let mut facts = parse(partition, &record).ok_or(NotVerified::Unreadable("commit record".into()))?;
        if facts.configuration != topology.configuration_hash {
            let (found, given) = (facts.configuration, topology.configuration_hash);
            return Err(NotVerified::OtherConfiguration { partition, found, given });
        }
        facts.rows = rows;
        facts.set_aside = set_aside(reader, partition).await?;
        for history in 0..topology.histories.len() {
            let live = live(reader, Topic::History(history as u16), partition).await?;
            facts.histories.extend(live.into_iter().map(|(key, value)| ((history, key), value)));
        }
        return Ok(Some(facts));
    }
    Err(NotVerified::Overtaken(partition))
}

fn parse(partition: Partition, record: &Json) -> Option<Facts> {
    let mut sources = BTreeMap::new();
    for one in record["sources"].as_array()? {
        let source = Source {
            incarnation: one["incarnation"].as_str()?.parse().ok()?,
            partition: Partition(u32::try_from(one["partition"].as_u64()?).ok()?),
        };
        let pair = |gap: &Json| Some((gap[0].as_u64()?, gap[1].as_u64()?));
        let gaps = one["gaps"].as_array().map_or(Some(vec![]), |gaps| gaps.iter().map(pair).collect())?;
        let next = one["hw"].as_u64().map_or(0, |hw| hw + 1);
        sources.insert(source, SourceFacts { from: one["from"].as_u64()?, next, gaps });
    }
    let eras = record["eras"].as_array().map_or(&[][..], Vec::as_slice);
    let cutovers = record["cutovers"].as_array().map_or(&[][..], Vec::as_slice);
    let eras = eras.iter().zip(cutovers).map(|(one, cutover)| era(one, cutover)).collect::<Option<_>>()?;
    let incarnations = record["incarnations"].as_array()?.iter().map(|text| text.as_str().map(str::to_owned));
    Some(Facts {
        partition,
        commit: record["commit"].as_u64()?,
        now: record["now"].as_i64(),
        floor: record["floor"].as_i64(),
        configuration: hex(&record["configuration"])?,
        eras,
        incarnations: incarnations.collect::<Option<_>>()?,
        sources,
        rows: HashMap::new(),
        set_aside: HashMap::new(),
        histories: HashMap::new(),
    })
}

fn hex(value: &Json) -> Option<u64> {
    u64::from_str_radix(value.as_str()?, 16).ok()
}

fn era(one: &Json, cutover: &Json) -> Option<EraFacts> {
    let cut = |cut: &Json| {
        let partition = Partition(u32::try_from(cut[1].as_u64()?).ok()?);
        Some((Source { incarnation: cut[0].as_str()?.parse().ok()?, partition }, cut[2].as_u64()?))
    };
    let since = |since: &Json| {
        let text = |name: &str| since[name].as_str().map(str::to_owned);
        Some((text("aggregate")?, text("window")?, text("value")?, since["at"].as_i64()?))
    };
    let added = one["since"].as_array().map_or(&[][..], Vec::as_slice);
    Some(EraFacts {
        configuration: hex(&one["configuration"])?,
        until: one["until"].as_u64()?,
        cuts: cutover["cuts"].as_array()?.iter().map(cut).collect::<Option<_>>()?,
        since: added.iter().map(since).collect::<Option<_>>()?,
    })
}

/// Last value of every key of a compacted partition; tombstones take theirs away.
async fn live(
    reader: &mut dyn Reader,
    topic: Topic,
    partition: Partition,
) -> Result<HashMap<String, String>, NotVerified> {
    let mut live = HashMap::new();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    // Pane records are bytes and nobody asks for them here.
    let wanted = |key: &[u8]| topic != Topic::State || key == b"commit";
    each_batch(reader, TopicPartition { topic, partition }, |batch| {
        for record in &batch.records {
            let Some(key) = batch.key(record).filter(|key| wanted(key)) else { continue };
            match batch.value(record) {
                Some(value) => live.insert(text(key), text(value)),
                None => live.remove(&text(key)),
            };
        }
    })
    .await?;
    Ok(live)
}

async fn set_aside(
    reader: &mut dyn Reader,
    partition: Partition,
) -> Result<HashMap<(Source, u64), Aside>, NotVerified> {
    let mut all = HashMap::new();
    let mut bad = None;
    each_batch(reader, TopicPartition { topic: Topic::SetAside, partition }, |batch| {
        for record in &batch.records {
            let value = batch.value(record).and_then(|value| serde_json::from_slice::<Json>(value).ok());
            match value.as_ref().and_then(aside) {
                Some((place, aside)) => {
                    all.insert(place, aside);
                }
                None => bad = Some(format!("set-aside record at offset {}", record.offset)),
            }
        }
    })
    .await?;
    bad.map_or(Ok(all), |what| Err(NotVerified::Unreadable(what)))
}

fn aside(value: &Json) -> Option<((Source, u64), Aside)> {
    let coordinate = &value["coordinate"];
    let source = Source {
        incarnation: coordinate["incarnation"].as_str()?.parse().ok()?,
        partition: Partition(u32::try_from(coordinate["partition"].as_u64()?).ok()?),
    };
    let pair = |pair: &Json| Some((pair[0].as_str()?.to_owned(), pair[1].as_str()?.to_owned()));
    let aside = match value["reason"].as_str()? {
        "duplicate" => Aside::Duplicate,
        "future" => Aside::Future,
        "late" => Aside::Late(value["late"].as_array()?.iter().map(pair).collect::<Option<_>>()?),
        _ => return None,
    };
    Some(((source, coordinate["offset"].as_u64()?), aside))
}

/// All committed records that stand in a partition now.
pub(super) async fn each_batch(
    reader: &mut dyn Reader,
    at: TopicPartition,
    each: impl FnMut(&RecordBatch),
) -> Result<(), NotVerified> {
    each_batch_from(reader, at, NextOffset(0), each).await
}

/// Those from a position on.
pub(super) async fn each_batch_from(
    reader: &mut dyn Reader,
    at: TopicPartition,
    from: NextOffset,
    mut each: impl FnMut(&RecordBatch),
) -> Result<(), NotVerified> {
    let ends = reader.ends(at, Isolation::ReadCommitted).await?;
    let mut next: NextOffset = ends.first.max(from);
    while next < ends.next {
        let batch = reader.read(at, next, READ_BYTES).await?;
        each(&batch);
        if batch.next <= next {
            break;
        }
        next = batch.next;
    }
    Ok(())
}

fn json(what: &str, text: &str) -> Result<Json, NotVerified> {
    serde_json::from_str(text).map_err(|error| NotVerified::Unreadable(format!("{what}: {error}")))
}
