//! Reads a whole topic through [`Reader`], and folds a compacted one to its live records.

use super::exit::Exit;
use super::river::block_on;
use crate::model::{NextOffset, Partition, RecordBatch, RecordSlice, Topic, TopicPartition};
use crate::port::{Failure, Isolation, Reaction, Reader};
use std::collections::BTreeMap;

const READ_BYTES: usize = 1 << 20;

/// Follows every partition of one topic from its first record on.
pub(super) struct Tail {
    topic: Topic,
    at: Vec<NextOffset>,
}

impl Tail {
    /// Nothing where the topic was never written.
    pub(super) fn open(reader: &mut dyn Reader, topic: Topic) -> Result<Self, Exit> {
        let partitions = block_on(reader.facts(topic)).map_err(failed)?.partitions;
        let mut at = Vec::new();
        for partition in (0..partitions).map(Partition) {
            let place = TopicPartition { topic, partition };
            at.push(block_on(reader.ends(place, Isolation::ReadCommitted)).map_err(failed)?.first);
        }
        Ok(Tail { topic, at })
    }

    /// Hands out everything up to the ends as they stand now.
    pub(super) fn advance(
        &mut self,
        reader: &mut dyn Reader,
        mut take: impl FnMut(&RecordBatch, &RecordSlice) -> Result<(), Exit>,
    ) -> Result<(), Exit> {
        for (partition, at) in self.at.iter_mut().enumerate() {
            let partition = Partition(u32::try_from(partition).expect("topics have few partitions"));
            let place = TopicPartition { topic: self.topic, partition };
            let end = block_on(reader.ends(place, Isolation::ReadCommitted)).map_err(failed)?.next;
            while *at < end {
                let batch = block_on(reader.read(place, *at, READ_BYTES)).map_err(failed)?;
                for record in &batch.records {
                    take(&batch, record)?;
                }
                if batch.next <= *at {
                    // Only holes are left below the end.
                    break;
                }
                *at = batch.next;
            }
        }
        Ok(())
    }
}

/// Key → value of what a compacted topic says now: the last record of every key, without tombstones.
pub(super) fn live(reader: &mut dyn Reader, tail: &mut Tail) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Exit> {
    let mut live = BTreeMap::new();
    tail.advance(reader, |batch, record| {
        if let Some(key) = batch.key(record) {
            match batch.value(record) {
                Some(value) => live.insert(key.to_vec(), value.to_vec()),
                None => live.remove(key),
            };
        }
        Ok(())
    })?;
    Ok(live)
}

/// A failure that ends a reading verb.
pub(super) fn failed(failure: Failure) -> Exit {
    match failure.reaction {
        Reaction::Retry => Exit::away(failure),
        Reaction::Replay | Reaction::Rejoin | Reaction::Halt => Exit::failed(failure),
    }
}
