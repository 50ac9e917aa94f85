//! YAML as JSON values, for `cases.yaml`: plain scalars that JSON knows become what they look like, all
//! others are text. Anchors and aliases may be used, because rows of several windows repeat their values.

use saphyr_parser::{Event, Parser, ScalarStyle, Span, StrInput};
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// Deeper than any case; reading recurses this far.
const DEPTH_MAX: usize = 64;
/// Aliases of aliases grow without end in a small file.
const NODES_MAX: usize = 1_000_000;

/// Where it is wrong, from 1, and why.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Wrong {
    pub(super) line: usize,
    pub(super) column: usize,
    pub(super) message: String,
}

/// The items of the file's one list, each with its line and column.
pub(super) fn items(text: &str) -> Result<Vec<(usize, usize, Value)>, Wrong> {
    let mut builder = Builder { parser: Parser::new_from_str(text), anchors: BTreeMap::new(), nodes: 0 };
    loop {
        match builder.next()? {
            (Event::StreamStart | Event::DocumentStart(_) | Event::Nothing, _) => {}
            (Event::SequenceStart(..), _) => break,
            (_, at) => return Err(wrong(at, "a file of cases is a list: `- case: …`")),
        }
    }
    let mut items = Vec::new();
    loop {
        match builder.next()? {
            (Event::SequenceEnd, _) => break,
            (event, at) => items.push((line(at), column(at), builder.value(event, at, 0)?)),
        }
    }
    loop {
        match builder.next()? {
            (Event::DocumentEnd | Event::Nothing, _) => {}
            (Event::StreamEnd, _) => return Ok(items),
            (_, at) => {
                return Err(wrong(at, "a second document begins here; a file holds one list of cases"));
            }
        }
    }
}

struct Builder<'a> {
    parser: Parser<'a, StrInput<'a>>,
    /// Each value with the number of its nodes.
    anchors: BTreeMap<usize, (Value, usize)>,
    nodes: usize,
}

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Span), Wrong> {
        match self.parser.next() {
            Some(Ok(event)) => Ok(event),
            Some(Err(error)) => Err(Wrong {
                line: error.marker().line().max(1),
                column: error.marker().col() + 1,
                message: format!("this is not YAML: {}", error.info()),
            }),
            None => Err(Wrong { line: 1, column: 1, message: "the file ends inside a value".into() }),
        }
    }

    fn value(&mut self, event: Event<'a>, at: Span, depth: usize) -> Result<Value, Wrong> {
        if depth > DEPTH_MAX {
            return Err(wrong(at, format!("nested deeper than {DEPTH_MAX} levels")));
        }
        self.count(1, at)?;
        let before = self.nodes;
        let (value, anchor) = match event {
            Event::Scalar(text, style, anchor, _) => (scalar(&text, style), anchor),
            Event::SequenceStart(anchor, _) => (self.list(depth)?, anchor),
            Event::MappingStart(anchor, _) => (self.map(depth)?, anchor),
            Event::Alias(anchor) => {
                let known = self.anchors.get(&anchor).cloned();
                let (value, nodes) = known.ok_or_else(|| wrong(at, "an alias inside its own anchor"))?;
                self.count(nodes, at)?;
                (value, 0)
            }
            _ => return Err(wrong(at, "the file ends inside a value")),
        };
        if anchor != 0 {
            self.anchors.insert(anchor, (value.clone(), self.nodes - before));
        }
        Ok(value)
    }

    fn count(&mut self, nodes: usize, at: Span) -> Result<(), Wrong> {
        self.nodes += nodes;
        if self.nodes > NODES_MAX { Err(wrong(at, format!("more than {NODES_MAX} values"))) } else { Ok(()) }
    }

    fn list(&mut self, depth: usize) -> Result<Value, Wrong> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(Value::Array(items)),
                (event, at) => items.push(self.value(event, at, depth + 1)?),
            }
        }
    }

    fn map(&mut self, depth: usize) -> Result<Value, Wrong> {
        let mut members = Map::new();
        loop {
            let (event, at) = self.next()?;
            let key = match event {
                Event::MappingEnd => return Ok(Value::Object(members)),
                Event::Scalar(text, ..) => text.into_owned(),
                _ => return Err(wrong(at, "a key must be plain text")),
            };
            let (event, value_at) = self.next()?;
            let value = self.value(event, value_at, depth + 1)?;
            if members.insert(key.clone(), value).is_some() {
                return Err(wrong(at, format!("`{key}` stands here twice")));
            }
        }
    }
}

fn scalar(text: &str, style: ScalarStyle) -> Value {
    let is_json = style == ScalarStyle::Plain
        && text
            .bytes()
            .next()
            .is_some_and(|first| first == b'-' || first.is_ascii_digit() || b"tfn".contains(&first));
    match text {
        "" | "~" if style == ScalarStyle::Plain => Value::Null,
        _ if is_json => serde_json::from_str(text).unwrap_or_else(|_| text.into()),
        _ => text.into(),
    }
}

fn line(at: Span) -> usize {
    at.start.line().max(1)
}

fn column(at: Span) -> usize {
    at.start.col() + 1
}

fn wrong(at: Span, message: impl Into<String>) -> Wrong {
    Wrong { line: line(at), column: column(at), message: message.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn plain_scalars_are_what_they_look_like_and_quoted_ones_are_text() {
        let items =
            items("- {a: 5, b: 5.50, c: \"5\", d: true, e: ~, f: NO, g: 2026-11-01T12:30:00Z, h: -1}\n");

        let expected = json!({"a": 5, "b": 5.5, "c": "5", "d": true, "e": null, "f": "NO", "g": "2026-11-01T12:30:00Z", "h": -1});
        assert_eq!(items, Ok(vec![(1, 3, expected)]));
    }

    #[test]
    fn an_alias_repeats_its_anchor() {
        let items = items("- a: &v {n: 1}\n- b: *v\n").unwrap();

        assert_eq!(items[1], (2, 3, json!({"b": {"n": 1}})));
    }

    #[test]
    fn a_file_that_is_wrong_says_where() {
        assert_eq!(items("a: 1\n").unwrap_err().message, "a file of cases is a list: `- case: …`");
        let twice = items("- a: 1\n  a: 2\n").unwrap_err();
        assert_eq!((twice.line, twice.column, twice.message.as_str()), (2, 3, "`a` stands here twice"));
        assert!(items(&"- ".repeat(10_000)).unwrap_err().message.contains("deeper"));
    }

    #[test]
    fn aliases_of_aliases_are_bounded() {
        let mut text = String::from("- &a0 [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]\n");
        for level in 1..12 {
            let before = format!("*a{}, ", level - 1).repeat(10);
            text.push_str(&format!("- &a{level} [{before}]\n"));
        }
        assert!(items(&text).unwrap_err().message.contains("more than"));
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "[-a-c:{}\\[\\]&*!#'\"|>%@?, \n\t\u{feff}é]{0,80}") {
            let _ = items(&text);
        }
    }
}
