//! Over a cut-over: a state that another topology made, and the record where it changes hands.
//!
//! ```text
//! commit record of the old topology ─► the cut-over to ours is the next record?  yes: read the state as ours
//!                                                                                no: count on under the old one,
//!                                                                                    commit at the record, and look again
//! ```

use super::Member;
use crate::aggregate::{Halt, Restoring, Sources};
use crate::model::{Cutover, HopOne, NextOffset, Offset, Partition, RoutingVersion, TopicPartition};
use crate::port::{Failure, Isolation, Reaction};
use crate::topology::{Topology, check};
use std::sync::Arc;

/// Is this record the end of the old topology's time, and ours the next?
pub(super) fn ends(reason: &Halt, record: &[u8], configuration: u64) -> bool {
    let is_ours =
        |record| matches!(record, Ok(HopOne::Cutover(cutover)) if cutover.configuration == configuration);
    matches!(reason, Halt::OtherConfiguration { .. }) && is_ours(HopOne::view(record))
}

/// The cut-over to this worker's topology, as it was found in the log.
struct Found {
    at: Offset,
    /// It stands right at the position of the state.
    is_next: bool,
    cutover: Cutover,
}

impl Member<'_> {
    /// Partitions that have committed all that lies before their cut-over go on behind it.
    pub(super) async fn cross(&mut self) -> Result<(), Failure> {
        let is_there = |held: &super::Held| {
            let at = held.halted_at.filter(|_| held.crosses).map(|at| NextOffset(at.0));
            at.is_some_and(|at| held.next >= at && !held.is_behind())
        };
        let there: Vec<Partition> =
            self.held.iter().filter(|(_, held)| is_there(held)).map(|(&partition, _)| partition).collect();
        for partition in there {
            self.assigned(partition).await?;
        }
        Ok(())
    }

    /// A state of this worker's configuration is left as it is. Any other one must end at a cut-over to ours.
    pub(super) async fn under_its_topology(
        &mut self,
        restoring: Restoring,
        repartition: TopicPartition,
    ) -> Result<Restoring, Failure> {
        let ours = Arc::clone(&self.context.topology);
        let committed = restoring.committed();
        let configuration = committed.map(|(_, configuration)| configuration);
        let next = committed.map_or(NextOffset(0), |(next, _)| next);
        let is_ours = match configuration {
            Some(configuration) => configuration == ours.configuration_hash,
            // Nothing was committed yet: what was sent first says whose it is.
            None => self.begins_as_ours(repartition).await?,
        };
        if is_ours {
            return Ok(restoring);
        }
        let Some(found) = self.find(repartition, next).await? else { return Ok(restoring) };
        let old = old_topology(&found.cutover, configuration)?;
        let sources = restoring.sources();
        let takes = |mut sources: Sources| sources.cutover(&found.cutover, ours.configuration_hash).is_ok();
        if found.is_next && sources.is_some_and(takes) {
            return Ok(restoring.crossing(&old, NextOffset(found.at.0)));
        }
        Ok(restoring.under(Arc::new(old)))
    }

    async fn begins_as_ours(&mut self, place: TopicPartition) -> Result<bool, Failure> {
        let ends = self.reader.ends(place, Isolation::ReadCommitted).await?;
        let mut at = ends.first;
        while at < ends.next {
            let batch = self.reader.read(place, at, self.context.settings.poll_bytes).await?;
            let mut values = batch.records.iter().filter_map(|record| batch.value(record));
            if let Some(version) = values.find_map(version_of) {
                return Ok(version == self.context.version());
            }
            at = self.moved_on(at, batch.next).await;
        }
        Ok(true)
    }

    async fn find(&mut self, place: TopicPartition, position: NextOffset) -> Result<Option<Found>, Failure> {
        let ends = self.reader.ends(place, Isolation::ReadCommitted).await?;
        let (mut at, mut is_next) = (position.max(ends.first), true);
        while at < ends.next {
            let batch = self.reader.read(place, at, self.context.settings.poll_bytes).await?;
            for record in &batch.records {
                if let Ok(HopOne::Cutover(cutover)) = HopOne::view(batch.value(record).unwrap_or_default())
                    && cutover.configuration == self.context.topology.configuration_hash
                {
                    return Ok(Some(Found { at: record.offset, is_next, cutover }));
                }
                is_next = false;
            }
            at = self.moved_on(at, batch.next).await;
        }
        Ok(None)
    }
}

fn version_of(record: &[u8]) -> Option<RoutingVersion> {
    match HopOne::view(record) {
        Ok(HopOne::Block(block)) => Some(block.version),
        Ok(HopOne::Links(links)) => links.links.first().map(|link| link.version),
        Ok(HopOne::Gap(gap)) => Some(gap.version),
        Ok(HopOne::Reroute(_) | HopOne::Cutover(_)) | Err(_) => None,
    }
}

/// What the state was made under, from the cut-over's own words.
fn old_topology(cutover: &Cutover, configuration: Option<u64>) -> Result<Topology, Failure> {
    let halt = |reason: String| Failure::new(Reaction::Halt, reason);
    let old = check(&cutover.before).map_err(|problems| {
        let problem = problems.first().map(ToString::to_string).unwrap_or_default();
        halt(Halt::UnknownTopology { problem }.to_string())
    })?;
    if let Some(configuration) =
        configuration.filter(|&configuration| old.configuration_hash != configuration)
    {
        return Err(halt(format!(
            "the state was made under configuration {configuration:016x}, and the cut-over to this worker's is from \
             {:016x}: start it with the topology in between first",
            old.configuration_hash
        )));
    }
    Ok(old)
}
