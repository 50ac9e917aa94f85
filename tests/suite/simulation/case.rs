//! A history that can be told in a line: its seed, and what of it is left out. Whoever fails is made smaller first.
//!
//! ```text
//! 34 without=crash,pause rounds=3 workers=1 strikes=12
//! ```

use std::fmt;
use thalweg::sim::Faults;

/// A fault of the history, not of a world's every call.
const TRUNCATION: &str = "truncation";

#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Case {
    pub(super) seed: u64,
    /// Kinds of faults that do not happen.
    without: Vec<String>,
    /// At most so many rounds of sending.
    pub(super) rounds: Option<u64>,
    /// At most so many workers.
    pub(super) workers: Option<u64>,
    /// At most so many faults.
    strikes: Option<u64>,
}

impl Case {
    pub(super) fn new(seed: u64) -> Case {
        Case { seed, ..Case::default() }
    }

    /// A line of `seeds.txt`: words that set nothing say what was found.
    pub(super) fn parse(line: &str) -> Case {
        let mut words = line.split_whitespace();
        let seed = words.next().and_then(|word| word.parse().ok());
        let mut case = Case::new(seed.unwrap_or_else(|| panic!("`{line}` begins with no seed")));
        for (name, value) in words.map_while(|word| word.split_once('=')) {
            let number =
                || Some(value.parse().unwrap_or_else(|_| panic!("`{name}` of `{line}` is no number")));
            match name {
                "without" => case.without = value.split(',').map(str::to_owned).collect(),
                "rounds" => case.rounds = number(),
                "workers" => case.workers = number(),
                "strikes" => case.strikes = number(),
                _ => panic!("nothing is called `{name}` in `{line}`"),
            }
        }
        case
    }

    pub(super) fn has_truncation(&self) -> bool {
        self.without.iter().all(|kind| kind != TRUNCATION)
    }

    pub(super) fn leave_out(&self, faults: &mut Faults) {
        for kind in self.without.iter().filter(|kind| *kind != TRUNCATION) {
            assert!(faults.leave_out(kind), "no fault is called `{kind}`");
        }
        faults.strikes_max = self.strikes;
    }
}

impl fmt::Display for Case {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.seed)?;
        if !self.without.is_empty() {
            write!(f, " without={}", self.without.join(","))?;
        }
        for (name, value) in [("rounds", self.rounds), ("workers", self.workers), ("strikes", self.strikes)] {
            if let Some(value) = value {
                write!(f, " {name}={value}")?;
            }
        }
        Ok(())
    }
}

/// The smallest form that still fails, in whatever way, and how.
pub(super) fn shrink(case: &Case, error: &str, fails: &dyn Fn(&Case) -> Option<String>) -> (Case, String) {
    let mut smallest = (case.clone(), error.to_owned());
    let keep = |smaller: Case, smallest: &mut (Case, String)| match fails(&smaller) {
        Some(error) => {
            *smallest = (smaller, error);
            true
        }
        None => false,
    };
    for rounds in 1..64 {
        if keep(Case { rounds: Some(rounds), ..smallest.0.clone() }, &mut smallest) {
            break;
        }
    }
    for workers in 1..3 {
        if keep(Case { workers: Some(workers), ..smallest.0.clone() }, &mut smallest) {
            break;
        }
    }
    // What can be left out depends on what is left: once more after the first time.
    let kinds = || Faults::KINDS.into_iter().chain([TRUNCATION]);
    for kind in kinds().chain(kinds()) {
        if smallest.0.without.iter().all(|known| known != kind) {
            let mut smaller = smallest.0.clone();
            smaller.without.push(kind.to_owned());
            keep(smaller, &mut smallest);
        }
    }
    // Not every number below one that fails does, so this finds a small one, not the smallest.
    let (mut fine, mut most) = (0, 1u64 << 12);
    while fine < most {
        let middle = fine.midpoint(most);
        match keep(Case { strikes: Some(middle), ..smallest.0.clone() }, &mut smallest) {
            true => most = middle,
            false => fine = middle + 1,
        }
    }
    smallest
}

#[test]
fn a_case_is_read_as_it_is_written() {
    for line in ["34", "34 without=crash,pause rounds=3 workers=1 strikes=12"] {
        assert_eq!(Case::parse(line).to_string(), line);
    }
    assert_eq!(Case::parse("34 rounds=3 a row = 4 went back (I3)").to_string(), "34 rounds=3");
}

#[test]
fn a_failing_case_is_made_as_small_as_it_can_be() {
    let fails = |case: &Case| {
        let needs = case.without.iter().all(|kind| kind != "crash" && kind != "slow");
        let is_enough =
            case.rounds.is_none_or(|rounds| rounds >= 4) && case.strikes.is_none_or(|most| most >= 9);
        (needs && is_enough).then(|| "wrong".to_owned())
    };

    let (smallest, error) = shrink(&Case::new(7), "wrong at first", &fails);

    assert_eq!((smallest.rounds, smallest.workers, smallest.strikes), (Some(4), Some(1), Some(9)));
    assert_eq!(smallest.without.len(), Faults::KINDS.len() - 1);
    assert_eq!(error, "wrong");
}
