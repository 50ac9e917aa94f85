//! `demo`: the whole river on this machine.

mod newest;
mod screen;
mod top;

use super::args::Demo;
use super::exit::Exit;
use std::io::Write;

pub(super) fn demo(_: &Demo, _: &mut dyn Write) -> Result<(), Exit> {
    Err(Exit::usage("not there yet"))
}
