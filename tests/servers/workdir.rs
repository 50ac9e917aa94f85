//! A folder for the data and logs of one server, removed with it.
//!
//! A test process that is killed cannot remove anything. Each folder therefore has a lock file that its owner keeps
//! locked; whoever makes the next folder first removes those whose lock is free.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

const LOCK: &str = "lock";

#[derive(Debug)]
pub(crate) struct Workdir {
    place: TempDir,
    _lock: File,
}

impl Workdir {
    pub(crate) fn new() -> Workdir {
        Self::below(&Path::new(env!("CARGO_TARGET_TMPDIR")).join("servers"))
            .expect("the target folder can be written")
    }

    pub(crate) fn path(&self) -> &Path {
        self.place.path()
    }

    /// Below a folder that holds nothing else.
    pub(crate) fn below(all: &Path) -> io::Result<Workdir> {
        fs::create_dir_all(all)?;
        // A folder that is just being made has no lock yet, and must not be taken for one that was left behind.
        let making = File::create(all.join(LOCK))?;
        making.lock()?;
        for left in left_behind(all)? {
            // Its servers may still be dying and writing; what stays is removed by the next one.
            let _ = fs::remove_dir_all(left);
        }
        let place = TempDir::new_in(all)?;
        let lock = File::create(place.path().join(LOCK))?;
        lock.lock()?;
        Ok(Workdir { place, _lock: lock })
    }
}

/// Folders whose owner is gone.
fn left_behind(all: &Path) -> io::Result<Vec<PathBuf>> {
    let mut left = Vec::new();
    for entry in fs::read_dir(all)? {
        let folder = entry?.path();
        let is_free = || File::open(folder.join(LOCK)).is_ok_and(|lock| lock.try_lock().is_ok());
        // The lock goes with the folder, in no known order: without one, somebody was removing it already.
        if folder.is_dir() && (!folder.join(LOCK).exists() || is_free()) {
            left.push(folder);
        }
    }
    Ok(left)
}
