//! A batch of raw records as columns: what `decode` makes, what `route` and `lake` read.

use super::{EventTime, LogTime, NextOffset, Offset, Refused, Source, Span};

/// Events of one raw partition, in columns by rising offset, and the records that were refused between them.
///
/// All spans point into `bytes`. Column *k* belongs to field *k* of the checked topology.
#[derive(Debug, Clone)]
pub struct EventBatch {
    pub source: Source,
    /// The records' values as they were, behind them texts that had to be unescaped.
    pub bytes: Vec<u8>,
    pub offset: Vec<Offset>,
    pub record_time: Vec<LogTime>,
    pub event_time: Vec<EventTime>,
    /// The event id as text (several fields are joined by a zero byte); absent for `$coordinate`.
    pub event_id: Vec<Span>,
    /// xxh3-128 of the event id; 0 for `$coordinate`.
    pub id_hash: Vec<u128>,
    /// xxh3-64 of the record's value as it lies in the log: what a plan's checksum is made of.
    pub value_hash: Vec<u64>,
    /// The record's value itself.
    pub value: Vec<Span>,
    pub columns: Vec<Column>,
    /// Members of the event that no field declares, as a JSON object; absent where there are none.
    pub rest: Vec<Span>,
    /// Map members that were skipped because they are no numbers.
    pub skipped_members: u64,
    pub refused: Vec<Refused>,
    /// As in the batch that it was made from.
    pub next: NextOffset,
}

/// One field's values, one entry an event (or an item, inside a list).
#[derive(Debug, Clone)]
pub enum Column {
    /// text, uuid (lower case with hyphens), json (the exact bytes). Absent: [`Span::ABSENT`].
    Text(Vec<Span>),
    /// int, decimal (at its scale), bool (0, 1), time (UTC microseconds), date (days since 1970).
    Number(Vec<Option<i64>>),
    Double(Vec<Option<f64>>),
    /// Item columns laid end to end; the items of event *e* are `ends[e-1]..ends[e]`. A list of
    /// scalars has one column. An absent list has no items and is not `present`.
    List {
        present: Vec<bool>,
        ends: Vec<u32>,
        items: Vec<Column>,
    },
    /// Members laid end to end, in the order of the text.
    Map {
        present: Vec<bool>,
        ends: Vec<u32>,
        keys: Vec<Span>,
        values: Box<Column>,
    },
}

impl EventBatch {
    pub fn len(&self) -> usize {
        self.offset.len()
    }

    /// No event; there may still be refused records.
    pub fn is_empty(&self) -> bool {
        self.offset.is_empty()
    }

    /// Text at a present span. `decode` has checked that every record is UTF-8.
    pub fn text(&self, span: Span) -> &str {
        std::str::from_utf8(span.of(&self.bytes)).expect("decode checks UTF-8 and cuts at characters")
    }
}

impl Column {
    pub fn len(&self) -> usize {
        match self {
            Column::Text(spans) => spans.len(),
            Column::Number(numbers) => numbers.len(),
            Column::Double(doubles) => doubles.len(),
            Column::List { ends, .. } | Column::Map { ends, .. } => ends.len(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Where the items or members of event `row` lie. Only for lists and maps.
    pub fn range(&self, row: usize) -> std::ops::Range<usize> {
        let (Column::List { ends, .. } | Column::Map { ends, .. }) = self else {
            unreachable!("only lists and maps have items")
        };
        let start = if row == 0 { 0 } else { ends[row - 1] as usize };
        start..ends[row] as usize
    }
}
