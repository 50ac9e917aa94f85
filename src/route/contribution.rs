//! From an event to its contributions: which input takes it, and what each element's columns hold.

use super::condition::holds;
use super::plan::AggregatePlan;
use crate::model::{Column, EventBatch, Span, write_date, write_decimal, write_double, write_time};
use crate::topology::{Condition, Expression, Scalar};
use std::ops::Range;

/// One value of an event or a contribution. Text points into the batch.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Datum<'a> {
    Absent,
    /// int, decimal, bool, time, date.
    Number(i64),
    Double(f64),
    Text(&'a [u8]),
}

impl<'a> Datum<'a> {
    pub(super) fn is_present(self) -> bool {
        self != Datum::Absent
    }

    /// The value at `row` of a column of scalars; lists and maps have none.
    pub(super) fn read(column: &'a Column, row: usize, bytes: &'a [u8]) -> Self {
        match column {
            Column::Text(spans) => Datum::text(spans[row], bytes),
            Column::Number(numbers) => numbers[row].map_or(Datum::Absent, Datum::Number),
            Column::Double(doubles) => doubles[row].map_or(Datum::Absent, Datum::Double),
            Column::List { .. } | Column::Map { .. } => Datum::Absent,
        }
    }

    fn text(span: Span, bytes: &'a [u8]) -> Self {
        span.get(bytes).map_or(Datum::Absent, Datum::Text)
    }

    /// Appends the canonical text form: what keys hold and hashes are made of. Nothing for an absent value.
    pub(super) fn write_text(self, out: &mut Vec<u8>, scalar: Scalar) {
        match (self, scalar) {
            (Datum::Absent, _) => {}
            (Datum::Text(text), _) => out.extend_from_slice(text),
            (Datum::Double(value), _) => write_double(out, value),
            (Datum::Number(value), Scalar::Bool) => {
                out.extend_from_slice(if value == 0 { b"false" } else { b"true" })
            }
            (Datum::Number(value), Scalar::Time) => write_time(out, value),
            (Datum::Number(value), Scalar::Date) => write_date(out, value),
            (Datum::Number(value), scalar) => write_decimal(out, value, scalar.scale().unwrap_or(0)),
        }
    }
}

/// One event of a batch.
#[derive(Clone, Copy)]
pub(super) struct Event<'a> {
    pub(super) batch: &'a EventBatch,
    pub(super) row: usize,
}

/// One element of an event's list or map; of an event without `each`, the event itself.
struct Element<'a> {
    column: Option<&'a Column>,
    /// Place in the column's items.
    at: usize,
    /// Number in its event.
    index: u32,
}

impl<'a> Event<'a> {
    pub(super) fn field(self, field: usize) -> Datum<'a> {
        Datum::read(&self.batch.columns[field], self.row, &self.batch.bytes)
    }

    pub(super) fn satisfies(self, condition: &Condition) -> bool {
        holds(condition, |field| self.field(field))
    }
}

/// Calls `each` once for every contribution of the event, with the element's number, the slots whose conditions hold,
/// and the values of the aggregate's columns. Gives the number of products that were too large and so are absent.
///
/// The first input whose `when` holds takes the event.
pub(super) fn for_each<'a>(
    aggregate: &AggregatePlan,
    (event, answers): (Event<'a>, u64),
    values: &mut Vec<Datum<'a>>,
    mut each: impl FnMut(u32, u64, &[Datum<'a>]),
) -> u64 {
    let Some(input) = aggregate.inputs.iter().find(|input| input.when.holds(answers, event)) else {
        return 0;
    };
    let mut overflowed = 0;
    let present = input.present(answers);
    let column = input.each.map(|field| &event.batch.columns[field]);
    let places: Range<usize> = column.map_or(0..1, |column| column.range(event.row));
    for (index, at) in (0u32..).zip(places) {
        let element = Element { column, at, index };
        values.clear();
        values.extend(input.sources.iter().map(|source| match source {
            Some(expression) => evaluate(expression, event, &element, &mut overflowed),
            None => Datum::Absent,
        }));
        let tested = input.tested.iter().filter(|(_, when)| holds(when, |column| values[column]));
        each(index, tested.fold(present, |all, (bit, _)| all | bit), values);
    }
    overflowed
}

fn evaluate<'a>(
    expression: &Expression,
    event: Event<'a>,
    element: &Element<'a>,
    overflowed: &mut u64,
) -> Datum<'a> {
    let bytes = &event.batch.bytes;
    match (expression, element.column) {
        (Expression::Field(field), _) => event.field(*field),
        (Expression::Item(item), Some(Column::List { items, .. })) => {
            Datum::read(&items[*item], element.at, bytes)
        }
        (Expression::MapKey, Some(Column::Map { keys, .. })) => Datum::text(keys[element.at], bytes),
        (Expression::MapValue, Some(Column::Map { values, .. })) => Datum::read(values, element.at, bytes),
        (Expression::Index, _) => Datum::Number(i64::from(element.index)),
        (Expression::Multiply(left, right), _) => {
            let left = evaluate(left, event, element, overflowed);
            let right = evaluate(right, event, element, overflowed);
            multiply(left, right, overflowed)
        }
        (Expression::Item(_) | Expression::MapKey | Expression::MapValue, _) => {
            unreachable!("the checked topology names items only under `each` of their kind")
        }
    }
}

/// Scales add by themselves: both are integers, and the column's scale is the sum.
fn multiply<'a>(left: Datum<'_>, right: Datum<'_>, overflowed: &mut u64) -> Datum<'a> {
    let (Datum::Number(left), Datum::Number(right)) = (left, right) else { return Datum::Absent };
    left.checked_mul(right).map(Datum::Number).unwrap_or_else(|| {
        *overflowed += 1;
        Datum::Absent
    })
}
