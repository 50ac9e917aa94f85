//! One aggregate, and one history.

use super::super::checked::{
    Aggregate, ColumnIndex, Condition, FieldIndex, FieldType, History, Micros, Scalar,
};
use super::super::names::PART;
use super::condition::condition;
use super::contribution::Contributions;
use super::fields::{Fields, scalar_name};
use super::values::{slots, values};
use super::windows::windows;
use crate::yaml::{Kind, Member, Name, Node, Problems, read};

pub(crate) fn aggregate(
    member: &Member,
    fields: &Fields,
    lateness: Micros,
    problems: &mut Problems,
) -> Option<Aggregate> {
    PART.check(&member.key, member.place, problems);
    let known = ["by", "carry", "inputs", "windows", "keep", "values"];
    let members = read::closed(&member.value, "an aggregate", &known, problems)?;
    let mut contributions = Contributions::read(fields, members.get("inputs"), problems);
    let by = members
        .need("by", "the names that make the key; `[]` is one row per tenant", problems)
        .and_then(|node| key_columns(node, &mut contributions, problems));
    let carry = match members.get("carry") {
        Some(node) => carried(node, by.as_deref().unwrap_or_default(), &mut contributions, problems),
        None => Some(Vec::new()),
    };
    let values = members
        .need("values", "a map of names and functions, such as `orders: { count: events }`", problems)
        .and_then(|node| values(node, &mut contributions, problems));
    let windows = members
        .need("windows", "a list such as `[hour, day, rolling 24h]`", problems)
        .and_then(|node| windows(node, members.get("keep"), lateness, problems));
    let (columns, inputs) = contributions.finish();
    let (by, carry, windows, values) = (by?, carry?, windows?, values?);
    let slots = slots(&values, &carry, |column| columns[column].scalar, member.place, problems);
    Some(Aggregate { name: member.key.clone(), by, carry, columns, inputs, windows, values, slots })
}

fn key_columns(
    node: &Node,
    contributions: &mut Contributions<'_>,
    problems: &mut Problems,
) -> Option<Vec<ColumnIndex>> {
    let names = read::names(node, "a list of names; `[]` is one row per tenant", problems)?;
    let columns: Vec<_> = names
        .into_iter()
        .map(|name| {
            let (column, scalar) = contributions.column(name, problems)?;
            is_key(name, scalar, problems).then_some(column)
        })
        .collect();
    columns.into_iter().collect()
}

/// Equal values must have one text.
fn is_key(name: Name<'_>, scalar: Scalar, problems: &mut Problems) -> bool {
    let right = !matches!(scalar, Scalar::Double | Scalar::Json);
    if !right {
        problems.add(name.place, format!("`{}` is {}, which makes no key", name.text, scalar_name(scalar)));
    }
    right
}

fn carried(
    node: &Node,
    by: &[ColumnIndex],
    contributions: &mut Contributions<'_>,
    problems: &mut Problems,
) -> Option<Vec<ColumnIndex>> {
    let names = read::names(node, "a list of names", problems)?;
    let columns: Vec<_> = names
        .into_iter()
        .map(|name| {
            let (column, _) = contributions.column(name, problems)?;
            if by.contains(&column) {
                return problems.none(name.place, format!("`{}` is in the key already", name.text));
            }
            Some(column)
        })
        .collect();
    columns.into_iter().collect()
}

pub(crate) fn history(member: &Member, fields: &Fields, problems: &mut Problems) -> Option<History> {
    PART.check(&member.key, member.place, problems);
    let members = read::closed(&member.value, "a history", &["by", "when", "columns", "keep"], problems)?;
    let by = members
        .need("by", "the fields that a history is read by", problems)
        .and_then(|node| history_key(node, fields, problems));
    let when = match members.get("when") {
        Some(node) => condition(node, &mut |name, problems| fields.find_scalar(name, problems), problems),
        None => Some(Condition::default()),
    };
    let columns = members
        .need("columns", "the fields that a history shows", problems)
        .and_then(|node| history_columns(node, fields, problems));
    let keep = members
        .need("keep", "a duration such as `400d`", problems)
        .and_then(|node| read::duration_within(node, ("1m", "36500d"), problems));
    Some(History { name: member.key.clone(), by: by?, when: when?, columns: columns?, keep: keep? })
}

fn history_key(node: &Node, fields: &Fields, problems: &mut Problems) -> Option<Vec<FieldIndex>> {
    let names = read::one_or_more(node, "a list of fields", problems)?;
    let indices: Vec<_> = names
        .into_iter()
        .map(|name| {
            let (index, scalar) = fields.find_scalar(name, problems)?;
            is_key(name, scalar, problems).then_some(index)
        })
        .collect();
    indices.into_iter().collect()
}

fn history_columns(node: &Node, fields: &Fields, problems: &mut Problems) -> Option<Vec<FieldIndex>> {
    if matches!(node.kind, Kind::Scalar(_)) {
        return problems.none(node.place, format!("{} should be a list of fields", node.describe()));
    }
    let names = read::one_or_more(node, "a list of fields", problems)?;
    let indices: Vec<_> = names.into_iter().map(|name| fields.find(name, problems)).collect();
    indices.into_iter().collect()
}

/// The type of an id, the tenant or the category: text that stands the same wherever it is written.
pub(crate) fn is_text(ty: &FieldType) -> bool {
    matches!(ty, FieldType::Scalar(Scalar::Text | Scalar::Uuid))
}
