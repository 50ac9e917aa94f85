//! The table: a line a role, ready for `RESULTS.md`, and the machine that it is of.

use crate::floor::Floor;
use crate::support::cpu::Spread;
use crate::usage::Used;
use std::fs;

/// One repetition of everything, in the order of [`crate::river::ROLES`], and last all roles in one process.
pub(crate) struct Run {
    pub(crate) brokers: Vec<Used>,
    pub(crate) embedded: Vec<Used>,
    /// All roles once more, with nothing to do.
    pub(crate) again: Used,
    pub(crate) floors: Floors,
}

impl Run {
    /// For whoever does not wait for the table: seconds of CPU, role by role and all together.
    pub(crate) fn line(&self) -> String {
        let seconds = |of: &[Used]| {
            let all: Vec<String> = of.iter().map(|used| format!("{:.2}", used.cpu())).collect();
            all.join(" ")
        };
        format!("{} s of CPU on Kafka, {} in a directory", seconds(&self.brokers), seconds(&self.embedded))
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Floors {
    pub(crate) read_raw: Floor,
    pub(crate) send_blocks: Floor,
    pub(crate) read_blocks: Floor,
    pub(crate) send_rows: Floor,
}

impl Floors {
    /// Of the roles in the same order: what the client alone costs for the bytes that they read and send.
    fn of_roles(self) -> [f64; 4] {
        let route = self.read_raw.cpu + self.send_blocks.cpu;
        let aggregate = self.read_blocks.cpu + self.send_rows.cpu;
        let lake = self.read_raw.cpu;
        [route, aggregate, lake, route + aggregate + lake]
    }
}

pub(crate) fn print(events: u64, runs: &[Run]) {
    let nanos = |seconds: f64| seconds * 1e9 / events as f64;
    println!(
        "\n| role | Kafka and S3 | in the kernel | in a directory | floor on Kafka | Kafka / directory | Kafka / floor |"
    );
    println!("|---|---|---|---|---|---|---|");
    for (place, name) in ["route", "aggregate", "lake", "**all in one process**"].into_iter().enumerate() {
        let of = |what: &dyn Fn(&Run) -> f64| Spread::of(runs.iter().map(what));
        let brokers = of(&|run| nanos(run.brokers[place].cpu()));
        let system = of(&|run| run.brokers[place].system / run.brokers[place].cpu() * 100.0);
        let embedded = of(&|run| nanos(run.embedded[place].cpu()));
        let floor = of(&|run| nanos(run.floors.of_roles()[place]));
        let beside = of(&|run| run.brokers[place].cpu() / run.embedded[place].cpu());
        let above = of(&|run| run.brokers[place].cpu() / run.floors.of_roles()[place]);
        println!(
            "| {name} | {} | {:.0} % | {} | {} | {} | {} |",
            whole(brokers),
            system.median,
            whole(embedded),
            whole(floor),
            ratio(beside),
            ratio(above)
        );
    }
    floors(events, runs);
    let of = |what: &dyn Fn(&Run) -> f64| Spread::of(runs.iter().map(what));
    let again = of(&|run| run.again.cpu() * 1e3);
    println!("all roles once more with nothing to do: {} ms of CPU", whole(again));
    let wall = of(&|run| events as f64 / run.brokers[3].wall / 1e3);
    let memory = of(&|run| run.brokers[3].memory);
    println!(
        "all in one process on Kafka: {} thousand events a second on the clock, {} MiB at most",
        whole(wall),
        whole(memory)
    );
}

fn floors(events: u64, runs: &[Run]) {
    println!("\n| floor | ns of CPU an event | records | bytes an event |\n|---|---|---|---|");
    type Of = fn(&Floors) -> Floor;
    let lines: [(&str, Of); 4] = [
        ("read the raw topic in batches", |floors| floors.read_raw),
        ("send what route sends", |floors| floors.send_blocks),
        ("read that", |floors| floors.read_blocks),
        ("send what aggregate sends", |floors| floors.send_rows),
    ];
    for (name, of) in lines {
        let nanos = Spread::of(runs.iter().map(|run| of(&run.floors).cpu * 1e9 / events as f64));
        let floor = of(&runs[0].floors);
        println!(
            "| {name} | {} | {} | {:.0} |",
            whole(nanos),
            floor.records,
            floor.bytes as f64 / events as f64
        );
    }
    println!();
}

fn whole(Spread { min, median, max }: Spread) -> String {
    format!("{median:.0} ({min:.0}–{max:.0})")
}

fn ratio(Spread { min, median, max }: Spread) -> String {
    format!("{median:.2} ({min:.2}–{max:.2})")
}

/// What it ran on.
pub(crate) fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let info = read("/proc/cpuinfo");
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    let cores = info.lines().filter(|line| line.starts_with("processor")).count();
    let kernel = read("/proc/sys/kernel/osrelease");
    format!("{cores} cores of {}, Linux {}", model.trim_start_matches([' ', '\t', ':']), kernel.trim())
}

/// How many wanted a core in the last minute, everybody included.
pub(crate) fn load() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    load.split(' ').next().unwrap_or_default().to_owned()
}
