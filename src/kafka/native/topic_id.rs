//! Which topic a name stands for: a topic that is made again under its old name gets a new id (KIP-516).

use super::{NativeError, c_string, millis};
use rdkafka::types::RDKafka;
use rdkafka_sys as sys;
use rdkafka_sys::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
use rdkafka_sys::rd_kafka_resp_err_t::{RD_KAFKA_RESP_ERR__TIMED_OUT, RD_KAFKA_RESP_ERR_NO_ERROR};
use std::ptr::null_mut;
use std::time::Duration;

/// How much longer than the request itself its answer is waited for: the library always answers.
pub(super) const GRACE: Duration = Duration::from_secs(1);

/// The topic's id and how many partitions it has.
pub(in crate::kafka) fn topic_id(
    client: *mut RDKafka,
    name: &str,
    wait: Duration,
) -> Result<(u128, u32), NativeError> {
    let name = c_string(name);
    let mut names = [name.as_ptr()];
    // SAFETY: the client outlives the call. What is made here is destroyed here, the event last of what it lends.
    unsafe {
        let topics = sys::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        let options = sys::rd_kafka_AdminOptions_new(client, RD_KAFKA_ADMIN_OP_DESCRIBETOPICS);
        sys::rd_kafka_AdminOptions_set_request_timeout(options, millis(wait), null_mut(), 0);
        let queue = sys::rd_kafka_queue_new(client);
        sys::rd_kafka_DescribeTopics(client, topics, options, queue);
        let event = sys::rd_kafka_queue_poll(queue, millis(wait + GRACE));
        let answer = if event.is_null() {
            Err(NativeError::from_code(RD_KAFKA_RESP_ERR__TIMED_OUT))
        } else {
            let answer = read(event);
            sys::rd_kafka_event_destroy(event);
            answer
        };
        sys::rd_kafka_queue_destroy(queue);
        sys::rd_kafka_AdminOptions_destroy(options);
        sys::rd_kafka_TopicCollection_destroy(topics);
        answer
    }
}

/// # Safety
/// `event` is alive and answers a DescribeTopics request for one topic.
unsafe fn read(event: *mut sys::rd_kafka_event_t) -> Result<(u128, u32), NativeError> {
    // SAFETY: what the event lends is read before it goes.
    unsafe {
        let code = sys::rd_kafka_event_error(event);
        if code != RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(NativeError::from_code(code));
        }
        let result = sys::rd_kafka_event_DescribeTopics_result(event);
        let mut count = 0;
        let topics = sys::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        assert_eq!(count, 1, "one topic was asked for");
        let topic = *topics;
        // A topic that is not there is an error of the topic, not of the call.
        let error = sys::rd_kafka_TopicDescription_error(topic);
        if !error.is_null() && sys::rd_kafka_error_code(error) != RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(NativeError::from_code(sys::rd_kafka_error_code(error)));
        }
        let mut partitions = 0;
        sys::rd_kafka_TopicDescription_partitions(topic, &raw mut partitions);
        let id = sys::rd_kafka_TopicDescription_topic_id(topic);
        let high = sys::rd_kafka_Uuid_most_significant_bits(id) as u64;
        let low = sys::rd_kafka_Uuid_least_significant_bits(id) as u64;
        let partitions = u32::try_from(partitions).expect("a topic has few partitions");
        Ok((u128::from(high) << 64 | u128::from(low), partitions))
    }
}
