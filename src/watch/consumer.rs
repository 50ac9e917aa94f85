//! In front of [`port::Consumer`].

use super::{Seen, name};
use crate::model::{CommittedOffset, LogTime, NextOffset, Partition};
use crate::port::{self, Membership, Pending, Polled};
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(super) struct Consumer {
    inner: Box<dyn port::Consumer>,
    seen: Seen,
}

/// For people who look at a gauge, and for nothing else.
pub fn now() -> LogTime {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    LogTime(i64::try_from(since.as_micros()).unwrap_or(i64::MAX))
}

impl Consumer {
    pub(super) fn new(inner: Box<dyn port::Consumer>, seen: Seen) -> Self {
        Consumer { inner, seen }
    }

    fn note(&self, polled: &Polled) {
        let mut row = self.seen.board.row(self.seen.role);
        row.polled();
        match polled {
            Polled::Records(batch) => row.read(batch),
            Polled::Assigned(partitions) => row.assigned(partitions),
            Polled::Revoked(_) => row.revoked(),
            Polled::Lost(partitions) => row.lost(partitions),
            Polled::Idle => {}
        }
        // Whoever looks must not wait for a log that is slow.
        drop(row);
        let role = name(self.seen.role);
        match polled {
            Polled::Assigned(partitions) => {
                tracing::info!(role, partitions = %listed(partitions), "assigned")
            }
            Polled::Revoked(partitions) => tracing::info!(role, partitions = %listed(partitions), "revoked"),
            Polled::Lost(partitions) => tracing::warn!(role, partitions = %listed(partitions), "lost"),
            Polled::Records(_) | Polled::Idle => {}
        }
    }
}

fn listed(partitions: &[Partition]) -> String {
    partitions.iter().map(ToString::to_string).collect::<Vec<_>>().join(",")
}

impl port::Consumer for Consumer {
    fn poll(&mut self, bytes_max: usize, wait: Duration) -> Pending<'_, Polled> {
        Box::pin(async move {
            let polled = self.seen.call("poll", self.inner.poll(bytes_max, wait)).await?;
            self.note(&polled);
            Ok(polled)
        })
    }

    fn start(&mut self, partition: Partition, at: NextOffset) -> Pending<'_, ()> {
        Box::pin(async move {
            self.seen.call("start", self.inner.start(partition, at)).await?;
            let is_first = self.seen.board.row(self.seen.role).started(partition, at);
            let (role, partition, offset) = (name(self.seen.role), partition.0, at.0);
            if is_first {
                tracing::info!(role, partition, offset, "reading");
            } else {
                tracing::debug!(role, partition, offset, "reading again");
            }
            Ok(())
        })
    }

    fn release(&mut self, partitions: &[Partition]) -> Pending<'_, ()> {
        let partitions = partitions.to_vec();
        Box::pin(async move {
            self.seen.call("release", self.inner.release(&partitions)).await?;
            self.seen.board.row(self.seen.role).gone(&partitions);
            tracing::debug!(role = name(self.seen.role), partitions = %listed(&partitions), "released");
            Ok(())
        })
    }

    fn pause(&mut self, partition: Partition) {
        self.inner.pause(partition);
    }

    fn resume(&mut self, partition: Partition) {
        self.inner.resume(partition);
    }

    fn committed(&mut self, partition: Partition) -> Pending<'_, Option<CommittedOffset>> {
        Box::pin(async move {
            let found = self.seen.call("committed", self.inner.committed(partition)).await?;
            self.seen.board.row(self.seen.role).found(partition, found.as_ref());
            Ok(found)
        })
    }

    fn commit(&mut self, partition: Partition, offset: CommittedOffset) -> Pending<'_, ()> {
        let next = offset.next;
        Box::pin(async move {
            self.seen.call("commit", self.inner.commit(partition, offset)).await?;
            self.seen.board.row(self.seen.role).committed(&BTreeMap::from([(partition, next)]), now());
            let (role, partition, offset) = (name(self.seen.role), partition.0, next.0);
            tracing::debug!(role, partition, offset, "offset committed");
            Ok(())
        })
    }

    fn membership(&mut self) -> Option<Membership> {
        self.inner.membership()
    }

    fn leave(&mut self) -> Pending<'_, ()> {
        Box::pin(async move {
            let left = self.seen.call("leave", self.inner.leave()).await;
            self.seen.board.row(self.seen.role).left();
            tracing::info!(role = name(self.seen.role), "left the group");
            left
        })
    }
}
