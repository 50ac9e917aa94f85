//! The rules of a target as a whole: what a reader would lose if one of them broke.

use super::*;
use crate::model::*;
use crate::topology::*;
use proptest::prelude::*;
use std::collections::BTreeMap;
use std::sync::Arc;

const MINUTE: i64 = 60_000_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;
const NOON: i64 = 20_000 * DAY + 12 * HOUR;
const S: Source = Source { incarnation: Incarnation(1), partition: Partition(0) };
const V: RoutingVersion = RoutingVersion(1);

/// One aggregate `shop` by `shop`: count, sum, last; day and 5 rolling minutes.
fn topology() -> Arc<Topology> {
    let text = |name: &str| Field {
        name: name.into(),
        path: vec![name.into()],
        required: true,
        ty: FieldType::Scalar(Scalar::Text),
    };
    let decimal = Scalar::Decimal { scale: 2, round: false, minor: false };
    let value = |name: &str, function| Value { name: name.into(), function, when: Condition::default() };
    let slot = |fold, cell, value| Slot { fold, cell, origin: SlotOrigin::Value(value) };
    let column = |name: &str, scalar| ContributionColumn { name: name.into(), scalar };
    let rolling = WindowKind::Rolling { length: 5 * MINUTE, pane: 10_000_000 };
    let aggregate = Aggregate {
        name: "shop".into(),
        by: vec![0],
        carry: vec![],
        columns: vec![column("shop", Scalar::Text), column("total", decimal)],
        inputs: vec![],
        windows: vec![Window { kind: WindowKind::Day, keep: 2 * DAY }, Window { kind: rolling, keep: 0 }],
        values: vec![
            value("sales", Function::CountEvents),
            value("total", Function::Sum(1)),
            value("last", Function::Last(1)),
            value("mean", Function::Ratio { over: 1, under: 0, scale: 2 }),
        ],
        slots: vec![
            slot(Fold::Count, CellKind::Count, 0),
            slot(Fold::Sum, CellKind::Number, 1),
            slot(Fold::Last, CellKind::Number, 2),
        ],
    };
    let lake = Lake {
        table: "sales".into(),
        partition: vec![PartitionColumn::TenantId],
        roll_age: MINUTE,
        roll_bytes: 1 << 20,
        accept_past: DAY,
        accept_future: DAY,
    };
    Arc::new(Topology {
        name: "shops".into(),
        deployment: "shops".into(),
        events: Events {
            topic: "sales".into(),
            fields: vec![text("id"), text("tenant"), text("shop")],
            id: EventId::Fields(vec![0]),
            time: vec![TimeOrigin::RecordTime],
        },
        tenant: 1,
        category: None,
        zone: Zone { name: "UTC".into(), zone: jiff::tz::TimeZone::UTC },
        clock: Clock::Events,
        lateness: DAY,
        accept_future: DAY,
        partitions: 1,
        duplicates: Duplicates { last: 50, horizon: DAY },
        aggregates: vec![aggregate],
        histories: vec![],
        lake,
        categories: vec![],
        text: String::new(),
        routing_version: V.0,
        configuration_hash: 7,
    })
}

#[derive(Debug, Clone, Copy)]
struct Sale {
    offset: u64,
    time: i64,
    id: u128,
    shop: u8,
    cents: i64,
}

fn prefix(shop: u8) -> Vec<u8> {
    format!("{{\"aggregate\":\"shop\",\"tenant_id\":\"t1\",\"by\":{{\"shop\":\"s{shop}\"}}").into_bytes()
}

fn block(prev: Option<u64>, sales: &[Sale]) -> Vec<u8> {
    let mut cells = Writer::default();
    let (mut keys, mut units, mut rows) = (Vec::new(), Vec::new(), Vec::new());
    for (index, sale) in (0u32..).zip(sales) {
        keys.push(Key { aggregate: 0, tenant: 0, prefix: prefix(sale.shop) });
        rows.push(Row { key: index, element: 0, present: 0b111, cells: cells.bytes.len() as u32 });
        cells.zigzag(sale.cents);
        cells.zigzag(sale.cents);
        units.push(Unit {
            offset: Offset(sale.offset),
            event_time: EventTime(sale.time),
            id: sale.id,
            rows: index..index + 1,
            history: 0..0,
        });
    }
    let (prev, texts, cells) = (prev.map(Offset), vec![b"t1".to_vec()], cells.bytes);
    HopOne::Block(Block { source: S, version: V, prev, keys, texts, units, rows, cells, history: vec![] })
        .encode()
}

fn link(below: u64, last: Option<u64>) -> Vec<u8> {
    let (below, last) = (NextOffset(below), last.map(Offset));
    let link = Link { source: S, version: V, below, last, raw_partitions: 1, at_end: None };
    HopOne::Links(Links { links: vec![link] }).encode()
}

/// A log of the repartition partition: a link, then a block for each slice.
fn log(sales: &[Sale], cuts: &[usize]) -> Vec<(LogTime, Vec<u8>)> {
    let mut log = vec![(LogTime(NOON), link(0, None))];
    let mut prev = None;
    let mut rest = sales;
    let mut cuts = cuts.iter().cycle();
    while !rest.is_empty() {
        let (part, behind) = rest.split_at((1 + cuts.next().unwrap() % 7).min(rest.len()));
        let newest = part.iter().map(|sale| sale.time).max().unwrap();
        let append = log.last().unwrap().0.max(LogTime(newest));
        log.push((append, block(prev, part)));
        prev = Some(part.last().unwrap().offset);
        rest = behind;
    }
    log
}

/// The topics that a target writes, as a reader of committed records sees them.
#[derive(Default)]
struct World {
    state: Vec<OutRecord>,
    metrics: BTreeMap<Vec<u8>, Vec<u8>>,
    set_aside: Vec<OutRecord>,
}

impl World {
    fn commit(&mut self, target: &mut Target, next: NextOffset) {
        let transaction = prepared(target, next);
        target.fold(next);
        for (topic, records) in transaction.in_order() {
            match topic {
                Topic::State => self.state.extend(records.to_records()),
                Topic::SetAside => self.set_aside.extend(records.to_records()),
                _ => records.to_records().into_iter().for_each(|record| self.show(record)),
            }
        }
    }

    fn show(&mut self, row: OutRecord) {
        let key = row.key.unwrap();
        match row.value {
            Some(value) => self.metrics.insert(key, value),
            None => self.metrics.remove(&key),
        };
    }

    fn restore(&self, log: &[(LogTime, Vec<u8>)]) -> (Target, usize) {
        let mut restoring = Restoring::new(topology(), Partition(0), Limits::default());
        for record in &self.state {
            restoring.apply(record.key.as_ref().unwrap(), record.value.as_deref()).unwrap();
        }
        let sources = restoring.duplicates_sources();
        let (mut target, position) = restoring.finish().unwrap();
        let next = position.next.unwrap_or_default().0 as usize;
        if let Some(sources) = sources {
            let mut rebuilding = Rebuilding::new(sources);
            let from = position.duplicates_from.unwrap().0 as usize;
            for (at, (append, record)) in log.iter().enumerate().take(next).skip(from) {
                rebuilding.take(&mut target, Offset(at as u64), *append, record).unwrap();
            }
            rebuilding.finish(&mut target);
        }
        (target, next)
    }

    /// Values alone: `as_of` and the position differ by where commits end.
    fn values(&self) -> BTreeMap<String, String> {
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        let rows = self.metrics.iter().filter(|(key, _)| !key.starts_with(b"{\"position\""));
        let cut = |value: String| value.split(",\"as_of\"").next().unwrap().to_string();
        // A rolling row keeps the end at which its values last changed.
        let values = |value: String| cut(value).split("\"values\"").nth(1).unwrap().to_string();
        rows.map(|(key, value)| (text(key), values(text(value)))).collect()
    }
}

fn prepared(target: &mut Target, next: NextOffset) -> Transaction {
    let mut transaction = Transaction::default();
    target.prepare(next, &mut transaction);
    transaction
}

fn take(target: &mut Target, log: &[(LogTime, Vec<u8>)], at: usize) {
    target.take(Offset(at as u64), log[at].0, &log[at].1).unwrap();
}

/// One commit per record, nothing goes wrong.
fn plain(log: &[(LogTime, Vec<u8>)]) -> World {
    let mut world = World::default();
    let mut target = Target::new(topology(), Partition(0), Limits::default());
    for at in 0..log.len() {
        take(&mut target, log, at);
        world.commit(&mut target, NextOffset(at as u64 + 1));
    }
    // Tombstones come one commit later.
    world.commit(&mut target, NextOffset(log.len() as u64));
    world
}

/// Commits, aborts and restarts where `chance` says; the result must be as if there were none.
fn troubled(log: &[(LogTime, Vec<u8>)], chance: &[u8]) -> World {
    let mut world = World::default();
    let mut target = Target::new(topology(), Partition(0), Limits::default());
    let mut chance = chance.iter().cycle();
    let mut at = 0;
    while at < log.len() {
        take(&mut target, log, at);
        at += 1;
        match chance.next().unwrap() % 8 {
            0..3 => world.commit(&mut target, NextOffset(at as u64)),
            3 => {
                prepared(&mut target, NextOffset(at as u64));
                target.drop_overlay();
                at = target.committed().0 as usize;
                take(&mut target, log, at);
                at += 1;
                world.commit(&mut target, NextOffset(at as u64));
            }
            4 => (target, at) = world.restore(log),
            5 => {
                // A torn commit: its panes became visible, and nothing of what is written behind them.
                world.state.extend(prepared(&mut target, NextOffset(at as u64)).panes.to_records());
                (target, at) = world.restore(log);
                while at < target.not_before().0 as usize {
                    take(&mut target, log, at);
                    at += 1;
                }
                world.commit(&mut target, NextOffset(at as u64));
            }
            _ => {}
        }
    }
    world.commit(&mut target, NextOffset(at as u64));
    world.commit(&mut target, NextOffset(at as u64));
    world
}

fn sales() -> impl Strategy<Value = Vec<Sale>> {
    let sale = (0i64..400, 0u8..4, -500i64..500, 0u128..60);
    proptest::collection::vec(sale, 1..60).prop_map(|sales| {
        let mut time = NOON;
        let place = |(offset, (step, shop, cents, id)): (u64, (i64, u8, i64, u128))| {
            // Mostly forward by seconds, now and then by a day, now and then days back.
            time += if step > 396 { DAY } else { step * 100_000 };
            let time = if step < 4 { time - 3 * DAY } else { time };
            Sale { offset: offset * 2, time, id: id + 1, shop, cents }
        };
        (0..).zip(sales).map(place).collect()
    })
}

/// All that a target knows as of its last commit. The order in which a hash table lists its entries does not count.
fn base(target: &Target) -> Vec<String> {
    let told = [
        format!("{:?} {:?} {:?}", target.base, target.commit, target.committed),
        format!("{:?}", target.duplicates),
        // The note of what a transaction buries is not the base's.
        format!("{:?}", target.schedule).split("buried").next().unwrap().to_owned(),
    ];
    let parts = |text: String| {
        let mut parts: Vec<_> = text.split(|c: char| !c.is_alphanumeric()).map(str::to_owned).collect();
        parts.sort_unstable();
        parts.join(" ")
    };
    let live = target.entities.live().map(|entity| format!("{entity:?}"));
    told.into_iter().map(parts).chain(live).collect()
}

proptest! {
    /// I14
    #[test]
    fn an_aborted_transaction_leaves_no_trace(sales in sales(), cuts: [u8; 5], committed: u8) {
        let cuts: Vec<usize> = cuts.iter().map(|&cut| usize::from(cut)).collect();
        let log = log(&sales, &cuts);
        let mut target = Target::new(topology(), Partition(0), Limits { entities: 2, tombstones: 3 });
        let committed = usize::from(committed) % log.len();
        for at in 0..committed {
            take(&mut target, &log, at);
            World::default().commit(&mut target, NextOffset(at as u64 + 1));
        }
        let before = base(&target);

        (committed..log.len()).for_each(|at| take(&mut target, &log, at));
        let during = base(&target);
        prepared(&mut target, NextOffset(log.len() as u64));
        target.drop_overlay();

        prop_assert_eq!(base(&target), before.clone());
        // What is compared does move: a repeat of nothing would be no test.
        prop_assert!(during != before || target.sources() == &target.base);
    }

    #[test]
    fn commits_aborts_and_restarts_change_no_row(sales in sales(), cuts: [u8; 5], chance: [u8; 16]) {
        let cuts: Vec<usize> = cuts.iter().map(|&cut| usize::from(cut)).collect();
        let log = log(&sales, &cuts);

        let (calm, troubled) = (plain(&log), troubled(&log, &chance));

        prop_assert_eq!(troubled.values(), calm.values());
        let keys = |world: &World| {
            let keys = world.set_aside.iter().map(|record| record.value.clone().unwrap());
            keys.collect::<std::collections::BTreeSet<_>>()
        };
        prop_assert_eq!(keys(&troubled), keys(&calm));
    }

    #[test]
    fn where_a_block_is_cut_changes_no_row(sales in sales(), one: [u8; 4], other: [u8; 4]) {
        let cuts = |cuts: [u8; 4]| cuts.iter().map(|&cut| usize::from(cut)).collect::<Vec<_>>();
        // Blocks stamp one append time for all their units: give both logs one time, so that only the cuts differ.
        let flat = |cuts: Vec<usize>| {
            let late = LogTime(NOON + 100 * DAY);
            log(&sales, &cuts).into_iter().map(|(_, record)| (late, record)).collect::<Vec<_>>()
        };

        prop_assert_eq!(plain(&flat(cuts(one))).values(), plain(&flat(cuts(other))).values());
    }
}

fn sale(offset: u64, time: i64, shop: u8, cents: i64) -> Sale {
    Sale { offset, time, id: u128::from(offset) + 1_000, shop, cents }
}

fn day_row(world: &World, shop: u8, day: &str) -> Option<String> {
    let key = format!(
        "{},\"window\":\"day\",\"start\":\"{day}T00:00:00Z\"}}",
        String::from_utf8(prefix(shop)).unwrap()
    );
    world.values().get(&key).cloned()
}

fn rolling_row(world: &World, shop: u8) -> Option<String> {
    let key = format!("{},\"window\":\"rolling 5m\"}}", String::from_utf8(prefix(shop)).unwrap());
    world.values().get(&key).cloned()
}

fn reasons(world: &World) -> Vec<String> {
    let reason = |record: &OutRecord| {
        let value: serde_json::Value = serde_json::from_slice(record.value.as_ref().unwrap()).unwrap();
        value["reason"].as_str().unwrap().to_string()
    };
    world.set_aside.iter().map(reason).collect()
}

#[test]
fn a_row_holds_what_was_sold() {
    let world = plain(&log(&[sale(0, NOON, 1, 1000), sale(1, NOON + 1, 1, 550)], &[0]));

    let row = day_row(&world, 1, "2024-10-04").unwrap();
    assert_eq!(row, ":{\"sales\":2,\"total\":\"15.50\",\"last\":\"5.50\",\"mean\":\"7.75\"}");
}

#[test]
fn a_repeated_event_counts_once_and_is_set_aside() {
    let first = sale(0, NOON, 1, 1000);
    let again = Sale { offset: 5, ..first };

    let world = plain(&log(&[first, again], &[0]));

    assert!(day_row(&world, 1, "2024-10-04").unwrap().contains("\"sales\":1,"));
    assert_eq!(reasons(&world), ["duplicate"]);
}

#[test]
fn a_late_sale_is_set_aside_and_one_just_in_time_counts() {
    let late = |ago: i64| {
        // The floor stands at the end of the day plus lateness, less `ago`.
        let end_of_day = 20_001 * DAY;
        plain(&log(
            &[sale(0, NOON, 1, 100), sale(1, end_of_day + DAY - ago, 2, 1), sale(2, NOON, 1, 100)],
            &[0],
        ))
    };

    assert_eq!(reasons(&late(1)), Vec::<String>::new());
    assert_eq!(reasons(&late(0)), ["late"]);
    assert!(day_row(&late(1), 1, "2024-10-04").unwrap().contains("\"sales\":2,"));
    assert!(day_row(&late(0), 1, "2024-10-04").unwrap().contains("\"sales\":1,"));
}

#[test]
fn a_sale_from_the_future_is_set_aside() {
    let mut target = Target::new(topology(), Partition(0), Limits::default());
    let mut world = World::default();
    let edge = sale(0, NOON + DAY, 1, 100);
    let beyond = sale(1, NOON + DAY + 1, 1, 100);
    let log = [(LogTime(NOON), link(0, None)), (LogTime(NOON), block(None, &[edge, beyond]))];

    (0..2).for_each(|at| take(&mut target, &log, at));
    world.commit(&mut target, NextOffset(2));

    assert_eq!(reasons(&world), ["future"]);
    assert!(day_row(&world, 1, "2024-10-05").unwrap().contains("\"sales\":1,"));
}

#[test]
fn a_rolling_row_loses_what_leaves_its_window_and_ends_as_a_tombstone() {
    let quiet = |seconds: i64| {
        plain(&log(
            &[sale(0, NOON, 1, 100), sale(1, NOON + 1, 1, 50), sale(2, NOON + seconds * 1_000_000, 2, 1)],
            &[0],
        ))
    };

    assert!(rolling_row(&quiet(300), 1).unwrap().contains("\"sales\":2,"));
    // The pane of noon covers ten seconds: it leaves with the end at 5 min 10 s.
    assert!(rolling_row(&quiet(301), 1).is_none());
    assert!(rolling_row(&quiet(301), 2).is_some());
}

#[test]
fn a_row_becomes_a_tombstone_when_its_keep_has_passed() {
    let after =
        |time: i64| plain(&log(&[sale(0, NOON, 1, 100), sale(1, time, 2, 1), sale(2, time + 1, 2, 1)], &[0]));
    let end_of_day = 20_001 * DAY;

    assert!(day_row(&after(end_of_day + 2 * DAY - 2), 1, "2024-10-04").is_some());
    assert!(day_row(&after(end_of_day + 2 * DAY), 1, "2024-10-04").is_none());
}

#[test]
fn entities_beyond_the_cap_are_summed_under_other() {
    let mut target = Target::new(topology(), Partition(0), Limits { entities: 2, tombstones: 10 });
    let mut world = World::default();
    let sales: Vec<_> = (0..5).map(|shop| sale(u64::from(shop), NOON, shop, 100)).collect();
    let log = [(LogTime(NOON), link(0, None)), (LogTime(NOON), block(None, &sales))];

    (0..2).for_each(|at| take(&mut target, &log, at));
    assert_eq!(target.counted().other, 3);
    world.commit(&mut target, NextOffset(2));

    let values = world.values();
    let other = values.iter().find(|(key, _)| key.contains("__other__") && key.contains("\"day\"")).unwrap();
    assert!(other.0.contains("\"by\":{\"__other__\":\"0\"}"), "{}", other.0);
    assert!(other.1.contains("\"sales\":3,\"total\":\"3.00\""), "{}", other.1);
    assert!(day_row(&world, 1, "2024-10-04").is_some() && day_row(&world, 2, "2024-10-04").is_none());
}

#[test]
fn the_commit_record_is_the_last_of_state_and_the_position_the_last_of_metrics() {
    let log = log(&[sale(0, NOON, 1, 100)], &[0]);
    let mut target = Target::new(topology(), Partition(0), Limits::default());
    (0..2).for_each(|at| take(&mut target, &log, at));

    let transaction = prepared(&mut target, NextOffset(2));

    let of = |topic| {
        let batches = transaction.in_order().filter(move |(of, _)| *of == topic);
        batches.flat_map(|(_, records)| records.to_records()).collect::<Vec<_>>()
    };
    let (state, metrics) = (of(Topic::State), of(Topic::Metrics));
    assert_eq!(state.last().unwrap().key.as_deref(), Some(COMMIT_KEY));
    let position = metrics.last().unwrap();
    assert_eq!(position.key.as_deref(), Some(&b"{\"position\":0}"[..]));
    let value = String::from_utf8(position.value.clone().unwrap()).unwrap();
    let expected = "{\"commit\":1,\"offset\":2,\"now\":\"2024-10-04T12:00:00Z\",\
                    \"floor\":\"2024-10-04T12:00:00Z\",\"sources\":{\"0\":1}}";
    assert_eq!(value, expected);
    let record = CommitRecord::decode(state.last().unwrap().value.as_ref().unwrap()).unwrap();
    let written = state.len() + metrics.len();
    assert_eq!((record.commit, record.next, record.records), (1, 2, written as u64));
}
