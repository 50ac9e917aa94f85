//! One open block: the units of one source for one target since the last block was closed.

use super::contribution::Datum;
use super::key_table::Entry;
use super::plan::{SlotPlan, SlotSource};
use crate::model::{BlockWriter, EventTime, Offset, RoutingVersion, Source};
use crate::topology::CellKind;

#[derive(Default)]
pub(super) struct Builder {
    /// Distinct for each block of a source.
    number: u64,
    prev: Option<Offset>,
    block: BlockWriter,
    scratch: Vec<u8>,
}

impl Builder {
    /// No unit, finished or begun.
    pub(super) fn is_empty(&self) -> bool {
        self.block.is_empty()
    }

    /// What the encoded block weighs, but for its head.
    pub(super) fn bytes(&self) -> usize {
        self.block.bytes()
    }

    /// `prev` is the offset of the unit before the first one.
    pub(super) fn begin(&mut self, number: u64, prev: Option<Offset>) {
        self.number = number;
        self.prev = prev;
    }

    /// Adds one element's row to the unit that is being built.
    pub(super) fn push_row(
        &mut self,
        (aggregate, slots): (usize, &[SlotPlan]),
        (entry, prefix): (&mut Entry, &[u8]),
        tenant: &str,
        (event, element): (Offset, u32),
        values: &[Datum<'_>],
    ) {
        if entry.block != self.number {
            (entry.block, entry.place) = (self.number, self.push_key(aggregate, tenant, prefix));
        }
        if entry.event != event.0 {
            (entry.event, entry.counted) = (event.0, 0);
        }
        let cells = self.block.cells.bytes.len();
        let mut present = 0;
        for slot in slots {
            if !super::condition::holds(&slot.when, |column| values[column]) {
                continue;
            }
            let is_here = match slot.source {
                SlotSource::EachElement => true,
                SlotSource::FirstElement => entry.counted & slot.bit == 0,
                SlotSource::Column { column, cell, scalar } => {
                    self.push_cell(cell, values[column], |out| values[column].write_text(out, scalar))
                }
            };
            if is_here {
                present |= slot.bit;
            }
        }
        entry.counted |= present;
        self.block.push_row(entry.place, element, present, cells);
    }

    pub(super) fn push_history(&mut self, history: u16, key: &[u8], value: &[u8]) {
        self.block.push_history(history, key, value);
    }

    /// Closes the unit: rows and histories since the last one are its.
    pub(super) fn finish_unit(&mut self, offset: Offset, event_time: EventTime, id: u128) {
        self.block.push_unit(offset, event_time, id);
    }

    /// Hands out the block's record and leaves the builder empty.
    pub(super) fn close(&mut self, source: Source, version: RoutingVersion) -> Vec<u8> {
        self.block.finish(source, version, self.prev.take())
    }

    fn push_key(&mut self, aggregate: usize, tenant: &str, prefix: &[u8]) -> u32 {
        let tenant = self.block.text(tenant.as_bytes());
        let aggregate = u16::try_from(aggregate).expect("a topology has few aggregates");
        self.block.push_key(aggregate, tenant, prefix)
    }

    /// Whether there was a value to put.
    fn push_cell(&mut self, cell: CellKind, value: Datum<'_>, write_text: impl Fn(&mut Vec<u8>)) -> bool {
        let cells = &mut self.block.cells;
        match (cell, value) {
            (_, Datum::Absent) => return false,
            (CellKind::Count, _) => {}
            (CellKind::Number, Datum::Number(number)) => cells.zigzag(number),
            (CellKind::Double, Datum::Double(double)) => cells.f64(double),
            (CellKind::Text, Datum::Text(text)) => {
                let text = self.block.text(text);
                self.block.cells.varint(u64::from(text));
            }
            (CellKind::Hash, Datum::Text(text)) => cells.u128(xxhash_rust::xxh3::xxh3_128(text)),
            (CellKind::Hash, Datum::Number(_) | Datum::Double(_)) => {
                self.scratch.clear();
                write_text(&mut self.scratch);
                cells.u128(xxhash_rust::xxh3::xxh3_128(&self.scratch));
            }
            (CellKind::Number | CellKind::Double | CellKind::Text, value) => {
                unreachable!("a checked column holds one kind of value, not {value:?} for {cell:?}")
            }
        }
        true
    }
}
