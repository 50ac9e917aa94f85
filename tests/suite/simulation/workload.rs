//! What users send: shoppers' events as JSON, with repeats, stragglers, poison and impossible times.

use super::oracle::{HOUR, MINUTE, SECOND, instant};
use std::sync::{Arc, OnceLock};
use thalweg::sim::Seed;
use thalweg::topology::{Topology, check};

/// 2026-11-01T00:00:00Z: where simulated time begins.
pub(super) const START: i64 = 1_793_491_200_000_000;
pub(super) const LATENESS: i64 = 30 * MINUTE;
pub(super) const KEEP: i64 = 2 * HOUR;
pub(super) const ROLLING: i64 = 5 * MINUTE;
pub(super) const PANE: i64 = 10 * SECOND;

/// The second one would leave its place in the lake if its name were a path.
const TENANTS: [&str; 2] = ["t0", "../t/day=01"];

const TOPOLOGY: &str = "
topology: sim
events:
  topic: raw
  format: json
  id: id
  time: at
  fields:
    id: text
    at: { type: time, required: true }
    tenant: text
    kind: text
    vendor: text
    amount: decimal(2)
    buyer: text
    items: { list: { sku: text, qty: int } }
tenant: tenant
clock: CLOCK
lateness: 30m
partitions: TARGETS
duplicates: { last: 1000 }
aggregates:
  vendor:
    by: [vendor]
    carry: [kind]
    windows: [hour, day, month, rolling 5m]
    keep: 2h
    values:
      events: { count: events }
      paid: { count: events, when: { kind: paid } }
      revenue: { sum: amount, when: { kind: paid } }
      buyers: { distinct: buyer }
      last: { last: amount }
      average: { ratio: [revenue, paid], scale: 2 }
  item:
    by: [sku]
    inputs: [{ each: items, set: { sku: $item.sku, qty: $item.qty } }]
    windows: [day]
    keep: 2h
    values:
      orders: { count: events }
      lines: { count: elements }
      units: { sum: qty }
histories:
  orders: { by: [vendor], when: { kind: paid }, columns: [amount], keep: 40d }
lake: { table: sim, partition: [tenant_id, year, month, day], roll: { age: 1s, bytes: 4KiB } }
";

/// What differs from history to history besides the faults.
#[derive(Debug, Clone)]
pub(super) struct Setting {
    pub(super) raw_partitions: u32,
    pub(super) targets: u32,
    pub(super) last: u64,
    pub(super) horizon: i64,
    pub(super) topology: Arc<Topology>,
}

impl Setting {
    pub(super) fn draw(chance: &mut Seed) -> Self {
        let raw_partitions = chance.between(1, 3) as u32;
        let targets = chance.between(1, 3) as u32;
        let last = if chance.one_in(2) { chance.between(1, 12) } else { 1_000 };
        let horizon = if chance.one_in(2) { chance.between(1, 60) as i64 * SECOND } else { 24 * HOUR };
        let is_wall = chance.one_in(3);
        let mut topology = checked(targets, is_wall);
        topology.duplicates.last = last;
        // Days would never pass in a history of minutes.
        topology.duplicates.horizon = horizon;
        topology.lake.roll_age = chance.between(1, 8) as i64 * SECOND;
        Setting { raw_partitions, targets, last, horizon, topology: Arc::new(topology) }
    }
}

/// To check a topology takes as long as half a history.
fn checked(targets: u32, is_wall: bool) -> Topology {
    static ALL: [OnceLock<Topology>; 6] = [const { OnceLock::new() }; 6];
    let found = ALL[targets as usize - 1 + if is_wall { 3 } else { 0 }].get_or_init(|| {
        let text = TOPOLOGY
            .replace("CLOCK", if is_wall { "wall" } else { "events" })
            .replace("TARGETS", &targets.to_string());
        check(&text).expect("the simulation's topology is a good one")
    });
    found.clone()
}

/// A few records of so many tenants in turn, and a topology under which every batch that is read becomes a chunk.
pub(super) fn small_lake(records: u64, tenants: u64) -> (Arc<Topology>, Vec<Vec<u8>>) {
    let mut topology = checked(1, false);
    topology.lake.roll_bytes = 1;
    let event = |number: u64| {
        let (at, tenant) = (instant(START + 7), TENANTS[(number % tenants) as usize]);
        format!(r#"{{"id":"e{number}","at":"{at}","tenant":"{tenant}","kind":"seen"}}"#).into_bytes()
    };
    (Arc::new(topology), (0..records).map(event).collect())
}

/// Makes one record after the other.
#[derive(Debug)]
pub(super) struct Workload {
    time: i64,
    step: u64,
    count: u64,
    sent: Vec<String>,
}

impl Workload {
    pub(super) fn new(chance: &mut Seed) -> Self {
        let step = [20, 120, 900][chance.below(3) as usize];
        let span = chance.between(2, 72) as i64 * HOUR;
        // Off every edge of a window or pane, so that no check rests on which side of an edge is meant.
        Workload { time: START - span + 7, step, count: 0, sent: Vec::new() }
    }

    pub(super) fn record(&mut self, chance: &mut Seed, now: i64) -> Vec<u8> {
        if chance.one_in(12) && !self.sent.is_empty() {
            let back = chance.between(1, self.sent.len().min(20) as u64) as usize;
            return self.sent[self.sent.len() - back].clone().into_bytes();
        }
        if chance.one_in(30) {
            return b"{\"id\":\"broken".to_vec();
        }
        self.count += 1;
        self.time += chance.below(self.step * 2) as i64 * SECOND;
        let at = match chance.below(30) {
            0 => now + 30 * 24 * HOUR + 7,
            1..5 => self.time - chance.between(1, 12_000) as i64 * SECOND,
            _ => self.time,
        };
        let event = self.event(chance, at);
        self.sent.push(event.clone());
        event.into_bytes()
    }

    fn event(&self, chance: &mut Seed, at: i64) -> String {
        let kind = ["seen", "paid", "paid", "added"][chance.below(4) as usize];
        let mut event = format!(
            "{{\"id\":\"e{}\",\"at\":\"{}\",\"tenant\":\"{}\",\"kind\":\"{kind}\"",
            self.count,
            instant(at),
            TENANTS[chance.below(2) as usize]
        );
        if !chance.one_in(10) {
            event += &format!(",\"vendor\":\"v{}\"", chance.below(4));
        }
        if !chance.one_in(8) {
            event += &format!(",\"amount\":{}.{:02}", chance.below(500), chance.below(100));
        }
        if !chance.one_in(8) {
            event += &format!(",\"buyer\":\"b{}\"", chance.below(6));
        }
        if chance.one_in(3) {
            let items: Vec<String> = (0..chance.below(4))
                .map(|_| format!("{{\"sku\":\"s{}\",\"qty\":{}}}", chance.below(5), chance.between(1, 9)))
                .collect();
            event += &format!(",\"items\":[{}]", items.join(","));
        }
        event + "}"
    }
}
