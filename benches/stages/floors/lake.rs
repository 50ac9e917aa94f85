//! Decoded events straight into Arrow builders, one writer a file, zstd 1.

use super::decode::Decoded;
use crate::stage::Made;
use arrow_array::builder::{PrimitiveBuilder, StringBuilder};
use arrow_array::types::{Decimal64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{ArrayRef, ListArray, RecordBatch, StructArray};
use arrow_buffer::{NullBufferBuilder, OffsetBuffer, ScalarBuffer};
use arrow_schema::{DataType, Field, Fields, Schema, TimeUnit};
use indexmap::IndexMap;
use parquet::arrow::ArrowWriter;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::schema::types::ColumnPath;
use std::sync::Arc;

/// Rows that become arrays at a time.
const SLICE_ROWS: usize = 64 << 10;
/// Texts of few values, which a dictionary makes cheaper.
const FEW: [&str; 9] =
    ["_topic", "_incarnation", "_tenant", "_category", "_filed_by", "type", "tenant_id", "action", "_rest"];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Layout {
    ByCategory,
    /// And by tenant, whose field is not repeated in the body. All events are of one hour or two.
    ByTenant,
}

type Writers<'a> = IndexMap<Vec<u8>, File, foldhash::fast::FixedState>;

pub(crate) struct FloorLake {
    layout: Layout,
    schema: Arc<Schema>,
    chunk_rows: u64,
    chunks: [Chunk; 2],
    pub(crate) made: Made,
}

#[derive(Default)]
struct Chunk {
    files: Writers<'static>,
    rows: u64,
    offset: i64,
    key: Vec<u8>,
}

impl FloorLake {
    pub(crate) fn new(layout: Layout, chunk_rows: u64) -> FloorLake {
        let schema = Arc::new(schema(layout));
        FloorLake { layout, schema, chunk_rows, chunks: Default::default(), made: Made::default() }
    }

    pub(crate) fn take(&mut self, partition: usize, events: &[Decoded<'_>]) -> anyhow::Result<()> {
        let Chunk { files, rows, offset, key } = &mut self.chunks[partition];
        for decoded in events {
            key.clear();
            key.extend_from_slice(decoded.event.kind.as_bytes());
            if self.layout == Layout::ByTenant {
                key.extend_from_slice(decoded.event.tenant_id.as_bytes());
                key.extend_from_slice(&(decoded.time / 3_600_000_000).to_le_bytes());
            }
            let place = match files.get_index_of(key.as_slice()) {
                Some(place) => place,
                None => files.insert_full(key.clone(), File::new(&self.schema)?).0,
            };
            files[place].push(decoded, partition as i32, *offset);
            files[place].flush_if_full(&self.schema, self.layout)?;
            *offset += 1;
        }
        *rows += events.len() as u64;
        if *rows >= self.chunk_rows { self.close(partition) } else { Ok(()) }
    }

    pub(crate) fn close_all(&mut self) -> anyhow::Result<()> {
        (0..self.chunks.len()).try_for_each(|partition| self.close(partition))
    }

    fn close(&mut self, partition: usize) -> anyhow::Result<()> {
        let chunk = &mut self.chunks[partition];
        if chunk.rows == 0 {
            return Ok(());
        }
        self.made.chunks += 1;
        self.made.rows += chunk.rows;
        chunk.rows = 0;
        for (_, file) in std::mem::take(&mut chunk.files) {
            self.made.files += 1;
            self.made.bytes += file.finish(&self.schema, self.layout)?.len() as u64;
        }
        Ok(())
    }
}

type Times = PrimitiveBuilder<TimestampMicrosecondType>;
type Cents = PrimitiveBuilder<Decimal64Type>;

struct File {
    writer: ArrowWriter<Vec<u8>>,
    rows: usize,
    texts: [StringBuilder; 15],
    partition: PrimitiveBuilder<Int32Type>,
    offset: PrimitiveBuilder<Int64Type>,
    times: [Times; 3],
    total: Cents,
    items: Items,
}

#[derive(Default)]
struct Items {
    ends: Vec<i32>,
    present: Option<NullBufferBuilder>,
    product: StringBuilder,
    quantity: PrimitiveBuilder<Int64Type>,
    price: Vec<i64>,
}

impl File {
    fn new(schema: &Arc<Schema>) -> anyhow::Result<File> {
        let properties = WriterProperties::builder()
            .set_compression(Compression::ZSTD(ZstdLevel::try_new(1)?))
            .set_statistics_enabled(EnabledStatistics::Chunk)
            .set_offset_index_disabled(true)
            .set_dictionary_enabled(false);
        let properties = FEW.iter().fold(properties, |properties, &name| {
            properties.set_column_dictionary_enabled(ColumnPath::from(name), true)
        });
        Ok(File {
            writer: ArrowWriter::try_new(Vec::new(), Arc::clone(schema), Some(properties.build()))?,
            rows: 0,
            texts: std::array::from_fn(|_| StringBuilder::new()),
            partition: PrimitiveBuilder::new(),
            offset: PrimitiveBuilder::new(),
            times: std::array::from_fn(|_| Times::new().with_timezone("UTC")),
            total: Cents::new().with_data_type(cents()),
            items: Items::default(),
        })
    }

    fn push(&mut self, decoded: &Decoded<'_>, partition: i32, offset: i64) {
        let event = &decoded.event;
        let texts = [
            Some("marketplace.events.v1"),
            Some("00000000000000000000000000000000"),
            Some(event.tenant_id),
            Some(event.kind),
            Some(event.event_id),
            Some("event_time"),
            Some(event.event_id),
            Some(event.kind),
            Some(event.tenant_id),
            Some(event.vendor_id),
            event.customer_id,
            event.product_id,
            event.order_id,
            decoded.action,
            Some(decoded.metadata),
        ];
        for (builder, text) in self.texts.iter_mut().zip(texts) {
            builder.append_option(text);
        }
        self.partition.append_value(partition);
        self.offset.append_value(offset);
        self.times.iter_mut().for_each(|times| times.append_value(decoded.time));
        self.total.append_option(decoded.total);
        self.items.push(decoded);
        self.rows += 1;
    }

    fn flush_if_full(&mut self, schema: &Arc<Schema>, layout: Layout) -> anyhow::Result<()> {
        if self.rows >= SLICE_ROWS { self.flush(schema, layout) } else { Ok(()) }
    }

    fn flush(&mut self, schema: &Arc<Schema>, layout: Layout) -> anyhow::Result<()> {
        let rest = arrow_array::new_null_array(&DataType::Utf8, self.rows);
        let mut texts = self.texts.iter_mut().map(|builder| Arc::new(builder.finish()) as ArrayRef);
        let mut text = || texts.next().unwrap_or_else(|| Arc::clone(&rest));
        let [record, event, ts] = self.times.each_mut().map(|times| Arc::new(times.finish()) as ArrayRef);
        let mut columns = vec![text(), text(), Arc::new(self.partition.finish()) as ArrayRef];
        columns.extend([Arc::new(self.offset.finish()) as ArrayRef, record, event]);
        columns.extend([text(), text(), text(), text(), text(), ts, text()]);
        let tenant = text();
        columns.extend((layout == Layout::ByCategory).then_some(tenant));
        columns.extend([text(), text(), text(), text(), text()]);
        columns.extend([Arc::new(self.total.finish()) as ArrayRef, self.items.finish(self.rows)?]);
        columns.extend([text(), rest.clone()]);
        self.writer.write(&RecordBatch::try_new(Arc::clone(schema), columns)?)?;
        self.rows = 0;
        Ok(())
    }

    fn finish(mut self, schema: &Arc<Schema>, layout: Layout) -> anyhow::Result<Vec<u8>> {
        self.flush(schema, layout)?;
        Ok(self.writer.into_inner()?)
    }
}

impl Items {
    fn push(&mut self, decoded: &Decoded<'_>) {
        let present = self.present.get_or_insert_with(|| NullBufferBuilder::new(SLICE_ROWS));
        present.append(decoded.event.items.is_some());
        for item in decoded.event.items.iter().flatten() {
            self.product.append_value(item.product_id);
            self.quantity.append_value(item.quantity);
            self.price.push(item.price());
        }
        self.ends.push(self.price.len() as i32);
    }

    fn finish(&mut self, rows: usize) -> anyhow::Result<ArrayRef> {
        let mut offsets = Vec::with_capacity(rows + 1);
        offsets.push(0);
        offsets.append(&mut self.ends);
        let price = ScalarBuffer::from(std::mem::take(&mut self.price));
        let price = arrow_array::PrimitiveArray::<Decimal64Type>::new(price, None).with_data_type(cents());
        let arrays: Vec<ArrayRef> =
            vec![Arc::new(self.product.finish()), Arc::new(self.quantity.finish()), Arc::new(price)];
        let structs = Arc::new(StructArray::try_new(item_fields(), arrays, None)?);
        let nulls = self.present.take().and_then(|mut present| present.finish());
        let offsets = OffsetBuffer::new(ScalarBuffer::from(offsets));
        Ok(Arc::new(ListArray::try_new(element(), offsets, structs, nulls)?))
    }
}

fn cents() -> DataType {
    DataType::Decimal64(18, 2)
}

fn item_fields() -> Fields {
    Fields::from(vec![
        Field::new("product_id", DataType::Utf8, true),
        Field::new("quantity", DataType::Int64, true),
        Field::new("price", cents(), true),
    ])
}

fn element() -> Arc<Field> {
    Arc::new(Field::new("element", DataType::Struct(item_fields()), false))
}

fn schema(layout: Layout) -> Schema {
    let time = || DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()));
    let text = || DataType::Utf8;
    let mut fields = vec![
        Field::new("_topic", text(), false),
        Field::new("_incarnation", text(), false),
        Field::new("_partition", DataType::Int32, false),
        Field::new("_offset", DataType::Int64, false),
        Field::new("_record_time", time(), false),
        Field::new("_event_time", time(), false),
        Field::new("_tenant", text(), false),
        Field::new("_category", text(), true),
        Field::new("_event_id", text(), true),
        Field::new("_filed_by", text(), false),
        Field::new("event_id", text(), false),
        Field::new("ts", time(), true),
        Field::new("type", text(), false),
    ];
    fields.extend((layout == Layout::ByCategory).then(|| Field::new("tenant_id", text(), false)));
    let more = ["vendor_id", "customer_id", "product_id", "order_id", "action"];
    fields.extend(more.map(|name| Field::new(name, text(), true)));
    fields.extend([
        Field::new("total", cents(), true),
        Field::new("items", DataType::List(element()), true),
        Field::new("metadata", text(), true),
        Field::new("_rest", text(), true),
    ]);
    Schema::new(fields)
}
