//! Keys and their panes: the base, and the overlay of what changed since the last commit.

use super::pane::Pane;
use super::places::{PlaceSets, SetId};
use super::series::{Place, Series};
use crate::model::NextOffset;
use crate::topology::{Micros, Slot, Topology};
use hashbrown::HashTable;
use indexmap::IndexMap;
use std::collections::BTreeSet;
use xxhash_rust::xxh3::xxh3_64;

/// Place of an entity; reused after it is gone.
pub(crate) type EntityId = u32;

/// One key of one aggregate.
#[derive(Debug)]
pub(crate) struct Entity {
    pub aggregate: u16,
    pub tenant: u32,
    /// The row key up to and with `by`.
    pub prefix: Box<[u8]>,
    /// Sorted by (series, start).
    pub panes: Vec<(PaneId, Pane)>,
    /// When no window needs any of its panes any more; only grows while it lives.
    pub dies_at: Micros,
    /// Counts against its tenant's cap: all but `__other__`.
    is_capped: bool,
    /// One more than its place in the overlay; 0 for none.
    touched: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct PaneId {
    pub series: u16,
    pub start: Micros,
}

/// What changed of an entity since the last commit.
#[derive(Debug)]
pub(crate) struct Touched {
    pub entity: EntityId,
    /// Changed panes, copied from the base at their first change. Sorted.
    pub panes: Vec<(PaneId, Pane)>,
    /// What [`Entities::settle`] has to add to them, by the set of places that it goes to. Sorted.
    changes: Vec<(SetId, Pane)>,
}

#[derive(Debug, Default)]
pub(crate) struct Entities {
    slots: Vec<Option<Entity>>,
    free: Vec<EntityId>,
    by_prefix: HashTable<EntityId>,
    tenants: IndexMap<Box<[u8]>, Tenant, foldhash::fast::FixedState>,
    pub overlay: Vec<Touched>,
    /// Undo list of `dies_at`: (entity, what it was).
    grown: Vec<(EntityId, Micros)>,
    /// Entities that came with the overlay.
    born: Vec<EntityId>,
}

#[derive(Debug, Default)]
struct Tenant {
    /// Entities by when they die: those above the floor count against the cap. `__other__` is not among them.
    by_death: BTreeSet<(Micros, EntityId)>,
}

impl Entities {
    pub(crate) fn get(&self, id: EntityId) -> &Entity {
        self.slots[id as usize].as_ref().expect("ids are of entities that are here")
    }

    /// `None` once it is gone; its place may have another entity by then.
    pub(crate) fn try_get(&self, id: EntityId) -> Option<&Entity> {
        self.slots.get(id as usize)?.as_ref()
    }

    fn get_mut(&mut self, id: EntityId) -> &mut Entity {
        self.slots[id as usize].as_mut().expect("ids are of entities that are here")
    }

    pub(crate) fn find(&self, prefix: &[u8]) -> Option<EntityId> {
        self.by_prefix.find(xxh3_64(prefix), |&id| &*self.get(id).prefix == prefix).copied()
    }

    /// Entities that live, over all tenants.
    pub(crate) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub(crate) fn ids(&self) -> impl Iterator<Item = EntityId> {
        (0u32..).zip(&self.slots).filter(|(_, slot)| slot.is_some()).map(|(id, _)| id)
    }

    /// How many of a tenant's entities some window still needs at this floor.
    pub(crate) fn living(&self, tenant: u32, floor: Option<Micros>) -> usize {
        let by_death = &self.tenants[tenant as usize].by_death;
        match floor {
            None => by_death.len(),
            Some(floor) => by_death.len() - by_death.range(..=(floor, EntityId::MAX)).count(),
        }
    }

    /// An upper bound of [`Entities::living`] that costs nothing.
    pub(crate) fn held(&self, tenant: u32) -> usize {
        self.tenants[tenant as usize].by_death.len()
    }

    pub(crate) fn tenant(&mut self, name: &[u8]) -> u32 {
        let place = match self.tenants.get_index_of(name) {
            Some(place) => place,
            None => self.tenants.insert_full(name.into(), Tenant::default()).0,
        };
        u32::try_from(place).expect("fewer tenants than 2^32")
    }

    pub(crate) fn add(&mut self, aggregate: u16, tenant: u32, prefix: &[u8], is_capped: bool) -> EntityId {
        let (panes, dies_at) = (Vec::new(), Micros::MIN);
        let entity =
            Entity { aggregate, tenant, prefix: prefix.into(), panes, dies_at, is_capped, touched: 0 };
        let id = match self.free.pop() {
            Some(id) => {
                self.slots[id as usize] = Some(entity);
                id
            }
            None => {
                self.slots.push(Some(entity));
                u32::try_from(self.slots.len() - 1).expect("fewer entities than 2^32")
            }
        };
        let slots = &self.slots;
        let hash_of =
            |&id: &EntityId| xxh3_64(&slots[id as usize].as_ref().expect("indexed entities are here").prefix);
        self.by_prefix.insert_unique(xxh3_64(prefix), id, hash_of);
        self.born.push(id);
        id
    }

    /// Every key, by its place.
    #[cfg(test)]
    pub(crate) fn live(&self) -> impl Iterator<Item = &Entity> {
        self.slots.iter().flatten()
    }

    /// The pane to change, in the overlay. A new pane may let the entity live longer.
    pub(crate) fn touch(&mut self, id: EntityId, pane: PaneId, dies_at: Micros, slots: &[Slot]) -> &mut Pane {
        self.live_until(id, dies_at);
        let touched = self.touched(id);
        let entity = self.slots[id as usize].as_ref().expect("ids are of entities that are here");
        let panes = &mut self.overlay[touched].panes;
        let place = match panes.binary_search_by_key(&pane, |(id, _)| *id) {
            Ok(place) => place,
            Err(place) => {
                let copy = base(entity, pane).cloned().unwrap_or_else(|| Pane::empty(slots));
                panes.insert(place, (pane, copy));
                place
            }
        };
        &mut panes[place].1
    }

    /// The sum of what changes in all of these places at once; it goes to their panes when the overlay is settled.
    pub(crate) fn change(&mut self, id: EntityId, set: SetId, dies_at: Micros, slots: &[Slot]) -> &mut Pane {
        self.live_until(id, dies_at);
        let touched = self.touched(id);
        let changes = &mut self.overlay[touched].changes;
        let place = match changes.last() {
            Some((last, _)) if *last == set => changes.len() - 1,
            _ => changes.binary_search_by_key(&set, |(id, _)| *id).unwrap_or_else(|place| {
                // Most entities change in one set of places only.
                changes.reserve_exact(usize::from(changes.is_empty()));
                changes.insert(place, (set, Pane::empty(slots)));
                place
            }),
        };
        &mut changes[place].1
    }

    fn touched(&mut self, id: EntityId) -> usize {
        let entity = self.slots[id as usize].as_mut().expect("ids are of entities that are here");
        if entity.touched == 0 {
            self.overlay.push(Touched { entity: id, panes: Vec::new(), changes: Vec::new() });
            entity.touched = u32::try_from(self.overlay.len()).expect("fewer entities than 2^32");
        }
        entity.touched as usize - 1
    }

    /// Brings all changes to their panes in the overlay.
    pub(crate) fn settle(&mut self, topology: &Topology, sets: &PlaceSets) {
        let Entities { slots, overlay, .. } = self;
        for touched in overlay {
            let entity = slots[touched.entity as usize].as_ref().expect("ids are of entities that are here");
            let cells = &topology.aggregates[usize::from(entity.aggregate)].slots;
            for (set, change) in std::mem::take(&mut touched.changes) {
                touched.add(entity, &sets.get(set).places, &change, cells);
            }
        }
    }

    fn live_until(&mut self, id: EntityId, dies_at: Micros) {
        let entity = self.get_mut(id);
        let before = entity.dies_at;
        if before >= dies_at {
            return;
        }
        entity.dies_at = dies_at;
        let (tenant, is_capped) = (entity.tenant as usize, entity.is_capped);
        self.grown.push((id, before));
        if is_capped {
            let by_death = &mut self.tenants[tenant].by_death;
            by_death.remove(&(before, id));
            by_death.insert((dies_at, id));
        }
    }

    /// What the base holds of an entity, with the overlay's changes over it, in the order of (series, start).
    pub(crate) fn merged(&self, id: EntityId, series: u16) -> impl Iterator<Item = (Micros, &Pane)> {
        let entity = self.get(id);
        let changed: &[(PaneId, Pane)] = match entity.touched {
            0 => &[],
            place => &self.overlay[place as usize - 1].panes,
        };
        let (base, changed) = (range(&entity.panes, series), range(changed, series));
        let kept =
            base.iter().filter(|(id, _)| changed.binary_search_by_key(id, |(changed, _)| *changed).is_err());
        kept.chain(changed).map(|(id, pane)| (id.start, pane))
    }

    /// The overlay becomes the base. Calls `is_new` for every pane that was not there before.
    pub(crate) fn fold(&mut self, at: NextOffset, mut is_new: impl FnMut(EntityId, PaneId)) {
        for touched in std::mem::take(&mut self.overlay) {
            let entity = self.get_mut(touched.entity);
            entity.touched = 0;
            for (id, mut pane) in touched.panes {
                // What was restored may stand further than this commit.
                pane.at = at.max(pane.at);
                match entity.panes.binary_search_by_key(&id, |(id, _)| *id) {
                    Ok(place) => entity.panes[place].1 = pane,
                    Err(place) => {
                        entity.panes.insert(place, (id, pane));
                        is_new(touched.entity, id);
                    }
                }
            }
        }
        self.grown.clear();
        self.born.clear();
    }

    /// As if nothing had changed since the last fold.
    pub(crate) fn drop_overlay(&mut self) {
        for touched in std::mem::take(&mut self.overlay) {
            self.get_mut(touched.entity).touched = 0;
        }
        while let Some((id, before)) = self.grown.pop() {
            let entity = self.get_mut(id);
            let after = std::mem::replace(&mut entity.dies_at, before);
            let tenant = entity.tenant as usize;
            let by_death = &mut self.tenants[tenant].by_death;
            if by_death.remove(&(after, id)) && before != Micros::MIN {
                by_death.insert((before, id));
            }
        }
        for id in std::mem::take(&mut self.born) {
            self.remove(id);
        }
    }

    /// Forgets a pane of the base, and the entity with its last one.
    pub(crate) fn remove_pane(&mut self, id: EntityId, pane: PaneId) {
        let Some(entity) = self.slots[id as usize].as_mut() else { return };
        if let Ok(place) = entity.panes.binary_search_by_key(&pane, |(id, _)| *id) {
            entity.panes.remove(place);
        }
        if entity.panes.is_empty() && entity.touched == 0 {
            self.remove(id);
        }
    }

    fn remove(&mut self, id: EntityId) {
        let entity = self.slots[id as usize].take().expect("an entity is removed once");
        self.tenants[entity.tenant as usize].by_death.remove(&(entity.dies_at, id));
        let found = self.by_prefix.find_entry(xxh3_64(&entity.prefix), |&other| other == id);
        found.expect("every entity is indexed").remove();
        self.free.push(id);
    }

    /// Puts a restored pane into the base.
    pub(crate) fn restore(&mut self, id: EntityId, pane: PaneId, value: Pane, dies_at: Micros) {
        self.live_until(id, dies_at);
        let panes = &mut self.get_mut(id).panes;
        match panes.binary_search_by_key(&pane, |(id, _)| *id) {
            Ok(place) => panes[place].1 = value,
            Err(place) => panes.insert(place, (pane, value)),
        }
    }
}

impl Touched {
    fn add(&mut self, entity: &Entity, places: &[Place], change: &Pane, slots: &[Slot]) {
        self.panes.reserve_exact(if self.panes.is_empty() { places.len() } else { 0 });
        for (series, place) in (0u16..).zip(places) {
            let Place::Pane { start, .. } = *place else { continue };
            let pane = PaneId { series, start };
            match self.panes.binary_search_by_key(&pane, |(id, _)| *id) {
                Ok(place) => self.panes[place].1.merge(slots, change),
                Err(place) => {
                    let new = match base(entity, pane) {
                        Some(base) => {
                            let mut sum = base.clone();
                            sum.merge(slots, change);
                            sum
                        }
                        None => change.clone(),
                    };
                    self.panes.insert(place, (pane, new));
                }
            }
        }
    }
}

fn base(entity: &Entity, pane: PaneId) -> Option<&Pane> {
    let place = entity.panes.binary_search_by_key(&pane, |(id, _)| *id).ok()?;
    Some(&entity.panes[place].1)
}

fn range(panes: &[(PaneId, Pane)], series: u16) -> &[(PaneId, Pane)] {
    let start = panes.partition_point(|(id, _)| id.series < series);
    let end = panes.partition_point(|(id, _)| id.series <= series);
    &panes[start..end]
}

/// Key of a pane's record in `state`: prefix, a zero byte (JSON has none), the series' name, another, the start.
pub(crate) fn write_state_key(out: &mut Vec<u8>, prefix: &[u8], series: &Series, start: Micros) {
    out.extend_from_slice(prefix);
    out.push(0);
    out.extend_from_slice(series.name.as_bytes());
    out.push(0);
    out.extend_from_slice(&start.to_be_bytes());
}

pub(crate) fn state_key(prefix: &[u8], series: &Series, start: Micros) -> Vec<u8> {
    let mut key = Vec::new();
    write_state_key(&mut key, prefix, series, start);
    key
}

/// (prefix, series name, start) of a pane record's key; `None` for other keys.
pub(crate) fn parse_state_key(key: &[u8]) -> Option<(&[u8], &str, Micros)> {
    let prefix = memchr::memchr(0, key)?;
    let rest = &key[prefix + 1..];
    let name = memchr::memchr(0, rest)?;
    let start = rest[name + 1..].try_into().ok().map(Micros::from_be_bytes)?;
    Some((&key[..prefix], std::str::from_utf8(&rest[..name]).ok()?, start))
}
