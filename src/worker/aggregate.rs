//! The loop of `aggregate`: poll, apply to overlays, about once a second one transaction over all partitions held.
//!
//! ```text
//! Assigned ─► restore state ─► rebuild duplicates ─► start at the commit record
//! Records  ─► overlay                       (a halt: back to the commit, take what lies before it, look ahead)
//! due      ─► begin ─► panes, rows ─► offsets ─► commit ─► fold       (or abort ─► drop ─► back to the commit)
//! Revoked  ─► commit ─► release ─► forget;  Lost ─► forget
//! ```
//!
//! Between two commits no transaction is open, so whatever drops this future leaves nothing half done.

mod counts;
mod cross;
mod forgive;
mod goal;

use super::{Context, Counts, Halt, Outcome};
use crate::aggregate::{Halt as Reason, Limits, Rebuilding, Restoring, Target, Transaction};
use crate::model::{
    LogTime, NextOffset, Offset, Partition, RecordBatch, Role, Topic, TopicPartition,
    failpoint::{self, Failpoint},
    mutation::{self, Mutation},
};
use crate::port::{Consumer, Ended, Ends, Failure, Isolation, Polled, Reaction, Reader, Transactions};
use forgive::forgives;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// How long to wait for a zombie's open transaction to be decided before looking again.
const UNDECIDED_WAIT: Duration = Duration::from_millis(20);
/// How often a log that ends before its own commit record is asked again before it counts as truncated.
const SHORT_MAX: u32 = 10;
/// A transaction that is tainted again and again is a broker in trouble: somebody has to look.
const REEMIT_MAX: u32 = 20;

/// Runs until it is told to drain, or the goal is reached.
pub async fn run(context: Context) -> Result<Outcome, Failure> {
    run_with(context, Limits::default()).await
}

/// As [`run`], with other bounds of the state.
pub async fn run_with(context: Context, limits: Limits) -> Result<Outcome, Failure> {
    let mut pause = context.settings.backoff.0;
    loop {
        let mut member = Member::new(&context, limits);
        match member.run().await {
            Ok(outcome) => return Ok(outcome),
            Err(failure) if failure.reaction == Reaction::Halt => return Err(failure),
            Err(_) => {
                // State is dropped with the member; the next one restores it.
                drop(member);
                context.clock.sleep(pause).await;
                pause = (pause * 2).min(context.settings.backoff.1);
            }
        }
    }
}

/// One membership of the group, with the state of every partition that it holds.
struct Member<'a> {
    context: &'a Context,
    limits: Limits,
    consumer: Box<dyn Consumer>,
    reader: Box<dyn Reader>,
    transactions: Option<Box<dyn Transactions>>,
    /// Filled again for every target and commit.
    transaction: Transaction,
    held: BTreeMap<Partition, Held>,
    /// Bytes of blocks in the overlays.
    overlay_bytes: usize,
    last_commit: LogTime,
}

/// One partition: its state, how far it was read, and whether it stands still.
struct Held {
    /// `None`: it could not be restored, and nothing of it is read.
    target: Option<Target>,
    next: NextOffset,
    /// Where reading began: the log may have lost what lies between the last commit and this.
    begins: NextOffset,
    halted_at: Option<Offset>,
    /// It stands at the cut-over to this worker's topology, and only has to commit what lies before.
    crosses: bool,
    /// Records that were forgiven, as far as was read ahead of a halt. Kept until they are committed over: a second
    /// halt, or an abort, reads them again.
    forgiven: BTreeSet<Offset>,
}

impl<'a> Member<'a> {
    fn new(context: &'a Context, limits: Limits) -> Self {
        Member {
            context,
            limits,
            consumer: context.log.consumer(Role::Aggregate),
            reader: context.log.reader(),
            transactions: None,
            transaction: Transaction::default(),
            held: BTreeMap::new(),
            overlay_bytes: 0,
            last_commit: context.clock.now(),
        }
    }

    async fn run(&mut self) -> Result<Outcome, Failure> {
        self.check_partition_counts().await?;
        let settings = &self.context.settings;
        loop {
            match self.consumer.poll(settings.poll_bytes, settings.poll_wait).await {
                Ok(polled) => self.on(polled).await?,
                Err(failure) if failure.reaction == Reaction::Retry => {
                    self.context.clock.sleep(settings.backoff.0).await;
                }
                Err(failure) => return Err(failure),
            }
            if self.is_due() {
                self.commit().await?;
            }
            self.cross().await?;
            if self.context.control.is_draining() {
                self.commit().await?;
                self.leave().await?;
                return Ok(Outcome::Drained);
            }
            if self.is_idle().await? {
                self.leave().await?;
                return Ok(Outcome::Idle);
            }
        }
    }

    async fn on(&mut self, polled: Polled) -> Result<(), Failure> {
        match polled {
            Polled::Records(batch) => self.take(batch).await,
            Polled::Assigned(partitions) => {
                for partition in partitions {
                    self.assigned(partition).await?;
                }
                Ok(())
            }
            Polled::Revoked(partitions) => {
                self.commit().await?;
                self.forget(&partitions);
                failpoint::reached(Failpoint::AggregateRevoked);
                self.consumer.release(&partitions).await
            }
            Polled::Lost(partitions) => {
                self.forget(&partitions);
                Ok(())
            }
            Polled::Idle => Ok(()),
        }
    }

    fn forget(&mut self, partitions: &[Partition]) {
        for partition in partitions {
            self.held.remove(partition);
            self.context.control.lift_halt(Role::Aggregate, *partition);
        }
    }

    async fn leave(&mut self) -> Result<(), Failure> {
        self.held.clear();
        self.consumer.leave().await
    }

    // ---- records

    async fn take(&mut self, batch: RecordBatch) -> Result<(), Failure> {
        let partition = batch.source.partition;
        let Some(held) = self.held.get_mut(&partition) else { return Ok(()) };
        let Some(target) = &mut held.target else { return Ok(()) };
        if let Err(reason) = target.reads(batch.source.incarnation) {
            return Err(Failure::new(Reaction::Halt, reason));
        }
        for record in &batch.records {
            let value = batch.value(record).unwrap_or_default();
            if let Some(halted_at) = held.halted_at.filter(|&at| record.offset >= at) {
                held.forgiven.extend(forgives(value));
                if held.forgiven.contains(&halted_at) {
                    held.halted_at = None;
                    held.next = halted_at.next();
                    self.context.control.lift_halt(Role::Aggregate, partition);
                    return self.consumer.start(partition, held.next).await;
                }
                continue;
            }
            if held.forgiven.contains(&record.offset) {
                held.next = record.offset.next();
                continue;
            }
            if let Err(reason) = target.take(record.offset, record.time, value) {
                // The overlay may hold a part of this record: take again what lies before it, and stop there.
                target.drop_overlay();
                held.halted_at = Some(record.offset);
                held.next = target.committed().max(held.begins);
                held.crosses = cross::ends(&reason, value, self.context.topology.configuration_hash);
                if !held.crosses {
                    let reason = format!("offset {} of the repartition partition: {reason}", record.offset);
                    self.context.control.halt(Halt { role: Role::Aggregate, partition, reason });
                }
                return self.consumer.start(partition, held.next).await;
            }
            held.next = record.offset.next();
            self.overlay_bytes += value.len();
        }
        // Past a hole behind the last record, but never past a record that halts.
        held.next = match held.halted_at {
            Some(at) => batch.next.min(NextOffset(at.0)).max(held.next),
            None => batch.next.max(held.next),
        };
        Ok(())
    }

    // ---- assignment

    async fn assigned(&mut self, partition: Partition) -> Result<(), Failure> {
        let restored = self.restore(partition).await;
        let held = match restored {
            Ok((target, next)) => {
                self.consumer.start(partition, next).await?;
                Held { target: Some(target), ..Held::at(next) }
            }
            Err(failure) if failure.reaction == Reaction::Halt => {
                let reason = failure.to_string();
                self.context.control.halt(Halt { role: Role::Aggregate, partition, reason });
                Held::at(NextOffset(0))
            }
            Err(failure) => return Err(failure),
        };
        self.held.insert(partition, held);
        Ok(())
    }

    /// The state at the last commit, and where to go on. The commit record is the position: the group's offset is
    /// only compared with it.
    async fn restore(&mut self, partition: Partition) -> Result<(Target, NextOffset), Failure> {
        let halt = |reason: String| Failure::new(Reaction::Halt, reason);
        failpoint::reached(Failpoint::AggregateRestoring);
        let committed = self.consumer.committed(partition).await?.map(|committed| committed.next);
        let restoring = self.read_state(partition).await?;
        let duplicates = restoring.duplicates_sources();
        let repartition = TopicPartition { topic: Topic::Repartition, partition };
        let restoring = self.under_its_topology(restoring, repartition).await?;
        let (mut target, position) = restoring.finish().map_err(|error| halt(error.to_string()))?;
        let next = position.next.unwrap_or_default();
        let topic = self.reader.facts(Topic::Repartition).await?.incarnation;
        target.reads(topic).map_err(|reason| halt(reason.to_string()))?;
        let first = self.ends_behind(repartition, next).await?.first;
        if committed.is_some_and(|committed| committed > next) {
            let committed = committed.unwrap_or_default();
            return Err(halt(format!("the group's offset {committed} is beyond the commit record's {next}")));
        }
        if first > next && !self.is_forgiven(repartition, first, Offset(next.0)).await? {
            return Err(halt(Reason::BeginsLate { begins: first, position: next }.to_string()));
        }
        if let (Some(from), Some(sources)) = (position.duplicates_from, duplicates) {
            let mut rebuilding = Rebuilding::new(sources);
            let mut at = from.max(first);
            while at < next {
                let batch = self.reader.read(repartition, at, self.context.settings.poll_bytes).await?;
                for record in batch.records.iter().filter(|record| record.offset.next() <= next) {
                    let value = batch.value(record).unwrap_or_default();
                    let taken = rebuilding.take(&mut target, record.offset, record.time, value);
                    taken.map_err(|error| halt(error.to_string()))?;
                }
                at = self.moved_on(at, batch.next).await;
            }
            rebuilding.finish(&mut target);
        }
        failpoint::reached(Failpoint::AggregateRestored);
        Ok((target, next.max(first)))
    }

    /// The log's ends, once they are not before what was taken from it: for a moment after a change of leader they may
    /// be, and for good only if it lost records.
    async fn ends_behind(&mut self, at: TopicPartition, next: NextOffset) -> Result<Ends, Failure> {
        for tries in 1.. {
            let ends = self.reader.ends(at, Isolation::ReadUncommitted).await?;
            if ends.next >= next {
                return Ok(ends);
            }
            if tries > SHORT_MAX {
                let reason = format!(
                    "the repartition log ends at {}, before the commit record's {next}: it lost records that were \
                     counted, and what is written there now would not be read; go on under a new deployment name",
                    ends.next
                );
                return Err(Failure::new(Reaction::Halt, reason));
            }
            self.context.clock.sleep(self.context.settings.backoff.0 * tries).await;
        }
        unreachable!("the last try answers")
    }

    /// Everything that was committed to `state` by now: up to the high watermark as a `read_uncommitted` reader sees
    /// it, because what lies behind a zombie's open transaction is committed too, and shows only once that one is decided.
    async fn read_state(&mut self, partition: Partition) -> Result<Restoring, Failure> {
        let state = TopicPartition { topic: Topic::State, partition };
        let mut restoring = Restoring::new(Arc::clone(&self.context.topology), partition, self.limits);
        let end = self.reader.ends(state, Isolation::ReadUncommitted).await?.next;
        let mut at = self.reader.ends(state, Isolation::ReadCommitted).await?.first;
        while at < end {
            let batch = self.reader.read(state, at, self.context.settings.poll_bytes).await?;
            for record in &batch.records {
                let applied = restoring.apply(batch.key(record).unwrap_or_default(), batch.value(record));
                applied.map_err(|error| Failure::new(Reaction::Halt, error))?;
            }
            failpoint::reached(Failpoint::AggregateHalfRestored);
            at = self.moved_on(at, batch.next).await;
        }
        Ok(restoring)
    }

    async fn moved_on(&self, at: NextOffset, next: NextOffset) -> NextOffset {
        if next <= at {
            self.context.clock.sleep(UNDECIDED_WAIT).await;
        }
        next.max(at)
    }

    // ---- commit

    fn is_due(&self) -> bool {
        let settings = &self.context.settings;
        let now = self.context.clock.now();
        let age = now.0.saturating_sub(self.last_commit.0);
        // A clock that was set back must not stop commits until it is there again.
        let is_time = now < self.last_commit || age >= settings.commit_every.as_micros() as i64;
        self.overlay_bytes >= settings.commit_bytes || (is_time && self.held.values().any(Held::is_behind))
    }

    /// One transaction over every partition that has moved. Returns once it is folded, or dropped.
    async fn commit(&mut self) -> Result<(), Failure> {
        self.last_commit = self.context.clock.now();
        self.overlay_bytes = 0;
        let moved = self.held.iter().filter_map(|(&partition, held)| {
            let target = held.target.as_ref().filter(|target| target.is_behind(held.next))?;
            // After a restore some pane may stand further: go on reading until the position is there.
            (held.next >= target.not_before()).then_some((partition, held.next))
        });
        let moved: BTreeMap<Partition, NextOffset> = moved.collect();
        if moved.is_empty() {
            return Ok(());
        }
        match self.write(&moved).await {
            Ok(ended) => {
                failpoint::reached(Failpoint::AggregateCommitted);
                if ended == Ended::Tainted {
                    self.emit_again(&moved).await?;
                }
                self.fold(&moved);
                Ok(())
            }
            // Committed or not: nobody here knows. The next member reads the decision.
            Err(failure) if matches!(failure.reaction, Reaction::Rejoin | Reaction::Halt) => Err(failure),
            Err(_) => self.go_back(&moved).await,
        }
    }

    /// Writes the overlays down and commits. Each target's records are handed over as they are made: all of them together
    /// are the largest thing that this role holds.
    async fn write(&mut self, moved: &BTreeMap<Partition, NextOffset>) -> Result<Ended, Failure> {
        if self.transactions.is_none() {
            self.transactions = Some(self.context.log.transactions().await?);
            failpoint::reached(Failpoint::AggregateProducerMade);
        }
        let transactions = self.transactions.as_mut().expect("made above");
        failpoint::reached(Failpoint::AggregateBeginning);
        transactions.begin().await?;
        for (&partition, &next) in moved {
            let target = self.held.get_mut(&partition).and_then(|held| held.target.as_mut());
            let target = target.expect("a partition is dropped only between commits");
            target.prepare(next, &mut self.transaction);
            for (topic, records) in self.transaction.in_order() {
                transactions.send(TopicPartition { topic, partition }, records).await?;
            }
            failpoint::reached(Failpoint::AggregateProduced);
        }
        // A transactional offset commit without a member is taken by brokers even while the group has members.
        let member = self.consumer.membership().filter(|member| {
            (member.generation >= 0 && !member.member.is_empty())
                || mutation::is(Mutation::MembershipUnchecked)
        });
        let member =
            member.ok_or_else(|| Failure::new(Reaction::Rejoin, "not a member of the group any more"))?;
        transactions.send_offsets(moved, &member).await?;
        failpoint::reached(Failpoint::AggregateOffsetsSent);
        transactions.commit().await
    }

    fn fold(&mut self, moved: &BTreeMap<Partition, NextOffset>) {
        let counts = &self.context.control.counts;
        for (partition, &next) in moved {
            let held = self.held.get_mut(partition).expect("a partition is dropped only between commits");
            held.forgiven = held.forgiven.split_off(&Offset(next.0));
            let target = held.target.as_mut().expect("what has moved has a target");
            count(counts, target);
            target.fold(next);
        }
        Counts::add(&counts.commits, 1);
    }

    /// A tainted commit is done, but a late copy of its end may still be on its way: a new producer first. Then its records
    /// once more, because a part of them may have been cut off; values are absolute, so readers see no double.
    async fn emit_again(&mut self, moved: &BTreeMap<Partition, NextOffset>) -> Result<(), Failure> {
        for _ in 0..REEMIT_MAX {
            self.transactions = None;
            match self.write(moved).await {
                Ok(Ended::Clean) => return Ok(()),
                Ok(Ended::Tainted) => {}
                Err(failure) if matches!(failure.reaction, Reaction::Rejoin | Reaction::Halt) => {
                    return Err(failure);
                }
                Err(_) => self.abort().await,
            }
            self.context.clock.sleep(self.context.settings.backoff.0).await;
        }
        Err(Failure::new(Reaction::Rejoin, format!("{REEMIT_MAX} commits in a row were tainted")))
    }

    /// The transaction is off: drop the overlays, read again from the last commit. A new producer is a new epoch.
    async fn go_back(&mut self, moved: &BTreeMap<Partition, NextOffset>) -> Result<(), Failure> {
        self.abort().await;
        for (partition, &next) in moved {
            if let Some(target) = self.held.get_mut(partition).and_then(|held| held.target.as_mut()) {
                target.must_reach(next);
            }
        }
        for (&partition, held) in &mut self.held {
            if let Some(target) = &mut held.target {
                target.drop_overlay();
                held.next = target.committed().max(held.begins);
                self.consumer.start(partition, held.next).await?;
            }
        }
        self.context.clock.sleep(self.context.settings.backoff.0).await;
        Ok(())
    }

    async fn abort(&mut self) {
        if let Some(mut transactions) = self.transactions.take() {
            failpoint::reached(Failpoint::AggregateAborting);
            // If it fails, the next producer's start aborts what is left open.
            let _ = transactions.abort().await;
            failpoint::reached(Failpoint::AggregateAborted);
        }
    }
}

impl Held {
    fn at(next: NextOffset) -> Held {
        Held { target: None, next, begins: next, halted_at: None, crosses: false, forgiven: BTreeSet::new() }
    }

    fn is_behind(&self) -> bool {
        self.target.as_ref().is_some_and(|target| target.is_behind(self.next))
    }
}

fn count(counts: &Counts, target: &Target) {
    let counted = target.counted();
    Counts::add(&counts.units, counted.units);
    Counts::add(&counts.duplicates, counted.duplicates);
    Counts::add(&counts.late, counted.late);
    Counts::add(&counts.future, counted.future);
    Counts::add(&counts.rows_written, counted.rows);
    Counts::add(&counts.tombstones, counted.tombstones);
    if let Some(now) = target.sources().now {
        counts.stream_time.fetch_max(now.max(0) as u64, std::sync::atomic::Ordering::Relaxed);
    }
}
