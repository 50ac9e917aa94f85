//! A small shop for this room's tests: orders with items, and readings in a map.

use super::session::{Opening, Outgoing, Pace, Session};
use crate::model::{
    Block, Column, EventBatch, EventTime, HopOne, Incarnation, LogTime, NextOffset, Offset, Partition,
    Reader, Refused, RoutingVersion, Source, Span,
};
use crate::route::RoutePosition;
use crate::topology::*;
use std::sync::Arc;

pub(super) const VERSION: u64 = 77;

pub(super) fn source() -> Source {
    Source { incarnation: Incarnation(0xabc), partition: Partition(1) }
}

const DECIMAL: Scalar = Scalar::Decimal { scale: 2, round: false, minor: false };

fn field(name: &str, ty: FieldType) -> Field {
    Field { name: name.into(), path: vec![name.into()], required: false, ty }
}

fn text_field(name: &str) -> Field {
    field(name, FieldType::Scalar(Scalar::Text))
}

fn fields() -> Vec<Field> {
    let items = vec![
        text_field("product"),
        field("quantity", FieldType::Scalar(Scalar::Int)),
        field("price", FieldType::Scalar(DECIMAL)),
    ];
    vec![
        text_field("tenant"),
        text_field("type"),
        text_field("vendor"),
        field("total", FieldType::Scalar(DECIMAL)),
        field("items", FieldType::ListOfStruct(items)),
        text_field("order"),
        field("metric", FieldType::Map(Scalar::Decimal { scale: 6, round: true, minor: false })),
    ]
}

fn column(name: &str, scalar: Scalar) -> ContributionColumn {
    ContributionColumn { name: name.into(), scalar }
}

pub(super) fn is(column: usize, text: &str) -> Condition {
    let check = Check::OneOf(vec![Literal::Text(text.into())]);
    Condition { any: vec![vec![crate::topology::Test { column, check }]] }
}

fn value(name: &str, function: Function, when: Condition) -> Value {
    Value { name: name.into(), function, when }
}

fn slot(fold: Fold, cell: CellKind, origin: SlotOrigin) -> Slot {
    Slot { fold, cell, origin }
}

fn aggregate(name: &str, by: Vec<usize>) -> Aggregate {
    Aggregate {
        name: name.into(),
        by,
        carry: vec![],
        columns: vec![],
        inputs: vec![],
        windows: vec![Window { kind: WindowKind::Day, keep: 0 }],
        values: vec![],
        slots: vec![],
    }
}

fn vendor() -> Aggregate {
    Aggregate {
        columns: vec![column("vendor", Scalar::Text), column("type", Scalar::Text), column("total", DECIMAL)],
        inputs: vec![Input {
            when: Condition::default(),
            each: None,
            sources: [2, 1, 3].map(|field| Some(Expression::Field(field))).into(),
        }],
        values: vec![
            value("orders", Function::CountEvents, is(1, "order")),
            value("revenue", Function::Sum(2), is(1, "order")),
            value("kinds", Function::Distinct(1), Condition::default()),
            value("totals", Function::Distinct(2), Condition::default()),
            value("share", Function::Ratio { over: 1, under: 0, scale: 2 }, Condition::default()),
        ],
        slots: vec![
            slot(Fold::Count, CellKind::Count, SlotOrigin::Value(0)),
            slot(Fold::Sum, CellKind::Number, SlotOrigin::Value(1)),
            slot(Fold::Distinct, CellKind::Hash, SlotOrigin::Value(2)),
            slot(Fold::Distinct, CellKind::Hash, SlotOrigin::Value(3)),
        ],
        ..aggregate("vendor", vec![0])
    }
}

fn product() -> Aggregate {
    let line = Expression::Multiply(Box::new(Expression::Item(2)), Box::new(Expression::Item(1)));
    Aggregate {
        carry: vec![2],
        columns: vec![
            column("product", Scalar::Text),
            column("line", DECIMAL),
            column("vendor", Scalar::Text),
            column("index", Scalar::Int),
        ],
        inputs: vec![Input {
            when: is(1, "order"),
            each: Some(4),
            sources: vec![
                Some(Expression::Item(0)),
                Some(line),
                Some(Expression::Field(2)),
                Some(Expression::Index),
            ],
        }],
        values: vec![
            value("orders", Function::CountEvents, Condition::default()),
            value("lines", Function::CountElements, Condition::default()),
            value("revenue", Function::Sum(1), Condition::default()),
            value("later", Function::CountEvents, above(3, 0)),
        ],
        slots: vec![
            slot(Fold::Count, CellKind::Count, SlotOrigin::Value(0)),
            slot(Fold::Count, CellKind::Count, SlotOrigin::Value(1)),
            slot(Fold::Sum, CellKind::Number, SlotOrigin::Value(2)),
            slot(Fold::Count, CellKind::Count, SlotOrigin::Value(3)),
            slot(Fold::Last, CellKind::Text, SlotOrigin::Carry(2)),
        ],
        ..aggregate("product", vec![0])
    }
}

fn above(column: usize, bound: i64) -> Condition {
    let check = Check::Above(Literal::Number(bound));
    Condition { any: vec![vec![crate::topology::Test { column, check }]] }
}

fn metric() -> Aggregate {
    let scalar = Scalar::Decimal { scale: 6, round: true, minor: false };
    Aggregate {
        columns: vec![column("name", Scalar::Text), column("value", scalar)],
        inputs: vec![Input {
            when: Condition::default(),
            each: Some(6),
            sources: vec![Some(Expression::MapKey), Some(Expression::MapValue)],
        }],
        values: vec![value("sum", Function::Sum(1), Condition::default())],
        slots: vec![slot(Fold::Sum, CellKind::Number, SlotOrigin::Value(0))],
        ..aggregate("metric", vec![0])
    }
}

/// All events of a tenant: no `by`.
fn all() -> Aggregate {
    Aggregate {
        inputs: vec![Input { when: Condition::default(), each: None, sources: vec![] }],
        values: vec![value("events", Function::CountEvents, Condition::default())],
        slots: vec![slot(Fold::Count, CellKind::Count, SlotOrigin::Value(0))],
        ..aggregate("all", vec![])
    }
}

pub(super) fn topology(partitions: u32) -> Arc<Topology> {
    Arc::new(Topology {
        name: "shop".into(),
        deployment: "shop".into(),
        events: Events {
            topic: "events".into(),
            fields: fields(),
            id: EventId::Coordinate,
            time: vec![TimeOrigin::RecordTime],
        },
        tenant: 0,
        category: None,
        zone: Zone { name: "UTC".into(), zone: jiff::tz::TimeZone::UTC },
        clock: Clock::Wall,
        lateness: 0,
        accept_future: 0,
        partitions,
        duplicates: Duplicates { last: 1, horizon: 1 },
        aggregates: vec![vendor(), product(), metric(), all()],
        histories: vec![History {
            name: "orders".into(),
            by: vec![5],
            when: is(1, "order"),
            columns: vec![1, 3, 4, 6],
            keep: 0,
        }],
        lake: Lake {
            table: "events".into(),
            partition: vec![],
            roll_age: 0,
            roll_bytes: 0,
            accept_past: 0,
            accept_future: 0,
        },
        categories: vec![],
        text: String::new(),
        routing_version: VERSION,
        configuration_hash: 0,
    })
}

/// Product, quantity, price in cents.
pub(super) type Item = (&'static str, i64, i64);

#[derive(Debug, Clone, Default)]
pub(super) struct Shopping {
    pub(super) offset: u64,
    pub(super) kind: &'static str,
    pub(super) vendor: Option<&'static str>,
    pub(super) total: Option<i64>,
    pub(super) items: Option<Vec<Item>>,
    pub(super) order: Option<&'static str>,
    pub(super) metric: Option<Vec<(&'static str, i64)>>,
}

/// A batch as `decode` would make it.
pub(super) fn batch(events: &[Shopping], next: u64) -> EventBatch {
    let mut bytes = Vec::new();
    let mut put = |text: Option<&str>| {
        let Some(text) = text else { return Span::ABSENT };
        let start = bytes.len();
        bytes.extend_from_slice(text.as_bytes());
        Span::new(start, bytes.len())
    };
    let mut texts: [Vec<Span>; 4] = Default::default();
    let (mut products, mut quantities, mut prices) = (vec![], vec![], vec![]);
    let (mut names, mut readings) = (vec![], vec![]);
    let (mut item_ends, mut metric_ends) = (vec![], vec![]);
    for event in events {
        let columns = [Some("t\"1"), Some(event.kind), event.vendor, event.order];
        columns.into_iter().zip(&mut texts).for_each(|(text, column)| column.push(put(text)));
        for &(product, quantity, price) in event.items.iter().flatten() {
            products.push(put(Some(product).filter(|product| !product.is_empty())));
            quantities.push(Some(quantity));
            prices.push(Some(price));
        }
        item_ends.push(products.len() as u32);
        for &(name, reading) in event.metric.iter().flatten() {
            names.push(put(Some(name)));
            readings.push(Some(reading));
        }
        metric_ends.push(names.len() as u32);
    }
    let [tenant, kind, vendor, order] = texts.map(Column::Text);
    let items = vec![Column::Text(products), Column::Number(quantities), Column::Number(prices)];
    EventBatch {
        source: source(),
        offset: events.iter().map(|event| Offset(event.offset)).collect(),
        record_time: vec![LogTime(0); events.len()],
        event_time: events.iter().map(|event| EventTime(event.offset as i64 * 1_000_000)).collect(),
        event_id: vec![Span::ABSENT; events.len()],
        id_hash: vec![0; events.len()],
        value_hash: vec![0; events.len()],
        value: vec![Span::new(0, 0); events.len()],
        columns: vec![
            tenant,
            kind,
            vendor,
            Column::Number(events.iter().map(|event| event.total).collect()),
            Column::List {
                present: events.iter().map(|event| event.items.is_some()).collect(),
                ends: item_ends,
                items,
            },
            order,
            Column::Map {
                present: events.iter().map(|event| event.metric.is_some()).collect(),
                ends: metric_ends,
                keys: names,
                values: Box::new(Column::Number(readings)),
            },
        ],
        rest: vec![Span::ABSENT; events.len()],
        skipped_members: 0,
        refused: Vec::<Refused>::new(),
        bytes,
        next: NextOffset(next),
    }
}

pub(super) fn position(at: u64, last: Vec<Option<Offset>>) -> RoutePosition {
    RoutePosition {
        incarnation: source().incarnation,
        version: RoutingVersion(VERSION),
        at: NextOffset(at),
        last,
    }
}

pub(super) fn session(partitions: u32, block_bytes: usize) -> Session {
    Session::new(topology(partitions), Pace { block_bytes, says_at_end: true })
}

/// A session whose source is ready, from offset 0.
pub(super) fn ready(partitions: u32, block_bytes: usize) -> Session {
    let mut session = session(partitions, block_bytes);
    let position = position(0, vec![None; partitions as usize]);
    let opening = Opening { partition: source().partition, position, gap_to: None };
    for record in session.open(vec![opening], 2) {
        session.acknowledged(record.sequence, LogTime(1));
    }
    session
}

pub(super) fn decoded(record: &Outgoing) -> HopOne {
    HopOne::decode(record.record.value.as_ref().expect("no tombstones on hop one")).unwrap()
}

pub(super) fn blocks(records: &[Outgoing]) -> Vec<(Partition, Block)> {
    let block = |record: &Outgoing| match decoded(record) {
        HopOne::Block(block) => Some((record.to.partition, block)),
        _ => None,
    };
    records.iter().filter_map(block).collect()
}

/// Every unit of a block as text: what a reader of the block learns, whatever its edges.
pub(super) fn units(topology: &Topology, block: &Block) -> Vec<String> {
    let text = |place: u64| String::from_utf8(block.texts[place as usize].clone()).unwrap();
    let mut told = Vec::new();
    for unit in &block.units {
        let mut lines = vec![format!("unit {} at {}", unit.offset, unit.event_time.0)];
        for row in &block.rows[unit.rows.start as usize..unit.rows.end as usize] {
            let key = &block.keys[row.key as usize];
            let mut line = format!("{} #{}", String::from_utf8_lossy(&key.prefix), row.element);
            line += &format!(" of {}", text(u64::from(key.tenant)));
            let mut cells = Reader::new(&block.cells[row.cells as usize..], "cells");
            for (k, slot) in topology.aggregates[usize::from(key.aggregate)].slots.iter().enumerate() {
                if row.present >> k & 1 == 0 {
                    continue;
                }
                line += &match slot.cell {
                    CellKind::Count => format!(" {k}:+1"),
                    CellKind::Number => format!(" {k}:{}", cells.zigzag().unwrap()),
                    CellKind::Double => format!(" {k}:{}", cells.f64().unwrap()),
                    CellKind::Text => format!(" {k}:{}", text(cells.varint().unwrap())),
                    CellKind::Hash => format!(" {k}:{:032x}", cells.u128().unwrap()),
                };
            }
            lines.push(line);
        }
        for row in &block.history[unit.history.start as usize..unit.history.end as usize] {
            let [key, value] = [&row.key, &row.value].map(|bytes| String::from_utf8_lossy(bytes));
            lines.push(format!("history {} {key} {value}", row.history));
        }
        told.push(lines.join("\n"));
    }
    told
}
