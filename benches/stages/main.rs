//! What the engine's stages cost beside their floors: CPU time per event, in one run.
//!
//! ```text
//! EVENTS=300000 RUNS=5 COMMIT=50000 RATE=50000 BY_TENANT=1 cargo bench --bench stages
//! ```
//!
//! Every repetition runs the engine and the floors over the same bytes, in turns, so that a machine that changes
//! its speed changes both. A ratio with its spread is a figure; a time alone is not. `THALWEG_BENCH_ENFORCE=1`
//! makes it fail when the whole costs more than the mark.

#![expect(clippy::print_stdout, reason = "a bench is read where it runs")]

mod engine;
mod floors;
mod report;
mod stage;
#[path = "../support/mod.rs"]
mod support;

use floors::Store;
use report::Report;
use stage::Times;
use std::process::ExitCode;
use support::cpu::setting;
use support::events::Events;
use support::world::{self, LogClock};

/// The whole may cost so many times its floors.
const MARK: f64 = 3.0;

struct Settings {
    events: u64,
    runs: u64,
    commit: u64,
    rate: u64,
}

fn main() -> anyhow::Result<ExitCode> {
    let settings = Settings {
        events: setting("EVENTS", 300_000),
        runs: setting("RUNS", 5).max(1),
        commit: setting("COMMIT", 50_000).max(1),
        rate: setting("RATE", 50_000),
    };
    let ratio = bench(&settings)?;
    let is_enforced = setting("THALWEG_BENCH_ENFORCE", 0) == 1;
    Ok(if is_enforced && ratio > MARK { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

fn bench(settings: &Settings) -> anyhow::Result<f64> {
    let topology = world::by_category()?;
    let (dir, floor_dir) = (tempfile::tempdir()?, tempfile::tempdir()?);
    let clock = LogClock::new();
    let mut events = Events::new(7, settings.rate);
    let lines = world::lines(&mut events, settings.events);
    clock.set(events.time());
    let raw = world::open(dir.path(), &topology, &clock)?;
    world::append(&raw, &lines)?;
    let floor_raw = Store::new(floor_dir.path(), &lines)?;
    floor_raw.append_lines(&lines)?;
    println!(
        "{} events of {} bytes, {} a second of event time, a commit every {}",
        settings.events,
        lines.len() as u64 / settings.events,
        settings.rate,
        settings.commit
    );

    let mut report = Report::new(settings.events);
    for run in 0..settings.runs {
        let out_dir = tempfile::tempdir()?;
        let out = world::open(out_dir.path(), &topology, &clock)?;
        let river = engine::River {
            topology: &topology,
            raw: &raw,
            out: &out,
            clock: &clock,
            commit_events: settings.commit,
        };
        let mut flow = river.run()?;
        let made = engine::lake(&topology, &raw, &mut flow.times)?;

        let out_dir = tempfile::tempdir()?;
        let out = Store::new(out_dir.path(), &lines)?;
        let mut floor = floors::river(&floor_raw, &out, &flow.commits, settings.commit)?;
        let floor_made = floors::lake(&floor_raw, floors::Layout::ByCategory, made, &mut floor)?;
        if run == 0 {
            report::facts(&flow, made, floor_made);
        }
        report.add(flow.times, floor);
    }
    let ratio = report.print(MARK);
    if setting("BY_TENANT", 1) == 0 {
        return Ok(ratio);
    }
    let topology = world::by_tenant()?;
    let mut report = Report::new(settings.events);
    for run in 0..settings.runs.min(3) {
        let (mut times, mut floor) = (Times::default(), Times::default());
        let made = engine::lake(&topology, &raw, &mut times)?;
        let floor_made = floors::lake(&floor_raw, floors::Layout::ByTenant, made, &mut floor)?;
        if run == 0 {
            println!("\nthe layout by tenant");
            report::lake(made, floor_made);
        }
        report.add(times, floor);
    }
    report.print_lake();
    Ok(ratio)
}
