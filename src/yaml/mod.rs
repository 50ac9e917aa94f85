//! YAML that people write by hand, read so that every mistake can be pointed at.
//!
//! In: the text of a file. Out: a tree that keeps the source text and the place of every scalar, small readers
//! of its nodes, and a list of all problems, each saying what would be right. Shared by `topology` and
//! `config`. Never: gives a scalar a type by itself, follows an alias, opens a file.

mod node;
mod problem;
pub(crate) mod read;
mod units;

pub(crate) use node::{Kind, Member, Node, key_name, parse, shorten};
pub use problem::Problem;
pub(crate) use problem::{Place, Problems};
pub(crate) use read::{DEPLOYMENT, Members, Name, Pattern};
pub use units::{parse_bytes, parse_duration};
