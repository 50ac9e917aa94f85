//! Rows of the metrics topic: one alternative an aggregate, for calendar and for rolling windows.

use super::super::checked::{Aggregate, ColumnIndex, Function, Topology, ValueIndex, Window};
use super::{decimal, instant, nullable, object, offset, shown};
use serde_json::{Value, json};

pub(super) fn row(topology: &Topology) -> Value {
    let rows: Vec<Value> = topology
        .aggregates
        .iter()
        .flat_map(|aggregate| {
            [false, true].into_iter().filter_map(move |is_rolling| {
                let windows: Vec<&Window> = aggregate
                    .windows
                    .iter()
                    .filter(|window| window.kind.is_rolling() == is_rolling)
                    .collect();
                (!windows.is_empty()).then(|| alternative(topology, aggregate, &windows, is_rolling))
            })
        })
        .collect();
    json!({
        "description": "Record header schema=metrics-row.v1. Values are absolute; a row without a value (null) is a tombstone.",
        "oneOf": rows,
    })
}

fn alternative(topology: &Topology, aggregate: &Aggregate, windows: &[&Window], is_rolling: bool) -> Value {
    let value = nullable(value(topology, aggregate, is_rolling));
    object(vec![("key", key(aggregate, windows, is_rolling)), ("value", value)], &[])
}

/// `start` is in the key of calendar windows only, and `ever` has none.
fn key(aggregate: &Aggregate, windows: &[&Window], is_rolling: bool) -> Value {
    let names: Vec<String> = windows.iter().map(|window| window.kind.name()).collect();
    let by: Vec<(&str, Value)> = aggregate
        .by
        .iter()
        .map(|column| (aggregate.columns[*column].name.as_str(), json!({ "type": "string" })))
        .collect();
    let partition = json!({ "type": "string", "description": "all beyond the cap of this partition" });
    let other = object(vec![("__other__", partition)], &[]);
    let mut members = vec![
        ("aggregate", json!({ "const": aggregate.name })),
        ("tenant_id", json!({ "type": "string" })),
        ("by", json!({ "anyOf": [object(by, &[]), other] })),
        ("window", json!({ "enum": names })),
    ];
    if !is_rolling {
        members.push(("start", instant()));
    }
    object(members, &["start"])
}

fn value(topology: &Topology, aggregate: &Aggregate, is_rolling: bool) -> Value {
    let mut members = vec![("start", nullable(instant())), ("end", nullable(instant()))];
    if topology.zone.name != "UTC" && !is_rolling {
        members.push(("zone", json!({ "const": topology.zone.name })));
        members.push(("local", json!({ "type": "string", "description": "the window's start in the zone" })));
    }
    if !aggregate.carry.is_empty() {
        let carried = |column: &ColumnIndex| {
            let column = &aggregate.columns[*column];
            (column.name.as_str(), nullable(shown(column.scalar)))
        };
        members.push(("carry", object(aggregate.carry.iter().map(carried).collect(), &[])));
    }
    let values: Vec<(&str, Value)> = (0..aggregate.values.len())
        .map(|index| (aggregate.values[index].name.as_str(), nullable(value_schema(aggregate, index))))
        .collect();
    members.push(("values", object(values, &[])));
    let estimated: Vec<&str> = (0..aggregate.values.len())
        .filter(|index| is_estimated(aggregate, *index))
        .map(|index| aggregate.values[index].name.as_str())
        .collect();
    if !estimated.is_empty() {
        let names =
            json!({ "type": "array", "items": { "enum": estimated }, "uniqueItems": true, "minItems": 1 });
        members.push(("approximate", names));
    }
    let since = json!({
        "type": "object",
        "additionalProperties": instant(),
        "description": "only in rows of the window `ever`: values that count from this instant on, by name",
    });
    members.push(("since", since));
    members.push(("as_of", object(vec![("partition", offset()), ("offset", offset())], &[])));
    object(members, &["zone", "local", "approximate", "since"])
}

/// `null` where there is nothing to fold, and in windows that began before the value's `since`.
fn value_schema(aggregate: &Aggregate, index: ValueIndex) -> Value {
    let scalar = |column: ColumnIndex| aggregate.columns[column].scalar;
    match &aggregate.values[index].function {
        Function::CountEvents | Function::CountElements | Function::Distinct(_) => offset(),
        Function::Sum(column) => decimal(scalar(*column).scale().unwrap_or(0)),
        Function::Min(column) | Function::Max(column) | Function::First(column) | Function::Last(column) => {
            shown(scalar(*column))
        }
        Function::Mean { scale, .. } | Function::Ratio { scale, .. } => decimal(*scale),
        Function::Difference(one, _) => match value_schema(aggregate, *one) {
            // Less can have been added than removed.
            count if count["type"] == "integer" => json!({ "type": "integer" }),
            number => number,
        },
    }
}

/// Beyond 1,024 ids a pane, `distinct` is an estimate, and so is what is made of it.
fn is_estimated(aggregate: &Aggregate, index: ValueIndex) -> bool {
    match aggregate.values[index].function {
        Function::Distinct(_) => true,
        Function::Ratio { over, under, .. } => {
            is_estimated(aggregate, over) || is_estimated(aggregate, under)
        }
        Function::Difference(one, other) => is_estimated(aggregate, one) || is_estimated(aggregate, other),
        _ => false,
    }
}
