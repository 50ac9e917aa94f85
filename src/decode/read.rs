//! Follows the plan through one record and pushes its values to the columns.
//!
//! Every object whose members mean something (the event, objects on the way of a path, items, maps) is
//! read member by member, and no name may stand there twice. Everything else is skipped, but checked.
//! The member that came next the last time is tried before its name is looked up; the guess decides
//! how fast a member is found, never which.

use super::columns::{Cell, push, push_absent};
use super::json::{Json, NumberAt};
use super::memory::{Memory, UNKNOWN};
use super::plan::{EVENT, Member, Plan, Read};
use super::refusal::{Refusal, Result};
use super::texts::Texts;
use super::{number, time};
use crate::model::{Column, ITEMS_MAX, Rejection, Span};
use crate::topology::Scalar;

#[derive(Debug)]
pub(super) struct Reader<'a, 'b> {
    pub(super) plan: &'b Plan,
    pub(super) json: Json<'a>,
    pub(super) texts: &'b mut Texts<'a>,
    pub(super) memory: &'b mut Memory,
    /// Members of maps of numbers that are no numbers.
    pub(super) skipped: u64,
}

impl<'b> Reader<'_, 'b> {
    /// The whole record: one object, and nothing behind it.
    pub(super) fn event(&mut self, columns: &mut [Column]) -> Result<()> {
        self.memory.names.clear();
        self.memory.rest.clear();
        self.json.space();
        let start = self.json.at;
        if self.json.peek() == b'{' {
            self.object(EVENT, columns, 0)?;
            return self.json.end();
        }
        self.json.skip(0)?;
        self.json.end()?;
        Err(Refusal::at(Rejection::NotAnObject, start))
    }

    /// The object that begins here. Do declared fields hold all of it?
    fn object(&mut self, object: usize, columns: &mut [Column], depth: usize) -> Result<bool> {
        let all: &'b Plan = self.plan;
        let plan = &all.objects[object];
        self.memory.objects[object].begin();
        let names = self.memory.names.len();
        let (mut after, mut is_whole) = (0, true);
        self.json.node()?;
        let mut more = self.json.open(b'}', depth)?;
        while more {
            let start = self.json.at;
            let name = self.name(object, after)?;
            let is_held = match plan.members.get(name) {
                Some(&Member { only: Some((field, read)), .. }) => {
                    self.field((plan.owner, field, read), columns, depth + 1)?
                }
                Some(member) => self.value(member, plan.owner, columns, depth + 1)?,
                None => self.json.skip(depth + 1).map(|()| false)?,
            };
            if !is_held {
                is_whole = false;
                if object == EVENT {
                    self.memory.rest.push(Span::new(start, self.json.at));
                }
            }
            after = self.memory.objects[object].after(name);
            more = self.json.more(b'}')?;
        }
        self.refuse_repeated(names)?;
        Ok(is_whole)
    }

    /// Steps over a member's name to its value. Those that are declared come first.
    fn name(&mut self, object: usize, after: usize) -> Result<usize> {
        let (start, known) = (self.json.at, &mut self.memory.objects[object]);
        if let Some((guess, len)) = known.guess(after, self.json.rest()) {
            self.json.at += len;
            self.json.space();
            return if known.see(guess) { Ok(guess) } else { repeated(start) };
        }
        let text = self.json.name()?;
        let text = self.texts.keep(text);
        let name = known.find(after, self.texts.of(text));
        self.memory.misses += 1;
        if name == UNKNOWN {
            self.memory.names.push(text);
        } else if !known.see(name) {
            return repeated(start);
        }
        Ok(name)
    }

    /// A declared member's value, once for each of its fields. Do they hold all of it?
    fn value(&mut self, member: &Member, owner: usize, columns: &mut [Column], depth: usize) -> Result<bool> {
        let read = |field: usize| (owner, field, self.plan.structs[owner].fields[field].read);
        match (&member.fields[..], member.inside) {
            (&[], Some(inside)) => self.nested(inside, columns, depth).map(|()| false),
            // Read once for both.
            (&[field], Some(inside)) if self.json.peek() == b'{' && self.is_json(owner, field) => {
                let start = self.json.at;
                self.nested(inside, columns, depth)?;
                push(&mut columns[field], Cell::Text(Span::new(start, self.json.at)));
                Ok(true)
            }
            (fields, inside) => {
                let (start, nodes) = (self.json.at, self.json.nodes);
                let mut is_held = false;
                for &field in fields {
                    (self.json.at, self.json.nodes) = (start, nodes);
                    is_held |= self.field(read(field), columns, depth)?;
                }
                if let Some(inside) = inside {
                    let behind = (self.json.at, self.json.nodes);
                    (self.json.at, self.json.nodes) = (start, nodes);
                    match self.json.peek() {
                        b'{' => self.nested(inside, columns, depth)?,
                        // A field of its own took the value, so it may be anything: paths end in nothing.
                        _ => (self.json.at, self.json.nodes) = behind,
                    }
                }
                Ok(is_held)
            }
        }
    }

    fn is_json(&self, owner: usize, field: usize) -> bool {
        matches!(self.plan.structs[owner].fields[field].read, Read::Scalar(Scalar::Json))
    }

    /// What stands on the way of a path: an object or null, nothing else.
    fn nested(&mut self, object: usize, columns: &mut [Column], depth: usize) -> Result<()> {
        match self.json.peek() {
            b'{' => self.object(object, columns, depth).map(|_| ()),
            _ => self.null_or(Rejection::WrongType, depth),
        }
    }

    /// The value of one field: of a struct its place, and how it is read.
    fn field(
        &mut self,
        (owner, field, read): (usize, usize, Read),
        columns: &mut [Column],
        depth: usize,
    ) -> Result<bool> {
        let column = &mut columns[field];
        let done = match (read, column) {
            // What most values are.
            (Read::Scalar(Scalar::Text), Column::Text(to)) if self.json.peek() == b'"' => {
                self.string().map(|text| {
                    to.push(text);
                    true
                })
            }
            (Read::Scalar(scalar), column) => self.scalar(scalar, depth).map(|cell| {
                cell.into_iter().for_each(|cell| push(column, cell));
                true
            }),
            (Read::Map(scalar), Column::Map { present, ends, keys, values }) if self.json.peek() == b'{' => {
                self.map(scalar, keys, values, depth).inspect(|_| {
                    present.push(true);
                    ends.push(keys.len() as u32);
                })
            }
            (read, Column::List { present, ends, items }) if self.json.peek() == b'[' => {
                let first = ends.last().copied().unwrap_or(0);
                self.list(read, first as usize, items, depth).map(|(count, is_whole)| {
                    present.push(true);
                    ends.push(first + count as u32);
                    is_whole
                })
            }
            _ => self.null_or(Rejection::WrongType, depth).map(|()| true),
        };
        done.map_err(|refusal| refusal.named(owner, field))
    }

    /// Items, of which `first` is the first: how many, and do the declared fields hold all of them?
    fn list(
        &mut self,
        read: Read,
        first: usize,
        items: &mut [Column],
        depth: usize,
    ) -> Result<(usize, bool)> {
        let (mut count, mut is_whole) = (0, true);
        self.json.node()?;
        let mut more = self.json.open(b']', depth)?;
        while more {
            self.check_count(count)?;
            match read {
                Read::Structs(item) => is_whole &= self.item(item, first + count, items, depth + 1)?,
                Read::Scalars(scalar) => match self.scalar(scalar, depth + 1)? {
                    Some(cell) => push(&mut items[0], cell),
                    None => push_absent(&mut items[0]),
                },
                Read::Scalar(_) | Read::Map(_) => unreachable!("only lists have list columns"),
            }
            count += 1;
            more = self.json.more(b']')?;
        }
        Ok((count, is_whole))
    }

    /// One item of a list, which must be an object: a null would be a row of which nothing is known.
    fn item(&mut self, item: usize, row: usize, columns: &mut [Column], depth: usize) -> Result<bool> {
        let start = self.json.at;
        if self.json.peek() != b'{' {
            self.json.skip(depth)?;
            return Err(Refusal::at(Rejection::WrongType, start));
        }
        let is_whole = self.object(self.plan.structs[item].object, columns, depth)?;
        fill(self.plan, item, columns, row).map_err(|refusal| Refusal { at: start, ..refusal })?;
        Ok(is_whole)
    }

    fn map(
        &mut self,
        scalar: Scalar,
        keys: &mut Vec<Span>,
        values: &mut Column,
        depth: usize,
    ) -> Result<bool> {
        let is_numeric = matches!(scalar, Scalar::Int | Scalar::Decimal { .. } | Scalar::Double);
        let names = self.memory.names.len();
        let (mut count, mut is_whole) = (0, true);
        self.json.node()?;
        let mut more = self.json.open(b'}', depth)?;
        while more {
            self.check_count(count)?;
            let name = self.json.name()?;
            let name = self.texts.keep(name);
            self.memory.names.push(name);
            let first = self.json.peek();
            if is_numeric && !matches!(first, b'-' | b'0'..=b'9') {
                self.json.skip(depth + 1)?;
                self.skipped += 1;
                is_whole &= first == b'n';
            } else if let Some(cell) = self.scalar(scalar, depth + 1)? {
                keys.push(name);
                push(values, cell);
            }
            count += 1;
            more = self.json.more(b'}')?;
        }
        self.refuse_repeated(names)?;
        Ok(is_whole)
    }

    /// One value of this type; `None` for null.
    fn scalar(&mut self, scalar: Scalar, depth: usize) -> Result<Option<Cell>> {
        let (start, first) = (self.json.at, self.json.peek());
        let cell = match (scalar, first) {
            (_, b'n') => {
                self.null_or(Rejection::WrongType, depth)?;
                return Ok(None);
            }
            (Scalar::Json, _) => {
                self.json.skip(depth)?;
                return Ok(Some(Cell::Text(Span::new(start, self.json.at))));
            }
            (Scalar::Bool, b't' | b'f') => {
                self.json.skip(depth)?;
                return Ok(Some(Cell::Number(i64::from(first == b't'))));
            }
            (Scalar::Text | Scalar::Uuid | Scalar::Time | Scalar::Date, b'"') => {
                let text = self.string()?;
                self.text(scalar, text)
            }
            (Scalar::Int | Scalar::Decimal { .. } | Scalar::Double, b'-' | b'0'..=b'9') => {
                self.json.node()?;
                self.json.number().map(|number| numeric(scalar, number))?
            }
            _ => {
                self.json.skip(depth)?;
                Err(Rejection::WrongType)
            }
        };
        cell.map(Some).map_err(|reason| Refusal::at(reason, start))
    }

    fn string(&mut self) -> Result<Span> {
        self.json.node()?;
        let string = self.json.string()?;
        Ok(self.texts.keep(string))
    }

    fn text(&mut self, scalar: Scalar, text: Span) -> std::result::Result<Cell, Rejection> {
        match scalar {
            Scalar::Time => time::time(self.texts.of(text)).map(Cell::Number),
            Scalar::Date => time::date(self.texts.of(text)).map(Cell::Number),
            Scalar::Uuid => self.uuid(text).map(Cell::Text),
            _ => Ok(Cell::Text(text)),
        }
    }

    /// Lower case with hyphens: mostly as it stands.
    fn uuid(&mut self, span: Span) -> std::result::Result<Span, Rejection> {
        let text = self.texts.of(span);
        let is_uuid = text.len() == 36
            && text.iter().enumerate().all(|(at, byte)| match at {
                8 | 13 | 18 | 23 => *byte == b'-',
                _ => byte.is_ascii_hexdigit(),
            });
        if !is_uuid {
            return Err(Rejection::WrongType);
        }
        if !text.iter().any(u8::is_ascii_uppercase) {
            return Ok(span);
        }
        let start = self.texts.tail.len();
        self.texts.copy(span);
        self.texts.tail[start..].make_ascii_lowercase();
        Ok(self.texts.since(start))
    }

    /// Steps over the value here, whatever it is, so that bad JSON is named before a bad type.
    fn null_or(&mut self, reason: Rejection, depth: usize) -> Result<()> {
        let (start, is_null) = (self.json.at, self.json.peek() == b'n');
        self.json.skip(depth)?;
        if is_null { Ok(()) } else { Err(Refusal::at(reason, start)) }
    }

    fn check_count(&self, count: usize) -> Result<()> {
        if count == ITEMS_MAX {
            return Err(Refusal::at(Rejection::TooManyItems, self.json.at));
        }
        Ok(())
    }

    /// Refuses an object whose unknown names, those from `first` on, hold one twice; forgets them.
    fn refuse_repeated(&mut self, first: usize) -> Result<()> {
        let Memory { names, hashed, .. } = &mut *self.memory;
        if names.len() == first {
            return Ok(());
        }
        let open = &names[first..];
        let text = |span: &Span| self.texts.of(*span);
        let is_repeated = if open.len() <= 16 {
            let is_before = |at: usize| open[..at].iter().any(|name| text(name) == text(&open[at]));
            (1..open.len()).any(is_before)
        } else {
            hashed.clear();
            hashed.extend(open.iter().map(|name| (xxhash_rust::xxh3::xxh3_64(text(name)), *name)));
            // Texts decide between equal hashes, so that nobody's choice of names can hide one.
            hashed.sort_unstable_by(|a, b| a.0.cmp(&b.0).then_with(|| text(&a.1).cmp(text(&b.1))));
            hashed.windows(2).any(|pair| pair[0].0 == pair[1].0 && text(&pair[0].1) == text(&pair[1].1))
        };
        names.truncate(first);
        if is_repeated {
            return repeated(self.json.at);
        }
        Ok(())
    }
}

fn repeated<T>(at: usize) -> Result<T> {
    Err(Refusal::at(Rejection::DuplicateKey, at))
}

fn numeric(scalar: Scalar, number: NumberAt<'_>) -> std::result::Result<Cell, Rejection> {
    match scalar {
        Scalar::Double => number::double(number).map(Cell::Double),
        // A share of a unit is no whole number, whatever its digits.
        Scalar::Int => number::exact(number, 0, false).map(Cell::Number).map_err(|reason| match reason {
            Rejection::TooPrecise => Rejection::WrongType,
            other => other,
        }),
        Scalar::Decimal { minor: true, round, .. } => number::decimal(number, 0, round).map(Cell::Number),
        Scalar::Decimal { scale, round, .. } => number::decimal(number, scale, round).map(Cell::Number),
        _ => unreachable!("only numbers are read as numbers"),
    }
}

/// Ends a row: what was not there is absent, unless it must be there.
pub(super) fn fill(plan: &Plan, owner: usize, columns: &mut [Column], row: usize) -> Result<()> {
    for (index, (field, column)) in plan.structs[owner].fields.iter().zip(columns).enumerate() {
        if column.len() == row {
            if field.required {
                return Err(Refusal::whole(Rejection::Missing).named(owner, index));
            }
            push_absent(column);
        }
    }
    Ok(())
}
