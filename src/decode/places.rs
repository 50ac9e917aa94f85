//! Where the texts of a contribution come from: what keys and cells of rows will be made of.

use crate::model::{Column, Span};
use crate::topology::{ColumnIndex, Expression, FieldIndex, Input};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place {
    Field(FieldIndex),
    /// Of the list: the column of its items.
    Item(FieldIndex, usize),
    MapKey(FieldIndex),
    MapValue(FieldIndex),
}

impl Place {
    /// The place of a contribution's column in one input; `None` where it is no text of the event.
    pub(super) fn of(input: &Input, column: ColumnIndex) -> Option<Place> {
        match (input.sources[column].as_ref()?, input.each) {
            (&Expression::Field(field), _) => Some(Place::Field(field)),
            (&Expression::Item(item), Some(list)) => Some(Place::Item(list, item)),
            (Expression::MapKey, Some(map)) => Some(Place::MapKey(map)),
            (Expression::MapValue, Some(map)) => Some(Place::MapValue(map)),
            _ => None,
        }
    }

    pub(super) fn is_per_element(self) -> bool {
        !matches!(self, Place::Field(_))
    }

    /// The texts that event `row` has here; none where the column holds no texts.
    pub(super) fn texts(self, columns: &[Column], row: usize) -> &[Span] {
        match self {
            Place::Field(field) => spans(&columns[field], row..row + 1),
            Place::Item(list, item) => match &columns[list] {
                list @ Column::List { items, .. } => spans(&items[item], list.range(row)),
                _ => &[],
            },
            Place::MapKey(map) => match &columns[map] {
                map @ Column::Map { keys, .. } => &keys[map.range(row)],
                _ => &[],
            },
            Place::MapValue(map) => match &columns[map] {
                map @ Column::Map { values, .. } => spans(values, map.range(row)),
                _ => &[],
            },
        }
    }
}

fn spans(column: &Column, rows: std::ops::Range<usize>) -> &[Span] {
    match column {
        Column::Text(spans) => &spans[rows],
        _ => &[],
    }
}
