//! The production loops of all three roles in a world with faults, drawn from one seed.
//!
//! `SEED=n` replays one history, `SEEDS=n` runs so many (2,000 without it); those that once failed stand in
//! `tests/seeds.txt` and run first. The judges know only what was sent. When the faults stop, all must finish.
//! A history that fails is made smaller before it is told: see [`case`].
//!
//! Which invariant is looked at where, and when:
//!
//! | invariant | where | when |
//! |---|---|---|
//! | I1 metrics conserve | `metrics::Latest::check_all`, `target::Walk::is_complete`, `metrics::check_set_aside` | at every position row; at the end |
//! | I2 right at its own position | `metrics::check_row` | every row that was ever visible |
//! | I3 positions do not go back | `metrics::check_order` | every row |
//! | I4 the lake is the log | `lake::add_file`, `lake::Judge::ended` | every file; at the end |
//! | I5 never a duplicate | `lake::add_file` | every file, in the order of creates |
//! | I6 objects never change | `sim::store` (a violation), `lake::Judge::created` | every create |
//! | I7 one plan per slot, no gap, no overlap | `lake::add_control`, `lake::check_chain` | every plan |
//! | I8 no data without a plan | `lake::add_file` | every file |
//! | I9 offsets never pass visibility | `lake::Judge::committed` | every offset commit, at its time |
//! | I10 the commit record is the position | `metrics::check_commits` | every offset commit of `aggregate` |
//! | I11 restore is complete | its failure shows as I1, I2 or a halt: "restore to the last stable offset" in `tests/mutations.md` | |
//! | I12 no unfenced commit | `sim::transactions` (a violation) | every offset sent with a transaction |
//! | I13 epoch hygiene | `sim::transactions` (a violation) | every begin |
//! | I14 an abort leaves no trace | its failure shows as I2: `OverlayKept` | |
//! | I15 replay determinism | `replay` | one history in eight |
//! | I16 bounded stall | `history::run` | 300 s after the faults |
//! | I17 confinement | `lake::check_key`, `lake::add_control` | every row |
//! | I18 bounded growth | not here: memory and caps are unit tests of `aggregate` and runs of the program | |
//! | I20 nothing is deleted or overwritten | `port::Objects` has no call for it; `sim::store` (a violation) | every create |
//! | I21 hop one delivers once, in order | `target::Walk::block` and `step` | every record of hop one |
//! | I22 nothing before a plan is unfinished | `lake::add_control` | every plan |
//! | I23 units are whole | `target::Walk::unit` | every unit |
//! | I24 a restart decides as before | `metrics::check_position`, `check_set_aside` | every position row; at the end |
//! | I25 a halt is never a loss | `history::History::is_halted_by_loss`: up to a named halt all is right; its runbook is driven in `reroute`, `cutover` and `runbook` | one history in eight loses records |

mod case;
mod contract;
mod exhaustive;
mod format;
mod history;
mod lake;
mod metrics;
mod mutations;
mod oracle;
mod redrive;
mod replay;
mod story;
mod target;
mod truncation;
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
