//! The cache folder: what tests need and the repository does not hold, fetched once and shared by all runs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::{env, io};

/// The folder `name` of the cache, filled by `fill` if that was never finished before.
///
/// Two test runs may come here at once: one fills the folder, the other waits for it. `name` has to change whenever
/// the contents would: it is all that says whether they are right.
pub(crate) fn folder(name: &str, fill: impl FnOnce(&Path) -> Result<(), String>) -> Result<PathBuf, String> {
    let cache = place()?;
    let of_cache = |error| format!("{} cannot be written: {error}", cache.display());
    fs::create_dir_all(&cache).map_err(of_cache)?;
    let lock = File::create(cache.join(format!("{name}.lock"))).map_err(of_cache)?;
    lock.lock().map_err(of_cache)?;

    let folder = cache.join(name);
    let ready = folder.join("ready");
    if !ready.is_file() {
        // A half-made one of somebody who was killed.
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder).map_err(of_cache)?;
        fill(&folder)?;
        fs::write(&ready, "").map_err(of_cache)?;
    }
    Ok(folder)
}

fn place() -> Result<PathBuf, String> {
    let place = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    place("THALWEG_CACHE")
        .or_else(|| Some(place("XDG_CACHE_HOME")?.join("thalweg")))
        .or_else(|| Some(place("HOME")?.join(".cache/thalweg")))
        // Go and Maven would take another one for relative to a folder of theirs.
        .and_then(|place| std::path::absolute(place).ok())
        .ok_or_else(|| "no folder for what tests fetch: set THALWEG_CACHE, XDG_CACHE_HOME or HOME".into())
}

/// The sentence, and what the program said itself, unless it ended well.
pub(crate) fn finished(output: io::Result<Output>, sentence: &str) -> Result<(), String> {
    match output {
        Ok(output) if output.status.success() => Ok(()),
        // Maven complains on its standard output.
        Ok(output) => Err(format!(
            "{sentence}\n{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )),
        Err(error) => Err(format!("{sentence}\n{error}")),
    }
}
