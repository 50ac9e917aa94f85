//! What travels on hop one: blocks of units, and the links, gaps, reroutes and cut-overs between them.

use super::{
    Damaged, EventTime, Incarnation, LogTime, NextOffset, Offset, Partition, Reader, RoutingVersion, Source,
    Writer,
};
use std::ops::Range;

/// Any record of the repartition topic. Bytes in it are its own, or (`&[u8]`) those that it was read from.
#[derive(Debug, Clone, PartialEq)]
pub enum HopOne<B = Vec<u8>> {
    Block(Block<B>),
    Links(Links),
    Gap(Gap),
    Reroute(Reroute),
    Cutover(Cutover),
}

/// Consecutive units of one source for one target, sent as one record. Its edges may differ on replay.
///
/// Texts that repeat (keys, carried values) stand once in `keys` and `texts`; rows point to them.
#[derive(Debug, Clone, PartialEq)]
pub struct Block<B = Vec<u8>> {
    pub source: Source,
    pub version: RoutingVersion,
    /// Offset of the unit before the first, of the same source for the same target.
    pub prev: Option<Offset>,
    pub keys: Vec<Key<B>>,
    pub texts: Vec<B>,
    pub units: Vec<Unit>,
    pub rows: Vec<Row>,
    /// The rows' values, read by the layout of their aggregate (`topology::Slot`).
    pub cells: B,
    pub history: Vec<HistoryRow<B>>,
}

/// One entity of one aggregate.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Key<B = Vec<u8>> {
    /// The aggregate's place in the topology.
    pub aggregate: u16,
    /// Index into the block's `texts`.
    pub tenant: u32,
    /// The row key up to and with `by`: `{"aggregate":"vendor","tenant_id":"t017","by":{"vendor_id":"v00042"}`.
    pub prefix: B,
}

/// All rows of one event for one target: never split, taken and de-duplicated as a whole.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    pub offset: Offset,
    pub event_time: EventTime,
    /// 128-bit hash of the event id; 0 where the id is the coordinate (no duplicate check).
    pub id: u128,
    /// Places in the block's `rows` and `history`.
    pub rows: Range<u32>,
    pub history: Range<u32>,
}

/// What one element of an event adds to one key. An event without `each` has one element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// Index into the block's `keys`.
    pub key: u32,
    /// Number of the element in its event: the last tie-break of first and last.
    pub element: u32,
    /// Bit *k*: slot *k* of the aggregate has a value here. A count's bit is its value: it adds 1.
    pub present: u64,
    /// Where this row's values begin in the block's `cells`.
    pub cells: u32,
}

/// One record of a history topic, ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryRow<B = Vec<u8>> {
    /// The history's place in the topology.
    pub history: u16,
    pub key: B,
    pub value: B,
}

/// Facts about the log, one for each source of a worker: see [`Link`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Links {
    pub links: Vec<Link>,
}

/// All of `source` for this target up to `last` stands before this record in the log, and nothing
/// of it for this target is missing below `below`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Link {
    pub source: Source,
    pub version: RoutingVersion,
    pub below: NextOffset,
    pub last: Option<Offset>,
    /// How many partitions the raw topic has: stream time waits for all of them.
    pub raw_partitions: u32,
    /// Present when all below the raw end is acknowledged: the append time of this session's
    /// previous acknowledged link, which then counts as stream time.
    pub at_end: Option<LogTime>,
}

/// Retention took the raw records [from, to) before they were routed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gap {
    pub source: Source,
    pub version: RoutingVersion,
    pub from: NextOffset,
    pub to: NextOffset,
    pub last: Option<Offset>,
}

/// A person restarted `source` at `at`; the record at `forgives`, which halted this target, is skipped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reroute {
    pub source: Source,
    pub at: NextOffset,
    pub forgives: Option<Offset>,
}

/// From here on only `version` is taken: below `cuts` of a source it was the old version's to route.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cutover {
    pub version: RoutingVersion,
    pub configuration: u64,
    pub cuts: Vec<(Source, NextOffset)>,
    /// Text of the topology that it replaces: whoever goes on behind it can then take what lies before it, and read
    /// what was kept.
    pub before: String,
}

const WHAT: &str = "repartition record";

impl HopOne {
    pub fn encode(&self) -> Vec<u8> {
        let mut to = Writer::default();
        match self {
            HopOne::Block(block) => block.write(&mut to),
            HopOne::Links(links) => {
                to.u8(2);
                to.varint(links.links.len() as u64);
                for link in &links.links {
                    write_source(&mut to, link.source);
                    to.u64(link.version.0);
                    to.varint(link.below.0);
                    to.option(link.last.map(|last| last.0));
                    to.varint(u64::from(link.raw_partitions));
                    to.u8(u8::from(link.at_end.is_some()));
                    to.zigzag(link.at_end.map_or(0, |time| time.0));
                }
            }
            HopOne::Gap(gap) => {
                to.u8(3);
                write_source(&mut to, gap.source);
                to.u64(gap.version.0);
                to.varint(gap.from.0);
                to.varint(gap.to.0);
                to.option(gap.last.map(|last| last.0));
            }
            HopOne::Reroute(reroute) => {
                to.u8(4);
                write_source(&mut to, reroute.source);
                to.varint(reroute.at.0);
                to.option(reroute.forgives.map(|offset| offset.0));
            }
            HopOne::Cutover(cutover) => {
                to.u8(5);
                to.u64(cutover.version.0);
                to.u64(cutover.configuration);
                to.varint(cutover.cuts.len() as u64);
                for &(source, cut) in &cutover.cuts {
                    write_source(&mut to, source);
                    to.varint(cut.0);
                }
                to.blob(cutover.before.as_bytes());
            }
        }
        to.bytes
    }

    pub fn decode(bytes: &[u8]) -> Result<Self, Damaged> {
        HopOne::read(bytes)
    }
}

impl<'a> HopOne<&'a [u8]> {
    /// As [`HopOne::decode`], without a copy of any text.
    pub fn view(bytes: &'a [u8]) -> Result<Self, Damaged> {
        HopOne::read(bytes)
    }
}

impl<'a, B: From<&'a [u8]>> HopOne<B> {
    fn read(bytes: &'a [u8]) -> Result<Self, Damaged> {
        let mut from = Reader::new(bytes, WHAT);
        let record = match from.u8()? {
            1 => HopOne::Block(Block::read(&mut from)?),
            2 => {
                let links = (0..from.count()?).map(|_| read_link(&mut from)).collect::<Result<_, _>>()?;
                HopOne::Links(Links { links })
            }
            3 => HopOne::Gap(Gap {
                source: read_source(&mut from)?,
                version: RoutingVersion(from.u64()?),
                from: NextOffset(from.varint()?),
                to: NextOffset(from.varint()?),
                last: from.option()?.map(Offset),
            }),
            4 => HopOne::Reroute(Reroute {
                source: read_source(&mut from)?,
                at: NextOffset(from.varint()?),
                forgives: from.option()?.map(Offset),
            }),
            5 => {
                let version = RoutingVersion(from.u64()?);
                let configuration = from.u64()?;
                let cut = |from: &mut Reader<'_>| Ok((read_source(from)?, NextOffset(from.varint()?)));
                let cuts = (0..from.count()?).map(|_| cut(&mut from)).collect::<Result<_, _>>()?;
                let before = from.text()?.to_owned();
                HopOne::Cutover(Cutover { version, configuration, cuts, before })
            }
            _ => return Err(from.damaged()),
        };
        if from.is_at_end() { Ok(record) } else { Err(from.damaged()) }
    }
}

/// A block's record up to its texts.
pub(super) fn write_head(to: &mut Writer, source: Source, version: RoutingVersion, prev: Option<Offset>) {
    to.u8(1);
    write_source(to, source);
    to.u64(version.0);
    to.option(prev.map(|prev| prev.0));
}

fn write_source(to: &mut Writer, source: Source) {
    to.u128(source.incarnation.0);
    to.varint(u64::from(source.partition.0));
}

fn read_source(from: &mut Reader<'_>) -> Result<Source, Damaged> {
    Ok(Source { incarnation: Incarnation(from.u128()?), partition: Partition(read_u32(from)?) })
}

fn read_link(from: &mut Reader<'_>) -> Result<Link, Damaged> {
    let source = read_source(from)?;
    let version = RoutingVersion(from.u64()?);
    let below = NextOffset(from.varint()?);
    let last = from.option()?.map(Offset);
    let raw_partitions = read_u32(from)?;
    let is_at_end = from.u8()? == 1;
    let time = LogTime(from.zigzag()?);
    Ok(Link { source, version, below, last, raw_partitions, at_end: is_at_end.then_some(time) })
}

fn read_u32(from: &mut Reader<'_>) -> Result<u32, Damaged> {
    u32::try_from(from.varint()?).map_err(|_| from.damaged())
}

impl Block {
    fn write(&self, to: &mut Writer) {
        write_head(to, self.source, self.version, self.prev);
        to.varint(self.texts.len() as u64);
        self.texts.iter().for_each(|text| to.blob(text));
        to.varint(self.keys.len() as u64);
        for key in &self.keys {
            to.varint(u64::from(key.aggregate));
            to.varint(u64::from(key.tenant));
            to.blob(&key.prefix);
        }
        to.varint(self.units.len() as u64);
        let (mut offset, mut time) = (0, 0);
        for unit in &self.units {
            to.varint(unit.offset.0 - offset);
            to.zigzag(unit.event_time.0.wrapping_sub(time));
            to.u128(unit.id);
            to.varint(u64::from(unit.rows.end - unit.rows.start));
            to.varint(u64::from(unit.history.end - unit.history.start));
            (offset, time) = (unit.offset.0, unit.event_time.0);
        }
        to.varint(self.rows.len() as u64);
        let mut cells = 0;
        for row in &self.rows {
            to.varint(u64::from(row.key));
            to.varint(u64::from(row.element));
            to.varint(row.present);
            to.varint(u64::from(row.cells - cells));
            cells = row.cells;
        }
        to.blob(&self.cells);
        to.varint(self.history.len() as u64);
        for row in &self.history {
            to.varint(u64::from(row.history));
            to.blob(&row.key);
            to.blob(&row.value);
        }
    }
}

impl<'a, B: From<&'a [u8]>> Block<B> {
    fn read(from: &mut Reader<'a>) -> Result<Self, Damaged> {
        let source = read_source(from)?;
        let version = RoutingVersion(from.u64()?);
        let prev = from.option()?.map(Offset);
        let texts = (0..from.count()?).map(|_| Ok(from.blob()?.into())).collect::<Result<Vec<_>, _>>()?;
        let keys = (0..from.count()?).map(|_| read_key(from, texts.len())).collect::<Result<Vec<_>, _>>()?;
        let mut units = Vec::with_capacity(from.clone().count()?);
        let (mut offset, mut time, mut rows_end, mut history_end) = (0u64, 0i64, 0u32, 0u32);
        for _ in 0..from.count()? {
            offset = offset.checked_add(from.varint()?).ok_or_else(|| from.damaged())?;
            time = time.wrapping_add(from.zigzag()?);
            let id = from.u128()?;
            let rows = rows_end..rows_end.checked_add(read_u32(from)?).ok_or_else(|| from.damaged())?;
            let history =
                history_end..history_end.checked_add(read_u32(from)?).ok_or_else(|| from.damaged())?;
            (rows_end, history_end) = (rows.end, history.end);
            units.push(Unit { offset: Offset(offset), event_time: EventTime(time), id, rows, history });
        }
        let mut rows = Vec::with_capacity(from.clone().count()?);
        let mut at = 0u32;
        for _ in 0..from.count()? {
            let key = read_u32(from)?;
            let element = read_u32(from)?;
            let present = from.varint()?;
            at = at.checked_add(read_u32(from)?).ok_or_else(|| from.damaged())?;
            if key as usize >= keys.len() {
                return Err(from.damaged());
            }
            rows.push(Row { key, element, present, cells: at });
        }
        let cells = from.blob()?;
        let history = (0..from.count()?).map(|_| read_history(from)).collect::<Result<Vec<_>, _>>()?;
        if rows_end as usize != rows.len()
            || history_end as usize != history.len()
            || at as usize > cells.len()
        {
            return Err(from.damaged());
        }
        Ok(Block { source, version, prev, keys, texts, units, rows, cells: cells.into(), history })
    }
}

fn read_key<'a, B: From<&'a [u8]>>(from: &mut Reader<'a>, texts: usize) -> Result<Key<B>, Damaged> {
    let aggregate = u16::try_from(from.varint()?).map_err(|_| from.damaged())?;
    let tenant = read_u32(from)?;
    if tenant as usize >= texts {
        return Err(from.damaged());
    }
    Ok(Key { aggregate, tenant, prefix: from.blob()?.into() })
}

fn read_history<'a, B: From<&'a [u8]>>(from: &mut Reader<'a>) -> Result<HistoryRow<B>, Damaged> {
    let history = u16::try_from(from.varint()?).map_err(|_| from.damaged())?;
    Ok(HistoryRow { history, key: from.blob()?.into(), value: from.blob()?.into() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn source() -> Source {
        Source { incarnation: Incarnation(0xabc), partition: Partition(3) }
    }

    fn block() -> Block {
        let mut cells = Writer::default();
        cells.zigzag(-1999);
        Block {
            source: source(),
            version: RoutingVersion(9),
            prev: Some(Offset(41)),
            texts: vec![b"t1".to_vec()],
            keys: vec![Key { aggregate: 1, tenant: 0, prefix: b"{\"aggregate\"".to_vec() }],
            units: vec![
                Unit { offset: Offset(42), event_time: EventTime(-5), id: 7, rows: 0..1, history: 0..0 },
                Unit {
                    offset: Offset(44),
                    event_time: EventTime(i64::MIN),
                    id: 8,
                    rows: 1..2,
                    history: 0..1,
                },
            ],
            rows: vec![
                Row { key: 0, element: 0, present: 0b101, cells: 0 },
                Row { key: 0, element: 4999, present: 0, cells: cells.bytes.len() as u32 },
            ],
            cells: cells.bytes,
            history: vec![HistoryRow { history: 0, key: b"k".to_vec(), value: b"v".to_vec() }],
        }
    }

    fn records() -> Vec<HopOne> {
        let link = Link {
            source: source(),
            version: RoutingVersion(9),
            below: NextOffset(50),
            last: None,
            raw_partitions: 2,
            at_end: Some(LogTime(-1)),
        };
        let gap = Gap {
            source: source(),
            version: RoutingVersion(9),
            from: NextOffset(1),
            to: NextOffset(5),
            last: Some(Offset(0)),
        };
        vec![
            HopOne::Block(block()),
            HopOne::Links(Links {
                links: vec![link.clone(), Link { at_end: None, last: Some(Offset(0)), ..link }],
            }),
            HopOne::Gap(gap),
            HopOne::Reroute(Reroute { source: source(), at: NextOffset(3), forgives: Some(Offset(8)) }),
            HopOne::Cutover(Cutover {
                version: RoutingVersion(1),
                configuration: 2,
                cuts: vec![(source(), NextOffset(7))],
                before: "topology: old".into(),
            }),
        ]
    }

    #[test]
    fn every_record_of_hop_one_comes_back() {
        for record in records() {
            assert_eq!(HopOne::decode(&record.encode()), Ok(record));
        }
    }

    #[test]
    fn a_cut_record_is_damaged_and_never_half_read() {
        for record in records() {
            let bytes = record.encode();
            for len in 0..bytes.len() {
                assert!(HopOne::decode(&bytes[..len]).is_err());
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(tag in 0u8..7, bytes: Vec<u8>) {
            let _ = HopOne::decode(&[&[tag], &bytes[..]].concat());
        }
    }
}
