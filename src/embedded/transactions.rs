//! A transaction is kept in memory until it commits; an abort forgets it. Its commit is one job of the
//! writer, so it is in one store transaction, or in none.

use super::{
    Inner,
    error::Error,
    ready,
    writer::{Changes, Job},
};
use crate::model::{NextOffset, OutBatch, OutRecord, Partition, TopicPartition};
use crate::port::{self, Ended, Failure, Membership, Pending, Reaction};
use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;

pub(super) struct Transactions {
    inner: Arc<Inner>,
    epoch: u64,
    state: State,
}

enum State {
    Ready,
    Open(Changes, Option<Membership>),
    /// Aborted or failed: the next transaction needs a producer of its own.
    Over,
}

impl Transactions {
    pub(super) fn new(inner: Arc<Inner>, epoch: u64) -> Self {
        Transactions { inner, epoch, state: State::Ready }
    }

    fn begin_now(&mut self) -> Result<(), Error> {
        self.inner.shared.check()?;
        match self.state {
            State::Ready => {
                self.state = State::Open(Changes::default(), None);
                Ok(())
            }
            State::Open(..) => Err(Error::Misuse("a transaction is open already")),
            State::Over => Err(Error::Misuse("a producer begins nothing after an abort; make a new one")),
        }
    }

    fn open(&mut self) -> Result<(&mut Changes, &mut Option<Membership>), Error> {
        match &mut self.state {
            State::Open(changes, member) => Ok((changes, member)),
            State::Ready | State::Over => Err(Error::Misuse("no transaction is open")),
        }
    }

    fn send_now(&mut self, to: TopicPartition, records: &OutBatch) -> Result<(), Error> {
        self.inner.store.source(to)?;
        let runs = self.open()?.0.appends.entry(to).or_default();
        for record in records.iter() {
            let headers = record.headers().map(|(name, value)| (name.as_bytes(), value));
            runs.push(None, Some(record.key), record.value, headers);
        }
        Ok(())
    }

    fn send_one_now(&mut self, to: TopicPartition, record: &OutRecord) -> Result<(), Error> {
        self.inner.store.source(to)?;
        self.open()?.0.appends.entry(to).or_default().push_out(record);
        Ok(())
    }

    fn send_offsets_now(
        &mut self,
        offsets: &BTreeMap<Partition, NextOffset>,
        member: &Membership,
    ) -> Result<(), Error> {
        if offsets.is_empty() {
            return Err(Error::Misuse("an empty list of offsets fences nothing"));
        }
        let (changes, sent_by) = self.open()?;
        changes.offsets.extend(offsets);
        *sent_by = Some(member.clone());
        Ok(())
    }

    fn commit_now(&mut self) -> Result<Ended, Failure> {
        let State::Open(mut changes, member) = mem::replace(&mut self.state, State::Over) else {
            return Err(Error::Misuse("no transaction is open").into());
        };
        changes.appends.retain(|_, runs| !runs.is_empty());
        let epoch = self.epoch;
        let committed = self.inner.ask(|answer| Job::Transaction { epoch, changes, member, answer });
        match committed {
            Ok(()) => {
                self.state = State::Ready;
                Ok(Ended::Clean)
            }
            // The disk failed on the way: only the next start can tell.
            Err(error @ (Error::Stopped(_) | Error::Closed)) => Err(Failure::new(Reaction::Rejoin, error)),
            Err(error) => Err(error.into()),
        }
    }
}

impl port::Transactions for Transactions {
    fn begin(&mut self) -> Pending<'_, ()> {
        ready(self.begin_now())
    }

    fn send<'a>(&'a mut self, to: TopicPartition, records: &'a OutBatch) -> Pending<'a, ()> {
        ready(self.send_now(to, records))
    }

    fn send_one<'a>(&'a mut self, to: TopicPartition, record: &'a OutRecord) -> Pending<'a, ()> {
        ready(self.send_one_now(to, record))
    }

    fn send_offsets(
        &mut self,
        offsets: &BTreeMap<Partition, NextOffset>,
        member: &Membership,
    ) -> Pending<'_, ()> {
        ready(self.send_offsets_now(offsets, member))
    }

    fn commit(&mut self) -> Pending<'_, Ended> {
        Box::pin(std::future::ready(self.commit_now()))
    }

    fn abort(&mut self) -> Pending<'_, ()> {
        self.state = State::Over;
        ready(Ok(()))
    }
}
