//! The ports of a worker of the small world. What both workers share waits for its turn; what never changes, or is the
//! worker's own, is answered at once.

use super::super::workload::START;
use super::world::{INCARNATION, Late, Next, RECORDS, Shared};
use std::cell::RefCell;
use std::future::poll_fn;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;
use thalweg::model::{
    CommittedOffset, LogTime, NextOffset, Offset, Partition, RecordBatch, Role, Source, Topic, TopicPartition,
};
use thalweg::port::{
    Clock, Consumer, Created, Ends, Failure, Isolation, Log, Membership, Objects, Pending, Polled, Producer,
    Reaction, Reader, TopicFacts, Transactions,
};

type World = Rc<RefCell<Shared>>;

const SOURCE: Source = Source { incarnation: INCARNATION, partition: Partition(0) };

/// What a worker learns from an answer.
trait Told {
    fn tell(&self, to: &mut DefaultHasher);
}

impl Told for bool {
    fn tell(&self, to: &mut DefaultHasher) {
        self.hash(to);
    }
}

impl Told for Created {
    fn tell(&self, to: &mut DefaultHasher) {
        (*self as u8).hash(to);
    }
}

impl Told for Option<Vec<u8>> {
    fn tell(&self, to: &mut DefaultHasher) {
        self.hash(to);
    }
}

impl Told for Option<CommittedOffset> {
    fn tell(&self, to: &mut DefaultHasher) {
        self.as_ref().map(|committed| (committed.next.0, &committed.metadata)).hash(to);
    }
}

/// Waits until this worker's call is chosen, does it, and notes what the worker is told.
async fn turn<T: Told>(
    shared: &World,
    worker: usize,
    next: Next,
    call: impl FnOnce(&mut Shared, bool) -> T,
) -> T {
    poll_fn(|_| {
        if next == Next::Own {
            return Poll::Ready(());
        }
        let side = &mut shared.borrow_mut().sides[worker];
        if std::mem::take(&mut side.may_go) {
            return Poll::Ready(());
        }
        side.next = Some(next);
        Poll::Pending
    })
    .await;
    let mut shared = shared.borrow_mut();
    let delays = next == Next::Write && std::mem::take(&mut shared.delays);
    let answer = call(&mut shared, delays);
    answer.tell(&mut shared.sides[worker].told);
    answer
}

pub(super) struct SmallObjects {
    pub(super) shared: World,
    pub(super) worker: usize,
}

impl Objects for SmallObjects {
    fn create<'a>(&'a self, key: &'a str, body: Vec<u8>) -> Pending<'a, Created> {
        Box::pin(async move {
            let worker = self.worker;
            let create = |shared: &mut Shared, delays| {
                if key.ends_with(".plan") {
                    let mut proposed = DefaultHasher::new();
                    body.hash(&mut proposed);
                    shared.sides[worker].proposed = Some(proposed.finish());
                }
                if delays {
                    shared.late = Some(Late::Create(key.to_owned(), body));
                    return Created::Unknown;
                }
                if shared.create(key, body) { Created::Now } else { Created::Before }
            };
            let next = self.create_of(key);
            Ok(turn(&self.shared, self.worker, next, create).await)
        })
    }

    fn read<'a>(&'a self, key: &'a str) -> Pending<'a, Option<Vec<u8>>> {
        Box::pin(async move {
            let read = |shared: &mut Shared, _| shared.objects.get(key).cloned();
            // What is there stays as it is, and what nobody ever creates here stays away.
            let is_settled = self.shared.borrow().objects.contains_key(key)
                || key.contains("/cp/")
                || key.ends_with(".lost");
            let next = if is_settled { Next::Own } else { Next::Read };
            Ok(turn(&self.shared, self.worker, next, read).await)
        })
    }

    fn read_tail<'a>(&'a self, key: &'a str, _: usize) -> Pending<'a, Option<Vec<u8>>> {
        self.read(key)
    }

    fn list<'a>(&'a self, _: &'a str) -> Pending<'a, Vec<String>> {
        unreachable!("no protocol leans on a list")
    }
}

impl SmallObjects {
    fn create_of(&self, key: &str) -> Next {
        let shared = self.shared.borrow();
        let is_settled = shared.objects.contains_key(key) && shared.delays_left == 0;
        // The topology is the same, whoever stores it.
        if is_settled || key.contains("/config/") { Next::Own } else { Next::Write }
    }
}

pub(super) struct SmallLog {
    pub(super) shared: World,
    pub(super) worker: usize,
}

impl Log for SmallLog {
    fn reader(&self) -> Box<dyn Reader> {
        Box::new(self.member())
    }
    fn consumer(&self, _: Role) -> Box<dyn Consumer> {
        Box::new(self.member())
    }
    fn producer(&self) -> Box<dyn Producer> {
        unreachable!("the lake sends nothing")
    }
    fn transactions(&self) -> Pending<'_, Box<dyn Transactions>> {
        unreachable!("the lake has no transactions")
    }
}

impl SmallLog {
    fn member(&self) -> Member {
        let SmallLog { shared, worker } = self;
        Member { shared: shared.clone(), worker: *worker, is_told: false, at: None, is_paused: false }
    }
}

/// Both workers hold the partition for all their lives, and whoever commits may: more than any group allows.
struct Member {
    shared: World,
    worker: usize,
    is_told: bool,
    at: Option<u64>,
    is_paused: bool,
}

impl Member {
    /// The second worker takes more at a time, so that the ends of their chunks differ.
    fn batch(&self, from: u64, most: u64) -> RecordBatch {
        let mut batch = RecordBatch::empty(SOURCE, NextOffset(from));
        for offset in from..RECORDS.min(from + most) {
            let value = &self.shared.borrow().values[offset as usize];
            batch.push(Offset(offset), LogTime(START), None, Some(value));
        }
        batch.next = NextOffset(RECORDS.min(from + most).max(from));
        batch
    }

    async fn position(&self) -> Result<Option<CommittedOffset>, Failure> {
        let committed = |shared: &mut Shared, _| shared.committed.clone();
        Ok(turn(&self.shared, self.worker, Next::Read, committed).await)
    }
}

impl Consumer for Member {
    fn poll(&mut self, _: usize, wait: Duration) -> Pending<'_, Polled> {
        Box::pin(async move {
            if !std::mem::replace(&mut self.is_told, true) {
                return Ok(Polled::Assigned(vec![Partition(0)]));
            }
            let from = self.at.filter(|&at| !self.is_paused && at < RECORDS);
            let Some(from) = from else {
                self.shared.borrow_mut().sides[self.worker].now += 1 + wait.as_micros() as i64;
                return Ok(Polled::Idle);
            };
            let batch = self.batch(from, 2 + self.worker as u64);
            self.at = Some(batch.next.0);
            Ok(Polled::Records(batch))
        })
    }
    fn start(&mut self, _: Partition, at: NextOffset) -> Pending<'_, ()> {
        self.at = Some(at.0);
        Box::pin(async { Ok(()) })
    }
    fn release(&mut self, _: &[Partition]) -> Pending<'_, ()> {
        Box::pin(async { Ok(()) })
    }
    fn pause(&mut self, _: Partition) {
        self.is_paused = true;
    }
    fn resume(&mut self, _: Partition) {
        self.is_paused = false;
    }
    fn committed(&mut self, _: Partition) -> Pending<'_, Option<CommittedOffset>> {
        Box::pin(async move { self.position().await })
    }
    fn commit(&mut self, _: Partition, offset: CommittedOffset) -> Pending<'_, ()> {
        Box::pin(async move {
            let commit = |shared: &mut Shared, delays| {
                match delays {
                    true => shared.late = Some(Late::Commit(offset.next.0, offset.metadata.clone())),
                    false => shared.commit(offset.clone()),
                }
                !delays
            };
            let next = offset.next;
            match turn(&self.shared, self.worker, Next::Write, commit).await {
                true => {
                    self.shared.borrow_mut().sides[self.worker].has_sealed(next);
                    Ok(())
                }
                false => Err(Failure::new(Reaction::Retry, "the answer to an offset commit was lost")),
            }
        })
    }
    fn membership(&mut self) -> Option<Membership> {
        None
    }
    fn leave(&mut self) -> Pending<'_, ()> {
        Box::pin(async { Ok(()) })
    }
}

impl Reader for Member {
    fn facts(&mut self, _: Topic) -> Pending<'_, TopicFacts> {
        Box::pin(async { Ok(TopicFacts { incarnation: SOURCE.incarnation, partitions: 1 }) })
    }
    fn ends(&mut self, _: TopicPartition, _: Isolation) -> Pending<'_, Ends> {
        Box::pin(async { Ok(Ends { first: NextOffset(0), next: NextOffset(RECORDS) }) })
    }
    fn read(&mut self, _: TopicPartition, from: NextOffset, _: usize) -> Pending<'_, RecordBatch> {
        let batch = self.batch(from.0, RECORDS);
        Box::pin(async move { Ok(batch) })
    }
    fn committed(&mut self, _: Role, _: Partition) -> Pending<'_, Option<CommittedOffset>> {
        Box::pin(async move { self.position().await })
    }
}

/// Time passes only for whoever waits.
pub(super) struct Clockwork {
    pub(super) shared: World,
    pub(super) worker: usize,
}

impl Clock for Clockwork {
    fn now(&self) -> LogTime {
        LogTime(self.shared.borrow().sides[self.worker].now)
    }
    fn sleep(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + '_>> {
        self.shared.borrow_mut().sides[self.worker].now += time.as_micros() as i64;
        Box::pin(async {})
    }
}
