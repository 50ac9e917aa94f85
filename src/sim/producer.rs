//! The plain producer's port.

use super::state::change;
use super::wire::{Wire, micros};
use crate::model::{OutRecord, TopicPartition};
use crate::port::{Delivery, Pending, Producer, Ticket};
use std::time::Duration;

#[derive(Debug)]
pub(super) struct SimProducer {
    wire: Wire,
    sender: usize,
}

impl SimProducer {
    pub(super) fn new(wire: Wire) -> Self {
        let sender = {
            let mut state = wire.state();
            state.senders.push(Default::default());
            state.senders.len() - 1
        };
        SimProducer { wire, sender }
    }
}

impl Drop for SimProducer {
    fn drop(&mut self) {
        self.wire.state().abandon_sender(self.sender);
    }
}

impl Producer for SimProducer {
    fn send(&mut self, to: TopicPartition, record: OutRecord) -> Ticket {
        self.wire.state().queue_send(self.sender, to, record)
    }

    fn queued_bytes(&self) -> usize {
        self.wire.state().senders[self.sender].queued_bytes
    }

    fn deliveries(&mut self, wait: Duration) -> Pending<'_, Vec<Delivery>> {
        Box::pin(async move {
            let until = self.wire.state().now.saturating_add(micros(wait));
            self.wire.hop().await;
            loop {
                let seen = {
                    let mut state = self.wire.state();
                    let mut done = std::mem::take(&mut state.senders[self.sender].done);
                    if !done.is_empty() || state.now >= until {
                        if state.chance.one_in(4) {
                            state.chance.shuffle(&mut done);
                        }
                        return Ok(done);
                    }
                    state.change_count(change::DELIVERY)
                };
                self.wire.changed(change::DELIVERY, seen, until).await;
            }
        })
    }
}
