//! The one thread that writes: it groups what all roles want into one store transaction.
//!
//! ```text
//! jobs ─► take (give offsets and times, check member and epoch) ─► one store transaction ─► answers
//! ```
//!
//! Whoever is answered finds its records after a kill. All that decides who may still write
//! (generations, epochs) changes here too, in the order of the jobs: once a newer member or producer is
//! answered, nothing of an older one can follow. A failure of the store ends the writer for good.

use super::{
    error::Error,
    layout,
    maintain::{Maintenance, Work},
    partition::PartitionRow,
    run::Runs,
    shared::Shared,
    store::{self, GROUPS, INPUTS, PARTITIONS, RECORDS, Store, guarded, storing},
};
use crate::model::{CommittedOffset, LogTime, NextOffset, Offset, Partition, Role, TopicPartition};
use crate::port::Membership;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender};
use std::time::Duration;

/// Bytes that one store transaction takes, about.
const GROUP_BYTES: usize = 32 << 20;
/// How long the writer sleeps before it looks for something to forget.
const IDLE: Duration = Duration::from_millis(500);

pub(super) type Answer<T> = Box<dyn FnOnce(Result<T, Error>) + Send>;
pub(super) type WallClock = Arc<dyn Fn() -> LogTime + Send + Sync>;

pub(super) enum Job {
    Append { at: TopicPartition, runs: Runs, answer: Answer<(Offset, LogTime)> },
    Transaction { epoch: u64, changes: Changes, member: Option<Membership>, answer: Answer<()> },
    Input { changes: Changes, row: Option<(u64, Vec<u8>)>, answer: Answer<()> },
    Commit { role: Role, generation: i32, partition: Partition, offset: CommittedOffset, answer: Answer<()> },
    Join { role: Role, answer: Answer<Membership> },
    Leave { role: Role, generation: i32, answer: Answer<()> },
    Fence { answer: Answer<u64> },
    Maintain { answer: Answer<()> },
    Stop,
}

/// What becomes visible together.
#[derive(Default)]
pub(super) struct Changes {
    pub(super) appends: BTreeMap<TopicPartition, Runs>,
    /// Next offsets of the aggregate group.
    pub(super) offsets: BTreeMap<Partition, NextOffset>,
}

impl Job {
    fn bytes(&self) -> usize {
        match self {
            Job::Append { runs, .. } => runs.bytes(),
            Job::Transaction { changes, .. } | Job::Input { changes, .. } => {
                changes.appends.values().map(Runs::bytes).sum()
            }
            Job::Commit { .. } | Job::Join { .. } | Job::Leave { .. } => 0,
            Job::Fence { .. } | Job::Maintain { .. } | Job::Stop => 0,
        }
    }
}

pub(super) struct Writer {
    pub(super) store: Arc<Store>,
    pub(super) shared: Arc<Shared>,
    pub(super) jobs: Receiver<Job>,
    pub(super) clock: WallClock,
    pub(super) rows: BTreeMap<TopicPartition, PartitionRow>,
    pub(super) maintenance: Maintenance,
    pub(super) members: BTreeMap<Role, Membership>,
    pub(super) generation: i32,
    pub(super) epoch: u64,
}

/// What the jobs of one group put into the store.
#[derive(Default)]
struct Group {
    runs: BTreeMap<TopicPartition, Vec<(u64, Vec<u8>)>>,
    offsets: BTreeMap<(u8, u32), Vec<u8>>,
    inputs: BTreeMap<u64, Vec<u8>>,
    changed: BTreeSet<TopicPartition>,
}

/// Called with what became of the group.
type Done = Box<dyn FnOnce(Option<&Arc<Error>>)>;

impl Writer {
    pub(super) fn run(mut self) {
        let mut is_open = true;
        while is_open {
            let jobs = match self.jobs.recv_timeout(self.idle()) {
                Ok(job) => self.gather(job),
                Err(RecvTimeoutError::Timeout) => Vec::new(),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            is_open = !jobs.iter().any(|job| matches!(job, Job::Stop));
            self.serve(jobs);
        }
    }

    fn idle(&self) -> Duration {
        let has_step = self.maintenance.is_due((self.clock)().0) && self.shared.check().is_ok();
        if has_step { Duration::ZERO } else { IDLE }
    }

    fn gather(&self, first: Job) -> Vec<Job> {
        let mut bytes = first.bytes();
        let mut jobs = vec![first];
        while bytes < GROUP_BYTES
            && let Ok(job) = self.jobs.try_recv()
        {
            bytes += job.bytes();
            jobs.push(job);
        }
        jobs
    }

    fn serve(&mut self, jobs: Vec<Job>) {
        let stopped = self.shared.look(|state| state.stopped.clone());
        let mut group = Group::default();
        let is_maintaining = jobs.iter().any(|job| matches!(job, Job::Maintain { .. }));
        let done: Vec<Done> = jobs.into_iter().filter_map(|job| self.take(job, &mut group)).collect();
        let failed = stopped.or_else(|| {
            let path = self.store.path.clone();
            let changed = std::mem::take(&mut group.changed);
            let written = guarded(&path, || self.write(group, changed, is_maintaining));
            written.err().map(Arc::new)
        });
        self.shared.change(|state| {
            if let Some(error) = &failed {
                state.stopped.get_or_insert_with(|| error.clone());
                return;
            }
            for (&at, row) in &self.rows {
                state.ends.insert(at, row.ends());
            }
            for (&role, member) in &self.members {
                state.generations.insert(role, member.generation);
            }
        });
        done.into_iter().for_each(|done| done(failed.as_ref()));
    }

    /// Gives a job its place, or refuses it at once. What it returns answers after the commit.
    fn take(&mut self, job: Job, group: &mut Group) -> Option<Done> {
        match job {
            Job::Append { at, runs, answer } => match self.append(at, runs, group) {
                Ok(place) => later(answer, place),
                Err(error) => at_once(answer, error),
            },
            Job::Transaction { epoch, changes, member, answer } => {
                match self
                    .check_transaction(epoch, member.as_ref())
                    .and_then(|()| self.change(changes, group))
                {
                    Ok(()) => later(answer, ()),
                    Err(error) => at_once(answer, error),
                }
            }
            Job::Input { changes, row, answer } => match self.change(changes, group) {
                Ok(()) => {
                    group.inputs.extend(row);
                    later(answer, ())
                }
                Err(error) => at_once(answer, error),
            },
            Job::Commit { role, generation, partition, offset, answer } => {
                if self.members.get(&role).is_none_or(|member| member.generation != generation) {
                    return at_once(answer, Error::Lost { role, generation });
                }
                let row = store::encode_committed(&offset);
                group.offsets.insert((store::role_code(role), partition.0), row);
                later(answer, ())
            }
            Job::Join { role, answer } => {
                let member = self.next_member(role);
                later(answer, member)
            }
            Job::Leave { role, generation, answer } => {
                if self.members.get(&role).is_some_and(|member| member.generation == generation) {
                    // An empty place with a generation of its own: the one who left is not a member.
                    self.next_member(role);
                }
                later(answer, ())
            }
            Job::Fence { answer } => {
                self.epoch += 1;
                later(answer, self.epoch)
            }
            Job::Maintain { answer } => later(answer, ()),
            Job::Stop => None,
        }
    }

    fn next_member(&mut self, role: Role) -> Membership {
        self.generation += 1;
        let member = format!("{role:?}-{}-{}", std::process::id(), self.generation).to_lowercase();
        let member = Membership { generation: self.generation, member };
        self.members.insert(role, member.clone());
        member
    }

    fn check_transaction(&self, epoch: u64, member: Option<&Membership>) -> Result<(), Error> {
        if epoch != self.epoch {
            return Err(Error::Fenced { epoch });
        }
        let role = Role::Aggregate;
        match (member, self.members.get(&role)) {
            (None, _) => Ok(()),
            (Some(member), Some(current)) if member == current => Ok(()),
            (Some(member), Some(_)) => Err(Error::Lost { role, generation: member.generation }),
            (Some(_), None) => Err(Error::NotAMember { role }),
        }
    }

    fn change(&mut self, changes: Changes, group: &mut Group) -> Result<(), Error> {
        // Nothing of a transaction is taken unless all of it can be.
        for &at in changes.appends.keys() {
            self.store.source(at)?;
        }
        for (at, runs) in changes.appends {
            self.append(at, runs, group)?;
        }
        for (partition, next) in changes.offsets {
            let offset = CommittedOffset { next, metadata: String::new() };
            let key = (store::role_code(Role::Aggregate), partition.0);
            group.offsets.insert(key, store::encode_committed(&offset));
        }
        Ok(())
    }

    /// Where the first of these records will stand, and when.
    fn append(
        &mut self,
        at: TopicPartition,
        runs: Runs,
        group: &mut Group,
    ) -> Result<(Offset, LogTime), Error> {
        let row = self.rows.get_mut(&at).ok_or(Error::NoSuchPartition { at })?;
        let time = row.tick((self.clock)());
        let first = Offset(row.next.0);
        let to = group.runs.entry(at).or_default();
        for run in runs.into_iter() {
            let base = row.next.0;
            row.next = NextOffset(base + run.count());
            let value = run.seal(at, base, Some(time));
            row.bytes += value.len() as u64;
            row.dirty += value.len() as u64;
            to.push((base, value));
        }
        group.changed.insert(at);
        Ok((first, time))
    }

    fn write(
        &mut self,
        group: Group,
        mut changed: BTreeSet<TopicPartition>,
        everything: bool,
    ) -> Result<(), Error> {
        let now = (self.clock)().0;
        let nothing = changed.is_empty() && group.offsets.is_empty() && group.inputs.is_empty();
        if nothing && !everything && !self.maintenance.is_due(now) {
            return Ok(());
        }
        let store = self.store.clone();
        let storing = |error: redb::Error| storing(&store.path, error);
        let transaction = store.begin_write()?;
        {
            let mut records = transaction.open_table(RECORDS).map_err(|error| storing(error.into()))?;
            for (at, runs) in group.runs {
                let (topic, partition) = (layout::code(at.topic), at.partition.0);
                let end = Bound::Included((topic, partition, u64::MAX));
                let mut cursor = records.upper_bound_mut(end).map_err(|error| storing(error.into()))?;
                for (base, value) in runs {
                    let inserted = cursor.insert_before((topic, partition, base), value.as_slice());
                    inserted.map_err(|error| storing(error.into()))?;
                }
                cursor.close().map_err(|error| storing(error.into()))?;
            }
            let (rows, path) = (&mut self.rows, store.path.as_path());
            let mut work = Work { records: &mut records, rows, changed: &mut changed, path, now };
            if everything {
                self.maintenance.everything(&mut work)?;
            } else if self.maintenance.is_due(now) {
                self.maintenance.step(&mut work)?;
            }
            if nothing && changed.is_empty() {
                // Looked, and found nothing to forget.
                drop(records);
                return transaction.abort().map_err(|error| storing(error.into()));
            }
            let mut partitions = transaction.open_table(PARTITIONS).map_err(|error| storing(error.into()))?;
            for at in changed {
                let row = self.rows[&at].encode();
                let inserted = partitions.insert((layout::code(at.topic), at.partition.0), row.as_slice());
                drop(inserted.map_err(|error| storing(error.into()))?);
            }
            let mut groups = transaction.open_table(GROUPS).map_err(|error| storing(error.into()))?;
            for (key, row) in group.offsets {
                drop(groups.insert(key, row.as_slice()).map_err(|error| storing(error.into()))?);
            }
            let mut inputs = transaction.open_table(INPUTS).map_err(|error| storing(error.into()))?;
            for (number, row) in group.inputs {
                drop(inputs.insert(number, row.as_slice()).map_err(|error| storing(error.into()))?);
            }
        }
        transaction.commit().map_err(|error| storing(error.into()))
    }
}

fn later<T: 'static>(answer: Answer<T>, value: T) -> Option<Done> {
    Some(Box::new(move |failed| {
        answer(failed.map_or(Ok(value), |error| Err(Error::Stopped(error.clone()))));
    }))
}

fn at_once<T>(answer: Answer<T>, error: Error) -> Option<Done> {
    answer(Err(error));
    None
}

/// For whoever waits for an answer.
pub(super) fn reply<T: Send + 'static>(to: Sender<Result<T, Error>>) -> Answer<T> {
    // Whoever stopped waiting does not need it.
    Box::new(move |answer| drop(to.send(answer)))
}
