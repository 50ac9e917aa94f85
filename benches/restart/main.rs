//! How long a start takes with many live keys, and what a log of an hour weighs once it is cleaned.
//!
//! ```text
//! KEYS=1000000 RUNS=3 cargo bench --bench restart
//! ```
//!
//! The keys are made by the engine's own transactions. Each start is a process of its own: it opens the log and
//! lets the worker's own loop restore every partition, so that wall time and peak memory are those of a start.

#![expect(clippy::print_stdout, reason = "a bench is read where it runs")]

#[path = "../stages/engine.rs"]
#[allow(dead_code, reason = "the lake's half is measured elsewhere")]
mod engine;
#[path = "../stages/stage.rs"]
#[allow(dead_code, reason = "the same")]
mod stage;
#[path = "../support/mod.rs"]
mod support;
mod upkeep;

use std::future::{Future, ready};
use std::path::Path;
use std::pin::Pin;
use std::process::Command;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};
use support::cpu::{self, Spread, setting};
use support::events::Events;
use support::world::{self, LogClock, now};
use thalweg::model::{LogTime, Topic};
use thalweg::objects::MemoryObjects;
use thalweg::port::Clock;
use thalweg::worker::{Context, Control, Settings, aggregate};

const GOAL: f64 = 10.0;
/// Tells a start of this program where the log is.
const CHILD: &str = "THALWEG_RESTART_DIR";
/// Panes that a product's first event makes: three calendar windows, two lengths of rolling panes.
const PANES_PER_PRODUCT: u64 = 5;

fn main() -> anyhow::Result<()> {
    match std::env::var_os(CHILD) {
        Some(dir) => start(Path::new(&dir)),
        None => {
            restart(setting("KEYS", 1_000_000), setting("RUNS", 3).max(1))?;
            upkeep::run(setting("EVENTS", 360_000), setting("RATE", 100))
        }
    }
}

fn restart(keys: u64, runs: u64) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    fill(dir.path(), keys)?;
    let mut walls = Vec::new();
    for _ in 0..runs {
        let child = Command::new(std::env::current_exe()?).env(CHILD, dir.path()).output()?;
        let said = String::from_utf8_lossy(&child.stdout).into_owned();
        anyhow::ensure!(child.status.success(), "{said}{}", String::from_utf8_lossy(&child.stderr));
        let figures: Vec<f64> = said.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        let &[wall, cpu, peak] = figures.as_slice() else { anyhow::bail!("three figures, not {said:?}") };
        println!("start: {wall:.2} s on the clock, {cpu:.2} s of CPU, {peak} MiB at most");
        walls.push(wall);
    }
    let wall = Spread::of(walls);
    let verdict = if wall.median < GOAL { "is under" } else { "misses" };
    println!(
        "restart with {keys} live keys {verdict} its goal of {GOAL} s: {:.2} ({:.2}–{:.2}) s",
        wall.median, wall.min, wall.max
    );
    Ok(())
}

fn fill(dir: &Path, keys: u64) -> anyhow::Result<()> {
    let topology = world::by_category()?;
    let clock = LogClock::new();
    let log = world::open(dir, &topology, &clock)?;
    let products = keys.div_ceil(PANES_PER_PRODUCT);
    let mut events = Events::new(7, 50_000);
    let mut lines = Vec::new();
    (0..products).for_each(|product| events.write_view_of(&mut lines, product));
    world::append(&log, &lines)?;
    let river =
        engine::River { topology: &topology, raw: &log, out: &log, clock: &clock, commit_events: 50_000 };
    let flow = river.run()?;
    let live = upkeep::live(&log, Topic::State)?;
    let mib = |bytes: u64| bytes >> 20;
    println!("{} entities, {} keys in state, {} MiB of it live", flow.keys, live.keys, mib(live.bytes));
    anyhow::ensure!(live.keys >= keys, "only {} of {keys} keys were made", live.keys);
    Ok(())
}

/// One start, and an orderly end at once.
fn start(dir: &Path) -> anyhow::Result<()> {
    let began = Instant::now();
    let topology = world::by_category()?;
    let log = world::open(dir, &topology, &LogClock::new())?;
    let control = Arc::new(Control::default());
    control.drain();
    let context = Context {
        topology,
        log: Rc::new(log),
        objects: Rc::new(MemoryObjects::default()),
        clock: Rc::new(MachineClock),
        settings: Settings::default(),
        control: Arc::clone(&control),
    };
    now(aggregate::run(context))?;
    anyhow::ensure!(control.halts().is_empty(), "halted: {:?}", control.halts());
    let peak = cpu::memory("VmHWM").unwrap_or_default();
    println!("{} {} {peak}", began.elapsed().as_secs_f64(), cpu::now() as f64 / 1e9);
    Ok(())
}

struct MachineClock;

impl Clock for MachineClock {
    fn now(&self) -> LogTime {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        LogTime(since.as_micros() as i64)
    }

    fn sleep(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + '_>> {
        std::thread::sleep(time);
        Box::pin(ready(()))
    }
}
