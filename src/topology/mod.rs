//! What the user asked for: a YAML file becomes a checked topology, or every problem at once.
//!
//! In: the text of a topology. Out: [`Topology`], its description, its differences to another, its
//! SQL. Pure: no file is opened here. The rest of the engine sees only the checked form.

mod checked;
mod columns;

pub use checked::*;
pub use columns::*;
