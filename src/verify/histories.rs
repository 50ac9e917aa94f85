//! History records: what should be there, and what is.

use super::facts::Facts;
use super::report::{Kind, Report};
use super::value::{Value, instant};
use crate::topology::{Field, FieldType};
use serde_json::Value as Json;
use std::collections::HashMap;

/// One record that a history should have; as text, because there are many.
pub(super) struct Record {
    pub time: i64,
    pub columns: String,
}

/// Compares records with what should be there.
pub(super) fn compare_histories(
    facts: &mut Facts,
    expected: HashMap<(usize, String), Record>,
    report: &mut Report,
) {
    for ((history, key), value) in expected {
        let found = facts.histories.remove(&(history, key.clone()));
        let found = found.and_then(|text| serde_json::from_str::<Json>(&text).ok());
        let Some(found) = found else {
            report.differ(Kind::History, key, value.columns, "no record");
            continue;
        };
        let time = found["event_time"].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
        let same_time = time.map(jiff::Timestamp::as_microsecond) == Some(value.time);
        let columns = found["columns"].to_string();
        if same_time && columns == value.columns {
            report.history_rows += 1;
        } else {
            report.differ(Kind::History, key, format!("{} at {}", value.columns, instant(value.time)), found);
        }
    }
    for ((_, key), value) in facts.histories.drain() {
        report.differ(Kind::History, key, "no record", value);
    }
}

/// A field as history records show it: lists of objects by member name.
pub(super) fn history_json(field: &Field, value: Option<&Value>) -> Json {
    match (&field.ty, value) {
        (_, None) => Json::Null,
        (FieldType::ListOfStruct(members), Some(Value::List(items))) => {
            let item = |item: &Vec<Option<Value>>| {
                let pairs = members.iter().zip(item);
                let json = |value: &Option<Value>| value.as_ref().map_or(Json::Null, Value::json);
                Json::Object(pairs.map(|(member, value)| (member.name.clone(), json(value))).collect())
            };
            Json::Array(items.iter().map(item).collect())
        }
        (FieldType::ListOfScalar(_), Some(Value::List(items))) => {
            let item = |item: &Vec<Option<Value>>| item[0].as_ref().map_or(Json::Null, Value::json);
            Json::Array(items.iter().map(item).collect())
        }
        (_, Some(value)) => value.json(),
    }
}
