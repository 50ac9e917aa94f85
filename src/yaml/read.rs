//! Small readers of nodes: each answers a value, or a problem at its place that says what would be right.

use super::node::{Kind, Member, Node, key_name, shorten};
use super::problem::{Place, Problems};
use super::units::{number, parse_bytes, parse_duration};
use std::collections::BTreeSet;
use std::ops::RangeInclusive;

/// A map whose keys are known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Members<'a> {
    pub(crate) place: Place,
    members: &'a [Member],
}

/// A text with its place.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Name<'a> {
    pub(crate) text: &'a str,
    pub(crate) place: Place,
}

impl<'a> Members<'a> {
    /// Of a map that is not there.
    pub(crate) fn none(place: Place) -> Self {
        Members { place, members: &[] }
    }

    pub(crate) fn get(&self, key: &str) -> Option<&'a Node> {
        self.members.iter().find(|member| member.key == key).map(|member| &member.value)
    }

    /// A problem where it is absent; `what` says what should stand there.
    pub(crate) fn need(&self, key: &str, what: &str, problems: &mut Problems) -> Option<&'a Node> {
        let found = self.get(key);
        if found.is_none() {
            problems.add(self.place, format!("`{key}` is missing: {what}"));
        }
        found
    }
}

/// A map with any keys.
pub(crate) fn map<'a>(node: &'a Node, what: &str, problems: &mut Problems) -> Option<&'a [Member]> {
    match &node.kind {
        Kind::Map(members) => Some(members),
        _ => problems.none(node.place, format!("{} should be {what}", node.describe())),
    }
}

/// A map with these keys and no others.
pub(crate) fn closed<'a>(
    node: &'a Node,
    what: &str,
    known: &[&str],
    problems: &mut Problems,
) -> Option<Members<'a>> {
    let members = map(node, what, problems)?;
    for member in members {
        if !known.contains(&member.key.as_str()) {
            let near = problems.did_you_mean(&member.key, known.iter().copied());
            let keys = if near.is_empty() { format!("; known are {}", listed(known)) } else { near };
            problems.add(member.place, format!("`{}` is no key here{keys}", key_name(&member.key)));
        }
    }
    Some(Members { place: node.place, members })
}

/// `` `a`, `b` and `c` ``
pub(crate) fn listed<T: AsRef<str>>(names: &[T]) -> String {
    let quoted: Vec<String> = names.iter().map(|name| format!("`{}`", name.as_ref())).collect();
    match quoted.split_last() {
        Some((last, rest)) if !rest.is_empty() => format!("{} and {last}", rest.join(", ")),
        _ => quoted.join(", "),
    }
}

pub(crate) fn scalar<'a>(node: &'a Node, what: &str, problems: &mut Problems) -> Option<Name<'a>> {
    match &node.kind {
        Kind::Scalar(text) => Some(Name { text, place: node.place }),
        _ => problems.none(node.place, format!("{} should be {what}", node.describe())),
    }
}

/// A list of texts, each once.
pub(crate) fn names<'a>(node: &'a Node, what: &str, problems: &mut Problems) -> Option<Vec<Name<'a>>> {
    let Kind::List(items) = &node.kind else {
        return problems.none(node.place, format!("{} should be {what}", node.describe()));
    };
    let mut names: Vec<Name> = Vec::new();
    let mut seen = BTreeSet::new();
    for item in items {
        let Some(name) = scalar(item, "a name", problems) else { continue };
        match seen.insert(name.text) {
            true => names.push(name),
            false => problems.add(name.place, format!("`{}` stands in this list twice", shorten(name.text))),
        }
    }
    Some(names)
}

/// One text, or a list of texts with at least one.
pub(crate) fn one_or_more<'a>(node: &'a Node, what: &str, problems: &mut Problems) -> Option<Vec<Name<'a>>> {
    match &node.kind {
        Kind::Scalar(text) => Some(vec![Name { text, place: node.place }]),
        Kind::List(items) if items.is_empty() => {
            problems.none(node.place, format!("an empty list should be {what}"))
        }
        _ => names(node, what, problems),
    }
}

pub(crate) fn boolean(node: &Node, problems: &mut Problems) -> Option<bool> {
    match &node.kind {
        Kind::Scalar(text) if text == "true" => Some(true),
        Kind::Scalar(text) if text == "false" => Some(false),
        _ => problems.none(node.place, format!("{} should be `true` or `false`", node.describe())),
    }
}

pub(crate) fn integer(node: &Node, range: RangeInclusive<u64>, problems: &mut Problems) -> Option<u64> {
    let found = match &node.kind {
        Kind::Scalar(text) if !text.is_empty() => number(text).filter(|number| range.contains(number)),
        _ => None,
    };
    found.or_else(|| {
        let (low, high) = range.into_inner();
        problems
            .none(node.place, format!("{} should be a whole number from {low} to {high}", node.describe()))
    })
}

/// In microseconds.
pub(crate) fn duration(node: &Node, problems: &mut Problems) -> Option<i64> {
    let found = match &node.kind {
        Kind::Scalar(text) => parse_duration(text),
        _ => None,
    };
    found.or_else(|| {
        let message = format!(
            "{} should be a duration such as `90s`, `5m`, `24h` or `30d`, at most 36500d",
            node.describe()
        );
        problems.none(node.place, message)
    })
}

pub(crate) fn duration_within(
    node: &Node,
    (low, high): (&str, &str),
    problems: &mut Problems,
) -> Option<i64> {
    let found = duration(node, problems)?;
    let edge = |text| parse_duration(text).expect("limits are written as durations");
    if (edge(low)..=edge(high)).contains(&found) {
        return Some(found);
    }
    problems.none(node.place, format!("{} should be a duration from {low} to {high}", node.describe()))
}

pub(crate) fn bytes_within(node: &Node, (low, high): (&str, &str), problems: &mut Problems) -> Option<u64> {
    let edge = |text| parse_bytes(text).expect("limits are written as sizes");
    let found = match &node.kind {
        Kind::Scalar(text) => parse_bytes(text).filter(|size| (edge(low)..=edge(high)).contains(size)),
        _ => None,
    };
    found.or_else(|| {
        let message = format!("{} should be a size such as `128MiB`, from {low} to {high}", node.describe());
        problems.none(node.place, message)
    })
}

/// What a name may be made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pattern {
    /// Besides `a-z` and `0-9`, behind the first letter.
    pub(crate) extra: &'static str,
    pub(crate) max: usize,
}

/// What topics, groups and transactional ids begin with.
pub(crate) const DEPLOYMENT: Pattern = Pattern { extra: ".-", max: 80 };

impl Pattern {
    pub(crate) fn fits(self, name: &str) -> bool {
        let allowed = |byte: u8| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || self.extra.as_bytes().contains(&byte)
        };
        name.len() <= self.max
            && name.bytes().next().is_some_and(|first| first.is_ascii_lowercase())
            && name.bytes().all(allowed)
    }

    pub(crate) fn words(self) -> String {
        let Pattern { extra, max } = self;
        format!("at most {max} of `a-z0-9{extra}` that begins with a letter")
    }

    /// A problem unless the name is one.
    pub(crate) fn check(self, name: &str, at: Place, problems: &mut Problems) -> bool {
        let right = self.fits(name);
        if !right {
            problems.add(at, format!("`{}` should be a name of {}", shorten(name), self.words()));
        }
        right
    }
}
