//! One history: workers, what is sent to them, what breaks, and what must come out.

use super::case::Case;
use super::oracle::Raw;
use super::workload::{START, Setting, Workload};
use super::{format, lake, metrics, replay};
use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use thalweg::model::{Incarnation, LogTime, Partition, Role, Topic, TopicPartition};
use thalweg::port::{Failure, Reaction};
use thalweg::sim::{Faults, Handles, Seed, Shape, Task, World};
use thalweg::worker::{Context, Control, Outcome, Settings, aggregate, lake as lake_role, route};

/// One history in so many loses acknowledged records of hop one.
const TRUNCATES: u64 = 8;
/// One history in so many is a large one.
const LARGE: u64 = 100;

/// What all lives of all workers leave behind.
#[derive(Debug, Default)]
struct Lives {
    controls: RefCell<Vec<Arc<Control>>>,
    /// A role that gave up for good.
    failures: RefCell<Vec<String>>,
}

pub(super) struct History {
    pub(super) world: World,
    pub(super) raw: Raw,
    pub(super) setting: Setting,
    case: Case,
    /// Whether a broker loses acknowledged records once, and how many it lost.
    truncates: bool,
    lost: usize,
    lives: Rc<Lives>,
    found: RefCell<lake::Found>,
}

impl History {
    fn new(case: &Case, broken: &dyn Fn(&mut Faults)) -> (Self, Seed) {
        let seed = case.seed;
        // Each part draws from a stream of its own: what one of them draws more does not move the others.
        let streams = |number: u64| Seed(Seed(seed.wrapping_mul(4).wrapping_add(number)).draw());
        let setting = Setting::draw(&mut streams(0));
        let mut faults = Faults::draw(&mut streams(1));
        broken(&mut faults);
        case.leave_out(&mut faults);
        let truncates = streams(1).draw().is_multiple_of(TRUNCATES) && case.has_truncation();
        let chance = streams(2);
        let world = World::new(streams(3).draw(), shape(&setting), faults);
        let raw = Raw::new(setting.raw_partitions);
        (
            History {
                world,
                raw,
                setting,
                case: case.clone(),
                truncates,
                lost: 0,
                lives: Rc::default(),
                found: RefCell::default(),
            },
            chance,
        )
    }

    /// Some workers run all roles, others only one.
    fn start_workers(&mut self, chance: &mut Seed) {
        let settings = settings(chance);
        let format = format::of(self.case.seed);
        for worker in 0..chance.between(1, 3).min(self.case.workers.unwrap_or(3)) as u32 {
            let only = if worker > 0 && chance.one_in(3) { Some(chance.below(3) as usize) } else { None };
            for role in (0..3).filter(|role| only.is_none_or(|only| only == *role)) {
                let (topology, settings) = (self.setting.topology.clone(), settings.clone());
                let (lives, format) = (self.lives.clone(), format.clone());
                self.world.spawn(worker, move |handles: Handles| -> Task {
                    let control = Arc::new(Control::default());
                    lives.controls.borrow_mut().push(control.clone());
                    let context = Context {
                        topology: topology.clone(),
                        log: handles.log,
                        objects: handles.objects,
                        clock: handles.clock,
                        settings: settings.clone(),
                        control,
                    };
                    let (lives, format) = (lives.clone(), format.clone());
                    Box::pin(async move {
                        let ended = match role {
                            0 => route::run(context).await,
                            1 => aggregate::run(context).await,
                            _ => lake_role::run(context, format).await,
                        };
                        note(&lives, role, ended)
                    })
                });
            }
        }
    }

    fn send(&mut self, chance: &mut Seed) {
        let mut workload = Workload::new(chance);
        // Most histories are as small as they can be and still show what is wrong.
        let (rounds, most) =
            if chance.one_in(LARGE) { (chance.between(10, 60), 3_000) } else { (chance.between(2, 8), 400) };
        for _ in 0..rounds.min(self.case.rounds.unwrap_or(u64::MAX)) {
            let partition = chance.below(u64::from(self.setting.raw_partitions)) as u32;
            for _ in 0..chance.between(1, 3) {
                let value = workload.record(chance, self.world.now());
                let offset = self.world.append_raw(Partition(partition), None, Some(value.clone()));
                self.raw.add(partition, offset.0, value, self.world.now());
            }
            if chance.one_in(20) {
                self.world.append_raw_hole(Partition(partition));
            }
            self.truncate(chance);
            // Long enough for sessions and transactions to end.
            let most = if chance.one_in(6) { 20_000 } else { most };
            self.world.run_for(Duration::from_micros(chance.below(most * 1_000)));
        }
    }

    /// Runs on until this holds, for at most 300 s.
    pub(super) fn settle(&mut self, is_done: impl Fn(&History) -> bool) -> bool {
        (0..300).any(|_| {
            self.world.run_for(Duration::from_secs(1));
            is_done(self)
        })
    }

    /// An unclean election takes acknowledged records that nobody has read yet (R5): on record for ever is only that
    /// they are missing.
    fn truncate(&mut self, chance: &mut Seed) {
        if !self.truncates || self.lost > 0 {
            return;
        }
        let partition = Partition(chance.below(self.setting.targets.into()) as u32);
        let at = TopicPartition { topic: Topic::Repartition, partition };
        self.lost = self.world.truncate(at, self.world.read_below(at));
    }

    fn is_done(&self) -> bool {
        let end = |partition| self.raw.end(partition);
        let has_metrics = |target| {
            let reached = metrics::reached(&self.world, target);
            (0..self.setting.raw_partitions)
                .all(|partition| reached.get(&partition).copied().unwrap_or(0) >= end(partition))
        };
        (0..self.setting.targets).all(has_metrics)
            && !self.has_open_transaction()
            && self.found.borrow_mut().is_complete(&self.world, &self.raw)
    }

    /// I16: a dead worker's transaction hides what is behind it only for so long.
    fn has_open_transaction(&self) -> bool {
        let topics = [Topic::State, Topic::Metrics, Topic::SetAside, Topic::History(0)];
        let targets = (0..self.setting.targets).map(Partition);
        let mut all = targets.flat_map(|partition| topics.map(|topic| TopicPartition { topic, partition }));
        all.any(|at| self.world.has_open_transaction(at))
    }

    fn judge(&self) -> Result<(), String> {
        if let Some(violation) = self.world.violations().first() {
            return Err(violation.clone());
        }
        if let Some(failure) = self.lives.failures.borrow().first() {
            return Err(failure.clone());
        }
        // A named halt keeps what was right, and waits for a person.
        let is_whole = self.halted().is_none();
        metrics::check(&self.world, &self.raw, &self.setting, is_whole)?;
        lake::check(&self.world, &self.raw)
    }

    /// What was lost is named, and the rest is done.
    fn is_halted_by_loss(&self) -> bool {
        let names_it = |halted: String| halted.contains("the log lost records");
        self.lost > 0
            && self.halted().is_some_and(names_it)
            && !self.has_open_transaction()
            && self.found.borrow_mut().is_complete(&self.world, &self.raw)
    }

    /// Where nothing is taken from log or store nobody who is alive may stand halted. (A zombie may halt over what
    /// the cleaner took meanwhile, until it hears that it is one.)
    pub(super) fn halted(&self) -> Option<String> {
        let controls = self.lives.controls.borrow();
        let alive = controls.iter().filter(|control| Arc::strong_count(control) > 1);
        alive.flat_map(|control| control.halts()).next().map(|halt| format!("{halt:?}"))
    }
}

fn note(lives: &Lives, role: usize, ended: Result<Outcome, Failure>) -> Result<(), String> {
    match ended {
        Ok(_) => Ok(()),
        Err(failure) => {
            if failure.reaction == Reaction::Halt {
                let role = [Role::Route, Role::Aggregate, Role::Lake][role];
                lives.failures.borrow_mut().push(format!("{role:?} gave up: {failure}"));
            }
            Err(failure.to_string())
        }
    }
}

pub(super) fn shape(setting: &Setting) -> Shape {
    Shape {
        raw_partitions: setting.raw_partitions,
        targets: setting.targets,
        incarnation: Incarnation(0xfeed),
        start: LogTime(START),
    }
}

pub(super) fn settings(chance: &mut Seed) -> Settings {
    // Whoever waits for long is woken by what happens; idle rounds only cost time.
    let most = if chance.one_in(4) { 200 } else { 2_000 };
    let mut millis = |from, to| Duration::from_millis(chance.between(from, to));
    let (poll_wait, commit_every) = (millis(20, most), millis(100, 2_000));
    let (route_commit_every, link_every) = (millis(50, 1_000), millis(300, 5_000));
    let mut bytes = |to| chance.between(100, to) as usize;
    Settings {
        poll_wait,
        commit_every,
        route_commit_every,
        link_every,
        poll_bytes: bytes(8_000),
        commit_bytes: bytes(16_000),
        block_bytes: bytes(2_000),
        in_flight_bytes: bytes(64_000),
        lake_budget: bytes(16_000) + 2_000,
        backoff: (Duration::from_millis(50), Duration::from_secs(2)),
        ..Settings::default()
    }
}

/// One history from its seed, until all is done, and what is wrong with it.
pub(super) fn run(case: &Case, broken: &dyn Fn(&mut Faults)) -> (History, Result<(), String>) {
    let (mut history, mut chance) = History::new(case, broken);
    history.start_workers(&mut chance);
    history.send(&mut chance);
    history.world.heal();
    let is_finished = history.settle(|history| history.is_done() || history.is_halted_by_loss());
    let halted = history.halted().filter(|_| !history.is_halted_by_loss()).map_or(Ok(()), Err);
    // A wrong row says more than "not finished".
    let judged = halted.and_then(|()| history.judge());
    let not_finished = || Err(format!("I16: not finished; exits: {:?}", history.world.exits()));
    let ended = judged.and_then(|()| if is_finished { Ok(()) } else { not_finished() });
    let ended = ended.and_then(|()| {
        if case.seed.is_multiple_of(8) && history.lost == 0 {
            replay::check(&history, case.seed)
        } else {
            Ok(())
        }
    });
    (history, ended)
}
