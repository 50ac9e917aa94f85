//! What we need from the world, and the guarantees that the protocols lean on.
//!
//! Adapters implement these traits; `tests/suite/port_contract.rs` is one list of tests that each must
//! pass. Calls are made per batch, never per event, so dynamic dispatch and a boxed future cost
//! nothing. Futures need not be `Send`: one thread owns a role with all of its ports, and the simulator
//! runs them all on one thread.

use crate::model::{
    CommittedOffset, Incarnation, LogTime, NextOffset, Offset, OutBatch, OutRecord, Partition, RecordBatch,
    Topic, TopicPartition,
};
use std::collections::BTreeMap;
use std::error;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T, Failure>> + 'a>>;

/// What the worker does about a failure. Four answers, so that every caller can match on all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reaction {
    /// Try again after a back-off; nothing was lost.
    Retry,
    /// Keep what is committed, drop the rest, make a new producer, and go on from there.
    Replay,
    /// Somebody else owns the partitions now. Drop their state, commit nothing, rejoin.
    Rejoin,
    /// A person has to act first. Halt the partition under a named error; the others go on.
    Halt,
}

/// Any adapter's error, reduced to what the worker needs: what to do, and what to log.
#[derive(Debug)]
pub struct Failure {
    pub reaction: Reaction,
    pub source: Box<dyn error::Error + Send + Sync>,
}

impl Failure {
    pub fn new(reaction: Reaction, source: impl Into<Box<dyn error::Error + Send + Sync>>) -> Self {
        Failure { reaction, source: source.into() }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.source.fmt(f)
    }
}

impl error::Error for Failure {}

/// What the world did to a member of a group since the last poll.
#[derive(Debug)]
pub enum Polled {
    /// Records of one partition that is assigned and not paused.
    Records(RecordBatch),
    /// These came in addition to those held: perhaps none, when the group has members enough. Nothing of them is read
    /// before [`Consumer::start`].
    Assigned(Vec<Partition>),
    /// These are going. They may still be committed, and nothing else happens to the group, until
    /// [`Consumer::release`] answers.
    Revoked(Vec<Partition>),
    /// These are gone: drop their state, commit nothing. Needs no answer.
    Lost(Vec<Partition>),
    /// The wait passed. Not a sign of being at the end.
    Idle,
}

/// Which end of a partition to ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Isolation {
    /// The last stable offset: below every open transaction.
    ReadCommitted,
    /// The broker's high watermark.
    ReadUncommitted,
}

/// First and next offset of a partition as the log holds it now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ends {
    pub first: NextOffset,
    pub next: NextOffset,
}

/// A topic's facts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicFacts {
    pub incarnation: Incarnation,
    pub partitions: u32,
}

/// Reading a log without being a member of any group.
///
/// 1. Records come in the order of their offsets, and a record never changes. Offsets may have
///    holes (compaction, markers, expiry); a hole is not a loss.
/// 2. `read` with [`Isolation::ReadCommitted`] never shows a record of an open or aborted transaction,
///    and none above the last stable offset.
/// 3. A `read` below the first offset that is left is a failure to halt on, never a silent skip.
pub trait Reader {
    fn facts(&mut self, topic: Topic) -> Pending<'_, TopicFacts>;
    fn ends(&mut self, at: TopicPartition, isolation: Isolation) -> Pending<'_, Ends>;
    /// Records from `from` on (committed ones only), at most about `bytes_max` but at least one if there is
    /// any; empty at the end. The batch's `next` moves over holes.
    fn read(&mut self, at: TopicPartition, from: NextOffset, bytes_max: usize) -> Pending<'_, RecordBatch>;
    /// The committed position of a group, asked from outside of it.
    fn committed(
        &mut self,
        role: crate::model::Role,
        partition: Partition,
    ) -> Pending<'_, Option<CommittedOffset>>;
}

/// One member of a role's consumer group, reading the role's input topic (raw for route and lake,
/// repartition for aggregate) with `read_committed`.
///
/// 1. A partition hands out its records in order, and none above the last stable offset.
/// 2. No two members hold a partition in the same generation.
/// 3. An offset commit from an older generation is refused ([`Reaction::Rejoin`]).
/// 4. Commits of one member may arrive late, twice or out of order; a position read back is one that was committed.
pub trait Consumer {
    /// Waits at most `wait` for something to happen.
    fn poll(&mut self, bytes_max: usize, wait: Duration) -> Pending<'_, Polled>;
    /// Reads a partition from `at` on: the answer to `Assigned`, and the way back after an abort.
    fn start(&mut self, partition: Partition, at: NextOffset) -> Pending<'_, ()>;
    /// The answer to `Revoked`.
    fn release(&mut self, partitions: &[Partition]) -> Pending<'_, ()>;
    fn pause(&mut self, partition: Partition);
    fn resume(&mut self, partition: Partition);
    fn committed(&mut self, partition: Partition) -> Pending<'_, Option<CommittedOffset>>;
    /// A plain commit, checked against the generation. Never used by `aggregate`.
    fn commit(&mut self, partition: Partition, offset: CommittedOffset) -> Pending<'_, ()>;
    /// What a transaction's offsets are checked against; `None` while not a member, and then
    /// no transaction may be committed.
    fn membership(&mut self) -> Option<Membership>;
    /// Leaves the group in order, after the last release.
    fn leave(&mut self) -> Pending<'_, ()>;
}

/// Generation and member id as the broker gave them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    pub generation: i32,
    pub member: String,
}

/// Number of a send, rising from 0 in each producer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Ticket(pub u64);

/// What became of a send.
#[derive(Debug)]
pub struct Delivery {
    pub ticket: Ticket,
    /// Where it stands in the log and when the log took it (topics stamp `LogAppendTime`).
    pub outcome: Result<(Offset, LogTime), Failure>,
}

/// An idempotent producer (`acks=all`) without transactions.
///
/// 1. A delivery that is reported as done stands in the log for good. (Only once the broker holds
///    state for this producer and partition: so the first record to each is sent alone.)
/// 2. Records to one partition stand in the order of their sends, if all were delivered. After a failed
///    one later ones may still stand: the caller ends the session.
/// 3. A delivery that is reported as failed may stand in the log all the same, now or later.
pub trait Producer {
    /// Queues a record. Never blocks; [`Producer::queued_bytes`] tells when to wait.
    fn send(&mut self, to: TopicPartition, record: OutRecord) -> Ticket;
    fn queued_bytes(&self) -> usize;
    /// Deliveries since the last call, in any order; waits up to `wait` for the first.
    fn deliveries(&mut self, wait: Duration) -> Pending<'_, Vec<Delivery>>;
}

/// How a commit ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    Clean,
    /// It is done, but its end was sent more than once: what committed stays; the transaction must be read
    /// back, and a new producer made before the next one begins.
    Tainted,
}

/// A transactional producer of `aggregate`.
///
/// 1. Records and offsets of one transaction become visible together, or not at all.
/// 2. Making a producer with the same id fences the one before it: a transaction of that one can no
///    longer be committed.
/// 3. Offsets are checked against the membership that is sent with them.
///
/// A second `begin` after an abort or a tainted commit needs a new producer (new epoch).
pub trait Transactions {
    fn begin(&mut self) -> Pending<'_, ()>;
    fn send<'a>(&'a mut self, to: TopicPartition, records: &'a OutBatch) -> Pending<'a, ()>;
    /// A record that may lack a key and has any headers: for verbs, one by one.
    fn send_one<'a>(&'a mut self, to: TopicPartition, record: &'a OutRecord) -> Pending<'a, ()>;
    /// Offsets are the *next* to read. Never empty.
    fn send_offsets(
        &mut self,
        offsets: &BTreeMap<Partition, NextOffset>,
        member: &Membership,
    ) -> Pending<'_, ()>;
    /// `Err` means that it did not commit, unless the reaction is `Rejoin`: then nobody here knows, and the state must be
    /// dropped and restored.
    fn commit(&mut self) -> Pending<'_, Ended>;
    fn abort(&mut self) -> Pending<'_, ()>;
}

/// Makes the log's handles for one role of one worker. A new producer is a new epoch.
pub trait Log {
    fn reader(&self) -> Box<dyn Reader>;
    fn consumer(&self, role: crate::model::Role) -> Box<dyn Consumer>;
    fn producer(&self) -> Box<dyn Producer>;
    /// `init_transactions`: aborts what its predecessor with the same id left open, and fences it.
    fn transactions(&self) -> Pending<'_, Box<dyn Transactions>>;
}

/// Where the lake is kept. Its protocol leans on three guarantees:
///
/// 1. For one key, `create` answers [`Created::Now`] at most once, whoever calls and how often.
/// 2. What was created is found by every later `read`, whole, and its bytes never change.
/// 3. Whoever cannot tell answers [`Created::Unknown`]. Silence is never read as "no".
///
/// The start-up probe checks the first on every store.
pub trait Objects {
    fn create<'a>(&'a self, key: &'a str, body: Vec<u8>) -> Pending<'a, Created>;
    fn read<'a>(&'a self, key: &'a str) -> Pending<'a, Option<Vec<u8>>>;
    /// The last `len` bytes (all of it if it is shorter): a Parquet footer in one request.
    fn read_tail<'a>(&'a self, key: &'a str, len: usize) -> Pending<'a, Option<Vec<u8>>>;
    /// Keys that begin with `prefix`, sorted. For `verify` and people; no protocol leans on it.
    fn list<'a>(&'a self, prefix: &'a str) -> Pending<'a, Vec<String>>;
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Created {
    Now,
    Before,
    Unknown,
}

/// This machine's clock. No protocol decides by it: it paces commits, links, rolls and back-offs.
pub trait Clock {
    fn now(&self) -> LogTime;
    fn sleep(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + '_>>;
}
