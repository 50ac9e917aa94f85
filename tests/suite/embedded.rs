//! The log in a directory: the guarantees of the port, kills, full disks, damage, input, upkeep.

use crate::objects::now;
use crate::port_contract::{Contract, log_contract};
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;
use thalweg::embedded::{EmbeddedLog, Layout};
use thalweg::port::Log;

#[path = "embedded_input.rs"]
mod input;
#[path = "embedded_kill.rs"]
mod kill;
#[path = "embedded_trouble.rs"]
mod trouble;
#[path = "embedded_upkeep.rs"]
mod upkeep;

fn layout() -> Layout {
    Layout::new("test", 2, 1, Duration::ZERO)
}

fn open(dir: &Path) -> EmbeddedLog {
    EmbeddedLog::open(dir, &layout()).unwrap()
}

fn run(contract: Contract<dyn Log>) {
    let dir = tempfile::tempdir().unwrap();
    now(contract(Rc::new(open(dir.path()))));
}
log_contract!(run);
