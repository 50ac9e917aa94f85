//! Rows of the lake as JSON would show them; `parquet` says how a column lies in the file, `path` that
//! it is a partition column and lies in none.

use super::super::checked::{PartitionColumn, Topology};
use super::super::columns::{
    LakeColumn, LakeMember, LakeScalar, LakeType, REFUSED_PARTITION, lake_columns, refused_columns,
};
use super::{nullable, object};
use serde_json::{Value, json};

pub(super) fn events(topology: &Topology) -> Value {
    table(&lake_columns(topology), &topology.lake.partition)
}

pub(super) fn refused(_: &Topology) -> Value {
    table(&refused_columns(), &REFUSED_PARTITION)
}

fn table(columns: &[LakeColumn], partition: &[PartitionColumn]) -> Value {
    let mut members: Vec<(&str, Value)> =
        columns.iter().map(|column| (column.name.as_str(), column_schema(column))).collect();
    members.extend(partition.iter().map(|column| (column.name(), path_schema(*column))));
    object(members, &[])
}

fn column_schema(column: &LakeColumn) -> Value {
    let mut schema = match &column.ty {
        LakeType::Scalar(scalar) => scalar_schema(*scalar),
        LakeType::List(scalar) => {
            json!({ "type": "array", "items": scalar_schema(*scalar), "parquet": "list" })
        }
        LakeType::ListOfStruct(members) => {
            let members = members.iter().map(|member| (member.name.as_str(), member_schema(member)));
            json!({ "type": "array", "items": object(members.collect(), &[]), "parquet": "list of struct" })
        }
        LakeType::Map(scalar) => {
            json!({ "type": "object", "additionalProperties": scalar_schema(*scalar), "parquet": "map" })
        }
    };
    if column.name == "_filed_by" {
        schema["enum"] = json!(["event_time", "record_time", "overflow"]);
    }
    if column.nullable { nullable(schema) } else { schema }
}

fn member_schema(member: &LakeMember) -> Value {
    let schema = scalar_schema(member.scalar);
    if member.nullable { nullable(schema) } else { schema }
}

fn scalar_schema(scalar: LakeScalar) -> Value {
    let (ty, parquet) = match scalar {
        LakeScalar::Text => ("string", "string".into()),
        LakeScalar::Int32 => ("integer", "int32".into()),
        LakeScalar::Int64 => ("integer", "int64".into()),
        LakeScalar::Decimal { scale } => ("number", format!("int64 decimal(18,{scale})")),
        LakeScalar::Double => ("number", "double".into()),
        LakeScalar::Bool => ("boolean", "boolean".into()),
        LakeScalar::Timestamp => ("string", "int64 timestamp, microseconds, UTC".into()),
        LakeScalar::Date => ("string", "int32 date".into()),
        LakeScalar::Binary => ("string", "binary".into()),
    };
    json!({ "type": ty, "parquet": parquet })
}

fn path_schema(column: PartitionColumn) -> Value {
    match column {
        PartitionColumn::Category | PartitionColumn::TenantId => {
            json!({ "type": "string", "path": "bytes outside [A-Za-z0-9._-], and a leading _, are written !XX" })
        }
        PartitionColumn::Year => json!({ "type": "integer", "path": "four digits" }),
        PartitionColumn::Month | PartitionColumn::Day | PartitionColumn::Hour => {
            json!({ "type": "integer", "path": "two digits" })
        }
    }
}
