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

#[derive(Debug)]
struct Name {
    text: Box<[u8]>,
    /// As it mostly stands in a record: `"name":`.
    quoted: Box<[u8]>,
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
        Name { text: text.into(), quoted: quoted.into_bytes().into(), seen: 0 }
    }
}

impl Known {
    /// Another object of this kind begins.
    pub(super) fn begin(&mut self) {
        self.reading += 1;
    }

    /// What probably comes after the name at this place, as it would be spelled.
    #[inline]
    pub(super) fn guess(&self, after: usize) -> Option<(usize, &[u8])> {
        let guess = self.next[after];
        self.names.get(guess).map(|name| (guess, &name.quoted[..]))
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
