//! The end of a demo: what it made, how to ask it, and whether it is right.

use super::screen::bytes;
use crate::cli::ddl::absolute;
use crate::cli::progress::{Moment, grouped};
use crate::cli::verify;
use crate::topology::Topology;
use crate::verify::Report;
use serde_json::{Value, json};
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;

pub(super) struct Made<'a> {
    pub(super) dir: &'a Path,
    pub(super) topology: &'a Topology,
    pub(super) moment: Moment,
    pub(super) took: Duration,
    pub(super) report: &'a Report,
}

impl Made<'_> {
    pub(super) fn print(&self, out: &mut dyn Write) -> io::Result<()> {
        let Made { dir, moment, report, .. } = self;
        let dir = absolute(dir);
        let seconds = self.took.as_secs_f64();
        writeln!(out, "\nmade in {} in {seconds:.1} s", dir.display())?;
        writeln!(out, "  {} raw records, {} of them refused", grouped(moment.raw), grouped(report.refused))?;
        writeln!(out, "  {} metrics rows, transactions: {}", grouped(report.rows), grouped(moment.commits))?;
        writeln!(
            out,
            "  {} duplicate and {} late parts set aside",
            grouped(report.duplicates),
            grouped(report.late)
        )?;
        writeln!(
            out,
            "  {} lake rows in {} Parquet files, {}",
            grouped(moment.lake_rows),
            grouped(moment.lake_files),
            bytes(moment.lake_bytes)
        )?;
        writeln!(out, "\nask the lake, with DuckDB:\n\n{}\n", self.query())?;
        let place = dir.display();
        writeln!(out, "ask for live rows:\n\nthalweg metrics '{place}' --embedded '{place}'\n")?;
        verify::print(report, out)
    }

    pub(super) fn json(&self) -> Value {
        let Made { dir, moment, report, .. } = self;
        json!({
            "dir": absolute(dir),
            "topology": self.topology.name,
            "seconds": self.took.as_secs_f64(),
            "raw_records": moment.raw,
            "refused": report.refused,
            "metrics_rows": report.rows,
            "commits": moment.commits,
            "duplicates": report.duplicates,
            "late": report.late,
            "lake": { "rows": moment.lake_rows, "files": moment.lake_files, "bytes": moment.lake_bytes },
            "query": self.query(),
            "is_green": report.is_green(),
            "verify": report,
        })
    }

    /// SQL that needs nothing but the files: one row per event id, because the lake has every delivery.
    fn query(&self) -> String {
        let files = absolute(&self.dir.join("lake")).join(&self.topology.lake.table).join("**/*.parquet");
        let files = files.display().to_string().replace('\'', "''");
        let read = format!("read_parquet('{files}', hive_partitioning = false, union_by_name = true)");
        if self.topology.name == "marketplace" {
            format!(
                "SELECT _tenant AS tenant, vendor_id, count(*) AS completed_orders, sum(total) AS revenue\n\
                 FROM (SELECT DISTINCT ON (_event_id) * FROM {read})\n\
                 WHERE _category = 'OrderCompleted'\n\
                 GROUP BY ALL ORDER BY revenue DESC, vendor_id LIMIT 10;"
            )
        } else {
            format!(
                "SELECT _tenant AS tenant, count(*) AS rows FROM {read}\nGROUP BY ALL ORDER BY rows DESC, tenant LIMIT 10;"
            )
        }
    }
}
