//! What a cut-over leaves behind: how panes of the time before it lie, and since when each new value counts.
//!
//! A pane record says where it stands, so its layout is that of the first era which ends at or behind it; what stands
//! behind all of them has the topology's own. A value goes through an era only by its name: one that was gone for a time
//! begins anew, because a sum with a hole in it is a partial number.

use super::pane::{Cell, Pane};
use crate::model::{Damaged, NextOffset, Reader};
use crate::topology::{
    Aggregate, CellKind, Fold, Function, Micros, Slot, SlotOrigin, Topology, ValueIndex, WindowKind,
};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// Part of the commit record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Era {
    /// Where its cut-over stands in the repartition partition: what was committed up to it is of this era.
    pub until: u64,
    /// Hash of the configuration that it replaced.
    pub configuration: String,
    /// By aggregate: what its panes keep, in their order.
    pub slots: BTreeMap<String, Vec<KeptSlot>>,
    /// Values that its cut-over added.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub since: Vec<Since>,
}

/// Name, fold and cell, as words. A carried column's name has a space in it, which no value's has.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeptSlot(String, String, String);

/// A value counts everything of a window that begins at or after `at`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Since {
    pub aggregate: String,
    pub window: String,
    pub value: String,
    /// UTC microseconds.
    pub at: Micros,
}

const FOLDS: [(Fold, &str); 8] = [
    (Fold::Count, "count"),
    (Fold::Sum, "sum"),
    (Fold::Min, "min"),
    (Fold::Max, "max"),
    (Fold::First, "first"),
    (Fold::Last, "last"),
    (Fold::Mean, "mean"),
    (Fold::Distinct, "distinct"),
];
const CELLS: [(CellKind, &str); 5] = [
    (CellKind::Count, "count"),
    (CellKind::Number, "number"),
    (CellKind::Double, "double"),
    (CellKind::Text, "text"),
    (CellKind::Hash, "hash"),
];

impl KeptSlot {
    fn of(aggregate: &Aggregate, slot: &Slot) -> KeptSlot {
        let name = match slot.origin {
            SlotOrigin::Value(value) => aggregate.values[value].name.clone(),
            SlotOrigin::Carry(column) => format!("carry {}", aggregate.columns[column].name),
        };
        let fold = FOLDS.iter().find(|(fold, _)| *fold == slot.fold).expect("every fold has a word").1;
        let cell = CELLS.iter().find(|(cell, _)| *cell == slot.cell).expect("every cell has a word").1;
        KeptSlot(name, fold.into(), cell.into())
    }

    fn slot(&self) -> Option<Slot> {
        let fold = FOLDS.iter().find(|(_, word)| *word == self.1)?.0;
        let cell = CELLS.iter().find(|(_, word)| *word == self.2)?.0;
        // Whose it is stands in its name here.
        Some(Slot { fold, cell, origin: SlotOrigin::Value(0) })
    }
}

impl Era {
    /// The time of `old`, which ends at `until`.
    pub fn of(old: &Topology, until: NextOffset) -> Era {
        let slots = |aggregate: &Aggregate| {
            let slots = aggregate.slots.iter().map(|slot| KeptSlot::of(aggregate, slot)).collect();
            (aggregate.name.clone(), slots)
        };
        Era {
            until: until.0,
            configuration: format!("{:016x}", old.configuration_hash),
            slots: old.aggregates.iter().map(slots).collect(),
            since: Vec::new(),
        }
    }

    /// What `new` has and `old` had not. `latest` says how far any pane of a window reaches, and time itself where none
    /// does: a window that begins there or later holds nothing of the time before.
    pub(crate) fn adds(
        mut self,
        old: &Topology,
        new: &Topology,
        mut latest: impl FnMut(usize, WindowKind) -> Option<Micros>,
    ) -> Era {
        for (place, aggregate) in new.aggregates.iter().enumerate() {
            let before = old.aggregates.iter().find(|known| known.name == aggregate.name);
            for window in &aggregate.windows {
                let had_window =
                    before.is_some_and(|before| before.windows.iter().any(|known| known.kind == window.kind));
                let had = |name: &str| {
                    had_window
                        && before.is_some_and(|before| before.values.iter().any(|known| known.name == name))
                };
                let folded = aggregate.values.iter().filter(|value| !is_derived(&value.function));
                let Some(at) = latest(place, window.kind) else { continue };
                self.since.extend(folded.filter(|value| !had(&value.name)).map(|value| Since {
                    aggregate: aggregate.name.clone(),
                    window: window.kind.name(),
                    value: value.name.clone(),
                    at,
                }));
            }
        }
        self
    }

    fn keeps(&self, aggregate: &str, slot: &KeptSlot) -> bool {
        self.slots.get(aggregate).is_some_and(|slots| slots.contains(slot))
    }
}

fn is_derived(function: &Function) -> bool {
    matches!(function, Function::Ratio { .. } | Function::Difference(..))
}

/// Reads a pane of any era as one of the topology's own.
pub(crate) fn decode_pane(bytes: &[u8], aggregate: &Aggregate, eras: &[Arc<Era>]) -> Result<Pane, Damaged> {
    let at = Reader::new(bytes, "pane record").varint()?;
    let Some(first) = eras.iter().position(|era| at <= era.until) else {
        return Pane::decode(bytes, &aggregate.slots);
    };
    let unknown = Damaged { what: "pane of an aggregate that its era does not know", at: 0 };
    let kept = eras[first].slots.get(&aggregate.name).ok_or_else(|| unknown.clone())?;
    let slots: Option<Vec<Slot>> = kept.iter().map(KeptSlot::slot).collect();
    let old = Pane::decode(bytes, &slots.ok_or(unknown)?)?;
    let mut pane = Pane { at: old.at, ..Pane::empty(&aggregate.slots) };
    let mut cells: Vec<Option<Cell>> = old.cells.into_iter().map(Some).collect();
    for (cell, slot) in pane.cells.iter_mut().zip(&aggregate.slots) {
        let wanted = KeptSlot::of(aggregate, slot);
        let place = kept.iter().position(|known| *known == wanted);
        let is_whole = eras[first + 1..].iter().all(|era| era.keeps(&aggregate.name, &wanted));
        if let Some(old) = place.filter(|_| is_whole).and_then(|place| cells[place].take()) {
            *cell = old;
        }
    }
    Ok(pane)
}

/// For each value of each window since when it counts; nothing at all where there never was a cut-over.
#[derive(Debug, Default)]
pub(crate) struct SinceTable(Vec<BTreeMap<WindowKind, Vec<Option<Micros>>>>);

impl SinceTable {
    pub(crate) fn of(topology: &Topology, eras: &[Arc<Era>]) -> SinceTable {
        let all: Vec<&Since> = eras.iter().flat_map(|era| &era.since).collect();
        if all.is_empty() {
            return SinceTable::default();
        }
        let row = |aggregate: &Aggregate, kind: WindowKind| {
            let own = |value: ValueIndex| {
                let name = &aggregate.values[value].name;
                let is_it = |since: &&&Since| {
                    since.aggregate == aggregate.name && since.value == *name && since.window == kind.name()
                };
                all.iter().filter(is_it).map(|since| since.at).max()
            };
            (0..aggregate.values.len()).map(|value| of_value(aggregate, value, &own)).collect()
        };
        let table = |aggregate: &Aggregate| {
            aggregate.windows.iter().map(|window| (window.kind, row(aggregate, window.kind))).collect()
        };
        SinceTable(topology.aggregates.iter().map(table).collect())
    }

    /// By value; `None` where all of them have counted ever since.
    pub(crate) fn window(&self, aggregate: usize, kind: WindowKind) -> Option<&[Option<Micros>]> {
        let row = self.0.get(aggregate)?.get(&kind)?;
        row.iter().any(Option::is_some).then_some(row)
    }
}

/// What is made of values counts since the youngest of them does.
fn of_value(
    aggregate: &Aggregate,
    value: ValueIndex,
    own: &impl Fn(ValueIndex) -> Option<Micros>,
) -> Option<Micros> {
    match aggregate.values[value].function {
        Function::Ratio { over: left, under: right, .. } | Function::Difference(left, right) => {
            of_value(aggregate, left, own).max(of_value(aggregate, right, own))
        }
        _ => own(value),
    }
}
