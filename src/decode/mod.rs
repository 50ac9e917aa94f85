//! Raw records become events in columns, or rejections that say why not.
//!
//! In: a [`RecordBatch`] with its buffer, by value. Out: an [`EventBatch`] over the same buffer; texts
//! that had to be unescaped and the members that no field declares stand behind it. Pure: the columns
//! depend on the records and the topology alone, not on how batches are cut nor on what was decoded
//! before. One record never fails its batch, and nothing after this room refuses: all bounds of
//! `model::limits` hold for every event that leaves it.
//!
//! One walk over the bytes, driven by a plan of the declared fields, after one pass that finds out whether
//! the record is ASCII (then it is UTF-8) and free of escapes (then strings end at the next quote);
//! nothing is allocated for an event but the growth of columns. It never guesses a value: `null` is
//! absent, a time names its offset, a number is exact or refused, and no name may stand twice in an
//! object that is read. What is no JSON is named so before any other reason; else the first thing that
//! is wrong counts.

mod columns;
mod identity;
mod json;
mod memory;
mod number;
mod places;
mod plan;
mod read;
mod refusal;
mod texts;
mod time;
mod weight;

#[cfg(test)]
mod equivalence;
#[cfg(test)]
mod faults;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod sample;

use crate::model::plain::survey;
use crate::model::{EventBatch, RECORD_BYTES_MAX, RecordBatch, RecordSlice, Refused, Rejection, Span};
use crate::topology::{Field, Topology};
use identity::{Identified, Identity};
use json::Json;
use memory::Memory;
use plan::{EVENT, Plan};
use read::Reader;
use refusal::{Refusal, Result};
use texts::Texts;
use weight::{Weighed, Weight};
use xxhash_rust::xxh3::xxh3_64;

/// Decodes one batch. Whoever has many keeps a [`Decoder`].
pub fn decode(batch: RecordBatch, topology: &Topology) -> EventBatch {
    Decoder::new(topology).decode(batch)
}

/// A topology's fields as a plan, and the order of members in the last event, which only saves time.
#[derive(Debug)]
pub struct Decoder {
    fields: Vec<Field>,
    plan: Plan,
    identity: Identity,
    weight: Weight,
    memory: Memory,
}

impl Decoder {
    pub fn new(topology: &Topology) -> Decoder {
        let mut plan = Plan::new(&topology.events.fields);
        let identity = Identity::new(topology);
        identity.required().for_each(|field| plan.structs[EVENT].fields[field].required = true);
        Decoder {
            fields: topology.events.fields.clone(),
            memory: Memory::new(&plan),
            weight: Weight::new(topology),
            identity,
            plan,
        }
    }

    /// Members so far that did not stand where the event before had them: each costs a lookup.
    pub fn misses(&self) -> u64 {
        self.memory.misses
    }

    pub fn decode(&mut self, batch: RecordBatch) -> EventBatch {
        let RecordBatch { source, mut bytes, records, next } = batch;
        let rows = records.len();
        let mut events = EventBatch {
            source,
            bytes: Vec::new(),
            offset: Vec::with_capacity(rows),
            record_time: Vec::with_capacity(rows),
            event_time: Vec::with_capacity(rows),
            event_id: Vec::with_capacity(rows),
            id_hash: Vec::with_capacity(rows),
            value_hash: Vec::with_capacity(rows),
            value: Vec::with_capacity(rows),
            columns: columns::columns(&self.fields, rows),
            rest: Vec::with_capacity(rows),
            skipped_members: 0,
            refused: Vec::new(),
            next,
        };
        let mut texts = Texts { bytes: &bytes, tail: Vec::new() };
        for record in records {
            let tail = texts.tail.len();
            let value_hash = xxh3_64(record.value.get(&bytes).unwrap_or_default());
            match self.event(&record, &mut events, &mut texts) {
                Ok((identified, rest)) => {
                    events.offset.push(record.offset);
                    events.record_time.push(record.time);
                    events.event_time.push(identified.time);
                    events.event_id.push(identified.id);
                    events.id_hash.push(identified.hash);
                    events.value_hash.push(value_hash);
                    events.value.push(record.value);
                    events.rest.push(rest);
                }
                Err(refusal) => {
                    texts.tail.truncate(tail);
                    let rows = events.offset.len();
                    events.columns.iter_mut().for_each(|column| columns::truncate(column, rows));
                    let detail = self.detail(refusal, &record);
                    events.refused.push(refused(record, refusal.reason, detail, value_hash));
                }
            }
        }
        let tail = texts.tail;
        bytes.extend_from_slice(&tail);
        events.bytes = bytes;
        events
    }

    /// Pushes one row to the columns; what it has pushed is taken back if it refuses.
    fn event<'a>(
        &mut self,
        record: &RecordSlice,
        events: &mut EventBatch,
        texts: &mut Texts<'a>,
    ) -> Result<(Identified, Span)> {
        let value = record.value.get(texts.bytes).filter(|value| !value.is_empty());
        let value = value.ok_or(Refusal::whole(Rejection::Empty))?;
        if value.len() > RECORD_BYTES_MAX {
            return Err(Refusal::whole(Rejection::TooLarge));
        }
        let start = record.value.start as usize;
        let (is_ascii, is_plain) = survey(value);
        if !is_ascii && simdutf8::basic::from_utf8(value).is_err() {
            let good = std::str::from_utf8(value).map_or_else(|error| error.valid_up_to(), str::len);
            return Err(Refusal::at(Rejection::InvalidUtf8, start + good));
        }
        let (row, columns) = (events.offset.len(), &mut events.columns[..]);
        let bytes: &'a [u8] = texts.bytes;
        let json = Json::surveyed(&bytes[..start + value.len()], start, is_plain);
        let mut reader = Reader { plan: &self.plan, json, texts, memory: &mut self.memory, skipped: 0 };
        if let Err(refusal) = reader.event(columns) {
            return Err(syntax_first(refusal, Json::new(&bytes[..start + value.len()], start)));
        }
        let skipped = reader.skipped;
        read::fill(&self.plan, EVENT, columns, row)?;
        let identified = self.identity.of(columns, row, record.time, texts)?;
        self.weight.check(Weighed { columns, row, texts, id: identified.id, bytes: value.len() })?;
        events.skipped_members += skipped;
        Ok((identified, rest(&self.memory.rest, texts)))
    }

    /// For people: which field, which byte of the value.
    fn detail(&self, refusal: Refusal, record: &RecordSlice) -> String {
        let at = refusal.at.checked_sub(record.value.start as usize).filter(|_| refusal.at != usize::MAX);
        let field = refusal
            .field
            .map(|(owner, field)| &self.plan.structs[usize::from(owner)].fields[usize::from(field)].label);
        match (field, at) {
            (Some(field), Some(at)) => format!("field `{field}`, byte {at}"),
            (Some(field), None) => format!("field `{field}`"),
            (None, Some(at)) => format!("byte {at}"),
            (None, None) if refusal.reason == Rejection::TooLarge => format!("{} bytes", record.value.len),
            (None, None) => String::new(),
        }
    }
}

/// A record that is no JSON is named so, whatever else was found wrong in it before.
fn syntax_first(refusal: Refusal, mut json: Json<'_>) -> Refusal {
    json.space();
    json.skip(0).and_then(|()| json.end()).err().unwrap_or(refusal)
}

/// An object of these members, as they stand in the record.
fn rest(members: &[Span], texts: &mut Texts<'_>) -> Span {
    if members.is_empty() {
        return Span::ABSENT;
    }
    let start = texts.tail.len();
    for (nth, member) in members.iter().enumerate() {
        texts.tail.push(if nth == 0 { b'{' } else { b',' });
        texts.tail.extend_from_slice(member.of(texts.bytes));
    }
    texts.tail.push(b'}');
    texts.since(start)
}

fn refused(record: RecordSlice, reason: Rejection, detail: String, value_hash: u64) -> Refused {
    let RecordSlice { offset, time, key, value, headers } = record;
    Refused { offset, record_time: time, reason, detail, key, value, headers, value_hash }
}
