//! Files are read back with the row reader of the Parquet crate, which shares no code with the Arrow writer.

use super::super::fixture::{DAY, NOVEMBER, Record, batch, event, layout, source, topology};
use super::super::{Chunk, Decided, FooterError, Format};
use super::*;
use crate::model::{DEAD_LETTER_BYTES_MAX, DEAD_LETTER_HEAD_BYTES, NextOffset, Span};
use ::parquet::basic::{Encoding, Type};
use ::parquet::file::reader::{FileReader, SerializedFileReader};
use ::parquet::schema::printer::print_schema;
use std::fs::File;
use std::io::Write;
use std::rc::Rc;

fn files(chunk: &Chunk) -> Vec<Vec<u8>> {
    let plan = Decided::new(chunk.plan(0));
    let topology = topology();
    (0..plan.plan.files.len()).map(|file| Parquet.write(&topology, chunk, &plan, file)).collect()
}

fn open(bytes: &[u8]) -> SerializedFileReader<File> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    SerializedFileReader::new(file).unwrap()
}

fn rows(bytes: &[u8]) -> Vec<String> {
    open(bytes).get_row_iter(None).unwrap().map(|row| row.unwrap().to_string()).collect()
}

fn chunk(records: &[(u64, Record)]) -> Chunk {
    let mut chunk = Chunk::new(source(), NextOffset(0), layout());
    chunk.push(&batch(records, 100));
    chunk
}

#[test]
fn events_come_back_column_by_column() {
    let records =
        [(2, event("t1", NOVEMBER)), (3, event("t1", NOVEMBER + 1)), (5, event("t1", NOVEMBER - 401 * DAY))];

    let files = files(&chunk(&records));

    let coordinates = |offset: u64| {
        format!(
            "{{_topic: \"events.v1\", _incarnation: \"00000000000000000000000000000abc\", _partition: 1, \
             _offset: {offset}, _record_time: 2026-11-01 00:00:00.000000 +00:00, "
        )
    };
    let rest = [
        "_event_time: 2026-11-01 00:00:00.000000 +00:00, _tenant: \"t1\", _category: \"View\", _event_id: null, \
         _filed_by: \"event_time\", type: \"View\", total: 0.50, items: [{product: \"p2-0\", price: 0.00}, \
         {product: \"p2-1\", price: 0.01}], tags: {\"k0\" -> 0.00, \"k1\" -> 0.10}, codes: [0, 1], ok: false, \
         weight: 0.5, seen: 1970-01-01 00:00:00.000050 +00:00, born: 1970-02-20, _rest: \"{\"more\":1}\"}",
        "_event_time: 2026-11-01 00:00:00.000001 +00:00, _tenant: \"t1\", _category: \"View\", _event_id: null, \
         _filed_by: \"event_time\", type: \"View\", total: null, items: null, tags: null, codes: null, ok: null, \
         weight: null, seen: null, born: null, _rest: null}",
        "_event_time: 2025-09-26 00:00:00.000000 +00:00, _tenant: \"t1\", _category: \"View\", _event_id: null, \
         _filed_by: \"record_time\", type: \"View\", total: 3.50, items: [{product: \"p5-0\", price: 0.00}], \
         tags: {\"k0\" -> 0.00}, codes: [0], ok: true, weight: 1.25, seen: 1970-01-01 00:00:00.000350 +00:00, \
         born: 1970-12-17, _rest: null}",
    ];
    assert_eq!(files.len(), 1);
    let expected: Vec<_> =
        [2, 3, 5].into_iter().zip(rest).map(|(offset, rest)| coordinates(offset) + rest).collect();
    assert_eq!(rows(&files[0]), expected);
}

#[test]
fn the_schema_is_one_that_every_engine_reads() {
    let files = files(&chunk(&[(2, event("t1", NOVEMBER)), (3, Record::Refused { record_time: NOVEMBER })]));

    let schema = |bytes: &[u8]| {
        let reader = open(bytes);
        let mut text = Vec::new();
        print_schema(&mut text, reader.metadata().file_metadata().schema());
        String::from_utf8(text).unwrap()
    };
    assert_eq!(
        schema(&files[0]),
        "message arrow_schema {
  REQUIRED BYTE_ARRAY _topic (STRING);
  REQUIRED BYTE_ARRAY _incarnation (STRING);
  REQUIRED INT32 _partition;
  REQUIRED INT64 _offset;
  REQUIRED INT64 _record_time (TIMESTAMP(MICROS,true));
  REQUIRED INT64 _event_time (TIMESTAMP(MICROS,true));
  REQUIRED BYTE_ARRAY _tenant (STRING);
  OPTIONAL BYTE_ARRAY _category (STRING);
  OPTIONAL BYTE_ARRAY _event_id (STRING);
  REQUIRED BYTE_ARRAY _filed_by (STRING);
  REQUIRED BYTE_ARRAY type (STRING);
  OPTIONAL INT64 total (DECIMAL(18,2));
  OPTIONAL group items (LIST) {
    REPEATED group list {
      REQUIRED group element {
        REQUIRED BYTE_ARRAY product (STRING);
        OPTIONAL INT64 price (DECIMAL(18,2));
      }
    }
  }
  OPTIONAL group tags (MAP) {
    REPEATED group key_value {
      REQUIRED BYTE_ARRAY key (STRING);
      REQUIRED INT64 value (DECIMAL(18,2));
    }
  }
  OPTIONAL group codes (LIST) {
    REPEATED group list {
      OPTIONAL INT64 element;
    }
  }
  OPTIONAL BOOLEAN ok;
  OPTIONAL DOUBLE weight;
  OPTIONAL INT64 seen (TIMESTAMP(MICROS,true));
  OPTIONAL INT32 born (DATE);
  OPTIONAL BYTE_ARRAY _rest (STRING);
}
"
    );
    assert_eq!(
        schema(&files[1]),
        "message arrow_schema {
  REQUIRED BYTE_ARRAY _topic (STRING);
  REQUIRED BYTE_ARRAY _incarnation (STRING);
  REQUIRED INT32 _partition;
  REQUIRED INT64 _offset;
  REQUIRED INT64 _record_time (TIMESTAMP(MICROS,true));
  REQUIRED BYTE_ARRAY reason (STRING);
  REQUIRED BYTE_ARRAY detail (STRING);
  OPTIONAL BYTE_ARRAY payload;
  REQUIRED INT64 payload_bytes;
  REQUIRED BYTE_ARRAY payload_hash (STRING);
}
"
    );
}

#[test]
fn refused_records_keep_their_bytes_and_a_huge_one_its_head() {
    let refused = Record::Refused { record_time: NOVEMBER };
    let mut events =
        Rc::unwrap_or_clone(batch(&[(4, refused.clone()), (6, refused.clone()), (7, refused)], 8));
    let huge = DEAD_LETTER_BYTES_MAX + 1;
    let start = events.bytes.len();
    events.bytes.extend(std::iter::repeat_n(b'\xff', huge));
    events.refused[1].value = Span::new(start, start + huge);
    events.refused[2].value = Span::ABSENT;
    let mut chunk = Chunk::new(source(), NextOffset(0), layout());
    chunk.push(&Rc::new(events));

    let files = files(&chunk);

    let reader = open(&files[0]);
    let rows: Vec<_> = reader.get_row_iter(None).unwrap().map(|row| row.unwrap()).collect();
    let text = rows[0].to_string();
    assert!(text.contains("reason: \"invalid_json\", detail: \"byte 1\", payload: "), "{text}");
    let payloads: Vec<_> = rows
        .iter()
        .map(|row| {
            let column = |name: &str| row.get_column_iter().find(|(n, _)| *n == name).unwrap().1.clone();
            (column("payload").to_string().len(), column("payload_bytes").to_string())
        })
        .collect();
    assert_eq!(payloads[0].1, "4");
    assert_eq!(payloads[1].1, huge.to_string());
    assert!(payloads[1].0 >= DEAD_LETTER_HEAD_BYTES && payloads[1].0 < 8 * DEAD_LETTER_HEAD_BYTES);
    assert_eq!(payloads[2], ("null".len(), "0".to_owned()));
}

#[test]
fn a_footer_names_its_plan_and_asks_for_what_it_lacks() {
    let chunk = chunk(&[(2, event("t1", NOVEMBER)), (4, event("t1", NOVEMBER))]);
    let bytes = files(&chunk).remove(0);
    let footer = Decided::new(chunk.plan(0)).footer(0);

    assert_eq!(Parquet.footer(&bytes), Ok(footer));
    assert_eq!(footer.rows, 2);
    let Err(FooterError::Longer(needed)) = Parquet.footer(&bytes[bytes.len() - 20..]) else {
        panic!("too short")
    };
    assert_eq!(Parquet.footer(&bytes[bytes.len() - needed..]), Ok(footer));
    assert_eq!(Parquet.footer(&bytes[bytes.len() - needed + 1..]), Err(FooterError::Longer(needed)));
    for end in 0..bytes.len() {
        assert!(Parquet.footer(&bytes[..end]).is_err(), "a file that was cut off is not whole");
    }
}

#[test]
fn only_texts_that_repeat_have_a_dictionary() {
    let records: Vec<_> = (0..2000).map(|at| (at, event("t1", NOVEMBER))).collect();
    let mut events = Rc::unwrap_or_clone(batch(&records, 2000));
    for row in 0..2000usize {
        let start = events.bytes.len();
        events.bytes.extend(format!("id{row}").into_bytes());
        events.event_id[row] = Span::new(start, events.bytes.len());
    }
    let mut chunk = Chunk::new(source(), NextOffset(0), layout());
    chunk.push(&Rc::new(events));

    let files = files(&chunk);

    let reader = open(&files[0]);
    let group = reader.metadata().row_group(0);
    let has_dictionary: Vec<_> = group
        .columns()
        .iter()
        .filter(|column| column.encodings().any(|encoding| encoding == Encoding::RLE_DICTIONARY))
        .map(|column| column.column_path().string())
        .collect();
    assert_eq!(
        has_dictionary,
        ["_topic", "_incarnation", "_tenant", "_category", "_filed_by", "type", "_rest"]
    );
    assert!(group.columns().iter().all(|column| column.statistics().is_some()));
    let total = group.columns().iter().find(|column| column.column_path().string() == "total").unwrap();
    assert_eq!(total.column_type(), Type::INT64);
    assert!(
        reader.metadata().file_metadata().key_value_metadata().unwrap().len() == 3,
        "no Arrow schema is embedded"
    );
}

#[test]
fn a_file_made_in_a_pass_holds_the_same_rows() {
    let records: Vec<_> = (0..40u64).map(|at| (at, event(&format!("t{}", at % 3), NOVEMBER))).collect();
    let whole = chunk(&records);
    let plan = Decided::new(whole.plan(0));
    for file in 0..plan.plan.files.len() {
        let keep = super::super::Keep::Files([file].into());
        let mut pass = Chunk::again(source(), &plan.plan, layout(), keep);
        pass.push(&batch(&records, 100));

        let again = Parquet.write(&topology(), &pass, &plan, file);

        assert_eq!(rows(&again), rows(&Parquet.write(&topology(), &whole, &plan, file)));
        assert_eq!(Parquet.footer(&again), Ok(plan.footer(file)));
    }
}
