//! The file: its tables, how it is opened, and how records are read from it.
//!
//! Made under another name and renamed when it is whole, so a kill while it is made leaves nothing.
//! The store may panic on pages that something else altered; [`guarded`] turns that into an error.

use super::{
    error::Error,
    layout::{self, Layout},
    partition::PartitionRow,
    run::Stored,
};
use crate::model::{
    CommittedOffset, Incarnation, NextOffset, Partition, Reader, RecordBatch, Role, Source, Topic,
    TopicPartition, Writer,
};
use redb::{
    Builder, ConcurrencyMode, Database, DatabaseError, ReadOnlyDatabase, ReadTransaction, ReadableDatabase,
    ReadableTable, StorageError, TableDefinition, WriteTransaction,
};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::ops::Bound;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::sync::Once;

/// Topic, partition, base offset → run.
pub(super) const RECORDS: TableDefinition<(u16, u32, u64), &[u8]> = TableDefinition::new("records");
/// Topic, partition → [`PartitionRow`].
pub(super) const PARTITIONS: TableDefinition<(u16, u32), &[u8]> = TableDefinition::new("partitions");
/// Role, partition → committed offset and metadata.
pub(super) const GROUPS: TableDefinition<(u8, u32), &[u8]> = TableDefinition::new("groups");
/// Number → what was appended of one input.
pub(super) const INPUTS: TableDefinition<u64, &[u8]> = TableDefinition::new("inputs");
/// Topic → [`TopicRow`].
const TOPICS: TableDefinition<u16, &[u8]> = TableDefinition::new("topics");
/// Deployment → format of the file. One row.
const DEPLOYMENT: TableDefinition<&str, u64> = TableDefinition::new("deployment");

const FORMAT: u64 = 1;
const FILE: &str = "log.redb";

/// A topic as the directory knows it.
#[derive(Debug, Clone, Copy)]
pub(super) struct TopicRow {
    pub(super) incarnation: Incarnation,
    pub(super) partitions: u32,
    /// Offsets of a topic that was never compacted have no holes.
    pub(super) was_compacted: bool,
}

enum Base {
    Writing(Database),
    Reading(ReadOnlyDatabase),
}

pub(super) struct Store {
    base: Base,
    pub(super) path: PathBuf,
    pub(super) topics: BTreeMap<Topic, TopicRow>,
}

impl Store {
    /// For the one process that holds the directory's lock.
    pub(super) fn open(dir: &Path, layout: &Layout, cache_bytes: usize) -> Result<Self, Error> {
        let path = dir.join(FILE);
        if !exists(&path)? {
            make(dir, &path, layout)?;
        }
        let database =
            guarded(&path, || builder(cache_bytes).open(&path).map_err(|error| opening(dir, &path, error)))?;
        let topics = guarded(&path, || adopt(dir, &path, &database, layout))?;
        Ok(Store { base: Base::Writing(database), path, topics })
    }

    /// For any other process: shares the file with the one that writes. `None`: the last writer was
    /// killed, and somebody with the lock has to open the file for writing first.
    pub(super) fn open_read_only(dir: &Path, cache_bytes: usize) -> Result<Option<Self>, Error> {
        let path = dir.join(FILE);
        if !exists(&path)? {
            return Err(Error::NoLog { dir: dir.to_owned() });
        }
        let opened = guarded(&path, || match builder(cache_bytes).open_read_only(&path) {
            Ok(database) => Ok(Some(database)),
            Err(DatabaseError::RepairAborted) => Ok(None),
            Err(error) => Err(opening(dir, &path, error)),
        })?;
        let Some(database) = opened else { return Ok(None) };
        let topics = guarded(&path, || {
            let transaction = database.begin_read().map_err(|error| storing(&path, error))?;
            let table = transaction.open_table(TOPICS).map_err(|error| storing(&path, error))?;
            read_topics(&path, &table)
        })?;
        Ok(Some(Store { base: Base::Reading(database), path, topics }))
    }

    /// Repairs what a kill left behind. The caller holds the lock.
    pub(super) fn repair(dir: &Path, cache_bytes: usize) -> Result<(), Error> {
        let path = dir.join(FILE);
        guarded(&path, || {
            let database = builder(cache_bytes).open(&path).map_err(|error| opening(dir, &path, error))?;
            database.close().map_err(|error| opening(dir, &path, error))
        })
    }

    pub(super) fn begin_write(&self) -> Result<WriteTransaction, Error> {
        match &self.base {
            Base::Writing(database) => begin_write(database, &self.path),
            Base::Reading(_) => unreachable!("only the writer asks, and it opens for writing"),
        }
    }

    fn begin_read(&self) -> Result<ReadTransaction, Error> {
        let begun = match &self.base {
            Base::Writing(database) => database.begin_read(),
            Base::Reading(database) => database.begin_read(),
        };
        begun.map_err(|error| storing(&self.path, error))
    }

    pub(super) fn topic(&self, topic: Topic) -> Result<&TopicRow, Error> {
        let at = TopicPartition { topic, partition: Partition(0) };
        self.topics.get(&topic).ok_or(Error::NoSuchPartition { at })
    }

    pub(super) fn source(&self, at: TopicPartition) -> Result<Source, Error> {
        match self.topics.get(&at.topic) {
            Some(row) if at.partition.0 < row.partitions => {
                Ok(Source { incarnation: row.incarnation, partition: at.partition })
            }
            Some(_) | None => Err(Error::NoSuchPartition { at }),
        }
    }

    pub(super) fn partition(&self, at: TopicPartition) -> Result<PartitionRow, Error> {
        self.source(at)?;
        guarded(&self.path, || self.partition_in(&self.begin_read()?, at))
    }

    fn partition_in(&self, transaction: &ReadTransaction, at: TopicPartition) -> Result<PartitionRow, Error> {
        let table = transaction.open_table(PARTITIONS).map_err(|error| storing(&self.path, error))?;
        let row = table
            .get((layout::code(at.topic), at.partition.0))
            .map_err(|error| storing(&self.path, error))?;
        row.map_or(Ok(PartitionRow::default()), |row| {
            PartitionRow::decode(row.value()).map_err(|what| damaged(&self.path, what))
        })
    }

    pub(super) fn committed(
        &self,
        role: Role,
        partition: Partition,
    ) -> Result<Option<CommittedOffset>, Error> {
        guarded(&self.path, || {
            let transaction = self.begin_read()?;
            let table = transaction.open_table(GROUPS).map_err(|error| storing(&self.path, error))?;
            let row =
                table.get((role_code(role), partition.0)).map_err(|error| storing(&self.path, error))?;
            row.map(|row| decode_committed(row.value()).map_err(|what| damaged(&self.path, what))).transpose()
        })
    }

    /// All rows of the inputs table.
    pub(super) fn inputs(&self) -> Result<Vec<(u64, Vec<u8>)>, Error> {
        guarded(&self.path, || {
            let transaction = self.begin_read()?;
            let table = transaction.open_table(INPUTS).map_err(|error| storing(&self.path, error))?;
            let rows = table.iter().map_err(|error| storing(&self.path, error))?;
            let row =
                |row: Result<(redb::AccessGuard<'_, u64>, redb::AccessGuard<'_, &[u8]>), StorageError>| {
                    let (number, value) = row.map_err(|error| storing(&self.path, error))?;
                    Ok((number.value(), value.value().to_vec()))
                };
            rows.map(row).collect()
        })
    }

    /// Whole runs from the one that holds `from` on, until `bytes_max` is reached.
    pub(super) fn read(
        &self,
        at: TopicPartition,
        from: NextOffset,
        bytes_max: usize,
    ) -> Result<RecordBatch, Error> {
        let source = self.source(at)?;
        let is_dense = !self.topic(at.topic)?.was_compacted;
        let mut batch = RecordBatch::empty(source, from);
        guarded(&self.path, || {
            let transaction = self.begin_read()?;
            let row = self.partition_in(&transaction, at)?;
            row.check(at, from)?;
            if from == row.next {
                return Ok(());
            }
            let table = transaction.open_table(RECORDS).map_err(|error| storing(&self.path, error))?;
            if self.read_runs(&table, at, from, bytes_max, is_dense, &mut batch)? == Stop::Full {
                return Ok(());
            }
            // Compaction may have left nothing between the last run and the end.
            if is_dense && batch.next != row.next {
                return Err(damaged(&self.path, hole(at, batch.next)));
            }
            batch.next = row.next;
            Ok(())
        })?;
        Ok(batch)
    }

    fn read_runs(
        &self,
        table: &impl ReadableTable<(u16, u32, u64), &'static [u8]>,
        at: TopicPartition,
        from: NextOffset,
        bytes_max: usize,
        is_dense: bool,
        batch: &mut RecordBatch,
    ) -> Result<Stop, Error> {
        let (topic, partition) = (layout::code(at.topic), at.partition.0);
        let storing = |error| storing(&self.path, error);
        let is_ours = |key: (u16, u32, u64)| (key.0, key.1) == (topic, partition);
        // The run that begins at or before `from`, if it is of this partition, may hold it.
        let mut cursor = table.upper_bound(Bound::Included((topic, partition, from.0))).map_err(storing)?;
        if let Some((key, _)) = cursor.prev().map_err(storing)?
            && !is_ours(key.value())
        {
            cursor.next().map_err(storing)?;
        }
        while let Some((key, value)) = cursor.next().map_err(storing)? {
            if !is_ours(key.value()) {
                break;
            }
            let (base, value) = (key.value().2, value.value());
            let run = Stored::open(at, base, value, &self.path)?;
            if run.next <= from.0 {
                continue;
            }
            if !batch.is_empty() && batch.bytes.len() + value.len() > bytes_max {
                return Ok(Stop::Full);
            }
            if is_dense && base > batch.next.0 {
                return Err(damaged(&self.path, hole(at, batch.next)));
            }
            run.read_into(batch, from, &self.path)?;
        }
        Ok(Stop::End)
    }
}

/// Why reading runs ended.
#[derive(PartialEq, Eq)]
enum Stop {
    Full,
    End,
}

fn builder(cache_bytes: usize) -> Builder {
    let mut builder = Database::builder();
    // One process writes and others read what it committed.
    builder.set_cache_size(cache_bytes).set_concurrency_mode(ConcurrencyMode::SingleWriter);
    builder
}

/// Each commit notes which pages are free, so that the start after a kill need not walk the whole file
/// (0.7 s for half a gigabyte; noting it costs a small commit a tenth).
fn begin_write(database: &Database, path: &Path) -> Result<WriteTransaction, Error> {
    let mut transaction = database.begin_write().map_err(|error| storing(path, error))?;
    transaction.set_quick_repair(true);
    Ok(transaction)
}

fn exists(path: &Path) -> Result<bool, Error> {
    path.try_exists().map_err(|source| Error::io("look for", path, source))
}

/// Makes the whole file under another name first: what a kill leaves of it is not a log yet.
fn make(dir: &Path, path: &Path, layout: &Layout) -> Result<(), Error> {
    let unfinished = dir.join("log.redb.new");
    if exists(&unfinished)? {
        fs::remove_file(&unfinished).map_err(|source| Error::io("remove", &unfinished, source))?;
    }
    guarded(&unfinished, || {
        let opened = builder(1 << 20).create(&unfinished);
        let database = opened.map_err(|error| opening(dir, &unfinished, error))?;
        adopt(dir, &unfinished, &database, layout)?;
        database.close().map_err(|error| opening(dir, &unfinished, error))
    })?;
    let renamed = fs::rename(&unfinished, path).and_then(|()| File::open(dir)?.sync_all());
    renamed.map_err(|source| Error::io("make", path, source))
}

/// Compares the directory with what is asked for; adds topics that are new (a history).
fn adopt(
    dir: &Path,
    path: &Path,
    database: &Database,
    layout: &Layout,
) -> Result<BTreeMap<Topic, TopicRow>, Error> {
    let storing = |error: redb::Error| storing(path, error);
    let transaction = begin_write(database, path)?;
    let topics = {
        let mut deployment = transaction.open_table(DEPLOYMENT).map_err(|error| storing(error.into()))?;
        let known = deployment.first().map_err(|error| storing(error.into()))?;
        let known = known.map(|(name, format)| (name.value().to_owned(), format.value()));
        match known {
            Some((_, found)) if found != FORMAT => {
                return Err(Error::Newer { path: path.to_owned(), found, known: FORMAT });
            }
            Some((found, _)) if found != layout.deployment => {
                let asked = layout.deployment.clone();
                return Err(Error::OtherDeployment { dir: dir.to_owned(), found, asked });
            }
            Some(_) => {}
            None => {
                let name = layout.deployment.as_str();
                drop(deployment.insert(name, FORMAT).map_err(|error| storing(error.into()))?);
            }
        }
        let mut table = transaction.open_table(TOPICS).map_err(|error| storing(error.into()))?;
        let mut topics = read_topics(path, &table)?;
        for asked in &layout.topics {
            let row = adopt_topic(dir, topics.get(&asked.topic), asked)?;
            let value = row.encode();
            let inserted = table.insert(layout::code(asked.topic), value.as_slice());
            drop(inserted.map_err(|error| storing(error.into()))?);
            topics.insert(asked.topic, row);
        }
        // Tables that exist from the start can be opened for reading.
        transaction.open_table(RECORDS).map_err(|error| storing(error.into()))?;
        transaction.open_table(PARTITIONS).map_err(|error| storing(error.into()))?;
        transaction.open_table(GROUPS).map_err(|error| storing(error.into()))?;
        transaction.open_table(INPUTS).map_err(|error| storing(error.into()))?;
        topics
    };
    transaction.commit().map_err(|error| storing(error.into()))?;
    Ok(topics)
}

fn adopt_topic(dir: &Path, known: Option<&TopicRow>, asked: &layout::TopicLayout) -> Result<TopicRow, Error> {
    let is_compacted = asked.cleanup.is_compacted;
    match known {
        None => Ok(TopicRow {
            incarnation: Incarnation(random()),
            partitions: asked.partitions,
            was_compacted: is_compacted,
        }),
        Some(row) if row.partitions != asked.partitions => Err(Error::OtherPartitions {
            dir: dir.to_owned(),
            topic: asked.topic,
            found: row.partitions,
            asked: asked.partitions,
        }),
        Some(row) => Ok(TopicRow { was_compacted: row.was_compacted || is_compacted, ..*row }),
    }
}

/// 128 bits from the keys that the standard library draws from the operating system.
fn random() -> u128 {
    let half = || u128::from(RandomState::new().hash_one(std::process::id()));
    half() << 64 | half()
}

fn read_topics(
    path: &Path,
    table: &impl ReadableTable<u16, &'static [u8]>,
) -> Result<BTreeMap<Topic, TopicRow>, Error> {
    let rows = table.iter().map_err(|error| storing(path, error))?;
    let row = |row: Result<(redb::AccessGuard<'_, u16>, redb::AccessGuard<'_, &[u8]>), StorageError>| {
        let (code, value) = row.map_err(|error| storing(path, error))?;
        let topic =
            layout::topic(code.value()).ok_or_else(|| damaged(path, "an unknown topic".to_owned()))?;
        Ok((topic, TopicRow::decode(value.value()).map_err(|what| damaged(path, what))?))
    };
    rows.map(row).collect()
}

impl TopicRow {
    fn encode(&self) -> Vec<u8> {
        let mut to = Writer::default();
        to.u128(self.incarnation.0);
        to.varint(u64::from(self.partitions));
        to.u8(u8::from(self.was_compacted));
        to.bytes
    }

    fn decode(bytes: &[u8]) -> Result<Self, String> {
        let read = |from: &mut Reader<'_>| {
            let incarnation = Incarnation(from.u128()?);
            let partitions = u32::try_from(from.varint()?).map_err(|_| from.damaged())?;
            Ok(TopicRow { incarnation, partitions, was_compacted: from.u8()? == 1 })
        };
        read(&mut Reader::new(bytes, "topic row"))
            .map_err(|damaged: crate::model::Damaged| damaged.to_string())
    }
}

pub(super) fn role_code(role: Role) -> u8 {
    match role {
        Role::Route => 0,
        Role::Aggregate => 1,
        Role::Lake => 2,
    }
}

pub(super) fn encode_committed(offset: &CommittedOffset) -> Vec<u8> {
    let mut to = Writer::default();
    to.varint(offset.next.0);
    to.blob(offset.metadata.as_bytes());
    to.bytes
}

fn decode_committed(bytes: &[u8]) -> Result<CommittedOffset, String> {
    let read = |from: &mut Reader<'_>| {
        let next = NextOffset(from.varint()?);
        Ok(CommittedOffset { next, metadata: from.text()?.to_owned() })
    };
    read(&mut Reader::new(bytes, "committed offset"))
        .map_err(|damaged: crate::model::Damaged| damaged.to_string())
}

fn hole(at: TopicPartition, next: NextOffset) -> String {
    format!("{} partition {} has no record at offset {next}", layout::name(at.topic), at.partition)
}

pub(super) fn damaged(path: &Path, what: String) -> Error {
    Error::Damaged { path: path.to_owned(), what }
}

/// An error of the store, as what it means for a person.
pub(super) fn storing(path: &Path, error: impl Into<redb::Error>) -> Error {
    match error.into() {
        redb::Error::Io(source) => Error::io("use", path, source),
        redb::Error::PreviousIo | redb::Error::DatabaseClosed => Error::Closed,
        error => damaged(path, error.to_string()),
    }
}

fn opening(dir: &Path, path: &Path, error: DatabaseError) -> Error {
    match error {
        DatabaseError::DatabaseAlreadyOpen | DatabaseError::LockProtocolMismatch => {
            Error::Locked { dir: dir.to_owned(), holder: "another program".to_owned() }
        }
        DatabaseError::UpgradeRequired(_) => damaged(path, "its format is too old".to_owned()),
        DatabaseError::Storage(StorageError::Io(source))
            if source.kind() == std::io::ErrorKind::InvalidData =>
        {
            damaged(path, source.to_string())
        }
        error => storing(path, error),
    }
}

thread_local! {
    static IS_GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Runs `what` and turns a panic in it into [`Error::Damaged`], without the panic's own message.
pub(super) fn guarded<T>(path: &Path, what: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    static QUIET: Once = Once::new();
    QUIET.call_once(|| {
        let loud = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if !IS_GUARDED.get() {
                loud(info);
            }
        }));
    });
    let was_guarded = IS_GUARDED.replace(true);
    let caught = panic::catch_unwind(AssertUnwindSafe(what));
    IS_GUARDED.set(was_guarded);
    caught.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|&text| text.to_owned()));
        Err(damaged(path, text.unwrap_or_else(|| "a page is not what was written".to_owned())))
    })
}
