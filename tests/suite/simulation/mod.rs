//! The production loops of all three roles in a world with faults, drawn from one seed.
//!
//! `SEED=n` replays one history, `SEEDS=n` runs so many (2,000 without it); those that once failed stand in
//! `tests/seeds.txt` and run first. The judges know only what was sent. When the faults stop, all must finish.
//! A history that fails is made smaller before it is told: see [`case`].

mod case;
mod contract;
mod exhaustive;
mod format;
mod history;
mod lake;
mod metrics;
mod mutations;
mod oracle;
mod replay;
mod story;
mod target;
mod workload;

use case::Case;
use rustix::time::{ClockId, clock_gettime};
use std::env;
use std::panic::{AssertUnwindSafe, catch_unwind};
use thalweg::sim::Faults;

const HISTORIES: u64 = 2_000;

/// As [`history::run`]; a panic is a failure like any other.
fn outcome(case: &Case, broken: &dyn Fn(&mut Faults)) -> Result<(), String> {
    let ended = catch_unwind(AssertUnwindSafe(|| history::run(case, broken).1));
    ended.unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("panic: {}", text.unwrap_or_default()))
    })
}

/// A number from the environment.
fn number(name: &str) -> Option<u64> {
    env::var(name).ok().map(|text| text.parse().unwrap())
}

fn cases() -> Vec<Case> {
    if let Ok(text) = env::var("SEED") {
        return vec![Case::parse(&text)];
    }
    let stored = include_str!("../../seeds.txt").lines().filter(|line| !line.starts_with('#'));
    let from = number("FROM").unwrap_or(0);
    let all = from..from + number("SEEDS").unwrap_or(HISTORIES);
    stored.map(Case::parse).chain(all.map(Case::new)).collect()
}

/// What this thread took of a core: a busy machine says nothing about the simulator.
fn cpu_seconds() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 + now.tv_nsec as f64 / 1e9
}

/// Says what is wrong, and the smallest history that shows it.
fn tell(case: &Case, error: &str) {
    println!("SEED={}: {error}", case.seed);
    let (smallest, error) = case::shrink(case, error, &|case| outcome(case, &|_| {}).err());
    println!("  in its smallest form: SEED='{smallest}': {error}");
    println!("  for tests/seeds.txt: {smallest} {}", error.lines().next().unwrap_or_default());
    if env::var_os("SEED").is_some() {
        let told = catch_unwind(AssertUnwindSafe(|| {
            let (history, _) = history::run(&smallest, &|_| {});
            story::tell(&history.world, &history.setting);
        }));
        drop(told);
    }
}

#[test]
fn whatever_breaks_every_event_is_counted_once_and_lies_in_the_lake_once() {
    let cases = cases();
    let (mut failed, mut run, began) = (Vec::new(), 0u32, cpu_seconds());
    for case in cases {
        run += 1;
        if let Err(error) = outcome(&case, &|_| {}) {
            tell(&case, &error);
            failed.push(case.to_string());
        }
        if failed.len() >= 10 {
            break;
        }
    }
    let seconds = cpu_seconds() - began;
    println!("{run} histories in {seconds:.1} s of one core: {:.0} a second", f64::from(run) / seconds);
    assert!(failed.is_empty(), "replay with SEED='…': {failed:?}");
}
