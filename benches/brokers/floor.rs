//! The least that the brokers' client costs: the same bytes read in batches and sent in batches, and nothing done with them.
//!
//! What the protocols lean on holds here too (checksums are checked, only committed records are read, sends are
//! idempotent and acknowledged by all), so a floor is not beaten by doing without it.
#![expect(unsafe_code, reason = "the crate reads and sends one record a call, which is no floor")]

use crate::support::cpu;
use anyhow::Context as _;
use rdkafka::config::ClientConfig;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka_sys as sys;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::ptr::null_mut;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(120);
/// Records that one call brings or takes.
const BATCH: usize = 1_000;
const READ_WAIT_MS: i32 = 50;

/// A record that is sent: where to, key and value.
pub(crate) struct Record {
    pub(crate) partition: i32,
    pub(crate) key: Option<Vec<u8>>,
    pub(crate) value: Option<Vec<u8>>,
}

/// What a floor handled, and seconds of CPU of this process, whose other threads are idle.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Floor {
    pub(crate) records: u64,
    pub(crate) bytes: u64,
    pub(crate) cpu: f64,
}

fn client(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers);
    config
}

/// Reads every partition to its end. For topics without transactions: there the last record stands right before the end.
pub(crate) fn read(brokers: &str, topic: &str, partitions: i32) -> anyhow::Result<Floor> {
    let mut config = client(brokers);
    config.set("group.id", "floor").set("enable.auto.commit", "false");
    config.set("isolation.level", "read_committed").set("check.crcs", "true");
    let mut cpu = 0;
    let read = cpu::add(&mut cpu, || {
        let consumer: BaseConsumer = config.create()?;
        let mut all = TopicPartitionList::new();
        let mut ends = BTreeMap::new();
        for partition in 0..partitions {
            all.add_partition_offset(topic, partition, Offset::Beginning)?;
            let (first, end) = consumer.fetch_watermarks(topic, partition, PATIENCE)?;
            if first < end {
                ends.insert(partition, end);
            }
        }
        consumer.assign(&all)?;
        read_to(&consumer, ends)
    });
    let (records, bytes) = read.with_context(|| format!("{topic} is read"))?;
    Ok(Floor { records, bytes, cpu: cpu as f64 / 1e9 })
}

/// Records and bytes.
fn read_to(consumer: &BaseConsumer, mut ends: BTreeMap<i32, i64>) -> anyhow::Result<(u64, u64)> {
    let patience = Instant::now() + PATIENCE;
    let (mut records, mut bytes) = (0, 0);
    let mut slots = vec![null_mut::<sys::rd_kafka_message_t>(); BATCH];
    // SAFETY: the consumer outlives the queue, which is given back below.
    let queue = unsafe { sys::rd_kafka_queue_get_consumer(consumer.client().native_ptr()) };
    while !ends.is_empty() && Instant::now() < patience {
        // SAFETY: the library fills at most as many slots as there are; each is ours until it is destroyed.
        unsafe {
            let count =
                sys::rd_kafka_consume_batch_queue(queue, READ_WAIT_MS, slots.as_mut_ptr(), slots.len());
            for &slot in &slots[..usize::try_from(count).unwrap_or_default()] {
                let message = &*slot;
                if message.err == sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
                    records += 1;
                    bytes += (message.len + message.key_len) as u64;
                    if ends.get(&message.partition).is_some_and(|&end| message.offset + 1 >= end) {
                        ends.remove(&message.partition);
                    }
                }
                sys::rd_kafka_message_destroy(slot);
            }
        }
    }
    // SAFETY: ours, and given back once.
    unsafe { sys::rd_kafka_queue_destroy(queue) }
    anyhow::ensure!(ends.is_empty(), "the ends of partitions {:?} do not come", ends.keys());
    Ok((records, bytes))
}

/// Sends all of them to an empty topic, and sees that it holds them.
pub(crate) fn send(brokers: &str, topic: &str, records: &[Record]) -> anyhow::Result<Floor> {
    let mut config = client(brokers);
    config.set("enable.idempotence", "true").set("acks", "all").set("compression.type", "lz4");
    config.set("linger.ms", "5").set("batch.size", "1048576").set("message.max.bytes", "8388608");
    config.set("queue.buffering.max.messages", "0").set("queue.buffering.max.kbytes", "1048576");
    let mut cpu = 0;
    cpu::add(&mut cpu, || {
        let producer: BaseProducer = config.create()?;
        let mut native = Topic::new(&producer, topic)?;
        records.chunks(BATCH).try_for_each(|batch| native.send(batch))?;
        producer.flush(PATIENCE)?;
        drop(native);
        anyhow::Ok(())
    })
    .with_context(|| format!("{topic} is written"))?;
    let length = |of: &Option<Vec<u8>>| of.as_ref().map_or(0, Vec::len) as u64;
    let bytes = records.iter().map(|record| length(&record.key) + length(&record.value)).sum();
    let count = records.len() as u64;
    let held = held(brokers, topic, records)?;
    anyhow::ensure!(held == count, "{topic} holds {held} of {count} records");
    Ok(Floor { records: count, bytes, cpu: cpu as f64 / 1e9 })
}

fn held(brokers: &str, topic: &str, records: &[Record]) -> anyhow::Result<u64> {
    let consumer: BaseConsumer = client(brokers).create()?;
    let last = records.iter().map(|record| record.partition).max().unwrap_or(0);
    let ends = (0..=last).map(|partition| consumer.fetch_watermarks(topic, partition, PATIENCE));
    let ends: Vec<(i64, i64)> = ends.collect::<Result<_, _>>()?;
    Ok(ends.into_iter().map(|(first, end)| (end - first).unsigned_abs()).sum())
}

/// The library's handle on a topic.
struct Topic<'a> {
    topic: *mut sys::rd_kafka_topic_t,
    /// Outlives it.
    _producer: &'a BaseProducer,
    messages: Vec<sys::rd_kafka_message_t>,
}

impl<'a> Topic<'a> {
    fn new(producer: &'a BaseProducer, name: &str) -> anyhow::Result<Topic<'a>> {
        let text = CString::new(name)?;
        // SAFETY: a live client and a text that ends; no settings are the client's own.
        let topic =
            unsafe { sys::rd_kafka_topic_new(producer.client().native_ptr(), text.as_ptr(), null_mut()) };
        anyhow::ensure!(!topic.is_null(), "no handle on {name}");
        Ok(Topic { topic, _producer: producer, messages: Vec::with_capacity(BATCH) })
    }

    fn send(&mut self, batch: &[Record]) -> anyhow::Result<()> {
        let part = |of: &Option<Vec<u8>>| {
            of.as_ref().map_or((null_mut(), 0), |of| (of.as_ptr().cast_mut(), of.len()))
        };
        self.messages.clear();
        for record in batch {
            let ((key, key_len), (value, len)) = (part(&record.key), part(&record.value));
            // SAFETY: zeros are a message without anything.
            let mut message: sys::rd_kafka_message_t = unsafe { std::mem::zeroed() };
            (message.partition, message.payload, message.len) = (record.partition, value.cast(), len);
            (message.key, message.key_len) = (key.cast(), key_len);
            self.messages.push(message);
        }
        // SAFETY: the library copies keys and values before the call returns, and changes neither.
        let sent = unsafe {
            let flags = sys::RD_KAFKA_MSG_F_COPY | sys::RD_KAFKA_MSG_F_PARTITION;
            let (messages, count) = (self.messages.as_mut_ptr(), self.messages.len());
            sys::rd_kafka_produce_batch(self.topic, -1, flags, messages, i32::try_from(count)?)
        };
        anyhow::ensure!(
            usize::try_from(sent)? == batch.len(),
            "{sent} of {} records were taken",
            batch.len()
        );
        Ok(())
    }
}

impl Drop for Topic<'_> {
    fn drop(&mut self) {
        // SAFETY: ours, and given back once.
        unsafe { sys::rd_kafka_topic_destroy(self.topic) }
    }
}
