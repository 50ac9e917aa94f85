//! The keys that a source has met: each is written out and hashed once, however many rows it gets.

use super::contribution::Datum;
use super::plan::Plan;
use crate::model::{begin_key, write_member};
use foldhash::quality::FixedState;
use hashbrown::HashTable;
use std::hash::BuildHasher;

/// Bytes of keys that a source remembers: about 150,000 keys. Forgetting costs time, never a different row.
const TABLE_BYTES_MAX: usize = 32 << 20;

pub(super) struct KeyTable {
    /// Places of entries, by aggregate, tenant and `by` values.
    table: HashTable<u32>,
    hasher: FixedState,
    entries: Vec<Entry>,
    /// Of each entry the short form that it is found by, and behind it the row key's prefix.
    bytes: Vec<u8>,
    scratch: Vec<u8>,
    text: Vec<u8>,
}

pub(super) struct Entry {
    hash: u64,
    start: u32,
    /// Where the short form ends and the prefix begins.
    prefix: u32,
    end: u32,
    pub(super) target: u32,
    /// The block that this key was last put into, and its place there.
    pub(super) block: u64,
    pub(super) place: u32,
    /// Offset of the event that this key last got a row from, and the counts that this event has had.
    pub(super) event: u64,
    pub(super) counted: u64,
}

impl KeyTable {
    pub(super) fn new() -> Self {
        KeyTable {
            table: HashTable::new(),
            hasher: FixedState::with_seed(0x7468_616c_7765_6731),
            entries: Vec::new(),
            bytes: Vec::new(),
            scratch: Vec::new(),
            text: Vec::new(),
        }
    }

    /// Called between batches: an entry that is forgotten while its block is open is put there again.
    pub(super) fn bound(&mut self) {
        if self.bytes.len() + self.entries.len() * size_of::<Entry>() > TABLE_BYTES_MAX {
            self.table.clear();
            self.entries.clear();
            self.bytes.clear();
        }
    }

    /// The key of a contribution and its prefix; `None` if a `by` column is absent.
    pub(super) fn find(
        &mut self,
        plan: &Plan,
        aggregate: usize,
        tenant: &str,
        values: &[Datum<'_>],
    ) -> Option<(&mut Entry, &[u8])> {
        let by = &plan.topology.aggregates[aggregate].by;
        self.scratch.clear();
        self.scratch.extend_from_slice(&(aggregate as u32).to_le_bytes());
        put(&mut self.scratch, tenant.as_bytes());
        for &column in by {
            match values[column] {
                Datum::Absent => return None,
                Datum::Text(text) => put(&mut self.scratch, text),
                Datum::Number(number) => self.scratch.extend_from_slice(&number.to_le_bytes()),
                Datum::Double(number) => self.scratch.extend_from_slice(&number.to_le_bytes()),
            }
        }
        let hash = self.hasher.hash_one(&self.scratch[..]);
        let is_it = |&place: &u32| {
            let Entry { start, prefix, .. } = self.entries[place as usize];
            self.bytes[start as usize..prefix as usize] == self.scratch[..]
        };
        let place = match self.table.find(hash, is_it) {
            Some(&place) => place as usize,
            None => self.insert(hash, plan, aggregate, tenant, values),
        };
        let entry = &mut self.entries[place];
        let prefix = &self.bytes[entry.prefix as usize..entry.end as usize];
        Some((entry, prefix))
    }

    fn insert(
        &mut self,
        hash: u64,
        plan: &Plan,
        aggregate: usize,
        tenant: &str,
        values: &[Datum<'_>],
    ) -> usize {
        let aggregate = &plan.topology.aggregates[aggregate];
        let fits = |len: usize| u32::try_from(len).expect("one batch has far less than 4 GiB of keys");
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&self.scratch);
        let prefix = self.bytes.len();
        begin_key(&mut self.bytes, "aggregate", &aggregate.name, tenant);
        for &column in &aggregate.by {
            let named = &aggregate.columns[column];
            self.text.clear();
            values[column].write_text(&mut self.text, named.scalar);
            write_member(&mut self.bytes, &named.name, text(&self.text));
        }
        self.bytes.push(b'}');
        self.entries.push(Entry {
            hash,
            start: fits(start),
            prefix: fits(prefix),
            end: fits(self.bytes.len()),
            target: plan.target(&self.bytes[prefix..]),
            block: 0,
            place: 0,
            event: u64::MAX,
            counted: 0,
        });
        let place = self.entries.len() - 1;
        self.table.insert_unique(hash, fits(place), |&place| self.entries[place as usize].hash);
        place
    }
}

/// Length first, so that no two lists of texts look alike.
fn put(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(&(bytes.len() as u32).to_le_bytes());
    out.extend_from_slice(bytes);
}

/// Bytes of a batch as text.
pub(super) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("decode checks UTF-8 and cuts at characters")
}
