//! The record that a refused raw record becomes.

use crate::model::{
    Coordinate, DEAD_LETTER_BYTES_MAX, DEAD_LETTER_HEAD_BYTES, EventBatch, OutRecord, Refused, write_time,
};

/// Key: the coordinate. Value: the payload as it was, above 512 KiB its first 64 KiB. Headers: the original
/// ones, then ours, the general part named as Kafka Connect names it, so that existing tools read it.
pub(super) fn dead_letter(topic: &str, batch: &EventBatch, refused: &Refused) -> OutRecord {
    let source = batch.source;
    let mut headers: Vec<(String, Vec<u8>)> = refused
        .headers
        .iter()
        .map(|(name, value)| {
            let name = name.get(&batch.bytes).unwrap_or_default();
            let value = value.get(&batch.bytes).unwrap_or_default();
            (String::from_utf8_lossy(name).into_owned(), value.to_vec())
        })
        .collect();
    let mut add = |name: &str, value: Vec<u8>| headers.push((name.to_owned(), value));
    if let Some(key) = refused.key.get(&batch.bytes) {
        add("thalweg.key", key.to_vec());
    }
    let reason = refused.reason.as_str();
    let message = match refused.detail.as_str() {
        "" => reason.to_owned(),
        detail => format!("{reason}: {detail}"),
    };
    add("__connect.errors.topic", topic.into());
    add("__connect.errors.partition", source.partition.to_string().into());
    add("__connect.errors.offset", refused.offset.to_string().into());
    add("__connect.errors.stage", b"VALUE_CONVERTER".to_vec());
    add("__connect.errors.class.name", b"thalweg.decode".to_vec());
    add("__connect.errors.exception.message", message.into());
    add("thalweg.reason", reason.into());
    add("thalweg.detail", refused.detail.clone().into());
    let mut time = Vec::new();
    write_time(&mut time, refused.record_time.0);
    add("thalweg.record_time", time);
    let payload = refused.value.get(&batch.bytes);
    if payload.is_none() {
        add("thalweg.tombstone", b"true".to_vec());
    }
    // Never `None`: the topic is compacted, and a record without a value would erase itself.
    let mut value = payload.unwrap_or_default();
    if value.len() > DEAD_LETTER_BYTES_MAX {
        add("thalweg.length", value.len().to_string().into());
        add("thalweg.hash", format!("{:016x}", refused.value_hash).into());
        value = &value[..DEAD_LETTER_HEAD_BYTES];
    }
    let coordinate = Coordinate { source, offset: refused.offset };
    OutRecord { key: Some(coordinate.to_string().into()), value: Some(value.to_vec()), headers }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::{Incarnation, LogTime, NextOffset, Offset, Partition, Rejection, Source, Span};

    fn batch(bytes: &[u8]) -> EventBatch {
        EventBatch {
            source: Source { incarnation: Incarnation(0xabc), partition: Partition(3) },
            bytes: bytes.to_vec(),
            offset: vec![],
            record_time: vec![],
            event_time: vec![],
            event_id: vec![],
            id_hash: vec![],
            value_hash: vec![],
            value: vec![],
            columns: vec![],
            rest: vec![],
            skipped_members: 0,
            refused: vec![],
            next: NextOffset(8),
        }
    }

    fn refused(value: Span) -> Refused {
        Refused {
            offset: Offset(7),
            record_time: LogTime(1_000_000),
            reason: Rejection::Missing,
            detail: "`tenant_id`".into(),
            key: Span::new(0, 1),
            value,
            headers: vec![(Span::new(1, 2), Span::new(2, 3))],
            value_hash: 0xfe,
        }
    }

    fn header<'a>(record: &'a OutRecord, name: &str) -> Option<&'a str> {
        let found = record.headers.iter().find(|(header, _)| header == name)?;
        Some(std::str::from_utf8(&found.1).unwrap())
    }

    #[test]
    fn a_dead_letter_tells_what_was_refused_where_and_why() {
        let record = dead_letter("events", &batch(b"khv{}"), &refused(Span::new(3, 5)));

        assert_eq!(record.key.as_deref(), Some(&b"00000000000000000000000000000abc-p3-o7"[..]));
        assert_eq!(record.value.as_deref(), Some(&b"{}"[..]));
        assert_eq!(record.headers[0], ("h".into(), b"v".to_vec()));
        assert_eq!(header(&record, "thalweg.key"), Some("k"));
        assert_eq!(header(&record, "__connect.errors.topic"), Some("events"));
        assert_eq!(header(&record, "__connect.errors.partition"), Some("3"));
        assert_eq!(header(&record, "__connect.errors.offset"), Some("7"));
        assert_eq!(header(&record, "__connect.errors.exception.message"), Some("missing: `tenant_id`"));
        assert_eq!(header(&record, "thalweg.reason"), Some("missing"));
        assert_eq!(header(&record, "thalweg.record_time"), Some("1970-01-01T00:00:01Z"));
        assert_eq!(header(&record, "thalweg.length"), None);
    }

    #[test]
    fn a_huge_payload_is_cut_and_says_so() {
        let at_edge = vec![b'x'; DEAD_LETTER_BYTES_MAX];
        let whole = dead_letter("events", &batch(&at_edge), &refused(Span::new(0, at_edge.len())));
        assert_eq!(whole.value.as_ref().map(Vec::len), Some(DEAD_LETTER_BYTES_MAX));

        let above = vec![b'x'; DEAD_LETTER_BYTES_MAX + 1];
        let cut = dead_letter("events", &batch(&above), &refused(Span::new(0, above.len())));
        assert_eq!(cut.value.as_ref().map(Vec::len), Some(DEAD_LETTER_HEAD_BYTES));
        assert_eq!(header(&cut, "thalweg.length"), Some("524289"));
        assert_eq!(header(&cut, "thalweg.hash"), Some("00000000000000fe"));
    }

    #[test]
    fn a_refused_tombstone_does_not_erase_its_dead_letter() {
        let record = dead_letter("events", &batch(b"khv"), &refused(Span::ABSENT));

        assert_eq!(record.value, Some(vec![]));
        assert_eq!(header(&record, "thalweg.tombstone"), Some("true"));
    }
}
