//! The values of one row, folded the naive way.

use super::contribution::{Element, holds};
use super::force::Shape;
use super::value::{Value, decimal, scale_of};
use crate::topology::{Aggregate, Function, SlotOrigin};
use serde_json::{Map, Value as Json};
use std::cmp::Ordering;
use std::collections::BTreeSet;

/// (event time, incarnation's place, partition, offset, element)
pub(super) type Place = (i64, usize, u32, u64, u32);

/// One value of a row in the making.
#[derive(Debug, Clone)]
enum Part {
    Count(u64),
    Sum(i128),
    Mean(Box<(i128, i128)>),
    Best(Option<Box<Value>>),
    Placed(Option<Box<(Place, Value)>>),
    Ids(BTreeSet<u128>),
    /// Ratio, difference: worked out at the end.
    Derived,
}

#[derive(Debug, Clone)]
pub(super) struct Expected {
    values: Vec<Part>,
    carry: Vec<Option<Box<(Place, Value)>>>,
    /// By value: something was counted into this row when the value was not there yet.
    lacks: Vec<bool>,
}

impl Expected {
    pub(super) fn new(aggregate: &Aggregate) -> Expected {
        let part = |function: &Function| match function {
            Function::CountEvents | Function::CountElements => Part::Count(0),
            Function::Sum(_) => Part::Sum(0),
            Function::Mean { .. } => Part::Mean(Box::default()),
            Function::Min(_) | Function::Max(_) => Part::Best(None),
            Function::First(_) | Function::Last(_) => Part::Placed(None),
            Function::Distinct(_) => Part::Ids(BTreeSet::new()),
            Function::Ratio { .. } | Function::Difference(..) => Part::Derived,
        };
        Expected {
            values: aggregate.values.iter().map(|value| part(&value.function)).collect(),
            carry: vec![None; aggregate.carry.len()],
            lacks: vec![false; aggregate.values.len()],
        }
    }

    /// What was counted into the row lacks this value, or one that it is made of.
    pub(super) fn lacks(&self, aggregate: &Aggregate, value: usize) -> bool {
        match aggregate.values[value].function {
            Function::Ratio { over: left, under: right, .. } | Function::Difference(left, right) => {
                self.lacks(aggregate, left) || self.lacks(aggregate, right)
            }
            _ => self.lacks[value],
        }
    }

    /// Something was counted when the row's window was not there yet.
    pub(super) fn lacks_all(&mut self) {
        self.lacks.fill(true);
    }

    /// Adds one contribution: all elements of one event for this key, as `counted` reads them.
    pub(super) fn add(
        &mut self,
        counted: &Aggregate,
        shape: &Shape,
        place: Place,
        elements: &[(u32, Element)],
    ) {
        for ((part, lacks), value) in self.values.iter_mut().zip(&mut self.lacks).zip(&shape.values) {
            let Some(value) = value.map(|place| &counted.values[place]) else {
                *lacks = true;
                continue;
            };
            let mut seen = false;
            for (number, element) in elements.iter().filter(|(_, element)| holds(&value.when, element)) {
                let place = Place::from((place.0, place.1, place.2, place.3, *number));
                part.add(&value.function, element, place, seen);
                seen = true;
            }
        }
        for (kept, column) in self.carry.iter_mut().zip(&shape.carry) {
            let Some(column) = *column else { continue };
            for (number, element) in elements {
                if let Some(value) = &element[column] {
                    let place = (place.0, place.1, place.2, place.3, *number);
                    keep(kept, place, value, Ordering::Greater);
                }
            }
        }
    }

    /// Adds what another key of the same window has: both are summed in one row.
    pub(super) fn merge(&mut self, aggregate: &Aggregate, other: Expected) {
        let functions = aggregate.values.iter().map(|value| &value.function);
        for ((part, more), function) in self.values.iter_mut().zip(other.values).zip(functions) {
            part.merge(function, more);
        }
        for (kept, more) in self.carry.iter_mut().zip(other.carry) {
            keep_other(kept, more, Ordering::Greater);
        }
        self.lacks.iter_mut().zip(other.lacks).for_each(|(lacks, more)| *lacks |= more);
    }

    /// `values` of the row.
    pub(super) fn values(&self, aggregate: &Aggregate) -> Map<String, Json> {
        let value = |index: usize| (aggregate.values[index].name.clone(), self.json(aggregate, index));
        (0..aggregate.values.len()).map(value).collect()
    }

    /// `carry` of the row; empty where the aggregate carries nothing.
    pub(super) fn carry(&self, aggregate: &Aggregate) -> Map<String, Json> {
        let columns = aggregate.slots.iter().filter_map(|slot| match slot.origin {
            SlotOrigin::Carry(column) => Some(column),
            SlotOrigin::Value(_) => None,
        });
        let named = columns.map(|column| aggregate.columns[column].name.clone());
        let json =
            |kept: &Option<Box<(Place, Value)>>| kept.as_ref().map_or(Json::Null, |kept| kept.1.json());
        named.zip(self.carry.iter().map(json)).collect()
    }

    fn json(&self, aggregate: &Aggregate, index: usize) -> Json {
        let text = |(number, scale): (i128, u8)| Json::String(decimal(number, scale));
        match (&aggregate.values[index].function, &self.values[index]) {
            (_, Part::Count(count)) => Json::from(*count),
            (_, Part::Ids(ids)) => Json::from(ids.len()),
            (_, Part::Best(best)) => best.as_ref().map_or(Json::Null, |best| best.json()),
            (_, Part::Placed(placed)) => placed.as_ref().map_or(Json::Null, |placed| placed.1.json()),
            (Function::Sum(column), Part::Sum(sum)) => {
                text((*sum, scale_of(aggregate.columns[*column].scalar)))
            }
            (Function::Mean { column, scale }, Part::Mean(mean)) if mean.1 > 0 => {
                let unit = scale_of(aggregate.columns[*column].scalar);
                Json::String(quotient(mean.0, mean.1, unit, 0, *scale))
            }
            (Function::Ratio { over, under, scale }, _) => {
                match (self.exact(aggregate, *over), self.exact(aggregate, *under)) {
                    (Some((over, over_scale)), Some((under, under_scale))) if under != 0 => {
                        Json::String(quotient(over, under, over_scale, under_scale, *scale))
                    }
                    _ => Json::Null,
                }
            }
            (Function::Difference(left, right), _) => match self.exact(aggregate, index) {
                None => Json::Null,
                Some((number, _)) if self.is_count(*left) && self.is_count(*right) => {
                    Json::from(i64::try_from(number).unwrap_or(i64::MAX))
                }
                Some(exact) => text(exact),
            },
            _ => Json::Null,
        }
    }

    fn is_count(&self, index: usize) -> bool {
        matches!(self.values[index], Part::Count(_) | Part::Ids(_))
    }

    fn exact(&self, aggregate: &Aggregate, index: usize) -> Option<(i128, u8)> {
        match (&aggregate.values[index].function, &self.values[index]) {
            (_, Part::Count(count)) => Some((i128::from(*count), 0)),
            (_, Part::Ids(ids)) => Some((ids.len() as i128, 0)),
            (Function::Sum(column), Part::Sum(sum)) => {
                Some((*sum, scale_of(aggregate.columns[*column].scalar)))
            }
            (_, Part::Best(Some(value))) => value.exact(),
            (_, Part::Placed(Some(placed))) => placed.1.exact(),
            (Function::Difference(left, right), _) => {
                let (left, right) = (self.exact(aggregate, *left)?, self.exact(aggregate, *right)?);
                let scale = left.1.max(right.1);
                let lift = |(number, own): (i128, u8)| number * 10i128.pow(u32::from(scale - own));
                Some((lift(left) - lift(right), scale))
            }
            _ => None,
        }
    }
}

impl Part {
    fn add(&mut self, function: &Function, element: &Element, place: Place, seen: bool) {
        match (function, self) {
            (Function::CountEvents, Part::Count(count)) => *count += u64::from(!seen),
            (Function::CountElements, Part::Count(count)) => *count += 1,
            (Function::Sum(column), Part::Sum(sum)) => {
                *sum += element[*column].as_ref().and_then(Value::exact).map_or(0, |(number, _)| number);
            }
            (Function::Mean { column, .. }, Part::Mean(mean)) => {
                if let Some((number, _)) = element[*column].as_ref().and_then(Value::exact) {
                    mean.0 += number;
                    mean.1 += 1;
                }
            }
            (Function::Min(column), Part::Best(best)) => better(best, &element[*column], Ordering::Less),
            (Function::Max(column), Part::Best(best)) => better(best, &element[*column], Ordering::Greater),
            (Function::First(column), Part::Placed(kept)) => {
                element[*column].iter().for_each(|value| keep(kept, place, value, Ordering::Less));
            }
            (Function::Last(column), Part::Placed(kept)) => {
                element[*column].iter().for_each(|value| keep(kept, place, value, Ordering::Greater));
            }
            (Function::Distinct(column), Part::Ids(ids)) => {
                let id = element[*column]
                    .as_ref()
                    .map(|value| xxhash_rust::xxh3::xxh3_128(value.text().as_bytes()));
                ids.extend(id);
            }
            _ => {}
        }
    }
}

impl Part {
    fn merge(&mut self, function: &Function, more: Part) {
        match (self, more) {
            (Part::Count(count), Part::Count(more)) => *count += more,
            (Part::Sum(sum), Part::Sum(more)) => *sum += more,
            (Part::Mean(mean), Part::Mean(more)) => **mean = (mean.0 + more.0, mean.1 + more.1),
            (Part::Ids(ids), Part::Ids(more)) => ids.extend(more),
            (Part::Best(best), Part::Best(more)) => {
                let wanted =
                    if matches!(function, Function::Min(_)) { Ordering::Less } else { Ordering::Greater };
                better(best, &more.map(|more| *more), wanted);
            }
            (Part::Placed(kept), Part::Placed(more)) => {
                let wanted =
                    if matches!(function, Function::First(_)) { Ordering::Less } else { Ordering::Greater };
                keep_other(kept, more, wanted);
            }
            (_, Part::Derived) => {}
            (part, more) => unreachable!("one function, two kinds of parts: {part:?}, {more:?}"),
        }
    }
}

fn keep_other(kept: &mut Option<Box<(Place, Value)>>, more: Option<Box<(Place, Value)>>, wanted: Ordering) {
    if let Some(more) = more {
        keep(kept, more.0, &more.1, wanted);
    }
}

fn better(best: &mut Option<Box<Value>>, value: &Option<Value>, wanted: Ordering) {
    if let Some(value) = value
        && best.as_ref().is_none_or(|best| value.compare(best) == wanted)
    {
        *best = Some(Box::new(value.clone()));
    }
}

fn keep(kept: &mut Option<Box<(Place, Value)>>, place: Place, value: &Value, wanted: Ordering) {
    if kept.as_ref().is_none_or(|held| place.cmp(&held.0) == wanted) {
        *kept = Some(Box::new((place, value.clone())));
    }
}

/// Schoolbook division of `top / 10^top_scale` by `bottom / 10^bottom_scale`, half away from zero.
fn quotient(top: i128, bottom: i128, top_scale: u8, bottom_scale: u8, scale: u8) -> String {
    let negative = (top < 0) != (bottom < 0);
    let common = top_scale.max(bottom_scale);
    let lift = |number: i128, own: u8| number.unsigned_abs() * 10u128.pow(u32::from(common - own));
    let (top, bottom) = (lift(top, top_scale), lift(bottom, bottom_scale));
    let (mut whole, mut rest) = (top / bottom, top % bottom);
    for _ in 0..scale {
        rest *= 10;
        whole = whole * 10 + rest / bottom;
        rest %= bottom;
    }
    if rest * 2 >= bottom {
        whole += 1;
    }
    let signed = i128::try_from(whole).unwrap_or(i128::MAX);
    decimal(if negative { -signed } else { signed }, scale)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotients_round_half_away_from_zero_at_their_scales() {
        assert_eq!(quotient(1500, 2, 2, 0, 2), "7.50");
        assert_eq!(quotient(-1, 8, 0, 0, 2), "-0.13");
        assert_eq!(quotient(1, 3, 0, 0, 4), "0.3333");
        assert_eq!(quotient(0, -3, 0, 0, 2), "0.00");
    }
}
