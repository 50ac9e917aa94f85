//! Two group-bys with dense slots, and the exact set of ids that were seen.

use super::hop::{COMPLETED, KINDS, ORDERED, Row};
use foldhash::fast::FixedState;
use std::collections::{HashMap, HashSet};

pub(crate) struct Groups {
    pub(crate) vendors: Group,
    pub(crate) products: Group,
    ids: HashSet<u128, FixedState>,
    pub(crate) newest: i64,
}

/// Slots by key, and which of them changed since the last commit.
pub(crate) struct Group {
    places: HashMap<u64, u32, FixedState>,
    pub(crate) slots: Vec<Slot>,
    pub(crate) changed: Vec<u32>,
}

#[derive(Default)]
pub(crate) struct Slot {
    pub(crate) key: u64,
    pub(crate) counts: [u64; KINDS],
    pub(crate) revenue: i64,
    pub(crate) buyers: Vec<u128>,
    pub(crate) vendor: u64,
    /// Offset of the event that was counted last: an event counts once for a key.
    last: u64,
    is_changed: bool,
}

impl Groups {
    pub(crate) fn new() -> Groups {
        let seeded = || FixedState::with_seed(7);
        let group =
            || Group { places: HashMap::with_hasher(seeded()), slots: Vec::new(), changed: Vec::new() };
        Groups { vendors: group(), products: group(), ids: HashSet::with_hasher(seeded()), newest: 0 }
    }

    /// Rows of all targets.
    pub(crate) fn take(&mut self, rows: &[Vec<Row>]) {
        for (target, rows) in rows.iter().enumerate() {
            let mut event = (u64::MAX, false);
            for row in rows {
                // The first row of an event decides for all of them.
                if row.offset != event.0 {
                    event = (row.offset, self.ids.insert(row.id ^ target as u128));
                    self.newest = self.newest.max(row.time);
                }
                if event.1 {
                    let group = if row.is_vendor { &mut self.vendors } else { &mut self.products };
                    group.add(row);
                }
            }
        }
    }
}

impl Group {
    fn add(&mut self, row: &Row) {
        let Group { places, slots, changed } = self;
        let place = *places.entry(row.key).or_insert_with(|| {
            slots.push(Slot { key: row.key, last: u64::MAX, ..Slot::default() });
            slots.len() as u32 - 1
        });
        let slot = &mut slots[place as usize];
        if !slot.is_changed {
            slot.is_changed = true;
            changed.push(place);
        }
        if slot.last != row.offset {
            slot.last = row.offset;
            slot.counts[usize::from(row.kind)] += 1;
        }
        if row.kind == COMPLETED {
            slot.revenue += row.amount;
        }
        if row.is_vendor && row.kind == ORDERED {
            if let Err(at) = slot.buyers.binary_search(&row.other) {
                slot.buyers.insert(at, row.other);
            }
        } else {
            slot.vendor = row.other as u64;
        }
    }

    pub(crate) fn commit(&mut self) {
        for place in self.changed.drain(..) {
            self.slots[place as usize].is_changed = false;
        }
    }
}
