//! Parts of a topology in words, for descriptions. The hashes have a text of their own
//! (`versions.rs`), so that a better word here changes nothing there.

use super::check::{scalar_name, type_name};
use super::checked::{
    Aggregate, Check, Condition, EventId, Expression, Field, FieldType, Function, Input, Literal, Micros,
    Scalar, Test, TimeOrigin, Topology, format_duration,
};
use crate::model::format_decimal;

/// `1000000` as `1,000,000`.
pub(crate) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

pub(crate) fn duration(micros: Micros) -> String {
    if micros == 0 { "0s".into() } else { format_duration(micros) }
}

/// The largest unit that divides it.
pub(crate) fn bytes(bytes: u64) -> String {
    let units = [("GiB", 1u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let unit = units.iter().find(|(_, unit)| bytes.is_multiple_of(*unit));
    unit.map_or_else(|| format!("{bytes} bytes"), |(name, unit)| format!("{}{name}", bytes / unit))
}

/// Type and how it is read: `decimal(6), rounded, required`.
pub(crate) fn field(field: &Field) -> String {
    let mut text = match &field.ty {
        FieldType::ListOfStruct(_) => "list of".into(),
        other => type_name(other).trim_start_matches("a ").to_string(),
    };
    if let FieldType::ListOfStruct(items) = &field.ty {
        let items: Vec<String> =
            items.iter().map(|item| format!("{} {}", item.name, self::field(item))).collect();
        text = format!("{text} {{ {} }}", items.join("; "));
    }
    let (FieldType::Scalar(scalar) | FieldType::ListOfScalar(scalar) | FieldType::Map(scalar)) = &field.ty
    else {
        return with_place(text, field);
    };
    if let Scalar::Decimal { round, minor, .. } = scalar {
        text.push_str(if *round { ", rounded" } else { "" });
        text.push_str(if *minor { ", integers count its last digit" } else { "" });
    }
    with_place(text, field)
}

fn with_place(mut text: String, field: &Field) -> String {
    if field.required {
        text.push_str(", required");
    }
    if field.path != [field.name.clone()] {
        text.push_str(&format!(", from {}", field.path.join(".")));
    }
    text
}

/// `dep_time is absent and dep_delay > 15`; names and types by index.
pub(crate) fn condition(condition: &Condition, column: &dyn Fn(usize) -> (String, Scalar)) -> String {
    let groups: Vec<String> = condition
        .any
        .iter()
        .map(|group| group.iter().map(|test| self::test(test, column)).collect::<Vec<_>>().join(" and "))
        .collect();
    groups.join(", or ")
}

fn test(test: &Test, column: &dyn Fn(usize) -> (String, Scalar)) -> String {
    let (name, scalar) = column(test.column);
    check(&test.check, &name, scalar)
}

fn check(check: &Check, name: &str, scalar: Scalar) -> String {
    let compare = |sign: &str, value: &Literal| format!("{name} {sign} {}", literal(value, scalar));
    match check {
        Check::OneOf(values) if values.len() == 1 => compare("is", &values[0]),
        Check::OneOf(values) => {
            let values: Vec<String> = values.iter().map(|value| literal(value, scalar)).collect();
            format!("{name} is one of {}", values.join(", "))
        }
        Check::Present(true) => format!("{name} is present"),
        Check::Present(false) => format!("{name} is absent"),
        Check::AtLeast(value) => compare(">=", value),
        Check::AtMost(value) => compare("<=", value),
        Check::Above(value) => compare(">", value),
        Check::Below(value) => compare("<", value),
        Check::All(checks) => {
            let all: Vec<String> = checks.iter().map(|inner| self::check(inner, name, scalar)).collect();
            all.join(" and ")
        }
        Check::Not(inner) => format!("not ({})", self::check(inner, name, scalar)),
    }
}

fn literal(literal: &Literal, scalar: Scalar) -> String {
    match (literal, scalar) {
        (Literal::Text(text), _) => format!("{text:?}"),
        (Literal::Double(double), _) => format!("{double:?}"),
        (Literal::Number(number), Scalar::Bool) => (*number != 0).to_string(),
        (Literal::Number(number), Scalar::Time) => instant(*number),
        (Literal::Number(number), Scalar::Date) => {
            instant(number.saturating_mul(86_400_000_000))[..10].into()
        }
        (Literal::Number(number), _) => format_decimal(i128::from(*number), scalar.scale().unwrap_or(0)),
    }
}

fn instant(micros: i64) -> String {
    let time = jiff::Timestamp::from_microsecond(micros);
    time.map_or_else(|_| format!("{micros} microseconds"), |time| time.to_string())
}

pub(crate) fn function(function: &Function, aggregate: &Aggregate) -> String {
    let column = |index: &usize| aggregate.columns[*index].name.clone();
    let value = |index: &usize| aggregate.values[*index].name.clone();
    match function {
        Function::CountEvents => "events, each once per key".into(),
        Function::CountElements => "elements".into(),
        Function::Sum(index) => format!("sum of {}", column(index)),
        Function::Min(index) => format!("min of {}", column(index)),
        Function::Max(index) => format!("max of {}", column(index)),
        Function::First(index) => format!("first {}", column(index)),
        Function::Last(index) => format!("last {}", column(index)),
        Function::Mean { column: index, scale } => format!("mean of {} at scale {scale}", column(index)),
        Function::Distinct(index) => format!("distinct {} (exact up to 1,024 a pane)", column(index)),
        Function::Ratio { over, under, scale } => {
            format!("{} / {} at scale {scale}", value(over), value(under))
        }
        Function::Difference(a, b) => format!("{} - {}", value(a), value(b)),
    }
}

/// `expression` of an input that goes over `each`.
pub(crate) fn expression(topology: &Topology, each: Option<usize>, expression: &Expression) -> String {
    let fields = &topology.events.fields;
    match expression {
        Expression::Field(index) => fields[*index].name.clone(),
        Expression::Item(index) => match each.map(|each| &fields[each].ty) {
            Some(FieldType::ListOfStruct(items)) => format!("$item.{}", items[*index].name),
            _ => "$item".into(),
        },
        Expression::MapKey => "$key".into(),
        Expression::MapValue => "$value".into(),
        Expression::Index => "$index".into(),
        Expression::Multiply(left, right) => {
            format!(
                "{} * {}",
                self::expression(topology, each, left),
                self::expression(topology, each, right)
            )
        }
    }
}

/// A field for [`condition`]: only scalars are tested.
pub(crate) fn field_column(topology: &Topology, index: usize) -> (String, Scalar) {
    let field = &topology.events.fields[index];
    match &field.ty {
        FieldType::Scalar(scalar) => (field.name.clone(), *scalar),
        FieldType::ListOfStruct(_) | FieldType::ListOfScalar(_) | FieldType::Map(_) => {
            unreachable!("`check` lets only scalars into conditions")
        }
    }
}

/// An aggregate's column for [`condition`].
pub(crate) fn column(aggregate: &Aggregate, index: usize) -> (String, Scalar) {
    let column = &aggregate.columns[index];
    (column.name.clone(), column.scalar)
}

/// Which events an input takes, and what of them.
pub(crate) fn input(topology: &Topology, input: &Input) -> String {
    let taken = match input.each {
        Some(each) => format!("each of {}", topology.events.fields[each].name),
        None => "events".into(),
    };
    match input.when.any.is_empty() {
        true => taken,
        false => {
            let when = condition(&input.when, &|index| field_column(topology, index));
            format!("{taken} when {when}")
        }
    }
}

pub(crate) fn event_id(topology: &Topology) -> String {
    let fields = &topology.events.fields;
    match &topology.events.id {
        EventId::Coordinate => "the record's coordinate".into(),
        EventId::Fields(indices) => {
            indices.iter().map(|index| fields[*index].name.as_str()).collect::<Vec<_>>().join(" + ")
        }
    }
}

pub(crate) fn event_time(topology: &Topology) -> String {
    let origin = |origin: &TimeOrigin| match origin {
        TimeOrigin::Field(index) => topology.events.fields[*index].name.clone(),
        TimeOrigin::RecordTime => "the record time".into(),
    };
    topology.events.time.iter().map(origin).collect::<Vec<_>>().join(", else ")
}

pub(crate) fn scalar(scalar: Scalar) -> String {
    scalar_name(scalar)
}
