//! What a new topology changes in an old one, sorted by what it asks of the people who run it.
//!
//! Only a difference in meaning is a change: comments, key order and spelling are none.

use super::checked::{
    Aggregate, Field, Function, History, Input, Lake, Micros, Topology, Value, Window, WindowKind,
};
use super::columns::lake_type;
use super::words;
use std::collections::BTreeMap;
use std::fmt;

/// What has to be done before the change may run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Demand {
    /// Nothing: what is kept means the same before and after.
    Safe,
    /// `thalweg cutover`: rows before and after it are made by different rules.
    CutOver,
    /// The thing needs another name, because rows under the old one mean something else.
    NewName,
}

/// One difference between two topologies.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Change {
    pub demand: Demand,
    /// Where it stands and what it is: `aggregates.vendor.keep of day: 31d → 60d`.
    pub what: String,
}

impl fmt::Display for Demand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Demand::Safe => "safe",
            Demand::CutOver => "needs a cut-over",
            Demand::NewName => "needs a new name",
        })
    }
}

impl fmt::Display for Change {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.demand, self.what)
    }
}

/// All changes, the harmless ones first.
pub fn compare(old: &Topology, new: &Topology) -> Vec<Change> {
    let mut changes = Changes::default();
    changes.whole(old, new);
    changes.fields(old, new);
    changes.pairs(
        "aggregates",
        by_name(&old.aggregates, |it| &it.name),
        by_name(&new.aggregates, |it| &it.name),
        |changes, one, other| {
            changes.aggregate((old, one), (new, other));
        },
    );
    changes.pairs(
        "histories",
        by_name(&old.histories, |it| &it.name),
        by_name(&new.histories, |it| &it.name),
        |changes, one, other| {
            changes.history((old, one), (new, other));
        },
    );
    changes.lake(old, new);
    changes.0.sort();
    changes.0
}

/// Whether every event that `new` takes for this aggregate was one that `old` took for it, under the same key.
pub fn takes_alike(old: &Topology, new: &Topology, aggregate: &str) -> bool {
    let of = |topology: &Topology| topology.aggregates.iter().find(|it| it.name == aggregate).cloned();
    let (Some(one), Some(other)) = (of(old), of(new)) else { return false };
    let mut changes = Changes::default();
    changes.whole(old, new);
    changes.fields(old, new);
    changes.inputs("inputs", (old, &one), (new, &other));
    // A field more can only refuse more; one that is gone or read otherwise may have refused what is taken now.
    let matters = |change: &Change| {
        let what = &change.what;
        what.starts_with("inputs") || (what.starts_with("events.") && !what.ends_with(" is new"))
    };
    !changes.0.iter().any(matters)
}

fn by_name<T>(items: &[T], name: impl Fn(&T) -> &String) -> BTreeMap<&str, &T> {
    items.iter().map(|item| (name(item).as_str(), item)).collect()
}

#[derive(Default)]
struct Changes(Vec<Change>);

use Demand::{CutOver, NewName, Safe};

impl Changes {
    fn add(&mut self, demand: Demand, what: impl Into<String>) {
        self.0.push(Change { demand, what: what.into() });
    }

    fn differs(&mut self, demand: Demand, what: &str, old: impl fmt::Display, new: impl fmt::Display) {
        let (old, new) = (old.to_string(), new.to_string());
        if old != new {
            let shown = |text: String| if text.is_empty() { "nothing".into() } else { text };
            self.add(demand, format!("{what}: {} → {}", shown(old), shown(new)));
        }
    }

    /// Longer is safe: rows stay that would have gone. Shorter takes rows away that readers have.
    fn keep(&mut self, what: &str, old: Micros, new: Micros) {
        let demand = if new > old { Safe } else { CutOver };
        self.differs(demand, what, words::duration(old), words::duration(new));
    }

    /// What stands in both, and what came or went.
    fn pairs<T>(
        &mut self,
        place: &str,
        old: BTreeMap<&str, &T>,
        new: BTreeMap<&str, &T>,
        mut both: impl FnMut(&mut Changes, &T, &T),
    ) {
        for (name, one) in &old {
            match new.get(name) {
                Some(other) => both(self, one, other),
                None => self.add(CutOver, format!("{place}.{name} is gone")),
            }
        }
        for name in new.keys().filter(|name| !old.contains_key(*name)) {
            self.add(CutOver, format!("{place}.{name} is new"));
        }
    }

    fn whole(&mut self, old: &Topology, new: &Topology) {
        self.differs(Safe, "topology", &old.name, &new.name);
        self.differs(NewName, "deployment", &old.deployment, &new.deployment);
        self.differs(NewName, "events.topic", &old.events.topic, &new.events.topic);
        let name = |topology: &Topology, index: usize| topology.events.fields[index].name.clone();
        self.differs(NewName, "tenant", name(old, old.tenant), name(new, new.tenant));
        let category =
            |topology: &Topology| topology.category.map_or(String::new(), |index| name(topology, index));
        self.differs(NewName, "category", category(old), category(new));
        self.differs(NewName, "zone", &old.zone.name, &new.zone.name);
        self.differs(NewName, "partitions", old.partitions, new.partitions);
        self.differs(CutOver, "events.id", words::event_id(old), words::event_id(new));
        self.differs(CutOver, "events.time", words::event_time(old), words::event_time(new));
        let clock = |topology: &Topology| format!("{:?}", topology.clock).to_lowercase();
        self.differs(CutOver, "clock", clock(old), clock(new));
        self.differs(CutOver, "lateness", words::duration(old.lateness), words::duration(new.lateness));
        let duplicates = |topology: &Topology| {
            let duplicates = topology.duplicates;
            format!("last {} within {}", words::count(duplicates.last), words::duration(duplicates.horizon))
        };
        self.differs(CutOver, "duplicates", duplicates(old), duplicates(new));
        self.differs(Safe, "categories", old.categories.join(" "), new.categories.join(" "));
    }

    fn fields(&mut self, old: &Topology, new: &Topology) {
        self.pairs("events.fields", fields_of(old), fields_of(new), |changes, one, other| {
            // One column of the lake cannot hold two types.
            let demand = if lake_type(&one.ty) == lake_type(&other.ty) { CutOver } else { NewName };
            changes.differs(
                demand,
                &format!("events.fields.{}", one.name),
                words::field(one),
                words::field(other),
            );
        });
    }

    fn aggregate(&mut self, old: (&Topology, &Aggregate), new: (&Topology, &Aggregate)) {
        let place = format!("aggregates.{}", old.1.name);
        let columns = |aggregate: &Aggregate, indices: &[usize]| {
            let columns = indices.iter().map(|index| &aggregate.columns[*index]);
            columns
                .map(|it| format!("{} ({})", it.name, words::scalar(it.scalar)))
                .collect::<Vec<_>>()
                .join(", ")
        };
        self.differs(NewName, &format!("{place}.by"), columns(old.1, &old.1.by), columns(new.1, &new.1.by));
        self.differs(
            CutOver,
            &format!("{place}.carry"),
            columns(old.1, &old.1.carry),
            columns(new.1, &new.1.carry),
        );
        self.inputs(&place, old, new);
        self.windows(&place, &old.1.windows, &new.1.windows);
        self.pairs(&format!("{place}.values"), values_of(old.1), values_of(new.1), |changes, one, other| {
            changes.value(&place, (old.1, one), (new.1, other));
        });
    }

    /// A column that only one of them reads is no change of the inputs: whoever reads it is.
    fn inputs(&mut self, place: &str, old: (&Topology, &Aggregate), new: (&Topology, &Aggregate)) {
        let taken = |(topology, aggregate): (&Topology, &Aggregate)| {
            joined(&aggregate.inputs, |input| words::input(topology, input))
        };
        self.differs(CutOver, &format!("{place}.inputs"), taken(old), taken(new));
        for (index, column) in old.1.columns.iter().enumerate() {
            let same = new.1.columns.iter().position(|other| other.name == column.name);
            let Some(other) = same else { continue };
            let sources = |(topology, aggregate): (&Topology, &Aggregate), column: usize| {
                joined(&aggregate.inputs, |input| match &input.sources[column] {
                    Some(source) => words::expression(topology, input.each, source),
                    None => "absent".into(),
                })
            };
            let what = format!("{place}.inputs, `{}`", column.name);
            self.differs(CutOver, &what, sources(old, index), sources(new, other));
        }
    }

    fn windows(&mut self, place: &str, old: &[Window], new: &[Window]) {
        for window in old {
            let name = window.kind.name();
            match new.iter().find(|other| other.kind == window.kind) {
                Some(other) if window.kind != WindowKind::Ever => {
                    self.keep(&format!("{place}.keep of {name}"), window.keep, other.keep);
                }
                Some(_) => {}
                None => self.add(CutOver, format!("{place}.windows: {name} is gone")),
            }
        }
        for window in new.iter().filter(|window| !old.iter().any(|other| other.kind == window.kind)) {
            self.add(CutOver, format!("{place}.windows: {} is new", window.kind.name()));
        }
    }

    /// A condition says which events count; function, operands and scale say what the number means.
    fn value(&mut self, place: &str, old: (&Aggregate, &Value), new: (&Aggregate, &Value)) {
        let place = format!("{place}.values.{}", old.1.name);
        let function = |(aggregate, value): (&Aggregate, &Value)| meaning(aggregate, &value.function);
        self.differs(NewName, &place, function(old), function(new));
        let when = |(aggregate, value): (&Aggregate, &Value)| {
            words::condition(&value.when, &|column| words::column(aggregate, column))
        };
        self.differs(CutOver, &format!("{place}.when"), when(old), when(new));
    }

    fn history(&mut self, old: (&Topology, &History), new: (&Topology, &History)) {
        let place = format!("histories.{}", old.1.name);
        let names = |topology: &Topology, indices: &[usize]| {
            indices
                .iter()
                .map(|index| topology.events.fields[*index].name.as_str())
                .collect::<Vec<_>>()
                .join(", ")
        };
        self.differs(NewName, &format!("{place}.by"), names(old.0, &old.1.by), names(new.0, &new.1.by));
        let columns = (names(old.0, &old.1.columns), names(new.0, &new.1.columns));
        self.differs(CutOver, &format!("{place}.columns"), columns.0, columns.1);
        let when = |(topology, history): (&Topology, &History)| {
            words::condition(&history.when, &|index| words::field_column(topology, index))
        };
        self.differs(CutOver, &format!("{place}.when"), when(old), when(new));
        self.keep(&format!("{place}.keep"), old.1.keep, new.1.keep);
    }

    fn lake(&mut self, old: &Topology, new: &Topology) {
        let (old, new) = (&old.lake, &new.lake);
        self.differs(CutOver, "lake.table", &old.table, &new.table);
        let partition =
            |lake: &Lake| lake.partition.iter().map(|column| column.name()).collect::<Vec<_>>().join(", ");
        // Under one table all files must have the same partition columns.
        let demand = if old.table == new.table { NewName } else { CutOver };
        self.differs(demand, "lake.partition", partition(old), partition(new));
        self.differs(Safe, "lake.roll.age", words::duration(old.roll_age), words::duration(new.roll_age));
        self.differs(Safe, "lake.roll.bytes", words::bytes(old.roll_bytes), words::bytes(new.roll_bytes));
        self.differs(
            CutOver,
            "lake.accept.past",
            words::duration(old.accept_past),
            words::duration(new.accept_past),
        );
        self.differs(
            CutOver,
            "lake.accept.future",
            words::duration(old.accept_future),
            words::duration(new.accept_future),
        );
    }
}

fn fields_of(topology: &Topology) -> BTreeMap<&str, &Field> {
    by_name(&topology.events.fields, |field| &field.name)
}

fn values_of(aggregate: &Aggregate) -> BTreeMap<&str, &Value> {
    by_name(&aggregate.values, |value| &value.name)
}

fn joined(inputs: &[Input], text: impl Fn(&Input) -> String) -> String {
    inputs.iter().map(text).collect::<Vec<_>>().join("; ")
}

/// With the operand's type: a sum of cents is not a sum of tenths.
fn meaning(aggregate: &Aggregate, function: &Function) -> String {
    let text = words::function(function, aggregate);
    match function {
        Function::Sum(column)
        | Function::Min(column)
        | Function::Max(column)
        | Function::First(column)
        | Function::Last(column)
        | Function::Distinct(column)
        | Function::Mean { column, .. } => {
            format!("{text} ({})", words::scalar(aggregate.columns[*column].scalar))
        }
        Function::CountEvents
        | Function::CountElements
        | Function::Ratio { .. }
        | Function::Difference(..) => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::check;

    const MARKETPLACE: &str = include_str!("../../topologies/marketplace/topology.yaml");

    fn changes(edits: &[(&str, &str)]) -> Vec<String> {
        let checked = |text: &str| check(text).unwrap_or_else(|problems| panic!("{problems:#?}"));
        let mut text = MARKETPLACE.to_string();
        for (from, to) in edits {
            assert!(text.contains(from), "{from:?} is not in the text");
            text = text.replacen(from, to, 1);
        }
        compare(&checked(MARKETPLACE), &checked(&text)).iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_comment_or_another_order_is_no_change() {
        assert_eq!(
            changes(&[("tenant: tenant_id\ncategory: type", "category: type # new\ntenant: tenant_id")]),
            [""; 0]
        );
    }

    #[test]
    fn longer_keep_is_safe_and_shorter_keep_is_not() {
        assert_eq!(
            changes(&[("keep: 31d", "keep: { day: 60d, week: 31d, month: 7d }")]),
            [
                "safe: aggregates.vendor.keep of day: 31d → 60d",
                "needs a cut-over: aggregates.vendor.keep of month: 31d → 7d",
            ]
        );
        assert_eq!(changes(&[("keep: 400d", "keep: 800d")]), ["safe: histories.orders.keep: 400d → 800d"]);
    }

    #[test]
    fn other_rules_for_the_same_names_need_a_cut_over() {
        assert_eq!(
            changes(&[
                (
                    "    action: { type: text, from: metadata.action }",
                    "    action: { type: text, from: metadata.verb }\n    colour: text"
                ),
                (
                    "cart_adds: { count: events, when: { type: CartAdd } }",
                    "cart_adds: { count: events, when: { type: [CartAdd, X] } }"
                ),
                (
                    "      orders: { count: events",
                    "      sold: { count: elements }\n      orders: { count: events"
                ),
                ("- when: { type: [ProductView, ProductFavorite, CartAdd] }", "- when: { type: CartAdd }"),
                ("[$item.price, $item.quantity]", "[$item.quantity, $item.price]"),
                ("windows: [day, week, month, rolling 5m", "windows: [hour, day, week, month"),
            ]),
            [
                "needs a cut-over: aggregates.product.inputs, `line`: absent; $item.price * $item.quantity → \
                 absent; $item.quantity * $item.price",
                "needs a cut-over: aggregates.product.inputs: events when type is one of \"ProductView\", \
                 \"ProductFavorite\", \"CartAdd\"; each of items when type is one of \"OrderCreated\", \
                 \"OrderCompleted\" → events when type is \"CartAdd\"; each of items when type is one of \
                 \"OrderCreated\", \"OrderCompleted\"",
                "needs a cut-over: aggregates.vendor.values.cart_adds.when: type is \"CartAdd\" → type is one of \
                 \"CartAdd\", \"X\"",
                "needs a cut-over: aggregates.vendor.values.sold is new",
                "needs a cut-over: aggregates.vendor.windows: hour is new",
                "needs a cut-over: aggregates.vendor.windows: rolling 5m is gone",
                "needs a cut-over: events.fields.action: text, from metadata.action → text, from metadata.verb",
                "needs a cut-over: events.fields.colour is new",
            ]
        );
    }

    #[test]
    fn another_meaning_needs_another_name() {
        assert_eq!(
            changes(&[
                ("total: decimal(2)", "total: decimal(3)"),
                ("by: [vendor_id]", "by: [vendor_id, type]"),
                ("scale: 2 }", "scale: 3 }"),
                (
                    "tenant: tenant_id",
                    "tenant: tenant_id\nzone: Europe/Berlin\npartitions: 8\ndeployment: two"
                ),
                ("year, month, day, hour]", "year, month, day]"),
            ]),
            [
                "needs a new name: aggregates.vendor.by: vendor_id (text) → vendor_id (text), type (text)",
                "needs a new name: aggregates.vendor.values.average_order: revenue / completed_orders at scale 2 → \
                 revenue / completed_orders at scale 3",
                "needs a new name: aggregates.vendor.values.revenue: sum of total (decimal(2)) → sum of total \
                 (decimal(3))",
                "needs a new name: deployment: marketplace → two",
                "needs a new name: events.fields.total: decimal(2) → decimal(3)",
                "needs a new name: lake.partition: category, tenant_id, year, month, day, hour → category, \
                 tenant_id, year, month, day",
                "needs a new name: partitions: 4 → 8",
                "needs a new name: zone: UTC → Europe/Berlin",
            ]
        );
    }
}
