//! What the checked topology says about rows, laid out for the hot path.

use crate::model::{RoutingVersion, TARGETS_MAX};
use crate::topology::{
    CellKind, ColumnIndex, Condition, FieldType, Function, Scalar, Slot, SlotOrigin, Topology,
};
use std::sync::Arc;

/// One slot of an aggregate: when it is present in a row, and what its cell holds.
#[derive(Debug)]
pub(super) struct SlotPlan {
    pub(super) bit: u64,
    pub(super) when: Condition,
    pub(super) source: SlotSource,
}

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
    /// For each aggregate its slots.
    pub(super) slots: Vec<Vec<SlotPlan>>,
}

impl Plan {
    pub(super) fn new(topology: Arc<Topology>) -> Self {
        assert!(
            (1..=TARGETS_MAX).contains(&topology.partitions),
            "a checked topology has 1 to {TARGETS_MAX} partitions"
        );
        let slots = topology
            .aggregates
            .iter()
            .map(|aggregate| {
                let scalar = |column: ColumnIndex| aggregate.columns[column].scalar;
                let plan = |(k, slot): (usize, &Slot)| {
                    let (when, source) = match slot.origin {
                        SlotOrigin::Carry(column) => {
                            (Condition::default(), of_column(slot, column, scalar(column)))
                        }
                        SlotOrigin::Value(value) => {
                            let value = &aggregate.values[value];
                            (value.when.clone(), of_value(slot, &value.function, scalar))
                        }
                    };
                    SlotPlan { bit: 1 << k, when, source }
                };
                aggregate.slots.iter().enumerate().map(plan).collect()
            })
            .collect();
        let FieldType::Scalar(tenant) = topology.events.fields[topology.tenant].ty else {
            unreachable!("the checked topology has a scalar tenant")
        };
        Plan {
            tenant,
            version: RoutingVersion(topology.routing_version),
            targets: topology.partitions,
            slots,
            topology,
        }
    }

    pub(super) fn target(&self, prefix: &[u8]) -> u32 {
        (xxhash_rust::xxh3::xxh3_64(prefix) % u64::from(self.targets)) as u32
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
