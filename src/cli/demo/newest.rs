//! The newest files of a local lake, for people.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct File {
    /// Below the table's folder.
    pub(super) path: String,
    pub(super) bytes: u64,
}

/// At most `count` Parquet files below `dir`, the newest first. Nothing while there is no such folder.
pub(super) fn files(dir: &Path, count: usize) -> Vec<File> {
    let mut found = Vec::new();
    walk(dir, dir, &mut found);
    found.sort_by(|a, b| (b.0, &a.1.path).cmp(&(a.0, &b.1.path)));
    found.truncate(count);
    found.into_iter().map(|(_, file)| file).collect()
}

/// Objects come and go while we look (temporary names): what cannot be read is left out.
fn walk(root: &Path, dir: &Path, found: &mut Vec<(SystemTime, File)>) {
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        let path = entry.path();
        let Ok(facts) = entry.metadata() else { continue };
        if facts.is_dir() {
            walk(root, &path, found);
        } else if path.extension().is_some_and(|extension| extension == "parquet") {
            let name = path.strip_prefix(root).unwrap_or(&path).display().to_string();
            let changed = facts.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            found.push((changed, File { path: name, bytes: facts.len() }));
        }
    }
}
