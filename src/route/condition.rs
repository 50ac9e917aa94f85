//! Conditions of the topology, tested on one contribution or one event.

use super::contribution::Datum;
use crate::topology::{Check, Condition, Literal};
use std::cmp::Ordering;

/// Whether the condition holds. `column` reads the column that a test names.
pub(super) fn holds<'a>(condition: &Condition, column: impl Fn(usize) -> Datum<'a>) -> bool {
    condition.any.is_empty()
        || condition.any.iter().any(|all| all.iter().all(|test| check(&test.check, column(test.column))))
}

pub(super) fn check(test: &Check, value: Datum<'_>) -> bool {
    match test {
        Check::OneOf(literals) => literals.iter().any(|literal| is_equal(value, literal)),
        Check::Present(wanted) => value.is_present() == *wanted,
        Check::AtLeast(literal) => compare(value, literal).is_some_and(Ordering::is_ge),
        Check::AtMost(literal) => compare(value, literal).is_some_and(Ordering::is_le),
        Check::Above(literal) => compare(value, literal).is_some_and(Ordering::is_gt),
        Check::Below(literal) => compare(value, literal).is_some_and(Ordering::is_lt),
        Check::All(tests) => tests.iter().all(|test| check(test, value)),
        Check::Not(test) => !check(test, value),
    }
}

/// As [`compare`], but texts of another length are told apart at once.
fn is_equal(value: Datum<'_>, literal: &Literal) -> bool {
    match (value, literal) {
        (Datum::Text(value), Literal::Text(literal)) => value == literal.as_bytes(),
        (value, literal) => compare(value, literal) == Some(Ordering::Equal),
    }
}

/// `None` where the value is absent. Literals were read by the column's type, so the kinds agree.
fn compare(value: Datum<'_>, literal: &Literal) -> Option<Ordering> {
    match (value, literal) {
        (Datum::Text(value), Literal::Text(literal)) => Some(value.cmp(literal.as_bytes())),
        (Datum::Number(value), Literal::Number(literal)) => Some(value.cmp(literal)),
        (Datum::Double(value), Literal::Double(literal)) => value.partial_cmp(literal),
        (Datum::Absent | Datum::Text(_) | Datum::Number(_) | Datum::Double(_), _) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::Test;

    const ABSENT: Datum<'static> = Datum::Absent;

    fn number(value: i64) -> Literal {
        Literal::Number(value)
    }

    #[test]
    fn on_an_absent_value_only_presence_and_negation_hold() {
        let one = || Check::OneOf(vec![number(1)]);
        assert!(!check(&one(), ABSENT));
        assert!(!check(&Check::AtMost(number(1)), ABSENT));
        assert!(check(&Check::Present(false), ABSENT));
        assert!(check(&Check::Not(Box::new(one())), ABSENT));
        assert!(check(&Check::All(vec![]), ABSENT));
    }

    #[test]
    fn bounds_hold_at_their_edge_or_not_as_they_say() {
        let bounds = |value| {
            [
                Check::AtLeast(number(5)),
                Check::AtMost(number(5)),
                Check::Above(number(5)),
                Check::Below(number(5)),
            ]
            .map(|test| check(&test, Datum::Number(value)))
        };
        assert_eq!(bounds(4), [false, true, false, true]);
        assert_eq!(bounds(5), [true, true, false, false]);
        assert_eq!(bounds(6), [true, false, true, false]);
        assert!(check(&Check::Below(Literal::Double(0.5)), Datum::Double(0.25)));
        assert!(check(&Check::OneOf(vec![Literal::Text("a".into())]), Datum::Text(b"a")));
    }

    #[test]
    fn any_group_may_hold_and_no_group_always_does() {
        let test = |column, value| Test { column, check: Check::OneOf(vec![number(value)]) };
        let condition = Condition { any: vec![vec![test(0, 1), test(1, 2)], vec![test(1, 9)]] };
        let holds_for = |a, b| holds(&condition, |column| Datum::Number([a, b][column]));

        assert!(holds_for(1, 2));
        assert!(holds_for(0, 9));
        assert!(!holds_for(1, 3));
        assert!(holds(&Condition::default(), |_| ABSENT));
    }
}
