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
use super::tables::files_of;
use super::types::path_type;

pub(super) struct View {
    pub(super) name: String,
    pub(super) comment: String,
    /// A `SELECT` without a `;`.
    pub(super) sql: String,
    pub(super) columns: Vec<(String, LakeType)>,
}

pub(super) fn views(topology: &Topology, glue: &Glue) -> [View; 3] {
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
    let once = once(topology, glue, &every);
    [every, once, refused]
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

/// One row per event id, of those in one folder. To compare all rows there are, an engine has to list every folder that
/// there may be: a filter reaches what is below such a comparison only if it is on what is compared.
fn once(topology: &Topology, glue: &Glue, every: &View) -> View {
    let name = format!("{}_once", topology.lake.table);
    let (columns, from) = (every.columns.clone(), place(glue, &every.name));
    if topology.events.id == EventId::Coordinate {
        let sql = format!("SELECT *\nFROM {from}");
        return View { name, comment: NO_REPEATS.into(), sql, columns };
    }
    let names: Vec<_> = columns.iter().map(|(name, _)| quoted(name)).collect();
    let mut compared: Vec<_> = topology.lake.partition.iter().map(|part| quoted(part.name())).collect();
    compared.push("\"_event_id\"".into());
    let sql = format!(
        "SELECT\n  {names}\n\
         FROM (\n\
         \x20 SELECT *, row_number() OVER (\n\
         \x20   PARTITION BY {compared}\n\
         \x20   ORDER BY \"_record_time\", \"_incarnation\", \"_partition\", \"_offset\"\n\
         \x20 ) AS \"_delivery\"\n\
         \x20 FROM {from}\n\
         )\n\
         WHERE \"_delivery\" = 1",
        names = names.join(",\n  "),
        compared = compared.join(", "),
    );
    View { name, comment: ONCE.into(), sql, columns }
}

const NO_REPEATS: &str = "The id of an event is its coordinate, so no event repeats another: the same rows.";

const ONCE: &str = "\
One row per _event_id: the first delivery by record time, then by place in the log. Rows of one folder are compared,
so that filters on the path spare files. A repeat is filed with the first delivery unless their record times decide
where: an event without a time of its own, or one that _filed_by marks. To compare those too, say row_number() OVER
(PARTITION BY _event_id …) yourself, over a tenant and a span of time.";

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
