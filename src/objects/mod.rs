//! The lake's objects: create-only, whole or not there at all.
//!
//! In: keys and bodies. Out: [`Created`](crate::port::Created), bodies, lists of keys. Promises the three
//! guarantees of [`port::Objects`](crate::port::Objects); [`probe()`] checks the first on any store. Never:
//! overwrites or deletes an object.

mod local;
mod memory;
mod probe;
#[cfg(feature = "s3")]
mod remote;

pub use local::LocalObjects;
pub use memory::MemoryObjects;
pub use probe::{Probe, ProbeError, probe};
#[cfg(feature = "s3")]
pub use remote::{
    AwsIdentity, CallCounts, Credentials, Encryption, RemoteError, RemoteObjects, StoreCounts, StoreKind,
    StoreLimits, StoreSettings, StoreUrl,
};

/// Where a directory keeps unfinished objects. No store may have it as a key, so that all take the same keys.
const TEMPORARY: &str = ".tmp";

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

/// A key is a relative path of plain names, none of which leads out of the root or into `.tmp`.
fn check(key: &str) -> Result<(), &'static str> {
    if key.is_empty() {
        return Err("it is empty");
    }
    if key.contains(['\0', '\\']) {
        return Err("it holds a zero byte or a backslash");
    }
    for name in key.split('/') {
        match name {
            "" => return Err("it begins or ends with `/`, or has two in a row"),
            "." | ".." => return Err("it holds `.` or `..`"),
            _ if name.len() > 255 => return Err("a part of it is longer than 255 bytes"),
            _ => {}
        }
    }
    let is_temporary = key == TEMPORARY || key.starts_with(".tmp/");
    if is_temporary { Err("`.tmp` is for unfinished objects") } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_key_leads_out_of_the_root() {
        let good = ["a", "a/b=c/d.parquet", "_control/v1/x", "a/.hidden", "tmp/x", ".tmpx/y"];
        let bad = ["", "/a", "a/", "a//b", "..", "a/../b", "./a", ".tmp", ".tmp/x", "a\0b", "a\\b"];

        for key in good {
            assert_eq!(check(key), Ok(()), "{key}");
        }
        for key in bad {
            assert!(check(key).is_err(), "{key}");
        }
        assert!(check(&"x".repeat(256)).is_err());
    }
}
