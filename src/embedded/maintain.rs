//! Forgets what may be forgotten: expired runs, and records whose key came again.
//!
//! Compaction works like the brokers': a pass notes the last offset of every key in the dirty part,
//! then rewrites the runs below without the records that came again. Each step is a part of one
//! store transaction and right by itself (the record that makes another one superfluous is already
//! there), so a kill between two steps only means that the next pass starts anew.

use super::{
    error::Error,
    layout::{self, Cleanup},
    partition::{PartitionRow, Tombstones},
    run::{Runs, Stored},
    store::storing,
};
use crate::model::{Incarnation, NextOffset, RecordBatch, RecordSlice, Source, TopicPartition};
use foldhash::fast::FixedState;
use redb::{ReadableTable, Table};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;
use std::time::Duration;
use xxhash_rust::xxh3::xxh3_128;

/// Keys that one pass notes at most: about 50 MB.
const KEYS_MAX: usize = 1 << 20;
/// Expired runs that one step removes.
const EXPIRED_MAX: usize = 256;

/// When compaction runs and what it leaves. The brokers' settings, by the brokers' names in the comments.
#[derive(Debug, Clone, Copy)]
pub struct Upkeep {
    /// `min.cleanable.dirty.ratio`.
    pub dirty_ratio: f64,
    /// Less than this is not worth a pass.
    pub dirty_bytes_min: u64,
    /// `min.compaction.lag.ms`: younger records stay, whatever came after them.
    pub lag_min: Duration,
    /// `max.compaction.lag.ms`: a partition with anything dirty gets a pass this often.
    pub lag_max: Duration,
    /// `delete.retention.ms`: how long a reader has to see a tombstone.
    pub tombstones_stay: Duration,
    /// Bytes that one step reads.
    pub step_bytes: usize,
}

impl Default for Upkeep {
    fn default() -> Self {
        Upkeep {
            dirty_ratio: 0.5,
            dirty_bytes_min: 16 << 20,
            lag_min: Duration::from_secs(60),
            lag_max: Duration::from_secs(6 * 60 * 60),
            tombstones_stay: Duration::from_secs(24 * 60 * 60),
            step_bytes: 4 << 20,
        }
    }
}

pub(super) type Records<'txn> = Table<'txn, (u16, u32, u64), &'static [u8]>;

/// What a step works on.
pub(super) struct Work<'a, 'txn> {
    pub(super) records: &'a mut Records<'txn>,
    pub(super) rows: &'a mut BTreeMap<TopicPartition, PartitionRow>,
    pub(super) changed: &'a mut BTreeSet<TopicPartition>,
    pub(super) path: &'a Path,
    pub(super) now: i64,
}

pub(super) struct Maintenance {
    upkeep: Upkeep,
    topics: BTreeMap<TopicPartition, Cleanup>,
    pass: Option<Pass>,
    looked: i64,
    /// When each partition's last pass ended.
    passed: BTreeMap<TopicPartition, i64>,
}

impl Maintenance {
    pub(super) fn new(upkeep: Upkeep, topics: BTreeMap<TopicPartition, Cleanup>, now: i64) -> Self {
        let passed = topics.keys().map(|&at| (at, now)).collect();
        Maintenance { upkeep, topics, pass: None, looked: now, passed }
    }

    /// Is there a step to do at this time? A new look is taken once a second.
    pub(super) fn is_due(&self, now: i64) -> bool {
        self.pass.is_some() || now >= self.looked + 1_000_000 || now < self.looked
    }

    /// One small step; says whether another one is waiting.
    pub(super) fn step(&mut self, work: &mut Work<'_, '_>) -> Result<bool, Error> {
        if let Some(mut pass) = self.pass.take() {
            if pass.step(work, &self.upkeep)? {
                self.passed.insert(pass.at, work.now);
            } else {
                self.pass = Some(pass);
            }
            return Ok(true);
        }
        self.looked = work.now;
        for (&at, cleanup) in &self.topics {
            if let Some(retention) = cleanup.retention
                && expire(work, at, work.now - micros(retention))?
            {
                // There may be more to expire: look again at once.
                self.looked = i64::MIN;
                return Ok(true);
            }
        }
        let due =
            |&(&at, cleanup): &(&TopicPartition, &Cleanup)| cleanup.is_compacted && self.wants_pass(at, work);
        let due = self.topics.iter().find(due).map(|(&at, _)| at);
        self.pass = due.map(|at| Pass::new(at, &work.rows[&at], &self.upkeep, work.now));
        Ok(self.pass.is_some())
    }

    /// Everything that may go, at once: for tests, and for people who want their disk back.
    pub(super) fn everything(&mut self, work: &mut Work<'_, '_>) -> Result<(), Error> {
        while self.pass.is_some() {
            self.step(work)?;
        }
        for (&at, cleanup) in &self.topics {
            if let Some(retention) = cleanup.retention {
                while expire(work, at, work.now - micros(retention))? {}
            }
            if cleanup.is_compacted {
                let mut pass = Pass::new(at, &work.rows[&at], &self.upkeep, work.now);
                while !pass.step(work, &self.upkeep)? {}
            }
        }
        Ok(())
    }

    fn wants_pass(&self, at: TopicPartition, work: &Work<'_, '_>) -> bool {
        let (row, upkeep) = (&work.rows[&at], &self.upkeep);
        let since = work.now - self.passed[&at];
        // A pass that found everything too young finds the same again until the lag is over.
        if since < micros(upkeep.lag_min) {
            return false;
        }
        let is_dirty =
            row.dirty >= upkeep.dirty_bytes_min && row.dirty as f64 >= upkeep.dirty_ratio * row.bytes as f64;
        let is_overdue = row.dirty > 0 && since >= micros(upkeep.lag_max);
        is_dirty || is_overdue || may_drop(&row.tombstones, upkeep, work.now)
    }
}

fn may_drop(tombstones: &Tombstones, upkeep: &Upkeep, now: i64) -> bool {
    tombstones.count > 0 && now >= tombstones.since + micros(upkeep.tombstones_stay)
}

fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4)
}

/// Removes runs whose last record is older than `before`, from the front; says whether it removed any.
fn expire(work: &mut Work<'_, '_>, at: TopicPartition, before: i64) -> Result<bool, Error> {
    let mut gone = Vec::new();
    let mut first = None;
    visit(work, at, 0, |run, base| {
        if run.last_time >= before || gone.len() == EXPIRED_MAX {
            first = Some(base);
            return Ok(false);
        }
        gone.push((base, run.len()));
        Ok(true)
    })?;
    if gone.is_empty() {
        return Ok(false);
    }
    let row = work.rows.get_mut(&at).expect("every partition has a row");
    for &(base, bytes) in &gone {
        row.bytes -= bytes;
        if base >= row.cleaned {
            row.dirty -= bytes;
        }
    }
    row.first = first.map_or(row.next, NextOffset);
    row.cleaned = row.cleaned.max(row.first.0);
    work.changed.insert(at);
    for (base, _) in gone {
        remove(work, at, base)?;
    }
    Ok(true)
}

/// Shows the runs of a partition from the one that begins at or behind `from` on, until told to stop.
fn visit(
    work: &Work<'_, '_>,
    at: TopicPartition,
    from: u64,
    mut see: impl FnMut(&Stored<'_>, u64) -> Result<bool, Error>,
) -> Result<(), Error> {
    let (topic, partition) = (layout::code(at.topic), at.partition.0);
    let range = (topic, partition, from)..=(topic, partition, u64::MAX);
    let runs = work.records.range(range).map_err(|error| storing(work.path, error))?;
    for run in runs {
        let (key, value) = run.map_err(|error| storing(work.path, error))?;
        let base = key.value().2;
        if !see(&Stored::open(at, base, value.value(), work.path)?, base)? {
            break;
        }
    }
    Ok(())
}

fn remove(work: &mut Work<'_, '_>, at: TopicPartition, base: u64) -> Result<(), Error> {
    let key = (layout::code(at.topic), at.partition.0, base);
    work.records.remove(key).map_err(|error| storing(work.path, error))?;
    Ok(())
}

/// One pass over one compacted partition.
struct Pass {
    at: TopicPartition,
    /// Where the dirty part began.
    cleaned: u64,
    /// Records that are younger stay.
    before: i64,
    /// Last offset of each key in the dirty part, by hash of the key.
    last: HashMap<u128, u64, FixedState>,
    noted_bytes: u64,
    /// Where the dirty part of this pass ends, once it is noted.
    end: Option<u64>,
    /// The next run to note, then the next one to rewrite.
    next: u64,
    drop_below: u64,
    tombstones: Vec<u64>,
}

impl Pass {
    fn new(at: TopicPartition, row: &PartitionRow, upkeep: &Upkeep, now: i64) -> Self {
        let drop_below = if may_drop(&row.tombstones, upkeep, now) { row.tombstones.below } else { 0 };
        Pass {
            at,
            cleaned: row.cleaned,
            before: now - micros(upkeep.lag_min),
            last: HashMap::default(),
            noted_bytes: 0,
            end: None,
            next: row.cleaned,
            drop_below,
            tombstones: Vec::new(),
        }
    }

    /// Says whether the pass is over.
    fn step(&mut self, work: &mut Work<'_, '_>, upkeep: &Upkeep) -> Result<bool, Error> {
        let Some(end) = self.end else {
            self.note(work, upkeep)?;
            // Nothing became old enough, and no tombstone's time has come: there is nothing to rewrite.
            return Ok(self.end == Some(self.cleaned) && self.drop_below == 0);
        };
        if self.rewrite(work, upkeep, end)? {
            self.finish(work, end);
            return Ok(true);
        }
        Ok(false)
    }

    fn note(&mut self, work: &Work<'_, '_>, upkeep: &Upkeep) -> Result<(), Error> {
        let mut budget = upkeep.step_bytes as u64;
        let mut end = None;
        let mut next = self.next;
        visit(work, self.at, self.next, |run, base| {
            let is_full = !self.last.is_empty() && self.last.len() + run.count() > KEYS_MAX;
            if run.last_time >= self.before || is_full {
                end = Some(base);
                return Ok(false);
            }
            let batch = read(run, work.path)?;
            for record in &batch.records {
                if let Some(key) = batch.key(record) {
                    self.last.insert(xxh3_128(key), record.offset.0);
                }
            }
            next = run.next;
            self.noted_bytes += run.len();
            budget = budget.saturating_sub(run.len());
            Ok(budget > 0)
        })?;
        if end.is_none() && budget > 0 {
            // No run is left: all that stands is noted.
            end = Some(next);
        }
        self.next = next;
        if end.is_some() {
            self.end = end;
            self.next = 0;
        }
        Ok(())
    }

    fn rewrite(&mut self, work: &mut Work<'_, '_>, upkeep: &Upkeep, end: u64) -> Result<bool, Error> {
        let mut rewritten = Rewritten::default();
        let mut budget = upkeep.step_bytes as u64;
        let (mut next, mut is_over) = (self.next, true);
        visit(work, self.at, self.next, |run, base| {
            if base >= end {
                return Ok(false);
            }
            if budget == 0 {
                is_over = false;
                return Ok(false);
            }
            budget = budget.saturating_sub(run.len());
            next = run.next;
            let batch = read(run, work.path)?;
            let stays: Vec<_> = batch.records.iter().filter(|record| self.stays(&batch, record)).collect();
            self.tombstones.extend(
                stays.iter().filter(|record| !record.value.is_present()).map(|record| record.offset.0),
            );
            // A full run of which all stays is not worth a write.
            if stays.len() == run.count() && run.is_filled() {
                rewritten.close();
                return Ok(true);
            }
            rewritten.gone.push((base, run.len()));
            stays.iter().for_each(|record| rewritten.open.push_kept(&batch, record));
            Ok(true)
        })?;
        self.next = next;
        rewritten.close();
        self.store(work, rewritten)?;
        Ok(is_over)
    }

    fn stays(&self, batch: &RecordBatch, record: &RecordSlice) -> bool {
        let Some(key) = batch.key(record) else { return true };
        let came_again = self.last.get(&xxh3_128(key)).is_some_and(|&last| record.offset.0 < last);
        let is_dead = !record.value.is_present() && record.offset.0 < self.drop_below;
        !came_again && !is_dead
    }

    fn store(&self, work: &mut Work<'_, '_>, rewritten: Rewritten) -> Result<(), Error> {
        let mut bytes = 0;
        for &(base, len) in &rewritten.gone {
            remove(work, self.at, base)?;
            bytes += len as i64;
        }
        let mut added = 0;
        for run in rewritten.closed.into_iter().flat_map(Runs::into_iter) {
            let base = run.first();
            let value = run.seal(self.at, base, None);
            added += value.len() as i64;
            let key = (layout::code(self.at.topic), self.at.partition.0, base);
            work.records.insert(key, value.as_slice()).map_err(|error| storing(work.path, error))?;
        }
        let row = work.rows.get_mut(&self.at).expect("every partition has a row");
        row.bytes = row.bytes.saturating_add_signed(added - bytes);
        work.changed.insert(self.at);
        Ok(())
    }

    fn finish(&self, work: &mut Work<'_, '_>, end: u64) {
        let row = work.rows.get_mut(&self.at).expect("every partition has a row");
        row.cleaned = end;
        row.dirty = row.dirty.saturating_sub(self.noted_bytes);
        if self.drop_below > 0 || row.tombstones.count == 0 {
            row.tombstones = Tombstones { below: end, since: work.now, count: self.tombstones.len() as u64 };
        } else {
            let below = row.tombstones.below;
            row.tombstones.count = self.tombstones.iter().filter(|&&offset| offset < below).count() as u64;
        }
        work.changed.insert(self.at);
    }
}

/// What a step takes out of the store and what it puts there instead.
#[derive(Default)]
struct Rewritten {
    gone: Vec<(u64, u64)>,
    closed: Vec<Runs>,
    open: Runs,
}

impl Rewritten {
    fn close(&mut self) {
        let runs = std::mem::take(&mut self.open);
        if !runs.is_empty() {
            self.closed.push(runs);
        }
    }
}

fn read(run: &Stored<'_>, path: &Path) -> Result<RecordBatch, Error> {
    let nowhere = Source { incarnation: Incarnation(0), partition: crate::model::Partition(0) };
    let mut batch = RecordBatch::empty(nowhere, NextOffset(0));
    run.read_into(&mut batch, NextOffset(0), path)?;
    Ok(batch)
}
