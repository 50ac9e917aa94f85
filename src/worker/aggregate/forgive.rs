//! Looks for the word of a person that ends a halt: a record further on in the log.

use super::Member;
use crate::model::{HopOne, NextOffset, Offset, TopicPartition};
use crate::port::{Failure, Isolation};

/// The record that this one forgives. It is skipped as a whole, and what it would have said is sent again.
pub(super) fn forgives(record: &[u8]) -> Option<Offset> {
    match HopOne::view(record) {
        Ok(HopOne::Reroute(reroute)) => reroute.forgives,
        _ => None,
    }
}

impl Member<'_> {
    /// Reads what is left of a log that lost its beginning: has somebody forgiven what stood at the position?
    pub(super) async fn is_forgiven(
        &mut self,
        place: TopicPartition,
        first: NextOffset,
        position: Offset,
    ) -> Result<bool, Failure> {
        let end = self.reader.ends(place, Isolation::ReadCommitted).await?.next;
        let mut at = first;
        while at < end {
            let batch = self.reader.read(place, at, self.context.settings.poll_bytes).await?;
            let mut values = batch.records.iter().filter_map(|record| batch.value(record));
            if values.any(|value| forgives(value) == Some(position)) {
                return Ok(true);
            }
            at = self.moved_on(at, batch.next).await;
        }
        Ok(false)
    }
}
