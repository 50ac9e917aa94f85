//! Metrics rows as readers get them: JSON whose key bytes are fixed, because compaction compares bytes.
//!
//! What is the same for every row of an aggregate is spelled once ([`RowPlan`]), what is the same for every row of a
//! window once a transaction ([`Frame`]): a row is then a few copies and its numbers.

use super::calendar::{Bounds, EVER};
use super::era::SinceTable;
use super::pane::{Cell, Kept, Pane, wide};
use crate::model::{
    NextOffset, OutBatch, Partition, power_of_ten, write_double, write_exact, write_json_string,
    write_quotient,
};
use crate::topology::{Aggregate, Function, Micros, Scalar, SlotOrigin, Topology, WindowKind};
use jiff::Timestamp;

pub(crate) const ROW_SCHEMA: &str = "metrics-row.v1";
pub(crate) const POSITION_SCHEMA: &str = "metrics-position.v1";
/// Windows whose text is kept: more than an aggregate has kinds, fewer than a backlog has days.
const WINDOWS_MAX: usize = 32;

/// How rows of one aggregate are spelled and where their values lie in a pane.
#[derive(Debug)]
pub(crate) struct RowPlan {
    /// `"vendor_id":`, the slot, the column's type.
    carried: Vec<(Vec<u8>, usize, Scalar)>,
    /// `"orders":` with a comma before all but the first; for values that are folded their slot.
    values: Vec<(Vec<u8>, Option<usize>)>,
    has_distinct: bool,
}

impl RowPlan {
    pub(crate) fn of(aggregate: &Aggregate) -> RowPlan {
        let spelled = |name: &str| {
            let mut text = Vec::new();
            write_json_string(&mut text, name);
            text.push(b':');
            text
        };
        let slots = || aggregate.slots.iter().enumerate();
        let carried = slots().filter_map(|(at, slot)| match slot.origin {
            SlotOrigin::Carry(column) => {
                let column = &aggregate.columns[column];
                Some((spelled(&column.name), at, column.scalar))
            }
            SlotOrigin::Value(_) => None,
        });
        let slot_of = |value| slots().find(|(_, slot)| slot.origin == SlotOrigin::Value(value));
        let values = aggregate.values.iter().enumerate().map(|(index, value)| {
            let mut name = if index == 0 { Vec::new() } else { vec![b','] };
            name.extend(spelled(&value.name));
            (name, slot_of(index).map(|(at, _)| at))
        });
        RowPlan {
            carried: carried.collect(),
            values: values.collect(),
            has_distinct: aggregate
                .values
                .iter()
                .any(|value| matches!(value.function, Function::Distinct(_))),
        }
    }
}

/// What stands beside the values of a row.
pub(crate) struct Frame<'a> {
    topology: &'a Topology,
    plans: &'a [RowPlan],
    partition: Partition,
    /// Next repartition offset: the row is right there.
    at: NextOffset,
    since: &'a SinceTable,
    /// `,"as_of":…}`
    as_of: Vec<u8>,
    windows: Vec<WindowText>,
}

/// A window as its rows spell it.
struct WindowText {
    kind: WindowKind,
    bounds: Bounds,
    /// The end of a row's key.
    key: Vec<u8>,
    /// The beginning of its value.
    value: Vec<u8>,
}

/// Key of a row. `start` is in it for calendar windows only, so that a rolling row stays one row.
pub(crate) fn row_key(prefix: &[u8], kind: WindowKind, start: Option<Micros>) -> Vec<u8> {
    [prefix, &key_end(kind, start)].concat()
}

fn key_end(kind: WindowKind, start: Option<Micros>) -> Vec<u8> {
    let mut key = format!(",\"window\":\"{}\"", kind.name());
    if let Some(start) = start.filter(|_| kind != WindowKind::Ever) {
        key.push_str(&format!(",\"start\":\"{}\"", instant(start)));
    }
    key.push('}');
    key.into_bytes()
}

/// RFC 3339 in UTC, with a fraction only where there is one.
pub(crate) fn instant(micros: Micros) -> String {
    Timestamp::from_microsecond(micros).map_or_else(|_| micros.to_string(), |instant| instant.to_string())
}

impl<'a> Frame<'a> {
    /// `plans`: of the topology's aggregates.
    pub(crate) fn new(
        topology: &'a Topology,
        plans: &'a [RowPlan],
        since: &'a SinceTable,
        partition: Partition,
        at: NextOffset,
    ) -> Self {
        let as_of = format!(",\"as_of\":{{\"partition\":{partition},\"offset\":{at}}}}}").into_bytes();
        Frame { topology, plans, partition, at, since, as_of, windows: Vec::new() }
    }

    pub(crate) fn write_row(
        &mut self,
        to: &mut OutBatch,
        aggregate: u16,
        prefix: &[u8],
        (kind, bounds): (WindowKind, Bounds),
        pane: &Pane,
    ) {
        let window = self.window(kind, bounds);
        let WindowText { key: key_end, value: begin, .. } = &self.windows[window];
        let key = |out: &mut Vec<u8>| {
            out.extend_from_slice(prefix);
            out.extend_from_slice(key_end);
        };
        let value = |out: &mut Vec<u8>| {
            out.extend_from_slice(begin);
            self.write_values(out, usize::from(aggregate), (kind, bounds), pane);
            out.extend_from_slice(&self.as_of);
        };
        to.push(Some(ROW_SCHEMA), key, value);
    }

    /// The place of the window's text, which most rows find made.
    fn window(&mut self, kind: WindowKind, bounds: Bounds) -> usize {
        let known = self.windows.iter().position(|known| known.kind == kind && known.bounds == bounds);
        known.unwrap_or_else(|| {
            if self.windows.len() == WINDOWS_MAX {
                self.windows.clear();
            }
            let start = (!kind.is_rolling()).then_some(bounds.start);
            let value = self.bounds(kind, bounds).into_bytes();
            self.windows.push(WindowText { kind, bounds, key: key_end(kind, start), value });
            self.windows.len() - 1
        })
    }

    fn write_values(
        &self,
        out: &mut Vec<u8>,
        aggregate: usize,
        (kind, bounds): (WindowKind, Bounds),
        pane: &Pane,
    ) {
        let since = self.since.window(aggregate, kind);
        // `ever` has no beginning: it counts from there on, and says so.
        let is_partial = |value: usize| {
            kind != WindowKind::Ever
                && since.is_some_and(|since| since[value].is_some_and(|since| bounds.start < since))
        };
        let (plan, aggregate) = (&self.plans[aggregate], &self.topology.aggregates[aggregate]);
        for (place, (name, slot, scalar)) in plan.carried.iter().enumerate() {
            out.extend_from_slice(if place == 0 { b",\"carry\":{" } else { b"," });
            out.extend_from_slice(name);
            write_cell(out, &pane.cells[*slot], *scalar);
        }
        if !plan.carried.is_empty() {
            out.push(b'}');
        }
        out.extend_from_slice(b",\"values\":{");
        let fold = Fold { aggregate, plan, pane };
        for (value, (name, _)) in plan.values.iter().enumerate() {
            out.extend_from_slice(name);
            if is_partial(value) {
                out.extend_from_slice(b"null");
            } else {
                fold.write(out, value);
            }
        }
        out.push(b'}');
        if plan.has_distinct {
            fold.write_approximate(out, is_partial);
        }
        if let Some(since) = since.filter(|_| kind == WindowKind::Ever) {
            write_since(out, aggregate, since);
        }
    }

    /// The beginning of a value.
    fn bounds(&self, kind: WindowKind, bounds: Bounds) -> String {
        if bounds == EVER {
            return "{\"start\":null,\"end\":null".into();
        }
        let mut out =
            format!("{{\"start\":\"{}\",\"end\":\"{}\"", instant(bounds.start), instant(bounds.end));
        let zone = &self.topology.zone;
        if zone.name != "UTC" && !kind.is_rolling() {
            out.push_str(",\"zone\":");
            out.push_str(&serde_json::to_string(&zone.name).expect("text makes JSON"));
            let start =
                Timestamp::from_microsecond(bounds.start).map(|start| start.to_zoned(zone.zone.clone()));
            if let Ok(start) = start {
                let local = match kind {
                    WindowKind::Hour => start.datetime().to_string(),
                    _ => start.date().to_string(),
                };
                out.push_str(&format!(",\"local\":\"{local}\""));
            }
        }
        out
    }

    /// The last record of every transaction in `metrics`: maps `as_of` to positions of the raw log.
    pub(crate) fn write_position(&self, to: &mut OutBatch, commit: u64, sources: &super::sources::Sources) {
        let time = |time: Option<Micros>| time.map_or("null".into(), |time| format!("\"{}\"", instant(time)));
        let current = sources.incarnations.last();
        let of = sources.states.iter().filter(|(source, _)| Some(&source.incarnation) == current);
        let next = of.map(|(source, state)| {
            format!("\"{}\":{}", source.partition, state.hw.map_or(NextOffset(0), crate::model::Offset::next))
        });
        let value = format!(
            "{{\"commit\":{commit},\"offset\":{},\"now\":{},\"floor\":{},\"sources\":{{{}}}}}",
            self.at,
            time(sources.now),
            time(sources.floor),
            next.collect::<Vec<_>>().join(",")
        );
        let key = format!("{{\"position\":{}}}", self.partition);
        to.push(
            Some(POSITION_SCHEMA),
            |out| out.extend(key.into_bytes()),
            |out| out.extend(value.into_bytes()),
        );
    }
}

/// Since when the values of an `ever` row count, where that is not from the beginning.
fn write_since(out: &mut Vec<u8>, aggregate: &Aggregate, since: &[Option<Micros>]) {
    let values = aggregate.values.iter().zip(since);
    let values = values.filter_map(|(value, since)| Some((value.name.as_str(), (*since)?)));
    for (place, (name, since)) in values.enumerate() {
        out.extend_from_slice(if place == 0 { b",\"since\":{" } else { b"," });
        write_json_string(out, name);
        out.push(b':');
        write_text(out, instant(since).as_bytes());
    }
    out.push(b'}');
}

/// Text as it stands in a pane: it was UTF-8 when it came.
fn write_text(out: &mut Vec<u8>, text: &[u8]) {
    write_json_string(out, &String::from_utf8_lossy(text));
}

fn write_quoted(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    out.push(b'"');
    write(out);
    out.push(b'"');
}

/// Min, max, first, last, carry: the kept scalar as text at its scale, or null.
fn write_cell(out: &mut Vec<u8>, cell: &Cell, scalar: Scalar) {
    match cell {
        Cell::Number(Some(number)) => write_number(out, *number, scalar),
        Cell::Double(Some(double)) => write_quoted(out, |out| write_double(out, *double)),
        Cell::Ordered(Some(kept)) => match &kept.1 {
            Kept::Number(number) => write_number(out, *number, scalar),
            Kept::Double(double) => write_quoted(out, |out| write_double(out, *double)),
            Kept::Text(text) if scalar == Scalar::Json => out.extend_from_slice(text),
            Kept::Text(text) => write_text(out, text),
        },
        _ => out.extend_from_slice(b"null"),
    }
}

fn write_number(out: &mut Vec<u8>, number: i64, scalar: Scalar) {
    match scalar {
        Scalar::Bool => out.extend_from_slice(if number == 0 { b"false" } else { b"true" }),
        Scalar::Time => write_text(out, instant(number).as_bytes()),
        Scalar::Date => write_text(out, &instant(number * 86_400_000_000).as_bytes()[..10]),
        _ => write_quoted(out, |out| write_exact(out, i128::from(number), scalar.scale().unwrap_or(0))),
    }
}

/// The values of one row, read out of its pane.
struct Fold<'a> {
    aggregate: &'a Aggregate,
    plan: &'a RowPlan,
    pane: &'a Pane,
}

/// An exact number, as a value of a row can be.
struct Exact {
    number: i128,
    scale: u8,
    is_count: bool,
}

impl Fold<'_> {
    fn cell(&self, value: usize) -> &Cell {
        &self.pane.cells[self.plan.values[value].1.expect("every value that is folded has a slot")]
    }

    fn scalar(&self, column: usize) -> Scalar {
        self.aggregate.columns[column].scalar
    }

    fn is_approximate(&self, value: usize) -> bool {
        match self.aggregate.values[value].function {
            Function::Distinct(_) => {
                matches!(self.cell(value), Cell::Distinct(Some(ids)) if ids.is_approximate())
            }
            Function::Ratio { over, under, .. } => self.is_approximate(over) || self.is_approximate(under),
            Function::Difference(left, right) => self.is_approximate(left) || self.is_approximate(right),
            _ => false,
        }
    }

    /// The values that are estimates, if there are any.
    fn write_approximate(&self, out: &mut Vec<u8>, is_partial: impl Fn(usize) -> bool) {
        let names = self.aggregate.values.iter().enumerate();
        let names: Vec<&str> = names
            .filter(|(value, _)| self.is_approximate(*value) && !is_partial(*value))
            .map(|(_, value)| value.name.as_str())
            .collect();
        if !names.is_empty() {
            out.extend_from_slice(b",\"approximate\":");
            out.extend(serde_json::to_vec(&names).expect("names make JSON"));
        }
    }

    fn write(&self, out: &mut Vec<u8>, value: usize) {
        match &self.aggregate.values[value].function {
            Function::Min(column)
            | Function::Max(column)
            | Function::First(column)
            | Function::Last(column) => {
                write_cell(out, self.cell(value), self.scalar(*column));
            }
            Function::Mean { column, scale } => match self.mean(value, *column) {
                Some((top, bottom)) => write_quoted(out, |out| write_quotient(out, top, bottom, *scale)),
                None => out.extend_from_slice(b"null"),
            },
            Function::Ratio { over, under, scale } => match self.ratio(*over, *under) {
                Some((top, bottom)) => write_quoted(out, |out| write_quotient(out, top, bottom, *scale)),
                None => out.extend_from_slice(b"null"),
            },
            _ => match self.exact(value) {
                Some(Exact { number, is_count: true, .. }) => write_exact(out, number, 0),
                Some(Exact { number, scale, .. }) => write_quoted(out, |out| write_exact(out, number, scale)),
                None => out.extend_from_slice(b"null"),
            },
        }
    }

    fn mean(&self, value: usize, column: usize) -> Option<(i128, i128)> {
        let Cell::Mean(mean) = self.cell(value) else { return None };
        let unit = power_of_ten(self.scalar(column).scale().unwrap_or(0));
        (mean.1 > 0).then(|| (mean.0, i128::from(mean.1) * unit))
    }

    /// Numerator and denominator; `None` where one is absent or the denominator is 0.
    fn ratio(&self, over: usize, under: usize) -> Option<(i128, i128)> {
        let (over, under) = (self.exact(over)?, self.exact(under)?);
        let top = over.number.checked_mul(power_of_ten(under.scale.saturating_sub(over.scale)))?;
        let bottom = under.number.checked_mul(power_of_ten(over.scale.saturating_sub(under.scale)))?;
        (bottom != 0).then_some((top, bottom))
    }

    fn exact(&self, value: usize) -> Option<Exact> {
        let scaled = |number, scale| Some(Exact { number, scale, is_count: false });
        let count = |number: u64| Some(Exact { number: i128::from(number), scale: 0, is_count: true });
        match &self.aggregate.values[value].function {
            Function::CountEvents | Function::CountElements | Function::Distinct(_) => match self.cell(value)
            {
                Cell::Count(number) => count(*number),
                Cell::Distinct(ids) => count(ids.as_ref().map_or(0, |ids| ids.count())),
                _ => None,
            },
            Function::Sum(column) => match self.cell(value) {
                Cell::Sum(sum) => scaled(wide(*sum), self.scalar(*column).scale()?),
                _ => None,
            },
            Function::Min(column)
            | Function::Max(column)
            | Function::First(column)
            | Function::Last(column) => {
                let scale = self.scalar(*column).scale()?;
                match self.cell(value) {
                    Cell::Number(Some(number)) => scaled(i128::from(*number), scale),
                    Cell::Ordered(Some(kept)) => match kept.1 {
                        Kept::Number(number) => scaled(i128::from(number), scale),
                        _ => None,
                    },
                    _ => None,
                }
            }
            Function::Difference(left, right) => {
                let (left, right) = (self.exact(*left)?, self.exact(*right)?);
                let scale = left.scale.max(right.scale);
                let lift = |exact: &Exact| exact.number.checked_mul(power_of_ten(scale - exact.scale));
                let number = lift(&left)?.checked_sub(lift(&right)?)?;
                Some(Exact { number, scale, is_count: left.is_count && right.is_count })
            }
            Function::Mean { .. } | Function::Ratio { .. } => None,
        }
    }
}
