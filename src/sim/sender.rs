//! A plain producer's queues between the client and the broker.

use super::state::{Event, SECOND, State, change};
use super::wire::failure;
use crate::model::{LogTime, Offset, OutRecord, TopicPartition};
use crate::port::{Delivery, Reaction, Ticket};
use std::collections::{BTreeMap, VecDeque};

#[derive(Debug, Default)]
pub(super) struct Sender {
    queues: BTreeMap<TopicPartition, Queue>,
    pub(super) queued_bytes: usize,
    pub(super) done: Vec<Delivery>,
    next_ticket: u64,
    is_gone: bool,
}

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<(Ticket, OutRecord)>,
    /// The broker knows this producer here: a refused sequence can no longer hide.
    has_state: bool,
    is_scheduled: bool,
}

fn weight(record: &OutRecord) -> usize {
    let len = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
    len(&record.key) + len(&record.value) + 32
}

impl State {
    pub(super) fn queue_send(&mut self, sender: usize, to: TopicPartition, record: OutRecord) -> Ticket {
        let found = &mut self.senders[sender];
        let ticket = Ticket(found.next_ticket);
        found.next_ticket += 1;
        found.queued_bytes += weight(&record);
        let queue = found.queues.entry(to).or_default();
        queue.waiting.push_back((ticket, record));
        if !std::mem::replace(&mut queue.is_scheduled, true) {
            self.schedule_delivery(sender, to);
        }
        ticket
    }

    fn schedule_delivery(&mut self, sender: usize, to: TopicPartition) {
        let latency = self.latency() + self.latency();
        self.schedule(self.now + latency, Event::Deliver { sender, to });
    }

    /// Up to five requests in flight to one partition; what fails does not hold up what follows.
    pub(super) fn deliver(&mut self, sender: usize, to: TopicPartition) {
        if self.senders[sender].is_gone {
            return;
        }
        for _ in 0..self.chance.between(1, 5) {
            let Some(queue) = self.senders[sender].queues.get_mut(&to) else { return };
            let Some((ticket, record)) = queue.waiting.pop_front() else { break };
            let is_first = !queue.has_state;
            let follows = !queue.waiting.is_empty();
            self.senders[sender].queued_bytes -= weight(&record);
            let outcome = if is_first && follows && self.strikes(self.faults.refused_first) {
                // The second record's sequence is accepted, and its acknowledgement implies the first's.
                let next = self.log(to).next;
                Ok((Offset(next), LogTime(self.now)))
            } else {
                self.try_append(sender, to, record)
            };
            self.senders[sender].done.push(Delivery { ticket, outcome });
        }
        let queue = self.senders[sender].queues.get_mut(&to).expect("this queue delivers");
        queue.is_scheduled = !queue.waiting.is_empty();
        if queue.is_scheduled {
            self.schedule_delivery(sender, to);
        }
        self.signal(change::DELIVERY);
    }

    fn try_append(
        &mut self,
        sender: usize,
        to: TopicPartition,
        record: OutRecord,
    ) -> Result<(Offset, LogTime), crate::port::Failure> {
        let is_failed = self.strikes(self.faults.send);
        let fate = if is_failed { self.chance.below(3) } else { 3 };
        match fate {
            0 => self.trace(6, 0, 0),
            1 => self.schedule_late(60 * SECOND, Event::LateAppend { to, record }),
            _ => {
                let offset = self.append(to, 0, record);
                self.senders[sender].queues.entry(to).or_default().has_state = true;
                if !is_failed {
                    let time = self.log(to).entries.last().map_or(0, |entry| entry.time);
                    return Ok((Offset(offset), LogTime(time)));
                }
            }
        }
        Err(failure(Reaction::Replay, format!("delivery to {:?} {} failed", to.topic, to.partition)))
    }

    /// The producer is dropped: what it still had queued is lost, or comes when nobody expects it.
    pub(super) fn abandon_sender(&mut self, sender: usize) {
        let queues = std::mem::take(&mut self.senders[sender].queues);
        self.senders[sender].is_gone = true;
        for (to, queue) in queues {
            for (_, record) in queue.waiting {
                if self.strikes(self.faults.limbo) {
                    self.schedule_late(60 * SECOND, Event::LateAppend { to, record });
                }
            }
        }
    }
}
