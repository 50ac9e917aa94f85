//! Prometheus' own opinion of a text with metrics: `promtool` where it is installed, else its linter, built by Go once.

use super::cached::{self, finished};
use super::left_out::needed;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

const MODULE: &str = "module promlint\n\ngo 1.24\n";
const SOURCE: &str = include_str!("promlint/main.go");
const PACKAGE: &str = "github.com/prometheus/client_golang/prometheus/testutil/promlint";
const VERSION: &str = "v1.23.2";

/// Everything that it does not like; empty if it is content.
pub(crate) fn lint(metrics: &str) -> String {
    let mut command = if is_installed() {
        let mut command = Command::new("promtool");
        command.args(["check", "metrics"]);
        command
    } else {
        Command::new(needed(get()))
    };
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut linter = command.spawn().expect("the linter can be started");
    let mut stdin = linter.stdin.take().expect("it is piped");
    stdin.write_all(metrics.as_bytes()).expect("the linter reads all of it");
    drop(stdin);
    let output = linter.wait_with_output().expect("the linter ends");
    let said = [output.stdout, output.stderr].concat();
    match output.status.success() && said.is_empty() {
        true => String::new(),
        false => format!("{}\n{}", output.status, String::from_utf8_lossy(&said)),
    }
}

fn is_installed() -> bool {
    Command::new("promtool").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok()
}

fn get() -> Result<PathBuf, String> {
    static READY: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    READY
        .get_or_init(|| {
            let folder = cached::folder(&format!("promlint-{VERSION}"), build)?;
            Ok(folder.join("promlint"))
        })
        .clone()
}

fn build(folder: &Path) -> Result<(), String> {
    const NEEDED: &str = "to check metrics, the tests with real servers need promtool, or Go 1.26 or newer (its own \
                          download, or: apt-get install golang), which has to reach a module proxy";
    let source = folder.join("source");
    let written = fs::create_dir(&source)
        .and_then(|()| fs::write(source.join("go.mod"), MODULE))
        .and_then(|()| fs::write(source.join("main.go"), SOURCE));
    written.map_err(|error| format!("{} cannot be written: {error}", source.display()))?;
    let go = |arguments: &[&str]| {
        Command::new("go").current_dir(&source).env("CGO_ENABLED", "0").args(arguments).output()
    };
    finished(go(&["get", &format!("{PACKAGE}@{VERSION}")]), NEEDED)?;
    finished(go(&["build", "-o", "../promlint", "."]), NEEDED)
}
