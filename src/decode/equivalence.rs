//! Properties: against serde_json, against itself on other batches, and against any bytes at all.

use super::columns::is_present;
use super::sample::{batch, check_shape, insights, marketplace, show};
use super::{Decoder, decode};
use crate::model::{Column, EventBatch, Span};
use crate::topology::{FieldType, Scalar, Topology};
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::Value;

/// One member of an event, with a value that its field takes (mostly).
fn member(name: &'static str, value: impl Strategy<Value = String> + 'static) -> BoxedStrategy<String> {
    let space = "[ \n\t]{0,2}";
    let escaped = any::<bool>();
    (value, space, space, escaped)
        .prop_map(move |(value, before, behind, escaped)| {
            let first = u32::from(name.as_bytes()[0]);
            let name = if escaped { format!("\\u{first:04x}{}", &name[1..]) } else { name.to_owned() };
            format!("{before}\"{name}\"{behind}:{before}{value}{behind}")
        })
        .boxed()
}

fn text() -> impl Strategy<Value = String> {
    r#""([a-zA-Z0-9 é😀]|\\n|\\u00e9|\\"|\\\\|\\ud83d\\ude00|\\/){1,20}""#.prop_map(String::from)
}

fn any_json() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        text(),
        Just("null".to_owned()),
        Just("true".to_owned()),
        "-?(0|[1-9][0-9]{0,5})(\\.[0-9]{1,3})?([eE][+-]?[0-9])?",
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|items| format!("[ {} ]", items.join(" ,"))),
            prop::collection::vec(inner, 0..4).prop_map(|values| {
                let member = |(at, value)| format!("\"m{at}\":{value}");
                format!("{{{}}}", values.into_iter().enumerate().map(member).collect::<Vec<_>>().join(", "))
            }),
        ]
    })
}

/// An event of marketplace: members in any order, some absent, undeclared ones between them.
fn event() -> impl Strategy<Value = String> {
    let cents = "-?(0|[1-9][0-9]{0,5})(\\.[0-9]{1,2})?";
    let item =
        ("[1-9][0-9]{0,2}", cents, text(), any::<bool>()).prop_map(|(quantity, price, product, odd)| {
            let more = if odd { r#","odd":[1]"# } else { "" };
            format!(r#"{{"price":{price}, "productId":{product},"quantity":{quantity}{more}}}"#)
        });
    let items = prop::collection::vec(item, 0..4).prop_map(|items| format!("[{}]", items.join(",")));
    let metadata = (text(), any_json()).prop_map(|(a, b)| format!(r#"{{"action":{a},"x":{b}}}"#));
    let needed = (
        member("eventId", text()),
        member("eventType", "\"[A-Za-z]{1,12}\""),
        member("tenantId", text().prop_filter("fits into a path", |text| text.len() < 60)),
    );
    let optional = vec![
        member("vendorId", prop_oneof![text(), Just("null".to_owned())]),
        member("productId", text()),
        member("total", cents),
        member("items", items),
        member("metadata", metadata),
        member("other", any_json()),
        member("else", any_json()),
    ];
    let optional: Vec<_> = optional.into_iter().map(prop::option::of).collect();
    (needed, optional)
        .prop_map(|((id, kind, tenant), more)| {
            let mut members = vec![id, kind, tenant];
            members.extend(more.into_iter().flatten());
            members
        })
        .prop_shuffle()
        .prop_map(|members| format!(" {{{}}}\n", members.join(",")))
}

/// What serde_json would show for a field, in the words of [`show`].
fn shown(value: &Value, ty: &FieldType) -> String {
    match (value, ty) {
        (Value::Null, _) => "absent".into(),
        (Value::String(text), FieldType::Scalar(Scalar::Text)) => format!("{text:?}"),
        (Value::Number(number), FieldType::Scalar(Scalar::Int)) => number.to_string(),
        (Value::Number(number), FieldType::Scalar(Scalar::Decimal { scale: 2, .. })) => {
            format!("{:.0}", (number.as_f64().unwrap() * 100.0).round() + 0.0)
        }
        (Value::Array(items), FieldType::ListOfStruct(fields)) => {
            let item = |item: &Value| {
                let fields = fields.iter().map(|field| shown(&item[&field.path[0]], &field.ty));
                fields.collect::<Vec<_>>().join(" ")
            };
            format!("[{}]", items.iter().map(item).collect::<Vec<_>>().join(", "))
        }
        other => panic!("{other:?} is not generated"),
    }
}

fn check_equal(events: &EventBatch, row: usize, value: &Value, topology: &Topology) {
    for (column, field) in topology.events.fields.iter().enumerate() {
        let found = field.path.iter().try_fold(value, |value, name| value.get(name)).unwrap_or(&Value::Null);
        if field.ty == FieldType::Scalar(Scalar::Json) {
            let Column::Text(spans) = &events.columns[column] else { unreachable!() };
            let ours = spans[row].get(&events.bytes).map(|bytes| serde_json::from_slice(bytes).unwrap());
            assert_eq!(ours.unwrap_or(Value::Null), *found);
        } else {
            let ours = show(events, column, row);
            let ours = if ours == "-0" { "0".into() } else { ours };
            assert_eq!(ours, shown(found, &field.ty), "{}", field.name);
        }
    }
}

/// Undeclared members, those of items among them.
fn expected_rest(value: &Value) -> Value {
    const DECLARED: [&str; 11] = [
        "eventId",
        "ts",
        "eventType",
        "tenantId",
        "vendorId",
        "customerId",
        "productId",
        "orderId",
        "total",
        "items",
        "metadata",
    ];
    let is_odd = |value: &Value| {
        value.as_array().is_some_and(|items| items.iter().any(|item| item.get("odd").is_some()))
    };
    let members = value.as_object().unwrap().iter();
    let rest = members.filter(|(name, value)| !DECLARED.contains(&name.as_str()) || is_odd(value));
    Value::Object(rest.map(|(name, value)| (name.clone(), value.clone())).collect())
}

/// Everything but where texts lie in the buffer.
fn contents(events: &EventBatch) -> Vec<String> {
    let text = |span: Span| span.get(&events.bytes).map(<[u8]>::to_vec);
    let row = |row: usize| {
        let columns: Vec<_> = (0..events.columns.len()).map(|column| show(events, column, row)).collect();
        let (id, rest) = (text(events.event_id[row]), text(events.rest[row]));
        let places = (events.offset[row], events.event_time[row], events.record_time[row]);
        let hashes = (events.id_hash[row], events.value_hash[row]);
        format!("{columns:?} {id:?} {rest:?} {places:?} {hashes:?} {:?}", text(events.value[row]))
    };
    let refused = events.refused.iter().map(|refused| {
        let payload = text(refused.value);
        format!("{:?} {} {} {payload:?}", refused.offset, refused.reason.as_str(), refused.detail)
    });
    (0..events.len()).map(row).chain(refused).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn events_hold_what_serde_json_reads(texts in prop::collection::vec(event(), 1..6)) {
        let topology = marketplace();

        let events = decode(batch(&texts), &topology);

        check_shape(&events);
        prop_assert_eq!(&events.refused, &vec![]);
        for (row, text) in texts.iter().enumerate() {
            let value: Value = serde_json::from_str(text).unwrap();
            check_equal(&events, row, &value, &topology);
            let rest = events.rest[row].get(&events.bytes).map_or("{}".into(), String::from_utf8_lossy);
            let rest: Value = serde_json::from_str(&rest).unwrap();
            let expected = expected_rest(&value);
            prop_assert_eq!(
                rest.as_object().unwrap().iter().collect::<Vec<_>>(),
                expected.as_object().unwrap().iter().collect::<Vec<_>>()
            );
        }
    }

    #[test]
    fn a_batch_cut_anywhere_gives_the_same(
        texts in prop::collection::vec((event(), any::<Index>(), any::<Option<u8>>()), 1..12), cut: Index,
    ) {
        // Some of them are damaged, so that refusals stand between events.
        let damage = |(text, at, byte): (String, Index, Option<u8>)| {
            let mut bytes = text.into_bytes();
            let at = at.index(bytes.len());
            byte.into_iter().for_each(|byte| bytes[at] = byte);
            bytes
        };
        let values: Vec<_> = texts.into_iter().map(damage).collect();
        let topology = marketplace();
        let whole = decode(batch(&values), &topology);
        let mut decoder = Decoder::new(&topology);
        let cut = cut.index(values.len());
        let all = batch(&values);
        let mut parts = [all.clone(), all];
        parts[0].records.truncate(cut);
        parts[1].records.drain(..cut);

        let parts = parts.map(|part| decoder.decode(part));

        let mut rows: Vec<_> = parts.iter().flat_map(|part| contents(part).into_iter().take(part.len())).collect();
        rows.extend(parts.iter().flat_map(|part| contents(part).into_iter().skip(part.len())));
        prop_assert_eq!(contents(&whole), rows);
        prop_assert_eq!(whole.len() + whole.refused.len(), values.len());
    }

    #[test]
    fn any_bytes_are_answered(values: Vec<Vec<u8>>) {
        for topology in [marketplace(), insights()] {
            let events = decode(batch(&values), &topology);

            check_shape(&events);
            prop_assert_eq!(events.len() + events.refused.len(), values.len());
        }
    }

    #[test]
    fn any_change_to_an_event_is_answered_as_strictly_as_serde_json_would(
        text in event(), changes in prop::collection::vec((any::<Index>(), any::<u8>(), 0..3u8), 1..4),
    ) {
        let mut bytes = text.into_bytes();
        for (at, byte, kind) in changes {
            let at = at.index(bytes.len());
            match kind {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, b"{}[]\",:\\0-n"[usize::from(byte) % 11]),
                _ => drop(bytes.remove(at)),
            }
        }

        let events = decode(batch(&[&bytes]), &marketplace());

        check_shape(&events);
        match serde_json::from_slice::<Value>(&bytes) {
            Ok(value) if events.len() == 1 => check_equal(&events, 0, &value, &marketplace()),
            Ok(_) => prop_assert!(!matches!(events.refused[0].reason.as_str(), "invalid_json" | "invalid_utf8")),
            // Numbers beyond a double are no numbers to serde_json.
            Err(error) if error.to_string().starts_with("number out of range") => {}
            Err(_) => {
                let reason = events.refused.first().map(|refused| refused.reason.as_str());
                prop_assert!(matches!(reason, Some("invalid_json" | "invalid_utf8")), "{reason:?}");
            }
        }
        prop_assert_eq!(events.columns.iter().filter(|column| column.len() != events.len()).count(), 0);
    }

    #[test]
    fn insights_events_of_any_json_are_answered(metric in any_json(), tags in any_json(), share in any_json()) {
        let text = format!(
            r#"{{"tenantId":"0e984725-c51c-4bf4-9960-e1c80e27aba0","at":"2026-11-01T00:00:00Z","number":1,"metric":{metric},"tags":{tags},"share":{share}}}"#
        );

        let events = decode(batch(&[&text]), &insights());

        check_shape(&events);
        if let [refused] = &events.refused[..] {
            let reason = refused.reason.as_str();
            prop_assert!(matches!(reason, "wrong_type" | "out_of_range"), "{reason}");
        } else {
            let value: Value = serde_json::from_str(&text).unwrap();
            let numbers = value["metric"].as_object().map_or(0, |map| map.values().filter(|one| one.is_number()).count());
            prop_assert_eq!(events.columns[3].range(0).len(), numbers);
            prop_assert_eq!(is_present(&events.columns[5], 0), value["tags"].is_array());
        }
    }
}
