//! The small world: one partition of the raw log, a store, a group's position, two workers, and what may be chosen.

use super::super::lake::Judge;
use super::super::oracle::Raw;
use super::super::workload::small_lake;
use super::ports::{Clockwork, SmallLog, SmallObjects};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::future::Future;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::pin::Pin;
use std::rc::Rc;
use std::sync::Arc;
use std::task::{Context as Waiting, Poll, Waker};
use thalweg::lake::Rows;
use thalweg::model::{CommittedOffset, Incarnation, NextOffset, Partition};
use thalweg::topology::Topology;
use thalweg::worker::{Context, Control, Settings, lake};

/// Records of the raw log: two chunks of two, or of three and one.
pub(super) const RECORDS: u64 = 4;
pub(super) const INCARNATION: Incarnation = Incarnation(7);

#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) crashes: u32,
    pub(super) delays: u32,
    /// Files of a plan.
    pub(super) files: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Choice {
    /// This worker's next call happens, and it goes on to the one after.
    Go(usize),
    /// As `Go`, but nobody hears the answer of its call, which takes effect later.
    Delay(usize),
    /// It dies, and is started again.
    Crash(usize),
    /// What was delayed takes effect.
    Land,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Late {
    Create(String, Vec<u8>),
    Commit(u64, String),
}

/// What the next call of a worker is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Next {
    /// Nobody else can change its answer, or is changed by it.
    Own,
    Read,
    /// Its effect may come late.
    Write,
}

/// One worker, as its ports see it.
#[derive(Debug, Default)]
pub(super) struct Side {
    pub(super) next: Option<Next>,
    pub(super) may_go: bool,
    /// All that it was told since it was started.
    pub(super) told: DefaultHasher,
    /// The plan that it proposed for its slot.
    pub(super) proposed: Option<u64>,
    pub(super) now: i64,
}

impl Side {
    /// What it was told before decides nothing any more: it goes on behind the plan that stands, and whether that
    /// is its own can be seen.
    pub(super) fn has_sealed(&mut self, next: NextOffset) {
        self.told = DefaultHasher::new();
        (next.0, self.proposed.take()).hash(&mut self.told);
    }
}

#[derive(Debug, Default)]
pub(super) struct Shared {
    pub(super) values: Vec<Vec<u8>>,
    pub(super) objects: BTreeMap<String, Vec<u8>>,
    /// Of all objects, in whatever order they came.
    stored: u64,
    /// Keys in the order of their creates.
    pub(super) history: Vec<String>,
    pub(super) committed: Option<CommittedOffset>,
    /// Positions that were committed, with the number of creates before each.
    commits: Vec<(i64, u64)>,
    pub(super) sides: [Side; 2],
    /// The call that goes now is held up.
    pub(super) delays: bool,
    pub(super) delays_left: u32,
    pub(super) late: Option<Late>,
}

impl Shared {
    pub(super) fn create(&mut self, key: &str, body: Vec<u8>) -> bool {
        if self.objects.contains_key(key) {
            return false;
        }
        let mut object = DefaultHasher::new();
        (key, &body).hash(&mut object);
        self.stored ^= object.finish();
        self.objects.insert(key.to_owned(), body);
        self.history.push(key.to_owned());
        true
    }

    pub(super) fn commit(&mut self, offset: CommittedOffset) {
        self.commits.push((self.history.len() as i64, offset.next.0));
        self.committed = Some(offset);
    }
}

type Life = Pin<Box<dyn Future<Output = ()>>>;

pub(super) struct World {
    shared: Rc<RefCell<Shared>>,
    lives: [Option<Life>; 2],
    left: Limits,
    judge: Judge,
    judged: usize,
    start: Rc<Start>,
    /// Whose call was the last choice, if it changed nothing that others see.
    idle: Option<usize>,
}

/// What every way begins with.
pub(super) struct Start {
    limits: Limits,
    raw: Raw,
    values: Vec<Vec<u8>>,
    topology: Arc<Topology>,
}

impl Start {
    pub(super) fn new(limits: Limits) -> Rc<Start> {
        let (topology, values) = small_lake(RECORDS, limits.files);
        let mut raw = Raw::new(1);
        for (offset, value) in (0..).zip(&values) {
            raw.add(0, offset, value.clone(), 0);
        }
        Rc::new(Start { limits, raw, values, topology })
    }
}

impl World {
    /// The chain has begun, and nothing else is there.
    pub(super) fn new(start: &Rc<Start>) -> World {
        let left = start.limits;
        let mut shared =
            Shared { values: start.values.clone(), delays_left: left.delays, ..Shared::default() };
        shared.create(&format!("_control/v1/raw/{:032x}/p0/genesis", INCARNATION.0), br#"{"s":0}"#.to_vec());
        let shared = Rc::new(RefCell::new(shared));
        let mut world = World {
            shared,
            lives: [None, None],
            left,
            judge: Judge::default(),
            judged: 0,
            start: start.clone(),
            idle: None,
        };
        (0..2).for_each(|worker| world.start(worker));
        world
    }

    fn start(&mut self, worker: usize) {
        self.shared.borrow_mut().sides[worker] = Side::default();
        let control = Arc::new(Control::default());
        control.set_goal(BTreeMap::from([(Partition(0), NextOffset(RECORDS))]));
        let context = Context {
            topology: self.start.topology.clone(),
            log: Rc::new(SmallLog { shared: self.shared.clone(), worker }),
            objects: Rc::new(SmallObjects { shared: self.shared.clone(), worker }),
            clock: Rc::new(Clockwork { shared: self.shared.clone(), worker }),
            settings: Settings::default(),
            control,
        };
        self.lives[worker] = Some(Box::pin(async move {
            // Whoever fails is started again by a crash, which is another choice.
            drop(lake::run(context, Rc::new(Rows)).await);
        }));
        self.poll(worker);
    }

    /// On to its next call, or to its end.
    fn poll(&mut self, worker: usize) {
        let Some(mut life) = self.lives[worker].take() else { return };
        match life.as_mut().poll(&mut Waiting::from_waker(Waker::noop())) {
            Poll::Pending => self.lives[worker] = Some(life),
            Poll::Ready(()) => self.shared.borrow_mut().sides[worker].next = None,
        }
    }

    pub(super) fn choices(&self) -> Vec<Choice> {
        let shared = self.shared.borrow();
        let mut choices = Vec::new();
        for worker in (0..2).filter(|&worker| self.lives[worker].is_some()) {
            choices.push(Choice::Go(worker));
            if self.left.delays > 0 && shared.sides[worker].next == Some(Next::Write) {
                choices.push(Choice::Delay(worker));
            }
            // Dying before a call that nobody else sees is the same as dying behind it.
            if self.left.crashes > 0 && self.idle != Some(worker) {
                choices.push(Choice::Crash(worker));
            }
        }
        if shared.late.is_some() {
            choices.push(Choice::Land);
        }
        choices
    }

    pub(super) fn act(&mut self, choice: Choice) {
        match choice {
            Choice::Go(worker) => self.go(worker, false),
            Choice::Delay(worker) => {
                self.left.delays -= 1;
                self.shared.borrow_mut().delays_left -= 1;
                self.go(worker, true);
            }
            Choice::Crash(worker) => {
                self.idle = None;
                self.left.crashes -= 1;
                self.lives[worker] = None;
                self.start(worker);
            }
            Choice::Land => {
                self.idle = None;
                let mut shared = self.shared.borrow_mut();
                match shared.late.take() {
                    Some(Late::Create(key, body)) => drop(shared.create(&key, body)),
                    Some(Late::Commit(next, metadata)) => {
                        shared.commit(CommittedOffset { next: NextOffset(next), metadata });
                    }
                    None => {}
                }
            }
        }
    }

    fn go(&mut self, worker: usize, delays: bool) {
        self.idle = (self.shared.borrow().sides[worker].next == Some(Next::Read)).then_some(worker);
        {
            let mut shared = self.shared.borrow_mut();
            shared.sides[worker].may_go = true;
            shared.delays = delays;
        }
        self.poll(worker);
        let shared = self.shared.borrow();
        assert!(
            !shared.sides[worker].may_go,
            "worker {worker} waits for something that is not of this world"
        );
    }

    /// What decides all that can still happen.
    pub(super) fn state(&self) -> u128 {
        let shared = self.shared.borrow();
        let half = |salt: u8| {
            let mut hash = DefaultHasher::new();
            salt.hash(&mut hash);
            for (side, life) in shared.sides.iter().zip(&self.lives) {
                life.as_ref().map(|_| side.told.finish()).hash(&mut hash);
            }
            (shared.stored, shared.objects.len()).hash(&mut hash);
            shared.late.hash(&mut hash);
            shared
                .committed
                .as_ref()
                .map(|committed| (committed.next.0, &committed.metadata))
                .hash(&mut hash);
            (self.left.crashes, self.left.delays).hash(&mut hash);
            u128::from(hash.finish())
        };
        half(0) << 64 | half(1)
    }

    /// I5, I7, I8, I17, I22 and what each row says, after every step.
    pub(super) fn judge(&mut self) -> Result<(), String> {
        let shared = self.shared.borrow();
        for key in &shared.history[self.judged..] {
            self.judge.created(&self.start.raw, key, &shared.objects[key], self.judged as i64 + 1)?;
            self.judged += 1;
        }
        self.judge.committed(0, shared.commits.iter().copied())
    }

    /// I4, once both are done.
    pub(super) fn judge_end(&self) -> Result<(), String> {
        self.judge.ended(&self.start.raw)
    }
}
