//! Where a partition ends for those who read only what was committed. Its last offsets may hold nothing for them:
//! markers that end a transaction, and records of one that was aborted. No position ever passes those.

use crate::model::{NextOffset, TopicPartition};
use crate::port::{Failure, Isolation, Reader};

/// How much one read may bring.
const READ_BYTES: usize = 1 << 20;
/// How many times more offsets are looked at, if those before held nothing.
const MORE: u64 = 8;

/// Behind the last record that can be read; the first offset where there is none.
pub async fn behind_last_record(reader: &mut dyn Reader, at: TopicPartition) -> Result<NextOffset, Failure> {
    let ends = reader.ends(at, Isolation::ReadCommitted).await?;
    let mut back = 1;
    loop {
        let from = NextOffset(ends.next.0.saturating_sub(back)).max(ends.first);
        match last_between(reader, at, from, ends.next).await? {
            Some(last) => return Ok(last),
            None if from <= ends.first => return Ok(ends.first),
            None => back *= MORE,
        }
    }
}

/// Whether there is nothing to read between a position and an end that was asked for.
pub(super) async fn is_empty_between(
    reader: &mut dyn Reader,
    at: TopicPartition,
    from: NextOffset,
    end: NextOffset,
) -> Result<bool, Failure> {
    // The reader answers with the first record, or with the end behind all that holds none.
    let batch = reader.read(at, from, 1).await?;
    Ok(batch.is_empty() && batch.next >= end)
}

async fn last_between(
    reader: &mut dyn Reader,
    at: TopicPartition,
    mut from: NextOffset,
    end: NextOffset,
) -> Result<Option<NextOffset>, Failure> {
    let mut last = None;
    while from < end {
        let batch = reader.read(at, from, READ_BYTES).await?;
        let mut before = batch.records.iter().map(|record| record.offset.next()).filter(|next| *next <= end);
        last = before.next_back().or(last);
        if batch.next <= from {
            break;
        }
        from = batch.next;
    }
    Ok(last)
}
