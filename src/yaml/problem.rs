//! What is wrong with a file: every problem at once, with its place and what would be right.

use std::collections::BTreeSet;
use std::fmt;

/// One thing to change in the file. Line and column start at 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    pub line: usize,
    pub column: usize,
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.line, self.column, self.message)
    }
}

impl std::error::Error for Problem {}

/// A place in the file; line and column start at 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    pub(crate) line: usize,
    pub(crate) column: usize,
}

impl Place {
    pub(crate) const START: Place = Place { line: 1, column: 1 };

    /// Not in the file: what its reader brings from elsewhere, by number. No line of a file has the number 0.
    pub(crate) const fn outside(number: usize) -> Place {
        Place { line: 0, column: number }
    }
}

const GUESSES_MAX: usize = 200;

/// Collects problems. The same one at the same place stands once.
#[derive(Debug, Default)]
pub(crate) struct Problems(BTreeSet<Problem>);

impl Problems {
    pub(crate) fn add(&mut self, at: Place, message: impl Into<String>) {
        self.0.insert(Problem { line: at.line, column: at.column, message: message.into() });
    }

    /// Adds and answers `None`, for the many readers that end so.
    pub(crate) fn none<T>(&mut self, at: Place, message: impl Into<String>) -> Option<T> {
        self.add(at, message);
        None
    }

    /// `; did you mean …?`, or nothing.
    pub(crate) fn did_you_mean<'a>(&self, name: &str, known: impl IntoIterator<Item = &'a str>) -> String {
        // Beyond this it is no file with a few mistakes, and guessing would take for ever.
        if self.0.len() > GUESSES_MAX {
            return String::new();
        }
        nearest(name, known).map_or(String::new(), |near| format!("; did you mean `{near}`?"))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// In the order of the file.
    pub(crate) fn into_list(self) -> Vec<Problem> {
        self.0.into_iter().collect()
    }
}

/// The known name that a mistyped one most likely means.
fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    // Far longer than any name that we know; the distance takes the product of both lengths.
    if name.len() > 80 {
        return None;
    }
    let near = |known: &'a str| (distance(&name.to_lowercase(), &known.to_lowercase()), known);
    let (distance, found) = known.into_iter().map(near).min()?;
    (distance <= 1 + name.chars().count() / 4).then_some(found)
}

/// Letters to insert, delete, replace or swap with their neighbour, to make one word of the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for (i, row) in rows.iter_mut().enumerate() {
        row[0] = i;
    }
    for (j, cell) in rows[0].iter_mut().enumerate() {
        *cell = j;
    }
    for i in 1..=a.len() {
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            rows[i][j] = best;
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mistyped_name_finds_the_one_that_was_meant() {
        let known = ["tenant", "category", "lateness", "lake"];

        assert_eq!(nearest("tenent", known), Some("tenant"));
        assert_eq!(nearest("Latenes", known), Some("lateness"));
        assert_eq!(nearest("categroy", known), Some("category"));
        assert_eq!(nearest("windows", known), None);
        assert_eq!(nearest(&"t".repeat(100_000), known), None);
    }

    #[test]
    fn problems_come_in_the_order_of_the_file_and_once() {
        let mut problems = Problems::default();
        problems.add(Place { line: 3, column: 2 }, "b");
        problems.add(Place { line: 1, column: 9 }, "a");
        problems.add(Place { line: 3, column: 2 }, "b");

        let list: Vec<String> = problems.into_list().iter().map(ToString::to_string).collect();

        assert_eq!(list, ["1:9: a", "3:2: b"]);
    }
}
