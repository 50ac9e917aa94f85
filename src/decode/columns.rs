//! Columns while a batch is read: they grow by a value, and fall back to the last whole event.

use crate::model::{Column, Span};
use crate::topology::{Field, FieldType, Scalar};

/// One value that was read.
#[derive(Debug, Clone, Copy)]
pub(super) enum Cell {
    Text(Span),
    Number(i64),
    Double(f64),
}

pub(super) fn columns(fields: &[Field], rows: usize) -> Vec<Column> {
    fields.iter().map(|field| column(&field.ty, rows)).collect()
}

fn column(ty: &FieldType, rows: usize) -> Column {
    let (present, ends) = (Vec::with_capacity(rows), Vec::with_capacity(rows));
    match ty {
        FieldType::Scalar(scalar) => scalars(*scalar, rows),
        FieldType::ListOfScalar(scalar) => Column::List { present, ends, items: vec![scalars(*scalar, 0)] },
        FieldType::ListOfStruct(fields) => Column::List { present, ends, items: columns(fields, 0) },
        FieldType::Map(scalar) => {
            Column::Map { present, ends, keys: Vec::new(), values: Box::new(scalars(*scalar, 0)) }
        }
    }
}

fn scalars(scalar: Scalar, rows: usize) -> Column {
    match scalar {
        Scalar::Text | Scalar::Uuid | Scalar::Json => Column::Text(Vec::with_capacity(rows)),
        Scalar::Double => Column::Double(Vec::with_capacity(rows)),
        Scalar::Int | Scalar::Decimal { .. } | Scalar::Bool | Scalar::Time | Scalar::Date => {
            Column::Number(Vec::with_capacity(rows))
        }
    }
}

pub(super) fn push(column: &mut Column, cell: Cell) {
    match (column, cell) {
        (Column::Text(to), Cell::Text(span)) => to.push(span),
        (Column::Number(to), Cell::Number(number)) => to.push(Some(number)),
        (Column::Double(to), Cell::Double(double)) => to.push(Some(double)),
        _ => unreachable!("columns and cells are made from the same types"),
    }
}

pub(super) fn push_absent(column: &mut Column) {
    match column {
        Column::Text(to) => to.push(Span::ABSENT),
        Column::Number(to) => to.push(None),
        Column::Double(to) => to.push(None),
        Column::List { present, ends, .. } | Column::Map { present, ends, .. } => {
            present.push(false);
            ends.push(ends.last().copied().unwrap_or(0));
        }
    }
}

/// Takes back what a refused event has left behind.
pub(super) fn truncate(column: &mut Column, rows: usize) {
    match column {
        Column::Text(to) => to.truncate(rows),
        Column::Number(to) => to.truncate(rows),
        Column::Double(to) => to.truncate(rows),
        Column::List { present, ends, items } => {
            present.truncate(rows);
            ends.truncate(rows);
            let end = ends.last().map_or(0, |&end| end as usize);
            items.iter_mut().for_each(|item| truncate(item, end));
        }
        Column::Map { present, ends, keys, values } => {
            present.truncate(rows);
            ends.truncate(rows);
            let end = ends.last().map_or(0, |&end| end as usize);
            keys.truncate(end);
            truncate(values, end);
        }
    }
}

/// Is there a value in this row? Of a list or map: was it there, even if empty?
pub(super) fn is_present(column: &Column, row: usize) -> bool {
    match column {
        Column::Text(spans) => spans[row].is_present(),
        Column::Number(numbers) => numbers[row].is_some(),
        Column::Double(doubles) => doubles[row].is_some(),
        Column::List { present, .. } | Column::Map { present, .. } => present[row],
    }
}
