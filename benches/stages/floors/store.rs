//! Bytes as blobs of 64 KiB in a store, and out again: what a log costs if it is nothing more than that.

use redb::{Database, ReadableDatabase, TableDefinition};
use std::path::Path;

/// What blobs belong to, and their number in it.
const BLOBS: TableDefinition<(u64, u64), &[u8]> = TableDefinition::new("blobs");
/// A blob and the store's own bytes fill its pages.
const BLOB_BYTES: usize = (64 << 10) - 128;
/// As the engine's log has it.
const CACHE_BYTES: usize = 64 << 20;

pub(crate) struct Store {
    database: Database,
    filling: Vec<u8>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Place {
    Raw(usize),
    Blocks(u64),
    Transaction(u64),
}

impl Place {
    fn number(self) -> u64 {
        match self {
            Place::Raw(partition) => partition as u64,
            Place::Blocks(commit) => 2 + 2 * commit,
            Place::Transaction(commit) => 3 + 2 * commit,
        }
    }
}

impl Store {
    /// `filling` is what [`Store::write`] writes.
    pub(crate) fn new(dir: &Path, filling: &[u8]) -> anyhow::Result<Store> {
        let mut builder = Database::builder();
        builder.set_cache_size(CACHE_BYTES);
        let database = builder.create(dir.join("floor.redb"))?;
        let transaction = database.begin_write()?;
        transaction.open_table(BLOBS)?;
        transaction.commit()?;
        let filling = filling.iter().copied().cycle().take(BLOB_BYTES).collect();
        Ok(Store { database, filling })
    }

    /// Lines, each behind its length, in two partitions as the engine has them.
    pub(crate) fn append_lines(&self, lines: &[u8]) -> anyhow::Result<()> {
        let mut open: [Vec<u8>; 2] = Default::default();
        let mut blobs: [Vec<Vec<u8>>; 2] = Default::default();
        for (number, line) in lines.split(|&byte| byte == b'\n').filter(|line| !line.is_empty()).enumerate() {
            let partition = number % 2;
            if open[partition].len() + 4 + line.len() > BLOB_BYTES {
                blobs[partition].push(std::mem::take(&mut open[partition]));
            }
            open[partition].extend_from_slice(&(line.len() as u32).to_le_bytes());
            open[partition].extend_from_slice(line);
        }
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(BLOBS)?;
            for (partition, (mut blobs, open)) in blobs.into_iter().zip(open).enumerate() {
                blobs.push(open);
                for (number, blob) in blobs.iter().enumerate() {
                    table.insert((Place::Raw(partition).number(), number as u64), blob.as_slice())?;
                }
            }
        }
        Ok(transaction.commit()?)
    }

    /// Copies blobs out from number `next` on, about `bytes_max` of them.
    pub(crate) fn read(&self, place: Place, next: &mut u64, bytes_max: usize) -> anyhow::Result<Vec<u8>> {
        let table = self.database.begin_read()?.open_table(BLOBS)?;
        let mut bytes = Vec::new();
        for blob in table.range((place.number(), *next)..(place.number(), u64::MAX))? {
            let (_, blob) = blob?;
            if !bytes.is_empty() && bytes.len() + blob.value().len() > bytes_max {
                break;
            }
            bytes.extend_from_slice(blob.value());
            *next += 1;
        }
        Ok(bytes)
    }

    /// Reads a place from its start to its end.
    pub(crate) fn read_all(&self, place: Place) -> anyhow::Result<usize> {
        let (mut next, mut read) = (0, 0);
        loop {
            let bytes = self.read(place, &mut next, super::POLL_BYTES)?;
            if bytes.is_empty() {
                return Ok(read);
            }
            read += bytes.len();
        }
    }

    /// One transaction of so many bytes, on the disk when it returns.
    pub(crate) fn write(&self, what: &[(Place, usize)]) -> anyhow::Result<()> {
        let transaction = self.database.begin_write()?;
        {
            let mut table = transaction.open_table(BLOBS)?;
            for &(place, bytes) in what {
                for (number, start) in (0u64..).zip((0..bytes).step_by(BLOB_BYTES)) {
                    let blob = &self.filling[..BLOB_BYTES.min(bytes - start)];
                    table.insert((place.number(), number), blob)?;
                }
            }
        }
        Ok(transaction.commit()?)
    }
}
