//! `aggregates.<a>.values`: one function each, and the slots that a pane keeps for them.

use super::super::checked::{
    CellKind, ColumnIndex, Condition, Fold, Function, Scalar, Slot, SlotOrigin, Value, ValueIndex,
};
use super::super::names::COLUMN;
use super::condition::condition;
use super::contribution::Contributions;
use super::fields::scalar_name;
use crate::yaml::{Kind, Member, Members, Name, Node, Place, Problems, read};

const SLOTS_MAX: usize = 64;
const VALUES_MAX: usize = 200;
/// How deep differences may be made of differences: whoever computes one walks both sides.
const NESTING_MAX: usize = 8;
/// Of a mean or a ratio without one.
const SCALE_DEFAULT: u8 = 6;
const FUNCTIONS: [&str; 10] =
    ["count", "sum", "min", "max", "first", "last", "mean", "distinct", "ratio", "difference"];

/// A value whose function could not be read is `None`; its name still stands, for those who name it.
struct Draft<'a> {
    name: &'a str,
    place: Place,
    function: Option<Function>,
    when: Condition,
    scalar: Option<Scalar>,
}

/// By name: a map has no order, and what lies in blocks and state must not depend on one.
pub(crate) fn values(
    node: &Node,
    contributions: &mut Contributions<'_>,
    problems: &mut Problems,
) -> Option<Vec<Value>> {
    let members = read::map(node, "a map of names and functions", problems)?;
    if members.len() > VALUES_MAX {
        return problems
            .none(node.place, format!("{} values; an aggregate has at most {VALUES_MAX}", members.len()));
    }
    let mut members: Vec<&Member> = members.iter().collect();
    members.sort_by_key(|member| &member.key);
    let names: Vec<&str> = members.iter().map(|member| member.key.as_str()).collect();
    let drafts: Vec<Draft> =
        members.iter().map(|member| draft(member, &names, contributions, problems)).collect();
    check_derived(&drafts, problems);
    let derived =
        |draft: &Draft| matches!(draft.function, Some(Function::Ratio { .. } | Function::Difference(..)));
    if drafts.iter().all(derived) {
        problems.add(node.place, "no value is counted or summed here; an aggregate needs at least one");
    }
    let value =
        |draft: Draft| Some(Value { name: draft.name.into(), function: draft.function?, when: draft.when });
    drafts.into_iter().map(value).collect()
}

fn draft<'a>(
    member: &'a Member,
    names: &[&str],
    contributions: &mut Contributions<'_>,
    problems: &mut Problems,
) -> Draft<'a> {
    COLUMN.check(&member.key, member.place, problems);
    let read = function(&member.value, names, contributions, problems);
    let (function, scalar, when) = read.map_or((None, None, None), |(f, s, w)| (Some(f), s, Some(w)));
    Draft { name: &member.key, place: member.place, function, when: when.unwrap_or_default(), scalar }
}

fn function(
    node: &Node,
    names: &[&str],
    contributions: &mut Contributions<'_>,
    problems: &mut Problems,
) -> Option<(Function, Option<Scalar>, Condition)> {
    let mut known = FUNCTIONS.to_vec();
    known.extend(["when", "scale"]);
    let members = read::closed(node, "a function, such as `{ count: events }`", &known, problems)?;
    let given: Vec<&str> = FUNCTIONS.into_iter().filter(|name| members.get(name).is_some()).collect();
    let [key] = given[..] else {
        let message = match given.len() {
            0 => format!("a value has one function of {}", read::listed(&FUNCTIONS)),
            _ => format!("a value has one function; here are {}", read::listed(&given)),
        };
        return problems.none(node.place, message);
    };
    let operand = members.get(key)?;
    let scale = scale(key, members, problems);
    let is_derived = matches!(key, "ratio" | "difference");
    // Columns are numbered in this order: the operand's first.
    let read = match key {
        "count" => count(operand, problems).map(|function| (function, None)),
        "ratio" | "difference" => pair(operand, names, problems).and_then(|(a, b)| {
            Some((
                if key == "ratio" {
                    Function::Ratio { over: a, under: b, scale: scale? }
                } else {
                    Function::Difference(a, b)
                },
                None,
            ))
        }),
        _ => folded(key, operand, scale, contributions, problems),
    };
    let when = match members.get("when") {
        Some(node) if is_derived => {
            let message = format!("`{key}` takes no `when`: give it to the values that it is made of");
            problems.none(node.place, message)
        }
        Some(node) => condition(node, &mut |name, problems| contributions.column(name, problems), problems),
        None => Some(Condition::default()),
    };
    let (function, scalar) = read?;
    Some((function, scalar, when?))
}

fn scale(key: &str, members: Members<'_>, problems: &mut Problems) -> Option<u8> {
    let Some(node) = members.get("scale") else { return Some(SCALE_DEFAULT) };
    if !matches!(key, "mean" | "ratio") {
        return problems.none(node.place, format!("`scale` is for `mean` and `ratio`, not for `{key}`"));
    }
    read::integer(node, 0..=18, problems).and_then(|scale| u8::try_from(scale).ok())
}

fn count(node: &Node, problems: &mut Problems) -> Option<Function> {
    match &node.kind {
        Kind::Scalar(text) if text == "events" => Some(Function::CountEvents),
        Kind::Scalar(text) if text == "elements" => Some(Function::CountElements),
        _ => problems.none(node.place, format!("{} should be `events` or `elements`", node.describe())),
    }
}

fn folded(
    key: &str,
    operand: &Node,
    scale: Option<u8>,
    contributions: &mut Contributions<'_>,
    problems: &mut Problems,
) -> Option<(Function, Option<Scalar>)> {
    let name = read::scalar(operand, "the name of a field or of something under `set`", problems)?;
    let (column, scalar) = contributions.column(name, problems)?;
    let is_exact = scalar.scale().is_some();
    let (fits, wanted) = match key {
        "sum" | "mean" => (is_exact, "int or decimal"),
        "min" | "max" => (is_exact || scalar == Scalar::Double, "int, decimal or double"),
        "distinct" => (!matches!(scalar, Scalar::Double | Scalar::Json), "anything but double and json"),
        _ => (true, "any value"),
    };
    if !fits {
        let message = format!("`{key}` takes {wanted}; `{}` is {}", name.text, scalar_name(scalar));
        return problems.none(name.place, message);
    }
    Some((function_of(key, column, scale?), Some(scalar)))
}

fn function_of(key: &str, column: ColumnIndex, scale: u8) -> Function {
    match key {
        "sum" => Function::Sum(column),
        "min" => Function::Min(column),
        "max" => Function::Max(column),
        "first" => Function::First(column),
        "last" => Function::Last(column),
        "mean" => Function::Mean { column, scale },
        "distinct" => Function::Distinct(column),
        other => unreachable!("`{other}` is not folded over a column"),
    }
}

fn pair(node: &Node, names: &[&str], problems: &mut Problems) -> Option<(ValueIndex, ValueIndex)> {
    let items = match &node.kind {
        Kind::List(items) if items.len() == 2 => items,
        _ => {
            return problems.none(
                node.place,
                format!("{} should be a list of two values of this aggregate", node.describe()),
            );
        }
    };
    let mut find = |node: &Node| {
        let Name { text, place } = read::scalar(node, "the name of a value of this aggregate", problems)?;
        names.iter().position(|name| *name == text).or_else(|| {
            let near = problems.did_you_mean(text, names.iter().copied());
            problems.none(place, format!("`{text}` is no value of this aggregate{near}"))
        })
    };
    let (a, b) = (find(&items[0]), find(&items[1]));
    Some((a?, b?))
}

/// What a value is to those who divide or subtract it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Quantity {
    Count,
    Number { scale: u8 },
}

fn check_derived(drafts: &[Draft<'_>], problems: &mut Problems) {
    for draft in drafts {
        let (a, b, key) = match draft.function {
            Some(Function::Ratio { over, under, .. }) => (over, under, "ratio"),
            Some(Function::Difference(a, b)) => (a, b, "difference"),
            _ => continue,
        };
        let mut sides = Vec::new();
        for side in [a, b] {
            match quantity(drafts, side, NESTING_MAX) {
                Ok(found) => sides.push(found),
                Err(Unfit::Deep) => {
                    let message = format!(
                        "`{}` is made of itself, or of differences nested deeper than {NESTING_MAX}",
                        draft.name
                    );
                    problems.add(draft.place, message);
                }
                Err(Unfit::NoNumber(what)) => problems.add(
                    draft.place,
                    format!("`{key}` takes exact numbers; `{}` is {what}", drafts[side].name),
                ),
                Err(Unfit::Broken) => {}
            }
        }
        if let ("difference", [one, other]) = (key, &sides[..])
            && one != other
        {
            let message = format!(
                "`difference` takes two counts, or two numbers of one scale; these are {} and {}",
                one.describe(),
                other.describe()
            );
            problems.add(draft.place, message);
        }
    }
}

impl Quantity {
    fn describe(self) -> String {
        match self {
            Quantity::Count => "a count".into(),
            Quantity::Number { scale } => format!("a number of scale {scale}"),
        }
    }
}

enum Unfit {
    Deep,
    NoNumber(String),
    /// A problem already.
    Broken,
}

/// `steps` bounds the walk, which a cycle would never end.
fn quantity(drafts: &[Draft<'_>], index: ValueIndex, steps: usize) -> Result<Quantity, Unfit> {
    let draft = &drafts[index];
    match draft.function.as_ref().ok_or(Unfit::Broken)? {
        Function::CountEvents | Function::CountElements | Function::Distinct(_) => Ok(Quantity::Count),
        Function::Sum(_) | Function::Min(_) | Function::Max(_) | Function::First(_) | Function::Last(_) => {
            let scalar = draft.scalar.ok_or(Unfit::Broken)?;
            let no_number = || Unfit::NoNumber(scalar_name(scalar));
            Ok(Quantity::Number { scale: scalar.scale().ok_or_else(no_number)? })
        }
        Function::Mean { .. } => Err(Unfit::NoNumber("a mean, which is rounded".into())),
        Function::Ratio { .. } => Err(Unfit::NoNumber("a ratio, which is rounded".into())),
        Function::Difference(a, b) => {
            let steps = steps.checked_sub(1).ok_or(Unfit::Deep)?;
            let one = quantity(drafts, *a, steps)?;
            // Only for the cycle that it may hide; unequal sides are reported where they stand.
            quantity(drafts, *b, steps)?;
            Ok(one)
        }
    }
}

/// First the values that are folded, in their order, then the carried columns.
pub(crate) fn slots(
    values: &[Value],
    carry: &[ColumnIndex],
    scalar_of: impl Fn(ColumnIndex) -> Scalar,
    at: Place,
    problems: &mut Problems,
) -> Vec<Slot> {
    let mut slots = Vec::new();
    for (index, value) in values.iter().enumerate() {
        let (fold, cell) = match value.function {
            Function::CountEvents | Function::CountElements => (Fold::Count, CellKind::Count),
            Function::Sum(column) => (Fold::Sum, scalar_of(column).cell()),
            Function::Min(column) => (Fold::Min, scalar_of(column).cell()),
            Function::Max(column) => (Fold::Max, scalar_of(column).cell()),
            Function::First(column) => (Fold::First, scalar_of(column).cell()),
            Function::Last(column) => (Fold::Last, scalar_of(column).cell()),
            Function::Mean { column, .. } => (Fold::Mean, scalar_of(column).cell()),
            Function::Distinct(_) => (Fold::Distinct, CellKind::Hash),
            Function::Ratio { .. } | Function::Difference(..) => continue,
        };
        slots.push(Slot { fold, cell, origin: SlotOrigin::Value(index) });
    }
    for &column in carry {
        slots.push(Slot {
            fold: Fold::Last,
            cell: scalar_of(column).cell(),
            origin: SlotOrigin::Carry(column),
        });
    }
    if slots.len() > SLOTS_MAX {
        let message = format!(
            "{} values and carried columns are kept here; at most {SLOTS_MAX} fit: split the aggregate",
            slots.len()
        );
        problems.add(at, message);
    }
    slots
}
