//! Where a source is read from when it has no chain yet.

use super::Lake;
use super::held::Walking;
use super::step::Stop;
use crate::model::{LogTime, NextOffset, Topic, TopicPartition};
use crate::port::Isolation;
use crate::worker::Start;

impl Lake {
    /// `None`: the search goes on at the next step.
    pub(super) async fn first_start(&mut self, walking: &mut Walking) -> Result<Option<NextOffset>, Stop> {
        let at = TopicPartition { topic: Topic::Raw, partition: walking.chain.source.partition };
        let ends = self.reader.ends(at, Isolation::ReadCommitted).await?;
        match self.context.settings.start {
            Start::Earliest => Ok(Some(ends.first)),
            Start::Latest => Ok(Some(ends.next)),
            Start::At(time) => self.search(walking, at, ends.first, time).await,
        }
    }

    /// Record times need not rise, so the first one at or after `time` is found by looking at each.
    async fn search(
        &mut self,
        walking: &mut Walking,
        at: TopicPartition,
        first: NextOffset,
        time: LogTime,
    ) -> Result<Option<NextOffset>, Stop> {
        let from = walking.searched.unwrap_or(first).max(first);
        let batch = self.reader.read(at, from, self.context.settings.poll_bytes).await?;
        let found = batch.records.iter().find(|record| record.time >= time);
        walking.searched = Some(batch.next);
        let is_at_end = batch.is_empty() && batch.next <= from;
        Ok(found.map(|record| NextOffset(record.offset.0)).or(is_at_end.then_some(from)))
    }
}
