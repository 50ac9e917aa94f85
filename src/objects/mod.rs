//! The lake's objects: create-only, whole or not there at all.
//!
//! In: keys and bodies. Out: [`Created`](crate::port::Created), bodies, lists of keys. Promises the three
//! guarantees of [`port::Objects`](crate::port::Objects); [`probe()`] checks the first on any store. Never:
//! overwrites or deletes an object.

mod local;
mod memory;
mod probe;

pub use local::LocalObjects;
pub use memory::MemoryObjects;
pub use probe::{ProbeError, probe};

/// Why an object could not be kept or found.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("`{key}` cannot be the key of an object: {why}")]
    Key { key: String, why: &'static str },

    #[error("no space left for `{}`; free some, and it is tried again", path.display())]
    Full { path: std::path::PathBuf, source: std::io::Error },

    #[error("`{}` cannot be written: {source}", path.display())]
    NotWritable { path: std::path::PathBuf, source: std::io::Error },

    #[error("`{}` is on a file system without hard links, so no object can be made create-only: {source}", path.display())]
    NoLinks { path: std::path::PathBuf, source: std::io::Error },

    #[error("cannot {doing} `{}`: {source}", path.display())]
    Io { doing: &'static str, path: std::path::PathBuf, source: std::io::Error },
}
