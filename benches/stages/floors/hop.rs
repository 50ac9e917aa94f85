//! Two rows and more an event, appended to the bytes of their target.

use super::TARGETS;
use super::decode::Decoded;
use std::io::Write;
use xxhash_rust::xxh3::{xxh3_64, xxh3_128};

/// What an event counts as.
pub(crate) const KINDS: usize = 7;

/// Rows for each target, one behind the other.
pub(crate) struct Hop {
    pub(crate) rows: Vec<Vec<Row>>,
    histories: Vec<u8>,
    key: Vec<u8>,
}

/// What one event adds to one key. Fixed in size: a block of these is a copy away.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Row {
    pub(crate) offset: u64,
    pub(crate) time: i64,
    pub(crate) id: u128,
    pub(crate) key: u64,
    /// For a vendor who bought, for a product whose it is.
    pub(crate) other: u128,
    pub(crate) amount: i64,
    pub(crate) kind: u8,
    pub(crate) is_vendor: bool,
}

impl Hop {
    pub(crate) fn new() -> Hop {
        Hop { rows: (0..TARGETS).map(|_| Vec::new()).collect(), histories: Vec::new(), key: Vec::new() }
    }

    pub(crate) fn clear(&mut self) {
        self.rows.iter_mut().for_each(Vec::clear);
        self.histories.clear();
    }

    pub(crate) fn take(&mut self, events: &[Decoded<'_>], first: u64) {
        for (decoded, offset) in events.iter().zip(first..) {
            let event = &decoded.event;
            let kind = kind(event.kind, decoded.action);
            let is_order = matches!(kind, ORDERED | COMPLETED);
            let buyer = event.customer_id.filter(|_| kind == ORDERED);
            let other = buyer.map_or(0, |buyer| xxh3_128(buyer.as_bytes()));
            let vendor = self.key(b'v', event.tenant_id, event.vendor_id);
            let row = Row {
                offset,
                time: decoded.time,
                id: decoded.id,
                key: vendor,
                other,
                amount: decoded.total.unwrap_or_default(),
                kind,
                is_vendor: true,
            };
            self.push(row);
            let row = Row { other: u128::from(vendor), is_vendor: false, ..row };
            if let Some(product) = event.product_id {
                let key = self.key(b'p', event.tenant_id, product);
                self.push(Row { key, amount: 0, ..row });
            }
            for item in event.items.iter().flatten() {
                let key = self.key(b'p', event.tenant_id, item.product_id);
                self.push(Row { key, amount: item.price() * item.quantity, ..row });
            }
            if is_order {
                self.history(decoded, offset);
            }
        }
    }

    fn key(&mut self, kind: u8, tenant: &str, name: &str) -> u64 {
        self.key.clear();
        self.key.push(kind);
        self.key.extend_from_slice(tenant.as_bytes());
        self.key.extend_from_slice(name.as_bytes());
        xxh3_64(&self.key)
    }

    fn push(&mut self, row: Row) {
        self.rows[(row.key % TARGETS) as usize].push(row);
    }

    /// Key and value of an order's history, as JSON.
    fn history(&mut self, decoded: &Decoded<'_>, offset: u64) {
        let event = &decoded.event;
        let out = &mut self.histories;
        let mut put = |parts: &[&str]| parts.iter().for_each(|part| out.extend_from_slice(part.as_bytes()));
        let (order, customer) = (event.order_id.unwrap_or_default(), event.customer_id.unwrap_or_default());
        put(&[
            "{\"history\":\"orders\",\"tenant_id\":\"",
            event.tenant_id,
            "\",\"by\":{\"order_id\":\"",
            order,
        ]);
        put(&["\"},\"event_id\":\"", event.event_id, "\"}{\"event_time\":\"2026-11-21T10:00:00.000000Z"]);
        put(&[
            "\",\"coordinate\":{\"incarnation\":\"00000000000000000000000000000000\",\"partition\":0,\"offset\":",
        ]);
        put(&[itoa::Buffer::new().format(offset), "},\"columns\":{\"type\":\"", event.kind]);
        put(&["\",\"vendor_id\":\"", event.vendor_id, "\",\"customer_id\":\"", customer, "\",\"total\":\""]);
        put_cents(out, decoded.total.unwrap_or_default());
        out.extend_from_slice(b"\",\"items\":[");
        for item in event.items.iter().flatten() {
            let quantity = item.quantity;
            // Writing into memory cannot fail.
            let _ = write!(
                out,
                "{{\"product_id\":\"{}\",\"quantity\":\"{quantity}\",\"price\":\"",
                item.product_id
            );
            put_cents(out, item.price());
            out.extend_from_slice(b"\"},");
        }
        out.extend_from_slice(b"]}}");
    }
}

pub(crate) fn put_cents(out: &mut Vec<u8>, cents: i64) {
    let mut number = itoa::Buffer::new();
    out.extend_from_slice(number.format(cents / 100).as_bytes());
    let rest = (cents % 100).unsigned_abs() as u8;
    out.extend_from_slice(&[b'.', b'0' + rest / 10, b'0' + rest % 10]);
}

pub(crate) const ORDERED: u8 = 5;
pub(crate) const COMPLETED: u8 = 6;

fn kind(kind: &str, action: Option<&str>) -> u8 {
    match kind {
        "ProductView" => 0,
        "VendorView" => 1,
        "ProductFavorite" if action == Some("added") => 2,
        "ProductFavorite" => 3,
        "CartAdd" => 4,
        "OrderCreated" => ORDERED,
        _ => COMPLETED,
    }
}
