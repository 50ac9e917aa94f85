//! What each type takes, what absence means, who an event is, and what goes into `_rest`.

use super::sample::{
    batch, decimal, field, insights, marketplace, one, read, reason, scalar, show, topology,
};
use super::{Decoder, decode};
use crate::model::{EventTime, Rejection, Span};
use crate::topology::{EventId, FieldType, Scalar, TimeOrigin};

const UUID: &str = "0e984725-c51c-4bf4-9960-e1c80e27aba0";

fn value_of(ty: Scalar, text: &str) -> Result<String, Rejection> {
    let topology = one(FieldType::Scalar(ty));
    match read(&topology, format!(r#"{{"t":"t1","x":{text}}}"#)) {
        Ok(events) => Ok(show(&events, 1, 0)),
        Err((reason, detail)) => {
            assert!(detail.starts_with("field `x`, byte 14") || reason == Rejection::InvalidJson, "{detail}");
            Err(reason)
        }
    }
}

fn check(ty: Scalar, good: &[(&str, &str)], bad: &[(&str, Rejection)]) {
    for &(text, expected) in good {
        assert_eq!(value_of(ty, text), Ok(expected.into()), "{text}");
    }
    for &(text, reason) in bad {
        assert_eq!(value_of(ty, text), Err(reason), "{text}");
    }
    assert_eq!(value_of(ty, "null"), Ok("absent".into()));
    assert_eq!(value_of(ty, "nul"), Err(Rejection::InvalidJson));
}

#[test]
fn texts_are_strings_only() {
    let good = [(r#""""#, r#""""#), (r#""a\u00e9\ud83d\ude00b""#, r#""aé😀b""#), (r#""\/""#, r#""/""#)];
    let wrong = ["1", "true", "[]", "{}", r#"["a"]"#].map(|text| (text, Rejection::WrongType));
    check(Scalar::Text, &good, &wrong);
    check(Scalar::Text, &[], &[(r#""\ud800""#, Rejection::InvalidJson), ("\"\n\"", Rejection::InvalidJson)]);
}

#[test]
fn uuids_are_kept_in_lower_case_with_hyphens() {
    let canonical = format!("{UUID:?}");
    let upper = canonical.to_uppercase();
    let escaped = canonical.replace('-', r"\u002d");
    let good = [&canonical, &upper, &escaped].map(|text| (&text[..], &canonical[..]));
    let plain = canonical.replace('-', "");
    let letter = canonical.replace('c', "g");
    let wrong = [&plain, &letter, "\"\"", "1", "\"{0e984725-c51c-4bf4-9960-e1c80e27aba0}\""];
    check(Scalar::Uuid, &good, &wrong.map(|text| (text, Rejection::WrongType)));
}

#[test]
fn ints_are_numbers_that_are_whole() {
    let good =
        [("517.0", "517"), ("5.17e2", "517"), ("-0", "0"), ("9223372036854775807", "9223372036854775807")];
    let bad = [
        ("5.5", Rejection::WrongType),
        ("1e-1", Rejection::WrongType),
        (r#""517""#, Rejection::WrongType),
        ("true", Rejection::WrongType),
        ("9223372036854775808", Rejection::OutOfRange),
        ("01", Rejection::InvalidJson),
    ];
    check(Scalar::Int, &good, &bad);
}

#[test]
fn decimals_are_exact_rounded_only_on_demand_and_cents_where_declared() {
    let bad = [
        ("19.995", Rejection::TooPrecise),
        (r#""19.99""#, Rejection::WrongType),
        ("1e17", Rejection::OutOfRange),
        ("10000000000000000.00", Rejection::OutOfRange),
        ("-10000000000000000.00", Rejection::OutOfRange),
    ];
    let most = ("9999999999999999.99", "999999999999999999");
    check(decimal(2), &[("19.99", "1999"), ("2", "200"), ("19.9900", "1999"), ("-1e-2", "-1"), most], &bad);
    let round = Scalar::Decimal { scale: 2, round: true, minor: false };
    check(round, &[("19.995", "2000"), ("19.990000000000002", "1999"), ("-0.005", "-1")], &[]);
    let minor = Scalar::Decimal { scale: 2, round: false, minor: true };
    check(minor, &[("1999", "1999"), ("1999.0", "1999")], &[("1999.5", Rejection::TooPrecise)]);
}

#[test]
fn doubles_and_bools_are_what_they_say() {
    let bad = [("1e309", Rejection::OutOfRange), (r#""1""#, Rejection::WrongType)];
    check(Scalar::Double, &[("0.1", "0.1"), ("-1e-3", "-0.001"), ("1e308", "1e308")], &bad);
    let bad =
        [("1", Rejection::WrongType), (r#""true""#, Rejection::WrongType), ("truE", Rejection::InvalidJson)];
    check(Scalar::Bool, &[("true", "1"), ("false", "0")], &bad);
}

#[test]
fn times_name_their_offset_and_dates_exist() {
    let good = [
        (r#""2026-11-01T01:00:00.5+01:00""#, "1793491200500000"),
        (r#""2026\u002d11-01T00:00:00Z""#, "1793491200000000"),
    ];
    let bad = [
        (r#""2026-11-01T00:00:00""#, Rejection::WrongType),
        ("1793491200000000", Rejection::WrongType),
        (r#""2026-02-30T00:00:00Z""#, Rejection::OutOfRange),
    ];
    check(Scalar::Time, &good, &bad);
    check(Scalar::Date, &[(r#""1970-01-02""#, "1")], &[(r#""2026-02-29""#, Rejection::OutOfRange)]);
}

#[test]
fn json_is_kept_byte_for_byte() {
    let texts = [r#"{ "a" : [1.50, "\u0041"] }"#, "[ ]", "-0.0e0", r#""\u00e9""#, "true"];
    let good: Vec<_> = texts.map(|text| (text, format!("{text:?}"))).into();
    let good: Vec<_> = good.iter().map(|(text, shown)| (*text, &shown[..])).collect();
    check(Scalar::Json, &good, &[("[1,]", Rejection::InvalidJson)]);
}

#[test]
fn maps_skip_and_count_what_is_no_number_and_keep_it_in_the_rest() {
    let map = one(FieldType::Map(decimal(2)));

    let events =
        read(&map, r#"{"t":"t1","x":{"cpu":0.5,"host":"h1","up":true,"gone":null,"\u006dem":12}}"#).unwrap();

    assert_eq!(show(&events, 1, 0), "{cpu: 50, mem: 1200}");
    assert_eq!(events.skipped_members, 3);
    assert!(events.text(events.rest[0]).starts_with(r#"{"x":{"cpu":0.5,"host""#));
    let events = read(&map, r#"{"t":"t1","x":{"gone":null}}"#).unwrap();
    assert_eq!((show(&events, 1, 0), events.rest[0]), ("{}".into(), Span::ABSENT));
    assert_eq!(reason(&map, r#"{"t":"t1","x":{"cpu":0.555}}"#), Some(Rejection::TooPrecise));
    assert_eq!(reason(&map, r#"{"t":"t1","x":[1]}"#), Some(Rejection::WrongType));
    let texts = one(FieldType::Map(Scalar::Text));
    assert_eq!(reason(&texts, r#"{"t":"t1","x":{"a":"b","c":1}}"#), Some(Rejection::WrongType));
}

#[test]
fn members_skipped_in_a_refused_record_are_not_counted() {
    let values = [r#"{"x":{"a":"b"}}"#, r#"{"t":"t1","x":{"a":"b"}}"#];

    assert_eq!(decode(batch(&values), &one(FieldType::Map(Scalar::Int))).skipped_members, 1);
}

#[test]
fn lists_of_scalars_keep_the_place_of_what_is_absent() {
    let list = one(FieldType::ListOfScalar(Scalar::Int));
    let shown = |text: &str| show(&read(&list, format!(r#"{{"t":"t1","x":{text}}}"#)).unwrap(), 1, 0);

    assert_eq!(shown("[1, null, 3]"), "[1, absent, 3]");
    assert_eq!(shown("[]"), "[]");
    assert_eq!(shown("null"), "absent");
    assert_eq!(reason(&list, r#"{"t":"t1","x":[1,"2"]}"#), Some(Rejection::WrongType));
    assert_eq!(reason(&list, r#"{"t":"t1","x":{}}"#), Some(Rejection::WrongType));
}

#[test]
fn items_are_objects_with_fields_of_their_own() {
    let market = marketplace();
    let event = |items: &str| {
        format!(r#"{{"eventId":"e","eventType":"OrderCreated","tenantId":"t","items":{items}}}"#)
    };

    let events =
        read(&market, event(r#"[{"price":1.5,"productId":"p1"}, {}, {"quantity":2,"price":null}]"#)).unwrap();

    let expected = r#"["p1" absent 150, absent absent absent, absent 2 absent]"#;
    assert_eq!(show(&events, 10, 0), expected);
    assert_eq!(reason(&market, event("[null]")), Some(Rejection::WrongType));
    let (reason, detail) = read(&market, event(r#"[{"price":1.555}]"#)).unwrap_err();
    assert_eq!(reason, Rejection::TooPrecise);
    assert_eq!(detail, "field `items.price`, byte 75");
}

#[test]
fn required_fields_are_missed_by_name() {
    let mut market = marketplace();
    market.events.fields[4].required = true;
    let FieldType::ListOfStruct(items) = &mut market.events.fields[10].ty else { unreachable!() };
    items[1].required = true;
    let event = |vendor: &str, items: &str| {
        format!(r#"{{"eventId":"e","eventType":"V","tenantId":"t","vendorId":{vendor},"items":{items}}}"#)
    };

    assert!(read(&market, event(r#""v""#, r#"[{"quantity":1}]"#)).is_ok());
    let missing = |event: String, detail: &str| {
        assert_eq!(read(&market, event).unwrap_err(), (Rejection::Missing, detail.into()));
    };
    missing(event("null", "null"), "field `vendor_id`");
    missing(event(r#""v""#, r#"[{"quantity":1},{}]"#), "field `items.quantity`, byte 85");
    missing(r#"{"eventId":"e","tenantId":"t","vendorId":"v"}"#.into(), "field `type`");
    missing(r#"{"eventType":"e","tenantId":"t","vendorId":"v"}"#.into(), "field `event_id`");
    missing(r#"{"eventId":"","eventType":"e","tenantId":"t","vendorId":"v"}"#.into(), "field `event_id`");
}

#[test]
fn a_path_leads_through_objects_and_nulls_only() {
    let market = marketplace();
    let action = |metadata: &str| {
        let event = format!(r#"{{"eventId":"e","eventType":"V","tenantId":"t","metadata":{metadata}}}"#);
        read(&market, event)
            .map(|events| (show(&events, 8, 0), show(&events, 11, 0)))
            .map_err(|error| error.0)
    };

    let text = r#"{ "action" : "added" , "x":[] }"#;
    assert_eq!(action(text), Ok((r#""added""#.into(), format!("{text:?}"))));
    assert_eq!(action("null"), Ok(("absent".into(), "absent".into())));
    assert_eq!(action("{}"), Ok(("absent".into(), r#""{}""#.into())));
    // A json field takes anything.
    assert_eq!(action("[]"), Ok(("absent".into(), r#""[]""#.into())));
    let service = |metadata: &str| {
        let event = format!(
            r#"{{"tenantId":"{UUID}","at":"2026-11-01T00:00:00Z","number":1,"metadata":{metadata}}}"#
        );
        reason(&insights(), event)
    };
    assert_eq!(service("null"), None);
    assert_eq!(service(r#""added""#), Some(Rejection::WrongType));
    assert_eq!(service("[]"), Some(Rejection::WrongType));
}

#[test]
fn one_member_can_feed_several_fields() {
    let fields = vec![
        scalar("t", "t", Scalar::Text),
        scalar("number", "x.y", Scalar::Int),
        scalar("exact", "x.y", decimal(3)),
        field("all", "x", FieldType::Map(Scalar::Int)),
        scalar("bytes", "x", Scalar::Json),
    ];
    let topology = topology(fields, EventId::Coordinate, "t");

    let events = read(&topology, r#"{"t":"t1","x":{"y":4,"z":"no number"}}"#).unwrap();

    let shown: Vec<_> = (1..5).map(|column| show(&events, column, 0)).collect();
    assert_eq!(shown, ["4", "4000", "{y: 4}", r#""{\"y\":4,\"z\":\"no number\"}""#]);
    assert_eq!(events.rest[0], Span::ABSENT);
}

#[test]
fn the_rest_holds_what_no_field_declares_in_order_and_byte_for_byte() {
    let market = marketplace();
    let rest = |more: &str| {
        let event = format!(r#"{{ "new" : [ 1.50 ],"eventId":"e","eventType":"V","tenantId":"t"{more}}}"#);
        let events = read(&market, event).unwrap();
        events.rest[0].get(&events.bytes).map(|rest| String::from_utf8_lossy(rest).into_owned())
    };

    assert_eq!(rest("").unwrap(), r#"{"new" : [ 1.50 ]}"#);
    assert_eq!(
        rest(r#","\u006eull":null ,"metadata":{}"#).unwrap(),
        r#"{"new" : [ 1.50 ],"\u006eull":null}"#
    );
    let items = r#""items":[{"price":1},{"colour":"red"}]"#;
    assert_eq!(rest(&format!(",{items}")).unwrap(), format!(r#"{{"new" : [ 1.50 ],{items}}}"#));
    assert_eq!(rest(r#","items":[{"price":1}]"#).unwrap(), r#"{"new" : [ 1.50 ]}"#);
    let plain = read(&market, r#"{"eventId":"e","eventType":"V","tenantId":"t","items":null}"#).unwrap();
    assert_eq!(plain.rest[0], Span::ABSENT);
    // A member of which only parts are declared goes whole.
    let event = format!(
        r#"{{"tenantId":"{UUID}","at":"2026-11-01T00:00:00Z","number":1,"metadata":{{"service":"s","x":1}}}}"#
    );
    let events = read(&insights(), event).unwrap();
    assert_eq!(show(&events, 4, 0), r#""s""#);
    assert_eq!(events.text(events.rest[0]), r#"{"metadata":{"service":"s","x":1}}"#);
}

#[test]
fn an_id_of_several_fields_is_the_same_however_they_are_spelled() {
    let spelled = [
        format!(r#"{{"tenantId":"{UUID}","at":"2026-11-01T00:00:00Z","number":1}}"#),
        format!(
            r#"{{"number":10e-1,"at":"2026-11-01T02:00:00.000+02:00","tenantId":"{}"}}"#,
            UUID.to_uppercase()
        ),
        format!(r#"{{"tenantId":"{UUID}","at":"2026-11-01T00:00:00Z","number":2}}"#),
    ];

    let events = decode(batch(&spelled), &insights());

    assert_eq!(events.text(events.event_id[0]), format!("{UUID}\0{}\0{}", 1_793_491_200_000_000i64, 1));
    assert_eq!(events.text(events.event_id[0]), events.text(events.event_id[1]));
    assert_eq!(events.id_hash[0], events.id_hash[1]);
    assert_ne!(events.id_hash[0], events.id_hash[2]);
    assert_eq!(events.id_hash[0], xxhash_rust::xxh3::xxh3_128(events.event_id[0].of(&events.bytes)));
}

#[test]
fn a_zero_byte_cannot_move_the_border_between_two_id_fields() {
    let fields = vec![scalar("t", "t", Scalar::Text), scalar("x", "x", Scalar::Text)];
    let both = topology(fields, EventId::Fields(vec![0, 1]), "t");

    assert_eq!(reason(&both, r#"{"t":"a","x":"b"}"#), None);
    assert_eq!(reason(&both, r#"{"t":"a\u0000b","x":"c"}"#), Some(Rejection::WrongType));
}

#[test]
fn an_event_without_an_id_has_its_coordinate() {
    let events = read(&one(FieldType::Scalar(Scalar::Int)), r#"{"t":"t1"}"#).unwrap();

    assert_eq!((events.event_id[0], events.id_hash[0]), (Span::ABSENT, 0));
}

#[test]
fn the_first_time_that_is_present_counts() {
    let mut market = marketplace();
    let time = |market: &_, ts: &str| {
        let event = format!(r#"{{"eventId":"e","eventType":"V","tenantId":"t","ts":{ts}}}"#);
        read(market, event).map(|events| events.event_time[0]).map_err(|error| error.0)
    };

    assert_eq!(time(&market, r#""1970-01-01T00:00:01Z""#), Ok(EventTime(1_000_000)));
    assert_eq!(time(&market, "null"), Ok(EventTime(super::sample::RECORD_TIME)));
    // A wrong time is not an absent one.
    assert_eq!(time(&market, r#""yesterday""#), Err(Rejection::WrongType));
    market.events.time = vec![TimeOrigin::Field(1)];
    assert_eq!(time(&market, "null"), Err(Rejection::Missing));
}

#[test]
fn bad_json_is_named_before_a_bad_type() {
    let market = marketplace();

    assert_eq!(reason(&market, r#"{"total":[1,}"#), Some(Rejection::InvalidJson));
    assert_eq!(reason(&market, r#"{"total":[1]}"#), Some(Rejection::WrongType));
    assert_eq!(reason(&market, r#"{"total":[1]} x"#), Some(Rejection::InvalidJson));
    assert_eq!(reason(&market, r#"{"total":1,"total":1"#), Some(Rejection::InvalidJson));
}

#[test]
fn members_in_the_order_of_the_last_event_cost_no_lookup() {
    let event = r#"{"eventId":"e","eventType":"V","tenantId":"t","ts":"2026-11-01T00:00:00Z"}"#;
    let mut decoder = Decoder::new(&marketplace());

    let events = decoder.decode(batch(&[event; 100]));

    assert_eq!((events.len(), decoder.misses()), (100, 4));
}

#[test]
fn undeclared_names_are_learned_but_not_without_end() {
    let event = |names: std::ops::Range<usize>| {
        let more: String = names.map(|name| format!(r#","n{name}":1"#)).collect();
        format!(r#"{{"eventId":"e","eventType":"V","tenantId":"t"{more}}}"#)
    };
    let mut decoder = Decoder::new(&marketplace());

    decoder.decode(batch(&[event(0..10)]));
    assert_eq!(decoder.misses(), 13);
    decoder.decode(batch(&[event(0..10)]));
    assert_eq!(decoder.misses(), 13);

    // Names that somebody makes up are looked up every time, and the others are still known.
    decoder.decode(batch(&[event(10..1_000), event(1_000..2_000)]));
    let before = decoder.misses();
    let events = decoder.decode(batch(&[event(5..10), event(5..10)]));
    assert!(decoder.misses() - before <= 4, "{}", decoder.misses() - before);
    assert_eq!(events.text(events.rest[1]), r#"{"n5":1,"n6":1,"n7":1,"n8":1,"n9":1}"#);
}
