//! Where a contribution goes in every series of its aggregate, as one number.
//!
//! Neighbours in time go to the same places. So what a commit changes is first summed by key and set of places, once
//! for all series, and goes to the panes when the commit is written.

use super::series::Place;
use crate::topology::Micros;
use foldhash::fast::FixedState;
use indexmap::{Equivalent, IndexSet};
use std::hash::{Hash, Hasher};

/// Number of a set, rising, until the sets are cleared.
pub(crate) type SetId = u32;

#[derive(Debug, Default)]
pub(crate) struct PlaceSets {
    sets: IndexSet<PlaceSet, FixedState>,
    /// For each aggregate the set that was asked for last.
    last: Vec<SetId>,
}

#[derive(Debug)]
pub(crate) struct PlaceSet {
    aggregate: u16,
    /// By series.
    pub places: Box<[Place]>,
    /// When no window needs any of its panes; `None` if it has none.
    pub dies_at: Option<Micros>,
    pub has_late: bool,
}

/// A set as it is looked up.
struct Asked<'a>(u16, &'a [Place]);

impl PlaceSets {
    pub(crate) fn find(&mut self, aggregate: u16, places: &[Place]) -> SetId {
        let index = usize::from(aggregate);
        if self.last.len() <= index {
            self.last.resize(index + 1, SetId::MAX);
        }
        let asked = Asked(aggregate, places);
        if self.sets.get_index(self.last[index] as usize).is_some_and(|last| asked.equivalent(last)) {
            return self.last[index];
        }
        let place = self.sets.get_index_of(&asked).unwrap_or_else(|| {
            let dies = |place: &Place| match *place {
                Place::Pane { dies_at, .. } => Some(dies_at),
                Place::Late | Place::Past => None,
            };
            let set = PlaceSet {
                aggregate,
                dies_at: places.iter().filter_map(dies).max(),
                has_late: places.contains(&Place::Late),
                places: places.into(),
            };
            self.sets.insert_full(set).0
        });
        self.last[index] = SetId::try_from(place).expect("a commit has fewer units than 2^32");
        self.last[index]
    }

    /// Nobody keeps a number over [`PlaceSets::clear`].
    pub(crate) fn get(&self, id: SetId) -> &PlaceSet {
        &self.sets[id as usize]
    }

    pub(crate) fn clear(&mut self) {
        self.sets.clear();
        self.last.clear();
    }
}

impl Hash for PlaceSet {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.aggregate, &*self.places).hash(state);
    }
}

impl PartialEq for PlaceSet {
    fn eq(&self, other: &PlaceSet) -> bool {
        Asked(self.aggregate, &self.places).equivalent(other)
    }
}

impl Eq for PlaceSet {}

impl Hash for Asked<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        (self.0, self.1).hash(state);
    }
}

impl Equivalent<PlaceSet> for Asked<'_> {
    fn equivalent(&self, set: &PlaceSet) -> bool {
        (self.0, self.1) == (set.aggregate, &*set.places)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_places_of_one_aggregate_are_one_set() {
        let pane = |start| Place::Pane { start, dies_at: start + 10 };
        let mut sets = PlaceSets::default();

        let found = [
            sets.find(0, &[pane(0), pane(5)]),
            sets.find(1, &[pane(0), pane(5)]),
            sets.find(0, &[pane(0), Place::Late]),
            sets.find(0, &[pane(0), pane(5)]),
            sets.find(1, &[Place::Past, Place::Past]),
        ];

        assert_eq!(found, [0, 1, 2, 0, 3]);
        let told = |id| (sets.get(id).dies_at, sets.get(id).has_late);
        assert_eq!([told(0), told(2), told(3)], [(Some(15), false), (Some(10), true), (None, false)]);
    }
}
