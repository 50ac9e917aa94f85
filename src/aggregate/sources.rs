//! What was taken from each source, and how far time has come: hop one's receiving end.
//!
//! ```text
//! block  prev ≤ hw: units above hw are new;  prev > hw: a hole, ignored, its live sender will fill it
//! link   last ≤ hw: hw = below − 1;          last > hw: the log has lost data: halt
//! gap    last ≤ hw: hw = to − 1, for ever on record
//! ```

use super::era::Era;
use crate::model::{
    Block, Cutover, Gap, HopOne, Incarnation, Link, LogTime, NextOffset, Offset, Partition, Reroute,
    RoutingVersion, Source, Unit,
    mutation::{self, Mutation},
};
use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

/// An event's time counts at most this much beyond the time when the log took its block.
const AHEAD_MAX: i64 = 60_000_000;

/// Part of the commit record: small, and cloned into every overlay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sources {
    pub version: RoutingVersion,
    pub configuration: u64,
    /// In the order in which they came: ties of first and last are broken by it. The last is the current one.
    pub incarnations: Vec<Incarnation>,
    pub states: BTreeMap<Source, SourceState>,
    /// Partitions of the raw topic, as links say.
    pub raw_partitions: u32,
    /// Max over the sources: the end of rolling windows.
    pub now: Option<i64>,
    /// Min over the sources of the current incarnation: decides late and expired. Never falls.
    pub floor: Option<i64>,
    /// Without the text of what they replaced.
    pub cutovers: Vec<Cutover>,
    /// One for each cut-over that this target has taken.
    pub eras: Vec<Arc<Era>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceState {
    /// The offset up to which nothing of this source is missing.
    pub hw: Option<Offset>,
    /// Where it was first read.
    pub from: NextOffset,
    /// Stream time.
    pub time: Option<i64>,
    /// Raw records that retention took.
    pub gaps: Vec<(NextOffset, NextOffset)>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// These units of the block are new.
    Take(Range<usize>),
    /// All of it was taken before.
    Replay,
    /// Something between `hw[s]` and this block is missing; its live sender will fill the hole.
    Hole,
    /// Of another routing version, or of a retired incarnation: a zombie's.
    Foreign,
}

/// Why a partition stands still until a person acts.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Halt {
    #[error(
        "the log lost records of raw partition {partition}: a link states that all up to offset {last} was sent, \
         but only what is below {have} is here; stop every route worker and run `thalweg reroute`"
    )]
    Lost { partition: Partition, last: Offset, have: NextOffset },
    #[error(
        "the raw topic was recreated: incarnation {found} is not {expected}; stop every route worker and run \
         `thalweg reroute --new-incarnation`"
    )]
    Recreated { found: Incarnation, expected: Incarnation },
    #[error("a cut-over at {cut} of raw partition {partition}, of which all below {have} was already taken")]
    CutTooLow { partition: Partition, cut: NextOffset, have: NextOffset },
    #[error(
        "a cut-over to version {version} with another configuration than this worker's; start it with the new one"
    )]
    OtherConfiguration { version: RoutingVersion },
    #[error("a cut-over from a topology that this build does not take: {problem}")]
    UnknownTopology { problem: String },
    #[error(
        "the repartition log begins at {begins}, beyond the commit record's {position}, and what lay between is gone; \
         run `thalweg reroute`, then start this worker again"
    )]
    BeginsLate { begins: NextOffset, position: NextOffset },
    #[error(transparent)]
    Damaged(#[from] crate::model::Damaged),
}

impl Sources {
    pub fn new(version: RoutingVersion, configuration: u64) -> Self {
        Sources {
            version,
            configuration,
            incarnations: Vec::new(),
            states: BTreeMap::new(),
            raw_partitions: 0,
            now: None,
            floor: None,
            cutovers: Vec::new(),
            eras: Vec::new(),
        }
    }

    pub fn hw(&self, source: Source) -> Option<Offset> {
        self.states.get(&source).and_then(|state| state.hw)
    }

    /// The incarnation's place in the list.
    pub(crate) fn incarnation(&self, incarnation: Incarnation) -> Option<usize> {
        self.incarnations.iter().position(|&known| known == incarnation)
    }

    /// Judges a block by its `prev`, never by its edges: those may differ on replay.
    pub fn judge<B>(&mut self, block: &Block<B>) -> Verdict {
        let current = self.incarnations.last() == Some(&block.source.incarnation);
        let Some(state) = self.states.get_mut(&block.source).filter(|_| current) else {
            // Before the first link of a source nothing of it can be believed.
            return if self.incarnation(block.source.incarnation).is_some() {
                Verdict::Foreign
            } else {
                Verdict::Hole
            };
        };
        if block.version != self.version {
            return Verdict::Foreign;
        }
        // `None` is below every offset: nothing of this source came before.
        if block.prev > state.hw && !mutation::is(Mutation::PrevIgnored) {
            return Verdict::Hole;
        }
        let first = block.units.partition_point(|unit: &Unit| Some(unit.offset) <= state.hw);
        let Some(last) = block.units[first..].last() else {
            return Verdict::Replay;
        };
        state.hw = Some(last.offset);
        Verdict::Take(first..block.units.len())
    }

    /// Any record of hop one that is no block. Of a record that halts, a part may have been applied.
    pub(crate) fn fact<B>(&mut self, record: &HopOne<B>, configuration: u64) -> Result<(), Halt> {
        match record {
            HopOne::Links(links) => links.links.iter().try_for_each(|link| self.link(link)),
            HopOne::Gap(gap) => self.gap(gap),
            HopOne::Reroute(reroute) => {
                self.reroute(reroute);
                Ok(())
            }
            HopOne::Cutover(cutover) => self.cutover(cutover, configuration).map(|_| ()),
            HopOne::Block(_) => unreachable!("blocks are judged"),
        }
    }

    /// A fact about the log. Another version's is no fact here.
    pub fn link(&mut self, link: &Link) -> Result<(), Halt> {
        if link.version != self.version || self.is_retired(link.source.incarnation) {
            return Ok(());
        }
        let state = self.introduce(link.source, link.below)?;
        check_lost(link.source, link.last, state)?;
        state.hw = state.hw.max(link.below.last());
        if let Some(LogTime(time)) = link.at_end {
            state.time = state.time.max(Some(time));
        }
        self.raw_partitions = self.raw_partitions.max(link.raw_partitions);
        self.move_time();
        Ok(())
    }

    pub fn gap(&mut self, gap: &Gap) -> Result<(), Halt> {
        if gap.version != self.version || self.is_retired(gap.source.incarnation) {
            return Ok(());
        }
        let state = self.introduce(gap.source, gap.from)?;
        check_lost(gap.source, gap.last, state)?;
        if gap.to.last() > state.hw {
            let missing = state.hw.map_or(gap.from, Offset::next).max(gap.from);
            state.gaps.push((missing, gap.to));
            state.hw = gap.to.last();
        }
        Ok(())
    }

    /// A person's word: it may bring a new incarnation, and then retires the sources of the one before.
    pub fn reroute(&mut self, reroute: &Reroute) {
        if self.incarnation(reroute.source.incarnation).is_none() {
            self.incarnations.push(reroute.source.incarnation);
            // The new topic may have fewer, and time must not wait for one that is not there.
            self.raw_partitions = 0;
        }
        if !self.is_retired(reroute.source.incarnation) {
            self.states.entry(reroute.source).or_insert_with(|| SourceState::new(reroute.at));
        }
    }

    /// Says whether it is a new one.
    pub fn cutover(&mut self, cutover: &Cutover, configuration: u64) -> Result<bool, Halt> {
        let remembered = Cutover { before: String::new(), ..cutover.clone() };
        if self.cutovers.contains(&remembered) {
            return Ok(false);
        }
        for &(source, cut) in &cutover.cuts {
            let have = self.hw(source).map_or(NextOffset(0), Offset::next);
            if have > cut {
                return Err(Halt::CutTooLow { partition: source.partition, cut, have });
            }
        }
        if cutover.configuration != configuration {
            return Err(Halt::OtherConfiguration { version: cutover.version });
        }
        self.version = cutover.version;
        self.configuration = cutover.configuration;
        for &(source, cut) in &cutover.cuts {
            let state = self.states.entry(source).or_insert_with(|| SourceState::new(cut));
            state.hw = state.hw.max(cut.last());
        }
        self.cutovers.push(remembered);
        Ok(true)
    }

    /// A unit that was taken moves the stream time of its source, and with it `now` and `floor`.
    pub(crate) fn observe(&mut self, source: Source, event_time: i64, append: LogTime) {
        let time = event_time.min(append.0.saturating_add(AHEAD_MAX));
        let state = self.states.get_mut(&source).expect("units are taken from known sources");
        if state.time.is_none_or(|known| known < time) {
            let held_the_floor = state.time.is_none() || state.time <= self.floor;
            state.time = Some(time);
            self.now = self.now.max(Some(time));
            if held_the_floor || self.floor.is_none() {
                self.move_time();
            }
        }
    }

    fn move_time(&mut self) {
        let newest = self.states.values().filter_map(|state| state.time).max();
        self.now = self.now.max(newest);
        let Some(&current) = self.incarnations.last() else { return };
        let floor = self.floor;
        let mut lowest: Option<i64> = None;
        for partition in (0..self.raw_partitions).map(Partition) {
            let source = Source { incarnation: current, partition };
            // A partition that appears when there is a floor already starts at it; without one all must have spoken.
            let time = self.states.get(&source).and_then(|state| state.time).or(floor);
            let Some(time) = time else { return };
            lowest = Some(lowest.map_or(time, |lowest| lowest.min(time)));
        }
        self.floor = self.floor.max(lowest);
    }

    fn is_retired(&self, incarnation: Incarnation) -> bool {
        let place = self.incarnation(incarnation);
        place.is_some_and(|place| place + 1 < self.incarnations.len())
    }

    fn introduce(&mut self, source: Source, from: NextOffset) -> Result<&mut SourceState, Halt> {
        match self.incarnations.last() {
            None => self.incarnations.push(source.incarnation),
            Some(&expected) if expected != source.incarnation => {
                return Err(Halt::Recreated { found: source.incarnation, expected });
            }
            Some(_) => {}
        }
        Ok(self.states.entry(source).or_insert_with(|| SourceState::new(from)))
    }
}

impl SourceState {
    fn new(from: NextOffset) -> Self {
        SourceState { hw: None, from, time: None, gaps: Vec::new() }
    }
}

fn check_lost(source: Source, last: Option<Offset>, state: &SourceState) -> Result<(), Halt> {
    match last {
        Some(last) if Some(last) > state.hw => {
            let have = state.hw.map_or(NextOffset(0), Offset::next);
            Err(Halt::Lost { partition: source.partition, last, have })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::EventTime;

    const S: Source = Source { incarnation: Incarnation(1), partition: Partition(0) };
    const V: RoutingVersion = RoutingVersion(1);

    fn link(below: u64, last: Option<u64>) -> Link {
        Link {
            source: S,
            version: V,
            below: NextOffset(below),
            last: last.map(Offset),
            raw_partitions: 1,
            at_end: None,
        }
    }

    fn block(prev: Option<u64>, offsets: &[u64]) -> Block {
        let unit = |&offset| Unit {
            offset: Offset(offset),
            event_time: EventTime(0),
            id: 0,
            rows: 0..0,
            history: 0..0,
        };
        Block {
            source: S,
            version: V,
            prev: prev.map(Offset),
            keys: vec![],
            texts: vec![],
            units: offsets.iter().map(unit).collect(),
            rows: vec![],
            cells: vec![],
            history: vec![],
        }
    }

    fn linked() -> Sources {
        let mut sources = Sources::new(V, 0);
        sources.link(&link(0, None)).unwrap();
        sources
    }

    #[test]
    fn a_block_before_any_link_is_not_believed() {
        assert_eq!(Sources::new(V, 0).judge(&block(None, &[0])), Verdict::Hole);
    }

    #[test]
    fn a_block_behind_what_was_taken_brings_only_what_is_new() {
        let mut sources = linked();

        assert_eq!(sources.judge(&block(None, &[1, 4])), Verdict::Take(0..2));
        assert_eq!(sources.judge(&block(None, &[1])), Verdict::Replay);
        assert_eq!(sources.judge(&block(Some(1), &[4, 6])), Verdict::Take(1..2));
        assert_eq!(sources.judge(&block(Some(8), &[9])), Verdict::Hole);
        assert_eq!(sources.hw(S), Some(Offset(6)));
    }

    #[test]
    fn a_link_above_what_was_taken_proves_a_loss() {
        let mut sources = linked();
        sources.judge(&block(None, &[1]));

        let lost = Halt::Lost { partition: Partition(0), last: Offset(5), have: NextOffset(2) };
        assert_eq!(sources.link(&link(9, Some(5))), Err(lost));
        assert_eq!(sources.link(&link(9, Some(1))), Ok(()));
        assert_eq!(sources.hw(S), Some(Offset(8)));
    }

    #[test]
    fn a_gap_stays_on_record() {
        let mut sources = linked();
        sources.judge(&block(None, &[1]));
        let gap =
            Gap { source: S, version: V, from: NextOffset(2), to: NextOffset(7), last: Some(Offset(1)) };

        sources.gap(&gap).unwrap();
        sources.gap(&gap).unwrap();

        assert_eq!(sources.states[&S].gaps, [(NextOffset(2), NextOffset(7))]);
        assert_eq!(sources.judge(&block(Some(6), &[7])), Verdict::Take(0..1));
    }

    #[test]
    fn another_version_is_ignored_until_the_cut_over_and_alone_counts_after_it() {
        let mut sources = linked();
        let new = Block { version: RoutingVersion(2), ..block(Some(4), &[5]) };
        assert_eq!(sources.judge(&new), Verdict::Foreign);

        let cutover = Cutover {
            version: RoutingVersion(2),
            configuration: 0,
            cuts: vec![(S, NextOffset(5))],
            before: String::new(),
        };
        sources.cutover(&cutover, 0).unwrap();

        assert_eq!(sources.judge(&block(None, &[1])), Verdict::Foreign);
        assert_eq!(sources.judge(&new), Verdict::Take(0..1));
    }

    #[test]
    fn a_recreated_topic_halts_until_a_person_says_so() {
        let mut sources = linked();
        let reborn = Source { incarnation: Incarnation(2), partition: Partition(0) };
        let first = Link { source: reborn, ..link(0, None) };
        assert!(matches!(sources.link(&first), Err(Halt::Recreated { .. })));

        sources.reroute(&Reroute { source: reborn, at: NextOffset(0), forgives: None });

        assert_eq!(sources.link(&first), Ok(()));
        assert_eq!(sources.judge(&block(None, &[1])), Verdict::Foreign, "the old source is retired");
    }

    #[test]
    fn a_link_at_the_end_moves_now_though_another_partition_is_silent() {
        let mut sources = linked();
        let at_end = Link { raw_partitions: 2, at_end: Some(LogTime(70)), ..link(0, None) };

        sources.link(&at_end).unwrap();

        assert_eq!((sources.now, sources.floor), (Some(70), None));
    }

    #[test]
    fn there_is_no_floor_until_every_partition_has_spoken() {
        let mut sources = linked();
        let other = Source { partition: Partition(1), ..S };
        sources.link(&Link { source: other, raw_partitions: 2, ..link(0, None) }).unwrap();

        sources.observe(S, 100, LogTime(1_000));
        assert_eq!((sources.now, sources.floor), (Some(100), None));
        sources.observe(other, 40, LogTime(1_000));
        assert_eq!((sources.now, sources.floor), (Some(100), Some(40)));
        sources.observe(other, 300, LogTime(1_000));
        assert_eq!((sources.now, sources.floor), (Some(300), Some(100)));
    }

    #[test]
    fn an_event_ahead_of_the_log_moves_time_only_a_minute_beyond_it() {
        let mut sources = linked();

        sources.observe(S, i64::MAX, LogTime(5));

        assert_eq!(sources.now, Some(5 + AHEAD_MAX));
    }

    #[test]
    fn a_partition_that_appears_later_starts_at_the_floor() {
        let mut sources = linked();
        sources.observe(S, 100, LogTime(1_000));
        let other = Source { partition: Partition(1), ..S };
        sources.link(&Link { source: other, raw_partitions: 2, ..link(0, None) }).unwrap();
        assert_eq!(sources.floor, Some(100));

        sources.observe(S, 200, LogTime(1_000));
        assert_eq!(sources.floor, Some(100), "the silent source holds it");
        sources.observe(other, 150, LogTime(1_000));
        assert_eq!(sources.floor, Some(150));
    }
}
