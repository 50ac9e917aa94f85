//! What the user asked for: a YAML file becomes a checked topology, or every problem at once.
//!
//! In: the text of a topology. Out: [`Topology`], its description, its differences to another, its
//! SQL. Pure: no file is opened here. The rest of the engine sees only the checked form.

mod check;
mod checked;
mod columns;
mod literal;
mod node;
mod problem;
mod read;
mod versions;

pub use check::check;
pub use checked::*;
pub use columns::*;
pub use literal::{parse_bytes, parse_duration};
pub use problem::Problem;
pub use versions::{DECODE_VERSION, FOLD_VERSION};
