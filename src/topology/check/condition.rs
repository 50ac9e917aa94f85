//! COND: a closed set of tests, compiled to columns; literals are read by the column's type.

use super::super::checked::{Check, Condition, Literal, Scalar, Test};
use super::super::literal::literal;
use super::fields::scalar_name;
use crate::yaml::{Kind, Member, Name, Node, Place, Problems, read, shorten};

const COMPARISONS: [&str; 4] = ["at_least", "at_most", "above", "below"];
const TESTS: [&str; 6] = ["present", "not", "at_least", "at_most", "above", "below"];
const LITERALS_MAX: usize = 1_000;

/// Finds the column that a name means, or adds the problem.
pub(crate) type Find<'a> = dyn FnMut(Name<'_>, &mut Problems) -> Option<(usize, Scalar)> + 'a;

/// A map of tests that all hold, or a list of such maps of which any holds.
pub(crate) fn condition(node: &Node, find: &mut Find<'_>, problems: &mut Problems) -> Option<Condition> {
    let what = "a map of names and tests, or a list of such maps";
    let groups: Vec<&Node> = match &node.kind {
        Kind::Map(_) => vec![node],
        Kind::List(items) if !items.is_empty() => items.iter().collect(),
        _ => return problems.none(node.place, format!("{} should be {what}", node.describe())),
    };
    let read: Vec<_> = groups.iter().map(|node| group(node, find, problems)).collect();
    Some(Condition { any: read.into_iter().collect::<Option<_>>()? })
}

fn group(node: &Node, find: &mut Find<'_>, problems: &mut Problems) -> Option<Vec<Test>> {
    let members = read::map(node, "a map of names and tests", problems)?;
    if members.is_empty() {
        return problems.none(node.place, "an empty condition says nothing: leave `when` out");
    }
    // A map has no order, so neither has the checked form.
    let mut members: Vec<&Member> = members.iter().collect();
    members.sort_by_key(|member| &member.key);
    let mut tests = Some(Vec::new());
    for member in members {
        let found = find(Name { text: &member.key, place: member.place }, problems);
        let test = found.and_then(|(column, scalar)| {
            Some(Test { column, check: check(&member.value, scalar, problems)? })
        });
        tests = tests.zip(test).map(|(mut tests, test)| {
            tests.push(test);
            tests
        });
    }
    tests
}

fn check(node: &Node, scalar: Scalar, problems: &mut Problems) -> Option<Check> {
    match &node.kind {
        Kind::Null => problems.none(
            node.place,
            "an absent value is `{ present: false }`; the text `null` is written in quotes",
        ),
        Kind::Scalar(text) => Some(Check::OneOf(vec![value(text, node.place, scalar, problems)?])),
        Kind::List(items) if items.is_empty() || items.len() > LITERALS_MAX => {
            problems.none(node.place, format!("{} values; a list has from 1 to {LITERALS_MAX}", items.len()))
        }
        Kind::List(items) => {
            let values: Vec<_> = items
                .iter()
                .map(|item| {
                    let name = read::scalar(item, "a value", problems)?;
                    value(name.text, name.place, scalar, problems)
                })
                .collect();
            Some(Check::OneOf(values.into_iter().collect::<Option<_>>()?))
        }
        Kind::Map(_) => checks(node, scalar, problems),
    }
}

/// The members of a test; all hold.
fn checks(node: &Node, scalar: Scalar, problems: &mut Problems) -> Option<Check> {
    let members = read::closed(node, "a test", &TESTS, problems)?;
    let mut all = Vec::new();
    for key in TESTS {
        let Some(inner) = members.get(key) else { continue };
        let check = match key {
            "present" => Check::Present(read::boolean(inner, problems)?),
            "not" => Check::Not(Box::new(check(inner, scalar, problems)?)),
            _ => comparison(key, inner, scalar, problems)?,
        };
        all.push(check);
    }
    match all.len() {
        0 => problems.none(node.place, format!("an empty test; known are {}", read::listed(&TESTS))),
        1 => all.pop(),
        _ => Some(Check::All(all)),
    }
}

fn comparison(key: &str, node: &Node, scalar: Scalar, problems: &mut Problems) -> Option<Check> {
    debug_assert!(COMPARISONS.contains(&key));
    if let Scalar::Text | Scalar::Uuid | Scalar::Bool | Scalar::Json = scalar {
        let message = format!("`{key}` compares numbers, times and dates; this is {}", scalar_name(scalar));
        return problems.none(node.place, message);
    }
    let name = read::scalar(node, "a value", problems)?;
    let value = value(name.text, name.place, scalar, problems)?;
    Some(match key {
        "at_least" => Check::AtLeast(value),
        "at_most" => Check::AtMost(value),
        "above" => Check::Above(value),
        _ => Check::Below(value),
    })
}

fn value(text: &str, at: Place, scalar: Scalar, problems: &mut Problems) -> Option<Literal> {
    match literal(text, scalar) {
        Ok(literal) => Some(literal),
        Err(right) => {
            let text = shorten(text);
            problems
                .none(at, format!("`{text}` should be {right}: it is compared with {}", scalar_name(scalar)))
        }
    }
}
