//! The event: declared members at their places; whatever else it holds is kept in the lake as `_rest`.

use super::super::check::scalar_name;
use super::super::checked::{Field, FieldType, Scalar, Topology};
use super::nullable;
use crate::model::{ITEMS_MAX, PARTITION_TEXT_BYTES_MAX, STRING_BYTES_MAX};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

pub(super) fn event(topology: &Topology) -> Value {
    let roles = [Some(topology.tenant), topology.category];
    let fields: Vec<(&Field, Value)> = topology
        .events
        .fields
        .iter()
        .enumerate()
        .map(|(index, field)| {
            let mut schema = field_schema(field);
            if roles.contains(&Some(index)) {
                schema["maxLength"] = json!(PARTITION_TEXT_BYTES_MAX);
            }
            (field, schema)
        })
        .collect();
    members(&fields)
}

/// Fields by their paths; members that no field declares may stand beside them.
fn members(fields: &[(&Field, Value)]) -> Value {
    let mut root = Member::default();
    for (field, schema) in fields {
        let mut member = &mut root;
        for part in &field.path {
            let inner = member.inner.entry(part.clone()).or_default();
            // What is required must have all that it lies in.
            inner.required |= field.required;
            member = inner;
        }
        member.schemas.push(schema.clone());
    }
    root.schema(true)
}

/// A member of the event: what fields make of it, and the members inside it that fields read.
#[derive(Default)]
struct Member {
    schemas: Vec<Value>,
    required: bool,
    inner: BTreeMap<String, Member>,
}

impl Member {
    fn schema(&self, required: bool) -> Value {
        let mut all = self.schemas.clone();
        if !self.inner.is_empty() {
            let properties: Map<String, Value> = self
                .inner
                .iter()
                .map(|(name, member)| (name.clone(), member.schema(member.required)))
                .collect();
            let names: Vec<&String> =
                self.inner.iter().filter(|(_, member)| member.required).map(|(name, _)| name).collect();
            let mut object = json!({ "type": "object", "properties": properties });
            if !names.is_empty() {
                object["required"] = json!(names);
            }
            // A field that takes the whole member may find anything there.
            if !all.is_empty() {
                object = without_type(object);
            } else if !required {
                object = nullable(object);
            }
            all.push(object);
        }
        match all.len() {
            1 => all.remove(0),
            _ => json!({ "allOf": all }),
        }
    }
}

fn without_type(mut schema: Value) -> Value {
    if let Value::Object(members) = &mut schema {
        members.shift_remove("type");
    }
    schema
}

fn field_schema(field: &Field) -> Value {
    let schema = match &field.ty {
        FieldType::Scalar(scalar) => scalar_schema(*scalar),
        FieldType::ListOfScalar(scalar) => {
            json!({ "type": "array", "items": scalar_schema(*scalar), "maxItems": ITEMS_MAX })
        }
        FieldType::ListOfStruct(fields) => {
            let fields: Vec<(&Field, Value)> =
                fields.iter().map(|field| (field, field_schema(field))).collect();
            json!({ "type": "array", "items": members(&fields), "maxItems": ITEMS_MAX })
        }
        FieldType::Map(scalar) => map_schema(*scalar),
    };
    if field.required { schema } else { nullable(schema) }
}

fn map_schema(scalar: Scalar) -> Value {
    let mut schema = json!({ "type": "object", "maxProperties": ITEMS_MAX });
    match scalar.scale().is_some() || scalar == Scalar::Double {
        true => {
            schema["description"] =
                json!(format!("numbers ({}); members that are no numbers are skipped", scalar_name(scalar)));
        }
        false => schema["additionalProperties"] = scalar_schema(scalar),
    }
    schema
}

fn scalar_schema(scalar: Scalar) -> Value {
    match scalar {
        Scalar::Text => json!({ "type": "string", "maxLength": STRING_BYTES_MAX }),
        Scalar::Uuid => json!({ "type": "string", "format": "uuid" }),
        Scalar::Int => json!({ "type": "integer", "minimum": i64::MIN, "maximum": i64::MAX }),
        Scalar::Decimal { scale, minor: true, .. } => {
            json!({ "type": "integer", "description": format!("counts the last of {scale} digits behind the point") })
        }
        Scalar::Decimal { scale, round: true, .. } => {
            json!({ "type": "number", "description": format!("rounded to {scale} digits behind the point") })
        }
        Scalar::Decimal { scale, .. } => {
            json!({ "type": "number", "description": format!("at most {scale} digits behind the point") })
        }
        Scalar::Double => json!({ "type": "number" }),
        Scalar::Bool => json!({ "type": "boolean" }),
        Scalar::Time => json!({ "type": "string", "format": "date-time" }),
        Scalar::Date => json!({ "type": "string", "format": "date" }),
        Scalar::Json => json!({ "description": "any JSON value; kept as its exact bytes" }),
    }
}
