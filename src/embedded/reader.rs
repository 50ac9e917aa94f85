//! Reading without being a member of a group. Nothing uncommitted is ever in the store, so both
//! isolations see the same.

use super::{Inner, Store, error::Error, ready};
use crate::model::{CommittedOffset, NextOffset, Partition, RecordBatch, Role, Topic, TopicPartition};
use crate::port::{self, Ends, Isolation, Pending, TopicFacts};
use std::sync::Arc;

pub(super) struct Reader {
    store: Arc<Store>,
    /// Keeps the directory locked while this process may still write.
    inner: Option<Arc<Inner>>,
}

impl Reader {
    pub(super) fn new(store: Arc<Store>, inner: Option<Arc<Inner>>) -> Self {
        Reader { store, inner }
    }

    fn ask<'a, T: 'a>(&self, ask: impl FnOnce(&Store) -> Result<T, Error>) -> Pending<'a, T> {
        let alive = self.inner.as_ref().map_or(Ok(()), |inner| inner.shared.check());
        ready(alive.and_then(|()| ask(&self.store)))
    }
}

pub(super) fn facts(store: &Store, topic: Topic) -> Result<TopicFacts, Error> {
    let row = store.topic(topic)?;
    Ok(TopicFacts { incarnation: row.incarnation, partitions: row.partitions })
}

impl port::Reader for Reader {
    fn facts(&mut self, topic: Topic) -> Pending<'_, TopicFacts> {
        self.ask(|store| facts(store, topic))
    }

    fn ends(&mut self, at: TopicPartition, _isolation: Isolation) -> Pending<'_, Ends> {
        self.ask(|store| Ok(store.partition(at)?.ends()))
    }

    fn read(&mut self, at: TopicPartition, from: NextOffset, bytes_max: usize) -> Pending<'_, RecordBatch> {
        self.ask(|store| store.read(at, from, bytes_max))
    }

    fn committed(&mut self, role: Role, partition: Partition) -> Pending<'_, Option<CommittedOffset>> {
        self.ask(|store| store.committed(role, partition))
    }
}
