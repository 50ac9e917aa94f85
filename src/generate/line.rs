//! Events as lines of JSON, written by hand: nothing in them needs an escape.

use super::chance::{Chance, mix};
use super::session::{Item, Order, Session, Step};
use super::shop::Shop;
use jiff::Span;
use jiff::civil::Date;

const DAY_SECONDS: i64 = 86_400;
const AGENTS: [&str; 4] = [
    r#""device":"mobile","userAgent":"Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15""#,
    r#""device":"mobile","userAgent":"Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Chrome/131.0""#,
    r#""device":"desktop","userAgent":"Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0""#,
    r#""device":"desktop","userAgent":"Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/131.0""#,
];
const REFERRERS: [&str; 5] = ["search", "direct", "newsletter", "campaign", "recommendation"];
const LOCALES: [&str; 4] = ["de-DE", "en-GB", "fr-FR", "pl-PL"];

#[derive(Debug)]
pub(super) struct Writer {
    seed: u64,
    ids: Chance,
    /// The day written last, and its text.
    day: (i64, [u8; 10]),
}

impl Writer {
    pub(super) fn new(seed: u64) -> Writer {
        Writer { seed, ids: Chance::new(mix(seed ^ 0x1d)), day: (i64::MIN, [b'0'; 10]) }
    }

    /// `order` is the number that an order made now would have.
    pub(super) fn step(
        &mut self,
        out: &mut Vec<u8>,
        time: i64,
        session: &Session,
        step: Step,
        order: u64,
        shop: &Shop,
    ) {
        let (kind, action) = match step {
            Step::SeeVendor => ("VendorView", "viewed"),
            Step::SeeProduct => ("ProductView", "viewed"),
            Step::AddFavourite => ("ProductFavorite", "added"),
            Step::RemoveFavourite => ("ProductFavorite", "removed"),
            Step::AddToCart => ("CartAdd", "added"),
            Step::Order => ("OrderCreated", "created"),
        };
        self.head(out, time, kind, session);
        match (step, session.product) {
            (Step::Order, _) => self.order(out, order, &session.cart, shop),
            (Step::SeeVendor, _) | (_, None) => {}
            (_, Some(product)) => padded(out, ",\"productId\":\"p", product, 7),
        }
        tail(out, action, session);
    }

    pub(super) fn completed(&mut self, out: &mut Vec<u8>, time: i64, order: &Order, shop: &Shop) {
        self.head(out, time, "OrderCompleted", &order.session);
        self.order(out, order.number, &order.session.cart, shop);
        tail(out, "completed", &order.session);
    }

    /// Lines that must be refused, each for another reason.
    pub(super) fn bad_line(&mut self, out: &mut Vec<u8>, nth: u64, time: i64) {
        let id = self.ids.next();
        let text = match nth % 7 {
            0 => r#""eventType":"ProductView","tenantId":"t001","vendorId":"v000"#,
            1 => r#""eventType":"ProductView","vendorId":"v00001"}"#,
            2 => r#""eventType":"OrderCreated","tenantId":"t001","total":"19.99"}"#,
            3 => r#""eventType":"OrderCreated","tenantId":"t001","total":19.995}"#,
            4 => r#""eventType":"ProductView","tenantId":"t001","tenantId":"t002"}"#,
            5 => r#""eventType":"OrderCompleted","tenantId":"t001","total":NaN}"#,
            _ => r#""eventType":"ProductView","tenantId":"t001","items":{"productId":"p0000001"}}"#,
        };
        out.extend_from_slice(b"{\"eventId\":\"bad-");
        hex(out, id, 16);
        out.extend_from_slice(b"\",\"ts\":\"");
        self.time(out, time);
        out.extend_from_slice(b"\",");
        out.extend_from_slice(text.as_bytes());
        out.push(b'\n');
    }

    fn head(&mut self, out: &mut Vec<u8>, time: i64, kind: &str, session: &Session) {
        out.extend_from_slice(b"{\"eventId\":\"");
        hex(out, self.ids.next(), 16);
        hex(out, self.ids.next(), 8);
        out.extend_from_slice(b"\",\"ts\":\"");
        self.time(out, time);
        out.extend_from_slice(b"\",\"eventType\":\"");
        out.extend_from_slice(kind.as_bytes());
        out.push(b'"');
        padded(out, ",\"tenantId\":\"t", session.tenant + 1, 3);
        padded(out, ",\"vendorId\":\"v", session.vendor, 5);
        match session.customer {
            Some(customer) => padded(out, ",\"customerId\":\"c", customer, 7),
            None => out.extend_from_slice(b",\"customerId\":null"),
        }
    }

    fn order(&self, out: &mut Vec<u8>, number: u64, cart: &[Item], shop: &Shop) {
        out.extend_from_slice(b",\"orderId\":\"o");
        // Orders of two seeds are different orders.
        hex(out, mix(self.seed ^ mix(number)), 12);
        out.extend_from_slice(b"\",\"items\":[");
        let mut total = 0;
        for (nth, item) in cart.iter().enumerate() {
            let price = shop.price(item.product);
            total += price * u64::from(item.quantity);
            padded(out, if nth == 0 { "{\"productId\":\"p" } else { ",{\"productId\":\"p" }, item.product, 7);
            out.extend_from_slice(b",\"quantity\":");
            number_text(out, u64::from(item.quantity));
            out.extend_from_slice(b",\"price\":");
            cents(out, price);
            out.push(b'}');
        }
        out.extend_from_slice(b"],\"total\":");
        cents(out, total);
    }

    /// RFC 3339 to the millisecond, in UTC.
    fn time(&mut self, out: &mut Vec<u8>, micros: i64) {
        let millis = micros.div_euclid(1_000);
        let day = millis.div_euclid(DAY_SECONDS * 1_000);
        if day != self.day.0 {
            self.day = (day, day_text(day));
        }
        let millis = millis.rem_euclid(DAY_SECONDS * 1_000) as u32;
        let seconds = millis / 1_000;
        out.extend_from_slice(&self.day.1);
        let parts = [(b'T', seconds / 3_600), (b':', seconds / 60 % 60), (b':', seconds % 60)];
        for (before, part) in parts {
            out.extend_from_slice(&[before, digit(part / 10), digit(part)]);
        }
        out.extend_from_slice(&[b'.', digit(millis / 100), digit(millis / 10), digit(millis), b'Z']);
    }
}

/// What nobody declares member by member: free JSON.
fn tail(out: &mut Vec<u8>, action: &str, session: &Session) {
    out.extend_from_slice(b",\"metadata\":{\"action\":\"");
    out.extend_from_slice(action.as_bytes());
    out.extend_from_slice(b"\",\"session\":\"");
    hex(out, session.id, 16);
    out.extend_from_slice(b"\",\"locale\":\"");
    out.extend_from_slice(LOCALES[(session.id % 4) as usize].as_bytes());
    out.extend_from_slice(b"\",\"referrer\":\"");
    out.extend_from_slice(REFERRERS[(session.id / 4 % 5) as usize].as_bytes());
    out.extend_from_slice(b"\",");
    out.extend_from_slice(AGENTS[(session.id / 20 % 4) as usize].as_bytes());
    out.extend_from_slice(b"}}\n");
}

/// A text, a number with leading zeros, and the closing quote.
fn padded(out: &mut Vec<u8>, before: &str, number: u32, digits: usize) {
    let mut buffer = itoa::Buffer::new();
    let text = buffer.format(number);
    out.extend_from_slice(before.as_bytes());
    out.extend_from_slice(&b"0000000000"[..digits.saturating_sub(text.len())]);
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}

fn number_text(out: &mut Vec<u8>, number: u64) {
    out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
}

fn cents(out: &mut Vec<u8>, cents: u64) {
    number_text(out, cents / 100);
    let rest = (cents % 100) as u32;
    out.extend_from_slice(&[b'.', digit(rest / 10), digit(rest)]);
}

fn digit(number: u32) -> u8 {
    b'0' + (number % 10) as u8
}

fn hex(out: &mut Vec<u8>, number: u64, digits: u32) {
    let digit = |at: u32| b"0123456789abcdef"[(number >> (4 * at) & 15) as usize];
    out.extend((0..digits).rev().map(digit));
}

fn day_text(day: i64) -> [u8; 10] {
    let date = Span::new().try_days(day).and_then(|days| Date::constant(1970, 1, 1).checked_add(days));
    // Years that RFC 3339 cannot write stand at their nearest edge.
    let edge = if day < 0 { Date::constant(1, 1, 1) } else { Date::MAX };
    let text = date.unwrap_or(edge).max(Date::constant(1, 1, 1)).to_string();
    text.as_bytes().try_into().unwrap_or(*b"1970-01-01")
}
