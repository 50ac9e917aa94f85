//! Reading without a group, and the log's handles.

use super::consumer::SimConsumer;
use super::producer::SimProducer;
use super::state::{State, change};
use super::transactions::SimTransactions;
use super::wire::{Wire, failure};
use crate::model::{
    CommittedOffset, Incarnation, NextOffset, Partition, RecordBatch, Role, Source, Topic, TopicPartition,
};
use crate::port::{
    Consumer, Ends, Isolation, Log, Pending, Producer, Reaction, Reader, TopicFacts, Transactions,
};

#[derive(Debug)]
pub(super) struct SimLog(pub(super) Wire);

impl Log for SimLog {
    fn reader(&self) -> Box<dyn Reader> {
        Box::new(SimReader(self.0.clone()))
    }

    fn consumer(&self, role: Role) -> Box<dyn Consumer> {
        Box::new(SimConsumer::new(self.0.clone(), role))
    }

    fn producer(&self) -> Box<dyn Producer> {
        Box::new(SimProducer::new(self.0.clone()))
    }

    fn transactions(&self) -> Pending<'_, Box<dyn Transactions>> {
        Box::pin(async move {
            let made = SimTransactions::init(self.0.clone()).await?;
            Ok(Box::new(made) as Box<dyn Transactions>)
        })
    }
}

#[derive(Debug)]
struct SimReader(Wire);

impl State {
    pub(super) fn incarnation(&self, topic: Topic) -> Incarnation {
        match topic {
            Topic::Raw => self.shape.incarnation,
            _ => Incarnation(1),
        }
    }

    pub(super) fn read(&mut self, at: TopicPartition, from: u64, bytes_max: usize) -> RecordBatch {
        let count_max =
            if self.faults.cuts { self.chance.between(1, self.batch_max) as usize } else { usize::MAX };
        let source = Source { incarnation: self.incarnation(at.topic), partition: at.partition };
        let State { logs, fates, .. } = self;
        let log = logs.entry(at).or_default();
        let batch = log.read(from, fates, source, bytes_max, count_max);
        log.read_below = log.read_below.max(batch.next.0);
        batch
    }
}

impl Reader for SimReader {
    fn facts(&mut self, topic: Topic) -> Pending<'_, TopicFacts> {
        Box::pin(async move {
            self.0.call("a question for a topic's facts").await?;
            let state = self.0.state();
            Ok(TopicFacts { incarnation: state.incarnation(topic), partitions: state.partitions(topic) })
        })
    }

    fn ends(&mut self, at: TopicPartition, isolation: Isolation) -> Pending<'_, Ends> {
        Box::pin(async move {
            self.0.call("a question for a partition's ends").await?;
            let ends = {
                let mut state = self.0.state();
                let is_broken = state.faults.ends_at_last_stable;
                let log = state.log(at);
                let next = match isolation {
                    Isolation::ReadUncommitted if is_broken => log.last_stable(),
                    Isolation::ReadCommitted => log.last_stable(),
                    Isolation::ReadUncommitted => log.next,
                };
                Ends { first: NextOffset(log.first), next: NextOffset(next) }
            };
            self.0.hop().await;
            Ok(ends)
        })
    }

    fn read(&mut self, at: TopicPartition, from: NextOffset, bytes_max: usize) -> Pending<'_, RecordBatch> {
        Box::pin(async move {
            self.0.call("a read").await?;
            let batch = {
                let mut state = self.0.state();
                let first = state.log(at).first;
                if from.0 < first {
                    let text = format!("{:?} {} begins at {first}, behind {from}", at.topic, at.partition);
                    return Err(failure(Reaction::Halt, text));
                }
                state.read(at, from.0, bytes_max)
            };
            self.0.hop().await;
            Ok(batch)
        })
    }

    fn committed(&mut self, role: Role, partition: Partition) -> Pending<'_, Option<CommittedOffset>> {
        Box::pin(async move { fetch_committed(&self.0, role, partition).await })
    }
}

/// A stable fetch: it waits while an offset of this partition is part of an open transaction.
pub(super) async fn fetch_committed(
    wire: &Wire,
    role: Role,
    partition: Partition,
) -> Result<Option<CommittedOffset>, crate::port::Failure> {
    wire.call("a question for a position").await?;
    loop {
        let seen = {
            let mut state = wire.state();
            if role != Role::Aggregate || !state.is_pending(partition) {
                break Ok(state.group(role).committed.get(&partition).cloned());
            }
            state.change_count(change::TRANSACTION)
        };
        wire.changed(change::TRANSACTION, seen, super::state::NEVER).await;
    }
}
