//! Cut-overs that die: at any send or commit, answered or not.

use super::{Shop, new, old, undisturbed};
use crate::objects::now;
use std::cell::Cell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use thalweg::embedded::EmbeddedLog;
use thalweg::model::{
    CommittedOffset, NextOffset, OutRecord, Partition, Role, RoutingVersion, TopicPartition,
};
use thalweg::port::{
    Consumer, Delivery, Failure, Log, Membership, Pending, Polled, Producer, Reaction, Reader, Ticket,
    Transactions,
};
use thalweg::route::RoutePosition;
use thalweg::topology::Topology;
use thalweg::worker::cutover;

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
