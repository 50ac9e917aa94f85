//! Trino, one node: the engine that Athena's third version is made of, over the files of an S3 server and the tables of
//! a Glue catalog.
//!
//! What differs from Athena: Trino does not read Athena's DDL (Hive's language), which has to be put into its own
//! words first (`tests/oracle/athena_ddl.py`); errors have other names; which release Athena runs, and what was changed
//! in it, nobody says. It is put together from the jars of its modules, because there is no server bundle of its newer
//! releases where jars are fetched from.

mod jars;
mod settings;

use super::left_out::{left_out, needed};
use super::ports::Port;
use super::process::{Process, wait_until};
use super::s3::S3;
use super::workdir::Workdir;
use jars::Jars;
use std::fs;
use std::time::Duration;

/// A start takes 8 to 20 seconds; a machine that runs all tests at once may need far longer.
const START_MAX: Duration = Duration::from_secs(180);
const READY: &str = "SERVER STARTED";

/// A server that runs until this is dropped.
#[derive(Debug)]
pub(crate) struct Trino {
    // In this order: first the process goes, then its files.
    process: Process,
    port: Port,
    workdir: Workdir,
}

impl Trino {
    /// Ready to be asked, with two catalogs: `awsdatacatalog`, as Athena calls Glue, and `folder` for tables that are made
    /// by SQL, which the emulated Glue does not take. `None` if the test is left out on purpose.
    #[track_caller]
    pub(crate) fn start(files: &S3, glue: &Port) -> Option<Trino> {
        if left_out() {
            return None;
        }
        Some(needed(Self::try_start(files, glue)))
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port.number())
    }

    fn try_start(files: &S3, glue: &Port) -> Result<Trino, String> {
        let jars = Jars::get()?;
        let (port, workdir) = (Port::reserve(), Workdir::new());
        settings::write(workdir.path(), &jars, port.number(), files, glue)
            .map_err(|error| format!("{} cannot be written: {error}", workdir.path().display()))?;
        let log = workdir.path().join("server.log");
        let arguments = settings::arguments(workdir.path(), &jars);
        let mut process = Process::start(jars.java(), arguments, &log)?;

        let said = || fs::read_to_string(&log).unwrap_or_default();
        wait_until(START_MAX, || said().contains(READY) || !process.is_on());
        match said().contains(READY) {
            true => Ok(Trino { process, port, workdir }),
            false => Err(format!("Trino did not start\n{}", last_words(&said()))),
        }
    }
}

/// Without the places in the code that an exception came through: they are many, and the reason stands above them.
fn last_words(log: &str) -> String {
    let lines: Vec<_> = log.lines().filter(|line| !line.starts_with("\tat ")).collect();
    lines[lines.len().saturating_sub(30)..].join("\n")
}
