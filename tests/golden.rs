//! Texts that people review: problems, descriptions, SQL, schemas. `BLESS=1` rewrites them, and the
//! diff is read.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use thalweg::topology::{Glue, Topology, athena_ddl, check, describe, duckdb_ddl, schemas, terraform};

const TOPOLOGIES: [&str; 3] = ["flights", "marketplace", "tenant-insights"];

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Compares with the text on disk; `BLESS=1` rewrites it instead, for the diff to be reviewed.
fn golden(path: &Path, actual: &str) {
    if std::env::var_os("BLESS").is_some() {
        return fs::write(path, actual).expect("golden text can be written");
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    assert!(expected == actual, "{}: rerun with BLESS=1, or fix\n{actual}", path.display());
}

fn topology(name: &str) -> Topology {
    let text = fs::read_to_string(root(&format!("topologies/{name}/topology.yaml"))).expect("is there");
    check(&text).unwrap_or_else(|problems| panic!("{name}: {problems:#?}"))
}

#[test]
fn every_problem_of_a_bad_topology_is_listed_at_its_place() {
    for name in ["aggregates", "empty", "everything", "not-yaml"] {
        let text = fs::read_to_string(root(&format!("tests/golden/problems/{name}.yaml"))).expect("is there");

        let problems = check(&text).expect_err("these are all wrong");

        let lines: String = problems.iter().map(|problem| format!("{problem}\n")).collect();
        golden(&root(&format!("tests/golden/problems/{name}.txt")), &lines);
    }
}

#[test]
fn the_topologies_that_come_with_us_have_no_problem() {
    for name in TOPOLOGIES {
        assert_eq!(topology(name).name, name);
    }
}

/// Uses every type and most words of the language; no one would want it.
fn every_type() -> Topology {
    let text = fs::read_to_string(root("tests/golden/every-type.yaml")).expect("is there");
    check(&text).unwrap_or_else(|problems| panic!("{problems:#?}"))
}

#[test]
fn the_descriptions_are_those_that_were_reviewed() {
    for name in TOPOLOGIES {
        golden(&root(&format!("topologies/{name}/description.txt")), &describe(&topology(name)));
    }
    golden(&root("tests/golden/every-type.txt"), &describe(&every_type()));
}

#[test]
fn the_sql_is_that_which_was_reviewed() {
    for name in TOPOLOGIES {
        let sql = duckdb_ddl(&topology(name), "/var/lib/it's a [lake]/", true, true);
        golden(&root(&format!("tests/golden/ddl/{name}.sql")), &sql);
    }
    golden(&root("tests/golden/ddl/every-type.sql"), &duckdb_ddl(&every_type(), "/lake", true, true));
    let sql = duckdb_ddl(&topology("flights"), "s3://bucket/prefix", false, false);
    golden(&root("tests/golden/ddl/no-files.sql"), &sql);
}

/// The marketplace with a closed list of categories, one of them strange.
fn listed_categories() -> Topology {
    let categories = ["OrderCreated", "Order, completed", "_x"].map(str::to_owned).to_vec();
    Topology { categories, ..topology("marketplace") }
}

#[test]
fn the_tables_of_athena_are_those_that_were_reviewed() {
    let mut all: Vec<_> = TOPOLOGIES.iter().map(|name| (*name, topology(name))).collect();
    all.extend([("every-type", every_type()), ("listed-categories", listed_categories())]);
    for (name, topology) in all {
        let glue = Glue::new(&topology, "s3://shop-lake/v1/", None, (None, None)).expect("is plain");
        golden(&root(&format!("tests/golden/ddl/{name}.athena.sql")), &athena_ddl(&topology, &glue));
        golden(&root(&format!("tests/golden/ddl/{name}.tf")), &terraform(&topology, &glue));
    }
}

#[test]
fn the_page_of_metrics_is_that_which_was_reviewed() {
    golden(&root("docs/metrics.md"), &thalweg::telemetry::page());
}

#[test]
fn the_schemas_are_those_that_were_reviewed() {
    let mut expected = BTreeSet::new();
    for name in TOPOLOGIES {
        for schema in schemas(&topology(name)) {
            let file = format!("{name}.{}.json", schema.kind);
            golden(&root("schemas").join(&file), &schema.text);
            expected.insert(file);
        }
    }
    for schema in schemas(&every_type())
        .iter()
        .filter(|schema| ["events", "histories", "metrics"].contains(&schema.kind))
    {
        golden(&root(&format!("tests/golden/every-type.{}.json", schema.kind)), &schema.text);
    }
    let there = fs::read_dir(root("schemas")).expect("is a folder");
    let names = there.map(|entry| entry.expect("is there").file_name().to_string_lossy().into_owned());
    assert_eq!(names.collect::<BTreeSet<_>>(), expected, "no schema without a topology");
}
