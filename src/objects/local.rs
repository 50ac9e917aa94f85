//! Objects as files under one directory.
//!
//! ```text
//! write .tmp/<n> ─► sync ─► hard link to the key's name ─► remove .tmp/<n> ─► sync the directory
//! ```
//!
//! The link fails if the name exists, for whoever comes second, and shows a file that is whole. A kill
//! leaves at most a file in `.tmp`, where no glob over a table looks.

use super::{Error, TEMPORARY, check};
use crate::port::{Created, Failure, Objects, Pending, Reaction};
use std::fs::{self, File};
use std::future::ready;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// The objects under one directory; any number of processes may share it.
#[derive(Debug)]
pub struct LocalObjects {
    root: PathBuf,
}

/// Unfinished objects of this process, so that no two of them share a name.
static MADE: AtomicU64 = AtomicU64::new(0);

impl LocalObjects {
    /// For the process that holds the lock of the directory around it: makes `root`, and removes what
    /// killed processes left in its `.tmp`.
    pub fn open(root: &Path) -> Result<Self, Failure> {
        let temporary = root.join(TEMPORARY);
        make_directory(&temporary)?;
        for entry in fs::read_dir(&temporary).map_err(|source| failure("list", &temporary, source))? {
            let path = entry.map_err(|source| failure("list", &temporary, source))?.path();
            fs::remove_file(&path).map_err(|source| failure("remove", &path, source))?;
        }
        Ok(Self::open_read_only(root))
    }

    /// For everybody else: touches nothing. A directory that is not there holds no objects.
    pub fn open_read_only(root: &Path) -> Self {
        LocalObjects { root: root.to_owned() }
    }

    fn path(&self, key: &str) -> Result<PathBuf, Failure> {
        check(key).map_err(|why| Failure::new(Reaction::Halt, Error::Key { key: key.to_owned(), why }))?;
        Ok(self.root.join(key))
    }

    fn create_now(&self, key: &str, body: &[u8]) -> Result<Created, Failure> {
        let path = self.path(key)?;
        let is_there = path.try_exists().map_err(|source| failure("look for", &path, source))?;
        let created = if is_there { Created::Before } else { self.make(&path, body)? };
        let parent = path.parent().unwrap_or(&self.root);
        match File::open(parent).and_then(|directory| directory.sync_all()) {
            Ok(()) => Ok(created),
            // It is there, but it may not outlive a loss of power: whoever asks again finds out.
            Err(_) => Ok(Created::Unknown),
        }
    }

    fn make(&self, path: &Path, body: &[u8]) -> Result<Created, Failure> {
        let made = MADE.fetch_add(1, Ordering::Relaxed);
        let temporary = self.root.join(TEMPORARY).join(format!("{}-{made}", std::process::id()));
        let created = write_whole(&temporary, body)
            .map_err(|source| failure("write", &temporary, source))
            .and_then(|()| link(&temporary, path));
        // Left over at worst, and removed at the next start.
        let _ = fs::remove_file(&temporary);
        created
    }

    fn open_object(&self, key: &str) -> Result<Option<(PathBuf, File)>, Failure> {
        let path = self.path(key)?;
        match File::open(&path) {
            Ok(file) => Ok(Some((path, file))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(failure("read", &path, source)),
        }
    }

    fn read_now(&self, key: &str, tail: Option<usize>) -> Result<Option<Vec<u8>>, Failure> {
        let Some((path, mut file)) = self.open_object(key)? else { return Ok(None) };
        let mut read = || {
            let len = file.metadata()?.len();
            let start = tail.map_or(0, |tail| len.saturating_sub(tail as u64));
            file.seek(SeekFrom::Start(start))?;
            let mut body = Vec::with_capacity(usize::try_from(len - start).unwrap_or_default());
            file.read_to_end(&mut body)?;
            Ok(body)
        };
        read().map(Some).map_err(|source| failure("read", &path, source))
    }

    fn list_now(&self, prefix: &str) -> Result<Vec<String>, Failure> {
        // All keys with this prefix lie under its last whole directory.
        let directory = prefix.rfind('/').map_or("", |slash| &prefix[..slash]);
        if !directory.is_empty() {
            self.path(directory)?;
        }
        let mut keys = Vec::new();
        self.walk(directory, prefix, &mut keys)?;
        keys.sort_unstable();
        Ok(keys)
    }

    fn walk(&self, directory: &str, prefix: &str, keys: &mut Vec<String>) -> Result<(), Failure> {
        let path = self.root.join(directory);
        let entries = match fs::read_dir(&path) {
            Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
                return Ok(());
            }
            entries => entries.map_err(|source| failure("list", &path, source))?,
        };
        for entry in entries {
            let entry = entry.map_err(|source| failure("list", &path, source))?;
            // No key of ours is anything but UTF-8.
            let Ok(name) = entry.file_name().into_string() else { continue };
            let key = if directory.is_empty() { name } else { format!("{directory}/{name}") };
            let kind = entry.file_type().map_err(|source| failure("list", &path, source))?;
            let may_match = key.starts_with(prefix) || prefix.starts_with(&key);
            if kind.is_dir() && key != TEMPORARY && may_match {
                self.walk(&key, prefix, keys)?;
            } else if kind.is_file() && key.starts_with(prefix) {
                keys.push(key);
            }
        }
        Ok(())
    }
}

fn write_whole(path: &Path, body: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(body)?;
    file.sync_all()
}

fn link(temporary: &Path, path: &Path) -> Result<Created, Failure> {
    let mut linked = fs::hard_link(temporary, path);
    if linked.as_ref().is_err_and(|error| error.kind() == ErrorKind::NotFound)
        && let Some(parent) = path.parent()
    {
        make_directory(parent)?;
        linked = fs::hard_link(temporary, path);
    }
    match linked {
        Ok(()) => Ok(Created::Now),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(Created::Before),
        Err(source) if source.kind() == ErrorKind::Unsupported => {
            Err(Failure::new(Reaction::Halt, Error::NoLinks { path: path.to_owned(), source }))
        }
        Err(source) => Err(failure("create", path, source)),
    }
}

/// Makes a directory and all above it, each of them to outlive a loss of power.
fn make_directory(path: &Path) -> Result<(), Failure> {
    let Some(parent) = path.parent().filter(|parent| !parent.as_os_str().is_empty()) else { return Ok(()) };
    match fs::create_dir(path) {
        Ok(()) => {}
        Err(error) if error.kind() == ErrorKind::AlreadyExists => return Ok(()),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            make_directory(parent)?;
            return make_directory(path);
        }
        Err(source) => return Err(failure("make", path, source)),
    }
    let synced = File::open(parent).and_then(|directory| directory.sync_all());
    synced.map_err(|source| failure("make", path, source))
}

/// A full disk gets better when somebody frees some of it; rights and broken disks do not by themselves.
fn failure(doing: &'static str, path: &Path, source: io::Error) -> Failure {
    let path = path.to_owned();
    match source.kind() {
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
            Failure::new(Reaction::Retry, Error::Full { path, source })
        }
        ErrorKind::ReadOnlyFilesystem | ErrorKind::PermissionDenied => {
            Failure::new(Reaction::Halt, Error::NotWritable { path, source })
        }
        _ => Failure::new(Reaction::Halt, Error::Io { doing, path, source }),
    }
}

impl Objects for LocalObjects {
    fn create<'a>(&'a self, key: &'a str, body: Vec<u8>) -> Pending<'a, Created> {
        Box::pin(ready(self.create_now(key, &body)))
    }

    fn read<'a>(&'a self, key: &'a str) -> Pending<'a, Option<Vec<u8>>> {
        Box::pin(ready(self.read_now(key, None)))
    }

    fn read_tail<'a>(&'a self, key: &'a str, len: usize) -> Pending<'a, Option<Vec<u8>>> {
        Box::pin(ready(self.read_now(key, Some(len))))
    }

    fn list<'a>(&'a self, prefix: &'a str) -> Pending<'a, Vec<String>> {
        Box::pin(ready(self.list_now(prefix)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_killed_process_left_is_removed_and_is_never_an_object() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("lake");
        LocalObjects::open(&root).unwrap().create_now("t/a", b"whole").unwrap();
        fs::write(root.join(".tmp/1-0"), b"hal").unwrap();

        assert_eq!(LocalObjects::open_read_only(&root).list_now("").unwrap(), ["t/a"]);
        let objects = LocalObjects::open(&root).unwrap();

        assert_eq!(fs::read_dir(root.join(".tmp")).unwrap().count(), 0);
        assert_eq!(objects.read_now("t/a", None).unwrap().unwrap(), b"whole");
    }
}
