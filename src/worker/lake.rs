//! The lake role: raw records into create-only files, one plan after another.
//!
//! ```text
//! assigned ─► position on the chain ─► finish its last plan ─► buffer ─close─► seal ─► buffer …
//! ```
//!
//! In: records and news of the group. Out: objects and offset commits. Whatever is in memory may be lost at any
//! `await`: the chain says where the next owner goes on. One partition's trouble is its own: it backs off,
//! starts over from the chain, or halts, while the loop goes on polling and the others go on.

mod all_of;
mod held;
mod rebuild;
mod start;
mod step;
mod store;
#[cfg(test)]
mod tests;

use super::{Context, Halt, Outcome};
use crate::decode::Decoder;
use crate::lake::{Format, Layout, Taken};
use crate::model::failpoint::{self, Failpoint};
use crate::model::{EventBatch, LogTime, NextOffset, Partition, RecordBatch, Role, Topic, TopicPartition};
use crate::port::{Consumer, Failure, Isolation, Polled, Reaction, Reader};
use held::{Held, Stage};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;
use step::Stop;
use store::Store;

/// How long a revoke or a drain waits for what it began to be sealed. What is not sealed by then is read again.
const PATIENCE: Duration = Duration::from_secs(20);

/// Runs until it is asked to drain, or has sealed everything below the goal.
pub async fn run(context: Context, format: Rc<dyn Format>) -> Result<Outcome, Failure> {
    Lake::new(context, format).run().await
}

struct Lake {
    context: Context,
    store: Store,
    layout: Rc<Layout>,
    decoder: Decoder,
    consumer: Box<dyn Consumer>,
    reader: Box<dyn Reader>,
    held: BTreeMap<Partition, Held>,
    /// When the drain began.
    draining_since: Option<LogTime>,
}

impl Lake {
    fn new(context: Context, format: Rc<dyn Format>) -> Lake {
        Lake {
            layout: Rc::new(Layout::new(&context.topology, &context.settings.prefix)),
            store: Store::new(&context, format),
            decoder: Decoder::new(&context.topology),
            consumer: context.log.consumer(Role::Lake),
            reader: context.log.reader(),
            held: BTreeMap::new(),
            draining_since: None,
            context,
        }
    }

    async fn run(mut self) -> Result<Outcome, Failure> {
        loop {
            let settings = &self.context.settings;
            let wait = if self.has_work() { Duration::ZERO } else { settings.poll_wait };
            match self.consumer.poll(settings.poll_bytes, wait).await {
                Ok(polled) => self.on(polled).await,
                Err(failure) => self.on_poll_failure(failure).await?,
            }
            self.step_all().await;
            self.close_what_is_due();
            self.pause_and_resume();
            if let Some(outcome) = self.ending().await? {
                // The group sees it in its own time if this fails.
                let _ = self.consumer.leave().await;
                return Ok(outcome);
            }
        }
    }

    fn now(&self) -> LogTime {
        self.context.clock.now()
    }

    fn has_work(&self) -> bool {
        let now = self.now();
        self.held.values().any(|held| held.stage.has_work() && held.pace.is_due(now))
    }

    async fn on(&mut self, polled: Polled) {
        match polled {
            Polled::Records(batch) => self.take(batch),
            Polled::Assigned(partitions) => {
                for partition in partitions {
                    self.held.insert(partition, Held::default());
                }
            }
            Polled::Revoked(partitions) => {
                self.seal_before_revoke(&partitions).await;
                partitions.iter().for_each(|&partition| self.forget(partition));
                // Refused only if they are gone anyway; then the next poll says so.
                let _ = self.consumer.release(&partitions).await;
            }
            Polled::Lost(partitions) => partitions.into_iter().for_each(|partition| self.forget(partition)),
            // While there is work a poll does not wait, and its silence says nothing.
            Polled::Idle if self.has_work() => {}
            Polled::Idle => {
                if self.store.has_late() {
                    let _ = self.store.write_late().await;
                }
                self.look_behind_holes().await;
            }
        }
    }

    /// Not every log tells of offsets that hold no record. Below a goal they must not be waited for.
    async fn look_behind_holes(&mut self) {
        let Some(goal) = self.context.control.goal() else { return };
        for (&partition, held) in &mut self.held {
            let Stage::Buffering(buffering) = &mut held.stage else { continue };
            let from = buffering.next();
            // What is paused has records to read.
            if held.is_paused || from >= goal_at(&goal, partition) {
                continue;
            }
            let raw = TopicPartition { topic: Topic::Raw, partition };
            // A failure only means to ask again.
            if let Ok(batch) = self.reader.read(raw, from, 1).await
                && batch.is_empty()
            {
                buffering.chunk.skip_to(batch.next);
            }
        }
    }

    /// Another worker's now; a halt is that one's to find again.
    fn forget(&mut self, partition: Partition) {
        self.held.remove(&partition);
        self.context.control.lift_halt(Role::Lake, partition);
    }

    async fn on_poll_failure(&mut self, failure: Failure) -> Result<(), Failure> {
        match failure.reaction {
            Reaction::Retry => self.context.clock.sleep(self.context.settings.backoff.0).await,
            // A position may be outside of its log; nothing else that is held is in doubt.
            Reaction::Replay | Reaction::Halt => {
                match self.reseat().await {
                    Ok(false) if failure.reaction == Reaction::Halt => return Err(failure),
                    Err(failure) if failure.reaction == Reaction::Halt => return Err(failure),
                    Ok(_) | Err(_) => {}
                }
                self.context.clock.sleep(self.context.settings.backoff.0).await;
            }
            Reaction::Rejoin => {
                self.held.clear();
                let _ = self.consumer.leave().await;
                self.consumer = self.context.log.consumer(Role::Lake);
                self.context.clock.sleep(self.context.settings.backoff.0).await;
            }
        }
        Ok(())
    }

    /// Sends whoever reads outside of its log back to the chain; says whether there was any.
    async fn reseat(&mut self) -> Result<bool, Failure> {
        let mut is_any = false;
        for (&partition, held) in &mut self.held {
            let Stage::Buffering(buffering) = &held.stage else { continue };
            let (at, count) = (buffering.next(), buffering.chunk.count());
            let raw = TopicPartition { topic: Topic::Raw, partition };
            let ends = self.reader.ends(raw, Isolation::ReadCommitted).await?;
            if at < ends.first && count > 0 {
                // What is held was read in time. The gap begins behind it.
                held.has_missed = true;
                held.close(None);
            } else if at < ends.first || at > ends.next {
                held.start_over(self.context.clock.now(), self.context.settings.backoff);
            } else {
                continue;
            }
            is_any = true;
        }
        Ok(is_any)
    }

    fn take(&mut self, batch: RecordBatch) {
        let partition = batch.source.partition;
        let Some(held) = self.held.get_mut(&partition) else { return };
        let Stage::Buffering(buffering) = &mut held.stage else {
            // Read while it was being paused: read again after the seal.
            held.has_missed = true;
            return;
        };
        let expected = buffering.chunk.source();
        if batch.source != expected {
            let (found, expected) = (batch.source.incarnation, expected.incarnation);
            let reason = format!("the raw topic is incarnation {found}, but this chunk is of {expected}");
            return self.halt(partition, reason);
        }
        if held.has_missed {
            return;
        }
        let now = self.context.clock.now();
        let mut events = self.decoder.decode(batch);
        // It stays for minutes: unescaped texts behind the records may have doubled the buffer.
        events.bytes.shrink_to_fit();
        let events = Rc::new(events);
        if buffering.take(&events, now) == Taken::Full {
            self.close(partition, Some(events));
        }
        failpoint::reached(Failpoint::LakeBuffered);
    }

    /// Proposes the plan of what a partition holds; `rest` is what did not fit.
    fn close(&mut self, partition: Partition, rest: Option<Rc<EventBatch>>) {
        if let Some(held) = self.held.get_mut(&partition) {
            held.close(rest);
        }
    }

    fn halt(&mut self, partition: Partition, reason: String) {
        self.context.control.halt(Halt { role: Role::Lake, partition, reason });
        if let Some(held) = self.held.get_mut(&partition) {
            held.stage = Stage::Halted;
        }
    }

    async fn step_all(&mut self) {
        let partitions: Vec<Partition> = self.held.keys().copied().collect();
        for partition in partitions {
            self.step_one(partition).await;
        }
    }

    /// One step of one partition, and what its failure means for it.
    async fn step_one(&mut self, partition: Partition) {
        let now = self.now();
        let Some(held) = self.held.get(&partition) else { return };
        if !held.stage.has_work() || !held.pace.is_due(now) {
            return;
        }
        // Out of the map while it waits; if this future is dropped, all of it is.
        let Some(mut held) = self.held.remove(&partition) else { return };
        let stepped = self.step(partition, &mut held).await;
        let backoff = self.context.settings.backoff;
        let halt = match stepped {
            Ok(()) => None,
            Err(Stop::Halt(reason)) => Some(reason),
            Err(Stop::Short(reason)) => held.pace.is_short_too_long(self.now(), backoff).then_some(reason),
            Err(Stop::Failure(failure)) => match failure.reaction {
                Reaction::Retry => {
                    held.pace.fail(self.now(), backoff);
                    None
                }
                // The next poll says whether it is still ours.
                Reaction::Replay | Reaction::Rejoin => {
                    held.start_over(self.now(), backoff);
                    None
                }
                Reaction::Halt => Some(failure.to_string()),
            },
        };
        self.held.insert(partition, held);
        if let Some(reason) = halt {
            self.halt(partition, reason);
        }
    }

    /// Nothing else happens to the group until this returns, so it does not wait for ever.
    async fn seal_before_revoke(&mut self, partitions: &[Partition]) {
        let begun = self.now();
        partitions.iter().for_each(|&partition| self.close(partition, None));
        loop {
            let mut is_open = false;
            for &partition in partitions {
                self.step_own_seal(partition).await;
                is_open |= self.held.get(&partition).is_some_and(|held| held.stage.seals_own());
            }
            if !is_open || elapsed(begun, self.now()) > PATIENCE {
                return;
            }
            let now = self.now();
            // Only one that is still open counts: waiting for none of them would be a loop without end.
            let goes_on = |held: &Held| held.stage.seals_own() && held.pace.is_due(now);
            if !partitions.iter().any(|partition| self.held.get(partition).is_some_and(goes_on)) {
                self.context.clock.sleep(self.context.settings.backoff.0).await;
            }
        }
    }

    async fn step_own_seal(&mut self, partition: Partition) {
        if self.held.get(&partition).is_some_and(|held| held.stage.seals_own()) {
            self.step_one(partition).await;
        }
    }

    fn close_what_is_due(&mut self) {
        let now = self.now();
        let goal = self.context.control.goal();
        let is_draining = self.context.control.is_draining();
        let lake = &self.context.topology.lake;
        for (partition, held) in &mut self.held {
            let Stage::Buffering(buffering) = &mut held.stage else { continue };
            let age = i64::try_from(buffering.age(now).as_micros()).unwrap_or(i64::MAX);
            let is_done = is_draining
                || goal_of(goal.as_ref(), *partition).is_some_and(|goal| buffering.next() >= goal);
            if is_done || age >= lake.roll_age || buffering.chunk.bytes() as u64 >= lake.roll_bytes {
                held.close(None);
            }
        }
        self.close_the_largest();
    }

    /// When all chunks together pass the budget. One at a time: sealing it makes room.
    fn close_the_largest(&mut self) {
        let is_sealing = self.held.values().any(|held| held.stage.seals_own());
        if is_sealing || self.bytes() <= self.context.settings.lake_budget {
            return;
        }
        let largest = self.held.values_mut().max_by_key(|held| held.stage.buffered_bytes());
        if let Some(held) = largest {
            held.close(None);
        }
    }

    fn bytes(&self) -> usize {
        self.held.values().map(|held| held.stage.bytes()).sum()
    }

    /// Records are read only where they can be buffered.
    fn pause_and_resume(&mut self) {
        let is_full = self.bytes() > self.context.settings.lake_budget;
        let stops = is_full || self.context.control.is_draining();
        let goal = self.context.control.goal();
        for (&partition, held) in &mut self.held {
            let wants = match &held.stage {
                Stage::Buffering(buffering) => {
                    !stops && goal_of(goal.as_ref(), partition).is_none_or(|goal| buffering.next() < goal)
                }
                _ => false,
            };
            match (wants, held.is_paused) {
                (true, true) => self.consumer.resume(partition),
                (false, false) => self.consumer.pause(partition),
                (true, false) | (false, true) => {}
            }
            held.is_paused = !wants;
        }
    }

    async fn ending(&mut self) -> Result<Option<Outcome>, Failure> {
        if self.context.control.is_draining() {
            let now = self.now();
            let since = *self.draining_since.get_or_insert(now);
            let is_open = self.held.values().any(|held| held.stage.seals_own());
            return Ok((!is_open || elapsed(since, now) > PATIENCE).then_some(Outcome::Drained));
        }
        let Some(goal) = self.context.control.goal() else { return Ok(None) };
        let is_there =
            |(partition, held): (&Partition, &Held)| held.stage.is_sealed_to(goal_at(&goal, *partition));
        if !self.held.iter().all(is_there) {
            return Ok(None);
        }
        for (&partition, &at) in &goal {
            if !self.held.contains_key(&partition) && !self.is_committed(partition, at).await {
                return Ok(None);
            }
        }
        let halts = self.context.control.halts();
        match halts.iter().find(|halt| halt.role == Role::Lake && self.held.contains_key(&halt.partition)) {
            Some(halt) => {
                let text = format!("lake partition {} is halted: {}", halt.partition, halt.reason);
                Err(Failure::new(Reaction::Halt, text))
            }
            None => Ok(Some(Outcome::Idle)),
        }
    }

    /// Another worker's partition: its commit comes after its seal.
    async fn is_committed(&mut self, partition: Partition, goal: NextOffset) -> bool {
        goal == NextOffset(0)
            || matches!(self.reader.committed(Role::Lake, partition).await, Ok(Some(at)) if at.next >= goal)
    }
}

fn goal_of(goal: Option<&BTreeMap<Partition, NextOffset>>, partition: Partition) -> Option<NextOffset> {
    goal.map(|goal| goal_at(goal, partition))
}

fn goal_at(goal: &BTreeMap<Partition, NextOffset>, partition: Partition) -> NextOffset {
    goal.get(&partition).copied().unwrap_or_default()
}

/// Clocks may step back; then no time has passed.
fn elapsed(since: LogTime, now: LogTime) -> Duration {
    Duration::from_micros(u64::try_from(now.0.saturating_sub(since.0)).unwrap_or(0))
}
