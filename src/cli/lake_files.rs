//! The files of a local lake, for people.

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
pub(super) fn newest(dir: &Path, count: usize) -> Vec<File> {
    let mut found = Vec::new();
    walk(dir, dir, &mut found);
    found.sort_by(|a, b| (b.0, &a.1.path).cmp(&(a.0, &b.1.path)));
    found.truncate(count);
    found.into_iter().map(|(_, file)| file).collect()
}

/// Whether there is any Parquet file below `dir`.
pub(super) fn is_any(dir: &Path) -> bool {
    !newest(dir, 1).is_empty()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_parquet_files_count_and_their_folders_are_named() {
        let dir = tempfile::tempdir().expect("a directory can be made");
        let folder = dir.path().join("day=01");
        assert!(!is_any(dir.path()) && !is_any(&folder));
        fs::create_dir(&folder).expect("a folder can be made");
        fs::write(folder.join("x.plan"), "").expect("a file can be made");
        assert!(!is_any(dir.path()));

        fs::write(folder.join("x.parquet"), "abc").expect("a file can be made");

        assert_eq!(newest(dir.path(), 5), [File { path: "day=01/x.parquet".into(), bytes: 3 }]);
    }
}
