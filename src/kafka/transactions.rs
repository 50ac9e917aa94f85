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
use std::sync::{Arc, mpsc};
use std::thread;
use std::time::Duration;

/// How much longer than it was told to the library may take to give offsets up.
const GRACE: Duration = Duration::from_secs(1);

pub(super) struct Transactions {
    settings: Arc<Settings>,
    producer: Arc<TransactionalProducer>,
    /// After an abort or a tainted end a late copy may hit whatever this producer begins next (I13).
    is_over: bool,
    /// A call has not returned, and goes on without us.
    is_left: bool,
}

impl Transactions {
    /// Fences the producer that had this id before.
    pub(super) fn open(settings: Arc<Settings>, lines: Arc<Lines>) -> Result<Self, Failure> {
        let made = TransactionalProducer::new(&settings.transactional(), lines);
        let producer = made.map_err(|error| Error::call("make a transactional producer", &error))?;
        producer.init(settings.timeouts.request).map_err(|error| failure("begin as a producer", error))?;
        Ok(Transactions { settings, producer: Arc::new(producer), is_over: false, is_left: false })
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
        &mut self,
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
        match self.offsets_aside(offsets.clone(), member.clone()) {
            Some(sent) => sent.map_err(|error| failure("send offsets to a transaction", error)),
            None => {
                (self.is_over, self.is_left) = (true, true);
                let error = Error::Silent("offsets of a transaction".to_owned());
                Err(Failure { reaction: Reaction::Replay, ..error.into() })
            }
        }
    }

    /// Where the group's coordinator went away the library may never return from this call, whatever limit it is given
    /// (librdkafka's issues 5456 and 5511). So it is made on a thread of its own, and a producer that is stuck in it is
    /// left there: the next one's start fences it, and it ends when the call does.
    fn offsets_aside(
        &self,
        offsets: BTreeMap<Partition, NextOffset>,
        member: Membership,
    ) -> Option<Result<(), NativeError>> {
        let (producer, settings) = (Arc::clone(&self.producer), Arc::clone(&self.settings));
        let wait = settings.timeouts.request;
        let (done, sent) = mpsc::channel();
        let send = move || {
            let role = Role::Aggregate;
            let (topic, group) = (settings.topic(super::input(role)), settings.group(role));
            let instance = settings.instance(role);
            let of = (group.as_str(), instance.as_deref(), &member);
            // Nobody listens any more where it took too long.
            let _ = done.send(producer.send_offsets(&topic, &offsets, of, wait));
        };
        thread::Builder::new().name("kafka-offsets".into()).spawn(send).ok()?;
        sent.recv_timeout(wait + GRACE).ok()
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
        if self.is_left {
            // The next producer's start aborts what is open.
            return Ok(());
        }
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
