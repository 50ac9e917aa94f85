//! The tables over the files, whoever writes them down: columns, and how each part of the path is projected.

use super::super::checked::{PartitionColumn, Topology};
use super::super::columns::{LakeColumn, REFUSED_PARTITION, lake_columns, refused_columns, refused_table};
use super::glue::Glue;
use crate::model::encode_text;

/// Files under one folder, as they lie.
pub(super) struct Table<'a> {
    pub(super) name: String,
    pub(super) comment: &'static str,
    pub(super) columns: Vec<LakeColumn>,
    pub(super) partition: &'a [PartitionColumn],
    /// Ends in `/`: without it `events` would also read what lies under `events_refused`.
    pub(super) location: String,
    /// What the engines compute partitions from, by name.
    pub(super) properties: Vec<(String, String)>,
}

/// The table behind the view that is called like the lake's table.
pub(super) fn files_of(table: &str) -> String {
    format!("{table}_files")
}

pub(super) fn tables<'a>(topology: &'a Topology, glue: &Glue) -> [Table<'a>; 2] {
    let table = |name: &str, comment, columns, partition: &'a [PartitionColumn]| {
        let location = format!("{}/{name}/", glue.location);
        let properties = properties(topology, glue, partition, &location);
        Table { name: files_of(name), comment, columns, partition, location, properties }
    };
    [
        table(
            &topology.lake.table,
            "Files of events as they lie: every delivery, repeats included",
            lake_columns(topology),
            &topology.lake.partition,
        ),
        table(
            &refused_table(&topology.lake),
            "Files of refused records as they lie, by record time",
            refused_columns(),
            &REFUSED_PARTITION,
        ),
    ]
}

fn properties(
    topology: &Topology,
    glue: &Glue,
    partition: &[PartitionColumn],
    location: &str,
) -> Vec<(String, String)> {
    let mut properties = vec![("projection.enabled".to_owned(), "true".to_owned())];
    let mut template = location.to_owned();
    for column in partition {
        let name = column.name();
        for (key, value) in projection(*column, topology, glue) {
            properties.push((format!("projection.{name}.{key}"), value));
        }
        template.push_str(&format!("{name}=${{{name}}}/"));
    }
    properties.push(("storage.location.template".to_owned(), template));
    properties
}

fn projection(column: PartitionColumn, topology: &Topology, glue: &Glue) -> Vec<(&'static str, String)> {
    let integer = |from: i32, to: i32, digits: u8| {
        vec![
            ("type", "integer".to_owned()),
            ("range", format!("{from},{to}")),
            ("digits", digits.to_string()),
        ]
    };
    match column {
        PartitionColumn::Category if !topology.categories.is_empty() => {
            // In the path's form, which has no comma and no blank.
            let values: Vec<_> =
                topology.categories.iter().map(|text| encode_text(text.as_bytes())).collect();
            vec![("type", "enum".to_owned()), ("values", values.join(","))]
        }
        PartitionColumn::Category | PartitionColumn::TenantId => vec![("type", "injected".to_owned())],
        PartitionColumn::Year => integer(*glue.years.start(), *glue.years.end(), 4),
        PartitionColumn::Month => integer(1, 12, 2),
        PartitionColumn::Day => integer(1, 31, 2),
        PartitionColumn::Hour => integer(0, 23, 2),
    }
}

/// Must a query name its value?
pub(super) fn is_injected(column: PartitionColumn, topology: &Topology) -> bool {
    match column {
        PartitionColumn::TenantId => true,
        PartitionColumn::Category => topology.categories.is_empty(),
        PartitionColumn::Year | PartitionColumn::Month | PartitionColumn::Day | PartitionColumn::Hour => {
            false
        }
    }
}
