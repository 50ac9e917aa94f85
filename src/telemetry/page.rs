//! The list as a page for people.

use super::{ALL, Metric, VERIFY};
use std::fmt::Write;

const HEAD: &str = "# Metrics

_Made from the list in `src/telemetry/list.rs`: change it there, and run the test of golden texts with `BLESS=1`._

A process that runs by a configuration tells them at `/metrics` of its admin port
([`admin.address`](configuration.md#process)), in Prometheus' text format. No label holds a tenant, a topic's name or
anything of an event. `role` is `route`, `aggregate` or `lake`; `partition` is one of the role's input topic. A metric
of which there is nothing to tell yet is left out.

| metric | type | unit | labels | meaning |
|---|---|---|---|---|
";

const VERIFY_HEAD: &str = "
## Of `verify`

`thalweg verify --metrics-file FILE` leaves these in a file, whole or not at all, however it ends: for the textfile
collector of a node exporter. `kind` is one of those of [verify](verify.md#kinds).

| metric | type | unit | labels | meaning |
|---|---|---|---|---|
";

/// `docs/metrics.md`.
pub fn page() -> String {
    let mut page = HEAD.to_owned();
    table(ALL, &mut page);
    page.push_str(VERIFY_HEAD);
    table(VERIFY, &mut page);
    page
}

fn table(metrics: &[Metric], page: &mut String) {
    for Metric { name, kind, unit, labels, meaning } in metrics {
        let labels: Vec<_> = labels.iter().map(|label| format!("`{label}`")).collect();
        let (kind, labels) = (kind.as_str(), labels.join(", "));
        // Writing into a text cannot fail.
        let _ = writeln!(page, "| `{name}` | {kind} | {unit} | {labels} | {meaning} |");
    }
}
