//! Records in batches: one call for many.

use super::{NativeError, millis};
use crate::model::{LogTime, Offset, Partition, RecordBatch};
use rdkafka::types::RDKafkaErrorCode;
use rdkafka_sys as sys;
use std::ffi::{CStr, c_void};
use std::ptr::null_mut;
use std::slice;
use std::time::Duration;

/// Records that one call brings at most.
const SLOTS: usize = 512;

/// A queue of the library. Not for end-of-partition events, unless it is read one by one: in a batch such an event
/// moves the position past a record that was never read (librdkafka 2.12, issue 4844).
pub(super) struct Queue {
    queue: *mut sys::rd_kafka_queue_t,
    slots: Vec<*mut sys::rd_kafka_message_t>,
}

/// What stands in a queue.
pub(in crate::kafka) enum Item<'a> {
    Record(Record<'a>),
    /// Of a partition, at this offset.
    End(Partition, Offset),
    Error(Partition, NativeError),
}

/// A record as the library holds it.
pub(in crate::kafka) struct Record<'a> {
    message: &'a sys::rd_kafka_message_t,
}

impl Queue {
    /// Takes over a queue of the library.
    ///
    /// # Safety
    /// It is alive, its client outlives this value, and nobody else gives it back.
    pub(super) unsafe fn of(queue: *mut sys::rd_kafka_queue_t) -> Queue {
        Queue { queue, slots: vec![null_mut(); SLOTS] }
    }

    /// Up to a batch; waits for the first. The library waits until a batch is *full*, so it is asked for one, and then
    /// for what is there behind it.
    pub(super) fn read(&mut self, wait: Duration, mut each: impl FnMut(Item<'_>)) -> usize {
        // SAFETY: the library fills at most as many slots as it is told of.
        let count = unsafe {
            let first =
                sys::rd_kafka_consume_batch_queue(self.queue, millis(wait), self.slots.as_mut_ptr(), 1);
            if first < 1 {
                return 0;
            }
            let rest = &mut self.slots[1..];
            1 + sys::rd_kafka_consume_batch_queue(self.queue, 0, rest.as_mut_ptr(), rest.len()).max(0)
                as usize
        };
        for &message in &self.slots[..count] {
            // SAFETY: a slot that was filled holds a message that is ours until it is destroyed.
            unsafe {
                each(Item::of(&*message));
                sys::rd_kafka_message_destroy(message);
            }
        }
        count
    }

    /// One item, with the position right behind it.
    pub(super) fn read_one<T>(&mut self, wait: Duration, take: impl FnOnce(Item<'_>) -> T) -> Option<T> {
        // SAFETY: as above.
        unsafe {
            let message = sys::rd_kafka_consume_queue(self.queue, millis(wait));
            if message.is_null() {
                return None;
            }
            let taken = take(Item::of(&*message));
            sys::rd_kafka_message_destroy(message);
            Some(taken)
        }
    }
}

impl Drop for Queue {
    fn drop(&mut self) {
        // SAFETY: ours since `of`, and given back once.
        unsafe { sys::rd_kafka_queue_destroy(self.queue) }
    }
}

impl<'a> Item<'a> {
    fn of(message: &'a sys::rd_kafka_message_t) -> Item<'a> {
        let partition = Partition(u32::try_from(message.partition).unwrap_or(u32::MAX));
        match RDKafkaErrorCode::from(message.err) {
            RDKafkaErrorCode::NoError => Item::Record(Record { message }),
            RDKafkaErrorCode::PartitionEOF => Item::End(partition, offset(message)),
            _ => {
                let mut error = NativeError::from_code(message.err);
                // SAFETY: the payload of an error is its text.
                if let Some(text) = unsafe { bytes(message.payload, message.len) } {
                    error.text = String::from_utf8_lossy(text).into_owned();
                }
                Item::Error(partition, error)
            }
        }
    }
}

impl Record<'_> {
    pub(in crate::kafka) fn partition(&self) -> Partition {
        Partition(u32::try_from(self.message.partition).unwrap_or(u32::MAX))
    }

    /// Copies it to the end of the batch; gives the bytes of key and value.
    pub(in crate::kafka) fn put(&self, to: &mut RecordBatch) -> usize {
        let message = self.message;
        let mut kind = sys::rd_kafka_timestamp_type_t::RD_KAFKA_TIMESTAMP_NOT_AVAILABLE;
        // SAFETY: the message is alive; headers belong to it, and what they lend is copied.
        unsafe {
            let time = sys::rd_kafka_message_timestamp(message, &raw mut kind);
            let key = bytes(message.key, message.key_len);
            let value = bytes(message.payload, message.len);
            to.push(offset(message), LogTime(time.saturating_mul(1_000)), key, value);
            let mut headers = null_mut();
            let found = sys::rd_kafka_message_headers(message, &raw mut headers);
            if RDKafkaErrorCode::from(found) == RDKafkaErrorCode::NoError {
                put_headers(headers, to);
            }
        }
        message.key_len + message.len
    }
}

/// # Safety
/// `headers` are alive.
unsafe fn put_headers(headers: *const sys::rd_kafka_headers_t, to: &mut RecordBatch) {
    for index in 0.. {
        let (mut name, mut value, mut len) = (std::ptr::null(), std::ptr::null(), 0);
        // SAFETY: the library says when there is none of this number; names are texts, values have a length.
        unsafe {
            let (name_to, value_to) = (&raw mut name, &raw mut value);
            let found = sys::rd_kafka_header_get_all(headers, index, name_to, value_to, &raw mut len);
            if RDKafkaErrorCode::from(found) != RDKafkaErrorCode::NoError {
                return;
            }
            to.push_header(CStr::from_ptr(name).to_bytes(), bytes(value.cast_mut(), len));
        }
    }
}

fn offset(message: &sys::rd_kafka_message_t) -> Offset {
    Offset(u64::try_from(message.offset).unwrap_or_default())
}

/// # Safety
/// `at` is null, or points to `len` bytes that live as long as the message.
unsafe fn bytes<'a>(at: *mut c_void, len: usize) -> Option<&'a [u8]> {
    // SAFETY: the caller's.
    (!at.is_null()).then(|| unsafe { slice::from_raw_parts(at.cast(), len) })
}
