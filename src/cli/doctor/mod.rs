//! `doctor TOPOLOGY --config FILE`: can this machine reach brokers and store, with which rights, and what is missing.
//!
//! ```text
//! configuration ─► brokers ─► topics ─► rights ─► store ─► clock ─► one list ─► one exit code
//! ```
//!
//! In: a topology, a configuration, the roles that are to run. Out: one finding for each check, with what to do.
//! Promises: every check that can be made is made, whatever failed before it. Never: a change that a running
//! deployment notices.

mod brokers;
mod clock;
mod configuration;
mod finding;
mod store;

use super::args;
use super::exit::Exit;
use super::files;
use super::remote::{self, Remote};
use super::run;
use crate::model::Role;
use finding::State;
use std::io::Write;

pub(super) fn doctor(arguments: &args::Doctor, out: &mut dyn Write) -> Result<(), Exit> {
    let topology = files::load(&arguments.topology)?;
    let config = remote::read(&arguments.config)?;
    let roles = run::roles(&arguments.roles);
    let files = configuration::files(&config);
    if files.iter().any(|finding| finding.state == State::Missing) {
        finding::print(&files, arguments.output, out)?;
        return Err(Exit::invalid(format_args!(
            "{} names files that cannot be read; nothing else was looked at",
            arguments.config.display()
        )));
    }
    let remote = Remote::open(topology, &arguments.config)?;
    let mut findings = configuration::named(&remote);
    findings.extend(files);
    findings.extend(brokers::check(&remote, &roles, arguments));
    if roles.contains(&Role::Lake) && arguments.verb.is_none() {
        findings.extend(store::check(&remote));
    }
    finding::print(&findings, arguments.output, out)?;
    finding::verdict(&findings)
}

/// `route`, `route and lake`, `route, aggregate and lake`.
fn listed(roles: &[Role]) -> String {
    let names: Vec<&str> = roles.iter().map(|&role| crate::watch::name(role)).collect();
    match names.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
        None => String::new(),
    }
}
