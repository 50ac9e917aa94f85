//! Topologies and batches for this room's tests, built by hand.

use super::decode;
use crate::model::{
    Column, EventBatch, Incarnation, LogTime, NextOffset, Offset, Partition, RecordBatch, Rejection, Source,
    Span,
};
use crate::topology::{
    Aggregate, CellKind, Clock, Condition, ContributionColumn, Duplicates, EventId, Events, Expression,
    Field, FieldType, Fold, History, Input, Lake, Scalar, Slot, SlotOrigin, TimeOrigin, Topology, Zone,
};

pub(super) const RECORD_TIME: i64 = 1_793_491_200_000_000;

pub(super) fn field(name: &str, path: &str, ty: FieldType) -> Field {
    Field { name: name.into(), path: path.split('.').map(String::from).collect(), required: false, ty }
}

pub(super) fn scalar(name: &str, path: &str, scalar: Scalar) -> Field {
    field(name, path, FieldType::Scalar(scalar))
}

pub(super) fn decimal(scale: u8) -> Scalar {
    Scalar::Decimal { scale, round: false, minor: false }
}

pub(super) fn topology(fields: Vec<Field>, id: EventId, tenant: &str) -> Topology {
    let tenant = fields.iter().position(|field| field.name == tenant).unwrap();
    Topology {
        name: "sample".into(),
        deployment: "sample".into(),
        events: Events { topic: "raw".into(), fields, id, time: vec![TimeOrigin::RecordTime] },
        tenant,
        category: None,
        zone: Zone { name: "UTC".into(), zone: jiff::tz::TimeZone::UTC },
        clock: Clock::Wall,
        lateness: 0,
        accept_future: 0,
        partitions: 4,
        duplicates: Duplicates { last: 1_000_000, horizon: 0 },
        aggregates: vec![],
        histories: vec![],
        lake: Lake {
            table: "sample".into(),
            partition: vec![],
            roll_age: 0,
            roll_bytes: 0,
            accept_past: 0,
            accept_future: 0,
        },
        categories: vec![],
        text: String::new(),
        routing_version: 1,
        configuration_hash: 1,
    }
}

/// One field `x` of this type beside the tenant `t`; no id.
pub(super) fn one(ty: FieldType) -> Topology {
    let fields = vec![scalar("t", "t", Scalar::Text), field("x", "x", ty)];
    topology(fields, EventId::Coordinate, "t")
}

/// Marketplace, as far as decoding goes.
pub(super) fn marketplace() -> Topology {
    let text = |name, path| scalar(name, path, Scalar::Text);
    let item = vec![
        text("product_id", "productId"),
        scalar("quantity", "quantity", Scalar::Int),
        scalar("price", "price", decimal(2)),
    ];
    let fields = vec![
        text("event_id", "eventId"),
        scalar("ts", "ts", Scalar::Time),
        text("type", "eventType"),
        text("tenant_id", "tenantId"),
        text("vendor_id", "vendorId"),
        text("customer_id", "customerId"),
        text("product_id", "productId"),
        text("order_id", "orderId"),
        text("action", "metadata.action"),
        scalar("total", "total", decimal(2)),
        field("items", "items", FieldType::ListOfStruct(item)),
        scalar("metadata", "metadata", Scalar::Json),
    ];
    let mut topology = topology(fields, EventId::Fields(vec![0]), "tenant_id");
    topology.events.time = vec![TimeOrigin::Field(1), TimeOrigin::RecordTime];
    topology.category = Some(2);
    topology.aggregates = vec![product()];
    let columns = vec![2, 4, 5, 9, 10];
    let history =
        History { name: "orders".into(), by: vec![7], when: Condition::default(), columns, keep: 0 };
    topology.histories = vec![history];
    topology
}

/// By product, from events and from order items.
fn product() -> Aggregate {
    let column = |name: &str, scalar| ContributionColumn { name: name.into(), scalar };
    let input = |each, product| Input {
        when: Condition::default(),
        each,
        sources: vec![Some(product), Some(Expression::Field(4))],
    };
    Aggregate {
        name: "product".into(),
        by: vec![0],
        carry: vec![1],
        columns: vec![column("product_id", Scalar::Text), column("vendor_id", Scalar::Text)],
        inputs: vec![input(None, Expression::Field(6)), input(Some(10), Expression::Item(0))],
        windows: vec![],
        values: vec![],
        slots: vec![Slot { fold: Fold::Last, cell: CellKind::Text, origin: SlotOrigin::Carry(1) }],
    }
}

/// Free numeric fields, an id of three types, a list of texts.
pub(super) fn insights() -> Topology {
    let fields = vec![
        scalar("tenant_id", "tenantId", Scalar::Uuid),
        scalar("at", "at", Scalar::Time),
        scalar("number", "number", Scalar::Int),
        field("metric", "metric", FieldType::Map(Scalar::Decimal { scale: 6, round: true, minor: false })),
        scalar("service", "metadata.service", Scalar::Text),
        field("tags", "tags", FieldType::ListOfScalar(Scalar::Text)),
        scalar("is_new", "isNew", Scalar::Bool),
        scalar("share", "share", Scalar::Double),
        scalar("day", "day", Scalar::Date),
    ];
    let mut topology = topology(fields, EventId::Fields(vec![0, 1, 2]), "tenant_id");
    topology.events.time = vec![TimeOrigin::Field(1)];
    topology
}

pub(super) fn batch<V: AsRef<[u8]>>(values: &[V]) -> RecordBatch {
    let source = Source { incarnation: Incarnation(7), partition: Partition(0) };
    let mut batch = RecordBatch::empty(source, NextOffset(0));
    for (offset, value) in values.iter().enumerate() {
        batch.push(Offset(offset as u64), LogTime(RECORD_TIME), Some(b"key"), Some(value.as_ref()));
    }
    batch
}

/// The only event, or why it was refused.
pub(super) fn read(topology: &Topology, value: impl AsRef<[u8]>) -> Result<EventBatch, (Rejection, String)> {
    let events = decode(batch(&[value]), topology);
    check_shape(&events);
    match &events.refused[..] {
        [] => Ok(events),
        [refused] => Err((refused.reason, refused.detail.clone())),
        more => panic!("one record, {} refusals", more.len()),
    }
}

pub(super) fn reason(topology: &Topology, value: impl AsRef<[u8]>) -> Option<Rejection> {
    read(topology, value).err().map(|(reason, _)| reason)
}

/// Every column has one entry an event, and every span lies in the buffer and at characters.
pub(super) fn check_shape(events: &EventBatch) {
    let rows = events.len();
    let lens = [
        events.record_time.len(),
        events.event_time.len(),
        events.event_id.len(),
        events.id_hash.len(),
        events.value_hash.len(),
        events.value.len(),
        events.rest.len(),
    ];
    assert_eq!(lens, [rows; 7]);
    events.columns.iter().for_each(|column| check_column(events, column, rows));
    let spans = events.rest.iter().chain(&events.event_id).chain(&events.value);
    spans.filter(|span| span.is_present()).for_each(|span| check_text(events, *span));
}

/// Panics where a span is out of the buffer or cuts a character.
fn check_text(events: &EventBatch, span: Span) {
    assert_eq!(events.text(span).len(), span.len as usize);
}

fn check_column(events: &EventBatch, column: &Column, rows: usize) {
    assert_eq!(column.len(), rows);
    match column {
        Column::Text(spans) => {
            spans.iter().filter(|span| span.is_present()).for_each(|span| check_text(events, *span));
        }
        Column::Number(_) | Column::Double(_) => {}
        Column::List { present, ends, items } => {
            assert_eq!(present.len(), rows);
            let count = ends.last().map_or(0, |&end| end as usize);
            items.iter().for_each(|item| check_column(events, item, count));
        }
        Column::Map { present, ends, keys, values } => {
            assert_eq!(present.len(), rows);
            assert_eq!(keys.len(), ends.last().map_or(0, |&end| end as usize));
            keys.iter().for_each(|key| check_text(events, *key));
            check_column(events, values, keys.len());
        }
    }
}

/// A column's entry as people would write it down.
pub(super) fn show(events: &EventBatch, column: usize, row: usize) -> String {
    show_column(events, &events.columns[column], row)
}

pub(super) fn show_column(events: &EventBatch, column: &Column, row: usize) -> String {
    match column {
        Column::Text(spans) => spans[row]
            .get(&events.bytes)
            .map_or("absent".into(), |_| format!("{:?}", events.text(spans[row]))),
        Column::Number(numbers) => numbers[row].map_or("absent".into(), |number| number.to_string()),
        Column::Double(doubles) => doubles[row].map_or("absent".into(), |double| format!("{double:?}")),
        Column::List { present, items, .. } => {
            let item =
                |at| items.iter().map(|item| show_column(events, item, at)).collect::<Vec<_>>().join(" ");
            let shown: Vec<_> = column.range(row).map(item).collect();
            if present[row] { format!("[{}]", shown.join(", ")) } else { "absent".into() }
        }
        Column::Map { present, keys, values, .. } => {
            let member = |at| format!("{}: {}", events.text(keys[at]), show_column(events, values, at));
            let shown: Vec<_> = column.range(row).map(member).collect();
            if present[row] { format!("{{{}}}", shown.join(", ")) } else { "absent".into() }
        }
    }
}
