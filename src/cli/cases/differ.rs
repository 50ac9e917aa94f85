//! What a case says against what was left, as lines: `-` was expected, `+` is there.

use super::{Case, Left};
use crate::cli::row::Row;
use serde_json::Value;
use std::collections::BTreeMap;

/// Members that name a row; the others are what it says.
const KEY: [&str; 5] = ["aggregate", "tenant_id", "by", "window", "start"];

/// Nothing, if the case holds.
pub(in crate::cli) fn differences(case: &Case, left: &Left) -> Vec<String> {
    let is_looked_at = |row: &&Row| {
        let window = row.get("window").and_then(Value::as_str);
        case.windows
            .as_ref()
            .is_none_or(|windows| windows.iter().any(|wanted| Some(wanted.as_str()) == window))
    };
    let mut lines = Vec::new();
    let rows: Vec<Row> = left.rows.iter().filter(is_looked_at).cloned().collect();
    compare(&mut lines, "row", &case.expected.rows, &rows);
    compare(&mut lines, "set aside", &case.expected.set_aside, &left.set_aside);
    let refused = |left: &Left| -> Vec<Row> {
        let row = |event: usize, reason: &str| {
            Row::from_iter([("event".into(), event.into()), ("reason".into(), reason.into())])
        };
        left.refused.iter().map(|refused| row(refused.event, &refused.reason)).collect()
    };
    compare(&mut lines, "refused", &refused(&case.expected), &refused(left));
    lines
}

/// By key, so that a row that is wrong stands right under the one that was expected.
fn compare(lines: &mut Vec<String>, what: &str, expected: &[Row], found: &[Row]) {
    let mut by_key: BTreeMap<String, (Vec<&Row>, Vec<&Row>)> = BTreeMap::new();
    for row in expected {
        by_key.entry(key(row)).or_default().0.push(row);
    }
    for row in found {
        by_key.entry(key(row)).or_default().1.push(row);
    }
    for (mut expected, mut found) in by_key.into_values() {
        expected.retain(|row| match found.iter().position(|other| other == row) {
            Some(same) => {
                found.remove(same);
                false
            }
            None => true,
        });
        lines.extend(expected.iter().map(|row| format!("- {what} {}", text(row))));
        lines.extend(found.iter().map(|row| format!("+ {what} {}", text(row))));
    }
}

fn key(row: &Row) -> String {
    // A rolling row's start moves with time; it is not part of its key, but one row has one start here.
    KEY.iter().filter_map(|name| row.get(*name)).map(Value::to_string).collect::<Vec<_>>().join(" ")
}

fn text(row: &Row) -> String {
    serde_json::to_string(row).expect("a map of values is JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn row(window: &str, n: i64) -> Row {
        let Value::Object(row) = json!({"aggregate": "a", "window": window, "values": {"n": n}}) else {
            unreachable!("it is an object")
        };
        row
    }

    fn case(rows: Vec<Row>, windows: Option<Vec<String>>) -> Case {
        let expected = Left { rows, ..Left::default() };
        Case { sentence: String::new(), line: 1, events: vec![], expected, windows }
    }

    #[test]
    fn what_is_not_listed_must_not_be_there() {
        let left = Left { rows: vec![row("day", 1), row("week", 2)], ..Left::default() };

        assert_eq!(differences(&case(vec![row("week", 2), row("day", 1)], None), &left), [""; 0]);
        assert_eq!(
            differences(&case(vec![row("week", 3)], None), &left),
            [
                r#"+ row {"aggregate":"a","window":"day","values":{"n":1}}"#,
                r#"- row {"aggregate":"a","window":"week","values":{"n":3}}"#,
                r#"+ row {"aggregate":"a","window":"week","values":{"n":2}}"#,
            ]
        );
    }

    #[test]
    fn a_row_that_is_there_twice_is_a_difference() {
        let left = Left { rows: vec![row("day", 1), row("day", 1)], ..Left::default() };

        assert_eq!(differences(&case(vec![row("day", 1)], None), &left).len(), 1);
    }

    #[test]
    fn a_case_may_look_at_some_windows_only() {
        let left = Left { rows: vec![row("day", 1), row("week", 2)], ..Left::default() };

        assert_eq!(differences(&case(vec![row("day", 1)], Some(vec!["day".into()])), &left), [""; 0]);
    }
}
