//! One target partition: takes records of hop one into the overlay.

use super::calendar::Calendar;
use super::duplicates::Duplicates;
use super::entities::{Entities, EntityId, PaneId};
use super::era::SinceTable;
use super::pane::{Given, Order, read_cells};
use super::places::{PlaceSets, SetId};
use super::rows::{RowPlan, instant};
use super::series::{Place, Series, SeriesKind};
use super::sources::{Halt, Sources, Verdict};
use crate::model::{
    Block, Damaged, HopOne, Incarnation, LogTime, NextOffset, Offset, OutBatch, Partition, RoutingVersion,
    Unit,
    mutation::{self, Mutation},
};
use crate::topology::{EventId, Micros, Topology};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Bounds of the state, as settings of a test can shrink them.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Entities of one tenant in one target with rows of their own; the rest are summed under `__other__`.
    pub entities: usize,
    /// Tombstones of one transaction; what is left waits for the next.
    pub tombstones: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { entities: 100_000, tombstones: 50_000 }
    }
}

/// What became of the units since the last fold.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counted {
    pub units: u64,
    pub duplicates: u64,
    pub future: u64,
    /// Contributions × windows that were late.
    pub late: u64,
    /// Rows summed under `__other__`.
    pub other: u64,
    /// Blocks that were ignored because something before them is missing.
    pub holes: u64,
    /// What the transaction under way writes.
    pub rows: u64,
    pub tombstones: u64,
}

/// The repartition topic is not the one that was read so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "the repartition topic was recreated: incarnation {found} is not {expected}, where the last commit stands; what was \
     routed and not yet counted is gone; go on under a new deployment name"
)]
pub struct Recreated {
    pub found: Incarnation,
    pub expected: Incarnation,
}

/// The state of one target partition: base, and overlay over it.
#[derive(Debug)]
pub struct Target {
    pub(crate) topology: Arc<Topology>,
    pub(crate) partition: Partition,
    pub(crate) limits: Limits,
    /// Series of each aggregate.
    pub(crate) series: Vec<Vec<Series>>,
    /// How rows of each aggregate are spelled.
    pub(crate) plans: Vec<RowPlan>,
    pub(crate) calendar: Calendar,
    pub(crate) since: SinceTable,
    pub(crate) base: Sources,
    pub(crate) sources: Sources,
    pub(crate) duplicates: Option<Duplicates>,
    pub(crate) entities: Entities,
    sets: PlaceSets,
    /// A scratch.
    places: Vec<Place>,
    pub(crate) schedule: super::commit::Schedule,
    pub(crate) commit: u64,
    /// Next repartition offset of the last commit.
    pub(crate) committed: NextOffset,
    /// The repartition topic that `committed` counts in, once that is known.
    pub(crate) repartition: Option<Incarnation>,
    /// The first transaction after a restore must not end before this.
    pub(crate) not_before: NextOffset,
    pub(crate) set_aside: OutBatch,
    pub(crate) histories: BTreeMap<u16, OutBatch>,
    pub(crate) counted: Counted,
}

impl Target {
    /// A target of which nothing was ever committed.
    pub fn new(topology: Arc<Topology>, partition: Partition, limits: Limits) -> Self {
        let sources = Sources::new(RoutingVersion(topology.routing_version), topology.configuration_hash);
        let checks_duplicates = topology.events.id != EventId::Coordinate;
        let rule = topology.duplicates;
        Target {
            partition,
            limits,
            series: topology.aggregates.iter().map(Series::of).collect(),
            plans: topology.aggregates.iter().map(RowPlan::of).collect(),
            calendar: Calendar::new(topology.zone.zone.clone()),
            since: SinceTable::default(),
            base: sources.clone(),
            sources,
            duplicates: checks_duplicates.then(|| Duplicates::new(rule.last, rule.horizon)),
            entities: Entities::default(),
            sets: PlaceSets::default(),
            places: Vec::new(),
            schedule: super::commit::Schedule::default(),
            commit: 0,
            committed: NextOffset(0),
            repartition: None,
            not_before: NextOffset(0),
            set_aside: OutBatch::default(),
            histories: BTreeMap::new(),
            counted: Counted::default(),
            topology,
        }
    }

    pub fn partition(&self) -> Partition {
        self.partition
    }

    /// What was taken so far, the overlay included.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    pub fn counted(&self) -> Counted {
        self.counted
    }

    /// Keys with panes in memory.
    pub fn entities(&self) -> usize {
        self.entities.len()
    }

    pub fn committed(&self) -> NextOffset {
        self.committed
    }

    /// Records of this repartition topic come next. The offsets of one that was made again look the same, and say nothing
    /// about what was counted.
    pub fn reads(&mut self, topic: Incarnation) -> Result<(), Recreated> {
        match self.repartition {
            Some(expected) if expected != topic => Err(Recreated { found: topic, expected }),
            _ => {
                self.repartition = Some(topic);
                Ok(())
            }
        }
    }

    /// A transaction that ends before this would let a reader see a pane's past.
    pub fn not_before(&self) -> NextOffset {
        self.not_before
    }

    /// Takes one record of the repartition partition into the overlay. After a halt the overlay may hold a part of the
    /// record: drop it, and take again what lies before the record.
    pub fn take(&mut self, offset: Offset, append: LogTime, record: &[u8]) -> Result<(), Halt> {
        match HopOne::view(record)? {
            HopOne::Block(block) => self.block(offset, append, &block)?,
            HopOne::Cutover(cutover) => self.cross(offset, append, &cutover)?,
            fact => self.sources.fact(&fact, self.topology.configuration_hash)?,
        }
        Ok(())
    }

    fn block(&mut self, offset: Offset, append: LogTime, block: &Block<&[u8]>) -> Result<(), Damaged> {
        let before = self.duplicates.as_ref().map(|_| self.sources.clone());
        let units = match self.sources.judge(block) {
            Verdict::Take(units) => units,
            Verdict::Hole => {
                self.counted.holes += 1;
                return Ok(());
            }
            Verdict::Replay | Verdict::Foreign => return Ok(()),
        };
        if let (Some(duplicates), Some(before)) = (&mut self.duplicates, before) {
            duplicates.begin(offset, append, &before);
        }
        let topology = Arc::clone(&self.topology);
        let mut taking = Taking {
            topology: &topology,
            block,
            offset,
            append,
            entities: vec![None; block.keys.len()],
            places: vec![None; self.topology.aggregates.len()],
            given: Vec::new(),
        };
        for unit in &block.units[units] {
            self.unit(&mut taking, unit)?;
        }
        Ok(())
    }

    fn unit(&mut self, taking: &mut Taking<'_>, unit: &Unit) -> Result<(), Damaged> {
        self.counted.units += 1;
        self.sources.observe(taking.block.source, unit.event_time.0, taking.append);
        if self.duplicates.as_mut().is_some_and(|duplicates| duplicates.take(unit.id)) {
            self.counted.duplicates += 1;
            self.put_aside(taking, unit, "duplicate", &[]);
            return Ok(());
        }
        if unit.event_time.0 > taking.append.0.saturating_add(self.topology.accept_future) {
            self.counted.future += 1;
            self.put_aside(taking, unit, "future", &[]);
            return Ok(());
        }
        taking.places.iter_mut().for_each(|places| *places = None);
        let mut late: Vec<(u16, u16)> = Vec::new();
        for row in unit.rows.clone() {
            self.row(taking, unit, row as usize, &mut late)?;
        }
        for row in &taking.block.history[unit.history.start as usize..unit.history.end as usize] {
            let to = self.histories.entry(row.history).or_default();
            to.push(None, |out| out.extend_from_slice(row.key), |out| out.extend_from_slice(row.value));
        }
        if !late.is_empty() {
            self.counted.late += late.len() as u64;
            late.sort_unstable();
            late.dedup();
            self.put_aside(taking, unit, "late", &late);
        }
        Ok(())
    }

    fn row(
        &mut self,
        taking: &mut Taking<'_>,
        unit: &Unit,
        row: usize,
        late: &mut Vec<(u16, u16)>,
    ) -> Result<(), Damaged> {
        let block = taking.block;
        let row = &block.rows[row];
        let key = &block.keys[row.key as usize];
        let aggregate = usize::from(key.aggregate);
        let Some(definition) = taking.topology.aggregates.get(aggregate) else {
            return Err(Damaged { what: "block: unknown aggregate", at: row.key as usize });
        };
        read_cells(block, row, &definition.slots, &mut taking.given)?;
        let set = match taking.places[aggregate] {
            Some(set) => set,
            None => *taking.places[aggregate].insert(self.places(key.aggregate, unit.event_time.0)),
        };
        let order = Order {
            time: unit.event_time.0,
            incarnation: self.sources.incarnation(block.source.incarnation).unwrap_or(0) as u32,
            partition: block.source.partition.0,
            offset: unit.offset.0,
            element: row.element,
        };
        if self.sets.get(set).has_late {
            let places = self.sets.get(set).places.iter().zip(&self.series[aggregate]);
            late.extend(places.filter_map(|(place, series)| match (place, &series.kind) {
                (Place::Late, SeriesKind::Calendar { window, .. }) => Some((key.aggregate, *window as u16)),
                _ => None,
            }));
        }
        let Some(dies_at) = self.sets.get(set).dies_at else { return Ok(()) };
        let id = self.entity(&mut taking.entities, block, row.key as usize);
        if taking.offset.0 >= self.not_before.0 {
            let sum = self.entities.change(id, set, dies_at, &definition.slots);
            sum.add(&definition.slots, &taking.given, order);
            return Ok(());
        }
        // After a restore a pane may stand further than the position: what is in it is not added again. Its row is
        // written again all the same, because the one that belongs to it may be missing.
        for (series, place) in (0u16..).zip(&self.sets.get(set).places) {
            if let Place::Pane { start, dies_at } = *place {
                let pane = self.entities.touch(id, PaneId { series, start }, dies_at, &definition.slots);
                if pane.at.0 <= taking.offset.0 {
                    pane.add(&definition.slots, &taking.given, order);
                }
            }
        }
        Ok(())
    }

    fn places(&mut self, aggregate: u16, time: Micros) -> SetId {
        let (floor, now) = (self.sources.floor, self.sources.now);
        let (topology, calendar) = (&self.topology, &mut self.calendar);
        let series = self.series[usize::from(aggregate)].iter();
        self.places.clear();
        self.places.extend(series.map(|series| series.place(topology, calendar, time, floor, now)));
        self.sets.find(aggregate, &self.places)
    }

    /// Brings what was taken to the panes of the overlay.
    pub(crate) fn settle(&mut self) {
        self.entities.settle(&self.topology, &self.sets);
        self.sets.clear();
    }

    /// The entity of a block's key, or `__other__` where its tenant has too many. Decided by the log alone: an
    /// entity lives as long as a window at this floor needs it, whether or not its memory was freed.
    fn entity(&mut self, known: &mut [Option<EntityId>], block: &Block<&[u8]>, key: usize) -> EntityId {
        let floor = self.sources.floor;
        let lives = |entities: &Entities, id| floor.is_none_or(|floor| entities.get(id).dies_at > floor);
        let id = known[key].or_else(|| self.entities.find(block.keys[key].prefix));
        known[key] = id;
        if let Some(id) = id.filter(|&id| lives(&self.entities, id)) {
            return id;
        }
        let aggregate = block.keys[key].aggregate;
        let name = block.texts[block.keys[key].tenant as usize];
        let tenant = self.entities.tenant(name);
        let other_prefix = self.other_prefix(aggregate, name);
        let other = self.entities.find(&other_prefix);
        let is_full = self.entities.held(tenant) >= self.limits.entities
            && self.entities.living(tenant, floor) >= self.limits.entities;
        // While `__other__` lives it may hold a part of this key: a row of its own would be a partial number.
        if is_full || other.is_some_and(|other| lives(&self.entities, other)) {
            self.counted.other += 1;
            return other.unwrap_or_else(|| self.entities.add(aggregate, tenant, &other_prefix, false));
        }
        let id = id.unwrap_or_else(|| self.entities.add(aggregate, tenant, block.keys[key].prefix, true));
        known[key] = Some(id);
        id
    }

    fn other_prefix(&self, aggregate: u16, tenant: &[u8]) -> Vec<u8> {
        let name = &self.topology.aggregates[usize::from(aggregate)].name;
        let tenant = serde_json::to_string(&String::from_utf8_lossy(tenant)).expect("text makes JSON");
        let partition = self.partition;
        format!("{{\"aggregate\":\"{name}\",\"tenant_id\":{tenant},\"by\":{{\"{OTHER}\":\"{partition}\"}}")
            .into_bytes()
    }

    /// A record of `set-aside`: what was not counted, by its coordinate.
    fn put_aside(&mut self, taking: &Taking<'_>, unit: &Unit, reason: &str, late: &[(u16, u16)]) {
        let source = taking.block.source;
        let topic = serde_json::to_string(&self.topology.events.topic).expect("text makes JSON");
        let coordinate = format!(
            "{{\"topic\":{topic},\"incarnation\":\"{}\",\"partition\":{},\"offset\":{}}}",
            source.incarnation, source.partition, unit.offset
        );
        let windows = late.iter().map(|&(aggregate, window)| {
            let aggregate = &self.topology.aggregates[usize::from(aggregate)];
            format!("[\"{}\",\"{}\"]", aggregate.name, aggregate.windows[usize::from(window)].kind.name())
        });
        let late = match late {
            [] => String::new(),
            _ => format!(",\"late\":[{}]", windows.collect::<Vec<_>>().join(",")),
        };
        let event_time = instant(unit.event_time.0);
        let partition = self.partition;
        let key = format!("{{\"coordinate\":{coordinate},\"target\":{partition}}}");
        let value = format!(
            "{{\"coordinate\":{coordinate},\"target\":{partition},\"reason\":\"{reason}\"{late},\
             \"event_time\":\"{event_time}\"}}"
        );
        let key = |out: &mut Vec<u8>| out.extend(key.into_bytes());
        self.set_aside.push(Some("set-aside.v1"), key, |out| out.extend(value.into_bytes()));
    }

    /// A transaction that ended before `next` is off, but a late end of another one may have shown readers a part of
    /// it: the next one must not show them an earlier position.
    pub fn must_reach(&mut self, next: NextOffset) {
        self.not_before = self.not_before.max(next);
    }

    /// Readers may have been shown more than the base holds.
    pub(crate) fn is_torn(&self) -> bool {
        self.not_before > self.committed
    }

    /// Forgets all since the last fold, as if it had never been read.
    pub fn drop_overlay(&mut self) {
        if self.sources.eras.len() != self.base.eras.len() {
            self.since = SinceTable::of(&self.topology, &self.base.eras);
        }
        self.sources = self.base.clone();
        if mutation::is(Mutation::OverlayKept) {
            self.settle();
        } else {
            self.entities.drop_overlay();
            self.sets.clear();
        }
        self.duplicates.iter_mut().for_each(Duplicates::drop_overlay);
        self.set_aside.clear();
        self.histories.clear();
        self.counted = Counted::default();
    }
}

/// Stands in `by` for all entities beyond the cap; its value is the partition that sums them.
pub(crate) const OTHER: &str = "__other__";

/// One block, while its units are taken.
struct Taking<'a> {
    topology: &'a Topology,
    block: &'a Block<&'a [u8]>,
    offset: Offset,
    append: LogTime,
    /// Entities of the block's keys, as far as they are known.
    entities: Vec<Option<EntityId>>,
    /// Where this unit's event time lies in the series of each aggregate.
    places: Vec<Option<SetId>>,
    given: Vec<(usize, Given<'a>)>,
}
