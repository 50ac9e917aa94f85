//! How the lake's types are called: by Hive, whose language the catalog speaks, and by the engine, in views.

use super::super::checked::PartitionColumn;
use super::super::columns::{LakeMember, LakeScalar, LakeType};

/// One language's names.
pub(super) struct Names {
    scalar: fn(LakeScalar) -> String,
    list: [&'static str; 2],
    map: [&'static str; 2],
    /// Around members, and between a member's name and its type.
    row: [&'static str; 3],
    between: &'static str,
    /// Around a member's name: it may be a word of the language.
    quote: &'static str,
}

/// In `CREATE EXTERNAL TABLE`.
pub(super) const HIVE: Names = Names {
    scalar: hive_scalar,
    list: ["array<", ">"],
    map: ["map<string,", ">"],
    row: ["struct<", ":", ">"],
    between: ",",
    quote: "`",
};

/// In the catalog, where nothing is quoted.
pub(super) const CATALOG: Names = Names { quote: "", ..HIVE };

/// In the columns that a view says it has.
pub(super) const ENGINE: Names = Names {
    scalar: engine_scalar,
    list: ["array(", ")"],
    map: ["map(varchar, ", ")"],
    row: ["row(", " ", ")"],
    between: ", ",
    quote: "\"",
};

impl Names {
    pub(super) fn of(&self, ty: &LakeType) -> String {
        let around = |[before, behind]: [&str; 2], inner: &str| format!("{before}{inner}{behind}");
        match ty {
            LakeType::Scalar(scalar) => (self.scalar)(*scalar),
            LakeType::List(scalar) => around(self.list, &(self.scalar)(*scalar)),
            LakeType::Map(scalar) => around(self.map, &(self.scalar)(*scalar)),
            LakeType::ListOfStruct(members) => around(self.list, &self.row(members)),
        }
    }

    fn row(&self, members: &[LakeMember]) -> String {
        let [before, between, behind] = self.row;
        let member = |member: &LakeMember| {
            format!(
                "{quote}{}{quote}{between}{}",
                member.name,
                (self.scalar)(member.scalar),
                quote = self.quote
            )
        };
        let members: Vec<String> = members.iter().map(member).collect();
        format!("{before}{}{behind}", members.join(self.between))
    }
}

fn hive_scalar(scalar: LakeScalar) -> String {
    match scalar {
        LakeScalar::Text => "string".into(),
        LakeScalar::Int32 => "int".into(),
        LakeScalar::Int64 => "bigint".into(),
        LakeScalar::Decimal { scale } => format!("decimal(18,{scale})"),
        LakeScalar::Double => "double".into(),
        LakeScalar::Bool => "boolean".into(),
        LakeScalar::Timestamp => "timestamp".into(),
        LakeScalar::Date => "date".into(),
        LakeScalar::Binary => "binary".into(),
    }
}

fn engine_scalar(scalar: LakeScalar) -> String {
    match scalar {
        LakeScalar::Text => "varchar".into(),
        LakeScalar::Int32 => "integer".into(),
        // It reads no finer ones.
        LakeScalar::Timestamp => "timestamp(3)".into(),
        LakeScalar::Binary => "varbinary".into(),
        other => hive_scalar(other),
    }
}

/// The type of a part of the path.
pub(super) fn path_type(column: PartitionColumn) -> LakeType {
    LakeType::Scalar(match column {
        PartitionColumn::Category | PartitionColumn::TenantId => LakeScalar::Text,
        PartitionColumn::Year | PartitionColumn::Month | PartitionColumn::Day | PartitionColumn::Hour => {
            LakeScalar::Int32
        }
    })
}
