//! A consumer straight over the library: records come in batches from the group's own queue, and a rebalance is noted
//! in a callback and answered when the worker is ready.
//!
//! The crate's consumer cannot do both: it takes rebalances as events, which batch reading answers by itself; and
//! partitions that are forwarded to another queue stall for ever once they were unassigned at the wrong moment
//! (librdkafka 2.12 takes the forwarding away, and does not set its own again).

use super::client::make;
use super::{Item, NativeError, Queue, c_string, code, group_member, millis};
use crate::model::Partition;
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::topic_partition_list::TopicPartitionList;
use rdkafka::types::{RDKafka, RDKafkaErrorCode};
use rdkafka_sys as sys;
use std::collections::VecDeque;
use std::ffi::c_void;
use std::slice;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::thread;
use std::time::Duration;

/// What the group's coordinator wants. While it waits for its answer the group delivers nothing, and heartbeats go on.
#[derive(Debug)]
pub(in crate::kafka) enum Change {
    Assign(Vec<Partition>),
    Revoke { partitions: Vec<Partition>, are_lost: bool },
}

pub(in crate::kafka) struct Consumer {
    inner: Option<Inner>,
}

struct Inner {
    client: *mut RDKafka,
    queue: Queue,
    group: Box<Group>,
}

// SAFETY: librdkafka's client is safe to use from several threads; this one is only ever moved to the thread that ends it.
unsafe impl Send for Inner {}

/// What the callback writes down.
#[derive(Default)]
struct Group {
    changes: Mutex<VecDeque<Change>>,
    /// Nobody is left to answer: the callback does it.
    is_closing: AtomicBool,
}

impl Consumer {
    pub(in crate::kafka) fn new(config: &ClientConfig) -> Result<Self, KafkaError> {
        let group = Box::<Group>::default();
        let opaque: *const Group = &*group;
        // SAFETY: the notes outlive the client: both go together, and it goes first.
        let client = make(config, sys::rd_kafka_type_t::RD_KAFKA_CONSUMER, |conf| unsafe {
            sys::rd_kafka_conf_set_opaque(conf, opaque.cast_mut().cast());
            sys::rd_kafka_conf_set_rebalance_cb(conf, Some(on_rebalance));
        })?;
        // SAFETY: a live consumer; from now on one queue has all that it says.
        let queue = unsafe {
            sys::rd_kafka_poll_set_consumer(client);
            Queue::of(sys::rd_kafka_queue_get_consumer(client))
        };
        Ok(Consumer { inner: Some(Inner { client, queue, group }) })
    }

    fn inner(&self) -> &Inner {
        self.inner.as_ref().expect("only a consumer that is dropped has none")
    }

    pub(in crate::kafka) fn native(&self) -> *mut RDKafka {
        self.inner().client
    }

    /// Up to a batch of what there is; waits for the first. Rebalances are noted meanwhile.
    pub(in crate::kafka) fn read(&mut self, wait: Duration, each: impl FnMut(Item<'_>)) -> usize {
        self.inner.as_mut().expect("as above").queue.read(wait, each)
    }

    /// One item: the only way to read where ends of partitions are told.
    pub(in crate::kafka) fn read_one<T>(
        &mut self,
        wait: Duration,
        take: impl FnOnce(Item<'_>) -> T,
    ) -> Option<T> {
        self.inner.as_mut().expect("as above").queue.read_one(wait, take)
    }

    pub(in crate::kafka) fn next_change(&self) -> Option<Change> {
        self.inner().group.changes.lock().expect("no thread panics while it notes a change").pop_front()
    }

    pub(in crate::kafka) fn subscribe(&self, topic: &str) -> Result<(), NativeError> {
        let mut list = TopicPartitionList::new();
        list.add_topic_unassigned(topic);
        // SAFETY: client and list are alive, here and in all calls below.
        code(unsafe { sys::rd_kafka_subscribe(self.native(), list.ptr()) })
    }

    pub(in crate::kafka) fn unsubscribe(&self) -> Result<(), NativeError> {
        // SAFETY: as in `subscribe`.
        code(unsafe { sys::rd_kafka_unsubscribe(self.native()) })
    }

    /// Reads these and nothing else; for a consumer in no group.
    pub(in crate::kafka) fn assign(&self, list: &TopicPartitionList) -> Result<(), NativeError> {
        // SAFETY: as in `subscribe`.
        code(unsafe { sys::rd_kafka_assign(self.native(), list.ptr()) })
    }

    /// Also the answer to [`Change::Assign`].
    pub(in crate::kafka) fn add(&self, list: &TopicPartitionList) -> Result<(), NativeError> {
        // SAFETY: as in `subscribe`.
        unsafe { NativeError::check(sys::rd_kafka_incremental_assign(self.native(), list.ptr())) }
    }

    /// Also the answer to [`Change::Revoke`].
    pub(in crate::kafka) fn remove(&self, list: &TopicPartitionList) -> Result<(), NativeError> {
        // SAFETY: as in `subscribe`.
        unsafe { NativeError::check(sys::rd_kafka_incremental_unassign(self.native(), list.ptr())) }
    }

    pub(in crate::kafka) fn seek(
        &self,
        list: &TopicPartitionList,
        wait: Duration,
    ) -> Result<(), NativeError> {
        // SAFETY: as in `subscribe`.
        unsafe {
            NativeError::check(sys::rd_kafka_seek_partitions(self.native(), list.ptr(), millis(wait)))?;
        }
        each(list)
    }

    pub(in crate::kafka) fn pause(&self, list: &TopicPartitionList) -> Result<(), NativeError> {
        // SAFETY: as in `subscribe`.
        code(unsafe { sys::rd_kafka_pause_partitions(self.native(), list.ptr()) })?;
        each(list)
    }

    pub(in crate::kafka) fn resume(&self, list: &TopicPartitionList) -> Result<(), NativeError> {
        // SAFETY: as in `subscribe`.
        code(unsafe { sys::rd_kafka_resume_partitions(self.native(), list.ptr()) })?;
        each(list)
    }

    /// Waits until the coordinator has answered.
    pub(in crate::kafka) fn commit(&self, list: &TopicPartitionList) -> Result<(), NativeError> {
        const WAIT: i32 = 0;
        // SAFETY: as in `subscribe`.
        code(unsafe { sys::rd_kafka_commit(self.native(), list.ptr(), WAIT) })?;
        each(list)
    }

    /// Fills in the group's positions.
    pub(in crate::kafka) fn committed(
        &self,
        list: &TopicPartitionList,
        wait: Duration,
    ) -> Result<(), NativeError> {
        // SAFETY: as in `subscribe`.
        code(unsafe { sys::rd_kafka_committed(self.native(), list.ptr(), millis(wait)) })?;
        each(list)
    }

    /// First and next offset, asked of the broker; how far depends on the consumer's isolation.
    pub(in crate::kafka) fn ends(
        &self,
        topic: &str,
        partition: Partition,
        wait: Duration,
    ) -> Result<(u64, u64), NativeError> {
        let (name, mut first, mut next) = (c_string(topic), 0i64, 0i64);
        let partition = partition.0 as i32;
        // SAFETY: as in `subscribe`; both numbers live until the call returns.
        code(unsafe {
            sys::rd_kafka_query_watermark_offsets(
                self.native(),
                name.as_ptr(),
                partition,
                &raw mut first,
                &raw mut next,
                millis(wait),
            )
        })?;
        Ok((u64::try_from(first).unwrap_or_default(), u64::try_from(next).unwrap_or_default()))
    }

    /// Closes, and waits so long for it: what the coordinator has not heard by then it may never hear, if the process ends.
    pub(in crate::kafka) fn close(mut self, wait: Duration) {
        if let Some(closed) = self.inner.take().and_then(Inner::close_aside) {
            let _ = closed.recv_timeout(wait);
        }
    }

    /// Generation and member id; `None` while it has none.
    pub(in crate::kafka) fn member(&self) -> Option<(i32, String)> {
        group_member(self.native())
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        if let Some(inner) = self.inner.take() {
            inner.close_aside();
        }
    }
}

impl Inner {
    /// Closing waits for the coordinator, without a limit: so on a thread of its own. The channel ends when it is done.
    fn close_aside(self) -> Option<Receiver<()>> {
        let (done, closed) = mpsc::channel();
        let close = move || {
            self.close();
            drop(done);
        };
        // Without a thread the client is leaked, and its membership runs out.
        thread::Builder::new().name("kafka-close".into()).spawn(close).ok().map(|_| closed)
    }

    fn close(self) {
        let Inner { client, queue, group } = self;
        group.is_closing.store(true, Ordering::SeqCst);
        // A change that was noted and never answered would hold the close up.
        answer(client);
        // SAFETY: nobody else has the client; the queue is given back between closing and the end.
        unsafe {
            sys::rd_kafka_consumer_close(client);
            drop(queue);
            sys::rd_kafka_destroy(client);
        }
        drop(group);
    }
}

/// Gives everything back at once. What fails here has nothing left to give back.
fn answer(client: *mut RDKafka) {
    // SAFETY: the client is alive; lists and error objects of the library are ours to destroy.
    unsafe {
        let mut held = std::ptr::null_mut();
        if code(sys::rd_kafka_assignment(client, &raw mut held)).is_ok() {
            let _ = NativeError::check(sys::rd_kafka_incremental_unassign(client, held));
            sys::rd_kafka_topic_partition_list_destroy(held);
        }
    }
}

/// Called on the thread that reads. The list belongs to the library.
unsafe extern "C" fn on_rebalance(
    client: *mut RDKafka,
    error: sys::rd_kafka_resp_err_t,
    list: *mut sys::rd_kafka_topic_partition_list_t,
    group: *mut c_void,
) {
    // SAFETY: the notes live as long as the client; an empty list has no array.
    let (group, elements) = unsafe {
        let count = usize::try_from((*list).cnt).unwrap_or_default();
        let elements = if count == 0 { &[][..] } else { slice::from_raw_parts((*list).elems, count) };
        (&*group.cast::<Group>(), elements)
    };
    if group.is_closing.load(Ordering::SeqCst) {
        answer(client);
        return;
    }
    let partitions = elements.iter().map(|one| Partition(one.partition.unsigned_abs())).collect();
    let change = if RDKafkaErrorCode::from(error) == RDKafkaErrorCode::AssignPartitions {
        Change::Assign(partitions)
    } else {
        // SAFETY: the client is alive.
        let are_lost = unsafe { sys::rd_kafka_assignment_lost(client) } != 0;
        Change::Revoke { partitions, are_lost }
    };
    group.changes.lock().expect("no thread panics while it notes a change").push_back(change);
}

/// The first error of any element.
fn each(list: &TopicPartitionList) -> Result<(), NativeError> {
    list.elements().iter().try_for_each(|element| match element.error() {
        Ok(()) => Ok(()),
        Err(error) => Err(NativeError::from_error(&error)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_paused_or_resumed_says_so() {
        let mut config = ClientConfig::new();
        config.set("bootstrap.servers", "127.0.0.1:1").set("group.id", "nobody");
        // No broker answers there, and no line about it is wanted.
        config.set("log_level", "0");
        let consumer = Consumer::new(&config).unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition("a.topic", 0);

        for told in [consumer.pause(&list), consumer.resume(&list)] {
            assert_eq!(told.map_err(|error| error.code), Err(RDKafkaErrorCode::UnknownPartition));
        }
    }
}
