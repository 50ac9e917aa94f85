//! The same tables and views as Terraform, in the form that `terraform fmt` leaves alone.
//!
//! A view lies in the catalog as a text in base64 with its columns. Terraform makes that text itself, from
//! locals, so that a change of a view is a diff that people can read.

use super::super::checked::Topology;
use super::glue::Glue;
use super::sql::{comment_with, notes};
use super::tables::{Table, tables};
use super::types::{CATALOG, ENGINE, path_type};
use super::views::{View, views};
use crate::topology::LakeType;

const PARQUET: &str = "org.apache.hadoop.hive.ql.io.parquet";
/// The catalog that a view is looked up in: Athena's name for Glue.
const CATALOG_NAME: &str = "awsdatacatalog";

/// A part of a module, for the provider `hashicorp/aws`. It names no provider, region or account.
pub fn terraform(topology: &Topology, glue: &Glue) -> String {
    let mut text = comment_with("#", &notes(topology, glue).join("\n"));
    text.push_str(&format!(
        "\nresource \"aws_glue_catalog_database\" \"{name}\" {{\n  name = \"{name}\"\n}}\n",
        name = glue.database
    ));
    for table in &tables(topology, glue) {
        text.push_str(&table_resource(table, glue));
    }
    for view in &views(topology, glue) {
        text.push_str(&view_resource(view, glue));
    }
    text
}

/// A value that is text and nothing else.
fn literal(text: &str) -> String {
    format!(
        "\"{}\"",
        text.replace('\\', "\\\\").replace('"', "\\\"").replace("${", "$${").replace("%{", "%%{")
    )
}

/// Lines `name = value`, their signs below each other.
fn attributes(indent: usize, members: &[(&str, String)]) -> String {
    let width = members.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let line = |(name, value): &(&str, String)| format!("{:indent$}{name:width$} = {value}\n", "");
    members.iter().map(line).collect()
}

fn block(indent: usize, name: &str, body: &str) -> String {
    format!("\n{:indent$}{name} {{\n{body}{:indent$}}}\n", "", "")
}

/// What tables and views have in common.
fn resource(name: &str, glue: &Glue, members: Vec<(&str, String)>, body: &str) -> String {
    let mut all = vec![
        ("name", literal(name)),
        ("database_name", format!("aws_glue_catalog_database.{}.name", glue.database)),
    ];
    all.extend(members);
    format!("resource \"aws_glue_catalog_table\" \"{name}\" {{\n{}{body}}}\n", attributes(2, &all))
}

fn columns<'a>(
    indent: usize,
    block_name: &str,
    columns: impl Iterator<Item = (&'a str, LakeType)>,
) -> String {
    let column = |(name, ty): (&str, LakeType)| {
        let members = [("name", literal(name)), ("type", literal(&CATALOG.of(&ty)))];
        block(indent, block_name, &attributes(indent + 2, &members))
    };
    columns.map(column).collect()
}

fn parameters(members: &[(&str, String)]) -> String {
    let quoted: Vec<_> = members.iter().map(|(name, value)| (literal(name), value)).collect();
    let members: Vec<_> = quoted.iter().map(|(name, value)| (name.as_str(), literal(value))).collect();
    format!("\n  parameters = {{\n{}  }}\n", attributes(4, &members))
}

fn table_resource(table: &Table<'_>, glue: &Glue) -> String {
    let mut properties = vec![("EXTERNAL", "TRUE".to_owned())];
    properties.extend(table.properties.iter().map(|(name, value)| (name.as_str(), value.clone())));
    let storage = [
        ("location", literal(&table.location)),
        ("input_format", literal(&format!("{PARQUET}.MapredParquetInputFormat"))),
        ("output_format", literal(&format!("{PARQUET}.MapredParquetOutputFormat"))),
    ];
    let serde = [("serialization_library", literal(&format!("{PARQUET}.serde.ParquetHiveSerDe")))];
    let of_files = table.columns.iter().map(|column| (column.name.as_str(), column.ty.clone()));
    let descriptor = attributes(4, &storage)
        + &block(4, "ser_de_info", &attributes(6, &serde))
        + &columns(4, "columns", of_files);
    let of_path = table.partition.iter().map(|part| (part.name(), path_type(*part)));
    let body = parameters(&properties)
        + &block(2, "storage_descriptor", &descriptor)
        + &columns(2, "partition_keys", of_path);
    let members = vec![("description", literal(table.comment)), ("table_type", literal("EXTERNAL_TABLE"))];
    format!("\n{}", resource(&table.name, glue, members, &body))
}

fn view_resource(view: &View, glue: &Glue) -> String {
    let local = format!("{}_view", view.name);
    // Athena needs none of these two; other readers of the catalog refuse a view without them.
    let serde = [("name", literal("-")), ("serialization_library", literal("-"))];
    let descriptor = block(4, "ser_de_info", &attributes(6, &serde)).trim_start_matches('\n').to_owned()
        + &columns(4, "columns", view.columns.iter().map(|(name, ty)| (name.as_str(), ty.clone())));
    let parameters = parameters(&[("presto_view", "true".to_owned()), ("comment", "Presto View".to_owned())]);
    let members = vec![
        ("owner", literal("thalweg")),
        ("table_type", literal("VIRTUAL_VIEW")),
        (
            "view_original_text",
            format!("\"/* Presto View: ${{base64encode(jsonencode(local.{local}))}} */\""),
        ),
        ("view_expanded_text", literal("/* Presto View */")),
    ];
    let body = parameters + &block(2, "storage_descriptor", &descriptor);
    format!(
        "\n{}{}\n{}",
        comment_with("#", &view.comment),
        locals(&local, view, glue),
        resource(&view.name, glue, members, &body)
    )
}

fn locals(name: &str, view: &View, glue: &Glue) -> String {
    let columns: String = view
        .columns
        .iter()
        .map(|(name, ty)| {
            format!("      {{ name = {}, type = {} }},\n", literal(name), literal(&ENGINE.of(ty)))
        })
        .collect();
    let sql: String = view.sql.lines().map(|line| format!("      {line}\n")).collect();
    format!(
        "locals {{\n  {name} = {{\n{}    columns = [\n{columns}    ]\n    originalSql = <<-SQL\n{sql}    SQL\n  }}\n}}\n",
        attributes(4, &[("catalog", literal(CATALOG_NAME)), ("schema", literal(&glue.database))]),
    )
}
