//! `cases.yaml`: what a topology does with a few events, as people read it.
//!
//! In: the text of the file. Out: cases, and the differences between what a case says and what was left.
//! A case lists everything: a row that it does not name must not be there.

mod differ;
mod yaml;

pub(super) use differ::differences;

use super::exit::Exit;
use super::row::Row;
use super::when;
use crate::model::LogTime;
use serde::Deserialize;
use serde_json::Value;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCase {
    case: String,
    events: Vec<RawEvent>,
    #[serde(default)]
    rows: Vec<Row>,
    #[serde(default)]
    refused: Vec<Refused>,
    #[serde(default)]
    set_aside: Vec<Row>,
    windows: Option<Vec<String>>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEvent {
    at: Option<String>,
    value: Value,
}

/// The event's number in its case, from 1, and the reason in one word.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Refused {
    pub(super) event: usize,
    pub(super) reason: String,
}

#[derive(Debug)]
pub(super) struct Case {
    pub(super) sentence: String,
    pub(super) line: usize,
    pub(super) events: Vec<Event>,
    pub(super) expected: Left,
    /// Look at the rows of these windows only. `None`: at all.
    pub(super) windows: Option<Vec<String>>,
}

#[derive(Debug)]
pub(super) struct Event {
    /// When the log took it. `None`: when it happened, or together with the one before it.
    pub(super) at: Option<LogTime>,
    pub(super) value: Vec<u8>,
}

/// All that the events of a case leave.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Left {
    pub(super) rows: Vec<Row>,
    pub(super) refused: Vec<Refused>,
    /// Set-aside records, with the event's number in place of its coordinate.
    pub(super) set_aside: Vec<Row>,
}

/// Reads a file of cases; `name` is the file's, for problems.
pub(super) fn parse(name: &str, text: &str) -> Result<Vec<Case>, Exit> {
    let items = yaml::items(text).map_err(|wrong| {
        Exit::invalid(format_args!("{name}:{}:{}: {}", wrong.line, wrong.column, wrong.message))
    })?;
    let mut cases = Vec::new();
    for (line, column, value) in items {
        let place = |problem: String| Exit::invalid(format_args!("{name}:{line}:{column}: {problem}"));
        let raw = serde_json::from_value::<RawCase>(value).map_err(|error| place(error.to_string()))?;
        cases.push(raw.check(line).map_err(place)?);
    }
    Ok(cases)
}

impl RawCase {
    fn check(self, line: usize) -> Result<Case, String> {
        let RawCase { case, events, rows, refused, set_aside, windows } = self;
        let count = events.len();
        if let Some(refused) = refused.iter().find(|refused| !(1..=count).contains(&refused.event)) {
            return Err(format!("event {} is refused, but there are {count}; the first is 1", refused.event));
        }
        let events = events.into_iter().map(RawEvent::check).collect::<Result<_, _>>()?;
        let expected = Left { rows, refused, set_aside };
        Ok(Case { sentence: case, line, events, expected, windows })
    }
}

impl RawEvent {
    /// A text is the record's bytes as they are, for what is no JSON; anything else is written as JSON.
    fn check(self) -> Result<Event, String> {
        let at = match &self.at {
            None => None,
            Some(at) => Some(when::instant(at).map_err(|exit| exit.message)?),
        };
        let value = match self.value {
            Value::String(text) => text.into_bytes(),
            value => value.to_string().into_bytes(),
        };
        Ok(Event { at, value })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_case_names_events_as_json_or_as_they_are() {
        let text = "- case: a sentence\n  events:\n    - {value: {a: 1}}\n    - {at: 1970-01-02, value: '{broken'}\n  refused: [{event: 2, reason: invalid_json}]\n";

        let cases = parse("cases.yaml", text).unwrap();

        let [case] = &cases[..] else { panic!("{cases:?}") };
        assert_eq!((case.sentence.as_str(), case.line), ("a sentence", 1));
        assert_eq!(case.events[0].value, b"{\"a\":1}");
        assert_eq!(case.events[1].value, b"{broken");
        assert_eq!(case.events[1].at, Some(LogTime(86_400_000_000)));
        assert_eq!(case.expected.refused, [Refused { event: 2, reason: "invalid_json".into() }]);
    }

    #[test]
    fn a_wrong_case_is_named_by_file_line_and_column() {
        let wrong = |text: &str| parse("f", text).unwrap_err();

        let unknown = wrong("- case: x\n  events: []\n- case: y\n  evnts: []\n");
        assert_eq!(unknown.code, 78);
        assert!(unknown.message.starts_with("f:3:3: unknown field `evnts`"), "{}", unknown.message);
        let outside = wrong("- {case: x, events: [], refused: [{event: 1, reason: missing}]}\n");
        assert_eq!(outside.message, "f:1:3: event 1 is refused, but there are 0; the first is 1");
    }
}
