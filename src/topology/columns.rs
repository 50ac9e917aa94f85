//! The lake's columns, once: the Parquet schema, the SQL and the JSON schemas are all made from here.
//!
//! A file never repeats a partition column of its path. A field that has the name of one (the tenant as
//! `tenant_id`, the category as `category`) is therefore left out of the body; its exact text is in
//! `_tenant` or `_category`, while the path holds the encoded form.

use super::checked::{Field, FieldIndex, FieldType, Lake, PartitionColumn, Scalar, Topology};

/// Where refused records are filed, always by record time.
pub const REFUSED_PARTITION: [PartitionColumn; 4] =
    [PartitionColumn::Year, PartitionColumn::Month, PartitionColumn::Day, PartitionColumn::Hour];

/// One column of the body of a lake file, in the order of the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LakeColumn {
    pub name: String,
    pub ty: LakeType,
    /// May a row have no value here? (Parquet: optional instead of required.)
    pub nullable: bool,
    pub origin: LakeOrigin,
}

/// What a column means, not how a format spells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LakeType {
    Scalar(LakeScalar),
    /// A plain list; its elements are never absent.
    List(LakeScalar),
    /// 3-level list of struct, spec names; the elements are never absent.
    ListOfStruct(Vec<LakeMember>),
    /// Text to this; values are never absent.
    Map(LakeScalar),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LakeScalar {
    /// text, uuid, json.
    Text,
    Int32,
    Int64,
    /// int64 with precision 18.
    Decimal {
        scale: u8,
    },
    Double,
    Bool,
    /// UTC microseconds.
    Timestamp,
    /// Days since 1970.
    Date,
    Binary,
}

/// A member of the struct in a [`LakeType::ListOfStruct`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LakeMember {
    pub name: String,
    pub scalar: LakeScalar,
    pub nullable: bool,
}

/// Where a column's values come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LakeOrigin {
    Topic,
    /// 32 hex digits.
    Incarnation,
    Partition,
    Offset,
    RecordTime,
    EventTime,
    Tenant,
    /// Absent where the topology has no category.
    Category,
    /// Absent with `$coordinate`. Several fields are joined by a zero byte, as in the batch.
    EventId,
    /// `event_time`, `record_time` (outside `lake.accept`) or `overflow`.
    FiledBy,
    Field(FieldIndex),
    /// Undeclared members of the event, as a JSON object.
    Rest,
    /// The rejection's one word.
    Reason,
    Detail,
    /// The record's value; of a very large one only its head.
    Payload,
    /// Length of the whole value.
    PayloadBytes,
    /// xxh3-64 of the whole value, 16 hex digits.
    PayloadHash,
}

/// Body columns of the table of events.
pub fn lake_columns(topology: &Topology) -> Vec<LakeColumn> {
    let mut columns = coordinate_columns();
    columns.extend([
        required("_event_time", LakeScalar::Timestamp, LakeOrigin::EventTime),
        required("_tenant", LakeScalar::Text, LakeOrigin::Tenant),
        optional("_category", LakeScalar::Text, LakeOrigin::Category),
        optional("_event_id", LakeScalar::Text, LakeOrigin::EventId),
        required("_filed_by", LakeScalar::Text, LakeOrigin::FiledBy),
    ]);
    for (index, field) in topology.events.fields.iter().enumerate() {
        if !is_in_the_path(&topology.lake, field) {
            columns.push(LakeColumn {
                name: field.name.clone(),
                ty: lake_type(&field.ty),
                nullable: !field.required,
                origin: LakeOrigin::Field(index),
            });
        }
    }
    columns.push(optional("_rest", LakeScalar::Text, LakeOrigin::Rest));
    columns
}

/// Body columns of `<table>_refused`: the same for every topology.
pub fn refused_columns() -> Vec<LakeColumn> {
    let mut columns = coordinate_columns();
    columns.extend([
        required("reason", LakeScalar::Text, LakeOrigin::Reason),
        required("detail", LakeScalar::Text, LakeOrigin::Detail),
        // A tombstone has none.
        optional("payload", LakeScalar::Binary, LakeOrigin::Payload),
        required("payload_bytes", LakeScalar::Int64, LakeOrigin::PayloadBytes),
        required("payload_hash", LakeScalar::Text, LakeOrigin::PayloadHash),
    ]);
    columns
}

/// Name of the table of refused records.
pub fn refused_table(lake: &Lake) -> String {
    format!("{}_refused", lake.table)
}

/// How a field's scalar lies in the lake.
pub fn lake_scalar(scalar: Scalar) -> LakeScalar {
    match scalar {
        Scalar::Text | Scalar::Uuid | Scalar::Json => LakeScalar::Text,
        Scalar::Int => LakeScalar::Int64,
        Scalar::Decimal { scale, .. } => LakeScalar::Decimal { scale },
        Scalar::Double => LakeScalar::Double,
        Scalar::Bool => LakeScalar::Bool,
        Scalar::Time => LakeScalar::Timestamp,
        Scalar::Date => LakeScalar::Date,
    }
}

fn is_in_the_path(lake: &Lake, field: &Field) -> bool {
    lake.partition.iter().any(|column| column.name() == field.name)
}

/// How a field lies in the lake.
pub(crate) fn lake_type(ty: &FieldType) -> LakeType {
    match ty {
        FieldType::Scalar(scalar) => LakeType::Scalar(lake_scalar(*scalar)),
        FieldType::ListOfScalar(scalar) => LakeType::List(lake_scalar(*scalar)),
        FieldType::Map(scalar) => LakeType::Map(lake_scalar(*scalar)),
        FieldType::ListOfStruct(fields) => LakeType::ListOfStruct(fields.iter().map(member).collect()),
    }
}

fn member(field: &Field) -> LakeMember {
    let FieldType::Scalar(scalar) = field.ty else {
        unreachable!("`check` lets only scalars into a list's items")
    };
    LakeMember { name: field.name.clone(), scalar: lake_scalar(scalar), nullable: !field.required }
}

fn coordinate_columns() -> Vec<LakeColumn> {
    vec![
        required("_topic", LakeScalar::Text, LakeOrigin::Topic),
        required("_incarnation", LakeScalar::Text, LakeOrigin::Incarnation),
        required("_partition", LakeScalar::Int32, LakeOrigin::Partition),
        required("_offset", LakeScalar::Int64, LakeOrigin::Offset),
        required("_record_time", LakeScalar::Timestamp, LakeOrigin::RecordTime),
    ]
}

fn required(name: &str, scalar: LakeScalar, origin: LakeOrigin) -> LakeColumn {
    LakeColumn { name: name.into(), ty: LakeType::Scalar(scalar), nullable: false, origin }
}

fn optional(name: &str, scalar: LakeScalar, origin: LakeOrigin) -> LakeColumn {
    LakeColumn { nullable: true, ..required(name, scalar, origin) }
}
