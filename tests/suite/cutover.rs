//! `cutover`: a topology changes while events go on, and no row is ever a part of a number.

use crate::objects::now;
use serde_json::Value;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use thalweg::embedded::{EmbeddedLog, Input, Layout};
use thalweg::generate::{Generator, Settings as Shoppers};
use thalweg::lake::Parquet;
use thalweg::model::{
    CommittedOffset, LogTime, NextOffset, OutRecord, Partition, Role, RoutingVersion, Topic, TopicPartition,
};
use thalweg::objects::LocalObjects;
use thalweg::port::{
    Clock, Consumer, Delivery, Failure, Isolation, Log, Membership, Pending, Polled, Producer, Reaction,
    Reader, Ticket, Transactions,
};
use thalweg::route::RoutePosition;
use thalweg::topology::{Topology, check};
use thalweg::worker::cutover::{self, Plan};
use thalweg::worker::{Context, Control, Halt, Outcome, Refused, Settings, aggregate, lake, route};

struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> LogTime {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
        LogTime(i64::try_from(since.as_micros()).unwrap())
    }

    fn sleep(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + '_>> {
        thread::sleep(time.min(Duration::from_millis(20)));
        Box::pin(std::future::ready(()))
    }
}

const WINDOWS: (&str, &str) =
    ("windows: [day, week, month, rolling 5m,", "windows: [hour, day, ever, rolling 5m,");
const OWN: &str = "      profile_views: { count: events, when: { type: VendorView } }\n";

/// The marketplace with values whose like it has already: what the old one counts says what the new one must.
fn topology(values: &[&str]) -> Arc<Topology> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/topologies/marketplace/topology.yaml");
    let text = std::fs::read_to_string(path).unwrap();
    let more: String = values.iter().map(|value| format!("      {value}\n")).collect();
    let text = text.replacen(WINDOWS.0, WINDOWS.1, 1).replacen(OWN, &format!("{OWN}{more}"), 1);
    Arc::new(check(&text).unwrap_or_else(|problems| panic!("{problems:?}")))
}

fn old() -> Arc<Topology> {
    topology(&["all: { count: events }"])
}

fn new() -> Arc<Topology> {
    topology(&[
        "all: { count: events }",
        "all_again: { count: events }",
        "earned: { sum: total, when: { type: OrderCompleted } }",
        "who: { distinct: customer_id, when: { type: OrderCreated } }",
        "share: { ratio: [earned, all_again], scale: 2 }",
    ])
}

/// New values, and the old ones that say the same.
const TWINS: [(&str, &str); 3] = [("all_again", "all"), ("earned", "revenue"), ("who", "buyers")];

struct Shop {
    dir: tempfile::TempDir,
    log: EmbeddedLog,
    lines: Vec<Vec<u8>>,
    fed: Cell<usize>,
}

impl Shop {
    fn new(events: u64) -> Shop {
        let dir = tempfile::tempdir().unwrap();
        let topology = old();
        let layout = Layout::new(&topology.deployment, topology.partitions, 1, Duration::ZERO);
        let log = EmbeddedLog::open(&dir.path().join("log"), &layout).unwrap();
        let span = 6 * 3_600_000_000;
        let mut generator =
            Generator::new(Shoppers { span, late_per_million: 0, ..Shoppers::new(5, events) });
        let (mut lines, mut line) = (Vec::new(), Vec::new());
        while generator.next_line(&mut line) {
            lines.push(std::mem::take(&mut line));
        }
        Shop { dir, log, lines, fed: Cell::new(0) }
    }

    /// The next events, as a producer sends them.
    fn feed(&self, count: usize) {
        let from = self.fed.get();
        let to = (from + count).min(self.lines.len());
        feed(&self.log, &self.lines[from..to].concat());
        self.fed.set(to);
    }

    fn context(&self, topology: &Arc<Topology>, log: Rc<dyn Log>, control: Arc<Control>) -> Context {
        context(&self.dir.path().join("lake"), topology, log, control)
    }

    /// Runs roles until all is done that stands in the raw topic; what halted instead.
    fn run(&self, topology: &Arc<Topology>, roles: &[Role]) -> Vec<Halt> {
        let control = Arc::new(Control::default());
        control.set_goal(self.log.raw_ends());
        let lake = self.dir.path().join("lake");
        let threads: Vec<_> = roles
            .iter()
            .map(|&role| {
                let (log, topology, control, lake) =
                    (self.log.clone(), topology.clone(), control.clone(), lake.clone());
                thread::spawn(move || {
                    // One of us cleans up behind killed processes; the others do not write objects.
                    let objects = match role {
                        Role::Lake => LocalObjects::open(&lake).unwrap(),
                        Role::Route | Role::Aggregate => LocalObjects::open_read_only(&lake),
                    };
                    drive(role, context_of(objects, &topology, Rc::new(log), control))
                })
            })
            .collect();
        let mut halts = Vec::new();
        while threads.iter().any(|thread| !thread.is_finished()) {
            thread::sleep(Duration::from_millis(20));
            halts = control.halts();
            if !halts.is_empty() {
                // The others come as far as they can.
                thread::sleep(Duration::from_millis(500));
                halts = control.halts();
                control.drain();
                break;
            }
        }
        threads.into_iter().for_each(|thread| drop(thread.join().unwrap()));
        halts
    }

    #[track_caller]
    fn runs(&self, topology: &Arc<Topology>) {
        assert_eq!(self.run(topology, &[Role::Route, Role::Aggregate, Role::Lake]), []);
    }

    fn cutover(&self, log: Rc<dyn Log>) -> Result<Plan, Refused> {
        let context = self.context(&old(), log, Arc::default());
        now(Box::pin(cutover::apply(&context, &new())))
    }

    #[track_caller]
    fn cuts_over(&self) -> Plan {
        self.cutover(Rc::new(self.log.clone())).unwrap()
    }

    fn commit(&self, partition: Partition, offset: CommittedOffset) {
        let mut consumer = self.log.consumer(Role::Route);
        assert!(matches!(now(consumer.poll(1, Duration::ZERO)).unwrap(), Polled::Assigned(_)));
        now(consumer.commit(partition, offset)).unwrap();
        now(consumer.leave()).unwrap();
    }

    /// The lake says the same of every row.
    #[track_caller]
    fn balances(&self, topology: &Topology) {
        let objects = LocalObjects::open_read_only(&self.dir.path().join("lake"));
        let mut reader = self.log.reader();
        let verified = thalweg::verify::verify(topology, &mut *reader, &objects, "", |_, _| ());
        let report = now(Box::pin(verified)).unwrap();
        assert!(report.is_green(), "{:#?}", &report.differences[..report.differences.len().min(3)]);
        assert_eq!(report.raw_records, self.fed.get() as u64);
        // Rows of a time in between still show what was taken away later.
        let is_expected = |what: &String| what.ends_with("which a cut-over took away");
        assert!(report.not_provable.iter().all(is_expected), "{:?}", report.not_provable);
        assert!(report.rows > 100, "{report:?}");
    }

    /// Every record that was ever written to `metrics`, as JSON; tombstones and positions left out.
    fn history(&self) -> Vec<(String, Value)> {
        let mut reader = self.log.reader();
        let mut all = Vec::new();
        for partition in (0..4).map(Partition) {
            let place = TopicPartition { topic: Topic::Metrics, partition };
            let ends = now(reader.ends(place, Isolation::ReadCommitted)).unwrap();
            let mut at = ends.first;
            while at < ends.next {
                let batch = now(reader.read(place, at, 1 << 20)).unwrap();
                for record in &batch.records {
                    let key = String::from_utf8(batch.key(record).unwrap().to_vec()).unwrap();
                    if let Some(value) = batch.value(record).filter(|_| !key.starts_with("{\"position\"")) {
                        all.push((key, serde_json::from_slice(value).unwrap()));
                    }
                }
                at = batch.next;
            }
        }
        all
    }

    /// No record of the metrics ever had a part of a number. Says how many had a whole one of a new value.
    #[track_caller]
    fn nothing_is_partial(&self) -> usize {
        let mut whole = 0;
        for (key, row) in self.history() {
            let values = &row["values"];
            for (new, old) in TWINS {
                if !key.contains("\"vendor\"") || values[new].is_null() {
                    continue;
                }
                if key.contains("\"ever\"") {
                    assert!(row["since"][new].is_string(), "{key} {row}");
                    continue;
                }
                assert_eq!(values[new], values[old], "{key} {row}");
                assert!(row["since"].is_null(), "{key} {row}");
                whole += 1;
            }
            if values["all_again"].is_null() {
                assert!(values["share"].is_null(), "{key} {row}");
            }
        }
        whole
    }

    /// Old values of calendar windows, as they stand now: no cut-over may move them.
    fn old_values(&self) -> BTreeMap<String, String> {
        let names: Vec<String> =
            old().aggregates.iter().flat_map(|it| &it.values).map(|value| value.name.clone()).collect();
        let of = |row: &Value| {
            names.iter().map(|name| format!("{name} {} ", row["values"][name])).collect::<String>()
        };
        let rows = self.history().into_iter().filter(|(key, _)| !key.contains("rolling"));
        rows.map(|(key, row)| (key, of(&row))).collect()
    }
}

fn context(lake: &Path, topology: &Arc<Topology>, log: Rc<dyn Log>, control: Arc<Control>) -> Context {
    context_of(LocalObjects::open_read_only(lake), topology, log, control)
}

fn context_of(
    objects: LocalObjects,
    topology: &Arc<Topology>,
    log: Rc<dyn Log>,
    control: Arc<Control>,
) -> Context {
    let settings =
        Settings { events_clock: true, commit_every: Duration::from_millis(50), ..Settings::default() };
    Context {
        topology: topology.clone(),
        log,
        objects: Rc::new(objects),
        clock: Rc::new(WallClock),
        settings,
        control,
    }
}

fn drive(role: Role, context: Context) -> Result<Outcome, Failure> {
    match role {
        Role::Route => now(Box::pin(route::run(context))),
        Role::Aggregate => now(Box::pin(aggregate::run(context))),
        Role::Lake => now(Box::pin(lake::run(context, Rc::new(Parquet)))),
    }
}

fn feed(log: &EmbeddedLog, lines: &[u8]) {
    let mut lines = lines;
    log.append_input(Input::Stream(&mut lines), false, &mut |_| ControlFlow::Continue(())).unwrap();
}

/// The same events without any cut-over.
fn undisturbed(events: u64) -> BTreeMap<String, String> {
    let shop = Shop::new(events);
    shop.feed(events as usize);
    shop.runs(&old());
    shop.old_values()
}

#[test]
fn a_value_that_comes_while_events_go_on_is_never_a_part_of_a_number() {
    let shop = Shop::new(3_000);
    shop.feed(900);
    shop.runs(&old());
    shop.feed(300);

    let plan = thread::scope(|scope| {
        let (log, rest) = (shop.log.clone(), shop.lines[1_200..1_500].to_vec());
        let producer = scope.spawn(move || {
            for lines in rest.chunks(10) {
                feed(&log, &lines.concat());
                thread::sleep(Duration::from_millis(2));
            }
        });
        let plan = shop.cuts_over();
        producer.join().unwrap();
        plan
    });
    shop.fed.set(1_500);

    let cuts: u64 = plan.cuts.iter().map(|cut| cut.at.0).sum();
    assert!((1_200..=1_500).contains(&cuts), "{plan:?}");
    for more in [100, 700, 700] {
        shop.feed(more);
        shop.runs(&new());
    }
    assert!(shop.nothing_is_partial() > 300);
    assert_eq!(shop.old_values(), undisturbed(3_000));
    shop.balances(&new());
    assert!(shop.cuts_over().is_done(), "nothing is left to be done");
}

/// The old workers need not run again: what they left is counted by their rules all the same.
#[test]
fn what_was_never_counted_is_counted_by_the_topology_that_routed_it() {
    let shop = Shop::new(2_000);
    shop.feed(1_000);
    assert_eq!(shop.run(&old(), &[Role::Route]), []);
    shop.cuts_over();

    shop.feed(1_000);
    shop.runs(&new());

    assert!(shop.nothing_is_partial() > 100);
    assert_eq!(shop.old_values(), undisturbed(2_000));
}

#[test]
fn an_old_worker_stops_at_the_cut_over_by_name_and_commits_what_lies_before() {
    let shop = Shop::new(1_000);
    shop.feed(500);
    shop.runs(&old());
    shop.feed(100);
    shop.cuts_over();

    let halts = shop.run(&old(), &[Role::Aggregate]);
    let routed = shop.run(&old(), &[Role::Route]);
    shop.feed(400);
    shop.runs(&new());

    assert_eq!(halts.len(), 4, "{halts:?}");
    assert!(halts[0].reason.contains("another configuration than this worker's"), "{halts:?}");
    assert!(routed[0].reason.contains("`thalweg cutover OLD NEW` changes it"), "{routed:?}");
    shop.nothing_is_partial();
    assert_eq!(shop.old_values(), undisturbed(1_000));
}

/// A zombie's last commit may come behind the cut-over's.
#[test]
fn a_late_commit_of_the_old_version_is_harmless() {
    let shop = Shop::new(1_000);
    shop.feed(500);
    shop.runs(&old());
    let late = now(shop.log.reader().committed(Role::Route, Partition(0))).unwrap().unwrap();
    shop.feed(100);
    shop.cuts_over();
    shop.feed(100);
    shop.commit(Partition(0), late);

    shop.feed(300);
    shop.runs(&new());

    shop.nothing_is_partial();
    assert_eq!(shop.old_values(), undisturbed(1_000));
}

#[test]
fn there_and_back_and_there_again_begins_a_value_anew() {
    let shop = Shop::new(3_000);
    let (old, new) = (old(), new());
    let over = |from: &Arc<Topology>, to: &Arc<Topology>| {
        let context = shop.context(from, Rc::new(shop.log.clone()), Arc::default());
        now(Box::pin(cutover::apply(&context, to))).unwrap()
    };
    shop.feed(500);
    shop.runs(&old);
    over(&old, &new);
    shop.feed(800);
    shop.runs(&new);
    over(&new, &old);
    shop.feed(300);
    shop.runs(&old);
    over(&old, &new);
    shop.feed(1_400);
    shop.runs(&new);
    shop.balances(&new);

    assert!(shop.nothing_is_partial() > 100);
    assert_eq!(shop.old_values(), undisturbed(3_000));
}

#[test]
fn what_no_cut_over_can_bring_is_refused_before_anything_is_touched() {
    let shop = Shop::new(100);
    shop.feed(100);
    let refused = |from: &str, to: &str| {
        let text = old().text.replacen(from, to, 1);
        let new = Arc::new(check(&text).unwrap_or_else(|problems| panic!("{problems:?}")));
        let context = shop.context(&old(), Rc::new(shop.log.clone()), Arc::default());
        now(Box::pin(cutover::apply(&context, &new))).unwrap_err().to_string()
    };

    let meaning = refused("all: { count: events }", "all: { count: elements }");
    let gone = refused("windows: [hour, day,", "windows: [day,");

    assert!(meaning.contains("needs a new name: aggregates.vendor.values.all"), "{meaning}");
    assert!(gone.contains("aggregates.vendor.windows: hour is gone"), "{gone}");
    assert!(now(shop.log.reader().committed(Role::Route, Partition(0))).unwrap().is_none());
}

/// A log on which one step is the last: the one that many sends and commits come before.
struct Dying {
    log: EmbeddedLog,
    left: Rc<Cell<u32>>,
    /// The last step still reaches the log, and its answer is lost.
    is_done: bool,
}

fn died() -> Failure {
    Failure::new(Reaction::Halt, "died")
}

/// Whether this step may be made, and whether it is answered.
fn step(left: &Cell<u32>, is_done: bool) -> (bool, bool) {
    match left.get() {
        0 => (false, false),
        1 => {
            left.set(0);
            (is_done, false)
        }
        more => {
            left.set(more - 1);
            (true, true)
        }
    }
}

impl Log for Dying {
    fn reader(&self) -> Box<dyn Reader> {
        self.log.reader()
    }

    fn consumer(&self, role: Role) -> Box<dyn Consumer> {
        Box::new(Mortal { inner: self.log.consumer(role), left: self.left.clone(), is_done: self.is_done })
    }

    fn producer(&self) -> Box<dyn Producer> {
        Box::new(Mortal { inner: self.log.producer(), left: self.left.clone(), is_done: self.is_done })
    }

    fn transactions(&self) -> Pending<'_, Box<dyn Transactions>> {
        self.log.transactions()
    }
}

struct Mortal<T: ?Sized> {
    left: Rc<Cell<u32>>,
    is_done: bool,
    inner: Box<T>,
}

impl Producer for Mortal<dyn Producer> {
    fn send(&mut self, to: TopicPartition, record: OutRecord) -> Ticket {
        match step(&self.left, self.is_done) {
            (true, _) => self.inner.send(to, record),
            (false, _) => Ticket(u64::MAX),
        }
    }

    fn queued_bytes(&self) -> usize {
        self.inner.queued_bytes()
    }

    fn deliveries(&mut self, wait: Duration) -> Pending<'_, Vec<Delivery>> {
        if self.left.get() == 0 {
            // What was sent arrives all the same.
            return Box::pin(async move { self.inner.deliveries(wait).await.and(Err(died())) });
        }
        self.inner.deliveries(wait)
    }
}

impl Consumer for Mortal<dyn Consumer> {
    fn poll(&mut self, bytes_max: usize, wait: Duration) -> Pending<'_, Polled> {
        self.inner.poll(bytes_max, wait)
    }

    fn start(&mut self, partition: Partition, at: NextOffset) -> Pending<'_, ()> {
        self.inner.start(partition, at)
    }

    fn release(&mut self, partitions: &[Partition]) -> Pending<'_, ()> {
        self.inner.release(partitions)
    }

    fn pause(&mut self, partition: Partition) {
        self.inner.pause(partition);
    }

    fn resume(&mut self, partition: Partition) {
        self.inner.resume(partition);
    }

    fn committed(&mut self, partition: Partition) -> Pending<'_, Option<CommittedOffset>> {
        self.inner.committed(partition)
    }

    fn commit(&mut self, partition: Partition, offset: CommittedOffset) -> Pending<'_, ()> {
        match step(&self.left, self.is_done) {
            (true, true) => self.inner.commit(partition, offset),
            (true, false) => {
                Box::pin(async move { self.inner.commit(partition, offset).await.and(Err(died())) })
            }
            (false, _) => Box::pin(std::future::ready(Err(died()))),
        }
    }

    fn membership(&mut self) -> Option<Membership> {
        self.inner.membership()
    }

    fn leave(&mut self) -> Pending<'_, ()> {
        self.inner.leave()
    }
}

#[test]
fn a_cut_over_that_dies_at_any_step_is_made_good_by_the_next_one() {
    const EVENTS: u64 = 600;
    let expected = undisturbed(EVENTS);
    let mut steps = 0;
    for dies_at in 1.. {
        for is_done in [false, true] {
            let shop = Shop::new(EVENTS);
            let counts = |topology: &Arc<Topology>| shop.run(topology, &[Role::Route, Role::Aggregate]);
            shop.feed(200);
            assert_eq!(counts(&old()), []);
            shop.feed(50);
            let left = Rc::new(Cell::new(dies_at));
            let first = shop.cutover(Rc::new(Dying { log: shop.log.clone(), left, is_done }));
            if first.is_ok() && !is_done {
                steps = dies_at;
                break;
            }
            // Whoever does not know of it goes on with the old topology: before, and behind, what stands already.
            shop.feed(50);
            if dies_at % 2 == 0 {
                counts(&old());
            }

            let again = shop.cuts_over();
            shop.feed(EVENTS as usize);
            assert_eq!(counts(&new()), []);

            let died_at = format!("died at step {dies_at}, done: {is_done}, then {again:?}");
            shop.nothing_is_partial();
            assert!(shop.old_values() == expected, "{died_at}");
        }
        if steps > 0 {
            break;
        }
    }
    // Blocks, links and letters of the old version, its commits, four records, two commits.
    assert!(steps > 10, "only {steps} steps");
}

/// A zombie of the old version may write while the record is on its way.
#[test]
fn a_target_that_took_more_than_the_cut_goes_over_behind_that() {
    let shop = Shop::new(1_000);
    shop.feed(400);
    shop.runs(&old());
    // The record is lost on its way to the last targets.
    let left = Rc::new(Cell::new(u32::MAX));
    let counting = Rc::new(Dying { log: shop.log.clone(), left: left.clone(), is_done: true });
    let plan = {
        let context = shop.context(&old(), counting.clone(), Arc::default());
        now(Box::pin(cutover::plan(&old(), &new(), &mut *context.log.reader()))).unwrap()
    };
    assert_eq!(plan.targets.len(), 4);
    // Opening links (4), last links (4), then two of four records.
    left.set(10);
    assert!(shop.cutover(counting).is_err());
    shop.feed(200);
    // The old version goes on: two of the targets take it, and the other two know better.
    shop.run(&old(), &[Role::Route, Role::Aggregate]);

    let again = shop.cuts_over();
    shop.feed(400);
    shop.runs(&new());

    assert!(again.is_rerun, "{again:?}");
    assert!(again.targets.contains(&cutover::Told::Already), "{again:?}");
    shop.nothing_is_partial();
    shop.balances(&new());
    assert_eq!(shop.old_values(), undisturbed(1_000));
    let position = now(shop.log.reader().committed(Role::Route, Partition(0))).unwrap().unwrap();
    let position = RoutePosition::parse(&position, 4).unwrap();
    assert_eq!(position.version, RoutingVersion(new().routing_version));
}
