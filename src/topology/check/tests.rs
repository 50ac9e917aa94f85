//! What the checked form holds. Lists of problems are golden texts (`tests/golden/problems`).

use super::*;
use crate::topology::{
    CellKind, Check, Expression, FieldType, Fold, Function, Literal, SlotOrigin, WindowKind,
};
use proptest::prelude::*;

const MARKETPLACE: &str = include_str!("../../../topologies/marketplace/topology.yaml");
const INSIGHTS: &str = include_str!("../../../topologies/tenant-insights/topology.yaml");
const FLIGHTS: &str = include_str!("../../../topologies/flights/topology.yaml");

fn checked(text: &str) -> Topology {
    check(text).unwrap_or_else(|problems| panic!("{problems:#?}\n{text}"))
}

/// The text with one place changed; the place must be there.
fn with(text: &str, from: &str, to: &str) -> String {
    assert!(text.contains(from), "{from:?} is not in the text");
    text.replacen(from, to, 1)
}

fn messages(text: &str) -> Vec<String> {
    check(text).err().unwrap_or_default().into_iter().map(|problem| problem.message).collect()
}

#[test]
fn what_is_left_out_gets_its_default() {
    let topology = checked(INSIGHTS);

    assert_eq!(topology.deployment, "tenant-insights");
    assert_eq!(topology.zone.name, "UTC");
    assert_eq!(topology.clock, Clock::Wall);
    assert_eq!(topology.lateness, DAY);
    assert_eq!(topology.partitions, 4);
    assert_eq!(topology.duplicates, Duplicates { last: 1_000_000, horizon: DAY });
    assert_eq!(topology.lake.accept_past, 400 * DAY);
    assert_eq!(topology.accept_future, DAY);
    assert_eq!(topology.events.id, EventId::Coordinate);
    assert_eq!(topology.events.time, [TimeOrigin::RecordTime]);
    assert_eq!(topology.text, INSIGHTS);
}

#[test]
fn tenant_category_and_id_are_required() {
    let topology = checked(MARKETPLACE);

    let required: Vec<&str> = topology
        .events
        .fields
        .iter()
        .filter(|field| field.required)
        .map(|field| field.name.as_str())
        .collect();

    assert_eq!(required, ["event_id", "type", "tenant_id"]);
}

#[test]
fn an_aggregates_columns_come_from_fields_set_and_elements() {
    let topology = checked(MARKETPLACE);
    let product = &topology.aggregates[0];
    let columns: Vec<&str> = product.columns.iter().map(|column| column.name.as_str()).collect();
    let field = |name: &str| topology.events.fields.iter().position(|field| field.name == name);
    let source = |input: usize, name: &str| {
        product.inputs[input].sources[columns.iter().position(|column| *column == name).expect("a column")]
            .clone()
    };

    assert_eq!(product.name, "product");
    assert_eq!(columns, ["product_id", "vendor_id", "action", "type", "line"]);
    assert_eq!(product.columns[4].scalar, Scalar::Decimal { scale: 2, round: false, minor: false });
    assert_eq!((product.by.as_slice(), product.carry.as_slice()), (&[0][..], &[1][..]));
    assert_eq!(source(0, "product_id"), field("product_id").map(Expression::Field));
    assert_eq!(source(1, "product_id"), Some(Expression::Item(0)));
    assert_eq!(source(0, "line"), None);
    let product_of = Expression::Multiply(Box::new(Expression::Item(2)), Box::new(Expression::Item(1)));
    assert_eq!(source(1, "line"), Some(product_of));
    assert_eq!(product.inputs[1].each, field("items"));
}

#[test]
fn slots_are_the_folded_values_by_name_and_then_what_is_carried() {
    let topology = checked(FLIGHTS);
    let aircraft = &topology.aggregates[0];

    let slots: Vec<_> = aircraft.slots.iter().map(|slot| (slot.origin, slot.fold, slot.cell)).collect();

    assert_eq!(aircraft.name, "aircraft");
    assert_eq!(
        slots,
        [
            (SlotOrigin::Value(0), Fold::Sum, CellKind::Number),
            (SlotOrigin::Value(1), Fold::First, CellKind::Text),
            (SlotOrigin::Value(2), Fold::Count, CellKind::Count),
            (SlotOrigin::Value(3), Fold::Last, CellKind::Text),
            (SlotOrigin::Carry(1), Fold::Last, CellKind::Text),
        ]
    );
    let carrier = &topology.aggregates[1];
    assert_eq!(carrier.slots.len(), carrier.values.len() - 1, "a ratio keeps nothing");
}

#[test]
fn conditions_hold_literals_of_their_columns_type() {
    let text =
        with(MARKETPLACE, "{ type: VendorView }", "{ type: NO, total: { at_least: 12.5, not: [20] } }");

    let vendor = &checked(&text).aggregates[1];

    let value = vendor.values.iter().find(|value| value.name == "profile_views").expect("is there");
    let checks: Vec<&Check> = value.when.any[0].iter().map(|test| &test.check).collect();
    let not = Check::Not(Box::new(Check::OneOf(vec![Literal::Number(2000)])));
    assert_eq!(
        checks,
        [
            &Check::All(vec![not, Check::AtLeast(Literal::Number(1250))]),
            &Check::OneOf(vec![Literal::Text("NO".into())]),
        ]
    );
}

#[test]
fn ratios_name_values_wherever_they_stand() {
    let topology = checked(MARKETPLACE);
    let vendor = &topology.aggregates[1];
    let at = |name: &str| vendor.values.iter().position(|value| value.name == name).expect("is there");

    let (over, under) = (at("revenue"), at("completed_orders"));
    assert_eq!(vendor.values[at("average_order")].function, Function::Ratio { over, under, scale: 2 });
    assert_eq!(
        vendor.values[at("product_favorites")].function,
        Function::Difference(at("added"), at("removed"))
    );
}

#[test]
fn rolling_windows_have_panes_of_four_sizes() {
    const SECOND: i64 = 1_000_000;
    let topology = checked(MARKETPLACE);

    let panes: Vec<_> = topology.aggregates[1]
        .windows
        .iter()
        .filter_map(|window| match window.kind {
            WindowKind::Rolling { pane, .. } => Some((pane / SECOND, window.keep)),
            _ => None,
        })
        .collect();

    assert_eq!(panes, [(10, 0), (60, 0), (3_600, 0), (86_400, 0)]);
}

#[test]
fn a_window_is_kept_for_its_own_time() {
    let text = with(MARKETPLACE, "keep: 31d", "keep: { day: 400d, week: 60d }");

    let vendor = &checked(&text).aggregates[1];

    let keep: Vec<_> = vendor.windows[..3].iter().map(|window| window.keep / DAY).collect();
    assert_eq!(keep, [400, 60, 1], "a month without an own time is kept for the lateness");
}

#[test]
fn field_types_and_places_in_the_event_are_read() {
    let topology = checked(INSIGHTS);
    let field =
        |name: &str| topology.events.fields.iter().find(|field| field.name == name).expect("is there");

    assert_eq!(field("metric").ty, FieldType::Map(Scalar::Decimal { scale: 6, round: true, minor: false }));
    assert_eq!(field("request_id").path, ["metadata", "requestId"]);
}

#[test]
fn zones_come_from_the_bundled_data() {
    assert_eq!(checked(FLIGHTS).zone.name, "America/New_York");
    let text = with(FLIGHTS, "America/New_York", "america/new_york");
    assert_eq!(checked(&text).zone.name, "America/New_York");
    let text = with(FLIGHTS, "America/New_York", "../../etc/passwd");
    assert_eq!(messages(&text), ["`../../etc/passwd` is no IANA time zone"]);
}

#[test]
fn a_reserved_name_is_free_for_what_it_names() {
    let text =
        with(FLIGHTS, "local_hour: { type: int, from: hour }", "hour: int, category: text, hour_start: time");

    assert_eq!(
        messages(&text),
        [
            "`hour` is a partition column of the lake: name the field otherwise, and say `from`",
            "`category` is a partition column of the lake: only the category may have its name",
            "`hour_start` is a computed column of the lake's views: name the field otherwise, and say `from`",
        ]
    );
}

#[test]
fn the_same_window_spelled_twice_is_a_problem() {
    let text = with(MARKETPLACE, "rolling 24h, rolling 30d", "rolling 24h, rolling 1d");

    assert_eq!(messages(&text), ["`rolling 1d` is the same window as one before it"]);
}

#[test]
fn more_slots_than_a_pane_has_are_refused() {
    let values: String = (0..65).map(|n| format!("      v{n}: {{ count: events }}\n")).collect();
    let text = with(MARKETPLACE, "      profile_views", &format!("{values}      profile_views"));

    assert!(messages(&text)[0].contains("at most 64 fit"), "{:?}", messages(&text));
}

#[test]
fn nested_differences_are_bounded() {
    let chain = |length: usize| {
        let link = |n: usize| format!("      d{n}: {{ difference: [d{}, d{}] }}\n", n - 1, n - 1);
        let links: String = (1..=length).map(link).collect();
        with(
            MARKETPLACE,
            "      profile_views",
            &format!("      d0: {{ count: events }}\n{links}      profile_views"),
        )
    };

    checked(&chain(8));
    assert!(messages(&chain(150))[0].contains("nested deeper than 8"));
}

#[test]
fn a_file_full_of_mistakes_is_answered_soon() {
    let fields: String = (0..100).map(|n| format!("    field_number_{n}: text\n")).collect();
    let full = with(MARKETPLACE, "    ts: time\n", &format!("    ts: time\n{fields}"));
    let room = 150_000 - full.len();
    let many = |item: &str| item.repeat(room / item.len());
    let numbered = |item: fn(usize) -> String| (0..room / 12).map(item).collect::<String>();

    for text in [
        with(&full, "by: [vendor_id]", &format!("by: [{}]", numbered(|n| format!("f{n},")))),
        with(&full, "{ type: VendorView }", &format!("{{ {} }}", numbered(|n| format!("f{n}: 1, ")))),
        with(&full, "{ type: VendorView }", &format!("{{ type: [{}] }}", many("x, "))),
        with(&full, "by: [vendor_id]", &format!("by: [vendor_id]\n    {}: 1", many("x"))),
        format!("{full}\n{}", numbered(|n| format!("k{n}: 1\n"))),
        format!("# {}\n{full}", many("- ")),
        many("- a: b\n"),
        many("a: [b, {"),
        many("? "),
        many("\"\\n"),
    ] {
        let _ = check(&text);
    }
}

/// Random damage to a real topology goes deeper than random text.
fn damaged() -> impl Strategy<Value = String> {
    let texts = prop::sample::select(vec![MARKETPLACE, INSIGHTS, FLIGHTS]);
    let piece = prop::sample::select(vec![
        "",
        " ",
        "\n",
        ":",
        "- ",
        "{",
        "}",
        "[",
        "]",
        "null",
        "$item.x",
        "$key",
        "rolling 1s",
        "type",
        "x",
        "9999999999999999999",
        "\"",
        "'",
        "&a",
        "*a",
        "!!int",
        "#",
        "é",
        "\t",
        "? ",
        "items",
        "decimal(18)",
        "difference",
    ]);
    let damage = prop::collection::vec((any::<prop::sample::Index>(), 0..12usize, piece), 1..6);
    (texts, damage).prop_map(|(text, damage)| {
        let mut chars: Vec<char> = text.chars().collect();
        for (at, length, piece) in damage {
            let start = at.index(chars.len());
            let end = (start + length).min(chars.len());
            chars.splice(start..end, piece.chars());
            chars.push('\n');
        }
        chars.into_iter().collect()
    })
}

proptest! {
    #[test]
    fn a_damaged_topology_is_checked_or_explained(text in damaged()) {
        match check(&text) {
            Ok(topology) => prop_assert_eq!(topology.text, text),
            Err(problems) => {
                prop_assert!(!problems.is_empty());
                prop_assert!(problems.is_sorted());
                prop_assert!(problems.iter().all(|problem| problem.line >= 1 && problem.column >= 1));
            }
        }
    }

    #[test]
    fn any_text_is_checked_without_a_panic(text: String) {
        prop_assert!(check(&text).is_err());
    }
}
