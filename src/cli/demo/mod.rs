//! `demo`: the whole river on this machine, over made-up shoppers' events, and then its proof.
//!
//! An `--until-idle` run like any other: the generator is the input. On a terminal it is shown live.

mod live;
mod made;
mod screen;
mod top;

use super::args::{Demo, Output};
use super::exit::Exit;
use super::files;
use super::generate::Lines;
use super::heap;
use super::progress::Moment;
use super::river::{self, River, feed};
use super::say;
use super::verify;
use crate::generate::{FROM, Settings as Shoppers};
use crate::model::Role;
use crate::objects::LocalObjects;
use crate::topology::{Micros, Topology};
use crate::worker::Settings;
use live::Live;
use made::Made;
use std::fs;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::process;
use std::sync::Arc;
use std::time::{Duration, Instant};

const MARKETPLACE: &str = include_str!("../../../topologies/marketplace/topology.yaml");
const DAY: Micros = 86_400_000_000;

pub(super) fn demo(arguments: &Demo, out: &mut dyn Write) -> Result<(), Exit> {
    let (topology, text) = topology(arguments.topology.as_deref())?;
    if topology.name != "marketplace" && arguments.input.is_none() {
        return Err(Exit::usage(format_args!(
            "made-up events are a marketplace's; give those of {} by --input",
            topology.name
        )));
    }
    let input = input(arguments)?;
    let dir = directory(arguments.dir.as_deref())?;
    let settings = Settings { events_clock: true, ..Settings::default() };
    let river = River::open(&dir, topology, settings)?;
    if Moment::now(&river.control, &mut *river.reader())?.raw > 0 {
        return Err(Exit::usage(format_args!(
            "{} holds a log already; choose another --dir, or go on there with `thalweg run`",
            dir.display()
        )));
    }
    // So that the folder is a TOPOLOGY for all other verbs.
    let copy = dir.join("topology.yaml");
    fs::write(&copy, text)
        .map_err(|error| Exit::failed(format_args!("cannot write {}: {error}", copy.display())))?;

    let began = Instant::now();
    let is_watched = arguments.output == Output::Text && io::stdout().is_terminal();
    say(format_args!("demo of {} in {}", river.topology().name, dir.display()));
    let events = arguments.input.is_none().then_some(arguments.events);
    let asked = flow(&river, input, is_watched.then_some(events), out)?;
    if let Some(signal) = asked {
        return Err(Exit::signal(signal));
    }

    let moment = Moment::now(&river.control, &mut *river.reader())?;
    heap::give_back();
    let objects = LocalObjects::open_read_only(&river.lake());
    let report = verify::prove(river.topology(), &mut *river.reader(), &objects);
    let report = report.map_err(verify::not_verified)?;
    let made = Made { dir: &dir, topology: river.topology(), moment, took: began.elapsed(), report: &report };
    match arguments.output {
        Output::Text => made.print(out)?,
        Output::Json => writeln!(out, "{}", made.json())?,
    }
    verify::verdict(&report)
}

/// Runs all roles until they are idle; the signal that stopped them before, if one did.
fn flow(
    river: &River,
    input: feed::Input,
    watched: Option<Option<u64>>,
    out: &mut dyn Write,
) -> Result<Option<i32>, Exit> {
    let asked = river::listen(Arc::clone(&river.control))?;
    let mut running = river.start(&[Role::Route, Role::Aggregate, Role::Lake])?;
    let mut feeding = feed::start(river, input, true);
    match watched {
        None => river::plain(river, &mut running, &mut feeding)?,
        Some(events) => {
            let mut live = Live::new(river, events)?;
            while !running.wait(Duration::from_millis(250)) {
                feeding.check(&mut running, true);
                live.draw(out)?;
            }
            live.draw(out)?;
        }
    }
    let was_idle = running.end()?;
    Ok(asked.by().filter(|_| !was_idle))
}

fn topology(path: Option<&Path>) -> Result<(Topology, String), Exit> {
    match path {
        None => Ok((marketplace()?, MARKETPLACE.to_owned())),
        Some(path) => Ok((files::load(path)?, files::read_text(&files::topology_file(path))?)),
    }
}

/// What the made-up events are for.
pub(super) fn marketplace() -> Result<Topology, Exit> {
    files::check_text("marketplace", MARKETPLACE)
}

fn input(arguments: &Demo) -> Result<feed::Input, Exit> {
    if arguments.input.is_some() {
        return feed::Input::open(arguments.input.as_deref(), false);
    }
    let shoppers = Shoppers::new(arguments.seed, arguments.events);
    let now = jiff::Timestamp::now().as_microsecond();
    let from = from(now, shoppers.span);
    Ok(feed::Input::Stream(Box::new(Lines::new(Shoppers { from, ..shoppers }))))
}

/// The day that `generate` begins with, so that demo and generator agree; unless this machine's clock is so
/// far from it that the topology would set the events aside or file them under another time.
fn from(now: Micros, span: Micros) -> Micros {
    let is_near = FROM + span <= now && now <= FROM + 300 * DAY;
    if is_near { FROM } else { (now - span).div_euclid(DAY) * DAY - DAY }
}

/// A directory of its own, unless one is named. It stays: the query at the end reads it.
fn directory(named: Option<&Path>) -> Result<PathBuf, Exit> {
    let cannot =
        |dir: &Path, error: io::Error| Exit::failed(format_args!("cannot make {}: {error}", dir.display()));
    if let Some(dir) = named {
        fs::create_dir_all(dir).map_err(|error| cannot(dir, error))?;
        return Ok(dir.to_path_buf());
    }
    let mut number = 0;
    loop {
        let dir = std::env::temp_dir().join(format!("thalweg-demo-{}-{number}", process::id()));
        match fs::create_dir(&dir) {
            Ok(()) => return Ok(dir),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(cannot(&dir, error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_demo_begins_where_the_generator_does_if_the_clock_allows() {
        let span = DAY / 12;

        assert_eq!(from(FROM + 20 * DAY, span), FROM);
        for now in [FROM - 400 * DAY, FROM + span - 1, FROM + 500 * DAY] {
            let from = from(now, span);
            assert!(from + span <= now && now - from <= 3 * DAY, "{now}");
        }
    }

    #[test]
    fn the_topology_that_is_built_in_is_right() {
        assert_eq!(topology(None).expect("it is checked").0.name, "marketplace");
    }
}
