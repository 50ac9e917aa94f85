//! YAML as a small tree that keeps the source text of every scalar, and its place.
//!
//! No scalar gets a type here: the place that it stands at decides, so `NO`, `007` and `12:30`
//! stay what somebody wrote. Size and depth are bounded; anchors, aliases and tags are refused.

use super::problem::{Place, Problem, Problems};
use saphyr_parser::{Event, Parser, ScalarStyle, Span};
use std::collections::BTreeMap;

/// A file for people is a page, not a data set.
const FILE_BYTES_MAX: usize = 1 << 20;
/// Deeper than any file of ours; reading and dropping the tree recurse this far.
const DEPTH_MAX: usize = 32;

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) place: Place,
    pub(crate) kind: Kind,
}

#[derive(Debug)]
pub(crate) enum Kind {
    /// An unquoted `null`, `~` or nothing at all.
    Null,
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<Member>),
}

#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) key: String,
    pub(crate) place: Place,
    pub(crate) value: Node,
}

impl Node {
    /// For problems: what stands here.
    pub(crate) fn describe(&self) -> String {
        match &self.kind {
            Kind::Null => "nothing".into(),
            Kind::Scalar(text) => format!("`{}`", shorten(text)),
            Kind::List(_) => "a list".into(),
            Kind::Map(_) => "a map".into(),
        }
    }
}

/// Long or strange text must not flood a list of problems.
pub(crate) fn shorten(text: &str) -> String {
    let mut short: String = text.chars().take(60).flat_map(char::escape_debug).collect();
    if text.chars().nth(60).is_some() {
        short.push('…');
    }
    short
}

/// A key for problems, up to a colon or an equals sign: to YAML `password:hunter2` is a key without a value, and
/// what follows must not be shown.
pub(crate) fn key_name(key: &str) -> String {
    let head = key.split([':', '=']).next().unwrap_or_default();
    let dots = if head.len() < key.len() { "…" } else { "" };
    format!("{}{dots}", shorten(head))
}

/// Reads the one document of a file that `holds` something, such as `a topology`. `None` only together with a
/// problem.
pub(crate) fn parse(text: &str, holds: &'static str, problems: &mut Problems) -> Option<Node> {
    if text.len() > FILE_BYTES_MAX {
        let message = format!("the file has {} bytes; at most {FILE_BYTES_MAX} are read", text.len());
        return problems.none(Place::START, message);
    }
    // Some editors begin a file with a byte order mark.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder { parser: Parser::new_from_str(text), holds, problems };
    match builder.document() {
        Ok(node) => Some(node),
        Err(stop) => problems.none(Place { line: stop.line, column: stop.column }, stop.message),
    }
}

struct Builder<'a> {
    parser: Parser<'a, saphyr_parser::StrInput<'a>>,
    holds: &'static str,
    problems: &'a mut Problems,
}

/// After this nothing else can be read.
type Stop = Problem;

impl<'a> Builder<'a> {
    fn next(&mut self) -> Result<(Event<'a>, Place), Stop> {
        match self.parser.next() {
            Some(Ok((event, span))) => Ok((event, place(span))),
            Some(Err(error)) => {
                let mark = error.marker();
                Err(stop(
                    Place { line: mark.line().max(1), column: mark.col() + 1 },
                    format!("this is not YAML: {}", error.info()),
                ))
            }
            None => Err(stop(Place::START, "the file ends inside a value")),
        }
    }

    fn document(&mut self) -> Result<Node, Stop> {
        loop {
            let (event, at) = self.next()?;
            match event {
                Event::StreamStart | Event::DocumentStart(_) | Event::Nothing => {}
                Event::StreamEnd => {
                    return Err(stop(at, format!("the file is empty; it should hold {}", self.holds)));
                }
                event => {
                    let node = self.node(event, at, 0)?;
                    self.end()?;
                    return Ok(node);
                }
            }
        }
    }

    fn end(&mut self) -> Result<(), Stop> {
        loop {
            match self.next()? {
                (Event::DocumentEnd | Event::Nothing, _) => {}
                (Event::StreamEnd, _) => return Ok(()),
                (_, at) => {
                    return Err(stop(at, "a second document begins here; a file holds one"));
                }
            }
        }
    }

    fn node(&mut self, event: Event<'a>, at: Place, depth: usize) -> Result<Node, Stop> {
        if depth > DEPTH_MAX {
            return Err(stop(at, format!("nested deeper than {DEPTH_MAX} levels")));
        }
        let kind = match event {
            Event::Scalar(text, style, anchor, tag) => {
                self.refuse(at, anchor, tag.is_some());
                match (style, &*text) {
                    (ScalarStyle::Plain, "" | "~" | "null" | "Null" | "NULL") => Kind::Null,
                    _ => Kind::Scalar(text.into_owned()),
                }
            }
            Event::SequenceStart(anchor, tag) => {
                self.refuse(at, anchor, tag.is_some());
                Kind::List(self.list(depth)?)
            }
            Event::MappingStart(anchor, tag) => {
                self.refuse(at, anchor, tag.is_some());
                Kind::Map(self.map(depth)?)
            }
            Event::Alias(_) => {
                self.problems.add(at, "aliases are not read here; write the value out");
                Kind::Null
            }
            _ => return Err(stop(at, "the file ends inside a value")),
        };
        Ok(Node { place: at, kind })
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Node>, Stop> {
        let mut items = Vec::new();
        loop {
            match self.next()? {
                (Event::SequenceEnd, _) => return Ok(items),
                (event, at) => items.push(self.node(event, at, depth + 1)?),
            }
        }
    }

    /// The first of several equal keys stays; the others are problems.
    fn map(&mut self, depth: usize) -> Result<Vec<Member>, Stop> {
        let mut members = Vec::new();
        let mut seen = BTreeMap::new();
        loop {
            let (event, at) = self.next()?;
            if event == Event::MappingEnd {
                return Ok(members);
            }
            let key = self.node(event, at, depth + 1)?;
            let (event, value_at) = self.next()?;
            let value = self.node(event, value_at, depth + 1)?;
            let key = match key.kind {
                Kind::Scalar(text) => text,
                // `null` is a name like any other where a name is meant.
                Kind::Null => "null".into(),
                Kind::List(_) | Kind::Map(_) => {
                    self.problems.add(at, "a key must be plain text");
                    continue;
                }
            };
            if let Some(first) = seen.get(&key) {
                let message = format!("`{}` stands here twice; the first is in line {first}", key_name(&key));
                self.problems.add(at, message);
                continue;
            }
            seen.insert(key.clone(), at.line);
            members.push(Member { key, place: at, value });
        }
    }

    fn refuse(&mut self, at: Place, anchor: usize, tagged: bool) {
        if anchor != 0 {
            self.problems.add(at, "anchors are not read here; write the value out where it is needed");
        }
        if tagged {
            self.problems.add(at, "tags are not read here; the key decides the type of its value");
        }
    }
}

fn place(span: Span) -> Place {
    Place { line: span.start.line().max(1), column: span.start.col() + 1 }
}

fn stop(at: Place, message: impl Into<String>) -> Stop {
    Problem { line: at.line, column: at.column, message: message.into() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn problems_of(text: &str) -> Vec<String> {
        let mut problems = Problems::default();
        let node = parse(text, "a topology", &mut problems);
        assert!(node.is_some() || !problems.is_empty(), "silence about {text:?}");
        problems.into_list().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn scalars_keep_their_source_text_and_place() {
        let mut problems = Problems::default();
        let node = parse("a: NO\nb: [007, 12:30, '1e3', ~]\n", "a list", &mut problems).expect("is YAML");

        let Kind::Map(members) = &node.kind else { panic!("{node:?}") };
        assert!(matches!(&members[0].value.kind, Kind::Scalar(text) if text == "NO"));
        let Kind::List(items) = &members[1].value.kind else { panic!("{node:?}") };
        let texts: Vec<String> = items.iter().map(Node::describe).collect();
        assert_eq!(texts, ["`007`", "`12:30`", "`1e3`", "nothing"]);
        assert_eq!(items[1].place, Place { line: 2, column: 10 });
        assert_eq!(problems.into_list(), []);
    }

    #[test]
    fn what_yaml_can_do_and_is_not_read_here_is_named() {
        assert_eq!(
            problems_of("a: &x 1\nb: *x\nc: !!str 2\na: 3\n? [d]\n: 4\n"),
            [
                "1:4: anchors are not read here; write the value out where it is needed",
                "2:4: aliases are not read here; write the value out",
                "3:4: tags are not read here; the key decides the type of its value",
                "4:1: `a` stands here twice; the first is in line 1",
                "5:3: a key must be plain text",
            ]
        );
        assert_eq!(
            problems_of("a: 1\n---\nb: 2\n"),
            ["2:1: a second document begins here; a file holds one"]
        );
        assert_eq!(problems_of("# nothing\n"), ["2:1: the file is empty; it should hold a topology"]);
    }

    #[test]
    fn size_and_depth_are_bounded() {
        assert!(problems_of(&"a".repeat(FILE_BYTES_MAX + 1))[0].contains("bytes"));
        assert!(problems_of(&"[".repeat(200))[0].contains("nested deeper"));
        assert!(problems_of(&"- ".repeat(100_000))[0].contains("nested deeper"));
        assert_eq!(problems_of(&"{a: ".repeat(100_000)).len(), 1);
    }

    proptest! {
        #[test]
        fn any_text_is_answered(text in "[-a-c:{}\\[\\]&*!#'\"|>%@?, \n\t\u{feff}é]{0,80}") {
            problems_of(&text);
        }
    }
}
