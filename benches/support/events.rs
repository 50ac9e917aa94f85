//! Seeded events of a marketplace with many keys: about 423 bytes, six types, 200 tenants, 10,000 vendors,
//! 200,000 products, some far more wanted than others (Zipf). A product is of one vendor, a vendor of one tenant.
//!
//! Not the demo's generator: that one walks shoppers through a small shop; this one spreads keys, as a floor
//! for caches has to.

use std::io::Write;

pub(crate) const TENANTS: u64 = 200;
pub(crate) const VENDORS: u64 = 10_000;
pub(crate) const PRODUCTS: u64 = 200_000;
const CUSTOMERS: u64 = 500_000;
/// 2026-11-21T10:15:00Z, UTC microseconds: inside an hour, so that a short run fills one.
pub(crate) const FROM: i64 = 1_795_256_100_000_000;
pub(crate) const DAY: &str = "2026-11-21";
const DAY_FROM: i64 = FROM - 615 * 60_000_000;
/// Orders that can still be completed.
const OPEN: usize = 4_096;
const AGENTS: [&str; 4] = [
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15",
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Chrome/131.0",
    "Mozilla/5.0 (X11; Linux x86_64; rv:133.0) Gecko/20100101 Firefox/133.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 Chrome/131.0",
];
const REFERRERS: [&str; 5] = ["search", "direct", "newsletter", "campaign", "recommendation"];

pub(crate) struct Events {
    chance: Chance,
    wanted: Vec<u64>,
    open: Vec<Order>,
    /// Microseconds of event time between two events.
    step: i64,
    at: i64,
}

struct Order {
    number: u64,
    vendor: u64,
    customer: u64,
    /// Product, quantity.
    items: Vec<(u64, u64)>,
}

impl Events {
    /// `rate`: events in a second of event time.
    pub(crate) fn new(seed: u64, rate: u64) -> Events {
        let mut sum = 0;
        let wanted = (1..=PRODUCTS).map(|rank| {
            sum += (1u64 << 40) / rank;
            sum
        });
        let wanted = wanted.collect();
        let step = (1_000_000 / rate.clamp(1, 1_000_000)) as i64;
        Events { chance: Chance(seed), wanted, open: Vec::new(), step, at: FROM }
    }

    /// Event time of the next event.
    pub(crate) fn time(&self) -> i64 {
        self.at
    }

    /// Appends one event and its newline.
    pub(crate) fn write(&mut self, out: &mut Vec<u8>) {
        self.at += self.step;
        let dice = self.chance.below(100);
        match dice {
            _ if dice < 7 && !self.open.is_empty() => {
                let at = self.chance.below(self.open.len() as u64) as usize;
                let order = self.open.swap_remove(at);
                self.order(out, "OrderCompleted", "completed", &order);
            }
            _ if dice < 15 => {
                let order = self.new_order();
                self.order(out, "OrderCreated", "created", &order);
                if self.open.len() < OPEN {
                    self.open.push(order);
                }
            }
            15..25 => {
                let vendor = vendor_of(self.product());
                let customer = self.chance.below(CUSTOMERS);
                self.head(out, "VendorView", vendor, customer);
                self.tail(out, "viewed");
            }
            25..33 => {
                let action = if self.chance.below(4) == 0 { "removed" } else { "added" };
                self.of_product(out, "ProductFavorite", action);
            }
            33..45 => self.of_product(out, "CartAdd", "added"),
            _ => self.of_product(out, "ProductView", "viewed"),
        }
    }

    /// Appends a view of this product: to make keys one by one.
    pub(crate) fn write_view_of(&mut self, out: &mut Vec<u8>, product: u64) {
        self.at += self.step;
        self.view(out, product, "ProductView", "viewed");
    }

    fn product(&mut self) -> u64 {
        let all = *self.wanted.last().expect("there are products");
        let at = self.chance.below(all);
        self.wanted.partition_point(|&sum| sum <= at) as u64
    }

    fn new_order(&mut self) -> Order {
        let first = self.product();
        let vendor = vendor_of(first);
        let mut items = vec![(first, 1 + self.chance.below(3))];
        for _ in 0..self.chance.below(4) {
            let product = vendor + VENDORS * self.chance.below(PRODUCTS / VENDORS);
            if items.iter().all(|&(other, _)| other != product) {
                items.push((product, 1 + self.chance.below(3)));
            }
        }
        Order { number: self.chance.next() >> 16, vendor, customer: self.chance.below(CUSTOMERS), items }
    }

    fn of_product(&mut self, out: &mut Vec<u8>, kind: &str, action: &str) {
        let product = self.product();
        self.view(out, product, kind, action);
    }

    fn view(&mut self, out: &mut Vec<u8>, product: u64, kind: &str, action: &str) {
        let customer = self.chance.below(CUSTOMERS);
        self.head(out, kind, vendor_of(product), customer);
        put(out, format_args!(",\"productId\":\"p{product:07}\""));
        self.tail(out, action);
    }

    fn order(&mut self, out: &mut Vec<u8>, kind: &str, action: &str, order: &Order) {
        self.head(out, kind, order.vendor, order.customer);
        put(out, format_args!(",\"orderId\":\"o{:012x}\",\"items\":[", order.number));
        let mut total = 0;
        for (nth, &(product, quantity)) in order.items.iter().enumerate() {
            let price = 100 + mix(product) % 20_000;
            total += price * quantity;
            let comma = if nth == 0 { "" } else { "," };
            let (whole, cents) = (price / 100, price % 100);
            put(
                out,
                format_args!(
                    "{comma}{{\"productId\":\"p{product:07}\",\"quantity\":{quantity},\"price\":{whole}.{cents:02}}}"
                ),
            );
        }
        put(out, format_args!("],\"total\":{}.{:02}", total / 100, total % 100));
        self.tail(out, action);
    }

    fn head(&mut self, out: &mut Vec<u8>, kind: &str, vendor: u64, customer: u64) {
        let (high, low) = (self.chance.next(), self.chance.next());
        let id = format_args!(
            "{:08x}-{:04x}-4{:03x}-a{:03x}-{:012x}",
            high >> 32,
            high >> 16 & 0xffff,
            high & 0xfff,
            low >> 52,
            low & 0xffff_ffff_ffff
        )
        .to_string();
        // Neighbours are out of order by up to 20 ms.
        let micros = self.at - DAY_FROM - self.chance.below(20_000) as i64;
        let (seconds, millis) = (micros / 1_000_000, micros / 1_000 % 1_000);
        let tenant = vendor % TENANTS;
        put(
            out,
            format_args!(
                "{{\"eventId\":\"{id}\",\"ts\":\"{DAY}T{:02}:{:02}:{:02}.{millis:03}Z\",\"eventType\":\"{kind}\",\
                 \"tenantId\":\"t{tenant:03}\",\"vendorId\":\"v{vendor:05}\",\"customerId\":\"c{customer:07}\"",
                seconds / 3_600,
                seconds / 60 % 60,
                seconds % 60
            ),
        );
    }

    fn tail(&mut self, out: &mut Vec<u8>, action: &str) {
        let session = self.chance.next();
        let (agent, referrer) = (AGENTS[(session % 4) as usize], REFERRERS[(session / 4 % 5) as usize]);
        put(
            out,
            format_args!(
                ",\"metadata\":{{\"action\":\"{action}\",\"session\":\"{session:016x}\",\"locale\":\"de-DE\",\
                 \"page\":\"listing/{}\",\
                 \"referrer\":\"{referrer}\",\"userAgent\":\"{agent}\"}}}}\n",
                session >> 40 & 0xffff
            ),
        );
    }
}

fn vendor_of(product: u64) -> u64 {
    product % VENDORS
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("memory takes everything");
}

/// SplitMix64.
struct Chance(u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }
}

fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}
