//! What should come out, from the raw records alone: own reading, own sums, nothing of the engine but the
//! wire form of hop one.

use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use xxhash_rust::xxh3::xxh3_64;

pub(super) const SECOND: i64 = 1_000_000;
pub(super) const MINUTE: i64 = 60 * SECOND;
pub(super) const HOUR: i64 = 60 * MINUTE;
pub(super) const DAY: i64 = 24 * HOUR;

/// UTC microseconds as RFC 3339.
pub(super) fn instant(micros: i64) -> String {
    jiff::Timestamp::from_microsecond(micros).unwrap().to_string()
}

/// One raw record that can be believed.
#[derive(Debug, Clone)]
pub(super) struct Event {
    pub(super) id: String,
    pub(super) at: i64,
    tenant: String,
    kind: String,
    vendor: Option<String>,
    amount: Option<i64>,
    buyer: Option<String>,
    items: Vec<(Option<String>, Option<i64>)>,
}

impl Event {
    pub(super) fn read(value: &[u8]) -> Option<Event> {
        let value: Value = serde_json::from_slice(value).ok()?;
        let text = |name: &str| value.get(name)?.as_str().map(str::to_owned);
        let item = |item: &Value| (item["sku"].as_str().map(str::to_owned), item["qty"].as_i64());
        Some(Event {
            id: text("id")?,
            at: text("at")?.parse::<jiff::Timestamp>().ok()?.as_microsecond(),
            tenant: text("tenant")?,
            kind: text("kind")?,
            vendor: text("vendor"),
            amount: value.get("amount").and_then(Value::as_f64).map(|amount| (amount * 100.0).round() as i64),
            buyer: text("buyer"),
            items: value
                .get("items")
                .and_then(Value::as_array)
                .map_or(vec![], |all| all.iter().map(item).collect()),
        })
    }

    fn prefix(&self, what: &str, name: &str, by: &str, key: &str) -> String {
        format!("{{\"{what}\":\"{name}\",\"tenant_id\":\"{}\",\"by\":{{\"{by}\":\"{key}\"}}", self.tenant)
    }

    /// What it adds, by target: never split.
    pub(super) fn unit(&self, target: u32, targets: u32) -> Unit {
        let is_here = |prefix: &str| xxh3_64(prefix.as_bytes()) % u64::from(targets) == u64::from(target);
        let mut unit = Unit::default();
        if let Some(vendor) = &self.vendor {
            let prefix = self.prefix("aggregate", "vendor", "vendor", vendor);
            if is_here(&prefix) {
                unit.rows.push(Contribution {
                    prefix,
                    element: 0,
                    is_vendor: true,
                    is_first: true,
                    quantity: None,
                });
            }
            let history = self.prefix("history", "orders", "vendor", vendor);
            if self.kind == "paid" && is_here(&history) {
                unit.history = Some(format!("{history},\"event_id\":\"{}\"}}", self.id));
            }
        }
        let mut seen = BTreeSet::new();
        for (element, (sku, quantity)) in (0u32..).zip(&self.items) {
            let Some(sku) = sku else { continue };
            let prefix = self.prefix("aggregate", "item", "sku", sku);
            if is_here(&prefix) {
                let is_first = seen.insert(prefix.clone());
                unit.rows.push(Contribution {
                    prefix,
                    element,
                    is_vendor: false,
                    is_first,
                    quantity: *quantity,
                });
            }
        }
        unit
    }
}

/// What one event adds in one target.
#[derive(Debug, Default)]
pub(super) struct Unit {
    pub(super) rows: Vec<Contribution>,
    /// Key of its history record.
    pub(super) history: Option<String>,
}

impl Unit {
    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty() && self.history.is_none()
    }
}

#[derive(Debug)]
pub(super) struct Contribution {
    /// The row key up to and with `by`.
    pub(super) prefix: String,
    pub(super) element: u32,
    pub(super) is_vendor: bool,
    is_first: bool,
    quantity: Option<i64>,
}

/// Event time, raw partition, offset, element: ties of "last" are broken in this order.
pub(super) type Order = (i64, u32, u64, u32);

/// The sum of any contributions to one key.
#[derive(Debug, Clone, Default)]
pub(super) struct Sum {
    events: i64,
    lines: i64,
    paid: i64,
    /// Revenue in cents, or units.
    total: i64,
    buyers: BTreeSet<String>,
    last: Option<(Order, i64)>,
    kind: Option<(Order, String)>,
}

impl Sum {
    pub(super) fn add(&mut self, event: &Event, contribution: &Contribution, order: Order) {
        self.events += i64::from(contribution.is_first);
        self.lines += 1;
        if !contribution.is_vendor {
            self.total += contribution.quantity.unwrap_or(0);
            return;
        }
        if event.kind == "paid" {
            self.paid += 1;
            self.total += event.amount.unwrap_or(0);
        }
        self.buyers.extend(event.buyer.clone());
        self.last = self.last.take().max(event.amount.map(|amount| (order, amount)));
        self.kind = self.kind.take().max(Some((order, event.kind.clone())));
    }

    fn merge(&mut self, other: &Sum) {
        self.events += other.events;
        self.lines += other.lines;
        self.paid += other.paid;
        self.total += other.total;
        self.buyers.extend(other.buyers.iter().cloned());
        self.last = self.last.take().max(other.last);
        self.kind = self.kind.take().max(other.kind.clone());
    }

    pub(super) fn of<'a>(parts: impl IntoIterator<Item = &'a Sum>) -> Option<Sum> {
        parts.into_iter().cloned().reduce(|mut sum, part| {
            sum.merge(&part);
            sum
        })
    }

    /// `values` of a row, and `carry`.
    pub(super) fn row(&self, is_vendor: bool) -> (Value, Value) {
        if !is_vendor {
            let values = json!({"orders": self.events, "lines": self.lines, "units": self.total.to_string()});
            return (values, Value::Null);
        }
        // Half away from zero; nothing here is negative.
        let average = (self.paid > 0).then(|| cents((self.total * 2 + self.paid) / (self.paid * 2)));
        let values = json!({
            "events": self.events,
            "paid": self.paid,
            "revenue": cents(self.total),
            "buyers": self.buyers.len(),
            "last": self.last.map(|(_, amount)| cents(amount)),
            "average": average,
        });
        (values, json!({"kind": self.kind.as_ref().map(|(_, kind)| kind)}))
    }
}

fn cents(amount: i64) -> String {
    format!("{}.{:02}", amount / 100, amount % 100)
}

/// A value as it was sent, the event in it unless it must be refused, and when it was sent.
type Record = (Vec<u8>, Option<Event>, i64);

/// The raw log, read once: what each partition holds, by offset.
#[derive(Debug, Default)]
pub(super) struct Raw {
    pub(super) records: Vec<BTreeMap<u64, Record>>,
}

impl Raw {
    pub(super) fn new(partitions: u32) -> Self {
        Raw { records: vec![BTreeMap::new(); partitions as usize] }
    }

    pub(super) fn add(&mut self, partition: u32, offset: u64, value: Vec<u8>, time: i64) {
        let event = Event::read(&value);
        self.records[partition as usize].insert(offset, (value, event, time));
    }

    /// An offset from `below` on that was there at `time` already.
    pub(super) fn sent_by(&self, partition: u32, time: i64, below: u64) -> Option<u64> {
        let behind = self.records[partition as usize].range(below..).next();
        behind.filter(|(_, (_, _, sent))| *sent <= time).map(|(&offset, _)| offset)
    }

    pub(super) fn event(&self, partition: u32, offset: u64) -> Option<&Event> {
        self.records.get(partition as usize)?.get(&offset)?.1.as_ref()
    }

    /// Offsets of a source that have a unit for this target.
    pub(super) fn routed(&self, partition: u32, target: u32, targets: u32) -> Vec<u64> {
        let units = self.records[partition as usize].iter();
        let routed = units.filter(|(_, (_, event, _))| {
            event.as_ref().is_some_and(|event| !event.unit(target, targets).is_empty())
        });
        routed.map(|(&offset, _)| offset).collect()
    }

    pub(super) fn end(&self, partition: u32) -> u64 {
        self.records[partition as usize].keys().next_back().map_or(0, |last| last + 1)
    }
}
