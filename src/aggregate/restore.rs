//! Back to the state of the last commit: from the records of `state`, then from a stretch of the repartition log.

use super::commit_record::{COMMIT_KEY, CommitRecord};
use super::entities::{PaneId, parse_state_key};
use super::era::{Era, SinceTable, decode_pane};
use super::series::SeriesKind;
use super::sources::{Halt, Sources, Verdict};
use super::target::{Limits, OTHER, Target};
use crate::model::{
    Damaged, HopOne, LogTime, NextOffset, Offset, Partition,
    mutation::{self, Mutation},
};
use crate::topology::{Micros, Topology, WindowKind};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Takes the records of one `state` partition, in their order, up to its captured end.
///
/// The last record of every key is kept, also behind the last commit record: every pane names where
/// it stands. (Discarding what follows the commit record would lose panes whose forerunner the cleaner has eaten.)
#[derive(Debug)]
pub struct Restoring {
    topology: Arc<Topology>,
    partition: Partition,
    limits: Limits,
    panes: BTreeMap<Vec<u8>, Vec<u8>>,
    commit: Option<CommitRecord>,
    /// The time before the cut-over that the next record is.
    crossing: Option<Era>,
    /// Used by a mutation alone.
    tail: Vec<StateRecord>,
}

/// Key and value of a record of `state`.
type StateRecord = (Vec<u8>, Option<Vec<u8>>);

/// Where a restored target goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// The commit record is the position; `None`: nothing was ever committed, so the beginning of the log.
    pub next: Option<NextOffset>,
    /// The duplicate set is rebuilt from the records between this and `next`.
    pub duplicates_from: Option<NextOffset>,
}

/// Why a state cannot be gone on from.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotRestored {
    #[error("state record of {key}: {damage}")]
    Damaged { key: String, damage: Damaged },
    #[error("the commit record is not one that this version can read")]
    CommitRecord,
    #[error(
        "the state was made under configuration {found:016x}, this worker has {ours:016x}: \
         a change of the topology needs a cut-over or a new deployment name"
    )]
    Configuration { found: u64, ours: u64 },
    #[error("the state keeps panes `{series}` of `{aggregate}`, which the topology does not have")]
    UnknownPanes { aggregate: String, series: String },
}

impl Restoring {
    pub fn new(topology: Arc<Topology>, partition: Partition, limits: Limits) -> Self {
        Restoring {
            topology,
            partition,
            limits,
            panes: BTreeMap::new(),
            commit: None,
            crossing: None,
            tail: Vec::new(),
        }
    }

    /// Position and configuration of the last commit.
    pub fn committed(&self) -> Option<(NextOffset, u64)> {
        let commit = self.commit.as_ref()?;
        Some((NextOffset(commit.next), commit.sources.parse()?.configuration))
    }

    /// What was taken up to the last commit.
    pub fn sources(&self) -> Option<Sources> {
        self.commit.as_ref()?.sources.parse()
    }

    /// Goes on under another topology than this worker's own: one whose time ends further on in the log.
    #[must_use]
    pub fn under(self, topology: Arc<Topology>) -> Self {
        Restoring { topology, ..self }
    }

    /// Goes on from the state of `old`: the next record, at `until`, is the cut-over to this worker's topology.
    #[must_use]
    pub fn crossing(self, old: &Topology, until: NextOffset) -> Self {
        Restoring { crossing: Some(Era::of(old, until)), ..self }
    }

    pub fn apply(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), NotRestored> {
        if mutation::is(Mutation::TornTailDiscarded) {
            return self.apply_to_last_commit(key, value);
        }
        if key == COMMIT_KEY {
            let record = value.and_then(CommitRecord::decode);
            self.commit = Some(record.ok_or(NotRestored::CommitRecord)?);
            return Ok(());
        }
        match value {
            Some(value) => self.panes.insert(key.to_vec(), value.to_vec()),
            None => self.panes.remove(key),
        };
        Ok(())
    }

    /// A mutation: panes count only once a commit record has come behind them.
    fn apply_to_last_commit(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<(), NotRestored> {
        if key != COMMIT_KEY {
            self.tail.push((key.to_vec(), value.map(<[u8]>::to_vec)));
            return Ok(());
        }
        for (key, value) in std::mem::take(&mut self.tail) {
            match value {
                Some(value) => self.panes.insert(key, value),
                None => self.panes.remove(&key),
            };
        }
        let record = value.and_then(CommitRecord::decode);
        self.commit = Some(record.ok_or(NotRestored::CommitRecord)?);
        Ok(())
    }

    pub fn finish(self) -> Result<(Target, Position), NotRestored> {
        let mut target = Target::new(Arc::clone(&self.topology), self.partition, self.limits);
        let mut position = Position { next: None, duplicates_from: None };
        if let Some(commit) = &self.commit {
            let sources = commit.sources.parse().ok_or(NotRestored::CommitRecord)?;
            let ours = self.topology.configuration_hash;
            let is_of = |era: &Era| era.configuration == format!("{:016x}", sources.configuration);
            if sources.configuration != ours && !self.crossing.as_ref().is_some_and(is_of) {
                return Err(NotRestored::Configuration { found: sources.configuration, ours });
            }
            target.base = sources.clone();
            target.sources = sources;
            target.commit = commit.commit;
            target.committed = NextOffset(commit.next);
            target.repartition = commit.reads().map_err(|_| NotRestored::CommitRecord)?;
            position.next = Some(target.committed);
            position.duplicates_from = commit.dedup.as_ref().map(|dedup| NextOffset(dedup.from));
        }
        let mut eras = target.sources.eras.clone();
        eras.extend(self.crossing.map(Arc::new));
        for (key, value) in &self.panes {
            put(&mut target, &eras, key, value)?;
        }
        target.since = SinceTable::of(&target.topology, &target.sources.eras);
        // Restored panes are the base: nothing of them is undone by an abort.
        target.entities.fold(NextOffset(0), |_, _| {});
        for id in target.entities.ids().collect::<Vec<_>>() {
            let panes: Vec<PaneId> = target.entities.get(id).panes.iter().map(|(id, _)| *id).collect();
            panes.into_iter().for_each(|pane| target.plan(id, pane));
        }
        Ok((target, position))
    }

    /// What was known where the duplicate set begins.
    pub fn duplicates_sources(&self) -> Option<Sources> {
        self.commit.as_ref()?.dedup.as_ref()?.sources.parse()
    }
}

fn put(target: &mut Target, eras: &[Arc<Era>], key: &[u8], value: &[u8]) -> Result<(), NotRestored> {
    let damaged = |damage| NotRestored::Damaged { key: String::from_utf8_lossy(key).into_owned(), damage };
    let bad = || damaged(Damaged { what: "key of a pane record", at: 0 });
    let (prefix, name, start) = parse_state_key(key).ok_or_else(bad)?;
    let (aggregate, tenant, is_other) = parse_prefix(prefix).ok_or_else(bad)?;
    let unknown = || NotRestored::UnknownPanes { aggregate: aggregate.clone(), series: name.to_string() };
    let place =
        target.topology.aggregates.iter().position(|known| known.name == aggregate).ok_or_else(unknown)?;
    let series = target.series[place].iter().position(|series| series.name == name).ok_or_else(unknown)?;
    let mut pane = decode_pane(value, &target.topology.aggregates[place], eras).map_err(damaged)?;
    if mutation::is(Mutation::PaneAtIgnored) {
        pane.at = NextOffset(0);
    }
    let dies_at = match &target.series[place][series].kind {
        SeriesKind::Calendar { kind: WindowKind::Ever, .. } => Micros::MAX,
        SeriesKind::Calendar { kind, keep, .. } => {
            target.calendar.window(*kind, start).end.saturating_add(*keep)
        }
        SeriesKind::Rolling { pane, longest, .. } => start + pane + longest,
    };
    target.not_before = target.not_before.max(pane.at);
    let tenant = target.entities.tenant(tenant.as_bytes());
    let id = match target.entities.find(prefix) {
        Some(id) => id,
        None => target.entities.add(place as u16, tenant, prefix, !is_other),
    };
    target.entities.restore(id, PaneId { series: series as u16, start }, pane, dies_at);
    Ok(())
}

/// (aggregate, tenant, is it `__other__`?) of a row key's beginning.
fn parse_prefix(prefix: &[u8]) -> Option<(String, String, bool)> {
    #[derive(serde::Deserialize)]
    struct Prefix {
        aggregate: String,
        tenant_id: String,
        by: BTreeMap<String, String>,
    }
    let whole = [prefix, b"}"].concat();
    let parsed: Prefix = serde_json::from_slice(&whole).ok()?;
    Some((parsed.aggregate, parsed.tenant_id, parsed.by.contains_key(OTHER)))
}

/// Runs the rules of taking again over the stretch of the log that the duplicate set reaches back.
#[derive(Debug)]
pub struct Rebuilding {
    sources: Sources,
}

impl Rebuilding {
    pub fn new(sources: Sources) -> Self {
        Rebuilding { sources }
    }

    /// One record of the stretch, in the order of the log.
    pub fn take(
        &mut self,
        target: &mut Target,
        offset: Offset,
        append: LogTime,
        record: &[u8],
    ) -> Result<(), Halt> {
        let Some(duplicates) = &mut target.duplicates else { return Ok(()) };
        match HopOne::view(record)? {
            HopOne::Block(block) => {
                let before = self.sources.clone();
                if let Verdict::Take(units) = self.sources.judge(&block) {
                    duplicates.begin(offset, append, &before);
                    for unit in &block.units[units] {
                        duplicates.take(unit.id);
                    }
                }
            }
            fact => {
                // A record that halted was skipped as a whole by whoever went on behind it.
                let before = self.sources.clone();
                let configuration = match &fact {
                    // Of a cut-over in this stretch it is known that it was crossed.
                    HopOne::Cutover(cutover) => cutover.configuration,
                    _ => target.topology.configuration_hash,
                };
                if self.sources.fact(&fact, configuration).is_err() {
                    self.sources = before;
                }
            }
        }
        Ok(())
    }

    /// The set is what it was at the last commit.
    pub fn finish(self, target: &mut Target) {
        target.duplicates.iter_mut().for_each(super::duplicates::Duplicates::fold);
    }
}

#[cfg(test)]
mod tests {
    use super::super::target::Recreated;
    use super::*;
    use crate::model::Incarnation;

    #[test]
    fn a_position_in_a_repartition_topic_is_no_position_in_the_one_that_was_made_after_it() {
        let text = include_str!("../../topologies/tenant-insights/topology.yaml");
        let topology = Arc::new(crate::topology::check(text).unwrap());
        let mut written = Target::new(Arc::clone(&topology), Partition(0), Limits::default());
        written.reads(Incarnation(7)).unwrap();
        let mut transaction = crate::aggregate::Transaction::default();
        written.prepare(NextOffset(2), &mut transaction);
        let record = transaction.record.iter().next().unwrap();

        let mut restoring = Restoring::new(topology, Partition(0), Limits::default());
        restoring.apply(record.key, record.value).unwrap();
        let (mut target, position) = restoring.finish().unwrap();

        assert_eq!(position.next, Some(NextOffset(2)));
        assert_eq!(target.reads(Incarnation(7)), Ok(()));
        let recreated = Recreated { found: Incarnation(8), expected: Incarnation(7) };
        assert_eq!(target.reads(Incarnation(8)), Err(recreated));
    }
}
