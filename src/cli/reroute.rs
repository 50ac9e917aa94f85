//! `reroute TOPOLOGY`: what is broken between the raw topic and the targets, and restarting it.

use super::args::{Output, Reroute};
use super::exit::Exit;
use super::files;
use super::place::refused;
use super::river::block_on;
use crate::model::Partition;
use crate::worker::reroute::{self, Asked, Plan, Restart, Why};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::sync::Arc;

pub(super) fn reroute(arguments: &Reroute, out: &mut dyn Write) -> Result<(), Exit> {
    let topology = files::load(&arguments.topology)?;
    let asked = Asked {
        partitions: arguments.partitions.iter().copied().map(Partition).collect(),
        new_incarnation: arguments.new_incarnation,
    };
    let plan = if arguments.apply {
        let context = arguments.place.open_alone(topology)?;
        block_on(reroute::apply(&context, &asked)).map_err(refused)?
    } else {
        let mut reading = arguments.place.open_to_read(&topology)?;
        block_on(reroute::plan(&Arc::new(topology), &mut *reading.reader, &asked)).map_err(refused)?
    };
    match arguments.output {
        Output::Text => print(&plan, arguments.apply, out)?,
        Output::Json => writeln!(out, "{}", as_json(&plan, arguments.apply))?,
    }
    if plan.is_empty() || arguments.apply {
        return Ok(());
    }
    Err(Exit::drift("nothing was done; stop every route worker, and --apply does it"))
}

fn print(plan: &Plan, is_done: bool, out: &mut dyn Write) -> io::Result<()> {
    if plan.is_empty() {
        return writeln!(out, "reroute: nothing to restart");
    }
    for retired in &plan.retires {
        writeln!(out, "incarnation {retired} is retired, {} is taken", plan.incarnation)?;
    }
    for restart in &plan.restarts {
        let Restart { partition, was, at, .. } = restart;
        let was = was.map_or("no position".into(), |was| format!("position {was}"));
        writeln!(out, "raw partition {partition}: from {at} on, had {was}: {}", why(&restart.why))?;
    }
    for forgiven in &plan.forgives {
        writeln!(
            out,
            "target {}: the record at offset {} is forgiven: {}",
            forgiven.target, forgiven.offset, forgiven.halt
        )?;
    }
    let end = if is_done { "done; start the route workers" } else { "nothing was done yet" };
    writeln!(out, "reroute: {end}")
}

fn why(why: &Why) -> String {
    match why {
        Why::Lost { targets } => {
            let targets: Vec<String> = targets.iter().map(ToString::to_string).collect();
            format!("the repartition log lost records for target {}", targets.join(", "))
        }
        Why::Foreign(what) => format!("its position is not ours: {what}"),
        Why::Missing => "the group has no position for it, though it was routed before".into(),
        Why::Beyond => "its position is beyond the end of the log".into(),
        Why::NewIncarnation => "the topic was recreated".into(),
        Why::Asked => "asked for".into(),
    }
}

fn as_json(plan: &Plan, is_done: bool) -> Value {
    let restart = |restart: &Restart| {
        json!({
            "partition": restart.partition.0,
            "was": restart.was.map(|was| was.0),
            "at": restart.at.0,
            "why": why(&restart.why),
        })
    };
    let forgiven = |forgiven: &reroute::Forgiven| json!({ "target": forgiven.target.0, "offset": forgiven.offset.0, "halt": forgiven.halt });
    json!({
        "done": is_done,
        "incarnation": plan.incarnation.to_string(),
        "retires": plan.retires.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "restarts": plan.restarts.iter().map(restart).collect::<Vec<_>>(),
        "forgives": plan.forgives.iter().map(forgiven).collect::<Vec<_>>(),
    })
}
