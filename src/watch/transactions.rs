//! In front of [`port::Transactions`].

use super::consumer::now;
use super::{Seen, name};
use crate::model::{NextOffset, OutBatch, OutRecord, Partition, TopicPartition};
use crate::port::{self, Ended, Membership, Pending};
use std::collections::BTreeMap;
use std::time::Instant;

pub(super) struct Transactions {
    inner: Box<dyn port::Transactions>,
    seen: Seen,
    began: Option<Instant>,
    /// What becomes the position if it commits.
    offsets: BTreeMap<Partition, NextOffset>,
}

impl Transactions {
    pub(super) fn new(inner: Box<dyn port::Transactions>, seen: Seen) -> Self {
        Transactions { inner, seen, began: None, offsets: BTreeMap::new() }
    }

    fn ended(&mut self, outcome: &'static str) {
        let took = self.began.take().map(|began| began.elapsed());
        // How long an abort took says nothing about commits.
        self.seen.board.sent.transaction(outcome, took.filter(|_| outcome != "aborted"));
        let (role, took_ms) = (name(self.seen.role), took.map(|took| took.as_millis() as u64));
        match outcome {
            "clean" => tracing::debug!(role, took_ms, "transaction committed"),
            "tainted" => tracing::warn!(role, took_ms, "transaction committed, and its end was sent twice"),
            // The call that failed has its own line.
            "failed" => {}
            _ => tracing::warn!(role, took_ms, "transaction aborted"),
        }
    }
}

impl port::Transactions for Transactions {
    fn begin(&mut self) -> Pending<'_, ()> {
        Box::pin(async move {
            self.offsets.clear();
            self.began = Some(Instant::now());
            self.seen.call("begin", self.inner.begin()).await
        })
    }

    fn send<'a>(&'a mut self, to: TopicPartition, records: &'a OutBatch) -> Pending<'a, ()> {
        self.seen.board.sent.add(to.topic, records.len(), records.bytes());
        Box::pin(self.seen.call("send", self.inner.send(to, records)))
    }

    fn send_one<'a>(&'a mut self, to: TopicPartition, record: &'a OutRecord) -> Pending<'a, ()> {
        let bytes = [&record.key, &record.value].map(|part| part.as_ref().map_or(0, Vec::len)).iter().sum();
        self.seen.board.sent.add(to.topic, 1, bytes);
        Box::pin(self.seen.call("send", self.inner.send_one(to, record)))
    }

    fn send_offsets(
        &mut self,
        offsets: &BTreeMap<Partition, NextOffset>,
        member: &Membership,
    ) -> Pending<'_, ()> {
        self.offsets.clone_from(offsets);
        let member = member.clone();
        Box::pin(async move {
            let sent = self.inner.send_offsets(&self.offsets, &member);
            self.seen.call("send_offsets", sent).await
        })
    }

    fn commit(&mut self) -> Pending<'_, Ended> {
        Box::pin(async move {
            let ended = self.seen.call("commit", self.inner.commit()).await;
            self.ended(match &ended {
                Ok(Ended::Clean) => "clean",
                Ok(Ended::Tainted) => "tainted",
                Err(_) => "failed",
            });
            if ended.is_ok() {
                self.seen.board.row(self.seen.role).committed(&self.offsets, now());
            }
            ended
        })
    }

    fn abort(&mut self) -> Pending<'_, ()> {
        Box::pin(async move {
            let aborted = self.seen.call("abort", self.inner.abort()).await;
            self.ended("aborted");
            aborted
        })
    }
}
