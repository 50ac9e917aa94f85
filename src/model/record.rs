//! Records as a log hands them out and takes them, and the places in a buffer that they point to.

use super::{LogTime, NextOffset, Offset, Partition, Source};

/// A place in the byte buffer that it travels with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Span {
    pub start: u32,
    pub len: u32,
}

impl Span {
    /// Stands for "no value". Distinct from the empty text.
    pub const ABSENT: Span = Span { start: u32::MAX, len: u32::MAX };

    pub fn new(start: usize, end: usize) -> Span {
        let fits = "a batch's buffer stays below 4 GiB";
        Span { start: u32::try_from(start).expect(fits), len: u32::try_from(end - start).expect(fits) }
    }

    pub fn is_present(self) -> bool {
        self != Span::ABSENT
    }

    /// The bytes that it points to. Must be present.
    pub fn of(self, buffer: &[u8]) -> &[u8] {
        &buffer[self.start as usize..self.start as usize + self.len as usize]
    }

    pub fn get(self, buffer: &[u8]) -> Option<&[u8]> {
        self.is_present().then(|| self.of(buffer))
    }
}

/// What one poll gives of one raw partition: a buffer, and the records that lie in it, by rising offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordBatch {
    pub source: Source,
    pub bytes: Vec<u8>,
    pub records: Vec<RecordSlice>,
    /// Where reading goes on: past the last record and any hole behind it.
    pub next: NextOffset,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordSlice {
    pub offset: Offset,
    pub time: LogTime,
    /// [`Span::ABSENT`] where the record has no key.
    pub key: Span,
    /// [`Span::ABSENT`] for a tombstone.
    pub value: Span,
    /// Name, value.
    pub headers: Vec<(Span, Span)>,
}

impl RecordBatch {
    pub fn empty(source: Source, next: NextOffset) -> Self {
        RecordBatch { source, bytes: Vec::new(), records: Vec::new(), next }
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    pub fn key(&self, record: &RecordSlice) -> Option<&[u8]> {
        record.key.get(&self.bytes)
    }

    pub fn value(&self, record: &RecordSlice) -> Option<&[u8]> {
        record.value.get(&self.bytes)
    }

    /// Appends a record; for adapters and tests.
    pub fn push(&mut self, offset: Offset, time: LogTime, key: Option<&[u8]>, value: Option<&[u8]>) {
        let key = self.put(key);
        let value = self.put(value);
        self.records.push(RecordSlice { offset, time, key, value, headers: Vec::new() });
        self.next = self.next.max(offset.next());
    }

    /// Adds a header to the record pushed last.
    pub fn push_header(&mut self, name: &[u8], value: Option<&[u8]>) {
        let header = (self.put(Some(name)), self.put(value));
        self.records.last_mut().expect("a header follows its record").headers.push(header);
    }

    fn put(&mut self, bytes: Option<&[u8]>) -> Span {
        let Some(bytes) = bytes else { return Span::ABSENT };
        let start = self.bytes.len();
        self.bytes.extend_from_slice(bytes);
        Span::new(start, self.bytes.len())
    }
}

/// A record on its way into a log.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct OutRecord {
    pub key: Option<Vec<u8>>,
    /// `None` is a tombstone.
    pub value: Option<Vec<u8>>,
    pub headers: Vec<(String, Vec<u8>)>,
}

/// The topics of a deployment, by the part they play. An adapter maps them to names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Topic {
    Raw,
    Repartition,
    DeadLetters,
    State,
    Metrics,
    SetAside,
    /// By its place in the topology.
    History(u16),
}

/// One partition of one topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TopicPartition {
    pub topic: Topic,
    pub partition: Partition,
}

/// The three consumer groups: each role has its own lag, pace and failures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    Route,
    Aggregate,
    Lake,
}

/// A group's committed position with the metadata that was committed with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    pub next: NextOffset,
    pub metadata: String,
}
