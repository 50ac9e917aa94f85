//! A member of a group, as its client sees it.

use super::group::{Group, MemberId, News};
use super::reader::fetch_committed;
use super::state::{Event, SECOND, State, change, change_of};
use super::wire::{Wire, failure, micros};
use crate::model::{CommittedOffset, LogTime, NextOffset, Partition, Role, Topic, TopicPartition};
use crate::port::{Consumer, Failure, Membership, Pending, Polled, Reaction};
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Debug)]
pub(super) struct SimConsumer {
    wire: Wire,
    role: Role,
    member: Option<MemberId>,
    /// The generation that this client heard of last; a zombie goes on believing it.
    generation: i32,
    held: BTreeMap<Partition, Held>,
    has_left: bool,
}

#[derive(Debug, Default)]
struct Held {
    /// Where reading goes on, once it was started.
    position: Option<u64>,
    is_paused: bool,
    is_going: bool,
}

impl SimConsumer {
    pub(super) fn new(wire: Wire, role: Role) -> Self {
        SimConsumer { wire, role, member: None, generation: -1, held: BTreeMap::new(), has_left: false }
    }

    fn input(&self) -> Topic {
        match self.role {
            Role::Route | Role::Lake => Topic::Raw,
            Role::Aggregate => Topic::Repartition,
        }
    }

    fn lost(&mut self) -> Option<Polled> {
        (self.member, self.generation) = (None, -1);
        let lost: Vec<Partition> = std::mem::take(&mut self.held).into_keys().collect();
        (!lost.is_empty()).then_some(Polled::Lost(lost))
    }

    /// What the group has for this member; joins first where it is none.
    fn group_news(&mut self, state: &mut State) -> Option<Polled> {
        if let Some(member) = self.member
            && !state.group(self.role).members.contains_key(&member)
        {
            // Whoever held nothing hears nothing, and joins again at the next poll.
            return Some(self.lost().unwrap_or(Polled::Idle));
        }
        let member = match self.member.filter(|id| state.group(self.role).members.contains_key(id)) {
            Some(member) => member,
            None => self.join(state),
        };
        let before = state.group(self.role).generation;
        let State { groups, chance, .. } = state;
        let group: &mut Group = &mut groups[self.role as usize];
        group.arrive(member, chance);
        let news = group.news(member);
        self.generation = group.members[&member].generation;
        if group.generation != before {
            state.trace(9, self.role as u64, before as u64);
            state.signal(change::GROUP);
        }
        Some(match news? {
            News::Assigned(partitions) => {
                self.held.extend(partitions.iter().map(|&partition| (partition, Held::default())));
                Polled::Assigned(partitions)
            }
            News::Revoked(partitions) => {
                for partition in &partitions {
                    self.held.entry(*partition).or_default().is_going = true;
                }
                Polled::Revoked(partitions)
            }
        })
    }

    fn join(&mut self, state: &mut State) -> MemberId {
        let worker = state.tasks[self.wire.task].worker;
        let State { groups, tasks, .. } = state;
        // A static member takes the place of its forerunner at once; others wait for its session to end.
        let members = groups[self.role as usize].members.iter();
        let twins: Vec<MemberId> =
            members.filter(|(_, twin)| tasks[twin.task].worker == worker).map(|(&id, _)| id).collect();
        if state.chance.one_in(2) {
            twins.into_iter().for_each(|twin| state.expel(self.role, twin));
        }
        let member = state.group(self.role).join(self.wire.task);
        self.member = Some(member);
        state.trace(10, self.role as u64, member);
        state.rebalance_started(self.role);
        state.signal(change::GROUP);
        member
    }

    fn records(&mut self, state: &mut State, bytes_max: usize) -> Result<Option<Polled>, Failure> {
        let topic = self.input();
        let mut ready = Vec::new();
        for (&partition, held) in &self.held {
            let Some(position) = held.position.filter(|_| !held.is_paused && !held.is_going) else {
                continue;
            };
            let log = state.log(TopicPartition { topic, partition });
            if position < log.first || position > log.next {
                let (first, next) = (log.first, log.next);
                let text = format!("{topic:?} {partition} holds {first} to {next}, position is {position}");
                return Err(failure(Reaction::Replay, text));
            }
            if position < log.last_stable() {
                ready.push(partition);
            }
        }
        let Some(&partition) = state.chance.pick(&ready) else { return Ok(None) };
        let held = self.held.get_mut(&partition).expect("picked from those held");
        let from = held.position.expect("picked from those started");
        let batch = state.read(TopicPartition { topic, partition }, from, bytes_max);
        held.position = Some(batch.next.0);
        Ok(Some(Polled::Records(batch)))
    }

    /// Sends a plain commit; says when its answer is lost.
    fn send_commit(
        &self,
        state: &mut State,
        partition: Partition,
        offset: CommittedOffset,
    ) -> Result<(), Failure> {
        let (role, generation) = (self.role, self.generation);
        let member = self.member.unwrap_or(MemberId::MAX);
        let admits = state.faults.admits_every_generation || state.group(role).admits(member, generation);
        if !admits {
            let text = format!("generation {generation} is not the group's");
            return Err(failure(Reaction::Rejoin, text));
        }
        let late = Event::LateCommit { role, member, generation, partition, offset: offset.clone() };
        let is_lost = {
            let rate = state.faults.commit_lost;
            state.strikes(rate)
        };
        let fate = if is_lost { state.chance.below(3) } else { 0 };
        match fate {
            0 => {
                let now = LogTime(state.now);
                state.group(role).commit(partition, now, offset.clone());
            }
            1 => state.schedule_late(30 * SECOND, late),
            _ => {}
        }
        if is_lost {
            return Err(failure(Reaction::Retry, "the answer to an offset commit was lost"));
        }
        state.trace(11, role as u64, offset.next.0);
        let rate = state.faults.commit_again;
        if state.strikes(rate) {
            let again = Event::LateCommit { role, member, generation, partition, offset };
            state.schedule_late(30 * SECOND, again);
        }
        Ok(())
    }
}

impl Drop for SimConsumer {
    fn drop(&mut self) {
        let Some(member) = self.member else { return };
        let mut state = self.wire.state();
        let due = state.now + state.session;
        if let Some(found) = state.group(self.role).members.get_mut(&member) {
            found.dropped = true;
            state.schedule(due, Event::Session { role: self.role, member });
        }
    }
}

impl Consumer for SimConsumer {
    fn poll(&mut self, bytes_max: usize, wait: Duration) -> Pending<'_, Polled> {
        Box::pin(async move {
            let until = self.wire.state().now.saturating_add(micros(wait));
            self.wire.call("a poll").await?;
            let interest = change::GROUP | change_of(self.input());
            loop {
                let seen = {
                    let wire = self.wire.clone();
                    let mut state = wire.state();
                    if self.has_left {
                        return Err(failure(Reaction::Rejoin, "this member has left its group"));
                    }
                    if self.member.is_none() && state.is_superseded(self.wire.task) {
                        return Err(failure(Reaction::Retry, "a newer process has this member's name"));
                    }
                    if let Some(news) = self.group_news(&mut state) {
                        return Ok(news);
                    }
                    if let Some(records) = self.records(&mut state, bytes_max)? {
                        return Ok(records);
                    }
                    if state.now >= until {
                        return Ok(Polled::Idle);
                    }
                    state.change_count(interest)
                };
                self.wire.changed(interest, seen, until).await;
            }
        })
    }

    fn start(&mut self, partition: Partition, at: NextOffset) -> Pending<'_, ()> {
        Box::pin(async move {
            self.wire.hop().await;
            match self.held.get_mut(&partition) {
                Some(held) => held.position = Some(at.0),
                None => return Err(failure(Reaction::Rejoin, format!("partition {partition} is not held"))),
            }
            Ok(())
        })
    }

    fn release(&mut self, partitions: &[Partition]) -> Pending<'_, ()> {
        let partitions = partitions.to_vec();
        Box::pin(async move {
            self.wire.hop().await;
            {
                let mut state = self.wire.state();
                partitions.iter().for_each(|partition| {
                    self.held.remove(partition);
                });
                let State { groups, chance, .. } = &mut *state;
                if let Some(member) = self.member {
                    groups[self.role as usize].release(member, &partitions, chance);
                }
                state.rebalance_started(self.role);
                state.signal(change::GROUP);
            }
            self.wire.hop().await;
            Ok(())
        })
    }

    fn pause(&mut self, partition: Partition) {
        if let Some(held) = self.held.get_mut(&partition) {
            held.is_paused = true;
        }
    }

    fn resume(&mut self, partition: Partition) {
        if let Some(held) = self.held.get_mut(&partition) {
            held.is_paused = false;
        }
    }

    fn committed(&mut self, partition: Partition) -> Pending<'_, Option<CommittedOffset>> {
        Box::pin(async move { fetch_committed(&self.wire, self.role, partition).await })
    }

    fn commit(&mut self, partition: Partition, offset: CommittedOffset) -> Pending<'_, ()> {
        Box::pin(async move {
            self.wire.hop().await;
            self.follow_generation();
            let sent = {
                let mut state = self.wire.state();
                self.send_commit(&mut state, partition, offset)
            };
            self.wire.hop().await;
            sent
        })
    }

    fn membership(&mut self) -> Option<Membership> {
        self.follow_generation();
        if self.generation < 0 && !self.has_left && self.wire.state().faults.hollow_membership {
            return Some(Membership { generation: -1, member: String::new() });
        }
        let member = self.member.filter(|_| self.generation >= 0 && !self.has_left)?;
        Some(Membership { generation: self.generation, member: member.to_string() })
    }

    fn leave(&mut self) -> Pending<'_, ()> {
        Box::pin(async move {
            self.wire.hop().await;
            self.has_left = true;
            self.held.clear();
            if let Some(member) = self.member.take() {
                self.wire.state().expel(self.role, member);
            }
            Ok(())
        })
    }
}

impl SimConsumer {
    /// The client's own thread hears of a new generation without a poll, as long as it is a member.
    fn follow_generation(&mut self) {
        let mut state = self.wire.state();
        let is_hollow = state.faults.hollow_membership;
        let members = &state.group(self.role).members;
        match self.member.map(|id| members.get(&id)) {
            Some(Some(found)) => self.generation = found.generation,
            // Its last heartbeat was refused; the application hears of it at its next poll.
            Some(None) if is_hollow => self.generation = -1,
            Some(None) | None => {}
        }
    }
}
