//! The only member of a role's group: it gets every partition at its first poll, and keeps them until a
//! second consumer of the same role is polled.

use super::{Inner, at, error::Error, ready, writer::Job};
use crate::model::{CommittedOffset, NextOffset, Partition, RecordBatch, Role, Topic};
use crate::port::{self, Membership, Pending, Polled};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

pub(super) struct Consumer {
    inner: Arc<Inner>,
    role: Role,
    topic: Topic,
    state: State,
    assigned: BTreeMap<Partition, Place>,
    /// Partition whose turn it was last: each gets its turn.
    turn: Partition,
}

enum State {
    New,
    Member(Membership),
    /// Left, or replaced by a newer member.
    Gone,
}

/// How far a partition was read.
#[derive(Default)]
struct Place {
    /// `None`: assigned, but not started.
    next: Option<NextOffset>,
    is_paused: bool,
}

/// Why a poll need not wait longer.
enum Ready {
    Replaced,
    Stopped,
    Records(Partition, NextOffset),
}

impl Consumer {
    pub(super) fn new(inner: Arc<Inner>, role: Role) -> Self {
        let topic = match role {
            Role::Route | Role::Lake => Topic::Raw,
            Role::Aggregate => Topic::Repartition,
        };
        Consumer { inner, role, topic, state: State::New, assigned: BTreeMap::new(), turn: Partition(0) }
    }

    fn poll_now(&mut self, bytes_max: usize, wait: Duration) -> Result<Polled, Error> {
        self.inner.shared.check()?;
        let generation = match &self.state {
            State::New => return self.join(),
            State::Member(member) => Some(member.generation),
            State::Gone => None,
        };
        match self.wait(generation, wait) {
            None => Ok(Polled::Idle),
            Some(Ready::Stopped) => self.inner.shared.check().map(|()| Polled::Idle),
            Some(Ready::Replaced) => {
                self.state = State::Gone;
                Ok(Polled::Lost(std::mem::take(&mut self.assigned).into_keys().collect()))
            }
            Some(Ready::Records(partition, next)) => {
                self.read(partition, next, bytes_max).map(Polled::Records)
            }
        }
    }

    fn join(&mut self) -> Result<Polled, Error> {
        let role = self.role;
        let partitions = self.inner.store.topic(self.topic)?.partitions;
        let member = self.inner.ask(|answer| Job::Join { role, answer })?;
        self.state = State::Member(member);
        self.assigned = (0..partitions).map(|partition| (Partition(partition), Place::default())).collect();
        Ok(Polled::Assigned(self.assigned.keys().copied().collect()))
    }

    fn wait(&self, generation: Option<i32>, wait: Duration) -> Option<Ready> {
        self.inner.shared.wait_for(wait, |state| {
            if state.stopped.is_some() {
                return Some(Ready::Stopped);
            }
            if generation.is_some() && state.generations.get(&self.role).copied() != generation {
                return Some(Ready::Replaced);
            }
            // Those behind the turn come first.
            let (before, behind): (Vec<_>, Vec<_>) =
                self.assigned.iter().partition(|&(&partition, _)| partition <= self.turn);
            behind.into_iter().chain(before).find_map(|(&partition, place)| {
                let next = place.next.filter(|_| !place.is_paused)?;
                // A position below the first record has to be found out, too.
                let end = state.ends.get(&at(self.topic, partition.0))?.next;
                (next < end).then_some(Ready::Records(partition, next))
            })
        })
    }

    fn read(
        &mut self,
        partition: Partition,
        next: NextOffset,
        bytes_max: usize,
    ) -> Result<RecordBatch, Error> {
        self.turn = partition;
        let read = self.inner.store.read(at(self.topic, partition.0), next, bytes_max);
        if let Some(place) = self.assigned.get_mut(&partition) {
            // What cannot be read is not tried again before somebody starts the partition anew.
            place.next = read.as_ref().ok().map(|batch| batch.next);
        }
        read
    }

    fn place(&mut self, partition: Partition) -> Result<&mut Place, Error> {
        let role = self.role;
        self.assigned.get_mut(&partition).ok_or(Error::NotAssigned { role, partition })
    }

    fn start_now(&mut self, partition: Partition, next: NextOffset) -> Result<(), Error> {
        let place = at(self.topic, partition.0);
        self.place(partition)?;
        self.inner.store.partition(place)?.check(place, next)?;
        self.place(partition)?.next = Some(next);
        Ok(())
    }

    fn commit_now(&mut self, partition: Partition, offset: CommittedOffset) -> Result<(), Error> {
        let role = self.role;
        let State::Member(member) = &self.state else { return Err(Error::NotAMember { role }) };
        let generation = member.generation;
        self.place(partition)?;
        self.inner.ask(|answer| Job::Commit { role, generation, partition, offset, answer })
    }

    fn leave_now(&mut self) -> Result<(), Error> {
        self.assigned.clear();
        let role = self.role;
        match std::mem::replace(&mut self.state, State::Gone) {
            State::Member(Membership { generation, .. }) => {
                self.inner.ask(|answer| Job::Leave { role, generation, answer })
            }
            State::New | State::Gone => Ok(()),
        }
    }
}

impl port::Consumer for Consumer {
    fn poll(&mut self, bytes_max: usize, wait: Duration) -> Pending<'_, Polled> {
        ready(self.poll_now(bytes_max, wait))
    }

    fn start(&mut self, partition: Partition, at: NextOffset) -> Pending<'_, ()> {
        ready(self.start_now(partition, at))
    }

    /// Nothing is ever revoked here: there is nobody to share with.
    fn release(&mut self, partitions: &[Partition]) -> Pending<'_, ()> {
        self.assigned.retain(|partition, _| !partitions.contains(partition));
        ready(Ok(()))
    }

    fn pause(&mut self, partition: Partition) {
        if let Ok(place) = self.place(partition) {
            place.is_paused = true;
        }
    }

    fn resume(&mut self, partition: Partition) {
        if let Ok(place) = self.place(partition) {
            place.is_paused = false;
        }
    }

    fn committed(&mut self, partition: Partition) -> Pending<'_, Option<CommittedOffset>> {
        let alive = self.inner.shared.check();
        ready(alive.and_then(|()| self.inner.store.committed(self.role, partition)))
    }

    fn commit(&mut self, partition: Partition, offset: CommittedOffset) -> Pending<'_, ()> {
        ready(self.commit_now(partition, offset))
    }

    fn membership(&mut self) -> Option<Membership> {
        let State::Member(member) = &self.state else { return None };
        let newest = self.inner.shared.look(|state| state.generations.get(&self.role).copied());
        (newest == Some(member.generation)).then(|| member.clone())
    }

    fn leave(&mut self) -> Pending<'_, ()> {
        ready(self.leave_now())
    }
}
