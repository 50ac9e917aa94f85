//! What is kept from event to event. It only saves time: no result depends on it.

use super::plan::{Plan, order};
use crate::model::Span;

/// A name that is not known: neither declared nor learned.
pub(super) const UNKNOWN: usize = usize::MAX;
/// Undeclared names that one object learns, and how long they may be: producers that make names up
/// must not fill the memory.
const LEARNED_MAX: usize = 32;
const LEARNED_BYTES_MAX: usize = 64;

#[derive(Debug, Default)]
pub(super) struct Memory {
    /// By object of the plan.
    pub(super) objects: Vec<Known>,
    /// Names of the objects that are open, as far as they are unknown.
    pub(super) names: Vec<Span>,
    pub(super) hashed: Vec<(u64, Span)>,
    /// The event's members that go into `_rest`, from the name's quote to the value's end.
    pub(super) rest: Vec<Span>,
    /// Members that were not where the last event had them.
    pub(super) misses: u64,
}

/// The names of one object: the declared ones, in the order of its members, behind them learned ones.
#[derive(Debug)]
pub(super) struct Known {
    names: Vec<Name>,
    declared: usize,
    /// Places in `names`, by name.
    sorted: Vec<usize>,
    /// Which name came after the start (0), after name *n* (*n* + 1), after an unknown one (the last).
    next: Vec<usize>,
    reading: u64,
}

/// A short text that is compared by its first and its last eight bytes.
#[derive(Debug)]
struct Quoted {
    text: Box<[u8]>,
    /// Of the first eight, where there are so many.
    mask: u64,
    first: u64,
    last: u64,
}

#[derive(Debug)]
struct Name {
    text: Box<[u8]>,
    /// As it mostly stands in a record: `"name":`.
    quoted: Quoted,
    /// The reading in which it was last there.
    seen: u64,
}

impl Memory {
    pub(super) fn new(plan: &Plan) -> Memory {
        let objects = plan.objects.iter().map(|object| {
            let names: Vec<_> = object.members.iter().map(|member| Name::new(&member.name)).collect();
            Known {
                declared: names.len(),
                sorted: (0..names.len()).collect(),
                next: vec![UNKNOWN; names.len() + LEARNED_MAX + 2],
                names,
                reading: 0,
            }
        });
        Memory { objects: objects.collect(), ..Memory::default() }
    }
}

impl Name {
    fn new(text: &[u8]) -> Name {
        let quoted = format!("{}:", serde_json::Value::from(String::from_utf8_lossy(text)));
        Name { text: text.into(), quoted: Quoted::new(quoted.into_bytes().into()), seen: 0 }
    }
}

impl Quoted {
    fn new(text: Box<[u8]>) -> Quoted {
        let word = |bytes: &[u8]| {
            let mut word = [0; 8];
            word[..bytes.len()].copy_from_slice(bytes);
            u64::from_le_bytes(word)
        };
        let head = text.len().min(8);
        Quoted {
            mask: word(&[0xff; 8][..head]),
            first: word(&text[..head]),
            last: word(&text[text.len() - head..]),
            text,
        }
    }

    /// Does `bytes` begin with it?
    #[inline]
    fn begins(&self, bytes: &[u8]) -> bool {
        let Some(&first) = bytes.first_chunk::<8>() else { return bytes.starts_with(&self.text) };
        if u64::from_le_bytes(first) & self.mask != self.first {
            return false;
        }
        match self.text.len() {
            0..=8 => true,
            len @ 9..=16 => {
                let last = bytes.get(len - 8..len).and_then(<[u8]>::first_chunk::<8>);
                last.is_some_and(|&last| u64::from_le_bytes(last) == self.last)
            }
            _ => bytes.starts_with(&self.text),
        }
    }
}

impl Known {
    /// Another object of this kind begins.
    pub(super) fn begin(&mut self) {
        self.reading += 1;
    }

    /// What came after the name at this place the last time, and its length as it is spelled, if `rest` begins with it.
    #[inline]
    pub(super) fn guess(&self, after: usize, rest: &[u8]) -> Option<(usize, usize)> {
        let guess = self.next[after];
        let quoted = &self.names.get(guess)?.quoted;
        quoted.begins(rest).then_some((guess, quoted.text.len()))
    }

    /// Where to ask for what comes after `name`.
    #[inline]
    pub(super) fn after(&self, name: usize) -> usize {
        if name == UNKNOWN { self.next.len() - 1 } else { name + 1 }
    }

    /// Marks a name as seen in this reading; `false` if it was seen in it before.
    #[inline]
    pub(super) fn see(&mut self, name: usize) -> bool {
        let reading = self.reading;
        std::mem::replace(&mut self.names[name].seen, reading) != reading
    }

    /// A name that was not guessed: looks it up, and learns it if there is room.
    pub(super) fn find(&mut self, after: usize, text: &[u8]) -> usize {
        let name = match self.sorted.binary_search_by(|&name| order(&self.names[name].text, text)) {
            Ok(at) => self.sorted[at],
            Err(at) => self.learn(at, text),
        };
        self.next[after] = name;
        name
    }

    fn learn(&mut self, at: usize, text: &[u8]) -> usize {
        if self.names.len() >= self.declared + LEARNED_MAX || text.len() > LEARNED_BYTES_MAX {
            return UNKNOWN;
        }
        self.names.push(Name::new(text));
        self.sorted.insert(at, self.names.len() - 1);
        self.names.len() - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_text_begins_with_itself_and_with_nothing_else(
            text in "[ab\":]{1,20}", behind in "[ab]{0,9}", cut in 0usize..30, changed in 0usize..30,
        ) {
            let quoted = Quoted::new(text.as_bytes().into());
            let mut bytes = [text.as_bytes(), behind.as_bytes()].concat();
            prop_assert!(quoted.begins(&bytes));

            bytes.truncate(cut);
            prop_assert_eq!(quoted.begins(&bytes), bytes.starts_with(text.as_bytes()));
            if let Some(byte) = bytes.get_mut(changed) {
                *byte ^= 1;
            }
            prop_assert_eq!(quoted.begins(&bytes), bytes.starts_with(text.as_bytes()));
        }
    }
}
