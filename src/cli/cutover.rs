//! `cutover OLD NEW`: what changes, where, and letting the new topology take over.

use super::args::{Cutover, Output};
use super::exit::Exit;
use super::files;
use super::place::refused;
use super::river::block_on;
use crate::model::Partition;
use crate::topology::Change;
use crate::worker::cutover::{self, Cut, Plan, Told};
use serde_json::{Value, json};
use std::io::{self, Write};
use std::sync::Arc;

pub(super) fn cutover(arguments: &Cutover, out: &mut dyn Write) -> Result<(), Exit> {
    let (mut old, mut new) = (files::load(&arguments.old)?, files::load(&arguments.new)?);
    old.deployment = arguments.place.deployment(&old)?;
    new.deployment = arguments.place.deployment(&new)?;
    let plan = if arguments.apply {
        let context = arguments.place.open_alone(old)?;
        block_on(cutover::apply(&context, &Arc::new(new))).map_err(refused)?
    } else {
        let mut reading = arguments.place.open_to_read(&old)?;
        block_on(cutover::plan(&Arc::new(old), &Arc::new(new), &mut *reading.reader)).map_err(refused)?
    };
    match arguments.output {
        Output::Text => print(&plan, arguments.apply, out)?,
        Output::Json => writeln!(out, "{}", as_json(&plan, arguments.apply))?,
    }
    if plan.is_done() || arguments.apply {
        return Ok(());
    }
    Err(Exit::drift("nothing was done; stop every route worker, and --apply does it"))
}

fn print(plan: &Plan, is_applied: bool, out: &mut dyn Write) -> io::Result<()> {
    for change in &plan.changes {
        writeln!(out, "{change}")?;
    }
    if plan.is_done() {
        return writeln!(
            out,
            "cutover: nothing is left to be done; start every worker with the new topology"
        );
    }
    if plan.is_rerun {
        writeln!(out, "an earlier run broke off: its cuts are kept")?;
    }
    for Cut { partition, was, at } in &plan.cuts {
        let was = was.map_or("no position".into(), |was| format!("position {was}"));
        writeln!(
            out,
            "raw partition {partition}: the old topology up to {at}, the new one from there on; had {was}"
        )?;
    }
    for (target, told) in plan.targets.iter().enumerate() {
        let what = match told {
            Told::Already => "has the record already",
            Told::Now if is_applied => "was told",
            Told::Now => "is to be told",
            Told::Later => "had taken more of the old version: the new one begins behind that",
        };
        writeln!(out, "target {target}: {what}")?;
    }
    let end =
        if is_applied { "done; start every worker with the new topology" } else { "nothing was done yet" };
    writeln!(out, "cutover: {end}")
}

fn as_json(plan: &Plan, is_applied: bool) -> Value {
    let change = |change: &Change| json!({ "demand": change.demand.to_string(), "what": change.what });
    let cut = |cut: &Cut| {
        let Cut { partition: Partition(partition), was, at } = cut;
        json!({ "partition": partition, "was": was.map(|was| was.0), "at": at.0 })
    };
    let told = |told: &Told| match told {
        Told::Already => "already",
        Told::Now => "now",
        Told::Later => "later",
    };
    json!({
        "done": is_applied || plan.is_done(),
        "changes": plan.changes.iter().map(change).collect::<Vec<_>>(),
        "is_rerun": plan.is_rerun,
        "cuts": plan.cuts.iter().map(cut).collect::<Vec<_>>(),
        "targets": plan.targets.iter().map(told).collect::<Vec<_>>(),
    })
}
