//! The flagship: events flow through real brokers into a real store while workers, brokers, the lines between them and
//! the store are killed, paused and cut, and somebody reads the lake all the time. It says what is broken as it breaks,
//! and ends with what was counted: events, faults by kind, doubled, lost.
//!
//! ```text
//! cargo test --features kafka,s3 --test chaos                        # as CI does: each kind of fault, a promised number
//! cargo test --features kafka,s3 --test chaos -- --minutes 10        # faults of the seed's choice for so long
//! cargo test --features kafka,s3 --test chaos -- --runs 100 --minutes 1
//! ```
//!
//! Checked at the end of a run: `verify`; the reader was never misled; every record that was ever committed to the
//! metrics topic is right at its own position; no transaction hangs; one worker does the work of all soon after the
//! rest died; nobody ended for a reason that nobody expects. The seed decides what is broken in which order; when
//! exactly it happens is the machine's.
#![expect(clippy::unwrap_used, reason = "all of it is tests")]
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "its lines are what it is for")]

mod board;
mod books;
#[path = "../broker/deployment.rs"]
mod deployment;
#[path = "../broker/fresh.rs"]
mod fresh;
mod lines;
mod nemesis;
mod plan;
#[path = "../real/python.rs"]
mod python;
#[path = "../real/seed.rs"]
mod seed;
#[path = "../servers/mod.rs"]
mod servers;
mod workers;

use board::Board;
use books::{Far, Pulse, RAW_PARTITIONS, Watcher};
use clap::Parser;
use deployment::{Deployment, Shape};
use nemesis::Nemesis;
use plan::{Fault, Kind};
use python::Python;
use seed::Seed;
use servers::{Kafka, S3};
use std::collections::BTreeMap;
use std::fs;
use std::process::ExitCode;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use thalweg::port::Log;
use workers::Workers;

const BROKERS: u16 = 3;
const FAILOVER_MAX: Duration = Duration::from_secs(20);
/// How long workers get for what is left once nothing is broken any more.
const PATIENCE: Duration = Duration::from_secs(180);
/// For all of the promised faults: one that waits for another waits as long as it takes.
const PROMISED_MAX: Duration = Duration::from_secs(900);
const LAST_PATIENCE: Duration = Duration::from_secs(60);
/// Sent at the very end, to see one worker take over.
const LAST_EVENTS: u64 = 600;

/// Breaks everything around a river that flows, and says whether the books still balance.
#[derive(Debug, Parser)]
#[command(name = "chaos")]
struct Arguments {
    /// Break things of the seed's choice for so long, instead of each kind a promised number of times
    #[arg(long, value_name = "M")]
    minutes: Option<f64>,
    /// One after the other, each with a seed, topics and a lake of its own
    #[arg(long, default_value_t = 1)]
    runs: u64,
    /// Of the first run (default: `$SEED`, or always the same); each further one is one more
    #[arg(long)]
    seed: Option<u64>,
    /// Events a second
    #[arg(long, default_value_t = 800)]
    rate: u64,
    /// Leave everything as it is where events are not caught up with, for a look at what hangs
    #[arg(long)]
    hold: bool,
    /// What `cargo test NAME` looks for: nothing is run unless it is part of `chaos`
    filter: Option<String>,
    /// For a harness that is not this one, as cargo passes the same arguments to all
    #[arg(long, hide = true)]
    nocapture: bool,
    #[arg(long, hide = true)]
    list: bool,
    #[arg(long, hide = true)]
    exact: bool,
    #[arg(long, hide = true)]
    test_threads: Option<usize>,
    #[arg(long, hide = true)]
    skip: Vec<String>,
}

/// What one run counted.
#[derive(Default)]
struct Counted {
    events: u64,
    faults: BTreeMap<Kind, usize>,
    rows: u64,
    files: u64,
    polls: u64,
    commits: u64,
    checked: u64,
    /// Records of all those commits, in all topics.
    written: u64,
    failover: Duration,
}

/// What all runs lean on.
struct Ground {
    python: Python,
    kafka: Kafka,
    lines: Vec<lines::Line>,
    store: S3,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let is_asked_for = arguments.filter.as_ref().is_none_or(|filter| "chaos".contains(filter.as_str()));
    if arguments.list || !is_asked_for {
        return ExitCode::SUCCESS;
    }
    let Some(ground) = ground() else { return ExitCode::SUCCESS };
    let first = arguments.seed.unwrap_or_else(|| Seed::of_this_run().number());
    let mut failed = 0;
    for run in 0..arguments.runs {
        let seed = first + run;
        eprintln!("chaos with seed {seed}, {} of {}", run + 1, arguments.runs);
        match one_run(&ground, &arguments, Seed::new(seed)) {
            Ok(counted) => println!("seed {seed}: {}", words(&counted)),
            Err(why) => {
                failed += 1;
                println!("seed {seed} FAILED: {why}");
            }
        }
    }
    println!("chaos: {} runs, {failed} failed", arguments.runs);
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// `None`: left out on purpose, and marked as such.
fn ground() -> Option<Ground> {
    let python = Python::or_left_out()?;
    let (kafka, lines) = lines::behind_lines(Kafka::setup(BROKERS)?);
    Some(Ground { python, kafka, lines, store: S3::start()? })
}

fn one_run(ground: &Ground, arguments: &Arguments, mut seed: Seed) -> Result<Counted, String> {
    let Ground { python, kafka, store, .. } = ground;
    let shape = Shape { raw_partitions: RAW_PARTITIONS, replication: u32::from(BROKERS), ..Shape::default() };
    let mut deployment = Deployment::with(kafka, store, &shape);
    // What a failed run leaves behind is looked at, and what a good one does is not.
    deployment.folder.disable_cleanup(true);
    // Small chunks: so that every kill finds a plan or a file on its way.
    deployment.edit_topology("age: 5m, bytes: 128MiB", "age: 3s, bytes: 1MiB");
    deployment.make_topics();
    let watcher = Watcher::start(python, &deployment, store);
    let (far, is_over) = (Mutex::new(Far::default()), AtomicBool::new(false));
    thread::scope(|scope| {
        scope.spawn(|| Far::keep(&deployment.log, &far, || is_over.load(Ordering::Relaxed)));
        let pulse = Pulse { far: &far, so_far: watcher.so_far() };
        let tormented = tormented(ground, arguments, &deployment, &mut seed, pulse);
        is_over.store(true, Ordering::Relaxed);
        let (mut counted, said) = tormented?;
        balance(ground, &deployment, watcher, &mut counted).map_err(|why| format!("{why}\n{said}"))?;
        Ok(counted)
    })
    .inspect(|_| drop(fs::remove_dir_all(deployment.folder.path())))
    .map_err(|why: String| format!("{why}\nmore in {}", deployment.folder.path().display()))
}

/// Events flow while things break; in the end all of them are where they belong. Also what the workers said last.
fn tormented(
    ground: &Ground,
    arguments: &Arguments,
    deployment: &Deployment,
    seed: &mut Seed,
    pulse: Pulse<'_>,
) -> Result<(Counted, String), String> {
    let mut board = Board::new(pulse);
    let (faults, lasts) = faults(arguments, seed);
    let events = (lasts.as_secs_f64() * arguments.rate as f64) as u64;
    let numbers = [events.to_string(), arguments.rate.to_string(), seed.number().to_string()];
    let mut load =
        deployment.generating(&["--events", &numbers[0], "--rate", &numbers[1], "--seed", &numbers[2]]);
    let workers = Workers::start(deployment);
    let mut nemesis = Nemesis::new(&ground.kafka, &ground.store, &ground.lines, workers);
    let end = if arguments.minutes.is_some() { lasts } else { PROMISED_MAX };
    nemesis.torment(faults, Instant::now() + end, &mut board);
    nemesis.heal(&mut board);

    while load.try_wait().expect("a child can be waited for").is_none() {
        nemesis.pass_until(Instant::now() + Duration::from_millis(100), &mut board);
    }
    let is_sent = load.wait().expect("a child can be waited for").success();
    let taken_over = taken_over(deployment, &mut nemesis, &mut board);
    if let (true, Err(why)) = (arguments.hold, &taken_over) {
        println!("{why}; held");
        loop {
            thread::park();
        }
    }
    let said = nemesis.workers.last_words();
    let failed = |why: String| format!("{why}\n{said}");
    if !is_sent {
        return Err(failed("the load was not acknowledged".to_owned()));
    }
    let failover = taken_over.map_err(failed)?;
    let surprises = nemesis.workers.surprises();
    if !surprises.is_empty() {
        return Err(failed(format!("workers ended as nobody expects: {}", surprises.join(", "))));
    }
    let faults = nemesis.done.clone();
    Ok((Counted { events: events + LAST_EVENTS, faults, failover, ..Counted::default() }, said))
}

/// The promised faults, or those of the seed for as long as was asked.
fn faults(arguments: &Arguments, seed: &mut Seed) -> (Box<dyn Iterator<Item = Fault>>, Duration) {
    match arguments.minutes {
        Some(minutes) => {
            (Box::new(plan::swarm(Seed::new(seed.number()))), Duration::from_secs_f64(minutes * 60.0))
        }
        None => {
            let all = plan::promised(seed);
            // Faults overlap, and some have to wait for another to be over.
            let lasts = all.iter().map(|fault| fault.after).sum::<Duration>().mul_f64(1.5);
            (Box::new(all.into_iter()), lasts)
        }
    }
}

/// All but one die for good, and the one has all of it soon.
fn taken_over(
    deployment: &Deployment,
    nemesis: &mut Nemesis<'_>,
    board: &mut Board<'_>,
) -> Result<Duration, String> {
    let mut reader = deployment.log.reader();
    books::until_caught_up(&mut *reader, Far::is_all, PATIENCE, || nemesis.workers.keep())?;
    books::no_transaction_hangs(&mut *reader)?;
    nemesis.workers.kill_all_but_one();
    board.say("all workers but one are gone for good");
    deployment.generate(&["--events", &LAST_EVENTS.to_string(), "--seed", "99"]);
    let mut keep = || nemesis.workers.keep();
    let failover = books::until_caught_up(&mut *reader, Far::is_counted, LAST_PATIENCE, &mut keep)?;
    books::until_caught_up(&mut *reader, Far::is_all, LAST_PATIENCE, &mut keep)?;
    nemesis.workers.end_all();
    match failover < FAILOVER_MAX {
        true => Ok(failover),
        false => Err(format!("failover took {failover:?}")),
    }
}

/// Every check that needs an end.
fn balance(
    ground: &Ground,
    deployment: &Deployment,
    watcher: Watcher,
    counted: &mut Counted,
) -> Result<(), String> {
    deployment.fine("run", &["--until-idle"]);
    let seen = watcher.verdict()?;
    let report = books::verified(deployment)?;
    let brokers = ground.kafka.bootstrap();
    let history = books::every_commit(&ground.python, deployment, &ground.store, &brokers)?;
    let whole = books::whole_transactions(&ground.python, deployment, &brokers)?;
    let number = |of: &serde_json::Value| of.as_u64().unwrap_or_default();
    counted.rows = number(&seen["rows"]);
    counted.files = number(&seen["files"]);
    counted.polls = number(&seen["polls"]);
    counted.commits = number(&history["commits"]);
    counted.checked = number(&history["checked"]);
    counted.written = number(&whole["records"]);
    let raw = number(&report["raw_records"]);
    if raw != counted.events || counted.rows != raw {
        return Err(format!("{} events, {raw} in the log, {} in the lake", counted.events, counted.rows));
    }
    Ok(())
}

fn words(counted: &Counted) -> String {
    let Counted { events, faults, rows, files, polls, commits, checked, written, failover } = counted;
    let kinds: Vec<_> = faults.iter().map(|(kind, times)| format!("{times} {}", kind.words())).collect();
    format!(
        "{events} events · {} faults: {} · {polls} polls of {files} files with {rows} rows · {checked} rows of \
         {commits} commits right at their positions, {written} records in whole transactions · failover {:.1} s · doubled 0 · lost 0",
        faults.values().sum::<usize>(),
        kinds.join(", "),
        failover.as_secs_f64(),
    )
}
