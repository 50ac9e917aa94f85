//! Records [s, e) of one source, held as the batches they came in, with the file of each.
//!
//! Which file a record belongs to follows from the records since `s` alone, never from how they were cut
//! into batches: so whoever reads [s, e) again makes the same files. Per event this costs one hash lookup;
//! nothing is copied.

#[cfg(test)]
mod tests;

use super::layout::{FiledBy, Group, GroupRef, Layout};
use super::plan::{Checksum, Plan, PlannedFile, TRANSFORM_VERSION};
use super::select::select;
use crate::model::{Column, EventBatch, NextOffset, Offset, Refused, Source};
use foldhash::fast::FixedState;
use indexmap::IndexMap;
use std::collections::BTreeSet;
use std::rc::Rc;

/// Files of a chunk by event time. A file costs about a millisecond and a request, whatever it holds.
pub const FILES_MAX: usize = 2_000;

/// Rows below which a chunk is not ended for its files: rows of further files go by record time instead. As each
/// file has a row, a chunk never has more files than this: at 5,000 rows no new one is opened beyond [`FILES_MAX`].
pub const ROWS_MIN: u64 = 5_000;

/// A row of a file: an event or a refused record of one of the chunk's batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RowAt {
    pub batch: u32,
    /// Place among the batch's events, or among its refused records.
    pub row: u32,
    pub filed_by: FiledBy,
}

/// What one file holds, in the order of offsets.
#[derive(Debug, Default)]
struct FileRows {
    rows: Vec<RowAt>,
    count: u64,
    checksum: Checksum,
}

/// Which rows a chunk holds on to. Counting and checking goes on for all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Keep {
    All,
    /// Rows of these files only: one of several passes over a chunk that is bigger than the budget.
    Files(BTreeSet<usize>),
}

#[derive(Debug)]
pub struct Chunk {
    source: Source,
    start: NextOffset,
    next: NextOffset,
    /// Records from here on are not taken.
    until: NextOffset,
    layout: Rc<Layout>,
    keep: Keep,
    batches: Vec<Rc<EventBatch>>,
    files: IndexMap<Group, FileRows, FixedState>,
    count: u64,
    checksum: Checksum,
    bytes: usize,
}

/// How much of a batch a chunk took.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    All,
    /// The chunk ends here, before a record that would open a file too many.
    Full,
}

impl Chunk {
    pub fn new(source: Source, start: NextOffset, layout: Rc<Layout>) -> Chunk {
        Chunk::between(source, start, NextOffset(u64::MAX), layout, Keep::All)
    }

    /// The chunk of a plan that is made again.
    pub fn again(source: Source, plan: &Plan, layout: Rc<Layout>, keep: Keep) -> Chunk {
        Chunk::between(source, plan.s, plan.e, layout, keep)
    }

    fn between(
        source: Source,
        start: NextOffset,
        until: NextOffset,
        layout: Rc<Layout>,
        keep: Keep,
    ) -> Chunk {
        Chunk {
            source,
            start,
            next: start,
            until,
            layout,
            keep,
            batches: Vec::new(),
            files: IndexMap::default(),
            count: 0,
            checksum: Checksum::default(),
            bytes: 0,
        }
    }

    /// Where it ends as it is now.
    pub fn next(&self) -> NextOffset {
        self.next
    }

    pub fn start(&self) -> NextOffset {
        self.start
    }

    pub fn source(&self) -> Source {
        self.source
    }

    /// Records so far.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// Decoded bytes that it holds in memory.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// Of the `file`-th file, in the order of offsets.
    pub fn rows(&self, file: usize) -> &[RowAt] {
        &self.files[file].rows
    }

    pub fn batch(&self, at: RowAt) -> &EventBatch {
        &self.batches[at.batch as usize]
    }

    /// Is this the file of refused records of an hour?
    pub fn is_refused(&self, file: usize) -> bool {
        matches!(self.files.get_index(file), Some((Group::Refused(_), _)))
    }

    /// Lets go of all rows and of further ones, to survey a range that is too big to hold.
    pub fn forget(&mut self) {
        self.keep = Keep::Files(BTreeSet::new());
        self.batches = Vec::new();
        self.files.values_mut().for_each(|file| file.rows = Vec::new());
        self.bytes = 0;
    }

    /// Moves over offsets that hold no record.
    pub fn skip_to(&mut self, next: NextOffset) {
        self.next = self.next.max(next.min(self.until));
    }

    /// Takes what the batch has from [`Chunk::next`] on, in the order of offsets.
    pub fn push(&mut self, batch: &Rc<EventBatch>) -> Taken {
        debug_assert_eq!(batch.source, self.source, "a chunk is of one source");
        let before = self.count;
        let mut place = Placing { number: self.batches.len() as u32, picked: Picked::default() };
        let taken = self.place_all(batch, &mut place);
        if taken == Taken::All {
            self.skip_to(batch.next);
        }
        self.hold(batch, place.picked, self.count - before);
        taken
    }

    fn place_all(&mut self, batch: &EventBatch, place: &mut Placing) -> Taken {
        let (from, until) = (self.next.0, self.until.0);
        let outside = |offset: Offset| offset.0 < from || offset.0 >= until;
        let mut event = 0;
        for refused in 0..=batch.refused.len() {
            let before = batch.refused.get(refused).map_or(u64::MAX, |refused| refused.offset.0);
            while event < batch.len() && batch.offset[event].0 < before {
                if !outside(batch.offset[event]) && self.place_event(batch, event, place) == Taken::Full {
                    return Taken::Full;
                }
                event += 1;
            }
            if let Some(record) = batch.refused.get(refused)
                && !outside(record.offset)
                && self.place_refused(record, refused, place) == Taken::Full
            {
                return Taken::Full;
            }
        }
        Taken::All
    }

    fn place_event(&mut self, batch: &EventBatch, row: usize, place: &mut Placing) -> Taken {
        let record_time = batch.record_time[row];
        let text = |field: Option<usize>| field.map_or(&[][..], |field| text_of(batch, field, row));
        let is_accepted = self.layout.accepts(batch.event_time[row].0, record_time);
        let time = if is_accepted { batch.event_time[row].0 } else { record_time.0 };
        let mut filed_by = if is_accepted { FiledBy::EventTime } else { FiledBy::RecordTime };
        let mut group = GroupRef::Events {
            category: text(self.layout.category),
            tenant: text(self.layout.tenant),
            bucket: self.layout.bucket(time),
        };
        let mut file = self.files.get_index_of(&group);
        if file.is_none() && self.files.len() >= FILES_MAX {
            if self.count >= ROWS_MIN {
                return self.full(batch.offset[row]);
            }
            if is_accepted {
                filed_by = FiledBy::Overflow;
                group = group.with_bucket(self.layout.bucket(record_time.0));
                file = self.files.get_index_of(&group);
            }
        }
        let file = file.unwrap_or_else(|| self.open(group));
        self.add(file, batch.offset[row], batch.value_hash[row], row, filed_by, place);
        Taken::All
    }

    fn place_refused(&mut self, record: &Refused, row: usize, place: &mut Placing) -> Taken {
        let group = GroupRef::Refused(self.layout.refused_bucket(record.record_time));
        let file = self.files.get_index_of(&group);
        if file.is_none() && self.files.len() >= FILES_MAX && self.count >= ROWS_MIN {
            return self.full(record.offset);
        }
        let file = file.unwrap_or_else(|| self.open(group));
        self.add(file, record.offset, record.value_hash, row, FiledBy::RecordTime, place);
        Taken::All
    }

    fn open(&mut self, group: GroupRef<'_>) -> usize {
        self.files.insert_full(group.owned(), FileRows::default()).0
    }

    fn full(&mut self, at: Offset) -> Taken {
        self.skip_to(NextOffset(at.0));
        Taken::Full
    }

    fn add(
        &mut self,
        file: usize,
        offset: Offset,
        value_hash: u64,
        row: usize,
        filed_by: FiledBy,
        place: &mut Placing,
    ) {
        self.count += 1;
        self.checksum.add(offset, value_hash);
        self.next = offset.next();
        let is_refused = self.is_refused(file);
        let of = &mut self.files[file];
        of.count += 1;
        of.checksum.add(offset, value_hash);
        let row = match &self.keep {
            Keep::All => row as u32,
            Keep::Files(files) if files.contains(&file) => place.picked.add(row as u32, is_refused),
            Keep::Files(_) => return,
        };
        of.rows.push(RowAt { batch: place.number, row, filed_by });
    }

    /// Keeps the batch's bytes for as long as rows of it are kept.
    fn hold(&mut self, batch: &Rc<EventBatch>, picked: Picked, added: u64) {
        let held = match self.keep {
            Keep::All if added > 0 => Rc::clone(batch),
            Keep::Files(_) if !picked.is_empty() => Rc::new(select(batch, &picked.events, &picked.refused)),
            Keep::All | Keep::Files(_) => return,
        };
        self.bytes += weight(&held);
        self.batches.push(held);
    }

    /// The plan of the chunk as it is now. It must hold a record.
    pub fn plan(&self, n: u64) -> Plan {
        let file = |(ordinal, (group, file)): (usize, (&Group, &FileRows))| PlannedFile {
            key: self.layout.key(group, self.source, self.start, ordinal),
            rows: file.count,
            checksum: file.checksum.finish(),
        };
        Plan {
            n,
            s: self.start,
            e: self.next,
            count: self.count,
            checksum: self.checksum.finish(),
            transform: TRANSFORM_VERSION,
            configuration: self.layout.configuration,
            gap: false,
            files: self.files.iter().enumerate().map(file).collect(),
        }
    }

    /// Is this exactly what the plan decided? If not, the log or the plan is not what it was.
    pub fn contradiction(&self, plan: &Plan) -> Option<String> {
        let Plan { s, e, .. } = plan;
        // The chunk's hash is the worker's own: the plan may come from another topology with the same rows.
        let again = Plan { configuration: plan.configuration, ..self.plan(plan.n) };
        if again == *plan {
            None
        } else if (again.count, again.checksum) != (plan.count, plan.checksum) || again.e != plan.e {
            Some(format!(
                "records {s} to {e} are not those of the plan: {} records with checksum {:016x} up to {}, \
                 the plan has {} with {:016x}; was the log truncated?",
                again.count, again.checksum, again.e, plan.count, plan.checksum
            ))
        } else {
            Some(format!("records {s} to {e} give other files than their plan names"))
        }
    }

    /// Estimate of the bytes that the rows of one file need in memory, for planning passes.
    pub fn share(&self, file: usize, total: usize) -> usize {
        let share = u128::from(self.files[file].count) * total as u128 / u128::from(self.count.max(1));
        usize::try_from(share).unwrap_or(usize::MAX)
    }
}

/// The number that the batch at hand will have, and which of its rows are kept.
struct Placing {
    number: u32,
    picked: Picked,
}

/// Rows of a batch that are kept when not all are, by rising place.
#[derive(Debug, Default)]
struct Picked {
    events: Vec<u32>,
    refused: Vec<u32>,
}

impl Picked {
    /// Gives the row's place in the selection.
    fn add(&mut self, row: u32, is_refused: bool) -> u32 {
        let rows = if is_refused { &mut self.refused } else { &mut self.events };
        rows.push(row);
        rows.len() as u32 - 1
    }

    fn is_empty(&self) -> bool {
        self.events.is_empty() && self.refused.is_empty()
    }
}

/// Text of a required text field.
pub(super) fn text_of(batch: &EventBatch, field: usize, row: usize) -> &[u8] {
    match &batch.columns[field] {
        Column::Text(spans) => spans[row].get(&batch.bytes).unwrap_or_default(),
        _ => &[],
    }
}

/// Bytes that a batch holds in memory, nearly.
pub fn weight(batch: &EventBatch) -> usize {
    const ROW: usize = 8 + 8 + 8 + 8 + 16 + 8 + 8 + 8 + size_of::<RowAt>();
    let refused: usize = batch
        .refused
        .iter()
        .map(|refused| size_of::<Refused>() + refused.detail.len() + size_of::<RowAt>())
        .sum();
    batch.bytes.len() + batch.len() * ROW + refused + batch.columns.iter().map(column_weight).sum::<usize>()
}

fn column_weight(column: &Column) -> usize {
    match column {
        Column::Text(spans) => spans.len() * 8,
        Column::Number(numbers) => numbers.len() * 16,
        Column::Double(doubles) => doubles.len() * 16,
        Column::List { ends, items, .. } => ends.len() * 5 + items.iter().map(column_weight).sum::<usize>(),
        Column::Map { ends, keys, values, .. } => ends.len() * 5 + keys.len() * 8 + column_weight(values),
    }
}
