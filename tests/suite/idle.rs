//! `--until-idle`: what a loop has seen to when it says that everything is done.

use crate::objects::now;
use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use thalweg::embedded::{EmbeddedLog, Input, Layout};
use thalweg::model::{LogTime, NextOffset, OutBatch, OutRecord, Partition, Role, Topic, TopicPartition};
use thalweg::objects::LocalObjects;
use thalweg::port::{
    Clock, Consumer, Ended, Failure, Isolation, Log, Membership, Pending, Producer, Reaction, Reader,
    Transactions,
};
use thalweg::topology::Topology;
use thalweg::worker::{Context, Control, Outcome, Settings, aggregate, route};

/// Stands still: nothing is done because it is time.
struct NoClock;

impl Clock for NoClock {
    fn now(&self) -> LogTime {
        LogTime(1_793_491_200_000_000)
    }

    fn sleep(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + '_>> {
        thread::sleep(time);
        Box::pin(std::future::ready(()))
    }
}

fn marketplace() -> Arc<Topology> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/topologies/marketplace/topology.yaml");
    Arc::new(thalweg::topology::check(&std::fs::read_to_string(path).unwrap()).unwrap())
}

/// With everything that stands in the log now for a goal.
fn context(embedded: &EmbeddedLog, log: Rc<dyn Log>, topology: &Arc<Topology>, dir: &Path) -> Context {
    let control = Arc::new(Control::default());
    control.set_goal(embedded.raw_ends());
    Context {
        topology: Arc::clone(topology),
        log,
        objects: Rc::new(LocalObjects::open_read_only(dir)),
        clock: Rc::new(NoClock),
        settings: Settings::default(),
        control,
    }
}

fn route_until_idle(log: &EmbeddedLog, topology: &Arc<Topology>, dir: &Path) -> Outcome {
    let context = context(log, Rc::new(log.clone()), topology, dir);
    now(Box::pin(route::run(context))).unwrap()
}

/// Two events, as yet read by nobody.
fn two_events(dir: &Path, topology: &Topology) -> EmbeddedLog {
    let layout = Layout::new(&topology.deployment, topology.partitions, 1, Duration::ZERO);
    let log = EmbeddedLog::open(&dir.join("log"), &layout).unwrap();
    let mut lines = &b"{\"ts\":\"2026-11-02T10:00:05Z\"}\n{\"ts\":\"2026-11-02T10:00:06Z\"}\n"[..];
    let go_on = &mut |_| std::ops::ControlFlow::Continue(());
    log.append_input(Input::Stream(&mut lines), false, go_on).unwrap();
    log
}

fn repartition_ends(log: &EmbeddedLog, topology: &Topology) -> BTreeMap<Partition, NextOffset> {
    let mut reader = log.reader();
    let end = |partition| {
        let at = TopicPartition { topic: Topic::Repartition, partition: Partition(partition) };
        (Partition(partition), now(reader.ends(at, Isolation::ReadCommitted)).unwrap().next)
    };
    (0..topology.partitions).map(end).collect()
}

/// An earlier run may have committed all of its input and been stopped before it could say so to the targets. Who goes on
/// has to say it: `aggregate` waits for these links.
#[test]
fn a_route_that_finds_all_of_it_committed_still_tells_every_target_so() {
    let dir = tempfile::tempdir().unwrap();
    let topology = marketplace();
    let log = two_events(dir.path(), &topology);
    assert_eq!(route_until_idle(&log, &topology, dir.path()), Outcome::Idle);
    let before = repartition_ends(&log, &topology);

    assert_eq!(route_until_idle(&log, &topology, dir.path()), Outcome::Idle);

    for (target, end) in repartition_ends(&log, &topology) {
        assert!(end > before[&target], "target {target} heard nothing");
    }
}

/// A log that refuses commits of transactions, so many of them.
struct Refusing {
    log: EmbeddedLog,
    left: Rc<Cell<u32>>,
}

struct RefusedTransactions {
    inner: Box<dyn Transactions>,
    left: Rc<Cell<u32>>,
}

impl Log for Refusing {
    fn reader(&self) -> Box<dyn Reader> {
        self.log.reader()
    }

    fn consumer(&self, role: Role) -> Box<dyn Consumer> {
        self.log.consumer(role)
    }

    fn producer(&self) -> Box<dyn Producer> {
        self.log.producer()
    }

    fn transactions(&self) -> Pending<'_, Box<dyn Transactions>> {
        Box::pin(async {
            let inner = self.log.transactions().await?;
            Ok(Box::new(RefusedTransactions { inner, left: Rc::clone(&self.left) }) as Box<dyn Transactions>)
        })
    }
}

impl Transactions for RefusedTransactions {
    fn begin(&mut self) -> Pending<'_, ()> {
        self.inner.begin()
    }

    fn send<'a>(&'a mut self, to: TopicPartition, records: &'a OutBatch) -> Pending<'a, ()> {
        self.inner.send(to, records)
    }

    fn send_one<'a>(&'a mut self, to: TopicPartition, record: &'a OutRecord) -> Pending<'a, ()> {
        self.inner.send_one(to, record)
    }

    fn send_offsets(
        &mut self,
        offsets: &BTreeMap<Partition, NextOffset>,
        member: &Membership,
    ) -> Pending<'_, ()> {
        self.inner.send_offsets(offsets, member)
    }

    fn commit(&mut self) -> Pending<'_, Ended> {
        match self.left.get() {
            0 => self.inner.commit(),
            left => {
                self.left.set(left - 1);
                Box::pin(std::future::ready(Err(Failure::new(Reaction::Replay, "refused"))))
            }
        }
    }

    fn abort(&mut self) -> Pending<'_, ()> {
        self.inner.abort()
    }
}

#[test]
fn an_aggregate_whose_last_commit_was_refused_is_not_done() {
    let dir = tempfile::tempdir().unwrap();
    let topology = marketplace();
    let log = two_events(dir.path(), &topology);
    assert_eq!(route_until_idle(&log, &topology, dir.path()), Outcome::Idle);
    let left = Rc::new(Cell::new(2));
    let refusing = Refusing { log: log.clone(), left: Rc::clone(&left) };

    let context = context(&log, Rc::new(refusing), &topology, dir.path());
    assert_eq!(now(Box::pin(aggregate::run(context))).unwrap(), Outcome::Idle);

    assert_eq!(left.get(), 0, "both were refused");
    let mut reader = log.reader();
    for (partition, end) in repartition_ends(&log, &topology) {
        let committed = now(reader.committed(Role::Aggregate, partition)).unwrap();
        assert_eq!(committed.map(|committed| committed.next), Some(end), "{partition}");
    }
}
