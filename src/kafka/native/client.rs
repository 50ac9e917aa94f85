//! How every client of ours begins: with an ear for what it says by itself, and with tokens where it needs them.

use super::NativeError;
use super::c_string;
use crate::kafka::said::{is_heard, said};
use crate::kafka::token::{self, Token};
use rdkafka::config::ClientConfig;
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafka;
use rdkafka_sys as sys;
use std::ffi::{CStr, c_char, c_int, c_void};
use std::mem;
use std::ptr::null_mut;

/// How loud a missing token is: syslog's `err`, as the library's own word for it.
const ERROR: i32 = 3;

/// A client with these settings; `more` adds what is the caller's own.
pub(super) fn make(
    config: &ClientConfig,
    kind: sys::rd_kafka_type_t,
    more: impl FnOnce(*mut sys::rd_kafka_conf_t),
) -> Result<*mut RDKafka, KafkaError> {
    let native = config.create_native_config()?;
    let needs_tokens = token::source(config).is_some();
    let mut text = [0 as c_char; 512];
    // SAFETY: no client was made of the configuration yet, and the functions that are given live as long as the program.
    // The library takes the configuration over if it makes a client, and only then.
    let client = unsafe {
        let conf = native.ptr();
        if is_heard() {
            sys::rd_kafka_conf_set_log_cb(conf, Some(on_log));
        }
        if needs_tokens {
            sys::rd_kafka_conf_set_oauthbearer_token_refresh_cb(conf, Some(on_token));
            sys::rd_kafka_conf_enable_sasl_queue(conf, 1);
        }
        more(conf);
        sys::rd_kafka_new(kind, conf, text.as_mut_ptr(), text.len())
    };
    if client.is_null() {
        // SAFETY: the library ends its text with a zero byte.
        let text = unsafe { CStr::from_ptr(text.as_ptr()) }.to_string_lossy().into_owned();
        return Err(KafkaError::ClientCreation(text));
    }
    mem::forget(native);
    if needs_tokens {
        // On a thread of the library's: whoever asks for metadata before the first poll would wait in vain.
        // SAFETY: the client is alive, and nobody else has it yet.
        unsafe {
            let served = NativeError::check(sys::rd_kafka_sasl_background_callbacks_enable(client));
            if let Err(error) = served {
                sys::rd_kafka_destroy(client);
                return Err(KafkaError::ClientCreation(error.text));
            }
        }
    }
    Ok(client)
}

/// Gives a client its token; until then it connects to nobody.
pub(in crate::kafka) fn give_token(client: *mut RDKafka, token: &Token) -> Result<(), NativeError> {
    let mut why = [0 as c_char; 512];
    let (text, principal) = (c_string(&token.text), c_string(&token.principal));
    // SAFETY: the caller's client is alive; the library copies the texts, and ends its own with a zero byte.
    unsafe {
        let expires = token.expires.as_millisecond();
        let (none, why, len) = (null_mut(), why.as_mut_ptr(), why.len());
        let (text, principal) = (text.as_ptr(), principal.as_ptr());
        let code = sys::rd_kafka_oauthbearer_set_token(client, text, expires, principal, none, 0, why, len);
        super::code(code).map_err(|error| NativeError {
            text: CStr::from_ptr(why).to_string_lossy().into_owned(),
            ..error
        })
    }
}

/// Called on threads of the library.
unsafe extern "C" fn on_log(_: *const RDKafka, level: c_int, facility: *const c_char, text: *const c_char) {
    // SAFETY: both end with a zero byte, and live until this returns.
    let [facility, text] = [facility, text].map(|text| unsafe { CStr::from_ptr(text) }.to_string_lossy());
    said(level, &facility, &text);
}

/// Called on a thread of the library whenever it wants a token: at first, and when most of the last one's time is over.
unsafe extern "C" fn on_token(client: *mut RDKafka, source: *const c_char, _: *mut c_void) {
    // SAFETY: the setting that [`token::source`] found; it ends with a zero byte.
    let source = unsafe { CStr::from_ptr(source) }.to_string_lossy();
    let given = token::get(&source).map_err(|error| error.to_string());
    let given = given.and_then(|token| give_token(client, &token).map_err(|error| error.text));
    if let Err(text) = given {
        // The library says so once, and then asks again every ten seconds.
        if is_heard() {
            said(ERROR, "TOKEN", &text);
        }
        let text = c_string(&text.replace('\0', " "));
        // SAFETY: the client is alive while it calls; the text is copied.
        unsafe { sys::rd_kafka_oauthbearer_set_token_failure(client, text.as_ptr()) };
    }
}
