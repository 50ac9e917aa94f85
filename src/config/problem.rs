//! What is wrong with a configuration, and where it came from.

use crate::yaml::{self, Place, Problems};
use std::fmt;

/// One thing to change. It never repeats a value: that may be a secret, at its place or at a wrong one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    pub origin: Origin,
    pub message: String,
}

/// Who said what is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Line and column start at 1.
    File { line: usize, column: usize },
    /// An environment variable, by its name.
    Variable(String),
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Origin::File { line, column } => write!(f, "{line}:{column}: {}", self.message),
            Origin::Variable(name) => write!(f, "{name}: {}", self.message),
        }
    }
}

impl std::error::Error for Problem {}

/// Those of variables first, then those of the file in its order.
pub(super) fn list(problems: Problems, variables: &[String]) -> Vec<Problem> {
    let origin = |problem: &yaml::Problem| match *problem {
        yaml::Problem { line: 0, column, .. } => Origin::Variable(variables[column].clone()),
        yaml::Problem { line, column, .. } => Origin::File { line, column },
    };
    let all = problems.into_list().into_iter();
    all.map(|problem| Problem { origin: origin(&problem), message: problem.message }).collect()
}

/// A variable, as the place of a value.
pub(super) fn variable(number: usize) -> Place {
    Place::outside(number)
}
