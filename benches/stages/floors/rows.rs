//! Rows as JSON and panes as bytes, from values that are there: as many of each as the engine wrote.

use super::groups::{Group, Groups, Slot};
use super::hop::put_cents;
use crate::stage::Commit;

type Record = (Vec<u8>, Vec<u8>);

pub(crate) fn write(groups: &mut Groups, commit: &Commit, number: u64) -> Vec<Record> {
    let mut records = Vec::new();
    let Groups { vendors, products, .. } = groups;
    each(vendors, commit.vendor_rows, &mut |slot| records.push((key(slot, true), vendor(slot, number))));
    each(products, commit.product_rows, &mut |slot| records.push((key(slot, false), product(slot, number))));
    each(vendors, commit.vendor_panes, &mut |slot| records.push((pane_key(slot, true), pane(slot, number))));
    each(products, commit.product_panes, &mut |slot| {
        records.push((pane_key(slot, false), pane(slot, number)))
    });
    vendors.commit();
    products.commit();
    records
}

/// Goes around the changed slots until there were `count`.
fn each(group: &Group, count: u64, write: &mut dyn FnMut(&Slot)) {
    let places = group.changed.iter().cycle().take(if group.changed.is_empty() { 0 } else { count as usize });
    places.for_each(|&place| write(&group.slots[place as usize]));
}

fn prefix(out: &mut Vec<u8>, slot: &Slot, is_vendor: bool) {
    let start: &[u8] = match is_vendor {
        true => b"{\"aggregate\":\"vendor\",\"tenant_id\":\"t017\",\"by\":{\"vendor_id\":\"v",
        false => b"{\"aggregate\":\"product\",\"tenant_id\":\"t017\",\"by\":{\"product_id\":\"p",
    };
    out.extend_from_slice(start);
    number(out, slot.key % 100_000);
    out.extend_from_slice(b"\"}");
}

fn key(slot: &Slot, is_vendor: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(160);
    prefix(&mut out, slot, is_vendor);
    out.extend_from_slice(b",\"window\":\"month\",\"start\":\"2026-11-01T00:00:00Z\"}");
    out
}

fn vendor(slot: &Slot, at: u64) -> Vec<u8> {
    let mut out = begin();
    let c = &slot.counts;
    member(&mut out, b"{\"added\":", c[2]);
    out.extend_from_slice(b",\"average_order\":\"");
    put_cents(&mut out, slot.revenue / (c[6] as i64).max(1));
    member(&mut out, b"\",\"buyers\":", slot.buyers.len() as u64);
    member(&mut out, b",\"cart_adds\":", c[4]);
    member(&mut out, b",\"completed_orders\":", c[6]);
    out.extend_from_slice(b",\"completion\":\"");
    put_cents(&mut out, (c[6] * 10_000 / c[5].max(1)) as i64);
    out.extend_from_slice(b"\",\"conversion\":\"");
    put_cents(&mut out, (c[5] * 10_000 / c[0].max(1)) as i64);
    member(&mut out, b"\",\"orders\":", c[5]);
    member(&mut out, b",\"product_favorites\":", c[2].wrapping_sub(c[3]) & 0xffff);
    member(&mut out, b",\"product_views\":", c[0]);
    member(&mut out, b",\"profile_views\":", c[1]);
    member(&mut out, b",\"removed\":", c[3]);
    end(out, slot, at)
}

fn product(slot: &Slot, at: u64) -> Vec<u8> {
    let mut out = begin();
    out.extend_from_slice(b"{\"carry\":{\"vendor_id\":\"v");
    number(&mut out, slot.vendor % 100_000);
    let c = &slot.counts;
    member(&mut out, b"\"},\"added\":", c[2]);
    member(&mut out, b",\"cart_adds\":", c[4]);
    out.extend_from_slice(b",\"conversion\":\"");
    put_cents(&mut out, (c[5] * 10_000 / c[0].max(1)) as i64);
    member(&mut out, b"\",\"favorites\":", c[2].wrapping_sub(c[3]) & 0xffff);
    member(&mut out, b",\"orders\":", c[5]);
    member(&mut out, b",\"removed\":", c[3]);
    member(&mut out, b",\"views\":", c[0]);
    end(out, slot, at)
}

fn begin() -> Vec<u8> {
    let mut out = Vec::with_capacity(448);
    out.extend_from_slice(
        b"{\"start\":\"2026-11-01T00:00:00Z\",\"end\":\"2026-12-01T00:00:00Z\",\"values\":",
    );
    out
}

fn end(mut out: Vec<u8>, slot: &Slot, at: u64) -> Vec<u8> {
    out.extend_from_slice(b",\"revenue\":\"");
    put_cents(&mut out, slot.revenue);
    member(&mut out, b"\"},\"as_of\":{\"partition\":", slot.key % super::TARGETS);
    member(&mut out, b",\"offset\":", at);
    out.extend_from_slice(b"}}");
    out
}

fn member(out: &mut Vec<u8>, name: &[u8], value: u64) {
    out.extend_from_slice(name);
    number(out, value);
}

fn number(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

fn pane_key(slot: &Slot, is_vendor: bool) -> Vec<u8> {
    let mut out = Vec::with_capacity(128);
    prefix(&mut out, slot, is_vendor);
    out.extend_from_slice(b"\0month\0");
    out.extend_from_slice(&slot.key.to_be_bytes());
    out
}

/// A byte or two a count, and the ids.
fn pane(slot: &Slot, at: u64) -> Vec<u8> {
    let mut out = Vec::with_capacity(64 + 16 * slot.buyers.len());
    varint(&mut out, at);
    slot.counts.iter().for_each(|&count| varint(&mut out, count));
    varint(&mut out, slot.revenue.unsigned_abs());
    varint(&mut out, slot.vendor);
    slot.buyers.iter().for_each(|id| out.extend_from_slice(&id.to_le_bytes()));
    out
}

fn varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
