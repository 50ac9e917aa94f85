//! One row as it was found, beside what the fold says: in the words of the topology that wrote it.

use super::expected::Expected;
use super::facts::Facts;
use super::force::{Shape, since};
use super::report::{Kind, Report};
use super::value::instant;
use crate::topology::{Aggregate, Topology, WindowKind};
use serde_json::{Map, Value as Json};

/// What it takes to judge rows of one target.
pub(super) struct Judge<'a> {
    pub facts: &'a Facts,
    /// The target's topologies, in their order; the last is the current one.
    pub chain: &'a [&'a Topology],
}

impl Judge<'_> {
    pub(super) fn compare(
        &self,
        report: &mut Report,
        key: String,
        (aggregate, kind, start): (&Aggregate, WindowKind, i64),
        expected: &Expected,
        found: &Json,
    ) {
        let written_in = self.facts.written_in(found["as_of"]["offset"].as_u64().unwrap_or(u64::MAX));
        let writer = self.chain[written_in].aggregates.iter().find(|it| it.name == aggregate.name);
        let shape = Shape::of(&self.chain[written_in..], &aggregate.name);
        let (Some(writer), Some(shape)) = (writer, shape) else {
            return report.differ(Kind::Row, key, "no row", found);
        };
        let mut values = Map::new();
        let now = expected.values(aggregate);
        let mut partial = None;
        for (place, value) in writer.values.iter().enumerate() {
            let since = since(self.facts, written_in, writer, kind, place);
            let shown = shape.values.iter().position(|at| *at == Some(place));
            let json = match shown {
                _ if since.is_some_and(|since| begins(kind, start, found) < since) => Json::Null,
                Some(shown) => {
                    if kind != WindowKind::Ever && expected.lacks(aggregate, shown) {
                        partial = Some(value.name.clone());
                    }
                    now[&aggregate.values[shown].name].clone()
                }
                // A later cut-over took the value away, and the fold no longer has it.
                None => {
                    report.cannot_prove(format!(
                        "`{}` of `{}`, which a cut-over took away",
                        value.name, writer.name
                    ));
                    found["values"][&value.name].clone()
                }
            };
            values.insert(value.name.clone(), json);
        }
        if let Some(name) = partial {
            return report.differ(
                Kind::Row,
                key,
                format!("{name} null: it was not there all the time"),
                found,
            );
        }
        mind_approximate(report, &key, &mut values, found);
        let values = Json::Object(values);
        // Columns that came or went are in no row of the other time.
        let has_carry =
            shape.carry.iter().all(Option::is_some) && writer.carry.len() == aggregate.carry.len();
        let carry = Some(expected.carry(aggregate)).filter(|_| has_carry);
        let found_carry = found["carry"].as_object().cloned().unwrap_or_default();
        let same_carry = carry.as_ref().is_none_or(|carry| *carry == found_carry);
        let same_since = self.since_of(written_in, writer, kind) == found["since"];
        if values == found["values"] && same_carry && same_since {
            report.rows += 1;
        } else {
            let both = |values: &Json, carry: &Map<String, Json>| match carry.is_empty() {
                true => values.to_string(),
                false => format!("{values} carry {}", Json::Object(carry.clone())),
            };
            let expected = both(&values, &carry.unwrap_or_default());
            report.differ(Kind::Row, key, expected, both(&found["values"], &found_carry));
        }
    }

    /// What an `ever` row says about values that have not counted from the beginning.
    fn since_of(&self, eras: usize, writer: &Aggregate, kind: WindowKind) -> Json {
        if kind != WindowKind::Ever {
            return Json::Null;
        }
        let of = |place: usize| since(self.facts, eras, writer, kind, place);
        let all = writer.values.iter().enumerate();
        let all =
            all.filter_map(|(place, value)| Some((value.name.clone(), Json::String(instant(of(place)?)))));
        let all: Map<String, Json> = all.collect();
        if all.is_empty() { Json::Null } else { Json::Object(all) }
    }
}

/// Where the row's window begins; a rolling one says so itself.
fn begins(kind: WindowKind, start: i64, found: &Json) -> i64 {
    match kind {
        WindowKind::Ever => i64::MAX,
        WindowKind::Rolling { .. } => {
            let start = found["start"].as_str().and_then(|text| text.parse::<jiff::Timestamp>().ok());
            start.map_or(i64::MAX, jiff::Timestamp::as_microsecond)
        }
        _ => start,
    }
}

/// A sketch is near, and says so. Whatever is made of it is not compared either.
fn mind_approximate(report: &mut Report, key: &str, values: &mut Map<String, Json>, found: &Json) {
    let Some(names) = found["approximate"].as_array() else { return };
    for name in names.iter().filter_map(Json::as_str) {
        if let (Some(exact), Some(near)) =
            (values.get(name).and_then(Json::as_f64), found["values"][name].as_f64())
            && (exact - near).abs() > exact * 0.1
        {
            report.differ(Kind::Row, format!("{key} {name}"), exact, near);
        }
        values.insert(name.to_owned(), found["values"][name].clone());
    }
}
