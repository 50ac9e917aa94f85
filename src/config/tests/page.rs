//! The page of documentation: every key, with its right default and limits.

use super::*;

const PAGE: &str = include_str!("../../../docs/configuration.md");

/// The cells of every row of the page that begins with a key.
fn rows() -> Vec<Vec<&'static str>> {
    let rows = PAGE.lines().filter(|line| line.starts_with("| `"));
    rows.map(|row| row.trim_matches('|').split(" | ").map(str::trim).collect()).collect()
}

fn quoted(cell: &str) -> Option<&str> {
    cell.split('`').nth(1)
}

#[test]
fn the_page_has_a_row_for_every_key_and_for_no_other() {
    let mut named: Vec<&str> = rows().iter().filter_map(|row| quoted(row[0])).collect();
    named.sort_unstable();
    let mut known: Vec<String> = every_value().chain(["kafka.client".into()]).collect();
    known.sort_unstable();

    assert_eq!(named, known);
}

#[test]
fn the_page_tells_the_right_defaults_and_limits() {
    for Limit { key, default, low, high } in DURATIONS.iter().chain(SIZES) {
        let row = rows().into_iter().find(|row| quoted(row[0]) == Some(key)).expect("every key has a row");
        assert_eq!(row[1..3], [format!("`{low}` to `{high}`"), format!("`{default}`")], "{key}");
    }
    let expected = read(LEAST, &[]);
    let mut told = 0;
    for row in rows() {
        let (Some(key), Some(default)) = (quoted(row[0]), quoted(row[2])) else { continue };
        // Words about another key, or about the environment.
        if !row[2].starts_with('`') {
            continue;
        }
        told += 1;
        assert_eq!(with(key, default).as_ref(), Ok(&expected), "{key}");
    }
    assert!(told > DURATIONS.len() + SIZES.len() + 5, "{told}");
}

#[test]
fn the_file_that_the_page_shows_is_right() {
    let shown = PAGE.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next());

    let config = read(shown.expect("the page shows a file"), &[]);

    assert_eq!(config.kafka.brokers.len(), 2);
    assert_eq!(config.weaknesses(), Vec::<String>::new());
}
