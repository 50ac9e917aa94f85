use super::*;
use serde_json::Value;
use std::collections::BTreeSet;

fn lines(settings: Settings) -> Vec<Vec<u8>> {
    let mut generator = Generator::new(settings);
    let (mut lines, mut out) = (vec![], vec![]);
    while generator.next_line(&mut out) {
        assert_eq!(out.iter().position(|&byte| byte == b'\n'), Some(out.len() - 1));
        lines.push(std::mem::take(&mut out));
    }
    lines
}

/// No repeats, nothing late, nothing bad.
fn calm(events: u64) -> Settings {
    Settings { repeats_per_million: 0, late_per_million: 0, refused: 0, ..Settings::new(1, events) }
}

fn parsed(settings: Settings) -> Vec<Value> {
    lines(settings).iter().map(|line| serde_json::from_slice(line).unwrap()).collect()
}

fn time(event: &Value) -> i64 {
    event["ts"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_microsecond()
}

fn cents(number: &Value) -> i64 {
    (number.as_f64().unwrap() * 100.0).round() as i64
}

#[test]
fn the_same_seed_gives_the_same_bytes_for_ever() {
    let hash = |settings| xxhash_rust::xxh3::xxh3_64(&lines(settings).concat());
    let golden = Settings::new(42, 20_000);

    assert_eq!(hash(golden.clone()), 0x10ee50009ab7e811);
    assert_ne!(hash(golden.clone()), hash(Settings { seed: 43, ..golden }));
}

#[test]
fn exactly_the_lines_that_were_asked_for_come_out() {
    assert_eq!(lines(Settings::new(1, 0)).len(), 0);
    assert_eq!(lines(Settings::new(1, 1)).len(), 1);
    assert_eq!(lines(Settings::new(1, 5_001)).len(), 5_001);
}

#[test]
fn event_time_grows_but_for_two_seconds() {
    let settings = calm(20_000);
    let (from, span) = (settings.from, settings.span);
    let times: Vec<_> = parsed(settings).iter().map(time).collect();

    for (line, &time) in times.iter().enumerate() {
        let now = from + span * line as i64 / 20_000;
        // Milliseconds are cut, not rounded.
        assert!((now - JITTER - 1_000..=now).contains(&time), "line {line}");
    }
}

#[test]
fn repeats_late_and_refused_lines_come_as_asked() {
    let settings = Settings::new(7, 40_000);
    let all = lines(settings.clone());

    let distinct: BTreeSet<_> = all.iter().collect();
    let repeats = all.len() - distinct.len();
    assert!((1_080..1_320).contains(&repeats), "{repeats}");
    let mut seen = BTreeSet::new();
    let mut late = 0;
    for (number, line) in all.iter().enumerate() {
        let now = settings.from + settings.span * number as i64 / 40_000;
        if let Ok(event) = serde_json::from_slice::<Value>(line)
            && seen.insert(line)
        {
            assert!(time(&event) > now - 3 * DAY - JITTER);
            late += usize::from(time(&event) < now - JITTER - 1_000);
        }
    }
    assert!((330..470).contains(&late), "{late}");
    let bad = all.iter().filter(|line| line.starts_with(b"{\"eventId\":\"bad-")).count();
    assert_eq!(bad, 7);
}

#[test]
fn ids_are_unique_and_belong_to_one_owner() {
    let events = parsed(calm(20_000));
    let owners = |child: &str, parent: &str| {
        let mut owner: BTreeMap<String, Value> = BTreeMap::new();
        for event in events.iter().filter(|event| event[child].is_string()) {
            let first = owner.entry(event[child].as_str().unwrap().into()).or_insert(event[parent].clone());
            assert_eq!(*first, event[parent], "{child} {}", event[child]);
        }
        owner.len()
    };

    assert_eq!(owners("eventId", "eventId"), events.len());
    assert_eq!(owners("tenantId", "tenantId"), 8);
    assert!((300..=8 * 50).contains(&owners("vendorId", "tenantId")));
    assert!((1_500..=8 * 50 * 20).contains(&owners("productId", "vendorId")));
    assert!((1_000..=8 * 5_000).contains(&owners("customerId", "tenantId")));
    assert!(events.iter().any(|event| event["customerId"].is_null()));
    assert_eq!(events[0].get("tenantId").and_then(Value::as_str).unwrap().len(), 4);
}

#[test]
fn few_vendors_draw_most_visits() {
    let mut visits: BTreeMap<String, usize> = BTreeMap::new();
    for event in parsed(calm(20_000)) {
        *visits.entry(event["vendorId"].as_str().unwrap().into()).or_default() += 1;
    }
    let mut visits: Vec<_> = visits.into_values().collect();
    visits.sort_unstable();

    let top: usize = visits.iter().rev().take(40).sum();
    assert!(top > 20_000 * 4 / 10, "{top}");
}

#[test]
fn orders_hold_the_cart_of_one_vendor_and_are_completed_minutes_later() {
    let mut carts: BTreeMap<String, BTreeMap<String, i64>> = BTreeMap::new();
    let mut orders: BTreeMap<String, Value> = BTreeMap::new();
    let mut completed = 0;
    for event in parsed(calm(40_000)) {
        let session = event["metadata"]["session"].as_str().unwrap().to_owned();
        let id = event["orderId"].as_str().unwrap_or_default().to_owned();
        match event["eventType"].as_str().unwrap() {
            "CartAdd" => {
                let product = event["productId"].as_str().unwrap().to_owned();
                *carts.entry(session).or_default().entry(product).or_default() += 1;
            }
            "OrderCreated" => {
                let items = event["items"].as_array().unwrap();
                let cart = &carts[&session];
                assert_eq!(items.len(), cart.len());
                for item in items {
                    let adds = cart[item["productId"].as_str().unwrap()];
                    assert!((adds..=3 * adds).contains(&item["quantity"].as_i64().unwrap()));
                }
                let line = |item: &Value| cents(&item["price"]) * item["quantity"].as_i64().unwrap();
                assert_eq!(items.iter().map(line).sum::<i64>(), cents(&event["total"]));
                assert!(orders.insert(id, event).is_none());
            }
            "OrderCompleted" => {
                let order = &orders[&id];
                for same in ["items", "total", "vendorId", "customerId", "tenantId"] {
                    assert_eq!(order[same], event[same]);
                }
                let minutes = (time(&event) - time(order)) / MINUTE;
                assert!((2..=31).contains(&minutes), "{minutes}");
                completed += 1;
            }
            _ => {}
        }
    }
    assert!(orders.len() > 1_000, "{}", orders.len());
    assert!((orders.len() * 6 / 10..orders.len() * 9 / 10).contains(&completed), "{completed}");
}

#[test]
fn the_funnel_narrows_step_by_step() {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for event in parsed(calm(20_000)) {
        *counts.entry(event["eventType"].as_str().unwrap().into()).or_default() += 1;
    }

    let funnel = ["ProductView", "CartAdd", "OrderCreated", "OrderCompleted"].map(|kind| counts[kind]);
    assert!(funnel.is_sorted_by(|wide, narrow| wide > narrow), "{counts:?}");
    assert!(counts["VendorView"] > 400 && counts["ProductFavorite"] > 400, "{counts:?}");
}

#[test]
fn an_event_has_about_400_bytes() {
    let mean = lines(Settings::new(1, 20_000)).concat().len() / 20_000;

    assert!((380..=440).contains(&mean), "{mean}");
}
