//! One open block: the units of one source for one target since the last block was closed.

use super::contribution::Datum;
use super::plan::SlotSource;
use crate::model::{BlockWriter, EventTime, Offset, RoutingVersion, Source};
use crate::topology::CellKind;

#[derive(Default)]
pub(super) struct Builder {
    prev: Option<Offset>,
    block: BlockWriter,
    /// For each key of the block.
    counted: Vec<Counted>,
    scratch: Vec<u8>,
}

/// Offset of the event that a key last got a row from, and what this event was counted for.
#[derive(Clone, Copy)]
struct Counted {
    event: Offset,
    present: u64,
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
    pub(super) fn begin(&mut self, prev: Option<Offset>) {
        self.prev = prev;
    }

    /// The key's place in the block: the hash of its beginning, its aggregate and tenant, and the beginning itself.
    pub(super) fn key(&mut self, hash: u64, aggregate: u16, tenant: &[u8], prefix: &[u8]) -> u32 {
        let place = self.block.key(hash, aggregate, tenant, prefix);
        if place as usize == self.counted.len() {
            self.counted.push(Counted { event: Offset(u64::MAX), present: 0 });
        }
        place
    }

    /// Adds one element's row to the unit that is being built. `holds`: the slots whose conditions do.
    pub(super) fn push_row(
        &mut self,
        slots: &[SlotSource],
        key: u32,
        (event, element): (Offset, u32),
        mut holds: u64,
        values: &[Datum<'_>],
    ) {
        let counted = self.counted[key as usize];
        let before = if counted.event == event { counted.present } else { 0 };
        let cells = self.block.cells.bytes.len();
        let mut present = 0;
        while holds != 0 {
            let slot = holds.trailing_zeros();
            holds &= holds - 1;
            let is_here = match slots[slot as usize] {
                SlotSource::EachElement => true,
                SlotSource::FirstElement => before & (1 << slot) == 0,
                SlotSource::Column { column, cell, scalar } => {
                    self.push_cell(cell, values[column], |out| values[column].write_text(out, scalar))
                }
            };
            present |= u64::from(is_here) << slot;
        }
        self.counted[key as usize] = Counted { event, present: before | present };
        self.block.push_row(key, element, present, cells);
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
        self.counted.clear();
        self.block.finish(source, version, self.prev.take())
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
