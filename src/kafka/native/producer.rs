//! A transactional producer straight over the library. The crate's own adds 100 ms to every commit, and no hook of its
//! own tells how often a request was really sent.

use super::client::make;
use super::{NativeError, c_string, millis};
use crate::kafka::lines::Lines;
use crate::model::failpoint::{self, Failpoint};
use crate::model::{NextOffset, OutBatch, OutRecord, OutSlice, Partition, Role};
use crate::port::Membership;
use rdkafka::TopicPartitionList;
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::types::{RDKafka, RDKafkaErrorCode};
use rdkafka_sys as sys;
use rdkafka_sys::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR;
use std::collections::BTreeMap;
use std::ffi::{c_char, c_int, c_void};
use std::mem;
use std::slice;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

/// How long the library's events are waited for at a time, on a thread of their own.
const SERVE: Duration = Duration::from_millis(50);
/// How long to wait while the library's queue is full.
const FULL_WAIT: Duration = Duration::from_millis(5);

const ADD_PARTITIONS: i16 = 24;
const ADD_OFFSETS: i16 = 25;
const END: i16 = 26;
const COMMIT_OFFSETS: i16 = 28;

/// Requests of the transaction under way that a late copy of could hit the next one.
#[derive(Debug, Default)]
pub(in crate::kafka) struct Requests {
    sent: AtomicU64,
    answered: AtomicU64,
    ends: AtomicU64,
}

impl Requests {
    fn begin(&self) {
        [&self.sent, &self.answered, &self.ends]
            .into_iter()
            .for_each(|count| count.store(0, Ordering::SeqCst));
    }

    /// Was the end sent more than once, or is an answer missing? Then a copy may still arrive.
    pub(in crate::kafka) fn are_tainted(&self) -> bool {
        let read = |count: &AtomicU64| count.load(Ordering::SeqCst);
        read(&self.ends) > 1 || read(&self.sent) > read(&self.answered)
    }
}

pub(in crate::kafka) struct TransactionalProducer {
    client: *mut RDKafka,
    requests: Arc<Requests>,
    /// Pointed to by the library.
    _lines: Arc<Lines>,
    is_closing: Arc<AtomicBool>,
    serving: Option<JoinHandle<()>>,
}

// SAFETY: librdkafka's client is safe to use from several threads, and so are the counters; the thread's handle is used
// when the last owner drops this, and nobody else has it.
unsafe impl Send for TransactionalProducer {}
// SAFETY: as above.
unsafe impl Sync for TransactionalProducer {}

/// For the thread that serves events: the library's own calls may be made from any thread.
struct Client(*mut RDKafka);

// SAFETY: librdkafka's client is safe to use from several threads.
unsafe impl Send for Client {}

impl TransactionalProducer {
    pub(in crate::kafka) fn new(config: &ClientConfig, lines: Arc<Lines>) -> Result<Self, KafkaError> {
        let requests = Arc::new(Requests::default());
        let (opaque, told): (*const Requests, *const Lines) = (&*requests, &*lines);
        // SAFETY: both outlive the client: they are dropped with this value, after it.
        let client = make(config, sys::rd_kafka_type_t::RD_KAFKA_PRODUCER, |conf| unsafe {
            let name = c"requests".as_ptr();
            sys::rd_kafka_conf_interceptor_add_on_new(conf, name, Some(on_new), opaque.cast_mut().cast());
            sys::rd_kafka_conf_set_opaque(conf, told.cast_mut().cast());
            sys::rd_kafka_conf_set_stats_cb(conf, Some(on_statistics));
        })?;
        let is_closing = Arc::new(AtomicBool::new(false));
        let (served, closing) = (Client(client), Arc::clone(&is_closing));
        let serve = move || {
            let served = served;
            while !closing.load(Ordering::SeqCst) {
                // SAFETY: the client is destroyed only after this thread was joined.
                unsafe { sys::rd_kafka_poll(served.0, millis(SERVE)) };
            }
        };
        let serving = thread::Builder::new().name("kafka-transactions".into()).spawn(serve);
        let serving = serving.map_err(|error| KafkaError::ClientCreation(error.to_string()));
        let mut producer =
            TransactionalProducer { client, requests, _lines: lines, is_closing, serving: None };
        producer.serving = Some(serving?);
        Ok(producer)
    }

    pub(in crate::kafka) fn requests(&self) -> &Requests {
        &self.requests
    }

    /// Fences whoever had this transactional id before, and waits until its transaction is ended.
    pub(in crate::kafka) fn init(&self, wait: Duration) -> Result<(), NativeError> {
        // SAFETY: the client is alive, here and below; an error object is taken over at once.
        unsafe { NativeError::check(sys::rd_kafka_init_transactions(self.client, millis(wait))) }
    }

    pub(in crate::kafka) fn begin(&self) -> Result<(), NativeError> {
        self.requests.begin();
        // SAFETY: as in `init`.
        unsafe { NativeError::check(sys::rd_kafka_begin_transaction(self.client)) }
    }

    /// Queues all records of the batch, in order. The library copies them.
    pub(in crate::kafka) fn send(
        &self,
        topic: &str,
        partition: Partition,
        records: &OutBatch,
    ) -> Result<(), NativeError> {
        self.with_topic(topic, |topic| {
            // SAFETY: the topic is alive.
            let list = |record| unsafe { Arguments::of(topic, partition, record) };
            // SAFETY: what the list points to lives until the batch does.
            records.iter().try_for_each(|record| unsafe { self.send_one(&list(record)) })
        })
    }

    /// Queues a record with any headers, which may lack a key. The library copies it.
    pub(in crate::kafka) fn send_whole(
        &self,
        topic: &str,
        partition: Partition,
        record: &OutRecord,
    ) -> Result<(), NativeError> {
        // SAFETY: a list that the library takes over if it takes the record, and that is ours to end if not.
        let headers = unsafe { sys::rd_kafka_headers_new(record.headers.len()) };
        for (name, value) in &record.headers {
            // SAFETY: the library copies both.
            let added = unsafe {
                let (name, len) = (name.as_ptr().cast(), name.len() as isize);
                sys::rd_kafka_header_add(headers, name, len, value.as_ptr().cast(), value.len() as isize)
            };
            debug_assert_eq!(added, RD_KAFKA_RESP_ERR_NO_ERROR, "a list of our own can be written");
        }
        let sent = self.with_topic(topic, |topic| {
            let (key, value) = (record.key.as_deref(), record.value.as_deref());
            // SAFETY: the topic, the record and the list are alive.
            unsafe { self.send_one(&Arguments::with_headers(topic, partition, (key, value), headers)) }
        });
        if sent.is_err() {
            // SAFETY: nobody took it.
            unsafe { sys::rd_kafka_headers_destroy(headers) };
        }
        sent
    }

    fn with_topic(
        &self,
        name: &str,
        send: impl FnOnce(*mut sys::rd_kafka_topic_t) -> Result<(), NativeError>,
    ) -> Result<(), NativeError> {
        let name = c_string(name);
        // SAFETY: the topic object is ours until it is destroyed below, after its last use.
        unsafe {
            let topic = sys::rd_kafka_topic_new(self.client, name.as_ptr(), std::ptr::null_mut());
            if topic.is_null() {
                return Err(NativeError::from_code(sys::rd_kafka_last_error()));
            }
            let sent = send(topic);
            sys::rd_kafka_topic_destroy(topic);
            sent
        }
    }

    /// # Safety
    /// What the list points to is alive.
    unsafe fn send_one(&self, list: &Arguments) -> Result<(), NativeError> {
        loop {
            // SAFETY: as the caller promises; the library copies what it takes.
            let sent = unsafe {
                NativeError::check(sys::rd_kafka_produceva(self.client, list.all.as_ptr(), list.len))
            };
            match sent {
                Err(error) if error.code == RDKafkaErrorCode::QueueFull => thread::sleep(FULL_WAIT),
                sent => return sent,
            }
        }
    }

    /// Offsets are the next to read.
    pub(in crate::kafka) fn send_offsets(
        &self,
        topic: &str,
        offsets: &BTreeMap<Partition, NextOffset>,
        (group, instance, member): (&str, Option<&str>, &Membership),
        wait: Duration,
    ) -> Result<(), NativeError> {
        let mut list = TopicPartitionList::with_capacity(offsets.len());
        for (partition, next) in offsets {
            let offset = rdkafka::Offset::Offset(next.0 as i64);
            list.add_partition_offset(topic, partition.0 as i32, offset)
                .expect("a partition and an offset fit");
        }
        let (group, id) = (c_string(group), c_string(&member.member));
        let instance = instance.map(c_string);
        // SAFETY: the metadata is ours until it is destroyed; the library copies what it needs.
        unsafe {
            let metadata = sys::rd_kafka_consumer_group_metadata_new_with_genid(
                group.as_ptr(),
                member.generation,
                id.as_ptr(),
                instance.as_ref().map_or(std::ptr::null(), |name| name.as_ptr()),
            );
            let sent =
                sys::rd_kafka_send_offsets_to_transaction(self.client, list.ptr(), metadata, millis(wait));
            sys::rd_kafka_consumer_group_metadata_destroy(metadata);
            NativeError::check(sent)
        }
    }

    /// Without a limit: whoever calls has a watchdog.
    pub(in crate::kafka) fn commit(&self) -> Result<(), NativeError> {
        // SAFETY: as in `init`.
        unsafe { NativeError::check(sys::rd_kafka_commit_transaction(self.client, -1)) }
    }

    /// Without a limit: whoever calls has a watchdog.
    pub(in crate::kafka) fn abort(&self) -> Result<(), NativeError> {
        // SAFETY: as in `init`.
        unsafe { NativeError::check(sys::rd_kafka_abort_transaction(self.client, -1)) }
    }
}

impl Drop for TransactionalProducer {
    fn drop(&mut self) {
        self.is_closing.store(true, Ordering::SeqCst);
        if let Some(serving) = self.serving.take() {
            // It only polls.
            let _ = serving.join();
        }
        // SAFETY: nobody else has the client any more; the counters go after it.
        unsafe { sys::rd_kafka_destroy(self.client) }
    }
}

/// The arguments of one produce call.
struct Arguments {
    all: [sys::rd_kafka_vu_t; 6],
    len: usize,
}

impl Arguments {
    /// # Safety
    /// The list points into `topic` and `record`, and must not outlive them.
    unsafe fn of(topic: *mut sys::rd_kafka_topic_t, partition: Partition, record: OutSlice<'_>) -> Arguments {
        use sys::rd_kafka_vtype_t as T;
        // SAFETY: as the caller promises.
        let mut list = unsafe { Arguments::plain(topic, partition, (Some(record.key), record.value)) };
        if let Some(schema) = record.schema {
            list.all[5].vtype = T::RD_KAFKA_VTYPE_HEADER;
            list.all[5].u.header = sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_2 {
                name: c"schema".as_ptr(),
                val: schema.as_ptr().cast(),
                size: schema.len() as isize,
            };
            list.len = 6;
        }
        list
    }

    /// # Safety
    /// The list points into all that it is made of, and must not outlive it.
    unsafe fn with_headers(
        topic: *mut sys::rd_kafka_topic_t,
        partition: Partition,
        record: (Option<&[u8]>, Option<&[u8]>),
        headers: *mut sys::rd_kafka_headers_t,
    ) -> Arguments {
        // SAFETY: as the caller promises.
        let mut list = unsafe { Arguments::plain(topic, partition, record) };
        list.all[5].vtype = sys::rd_kafka_vtype_t::RD_KAFKA_VTYPE_HEADERS;
        list.all[5].u.headers = headers;
        list.len = 6;
        list
    }

    /// # Safety
    /// The list points into `topic`, key and value, and must not outlive them.
    unsafe fn plain(
        topic: *mut sys::rd_kafka_topic_t,
        partition: Partition,
        (key, value): (Option<&[u8]>, Option<&[u8]>),
    ) -> Arguments {
        use sys::rd_kafka_vtype_t as T;
        // SAFETY: all parts of the union are plain numbers and pointers, for which zeros are a value.
        let mut none: sys::rd_kafka_vu_t = unsafe { mem::zeroed() };
        none.vtype = T::RD_KAFKA_VTYPE_END;
        let of = |vtype| sys::rd_kafka_vu_t { vtype, ..none };
        let mut all = [none; 6];
        all[0] = of(T::RD_KAFKA_VTYPE_RKT);
        all[0].u.rkt = topic;
        all[1] = of(T::RD_KAFKA_VTYPE_PARTITION);
        all[1].u.i32_ = partition.0 as i32;
        all[2] = of(T::RD_KAFKA_VTYPE_MSGFLAGS);
        all[2].u.i = sys::RD_KAFKA_MSG_F_COPY;
        all[3] = of(T::RD_KAFKA_VTYPE_KEY);
        all[3].u.mem = memory(key);
        all[4] = of(T::RD_KAFKA_VTYPE_VALUE);
        all[4].u.mem = memory(value);
        Arguments { all, len: 5 }
    }
}

/// No value at all is a null pointer; an empty one is not.
fn memory(bytes: Option<&[u8]>) -> sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 {
    let ptr = bytes.map_or(std::ptr::null(), <[u8]>::as_ptr);
    sys::rd_kafka_vu_s__bindgen_ty_1__bindgen_ty_1 {
        ptr: ptr.cast_mut().cast(),
        size: bytes.map_or(0, <[u8]>::len),
    }
}

/// Called on the thread that serves events. The text is the library's, which frees it.
unsafe extern "C" fn on_statistics(
    _client: *mut RDKafka,
    json: *mut c_char,
    len: usize,
    lines: *mut c_void,
) -> c_int {
    const FREE_IT: c_int = 0;
    // SAFETY: the notes outlive the client; the text lives until this returns.
    let (lines, json) = unsafe { (&*lines.cast::<Lines>(), slice::from_raw_parts(json.cast::<u8>(), len)) };
    lines.note(Role::Aggregate, json);
    FREE_IT
}

/// Called by the library for a new client.
unsafe extern "C" fn on_new(
    client: *mut RDKafka,
    _conf: *const sys::rd_kafka_conf_t,
    requests: *mut c_void,
    _text: *mut c_char,
    _len: usize,
) -> sys::rd_kafka_resp_err_t {
    // SAFETY: the library's own client; `requests` are those that were given with the hook.
    unsafe {
        sys::rd_kafka_interceptor_add_on_request_sent(client, c"requests".as_ptr(), Some(on_sent), requests);
        sys::rd_kafka_interceptor_add_on_response_received(
            client,
            c"requests".as_ptr(),
            Some(on_answered),
            requests,
        )
    }
}

fn counts(api: i16) -> bool {
    matches!(api, ADD_PARTITIONS | ADD_OFFSETS | END | COMMIT_OFFSETS)
}

/// Called on the thread that sends, for every request.
unsafe extern "C" fn on_sent(
    _client: *mut RDKafka,
    _socket: c_int,
    _broker: *const c_char,
    _broker_id: i32,
    api: i16,
    _version: i16,
    _correlation: i32,
    _size: usize,
    requests: *mut c_void,
) -> sys::rd_kafka_resp_err_t {
    // SAFETY: the counters outlive the client.
    let requests = unsafe { &*requests.cast::<Requests>() };
    if counts(api) {
        requests.sent.fetch_add(1, Ordering::SeqCst);
    }
    if api == END {
        requests.ends.fetch_add(1, Ordering::SeqCst);
        failpoint::reached(Failpoint::AggregateEndSent);
    }
    RD_KAFKA_RESP_ERR_NO_ERROR
}

/// Called on the thread that receives, for every answer.
unsafe extern "C" fn on_answered(
    _client: *mut RDKafka,
    _socket: c_int,
    _broker: *const c_char,
    _broker_id: i32,
    api: i16,
    _version: i16,
    _correlation: i32,
    _size: usize,
    _rtt: i64,
    error: sys::rd_kafka_resp_err_t,
    requests: *mut c_void,
) -> sys::rd_kafka_resp_err_t {
    // SAFETY: the counters outlive the client.
    let requests = unsafe { &*requests.cast::<Requests>() };
    // An error here is the connection's: the answer did not come.
    if counts(api) && error == RD_KAFKA_RESP_ERR_NO_ERROR {
        requests.answered.fetch_add(1, Ordering::SeqCst);
    }
    RD_KAFKA_RESP_ERR_NO_ERROR
}
