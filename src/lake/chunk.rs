//! Records [s, e) of one source, held as the batches they came in, with the file of each.
//!
//! Which file a record belongs to follows from the records since `s` alone, never from how they were cut
//! into batches: so whoever reads [s, e) again makes the same files. Per event this costs one hash lookup;
//! nothing is copied.

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

#[cfg(test)]
mod tests {
    use super::super::fixture::{DAY, HOUR, NOVEMBER, Record, batch, event, layout, source};
    use super::super::{FileKey, PartitionValue};
    use super::*;
    use proptest::prelude::*;

    fn chunk() -> Chunk {
        Chunk::new(source(), NextOffset(0), layout())
    }

    fn filed(chunk: &Chunk) -> Vec<Vec<(u64, &'static str)>> {
        let row = |file, at: &RowAt| {
            let batch = chunk.batch(*at);
            let row = at.row as usize;
            let offset = if chunk.is_refused(file) { batch.refused[row].offset } else { batch.offset[row] };
            (offset.0, at.filed_by.as_str())
        };
        (0..chunk.files.len()).map(|file| chunk.rows(file).iter().map(|at| row(file, at)).collect()).collect()
    }

    #[test]
    fn events_lie_by_their_hour_and_refused_records_by_record_time() {
        let mut chunk = chunk();
        let records = [
            (1, event("t1", NOVEMBER)),
            (2, Record::Refused { record_time: NOVEMBER + 2 * HOUR }),
            (4, event("t2", NOVEMBER - 1)),
            (7, event("t1", NOVEMBER + HOUR - 1)),
        ];

        assert_eq!(chunk.push(&batch(&records, 9)), Taken::All);

        let plan = chunk.plan(0);
        let keys: Vec<_> = plan.files.iter().map(|file| file.key.as_str()).collect();
        let name = "00000000000000000000000000000abc-p1-o0";
        assert_eq!(
            keys,
            [
                format!(
                    "lake/events/category=View/tenant_id=t1/year=2026/month=11/day=01/hour=00/{name}-0.parquet"
                ),
                format!("lake/events_refused/year=2026/month=11/day=01/hour=02/{name}-1.parquet"),
                format!(
                    "lake/events/category=View/tenant_id=t2/year=2026/month=10/day=31/hour=23/{name}-2.parquet"
                ),
            ]
        );
        let by_event = "event_time";
        assert_eq!(
            filed(&chunk),
            [vec![(1, by_event), (7, by_event)], vec![(2, "record_time")], vec![(4, by_event)]]
        );
        assert_eq!((plan.s, plan.e, plan.count), (NextOffset(0), NextOffset(9), 4));
        assert_eq!(Plan::decode(&plan.encode()), Ok(plan));
    }

    #[test]
    fn an_event_outside_what_is_accepted_lies_by_record_time_and_says_so() {
        let mut chunk = chunk();
        let edges = [400 * DAY, 400 * DAY + 1, -DAY, -DAY - 1];
        let records: Vec<_> =
            edges.iter().zip(0..).map(|(past, at)| (at, event("t", NOVEMBER - past))).collect();

        chunk.push(&batch(&records, 4));

        let by: Vec<_> = filed(&chunk).into_iter().flatten().collect();
        assert_eq!(by, [(0, "event_time"), (1, "record_time"), (3, "record_time"), (2, "event_time")]);
        let key = FileKey::parse("lake/", &chunk.plan(0).files[1].key).unwrap();
        assert_eq!(
            key.partition[2..4].iter().map(|(_, v)| v.clone()).collect::<Vec<_>>(),
            [PartitionValue::Number(2026), PartitionValue::Number(11)]
        );
    }

    /// One tenant per event opens one file per event.
    fn tenants(count: u64) -> Vec<(u64, Record)> {
        (0..count).map(|at| (at, event(&format!("t{at}"), NOVEMBER))).collect()
    }

    #[test]
    fn the_file_beyond_the_limit_ends_a_chunk_that_has_rows_enough() {
        let mut records = tenants(FILES_MAX as u64);
        records.extend((FILES_MAX as u64..ROWS_MIN).map(|at| (at, event("t0", NOVEMBER))));
        records.push((ROWS_MIN, event("t1", NOVEMBER)));
        records.push((ROWS_MIN + 5, event("one more", NOVEMBER)));
        let mut chunk = chunk();

        assert_eq!(chunk.push(&batch(&records, ROWS_MIN + 9)), Taken::Full);

        assert_eq!(chunk.next(), NextOffset(ROWS_MIN + 5));
        assert_eq!((chunk.files.len(), chunk.count()), (FILES_MAX, ROWS_MIN + 1));
        let mut next = Chunk::new(source(), chunk.next(), layout());
        assert_eq!(next.push(&batch(&records, ROWS_MIN + 9)), Taken::All);
        assert_eq!((next.count(), next.next()), (1, NextOffset(ROWS_MIN + 9)));
    }

    #[test]
    fn below_the_least_rows_further_files_go_by_record_time() {
        let mut records = tenants(FILES_MAX as u64);
        let at = FILES_MAX as u64;
        records.push((at, event("t0", NOVEMBER + 2 * HOUR)));
        records.push((at + 1, event("t0", NOVEMBER + 3 * HOUR)));
        records.push((at + 2, event("new", NOVEMBER + 3 * HOUR)));
        let mut chunk = chunk();

        assert_eq!(chunk.push(&batch(&records, at + 3)), Taken::All);

        // The hour of record time is there for t0; the new tenant has to have a file.
        assert_eq!(chunk.files.len(), FILES_MAX + 1);
        assert_eq!(filed(&chunk)[0], [(0, "event_time"), (at, "overflow"), (at + 1, "overflow")]);
        assert_eq!(filed(&chunk)[FILES_MAX], [(at + 2, "overflow")]);
    }

    #[test]
    fn a_chunk_never_has_more_files_than_its_least_rows() {
        let mut chunk = chunk();
        let taken = chunk.push(&batch(&tenants(ROWS_MIN + 1), ROWS_MIN + 1));

        assert_eq!(taken, Taken::Full);
        assert_eq!((chunk.files.len() as u64, chunk.next()), (ROWS_MIN, NextOffset(ROWS_MIN)));
    }

    fn some_records() -> impl Strategy<Value = Vec<(u64, Record)>> {
        let record = prop_oneof![
            4 => (0..4u8, -3..3i64).prop_map(|(t, hour)| event(&format!("t{t}"), NOVEMBER + hour * HOUR)),
            1 => (0..3i64).prop_map(|hour| Record::Refused { record_time: NOVEMBER + hour * HOUR }),
        ];
        prop::collection::vec((1..4u64, record), 1..40).prop_map(|records| {
            let mut offset = 0;
            let mut place = |(step, record)| {
                offset += step;
                (offset, record)
            };
            records.into_iter().map(&mut place).collect()
        })
    }

    proptest! {
        #[test]
        fn cutting_batches_anywhere_changes_nothing(records in some_records(), cuts: Vec<prop::sample::Index>) {
            let end = records.last().map_or(0, |(offset, _)| offset + 2);
            let mut whole = chunk();
            whole.push(&batch(&records, end));
            let mut edges: Vec<_> = cuts.iter().map(|cut| cut.index(records.len())).collect();
            edges.extend([0, records.len()]);
            edges.sort_unstable();
            let mut cut = chunk();
            for edge in edges.windows(2) {
                let next = records.get(edge[1]).map_or(end, |(offset, _)| *offset);
                cut.push(&batch(&records[edge[0]..edge[1]], next));
            }

            prop_assert_eq!(cut.plan(3), whole.plan(3));
            prop_assert_eq!(filed(&cut), filed(&whole));
        }

        #[test]
        fn a_plan_is_made_again_from_the_log_in_any_number_of_passes(records in some_records(), end: prop::sample::Index) {
            let cut = end.index(records.len()) + 1;
            let next = records.get(cut).map_or(1000, |(offset, _)| *offset);
            let mut first = chunk();
            first.push(&batch(&records[..cut], next));
            let plan = first.plan(0);

            for file in 0..plan.files.len() {
                let keep = Keep::Files(BTreeSet::from([file]));
                let mut again = Chunk::again(source(), &plan, layout(), keep);
                again.push(&batch(&records, 1000));
                prop_assert_eq!(again.contradiction(&plan), None);
                prop_assert_eq!(filed(&again)[file].clone(), filed(&first)[file].clone());
                prop_assert_eq!(filed(&again).concat().len(), first.rows(file).len());
            }
            let mut survey = Chunk::again(source(), &plan, layout(), Keep::All);
            survey.forget();
            survey.push(&batch(&records, 1000));
            prop_assert_eq!(survey.contradiction(&plan), None);
            prop_assert_eq!(survey.bytes(), 0);
        }

        #[test]
        fn a_record_that_is_missing_or_changed_contradicts_the_plan(records in some_records(), at: prop::sample::Index) {
            let mut first = chunk();
            first.push(&batch(&records, 1000));
            let plan = first.plan(0);
            let mut other = records;
            other.remove(at.index(other.len()));
            let mut again = Chunk::again(source(), &plan, layout(), Keep::All);
            again.push(&batch(&other, 1000));

            prop_assert!(again.contradiction(&plan).is_some_and(|what| what.contains("truncated")));
        }
    }
}
