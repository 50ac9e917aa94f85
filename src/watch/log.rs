//! In front of [`Log`]: every handle of a role is watched.

use super::consumer::Consumer;
use super::producer::Producer;
use super::transactions::Transactions;
use super::{Board, Seen};
use crate::model::{CommittedOffset, NextOffset, Partition, RecordBatch, Role, Topic, TopicPartition};
use crate::port::{self, Ends, Isolation, Log, Pending, TopicFacts};
use std::rc::Rc;
use std::sync::Arc;

struct Watched {
    inner: Rc<dyn Log>,
    seen: Seen,
}

/// The log as `role` gets it; when the role drops it, the role has ended.
pub fn watch_log(inner: Rc<dyn Log>, board: &Arc<Board>, role: Role) -> Rc<dyn Log> {
    Rc::new(Watched { inner, seen: Seen { board: Arc::clone(board), role } })
}

impl Log for Watched {
    fn reader(&self) -> Box<dyn port::Reader> {
        Box::new(Reader { inner: self.inner.reader(), seen: self.seen.clone() })
    }

    fn consumer(&self, role: Role) -> Box<dyn port::Consumer> {
        self.seen.board.row(self.seen.role).joining();
        Box::new(Consumer::new(self.inner.consumer(role), self.seen.clone()))
    }

    fn producer(&self) -> Box<dyn port::Producer> {
        Box::new(Producer::new(self.inner.producer(), self.seen.clone()))
    }

    fn transactions(&self) -> Pending<'_, Box<dyn port::Transactions>> {
        Box::pin(async {
            let made = self.seen.call("init_transactions", self.inner.transactions()).await?;
            Ok(Box::new(Transactions::new(made, self.seen.clone())) as Box<dyn port::Transactions>)
        })
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.seen.board.row(self.seen.role).ended();
    }
}

struct Reader {
    inner: Box<dyn port::Reader>,
    seen: Seen,
}

impl port::Reader for Reader {
    fn facts(&mut self, topic: Topic) -> Pending<'_, TopicFacts> {
        Box::pin(self.seen.call("facts", self.inner.facts(topic)))
    }

    fn ends(&mut self, at: TopicPartition, isolation: Isolation) -> Pending<'_, Ends> {
        Box::pin(self.seen.call("ends", self.inner.ends(at, isolation)))
    }

    fn read(&mut self, at: TopicPartition, from: NextOffset, bytes_max: usize) -> Pending<'_, RecordBatch> {
        Box::pin(self.seen.call("read", self.inner.read(at, from, bytes_max)))
    }

    fn committed(&mut self, role: Role, partition: Partition) -> Pending<'_, Option<CommittedOffset>> {
        Box::pin(self.seen.call("committed", self.inner.committed(role, partition)))
    }
}
