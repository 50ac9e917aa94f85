//! The table: a line a stage, then the roles and the whole.

use crate::engine::Flow;
use crate::stage::{Made, Stage, Times};
use crate::support::cpu::Spread;

pub(crate) struct Report {
    events: u64,
    /// Engine and floors of each repetition.
    runs: Vec<(Times, Times)>,
}

pub(crate) fn facts(flow: &Flow, made: Made, floor: Made) {
    let per_event = |count: u64| count as f64 / flow.events as f64;
    let sum = |of: fn(&crate::stage::Commit) -> u64| per_event(flow.commits.iter().map(of).sum());
    println!(
        "{} commits, {} keys; an event makes {:.2} rows, {:.2} panes, {:.0} bytes of blocks, {:.0} of a transaction",
        flow.commits.len(),
        flow.keys,
        sum(|commit| commit.vendor_rows + commit.product_rows),
        sum(|commit| commit.vendor_panes + commit.product_panes),
        sum(|commit| commit.block_bytes as u64),
        sum(|commit| commit.bytes as u64),
    );
    lake(made, floor);
}

pub(crate) fn lake(made: Made, floor: Made) {
    let line = |Made { chunks, files, rows, bytes }: Made| {
        format!("{chunks} chunks, {files} files, {:.0} bytes an event", bytes as f64 / rows as f64)
    };
    println!("lake: {} (floor: {})", line(made), line(floor));
}

const LAKE: [Stage; 3] = [Stage::LakeRead, Stage::LakeDecode, Stage::Files];

impl Report {
    pub(crate) fn new(events: u64) -> Report {
        Report { events, runs: Vec::new() }
    }

    pub(crate) fn add(&mut self, engine: Times, floor: Times) {
        self.runs.push((engine, floor));
    }

    /// Prints everything; the whole's ratio.
    pub(crate) fn print(&self, mark: f64) -> f64 {
        head();
        for stage in Stage::ALL {
            self.line(stage.name(), &[stage]);
        }
        println!();
        let role =
            |name: &str| Stage::ALL.into_iter().filter(|stage| stage.name().starts_with(name)).collect();
        for name in ["route", "aggregate", "lake"] {
            let stages: Vec<Stage> = role(name);
            self.line(name, &stages);
        }
        let without: Vec<Stage> = Stage::ALL.into_iter().filter(|stage| !stage.is_write()).collect();
        self.line("all three, written", &Stage::ALL);
        let ratio = self.line("the whole", &without);
        let verdict = if ratio <= mark { "is at" } else { "misses" };
        println!("the whole {verdict} the first mark: {ratio:.2} of at most {mark:.2} times its floors");
        ratio
    }

    pub(crate) fn print_lake(&self) {
        head();
        for stage in LAKE {
            self.line(stage.name(), &[stage]);
        }
        self.line("lake", &LAKE);
    }

    /// Prints the cost of some stages together; the middle ratio.
    fn line(&self, name: &str, stages: &[Stage]) -> f64 {
        let nanos = |times: &Times| times.sum(stages.iter().copied()) as f64 / self.events as f64;
        let engine = Spread::of(self.runs.iter().map(|(engine, _)| nanos(engine)));
        let floor = Spread::of(self.runs.iter().map(|(_, floor)| nanos(floor)));
        let ratio = Spread::of(self.runs.iter().map(|(engine, floor)| nanos(engine) / nanos(floor)));
        println!(
            "{name:<24} {:>7.0} {:>7.0} {:>7.0}   {:>7.0}   {:>6.2} ({:.2}–{:.2})",
            engine.min, engine.median, engine.max, floor.median, ratio.median, ratio.min, ratio.max
        );
        ratio.median
    }
}

fn head() {
    println!(
        "\n{:<24} {:>7} {:>7} {:>7}   {:>7}   {:>6}",
        "ns of CPU an event", "min", "median", "max", "floor", "ratio"
    );
}
