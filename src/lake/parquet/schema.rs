//! The lake's column types as Arrow spells them, which decides how Parquet does.

use crate::topology::{LakeColumn, LakeMember, LakeScalar, LakeType};
use arrow_schema::{DataType, Field, Fields, TimeUnit};
use std::sync::Arc;

/// Exact numbers are `int64` with so many digits.
const PRECISION: u8 = 18;

pub(super) fn field(column: &LakeColumn) -> Field {
    Field::new(&column.name, data_type(&column.ty), column.nullable)
}

fn data_type(ty: &LakeType) -> DataType {
    match ty {
        LakeType::Scalar(scalar) => scalar_type(*scalar),
        LakeType::List(scalar) => DataType::List(Arc::new(element(scalar_type(*scalar), true))),
        LakeType::ListOfStruct(members) => {
            DataType::List(Arc::new(element(DataType::Struct(fields(members)), false)))
        }
        LakeType::Map(scalar) => {
            let entries = DataType::Struct(map_entries(*scalar));
            DataType::Map(Arc::new(Field::new("key_value", entries, false)), false)
        }
    }
}

/// The name that the Parquet specification gives. A plain list may hold a JSON null.
pub(super) fn element(ty: DataType, nullable: bool) -> Field {
    Field::new("element", ty, nullable)
}

pub(super) fn fields(members: &[LakeMember]) -> Fields {
    members
        .iter()
        .map(|member| Field::new(&member.name, scalar_type(member.scalar), member.nullable))
        .collect()
}

pub(super) fn map_entries(scalar: LakeScalar) -> Fields {
    Fields::from(vec![
        Field::new("key", DataType::Utf8, false),
        Field::new("value", scalar_type(scalar), false),
    ])
}

pub(super) fn scalar_type(scalar: LakeScalar) -> DataType {
    match scalar {
        LakeScalar::Text => DataType::Utf8,
        LakeScalar::Int32 => DataType::Int32,
        LakeScalar::Int64 => DataType::Int64,
        LakeScalar::Decimal { scale } => DataType::Decimal64(PRECISION, scale as i8),
        LakeScalar::Double => DataType::Float64,
        LakeScalar::Bool => DataType::Boolean,
        LakeScalar::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into())),
        LakeScalar::Date => DataType::Date32,
        LakeScalar::Binary => DataType::Binary,
    }
}
