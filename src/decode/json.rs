//! A strict reader of JSON text (RFC 8259) that walks over one record and never copies.
//!
//! In: bytes that are UTF-8. Out: where strings, numbers and values lie, or the first thing that is
//! wrong. Bounds of `model::limits` (depth, nodes, string length) hold for everything that it walks
//! over, declared or not. Skipping is a loop with one bit a level, so nesting costs no stack.

use super::refusal::{Refusal, Result};
use crate::model::plain::{plain_end, quote};
use crate::model::{DEPTH_MAX, NODES_MAX, Rejection, STRING_BYTES_MAX};

#[derive(Debug)]
pub(super) struct Json<'a> {
    /// The batch's buffer up to the end of the record: places are those of the batch.
    bytes: &'a [u8],
    pub(super) at: usize,
    /// Values begun so far.
    pub(super) nodes: usize,
    /// Neither a backslash nor a control character is in the record, so every string ends at the next quote.
    is_plain: bool,
}

/// A string between its quotes.
#[derive(Debug, Clone, Copy)]
pub(super) struct StringAt {
    pub(super) start: usize,
    pub(super) end: usize,
    pub(super) escaped: bool,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct NumberAt<'a> {
    pub(super) text: &'a [u8],
    pub(super) negative: bool,
    /// All digits as one integer, and how many of them stand behind the point; `None` with an
    /// exponent or more than 18 digits.
    pub(super) plain: Option<(u64, u8)>,
}

impl<'a> Json<'a> {
    pub(super) fn new(bytes: &'a [u8], at: usize) -> Self {
        Json { bytes, at, nodes: 0, is_plain: false }
    }

    /// Of a record of which it is known whether it is plain.
    pub(super) fn surveyed(bytes: &'a [u8], at: usize, is_plain: bool) -> Self {
        Json { bytes, at, nodes: 0, is_plain }
    }

    /// All that was not read yet.
    pub(super) fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at..]
    }

    /// The next byte; 0, which no JSON begins with, at the end.
    pub(super) fn peek(&self) -> u8 {
        self.bytes.get(self.at).copied().unwrap_or(0)
    }

    pub(super) fn space(&mut self) {
        // One comparison where there is none, which is nearly everywhere.
        while self.peek() <= b' ' && matches!(self.peek(), b' ' | b'\n' | b'\r' | b'\t') {
            self.at += 1;
        }
    }

    pub(super) fn invalid<T>(&self) -> Result<T> {
        Err(Refusal::at(Rejection::InvalidJson, self.at))
    }

    /// Nothing but space may follow the value.
    pub(super) fn end(&mut self) -> Result<()> {
        self.space();
        if self.at == self.bytes.len() { Ok(()) } else { self.invalid() }
    }

    /// A value begins.
    pub(super) fn node(&mut self) -> Result<()> {
        self.nodes += 1;
        if self.nodes > NODES_MAX {
            return Err(Refusal::at(Rejection::TooManyNodes, self.at));
        }
        Ok(())
    }

    /// Steps into the object or array that begins here, inside of `depth` others. Is it not empty?
    pub(super) fn open(&mut self, close: u8, depth: usize) -> Result<bool> {
        if depth >= DEPTH_MAX {
            return Err(Refusal::at(Rejection::TooDeep, self.at));
        }
        self.at += 1;
        self.space();
        let is_empty = self.peek() == close;
        self.at += usize::from(is_empty);
        Ok(!is_empty)
    }

    /// Steps over the comma to the next member or item, or over the end: is there another?
    pub(super) fn more(&mut self, close: u8) -> Result<bool> {
        self.space();
        let byte = self.peek();
        if byte != b',' && byte != close {
            return self.invalid();
        }
        self.at += 1;
        if byte == b',' {
            self.space();
        }
        Ok(byte == b',')
    }

    /// Steps over exactly this text, if it stands here.
    pub(super) fn eat(&mut self, text: &[u8]) -> bool {
        let found = self.bytes[self.at..].starts_with(text);
        self.at += if found { text.len() } else { 0 };
        found
    }

    pub(super) fn literal(&mut self, text: &[u8]) -> Result<()> {
        if self.eat(text) { Ok(()) } else { self.invalid() }
    }

    /// A member's name and its colon; leaves at the value.
    pub(super) fn name(&mut self) -> Result<StringAt> {
        if self.peek() != b'"' {
            return self.invalid();
        }
        let name = self.string()?;
        self.space();
        self.literal(b":")?;
        self.space();
        Ok(name)
    }

    /// The string whose quote stands here.
    #[inline]
    pub(super) fn string(&mut self) -> Result<StringAt> {
        if !self.is_plain {
            return self.any_string();
        }
        let start = self.at + 1;
        let end = quote(self.bytes, start);
        self.at = end;
        if end == self.bytes.len() {
            return self.invalid();
        }
        if end - start > STRING_BYTES_MAX {
            return Err(Refusal::at(Rejection::StringTooLong, start - 1));
        }
        self.at += 1;
        Ok(StringAt { start, end, escaped: false })
    }

    fn any_string(&mut self) -> Result<StringAt> {
        let start = self.at + 1;
        // Bytes by which the unescaped text is shorter.
        let mut saved = 0;
        self.at = start;
        loop {
            self.at = plain_end(self.bytes, self.at);
            match self.peek() {
                b'"' => break,
                b'\\' => {
                    let (raw, text) = self.escape()?;
                    saved += raw - text;
                    self.at += raw;
                }
                // A control character, or the end of the record.
                _ => return self.invalid(),
            }
        }
        let end = self.at;
        if end - start - saved > STRING_BYTES_MAX {
            return Err(Refusal::at(Rejection::StringTooLong, start - 1));
        }
        self.at += 1;
        Ok(StringAt { start, end, escaped: saved > 0 })
    }

    /// Bytes of the escape that begins here, and bytes of what it stands for.
    fn escape(&self) -> Result<(usize, usize)> {
        match self.bytes.get(self.at + 1) {
            Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => Ok((2, 1)),
            Some(b'u') => match unicode_escape(&self.bytes[self.at..]) {
                Some((raw, character)) => Ok((raw, character.len_utf8())),
                None => self.invalid(),
            },
            _ => self.invalid(),
        }
    }

    /// The number that begins here, by its minus or first digit.
    pub(super) fn number(&mut self) -> Result<NumberAt<'a>> {
        let start = self.at;
        let negative = self.peek() == b'-';
        self.at += usize::from(negative);
        let mut digits = 0;
        let first = self.at;
        self.digits(&mut digits)?;
        // No leading zeros: `012` is no JSON.
        if self.bytes[first] == b'0' && self.at - first > 1 {
            self.at = first + 1;
            return self.invalid();
        }
        let (mut count, mut fraction) = (self.at - first, 0);
        if self.peek() == b'.' {
            self.at += 1;
            let point = self.at;
            self.digits(&mut digits)?;
            fraction = self.at - point;
            count += fraction;
        }
        let is_plain = count <= 18 && !matches!(self.peek(), b'e' | b'E');
        if matches!(self.peek(), b'e' | b'E') {
            self.at += 1;
            self.at += usize::from(matches!(self.peek(), b'+' | b'-'));
            self.digits(&mut 0)?;
        }
        let text = &self.bytes[start..self.at];
        Ok(NumberAt { text, negative, plain: is_plain.then_some((digits, fraction as u8)) })
    }

    /// One digit and more, added to `value`, which wraps where it is not used.
    fn digits(&mut self, value: &mut u64) -> Result<()> {
        if !self.peek().is_ascii_digit() {
            return self.invalid();
        }
        while self.peek().is_ascii_digit() {
            *value = value.wrapping_mul(10).wrapping_add(u64::from(self.peek() - b'0'));
            self.at += 1;
        }
        Ok(())
    }

    /// Steps over any value inside of `depth` containers, and checks all of it.
    pub(super) fn skip(&mut self, depth: usize) -> Result<()> {
        // Bit 0 says whether the innermost container that was opened here is an object.
        let (mut objects, mut level) = (0u64, 0);
        loop {
            if let Some(is_object) = self.scalar_or_open(depth + level)? {
                objects = objects << 1 | u64::from(is_object);
                level += 1;
            } else {
                loop {
                    if level == 0 {
                        return Ok(());
                    }
                    if self.more(if objects & 1 == 1 { b'}' } else { b']' })? {
                        break;
                    }
                    objects >>= 1;
                    level -= 1;
                }
            }
            if objects & 1 == 1 {
                self.name()?;
            }
        }
    }

    /// Steps over a scalar or an empty container, or into another one: is that an object?
    fn scalar_or_open(&mut self, depth: usize) -> Result<Option<bool>> {
        self.node()?;
        match self.peek() {
            b'"' => self.string().map(|_| None),
            b'-' | b'0'..=b'9' => self.number().map(|_| None),
            b'{' => Ok(self.open(b'}', depth)?.then_some(true)),
            b'[' => Ok(self.open(b']', depth)?.then_some(false)),
            b't' => self.literal(b"true").map(|()| None),
            b'f' => self.literal(b"false").map(|()| None),
            b'n' => self.literal(b"null").map(|()| None),
            _ => self.invalid(),
        }
    }
}

/// Length and meaning of a `\uXXXX`, or of two that make one character. Half a pair means nothing.
fn unicode_escape(bytes: &[u8]) -> Option<(usize, char)> {
    let unit = |at: usize| {
        let is_escape = bytes.get(at..at + 2)? == b"\\u";
        let digits = bytes.get(at + 2..at + 6).filter(|_| is_escape)?;
        digits.iter().try_fold(0, |sum, &digit| Some(sum << 4 | char::from(digit).to_digit(16)?))
    };
    let first = unit(0)?;
    if !(0xd800..0xdc00).contains(&first) {
        return Some((6, char::from_u32(first)?));
    }
    let second = unit(6).filter(|second| (0xdc00..0xe000).contains(second))?;
    Some((12, char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))?))
}

/// Appends what the inside of a string stands for. The string was read before, so its escapes are right.
pub(super) fn unescape(mut raw: &[u8], to: &mut Vec<u8>) {
    while let Some(at) = memchr::memchr(b'\\', raw) {
        to.extend_from_slice(&raw[..at]);
        let len = match raw[at + 1] {
            b'u' => {
                let (len, character) = unicode_escape(&raw[at..]).expect("the string was checked");
                to.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes());
                len
            }
            short => {
                to.push(match short {
                    b'b' => 8,
                    b'f' => 12,
                    b'n' => b'\n',
                    b'r' => b'\r',
                    b't' => b'\t',
                    same => same,
                });
                2
            }
        };
        raw = &raw[at + len..];
    }
    to.extend_from_slice(raw);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn skip(text: &[u8]) -> std::result::Result<(), Rejection> {
        let mut json = Json::new(text, 0);
        json.space();
        json.skip(0).and_then(|()| json.end()).map_err(|refusal| refusal.reason)
    }

    #[test]
    fn only_what_rfc_8259_allows_is_json() {
        let good = [
            "0",
            "-0",
            "-0.0e-0",
            "1E+9",
            "12.5",
            r#""""#,
            r#""\u0000\"\\\/\b\f\n\r\t""#,
            r#""\ud83d\uDE00""#,
            "[]",
            "{}",
            " [ 1 , { \"a\" : [ ] } ]\r\n\t",
            "true",
            "false",
            "null",
            "\"\u{7f}\u{2028}\"",
        ];
        let bad = [
            "",
            " ",
            "01",
            "-",
            "+1",
            "1.",
            ".5",
            "1e",
            "1e+",
            "0x1",
            "1_0",
            "NaN",
            "-NaN",
            "Infinity",
            "-Infinity",
            "nul",
            "True",
            "'a'",
            "\"a",
            r#""\x""#,
            r#""\u12g4""#,
            r#""\ud83d""#,
            r#""\ude00""#,
            r#""\ud83d\u0041""#,
            r#""\ud83d\n""#,
            "[1,]",
            "[,1]",
            "[1 2]",
            "[1}",
            "{1:2}",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1,}"#,
            r#"{"a":1]"#,
            r#"{"a" 1}"#,
            "1 1",
            "[] x",
            "\u{feff}1",
            "\"\t\"",
            "\"\0\"",
            "\u{a0}1",
            "// x\n1",
            "tru",
            "[",
            "{",
            "{\"a\":1",
        ];

        for text in good {
            assert_eq!(skip(text.as_bytes()), Ok(()), "{text}");
        }
        for text in bad {
            assert_eq!(skip(text.as_bytes()), Err(Rejection::InvalidJson), "{text}");
        }
    }

    #[test]
    fn nesting_is_counted_and_costs_no_stack() {
        let nested = |depth: usize| [b"[".repeat(depth), b"]".repeat(depth)].concat();

        assert_eq!(skip(&nested(DEPTH_MAX)), Ok(()));
        assert_eq!(skip(&nested(DEPTH_MAX + 1)), Err(Rejection::TooDeep));
        assert_eq!(skip(&b"{\"a\":[".repeat(1_000_000)), Err(Rejection::TooDeep));
    }

    #[test]
    fn the_last_node_is_taken_and_the_next_refused() {
        let list = |items: usize| format!("[{}]", vec!["0"; items].join(","));

        assert_eq!(skip(list(NODES_MAX - 1).as_bytes()), Ok(()));
        assert_eq!(skip(list(NODES_MAX).as_bytes()), Err(Rejection::TooManyNodes));
    }

    #[test]
    fn a_string_is_measured_as_it_reads_and_not_as_it_is_spelled() {
        let spelled = |character: &str, count: usize| format!("\"{}\"", character.repeat(count));

        for (character, bytes) in
            [("a", 1), ("\\n", 1), ("\\u0041", 1), ("\\u20ac", 3), ("\\ud83d\\ude00", 4)]
        {
            let last = STRING_BYTES_MAX / bytes;
            assert_eq!(skip(spelled(character, last).as_bytes()), Ok(()), "{character}");
            let next = Err(Rejection::StringTooLong);
            assert_eq!(skip(spelled(character, last + 1).as_bytes()), next, "{character}");
            let name = format!("{{{}:0}}", spelled(character, last + 1));
            assert_eq!(skip(name.as_bytes()), next, "{character} as a name");
        }
    }

    proptest! {
        #[test]
        fn what_serde_json_takes_is_taken_and_reads_the_same(text in r#""([ -~]|\\[nrtbf"/\\u]|\\u[0-9a-fA-F]{4}|\\ud83d\\ude00|é|😀){0,12}"?"#) {
            let mut json = Json::new(text.as_bytes(), 0);
            let ours = json.string().ok().filter(|_| json.at == text.len()).map(|found| {
                let mut to = vec![];
                unescape(&text.as_bytes()[found.start..found.end], &mut to);
                String::from_utf8(to).unwrap()
            });

            prop_assert_eq!(ours, serde_json::from_str::<String>(&text).ok());
        }

        #[test]
        fn any_bytes_are_skipped_or_refused(bytes: Vec<u8>) {
            let ours = skip(&bytes).is_ok();
            let theirs = serde_json::from_slice::<serde_json::Value>(&bytes).is_ok();

            // Bytes are checked to be UTF-8 before they come here.
            prop_assert_eq!(ours && std::str::from_utf8(&bytes).is_ok(), theirs);
        }

        #[test]
        fn json_like_texts_are_judged_as_serde_json_does(text in r#"([\[\]{}:,]|"a"|"b"|-?0?[0-9]{1,2}(\.[0-9]?)?(e[+-]?[0-9]?)?| |true|null|fals){0,14}"#) {
            prop_assert_eq!(skip(text.as_bytes()).is_ok(), serde_json::from_str::<serde_json::Value>(&text).is_ok());
        }
    }
}
