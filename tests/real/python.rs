//! The virtual environment of the oracles: made once for each list of requirements, shared by all tests and runs.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;
use std::{env, thread};
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
        if env::var_os("THALWEG_SKIP_REAL").is_some_and(|value| value == "1") {
            leave_out();
            return None;
        }
        match READY.get_or_init(prepare) {
            Ok(python) => Some(python.clone()),
            Err(why) => panic!("{why}; or leave these tests out with THALWEG_SKIP_REAL=1"),
        }
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

/// Leaves a mark for `tests/verdict.rs`, which cargo starts last, with the same parent.
#[track_caller]
fn leave_out() {
    let here = std::panic::Location::caller();
    let this = thread::current();
    // With one test thread the test runs on the main one, which has no test's name.
    let name = this.name().filter(|name| name.contains("::"));
    let name =
        name.map_or_else(|| format!("{} line {}", here.file().replace('/', "-"), here.line()), String::from);
    let marks = format!("not-run-{}", std::os::unix::process::parent_id());
    let marks = Path::new(env!("CARGO_TARGET_TMPDIR")).join(marks);
    fs::create_dir_all(&marks).expect("the target folder can be written");
    fs::write(marks.join(name), "").expect("the target folder can be written");
}

fn cache() -> Result<PathBuf, String> {
    let place = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    place("THALWEG_CACHE")
        .or_else(|| Some(place("XDG_CACHE_HOME")?.join("thalweg")))
        .or_else(|| Some(place("HOME")?.join(".cache/thalweg")))
        .ok_or_else(|| {
            "no folder for the oracles' environment: set THALWEG_CACHE, XDG_CACHE_HOME or HOME".into()
        })
}

/// Two test runs may come here at once: one makes the environment, the other waits for it.
fn prepare() -> Result<Python, String> {
    let (python, version) = find_python()?;
    let cache = cache()?;
    let of_cache = |error| format!("{} cannot be written: {error}", cache.display());
    fs::create_dir_all(&cache).map_err(of_cache)?;
    let name = format!("python-{:016x}", xxh3_64(format!("{version}\n{REQUIREMENTS}").as_bytes()));
    let lock = File::create(cache.join(format!("{name}.lock"))).map_err(of_cache)?;
    lock.lock().map_err(of_cache)?;

    let place = cache.join(name);
    let ready = place.join("ready");
    let program = place.join("bin/python");
    if !ready.is_file() {
        // A half-made one of somebody who was killed.
        let _ = fs::remove_dir_all(&place);
        install(&python, &place, &program)?;
        fs::write(&ready, REQUIREMENTS).map_err(of_cache)?;
    }
    Ok(Python { program })
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

fn install(python: &Path, place: &Path, program: &Path) -> Result<(), String> {
    let made = Command::new(python).args(["-m", "venv"]).arg(place).output();
    finished(made, &format!("no virtual environment could be made; the oracles need {NEEDED}"))?;
    let list = place.join("requirements.txt");
    fs::write(&list, REQUIREMENTS)
        .map_err(|error| format!("{} cannot be written: {error}", list.display()))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps", "-r"];
    let installed = Command::new(program).args(pip).arg(&list).output();
    finished(
        installed,
        "tests/real/requirements.txt could not be installed: pip has to reach a package index",
    )
}

fn finished(output: std::io::Result<Output>, sentence: &str) -> Result<(), String> {
    match output {
        Ok(output) if output.status.success() => Ok(()),
        Ok(output) => Err(format!("{sentence}\n{}", String::from_utf8_lossy(&output.stderr))),
        Err(error) => Err(format!("{sentence}\n{error}")),
    }
}
