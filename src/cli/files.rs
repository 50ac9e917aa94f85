//! Files that a person names: topologies, and what is said when one is not what it must be.

use super::exit::Exit;
use super::say;
use crate::topology::{self, Topology};
use std::fs;
use std::path::{Path, PathBuf};

/// TOPOLOGY is a file, or a folder that holds `topology.yaml`.
pub(super) fn topology_file(path: &Path) -> PathBuf {
    if path.is_dir() { path.join("topology.yaml") } else { path.to_path_buf() }
}

pub(super) fn read_text(path: &Path) -> Result<String, Exit> {
    let bytes = fs::read(path).map_err(|error| cannot_read(path, error))?;
    String::from_utf8(bytes).map_err(|error| {
        let at = error.utf8_error().valid_up_to();
        Exit::invalid(format_args!("{}: is not UTF-8 text: byte {at}", path.display()))
    })
}

pub(super) fn cannot_read(path: &Path, error: std::io::Error) -> Exit {
    Exit::invalid(format_args!("cannot read {}: {error}", path.display()))
}

/// The checked topology, or every problem of it as `file:line:column: message`.
pub(super) fn load(path: &Path) -> Result<Topology, Exit> {
    let path = topology_file(path);
    check_text(&path.display().to_string(), &read_text(&path)?)
}

/// As [`load`], for a text that came from elsewhere.
pub(super) fn check_text(name: &str, text: &str) -> Result<Topology, Exit> {
    topology::check(text).map_err(|problems| {
        for problem in &problems {
            say(format_args!("{name}:{}:{}: {}", problem.line, problem.column, problem.message));
        }
        let plural = if problems.len() == 1 { "" } else { "s" };
        Exit::invalid(format_args!("{name} has {} problem{plural}", problems.len()))
    })
}
