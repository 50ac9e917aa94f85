//! Files of the lake as Parquet, with nothing that only one reader understands.
//!
//! The columns are `topology::lake_columns` and `refused_columns`, in their order; rows lie by offset. Arrow
//! builders are filled straight from the batches, column by column. The footer names the plan, so that a
//! file can be told from any other by its last bytes.

mod arrays;
mod footer;
mod schema;
#[cfg(test)]
mod tests;

use super::chunk::{Chunk, RowAt};
use super::format::{FooterError, Format};
use super::plan::{Decided, Footer};
use crate::topology::{LakeColumn, LakeScalar, LakeType, Topology, lake_columns, refused_columns};
use ::parquet::arrow::ArrowWriter;
use ::parquet::arrow::arrow_writer::ArrowWriterOptions;
use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::errors::Result;
use ::parquet::file::properties::{EnabledStatistics, WriterProperties, WriterPropertiesBuilder};
use ::parquet::schema::types::ColumnPath;
use arrow_array::RecordBatch;
use arrow_schema::Schema;
use indexmap::IndexSet;
use std::sync::Arc;

/// Rows of a row group at most.
const GROUP_ROWS: usize = 250_000;
/// Rows that become arrays at a time: enough to make columns cheap, few enough to stay small beside the chunk.
const SLICE_ROWS: usize = 64 << 10;
/// Rows that are looked at to see whether a text has few values.
const SAMPLE_ROWS: usize = 1_024;

/// What production writes.
#[derive(Debug, Clone, Copy, Default)]
pub struct Parquet;

impl Format for Parquet {
    fn write(&self, topology: &Topology, chunk: &Chunk, plan: &Decided, file: usize) -> Vec<u8> {
        write(topology, chunk, plan, file)
            .expect("memory takes everything, and the arrays are of the schema's types")
    }

    fn footer(&self, tail: &[u8]) -> std::result::Result<Footer, FooterError> {
        footer::read_footer(tail)
    }
}

pub use footer::read_footer;

fn write(topology: &Topology, chunk: &Chunk, plan: &Decided, file: usize) -> Result<Vec<u8>> {
    let columns = if chunk.is_refused(file) { refused_columns() } else { lake_columns(topology) };
    let schema = Arc::new(Schema::new(columns.iter().map(schema::field).collect::<Vec<_>>()));
    let rows = chunk.rows(file);
    let of = arrays::Rows { topology, chunk, is_refused: chunk.is_refused(file) };
    let first = of.arrays(&columns, &rows[..rows.len().min(SLICE_ROWS)]);
    let properties =
        properties(&columns, &of, rows).set_key_value_metadata(Some(footer::metadata(plan, file)));
    let options =
        ArrowWriterOptions::new().with_properties(properties.build()).with_skip_arrow_metadata(true);
    let mut writer = ArrowWriter::try_new_with_options(Vec::new(), Arc::clone(&schema), options)?;
    writer.write(&RecordBatch::try_new(Arc::clone(&schema), first)?)?;
    for slice in rows.chunks(SLICE_ROWS).skip(1) {
        writer.write(&RecordBatch::try_new(Arc::clone(&schema), of.arrays(&columns, slice))?)?;
    }
    writer.into_inner()
}

fn properties(columns: &[LakeColumn], of: &arrays::Rows<'_>, rows: &[RowAt]) -> WriterPropertiesBuilder {
    let few = columns.iter().filter(|column| has_few_values(column, of, rows));
    let properties = WriterProperties::builder()
        .set_created_by(concat!("thalweg ", env!("CARGO_PKG_VERSION")).into())
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .set_statistics_enabled(EnabledStatistics::Chunk)
        .set_offset_index_disabled(true)
        .set_max_row_group_row_count(Some(GROUP_ROWS))
        .set_dictionary_enabled(false);
    few.fold(properties, |properties, column| {
        properties.set_column_dictionary_enabled(ColumnPath::from(column.name.as_str()), true)
    })
}

/// A dictionary costs a lookup per value: it pays only where values repeat.
fn has_few_values(column: &LakeColumn, of: &arrays::Rows<'_>, rows: &[RowAt]) -> bool {
    if column.ty != LakeType::Scalar(LakeScalar::Text) {
        return false;
    }
    let sample = &rows[..rows.len().min(SAMPLE_ROWS)];
    let mut seen = IndexSet::<Vec<u8>, foldhash::fast::FixedState>::default();
    of.texts(column.origin, sample, &mut |text| {
        seen.insert(text.unwrap_or_default().to_vec());
    });
    seen.len() * 4 <= sample.len() + 4
}
