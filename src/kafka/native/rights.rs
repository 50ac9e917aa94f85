//! What brokers let us do with topics and groups (KIP-430). The crate does not wrap these questions.

use super::topic_id::GRACE;
use super::{NativeError, c_string, millis};
use rdkafka::types::RDKafka;
use rdkafka_sys as sys;
use rdkafka_sys::rd_kafka_admin_op_t::{
    RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS,
};
use rdkafka_sys::rd_kafka_resp_err_t::{RD_KAFKA_RESP_ERR__TIMED_OUT, RD_KAFKA_RESP_ERR_NO_ERROR};
use std::ffi::{CString, c_char};
use std::ptr::null_mut;
use std::time::Duration;

/// Operations by the numbers of Kafka's protocol. `None`: the broker does not say.
pub(in crate::kafka) type Operations = Option<Vec<u32>>;

/// For each topic, in the order of the names.
pub(in crate::kafka) fn topic_rights(
    client: *mut RDKafka,
    names: &[&str],
    wait: Duration,
) -> Result<Vec<Result<Operations, NativeError>>, NativeError> {
    let names: Vec<CString> = names.iter().map(|name| c_string(name)).collect();
    let mut names: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    // SAFETY: the client outlives the call, the names do so until the collection is made of copies. What is made here is
    // destroyed here.
    unsafe {
        let topics = sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        let send = |options, queue| sys::rd_kafka_DescribeTopics(client, topics, options, queue);
        let answer = ask(client, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS, wait, send, |event| read_topics(event));
        sys::rd_kafka_TopicCollection_destroy(topics);
        answer
    }
}

/// For each group, in the order of the names. A group that nobody has joined yet is answered like any other.
pub(in crate::kafka) fn group_rights(
    client: *mut RDKafka,
    names: &[&str],
    wait: Duration,
) -> Result<Vec<Result<Operations, NativeError>>, NativeError> {
    let names: Vec<CString> = names.iter().map(|name| c_string(name)).collect();
    let mut names: Vec<*const c_char> = names.iter().map(|name| name.as_ptr()).collect();
    // SAFETY: as above; the library copies the names before the call returns.
    unsafe {
        let (all, count) = (names.as_mut_ptr(), names.len());
        let send = |options, queue| sys::rd_kafka_DescribeConsumerGroups(client, all, count, options, queue);
        ask(client, RD_KAFKA_ADMIN_OP_DESCRIBECONSUMERGROUPS, wait, send, |event| read_groups(event))
    }
}

/// Sends one question that asks for operations, and reads its answer.
///
/// # Safety
/// The client outlives the call; `send` sends a request of this kind, and `read` reads an event that answers it and
/// keeps nothing that the event lends.
unsafe fn ask<T>(
    client: *mut RDKafka,
    kind: sys::rd_kafka_admin_op_t,
    wait: Duration,
    send: impl FnOnce(*const sys::rd_kafka_AdminOptions_t, *mut sys::rd_kafka_queue_t),
    read: impl FnOnce(*mut sys::rd_kafka_event_t) -> Result<T, NativeError>,
) -> Result<T, NativeError> {
    // SAFETY: what is made here is destroyed here, after its last use.
    unsafe {
        let options = sys::rd_kafka_AdminOptions_new(client, kind);
        sys::rd_kafka_AdminOptions_set_request_timeout(options, millis(wait), null_mut(), 0);
        let set = sys::rd_kafka_AdminOptions_set_include_authorized_operations(options, 1);
        let queue = sys::rd_kafka_queue_new(client);
        let answer = NativeError::check(set).and_then(|()| {
            send(options, queue);
            let event = sys::rd_kafka_queue_poll(queue, millis(wait + GRACE));
            if event.is_null() {
                return Err(NativeError::from_code(RD_KAFKA_RESP_ERR__TIMED_OUT));
            }
            let code = sys::rd_kafka_event_error(event);
            let answer = match code {
                RD_KAFKA_RESP_ERR_NO_ERROR => read(event),
                code => Err(NativeError::from_code(code)),
            };
            sys::rd_kafka_event_destroy(event);
            answer
        });
        sys::rd_kafka_queue_destroy(queue);
        sys::rd_kafka_AdminOptions_destroy(options);
        answer
    }
}

/// # Safety
/// `event` is alive and answers a DescribeTopics request without an error.
unsafe fn read_topics(
    event: *mut sys::rd_kafka_event_t,
) -> Result<Vec<Result<Operations, NativeError>>, NativeError> {
    // SAFETY: what the event lends is copied before it goes.
    unsafe {
        let result = sys::rd_kafka_event_DescribeTopics_result(event);
        let mut count = 0;
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        let each = (0..count).map(|place| {
            let topic = *topics.add(place);
            failed(sys::rd_kafka_TopicDescription_error(topic))?;
            let mut count = 0;
            let all = sys::rd_kafka_TopicDescription_authorized_operations(topic, &raw mut count);
            Ok(operations(all, count))
        });
        Ok(each.collect())
    }
}

/// # Safety
/// `event` is alive and answers a DescribeConsumerGroups request without an error.
unsafe fn read_groups(
    event: *mut sys::rd_kafka_event_t,
) -> Result<Vec<Result<Operations, NativeError>>, NativeError> {
    // SAFETY: as above.
    unsafe {
        let result = sys::rd_kafka_event_DescribeConsumerGroups_result(event);
        let mut count = 0;
        let groups = sys::rd_kafka_DescribeConsumerGroups_result_groups(result, &raw mut count);
        let each = (0..count).map(|place| {
            let group = *groups.add(place);
            failed(sys::rd_kafka_ConsumerGroupDescription_error(group))?;
            let mut count = 0;
            let all = sys::rd_kafka_ConsumerGroupDescription_authorized_operations(group, &raw mut count);
            Ok(operations(all, count))
        });
        Ok(each.collect())
    }
}

/// An error that belongs to an answer, and is not ours to destroy.
///
/// # Safety
/// `error` is null or alive.
unsafe fn failed(error: *const sys::rd_kafka_error_t) -> Result<(), NativeError> {
    // SAFETY: the caller's.
    let code = match error.is_null() {
        true => RD_KAFKA_RESP_ERR_NO_ERROR,
        false => unsafe { sys::rd_kafka_error_code(error) },
    };
    match code {
        RD_KAFKA_RESP_ERR_NO_ERROR => Ok(()),
        code => Err(NativeError::from_code(code)),
    }
}

/// # Safety
/// `all` is null, or points to so many operations.
unsafe fn operations(all: *const sys::rd_kafka_AclOperation_t, count: usize) -> Operations {
    // Null is "was not told"; a list of none is "nothing is allowed".
    // SAFETY: the caller's.
    (!all.is_null()).then(|| (0..count).map(|place| unsafe { *all.add(place) } as u32).collect())
}
