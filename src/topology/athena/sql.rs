//! Tables and views as the statements that Athena runs: Hive's language for tables, its own for views.

use super::super::checked::{PartitionColumn, Topology};
use super::glue::Glue;
use super::tables::{Table, is_injected, tables};
use super::types::{HIVE, path_type};
use super::views::{View, views};
use std::fmt::Write;

/// Statements for Athena's engine version 3, each ended by a `;` at a line's end. Tables that are there stay as
/// they are, views are made anew.
pub fn athena_ddl(topology: &Topology, glue: &Glue) -> String {
    let mut sql = comment(&notes(topology, glue).join("\n"));
    write!(sql, "\nCREATE DATABASE IF NOT EXISTS `{}`;\n", glue.database).expect("a string takes everything");
    for table in &tables(topology, glue) {
        sql.push_str(&create_table(table, glue));
    }
    for view in &views(topology, glue) {
        sql.push_str(&create_view(view, glue));
    }
    sql
}

/// What somebody has to know before the first query.
pub(super) fn notes(topology: &Topology, glue: &Glue) -> Vec<String> {
    let table = &topology.lake.table;
    let (from, to) = (glue.years.start(), glue.years.end());
    let mut notes = vec![
        format!(
            "The lake of the topology {}, for Athena (engine version 3). Ask the views: {table}_files and\n\
             {table}_refused_files are the files as they lie. Times are UTC, to the millisecond.",
            topology.name
        ),
        "Partitions are computed from what a query names, so nothing has to be added when files come. What it does\n\
         not name is listed, a request for each folder that there may be: so name all of the path, or a short span."
            .to_owned(),
        format!(
            "Years {from} to {to} are seen, and no other; --from and --to say which. Unasked they are many, because\n\
             nobody notices a year that is left out."
        ),
    ];
    notes.extend(tenant_note(topology));
    notes.extend(category_note(topology));
    notes
}

fn tenant_note(topology: &Topology) -> Option<String> {
    topology.lake.partition.contains(&PartitionColumn::TenantId).then(|| {
        "A query names its tenants by tenant_id, as the path has it, or is refused: letters, digits, . _ and - stand\n\
         for themselves (but not _ in front), every other byte is ! and two hex digits. The views decode it as _tenant,\n\
         and a filter on that names nobody. For an id as it is:\n\
         \x20 tenant_id = regexp_replace(replace(replace(replace(\n\
         \x20   url_encode('a/b'), '+', '!20'), '*', '!2A'), '%', '!'), '^_', '!5F')"
            .to_owned()
    })
}

fn category_note(topology: &Topology) -> Option<String> {
    if !topology.lake.partition.contains(&PartitionColumn::Category) {
        return None;
    }
    Some(match is_injected(PartitionColumn::Category, topology) {
        true => "The topology lists no categories, so a query names these too: by category, in the same form."
            .to_owned(),
        false => "Only categories that the topology lists are seen. An event of another one lies in the lake, unseen."
            .to_owned(),
    })
}

/// Each line as a comment.
pub(super) fn comment_with(mark: &str, text: &str) -> String {
    text.lines().map(|line| format!("{mark} {line}").trim_end().to_owned() + "\n").collect()
}

fn comment(text: &str) -> String {
    comment_with("--", text)
}

fn create_table(table: &Table<'_>, glue: &Glue) -> String {
    let columns: Vec<_> =
        table.columns.iter().map(|column| format!("`{}` {}", column.name, HIVE.of(&column.ty))).collect();
    let parts: Vec<_> = table
        .partition
        .iter()
        .map(|part| format!("`{}` {}", part.name(), HIVE.of(&path_type(*part))))
        .collect();
    let properties: Vec<_> =
        table.properties.iter().map(|(name, value)| format!("'{name}' = '{value}'")).collect();
    format!(
        "\nCREATE EXTERNAL TABLE IF NOT EXISTS `{database}`.`{name}` (\n  {columns}\n)\n\
         COMMENT '{comment}'\n\
         PARTITIONED BY (\n  {parts}\n)\n\
         STORED AS PARQUET\n\
         LOCATION '{location}'\n\
         TBLPROPERTIES (\n  {properties}\n);\n",
        database = glue.database,
        name = table.name,
        columns = columns.join(",\n  "),
        comment = table.comment,
        parts = parts.join(",\n  "),
        location = table.location,
        properties = properties.join(",\n  "),
    )
}

fn create_view(view: &View, glue: &Glue) -> String {
    format!(
        "\n{}CREATE OR REPLACE VIEW \"{}\".\"{}\" AS\n{};\n",
        comment(&view.comment),
        glue.database,
        view.name,
        view.sql
    )
}
