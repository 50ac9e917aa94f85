//! Some rows of a batch as a batch of their own, with only their bytes: what a pass over a chunk that is
//! bigger than the budget holds on to.

use crate::model::{Column, EventBatch, Refused, Span};

/// Events and refused records at these places, by rising place.
pub(super) fn select(batch: &EventBatch, events: &[u32], refused: &[u32]) -> EventBatch {
    let mut to = Gather { from: &batch.bytes, bytes: Vec::new() };
    let rows: Vec<usize> = events.iter().map(|&row| row as usize).collect();
    EventBatch {
        source: batch.source,
        offset: pick(&batch.offset, &rows),
        record_time: pick(&batch.record_time, &rows),
        event_time: pick(&batch.event_time, &rows),
        event_id: to.texts(&batch.event_id, &rows),
        id_hash: pick(&batch.id_hash, &rows),
        value_hash: pick(&batch.value_hash, &rows),
        // No file holds an event's value; its columns and `_rest` are all there is of it.
        value: vec![Span::ABSENT; rows.len()],
        columns: batch.columns.iter().map(|column| to.column(column, &rows)).collect(),
        rest: to.texts(&batch.rest, &rows),
        skipped_members: 0,
        refused: refused.iter().map(|&row| to.refused(&batch.refused[row as usize])).collect(),
        next: batch.next,
        bytes: to.bytes,
    }
}

fn pick<T: Copy>(from: &[T], rows: &[usize]) -> Vec<T> {
    rows.iter().map(|&row| from[row]).collect()
}

struct Gather<'a> {
    from: &'a [u8],
    bytes: Vec<u8>,
}

impl Gather<'_> {
    fn text(&mut self, span: Span) -> Span {
        let Some(text) = span.get(self.from) else { return Span::ABSENT };
        let start = self.bytes.len();
        self.bytes.extend_from_slice(text);
        Span::new(start, self.bytes.len())
    }

    fn texts(&mut self, spans: &[Span], rows: &[usize]) -> Vec<Span> {
        rows.iter().map(|&row| self.text(spans[row])).collect()
    }

    fn refused(&mut self, refused: &Refused) -> Refused {
        Refused {
            key: Span::ABSENT,
            value: self.text(refused.value),
            headers: Vec::new(),
            detail: refused.detail.clone(),
            ..*refused
        }
    }

    fn column(&mut self, column: &Column, rows: &[usize]) -> Column {
        let inner = |column: &Column| rows.iter().flat_map(|&row| column.range(row)).collect::<Vec<_>>();
        match column {
            Column::Text(spans) => Column::Text(self.texts(spans, rows)),
            Column::Number(numbers) => Column::Number(pick(numbers, rows)),
            Column::Double(doubles) => Column::Double(pick(doubles, rows)),
            Column::List { present, items, .. } => {
                let inner = inner(column);
                Column::List {
                    present: pick(present, rows),
                    ends: ends(column, rows),
                    items: items.iter().map(|items| self.column(items, &inner)).collect(),
                }
            }
            Column::Map { present, keys, values, .. } => {
                let inner = inner(column);
                Column::Map {
                    present: pick(present, rows),
                    ends: ends(column, rows),
                    keys: self.texts(keys, &inner),
                    values: Box::new(self.column(values, &inner)),
                }
            }
        }
    }
}

/// Where the items of the selected rows end, once they lie end to end.
fn ends(column: &Column, rows: &[usize]) -> Vec<u32> {
    let mut end = 0;
    let step = |&row: &usize| {
        end += column.range(row).len() as u32;
        end
    };
    rows.iter().map(step).collect()
}
