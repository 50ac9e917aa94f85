//! Who an event is and when it happened: id, time, and the texts that become parts of keys and paths.

use super::columns::is_present;
use super::places::Place;
use super::refusal::{Refusal, Result};
use super::texts::Texts;
use crate::model::{
    Column, EventTime, KEY_TEXT_BYTES_MAX, LogTime, PARTITION_TEXT_BYTES_MAX, Rejection, Span, format_decimal,
};
use crate::topology::{EventId, FieldIndex, FieldType, Scalar, TimeOrigin, Topology};
use std::io::Write;

#[derive(Debug)]
pub(super) struct Identity {
    id: EventId,
    /// By field: its type, if it is a scalar.
    scalars: Vec<Option<Scalar>>,
    time: Vec<TimeOrigin>,
    /// Tenant and category.
    path: Vec<FieldIndex>,
    /// Texts that any `by` names.
    keys: Vec<Place>,
}

/// Id and time of one event.
#[derive(Debug, Clone, Copy)]
pub(super) struct Identified {
    pub(super) id: Span,
    pub(super) hash: u128,
    pub(super) time: EventTime,
}

impl Identity {
    pub(super) fn new(topology: &Topology) -> Identity {
        let scalar = |ty: &FieldType| match ty {
            FieldType::Scalar(scalar) => Some(*scalar),
            _ => None,
        };
        let mut keys: Vec<Place> = Vec::new();
        let mut add = |place: Place| {
            if !keys.contains(&place) {
                keys.push(place);
            }
        };
        for aggregate in &topology.aggregates {
            for input in &aggregate.inputs {
                aggregate.by.iter().filter_map(|&column| Place::of(input, column)).for_each(&mut add);
            }
        }
        topology.histories.iter().flat_map(|history| &history.by).for_each(|&field| add(Place::Field(field)));
        Identity {
            id: topology.events.id.clone(),
            scalars: topology.events.fields.iter().map(|field| scalar(&field.ty)).collect(),
            time: topology.events.time.clone(),
            path: std::iter::once(topology.tenant).chain(topology.category).collect(),
            keys,
        }
    }

    /// Fields without which an event has no id, no tenant or no category.
    pub(super) fn required(&self) -> impl Iterator<Item = FieldIndex> + '_ {
        let id = match &self.id {
            EventId::Coordinate => &[],
            EventId::Fields(fields) => &fields[..],
        };
        id.iter().chain(&self.path).copied()
    }

    /// Of the event in `row`, whose columns are whole.
    pub(super) fn of(
        &self,
        columns: &[Column],
        row: usize,
        record_time: LogTime,
        texts: &mut Texts<'_>,
    ) -> Result<Identified> {
        for &field in &self.path {
            check_path_text(&columns[field], row).map_err(|reason| Refusal::whole(reason).named(0, field))?;
        }
        for key in &self.keys {
            check_key_texts(*key, columns, row)?;
        }
        let id = match &self.id {
            EventId::Coordinate => Span::ABSENT,
            EventId::Fields(fields) => self.id(fields, columns, row, texts)?,
        };
        let hash = if id.is_present() { xxhash_rust::xxh3::xxh3_128(texts.of(id)) } else { 0 };
        let time = self.time(columns, row, record_time).ok_or(Refusal::whole(Rejection::Missing));
        let first = self.time.first();
        let time = time.map_err(|refusal| match first {
            Some(&TimeOrigin::Field(field)) => refusal.named(0, field),
            _ => refusal,
        })?;
        Ok(Identified { id, hash, time })
    }

    /// The first that is present.
    fn time(&self, columns: &[Column], row: usize, record_time: LogTime) -> Option<EventTime> {
        self.time.iter().find_map(|origin| match (origin, columns) {
            (TimeOrigin::RecordTime, _) => Some(EventTime(record_time.0)),
            (TimeOrigin::Field(field), columns) => match &columns[*field] {
                Column::Number(numbers) => numbers[row].map(EventTime),
                _ => None,
            },
        })
    }

    fn id(
        &self,
        fields: &[FieldIndex],
        columns: &[Column],
        row: usize,
        texts: &mut Texts<'_>,
    ) -> Result<Span> {
        if let &[field] = fields
            && let Column::Text(spans) = &columns[field]
        {
            // An empty id would make one event of all that have it.
            let is_empty = spans[row].len == 0;
            let missing = Refusal::whole(Rejection::Missing).named(0, field);
            return if is_empty { Err(missing) } else { Ok(spans[row]) };
        }
        let start = texts.tail.len();
        for (nth, &field) in fields.iter().enumerate() {
            if nth > 0 {
                texts.tail.push(0);
            }
            let from = texts.tail.len();
            write_form(&columns[field], row, self.scalars[field], texts);
            // Two ids would be spelled alike: ("a\0b", "c") and ("a", "b\0c").
            if texts.tail[from..].contains(&0) {
                return Err(Refusal::whole(Rejection::WrongType).named(0, field));
            }
        }
        Ok(texts.since(start))
    }
}

/// One text for one value, however the record spelled it.
fn write_form(column: &Column, row: usize, scalar: Option<Scalar>, texts: &mut Texts<'_>) {
    // Writing to a `Vec` cannot fail, and required fields are present.
    match (column, scalar) {
        (Column::Text(spans), _) => texts.copy(spans[row]),
        (Column::Number(numbers), scalar) => {
            let Some(number) = numbers[row] else { return };
            match scalar {
                Some(Scalar::Decimal { scale, .. }) => {
                    texts.tail.extend_from_slice(format_decimal(i128::from(number), scale).as_bytes());
                }
                Some(Scalar::Bool) => {
                    texts.tail.extend_from_slice(if number == 0 { b"false" } else { b"true" });
                }
                _ => texts.tail.extend_from_slice(itoa::Buffer::new().format(number).as_bytes()),
            }
        }
        (Column::Double(doubles), _) => {
            // Adding 0 makes one zero of two.
            let _ = doubles[row].map(|double| write!(texts.tail, "{:e}", double + 0.0));
        }
        (Column::List { .. } | Column::Map { .. }, _) => unreachable!("an id is made of scalars"),
    }
}

/// An empty tenant or category cannot make a path.
fn check_path_text(column: &Column, row: usize) -> std::result::Result<(), Rejection> {
    match column {
        Column::Text(spans) if spans[row].len == 0 => Err(Rejection::Missing),
        Column::Text(spans) if spans[row].len as usize > PARTITION_TEXT_BYTES_MAX => {
            Err(Rejection::IdTooLong)
        }
        column if is_present(column, row) => Ok(()),
        _ => Err(Rejection::Missing),
    }
}

fn check_key_texts(key: Place, columns: &[Column], row: usize) -> Result<()> {
    let is_too_long = |span: &Span| span.is_present() && span.len as usize > KEY_TEXT_BYTES_MAX;
    if !key.texts(columns, row).iter().any(is_too_long) {
        return Ok(());
    }
    let (Place::Field(field) | Place::Item(field, _) | Place::MapKey(field) | Place::MapValue(field)) = key;
    Err(Refusal::whole(Rejection::IdTooLong).named(0, field))
}
