//! Sends without a transaction. A delivery is answered once the record is on disk.

use super::{Inner, error::Error, ready, run::Runs, writer::Job};
use crate::model::{LogTime, Offset, OutRecord, TopicPartition};
use crate::port::{self, Delivery, Failure, Pending, Ticket};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

type Answered = (Ticket, Result<(Offset, LogTime), Error>);

pub(super) struct Producer {
    inner: Arc<Inner>,
    tickets: u64,
    answers: Sender<Answered>,
    answered: Receiver<Answered>,
    /// Sends without an answer yet, and their bytes.
    open: BTreeMap<Ticket, usize>,
    bytes: usize,
}

impl Producer {
    pub(super) fn new(inner: Arc<Inner>) -> Self {
        let (answers, answered) = mpsc::channel();
        Producer { inner, tickets: 0, answers, answered, open: BTreeMap::new(), bytes: 0 }
    }

    fn done(&mut self, (ticket, outcome): Answered) -> Delivery {
        self.bytes -= self.open.remove(&ticket).unwrap_or_default();
        Delivery { ticket, outcome: outcome.map_err(Failure::from) }
    }
}

/// Answers even if the writer drops it unheard.
struct Promise {
    ticket: Ticket,
    to: Sender<Answered>,
    is_kept: bool,
}

impl Promise {
    fn keep(mut self, outcome: Result<(Offset, LogTime), Error>) {
        self.is_kept = true;
        // A producer that is gone does not want to know.
        let _ = self.to.send((self.ticket, outcome));
    }
}

impl Drop for Promise {
    fn drop(&mut self) {
        if !self.is_kept {
            let _ = self.to.send((self.ticket, Err(Error::Closed)));
        }
    }
}

impl port::Producer for Producer {
    fn send(&mut self, to: TopicPartition, record: OutRecord) -> Ticket {
        let ticket = Ticket(self.tickets);
        self.tickets += 1;
        let runs = Runs::of(&record);
        self.open.insert(ticket, runs.bytes());
        self.bytes += runs.bytes();
        let promise = Promise { ticket, to: self.answers.clone(), is_kept: false };
        let answer = Box::new(move |outcome| promise.keep(outcome));
        self.inner.submit(Job::Append { at: to, runs, answer });
        ticket
    }

    fn queued_bytes(&self) -> usize {
        self.bytes
    }

    fn deliveries(&mut self, wait: Duration) -> Pending<'_, Vec<Delivery>> {
        let mut answered: Vec<Answered> = self.answered.try_iter().collect();
        if answered.is_empty() && !self.open.is_empty() {
            answered.extend(self.answered.recv_timeout(wait));
            answered.extend(self.answered.try_iter());
        }
        let deliveries = answered.into_iter().map(|answered| self.done(answered)).collect();
        ready(Ok(deliveries))
    }
}
