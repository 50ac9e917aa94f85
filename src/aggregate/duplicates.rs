//! A repeated event id counts once within the last *W* units taken and within the horizon of append time.
//!
//! The set is exact. What it holds is a function of the log: the units taken, duplicates included, in
//! their order. After a restart it is rebuilt by running the same rules over the log from
//! [`Duplicates::start`], with the `hw` of that point.

use super::sources::Sources;
use crate::model::{
    LogTime, NextOffset, Offset,
    mutation::{self, Mutation},
};
use hashbrown::HashTable;
use std::collections::VecDeque;

/// Units of one record of the log, and what was known before it.
#[derive(Debug, Clone)]
struct Mark {
    /// Number of its first unit.
    first: u64,
    offset: Offset,
    append: LogTime,
    before: Sources,
}

#[derive(Debug)]
pub(crate) struct Duplicates {
    last: u64,
    horizon: i64,
    /// Ids of units `first..next`.
    ids: VecDeque<u128>,
    first: u64,
    /// Number of the newest unit with this id.
    table: HashTable<u64>,
    marks: VecDeque<Mark>,
    /// Undo list since the last fold: the number that an id had before.
    replaced: Vec<Option<u64>>,
    folded_marks: usize,
}

impl Duplicates {
    pub(crate) fn new(last: u64, horizon: i64) -> Self {
        Duplicates {
            last,
            horizon,
            ids: VecDeque::new(),
            first: 0,
            table: HashTable::new(),
            marks: VecDeque::new(),
            replaced: Vec::new(),
            folded_marks: 0,
        }
    }

    /// Units of the record at `offset` follow; `before` is what was known before it was judged.
    pub(crate) fn begin(&mut self, offset: Offset, append: LogTime, before: &Sources) {
        let first = self.next();
        // Times and floor play no part in what is taken.
        self.marks.push_back(Mark { first, offset, append, before: before.clone() });
    }

    fn next(&self) -> u64 {
        self.first + self.ids.len() as u64
    }

    /// Takes one unit in; says whether its id was there.
    pub(crate) fn take(&mut self, id: u128) -> bool {
        let id = if mutation::is(Mutation::DuplicatesByFilter) { id & 0xff } else { id };
        if mutation::is(Mutation::CountedDuplicatesOnly) && self.is_known(id) {
            return true;
        }
        let number = self.next();
        let append = self.marks.back().expect("a unit follows `begin`").append;
        let (first, ids) = (self.first, &self.ids);
        let known = self.table.find_mut(hash(id), |&other| ids[(other - first) as usize] == id);
        let before = known.map(|entry| std::mem::replace(entry, number));
        let is_repeat = before.is_some_and(|before| {
            let age = append.0.saturating_sub(self.append_of(before).0);
            number - before <= self.last && age <= self.horizon
        });
        self.ids.push_back(id);
        if before.is_none() {
            let (first, ids) = (self.first, &self.ids);
            self.table.insert_unique(hash(id), number, |&other| hash(ids[(other - first) as usize]));
        }
        self.replaced.push(before);
        is_repeat
    }

    /// A mutation's question: is it a repeat, without taking it in?
    fn is_known(&self, id: u128) -> bool {
        let number = self.next();
        let append = self.marks.back().map_or(LogTime(0), |mark| mark.append);
        let known = self.table.find(hash(id), |&other| self.ids[(other - self.first) as usize] == id);
        known.is_some_and(|&before| {
            let age = append.0.saturating_sub(self.append_of(before).0);
            number - before <= self.last && age <= self.horizon
        })
    }

    fn append_of(&self, number: u64) -> LogTime {
        let behind = self.marks.partition_point(|mark| mark.first <= number);
        self.marks[behind - 1].append
    }

    /// What was taken since the last fold stays. Frees what no later unit can be a repeat of.
    pub(crate) fn fold(&mut self) {
        self.replaced.clear();
        let keep = self.next().saturating_sub(self.last);
        while self.marks.len() > 1
            && (self.marks[1].first <= keep || self.is_past_horizon(self.marks[0].append))
        {
            self.free(self.marks[1].first);
            self.marks.pop_front();
        }
        self.folded_marks = self.marks.len();
    }

    /// Append time never falls: what is too old for the newest block is too old for all that come.
    fn is_past_horizon(&self, append: LogTime) -> bool {
        let newest = self.marks.back().map_or(append, |mark| mark.append);
        newest.0.saturating_sub(append.0) > self.horizon
    }

    fn free(&mut self, upto: u64) {
        while self.first < upto {
            let id = self.ids.pop_front().expect("marks do not pass the ids");
            let number = self.first;
            self.first += 1;
            // The table names the newest unit with this id, which may be a later one.
            if let Ok(entry) = self.table.find_entry(hash(id), |&other| other == number) {
                entry.remove();
            }
        }
    }

    /// As if nothing had been taken since the last fold.
    pub(crate) fn drop_overlay(&mut self) {
        while let Some(before) = self.replaced.pop() {
            let number = self.next() - 1;
            let id = *self.ids.back().expect("the undo list is as long as what was taken");
            let entry = self.table.find_entry(hash(id), |&other| other == number);
            let mut entry = entry.expect("the newest unit with an id is in the table");
            match before {
                Some(before) => *entry.get_mut() = before,
                None => {
                    entry.remove();
                }
            }
            self.ids.pop_back();
        }
        self.marks.truncate(self.folded_marks);
    }

    /// Where a rebuild begins, and what was known there; `None`: with nothing, at the position itself.
    pub(crate) fn start(&self) -> Option<(NextOffset, &Sources)> {
        self.marks.front().map(|mark| (NextOffset(mark.offset.0), &mark.before))
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.ids.len()
    }
}

/// Ids are hashes already, of text that others chose: fold both halves, so that one half alone cannot collide them all.
fn hash(id: u128) -> u64 {
    let folded = (id as u64) ^ ((id >> 64) as u64).rotate_left(32);
    folded.wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::RoutingVersion;

    fn set(last: u64, horizon: i64) -> Duplicates {
        Duplicates::new(last, horizon)
    }

    fn block(set: &mut Duplicates, offset: u64, append: i64, ids: &[u128]) -> Vec<bool> {
        set.begin(Offset(offset), LogTime(append), &Sources::new(RoutingVersion(0), 0));
        ids.iter().map(|&id| set.take(id)).collect()
    }

    #[test]
    fn a_repeat_counts_once_within_the_last_units() {
        let mut set = set(3, 1_000);

        assert_eq!(block(&mut set, 0, 0, &[1, 2, 1]), [false, false, true]);
        assert_eq!(block(&mut set, 1, 0, &[3, 4, 1]), [false, false, true], "three units back is inside");
        assert_eq!(
            block(&mut set, 2, 0, &[3, 5, 6, 7, 1]),
            [true, false, false, false, false],
            "five back is not"
        );
    }

    #[test]
    fn a_repeat_beyond_the_horizon_counts_again() {
        let mut set = set(100, 10);

        block(&mut set, 0, 0, &[1, 2]);
        assert_eq!(block(&mut set, 1, 10, &[1]), [true]);
        assert_eq!(block(&mut set, 2, 11, &[2]), [false]);
        assert_eq!(block(&mut set, 3, 20, &[1]), [true], "the repeat at 10 is the newest");
    }

    #[test]
    fn an_abort_takes_everything_back() {
        let mut set = set(100, 100);
        block(&mut set, 0, 0, &[1, 2]);
        set.fold();
        block(&mut set, 1, 0, &[1, 3, 3, 1]);

        set.drop_overlay();

        assert_eq!(set.len(), 2);
        assert_eq!(block(&mut set, 1, 0, &[3, 2, 1]), [false, true, true]);
    }

    #[test]
    fn what_can_no_longer_be_repeated_is_freed() {
        let mut set = set(2, 100);
        for offset in 0..50 {
            block(&mut set, offset, 0, &[u128::from(offset), 1_000]);
            set.fold();
        }

        assert!(set.len() <= 6, "{} ids are kept", set.len());
        let (start, _) = set.start().unwrap();
        assert!(start.0 >= 46, "a rebuild begins at {start}");
    }
}
