//! One process at a time writes to a directory; whoever comes second learns who was first.

use super::error::Error;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::path::Path;

/// Held as long as the log is open. The operating system lets go of it when the process ends, however
/// it ends; the file itself stays, and what it says counts only while it is locked.
#[derive(Debug)]
pub(super) struct DirectoryLock {
    _file: File,
}

impl DirectoryLock {
    /// `command` is what a second process is told about us.
    pub(super) fn take(dir: &Path, command: &str) -> Result<Self, Error> {
        fs::create_dir_all(dir).map_err(|source| Error::io("create", dir, source))?;
        let path = dir.join("lock");
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .map_err(|source| Error::io("open", &path, source))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(Error::Locked { dir: dir.to_owned(), holder: holder(&mut file) });
            }
            Err(TryLockError::Error(source)) => return Err(Error::io("lock", &path, source)),
        }
        let text = format!("process {} ({command})\n", std::process::id());
        let written =
            file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(text.as_bytes()));
        written.map_err(|source| Error::io("write", &path, source))?;
        Ok(DirectoryLock { _file: file })
    }
}

/// Best effort: the holder may be about to write its name.
fn holder(file: &mut File) -> String {
    let mut text = String::new();
    let _ = file.take(512).read_to_string(&mut text);
    let text = text.trim();
    if text.is_empty() { "another process".to_owned() } else { text.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_taker_is_told_who_was_first() {
        let dir = tempfile::tempdir().unwrap();

        let first = DirectoryLock::take(dir.path(), "thalweg run t.yaml").unwrap();
        let refused = DirectoryLock::take(dir.path(), "thalweg run u.yaml").unwrap_err().to_string();
        drop(first);

        assert!(
            refused.contains(&format!("process {} (thalweg run t.yaml)", std::process::id())),
            "{refused}"
        );
        DirectoryLock::take(dir.path(), "x").unwrap();
    }
}
