//! JSON Schemas (2020-12) of all that somebody else writes for us or reads from us.
//!
//! In: a checked topology. Out: one schema a kind, kept as `schemas/<topology>.<kind>.json` for the
//! topologies that come with us. Records of a topic are described as `{key, value}`, as tools print
//! them. What a schema cannot say (bytes of a key, order of rows) is said by the tests of its room.

mod event;
mod lake;
mod metrics;
mod topics;

use super::checked::{Scalar, Topology};
use serde_json::{Map, Value, json};

/// One schema and what it describes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schema {
    /// `events`, `metrics`, `positions`, `dead-letters`, `set-aside`, `histories`, `lake`, `lake-refused`.
    pub kind: &'static str,
    /// Pretty JSON that ends with a line break.
    pub text: String,
}

/// All of a topology's schemas. `histories` only where it has any.
pub fn schemas(topology: &Topology) -> Vec<Schema> {
    let mut schemas = vec![
        ("events", "An event, as producers write it", event::event(topology)),
        ("metrics", "A row of the metrics topic", metrics::row(topology)),
        ("positions", "The last record of a transaction in the metrics topic", topics::position()),
        ("dead-letters", "A refused record", topics::dead_letter()),
        ("set-aside", "What was not counted", topics::set_aside(topology)),
        ("lake", "A row of the lake's table of events", lake::events(topology)),
        ("lake-refused", "A row of the lake's table of refused records", lake::refused(topology)),
    ];
    if !topology.histories.is_empty() {
        schemas.push(("histories", "A record of a history topic", topics::history(topology)));
    }
    schemas.into_iter().map(|(kind, title, schema)| finish(topology, kind, title, schema)).collect()
}

fn finish(topology: &Topology, kind: &'static str, title: &str, schema: Value) -> Schema {
    let mut whole = Map::new();
    whole.insert("$schema".into(), json!("https://json-schema.org/draft/2020-12/schema"));
    whole.insert("title".into(), json!(format!("{title} ({})", topology.name)));
    if let Value::Object(members) = schema {
        whole.extend(members);
    }
    let text = serde_json::to_string_pretty(&Value::Object(whole)).expect("a tree of values makes JSON");
    Schema { kind, text: format!("{text}\n") }
}

/// An object with these members and no others; all that are not in `optional` must be there.
fn object(members: Vec<(&str, Value)>, optional: &[&str]) -> Value {
    let required: Vec<&str> =
        members.iter().map(|(name, _)| *name).filter(|name| !optional.contains(name)).collect();
    let properties: Map<String, Value> =
        members.into_iter().map(|(name, schema)| (name.to_string(), schema)).collect();
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
        "additionalProperties": false,
    })
}

/// The same, or null.
fn nullable(mut schema: Value) -> Value {
    if let Some(ty) = schema.get_mut("type") {
        *ty = json!([ty.take(), "null"]);
    }
    schema
}

fn offset() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn instant() -> Value {
    json!({ "type": "string", "format": "date-time", "description": "UTC" })
}

fn incarnation() -> Value {
    json!({ "type": "string", "pattern": "^[0-9a-f]{32}$", "description": "one life of the topic" })
}

/// An exact number as text: numbers above 2^53 break many readers.
fn decimal(scale: u8) -> Value {
    match scale {
        0 => json!({ "type": "string", "pattern": "^-?[0-9]+$" }),
        scale => json!({ "type": "string", "pattern": format!("^-?[0-9]+\\.[0-9]{{{scale}}}$") }),
    }
}

/// A value of a field as rows and histories show it.
fn shown(scalar: Scalar) -> Value {
    match scalar {
        Scalar::Text | Scalar::Uuid => json!({ "type": "string" }),
        Scalar::Int => decimal(0),
        Scalar::Decimal { scale, .. } => decimal(scale),
        Scalar::Double => {
            json!({ "type": "string", "description": "a double, in the shortest text that reads back" })
        }
        Scalar::Bool => json!({ "type": "boolean" }),
        Scalar::Time => instant(),
        Scalar::Date => json!({ "type": "string", "format": "date" }),
        Scalar::Json => json!({ "description": "any JSON value" }),
    }
}
