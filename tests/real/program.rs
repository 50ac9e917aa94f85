//! The program as people run it: arguments in, exit code and lines out.

use crate::python::root;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

pub(crate) struct Ran {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// The program with its arguments, not started yet.
pub(crate) fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_thalweg"));
    command.args(arguments);
    command
}

/// Runs a verb to its end, whatever that is.
#[track_caller]
pub(crate) fn thalweg(arguments: &[&str]) -> Ran {
    let output = command(arguments).output().expect("the program starts");
    Ran {
        status: output.status,
        stdout: String::from_utf8(output.stdout).expect("the program prints UTF-8"),
        stderr: String::from_utf8_lossy(&output.stderr).into_owned(),
    }
}

/// Runs a verb that has to end well, and gives what it printed.
#[track_caller]
pub(crate) fn fine(arguments: &[&str]) -> String {
    let ran = thalweg(arguments);
    assert!(ran.status.success(), "{arguments:?}: {}\n{}\n{}", ran.status, ran.stdout, ran.stderr);
    ran.stdout
}

pub(crate) fn topology(name: &str) -> String {
    text(&root().join("topologies").join(name))
}

pub(crate) fn text(path: &Path) -> String {
    path.to_str().expect("paths of tests are UTF-8").to_owned()
}

/// A log directory, and what the verbs say about it.
pub(crate) struct River {
    pub(crate) topology: String,
    pub(crate) dir: PathBuf,
}

impl River {
    pub(crate) fn new(name: &str, dir: &Path) -> River {
        River { topology: topology(name), dir: dir.to_path_buf() }
    }

    fn dir(&self) -> String {
        text(&self.dir)
    }

    /// Everything in `input`, through all three roles, to its end.
    #[track_caller]
    pub(crate) fn run(&self, input: &Path) {
        fine(&["run", &self.topology, "--embedded", &self.dir(), "--input", &text(input), "--until-idle"]);
    }

    #[track_caller]
    pub(crate) fn verify(&self) {
        fine(&["verify", &self.topology, "--embedded", &self.dir()]);
    }

    /// What `metrics` prints, kept in a file beside the log; `more` chooses rows, history or set-aside.
    #[track_caller]
    pub(crate) fn metrics(&self, more: &[&str]) -> String {
        let dir = self.dir();
        let mut arguments = vec!["metrics", &self.topology, "--embedded", &dir];
        arguments.extend(more);
        self.keep(&format!("metrics{}.ndjson", more.concat()), &fine(&arguments))
    }

    #[track_caller]
    pub(crate) fn ddl(&self) -> String {
        let sql = fine(&["ddl", &self.topology, "--engine", "duckdb", "--embedded", &self.dir()]);
        self.keep("lake.sql", &sql)
    }

    #[track_caller]
    pub(crate) fn dead_letters(&self) -> String {
        let list =
            fine(&["dead-letters", "ls", &self.topology, "--embedded", &self.dir(), "--output", "json"]);
        self.keep("dead-letters.ndjson", &list)
    }

    /// The documented glob over the lake's table of events.
    pub(crate) fn glob(&self, table: &str) -> String {
        text(&self.dir.join("lake").join(table).join("**/*.parquet"))
    }

    fn keep(&self, name: &str, said: &str) -> String {
        let path = self.dir.with_extension(name);
        std::fs::write(&path, said).expect("a temporary folder can be written");
        text(&path)
    }
}
