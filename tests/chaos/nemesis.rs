//! Breaks things and mends them again, several at a time.

use crate::board::Board;
use crate::lines::{Line, State};
use crate::plan::{Fault, Kind};
use crate::servers::{Kafka, S3};
use crate::workers::Workers;
use rustix::process::Signal;
use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

const LOOK: Duration = Duration::from_millis(50);
/// A broker that was asked to stop hands over what it leads first.
const BROKER_GRACE: Duration = Duration::from_secs(20);
/// What a broker needs to come back; meanwhile others may break.
const BROKER_START: Duration = Duration::from_secs(8);

/// Whoever is broken just now; nobody is broken twice, and only one broker at a time: two copies of three are what the
/// topics promise to live with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Whom {
    Worker(usize),
    Broker(u16),
    Store,
    Nobody,
}

struct Broken {
    whom: Whom,
    kind: Kind,
    until: Instant,
    /// A broker that was started again, and may not be ready yet.
    is_starting: bool,
}

pub(crate) struct Nemesis<'a> {
    pub(crate) kafka: &'a Kafka,
    pub(crate) store: &'a S3,
    pub(crate) lines: &'a [Line],
    pub(crate) workers: Workers<'a>,
    broken: Vec<Broken>,
    pub(crate) done: BTreeMap<Kind, usize>,
}

impl<'a> Nemesis<'a> {
    pub(crate) fn new(kafka: &'a Kafka, store: &'a S3, lines: &'a [Line], workers: Workers<'a>) -> Self {
        Nemesis { kafka, store, lines, workers, broken: Vec::new(), done: BTreeMap::new() }
    }

    /// All of the faults, each at its time and for its time; ends at `end` if that comes first.
    pub(crate) fn torment(&mut self, faults: impl Iterator<Item = Fault>, end: Instant, board: &mut Board) {
        for fault in faults {
            let at = Instant::now() + fault.after;
            if at >= end {
                self.pass_until(end, board);
                return;
            }
            self.pass_until(at, board);
            // What it would hit is broken already: it waits, so that every fault of a plan happens.
            while !self.suffer(fault, board) {
                if Instant::now() >= end {
                    return;
                }
                self.pass_until(Instant::now() + LOOK, board);
            }
        }
        // The last ones last as long as the others did.
        while !self.broken.is_empty() && Instant::now() < end {
            self.pass_until(Instant::now() + LOOK, board);
        }
    }

    /// Nothing is broken any more, and whoever should run does.
    pub(crate) fn heal(&mut self, board: &mut Board) {
        while let Some(broken) = self.broken.pop() {
            self.mend(&broken, board);
        }
        self.workers.keep();
    }

    pub(crate) fn pass_until(&mut self, at: Instant, board: &mut Board) {
        loop {
            let now = Instant::now();
            while let Some(due) = self.broken.iter().position(|broken| broken.until <= now) {
                let broken = self.broken.remove(due);
                self.mend(&broken, board);
            }
            self.workers.keep();
            board.look(&self.words());
            if Instant::now() >= at {
                return;
            }
            thread::sleep(LOOK.min(at.saturating_duration_since(Instant::now())));
        }
    }

    /// What is broken just now.
    fn words(&self) -> String {
        let one = |broken: &Broken| match broken.whom {
            Whom::Worker(ordinal) => format!("worker {ordinal}"),
            Whom::Broker(node) => format!("broker {node}"),
            Whom::Store => "store".to_owned(),
            Whom::Nobody => String::new(),
        };
        self.broken.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    fn is_free(&self, whom: Whom) -> bool {
        let is_broker = |whom| matches!(whom, Whom::Broker(_));
        let hits = |broken: &Broken| broken.whom == whom || (is_broker(broken.whom) && is_broker(whom));
        !self.broken.iter().any(hits)
    }

    /// `false`: not now.
    fn suffer(&mut self, fault: Fault, board: &mut Board) -> bool {
        let Some(whom) = self.whom(fault).filter(|whom| self.is_free(*whom)) else { return false };
        self.hit(fault, whom, board);
        true
    }

    /// One of those that are well.
    fn whom(&self, fault: Fault) -> Option<Whom> {
        match fault.kind {
            Kind::KillWorker | Kind::PauseWorker | Kind::Leave => {
                let mut well = self.workers.running();
                well.retain(|ordinal| self.is_free(Whom::Worker(*ordinal)));
                let nth = fault.whom.checked_rem(well.len() as u64)?;
                Some(Whom::Worker(well[nth as usize]))
            }
            Kind::KillStore | Kind::PauseStore => Some(Whom::Store),
            Kind::Join => Some(Whom::Nobody),
            _ => Some(Whom::Broker(1 + (fault.whom % self.lines.len() as u64) as u16)),
        }
    }

    fn hit(&mut self, fault: Fault, whom: Whom, board: &mut Board) {
        let lasts = format!("for {:.1} s", fault.lasts.as_secs_f64());
        match (fault.kind, whom) {
            (Kind::KillWorker, Whom::Worker(ordinal)) => {
                self.workers.kill(ordinal);
                board.say(&format!("worker {ordinal} killed, gone {lasts}"));
            }
            (Kind::PauseWorker, Whom::Worker(ordinal)) => {
                self.workers.signal(ordinal, Signal::STOP);
                board.say(&format!("worker {ordinal} paused {lasts}"));
            }
            (Kind::Join, _) => match self.workers.join() {
                Some(ordinal) => board.say(&format!("worker {ordinal} joined")),
                None => return,
            },
            (Kind::Leave, Whom::Worker(ordinal)) => match self.workers.leave(ordinal) {
                true => board.say(&format!("worker {ordinal} left")),
                false => return,
            },
            (Kind::KillBroker, Whom::Broker(node)) => {
                self.kafka.kill(node);
                board.say(&format!("broker {node} killed, gone {lasts}"));
            }
            (Kind::StopBroker, Whom::Broker(node)) => {
                self.kafka.stop(node, BROKER_GRACE);
                board.say(&format!("broker {node} stopped, gone {lasts}"));
            }
            (Kind::PauseBroker, Whom::Broker(node)) => {
                self.kafka.pause(node);
                board.say(&format!("broker {node} paused {lasts}"));
            }
            (Kind::CutLine, Whom::Broker(node)) => {
                self.line(node).set(State::Cut);
                board.say(&format!("the line to broker {node} cut {lasts}"));
            }
            (Kind::LoseAnswers, Whom::Broker(node)) => {
                self.line(node).set(State::Mute);
                board.say(&format!("answers of broker {node} lost {lasts}"));
            }
            (Kind::LateEnds, Whom::Broker(node)) => {
                self.line(node).set(State::Late);
                board.say(&format!("ends of transactions held before broker {node} {lasts}"));
            }
            (Kind::KillStore, _) => {
                self.store.kill();
                board.say(&format!("the store killed, gone {lasts}"));
            }
            (Kind::PauseStore, _) => {
                self.store.pause();
                board.say(&format!("the store paused {lasts}"));
            }
            (kind, whom) => unreachable!("{kind:?} does not hit {whom:?}"),
        }
        *self.done.entry(fault.kind).or_default() += 1;
        if !matches!(fault.kind, Kind::Join | Kind::Leave) {
            let until = Instant::now() + fault.lasts;
            self.broken.push(Broken { whom, kind: fault.kind, until, is_starting: false });
        }
    }

    fn line(&self, node: u16) -> &Line {
        &self.lines[usize::from(node) - 1]
    }

    fn mend(&mut self, broken: &Broken, board: &mut Board) {
        match (broken.kind, broken.whom) {
            (Kind::KillWorker, Whom::Worker(ordinal)) => self.workers.revive(ordinal),
            (Kind::PauseWorker, Whom::Worker(ordinal)) => self.workers.signal(ordinal, Signal::CONT),
            (Kind::KillBroker | Kind::StopBroker, Whom::Broker(node)) if !broken.is_starting => {
                self.kafka.launch(node);
                let until = Instant::now() + BROKER_START;
                return self.broken.push(Broken { until, is_starting: true, ..*broken });
            }
            (Kind::KillBroker | Kind::StopBroker, Whom::Broker(node)) => self.kafka.wait_until_ready(node),
            (Kind::PauseBroker, Whom::Broker(node)) => self.kafka.resume(node),
            (Kind::CutLine | Kind::LoseAnswers | Kind::LateEnds, Whom::Broker(node)) => {
                self.line(node).set(State::Whole)
            }
            (Kind::KillStore, _) => self.store.restart(),
            (Kind::PauseStore, _) => self.store.resume(),
            (kind, whom) => unreachable!("{kind:?} does not hit {whom:?}"),
        }
        board.say(&match broken.whom {
            Whom::Worker(ordinal) => format!("worker {ordinal} is back"),
            Whom::Broker(node) => format!("broker {node} is back"),
            Whom::Store => "the store is back".to_owned(),
            Whom::Nobody => return,
        });
    }
}
