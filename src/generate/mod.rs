//! Seeded events of marketplace shoppers, for the demo and for tests.
//!
//! In: [`Settings`]. Out: lines of JSON, one event each, as `topologies/marketplace` declares them. A
//! shopper visits one vendor of a tenant: looks at products, keeps favourites, fills a cart, perhaps
//! orders; an order is mostly completed some minutes later, with the same items and total. A vendor
//! belongs to one tenant, a product to one vendor; few of each draw most of the visits.
//!
//! Promised: the same settings give the same bytes, on every machine (no floating point, no clock, a
//! random stream of our own). Event times are spread evenly over `span`, with a jitter of at most two
//! seconds backward, so neighbours may be out of order by that much; late lines lie up to three days
//! back. A repeated line is one of the last 4,096, byte for byte.
//!
//! Never here: files, Kafka, any other room. About 300 ns and 400 bytes an event.

mod chance;
mod line;
mod session;
mod shop;

use chance::Chance;
use line::Writer;
use session::{Order, Session, Step};
use shop::Shop;
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

const SECOND: i64 = 1_000_000;
const MINUTE: i64 = 60 * SECOND;
const DAY: i64 = 24 * 60 * MINUTE;
/// 2026-11-01T00:00:00Z
pub const FROM: i64 = 1_793_491_200 * SECOND;
const JITTER: i64 = 2 * SECOND;
/// Shoppers at the same time.
const SESSIONS: usize = 400;
/// Lines that may still be repeated.
const REPEATABLE: usize = 4_096;
const MILLION: u64 = 1_000_000;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    pub seed: u64,
    /// Lines in all: repeated, late and refused ones among them.
    pub events: u64,
    /// `t001` and on, 1 to 100,000, each with 50 vendors of 20 products.
    pub tenants: u32,
    /// Event time of the first line, UTC microseconds.
    pub from: i64,
    /// Shoppers' time from the first line to the last, microseconds.
    pub span: i64,
    /// Of a million lines, how many are an earlier line again.
    pub repeats_per_million: u32,
    /// Of a million lines, how many have an event time up to three days back.
    pub late_per_million: u32,
    /// Lines in all that no decoder believes, spread evenly.
    pub refused: u64,
}

impl Settings {
    /// What the demo shows: 8 tenants, two hours of shoppers' time, 3 % repeats, 1 % late, a few refused.
    pub fn new(seed: u64, events: u64) -> Settings {
        Settings {
            seed,
            events,
            tenants: 8,
            from: FROM,
            span: 2 * 60 * MINUTE,
            repeats_per_million: 30_000,
            late_per_million: 10_000,
            refused: 7.min(events / 1_000),
        }
    }
}

#[derive(Debug)]
pub struct Generator {
    settings: Settings,
    shop: Shop,
    chance: Chance,
    sessions: Vec<Session>,
    /// Orders to be completed, by their number in `open`, the next first.
    due: BinaryHeap<Reverse<(i64, u64)>>,
    open: BTreeMap<u64, Order>,
    orders: u64,
    /// The last lines, in a ring.
    recent: Vec<Vec<u8>>,
    kept: usize,
    writer: Writer,
    line: u64,
}

impl Generator {
    pub fn new(settings: Settings) -> Generator {
        let shop = Shop::new(settings.tenants);
        let mut chance = Chance::new(settings.seed);
        let sessions = (0..SESSIONS).map(|_| Session::new(&shop, &mut chance)).collect();
        Generator {
            writer: Writer::new(settings.seed),
            settings,
            shop,
            chance,
            sessions,
            due: BinaryHeap::new(),
            open: BTreeMap::new(),
            orders: 0,
            recent: Vec::new(),
            kept: 0,
            line: 0,
        }
    }

    /// Appends the next line with its newline; `false`, and nothing, once all are out.
    pub fn next_line(&mut self, out: &mut Vec<u8>) -> bool {
        let Settings { events, from, span, refused, .. } = self.settings;
        if self.line == events {
            return false;
        }
        // Evenly spread, without a product that could pass the range.
        let part = |line: u64, of: u64| (u128::from(line) * u128::from(of) / u128::from(events)) as u64;
        let now = from + part(self.line, span.unsigned_abs()) as i64;
        let bad = part(self.line, refused);
        let is_bad = part(self.line + 1, refused) > bad;
        self.line += 1;
        if is_bad {
            let time = self.time(now);
            self.writer.bad_line(out, bad, time);
        } else if !self.recent.is_empty() && self.has_luck(self.settings.repeats_per_million) {
            let again = self.chance.below(self.recent.len() as u64) as usize;
            out.extend_from_slice(&self.recent[again]);
        } else {
            let start = out.len();
            self.event(out, now);
            self.keep(&out[start..]);
        }
        true
    }

    fn event(&mut self, out: &mut Vec<u8>, now: i64) {
        let time = self.time(now);
        if let Some(&Reverse((at, number))) = self.due.peek()
            && at <= now
        {
            self.due.pop();
            let order = self.open.remove(&number).expect("an order that is due is open");
            return self.writer.completed(out, time, &order, &self.shop);
        }
        let picked = self.chance.below(SESSIONS as u64) as usize;
        let session = &mut self.sessions[picked];
        let step = session.step(&self.shop, &mut self.chance);
        self.writer.step(out, time, session, step, self.orders, &self.shop);
        if step == Step::Order {
            self.order(picked, now);
        }
        if self.sessions[picked].is_over() {
            self.sessions[picked] = Session::new(&self.shop, &mut self.chance);
        }
    }

    /// Nine of ten orders are completed, after 3 to 30 minutes.
    fn order(&mut self, session: usize, now: i64) {
        let number = self.orders;
        self.orders += 1;
        if self.chance.below(10) > 0 {
            let at = now + 3 * MINUTE + self.chance.below(27 * MINUTE as u64) as i64;
            self.due.push(Reverse((at, number)));
            self.open.insert(number, self.sessions[session].order(number));
        }
    }

    /// Event time of a line that is written now.
    fn time(&mut self, now: i64) -> i64 {
        let back = match self.has_luck(self.settings.late_per_million) {
            true => self.chance.below(3 * DAY as u64),
            false => self.chance.below(JITTER as u64),
        };
        now - back as i64
    }

    fn has_luck(&mut self, per_million: u32) -> bool {
        self.chance.below(MILLION) < u64::from(per_million)
    }

    fn keep(&mut self, line: &[u8]) {
        if self.recent.len() < REPEATABLE {
            self.recent.push(line.to_vec());
        } else {
            let oldest = &mut self.recent[self.kept % REPEATABLE];
            oldest.clear();
            oldest.extend_from_slice(line);
        }
        self.kept += 1;
    }
}

#[cfg(test)]
mod tests;
