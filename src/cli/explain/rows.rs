//! What an event contributes to which keys, read from the blocks that hop one makes of it.

use super::fields::{of_number, text};
use crate::cli::exit::Exit;
use crate::cli::memory::Routed;
use crate::cli::row::{self, Row};
use crate::model::{self, Block, Damaged, HistoryRow, Reader};
use crate::topology::{Aggregate, CellKind, Function, Scalar, Slot, SlotOrigin, Topology};
use serde_json::Value;

/// Contributions and history rows, in the order of targets.
pub(super) fn of(topology: &Topology, routed: &Routed) -> Result<(Vec<Row>, Vec<Row>), Exit> {
    let damaged = |damaged: Damaged| Exit::failed(damaged);
    let (mut contributions, mut histories) = (Vec::new(), Vec::new());
    for (target, block) in &routed.blocks {
        for row in &block.rows {
            let mut contribution = contribution(topology, block, row).map_err(damaged)?;
            contribution.insert("target".into(), target.0.into());
            contributions.push(contribution);
        }
        for HistoryRow { key, value, .. } in &block.history {
            histories.extend(row::join(key, Some(value))?);
        }
    }
    Ok((contributions, histories))
}

fn contribution(topology: &Topology, block: &Block, row: &model::Row) -> Result<Row, Damaged> {
    let key = &block.keys[row.key as usize];
    let aggregate = &topology.aggregates[usize::from(key.aggregate)];
    let prefix = [&key.prefix[..], b"}"].concat();
    let mut contribution: Row = serde_json::from_slice(&prefix).unwrap_or_default();
    contribution.insert("element".into(), row.element.into());
    let (mut values, mut carry) = (Row::new(), Row::new());
    let mut cells = Reader::new(&block.cells[row.cells as usize..], "cells");
    for (place, slot) in aggregate.slots.iter().enumerate() {
        if row.present & (1 << place) == 0 {
            continue;
        }
        let value = cell(&mut cells, slot, scalar(aggregate, slot), block)?;
        match slot.origin {
            SlotOrigin::Value(value_index) => {
                values.insert(aggregate.values[value_index].name.clone(), value)
            }
            SlotOrigin::Carry(column) => carry.insert(aggregate.columns[column].name.clone(), value),
        };
    }
    contribution.insert("values".into(), Value::Object(values));
    if !carry.is_empty() {
        contribution.insert("carry".into(), Value::Object(carry));
    }
    Ok(contribution)
}

fn cell(from: &mut Reader<'_>, slot: &Slot, scalar: Scalar, block: &Block) -> Result<Value, Damaged> {
    Ok(match slot.cell {
        CellKind::Count => 1.into(),
        CellKind::Number => of_number(scalar, from.zigzag()?),
        CellKind::Double => from.f64()?.into(),
        CellKind::Text => {
            let place = usize::try_from(from.varint()?).unwrap_or(usize::MAX);
            text(block.texts.get(place).map(Vec::as_slice).unwrap_or_default())
        }
        CellKind::Hash => format!("one id, hash {:032x}", from.u128()?).into(),
    })
}

/// The type of what a slot takes; counts take nothing.
fn scalar(aggregate: &Aggregate, slot: &Slot) -> Scalar {
    let column = match slot.origin {
        SlotOrigin::Carry(column) => column,
        SlotOrigin::Value(value) => match aggregate.values[value].function {
            Function::Sum(column)
            | Function::Min(column)
            | Function::Max(column)
            | Function::First(column)
            | Function::Last(column)
            | Function::Mean { column, .. }
            | Function::Distinct(column) => column,
            Function::CountEvents
            | Function::CountElements
            | Function::Ratio { .. }
            | Function::Difference(..) => return Scalar::Int,
        },
    };
    aggregate.columns[column].scalar
}
