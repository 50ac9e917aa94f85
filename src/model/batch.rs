//! Many records on their way into one partition.

use super::OutRecord;

/// Records end to end in one buffer: a transaction writes too many of them for allocations of their own.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OutBatch {
    bytes: Vec<u8>,
    records: Vec<Ends>,
}

/// Where a record's parts end in the buffer; it begins where the one before ends.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Ends {
    key: usize,
    /// `None` is a tombstone.
    value: Option<usize>,
    schema: Option<&'static str>,
}

/// One record of an [`OutBatch`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutSlice<'a> {
    pub key: &'a [u8],
    /// `None` is a tombstone.
    pub value: Option<&'a [u8]>,
    /// Value of its only header, `schema`.
    pub schema: Option<&'static str>,
}

impl OutBatch {
    /// Adds a record whose parts are written straight into the buffer.
    pub fn push(
        &mut self,
        schema: Option<&'static str>,
        key: impl FnOnce(&mut Vec<u8>),
        value: impl FnOnce(&mut Vec<u8>),
    ) {
        key(&mut self.bytes);
        let key = self.bytes.len();
        value(&mut self.bytes);
        self.records.push(Ends { key, value: Some(self.bytes.len()), schema });
    }

    pub fn push_tombstone(&mut self, key: &[u8]) {
        self.bytes.extend_from_slice(key);
        self.records.push(Ends { key: self.bytes.len(), value: None, schema: None });
    }

    pub fn len(&self) -> usize {
        self.records.len()
    }

    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Bytes of all keys and values.
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Adds all records of another batch.
    pub fn extend_from(&mut self, other: &OutBatch) {
        let start = self.bytes.len();
        self.bytes.extend_from_slice(&other.bytes);
        let ends = |ends: &Ends| Ends {
            key: start + ends.key,
            value: ends.value.map(|value| start + value),
            schema: ends.schema,
        };
        self.records.extend(other.records.iter().map(ends));
    }

    /// Keeps the memory.
    pub fn clear(&mut self) {
        self.bytes.clear();
        self.records.clear();
    }

    pub fn iter(&self) -> impl Iterator<Item = OutSlice<'_>> {
        let mut start = 0;
        self.records.iter().map(move |&Ends { key, value, schema }| {
            let slice = OutSlice {
                key: &self.bytes[start..key],
                value: value.map(|value| &self.bytes[key..value]),
                schema,
            };
            start = value.unwrap_or(key);
            slice
        })
    }

    /// Each with memory of its own.
    pub fn to_records(&self) -> Vec<OutRecord> {
        let record = |slice: OutSlice<'_>| OutRecord {
            key: Some(slice.key.to_vec()),
            value: slice.value.map(<[u8]>::to_vec),
            headers: slice.headers().map(|(name, value)| (name.to_owned(), value.to_vec())).collect(),
        };
        self.iter().map(record).collect()
    }
}

/// Records with a key and a value, and no header.
impl<K: AsRef<[u8]>, V: AsRef<[u8]>> FromIterator<(K, V)> for OutBatch {
    fn from_iter<I: IntoIterator<Item = (K, V)>>(records: I) -> Self {
        let mut batch = OutBatch::default();
        for (key, value) in records {
            let key = |out: &mut Vec<u8>| out.extend_from_slice(key.as_ref());
            batch.push(None, key, |out| out.extend_from_slice(value.as_ref()));
        }
        batch
    }
}

impl OutSlice<'_> {
    pub fn headers(&self) -> impl ExactSizeIterator<Item = (&'static str, &'static [u8])> + Clone {
        self.schema.map(|schema| ("schema", schema.as_bytes())).into_iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_come_back_as_they_were_pushed() {
        let mut batch = OutBatch::default();
        batch.push(Some("row.v1"), |key| key.push(b'a'), |value| value.extend(b"one"));
        batch.push_tombstone(b"b");
        batch.push(None, |_| (), |_| ());

        let slice = |key, value, schema| OutSlice { key, value, schema };
        let expected = [
            slice(&b"a"[..], Some(&b"one"[..]), Some("row.v1")),
            slice(b"b", None, None),
            slice(b"", Some(b""), None),
        ];
        assert_eq!(batch.iter().collect::<Vec<_>>(), expected);
        let records = batch.to_records();
        assert_eq!(records[0].headers, [("schema".to_owned(), b"row.v1".to_vec())]);
        assert_eq!((records[1].key.as_deref(), records[1].value.as_deref()), (Some(&b"b"[..]), None));
        assert_eq!((batch.len(), batch.bytes()), (3, 5));
        let mut twice = batch.clone();
        twice.extend_from(&batch);
        assert_eq!(twice.iter().collect::<Vec<_>>(), [expected, expected].concat());
    }
}
