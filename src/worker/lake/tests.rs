//! The production loop in the simulated world. What was appended is all that the checks know.

mod unfinished;

use super::super::{Context, Control, Outcome, Settings, Start};
use super::run;
use crate::lake::position::slot_plan;
use crate::lake::{Chain, ControlKey, FileKey, Format, Plan, Rows, config_path};
use crate::model::{
    Incarnation, LogTime, NextOffset, Offset, Partition, Role, Source, Topic, TopicPartition,
};
use crate::port::Isolation;
use crate::sim::{Faults, Handles, Seed, Shape, World};
use crate::topology::check;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_64;

const PARTITIONS: u32 = 2;
const INCARNATION: Incarnation = Incarnation(7);
/// 2026-11-01T00:00:00Z
const START: LogTime = LogTime(1_793_491_200_000_000);

fn topology(columns: &str) -> String {
    format!(
        "topology: shop
events:
  topic: events.v1
  format: json
  id: $coordinate
  time: [ts, $record_time]
  fields: {{ tenant_id: text, ts: time, note: text }}
tenant: tenant_id
aggregates:
  seen: {{ by: [note], windows: [day], values: {{ events: {{ count: events }} }} }}
lake:
  table: events
  partition: [{columns}]
  roll: {{ age: 2s, bytes: 4KiB }}
"
    )
}

const BY_TENANT: &str = "tenant_id, year, month, day, hour";

/// What the lives of all workers left behind.
#[derive(Default)]
struct Lives {
    controls: Vec<Arc<Control>>,
    ended: Vec<Result<Outcome, String>>,
}

type ReadRows = fn(&[u8]) -> Vec<(Offset, Option<u64>)>;

struct River {
    world: World,
    lives: Rc<RefCell<Lives>>,
    format: Rc<dyn Format>,
    /// Reads a file's rows: offset, and the hash of the record's value where the format keeps it.
    read: ReadRows,
    appended: BTreeMap<(Partition, Offset), u64>,
    seen: usize,
    /// How often each coordinate is in a data file.
    rows: BTreeMap<(Partition, Offset), u32>,
}

fn settings(budget: usize) -> Settings {
    Settings { lake_budget: budget, prefix: "lake/".into(), poll_bytes: 700, ..Settings::default() }
}

impl River {
    fn new(seed: u64, faults: Faults) -> River {
        let shape = Shape { raw_partitions: PARTITIONS, targets: 1, incarnation: INCARNATION, start: START };
        River {
            world: World::new(seed, shape, faults),
            lives: Rc::default(),
            format: Rc::new(Rows),
            read: |body| {
                let (_, rows) = Rows::read(body).expect("a whole file");
                rows.into_iter().map(|row| (row.offset, Some(row.value_hash))).collect()
            },
            appended: BTreeMap::new(),
            seen: 0,
            rows: BTreeMap::new(),
        }
    }

    fn append(&mut self, partition: u32, value: &str) -> Offset {
        let partition = Partition(partition % PARTITIONS);
        let offset = self.world.append_raw(partition, None, Some(value.into()));
        self.appended.insert((partition, offset), xxh3_64(value.as_bytes()));
        offset
    }

    fn append_some(&mut self, count: u64, chance: &mut Seed) {
        for _ in 0..count {
            let partition = chance.below(PARTITIONS.into()) as u32;
            let value = match chance.below(8) {
                0 => "{no json".to_owned(),
                1 => {
                    self.world.append_raw_hole(Partition(partition));
                    continue;
                }
                _ => event(&format!("t{}", chance.below(4)), chance.below(3)),
            };
            self.append(partition, &value);
        }
    }

    fn worker(&mut self, id: u32, text: &str, settings: Settings) {
        let topology = Arc::new(check(text).expect("the test's topology is right"));
        let lives = Rc::clone(&self.lives);
        let format = Rc::clone(&self.format);
        let life = move |handles: Handles| {
            let control = Arc::new(Control::default());
            lives.borrow_mut().controls.push(Arc::clone(&control));
            let context = Context {
                topology: Arc::clone(&topology),
                log: handles.log,
                objects: handles.objects,
                clock: handles.clock,
                settings: settings.clone(),
                control,
            };
            let lives = Rc::clone(&lives);
            let format = Rc::clone(&format);
            let task: crate::sim::Task = Box::pin(async move {
                let ended = run(context, format).await.map_err(|failure| failure.to_string());
                lives.borrow_mut().ended.push(ended.clone());
                ended.map(drop)
            });
            task
        };
        self.world.spawn(id, life);
    }

    /// An operator's hand: the position forgotten, or set anywhere, with or without the metadata of another one.
    fn trouble_the_group(&mut self, chance: &mut Seed) {
        let partition = Partition(chance.below(PARTITIONS.into()) as u32);
        let end = self.world.end(River::raw(partition.0), Isolation::ReadCommitted);
        let mut offset = self.world.committed(Role::Lake, partition);
        if let Some(offset) = &mut offset {
            offset.next = NextOffset(chance.below(end.0 + 1));
        }
        let offset = if chance.one_in(3) { None } else { offset };
        self.world.set_committed(Role::Lake, partition, offset);
        // Only a new owner asks for it.
        self.world.crash(chance.below(2) as u32);
    }

    fn raw(partition: u32) -> TopicPartition {
        TopicPartition { topic: Topic::Raw, partition: Partition(partition) }
    }

    /// Reads the files that came since; no coordinate may be there twice at any time.
    fn look(&mut self) {
        let stored = self.world.stored(self.seen);
        self.seen += stored.len();
        for key in stored.into_iter().map(|stored| stored.key).filter(|key| key.ends_with(".parquet")) {
            let body = self.world.object(&key).expect("what was created is there");
            let file = FileKey::parse("lake/", &key).expect("a key of the layout");
            for (offset, hash) in (self.read)(&body) {
                let at = (file.source.partition, offset);
                let appended = self.appended.get(&at).expect("a row of the lake is a record of the log");
                assert!(hash.is_none_or(|hash| hash == *appended), "{key} holds what the log does not");
                let count = self.rows.entry(at).or_default();
                *count += 1;
                assert!(*count == 1, "{at:?} is in two files, one of them {key}");
            }
        }
    }

    fn run_until(&mut self, seconds: u64, is_done: impl Fn(&River) -> bool) {
        for _ in 0..seconds * 2 {
            let end = self.world.now() + 500_000;
            self.world.run_until(Duration::from_secs(1), |world| world.now() >= end);
            self.look();
            if is_done(self) {
                return;
            }
        }
        panic!("not done after {seconds} s: {:?}, halts {:?}", self.lives.borrow().ended, self.halts());
    }

    fn halts(&self) -> Vec<super::Halt> {
        self.lives.borrow().controls.iter().flat_map(|control| control.halts()).collect()
    }

    fn goal(&self) -> BTreeMap<Partition, NextOffset> {
        let ends = |p| (Partition(p), self.world.end(River::raw(p), Isolation::ReadCommitted));
        (0..PARTITIONS).map(ends).collect()
    }

    /// Everything that was appended is there, or below `gone` of its partition.
    fn is_complete(&self) -> bool {
        self.appended.keys().all(|at| self.rows.contains_key(at))
    }

    fn chain(partition: u32) -> Chain {
        let source = Source { incarnation: INCARNATION, partition: Partition(partition) };
        Chain { topic: "events.v1".into(), source }
    }

    fn object(&self, partition: u32, key: ControlKey) -> Option<Vec<u8>> {
        self.world.object(&River::chain(partition).path("lake/", key))
    }

    /// Every plan of a chain, from its genesis on.
    fn plans(&self, partition: u32) -> Vec<Plan> {
        let Some(genesis) = self.object(partition, ControlKey::Genesis) else { return Vec::new() };
        let genesis: crate::lake::Genesis = serde_json::from_slice(&genesis).unwrap();
        let (mut at, mut plans) = (genesis.s, Vec::new());
        while let Some(body) = self.object(partition, ControlKey::Plan(at)) {
            let plan = slot_plan(at, &body).unwrap();
            assert_eq!(plan.n, plans.len() as u64);
            at = plan.e;
            plans.push(plan);
        }
        plans
    }
}

fn event(tenant: &str, hours_ago: u64) -> String {
    let time = jiff::Timestamp::from_microsecond(START.0 - hours_ago as i64 * 3_600_000_000).unwrap();
    format!("{{\"tenant_id\":\"{tenant}\",\"ts\":\"{time}\",\"note\":\"{}\"}}", "x".repeat(40))
}

fn river(seed: u64) {
    let mut chance = Seed(seed);
    let faults = Faults::draw(&mut chance);
    attack(River::new(seed, faults), chance, seed);
}

fn attack(mut river: River, mut chance: Seed, seed: u64) {
    // A small budget asks for rebuilds in passes, and for chunks closed before their time.
    let budgets = [1_500, 3_000, 100_000];
    for id in 0..2 {
        // Two topologies at once, as during a roll-out: whoever finishes a plan uses the one that made it.
        let columns = if chance.one_in(3) { "tenant_id, year, month, day" } else { BY_TENANT };
        let budget = *chance.pick(&budgets).unwrap();
        river.worker(id, &topology(columns), settings(budget));
    }
    for _ in 0..chance.between(5, 25) {
        let count = chance.below(30);
        river.append_some(count, &mut chance);
        river.world.run_for(Duration::from_secs(chance.between(1, 5)));
        river.look();
        if chance.one_in(6) {
            river.trouble_the_group(&mut chance);
        }
    }
    river.world.heal();
    river.run_until(400, River::is_complete);

    assert_eq!(river.halts(), [], "replay with SEED={seed}");
    assert_eq!(river.world.violations(), Vec::<String>::new());
    for partition in 0..PARTITIONS {
        let plans = river.plans(partition);
        for file in plans.iter().flat_map(|plan| &plan.files) {
            assert!(river.world.object(&file.key).is_some(), "{} is planned, but is not there", file.key);
        }
        let planned: u64 = plans.iter().map(|plan| plan.count).sum();
        let held = river.rows.keys().filter(|(p, _)| p.0 == partition).count() as u64;
        assert_eq!(planned, held);
    }
}

#[test]
fn every_record_is_in_exactly_one_file_whatever_breaks() {
    match std::env::var("SEED") {
        Ok(seed) => river(seed.parse().expect("a number")),
        Err(_) => (0..120).for_each(river),
    }
}

/// The same with the bytes of production: what was there before is compared by its footer.
#[test]
#[cfg(feature = "parquet")]
fn parquet_files_hold_every_record_exactly_once_whatever_breaks() {
    use ::parquet::file::reader::{FileReader, SerializedFileReader};
    use ::parquet::record::RowAccessor;
    use std::io::Write;
    for seed in 1000..1004 {
        let mut chance = Seed(seed);
        let faults = Faults::draw(&mut chance);
        let mut river = River::new(seed, faults);
        river.format = Rc::new(crate::lake::Parquet);
        river.read = |body| {
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(body).unwrap();
            let reader = SerializedFileReader::new(file).expect("a whole file");
            let rows = reader.get_row_iter(None).expect("a file has rows");
            rows.map(|row| (Offset(row.unwrap().get_long(3).expect("the offset") as u64), None)).collect()
        };
        attack(river, chance, seed);
    }
}

/// One worker, no faults.
fn calm() -> River {
    River::new(1, Faults::calm())
}

#[test]
fn until_idle_seals_everything_below_the_goal_and_ends() {
    let mut river = calm();
    river.append_some(100, &mut Seed(3));
    river.worker(0, &topology(BY_TENANT), settings(1 << 20));
    river.lives.borrow().controls[0].set_goal(river.goal());

    river.run_until(10, |river| !river.lives.borrow().ended.is_empty());

    assert_eq!(river.lives.borrow().ended, [Ok(Outcome::Idle)]);
    assert!(river.is_complete());
    for (partition, goal) in river.goal() {
        let committed = river.world.committed(Role::Lake, partition).unwrap();
        assert_eq!(committed.next, goal);
        let last = river.plans(partition.0).pop().unwrap();
        assert_eq!(committed.metadata, format!("{{\"q\":{}}}", last.s));
    }
}

#[test]
fn an_empty_log_is_idle_at_once() {
    let mut river = calm();
    river.worker(0, &topology(BY_TENANT), settings(1 << 20));
    river.lives.borrow().controls[0].set_goal(river.goal());

    river.run_until(10, |river| !river.lives.borrow().ended.is_empty());

    assert_eq!(river.lives.borrow().ended, [Ok(Outcome::Idle)]);
}

#[test]
fn a_drain_seals_what_is_buffered() {
    let mut river = calm();
    river.append_some(20, &mut Seed(3));
    let text = topology(BY_TENANT).replace("2s", "1d");
    river.worker(0, &text, settings(1 << 20));
    river.world.run_for(Duration::from_secs(4));
    river.look();
    assert!(river.rows.is_empty(), "nothing is old or large enough yet");
    river.lives.borrow().controls[0].drain();

    river.run_until(10, |river| !river.lives.borrow().ended.is_empty());

    assert_eq!(river.lives.borrow().ended, [Ok(Outcome::Drained)]);
    assert!(river.is_complete());
}

#[test]
fn the_start_is_resolved_once_and_ignored_afterwards() {
    let mut river = calm();
    let starts = |start| Settings { start, ..settings(1 << 20) };
    river.append(0, &event("before", 0));
    river.world.run_for(Duration::from_secs(10));
    river.append(0, &event("before", 0));
    river.world.run_for(Duration::from_secs(10));
    let at = LogTime(river.world.now());
    let first = river.append(0, &event("after", 0));
    river.worker(0, &topology(BY_TENANT), starts(Start::At(at)));
    river.run_until(20, |river| river.rows.contains_key(&(Partition(0), first)));
    river.world.remove(0);
    let second = river.append(0, &event("after", 0));
    river.worker(1, &topology(BY_TENANT), starts(Start::Latest));

    river.run_until(60, |river| river.rows.contains_key(&(Partition(0), second)));

    assert_eq!(river.rows.len(), 2);
    assert_eq!(river.plans(0)[0].s, NextOffset(first.0));
}

#[test]
fn what_retention_took_is_a_gap_on_the_chain() {
    let mut river = calm();
    river.append(0, &event("a", 0));
    river.worker(0, &topology(BY_TENANT), settings(1 << 20));
    river.run_until(20, River::is_complete);
    river.world.remove(0);
    let lost = river.append(0, &event("b", 0));
    let kept = river.append(0, &event("c", 0));
    river.world.expire(River::raw(0), NextOffset(kept.0));
    river.worker(1, &topology(BY_TENANT), settings(1 << 20));

    river.run_until(60, |river| river.rows.contains_key(&(Partition(0), kept)));

    let plans = river.plans(0);
    let gaps: Vec<_> = plans.iter().map(|plan| (plan.s, plan.e, plan.gap)).collect();
    assert_eq!(gaps[1], (NextOffset(lost.0), NextOffset(kept.0), true));
    assert!(!river.rows.contains_key(&(Partition(0), lost)));
    assert_eq!(river.halts(), []);
}
/// A store that is away keeps memory bounded, and nothing is lost when it comes back.
#[test]
fn a_store_that_is_away_stops_reading_and_loses_nothing() {
    let mut river = River::new(5, Faults { create_refused: 1000, ..Faults::calm() });
    river.append_some(400, &mut Seed(3));
    river.worker(0, &topology(BY_TENANT), settings(2_000));
    river.world.run_for(Duration::from_secs(60));
    river.look();
    assert!(river.rows.is_empty());

    river.world.heal();

    river.run_until(120, River::is_complete);
    assert_eq!(river.halts(), []);
}

#[test]
fn the_thousandth_plan_leaves_a_checkpoint_and_the_walk_begins_there() {
    let mut river = calm();
    let genesis = River::chain(0).path("lake/", ControlKey::Genesis);
    put(&mut river, &[(genesis, b"{\"s\":0}".to_vec())]);
    let gaps: Vec<_> = (0..1000)
        .map(|n| {
            let plan = Plan::gap(n, NextOffset(n), NextOffset(n + 1), 1);
            (River::chain(0).path("lake/", ControlKey::Plan(plan.s)), plan.encode())
        })
        .collect();
    put(&mut river, &gaps);
    (0..1000).for_each(|_| river.world.append_raw_hole(Partition(0)));
    let first = river.append(0, &event("a", 0));
    river.worker(0, &topology(BY_TENANT), settings(1 << 20));
    river.run_until(400, |river| river.rows.contains_key(&(Partition(0), first)));
    river.run_until(10, |river| river.object(0, ControlKey::Checkpoint(1)).is_some());
    river.world.remove(0);
    river.world.set_committed(Role::Lake, Partition(0), None);
    let before = river.world.steps();
    let second = river.append(0, &event("b", 0));
    river.worker(1, &topology(BY_TENANT), settings(1 << 20));

    river.run_until(60, |river| river.rows.contains_key(&(Partition(0), second)));

    let checkpoint = river.object(0, ControlKey::Checkpoint(1)).unwrap();
    assert_eq!(String::from_utf8(checkpoint).unwrap(), "{\"n\":1000,\"s\":1000}");
    assert!(river.world.steps() - before < 2_000, "it walked from genesis");
}

/// Creates objects by hand.
fn put(river: &mut River, objects: &[(String, Vec<u8>)]) {
    let objects = objects.to_vec();
    let task = river.world.spawn(99, move |handles: Handles| {
        let objects = objects.clone();
        Box::pin(async move {
            for (key, body) in objects {
                handles.objects.create(&key, body).await.map_err(|failure| failure.to_string())?;
            }
            Ok(())
        })
    });
    assert!(river.world.run_until(Duration::from_secs(1000), |world| !world.is_running(task)));
    river.world.remove(99);
}
