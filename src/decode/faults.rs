//! Hostile records (F34, F35, F42): each is refused by name or kept as it is, and its neighbours go on.

use super::decode;
use super::sample::{batch, check_shape, decimal, insights, marketplace, one, read, reason, show, topology};
use crate::model::{
    ITEMS_MAX, KEY_TEXT_BYTES_MAX, LogTime, NODES_MAX, Offset, PARTITION_TEXT_BYTES_MAX, RECORD_BYTES_MAX,
    Rejection, STRING_BYTES_MAX,
};
use crate::topology::{EventId, Field, FieldType, Scalar};

fn event(more: &str) -> String {
    format!(r#"{{"eventId":"e1","eventType":"ProductView","tenantId":"t001"{more}}}"#)
}

fn refused(value: impl AsRef<[u8]>) -> Option<Rejection> {
    reason(&marketplace(), value)
}

#[test]
fn poison_bytes_are_refused_and_the_partition_moves_on() {
    let good = event("");
    let values: [&[u8]; 8] = [
        good.as_bytes(),
        b"\xff\xfe\x00",
        b"{\"eventId\":\"\xc3\"}",
        b"\x00\x01\x02",
        b"{\"eventId\":",
        b"null",
        b"[1,2]",
        good.as_bytes(),
    ];

    let events = decode(batch(&values), &marketplace());

    check_shape(&events);
    assert_eq!(events.offset, [Offset(0), Offset(7)]);
    let reasons: Vec<_> = events.refused.iter().map(|refused| refused.reason.as_str()).collect();
    let expected =
        ["invalid_utf8", "invalid_utf8", "invalid_json", "invalid_json", "not_an_object", "not_an_object"];
    assert_eq!(reasons, expected);
    assert_eq!(events.next.0, 8);
}

#[test]
fn a_refused_record_keeps_its_place_key_headers_and_bytes() {
    let mut records = batch(&["not json"]);
    records.push_header(b"trace", Some(b"1"));

    let events = decode(records, &marketplace());

    let refused = &events.refused[0];
    assert_eq!((refused.offset, refused.record_time), (Offset(0), LogTime(super::sample::RECORD_TIME)));
    assert_eq!(refused.key.get(&events.bytes), Some(&b"key"[..]));
    assert_eq!(refused.value.get(&events.bytes), Some(&b"not json"[..]));
    assert_eq!(refused.headers[0].0.get(&events.bytes), Some(&b"trace"[..]));
    assert_eq!(refused.value_hash, xxhash_rust::xxh3::xxh3_64(b"not json"));
    assert_eq!(refused.detail, "byte 0");
}

#[test]
fn invalid_utf8_is_refused_wherever_it_stands() {
    for bytes in [&b"\x80"[..], b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xf0\x9f\x98"] {
        let inside = [br#"{"eventId":"e","other":""#, bytes, br#""}"#].concat();
        assert_eq!(refused(inside), Some(Rejection::InvalidUtf8), "{bytes:x?}");
    }
}

#[test]
fn json_cut_anywhere_is_refused_as_invalid() {
    let whole =
        event(r#","items":[{"productId":"p\u0031","quantity":1}],"metadata":{"action":null},"z":-1.5e3"#);
    assert_eq!(refused(&whole), None);

    for len in 1..whole.len() {
        assert_eq!(refused(&whole[..len]), Some(Rejection::InvalidJson), "{}", &whole[..len]);
    }
}

#[test]
fn huge_numbers_are_out_of_range_and_never_wrap() {
    let digits = "9".repeat(100_000);
    for number in ["92233720368547758.08", "1e400", "-1e99999999999999999999", &digits] {
        let value = event(&format!(r#","total":{number}"#));
        assert_eq!(refused(value), Some(Rejection::OutOfRange), "{number:.30}");
        // Nobody declared it, so nobody reads it.
        assert_eq!(refused(event(&format!(r#","other":{number}"#))), None, "{number:.30}");
    }
}

#[test]
fn special_numbers_are_no_json() {
    for word in ["NaN", "-NaN", "Infinity", "-Infinity", "nan", "inf", "1e", "0x10", "1,5"] {
        for name in ["total", "items", "metadata", "eventId2", "orderId", "ts"] {
            let value = event(&format!(r#","{name}":{word}"#));
            assert_eq!(refused(value), Some(Rejection::InvalidJson), "{name} {word}");
        }
    }
}

#[test]
fn duplicate_names_are_refused_in_every_object_that_is_read() {
    let twice = [
        r#","tenantId":"t002""#,
        r#","tenant\u0049d":"t002""#,
        r#","total":null,"total":1"#,
        r#","z":1,"z":1"#,
        r#","z":1,"\u007a":2"#,
        r#","metadata":{"action":"a","action":"b"}"#,
        r#","metadata":{"x":1,"y":2,"x":3}"#,
        r#","items":[{"price":1,"price":1}]"#,
        r#","items":[{},{"new":1,"new":1}]"#,
    ];
    for more in twice {
        assert_eq!(refused(event(more)), Some(Rejection::DuplicateKey), "{more}");
    }
    let map = r#"{"tenantId":"0E984725-C51C-4BF4-9960-E1C80E27ABA0","at":"2026-11-01T00:00:00Z","number":1,"metric":"#;
    for members in [r#"{"a":1,"a":1}"#, r#"{"a":1,"a":"x"}"#, r#"{"a":null,"\u0061":1}"#] {
        assert_eq!(
            reason(&insights(), format!("{map}{members}}}")),
            Some(Rejection::DuplicateKey),
            "{members}"
        );
    }

    // Neither between objects, nor in what is kept as bytes.
    assert_eq!(
        refused(event(r#","items":[{"new":1},{"new":1}],"z":{"a":1,"a":2},"metadata":{"m":{"a":1,"a":1}}"#)),
        None
    );
}

#[test]
fn a_duplicate_among_very_many_names_is_found() {
    let names = |last: &str| {
        let many: String = (0..5_000).map(|name| format!(r#","n{name}":0"#)).collect();
        event(&format!(r#"{many},"{last}":0"#))
    };

    for last in ["n0", "n31", "n32", "n2500", r"n0", r"n4999"] {
        assert_eq!(refused(names(last)), Some(Rejection::DuplicateKey), "{last}");
    }
    assert_eq!(refused(names("n5000")), None);
}

#[test]
fn empty_values_and_tombstones_are_refused_as_empty() {
    let mut records = batch(&[""]);
    records.push(Offset(1), LogTime(0), None, None);

    let events = decode(records, &marketplace());

    assert!(events.refused.iter().all(|refused| refused.reason == Rejection::Empty));
    assert_eq!(events.refused.len(), 2);
    assert_eq!(events.refused[1].value_hash, xxhash_rust::xxh3::xxh3_64(b""));
    assert_eq!(refused("  \n"), Some(Rejection::InvalidJson));
}

#[test]
fn a_million_levels_of_nesting_are_refused_without_a_stack() {
    for open in ["[", "{\"a\":", "[{\"a\":"] {
        let nested = open.repeat(1_000_000 / open.len());
        assert_eq!(refused(&nested), Some(Rejection::TooDeep), "{open}");
        let inside = |name: &str| format!(r#"{{"eventId":"e","{name}":{}"#, &nested[..1_000_000 - 100]);
        for name in ["metadata", "other", "total", "ts"] {
            assert_eq!(refused(inside(name)), Some(Rejection::TooDeep), "{name} {open}");
        }
        assert_eq!(refused(format!(r#"{{"items":[{{"a":{}"#, &nested[..999_000])), Some(Rejection::TooDeep));
    }
}

#[test]
fn depth_is_taken_up_to_its_limit_wherever_it_lies() {
    let nested = |levels: usize| format!("{}{}", "[".repeat(levels), "]".repeat(levels));
    // The event is one level, and each bracket that leads to the value another.
    for (before, behind, above) in
        [(r#","z":"#, "", 1), (r#","metadata":{"z":"#, "}", 2), (r#","items":[{"z":"#, "}]", 3)]
    {
        let value = |levels: usize| event(&format!("{before}{}{behind}", nested(levels)));
        assert_eq!(refused(value(64 - above)), None, "{before}");
        assert_eq!(refused(value(65 - above)), Some(Rejection::TooDeep), "{before}");
    }
}

#[test]
fn a_record_is_taken_up_to_one_mebibyte() {
    let of_length = |len: usize| event("") + &" ".repeat(len - event("").len());

    assert_eq!(refused(of_length(RECORD_BYTES_MAX)), None);
    let (reason, detail) = read(&marketplace(), of_length(RECORD_BYTES_MAX + 1)).unwrap_err();
    assert_eq!((reason, detail.as_str()), (Rejection::TooLarge, "1048577 bytes"));
}

#[test]
fn a_string_of_ten_megabytes_is_too_large() {
    let value = event(&format!(r#","z":"{}""#, "a".repeat(10_000_000)));

    assert_eq!(refused(value), Some(Rejection::TooLarge));
}

#[test]
fn a_string_is_taken_up_to_64_kibibytes_as_value_and_as_name() {
    for (len, expected) in [(STRING_BYTES_MAX, None), (STRING_BYTES_MAX + 1, Some(Rejection::StringTooLong))]
    {
        let long = "é".repeat(len / 2) + if len % 2 == 1 { "a" } else { "" };
        assert_eq!(long.len(), len);
        for more in [
            "\"orderIdx\":\"#\"",
            "\"metadata\":[\"#\"]",
            "\"#\":1",
            "\"metadata\":{\"#\":1}",
            "\"vendorId\":\"#\"",
        ] {
            let value = event(&format!(",{}", more.replace('#', &long)));
            assert_eq!(refused(value), expected, "{more}");
        }
    }
}

#[test]
fn nodes_are_taken_up_to_their_limit() {
    // The event, its three texts, the list.
    for name in ["z", "metadata"] {
        let value = |nodes: usize| event(&format!(r#","{name}":[{}]"#, vec!["1"; nodes - 5].join(",")));
        assert_eq!(refused(value(NODES_MAX)), None);
        assert_eq!(refused(value(NODES_MAX + 1)), Some(Rejection::TooManyNodes));
    }
    // What is read for two fields is counted once, and not forgotten.
    let value = |nodes: usize| {
        let half = vec!["1"; (nodes - 8) / 2].join(",");
        event(&format!(r#","metadata":{{"action":null,"x":[{half}]}},"z":[{half}]"#))
    };
    assert_eq!(refused(value(NODES_MAX)), None);
    assert_eq!(refused(value(NODES_MAX + 2)), Some(Rejection::TooManyNodes));
}

#[test]
fn items_are_taken_up_to_their_limit() {
    for (count, expected) in [(ITEMS_MAX, None), (ITEMS_MAX + 1, Some(Rejection::TooManyItems))] {
        let list = |item: &str| vec![item; count].join(",");
        let items = event(&format!(r#","items":[{}]"#, list(r#"{"productId":"p1"}"#)));
        assert_eq!(refused(items), expected, "items");

        let members: Vec<_> = (0..count).map(|name| format!(r#""n{name}":"no number""#)).collect();
        let value = format!(r#"{{"t":"t1","x":{{{}}}}}"#, members.join(","));
        assert_eq!(reason(&one(FieldType::Map(decimal(2))), value), expected, "map");

        let value = format!(r#"{{"t":"t1","x":[{}]}}"#, list("null"));
        assert_eq!(reason(&one(FieldType::ListOfScalar(Scalar::Text)), value), expected, "texts");

        // What nobody declared has no items.
        assert_eq!(refused(event(&format!(r#","other":[{}]"#, list("1")))), None);
    }
}

#[test]
fn hostile_ids_stay_as_they_are() {
    let hostile = [
        "../x",
        "a/b",
        "%2e%2e",
        "\0",
        "\n",
        "hour=01",
        "__HIVE_DEFAULT_PARTITION__",
        "\u{202e}rtl",
        "👩‍👩‍👧",
        "=1+1",
        "'; DROP TABLE x; --",
        "a\",\"b",
        "\\",
        "_",
        " ",
        "NULL",
        "null",
        "t=1/u=2",
        "\u{7f}",
    ];
    for id in hostile {
        let spelled = serde_json::to_string(id).unwrap();
        let value = format!(
            r#"{{"eventId":{spelled},"eventType":{spelled},"tenantId":{spelled},"vendorId":{spelled}}}"#
        );

        let events = read(&marketplace(), value).unwrap();

        assert_eq!(events.text(events.event_id[0]), id);
        for column in [0, 2, 3, 4] {
            assert_eq!(show(&events, column, 0), format!("{id:?}"));
        }
    }
}

#[test]
fn tenant_and_category_are_bounded_in_bytes() {
    let value =
        |tenant: &str, kind: &str| format!(r#"{{"eventId":"e","tenantId":"{tenant}","eventType":"{kind}"}}"#);
    let last = "é".repeat(PARTITION_TEXT_BYTES_MAX / 2);
    let next = format!("{last}a");
    let ten_thousand = "x".repeat(10_000);

    assert_eq!(refused(value(&last, &last)), None);
    for text in [&next, &ten_thousand] {
        assert_eq!(refused(value(text, "View")), Some(Rejection::IdTooLong));
        assert_eq!(refused(value("t", text)), Some(Rejection::IdTooLong));
    }
    // Twelve bytes as it is spelled, two as it reads.
    assert_eq!(refused(value(&r"\u00e9".repeat(PARTITION_TEXT_BYTES_MAX / 2), "View")), None);
    assert_eq!(refused(value("", "View")), Some(Rejection::Missing));
    assert_eq!(refused(value("t", "")), Some(Rejection::Missing));
}

#[test]
fn key_texts_are_bounded_wherever_they_come_from() {
    let last = "k".repeat(KEY_TEXT_BYTES_MAX);
    let next = "k".repeat(KEY_TEXT_BYTES_MAX + 1);
    // A product of an event, a product of an item, an order of a history.
    for more in [r#","productId":"@""#, r#","items":[{},{"productId":"@"}]"#, r#","orderId":"@""#] {
        assert_eq!(refused(event(&more.replace('@', &last))), None, "{more}");
        assert_eq!(refused(event(&more.replace('@', &next))), Some(Rejection::IdTooLong), "{more}");
    }
    // A customer is in no key.
    assert_eq!(refused(event(&format!(r#","customerId":"{next}""#))), None);
}

#[test]
fn an_event_whose_rows_fit_no_block_is_refused() {
    let value = |count: usize| {
        let item = |n: usize| format!(r#"{{"productId":"{n:0>200}"}}"#);
        event(&format!(r#","items":[{}]"#, (0..count).map(item).collect::<Vec<_>>().join(",")))
    };
    let mut topology = marketplace();
    assert_eq!(reason(&topology, value(2_500)), None);

    // The same items feed one key each in three aggregates.
    topology.aggregates = vec![topology.aggregates[0].clone(); 3];
    assert_eq!(reason(&topology, value(1_000)), None);
    assert_eq!(reason(&topology, value(4_000)), Some(Rejection::TooManyRows));
}

#[test]
fn histories_of_huge_texts_are_refused_as_too_many_rows() {
    let mut topology = marketplace();
    topology.histories[0].columns = vec![11];
    let long = format!(r#""{}""#, "m".repeat(60_000));
    let value = event(&format!(r#","metadata":{{"m":[{}]}}"#, vec![long; 16].join(",")));
    assert_eq!(reason(&topology, &value), None);

    topology.histories = vec![topology.histories[0].clone(); 3];
    assert_eq!(reason(&topology, &value), Some(Rejection::TooManyRows));
}

#[test]
fn names_that_need_escapes_are_found_and_never_guessed_into_bad_json() {
    let name = "a\"b\\\n";
    let field = Field { path: vec![name.into()], ..super::sample::scalar("x", "x", Scalar::Int) };
    let topology =
        topology(vec![super::sample::scalar("t", "t", Scalar::Text), field], EventId::Coordinate, "t");
    let spelled = [r#"{"t":"1","a\"b\\\n":5}"#, r#"{"t":"1","a\u0022b\u005C\u000a":5}"#];
    let values = [spelled[0], spelled[1], spelled[0], "{\"t\":\"1\",\"a\"b\\\n\":5}"];

    let events = decode(batch(&values), &topology);

    assert_eq!((0..3).map(|row| show(&events, 1, row)).collect::<Vec<_>>(), ["5"; 3]);
    assert_eq!(events.refused[0].reason, Rejection::InvalidJson);
    assert!(!events.rest.iter().any(|rest| rest.is_present()));
}
