//! The engine's own log in a directory: a real, durable way to run on one machine.
//!
//! In: records, transactions, offset commits and lines of input, from the roles' threads. Out: the
//! same through [`port::Log`], after any kill. One writer groups what all roles want
//! into one store transaction (redb: ACID, copy on write) and answers when it is on disk; readers see
//! what is committed. A transaction of ours is buffered and becomes part of one store transaction, so
//! no open one is ever visible and offsets have no holes but those of compaction.
//!
//! Promises: one process writes to a directory, any number read it meanwhile; append time never falls;
//! what is damaged is refused, never counted. Never: deletes what it did not make, or answers before
//! the disk did. A failure of the disk stops the log; what was answered is there at the next start.
//!
//! Costs, per event of 423 bytes: one copy and a checksum on the way in, the same on the way out.

mod consumer;
mod error;
mod input;
mod layout;
mod lock;
mod maintain;
mod partition;
mod producer;
mod reader;
mod run;
mod shared;
mod store;
mod transactions;
mod writer;

pub use error::Error;
pub use input::{Input, InputProgress, InputReport};
pub use layout::{Cleanup, Layout, RAW_PARTITIONS, TopicLayout};
pub use maintain::Upkeep;

use crate::model::{LogTime, NextOffset, Partition, Role, Topic, TopicPartition};
use crate::port::{self, Pending, TopicFacts};
use lock::DirectoryLock;
use maintain::Maintenance;
use partition::PartitionRow;
use shared::Shared;
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::mpsc::{self, Sender};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::SystemTime;
use store::Store;
use writer::{Answer, Job, WallClock, Writer};

/// How a log is opened. The defaults are what `run` uses.
#[derive(Clone)]
pub struct Options {
    /// What another process is told when it finds the directory locked.
    pub command: String,
    /// Stamps records. Tests set it; a falling clock does no harm.
    pub clock: Arc<dyn Fn() -> LogTime + Send + Sync>,
    /// Pages of the store kept in memory.
    pub cache_bytes: usize,
    pub upkeep: Upkeep,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            command: "thalweg".to_owned(),
            clock: Arc::new(wall_clock),
            cache_bytes: 64 << 20,
            upkeep: Upkeep::default(),
        }
    }
}

fn wall_clock() -> LogTime {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    LogTime(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

/// The log of one directory. Clones share it; the directory stays locked until the last one is gone,
/// the handles that [`port::Log`] makes included.
#[derive(Clone)]
pub struct EmbeddedLog {
    inner: Arc<Inner>,
}

/// What all handles share. Dropping it ends the writer.
struct Inner {
    store: Arc<Store>,
    shared: Arc<Shared>,
    jobs: Mutex<Sender<Job>>,
    writer: Mutex<Option<JoinHandle<()>>>,
    _lock: DirectoryLock,
}

impl EmbeddedLog {
    /// Opens the log in `dir`, or makes one there.
    pub fn open(dir: &Path, layout: &Layout) -> Result<Self, Error> {
        Self::open_with(dir, layout, Options::default())
    }

    pub fn open_with(dir: &Path, layout: &Layout, options: Options) -> Result<Self, Error> {
        let lock = DirectoryLock::take(dir, &options.command)?;
        let store = Arc::new(Store::open(dir, layout, options.cache_bytes)?);
        let rows = rows(&store)?;
        let cleanups = cleanups(layout);
        let shared = Arc::new(Shared::default());
        shared.change(|state| state.ends = rows.iter().map(|(&at, row)| (at, row.ends())).collect());
        let (jobs, received) = mpsc::channel();
        let writer = Writer {
            store: store.clone(),
            shared: shared.clone(),
            jobs: received,
            maintenance: Maintenance::new(options.upkeep, cleanups, (options.clock)().0),
            clock: options.clock as WallClock,
            rows,
            members: BTreeMap::new(),
            generation: 0,
            epoch: 0,
        };
        let spawned = thread::Builder::new().name("log writer".to_owned()).spawn(|| writer.run());
        let writer = spawned.map_err(|source| Error::io("start the writer of", dir, source))?;
        let writer = Mutex::new(Some(writer));
        let inner = Inner { store, shared, jobs: Mutex::new(jobs), writer, _lock: lock };
        Ok(EmbeddedLog { inner: Arc::new(inner) })
    }

    /// Where each raw partition ends now: with nothing more appended, the goal of `--until-idle`.
    pub fn raw_ends(&self) -> BTreeMap<Partition, NextOffset> {
        self.inner.shared.look(|state| {
            let raw = state.ends.iter().filter(|(at, _)| at.topic == Topic::Raw);
            raw.map(|(at, ends)| (at.partition, ends.next)).collect()
        })
    }

    /// Bytes of all records of a topic as they lie in the store.
    pub fn bytes(&self, topic: Topic) -> Result<u64, Error> {
        let partitions = self.inner.store.topic(topic)?.partitions;
        let bytes = |partition| Ok(self.inner.store.partition(at(topic, partition))?.bytes);
        (0..partitions).map(bytes).sum()
    }

    /// Forgets at once all that compaction and expiry would forget in time.
    pub fn maintain_now(&self) -> Result<(), Error> {
        self.inner.ask(|answer| Job::Maintain { answer })
    }

    /// Why the log stopped, if it did: a full disk, a damaged file.
    pub fn failure(&self) -> Option<Arc<Error>> {
        self.inner.shared.look(|state| state.stopped.clone())
    }
}

impl Inner {
    fn submit(&self, job: Job) {
        // A writer that is gone drops the job, and with it the answer: `ask` notices.
        let _ = self.jobs.lock().expect("no thread panics while it sends").send(job);
    }

    /// Hands a job to the writer and waits for its answer.
    fn ask<T: Send + 'static>(&self, job: impl FnOnce(Answer<T>) -> Job) -> Result<T, Error> {
        self.shared.check()?;
        let (sender, answer) = mpsc::channel();
        self.submit(job(writer::reply(sender)));
        answer.recv().unwrap_or(Err(Error::Closed))
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.submit(Job::Stop);
        let writer = self.writer.lock().ok().and_then(|mut writer| writer.take());
        // All that was answered is on disk; a panic of the writer has nobody left to hear of it.
        drop(writer.map(JoinHandle::join));
    }
}

impl port::Log for EmbeddedLog {
    fn reader(&self) -> Box<dyn port::Reader> {
        let inner = self.inner.clone();
        Box::new(reader::Reader::new(inner.store.clone(), Some(inner)))
    }

    fn consumer(&self, role: Role) -> Box<dyn port::Consumer> {
        Box::new(consumer::Consumer::new(self.inner.clone(), role))
    }

    fn producer(&self) -> Box<dyn port::Producer> {
        Box::new(producer::Producer::new(self.inner.clone()))
    }

    fn transactions(&self) -> Pending<'_, Box<dyn port::Transactions>> {
        let made = self.inner.ask(|answer| Job::Fence { answer });
        let boxed = |epoch| {
            let made = transactions::Transactions::new(self.inner.clone(), epoch);
            Box::new(made) as Box<dyn port::Transactions>
        };
        ready(made.map(boxed))
    }
}

/// A log that another process may be writing to: what the reading verbs see.
#[derive(Clone)]
pub struct ReadOnlyLog {
    store: Arc<Store>,
}

impl ReadOnlyLog {
    /// If the last writer was killed, this repairs the file first, and for that moment holds the lock.
    pub fn open(dir: &Path) -> Result<Self, Error> {
        let cache_bytes = 16 << 20;
        // A writer may come or go between two of these steps.
        for _ in 0..5 {
            if let Some(store) = Store::open_read_only(dir, cache_bytes)? {
                return Ok(ReadOnlyLog { store: Arc::new(store) });
            }
            match DirectoryLock::take(dir, "thalweg, repairing the log") {
                Ok(_lock) => Store::repair(dir, cache_bytes)?,
                // The writer is about to repair it: it has the file as soon as it has the lock.
                Err(Error::Locked { .. }) => thread::sleep(std::time::Duration::from_millis(200)),
                Err(error) => return Err(error),
            }
        }
        Err(Error::Locked { dir: dir.to_owned(), holder: "a process that is repairing it".to_owned() })
    }

    pub fn reader(&self) -> Box<dyn port::Reader> {
        Box::new(reader::Reader::new(self.store.clone(), None))
    }

    pub fn facts(&self, topic: Topic) -> Result<TopicFacts, Error> {
        reader::facts(&self.store, topic)
    }

    /// First and next offset of each partition, as they are now.
    pub fn ends(&self, topic: Topic) -> Result<BTreeMap<Partition, port::Ends>, Error> {
        let partitions = self.store.topic(topic)?.partitions;
        let ends = |partition| Ok((Partition(partition), self.store.partition(at(topic, partition))?.ends()));
        (0..partitions).map(ends).collect()
    }
}

fn at(topic: Topic, partition: u32) -> TopicPartition {
    TopicPartition { topic, partition: Partition(partition) }
}

/// Every partition's row, those of which nothing was written yet included.
fn rows(store: &Store) -> Result<BTreeMap<TopicPartition, PartitionRow>, Error> {
    let places = store.topics.iter().flat_map(|(&topic, row)| (0..row.partitions).map(move |p| at(topic, p)));
    places.map(|at| Ok((at, store.partition(at)?))).collect()
}

fn cleanups(layout: &Layout) -> BTreeMap<TopicPartition, Cleanup> {
    let places = |topic: &TopicLayout| {
        let TopicLayout { topic, partitions, cleanup } = *topic;
        (0..partitions).map(move |partition| (at(topic, partition), cleanup))
    };
    layout.topics.iter().flat_map(places).collect()
}

/// The store answers without anything to wait for.
fn ready<'a, T: 'a>(answer: Result<T, Error>) -> Pending<'a, T> {
    Box::pin(std::future::ready(answer.map_err(port::Failure::from)))
}
