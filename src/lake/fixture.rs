//! A topology and batches for tests, made by hand: no decoder, so that a value's place in a batch is seen.

use super::Layout;
use crate::model::{
    Column, EventBatch, EventTime, Incarnation, LogTime, NextOffset, Offset, Partition, RecordBatch, Refused,
    Rejection, Source, Span,
};
use crate::topology::{
    Clock, Duplicates, EventId, Events, Field, FieldType, Lake, PartitionColumn, Scalar, TimeOrigin,
    Topology, Zone,
};
use std::rc::Rc;

pub(super) const HOUR: i64 = 3_600_000_000;
pub(super) const DAY: i64 = 24 * HOUR;
/// 2026-11-01T00:00:00Z
pub(super) const NOVEMBER: i64 = 1_793_491_200_000_000;

pub(super) fn source() -> Source {
    Source { incarnation: Incarnation(0xabc), partition: Partition(1) }
}

pub(super) fn field(name: &str, ty: FieldType, required: bool) -> Field {
    Field { name: name.into(), path: vec![name.into()], required, ty }
}

/// tenant and type in the path, and one field of each kind.
pub(super) fn topology() -> Topology {
    use Scalar as S;
    let scalar = FieldType::Scalar;
    let decimal = S::Decimal { scale: 2, round: false, minor: false };
    let item = vec![field("product", scalar(S::Text), true), field("price", scalar(decimal), false)];
    Topology {
        name: "shop".into(),
        deployment: "shop".into(),
        events: Events {
            topic: "events.v1".into(),
            fields: vec![
                field("type", scalar(S::Text), true),
                field("tenant_id", scalar(S::Text), true),
                field("total", scalar(decimal), false),
                field("items", FieldType::ListOfStruct(item), false),
                field("tags", FieldType::Map(decimal), false),
                field("codes", FieldType::ListOfScalar(S::Int), false),
                field("ok", scalar(S::Bool), false),
                field("weight", scalar(S::Double), false),
                field("seen", scalar(S::Time), false),
                field("born", scalar(S::Date), false),
            ],
            id: EventId::Coordinate,
            time: vec![TimeOrigin::RecordTime],
        },
        tenant: 1,
        category: Some(0),
        zone: Zone { name: "UTC".into(), zone: jiff::tz::TimeZone::UTC },
        clock: Clock::Events,
        lateness: DAY,
        accept_future: DAY,
        partitions: 4,
        duplicates: Duplicates { last: 1000, horizon: DAY },
        aggregates: Vec::new(),
        histories: Vec::new(),
        lake: Lake {
            table: "events".into(),
            partition: vec![
                PartitionColumn::Category,
                PartitionColumn::TenantId,
                PartitionColumn::Year,
                PartitionColumn::Month,
                PartitionColumn::Day,
                PartitionColumn::Hour,
            ],
            roll_age: 60_000_000,
            roll_bytes: 1 << 20,
            accept_past: 400 * DAY,
            accept_future: DAY,
        },
        categories: Vec::new(),
        text: "topology: shop\n".into(),
        routing_version: 1,
        configuration_hash: 0xbeef,
    }
}

pub(super) fn layout() -> Rc<Layout> {
    Rc::new(Layout::new(&topology(), "lake/"))
}

/// One record of a test.
#[derive(Debug, Clone)]
pub(super) enum Record {
    Event { kind: &'static str, tenant: String, event_time: i64, record_time: i64 },
    Refused { record_time: i64 },
}

pub(super) fn event(tenant: &str, event_time: i64) -> Record {
    Record::Event { kind: "View", tenant: tenant.into(), event_time, record_time: NOVEMBER }
}

/// These records at these offsets, as decode would hand them out.
pub(super) fn batch(records: &[(u64, Record)], next: u64) -> Rc<EventBatch> {
    let mut raw = RecordBatch::empty(source(), NextOffset(next));
    let number = || Column::Number(Vec::new());
    let list = |items| Column::List { present: vec![], ends: vec![], items };
    let map = Column::Map { present: vec![], ends: vec![], keys: vec![], values: Box::new(number()) };
    let mut of = EventBatch {
        source: source(),
        bytes: Vec::new(),
        offset: vec![],
        record_time: vec![],
        event_time: vec![],
        event_id: vec![],
        id_hash: vec![],
        value_hash: vec![],
        value: vec![],
        columns: vec![
            Column::Text(vec![]),
            Column::Text(vec![]),
            number(),
            list(vec![Column::Text(vec![]), number()]),
            map,
            list(vec![number()]),
            number(),
            Column::Double(vec![]),
            number(),
            number(),
        ],
        rest: vec![],
        skipped_members: 0,
        refused: vec![],
        next: NextOffset(next),
    };
    for (offset, record) in records {
        push(&mut of, &mut raw.bytes, *offset, record);
    }
    of.bytes = raw.bytes;
    Rc::new(of)
}

fn push(of: &mut EventBatch, bytes: &mut Vec<u8>, offset: u64, record: &Record) {
    let mut text = |text: &str| {
        let start = bytes.len();
        bytes.extend_from_slice(text.as_bytes());
        Span::new(start, bytes.len())
    };
    let value_hash = xxhash_rust::xxh3::xxh3_64(format!("{offset}").as_bytes());
    let (kind, tenant, event_time, record_time) = match record {
        Record::Event { kind, tenant, event_time, record_time } => (kind, tenant, *event_time, *record_time),
        Record::Refused { record_time } => {
            of.refused.push(Refused {
                offset: Offset(offset),
                record_time: LogTime(*record_time),
                reason: Rejection::InvalidJson,
                detail: "byte 1".into(),
                key: Span::ABSENT,
                value: text("{\u{fffd}"),
                headers: vec![],
                value_hash,
            });
            return;
        }
    };
    of.offset.push(Offset(offset));
    of.record_time.push(LogTime(record_time));
    of.event_time.push(EventTime(event_time));
    of.event_id.push(Span::ABSENT);
    of.id_hash.push(0);
    of.value_hash.push(value_hash);
    of.value.push(Span::ABSENT);
    of.rest.push(if offset.is_multiple_of(2) { text("{\"more\":1}") } else { Span::ABSENT });
    let has = !offset.is_multiple_of(3);
    let count = (offset % 4) as u32;
    let number = has.then_some(offset as i64 * 100 - 150);
    for at in 0..of.columns.len() {
        match (at, &mut of.columns[at]) {
            (0, Column::Text(to)) => to.push(text(kind)),
            (1, Column::Text(to)) => to.push(text(tenant)),
            (6, Column::Number(to)) => to.push(has.then_some((offset % 2) as i64)),
            (_, Column::Number(to)) => to.push(number),
            (_, Column::Double(to)) => to.push(has.then_some(offset as f64 / 4.0)),
            (_, Column::List { present, ends, items }) => {
                let count = if has { count } else { 0 };
                present.push(has);
                ends.push(ends.last().copied().unwrap_or(0) + count);
                for item in 0..count {
                    for column in items.iter_mut() {
                        match column {
                            Column::Text(to) => to.push(text(&format!("p{offset}-{item}"))),
                            Column::Number(to) => to.push(Some(i64::from(item))),
                            _ => unreachable!(),
                        }
                    }
                }
            }
            (_, Column::Map { present, ends, keys, values }) => {
                let count = if has { count } else { 0 };
                present.push(has);
                ends.push(ends.last().copied().unwrap_or(0) + count);
                for member in 0..count {
                    keys.push(text(&format!("k{member}")));
                    let Column::Number(to) = values.as_mut() else { unreachable!() };
                    to.push(Some(i64::from(member) * 10));
                }
            }
            _ => unreachable!(),
        }
    }
}
