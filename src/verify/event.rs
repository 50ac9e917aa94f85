//! Rows of the lake's files as plain events, read one by one through Parquet's record API.

use super::value::Value;
use crate::model::{Incarnation, Offset, Partition, Source};
use crate::topology::{FieldType, LakeOrigin, Scalar, Topology, lake_columns};
use parquet::file::reader::{FileReader, SerializedFileReader};
use parquet::record::{Field, Row};

/// One delivery, as the lake keeps it.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub source: Source,
    pub offset: Offset,
    pub record_time: i64,
    pub time: i64,
    pub tenant: String,
    /// `None` for `$coordinate`.
    pub id: Option<String>,
    /// By the place of the topology's fields.
    pub fields: Vec<Option<Value>>,
}

/// A file that cannot be read as what it should be.
#[derive(Debug, thiserror::Error)]
#[error("lake file `{key}`: {reason}")]
pub struct BadFile {
    pub key: String,
    pub reason: String,
}

/// Calls `each` for every row.
pub(super) fn read_events(
    key: &str,
    bytes: Vec<u8>,
    topology: &Topology,
    mut each: impl FnMut(Event),
) -> Result<u64, BadFile> {
    let columns = lake_columns(topology);
    let origins: Vec<(String, LakeOrigin)> =
        columns.into_iter().map(|column| (column.name, column.origin)).collect();
    for_rows(key, bytes, |row| {
        let event = event(&row, &origins, topology)?;
        each(event);
        Some(())
    })
}

/// Calls `each` with source and offset of every refused record.
pub(super) fn read_refused(
    key: &str,
    bytes: Vec<u8>,
    mut each: impl FnMut(Source, Offset),
) -> Result<u64, BadFile> {
    for_rows(key, bytes, |row| {
        let mut incarnation = None;
        let (mut partition, mut offset) = (None, None);
        for (name, field) in row.get_column_iter() {
            match (name.as_str(), field) {
                ("_incarnation", Field::Str(text)) => incarnation = text.parse::<Incarnation>().ok(),
                ("_partition", Field::Int(number)) => partition = u32::try_from(*number).ok().map(Partition),
                ("_offset", Field::Long(number)) => offset = u64::try_from(*number).ok().map(Offset),
                _ => {}
            }
        }
        each(Source { incarnation: incarnation?, partition: partition? }, offset?);
        Some(())
    })
}

fn for_rows(key: &str, bytes: Vec<u8>, mut each: impl FnMut(Row) -> Option<()>) -> Result<u64, BadFile> {
    let bad = |reason: String| BadFile { key: key.into(), reason };
    let bytes = bytes::Bytes::from(bytes);
    let reader = SerializedFileReader::new(bytes).map_err(|error| bad(error.to_string()))?;
    let rows = reader.get_row_iter(None).map_err(|error| bad(error.to_string()))?;
    let mut count = 0;
    for row in rows {
        let row = row.map_err(|error| bad(error.to_string()))?;
        each(row).ok_or_else(|| bad(format!("row {count} has not the columns of the topology")))?;
        count += 1;
    }
    Ok(count)
}

fn event(row: &Row, origins: &[(String, LakeOrigin)], topology: &Topology) -> Option<Event> {
    let mut incarnation = None;
    let (mut partition, mut offset, mut record_time, mut time) = (None, None, None, None);
    let (mut tenant, mut category, mut id) = (None, None, None);
    let mut fields = vec![None; topology.events.fields.len()];
    for ((name, field), (expected, origin)) in row.get_column_iter().zip(origins) {
        if name != expected {
            return None;
        }
        match (origin, field) {
            (LakeOrigin::Incarnation, Field::Str(text)) => incarnation = text.parse().ok(),
            (LakeOrigin::Partition, Field::Int(number)) => partition = u32::try_from(*number).ok(),
            (LakeOrigin::Offset, Field::Long(number)) => offset = u64::try_from(*number).ok(),
            (LakeOrigin::RecordTime, field) => record_time = micros(field),
            (LakeOrigin::EventTime, field) => time = micros(field),
            (LakeOrigin::Tenant, Field::Str(text)) => tenant = Some(text.clone()),
            (LakeOrigin::Category, Field::Str(text)) => category = Some(text.clone()),
            (LakeOrigin::EventId, Field::Str(text)) => id = Some(text.clone()),
            (LakeOrigin::Field(index), field) => {
                fields[*index] = value(field, &topology.events.fields[*index].ty);
            }
            _ => {}
        }
    }
    let tenant = tenant?;
    // Fields that are in the path are not in the file: their exact text is.
    fields[topology.tenant].get_or_insert_with(|| Value::Text(tenant.clone()));
    if let (Some(field), Some(category)) = (topology.category, category) {
        fields[field].get_or_insert(Value::Text(category));
    }
    Some(Event {
        source: Source { incarnation: incarnation?, partition: Partition(partition?) },
        offset: Offset(offset?),
        record_time: record_time?,
        time: time?,
        tenant,
        id,
        fields,
    })
}

fn micros(field: &Field) -> Option<i64> {
    match field {
        Field::TimestampMicros(micros) => Some(*micros),
        _ => None,
    }
}

fn value(field: &Field, ty: &FieldType) -> Option<Value> {
    match (ty, field) {
        (_, Field::Null) => None,
        (FieldType::Scalar(scalar), field) => scalar_value(field, *scalar),
        (FieldType::ListOfScalar(scalar), Field::ListInternal(list)) => {
            Some(Value::List(list.elements().iter().map(|item| vec![scalar_value(item, *scalar)]).collect()))
        }
        (FieldType::ListOfStruct(members), Field::ListInternal(list)) => {
            let item = |item: &Field| match item {
                Field::Group(row) => {
                    let pairs = row.get_column_iter().zip(members);
                    pairs.map(|((_, field), member)| value(field, &member.ty)).collect()
                }
                _ => Vec::new(),
            };
            Some(Value::List(list.elements().iter().map(item).collect()))
        }
        (FieldType::Map(scalar), Field::MapInternal(map)) => {
            let member = |(key, field): &(Field, Field)| match key {
                Field::Str(key) => Some((key.clone(), scalar_value(field, *scalar)?)),
                _ => None,
            };
            Some(Value::Map(map.entries().iter().filter_map(member).collect()))
        }
        _ => None,
    }
}

fn scalar_value(field: &Field, scalar: Scalar) -> Option<Value> {
    Some(match (scalar, field) {
        (Scalar::Json, Field::Str(text)) => Value::Json(text.clone()),
        (_, Field::Str(text)) => Value::Text(text.clone()),
        (_, Field::Long(number)) => Value::Number(i128::from(*number), 0),
        (_, Field::Double(double)) => Value::Double(*double),
        (_, Field::Bool(value)) => Value::Bool(*value),
        (_, Field::TimestampMicros(micros)) => Value::Time(*micros),
        (_, Field::Date(days)) => Value::Date(*days),
        (Scalar::Decimal { scale, .. }, Field::Decimal(decimal)) => {
            // Two's complement, most significant byte first.
            let first = if decimal.data().first().is_some_and(|byte| byte & 0x80 != 0) { -1 } else { 0 };
            let number =
                decimal.data().iter().fold(first, |number: i128, &byte| (number << 8) | i128::from(byte));
            Value::Number(number, scale)
        }
        _ => return None,
    })
}
