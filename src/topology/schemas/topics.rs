//! Positions, dead letters, set-aside records and histories.

use super::super::checked::{Aggregate, Field, FieldType, History, Scalar, Topology};
use super::{incarnation, instant, nullable, object, offset, shown};
use crate::model::{DEAD_LETTER_BYTES_MAX, DEAD_LETTER_HEAD_BYTES, Rejection};
use serde_json::{Map, Value, json};

pub(super) fn position() -> Value {
    let sources = json!({
        "type": "object",
        "description": "raw partition: the offset below which nothing of it is missing here",
        "patternProperties": { "^[0-9]+$": offset() },
        "additionalProperties": false,
    });
    let value = object(
        vec![
            ("commit", json!({ "type": "integer", "minimum": 1 })),
            ("offset", offset()),
            ("now", nullable(instant())),
            ("floor", nullable(instant())),
            ("sources", sources),
        ],
        &[],
    );
    let mut record = object(vec![("key", object(vec![("position", offset())], &[])), ("value", value)], &[]);
    record["description"] =
        json!("Record header schema=metrics-position.v1. Says what the rows' as_of means in the raw log.");
    record
}

pub(super) fn dead_letter() -> Value {
    let text = || json!({ "type": "string" });
    let number = || json!({ "type": "string", "pattern": "^[0-9]+$" });
    let reasons: Vec<&str> = Rejection::ALL.into_iter().map(Rejection::as_str).collect();
    let ours = [
        (
            "thalweg.key",
            json!({ "type": "string", "description": "the key of the refused record, if it had one" }),
        ),
        ("thalweg.reason", json!({ "enum": reasons })),
        ("thalweg.detail", text()),
        ("thalweg.record_time", instant()),
        ("thalweg.tombstone", json!({ "const": "true", "description": "the refused record had no value" })),
        ("thalweg.length", number()),
        (
            "thalweg.hash",
            json!({ "type": "string", "pattern": "^[0-9a-f]{16}$", "description": "xxh3-64 of the whole value" }),
        ),
        ("__connect.errors.topic", text()),
        ("__connect.errors.partition", number()),
        ("__connect.errors.offset", number()),
        ("__connect.errors.stage", text()),
        ("__connect.errors.class.name", text()),
        ("__connect.errors.exception.message", text()),
    ];
    let sometimes = ["thalweg.key", "thalweg.tombstone", "thalweg.length", "thalweg.hash"];
    let mut headers = object(ours.to_vec(), &sometimes);
    // The refused record's own headers stand before ours.
    headers["additionalProperties"] = json!(true);
    let key = json!({
        "type": "string",
        "pattern": "^[0-9a-f]{32}-p[0-9]+-o[0-9]+$",
        "description": "coordinate: incarnation, partition and offset of the raw record",
    });
    let description = format!(
        "the bytes of the refused record; of more than {DEAD_LETTER_BYTES_MAX} only the first \
         {DEAD_LETTER_HEAD_BYTES}, and thalweg.length and thalweg.hash of all of them"
    );
    let value = json!({ "type": "string", "contentEncoding": "base64", "description": description });
    object(vec![("key", key), ("headers", headers), ("value", value)], &[])
}

pub(super) fn set_aside(topology: &Topology) -> Value {
    let late: Vec<Value> = topology.aggregates.iter().flat_map(late_windows).collect();
    let reasons = ["duplicate", "future", "late"];
    let value = object(
        vec![
            ("coordinate", coordinate(Some(&topology.events.topic))),
            ("target", offset()),
            ("reason", json!({ "enum": reasons })),
            (
                "late",
                json!({ "type": "array", "items": { "enum": late }, "minItems": 1, "uniqueItems": true }),
            ),
            ("event_time", instant()),
        ],
        &["late"],
    );
    let key =
        object(vec![("coordinate", coordinate(Some(&topology.events.topic))), ("target", offset())], &[]);
    let mut record = object(vec![("key", key), ("value", value)], &[]);
    record["description"] = json!(
        "Record header schema=set-aside.v1. With `late` only those [aggregate, window] did not count; otherwise nothing of the event did."
    );
    record
}

/// In rolling windows nothing is late, and `ever` does not end.
fn late_windows(aggregate: &Aggregate) -> Vec<Value> {
    let windows = aggregate.windows.iter().filter(|window| !window.kind.is_rolling());
    windows.map(|window| json!([aggregate.name, window.kind.name()])).collect()
}

fn coordinate(topic: Option<&str>) -> Value {
    let mut members = vec![("incarnation", incarnation()), ("partition", offset()), ("offset", offset())];
    if let Some(topic) = topic {
        members.insert(0, ("topic", json!({ "const": topic })));
    }
    object(members, &[])
}

pub(super) fn history(topology: &Topology) -> Value {
    let histories: Vec<Value> =
        topology.histories.iter().map(|history| history_record(&topology.events.fields, history)).collect();
    json!({ "oneOf": histories })
}

fn history_record(fields: &[Field], history: &History) -> Value {
    let by = history.by.iter().map(|index| (fields[*index].name.as_str(), json!({ "type": "string" })));
    let key = object(
        vec![
            ("history", json!({ "const": history.name })),
            ("tenant_id", json!({ "type": "string" })),
            ("by", object(by.collect(), &[])),
            ("event_id", json!({ "type": "string" })),
        ],
        &[],
    );
    let columns = history.columns.iter().map(|index| (fields[*index].name.as_str(), column(&fields[*index])));
    let value = object(
        vec![
            ("event_time", instant()),
            ("coordinate", coordinate(None)),
            ("columns", object(columns.collect(), &[])),
        ],
        &[],
    );
    object(vec![("key", key), ("value", nullable(value))], &[])
}

fn column(field: &Field) -> Value {
    let schema = match &field.ty {
        FieldType::Scalar(scalar) => shown(*scalar),
        FieldType::ListOfScalar(scalar) => json!({ "type": "array", "items": shown(*scalar) }),
        FieldType::ListOfStruct(items) => {
            let members = items.iter().map(|item| (item.name.as_str(), column(item))).collect();
            json!({ "type": "array", "items": object(members, &[]) })
        }
        FieldType::Map(scalar) => map_of(*scalar),
    };
    if field.required { schema } else { nullable(schema) }
}

fn map_of(scalar: Scalar) -> Value {
    let mut members = Map::new();
    members.insert("type".into(), json!("object"));
    members.insert("additionalProperties".into(), shown(scalar));
    Value::Object(members)
}
