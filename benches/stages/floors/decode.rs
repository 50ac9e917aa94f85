//! Events into borrowed structs: UTF-8 once, sonic-rs, a fixed layout for the time.

use serde::Deserialize;
use sonic_rs::{JsonValueTrait, LazyValue};
use xxhash_rust::xxh3::xxh3_128;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Event<'a> {
    pub(crate) event_id: &'a str,
    ts: &'a str,
    #[serde(rename = "eventType")]
    pub(crate) kind: &'a str,
    pub(crate) tenant_id: &'a str,
    pub(crate) vendor_id: &'a str,
    pub(crate) customer_id: Option<&'a str>,
    pub(crate) product_id: Option<&'a str>,
    pub(crate) order_id: Option<&'a str>,
    total: Option<f64>,
    #[serde(borrow, default)]
    pub(crate) items: Option<Vec<Item<'a>>>,
    #[serde(borrow)]
    metadata: LazyValue<'a>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Item<'a> {
    pub(crate) product_id: &'a str,
    pub(crate) quantity: i64,
    price: f64,
}

/// An event with what is made of its texts once.
pub(crate) struct Decoded<'a> {
    pub(crate) event: Event<'a>,
    pub(crate) time: i64,
    pub(crate) id: u128,
    pub(crate) action: Option<&'a str>,
    pub(crate) metadata: &'a str,
    /// Cents.
    pub(crate) total: Option<i64>,
}

impl Item<'_> {
    /// Cents.
    pub(crate) fn price(&self) -> i64 {
        cents(self.price)
    }
}

/// Events behind their lengths, as a blob has them.
pub(crate) fn decode(bytes: &[u8]) -> anyhow::Result<Vec<Decoded<'_>>> {
    let mut events = Vec::with_capacity(bytes.len() / 400);
    let mut rest = bytes;
    while let Some((len, behind)) = rest.split_first_chunk::<4>() {
        let (line, behind) = behind.split_at(u32::from_le_bytes(*len) as usize);
        events.push(decode_one(simdutf8::basic::from_utf8(line)?)?);
        rest = behind;
    }
    Ok(events)
}

fn decode_one(line: &str) -> anyhow::Result<Decoded<'_>> {
    let event: Event<'_> = sonic_rs::from_str(line)?;
    let metadata = within(line, event.metadata.as_raw_str());
    let action = sonic_rs::get_from_str(metadata, ["action"])?;
    Ok(Decoded {
        time: time(event.ts.as_bytes()),
        id: xxh3_128(event.event_id.as_bytes()),
        action: action.as_str().map(|action| within(line, action)),
        metadata,
        total: event.total.map(cents),
        event,
    })
}

/// The same text with the life of the line: a lazy value borrows its own text for no longer than itself.
fn within<'a>(line: &'a str, part: &str) -> &'a str {
    let start = part.as_ptr() as usize - line.as_ptr() as usize;
    &line[start..start + part.len()]
}

fn cents(number: f64) -> i64 {
    (number * 100.0).round() as i64
}

/// `2026-11-21T10:00:00.123Z`, always.
fn time(text: &[u8]) -> i64 {
    let digits = |at: usize, count: usize| {
        text[at..at + count].iter().fold(0i64, |number, digit| number * 10 + i64::from(digit & 15))
    };
    let (year, month, day) = (digits(0, 4), digits(5, 2), digits(8, 2));
    // Days since 1970, years counted from March.
    let (year, month) = if month <= 2 { (year - 1, month + 9) } else { (year, month - 3) };
    let days = 365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day - 1 - 719_468;
    let seconds = digits(11, 2) * 3_600 + digits(14, 2) * 60 + digits(17, 2);
    (days * 86_400 + seconds) * 1_000_000 + digits(20, 3) * 1_000
}
