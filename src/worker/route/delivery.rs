//! A session with its two producers: what is sent gets a ticket, and deliveries come back as acknowledgements.

use crate::model::failpoint::{self, Failpoint};
use crate::model::{OutRecord, Topic, TopicPartition};
use crate::port::{Delivery, Failure, Producer, Reaction, Ticket};
use crate::route::{Outgoing, Pace, Sequence, Session};
use crate::topology::Clock;
use crate::worker::{Context, Counts};
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

pub(super) struct Deliveries {
    pub(super) session: Session,
    blocks: Box<dyn Producer>,
    tickets: BTreeMap<Ticket, Sequence>,
    letters: Letters,
    /// A delivery failed: what is on its way cannot all arrive any more, and nobody may wait for it.
    has_failed: bool,
}

impl Deliveries {
    pub(super) fn new(context: &Context) -> Self {
        let settings = &context.settings;
        let says_at_end = context.topology.clock == Clock::Wall && !settings.events_clock;
        let pace = Pace { block_bytes: settings.block_bytes, says_at_end };
        Deliveries {
            session: Session::new(context.topology.clone(), pace),
            blocks: context.log.producer(),
            tickets: BTreeMap::new(),
            letters: Letters::new(context.log.producer()),
            has_failed: false,
        }
    }

    pub(super) fn send(&mut self, records: Vec<Outgoing>) {
        for Outgoing { sequence, to, record } in records {
            if to.topic == Topic::DeadLetters {
                self.letters.push(to, sequence, record);
            } else {
                self.tickets.insert(self.blocks.send(to, record), sequence);
                failpoint::reached(Failpoint::RouteSent);
            }
        }
    }

    /// Bytes that are on their way or wait for it.
    pub(super) fn queued_bytes(&self) -> usize {
        self.blocks.queued_bytes() + self.letters.queued_bytes()
    }

    /// Notes what arrived; waits up to `wait` for the first if anything is on its way. Says whether
    /// something was acknowledged. A failed delivery ends the session, whatever its own reaction says.
    pub(super) async fn collect(&mut self, wait: Duration) -> Result<bool, Failure> {
        if self.has_failed {
            return Err(Failure::new(Reaction::Replay, "a delivery of this session failed"));
        }
        let mut any = false;
        if self.letters.is_waiting() {
            let wait = if self.tickets.is_empty() { wait } else { Duration::ZERO };
            for delivery in self.letters.producer.deliveries(wait).await? {
                let sequence = self.letters.arrived(delivery.ticket);
                any |= self.note(sequence, delivery)?;
            }
        }
        if !self.tickets.is_empty() {
            let wait = if any { Duration::ZERO } else { wait };
            for delivery in self.blocks.deliveries(wait).await? {
                let sequence = self.tickets.remove(&delivery.ticket);
                any |= self.note(sequence, delivery)?;
            }
        }
        Ok(any)
    }

    fn note(&mut self, sequence: Option<Sequence>, delivery: Delivery) -> Result<bool, Failure> {
        match (delivery.outcome, sequence) {
            (Ok((_, time)), Some(sequence)) => {
                self.session.acknowledged(sequence, time);
                Ok(true)
            }
            (Ok(_), None) => Ok(false),
            (Err(failure), _) => {
                self.has_failed = true;
                Err(ends_session(failure))
            }
        }
    }

    pub(super) fn count(&mut self, counts: &Counts) {
        let tally = self.session.take_tally();
        Counts::add(&counts.events_routed, tally.events);
        Counts::add(&counts.refused, tally.refused);
        Counts::add(&counts.no_key, tally.no_key);
        Counts::add(&counts.blocks, tally.blocks);
        Counts::add(&counts.overflowed, tally.overflowed);
        Counts::add(&counts.skipped_members, tally.skipped_members);
    }
}

/// Only what a person must mend stays what it is; a producer that lost a record must not go on.
fn ends_session(failure: Failure) -> Failure {
    let reaction = match failure.reaction {
        Reaction::Halt => Reaction::Halt,
        Reaction::Retry | Reaction::Replay | Reaction::Rejoin => Reaction::Replay,
    };
    Failure { reaction, ..failure }
}

/// Dead letters have no links before them, so the first record to a quiet partition is sent alone: a broker
/// without state for the producer could refuse it, and the next one would make it look delivered.
struct Letters {
    producer: Box<dyn Producer>,
    lanes: BTreeMap<TopicPartition, Lane>,
    tickets: BTreeMap<Ticket, (Sequence, TopicPartition)>,
    waiting_bytes: usize,
}

#[derive(Default)]
struct Lane {
    waiting: VecDeque<(Sequence, OutRecord)>,
    in_flight: usize,
    /// The broker has acknowledged something since the lane was quiet.
    is_open: bool,
}

impl Letters {
    fn new(producer: Box<dyn Producer>) -> Self {
        Letters { producer, lanes: BTreeMap::new(), tickets: BTreeMap::new(), waiting_bytes: 0 }
    }

    fn push(&mut self, to: TopicPartition, sequence: Sequence, record: OutRecord) {
        self.waiting_bytes += bytes_of(&record);
        self.lanes.entry(to).or_default().waiting.push_back((sequence, record));
        self.send(to);
    }

    fn send(&mut self, to: TopicPartition) {
        let lane = self.lanes.entry(to).or_default();
        while lane.is_open || lane.in_flight == 0 {
            let Some((sequence, record)) = lane.waiting.pop_front() else { return };
            self.waiting_bytes -= bytes_of(&record);
            lane.in_flight += 1;
            self.tickets.insert(self.producer.send(to, record), (sequence, to));
        }
    }

    fn is_waiting(&self) -> bool {
        !self.tickets.is_empty()
    }

    fn queued_bytes(&self) -> usize {
        self.producer.queued_bytes() + self.waiting_bytes
    }

    /// A delivery came back: the lane may go on, or is quiet again.
    fn arrived(&mut self, ticket: Ticket) -> Option<Sequence> {
        let (sequence, to) = self.tickets.remove(&ticket)?;
        let lane = self.lanes.entry(to).or_default();
        lane.in_flight -= 1;
        lane.is_open = lane.in_flight > 0 || !lane.waiting.is_empty();
        self.send(to);
        Some(sequence)
    }
}

fn bytes_of(record: &OutRecord) -> usize {
    let headers: usize = record.headers.iter().map(|(name, value)| name.len() + value.len()).sum();
    let [key, value] = [&record.key, &record.value].map(|part| part.as_ref().map_or(0, Vec::len));
    key + value + headers
}
