//! The transactional producer of aggregate.

use super::error::Error;
use super::lines::Lines;
use super::native::{NativeError, TransactionalProducer};
use super::settings::Settings;
use super::{ready, watchdog};
use crate::model::{NextOffset, OutBatch, OutRecord, Partition, Role, TopicPartition};
use crate::port::{self, Ended, Failure, Membership, Pending, Reaction};
use rdkafka::types::RDKafkaErrorCode as Code;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(super) struct Transactions {
    settings: Arc<Settings>,
    producer: TransactionalProducer,
    /// After an abort or a tainted end a late copy may hit whatever this producer begins next (I13).
    is_over: bool,
}

impl Transactions {
    /// Fences the producer that had this id before.
    pub(super) fn open(settings: Arc<Settings>, lines: Arc<Lines>) -> Result<Self, Failure> {
        let made = TransactionalProducer::new(&settings.transactional(), lines);
        let producer = made.map_err(|error| Error::call("make a transactional producer", &error))?;
        producer.init(settings.timeouts.request).map_err(|error| failure("begin as a producer", error))?;
        Ok(Transactions { settings, producer, is_over: false })
    }

    fn begin_now(&mut self) -> Result<(), Failure> {
        if self.is_over {
            let error =
                Error::Misuse("a producer begins nothing after an abort or a tainted end; make a new one");
            return Err(error.into());
        }
        self.producer.begin().map_err(|error| failure("begin a transaction", error))
    }

    fn send_now(&self, to: TopicPartition, records: &OutBatch) -> Result<(), Failure> {
        let topic = self.settings.topic(to.topic);
        let sent = self.producer.send(&topic, to.partition, records);
        sent.map_err(|error| failure(format!("send to {topic}"), error))
    }

    fn send_one_now(&self, to: TopicPartition, record: &OutRecord) -> Result<(), Failure> {
        let topic = self.settings.topic(to.topic);
        let sent = self.producer.send_whole(&topic, to.partition, record);
        sent.map_err(|error| failure(format!("send to {topic}"), error))
    }

    fn send_offsets_now(
        &self,
        offsets: &BTreeMap<Partition, NextOffset>,
        member: &Membership,
    ) -> Result<(), Failure> {
        // Brokers take both in silence, and neither fences anybody.
        if offsets.is_empty() {
            return Err(Error::Misuse("an empty list of offsets fences nothing").into());
        }
        if member.generation < 0 || member.member.is_empty() {
            return Err(Error::NotAMember.into());
        }
        let role = Role::Aggregate;
        let (topic, group) = (self.settings.topic(super::input(role)), self.settings.group(role));
        let wait = self.settings.timeouts.request;
        let instance = self.settings.instance(role);
        let sent = self.producer.send_offsets(&topic, offsets, (&group, instance.as_deref(), member), wait);
        sent.map_err(|error| failure("send offsets to a transaction", error))
    }

    fn commit_now(&mut self) -> Result<Ended, Failure> {
        let limit = self.settings.timeouts.watchdog;
        let ended = watchdog::guard("the commit of a transaction", limit, || {
            loop {
                match self.producer.commit() {
                    // The same call again is what the library asks for.
                    Err(error) if error.is_retriable => {}
                    ended => return ended,
                }
            }
        });
        if let Err(error) = ended {
            self.is_over = true;
            return Err(match error.needs_abort {
                // It can still be aborted, so it did not commit.
                true => failure("commit a transaction", error),
                false => unknown(error),
            });
        }
        self.is_over = self.producer.requests().are_tainted();
        Ok(if self.is_over { Ended::Tainted } else { Ended::Clean })
    }

    fn abort_now(&mut self) -> Result<(), Failure> {
        self.is_over = true;
        let limit = self.settings.timeouts.watchdog;
        let ended = watchdog::guard("the abort of a transaction", limit, || {
            loop {
                match self.producer.abort() {
                    Err(error) if error.is_retriable => {}
                    ended => return ended,
                }
            }
        });
        match ended {
            // There was none to abort.
            Err(error) if error.code == Code::State => Ok(()),
            ended => ended.map_err(|error| failure("abort a transaction", error)),
        }
    }
}

/// Nobody here knows how the transaction ended.
fn unknown(error: NativeError) -> Failure {
    Failure { reaction: Reaction::Rejoin, ..Error::native("commit a transaction", error).into() }
}

/// A transaction that has to be aborted is replayed, unless somebody else owns what it wrote.
fn failure(doing: impl Into<String>, error: NativeError) -> Failure {
    let needs_abort = error.needs_abort;
    let failure = Failure::from(Error::native(doing, error));
    match failure.reaction {
        Reaction::Retry if needs_abort => Failure { reaction: Reaction::Replay, ..failure },
        _ => failure,
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
        ready(self.commit_now())
    }

    fn abort(&mut self) -> Pending<'_, ()> {
        ready(self.abort_now())
    }
}
