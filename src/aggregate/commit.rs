//! What one transaction writes, and what a commit makes of the state.

use super::calendar::{Bounds, EVER};
use super::commit_record::{COMMIT_KEY, CommitRecord, Dedup, SourceRecord};
use super::duplicates::Duplicates;
use super::entities::{EntityId, PaneId, state_key, write_state_key};
use super::pane::Pane;
use super::rows::{Frame, row_key};
use super::series::{SeriesKind, rolling_end};
use super::target::Target;
use super::transaction::Transaction;
use crate::model::NextOffset;
use crate::topology::{Aggregate, Micros, WindowKind};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// When panes of the base must be looked at again, though no event came.
#[derive(Debug, Default)]
pub(crate) struct Schedule {
    /// Panes that no window needs once time has come this far: by floor for calendar windows, by
    /// the end of rolling windows for theirs.
    deaths: BTreeMap<(bool, Micros), Vec<(EntityId, PaneId)>>,
    /// Ends of rolling windows at which a pane enters or leaves a row. Two panes may turn at one time.
    turns: BTreeMap<Micros, Vec<(EntityId, u16)>>,
    /// What the transaction under way buries.
    buried: Vec<((bool, Micros), usize)>,
}

impl Target {
    /// Is there anything to write, or a position to move?
    pub fn is_behind(&self, next: NextOffset) -> bool {
        next > self.committed
    }

    /// Writes down the overlay as one transaction that ends before `next`. Changes nothing but a note of what it buries.
    pub fn prepare(&mut self, next: NextOffset, to: &mut Transaction) {
        assert!(next >= self.not_before, "a transaction ends at {next}, below a pane at {}", self.not_before);
        self.settle();
        to.begin(next);
        to.set_aside.extend_from(&self.set_aside);
        for (&history, records) in &self.histories {
            to.histories.entry(history).or_default().extend_from(records);
        }
        self.write_panes(to);
        self.write_turns(to);
        self.bury(to);
        self.write_position(to);
        (self.counted.rows, self.counted.tombstones) = (to.rows, to.tombstones);
    }

    fn frame(&self, at: NextOffset) -> Frame<'_> {
        Frame::new(&self.topology, &self.plans, &self.since, self.partition, at)
    }

    /// Changed panes, and the rows of their calendar windows.
    fn write_panes(&self, to: &mut Transaction) {
        let mut frame = self.frame(to.next);
        let mut calendar = self.calendar.clone();
        for touched in &self.entities.overlay {
            let entity = self.entities.get(touched.entity);
            for (id, pane) in &touched.panes {
                let series = &self.series[usize::from(entity.aggregate)][usize::from(id.series)];
                let key = |out: &mut Vec<u8>| write_state_key(out, &entity.prefix, series, id.start);
                to.panes.push(None, key, |out| pane.write(to.next, out));
                if let SeriesKind::Calendar { kind, .. } = series.kind {
                    let bounds =
                        if kind == WindowKind::Ever { EVER } else { calendar.window(kind, id.start) };
                    frame.write_row(&mut to.metrics, entity.aggregate, &entity.prefix, (kind, bounds), pane);
                    to.rows += 1;
                }
            }
        }
    }

    /// Rows of rolling windows: of every entity whose panes changed, or that a pane enters or leaves now.
    fn write_turns(&self, to: &mut Transaction) {
        let Some(now) = self.sources.now else { return };
        let mut frame = self.frame(to.next);
        let mut due: Vec<(EntityId, u16)> = Vec::new();
        for touched in &self.entities.overlay {
            let rolling = touched.panes.iter().map(|(id, _)| (touched.entity, id.series));
            due.extend(rolling.filter(|&(entity, series)| self.rolling(entity, series).is_some()));
        }
        for (&end, turning) in self.schedule.turns.range(..=latest_end(now)) {
            due.extend(turning.iter().filter(|&&(entity, series)| {
                self.rolling(entity, series).is_some_and(|(pane, _)| end <= rolling_end(now, pane))
            }));
        }
        due.sort_unstable();
        due.dedup();
        for (entity, series) in due {
            if let Some((pane, windows)) = self.rolling(entity, series) {
                for &(window, length) in windows {
                    self.write_rolling(to, &mut frame, (entity, series), pane, (window, length));
                }
            }
        }
    }

    fn rolling(&self, entity: EntityId, series: u16) -> Option<(Micros, &[(usize, Micros)])> {
        let aggregate = usize::from(self.entities.try_get(entity)?.aggregate);
        match &self.series[aggregate].get(usize::from(series))?.kind {
            SeriesKind::Rolling { pane, windows, .. } => Some((*pane, windows)),
            SeriesKind::Calendar { .. } => None,
        }
    }

    fn write_rolling(
        &self,
        to: &mut Transaction,
        frame: &mut Frame<'_>,
        (id, series): (EntityId, u16),
        pane: Micros,
        (window, length): (usize, Micros),
    ) {
        let entity = self.entities.get(id);
        let aggregate: &Aggregate = &self.topology.aggregates[usize::from(entity.aggregate)];
        let kind = aggregate.windows[window].kind;
        let Some(now) = self.sources.now else { return };
        let end = rolling_end(now, pane);
        let inside = |end: Micros| move |start: Micros| (end - length..end).contains(&start);
        // Nothing is copied for a window that has one pane, as most have.
        let mut sum: Option<Cow<'_, Pane>> = None;
        for (_, part) in self.entities.merged(id, series).filter(|&(start, _)| inside(end)(start)) {
            match &mut sum {
                Some(sum) => sum.to_mut().merge(&aggregate.slots, part),
                None => sum = Some(Cow::Borrowed(part)),
            }
        }
        match sum {
            Some(sum) => {
                let bounds = Bounds { start: end - length, end };
                frame.write_row(&mut to.metrics, entity.aggregate, &entity.prefix, (kind, bounds), &sum);
                to.rows += 1;
            }
            None => {
                let before = self.base.now.map(|now| rolling_end(now, pane));
                let had_row = before.is_some_and(|end| {
                    entity.panes.iter().any(|(pane, _)| pane.series == series && inside(end)(pane.start))
                });
                // A torn transaction may have shown a row that the base never had.
                if had_row || self.is_torn() {
                    to.metrics.push_tombstone(&row_key(&entity.prefix, kind, None));
                    to.tombstones += 1;
                }
            }
        }
    }

    /// Tombstones for what was dead at the last committed floor: so a torn tombstone is always right.
    fn bury(&mut self, to: &mut Transaction) {
        self.schedule.buried.clear();
        let mut left = self.limits.tombstones;
        for (&key, panes) in &self.schedule.deaths {
            if left == 0 {
                break;
            }
            if !self.is_dead(key, panes) {
                continue;
            }
            let count = panes.len().min(left);
            left -= count;
            self.schedule.buried.push((key, count));
            for &(id, pane) in &panes[panes.len() - count..] {
                let entity = self.entities.get(id);
                let series = &self.series[usize::from(entity.aggregate)][usize::from(pane.series)];
                to.buried.push_tombstone(&state_key(&entity.prefix, series, pane.start));
                if let SeriesKind::Calendar { kind, .. } = series.kind {
                    to.metrics.push_tombstone(&row_key(&entity.prefix, kind, Some(pane.start)));
                    to.tombstones += 1;
                }
            }
        }
    }

    fn is_dead(&self, (is_rolling, dies_at): (bool, Micros), panes: &[(EntityId, PaneId)]) -> bool {
        if !is_rolling {
            return self.base.floor.is_some_and(|floor| dies_at <= floor);
        }
        // Panes that die at one time may have different lengths: the longest rounds up furthest, so ask each.
        self.base.now.is_some_and(|now| {
            panes.iter().all(|&(id, pane)| {
                self.rolling(id, pane.series).is_some_and(|(length, _)| dies_at <= rolling_end(now, length))
            })
        })
    }

    fn write_position(&self, to: &mut Transaction) {
        let commit = self.commit + 1;
        self.frame(to.next).write_position(&mut to.position, commit, &self.sources);
        let start = self.duplicates.as_ref().and_then(Duplicates::start);
        let record = CommitRecord {
            commit,
            next: to.next.0,
            repartition: self.repartition.map(|topic| topic.to_string()),
            // And itself.
            records: to.records() as u64 + 1,
            sources: SourceRecord::from(&self.sources),
            dedup: start.map(|(from, sources)| Dedup { from: from.0, sources: SourceRecord::from(sources) }),
        };
        to.record.push(None, |out| out.extend_from_slice(COMMIT_KEY), |out| out.extend(record.encode()));
    }

    /// The transaction is committed: the overlay becomes the base.
    pub fn fold(&mut self, next: NextOffset) {
        self.settle();
        self.commit += 1;
        self.committed = next;
        for (key, count) in std::mem::take(&mut self.schedule.buried) {
            self.remove_buried(key, count);
        }
        self.base = self.sources.clone();
        let mut born = Vec::new();
        self.entities.fold(next, |entity, pane| born.push((entity, pane)));
        for (entity, pane) in born {
            self.plan(entity, pane);
        }
        let now = self.base.now;
        if let Some(now) = now {
            self.forget_turns(now);
        }
        self.duplicates.iter_mut().for_each(Duplicates::fold);
        self.set_aside.clear();
        self.histories.clear();
        self.counted = super::target::Counted::default();
    }

    fn remove_buried(&mut self, key: (bool, Micros), count: usize) {
        let panes = self.schedule.deaths.get_mut(&key).expect("what is buried was scheduled");
        let dead = panes.split_off(panes.len() - count);
        if panes.is_empty() {
            self.schedule.deaths.remove(&key);
        }
        for (id, pane) in dead {
            self.entities.remove_pane(id, pane);
        }
    }

    /// Notes when a pane that came into the base has to be looked at again.
    pub(crate) fn plan(&mut self, id: EntityId, pane: PaneId) {
        let aggregate = usize::from(self.entities.get(id).aggregate);
        let schedule = &mut self.schedule;
        match &self.series[aggregate][usize::from(pane.series)].kind {
            SeriesKind::Calendar { kind: WindowKind::Ever, .. } => {}
            SeriesKind::Calendar { kind, keep, .. } => {
                let end = self.calendar.window(*kind, pane.start).end;
                schedule.deaths.entry((false, end.saturating_add(*keep))).or_default().push((id, pane));
            }
            SeriesKind::Rolling { pane: length, windows, longest } => {
                let after = pane.start + length;
                schedule.deaths.entry((true, after + longest)).or_default().push((id, pane));
                let end = self.base.now.map_or(Micros::MIN, |now| rolling_end(now, *length));
                let turns = windows.iter().map(|(_, length)| after + length).chain([after]);
                for turn in turns.filter(|&turn| turn > end) {
                    schedule.turns.entry(turn).or_default().push((id, pane.series));
                }
            }
        }
    }

    /// Turns that every row has made at `now`.
    fn forget_turns(&mut self, now: Micros) {
        let due: Vec<Micros> = self.schedule.turns.range(..=latest_end(now)).map(|(&end, _)| end).collect();
        for end in due {
            let mut waiting = self.schedule.turns.remove(&end).expect("found above");
            waiting.retain(|&(entity, series)| {
                self.rolling(entity, series).is_some_and(|(pane, _)| end > rolling_end(now, pane))
            });
            if !waiting.is_empty() {
                self.schedule.turns.insert(end, waiting);
            }
        }
    }
}

/// No window ends later than this at `now`: the longest pane is a day.
fn latest_end(now: Micros) -> Micros {
    rolling_end(now, 86_400_000_000)
}
