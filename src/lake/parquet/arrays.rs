//! Rows of a chunk gathered into Arrow arrays, a column at a time, straight from the batches.

use super::schema::{element, fields, map_entries, scalar_type};
use crate::lake::chunk::text_of;
use crate::lake::{Chunk, RowAt};
use crate::model::{Column, DEAD_LETTER_BYTES_MAX, DEAD_LETTER_HEAD_BYTES, EventBatch, Refused, Span};
use crate::topology::{LakeColumn, LakeOrigin, LakeScalar, LakeType, Topology};
use arrow_array::types::TimestampMicrosecondType;
use arrow_array::types::{ArrowPrimitiveType, Date32Type, Decimal64Type, Float64Type, Int32Type, Int64Type};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, ListArray, MapArray, PrimitiveArray, StringArray, StructArray,
};
use arrow_buffer::{BooleanBuffer, Buffer, NullBuffer, OffsetBuffer, ScalarBuffer};
use std::sync::Arc;

/// A chunk whose rows are gathered.
pub(super) struct Rows<'a> {
    pub(super) topology: &'a Topology,
    pub(super) chunk: &'a Chunk,
    /// Are they refused records?
    pub(super) is_refused: bool,
}

/// Finds one column of a batch: a field, or an item column inside one.
type Pick<'p> = &'p dyn for<'b> Fn(&'b EventBatch) -> &'b Column;

impl<'a> Rows<'a> {
    pub(super) fn arrays(&self, columns: &[LakeColumn], rows: &[RowAt]) -> Vec<ArrayRef> {
        columns.iter().map(|column| self.array(column, rows)).collect()
    }

    fn array(&self, column: &LakeColumn, rows: &[RowAt]) -> ArrayRef {
        let origin = column.origin;
        match (&column.ty, origin) {
            (_, LakeOrigin::Field(field)) => self.field(&column.ty, field, rows),
            (LakeType::Scalar(LakeScalar::Text), _) => {
                let mut texts = Texts::with_capacity(rows.len());
                self.texts(origin, rows, &mut |text| texts.push(text));
                texts.strings()
            }
            (_, LakeOrigin::Payload) => {
                let mut texts = Texts::with_capacity(rows.len());
                self.refused(rows, &mut |batch, refused| {
                    texts.push(refused.value.get(&batch.bytes).map(head))
                });
                texts.binary()
            }
            (LakeType::Scalar(scalar), _) => numbers(*scalar, self.own_numbers(origin, rows)),
            _ => unreachable!("our own columns are scalars"),
        }
    }

    /// Rows that lie in one batch, batch by batch.
    fn runs<'r>(&'r self, rows: &'r [RowAt]) -> impl Iterator<Item = (&'r EventBatch, &'r [RowAt])> {
        rows.chunk_by(|a, b| a.batch == b.batch).map(|run| (self.chunk.batch(run[0]), run))
    }

    fn refused(&self, rows: &[RowAt], each: &mut dyn FnMut(&EventBatch, &Refused)) {
        for &at in rows {
            let batch = self.chunk.batch(at);
            each(batch, &batch.refused[at.row as usize]);
        }
    }

    /// Texts of a column, in the order of the rows.
    pub(super) fn texts(&self, origin: LakeOrigin, rows: &[RowAt], each: &mut dyn FnMut(Option<&[u8]>)) {
        let mut same = |text: String| rows.iter().for_each(|_| each(Some(text.as_bytes())));
        let source = self.chunk.source();
        match origin {
            LakeOrigin::Topic => same(self.topology.events.topic.clone()),
            LakeOrigin::Incarnation => same(source.incarnation.to_string()),
            LakeOrigin::FiledBy => rows.iter().for_each(|at| each(Some(at.filed_by.as_str().as_bytes()))),
            LakeOrigin::Tenant => self.required(self.topology.tenant, rows, each),
            LakeOrigin::Category => match self.topology.category {
                Some(field) => self.required(field, rows, each),
                None => rows.iter().for_each(|_| each(None)),
            },
            LakeOrigin::EventId => self.spans(rows, |batch| &batch.event_id, each),
            LakeOrigin::Rest => self.spans(rows, |batch| &batch.rest, each),
            LakeOrigin::Field(field) => {
                let spans = |batch| match batch_column(batch, field) {
                    Column::Text(spans) => spans.as_slice(),
                    _ => unreachable!("a text column holds texts"),
                };
                self.spans(rows, spans, each);
            }
            LakeOrigin::Reason => {
                self.refused(rows, &mut |_, refused| each(Some(refused.reason.as_str().as_bytes())))
            }
            LakeOrigin::Detail => self.refused(rows, &mut |_, refused| each(Some(refused.detail.as_bytes()))),
            LakeOrigin::PayloadHash => {
                self.refused(rows, &mut |_, refused| {
                    each(Some(format!("{:016x}", refused.value_hash).as_bytes()))
                });
            }
            LakeOrigin::Partition
            | LakeOrigin::Offset
            | LakeOrigin::RecordTime
            | LakeOrigin::EventTime
            | LakeOrigin::Payload
            | LakeOrigin::PayloadBytes => unreachable!("{origin:?} is no text"),
        }
    }

    fn required(&self, field: usize, rows: &[RowAt], each: &mut dyn FnMut(Option<&[u8]>)) {
        for (batch, run) in self.runs(rows) {
            run.iter().for_each(|at| each(Some(text_of(batch, field, at.row as usize))));
        }
    }

    fn spans<'b>(
        &'b self,
        rows: &'b [RowAt],
        of: impl Fn(&'b EventBatch) -> &'b [Span],
        each: &mut dyn FnMut(Option<&[u8]>),
    ) {
        for (batch, run) in self.runs(rows) {
            let spans = of(batch);
            run.iter().for_each(|at| each(spans[at.row as usize].get(&batch.bytes)));
        }
    }

    /// Numbers that are no field's.
    fn own_numbers(&self, origin: LakeOrigin, rows: &[RowAt]) -> Numbers {
        let mut numbers = Numbers::with_capacity(rows.len());
        for &at in rows {
            let batch = self.chunk.batch(at);
            let row = at.row as usize;
            let refused = self.is_refused.then(|| &batch.refused[row]);
            numbers.push(Some(match origin {
                LakeOrigin::Partition => i64::from(self.chunk.source().partition.0),
                LakeOrigin::Offset => refused.map_or_else(|| batch.offset[row], |r| r.offset).0 as i64,
                LakeOrigin::RecordTime => refused.map_or_else(|| batch.record_time[row], |r| r.record_time).0,
                LakeOrigin::EventTime => batch.event_time[row].0,
                LakeOrigin::PayloadBytes => {
                    refused.and_then(|refused| refused.value.get(&batch.bytes)).map_or(0, <[u8]>::len) as i64
                }
                _ => unreachable!("{origin:?} is no number"),
            }));
        }
        numbers
    }

    fn field(&self, ty: &LakeType, field: usize, rows: &[RowAt]) -> ArrayRef {
        let outer: Pick<'_> = &|batch| batch_column(batch, field);
        match ty {
            LakeType::Scalar(scalar) => self.scalars(*scalar, outer, rows),
            LakeType::List(scalar) => {
                let list = self.list(outer, rows);
                let items = self.scalars(*scalar, &|batch| item_column(outer(batch), 0), &list.items);
                let element = Arc::new(element(items.data_type().clone(), true));
                Arc::new(ListArray::new(element, list.offsets, items, list.nulls))
            }
            LakeType::ListOfStruct(members) => {
                let list = self.list(outer, rows);
                let arrays = members.iter().enumerate().map(|(at, member)| {
                    self.scalars(member.scalar, &|batch| item_column(outer(batch), at), &list.items)
                });
                let structs = StructArray::new(fields(members), arrays.collect(), None);
                let element = Arc::new(element(structs.data_type().clone(), false));
                Arc::new(ListArray::new(element, list.offsets, Arc::new(structs), list.nulls))
            }
            LakeType::Map(scalar) => {
                let list = self.list(outer, rows);
                let mut keys = Texts::with_capacity(list.items.len());
                self.spans(&list.items, |batch| map_keys(batch_column(batch, field)), &mut |key| {
                    keys.push(key)
                });
                let values = self.scalars(*scalar, &|batch| map_values(outer(batch)), &list.items);
                let entries = StructArray::new(map_entries(*scalar), vec![keys.strings(), values], None);
                let name =
                    Arc::new(arrow_schema::Field::new("key_value", entries.data_type().clone(), false));
                Arc::new(MapArray::new(name, list.offsets, entries, list.nulls, false))
            }
        }
    }

    /// Where the items of the rows' lists lie, end to end.
    fn list(&self, pick: Pick<'_>, rows: &[RowAt]) -> List {
        let (mut items, mut lengths, mut nulls) = (Vec::new(), Vec::with_capacity(rows.len()), Vec::new());
        for (batch, run) in self.runs(rows) {
            let column = pick(batch);
            let (Column::List { present, .. } | Column::Map { present, .. }) = column else {
                unreachable!("only lists and maps have items")
            };
            for at in run {
                let range = column.range(at.row as usize);
                lengths.push(range.len());
                nulls.push(present[at.row as usize]);
                items.extend(range.map(|row| RowAt { row: row as u32, ..*at }));
            }
        }
        List { items, offsets: OffsetBuffer::from_lengths(lengths), nulls: some_nulls(nulls) }
    }

    fn scalars(&self, scalar: LakeScalar, pick: Pick<'_>, rows: &[RowAt]) -> ArrayRef {
        match scalar {
            LakeScalar::Text | LakeScalar::Binary => {
                let mut texts = Texts::with_capacity(rows.len());
                for (batch, run) in self.runs(rows) {
                    let Column::Text(spans) = pick(batch) else { unreachable!("a text column holds texts") };
                    run.iter().for_each(|at| texts.push(spans[at.row as usize].get(&batch.bytes)));
                }
                texts.strings()
            }
            LakeScalar::Double => {
                let mut doubles = Vec::with_capacity(rows.len());
                for (batch, run) in self.runs(rows) {
                    let Column::Double(from) = pick(batch) else {
                        unreachable!("a double column holds doubles")
                    };
                    doubles.extend(run.iter().map(|at| from[at.row as usize]));
                }
                Arc::new(PrimitiveArray::<Float64Type>::from_iter(doubles))
            }
            _ => {
                let mut numbers_of = Numbers::with_capacity(rows.len());
                for (batch, run) in self.runs(rows) {
                    let Column::Number(from) = pick(batch) else {
                        unreachable!("a number column holds numbers")
                    };
                    run.iter().for_each(|at| numbers_of.push(from[at.row as usize]));
                }
                numbers(scalar, numbers_of)
            }
        }
    }
}

fn batch_column(batch: &EventBatch, field: usize) -> &Column {
    &batch.columns[field]
}

fn item_column(list: &Column, at: usize) -> &Column {
    let Column::List { items, .. } = list else { unreachable!("only lists have item columns") };
    &items[at]
}

fn map_keys(map: &Column) -> &[Span] {
    let Column::Map { keys, .. } = map else { unreachable!("only maps have keys") };
    keys
}

fn map_values(map: &Column) -> &Column {
    let Column::Map { values, .. } = map else { unreachable!("only maps have values") };
    values
}

/// What is kept of a payload: as in its dead letter.
fn head(payload: &[u8]) -> &[u8] {
    if payload.len() > DEAD_LETTER_BYTES_MAX { &payload[..DEAD_LETTER_HEAD_BYTES] } else { payload }
}

struct List {
    items: Vec<RowAt>,
    offsets: OffsetBuffer<i32>,
    nulls: Option<NullBuffer>,
}

/// Texts end to end.
struct Texts {
    bytes: Vec<u8>,
    ends: Vec<i32>,
    present: Vec<bool>,
}

impl Texts {
    fn with_capacity(rows: usize) -> Texts {
        let mut ends = Vec::with_capacity(rows + 1);
        ends.push(0);
        Texts { bytes: Vec::new(), ends, present: Vec::with_capacity(rows) }
    }

    fn push(&mut self, text: Option<&[u8]>) {
        self.bytes.extend_from_slice(text.unwrap_or_default());
        self.ends.push(
            i32::try_from(self.bytes.len()).expect("a chunk's budget is far below 2 GiB of one column"),
        );
        self.present.push(text.is_some());
    }

    fn parts(self) -> (OffsetBuffer<i32>, Buffer, Option<NullBuffer>) {
        (
            OffsetBuffer::new(ScalarBuffer::from(self.ends)),
            Buffer::from_vec(self.bytes),
            some_nulls(self.present),
        )
    }

    fn strings(self) -> ArrayRef {
        let (offsets, bytes, nulls) = self.parts();
        Arc::new(StringArray::new(offsets, bytes, nulls))
    }

    fn binary(self) -> ArrayRef {
        let (offsets, bytes, nulls) = self.parts();
        Arc::new(BinaryArray::new(offsets, bytes, nulls))
    }
}

/// Numbers, of which some may be absent.
struct Numbers {
    values: Vec<i64>,
    present: Vec<bool>,
}

impl Numbers {
    fn with_capacity(rows: usize) -> Numbers {
        Numbers { values: Vec::with_capacity(rows), present: Vec::with_capacity(rows) }
    }

    fn push(&mut self, number: Option<i64>) {
        self.values.push(number.unwrap_or_default());
        self.present.push(number.is_some());
    }

    fn narrow(&self) -> ScalarBuffer<i32> {
        let narrow = |&value| i32::try_from(value).expect("partitions and dates of four-digit years fit");
        self.values.iter().map(narrow).collect::<Vec<_>>().into()
    }
}

fn some_nulls(present: Vec<bool>) -> Option<NullBuffer> {
    Some(NullBuffer::new(BooleanBuffer::from(present))).filter(|nulls| nulls.null_count() > 0)
}

fn numbers(scalar: LakeScalar, numbers: Numbers) -> ArrayRef {
    let narrow = matches!(scalar, LakeScalar::Int32 | LakeScalar::Date).then(|| numbers.narrow());
    let Numbers { values, present } = numbers;
    let bools = (scalar == LakeScalar::Bool).then(|| values.iter().map(|&value| value != 0).collect());
    let values = ScalarBuffer::from(values);
    let nulls = some_nulls(present);
    match (scalar, narrow, bools) {
        (LakeScalar::Int32, Some(narrow), _) => Arc::new(PrimitiveArray::<Int32Type>::new(narrow, nulls)),
        (LakeScalar::Date, Some(narrow), _) => Arc::new(PrimitiveArray::<Date32Type>::new(narrow, nulls)),
        (LakeScalar::Bool, _, Some(bools)) => Arc::new(BooleanArray::new(bools, nulls)),
        (LakeScalar::Int64, ..) => Arc::new(PrimitiveArray::<Int64Type>::new(values, nulls)),
        (LakeScalar::Decimal { .. }, ..) => wide::<Decimal64Type>(scalar, values, nulls),
        (LakeScalar::Timestamp, ..) => wide::<TimestampMicrosecondType>(scalar, values, nulls),
        _ => unreachable!("{scalar:?} is no number"),
    }
}

/// An `i64` that means something: with its scale or zone.
fn wide<T: ArrowPrimitiveType<Native = i64>>(
    scalar: LakeScalar,
    values: ScalarBuffer<i64>,
    nulls: Option<NullBuffer>,
) -> ArrayRef {
    Arc::new(PrimitiveArray::<T>::new(values, nulls).with_data_type(scalar_type(scalar)))
}
