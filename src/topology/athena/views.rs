//! The views: what people ask. They have the names that the lake's tables have for other engines.
//!
//! A view shows the path's texts in both forms: `tenant_id` and `category` as they are filed, which a query has
//! to name, and `_tenant` and `_category` as they are. Only plain expressions of the path are added, so filters
//! reach the files.

use super::super::checked::{EventId, PartitionColumn, Topology};
use super::super::columns::{
    LakeColumn, LakeOrigin, LakeScalar, LakeType, REFUSED_PARTITION, lake_columns, refused_columns,
    refused_table,
};
use super::glue::Glue;
use super::tables::{files_of, is_injected};
use super::types::path_type;

pub(super) struct View {
    pub(super) name: String,
    /// What it is, in one line or two.
    pub(super) comment: String,
    /// A `SELECT` without a `;`.
    pub(super) sql: String,
    pub(super) columns: Vec<(String, LakeType)>,
}

pub(super) fn views(topology: &Topology, glue: &Glue) -> Vec<View> {
    let table = &topology.lake.table;
    let every = View {
        comment: "Every delivery of every event, repeats included.".into(),
        ..shown(glue, table, &lake_columns(topology), &topology.lake.partition)
    };
    let refused = refused_table(&topology.lake);
    let refused = View {
        comment: "Every record that was refused, filed under its record time.".into(),
        ..shown(glue, &refused, &refused_columns(), &REFUSED_PARTITION)
    };
    let mut views = once(topology, glue, &every);
    views.insert(0, every);
    views.push(refused);
    views
}

/// A table's columns, its path, and the start of the time that the path names.
fn shown(glue: &Glue, table: &str, columns: &[LakeColumn], partition: &[PartitionColumn]) -> View {
    let mut lines = Vec::new();
    let mut shown = Vec::new();
    for column in columns {
        lines.push(match decoded(column.origin, partition) {
            Some(path) => format!("{} AS {}", decode(path), quoted(&column.name)),
            None => quoted(&column.name),
        });
        shown.push((column.name.clone(), column.ty.clone()));
    }
    for column in partition {
        lines.push(quoted(column.name()));
        shown.push((column.name().to_owned(), path_type(*column)));
    }
    if let Some((expression, name)) = start(partition) {
        lines.push(format!("{expression} AS {}", quoted(name)));
        shown.push((name.to_owned(), LakeType::Scalar(LakeScalar::Timestamp)));
    }
    let from = place(glue, &files_of(table));
    View {
        name: table.to_owned(),
        comment: String::new(),
        sql: format!("SELECT\n  {}\nFROM {from}", lines.join(",\n  ")),
        columns: shown,
    }
}

/// The part of the path that holds what the column holds: reading it opens no file.
fn decoded(origin: LakeOrigin, partition: &[PartitionColumn]) -> Option<PartitionColumn> {
    let column = match origin {
        LakeOrigin::Tenant => PartitionColumn::TenantId,
        LakeOrigin::Category => PartitionColumn::Category,
        _ => return None,
    };
    partition.contains(&column).then_some(column)
}

/// Nothing is lost on the way: a `+`, which this would take for a blank, stands in no path.
fn decode(column: PartitionColumn) -> String {
    format!("url_decode(replace({}, '!', '%'))", quoted(column.name()))
}

/// Views of one row per event id. The engine hands a filter through such a comparison only if it is on what is
/// compared, and it refuses a query that names no tenant: so the tenant is among that.
fn once(topology: &Topology, glue: &Glue, every: &View) -> Vec<View> {
    let name = format!("{}_once", topology.lake.table);
    if topology.events.id == EventId::Coordinate {
        let sql = format!("SELECT *\nFROM {}", place(glue, &every.name));
        let comment =
            "The id of an event is its coordinate, so no event repeats another: the same rows.".into();
        return vec![View { name, comment, sql, columns: every.columns.clone() }];
    }
    let partition = &topology.lake.partition;
    let named: Vec<_> = partition.iter().copied().filter(|part| is_injected(*part, topology)).collect();
    let mut views = vec![first_only(glue, every, name.clone(), exact_comment(&named), &named)];
    if named.len() < partition.len() {
        views.push(first_only(glue, every, format!("{name}_pruned"), PRUNED.into(), partition));
    }
    views
}

fn exact_comment(named: &[PartitionColumn]) -> String {
    let word =
        |part: &PartitionColumn| if *part == PartitionColumn::TenantId { "tenant" } else { "category" };
    let words: Vec<_> = named.iter().rev().map(word).collect();
    let of = if words.is_empty() { String::new() } else { format!(" of a {}", words.join(" and ")) };
    format!(
        "One row per _event_id{of}: the first delivery by record time, then by place in the log.\n\
         It compares all rows{of} before any other filter, so it reads all of them."
    )
}

const PRUNED: &str = "\
The same, but only rows that are filed in one folder are compared, so filters on all of the path spare files.
A repeat is filed with the first delivery, unless their record times decide where (see _filed_by).";

fn first_only(glue: &Glue, every: &View, name: String, comment: String, same: &[PartitionColumn]) -> View {
    let quoted_of = |(column, _): &(String, LakeType)| quoted(column);
    let columns: Vec<_> = every.columns.iter().map(quoted_of).collect();
    let mut compared: Vec<_> = same.iter().map(|part| quoted(part.name())).collect();
    compared.push("\"_event_id\"".into());
    let sql = format!(
        "SELECT\n  {columns}\n\
         FROM (\n\
         \x20 SELECT *, row_number() OVER (\n\
         \x20   PARTITION BY {compared}\n\
         \x20   ORDER BY \"_record_time\", \"_incarnation\", \"_partition\", \"_offset\"\n\
         \x20 ) AS \"_delivery\"\n\
         \x20 FROM {from}\n\
         )\n\
         WHERE \"_delivery\" = 1",
        columns = columns.join(",\n  "),
        compared = compared.join(", "),
        from = place(glue, &every.name),
    );
    View { name, comment, sql, columns: every.columns.clone() }
}

/// The start of the finest part of time that the path has. Projected days such as the 31st of February are
/// none, and have no files.
fn start(partition: &[PartitionColumn]) -> Option<(String, &'static str)> {
    let (format, parts, name) = match partition.last()? {
        PartitionColumn::Hour => {
            ("%04d-%02d-%02d %02d:00:00", "\"year\", \"month\", \"day\", \"hour\"", "hour_start")
        }
        PartitionColumn::Day => ("%04d-%02d-%02d 00:00:00", "\"year\", \"month\", \"day\"", "day_start"),
        PartitionColumn::Month => ("%04d-%02d-01 00:00:00", "\"year\", \"month\"", "month_start"),
        PartitionColumn::Year => ("%04d-01-01 00:00:00", "\"year\"", "year_start"),
        PartitionColumn::Category | PartitionColumn::TenantId => return None,
    };
    Some((format!("TRY_CAST(format('{format}', {parts}) AS timestamp)"), name))
}

fn place(glue: &Glue, table: &str) -> String {
    format!("{}.{}", quoted(&glue.database), quoted(table))
}

/// Names of ours hold no quotes.
fn quoted(name: &str) -> String {
    format!("\"{name}\"")
}
