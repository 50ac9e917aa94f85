//! The world as a test holds it: workers in it, time that passes, faults that strike, and all that was written.

use super::reader::SimLog;
use super::state::{Event, NEVER, Pause, SECOND, State, TaskState};
use super::store::SimObjects;
use super::wire::{SimClock, Wire, micros};
use super::Faults;
use crate::model::{
    CommittedOffset, Incarnation, LogTime, NextOffset, Offset, OutRecord, Partition, Role, Topic,
    TopicPartition,
};
use crate::port::{Clock, Log, Objects};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};
use std::time::Duration;

/// What does not change in a history.
#[derive(Debug, Clone)]
pub struct Shape {
    pub raw_partitions: u32,
    pub targets: u32,
    pub incarnation: Incarnation,
    /// Where time begins.
    pub start: LogTime,
}

/// One role of one worker. An error is an exit: the worker is started again.
pub type Task = Pin<Box<dyn Future<Output = Result<(), String>>>>;

/// The ports of one life of one worker.
#[derive(Clone)]
pub struct Handles {
    pub log: Rc<dyn Log>,
    pub objects: Rc<dyn Objects>,
    pub clock: Rc<dyn Clock>,
}

/// A committed record where it lies, also when the cleaner has taken it since.
#[derive(Debug, Clone)]
pub struct Kept {
    pub offset: Offset,
    pub time: LogTime,
    pub is_cleaned: bool,
    pub record: OutRecord,
}

const STEPS_A_SECOND: u64 = 200_000;

type Factory = Rc<dyn Fn(Handles) -> Task>;

#[derive(Default)]
struct Worker {
    roles: Vec<Factory>,
    /// Tasks of this life.
    tasks: Vec<usize>,
    life: u32,
    /// Tasks of the life before, if that one was only stopped.
    replaced: Vec<usize>,
}

pub struct World {
    pub(super) state: Rc<RefCell<State>>,
    futures: Vec<Option<Task>>,
    workers: BTreeMap<u32, Worker>,
    steps: u64,
    /// A second of simulated time, and the steps before it.
    second: (i64, u64),
    /// Workers that ended with an error, and what it said.
    exits: Vec<(u32, String)>,
}

impl fmt::Debug for World {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("World").field("steps", &self.steps).field("state", &self.state).finish()
    }
}

impl World {
    pub fn new(seed: u64, shape: Shape, faults: Faults) -> Self {
        let state = Rc::new(RefCell::new(State::new(seed, shape, faults)));
        World {
            state,
            futures: Vec::new(),
            workers: BTreeMap::new(),
            steps: 0,
            second: (0, 0),
            exits: Vec::new(),
        }
    }

    /// Adds a role to a worker and starts it. The factory is called again for each later life.
    pub fn spawn(&mut self, worker: u32, factory: impl Fn(Handles) -> Task + 'static) -> usize {
        let factory: Factory = Rc::new(factory);
        let task = self.start_task(worker, &factory);
        let found = self.workers.entry(worker).or_default();
        found.roles.push(factory);
        found.tasks.push(task);
        task
    }

    fn start_task(&mut self, worker: u32, factory: &Factory) -> usize {
        let task = {
            let mut state = self.state.borrow_mut();
            let day = 86_400 * SECOND;
            let skew = match state.faults.clock_skew {
                true => state.chance.between(0, 2 * day as u64) as i64 - day,
                false => 0,
            };
            let wake = state.now + 1 + state.chance.below(1000) as i64;
            let life = self.workers.get(&worker).map_or(0, |found| found.life);
            state.tasks.push(TaskState {
                worker,
                life,
                epoch: None,
                wake,
                interest: 0,
                paused: None,
                is_dead: false,
                skew,
            });
            state.tasks.len() - 1
        };
        let wire = Wire::new(self.state.clone(), task);
        let handles = Handles {
            log: Rc::new(SimLog(wire.clone())),
            objects: Rc::new(SimObjects(wire.clone())),
            clock: Rc::new(SimClock(wire)),
        };
        self.futures.push(Some(factory(handles)));
        task
    }

    /// The next thing happens: something on its way arrives, or one task goes on to its next wait.
    /// False if nothing is left that could happen.
    pub fn step(&mut self) -> bool {
        self.count_step();
        let (event, task) = {
            let state = self.state.borrow();
            (state.next_event().unwrap_or(NEVER), next_task(&state))
        };
        let wake = task.map_or(NEVER, |(wake, _)| wake);
        if event == NEVER && wake == NEVER {
            return false;
        }
        if event <= wake {
            self.happen(event);
        } else if let Some((_, task)) = task {
            self.state.borrow_mut().now = wake.max(self.now());
            self.poll(task);
            self.strike();
        }
        true
    }

    /// Every call takes time, so only an endless loop makes so many steps in a second.
    fn count_step(&mut self) {
        self.steps += 1;
        let second = self.now() / SECOND;
        if second != self.second.0 {
            self.second = (second, self.steps);
        }
        let steps = self.steps - self.second.1;
        assert!(steps < STEPS_A_SECOND, "somebody spins: {steps} steps within one simulated second");
    }

    fn happen(&mut self, at: i64) {
        let event = {
            let mut state = self.state.borrow_mut();
            state.now = at.max(state.now);
            state.pop_event()
        };
        match event {
            Some(Event::Restart { worker }) => self.restart(worker),
            Some(Event::Reap { task }) => self.kill(task),
            Some(event) => self.state.borrow_mut().apply(event),
            None => {}
        }
    }

    fn poll(&mut self, task: usize) {
        {
            let mut state = self.state.borrow_mut();
            let found = &mut state.tasks[task];
            (found.wake, found.interest) = (NEVER, 0);
            if found.paused.is_some_and(|pause: Pause| pause.until <= state.now) {
                state.tasks[task].paused = None;
            }
            state.trace(13, task as u64, 0);
        }
        let Some(mut future) = self.futures[task].take() else { return };
        let polled = future.as_mut().poll(&mut Context::from_waker(Waker::noop()));
        match polled {
            Poll::Pending => {
                let state = self.state.borrow();
                let found = &state.tasks[task];
                let waits = found.wake != NEVER || found.interest != 0;
                assert!(waits, "worker {} waits for something that is not of this world", found.worker);
                self.futures[task] = Some(future);
            }
            Poll::Ready(ended) => {
                drop(future);
                self.end_task(task, ended);
            }
        }
    }

    fn end_task(&mut self, task: usize, ended: Result<(), String>) {
        let worker = {
            let mut state = self.state.borrow_mut();
            state.tasks[task].is_dead = true;
            state.check_sessions_of(task);
            state.tasks[task].worker
        };
        let is_current = self.workers.get(&worker).is_some_and(|found| found.tasks.contains(&task));
        if let Err(error) = ended {
            self.exits.push((worker, error));
            if is_current {
                self.crash(worker);
            }
        }
    }

    /// Faults that strike whole workers.
    fn strike(&mut self) {
        let (crash, pause, replace, rebalance) = {
            let mut state = self.state.borrow_mut();
            let Faults { crash, pause, replace, rebalance, .. } = state.faults;
            let drawn = (
                state.strikes_once_in(crash),
                state.strikes_once_in(pause),
                state.strikes_once_in(replace),
                state.strikes_once_in(rebalance),
            );
            state.trouble_positions();
            drawn
        };
        if !(crash || pause || replace || rebalance) {
            return;
        }
        let ids: Vec<u32> = self.workers.keys().copied().collect();
        let Some(worker) = self.state.borrow_mut().chance.pick(&ids).copied() else { return };
        if crash {
            self.crash(worker);
        } else if pause {
            let most = self.state.borrow().faults.pause_micros;
            let until = self.now() + self.state.borrow_mut().chance.below(most) as i64;
            self.pause(worker, until);
        } else if replace {
            self.replace(worker);
        } else {
            let role = [Role::Route, Role::Aggregate, Role::Lake][worker as usize % 3];
            self.rebalance(role);
        }
    }

    /// `kill -9`: whatever it held in memory is gone. It is started again after a while.
    pub fn crash(&mut self, worker: u32) {
        let tasks = self.workers.get_mut(&worker).map(|found| std::mem::take(&mut found.tasks));
        tasks.unwrap_or_default().into_iter().for_each(|task| self.kill(task));
        let mut state = self.state.borrow_mut();
        let due = state.now + state.chance.between(1, 5_000_000) as i64;
        state.schedule(due, Event::Restart { worker });
    }

    /// Ends a worker for good.
    pub fn remove(&mut self, worker: u32) {
        let found = self.workers.remove(&worker);
        found.into_iter().flat_map(|found| found.tasks).for_each(|task| self.kill(task));
    }

    fn kill(&mut self, task: usize) {
        // Handles tell the world of their end as they are dropped, so nothing may be borrowed here.
        let future = self.futures[task].take();
        drop(future);
        let mut state = self.state.borrow_mut();
        let found = &mut state.tasks[task];
        (found.is_dead, found.wake, found.interest) = (true, NEVER, 0);
        state.check_sessions_of(task);
    }

    fn restart(&mut self, worker: u32) {
        let Some(found) = self.workers.get(&worker) else { return };
        if found.tasks.is_empty() {
            let roles = found.roles.clone();
            self.workers.entry(worker).or_default().life += 1;
            let tasks = roles.iter().map(|factory| self.start_task(worker, factory)).collect();
            self.workers.entry(worker).or_default().tasks = tasks;
        }
    }

    /// `SIGSTOP` until then: longer than a session makes it a zombie.
    pub fn pause(&mut self, worker: u32, until: i64) {
        let tasks = self.workers.get(&worker).map(|found| found.tasks.clone()).unwrap_or_default();
        let mut state = self.state.borrow_mut();
        tasks.into_iter().for_each(|task| state.stop(task, until));
    }

    /// A new process takes this worker's name and place while the old one is only stopped. The old one
    /// wakes up later, acts as if nothing had happened, and dies some seconds after.
    pub fn replace(&mut self, worker: u32) {
        let Some(found) = self.workers.get_mut(&worker).filter(|found| !found.tasks.is_empty()) else {
            return;
        };
        let tasks = std::mem::take(&mut found.tasks);
        let before = std::mem::replace(&mut found.replaced, tasks.clone());
        before.into_iter().for_each(|task| self.kill(task));
        {
            let mut state = self.state.borrow_mut();
            let most = state.faults.pause_micros.max(1);
            let until = state.now + state.chance.below(most) as i64;
            let dies = until + state.chance.below(10_000_000) as i64;
            for task in tasks {
                state.stop(task, until);
                state.schedule(dies, Event::Reap { task });
            }
        }
        self.restart(worker);
    }

    /// The partitions of a role are dealt out again.
    pub fn rebalance(&mut self, role: Role) {
        let mut state = self.state.borrow_mut();
        state.group(role).prepare(true);
        state.rebalance_started(role);
        state.signal(super::state::change::GROUP);
    }

    /// No fault from here on: stopped workers go on, and those that were replaced are gone.
    pub fn heal(&mut self) {
        let replaced: Vec<usize> = {
            let mut state = self.state.borrow_mut();
            state.faults = state.faults.healed();
            let now = state.now;
            for pause in state.tasks.iter_mut().filter_map(|task| task.paused.as_mut()) {
                pause.until = now;
            }
            let is_current = |task: &usize| self.workers.values().any(|worker| worker.tasks.contains(task));
            (0..self.futures.len())
                .filter(|task| self.futures[*task].is_some() && !is_current(task))
                .collect()
        };
        replaced.into_iter().for_each(|task| self.kill(task));
    }

    /// Steps until `is_done` says so (asked every few steps), or until so much simulated time has passed.
    pub fn run_until(&mut self, time: Duration, mut is_done: impl FnMut(&World) -> bool) -> bool {
        let end = self.now() + micros(time);
        loop {
            for _ in 0..16 {
                if self.now() >= end || !self.step() {
                    return is_done(self);
                }
            }
            if is_done(self) {
                return true;
            }
        }
    }

    /// Steps for so much simulated time.
    pub fn run_for(&mut self, time: Duration) {
        let end = self.now() + micros(time);
        while self.now() < end && self.step() {}
    }

    pub fn append_raw(
        &mut self,
        partition: Partition,
        key: Option<Vec<u8>>,
        value: Option<Vec<u8>>,
    ) -> Offset {
        let to = TopicPartition { topic: Topic::Raw, partition };
        let record = OutRecord { key, value, headers: Vec::new() };
        Offset(self.state.borrow_mut().append(to, 0, record))
    }

    /// Copies a record from another world's log, with the time that it had there.
    pub fn append(&mut self, to: TopicPartition, time: LogTime, record: OutRecord) -> Offset {
        Offset(self.state.borrow_mut().log(to).append(time.0, 0, record))
    }

    /// An offset without a record: a control record, or an aborted one.
    pub fn append_raw_hole(&mut self, partition: Partition) {
        let mut state = self.state.borrow_mut();
        state.log(TopicPartition { topic: Topic::Raw, partition }).append_marker(0);
        state.signal(super::state::change::RAW);
    }

    /// Retention takes what lies below `to`.
    pub fn expire(&mut self, at: TopicPartition, to: NextOffset) {
        self.state.borrow_mut().log(at).expire(to.0);
    }

    /// An unclean election: acknowledged records are gone, from `to` on. Says how many.
    pub fn truncate(&mut self, at: TopicPartition, to: NextOffset) -> usize {
        let mut state = self.state.borrow_mut();
        let log = state.log(at);
        let before = log.entries.len();
        log.truncate(to.0);
        before - log.entries.len()
    }

    /// An operator's hand: sets a group's position, or forgets it.
    pub fn set_committed(&mut self, role: Role, partition: Partition, offset: Option<CommittedOffset>) {
        let mut state = self.state.borrow_mut();
        match offset {
            Some(offset) => {
                let now = LogTime(state.now);
                state.group(role).commit(partition, now, offset);
            }
            None => drop(state.group(role).committed.remove(&partition)),
        }
    }

    pub fn exits(&self) -> &[(u32, String)] {
        &self.exits
    }

    pub fn is_running(&self, task: usize) -> bool {
        self.futures[task].is_some()
    }

    /// Simulated microseconds.
    pub fn now(&self) -> i64 {
        self.state.borrow().now
    }

    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The same for two histories only if they went the same way.
    pub fn trace_hash(&self) -> u64 {
        self.state.borrow().trace_hash()
    }
}

fn next_task(state: &State) -> Option<(i64, usize)> {
    let wakes = state.tasks.iter().enumerate().filter(|(_, task)| !task.is_dead && task.wake != NEVER);
    let due = |task: &TaskState| task.paused.map_or(task.wake, |pause| pause.until.max(task.wake));
    wakes.map(|(index, task)| (due(task), index)).min()
}
