//! `--until-idle`: what a loop has seen to when it says that everything is done.

use crate::objects::now;
use std::collections::BTreeMap;
use std::path::Path;
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;
use std::time::Duration;
use thalweg::embedded::{EmbeddedLog, Input, Layout};
use thalweg::model::{LogTime, NextOffset, Partition, Topic, TopicPartition};
use thalweg::objects::LocalObjects;
use thalweg::port::{Clock, Isolation, Log};
use thalweg::topology::Topology;
use thalweg::worker::{Context, Control, Outcome, Settings, route};

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

fn route_until_idle(log: &EmbeddedLog, topology: &Arc<Topology>, dir: &Path) -> Outcome {
    let control = Arc::new(Control::default());
    control.set_goal(log.raw_ends());
    let context = Context {
        topology: Arc::clone(topology),
        log: Rc::new(log.clone()),
        objects: Rc::new(LocalObjects::open_read_only(dir)),
        clock: Rc::new(NoClock),
        settings: Settings::default(),
        control,
    };
    now(Box::pin(route::run(context))).unwrap()
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
    let layout = Layout::new(&topology.deployment, topology.partitions, 1, Duration::ZERO);
    let log = EmbeddedLog::open(&dir.path().join("log"), &layout).unwrap();
    let mut lines = &b"{\"ts\":\"2026-11-02T10:00:05Z\"}\n{\"ts\":\"2026-11-02T10:00:06Z\"}\n"[..];
    let go_on = &mut |_| std::ops::ControlFlow::Continue(());
    log.append_input(Input::Stream(&mut lines), false, go_on).unwrap();
    assert_eq!(route_until_idle(&log, &topology, dir.path()), Outcome::Idle);
    let before = repartition_ends(&log, &topology);

    assert_eq!(route_until_idle(&log, &topology, dir.path()), Outcome::Idle);

    for (target, end) in repartition_ends(&log, &topology) {
        assert!(end > before[&target], "target {target} heard nothing");
    }
}
