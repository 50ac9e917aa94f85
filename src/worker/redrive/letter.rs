//! One dead letter, the record that it was made of, and the mark that says it was sent again. Pure.

use crate::model::{
    Coordinate, LogTime, OutBatch, OutRecord, Partition, RecordBatch, RecordSlice, write_time,
};

/// Header of a record that was sent again: the coordinate of its dead letter.
pub const ORIGIN: &str = "thalweg.redriven";
/// How the key of a mark begins; behind it stands the letter's.
const MARK: &str = "redriven:";
const KEY: &str = "thalweg.key";
/// The first of ours behind the record's own headers, but for its key.
const FIRST_OF_OURS: &str = "__connect.errors.topic";

/// A refused record, as its dead letter tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Letter {
    /// Its key.
    pub coordinate: String,
    /// Partition of the dead letters that it lies in.
    pub lies_in: Partition,
    pub payload: Vec<u8>,
    /// The record's own, then ours.
    pub headers: Vec<(String, Vec<u8>)>,
}

/// What stands in the topic of dead letters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Entry {
    Letter(Letter),
    /// Of the letter with this coordinate.
    Mark(String),
}

/// Why a letter cannot be sent again.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotWhole {
    #[error("the letter holds {held} of {length} bytes")]
    Cut { held: usize, length: u64 },
    #[error("`{0}` is no coordinate")]
    Nameless(String),
}

impl Entry {
    /// `None`: a record without a key, or one that takes another back.
    pub(super) fn of(batch: &RecordBatch, record: &RecordSlice) -> Option<Entry> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let key = text(batch.key(record)?);
        let payload = batch.value(record)?.to_vec();
        if let Some(coordinate) = key.strip_prefix(MARK) {
            return Some(Entry::Mark(coordinate.to_owned()));
        }
        let headers = record.headers.iter().map(|(name, value)| {
            (text(name.of(&batch.bytes)), value.get(&batch.bytes).unwrap_or_default().to_vec())
        });
        let lies_in = batch.source.partition;
        Some(Entry::Letter(Letter { coordinate: key, lies_in, payload, headers: headers.collect() }))
    }
}

impl Letter {
    pub fn place(&self) -> Option<Coordinate> {
        self.coordinate.parse().ok()
    }

    /// One of our own headers.
    pub fn header(&self, name: &str) -> String {
        let (_, ours) = self.headers.split_at(self.begin_of_ours());
        text_of(ours, name).unwrap_or_default()
    }

    /// Of the letter whose record was sent again and refused once more: this one.
    pub fn origin(&self) -> Option<String> {
        let (own, _) = self.headers.split_at(self.begin_of_ours());
        text_of(own, ORIGIN)
    }

    /// Of the record as it was; its letter may hold less.
    pub fn length(&self) -> u64 {
        self.header("thalweg.length").parse().unwrap_or(self.payload.len() as u64)
    }

    /// A record without a value.
    pub fn is_tombstone(&self) -> bool {
        self.header("thalweg.tombstone") == "true"
    }

    /// The record as it was, with one header more: where it was refused.
    pub fn original(&self) -> Result<OutRecord, NotWhole> {
        if self.place().is_none() {
            return Err(NotWhole::Nameless(self.coordinate.clone()));
        }
        let (held, length) = (self.payload.len(), self.length());
        if held as u64 != length {
            return Err(NotWhole::Cut { held, length });
        }
        let (own, ours) = self.headers.split_at(self.begin_of_ours());
        let mut headers: Vec<_> = own.iter().filter(|(name, _)| name != ORIGIN).cloned().collect();
        headers.push((ORIGIN.to_owned(), self.coordinate.clone().into()));
        let key = ours.first().filter(|(name, _)| name == KEY).map(|(_, key)| key.clone());
        let value = (!self.is_tombstone()).then(|| self.payload.clone());
        Ok(OutRecord { key, value, headers })
    }

    /// Adds the mark that it was sent again.
    pub(super) fn mark(&self, at: LogTime, to: &mut OutBatch) {
        let mut value = b"{\"redriven\":\"".to_vec();
        write_time(&mut value, at.0);
        value.extend(b"\"}");
        let key = |out: &mut Vec<u8>| out.extend([MARK, &self.coordinate].concat().into_bytes());
        to.push(None, key, |out| out.append(&mut value));
    }

    /// Ours stand behind the record's own, which may have the same names.
    fn begin_of_ours(&self) -> usize {
        let first = self.headers.iter().rposition(|(name, _)| name == FIRST_OF_OURS);
        let Some(first) = first else { return self.headers.len() };
        let has_key = first > 0 && self.headers[first - 1].0 == KEY;
        first - usize::from(has_key)
    }
}

fn text_of(headers: &[(String, Vec<u8>)], wanted: &str) -> Option<String> {
    let found = headers.iter().rev().find(|(name, _)| name == wanted);
    found.map(|(_, value)| String::from_utf8_lossy(value).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    const COORDINATE: &str = "00000000000000000000000000000abc-p3-o7";

    fn letter(headers: &[(&str, &str)]) -> Letter {
        Letter {
            coordinate: COORDINATE.into(),
            lies_in: Partition(3),
            payload: b"{}".to_vec(),
            headers: headers
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.as_bytes().to_vec()))
                .collect(),
        }
    }

    #[test]
    fn the_record_comes_back_as_it_was_with_its_origin() {
        let letter = letter(&[
            ("trace", "t"),
            ("thalweg.reason", "its own"),
            ("thalweg.key", "k"),
            ("__connect.errors.topic", "events"),
            ("thalweg.reason", "missing"),
        ]);

        let record = letter.original().unwrap();

        let own = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
        assert_eq!(record.key.as_deref(), Some(&b"k"[..]));
        assert_eq!(record.value.as_deref(), Some(&b"{}"[..]));
        assert_eq!(
            record.headers,
            [own("trace", "t"), own("thalweg.reason", "its own"), own("thalweg.redriven", COORDINATE)]
        );
        assert_eq!(letter.header("thalweg.reason"), "missing");
    }

    #[test]
    fn a_record_without_a_key_or_a_value_stays_without() {
        let tombstone = letter(&[("__connect.errors.topic", "events"), ("thalweg.tombstone", "true")]);

        let record = Letter { payload: vec![], ..tombstone }.original().unwrap();

        assert_eq!((record.key, record.value), (None, None));
    }

    #[test]
    fn a_letter_refused_twice_names_the_first_and_sends_only_the_last() {
        let again = letter(&[(ORIGIN, "aa-p0-o1"), ("__connect.errors.topic", "events")]);

        assert_eq!(again.origin().as_deref(), Some("aa-p0-o1"));
        assert_eq!(again.original().unwrap().headers, [(ORIGIN.to_owned(), COORDINATE.into())]);
    }

    #[test]
    fn what_is_cut_or_nameless_cannot_be_sent() {
        let cut = letter(&[("__connect.errors.topic", "events"), ("thalweg.length", "600000")]);
        assert_eq!(cut.original(), Err(NotWhole::Cut { held: 2, length: 600_000 }));

        let nameless = Letter { coordinate: "x".into(), ..letter(&[]) };
        assert_eq!(nameless.original(), Err(NotWhole::Nameless("x".into())));
    }

    #[test]
    fn a_mark_is_read_as_one_and_collapses_with_no_letter() {
        let mut marks = OutBatch::default();
        letter(&[]).mark(LogTime(1_000_000), &mut marks);
        let mark = &marks.to_records()[0];
        let source =
            crate::model::Source { incarnation: crate::model::Incarnation(1), partition: Partition(3) };
        let mut batch = RecordBatch::empty(source, crate::model::NextOffset(0));
        batch.push(crate::model::Offset(0), LogTime(0), mark.key.as_deref(), mark.value.as_deref());

        assert_eq!(Entry::of(&batch, &batch.records[0]), Some(Entry::Mark(COORDINATE.into())));
        assert_ne!(mark.key.as_deref(), Some(COORDINATE.as_bytes()));
        assert_eq!(mark.value.as_deref(), Some(&br#"{"redriven":"1970-01-01T00:00:01Z"}"#[..]));
    }
}
