//! What `metrics` prints is what DuckDB computes from the lake, for every calendar window and value.

use crate::program::{River, fine, text};
use crate::python::Python;

/// Peak memory of a demo with a million events, in MiB, `verify` included: 374 to 400 were measured.
const MEMORY_MAX: &str = "512";

#[test]
fn the_oracles_find_planted_errors() {
    let Some(python) = Python::or_left_out() else { return };

    python.agrees("check_oracles.py", &[]);
}

#[test]
fn a_million_events_give_the_totals_that_duckdb_computes_from_the_lake() {
    let Some(python) = Python::or_left_out() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let river = River::new("marketplace", &folder.path().join("river"));
    let dir = text(&river.dir);

    // Repeats, late events and broken lines are mixed in by default; it ends well only if `verify` is green.
    let demo = ["demo", "--events", "1000000", "--seed", "7", "--dir", &dir];
    python.agrees("peak.py", &[&[MEMORY_MAX, env!("CARGO_BIN_EXE_thalweg")], &demo[..]].concat());

    totals_agree(&python, "marketplace", &river);
    let files = [river.ddl(), river.metrics(&["--history", "orders"]), river.metrics(&["--set-aside"])];
    python.agrees("history.py", &[&files[0], &files[1], &files[2]]);
}

#[test]
fn free_numeric_fields_give_the_totals_that_duckdb_computes_from_the_lake() {
    let Some(python) = Python::or_left_out() else { return };
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let river = River::new("tenant-insights", &folder.path().join("river"));
    let input = folder.path().join("insights.ndjson");
    python.agrees("insights_events.py", &[&text(&input), "50000", "3"]);

    river.run(&input);

    river.verify();
    totals_agree(&python, "tenant-insights", &river);
}

#[test]
fn the_same_seed_makes_the_same_events() {
    let events = |seed: &str| fine(&["generate", "--events", "2000", "--seed", seed]);

    let once = events("5");

    assert_eq!(once.lines().filter(|line| !line.is_empty()).count(), once.lines().count());
    assert!(once == events("5"), "two runs with one seed differ");
    assert!(once != events("6"), "two seeds give the same events");
}

/// Both topologies leave `partitions` at its default.
const PARTITIONS: &str = "4";

#[track_caller]
pub(crate) fn totals_agree(python: &Python, name: &str, river: &River) {
    let files = [river.ddl(), river.metrics(&[]), river.metrics(&["--set-aside"])];
    python.agrees("calendar_rows.py", &[name, &files[0], &files[1], &files[2], PARTITIONS]);
}
