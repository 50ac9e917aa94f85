//! Metrics rows as readers get them: JSON whose key bytes are fixed, because compaction compares bytes.

use super::calendar::{Bounds, EVER};
use super::pane::{Cell, Kept, Pane, wide};
use crate::model::{NextOffset, OutRecord, Partition, format_decimal, format_quotient, power_of_ten};
use crate::topology::{Aggregate, Function, Micros, Scalar, SlotOrigin, Topology, WindowKind};
use jiff::Timestamp;

pub(crate) const ROW_SCHEMA: &str = "metrics-row.v1";
pub(crate) const POSITION_SCHEMA: &str = "metrics-position.v1";

/// What stands beside the values of a row.
pub(crate) struct Frame<'a> {
    pub topology: &'a Topology,
    pub partition: Partition,
    /// Next repartition offset: the row is right there.
    pub at: NextOffset,
}

/// Key of a row. `start` is in it for calendar windows only, so that a rolling row stays one row.
pub(crate) fn row_key(prefix: &[u8], kind: WindowKind, start: Option<Micros>) -> Vec<u8> {
    let mut key = prefix.to_vec();
    key.extend_from_slice(b",\"window\":\"");
    key.extend_from_slice(kind.name().as_bytes());
    key.push(b'"');
    if let Some(start) = start.filter(|_| kind != WindowKind::Ever) {
        key.extend_from_slice(b",\"start\":\"");
        key.extend_from_slice(instant(start).as_bytes());
        key.push(b'"');
    }
    key.push(b'}');
    key
}

/// RFC 3339 in UTC, with a fraction only where there is one.
pub(crate) fn instant(micros: Micros) -> String {
    Timestamp::from_microsecond(micros).map_or_else(|_| micros.to_string(), |instant| instant.to_string())
}

impl Frame<'_> {
    pub(crate) fn row(
        &self,
        aggregate: &Aggregate,
        prefix: &[u8],
        kind: WindowKind,
        bounds: Bounds,
        pane: &Pane,
    ) -> OutRecord {
        let start = (!kind.is_rolling()).then_some(bounds.start);
        OutRecord {
            key: Some(row_key(prefix, kind, start)),
            value: Some(self.value(aggregate, kind, bounds, pane)),
            headers: vec![("schema".into(), ROW_SCHEMA.into())],
        }
    }

    fn value(&self, aggregate: &Aggregate, kind: WindowKind, bounds: Bounds, pane: &Pane) -> Vec<u8> {
        let mut out = String::with_capacity(256);
        out.push('{');
        self.write_bounds(&mut out, kind, bounds);
        write_carry(&mut out, aggregate, pane);
        out.push_str(",\"values\":{");
        let mut approximate = Vec::new();
        for (index, value) in aggregate.values.iter().enumerate() {
            if index > 0 {
                out.push(',');
            }
            write_text(&mut out, &value.name);
            out.push(':');
            let fold = Fold { aggregate, pane };
            fold.write(&mut out, index);
            if fold.is_approximate(index) {
                approximate.push(&value.name);
            }
        }
        out.push('}');
        if !approximate.is_empty() {
            out.push_str(",\"approximate\":");
            out.push_str(&serde_json::to_string(&approximate).expect("names make JSON"));
        }
        let (partition, at) = (self.partition, self.at);
        out.push_str(&format!(",\"as_of\":{{\"partition\":{partition},\"offset\":{at}}}}}"));
        out.into_bytes()
    }

    fn write_bounds(&self, out: &mut String, kind: WindowKind, bounds: Bounds) {
        if bounds == EVER {
            out.push_str("\"start\":null,\"end\":null");
            return;
        }
        out.push_str(&format!("\"start\":\"{}\",\"end\":\"{}\"", instant(bounds.start), instant(bounds.end)));
        let zone = &self.topology.zone;
        if zone.name != "UTC" && !kind.is_rolling() {
            out.push_str(",\"zone\":");
            write_text(out, &zone.name);
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
    }

    /// The last record of every transaction in `metrics`: maps `as_of` to positions of the raw log.
    pub(crate) fn position(&self, commit: u64, sources: &super::sources::Sources) -> OutRecord {
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
        OutRecord {
            key: Some(format!("{{\"position\":{}}}", self.partition).into_bytes()),
            value: Some(value.into_bytes()),
            headers: vec![("schema".into(), POSITION_SCHEMA.into())],
        }
    }
}

fn write_text(out: &mut String, text: &str) {
    out.push_str(&serde_json::to_string(text).expect("text makes JSON"));
}

fn write_carry(out: &mut String, aggregate: &Aggregate, pane: &Pane) {
    let carried = aggregate.slots.iter().zip(&pane.cells).filter_map(|(slot, cell)| match slot.origin {
        SlotOrigin::Carry(column) => Some((&aggregate.columns[column], cell)),
        SlotOrigin::Value(_) => None,
    });
    let mut separator = ",\"carry\":{";
    for (column, cell) in carried {
        out.push_str(separator);
        write_text(out, &column.name);
        out.push(':');
        write_cell(out, cell, column.scalar);
        separator = ",";
    }
    if separator == "," {
        out.push('}');
    }
}

/// Min, max, first, last, carry: the kept scalar as text at its scale, or null.
fn write_cell(out: &mut String, cell: &Cell, scalar: Scalar) {
    match cell {
        Cell::Number(Some(number)) => write_number(out, *number, scalar),
        Cell::Double(Some(double)) => write_text(out, &double.to_string()),
        Cell::Ordered(Some(kept)) => match &kept.1 {
            Kept::Number(number) => write_number(out, *number, scalar),
            Kept::Double(double) => write_text(out, &double.to_string()),
            Kept::Text(text) if scalar == Scalar::Json => out.push_str(&String::from_utf8_lossy(text)),
            Kept::Text(text) => write_text(out, &String::from_utf8_lossy(text)),
        },
        _ => out.push_str("null"),
    }
}

fn write_number(out: &mut String, number: i64, scalar: Scalar) {
    match scalar {
        Scalar::Bool => out.push_str(if number == 0 { "false" } else { "true" }),
        Scalar::Time => write_text(out, &instant(number)),
        Scalar::Date => write_text(out, &instant(number * 86_400_000_000)[..10]),
        _ => write_text(out, &format_decimal(i128::from(number), scalar.scale().unwrap_or(0))),
    }
}

/// The values of one row, read out of its pane.
struct Fold<'a> {
    aggregate: &'a Aggregate,
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
        let slot = self.aggregate.slots.iter().position(|slot| slot.origin == SlotOrigin::Value(value));
        &self.pane.cells[slot.expect("every value that is folded has a slot")]
    }

    fn scalar(&self, column: usize) -> Scalar {
        self.aggregate.columns[column].scalar
    }

    fn is_approximate(&self, value: usize) -> bool {
        match self.aggregate.values[value].function {
            Function::Distinct(_) => matches!(self.cell(value), Cell::Distinct(ids) if ids.is_approximate()),
            Function::Ratio { over, under, .. } => self.is_approximate(over) || self.is_approximate(under),
            Function::Difference(left, right) => self.is_approximate(left) || self.is_approximate(right),
            _ => false,
        }
    }

    fn write(&self, out: &mut String, value: usize) {
        match &self.aggregate.values[value].function {
            Function::Min(column)
            | Function::Max(column)
            | Function::First(column)
            | Function::Last(column) => {
                write_cell(out, self.cell(value), self.scalar(*column));
            }
            Function::Mean { column, scale } => match self.mean(value, *column) {
                Some((top, bottom)) => write_text(out, &format_quotient(top, bottom, *scale)),
                None => out.push_str("null"),
            },
            Function::Ratio { over, under, scale } => match self.ratio(*over, *under) {
                Some((top, bottom)) => write_text(out, &format_quotient(top, bottom, *scale)),
                None => out.push_str("null"),
            },
            _ => match self.exact(value) {
                Some(Exact { number, is_count: true, .. }) => out.push_str(&number.to_string()),
                Some(Exact { number, scale, .. }) => write_text(out, &format_decimal(number, scale)),
                None => out.push_str("null"),
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
                Cell::Distinct(ids) => count(ids.count()),
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
