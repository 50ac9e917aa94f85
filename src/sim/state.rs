//! All that stands behind the ports: what lies where, what is on its way, what time it is.
//!
//! Time is simulated microseconds. Whatever happens later (a late append, a session's end) is an
//! event with a due time; a task sleeps until a time, or until something that it waits for changes.

use super::coordinator::Coordinator;
use super::group::{Group, MemberId};
use super::partition::{Fate, PartitionLog};
use super::sender::Sender;
use super::store::Store;
use super::{Faults, Seed, Shape};
use crate::model::{CommittedOffset, LogTime, NextOffset, OutRecord, Partition, Role, Topic, TopicPartition};
use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};

pub(super) const SECOND: i64 = 1_000_000;
/// Never.
pub(super) const NEVER: i64 = i64::MAX;

#[derive(Debug)]
pub(super) struct State {
    pub(super) now: i64,
    pub(super) chance: Seed,
    pub(super) faults: Faults,
    pub(super) shape: Shape,
    pub(super) logs: BTreeMap<TopicPartition, PartitionLog>,
    pub(super) fates: Vec<Fate>,
    pub(super) groups: [Group; 3],
    pub(super) senders: Vec<Sender>,
    pub(super) coordinators: BTreeMap<String, Coordinator>,
    pub(super) store: Store,
    pub(super) tasks: Vec<TaskState>,
    pub(super) violations: Vec<String>,
    /// Faults that have struck.
    pub(super) struck: u64,
    /// Longest silence of a member, in microseconds.
    pub(super) session: i64,
    /// Most records that one read gives.
    pub(super) batch_max: u64,
    events: BinaryHeap<Reverse<Due>>,
    event_count: u64,
    changes: [u64; CHANGES],
    trace: u64,
}

/// What a task waits for.
#[derive(Debug)]
pub(super) struct TaskState {
    pub(super) worker: u32,
    /// Which life of the worker this is.
    pub(super) life: u32,
    /// Of its last transactional producer.
    pub(super) epoch: Option<u32>,
    pub(super) wake: i64,
    pub(super) interest: u8,
    pub(super) paused: Option<Pause>,
    pub(super) is_dead: bool,
    /// How far this worker's clock is off.
    pub(super) skew: i64,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Pause {
    pub(super) since: i64,
    pub(super) until: i64,
}

const CHANGES: usize = 6;

/// Kinds of change that a task can wait for; bits.
pub(super) mod change {
    pub(in crate::sim) const RAW: u8 = 1;
    pub(in crate::sim) const REPARTITION: u8 = 2;
    pub(in crate::sim) const OTHER_LOG: u8 = 4;
    pub(in crate::sim) const GROUP: u8 = 8;
    pub(in crate::sim) const DELIVERY: u8 = 16;
    pub(in crate::sim) const TRANSACTION: u8 = 32;
}

#[derive(Debug)]
struct Due {
    at: i64,
    number: u64,
    event: Event,
}

impl PartialEq for Due {
    fn eq(&self, other: &Self) -> bool {
        self.number == other.number
    }
}
impl Eq for Due {}
impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}
impl Ord for Due {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (self.at, self.number).cmp(&(other.at, other.number))
    }
}

/// What is on its way.
#[derive(Debug)]
pub(super) enum Event {
    /// The head of a producer's queue reaches the broker.
    Deliver {
        sender: usize,
        to: TopicPartition,
    },
    /// A record whose sender was told that it failed, or is gone.
    LateAppend {
        to: TopicPartition,
        record: OutRecord,
    },
    /// A plain offset commit that was held up, or its copy.
    LateCommit {
        role: Role,
        member: MemberId,
        generation: i32,
        partition: Partition,
        offset: CommittedOffset,
    },
    /// Is this member still alive?
    Session {
        role: Role,
        member: MemberId,
    },
    /// Whoever has not come to the next generation by now is expelled.
    RebalanceTimeout {
        role: Role,
        generation: i32,
    },
    /// The coordinator aborts a transaction that is open for too long.
    TransactionTimeout {
        id: String,
        number: u32,
    },
    /// A copy of an EndTxn of this epoch.
    LateEnd {
        id: String,
        epoch: u32,
        commit: bool,
    },
    LateCreate {
        key: String,
        body: Vec<u8>,
    },
    Compact {
        at: TopicPartition,
    },
    /// A worker that died is started again.
    Restart {
        worker: u32,
    },
    /// A worker that was replaced dies at last.
    Reap {
        task: usize,
    },
}

impl State {
    pub(super) fn new(seed: u64, shape: Shape, faults: Faults) -> Self {
        let mut chance = Seed(seed);
        let most = if faults.short_session { 10 } else { 45 };
        let session = chance.between(most / 5, most) as i64 * SECOND;
        let batch_max = chance.between(1, 64);
        let mut state = State {
            now: shape.start.0,
            chance,
            faults,
            logs: BTreeMap::new(),
            fates: vec![Fate::Committed],
            groups: [shape.raw_partitions, shape.targets, shape.raw_partitions].map(Group::new),
            senders: Vec::new(),
            coordinators: BTreeMap::new(),
            store: Store::default(),
            tasks: Vec::new(),
            violations: Vec::new(),
            struck: 0,
            session,
            batch_max,
            events: BinaryHeap::new(),
            event_count: 0,
            changes: [0; CHANGES],
            trace: seed,
            shape,
        };
        for topic in [Topic::State, Topic::Metrics] {
            for partition in (0..state.shape.targets).map(Partition) {
                state.schedule_compaction(TopicPartition { topic, partition });
            }
        }
        state
    }

    /// Everything that happens goes through here: two histories are the same if their traces are.
    pub(super) fn trace(&mut self, kind: u8, a: u64, b: u64) {
        let mut hash = self.trace ^ u64::from(kind) ^ (self.now as u64).rotate_left(17);
        for part in [a, b] {
            hash = (hash ^ part).wrapping_mul(0x9fb2_1c65_1e98_df25);
            hash ^= hash >> 29;
        }
        self.trace = hash;
    }

    pub(super) fn trace_hash(&self) -> u64 {
        self.trace
    }

    pub(super) fn group(&mut self, role: Role) -> &mut Group {
        &mut self.groups[role as usize]
    }

    pub(super) fn log(&mut self, at: TopicPartition) -> &mut PartitionLog {
        self.logs.entry(at).or_default()
    }

    pub(super) fn partitions(&self, topic: Topic) -> u32 {
        match topic {
            Topic::Raw => self.shape.raw_partitions,
            _ => self.shape.targets,
        }
    }

    pub(super) fn append(&mut self, to: TopicPartition, transaction: u32, record: OutRecord) -> u64 {
        let now = self.now;
        let offset = self.log(to).append(now, transaction, record);
        self.trace(1, to.topic_code(), offset << 8 | u64::from(to.partition.0));
        self.signal(change_of(to.topic));
        offset
    }

    pub(super) fn schedule(&mut self, at: i64, event: Event) {
        self.event_count += 1;
        self.events.push(Reverse(Due { at, number: self.event_count, event }));
    }

    /// Something some time from now, up to `most` microseconds; mostly soon.
    pub(super) fn schedule_late(&mut self, most: i64, event: Event) {
        let shift = self.chance.below(8);
        let delay = self.chance.below((most as u64 >> shift).max(2)) as i64;
        self.schedule(self.now + 1 + delay, event);
    }

    pub(super) fn next_event(&self) -> Option<i64> {
        self.events.peek().map(|Reverse(due)| due.at)
    }

    pub(super) fn pop_event(&mut self) -> Option<Event> {
        self.events.pop().map(|Reverse(due)| due.event)
    }

    /// Tells the tasks that wait for it; each hears after a moment of its own.
    pub(super) fn signal(&mut self, what: u8) {
        self.changes[what.trailing_zeros() as usize] += 1;
        let State { tasks, chance, now, .. } = self;
        for task in tasks.iter_mut().filter(|task| task.interest & what != 0) {
            let soon = *now + 1 + chance.below(200) as i64;
            task.wake = task.wake.min(soon);
        }
    }

    /// How often anything of `interest` has changed.
    pub(super) fn change_count(&self, interest: u8) -> u64 {
        let bits = (0..CHANGES).filter(|bit| interest & (1 << bit) != 0);
        bits.map(|bit| self.changes[bit]).sum()
    }

    /// Does a fault of so many in a thousand strike now?
    pub(super) fn strikes(&mut self, per_mille: u32) -> bool {
        self.chance.per_mille(per_mille) && self.may_strike()
    }

    /// As [`State::strikes`], for one in `n`.
    pub(super) fn strikes_once_in(&mut self, n: u64) -> bool {
        self.chance.one_in(n) && self.may_strike()
    }

    fn may_strike(&mut self) -> bool {
        self.struck += 1;
        self.faults.strikes_max.is_none_or(|most| self.struck <= most)
    }

    /// How long a call is held up on one way.
    pub(super) fn latency(&mut self) -> i64 {
        if self.strikes(self.faults.slow) {
            return 1 + self.chance.below(self.faults.slow_micros) as i64;
        }
        1 + self.chance.below(1000) as i64
    }

    pub(super) fn violation(&mut self, what: String) {
        if self.violations.len() < 20 {
            self.violations.push(what);
        }
    }

    pub(super) fn apply(&mut self, event: Event) {
        match event {
            Event::Deliver { sender, to } => self.deliver(sender, to),
            Event::LateAppend { to, record } => {
                self.append(to, 0, record);
            }
            Event::LateCommit { role, member, generation, partition, offset } => {
                if self.group(role).admits(member, generation) {
                    self.trace(2, role as u64, offset.next.0);
                    let now = LogTime(self.now);
                    self.group(role).commit(partition, now, offset);
                }
            }
            Event::Session { role, member } => self.check_session(role, member),
            Event::RebalanceTimeout { role, generation } => self.expel_missing(role, generation),
            Event::TransactionTimeout { id, number } => self.time_out_transaction(&id, number),
            Event::LateEnd { id, epoch, commit } => self.late_end(&id, epoch, commit),
            Event::LateCreate { key, body } => {
                self.create_object(key, body, None);
            }
            Event::Compact { at } => self.compact(at),
            Event::Restart { .. } | Event::Reap { .. } => {
                unreachable!("the world takes these before they come here")
            }
        }
    }

    fn schedule_compaction(&mut self, at: TopicPartition) {
        let most = if self.faults.eager_compaction { 10 } else { 120 };
        let due = self.now + self.chance.between(1, most) as i64 * SECOND;
        self.schedule(due, Event::Compact { at });
    }

    fn compact(&mut self, at: TopicPartition) {
        let (lag, tail) = match self.faults.eager_compaction {
            true => (0, self.chance.below(4) as usize),
            false => (30 * SECOND, self.chance.below(20) as usize),
        };
        let (now, State { logs, fates, .. }) = (self.now, &mut *self);
        logs.entry(at).or_default().compact(fates, tail, now - lag, now - 600 * SECOND);
        self.schedule_compaction(at);
    }

    /// A newer process has this worker's name: the group knows only that one.
    pub(super) fn is_superseded(&self, task: usize) -> bool {
        let of = &self.tasks[task];
        self.tasks[task..].iter().any(|task| task.worker == of.worker && task.life > of.life && !task.is_dead)
    }

    fn is_alive(&self, task: usize) -> bool {
        let task = &self.tasks[task];
        let is_silent = |pause: Pause| pause.until > self.now && self.now - pause.since >= self.session - 1;
        let is_silent = task.paused.is_some_and(is_silent);
        !task.is_dead && !is_silent
    }

    fn check_session(&mut self, role: Role, member: MemberId) {
        let Some(found) = self.groups[role as usize].members.get(&member) else { return };
        if found.dropped || !self.is_alive(found.task) {
            self.expel(role, member);
        }
    }

    pub(super) fn expel(&mut self, role: Role, member: MemberId) {
        self.trace(3, role as u64, member);
        let State { groups, chance, .. } = self;
        groups[role as usize].remove(member, chance);
        self.rebalance_started(role);
        self.signal(change::GROUP);
    }

    /// A generation that cannot begin must not wait for ever.
    pub(super) fn rebalance_started(&mut self, role: Role) {
        if self.group(role).is_preparing() {
            let generation = self.group(role).generation;
            self.schedule(self.now + 90 * SECOND, Event::RebalanceTimeout { role, generation });
        }
    }

    fn expel_missing(&mut self, role: Role, generation: i32) {
        if self.group(role).generation == generation {
            for member in self.group(role).missing() {
                self.expel(role, member);
            }
        }
    }

    pub(super) fn stop(&mut self, task: usize, until: i64) {
        let since = self.now;
        self.tasks[task].paused = Some(Pause { since, until });
        self.check_sessions_of(task);
    }

    /// Its members are expelled once their session has passed, if it does not come back before.
    pub(super) fn check_sessions_of(&mut self, task: usize) {
        let due = self.now + self.session;
        for role in [Role::Route, Role::Aggregate, Role::Lake] {
            let of_task: Vec<MemberId> = {
                let members = self.group(role).members.iter();
                members.filter(|(_, member)| member.task == task).map(|(&id, _)| id).collect()
            };
            for member in of_task {
                self.schedule(due, Event::Session { role, member });
            }
        }
    }

    /// Operator and broker trouble with committed positions.
    pub(super) fn trouble_positions(&mut self) {
        let role = [Role::Route, Role::Aggregate, Role::Lake][self.chance.below(3) as usize];
        let partitions = u64::from(self.group(role).partitions);
        let partition = Partition(self.chance.below(partitions) as u32);
        if self.strikes(self.faults.commit_back) {
            let State { groups, chance, .. } = self;
            let group = &mut groups[role as usize];
            let older = group.history.get(&partition).and_then(|history| chance.pick(history)).cloned();
            if let Some((_, older)) = older {
                group.committed.insert(partition, older);
                self.trace(4, role as u64, u64::from(partition.0));
            }
        }
        if role == Role::Lake && self.strikes(self.faults.commit_reset) {
            let next = self.log(TopicPartition { topic: Topic::Raw, partition }).next;
            let next = NextOffset(self.chance.below(next + 1));
            let offset = CommittedOffset { next, metadata: String::new() };
            self.group(role).committed.insert(partition, offset);
            self.trace(14, u64::from(partition.0), next.0);
        }
        // Route refuses to go on without its metadata, by name: a scenario of its own, not a fault of every day.
        if role != Role::Route && self.strikes(self.faults.commit_forgotten) {
            self.group(role).committed.remove(&partition);
            self.trace(5, role as u64, u64::from(partition.0));
        }
    }
}

pub(super) fn change_of(topic: Topic) -> u8 {
    match topic {
        Topic::Raw => change::RAW,
        Topic::Repartition => change::REPARTITION,
        _ => change::OTHER_LOG,
    }
}

trait TopicCode {
    fn topic_code(&self) -> u64;
}

impl TopicCode for TopicPartition {
    fn topic_code(&self) -> u64 {
        match self.topic {
            Topic::Raw => 0,
            Topic::Repartition => 1,
            Topic::DeadLetters => 2,
            Topic::State => 3,
            Topic::Metrics => 4,
            Topic::SetAside => 5,
            Topic::History(index) => 6 + u64::from(index),
        }
    }
}
