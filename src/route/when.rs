//! Conditions as bits: what they ask of the event alone is asked once an event, however many slots ask it.

use super::condition::check;
use super::contribution::{Datum, Event};
use crate::topology::{Check, Condition, FieldIndex};

/// Different tests of single fields; each has a bit.
#[derive(Debug, Default)]
pub(super) struct Tests(Vec<(FieldIndex, Check)>);

const TESTS_MAX: usize = 64;

/// What a condition's column stands for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asked {
    Field(FieldIndex),
    /// Absent from every event.
    Nothing,
    /// Different for each element of an event.
    Element,
}

/// When a condition holds.
#[derive(Debug)]
pub(super) enum When {
    /// Where all bits of any of these are set.
    Bits(Vec<u64>),
    /// Where it holds for the values themselves: it asks an element, or one test too many.
    Tested(Condition),
}

impl Tests {
    pub(super) fn when(&mut self, condition: &Condition, asked: impl Fn(usize) -> Asked) -> When {
        if condition.any.is_empty() {
            return When::Bits(vec![0]);
        }
        let before = self.0.len();
        let mut masks = Vec::new();
        for all in &condition.any {
            let mut mask = Some(0);
            for test in all {
                match asked(test.column) {
                    Asked::Field(field) if self.has_room(field, &test.check) => {
                        mask = mask.map(|mask| mask | self.bit(field, &test.check));
                    }
                    Asked::Nothing if check(&test.check, Datum::Absent) => {}
                    Asked::Nothing => mask = None,
                    Asked::Field(_) | Asked::Element => {
                        self.0.truncate(before);
                        return When::Tested(condition.clone());
                    }
                }
            }
            masks.extend(mask);
        }
        When::Bits(masks)
    }

    fn place(&self, field: FieldIndex, check: &Check) -> Option<usize> {
        self.0.iter().position(|(known, test)| *known == field && test == check)
    }

    fn has_room(&self, field: FieldIndex, check: &Check) -> bool {
        self.0.len() < TESTS_MAX || self.place(field, check).is_some()
    }

    fn bit(&mut self, field: FieldIndex, check: &Check) -> u64 {
        let place = self.place(field, check).unwrap_or_else(|| {
            self.0.push((field, check.clone()));
            self.0.len() - 1
        });
        1 << place
    }

    /// The bits of the tests that hold for the event.
    pub(super) fn answers(&self, event: Event<'_>) -> u64 {
        let bit = |(place, (field, test)): (usize, &(FieldIndex, Check))| {
            u64::from(check(test, event.field(*field))) << place
        };
        self.0.iter().enumerate().map(bit).sum()
    }
}

impl When {
    /// On an event with these answers.
    pub(super) fn holds(&self, answers: u64, event: Event<'_>) -> bool {
        match self {
            When::Bits(masks) => masks.iter().any(|mask| answers & mask == *mask),
            When::Tested(condition) => event.satisfies(condition),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Shopping, batch, is};
    use super::*;
    use crate::topology::Test;

    const TYPE: FieldIndex = 1;
    const VENDOR: FieldIndex = 2;

    fn holds(condition: &Condition, asked: impl Fn(usize) -> Asked, event: Shopping) -> bool {
        let (mut tests, batch) = (Tests::default(), batch(&[event], 4));
        let event = Event { batch: &batch, row: 0 };
        let when = tests.when(condition, asked);
        assert!(matches!(when, When::Bits(_)), "{when:?}");
        when.holds(tests.answers(event), event)
    }

    #[test]
    fn a_condition_on_fields_holds_as_its_tests_do() {
        let event = || Shopping { kind: "order", vendor: Some("v1"), ..Shopping::default() };
        let both = |kind: &str, vendor: &str| {
            let (mut both, other) = (is(TYPE, kind), is(VENDOR, vendor));
            both.any[0].extend(other.any.into_iter().flatten());
            both
        };

        assert!(holds(&both("order", "v1"), Asked::Field, event()));
        assert!(!holds(&both("order", "v2"), Asked::Field, event()));
        assert!(!holds(&both("view", "v1"), Asked::Field, event()));
        let any = Condition { any: [both("view", "v1").any, both("order", "v1").any].concat() };
        assert!(holds(&any, Asked::Field, event()));
        assert!(holds(&Condition::default(), Asked::Field, event()));
    }

    #[test]
    fn what_is_absent_from_every_event_is_decided_beforehand() {
        let is_there =
            |wanted| Condition { any: vec![vec![Test { column: 0, check: Check::Present(wanted) }]] };

        assert!(holds(&is_there(false), |_| Asked::Nothing, Shopping::default()));
        assert!(!holds(&is_there(true), |_| Asked::Nothing, Shopping::default()));
    }

    #[test]
    fn a_test_too_many_is_made_on_the_values() {
        let mut tests = Tests::default();
        let batch = batch(&[Shopping { kind: "t70", ..Shopping::default() }], 4);
        let event = Event { batch: &batch, row: 0 };
        let all: Vec<When> =
            (0..80).map(|at| tests.when(&is(TYPE, &format!("t{at}")), Asked::Field)).collect();
        let again = tests.when(&is(TYPE, "t3"), Asked::Field);

        assert_eq!(all.iter().filter(|when| matches!(when, When::Bits(_))).count(), TESTS_MAX);
        assert!(matches!(again, When::Bits(_)), "one that is known needs no room");
        let answers = tests.answers(event);
        let held: Vec<usize> = (0..80).filter(|&at| all[at].holds(answers, event)).collect();
        assert_eq!(held, [70]);
    }
}
