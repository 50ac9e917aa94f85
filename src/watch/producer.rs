//! In front of [`port::Producer`].

use super::Seen;
use crate::model::{OutRecord, TopicPartition};
use crate::port::{self, Delivery, Pending, Ticket};
use std::time::Duration;

pub(super) struct Producer {
    inner: Box<dyn port::Producer>,
    seen: Seen,
    /// As the board knows it.
    in_flight: usize,
}

impl Producer {
    pub(super) fn new(inner: Box<dyn port::Producer>, seen: Seen) -> Self {
        Producer { inner, seen, in_flight: 0 }
    }

    fn tell(&mut self, in_flight: usize) {
        self.seen.board.sent.in_flight(in_flight, self.in_flight);
        self.in_flight = in_flight;
    }
}

impl port::Producer for Producer {
    fn send(&mut self, to: TopicPartition, record: OutRecord) -> Ticket {
        let bytes: usize =
            [&record.key, &record.value].map(|part| part.as_ref().map_or(0, Vec::len)).iter().sum();
        self.seen.board.sent.add(to.topic, 1, bytes);
        let ticket = self.inner.send(to, record);
        self.tell(self.inner.queued_bytes());
        ticket
    }

    fn queued_bytes(&self) -> usize {
        self.inner.queued_bytes()
    }

    fn deliveries(&mut self, wait: Duration) -> Pending<'_, Vec<Delivery>> {
        Box::pin(async move {
            let deliveries = self.seen.call("deliveries", self.inner.deliveries(wait)).await?;
            for failure in deliveries.iter().filter_map(|delivery| delivery.outcome.as_ref().err()) {
                self.seen.board.sent.delivery_failed();
                tracing::warn!(role = super::name(self.seen.role), error = %failure, "delivery failed");
            }
            self.tell(self.inner.queued_bytes());
            Ok(deliveries)
        })
    }
}

impl Drop for Producer {
    fn drop(&mut self) {
        self.tell(0);
    }
}
