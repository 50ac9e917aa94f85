//! A metrics row from its two halves.

use super::exit::Exit;
use serde_json::{Map, Value};

/// One row as `metrics` prints it.
pub(super) type Row = Map<String, Value>;

/// The members of the key, then those of the value that the key does not have. `None`: a position, no row.
pub(super) fn join(key: &[u8], value: Option<&[u8]>) -> Result<Option<Row>, Exit> {
    let members = |bytes: &[u8]| {
        serde_json::from_slice::<Row>(bytes)
            .map_err(|error| Exit::failed(format_args!("a row is damaged: {error}")))
    };
    let mut row = if key.is_empty() { Map::new() } else { members(key)? };
    if row.contains_key("position") {
        return Ok(None);
    }
    match value {
        None => {
            row.insert("values".into(), Value::Null);
        }
        Some(value) => {
            for (name, value) in members(value)? {
                row.entry(name).or_insert(value);
            }
        }
    }
    Ok(Some(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(key: &str, value: Option<&str>) -> String {
        let row = join(key.as_bytes(), value.map(str::as_bytes)).unwrap();
        row.map(|row| serde_json::to_string(&row).unwrap()).unwrap_or_default()
    }

    #[test]
    fn a_row_is_its_key_and_then_its_value_and_says_nothing_twice() {
        let key = r#"{"aggregate":"vendor","tenant_id":"t","by":{"v":"1"},"window":"day","start":"S"}"#;

        let row = line(key, Some(r#"{"start":"S","end":"E","values":{"n":1}}"#));

        assert_eq!(
            row,
            r#"{"aggregate":"vendor","tenant_id":"t","by":{"v":"1"},"window":"day","start":"S","end":"E","values":{"n":1}}"#
        );
    }

    #[test]
    fn a_tombstone_has_no_values_and_a_position_is_no_row() {
        assert_eq!(line(r#"{"a":1}"#, None), r#"{"a":1,"values":null}"#);
        assert_eq!(line(r#"{"position":3}"#, Some(r#"{"commit":1}"#)), "");
    }
}
