//! How a file's rows lie in its bytes. Production writes Parquet; the simulator keeps the rows alone.

use super::chunk::{Chunk, RowAt, text_of};
use super::layout::FiledBy;
use super::plan::{Decided, Footer, PlanHash};
use crate::model::{Damaged, Incarnation, Offset, Partition, Reader, Source, Writer};
use crate::topology::Topology;

/// How much of a file's end is asked for to see its facts.
pub const TAIL_BYTES: usize = 64 << 10;

#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FooterError {
    /// Ask for at least so many bytes of the file's end.
    #[error("the footer takes {0} bytes")]
    Longer(usize),
    #[error("no footer of ours: {0}")]
    Damaged(String),
}

/// Bytes of data files. The same chunk and plan need not give the same bytes, only the same rows and footer.
pub trait Format {
    /// The plan's `file`-th file. The chunk must hold its rows.
    fn write(&self, topology: &Topology, chunk: &Chunk, plan: &Decided, file: usize) -> Vec<u8>;
    /// Reads the facts from a file's last bytes.
    fn footer(&self, tail: &[u8]) -> Result<Footer, FooterError>;
}

/// Rows without columns: coordinates and what a check needs.
#[derive(Debug, Clone, Copy, Default)]
pub struct Rows;

/// One row of a file in the [`Rows`] format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlainRow {
    pub offset: Offset,
    pub value_hash: u64,
    pub kind: PlainKind,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PlainKind {
    Event { event_time: i64, tenant: Vec<u8>, filed_by: FiledBy },
    Refused,
}

const WHAT: &str = "rows file";
const MAGIC: u64 = u64::from_le_bytes(*b"THALROWS");
const TRAILER: usize = 16 + 8 + 8 + 8;

impl Format for Rows {
    fn write(&self, topology: &Topology, chunk: &Chunk, plan: &Decided, file: usize) -> Vec<u8> {
        let mut to = Writer::default();
        let Source { incarnation, partition } = chunk.source();
        to.u128(incarnation.0);
        to.varint(partition.0.into());
        let rows = chunk.rows(file);
        to.varint(rows.len() as u64);
        for &at in rows {
            if chunk.is_refused(file) {
                write_refused(&mut to, chunk, at);
            } else {
                write_event(&mut to, topology, chunk, at);
            }
        }
        let footer = plan.footer(file);
        to.u128(footer.plan.0);
        to.u64(footer.rows);
        to.u64(footer.checksum);
        to.u64(MAGIC);
        to.bytes
    }

    fn footer(&self, tail: &[u8]) -> Result<Footer, FooterError> {
        let trailer = tail.len().checked_sub(TRAILER).map(|start| &tail[start..]);
        trailer
            .and_then(|trailer| read_trailer(trailer).ok())
            .ok_or_else(|| FooterError::Damaged(WHAT.into()))
    }
}

fn write_event(to: &mut Writer, topology: &Topology, chunk: &Chunk, at: RowAt) {
    let (batch, row) = (chunk.batch(at), at.row as usize);
    to.varint(batch.offset[row].0);
    to.u64(batch.value_hash[row]);
    to.u8(at.filed_by as u8);
    to.zigzag(batch.event_time[row].0);
    to.blob(text_of(batch, topology.tenant, row));
}

fn write_refused(to: &mut Writer, chunk: &Chunk, at: RowAt) {
    let refused = &chunk.batch(at).refused[at.row as usize];
    to.varint(refused.offset.0);
    to.u64(refused.value_hash);
    to.u8(REFUSED);
}

const REFUSED: u8 = 255;

fn read_trailer(trailer: &[u8]) -> Result<Footer, Damaged> {
    let mut from = Reader::new(trailer, WHAT);
    let footer = Footer { plan: PlanHash(from.u128()?), rows: from.u64()?, checksum: from.u64()? };
    if from.u64()? == MAGIC { Ok(footer) } else { Err(from.damaged()) }
}

impl Rows {
    /// All rows of a file, and where they come from.
    pub fn read(bytes: &[u8]) -> Result<(Source, Vec<PlainRow>), Damaged> {
        let mut from = Reader::new(bytes, WHAT);
        let incarnation = Incarnation(from.u128()?);
        let partition = Partition(u32::try_from(from.varint()?).map_err(|_| from.damaged())?);
        let rows = (0..from.count()?).map(|_| read_row(&mut from)).collect::<Result<_, _>>()?;
        Ok((Source { incarnation, partition }, rows))
    }
}

fn read_row(from: &mut Reader<'_>) -> Result<PlainRow, Damaged> {
    let offset = Offset(from.varint()?);
    let value_hash = from.u64()?;
    let filed_by = match from.u8()? {
        REFUSED => return Ok(PlainRow { offset, value_hash, kind: PlainKind::Refused }),
        0 => FiledBy::EventTime,
        1 => FiledBy::RecordTime,
        2 => FiledBy::Overflow,
        _ => return Err(from.damaged()),
    };
    let kind = PlainKind::Event { event_time: from.zigzag()?, tenant: from.blob()?.to_vec(), filed_by };
    Ok(PlainRow { offset, value_hash, kind })
}
