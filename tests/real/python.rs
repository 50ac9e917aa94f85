//! The virtual environment of the oracles: made once for each list of requirements, shared by all tests and runs.

#![allow(dead_code, reason = "several test binaries include this, and none of them uses all of it")]

use crate::servers::cached::{self, finished};
use crate::servers::left_out::{left_out, needed};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::{env, fs};
use xxhash_rust::xxh3::xxh3_64;

const REQUIREMENTS: &str = include_str!("requirements.txt");
const CANDIDATES: [&str; 6] = ["python3", "python3.14", "python3.13", "python3.12", "python3.11", "python"];
const NEEDED: &str = "python 3.11 or newer with its venv module (for example: apt-get install python3 \
                      python3-venv), named by $PYTHON or on the path";

/// A Python that has what the oracles need.
#[derive(Debug, Clone)]
pub(crate) struct Python {
    program: PathBuf,
}

impl Python {
    /// `None` if this test is left out on purpose; it is then counted by the last line of `cargo test`.
    #[track_caller]
    pub(crate) fn or_left_out() -> Option<Python> {
        static READY: OnceLock<Result<Python, String>> = OnceLock::new();
        if left_out() {
            return None;
        }
        Some(needed(READY.get_or_init(|| prepare(REQUIREMENTS)).clone()))
    }

    /// The same with another list of requirements, for tests that need more.
    #[track_caller]
    pub(crate) fn with(requirements: &str) -> Option<Python> {
        if left_out() {
            return None;
        }
        Some(needed(prepare(requirements)))
    }

    pub(crate) fn program(&self) -> &Path {
        &self.program
    }

    /// An oracle with its arguments, not started yet.
    pub(crate) fn oracle(&self, name: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.program);
        command
            .env("PYTHONDONTWRITEBYTECODE", "1")
            .arg(root().join("tests/oracle").join(name))
            .args(arguments);
        command
    }

    /// Runs an oracle to its end; what it prints is shown if it finds anything wrong.
    #[track_caller]
    pub(crate) fn agrees(&self, name: &str, arguments: &[&str]) -> String {
        let output = self.oracle(name, arguments).output().expect("the oracle starts");
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{name} {arguments:?}: {}\n{said}\n{complaint}", output.status);
        said
    }
}

pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn prepare(requirements: &str) -> Result<Python, String> {
    let (python, version) = find_python()?;
    let name = format!("python-{:016x}", xxh3_64(format!("{version}\n{requirements}").as_bytes()));
    let place = cached::folder(&name, |place| install(&python, requirements, place))?;
    Ok(Python { program: place.join("bin/python") })
}

/// The first Python that is new enough and can make environments.
fn find_python() -> Result<(PathBuf, String), String> {
    const ASK: &str = "import sys, venv, ensurepip; print(sys.version); sys.exit(sys.version_info < (3, 11))";
    let named = env::var_os("PYTHON").map(PathBuf::from);
    let mut candidates: Vec<PathBuf> = named.into_iter().collect();
    candidates.extend(CANDIDATES.map(PathBuf::from));
    for candidate in candidates {
        let answer = Command::new(&candidate).args(["-c", ASK]).output();
        if let Some(answer) = answer.ok().filter(|answer| answer.status.success()) {
            return Ok((candidate, String::from_utf8_lossy(&answer.stdout).trim().to_owned()));
        }
    }
    Err(format!("the oracles need {NEEDED}"))
}

fn install(python: &Path, requirements: &str, place: &Path) -> Result<(), String> {
    let made = Command::new(python).args(["-m", "venv"]).arg(place).output();
    finished(made, &format!("no virtual environment could be made; the oracles need {NEEDED}"))?;
    let list = place.join("requirements.txt");
    fs::write(&list, requirements)
        .map_err(|error| format!("{} cannot be written: {error}", list.display()))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r"];
    let installed = Command::new(place.join("bin/python")).args(pip).arg(&list).output();
    finished(
        installed,
        "the oracles' requirements.txt could not be installed: pip has to reach a package index",
    )
}
