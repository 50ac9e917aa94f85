//! `cutover`: a topology changes while events go on, and no row is ever a part of a number.

mod dying;
mod stories;

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
use thalweg::model::{CommittedOffset, LogTime, Partition, Role, Topic, TopicPartition};
use thalweg::objects::LocalObjects;
use thalweg::port::{Clock, Failure, Isolation, Log, Polled};
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
