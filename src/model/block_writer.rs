//! A block in the making: its wire form, section by section, with no list of rows in between.
//!
//! What it hands out is what [`HopOne::encode`](super::HopOne::encode) would make of the same block.

use super::{EventTime, Offset, RoutingVersion, Source, Writer, block};
use foldhash::quality::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;
use std::ops::Range;

#[derive(Debug)]
pub struct BlockWriter {
    texts: Section,
    /// Where each text lies in its section.
    spans: Vec<Range<usize>>,
    known: HashTable<u32>,
    hasher: FixedState,
    keys: Section,
    /// Where each key's prefix lies in its section.
    prefixes: Vec<Range<usize>>,
    /// Places of keys behind their hashes.
    known_keys: HashTable<(u64, u32)>,
    units: Section,
    rows: Section,
    /// Values of the rows, in their order.
    pub cells: Writer,
    history: Section,
    unit: Open,
}

#[derive(Debug, Default)]
struct Section {
    count: u32,
    to: Writer,
}

/// What of the block was written when the last unit and row ended.
#[derive(Debug, Default)]
struct Open {
    offset: u64,
    time: i64,
    rows: u32,
    history: u32,
    cells: u32,
}

impl Default for BlockWriter {
    fn default() -> Self {
        BlockWriter {
            texts: Section::default(),
            spans: Vec::new(),
            known: HashTable::new(),
            hasher: FixedState::with_seed(0x7468_616c_7765_6732),
            keys: Section::default(),
            prefixes: Vec::new(),
            known_keys: HashTable::new(),
            units: Section::default(),
            rows: Section::default(),
            cells: Writer::default(),
            history: Section::default(),
            unit: Open::default(),
        }
    }
}

impl BlockWriter {
    /// No row and no history record yet.
    pub fn is_empty(&self) -> bool {
        self.rows.count == 0 && self.history.count == 0
    }

    /// What the block weighs by now, but for its head.
    pub fn bytes(&self) -> usize {
        let sections = [&self.texts, &self.keys, &self.units, &self.rows, &self.history];
        sections.iter().map(|section| section.to.bytes.len()).sum::<usize>() + self.cells.bytes.len()
    }

    /// The place of a text; each stands in the block once.
    pub fn text(&mut self, text: &[u8]) -> u32 {
        let BlockWriter { texts, spans, known, hasher, .. } = self;
        let of = |spans: &[Range<usize>], place: u32| spans[place as usize].clone();
        let hash = hasher.hash_one(text);
        let found = known.find(hash, |&place| texts.to.bytes[of(spans, place)] == *text);
        if let Some(&place) = found {
            return place;
        }
        texts.to.blob(text);
        let end = texts.to.bytes.len();
        spans.push(end - text.len()..end);
        let place = texts.next();
        known.insert_unique(hash, place, |&place| hasher.hash_one(&texts.to.bytes[of(spans, place)]));
        place
    }

    /// The place of a key; each stands in the block once. `hash` is the prefix's.
    pub fn key(&mut self, hash: u64, aggregate: u16, tenant: &[u8], prefix: &[u8]) -> u32 {
        let (bytes, prefixes) = (&self.keys.to.bytes, &self.prefixes);
        let is_it = |&(other, place): &(u64, u32)| {
            other == hash && bytes[prefixes[place as usize].clone()] == *prefix
        };
        if let Some(&(_, place)) = self.known_keys.find(hash, is_it) {
            return place;
        }
        let tenant = self.text(tenant);
        let to = &mut self.keys.to;
        to.varint(u64::from(aggregate));
        to.varint(u64::from(tenant));
        to.blob(prefix);
        let end = to.bytes.len();
        self.prefixes.push(end - prefix.len()..end);
        let place = self.keys.next();
        self.known_keys.insert_unique(hash, (hash, place), |&(hash, _)| hash);
        place
    }

    /// A row of the unit under way. Its cells are those written since the row before.
    pub fn push_row(&mut self, key: u32, element: u32, present: u64, cells: usize) {
        let cells = u32::try_from(cells).expect("a block stays far below 4 GiB");
        let to = &mut self.rows.to;
        to.varint(u64::from(key));
        to.varint(u64::from(element));
        to.varint(present);
        to.varint(u64::from(cells - self.unit.cells));
        self.unit.cells = cells;
        self.rows.next();
    }

    pub fn push_history(&mut self, history: u16, key: &[u8], value: &[u8]) {
        let to = &mut self.history.to;
        to.varint(u64::from(history));
        to.blob(key);
        to.blob(value);
        self.history.next();
    }

    /// Ends the unit: rows and history records since the last one are its.
    pub fn push_unit(&mut self, offset: Offset, event_time: EventTime, id: u128) {
        let (to, last) = (&mut self.units.to, &mut self.unit);
        to.varint(offset.0 - last.offset);
        to.zigzag(event_time.0.wrapping_sub(last.time));
        to.u128(id);
        to.varint(u64::from(self.rows.count - last.rows));
        to.varint(u64::from(self.history.count - last.history));
        (last.offset, last.time) = (offset.0, event_time.0);
        (last.rows, last.history) = (self.rows.count, self.history.count);
        self.units.next();
    }

    /// The record of hop one; what comes next is another block.
    pub fn finish(&mut self, source: Source, version: RoutingVersion, prev: Option<Offset>) -> Vec<u8> {
        let mut to = Writer { bytes: Vec::with_capacity(self.bytes() + 128) };
        block::write_head(&mut to, source, version, prev);
        self.texts.drain(&mut to);
        self.keys.drain(&mut to);
        self.units.drain(&mut to);
        self.rows.drain(&mut to);
        to.blob(&self.cells.bytes);
        self.cells.bytes.clear();
        self.history.drain(&mut to);
        self.spans.clear();
        self.known.clear();
        self.prefixes.clear();
        self.known_keys.clear();
        self.unit = Open::default();
        to.bytes
    }
}

impl Section {
    fn next(&mut self) -> u32 {
        self.count += 1;
        self.count - 1
    }

    fn drain(&mut self, to: &mut Writer) {
        to.varint(u64::from(self.count));
        to.bytes.append(&mut self.to.bytes);
        self.count = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Block, HistoryRow, HopOne, Incarnation, Key, Partition, Row, Unit};
    use super::*;
    use proptest::prelude::*;

    fn source() -> Source {
        Source { incarnation: Incarnation(7), partition: Partition(1) }
    }

    /// For each unit the keys of its rows and whether it has a history record.
    fn written(to: &mut BlockWriter, units: &[(Vec<u8>, bool)]) -> (Block, Vec<u8>) {
        let (version, prev) = (RoutingVersion(3), Some(Offset(2)));
        let mut block = Block {
            source: source(),
            version,
            prev,
            keys: vec![],
            texts: vec![],
            units: vec![],
            rows: vec![],
            cells: vec![],
            history: vec![],
        };
        for (at, (rows, has_history)) in (3u64..).zip(units) {
            let (first, histories) = (block.rows.len() as u32, block.history.len() as u32);
            for (element, &name) in (0u32..).zip(rows) {
                let text = vec![name % 3];
                // Some have the same hash.
                let key = to.key(u64::from(name % 5), u16::from(name), &text, &[name]);
                if key as usize == block.keys.len() {
                    let known = block.texts.iter().position(|known| *known == text);
                    let tenant = known.unwrap_or(block.texts.len()) as u32;
                    block.keys.push(Key { aggregate: u16::from(name), tenant, prefix: vec![name] });
                    block.texts.extend(known.is_none().then_some(text));
                }
                let cells = to.cells.bytes.len();
                (0..name % 4).for_each(|_| to.cells.u8(name));
                block.cells.extend((0..name % 4).map(|_| name));
                to.push_row(key, element, u64::from(name), cells);
                block.rows.push(Row { key, element, present: name.into(), cells: cells as u32 });
            }
            if *has_history {
                to.push_history(9, b"key", b"value");
                block.history.push(HistoryRow { history: 9, key: b"key".into(), value: b"value".into() });
            }
            let time = EventTime(-(at as i64));
            to.push_unit(Offset(at), time, 5);
            let (rows, history) = (first..block.rows.len() as u32, histories..block.history.len() as u32);
            block.units.push(Unit { offset: Offset(at), event_time: time, id: 5, rows, history });
        }
        (block, to.finish(source(), version, prev))
    }

    proptest! {
        #[test]
        fn its_bytes_are_those_of_the_block(
            first: Vec<(Vec<u8>, bool)>,
            second in proptest::collection::vec((proptest::collection::vec(0u8..9, 0..5), any::<bool>()), 0..9),
        ) {
            let mut writer = BlockWriter::default();
            for units in [first, second] {
                let (block, bytes) = written(&mut writer, &units);
                prop_assert!(writer.is_empty() && writer.bytes() == 0);
                prop_assert_eq!(&HopOne::Block(block.clone()).encode(), &bytes);
                prop_assert_eq!(HopOne::decode(&bytes), Ok(HopOne::Block(block)));
            }
        }
    }
}
