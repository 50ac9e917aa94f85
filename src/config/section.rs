//! One map of the file, read key by key.
//!
//! Every reader answers a value, or `None` with a problem that says what would be right. A key without a value
//! (`region:` with nothing behind it) is a key that is not there. No problem repeats what stands in the file.

use super::limits::{self, DURATIONS, SIZES};
use super::secret::SecretFrom;
use crate::model::Secret;
use crate::yaml::{Kind, Member, Members, Name, Node, Place, Problems, read};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

#[derive(Debug, Clone, Copy)]
pub(super) struct Section<'a> {
    path: &'static str,
    known: &'static [&'static str],
    members: Members<'a>,
    /// A map, or nothing where one may stand. Of what is neither, nobody knows what is missing.
    is_sound: bool,
}

impl<'a> Section<'a> {
    pub(super) fn root(node: &'a Node, problems: &mut Problems) -> Self {
        let outer = Section { path: "", known: &[], members: Members::none(node.place), is_sound: true };
        outer.of(Some(node), "", problems)
    }

    /// The map below `key`; an empty one where there is none.
    pub(super) fn section(&self, key: &str, problems: &mut Problems) -> Section<'a> {
        self.of(self.get(key), &self.path_of(key), problems)
    }

    fn of(&self, node: Option<&'a Node>, path: &str, problems: &mut Problems) -> Section<'a> {
        let (path, known) = limits::section(path);
        let place = node.map_or(self.members.place, |node| node.place);
        let members = match node {
            Some(node) if matches!(node.kind, Kind::Map(_)) => read::closed(node, "a map", known, problems),
            Some(_) => {
                let what = if path.is_empty() { "the file".into() } else { format!("`{path}`") };
                problems.none(place, format!("{what} should be a map of {}", read::listed(known)))
            }
            None => None,
        };
        let is_sound = self.is_sound && node.is_some() == members.is_some();
        Section { path, known, members: members.unwrap_or(Members::none(place)), is_sound }
    }

    fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.into() } else { format!("{}.{key}", self.path) }
    }

    /// The whole name of a key, for problems.
    pub(super) fn name(&self, key: &str) -> String {
        format!("`{}`", self.path_of(key))
    }

    pub(super) fn get(&self, key: &str) -> Option<&'a Node> {
        debug_assert!(self.known.contains(&key), "{} is in no list", self.name(key));
        self.members.get(key).filter(|node| !matches!(node.kind, Kind::Null))
    }

    pub(super) fn has(&self, key: &str) -> bool {
        self.get(key).is_some()
    }

    /// Is it this text?
    pub(super) fn is(&self, key: &str, word: &str) -> bool {
        matches!(self.get(key).map(|node| &node.kind), Some(Kind::Scalar(text)) if text == word)
    }

    /// The first of `keys` that is there.
    pub(super) fn first<'b>(&self, keys: &[&'b str]) -> Option<&'b str> {
        keys.iter().copied().find(|key| self.has(key))
    }

    /// Of the value; of the map where there is none.
    pub(super) fn place(&self, key: &str) -> Place {
        self.get(key).map_or(self.members.place, |node| node.place)
    }

    pub(super) fn should<T>(&self, key: &str, what: &str, problems: &mut Problems) -> Option<T> {
        problems.none(self.place(key), format!("{} should be {what}", self.name(key)))
    }

    /// A problem unless `key` is there; `what` says what it is for.
    pub(super) fn need(&self, key: &str, what: &str, problems: &mut Problems) -> bool {
        let has = self.has(key);
        if !has && self.is_sound {
            problems.add(self.members.place, format!("{} is missing: {what}", self.name(key)));
        }
        has
    }

    /// A problem for each of `keys` that is there.
    pub(super) fn refuse(&self, keys: &[&str], why: &str, problems: &mut Problems) {
        for key in keys.iter().filter(|key| self.has(key)) {
            problems.add(self.place(key), format!("{} {why}", self.name(key)));
        }
    }

    /// One line of text.
    pub(super) fn text(&self, key: &str, problems: &mut Problems) -> Option<&'a str> {
        match &self.get(key)?.kind {
            Kind::Scalar(text) if is_line(text) => Some(text),
            _ => self.should(key, "one line of text", problems),
        }
    }

    /// Texts: a list, or one text with commas.
    pub(super) fn texts(&self, key: &str, problems: &mut Problems) -> Option<Vec<Name<'a>>> {
        let node = self.get(key)?;
        let names: Vec<Name> = match &node.kind {
            Kind::Scalar(text) => {
                text.split(',').map(|part| Name { text: part.trim(), place: node.place }).collect()
            }
            Kind::List(items) => items
                .iter()
                .map(|item| match &item.kind {
                    Kind::Scalar(text) => Name { text, place: item.place },
                    _ => Name { text: "", place: item.place },
                })
                .collect(),
            Kind::Null | Kind::Map(_) => return self.should(key, "a list, or text with commas", problems),
        };
        for name in names.iter().filter(|name| !is_line(name.text)) {
            problems.add(name.place, format!("{} has an item that is no text", self.name(key)));
        }
        if names.is_empty() {
            return self.should(key, "a list that is not empty", problems);
        }
        names.iter().all(|name| is_line(name.text)).then_some(names)
    }

    /// One of AWS, under the key of that name.
    pub(super) fn region(&self, problems: &mut Problems) -> Option<&'a str> {
        let region = self.text("region", problems)?;
        let is_plain = region.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if is_plain {
            Some(region)
        } else {
            self.should("region", "a region such as `eu-central-1`", problems)
        }
    }

    pub(super) fn file(&self, key: &str, problems: &mut Problems) -> Option<PathBuf> {
        self.text(key, problems).map(PathBuf::from)
    }

    pub(super) fn secret(&self, key: &str, problems: &mut Problems) -> Option<Secret> {
        self.text(key, problems).map(Secret::new)
    }

    /// The secret itself, or the file that holds it.
    pub(super) fn secret_from(
        &self,
        (key, file_key): (&str, &str),
        problems: &mut Problems,
    ) -> Option<SecretFrom> {
        if self.has(key) && self.has(file_key) {
            let message = format!(
                "{} is given, and so is {}; one of them is enough",
                self.name(key),
                self.name(file_key)
            );
            problems.add(self.place(file_key), message);
        }
        let value = self.secret(key, problems).map(SecretFrom::Value);
        let file = self.file(file_key, problems).map(SecretFrom::File);
        value.or(file)
    }

    pub(super) fn flag(&self, key: &str, problems: &mut Problems) -> Option<bool> {
        let words = [("true", true), ("false", false)];
        self.word(key, &words, problems)
    }

    /// One of a few words.
    pub(super) fn word<T: Copy>(&self, key: &str, words: &[(&str, T)], problems: &mut Problems) -> Option<T> {
        let node = self.get(key)?;
        let given = if let Kind::Scalar(text) = &node.kind { text } else { "" };
        if let Some((_, meant)) = words.iter().find(|(word, _)| *word == given) {
            return Some(*meant);
        }
        let known: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let near = problems.did_you_mean(given, known.iter().copied());
        self.should(key, &format!("one of {}{near}", read::listed(&known)), problems)
    }

    pub(super) fn integer(
        &self,
        key: &str,
        range: RangeInclusive<u32>,
        what: &str,
        problems: &mut Problems,
    ) -> Option<u32> {
        let found = match &self.get(key)?.kind {
            // Rust takes a sign, too.
            Kind::Scalar(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => text.parse().ok(),
            _ => None,
        };
        found.filter(|number| range.contains(number)).or_else(|| self.should(key, what, problems))
    }

    /// The default where the key is not there.
    pub(super) fn duration(&self, key: &str, problems: &mut Problems) -> Option<Duration> {
        self.measure(key, DURATIONS, limits::time, "a duration such as `500ms`, `15s` or `2m`", problems)
    }

    /// As [`Section::duration`].
    pub(super) fn size(&self, key: &str, problems: &mut Problems) -> Option<usize> {
        self.measure(key, SIZES, limits::size, "a size such as `64KiB` or `48MiB`", problems)
    }

    fn measure<T: PartialOrd>(
        &self,
        key: &str,
        limits: &'static [limits::Limit],
        parse: fn(&str) -> Option<T>,
        what: &str,
        problems: &mut Problems,
    ) -> Option<T> {
        let limit = limits::find(limits, &self.path_of(key));
        let own = |text| parse(text).expect("limits are written as what they limit");
        let Some(node) = self.get(key) else { return Some(own(limit.default)) };
        let found = if let Kind::Scalar(text) = &node.kind { parse(text) } else { None };
        let within = |value: &T| (own(limit.low)..=own(limit.high)).contains(value);
        found
            .filter(within)
            .or_else(|| self.should(key, &format!("{what}, from {} to {}", limit.low, limit.high), problems))
    }

    /// A map whose keys are somebody else's.
    pub(super) fn open_map(&self, key: &str, problems: &mut Problems) -> &'a [Member] {
        match self.get(key).map(|node| &node.kind) {
            None => &[],
            Some(Kind::Map(members)) => members,
            Some(_) => self.should(key, "a map of names and values", problems).unwrap_or_default(),
        }
    }
}

/// Not empty, and without line breaks: those of a badly made secret are hard to find.
pub(super) fn is_line(text: &str) -> bool {
    !text.is_empty() && !text.contains(char::is_control)
}
