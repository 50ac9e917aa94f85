//! `topics TOPOLOGY --config FILE`: which topics a deployment needs, and making those that are missing.

use super::args::Topics;
use super::exit::Exit;
use super::files;
use super::remote::Remote;
use super::river::block_on;
use super::topic;
use crate::kafka::topics;
use crate::model::{Partition, Role, Topic};
use crate::port::Log;
use std::io::Write;

pub(super) fn topics(arguments: &Topics, out: &mut dyn Write) -> Result<(), Exit> {
    let topology = files::load(&arguments.topology)?;
    let remote = Remote::open(topology, &arguments.config)?;
    let wanted = remote.wanted(arguments.replication);
    let mut reader = remote.log().reader();
    // Tells whether brokers answer at all, before anything is called missing.
    block_on(reader.committed(Role::Route, Partition(0))).map_err(topic::failed)?;
    let raw = block_on(reader.facts(Topic::Raw));
    let mut missing = Vec::new();
    for one in &wanted {
        match block_on(reader.facts(one.topic)) {
            Ok(facts) if facts.partitions == one.partitions => {
                writeln!(out, "{}: is there, {} partitions", one.name, facts.partitions)?;
            }
            Ok(facts) => {
                return Err(Exit::drift(format_args!(
                    "{} has {} partitions, and the topology says {}: the count is fixed for a topology's life",
                    one.name, facts.partitions, one.partitions
                )));
            }
            Err(_) => {
                writeln!(out, "{}: is missing", one.name)?;
                for (name, value) in &one.settings {
                    writeln!(out, "    {name}={value}")?;
                }
                missing.push(one.clone());
            }
        }
    }
    match raw {
        Ok(facts) => {
            writeln!(out, "{}: is there, {} partitions", remote.log().settings().raw_topic, facts.partitions)?
        }
        Err(_) => writeln!(out, "{}: is missing; its producers make it", remote.log().settings().raw_topic)?,
    }
    if missing.is_empty() {
        return Ok(());
    }
    if !arguments.apply {
        return Err(Exit::drift(format_args!("{} topics are missing; --apply makes them", missing.len())));
    }
    let made = topics::create(remote.log().settings(), &missing, arguments.replication)
        .map_err(|error| topic::failed(error.into()))?;
    made.iter().try_for_each(|name| Ok(writeln!(out, "{name}: made")?))
}
