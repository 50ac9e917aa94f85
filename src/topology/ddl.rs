//! The lake as SQL for DuckDB: views that can be pasted as they are.
//!
//! Types are always given: DuckDB would read `tenant_id=123` as a number and `month=03` as text. The
//! views show times as TIMESTAMP in UTC, because a session's zone would move the days of TIMESTAMPTZ,
//! decode what the path holds in its escaped form, and add the hour that a row is filed under. All of
//! these are plain expressions of the path, so a filter on them still leaves files unread.

use super::checked::{EventId, PartitionColumn, Topology};
use super::columns::{
    LakeColumn, LakeMember, LakeScalar, LakeType, REFUSED_PARTITION, lake_columns, refused_columns,
    refused_table,
};

/// Views over the files at `location` (a folder, or a URL that DuckDB can read). A table without files
/// cannot be read, so it gets no view; a field that no file has yet is no column of them yet.
pub fn duckdb_ddl(topology: &Topology, location: &str, has_events: bool, has_refused: bool) -> String {
    let table = &topology.lake.table;
    let mut sql = format!(
        "-- The lake of the topology {}, for DuckDB 1.1 and later.\n\
         -- Times are UTC. year, month, day and hour are what a row is filed under: its event time, or the\n\
         -- time named by _filed_by. Filters on them, on their start and on tenant and category skip files.\n\n",
        topology.name
    );
    if has_events {
        let columns = lake_columns(topology);
        sql.push_str("-- Every delivery of every event, repeats included.\n");
        sql.push_str(&view(table, location, &columns, &topology.lake.partition));
        sql.push_str(&once_view(topology));
    } else {
        sql.push_str(&format!("-- {table} has no files yet: run this again once it has.\n\n"));
    }
    if has_refused {
        sql.push_str("-- Every record that was refused, filed under its record time.\n");
        sql.push_str(&view(&refused_table(&topology.lake), location, &refused_columns(), &REFUSED_PARTITION));
    } else {
        sql.push_str(&format!(
            "-- {} has no files: nothing was refused so far.\n",
            refused_table(&topology.lake)
        ));
    }
    sql
}

/// One view over the files of a table.
fn view(table: &str, location: &str, columns: &[LakeColumn], partition: &[PartitionColumn]) -> String {
    let hive: Vec<String> =
        partition.iter().map(|column| format!("{}: {}", quoted(column.name()), path_type(*column))).collect();
    let mut shown: Vec<String> = columns.iter().map(shown_column).collect();
    shown.extend(partition.iter().map(|column| shown_part(*column)));
    shown.extend(start_column(partition));
    format!(
        "CREATE OR REPLACE VIEW {name} AS\n\
         SELECT\n  {shown}\n\
         FROM read_parquet(\n\
         \x20 {glob},\n\
         \x20 hive_partitioning = true,\n\
         \x20 hive_types = {{{hive}}},\n\
         \x20 union_by_name = true\n\
         );\n\n",
        name = quoted(table),
        glob = glob(location, table),
        hive = hive.join(", "),
        shown = shown.join(",\n  "),
    )
}

/// A repeat need not lie in the same file, hour or even tenant folder, so this view reads what it must
/// compare: all of the table.
fn once_view(topology: &Topology) -> String {
    let name = quoted(&format!("{}_once", topology.lake.table));
    let table = quoted(&topology.lake.table);
    let why = match topology.events.id {
        EventId::Coordinate => {
            "-- The id of an event is its coordinate, so no event repeats another: the same rows.\n"
        }
        EventId::Fields(_) => {
            "-- One row per _event_id: the first delivery by record time, then by place in the log. It compares\n\
             -- all rows before any filter; to ask often, make a table of it.\n"
        }
    };
    let only_first = match topology.events.id {
        EventId::Coordinate => "",
        EventId::Fields(_) => {
            "\nQUALIFY row_number() OVER (\n\
             \x20 PARTITION BY _event_id ORDER BY _record_time, _incarnation, _partition, _offset\n\
             ) = 1"
        }
    };
    format!("{why}CREATE OR REPLACE VIEW {name} AS\nSELECT * FROM {table}{only_first};\n\n")
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// A pattern's letters in a folder's name stand for themselves. A URL has none of them, or means them.
fn glob(location: &str, table: &str) -> String {
    let location = location.trim_end_matches('/');
    let mut folder = String::new();
    for letter in location.chars() {
        match letter {
            '*' | '?' | '[' if !location.contains("://") => folder.push_str(&format!("[{letter}]")),
            '\'' => folder.push_str("''"),
            other => folder.push(other),
        }
    }
    format!("'{folder}/{table}/**/*.parquet'")
}

fn path_type(column: PartitionColumn) -> &'static str {
    match column {
        PartitionColumn::Category | PartitionColumn::TenantId => "VARCHAR",
        PartitionColumn::Year | PartitionColumn::Month | PartitionColumn::Day | PartitionColumn::Hour => {
            "INTEGER"
        }
    }
}

/// TIMESTAMPTZ to TIMESTAMP in UTC without the session's zone, and without an extension.
fn without_zone(expression: &str) -> String {
    format!("make_timestamp(epoch_us({expression}))")
}

/// The column itself, but for times. No field begins with `_`, so none is taken for the `_item`.
fn shown_column(column: &LakeColumn) -> String {
    let name = quoted(&column.name);
    let is_time = |scalar: LakeScalar| scalar == LakeScalar::Timestamp;
    let expression = match &column.ty {
        LakeType::Scalar(scalar) if is_time(*scalar) => without_zone(&name),
        LakeType::List(scalar) if is_time(*scalar) => {
            format!("[{} FOR _item IN {name}]", without_zone("_item"))
        }
        LakeType::Map(scalar) if is_time(*scalar) => {
            let entry = format!("{{'key': _item.key, 'value': {}}}", without_zone("_item.value"));
            format!("map_from_entries([{entry} FOR _item IN map_entries({name})])")
        }
        LakeType::ListOfStruct(members) if members.iter().any(|member| is_time(member.scalar)) => {
            let members: Vec<String> = members.iter().map(shown_member).collect();
            format!("[{{{}}} FOR _item IN {name}]", members.join(", "))
        }
        LakeType::Scalar(_) | LakeType::List(_) | LakeType::Map(_) | LakeType::ListOfStruct(_) => {
            return name;
        }
    };
    format!("{expression} AS {name}")
}

fn shown_member(member: &LakeMember) -> String {
    let name = quoted(&member.name);
    let value = format!("_item.{name}");
    match member.scalar {
        LakeScalar::Timestamp => format!("{name}: {}", without_zone(&value)),
        _ => format!("{name}: {value}"),
    }
}

/// Texts of the path hold `!XX` for whatever an object key should not.
fn shown_part(column: PartitionColumn) -> String {
    let name = quoted(column.name());
    match column {
        PartitionColumn::Category | PartitionColumn::TenantId => {
            format!("url_decode(replace({name}, '!', '%')) AS {name}")
        }
        PartitionColumn::Year | PartitionColumn::Month | PartitionColumn::Day | PartitionColumn::Hour => name,
    }
}

/// The start of the finest part of time that the path has: `hour_start`, or `day_start` …
fn start_column(partition: &[PartitionColumn]) -> Option<String> {
    let (month, day, hour, name) = match partition.last()? {
        PartitionColumn::Hour => ("\"month\"", "\"day\"", "\"hour\"", "hour_start"),
        PartitionColumn::Day => ("\"month\"", "\"day\"", "0", "day_start"),
        PartitionColumn::Month => ("\"month\"", "1", "0", "month_start"),
        PartitionColumn::Year => ("1", "1", "0", "year_start"),
        PartitionColumn::Category | PartitionColumn::TenantId => return None,
    };
    Some(format!("make_timestamp(\"year\", {month}, {day}, {hour}, 0, 0) AS {}", quoted(name)))
}
