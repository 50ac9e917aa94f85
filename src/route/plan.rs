//! What the checked topology says about rows, laid out for the hot path.

use super::when::{Asked, Tests, When};
use crate::model::{RoutingVersion, TARGETS_MAX, begin_key, begin_member};
use crate::topology::{
    Aggregate, CellKind, ColumnIndex, Condition, Expression, FieldIndex, FieldType, Function, Input, Scalar,
    Slot, SlotOrigin, Topology,
};
use std::sync::Arc;

/// What a slot's cell holds.
#[derive(Debug)]
pub(super) enum SlotSource {
    /// `count: elements`.
    EachElement,
    /// `count: events`: the first element of an event for one key.
    FirstElement,
    Column {
        column: ColumnIndex,
        cell: CellKind,
        scalar: Scalar,
    },
}

#[derive(Debug)]
pub(super) struct Plan {
    pub(super) topology: Arc<Topology>,
    pub(super) version: RoutingVersion,
    pub(super) targets: u32,
    /// The tenant field's type.
    pub(super) tenant: Scalar,
    /// What conditions ask of an event.
    pub(super) tests: Tests,
    pub(super) aggregates: Vec<AggregatePlan>,
    /// For each history when it takes an event.
    pub(super) histories: Vec<When>,
}

#[derive(Debug)]
pub(super) struct AggregatePlan {
    /// What each of its keys begins with, up to the tenant.
    pub(super) head: Vec<u8>,
    pub(super) by: Vec<By>,
    pub(super) slots: Vec<SlotSource>,
    pub(super) inputs: Vec<InputPlan>,
}

/// A `by` column.
#[derive(Debug)]
pub(super) struct By {
    pub(super) column: ColumnIndex,
    pub(super) scalar: Scalar,
    /// As a member's name in the key, with the comma before it and the colon behind it.
    pub(super) name: Vec<u8>,
}

#[derive(Debug)]
pub(super) struct InputPlan {
    pub(super) when: When,
    pub(super) each: Option<FieldIndex>,
    /// Columns that nothing but an event's answers needs are left out.
    pub(super) sources: Vec<Option<Expression>>,
    /// Slots that are present where all of an event's answers are: the answers, and the slot's bit.
    pub(super) slots: Vec<(u64, u64)>,
    /// Slots that ask an element, too: the bit, and when.
    pub(super) tested: Vec<(u64, Condition)>,
}

impl Plan {
    pub(super) fn new(topology: Arc<Topology>) -> Self {
        assert!(
            (1..=TARGETS_MAX).contains(&topology.partitions),
            "a checked topology has 1 to {TARGETS_MAX} partitions"
        );
        let FieldType::Scalar(tenant) = topology.events.fields[topology.tenant].ty else {
            unreachable!("the checked topology has a scalar tenant")
        };
        let mut tests = Tests::default();
        Plan {
            tenant,
            version: RoutingVersion(topology.routing_version),
            targets: topology.partitions,
            aggregates: topology.aggregates.iter().map(|one| AggregatePlan::new(one, &mut tests)).collect(),
            histories: topology
                .histories
                .iter()
                .map(|history| tests.when(&history.when, Asked::Field))
                .collect(),
            tests,
            topology,
        }
    }

    /// Of the row key's beginning with this hash (XXH3, 64 bits).
    pub(super) fn target(&self, hash: u64) -> u32 {
        (hash % u64::from(self.targets)) as u32
    }
}

impl AggregatePlan {
    fn new(aggregate: &Aggregate, tests: &mut Tests) -> Self {
        let scalar = |column: ColumnIndex| aggregate.columns[column].scalar;
        let source = |slot: &Slot| match slot.origin {
            SlotOrigin::Carry(column) => of_column(slot, column, scalar(column)),
            SlotOrigin::Value(value) => of_value(slot, &aggregate.values[value].function, scalar),
        };
        let slots: Vec<_> = aggregate.slots.iter().map(source).collect();
        let mut key = Vec::new();
        begin_key(&mut key, "aggregate", &aggregate.name, "");
        let head = key.len() - b"\"\",\"by\":{".len();
        let by = aggregate.by.iter().map(|&column| {
            let from = key.len();
            begin_member(&mut key, &aggregate.columns[column].name);
            By { column, scalar: scalar(column), name: key[from..].to_vec() }
        });
        let by = by.collect();
        let inputs = aggregate.inputs.iter().map(|input| InputPlan::new(aggregate, input, &slots, tests));
        AggregatePlan { inputs: inputs.collect(), head: key[..head].to_vec(), by, slots }
    }
}

impl InputPlan {
    fn new(aggregate: &Aggregate, input: &Input, sources: &[SlotSource], tests: &mut Tests) -> Self {
        let asked = |column: ColumnIndex| match input.sources[column] {
            None => Asked::Nothing,
            Some(Expression::Field(field)) => Asked::Field(field),
            Some(_) => Asked::Element,
        };
        let (mut slots, mut tested) = (Vec::new(), Vec::new());
        let mut needed = aggregate.by.clone();
        for (k, (slot, source)) in aggregate.slots.iter().zip(sources).enumerate() {
            let always = Condition::default();
            let when = match slot.origin {
                SlotOrigin::Carry(_) => &always,
                SlotOrigin::Value(value) => &aggregate.values[value].when,
            };
            match tests.when(when, asked) {
                When::Bits(masks) => slots.extend(masks.into_iter().map(|mask| (mask, 1 << k))),
                When::Tested(condition) => {
                    needed.extend(condition.any.iter().flatten().map(|test| test.column));
                    tested.push((1 << k, condition));
                }
            }
            if let SlotSource::Column { column, .. } = source {
                needed.push(*column);
            }
        }
        let kept = |(column, source): (ColumnIndex, &Option<Expression>)| {
            source.clone().filter(|_| needed.contains(&column))
        };
        InputPlan {
            when: tests.when(&input.when, Asked::Field),
            each: input.each,
            sources: input.sources.iter().enumerate().map(kept).collect(),
            slots,
            tested,
        }
    }

    /// Slots that may be present in the rows of an event with these answers, whatever its elements are.
    pub(super) fn present(&self, answers: u64) -> u64 {
        let here = |&(mask, bit): &(u64, u64)| if answers & mask == mask { bit } else { 0 };
        self.slots.iter().map(here).fold(0, |all, bit| all | bit)
    }
}

fn of_value(slot: &Slot, function: &Function, scalar: impl Fn(ColumnIndex) -> Scalar) -> SlotSource {
    match *function {
        Function::CountEvents => SlotSource::FirstElement,
        Function::CountElements => SlotSource::EachElement,
        Function::Sum(column)
        | Function::Min(column)
        | Function::Max(column)
        | Function::First(column)
        | Function::Last(column)
        | Function::Mean { column, .. }
        | Function::Distinct(column) => of_column(slot, column, scalar(column)),
        Function::Ratio { .. } | Function::Difference(..) => {
            unreachable!("values made of values have no slot")
        }
    }
}

fn of_column(slot: &Slot, column: ColumnIndex, scalar: Scalar) -> SlotSource {
    SlotSource::Column { column, cell: slot.cell, scalar }
}
