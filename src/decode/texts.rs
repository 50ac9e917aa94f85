//! A batch's buffer, and the texts that stand behind it because they are not in the record as they read.

use super::json::{StringAt, unescape};
use crate::model::Span;

#[derive(Debug)]
pub(super) struct Texts<'a> {
    pub(super) bytes: &'a [u8],
    /// Appended to the buffer when the batch is done; spans count from the buffer's start already.
    pub(super) tail: Vec<u8>,
}

impl Texts<'_> {
    pub(super) fn of(&self, span: Span) -> &[u8] {
        let start = span.start as usize;
        let (from, start) = match start.checked_sub(self.bytes.len()) {
            None => (self.bytes, start),
            Some(start) => (&self.tail[..], start),
        };
        &from[start..start + span.len as usize]
    }

    /// Where the text of a string lies: in the record, or unescaped behind the batch.
    pub(super) fn keep(&mut self, string: StringAt) -> Span {
        if !string.escaped {
            return Span::new(string.start, string.end);
        }
        let start = self.tail.len();
        unescape(&self.bytes[string.start..string.end], &mut self.tail);
        self.since(start)
    }

    /// The span of what was appended since the tail had this length.
    pub(super) fn since(&self, start: usize) -> Span {
        Span::new(self.bytes.len() + start, self.bytes.len() + self.tail.len())
    }

    /// Appends a copy of a text that is here already.
    pub(super) fn copy(&mut self, span: Span) {
        let start = span.start as usize;
        match start.checked_sub(self.bytes.len()) {
            None => self.tail.extend_from_slice(span.of(self.bytes)),
            Some(start) => self.tail.extend_from_within(start..start + span.len as usize),
        }
    }
}
