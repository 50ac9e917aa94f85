//! Bounds what the rows of one event weigh in a block, so that every unit fits into one.
//!
//! The estimate never falls below the truth. For each aggregate it takes the heaviest of its inputs,
//! whatever their conditions, and for each element of that input
//!
//! * a row: 24 bytes (key, element, presence, place of its cells) and every cell at its widest;
//! * a key: 96 bytes for the fixed text, the names in it, 32 for each number, and the `by` texts and
//!   the tenant as JSON spells them (up to six bytes for one); once if no `by` names the element;
//!
//! and once each text that a cell may point to. A history adds its key and its columns as JSON. All of
//! it must stay under half of [`BLOCK_BYTES_MAX`]: the other half is for the block's own head.
//!
//! Nearly every event passes by a bound from its size and its number of elements; only a heavy one is
//! measured text by text.

use super::places::Place;
use super::refusal::{Refusal, Result};
use super::texts::Texts;
use crate::model::{BLOCK_BYTES_MAX, Column, KEY_TEXT_BYTES_MAX, PARTITION_TEXT_BYTES_MAX, Rejection, Span};
use crate::topology::{
    Aggregate, CellKind, FieldIndex, FieldType, Function, History, Input, SlotOrigin, Topology,
};

const WEIGHT_MAX: usize = BLOCK_BYTES_MAX / 2;
const UNIT: usize = 64;
const ROW: usize = 24;
const KEY: usize = 96;
const NUMBER: usize = 32;
/// One byte in a JSON string: `\u0000`.
const ESCAPED_MAX: usize = 6;
/// Coordinate, times, tenant and event id around a history's columns, without the texts.
const HISTORY: usize = 512;

#[derive(Debug)]
pub(super) struct Weight {
    tenant: FieldIndex,
    aggregates: Vec<Vec<Element>>,
    histories: Vec<HistoryWeight>,
}

/// What one element of one input may weigh.
#[derive(Debug)]
struct Element {
    each: Option<FieldIndex>,
    row: usize,
    /// Without its texts.
    key: usize,
    is_key_per_element: bool,
    by: Vec<Place>,
    /// What cells of text may point to.
    cells: Vec<Place>,
}

#[derive(Debug)]
struct HistoryWeight {
    by: Vec<FieldIndex>,
    /// Column, and bytes of names and punctuation for one value, for one item of a list.
    columns: Vec<(FieldIndex, usize, usize)>,
}

/// An event as far as its weight goes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Weighed<'a> {
    pub(super) columns: &'a [Column],
    pub(super) row: usize,
    pub(super) texts: &'a Texts<'a>,
    pub(super) id: Span,
    /// The record's value.
    pub(super) bytes: usize,
}

impl Weight {
    pub(super) fn new(topology: &Topology) -> Weight {
        let elements = |aggregate: &Aggregate| {
            aggregate.inputs.iter().map(|input| Element::new(aggregate, input)).collect()
        };
        let histories = topology.histories.iter().map(|history| HistoryWeight::new(history, topology));
        Weight {
            tenant: topology.tenant,
            aggregates: topology.aggregates.iter().map(elements).collect(),
            histories: histories.collect(),
        }
    }

    pub(super) fn check(&self, event: Weighed<'_>) -> Result<()> {
        if self.at_most(event) > WEIGHT_MAX && self.measured(event) > WEIGHT_MAX {
            return Err(Refusal::whole(Rejection::TooManyRows));
        }
        Ok(())
    }

    /// From the record's size and the number of elements alone: keys were bounded before, and all
    /// other texts lie in the record.
    fn at_most(&self, event: Weighed<'_>) -> usize {
        let aggregates = self
            .aggregates
            .iter()
            .map(|inputs| inputs.iter().map(|input| input.at_most(event)).max().unwrap_or(0));
        let histories = self.histories.iter().map(|history| history.at_most(event));
        UNIT + aggregates.sum::<usize>() + histories.sum::<usize>()
    }

    fn measured(&self, event: Weighed<'_>) -> usize {
        let tenant = event.spelled(Place::Field(self.tenant).texts(event.columns, event.row));
        let aggregates = self
            .aggregates
            .iter()
            .map(|inputs| inputs.iter().map(|input| input.measured(event, tenant)).max().unwrap_or(0));
        let histories = self.histories.iter().map(|history| history.measured(event, tenant));
        UNIT + aggregates.sum::<usize>() + histories.sum::<usize>()
    }
}

impl Element {
    fn new(aggregate: &Aggregate, input: &Input) -> Element {
        let width = |cell: CellKind| match cell {
            CellKind::Count => 0,
            CellKind::Number => 10,
            CellKind::Double => 8,
            // Its place, and how long it is.
            CellKind::Text => 10,
            CellKind::Hash => 16,
        };
        let names = aggregate.by.iter().map(|&column| aggregate.columns[column].name.len() + NUMBER);
        let by: Vec<_> = aggregate.by.iter().filter_map(|&column| Place::of(input, column)).collect();
        let is_constant = aggregate.by.iter().all(|&column| {
            input.sources[column].is_none()
                || Place::of(input, column).is_some_and(|place| !place.is_per_element())
        });
        let text_columns = aggregate.slots.iter().filter(|slot| slot.cell == CellKind::Text);
        let text_columns = text_columns.filter_map(|slot| match slot.origin {
            SlotOrigin::Carry(column) => Some(column),
            SlotOrigin::Value(value) => match aggregate.values[value].function {
                Function::Min(column) | Function::Max(column) => Some(column),
                Function::First(column) | Function::Last(column) => Some(column),
                _ => None,
            },
        });
        Element {
            each: input.each,
            row: ROW + aggregate.slots.iter().map(|slot| width(slot.cell)).sum::<usize>(),
            key: KEY + aggregate.name.len() + names.sum::<usize>(),
            is_key_per_element: input.each.is_some() && !is_constant,
            by,
            cells: text_columns.filter_map(|column| Place::of(input, column)).collect(),
        }
    }

    fn count(&self, event: Weighed<'_>) -> usize {
        self.each.map_or(1, |each| event.columns[each].range(event.row).len())
    }

    fn at_most(&self, event: Weighed<'_>) -> usize {
        let tenant = PARTITION_TEXT_BYTES_MAX * ESCAPED_MAX;
        let key = self.key + tenant + self.by.len() * KEY_TEXT_BYTES_MAX * ESCAPED_MAX;
        self.count(event) * (self.row + key) + self.cells.len() * event.bytes
    }

    fn measured(&self, event: Weighed<'_>, tenant: usize) -> usize {
        let count = self.count(event);
        let keys = if self.is_key_per_element { count } else { 1 };
        let by = |place: &Place| {
            let spelled = event.spelled(place.texts(event.columns, event.row));
            if place.is_per_element() { spelled } else { keys * spelled }
        };
        let cell = |place: &Place| event.length(place.texts(event.columns, event.row));
        count * self.row
            + keys * (self.key + tenant)
            + self.by.iter().map(by).sum::<usize>()
            + self.cells.iter().map(cell).sum::<usize>()
    }
}

impl HistoryWeight {
    fn new(history: &History, topology: &Topology) -> HistoryWeight {
        let column = |&field: &FieldIndex| {
            let field_named = &topology.events.fields[field];
            let item = match &field_named.ty {
                FieldType::ListOfStruct(items) => {
                    items.iter().map(|item| item.name.len() + NUMBER).sum::<usize>() + 2
                }
                _ => NUMBER,
            };
            (field, field_named.name.len() + NUMBER, item)
        };
        HistoryWeight { by: history.by.clone(), columns: history.columns.iter().map(column).collect() }
    }

    fn at_most(&self, event: Weighed<'_>) -> usize {
        let texts = (self.columns.len() + self.by.len() + 4) * ESCAPED_MAX * event.bytes;
        let columns = self.columns.iter().map(|&(field, name, item)| name + items(event, field) * item);
        HISTORY + texts + columns.sum::<usize>()
    }

    fn measured(&self, event: Weighed<'_>, tenant: usize) -> usize {
        let by = self
            .by
            .iter()
            .map(|&field| NUMBER + event.spelled(Place::Field(field).texts(event.columns, event.row)));
        let columns = self.columns.iter().map(|&(field, name, item)| {
            name + items(event, field) * item
                + event.spelled_column(&event.columns[field], event.row..event.row + 1)
        });
        // Key and value both name tenant and id.
        let id = event.spelled(std::slice::from_ref(&event.id));
        HISTORY + 2 * (tenant + id + by.sum::<usize>()) + columns.sum::<usize>()
    }
}

fn items(event: Weighed<'_>, field: FieldIndex) -> usize {
    match &event.columns[field] {
        column @ (Column::List { .. } | Column::Map { .. }) => column.range(event.row).len(),
        _ => 0,
    }
}

impl Weighed<'_> {
    fn length(self, spans: &[Span]) -> usize {
        spans.iter().filter(|span| span.is_present()).map(|span| span.len as usize + 5).sum()
    }

    /// Bytes of texts as JSON strings.
    fn spelled(self, spans: &[Span]) -> usize {
        let spelled = |byte: &u8| match byte {
            0..0x20 => ESCAPED_MAX,
            b'"' | b'\\' => 2,
            _ => 1,
        };
        let spans = spans.iter().filter(|span| span.is_present());
        spans.map(|span| 4 + self.texts.of(*span).iter().map(spelled).sum::<usize>()).sum()
    }

    /// Texts of a column, and of all that lies inside of it.
    fn spelled_column(self, column: &Column, rows: std::ops::Range<usize>) -> usize {
        let end = |ends: &[u32], row: usize| if row == 0 { 0 } else { ends[row - 1] as usize };
        match column {
            Column::Text(spans) => self.spelled(&spans[rows]),
            Column::Number(_) | Column::Double(_) => 0,
            Column::List { ends, items, .. } => {
                let inside = end(ends, rows.start)..end(ends, rows.end);
                items.iter().map(|items| self.spelled_column(items, inside.clone())).sum()
            }
            Column::Map { ends, keys, values, .. } => {
                let inside = end(ends, rows.start)..end(ends, rows.end);
                self.spelled(&keys[inside.clone()]) + self.spelled_column(values, inside)
            }
        }
    }
}
