//! One pane: what is kept of all contributions to one key in one stretch of time. Merging is free of order.

use super::distinct::Distinct;
use crate::model::{Block, Damaged, NextOffset, Reader, Row, Writer};
use crate::topology::{CellKind, Fold, Slot};
use std::sync::Arc;

/// The value that a row brings for one slot.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Given<'a> {
    Count,
    Number(i64),
    Double(f64),
    Text(&'a [u8]),
    Hash(u128),
}

/// Where a contribution stands in the order of first and last: (event time, source, offset, element).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Order {
    pub time: i64,
    /// The incarnation's place in the commit record's list, then the raw partition.
    pub incarnation: u32,
    pub partition: u32,
    pub offset: u64,
    pub element: u32,
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Kept {
    Number(i64),
    Double(f64),
    Text(Box<[u8]>),
}

#[derive(Debug, Clone)]
pub(crate) enum Cell {
    Count(u64),
    /// A sum of `i64` in 128 bits (halves, to keep the enum small): 2^64 terms cannot pass it.
    Sum([u64; 2]),
    Mean(Box<(i128, u64)>),
    Number(Option<i64>),
    Double(Option<f64>),
    /// Shared by all panes that it is the first or last of.
    Ordered(Option<Arc<(Order, Kept)>>),
    /// `None`: nothing was counted yet.
    Distinct(Option<Box<Distinct>>),
}

#[derive(Debug, Clone)]
pub(crate) struct Pane {
    /// The repartition offset that it stands at: records below it are in it already.
    pub at: NextOffset,
    pub cells: Box<[Cell]>,
}

pub(crate) fn wide(halves: [u64; 2]) -> i128 {
    (i128::from(halves[0] as i64) << 64) | i128::from(halves[1])
}

fn halves(wide: i128) -> [u64; 2] {
    [(wide >> 64) as u64, wide as u64]
}

impl Cell {
    fn empty(slot: &Slot) -> Cell {
        match slot.fold {
            Fold::Count => Cell::Count(0),
            Fold::Sum => Cell::Sum([0, 0]),
            Fold::Mean => Cell::Mean(Box::default()),
            Fold::Min | Fold::Max if slot.cell == CellKind::Double => Cell::Double(None),
            Fold::Min | Fold::Max => Cell::Number(None),
            Fold::First | Fold::Last => Cell::Ordered(None),
            Fold::Distinct => Cell::Distinct(None),
        }
    }

    fn add(&mut self, fold: Fold, given: Given<'_>, order: Order) {
        match (self, given) {
            (Cell::Count(count), Given::Count) => *count += 1,
            (Cell::Sum(sum), Given::Number(number)) => *sum = halves(wide(*sum) + i128::from(number)),
            (Cell::Mean(mean), Given::Number(number)) => {
                mean.0 += i128::from(number);
                mean.1 += 1;
            }
            (Cell::Number(kept), Given::Number(number)) => keep_number(kept, fold, number),
            (Cell::Double(kept), Given::Double(double)) => keep_double(kept, fold, double),
            (Cell::Distinct(ids), Given::Hash(hash)) => ids.get_or_insert_default().add(hash),
            (Cell::Ordered(kept), given) => {
                if kept.as_ref().is_none_or(|kept| wins(fold, order, kept.0)) {
                    let value = match given {
                        Given::Number(number) => Kept::Number(number),
                        Given::Double(double) => Kept::Double(double),
                        Given::Text(text) => Kept::Text(text.into()),
                        Given::Count | Given::Hash(_) => unreachable!("first and last keep scalars"),
                    };
                    *kept = Some(Arc::new((order, value)));
                }
            }
            (cell, given) => {
                unreachable!("{given:?} cannot go into {cell:?}: the layout gives each slot its kind")
            }
        }
    }

    fn merge(&mut self, fold: Fold, other: &Cell) {
        match (self, other) {
            (Cell::Count(count), Cell::Count(more)) => *count += more,
            (Cell::Sum(sum), Cell::Sum(more)) => *sum = halves(wide(*sum) + wide(*more)),
            (Cell::Mean(mean), Cell::Mean(more)) => {
                mean.0 += more.0;
                mean.1 += more.1;
            }
            (Cell::Number(kept), Cell::Number(Some(number))) => keep_number(kept, fold, *number),
            (Cell::Double(kept), Cell::Double(Some(double))) => keep_double(kept, fold, *double),
            (Cell::Distinct(Some(ids)), Cell::Distinct(Some(more))) => ids.merge(more),
            (Cell::Distinct(ids @ None), Cell::Distinct(Some(more))) => *ids = Some(more.clone()),
            (Cell::Distinct(_), Cell::Distinct(None)) => {}
            (Cell::Ordered(kept), Cell::Ordered(Some(other))) => {
                if kept.as_ref().is_none_or(|kept| wins(fold, other.0, kept.0)) {
                    *kept = Some(other.clone());
                }
            }
            (Cell::Number(_) | Cell::Double(_) | Cell::Ordered(_), _) => {}
            (cell, other) => {
                unreachable!("{other:?} cannot merge into {cell:?}: panes of one aggregate are alike")
            }
        }
    }
}

fn wins(fold: Fold, challenger: Order, holder: Order) -> bool {
    match fold {
        Fold::First => challenger < holder,
        _ => challenger > holder,
    }
}

fn keep_number(kept: &mut Option<i64>, fold: Fold, number: i64) {
    *kept = Some(match (*kept, fold) {
        (None, _) => number,
        (Some(kept), Fold::Min) => kept.min(number),
        (Some(kept), _) => kept.max(number),
    });
}

fn keep_double(kept: &mut Option<f64>, fold: Fold, double: f64) {
    let is_better = kept.is_none_or(|kept| match fold {
        // The total order also ranks the two zeros, so the result does not depend on who came first.
        Fold::Min => double.total_cmp(&kept).is_lt(),
        _ => double.total_cmp(&kept).is_gt(),
    });
    if is_better {
        *kept = Some(double);
    }
}

/// Reads a row's cells by its aggregate's layout, into a scratch that is reused: (slot, value).
pub(crate) fn read_cells<'a>(
    block: &'a Block<&'a [u8]>,
    row: &Row,
    slots: &[Slot],
    into: &mut Vec<(usize, Given<'a>)>,
) -> Result<(), Damaged> {
    into.clear();
    let mut from = Reader::new(&block.cells[row.cells as usize..], "row of a block");
    let mut present = row.present;
    while present != 0 {
        let index = present.trailing_zeros() as usize;
        present &= present - 1;
        let slot = slots.get(index).ok_or_else(|| from.damaged())?;
        let given = match slot.cell {
            CellKind::Count => Given::Count,
            CellKind::Number => Given::Number(from.zigzag()?),
            CellKind::Double => Given::Double(from.f64()?),
            CellKind::Hash => Given::Hash(from.u128()?),
            CellKind::Text => {
                let text = usize::try_from(from.varint()?).ok().and_then(|index| block.texts.get(index));
                Given::Text(text.ok_or_else(|| from.damaged())?)
            }
        };
        into.push((index, given));
    }
    Ok(())
}

impl Pane {
    pub(crate) fn empty(slots: &[Slot]) -> Pane {
        Pane { at: NextOffset(0), cells: slots.iter().map(Cell::empty).collect() }
    }

    pub(crate) fn add(&mut self, slots: &[Slot], given: &[(usize, Given<'_>)], order: Order) {
        for &(slot, given) in given {
            self.cells[slot].add(slots[slot].fold, given, order);
        }
    }

    pub(crate) fn merge(&mut self, slots: &[Slot], other: &Pane) {
        for ((cell, slot), other) in self.cells.iter_mut().zip(slots).zip(&other.cells) {
            cell.merge(slot.fold, other);
        }
    }

    /// Appends its record, which stands at `at`.
    pub(crate) fn write(&self, at: NextOffset, out: &mut Vec<u8>) {
        let mut to = Writer { bytes: std::mem::take(out) };
        to.varint(at.0);
        to.varint(self.cells.len() as u64);
        self.cells.iter().for_each(|cell| write_cell(cell, &mut to));
        *out = to.bytes;
    }

    pub(crate) fn decode(bytes: &[u8], slots: &[Slot]) -> Result<Pane, Damaged> {
        let mut from = Reader::new(bytes, "pane record");
        let at = NextOffset(from.varint()?);
        if from.count()? != slots.len() {
            return Err(from.damaged());
        }
        let cells = slots.iter().map(|slot| read_cell(slot, &mut from)).collect::<Result<_, _>>()?;
        Ok(Pane { at, cells })
    }
}

fn write_cell(cell: &Cell, to: &mut Writer) {
    match cell {
        Cell::Count(count) => to.varint(*count),
        Cell::Sum(sum) => to.zigzag128(wide(*sum)),
        Cell::Mean(mean) => {
            to.zigzag128(mean.0);
            to.varint(mean.1);
        }
        Cell::Number(number) => {
            to.u8(u8::from(number.is_some()));
            number.iter().for_each(|&number| to.zigzag(number));
        }
        Cell::Double(double) => {
            to.u8(u8::from(double.is_some()));
            double.iter().for_each(|&double| to.f64(double));
        }
        Cell::Distinct(Some(ids)) => ids.write(to),
        Cell::Distinct(None) => Distinct::default().write(to),
        Cell::Ordered(None) => to.u8(0),
        Cell::Ordered(Some(kept)) => {
            let (order, value) = &**kept;
            to.u8(match value {
                Kept::Number(_) => 1,
                Kept::Double(_) => 2,
                Kept::Text(_) => 3,
            });
            to.zigzag(order.time);
            to.varint(u64::from(order.incarnation));
            to.varint(u64::from(order.partition));
            to.varint(order.offset);
            to.varint(u64::from(order.element));
            match value {
                Kept::Number(number) => to.zigzag(*number),
                Kept::Double(double) => to.f64(*double),
                Kept::Text(text) => to.blob(text),
            }
        }
    }
}

fn read_cell(slot: &Slot, from: &mut Reader<'_>) -> Result<Cell, Damaged> {
    Ok(match Cell::empty(slot) {
        Cell::Count(_) => Cell::Count(from.varint()?),
        Cell::Sum(_) => Cell::Sum(halves(from.zigzag128()?)),
        Cell::Mean(_) => Cell::Mean(Box::new((from.zigzag128()?, from.varint()?))),
        Cell::Number(_) => Cell::Number(if from.u8()? == 0 { None } else { Some(from.zigzag()?) }),
        Cell::Double(_) => Cell::Double(if from.u8()? == 0 { None } else { Some(from.f64()?) }),
        Cell::Distinct(_) => {
            Cell::Distinct(Some(Distinct::read(from)?).filter(|ids| !ids.is_empty()).map(Box::new))
        }
        Cell::Ordered(_) => {
            let kind = from.u8()?;
            if kind == 0 {
                return Ok(Cell::Ordered(None));
            }
            let number = |from: &mut Reader<'_>| u32::try_from(from.varint()?).map_err(|_| from.damaged());
            let time = from.zigzag()?;
            let (incarnation, partition) = (number(from)?, number(from)?);
            let order =
                Order { time, incarnation, partition, offset: from.varint()?, element: number(from)? };
            let value = match kind {
                1 => Kept::Number(from.zigzag()?),
                2 => Kept::Double(from.f64()?),
                3 => Kept::Text(from.blob()?.into()),
                _ => return Err(from.damaged()),
            };
            Cell::Ordered(Some(Arc::new((order, value))))
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::SlotOrigin;
    use proptest::prelude::*;

    fn slots() -> Vec<Slot> {
        let slot = |fold, cell| Slot { fold, cell, origin: SlotOrigin::Value(0) };
        vec![
            slot(Fold::Count, CellKind::Count),
            slot(Fold::Sum, CellKind::Number),
            slot(Fold::Mean, CellKind::Number),
            slot(Fold::Min, CellKind::Number),
            slot(Fold::Max, CellKind::Double),
            slot(Fold::First, CellKind::Text),
            slot(Fold::Last, CellKind::Number),
            slot(Fold::Distinct, CellKind::Hash),
        ]
    }

    fn pane(rows: &[(i64, u64)]) -> Pane {
        let slots = slots();
        let mut pane = Pane::empty(&slots);
        for &(number, offset) in rows {
            let text = number.to_string();
            let given = [
                (0, Given::Count),
                (1, Given::Number(number)),
                (2, Given::Number(number)),
                (3, Given::Number(number)),
                (4, Given::Double(number as f64)),
                (5, Given::Text(text.as_bytes())),
                (6, Given::Number(number)),
                (7, Given::Hash(number as u128)),
            ];
            let order = Order { time: number / 4, incarnation: 0, partition: 0, offset, element: 0 };
            pane.add(&slots, &given, order);
        }
        pane
    }

    fn bytes(pane: &Pane) -> Vec<u8> {
        let mut out = Vec::new();
        pane.write(NextOffset(7), &mut out);
        out
    }

    proptest! {
        #[test]
        fn panes_merge_in_any_order(numbers: Vec<i64>, cut: usize, turn: bool) {
            let rows: Vec<_> = numbers.iter().copied().zip(0..).collect();
            let (left, right) = rows.split_at(cut % (rows.len() + 1));
            let (first, second) = if turn { (right, left) } else { (left, right) };

            let mut merged = pane(first);
            merged.merge(&slots(), &pane(second));

            prop_assert_eq!(bytes(&merged), bytes(&pane(&rows)));
        }

        #[test]
        fn a_pane_comes_back(numbers: Vec<i64>) {
            let rows: Vec<_> = numbers.iter().copied().zip(0..).collect();
            let written = bytes(&pane(&rows));

            let back = Pane::decode(&written, &slots()).unwrap();

            prop_assert_eq!(back.at, NextOffset(7));
            prop_assert_eq!(bytes(&back), written);
        }

        #[test]
        fn any_bytes_are_answered(bytes: Vec<u8>) {
            let _ = Pane::decode(&bytes, &slots());
        }

        #[test]
        fn halves_hold_a_wide_sum(value: i128) {
            prop_assert_eq!(wide(halves(value)), value);
        }
    }
}
