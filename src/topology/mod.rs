//! What the user asked for: a YAML file becomes a checked topology, or every problem at once.
//!
//! In: the text of a topology. Out: [`Topology`], its description, its differences to another, its
//! SQL and its schemas. Pure: no file is opened here. The rest of the engine sees only the checked form.

mod athena;
mod check;
mod checked;
mod columns;
mod compare;
mod ddl;
mod describe;
mod literal;
mod names;
mod schemas;
mod versions;
mod words;

pub use athena::{Glue, athena_ddl, terraform};
pub use check::check;
pub use checked::*;
pub use columns::*;
pub use compare::{Change, Demand, compare, takes_alike};
pub use ddl::duckdb_ddl;
pub use describe::describe;
pub use schemas::{Schema, schemas};
pub use versions::{DECODE_VERSION, FOLD_VERSION};

pub use crate::yaml::{Problem, parse_bytes, parse_duration};
