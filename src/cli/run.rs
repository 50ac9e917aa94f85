//! `run TOPOLOGY`: the roles, over a directory or over brokers and a store, until idle, a signal or a failure.

use super::args::{RoleName, Run};
use super::exit::Exit;
use super::files;
use super::river::{self, River, feed};
use super::when;
use crate::model::Role;
use crate::worker::Settings;
use std::sync::Arc;

pub(super) fn run(arguments: &Run) -> Result<(), Exit> {
    #[cfg(debug_assertions)]
    {
        super::failpoint::arm()?;
        super::wrong_clock::set()?;
    }
    let topology = files::load(&arguments.topology)?;
    let start = when::start(&arguments.start)?;
    let roles = roles(&arguments.roles);
    #[cfg(all(feature = "kafka", feature = "s3"))]
    if let Some(config) = &arguments.place.config {
        return super::remote::run(arguments, topology, config, &roles, start);
    }
    let input = feed::Input::open(arguments.input.as_deref(), arguments.again)?;
    let settings = Settings { start, events_clock: arguments.until_idle, ..Settings::default() };
    let river = River::open(arguments.place.directory(), topology, settings)?;
    let asked = river::listen(Arc::clone(&river.control))?;

    let mut running = river.start(&roles)?;
    let mut feeding = feed::start(&river, input, arguments.until_idle);
    river::plain(&river, &mut running, &mut feeding)?;
    let was_idle = running.end()?;
    match asked.by() {
        // Not what was asked for: a script that goes on must not believe it.
        Some(signal) if arguments.until_idle && !was_idle => Err(Exit::signal(signal)),
        _ => Ok(()),
    }
}

/// Each once, in the order of the river.
pub(super) fn roles(names: &[RoleName]) -> Vec<Role> {
    let mut roles: Vec<_> = names
        .iter()
        .map(|name| match name {
            RoleName::Route => Role::Route,
            RoleName::Aggregate => Role::Aggregate,
            RoleName::Lake => Role::Lake,
        })
        .collect();
    roles.sort_unstable();
    roles.dedup();
    roles
}
