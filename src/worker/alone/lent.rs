//! The member of [`super::Alone`] in the hands of a loop, for as long as the loop runs.
//!
//! Leaving gives it back, and nothing is released before the group asks. What lies at or behind a bound is never handed
//! out, so that a loop ends where it was told to, however much comes in meanwhile.

use super::{Refused, Slot};
use crate::model::{CommittedOffset, NextOffset, Partition, RecordBatch, Role, Topic, TopicPartition};
use crate::port::{
    Consumer, Failure, Log, Membership, Pending, Polled, Producer, Reaction, Reader, Transactions,
};
use crate::worker::Control;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// A log that lends one member of the route group, and makes everything else anew.
pub(in crate::worker) struct Lending {
    pub(super) log: Rc<dyn Log>,
    pub(super) control: Arc<Control>,
    pub(super) slot: Rc<Slot>,
    pub(super) partitions: Vec<Partition>,
    pub(super) bounds: BTreeMap<Partition, NextOffset>,
}

impl Log for Lending {
    fn reader(&self) -> Box<dyn Reader> {
        self.log.reader()
    }

    fn consumer(&self, role: Role) -> Box<dyn Consumer> {
        assert_eq!(role, Role::Route, "only the route group is held");
        Box::new(Lent {
            consumer: self.slot.consumer.borrow_mut().take(),
            reader: self.log.reader(),
            slot: Rc::clone(&self.slot),
            control: Arc::clone(&self.control),
            news: Some(self.partitions.clone()),
            bounds: self.bounds.clone(),
            at: BTreeMap::new(),
        })
    }

    fn producer(&self) -> Box<dyn Producer> {
        self.log.producer()
    }

    fn transactions(&self) -> Pending<'_, Box<dyn Transactions>> {
        self.log.transactions()
    }
}

struct Lent {
    /// `None`: whoever asks a second time does so because the group is lost.
    consumer: Option<Box<dyn Consumer>>,
    reader: Box<dyn Reader>,
    slot: Rc<Slot>,
    control: Arc<Control>,
    /// What the loop has not been told yet.
    news: Option<Vec<Partition>>,
    bounds: BTreeMap<Partition, NextOffset>,
    /// Where reading stands.
    at: BTreeMap<Partition, NextOffset>,
}

impl Lent {
    fn inner(&mut self) -> Result<&mut Box<dyn Consumer>, Failure> {
        let lost = || Failure::new(Reaction::Halt, Refused::Joined.to_string());
        self.consumer.as_mut().ok_or_else(lost)
    }

    fn bound(&self, partition: Partition) -> NextOffset {
        self.bounds.get(&partition).copied().unwrap_or_default()
    }

    fn is_done(&self, partition: Partition) -> bool {
        self.at.get(&partition).is_some_and(|&at| at >= self.bound(partition))
    }

    fn cut(&mut self, mut batch: RecordBatch) -> Polled {
        let partition = batch.source.partition;
        let bound = self.bound(partition);
        batch.records.retain(|record| record.offset.0 < bound.0);
        batch.next = batch.next.min(bound);
        self.at.insert(partition, batch.next);
        if self.is_done(partition) {
            self.pause(partition);
        }
        Polled::Records(batch)
    }

    /// The last offsets below a bound may hold no record, and nobody would ever tell.
    async fn holes(&mut self) -> Result<Option<RecordBatch>, Failure> {
        for (partition, at) in self.at.clone() {
            if self.is_done(partition) {
                continue;
            }
            let batch = self.reader.read(TopicPartition { topic: Topic::Raw, partition }, at, 1).await?;
            if batch.is_empty() && batch.next > at {
                return Ok(Some(RecordBatch::empty(batch.source, batch.next)));
            }
        }
        Ok(None)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        if let Some(consumer) = self.consumer.take() {
            *self.slot.consumer.borrow_mut() = Some(consumer);
        }
    }
}

impl Consumer for Lent {
    fn poll(&mut self, bytes_max: usize, wait: Duration) -> Pending<'_, Polled> {
        Box::pin(async move {
            if let Some(partitions) = self.news.take() {
                return Ok(Polled::Assigned(partitions));
            }
            let halts = self.control.halts();
            if !halts.is_empty() {
                *self.slot.halts.borrow_mut() = halts;
                self.control.drain();
                return Ok(Polled::Idle);
            }
            match self.inner()?.poll(bytes_max, wait).await? {
                Polled::Records(batch) => Ok(self.cut(batch)),
                Polled::Idle => {
                    let holes = self.holes().await?;
                    Ok(holes.map_or(Polled::Idle, |batch| self.cut(batch)))
                }
                Polled::Assigned(partitions) => Ok(Polled::Assigned(partitions)),
                gone @ (Polled::Revoked(_) | Polled::Lost(_)) => {
                    self.slot.is_lost.set(true);
                    self.control.drain();
                    Ok(gone)
                }
            }
        })
    }

    fn start(&mut self, partition: Partition, at: NextOffset) -> Pending<'_, ()> {
        Box::pin(async move {
            self.at.insert(partition, at);
            self.inner()?.start(partition, at).await
        })
    }

    fn release(&mut self, partitions: &[Partition]) -> Pending<'_, ()> {
        let partitions = partitions.to_vec();
        Box::pin(async move {
            if self.slot.is_lost.get() {
                return self.inner()?.release(&partitions).await;
            }
            partitions.iter().for_each(|&partition| self.pause(partition));
            Ok(())
        })
    }

    fn pause(&mut self, partition: Partition) {
        if let Some(consumer) = &mut self.consumer {
            consumer.pause(partition);
        }
    }

    fn resume(&mut self, partition: Partition) {
        let is_done = self.is_done(partition);
        if let Some(consumer) = self.consumer.as_mut().filter(|_| !is_done) {
            consumer.resume(partition);
        }
    }

    fn committed(&mut self, partition: Partition) -> Pending<'_, Option<CommittedOffset>> {
        Box::pin(async move { self.inner()?.committed(partition).await })
    }

    fn commit(&mut self, partition: Partition, offset: CommittedOffset) -> Pending<'_, ()> {
        Box::pin(async move { self.inner()?.commit(partition, offset).await })
    }

    fn membership(&mut self) -> Option<Membership> {
        self.consumer.as_mut()?.membership()
    }

    fn leave(&mut self) -> Pending<'_, ()> {
        Box::pin(std::future::ready(Ok(())))
    }
}
