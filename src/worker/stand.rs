//! Where every target stands: its commit record, and what it will have taken at the end of its log.

use super::alone::{Alone, Refused};
use crate::aggregate::{COMMIT_KEY, CommitRecord, Halt, Recreated, Scan};
use crate::model::{NextOffset, Partition, RecordBatch, Topic, TopicPartition};
use crate::port::{Isolation, Reader};
use crate::topology::Topology;
use std::sync::Arc;

const READ_BYTES: usize = 1 << 20;

/// One scan for each target. Reads long logs, so whoever holds the group is kept in it meanwhile.
pub(super) async fn targets(
    topology: &Arc<Topology>,
    reader: &mut dyn Reader,
    alone: Option<&Alone>,
) -> Result<Vec<Scan>, Refused> {
    let mut scans = begin(topology, reader, alone).await?;
    go_on(&mut scans, reader, alone).await?;
    Ok(scans)
}

/// Each target at its commit record.
pub(super) async fn begin(
    topology: &Arc<Topology>,
    reader: &mut dyn Reader,
    alone: Option<&Alone>,
) -> Result<Vec<Scan>, Refused> {
    let found = reader.facts(Topic::Repartition).await?;
    let expected = topology.partitions;
    if found.partitions != expected {
        let text = format!(
            "the repartition topic has {} partitions, the topology says {expected}",
            found.partitions
        );
        return Err(Refused::Wrong(text));
    }
    let mut scans = Vec::new();
    for target in (0..expected).map(Partition) {
        let record = commit_record(reader, alone, target).await?;
        let unreadable = || Refused::Wrong(unreadable(target));
        let stands_in = record.as_ref().map_or(Ok(None), CommitRecord::reads).map_err(|_| unreadable())?;
        if let Some(expected) = stands_in.filter(|&topic| topic != found.incarnation) {
            let recreated = Recreated { found: found.incarnation, expected };
            return Err(Refused::Wrong(format!("target {target}: {recreated}")));
        }
        let mut scan = Scan::new(Arc::clone(topology), record.as_ref()).ok_or_else(unreadable)?;
        let repartition = TopicPartition { topic: Topic::Repartition, partition: target };
        let begins = reader.ends(repartition, Isolation::ReadCommitted).await?.first;
        if begins > scan.next() {
            scan.begins_late(begins);
        }
        scans.push(scan);
    }
    Ok(scans)
}

async fn commit_record(
    reader: &mut dyn Reader,
    alone: Option<&Alone>,
    target: Partition,
) -> Result<Option<CommitRecord>, Refused> {
    let state = TopicPartition { topic: Topic::State, partition: target };
    let from = reader.ends(state, Isolation::ReadCommitted).await?.first;
    let mut record = None;
    each(reader, alone, state, from, |batch| {
        let mut commits = batch.records.iter().filter(|record| batch.key(record) == Some(COMMIT_KEY));
        if let Some(last) = commits.next_back() {
            record = batch.value(last).map(<[u8]>::to_vec);
        }
    })
    .await?;
    let Some(bytes) = record else { return Ok(None) };
    CommitRecord::decode(&bytes).map(Some).ok_or_else(|| Refused::Wrong(unreadable(target)))
}

fn unreadable(target: Partition) -> String {
    format!("the commit record of target {target} is not one of ours")
}

/// Each target up to the end of its log as it stands now.
pub(super) async fn go_on(
    scans: &mut [Scan],
    reader: &mut dyn Reader,
    alone: Option<&Alone>,
) -> Result<(), Refused> {
    for (target, scan) in (0u32..).map(Partition).zip(scans) {
        let repartition = TopicPartition { topic: Topic::Repartition, partition: target };
        each(reader, alone, repartition, scan.next(), |batch| {
            for record in &batch.records {
                scan.take(record.offset, batch.value(record).unwrap_or_default());
            }
            scan.skip_to(batch.next);
        })
        .await?;
    }
    Ok(())
}

/// All committed records from `at` on, up to the end as it stands now.
async fn each(
    reader: &mut dyn Reader,
    alone: Option<&Alone>,
    place: TopicPartition,
    mut at: NextOffset,
    mut take: impl FnMut(&RecordBatch),
) -> Result<(), Refused> {
    let end = reader.ends(place, Isolation::ReadCommitted).await?.next;
    while at < end {
        if let Some(alone) = alone {
            alone.check().await?;
        }
        let batch = reader.read(place, at, READ_BYTES).await?;
        take(&batch);
        if batch.next <= at {
            break;
        }
        at = batch.next;
    }
    Ok(())
}

/// A halt that only a cut-over, or a worker with another topology, ends.
pub(super) fn is_of_a_cutover(halt: &Halt) -> bool {
    matches!(halt, Halt::CutTooLow { .. } | Halt::OtherConfiguration { .. } | Halt::UnknownTopology { .. })
}
