//! F26: the broker that leads a part of a transaction dies at the very request that it gets: a record of the state, the
//! group's offsets, the end.

use crate::contract::now;
use crate::deployment::{Deployment, Shape};
use crate::river::produce;
use crate::servers::ports::Port;
use crate::servers::proxy::{Act, END_TXN, Gate, PRODUCE, Request, TXN_OFFSET_COMMIT, proxy};
use crate::servers::{Kafka, S3};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};
use thalweg::model::{Partition, Role};
use thalweg::port::Log;

const NODES: u16 = 3;
const PATIENCE: Duration = Duration::from_secs(60);
const LOOK: Duration = Duration::from_millis(50);

/// Which request is held at whichever broker gets it, and which one did.
#[derive(Default)]
struct Trap {
    api: Option<i16>,
    caught: Option<(u16, Gate)>,
}

impl Trap {
    fn judge(&mut self, node: u16, request: &Request<'_>) -> Act {
        let is_it =
            self.api == Some(request.api()) && (request.api() != PRODUCE || request.is_transactional());
        if !is_it {
            return Act::Pass;
        }
        self.api = None;
        let gate = Gate::default();
        self.caught = Some((node, gate.clone()));
        Act::Hold(gate)
    }
}

#[track_caller]
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + PATIENCE;
    while !is_so() {
        assert!(Instant::now() < end, "{what} did not happen");
        thread::sleep(LOOK);
    }
}

#[test]
fn a_broker_that_dies_at_the_request_that_it_leads_leaves_the_transaction_whole_or_undone() {
    let (Some(setup), Some(store)) = (Kafka::setup(NODES), S3::shared()) else { return };
    let ports: Vec<Port> = (0..NODES).map(|_| Port::reserve()).collect();
    let brokers = setup.ports();
    let numbers: Vec<u16> = ports.iter().map(Port::number).collect();
    let kafka = setup.advertise(&numbers).start();
    let trap = Arc::new(Mutex::new(Trap::default()));
    for (node, (port, broker)) in (1..).zip(ports.iter().zip(brokers)) {
        let trap = Arc::clone(&trap);
        proxy(port, broker, move |request| trap.lock().unwrap().judge(node, request));
    }
    let config = "pace: { commit_every: 200ms, route_commit_every: 200ms }\n";
    let deployment = Deployment::with(&kafka, store, &Shape { config, replication: 3, ..Shape::default() });
    deployment.edit_topology("age: 5m, bytes: 128MiB", "age: 1s, bytes: 1MiB");
    deployment.make_topics();
    let mut worker = deployment.worker(0);
    let (mut events, mut seed) = (0, 0);
    let mut more = || {
        produce(&deployment.log, seed, 100);
        (events, seed) = (events + 100, seed + 1);
    };
    let committed = || -> u64 {
        let mut reader = deployment.log.reader();
        let mut at = |partition| now(reader.committed(Role::Aggregate, Partition(partition)));
        // While leaders move nobody can tell.
        (0..4).map(|partition| at(partition).ok().flatten().map_or(0, |at| at.next.0)).sum()
    };
    more();
    until("a first commit", || committed() > 0);

    for api in [PRODUCE, TXN_OFFSET_COMMIT, END_TXN] {
        let before = committed();
        trap.lock().unwrap().api = Some(api);
        until("the request", || {
            more();
            trap.lock().unwrap().caught.is_some()
        });
        let (node, gate) = trap.lock().unwrap().caught.take().unwrap();
        let began = Instant::now();
        kafka.kill(node);
        gate.release();
        more();
        until("a commit with two nodes", || {
            // One that cannot tell what became of its transaction may have ended; like any supervisor, start it again.
            if let Some(status) = worker.try_wait().unwrap() {
                println!("{status}, and started again");
                worker = deployment.worker(0);
            }
            committed() > before + 20
        });
        println!("api {api} at node {node}: {:?}", began.elapsed());
        kafka.restart(node);
    }
    worker.kill().unwrap();
    worker.wait().unwrap();

    deployment.fine("run", &["--until-idle"]);
    deployment.proved(events);
}
