//! One open block: the units of one source for one target since the last block was closed.

use super::contribution::Datum;
use super::key_table::Entry;
use super::plan::{SlotPlan, SlotSource};
use crate::model::{Block, EventTime, HistoryRow, Key, Offset, RoutingVersion, Row, Source, Unit, Writer};
use crate::topology::CellKind;
use foldhash::quality::FixedState;
use indexmap::IndexSet;

/// What a unit takes in a block, without its rows; and a row, without its cells. Rounded up: an
/// estimate only paces, no decision hangs on it.
const UNIT_BYTES: usize = 28;
const ROW_BYTES: usize = 10;

pub(super) struct Builder {
    /// Distinct for each block of a source.
    pub(super) number: u64,
    prev: Option<Offset>,
    keys: Vec<Key>,
    texts: IndexSet<Vec<u8>, FixedState>,
    units: Vec<Unit>,
    rows: Vec<Row>,
    cells: Writer,
    history: Vec<HistoryRow>,
    bytes: usize,
    scratch: Vec<u8>,
}

impl Builder {
    pub(super) fn new() -> Self {
        Builder {
            number: 0,
            prev: None,
            keys: Vec::new(),
            texts: IndexSet::with_hasher(FixedState::with_seed(0x7468_616c_7765_6732)),
            units: Vec::new(),
            rows: Vec::new(),
            cells: Writer::default(),
            history: Vec::new(),
            bytes: 0,
            scratch: Vec::new(),
        }
    }

    /// No unit, finished or begun.
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.history.is_empty()
    }

    /// About what the encoded block weighs.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
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
        entry: &mut Entry,
        tenant: &str,
        (event, element): (Offset, u32),
        values: &[Datum<'_>],
    ) {
        if entry.block != self.number {
            (entry.block, entry.place) = (self.number, self.push_key(aggregate, tenant, &entry.prefix));
        }
        if entry.event != event.0 {
            (entry.event, entry.counted) = (event.0, 0);
        }
        let begin = self.cells.bytes.len();
        let cells = u32::try_from(begin).expect("a block stays far below 4 GiB");
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
        self.rows.push(Row { key: entry.place, element, present, cells });
        self.bytes += ROW_BYTES + self.cells.bytes.len() - begin;
    }

    pub(super) fn push_history(&mut self, row: HistoryRow) {
        self.bytes += row.key.len() + row.value.len() + 8;
        self.history.push(row);
    }

    /// Closes the unit: rows and histories since the last one are its.
    pub(super) fn finish_unit(&mut self, offset: Offset, event_time: EventTime, id: u128) {
        let (rows, history) = self.units.last().map_or((0, 0), |unit| (unit.rows.end, unit.history.end));
        let rows = rows..self.rows.len() as u32;
        let history = history..self.history.len() as u32;
        self.units.push(Unit { offset, event_time, id, rows, history });
        self.bytes += UNIT_BYTES;
    }

    /// Hands out the block and leaves the builder empty.
    pub(super) fn close(&mut self, source: Source, version: RoutingVersion) -> Block {
        self.bytes = 0;
        Block {
            source,
            version,
            prev: self.prev.take(),
            keys: std::mem::take(&mut self.keys),
            texts: self.texts.drain(..).collect(),
            units: std::mem::take(&mut self.units),
            rows: std::mem::take(&mut self.rows),
            cells: std::mem::take(&mut self.cells.bytes),
            history: std::mem::take(&mut self.history),
        }
    }

    fn push_key(&mut self, aggregate: usize, tenant: &str, prefix: &[u8]) -> u32 {
        let tenant = self.text(tenant.as_bytes());
        let aggregate = u16::try_from(aggregate).expect("a topology has few aggregates");
        self.keys.push(Key { aggregate, tenant, prefix: prefix.to_vec() });
        self.bytes += prefix.len() + 6;
        self.keys.len() as u32 - 1
    }

    /// Whether there was a value to put.
    fn push_cell(&mut self, cell: CellKind, value: Datum<'_>, write_text: impl Fn(&mut Vec<u8>)) -> bool {
        match (cell, value) {
            (_, Datum::Absent) => return false,
            (CellKind::Count, _) => {}
            (CellKind::Number, Datum::Number(number)) => self.cells.zigzag(number),
            (CellKind::Double, Datum::Double(double)) => self.cells.f64(double),
            (CellKind::Text, Datum::Text(text)) => {
                let text = self.text(text);
                self.cells.varint(u64::from(text));
            }
            (CellKind::Hash, Datum::Text(text)) => self.cells.u128(xxhash_rust::xxh3::xxh3_128(text)),
            (CellKind::Hash, Datum::Number(_) | Datum::Double(_)) => {
                self.scratch.clear();
                write_text(&mut self.scratch);
                self.cells.u128(xxhash_rust::xxh3::xxh3_128(&self.scratch));
            }
            (CellKind::Number | CellKind::Double | CellKind::Text, value) => {
                unreachable!("a checked column holds one kind of value, not {value:?} for {cell:?}")
            }
        }
        true
    }

    fn text(&mut self, text: &[u8]) -> u32 {
        let place = self.texts.get_index_of(text).unwrap_or_else(|| {
            self.bytes += text.len() + 2;
            self.texts.insert_full(text.to_vec()).0
        });
        place as u32
    }
}
