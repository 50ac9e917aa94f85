//! A run: consecutive records of one partition, kept as one value of the store.
//!
//! ```text
//! checksum u64 │ format u8 │ first time i64 │ last time i64 │ span u64 │ count u32 │ records
//! record: gap to the one before, time since the one before, length of key and of value, headers,
//!         key, value
//! ```
//!
//! The store rounds a value up to a power of two and pays per key, so runs are filled to just under
//! 64 KiB; a record that is bigger sits alone. The checksum covers the run's place too: the store does
//! not check a page that it reads, and a damaged record must never be counted.

use super::{error::Error, layout};
use crate::model::{
    Damaged, LogTime, NextOffset, Offset, OutRecord, Reader, RecordBatch, RecordSlice, Span, TopicPartition,
    Writer,
};
use std::path::Path;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// 64 KiB less what a page of the store needs for itself.
const RUN_BYTES_MAX: usize = (64 << 10) - 128;
const FORMAT: u8 = 1;
const CHECKSUM: usize = 8;
const HEADER: usize = CHECKSUM + 1 + 8 + 8 + 8 + 4;

/// Runs on their way into the store; offsets count from 0 until [`Run::seal`] gives them a place.
#[derive(Debug, Default)]
pub(super) struct Runs {
    runs: Vec<Run>,
    bytes: usize,
}

#[derive(Debug)]
pub(super) struct Run {
    bytes: Vec<u8>,
    count: u32,
    /// Of the first record; 0 in runs that are appended.
    first: u64,
    last: u64,
    first_time: i64,
    last_time: i64,
}

impl Runs {
    pub(super) fn of(record: &OutRecord) -> Self {
        let mut runs = Runs::default();
        runs.push_out(record);
        runs
    }

    pub(super) fn is_empty(&self) -> bool {
        self.runs.is_empty()
    }

    /// Bytes that these runs take in the store.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn push_out(&mut self, record: &OutRecord) {
        let headers = record.headers.iter().map(|(name, value)| (name.as_bytes(), &value[..]));
        self.push(None, record.key.as_deref(), record.value.as_deref(), headers);
    }

    /// A record that is already in the log: it keeps its offset and its time.
    pub(super) fn push_kept(&mut self, batch: &RecordBatch, record: &RecordSlice) {
        let headers =
            record.headers.iter().map(|(name, value)| (name.of(&batch.bytes), value.of(&batch.bytes)));
        let place = Some((record.offset.0, record.time.0));
        self.push(place, batch.key(record), batch.value(record), headers);
    }

    /// `place` is `None` for a record that comes right behind the one before, at the same time.
    pub(super) fn push<'a>(
        &mut self,
        place: Option<(u64, i64)>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])> + Clone,
    ) {
        let headers_len: usize = headers.clone().map(|(name, value)| name.len() + value.len() + 10).sum();
        let len = key.map_or(0, <[u8]>::len) + value.map_or(0, <[u8]>::len) + headers_len + 40;
        if self.runs.last().is_none_or(|run| run.bytes.len() + len > RUN_BYTES_MAX) {
            let (offset, time) = place.unwrap_or((0, 0));
            self.runs.push(Run::starting_at(offset, time, len));
            self.bytes += HEADER;
        }
        let run = self.runs.last_mut().expect("a run was just made sure of");
        let before = run.bytes.len();
        run.push(place, key, value, headers);
        self.bytes += run.bytes.len() - before;
    }

    pub(super) fn into_iter(self) -> impl Iterator<Item = Run> {
        self.runs.into_iter()
    }
}

impl Run {
    fn starting_at(offset: u64, time: i64, len: usize) -> Self {
        let mut bytes =
            Vec::with_capacity(if len > 4096 { HEADER + len.max(RUN_BYTES_MAX) } else { HEADER + len });
        bytes.resize(HEADER, 0);
        Run { bytes, count: 0, first: offset, last: offset, first_time: time, last_time: time }
    }

    fn push<'a>(
        &mut self,
        place: Option<(u64, i64)>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        headers: impl ExactSizeIterator<Item = (&'a [u8], &'a [u8])>,
    ) {
        let expected = if self.count == 0 { self.first } else { self.last + 1 };
        let (offset, time) = place.unwrap_or((expected, self.last_time));
        let mut to = Writer { bytes: std::mem::take(&mut self.bytes) };
        to.varint(offset - expected);
        to.zigzag(time - self.last_time);
        to.option(key.map(|key| key.len() as u64));
        to.option(value.map(|value| value.len() as u64));
        to.varint(headers.len() as u64);
        for (name, value) in headers {
            to.blob(name);
            to.blob(value);
        }
        to.bytes.extend_from_slice(key.unwrap_or_default());
        to.bytes.extend_from_slice(value.unwrap_or_default());
        self.bytes = to.bytes;
        self.count += 1;
        (self.last, self.last_time) = (offset, time);
    }

    pub(super) fn count(&self) -> u64 {
        u64::from(self.count)
    }

    /// Where a run that keeps its offsets begins.
    pub(super) fn first(&self) -> u64 {
        self.first
    }

    /// The value to store at `base`; `time` is given to all records of a run that is appended.
    pub(super) fn seal(mut self, at: TopicPartition, base: u64, time: Option<LogTime>) -> Vec<u8> {
        let time = time.map_or(0, |time| time.0);
        let mut to = Writer::default();
        to.u8(FORMAT);
        to.u64((self.first_time + time) as u64);
        to.u64((self.last_time + time) as u64);
        to.u64(self.last - self.first + 1);
        to.bytes.extend_from_slice(&self.count.to_le_bytes());
        self.bytes[CHECKSUM..HEADER].copy_from_slice(&to.bytes);
        let checksum = checksum(at, base, &self.bytes);
        self.bytes[..CHECKSUM].copy_from_slice(&checksum.to_le_bytes());
        self.bytes
    }
}

fn checksum(at: TopicPartition, base: u64, run: &[u8]) -> u64 {
    let place =
        u64::from(layout::code(at.topic)) << 48 ^ u64::from(at.partition.0) << 16 ^ base.rotate_left(32);
    xxh3_64_with_seed(&run[CHECKSUM..], place)
}

/// A run as it lies in the store.
#[derive(Debug, Clone, Copy)]
pub(super) struct Stored<'a> {
    base: u64,
    bytes: &'a [u8],
    count: u32,
    first_time: i64,
    pub(super) last_time: i64,
    /// Past the run's last record.
    pub(super) next: u64,
}

impl<'a> Stored<'a> {
    pub(super) fn open(at: TopicPartition, base: u64, bytes: &'a [u8], path: &Path) -> Result<Self, Error> {
        Self::parse(at, base, bytes).ok_or_else(|| {
            let (topic, partition) = (layout::name(at.topic), at.partition);
            let what = format!(
                "the records of {topic} partition {partition} from offset {base} on are not what was written"
            );
            Error::Damaged { path: path.to_owned(), what }
        })
    }

    fn parse(at: TopicPartition, base: u64, bytes: &'a [u8]) -> Option<Self> {
        let mut from = Reader::new(bytes, "run");
        let stated = from.u64().ok()?;
        if checksum(at, base, bytes) != stated || from.u8().ok()? != FORMAT {
            return None;
        }
        let first_time = from.u64().ok()? as i64;
        let last_time = from.u64().ok()? as i64;
        let next = base.checked_add(from.u64().ok()?)?;
        let count = u32::from_le_bytes(from.take(4).ok()?.try_into().ok()?);
        Some(Stored { base, bytes, count, first_time, last_time, next })
    }

    pub(super) fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    pub(super) fn count(&self) -> usize {
        self.count as usize
    }

    /// Bigger than half of what a run can hold: two of them cannot become one.
    pub(super) fn is_filled(&self) -> bool {
        self.bytes.len() > RUN_BYTES_MAX / 2
    }

    /// Adds the records from `from` on to the batch: one copy of the run, then places in it.
    pub(super) fn read_into(
        &self,
        batch: &mut RecordBatch,
        from: NextOffset,
        path: &Path,
    ) -> Result<(), Error> {
        let start = batch.bytes.len();
        batch.bytes.extend_from_slice(&self.bytes[HEADER..]);
        batch.records.reserve(self.count as usize);
        self.slices(&mut batch.records, from, start)
            .map_err(|damaged| Error::Damaged { path: path.to_owned(), what: damaged.to_string() })?;
        batch.next = NextOffset(self.next);
        Ok(())
    }

    fn slices(&self, records: &mut Vec<RecordSlice>, from: NextOffset, start: usize) -> Result<(), Damaged> {
        let mut reader = Reader::new(&self.bytes[HEADER..], "run");
        let mut expected = self.base;
        let mut time = self.first_time;
        for _ in 0..self.count {
            let offset = expected + reader.varint()?;
            expected = offset + 1;
            time += reader.zigzag()?;
            let key_len = reader.option()?;
            let value_len = reader.option()?;
            let headers = (0..reader.count()?).map(|_| {
                let name = blob(&mut reader, start)?;
                Ok((name, blob(&mut reader, start)?))
            });
            let headers = headers.collect::<Result<_, Damaged>>()?;
            let key = part(&mut reader, start, key_len)?;
            let value = part(&mut reader, start, value_len)?;
            if offset >= from.0 {
                records.push(RecordSlice {
                    offset: Offset(offset),
                    time: LogTime(time),
                    key,
                    value,
                    headers,
                });
            }
        }
        Ok(())
    }
}

fn blob(reader: &mut Reader<'_>, start: usize) -> Result<Span, Damaged> {
    let len = reader.varint()?;
    part(reader, start, Some(len))
}

fn part(reader: &mut Reader<'_>, start: usize, len: Option<u64>) -> Result<Span, Damaged> {
    let Some(len) = len else { return Ok(Span::ABSENT) };
    let len = usize::try_from(len).map_err(|_| reader.damaged())?;
    let at = start + reader.position();
    reader.take(len)?;
    Ok(Span::new(at, at + len))
}
