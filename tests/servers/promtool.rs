//! Prometheus' own checker of metrics and rules, built by Go once.

use super::cached::{self, finished};
use super::left_out::needed;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

const PACKAGE: &str = "github.com/prometheus/prometheus/cmd/promtool";
/// Of Prometheus 3.8, as Go counts it.
const VERSION: &str = "v0.308.0";

/// Where the program is.
pub(crate) fn promtool() -> PathBuf {
    static READY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let ready = READY.get_or_init(|| {
        let folder = cached::folder(&format!("promtool-{VERSION}"), build)?;
        Ok(folder.join("promtool"))
    });
    needed(ready.clone())
}

/// In a module of its own: Go installs no program whose module excludes versions of others, as this one does.
fn build(folder: &Path) -> Result<(), String> {
    const NEEDED: &str = "to build Prometheus' promtool once, the tests with real servers need Go 1.26 or newer (its own \
                          download, or: apt-get install golang), which has to reach a module proxy";
    let source = folder.join("source");
    let written = fs::create_dir(&source)
        .and_then(|()| fs::write(source.join("go.mod"), "module promtool\n\ngo 1.25\n"));
    written.map_err(|error| format!("{} cannot be written: {error}", source.display()))?;
    let go = |arguments: &[&str]| {
        Command::new("go").current_dir(&source).env("CGO_ENABLED", "0").args(arguments).output()
    };
    finished(go(&["get", &format!("{PACKAGE}@{VERSION}")]), NEEDED)?;
    finished(go(&["build", "-ldflags=-s -w", "-o", "../promtool", PACKAGE]), NEEDED)
}
