//! What was believed of an event: its identity, and every field that is present.

use crate::cli::row::Row;
use crate::model::{Column, EventBatch, format_decimal, write_date, write_time};
use crate::topology::{FieldType, Scalar, Topology};
use serde_json::Value;

pub(super) fn of(topology: &Topology, batch: &EventBatch) -> Row {
    let mut row = Row::new();
    let mut time = Vec::new();
    write_time(&mut time, batch.event_time[0].0);
    row.insert("_event_time".into(), text(&time));
    if let Some(id) = batch.event_id[0].get(&batch.bytes) {
        // Several fields are joined by a zero byte.
        row.insert(
            "_event_id".into(),
            text(&id.iter().map(|&b| if b == 0 { b' ' } else { b }).collect::<Vec<_>>()),
        );
    }
    for (field, column) in topology.events.fields.iter().zip(&batch.columns) {
        if let Some(value) = whole(&field.ty, column, 0, batch) {
            row.insert(field.name.clone(), value);
        }
    }
    if let Some(rest) = batch.rest[0].get(&batch.bytes) {
        row.insert("_rest".into(), text(rest));
    }
    row
}

fn whole(ty: &FieldType, column: &Column, at: usize, batch: &EventBatch) -> Option<Value> {
    match (ty, column) {
        (FieldType::Scalar(scalar), column) => value(*scalar, column, at, batch),
        (FieldType::ListOfScalar(scalar), Column::List { present, items, .. }) if present[at] => {
            let item = |place| value(*scalar, &items[0], place, batch).unwrap_or(Value::Null);
            Some(column.range(at).map(item).collect())
        }
        (FieldType::ListOfStruct(fields), Column::List { present, items, .. }) if present[at] => {
            let item = |place| -> Value {
                let member = |(field, column): (&crate::topology::Field, &Column)| {
                    Some((field.name.clone(), whole(&field.ty, column, place, batch)?))
                };
                Value::Object(fields.iter().zip(items).filter_map(member).collect())
            };
            Some(column.range(at).map(item).collect())
        }
        (FieldType::Map(scalar), Column::Map { present, keys, values, .. }) if present[at] => {
            let member = |place: usize| {
                Some((batch.text(keys[place]).to_owned(), value(*scalar, values, place, batch)?))
            };
            Some(Value::Object(column.range(at).filter_map(member).collect()))
        }
        _ => None,
    }
}

fn value(scalar: Scalar, column: &Column, at: usize, batch: &EventBatch) -> Option<Value> {
    match column {
        Column::Text(spans) => spans[at].get(&batch.bytes).map(text),
        Column::Number(numbers) => numbers[at].map(|number| of_number(scalar, number)),
        Column::Double(doubles) => doubles[at].map(Value::from),
        Column::List { .. } | Column::Map { .. } => None,
    }
}

/// A number as its type says it: exact decimals are text.
pub(super) fn of_number(scalar: Scalar, number: i64) -> Value {
    let mut written = Vec::new();
    match scalar {
        Scalar::Bool => return (number != 0).into(),
        Scalar::Time => write_time(&mut written, number),
        Scalar::Date => write_date(&mut written, number),
        Scalar::Decimal { scale, .. } => return format_decimal(number.into(), scale).into(),
        _ => return number.into(),
    }
    text(&written)
}

pub(super) fn text(bytes: &[u8]) -> Value {
    String::from_utf8_lossy(bytes).into()
}
