//! One value of a lake row, and how conditions, keys and rows read it.

use crate::topology::{Check, Literal, Scalar};
use serde_json::Value as Json;
use std::cmp::Ordering;

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Text(String),
    /// An exact number at its scale.
    Number(i128, u8),
    Double(f64),
    Bool(bool),
    /// UTC microseconds.
    Time(i64),
    /// Days since 1970.
    Date(i32),
    /// JSON as text.
    Json(String),
    /// Items with their members, by the place of the list's fields; a plain list's items have one.
    List(Vec<Vec<Option<Value>>>),
    Map(Vec<(String, Value)>),
}

impl Value {
    /// As keys and distinct counts spell it.
    pub(super) fn text(&self) -> String {
        match self {
            Value::Text(text) | Value::Json(text) => text.clone(),
            Value::Number(number, scale) => decimal(*number, *scale),
            Value::Double(double) => double.to_string(),
            Value::Bool(value) => value.to_string(),
            Value::Time(micros) => instant(*micros),
            Value::Date(days) => date(*days),
            Value::List(_) | Value::Map(_) => unreachable!("`check` lets only scalars into keys"),
        }
    }

    /// As rows show it: exact numbers are strings at their scale.
    pub(super) fn json(&self) -> Json {
        match self {
            Value::Bool(value) => Json::Bool(*value),
            Value::Json(text) => serde_json::from_str(text).unwrap_or(Json::Null),
            Value::List(items) => Json::Array(items.iter().map(|item| item_json(item)).collect()),
            Value::Map(members) => {
                Json::Object(members.iter().map(|(key, value)| (key.clone(), value.json())).collect())
            }
            scalar => Json::String(scalar.text()),
        }
    }

    pub(super) fn exact(&self) -> Option<(i128, u8)> {
        match self {
            Value::Number(number, scale) => Some((*number, *scale)),
            _ => None,
        }
    }

    /// Order of two values of one column.
    pub(super) fn compare(&self, other: &Value) -> Ordering {
        match (self, other) {
            (Value::Number(left, _), Value::Number(right, _)) => left.cmp(right),
            (Value::Double(left), Value::Double(right)) => left.total_cmp(right),
            (Value::Time(left), Value::Time(right)) => left.cmp(right),
            (Value::Date(left), Value::Date(right)) => left.cmp(right),
            (Value::Bool(left), Value::Bool(right)) => left.cmp(right),
            (Value::Text(left), Value::Text(right)) => left.cmp(right),
            (left, right) => left.text().cmp(&right.text()),
        }
    }

    /// Order of a value and a literal, which was read by the column's type.
    fn against(&self, literal: &Literal) -> Ordering {
        match (self, literal) {
            (Value::Text(text), Literal::Text(literal)) => text.cmp(literal),
            _ => self.compare(&literal_value(literal, self)),
        }
    }
}

fn item_json(item: &[Option<Value>]) -> Json {
    Json::Array(item.iter().map(|value| value.as_ref().map_or(Json::Null, Value::json)).collect())
}

/// Does the value (absent: `None`) pass the check?
pub(super) fn passes(value: Option<&Value>, check: &Check) -> bool {
    let against = |literal: &Literal| value.map(|value| value.against(literal));
    match check {
        Check::Not(inner) => !passes(value, inner),
        Check::All(checks) => checks.iter().all(|check| passes(value, check)),
        Check::Present(wanted) => value.is_some() == *wanted,
        Check::OneOf(literals) => literals.iter().any(|literal| against(literal) == Some(Ordering::Equal)),
        Check::AtLeast(literal) => against(literal).is_some_and(Ordering::is_ge),
        Check::AtMost(literal) => against(literal).is_some_and(Ordering::is_le),
        Check::Above(literal) => against(literal).is_some_and(Ordering::is_gt),
        Check::Below(literal) => against(literal).is_some_and(Ordering::is_lt),
    }
}

/// A literal as a value like `like`.
fn literal_value(literal: &Literal, like: &Value) -> Value {
    match (literal, like) {
        (Literal::Number(number), Value::Number(_, scale)) => Value::Number(i128::from(*number), *scale),
        (Literal::Number(number), Value::Bool(_)) => Value::Bool(*number != 0),
        (Literal::Number(number), Value::Time(_)) => Value::Time(*number),
        (Literal::Number(number), Value::Date(_)) => Value::Date(*number as i32),
        (Literal::Number(number), _) => Value::Number(i128::from(*number), 0),
        (Literal::Double(double), _) => Value::Double(*double),
        (Literal::Text(text), _) => Value::Text(text.clone()),
    }
}

/// Scales add; a product outside `i64` is absent.
pub(super) fn multiply(left: &Value, right: &Value) -> Option<Value> {
    let ((left, left_scale), (right, right_scale)) = (left.exact()?, right.exact()?);
    let product = left.checked_mul(right)?;
    i64::try_from(product).ok().map(|_| Value::Number(product, left_scale + right_scale))
}

/// The scalar's zero scale, for sums of nothing.
pub(super) fn scale_of(scalar: Scalar) -> u8 {
    match scalar {
        Scalar::Decimal { scale, .. } => scale,
        _ => 0,
    }
}

pub(super) fn decimal(number: i128, scale: u8) -> String {
    let sign = if number < 0 { "-" } else { "" };
    let unit = 10u128.pow(u32::from(scale));
    let (whole, rest) = (number.unsigned_abs() / unit, number.unsigned_abs() % unit);
    match scale {
        0 => format!("{sign}{whole}"),
        _ => format!("{sign}{whole}.{rest:0width$}", width = usize::from(scale)),
    }
}

pub(super) fn instant(micros: i64) -> String {
    jiff::Timestamp::from_microsecond(micros)
        .map_or_else(|_| micros.to_string(), |instant| instant.to_string())
}

fn date(days: i32) -> String {
    instant(i64::from(days) * 86_400_000_000).chars().take(10).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absent_value_fails_every_check_but_its_own_and_a_negation() {
        let check = Check::AtLeast(Literal::Number(1));
        assert!(!passes(None, &check));
        assert!(passes(None, &Check::Not(Box::new(check))));
        assert!(passes(None, &Check::Present(false)));
    }

    #[test]
    fn decimals_are_text_at_their_scale() {
        assert_eq!(decimal(-5, 2), "-0.05");
        assert_eq!(decimal(1999, 2), "19.99");
        assert_eq!(decimal(7, 0), "7");
    }
}
