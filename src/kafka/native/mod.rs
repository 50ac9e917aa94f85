//! The parts of librdkafka that the crate does not reach: all of the adapter's `unsafe` is in this folder.
//!
//! In: clients of the crate, or settings. Out: records in batches, topic ids, a transactional producer whose requests
//! are counted. Promises: nothing that comes out points into the library's memory. Never: a decision about what an
//! error means; that is [`super::error`]'s.
#![expect(unsafe_code, reason = "a C library")]

mod client;
mod consumer;
mod producer;
mod queue;
mod rights;
mod topic_id;

pub(super) use client::give_token;
pub(super) use consumer::{Change, Consumer};
pub(super) use producer::TransactionalProducer;
pub(super) use queue::Item;
pub(super) use rights::{Operations, group_rights, topic_rights};
pub(super) use topic_id::topic_id;

use queue::Queue;
use rdkafka::error::KafkaError;
use rdkafka::types::{RDKafka, RDKafkaErrorCode};
use rdkafka_sys as sys;
use std::ffi::{CStr, CString};
use std::time::Duration;

/// What a call of the library says when it fails.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text} ({code:?})")]
pub(super) struct NativeError {
    pub code: RDKafkaErrorCode,
    pub text: String,
    /// The client is of no use any more.
    pub is_fatal: bool,
    /// The same call may be made again.
    pub is_retriable: bool,
    /// The transaction has to be aborted.
    pub needs_abort: bool,
}

impl NativeError {
    /// Takes over the library's error object; none is success.
    ///
    /// # Safety
    /// `error` is null, or came from the library and is not used again.
    unsafe fn check(error: *mut sys::rd_kafka_error_t) -> Result<(), NativeError> {
        if error.is_null() {
            return Ok(());
        }
        // SAFETY: the object is alive until it is destroyed below; its text is copied before.
        let taken = unsafe {
            let taken = NativeError {
                code: sys::rd_kafka_error_code(error).into(),
                text: CStr::from_ptr(sys::rd_kafka_error_string(error)).to_string_lossy().into_owned(),
                is_fatal: sys::rd_kafka_error_is_fatal(error) != 0,
                is_retriable: sys::rd_kafka_error_is_retriable(error) != 0,
                needs_abort: sys::rd_kafka_error_txn_requires_abort(error) != 0,
            };
            sys::rd_kafka_error_destroy(error);
            taken
        };
        Err(taken)
    }

    fn from_error(error: &KafkaError) -> NativeError {
        let code = error.rdkafka_error_code().unwrap_or(RDKafkaErrorCode::Unknown);
        let text = error.to_string();
        NativeError { code, text, is_fatal: false, is_retriable: false, needs_abort: false }
    }

    fn from_code(code: sys::rd_kafka_resp_err_t) -> NativeError {
        // SAFETY: the text of a code is static.
        let text = unsafe { CStr::from_ptr(sys::rd_kafka_err2str(code)) }.to_string_lossy().into_owned();
        let code = code.into();
        // What a consumer says once it is of no use any more.
        let is_fatal = matches!(code, RDKafkaErrorCode::Fatal | RDKafkaErrorCode::FencedInstanceId);
        NativeError { code, text, is_fatal, is_retriable: false, needs_abort: false }
    }
}

fn code(code: sys::rd_kafka_resp_err_t) -> Result<(), NativeError> {
    match RDKafkaErrorCode::from(code) {
        RDKafkaErrorCode::NoError => Ok(()),
        _ => Err(NativeError::from_code(code)),
    }
}

/// Generation and member id of a consumer; `None` while it has none.
fn group_member(client: *mut RDKafka) -> Option<(i32, String)> {
    // SAFETY: the caller's consumer is alive; the metadata is ours until it is destroyed, and the id is copied.
    unsafe {
        let metadata = sys::rd_kafka_consumer_group_metadata(client);
        if metadata.is_null() {
            // Seen now and then while a consumer closes.
            return None;
        }
        let id = sys::rd_kafka_consumer_group_metadata_member_id(metadata);
        let id = CStr::from_ptr(id).to_string_lossy().into_owned();
        let generation = sys::rd_kafka_consumer_group_metadata_generation_id(metadata);
        sys::rd_kafka_consumer_group_metadata_destroy(metadata);
        Some((generation, id)).filter(|(generation, id)| *generation >= 0 && !id.is_empty())
    }
}

/// Names come from checked topologies and settings, which have no zero byte.
fn c_string(text: &str) -> CString {
    CString::new(text).expect("a checked name has no zero byte")
}

fn millis(time: Duration) -> i32 {
    i32::try_from(time.as_millis()).unwrap_or(i32::MAX)
}
