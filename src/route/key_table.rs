//! The keys that a source has met: each is written out and hashed once, however many rows it gets.

use super::contribution::Datum;
use super::plan::Plan;
use crate::model::{begin_key, write_member};
use foldhash::quality::FixedState;
use indexmap::IndexMap;

/// Bytes of keys that a source remembers. Forgetting costs time, never a different row.
const TABLE_BYTES_MAX: usize = 4 << 20;

pub(super) struct KeyTable {
    /// By aggregate, tenant and `by` values in a short form.
    entries: IndexMap<Vec<u8>, Entry, FixedState>,
    bytes: usize,
    scratch: Vec<u8>,
    text: Vec<u8>,
}

pub(super) struct Entry {
    pub(super) prefix: Vec<u8>,
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
            entries: IndexMap::with_hasher(FixedState::with_seed(0x7468_616c_7765_6731)),
            bytes: 0,
            scratch: Vec::new(),
            text: Vec::new(),
        }
    }

    /// Called between batches: an entry that is forgotten while its block is open is put there again.
    pub(super) fn bound(&mut self) {
        if self.bytes > TABLE_BYTES_MAX {
            self.entries.clear();
            self.bytes = 0;
        }
    }

    /// The key of a contribution; `None` if a `by` column is absent.
    pub(super) fn find(
        &mut self,
        plan: &Plan,
        aggregate: usize,
        tenant: &str,
        values: &[Datum<'_>],
    ) -> Option<&mut Entry> {
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
        let place = match self.entries.get_index_of(&self.scratch) {
            Some(place) => place,
            None => self.insert(plan, aggregate, tenant, values),
        };
        Some(&mut self.entries[place])
    }

    fn insert(&mut self, plan: &Plan, aggregate: usize, tenant: &str, values: &[Datum<'_>]) -> usize {
        let aggregate = &plan.topology.aggregates[aggregate];
        let mut prefix = Vec::with_capacity(self.scratch.len() + 80);
        begin_key(&mut prefix, "aggregate", &aggregate.name, tenant);
        for &column in &aggregate.by {
            let named = &aggregate.columns[column];
            self.text.clear();
            values[column].write_text(&mut self.text, named.scalar);
            write_member(&mut prefix, &named.name, text(&self.text));
        }
        prefix.push(b'}');
        let target = plan.target(&prefix);
        self.bytes += prefix.len() + self.scratch.len() + size_of::<Entry>();
        let entry = Entry { prefix, target, block: 0, place: 0, event: u64::MAX, counted: 0 };
        self.entries.insert_full(self.scratch.clone(), entry).0
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
