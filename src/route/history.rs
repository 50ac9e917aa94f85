//! Histories: one record of a history topic for each event that it selects, ready to be written.

use super::contribution::{Datum, Event};
use super::key_text::text;
use super::plan::Plan;
use crate::model::{
    Column, Coordinate, Source, begin_key, begin_member, write_json_string, write_member, write_time_micros,
};
use crate::topology::{Field, FieldType, History, Scalar};
use xxhash_rust::xxh3::xxh3_64;

/// A history's record of one event, in memory that is used again.
#[derive(Default)]
pub(super) struct HistoryRecord {
    pub(super) key: Vec<u8>,
    pub(super) value: Vec<u8>,
    text: Vec<u8>,
    /// What stands between time and offset in every record of one source.
    middle: Option<(Source, Vec<u8>)>,
}

impl HistoryRecord {
    /// Writes what the history says about the event, and says to which target: `None` if it does not select it,
    /// `Some(None)` if a `by` field is absent.
    pub(super) fn write(
        &mut self,
        plan: &Plan,
        place: usize,
        (event, answers): (Event<'_>, u64),
        tenant: &str,
    ) -> Option<Option<u32>> {
        let topology = &plan.topology;
        let history = &topology.histories[place];
        if !plan.histories[place].holds(answers, event) {
            return None;
        }
        if history.by.iter().any(|&field| !event.field(field).is_present()) {
            return Some(None);
        }
        let HistoryRecord { key, value, text: scratch, middle } = self;
        key.clear();
        begin_key(key, "history", &history.name, tenant);
        for &field in &history.by {
            let named = &topology.events.fields[field];
            scratch.clear();
            event.field(field).write_text(scratch, scalar_of(named));
            write_member(key, &named.name, text(scratch));
        }
        key.push(b'}');
        // All records of one entity stand in one partition, so only the key up to `by` decides.
        let target = plan.target(xxh3_64(key));
        key.extend_from_slice(b",\"event_id\":");
        write_event_id(key, event);
        key.push(b'}');
        value.clear();
        let source = event.batch.source;
        if middle.as_ref().is_none_or(|(known, _)| *known != source) {
            *middle = Some((source, middle_of(source)));
        }
        let (_, middle) = middle.as_ref().expect("set above");
        write_value(value, &topology.events.fields, history, event, middle);
        Some(Some(target))
    }
}

fn write_event_id(out: &mut Vec<u8>, event: Event<'_>) {
    let batch = event.batch;
    match batch.event_id[event.row].get(&batch.bytes) {
        Some(id) => write_json_string(out, text(id)),
        None => {
            let coordinate = Coordinate { source: batch.source, offset: batch.offset[event.row] };
            write_json_string(out, &coordinate.to_string());
        }
    }
}

fn middle_of(Source { incarnation, partition }: Source) -> Vec<u8> {
    format!("\",\"coordinate\":{{\"incarnation\":\"{incarnation}\",\"partition\":{partition},\"offset\":")
        .into_bytes()
}

fn write_value(out: &mut Vec<u8>, fields: &[Field], history: &History, event: Event<'_>, middle: &[u8]) {
    let batch = event.batch;
    out.extend_from_slice(b"{\"event_time\":\"");
    write_time_micros(out, batch.event_time[event.row].0);
    out.extend_from_slice(middle);
    out.extend_from_slice(itoa::Buffer::new().format(batch.offset[event.row].0).as_bytes());
    out.extend_from_slice(b"},\"columns\":{");
    for &field in &history.columns {
        begin_member(out, &fields[field].name);
        write_field(out, &fields[field], event, &batch.columns[field], event.row);
    }
    out.extend_from_slice(b"}}");
}

/// One field as JSON: `null` if absent, numbers as strings at their scale, lists as arrays, maps as objects.
fn write_field(out: &mut Vec<u8>, field: &Field, event: Event<'_>, column: &Column, row: usize) {
    let bytes = &event.batch.bytes;
    let is_absent = match column {
        Column::List { present, .. } | Column::Map { present, .. } => !present[row],
        Column::Text(_) | Column::Number(_) | Column::Double(_) => false,
    };
    if is_absent {
        return out.extend_from_slice(b"null");
    }
    match (&field.ty, column) {
        (FieldType::Scalar(scalar), column) => write_scalar(out, Datum::read(column, row, bytes), *scalar),
        (FieldType::ListOfStruct(fields), Column::List { items, .. }) => {
            write_array(out, column.range(row), |out, at| {
                out.push(b'{');
                for (field, column) in fields.iter().zip(items) {
                    begin_member(out, &field.name);
                    write_field(out, field, event, column, at);
                }
                out.push(b'}');
            });
        }
        (FieldType::ListOfScalar(scalar), Column::List { items, .. }) => {
            write_array(out, column.range(row), |out, at| {
                write_scalar(out, Datum::read(&items[0], at, bytes), *scalar);
            });
        }
        (FieldType::Map(scalar), Column::Map { keys, values, .. }) => {
            out.push(b'{');
            for at in column.range(row) {
                begin_member(out, text(keys[at].of(bytes)));
                write_scalar(out, Datum::read(values, at, bytes), *scalar);
            }
            out.push(b'}');
        }
        (FieldType::ListOfStruct(_) | FieldType::ListOfScalar(_) | FieldType::Map(_), _) => {
            unreachable!("decode makes a field's column by its type")
        }
    }
}

fn write_array(out: &mut Vec<u8>, items: std::ops::Range<usize>, mut write: impl FnMut(&mut Vec<u8>, usize)) {
    out.push(b'[');
    let first = items.start;
    for at in items {
        if at > first {
            out.push(b',');
        }
        write(out, at);
    }
    out.push(b']');
}

fn write_scalar(out: &mut Vec<u8>, value: Datum<'_>, scalar: Scalar) {
    match (value, scalar) {
        (Datum::Absent, _) => out.extend_from_slice(b"null"),
        // The exact bytes of a JSON value, and true and false, are JSON already.
        (Datum::Text(_), Scalar::Json) | (Datum::Number(_), Scalar::Bool) => value.write_text(out, scalar),
        (Datum::Text(value), _) => write_json_string(out, text(value)),
        // Nothing in a number, a time or a date needs an escape.
        (Datum::Number(_) | Datum::Double(_), scalar) => {
            out.push(b'"');
            value.write_text(out, scalar);
            out.push(b'"');
        }
    }
}

/// Histories are keyed by scalars only.
fn scalar_of(field: &Field) -> Scalar {
    match field.ty {
        FieldType::Scalar(scalar) => scalar,
        FieldType::ListOfStruct(_) | FieldType::ListOfScalar(_) | FieldType::Map(_) => {
            unreachable!("the checked topology keys histories by scalars")
        }
    }
}
