//! The loop of the role `route`: raw records in, blocks and dead letters out, offset commits behind them.
//!
//! ```text
//! assigned ─► Waiting ─position known─► Opening ─links stand─► Reading ─► revoked: flush, wait, commit, release
//!                ▲  └──────foreign position──────► Halted        │
//!                └──────────── a delivery failed: new session ───┘
//! ```
//!
//! What may be said about the log is the session's to decide (`route`); this loop carries it out. Promises: nothing of
//! a source is sent before its links stand; nothing is committed that is not acknowledged. Whatever is in memory may be
//! dropped at any `await`: the next owner goes on from the last commit, and what it sends again is ignored.

mod delivery;
mod pace;
mod start;

use super::ends::is_empty_between;
use super::{Context, Counts, Halt, Outcome};
use crate::decode::Decoder;
use crate::model::failpoint::{self, Failpoint};
use crate::model::{CommittedOffset, NextOffset, Partition, RecordBatch, Role, Topic, TopicPartition};
use crate::port::{Consumer, Failure, Isolation, Polled, Reaction, Reader, TopicFacts};
use crate::route::RoutePosition;
use delivery::Deliveries;
use pace::Pace;
use start::Beginning;
use std::collections::BTreeMap;
use std::time::Duration;

/// Runs until it is asked to stop, everything below the goal is done, or a person has to act first.
pub async fn run(context: Context) -> Result<Outcome, Failure> {
    let mut router = Router::new(context);
    loop {
        match router.step().await {
            Ok(None) => {}
            Ok(Some(outcome)) => return Ok(outcome),
            Err(_) if router.context.control.is_draining() => return Ok(Outcome::Drained),
            Err(failure) => router.recover(failure).await?,
        }
    }
}

/// How far a partition that is ours has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// Where it begins is still to be read.
    Waiting,
    /// What states its beginning is on its way to the targets.
    Opening,
    Reading,
    /// Stands still until a person acts.
    Halted,
}

struct Router {
    context: Context,
    consumer: Box<dyn Consumer>,
    reader: Box<dyn Reader>,
    decoder: Decoder,
    deliveries: Deliveries,
    held: BTreeMap<Partition, Stage>,
    /// The group has said what is ours: before that, what we do not hold may be ours to finish.
    has_joined: bool,
    /// Revoked and done with, but the group does not know yet.
    going: Vec<Partition>,
    commits: Pace,
    links: Pace,
    /// The last poll brought nothing.
    is_quiet: bool,
    /// Reading waits for the byte budget.
    is_paused: bool,
    pause: Duration,
}

impl Router {
    fn new(context: Context) -> Self {
        let now = context.clock.now();
        Router {
            consumer: context.log.consumer(Role::Route),
            reader: context.log.reader(),
            decoder: Decoder::new(&context.topology),
            deliveries: Deliveries::new(&context),
            held: BTreeMap::new(),
            has_joined: false,
            going: Vec::new(),
            commits: Pace::new(context.settings.route_commit_every, now),
            links: Pace::new(context.settings.link_every, now),
            is_quiet: false,
            is_paused: false,
            pause: context.settings.backoff.0,
            context,
        }
    }

    /// Once around: news of deliveries, what is due, one poll.
    async fn step(&mut self) -> Result<Option<Outcome>, Failure> {
        self.collect(Duration::ZERO).await?;
        self.release().await?;
        if self.context.control.is_draining() {
            self.drain().await;
            return Ok(Some(Outcome::Drained));
        }
        self.open().await?;
        self.begin_reading().await?;
        if self.is_idle().await? {
            self.leave().await;
            return Ok(Some(Outcome::Idle));
        }
        self.mind_budget();
        self.poll().await?;
        if self.commits.is_due(self.context.clock.now()) {
            self.flush();
            self.commit().await?;
        }
        if self.links.is_due(self.context.clock.now()) {
            self.flush();
            self.repeat_links().await?;
            // A late commit may have taken a quiet source back.
            let facts = self.deliveries.session.facts();
            self.commit_all(facts).await?;
        }
        Ok(None)
    }

    async fn poll(&mut self) -> Result<(), Failure> {
        let settings = &self.context.settings;
        let (bytes, poll_wait) = (settings.poll_bytes, settings.poll_wait);
        // While something is on its way its arrival is awaited below, not in the poll.
        let is_settled = self.deliveries.session.is_settled();
        let wait = if is_settled { poll_wait } else { Duration::ZERO };
        let polled = self.consumer.poll(bytes, wait).await?;
        self.is_quiet = matches!(polled, Polled::Idle);
        match polled {
            Polled::Records(batch) => self.take(batch),
            Polled::Assigned(partitions) => {
                self.has_joined = true;
                self.held.extend(partitions.into_iter().map(|partition| (partition, Stage::Waiting)));
            }
            Polled::Revoked(partitions) => return self.give_back(partitions).await,
            Polled::Lost(partitions) => partitions.into_iter().for_each(|partition| self.forget(partition)),
            Polled::Idle => {
                self.flush();
                return self.collect(poll_wait).await;
            }
        }
        Ok(())
    }

    fn take(&mut self, mut batch: RecordBatch) {
        let partition = batch.source.partition;
        let session = &mut self.deliveries.session;
        let (Some(Stage::Reading), Some(position)) = (self.held.get(&partition), session.position(partition))
        else {
            return;
        };
        if session.incarnation(partition) != Some(batch.source.incarnation) {
            return self.halt(partition, start::recreated(&self.context, batch.source.incarnation));
        }
        // What an older position had already fetched.
        batch.records.retain(|record| record.offset.next() > position);
        let counts = &self.context.control.counts;
        Counts::add(&counts.raw_records, batch.records.len() as u64);
        let events = self.decoder.decode(batch);
        let records = session.take(&events);
        self.deliveries.send(records);
        self.deliveries.count(counts);
    }

    /// Closes open blocks: what was taken so far becomes a fact once it is acknowledged.
    fn flush(&mut self) {
        let records = self.deliveries.session.barrier();
        self.deliveries.send(records);
        self.deliveries.count(&self.context.control.counts);
    }

    async fn collect(&mut self, wait: Duration) -> Result<(), Failure> {
        if self.deliveries.collect(wait).await? {
            self.pause = self.context.settings.backoff.0;
        }
        Ok(())
    }

    /// Waits until all that was sent is acknowledged.
    async fn settle(&mut self) -> Result<(), Failure> {
        while !self.deliveries.session.is_settled() {
            self.collect(self.context.settings.poll_wait).await?;
        }
        Ok(())
    }

    /// Commits what is a fact. A commit that may not have arrived is made again when the next one is due.
    async fn commit(&mut self) -> Result<(), Failure> {
        let newer = self.deliveries.session.committable();
        self.commit_all(newer).await
    }

    async fn commit_all(&mut self, offsets: Vec<(Partition, CommittedOffset)>) -> Result<(), Failure> {
        for (partition, offset) in offsets {
            let next = offset.next;
            failpoint::reached(Failpoint::RouteCommitting);
            let committed = self.consumer.commit(partition, offset).await;
            failpoint::reached(Failpoint::RouteCommitted);
            match committed {
                Ok(()) => self.deliveries.session.committed(partition, next),
                Err(failure) if failure.reaction == Reaction::Retry => {}
                Err(failure) => return Err(failure),
            }
        }
        Ok(())
    }

    /// Finds out where the waiting partitions begin, and states it to every target.
    async fn open(&mut self) -> Result<(), Failure> {
        let waiting: Vec<Partition> = self.partitions_in(Stage::Waiting);
        if waiting.is_empty() {
            return Ok(());
        }
        let raw = self.facts().await?;
        let (mut openings, mut links_known) = (Vec::new(), None);
        for partition in waiting {
            let mut finder = start::Finder {
                context: &self.context,
                consumer: &mut *self.consumer,
                reader: &mut *self.reader,
                raw,
                links_known: &mut links_known,
            };
            match finder.find(partition).await {
                Ok(Beginning::At(opening)) => openings.push(opening),
                Ok(Beginning::Halted(reason)) => self.halt(partition, reason),
                Err(failure) => self.halt_or_fail(partition, failure)?,
            }
        }
        for opening in &openings {
            self.context.control.lift_halt(Role::Route, opening.partition);
            self.held.insert(opening.partition, Stage::Opening);
        }
        let records = self.deliveries.session.open(openings, raw.partitions);
        self.deliveries.send(records);
        Ok(())
    }

    /// The raw topic's facts. The targets are counted as well: another count would be another target for each key.
    async fn facts(&mut self) -> Result<TopicFacts, Failure> {
        let targets = self.reader.facts(Topic::Repartition).await?.partitions;
        let expected = self.context.topology.partitions;
        if targets != expected {
            let text =
                format!("the repartition topic has {targets} partitions, the topology says {expected}");
            return Err(Failure::new(Reaction::Halt, text));
        }
        self.reader.facts(Topic::Raw).await
    }

    /// Reads those whose links stand at every target.
    async fn begin_reading(&mut self) -> Result<(), Failure> {
        for partition in self.partitions_in(Stage::Opening) {
            let session = &self.deliveries.session;
            let Some(position) = session.position(partition).filter(|_| session.is_ready(partition)) else {
                continue;
            };
            match self.consumer.start(partition, position).await {
                Ok(()) => {}
                Err(failure) => {
                    self.halt_or_fail(partition, failure)?;
                    continue;
                }
            }
            self.consumer.resume(partition);
            if self.is_paused {
                self.consumer.pause(partition);
            }
            self.held.insert(partition, Stage::Reading);
        }
        Ok(())
    }

    /// States the newest facts of all sources to every target.
    async fn repeat_links(&mut self) -> Result<(), Failure> {
        let raw = self.facts().await?;
        let mut ends = BTreeMap::new();
        for partition in self.partitions_in(Stage::Reading) {
            if self.deliveries.session.incarnation(partition) != Some(raw.incarnation) {
                self.halt(partition, start::recreated(&self.context, raw.incarnation));
                continue;
            }
            let at = TopicPartition { topic: Topic::Raw, partition };
            ends.insert(partition, self.end(at).await?);
        }
        // No acknowledgement may be noted between asking for the ends and this.
        let records = self.deliveries.session.links(&ends, raw.partitions);
        self.deliveries.send(records);
        Ok(())
    }

    /// Where the source ends; our own position, if nothing that can be read stands between it and the end.
    async fn end(&mut self, at: TopicPartition) -> Result<NextOffset, Failure> {
        let end = self.reader.ends(at, Isolation::ReadCommitted).await?.next;
        let position = self.deliveries.session.position(at.partition).filter(|position| *position < end);
        match position {
            // In a backlog there is something.
            Some(position)
                if self.is_quiet && is_empty_between(&mut *self.reader, at, position, end).await? =>
            {
                Ok(position)
            }
            _ => Ok(end),
        }
    }

    /// Reading pauses while more is in flight than the budget allows.
    fn mind_budget(&mut self) {
        let is_over = self.deliveries.queued_bytes() > self.context.settings.in_flight_bytes;
        if is_over == self.is_paused {
            return;
        }
        self.is_paused = is_over;
        for partition in self.partitions_in(Stage::Reading) {
            if is_over {
                self.consumer.pause(partition);
            } else {
                self.consumer.resume(partition);
            }
        }
    }

    /// The partitions go: what was read of them is finished and committed first.
    async fn give_back(&mut self, partitions: Vec<Partition>) -> Result<(), Failure> {
        let finished = self.finish().await;
        self.going.extend(&partitions);
        partitions.into_iter().for_each(|partition| self.forget_source(partition));
        let released = self.release().await;
        // A session that failed must end, whatever became of the release: that is asked for again.
        finished.and(released)
    }

    async fn release(&mut self) -> Result<(), Failure> {
        if !self.going.is_empty() {
            self.consumer.release(&self.going).await?;
            self.going.clear();
        }
        Ok(())
    }

    async fn finish(&mut self) -> Result<(), Failure> {
        self.flush();
        self.settle().await?;
        self.commit().await
    }

    /// Whether everything below the goal is committed, by us or by others. Then every target has a last link.
    async fn is_idle(&mut self) -> Result<bool, Failure> {
        let Some(goal) = self.context.control.goal().filter(|_| self.has_joined) else { return Ok(false) };
        let mut elsewhere = Vec::new();
        for (&partition, &next) in &goal {
            let is_there = match self.held.get(&partition) {
                Some(Stage::Reading) => self.deliveries.session.position(partition) >= Some(next),
                Some(Stage::Waiting | Stage::Opening | Stage::Halted) => false,
                None => match self.committed_elsewhere(partition).await? {
                    Some(position) if position.at >= next => {
                        elsewhere.push((partition, position));
                        true
                    }
                    _ => false,
                },
            };
            if !is_there {
                return Ok(false);
            }
        }
        self.finish().await?;
        let session = &self.deliveries.session;
        let is_committed = |(&partition, &next): (&Partition, &NextOffset)| {
            session.committed_below(partition).is_none_or(|committed| committed >= next)
        };
        if !goal.iter().all(is_committed) {
            return Ok(false);
        }
        let raw = self.facts().await?;
        let session = &mut self.deliveries.session;
        let mut records = session.links(&BTreeMap::new(), raw.partitions);
        // Whoever committed them may be gone without a last link. What is committed is a fact, whoever says it.
        records.extend(session.links_of_commits(&elsewhere, raw.partitions));
        self.deliveries.send(records);
        self.settle().await?;
        Ok(true)
    }

    /// Of a source that we do not hold: its position, if it is one of ours and of this version.
    async fn committed_elsewhere(&mut self, partition: Partition) -> Result<Option<RoutePosition>, Failure> {
        let Some(committed) = self.reader.committed(Role::Route, partition).await? else { return Ok(None) };
        let position = RoutePosition::parse(&committed, self.context.topology.partitions).ok();
        Ok(position.filter(|position| position.version == self.context.version()))
    }

    /// Finishes what was read and leaves. Where that fails, the next owner reads it again.
    async fn drain(&mut self) {
        let _ = self.finish().await;
        self.leave().await;
    }

    async fn leave(&mut self) {
        let held: Vec<Partition> = self.held.keys().copied().collect();
        self.going.extend(&held);
        held.into_iter().for_each(|partition| self.forget_source(partition));
        // The group finds out by itself, only later, if these do not arrive.
        let _ = self.release().await;
        let _ = self.consumer.leave().await;
    }

    async fn recover(&mut self, failure: Failure) -> Result<(), Failure> {
        match failure.reaction {
            Reaction::Retry => {}
            Reaction::Replay => self.start_over().await,
            Reaction::Rejoin => self.rejoin(),
            Reaction::Halt if self.is_overtaken().await => self.start_over().await,
            Reaction::Halt => return Err(failure),
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(self.context.settings.backoff.1);
        self.context.clock.sleep(pause).await;
        Ok(())
    }

    /// A new session with new producers, from what is committed.
    async fn start_over(&mut self) {
        // What stands is committed, so that less is sent again. The last commit does as well.
        let committed = self.commit().await;
        self.deliveries = Deliveries::new(&self.context);
        self.is_paused = false;
        for (&partition, stage) in &mut self.held {
            if *stage != Stage::Halted {
                *stage = Stage::Waiting;
                self.consumer.pause(partition);
            }
        }
        if committed.is_err_and(|failure| failure.reaction == Reaction::Rejoin) {
            self.rejoin();
        }
    }

    /// The partitions belong to somebody else now.
    fn rejoin(&mut self) {
        let held: Vec<Partition> = self.held.keys().copied().collect();
        held.into_iter().for_each(|partition| self.forget(partition));
        self.going.clear();
        self.has_joined = false;
        self.deliveries = Deliveries::new(&self.context);
        self.is_paused = false;
        self.consumer = self.context.log.consumer(Role::Route);
    }

    fn forget(&mut self, partition: Partition) {
        self.going.retain(|&going| going != partition);
        self.forget_source(partition);
    }

    fn forget_source(&mut self, partition: Partition) {
        self.held.remove(&partition);
        self.deliveries.session.close(partition);
        self.context.control.lift_halt(Role::Route, partition);
    }

    fn halt_or_fail(&mut self, partition: Partition, failure: Failure) -> Result<(), Failure> {
        if failure.reaction != Reaction::Halt {
            return Err(failure);
        }
        self.halt(partition, failure.to_string());
        Ok(())
    }

    fn halt(&mut self, partition: Partition, reason: String) {
        self.held.insert(partition, Stage::Halted);
        self.deliveries.session.close(partition);
        self.consumer.pause(partition);
        self.context.control.halt(Halt { role: Role::Route, partition, reason });
    }

    fn partitions_in(&self, stage: Stage) -> Vec<Partition> {
        self.held.iter().filter(|(_, found)| **found == stage).map(|(&partition, _)| partition).collect()
    }
}
