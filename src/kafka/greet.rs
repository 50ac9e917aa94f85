//! The first word with the brokers: whether anybody is there, and whether they know us.
//!
//! Clients try again for ever, also with a password that is wrong, and a question only runs out of time. What the
//! client says meanwhile tells the two apart.

use super::error::Error;
use super::native::give_token;
use super::settings::Settings;
use rdkafka::client::ClientContext;
use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer, ProducerContext};
use rdkafka::types::{RDKafka, RDKafkaErrorCode as Code};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The first question's limit; each further one may take twice as long.
const FIRST: Duration = Duration::from_millis(500);

/// How long the client's own words are listened to between two questions.
const LISTEN: Duration = Duration::from_millis(20);

/// Remembers why the brokers were not talked to, if the reason is one of ours.
#[derive(Default)]
struct Ear {
    refusal: Mutex<Option<(Code, String)>>,
}

impl ClientContext for Ear {
    fn error(&self, error: KafkaError, reason: &str) {
        let Some(code) = error.rdkafka_error_code().and_then(|code| refusal(code, reason)) else { return };
        let mut refusal = self.refusal.lock().unwrap_or_else(PoisonError::into_inner);
        *refusal = Some((code, reason.to_owned()));
    }
}

/// Is it more than a broker that is away?
fn refusal(code: Code, reason: &str) -> Option<Code> {
    match code {
        Code::Authentication | Code::SSL => Some(code),
        // In TLS 1.3 a broker looks at our certificate when the client thinks that the line stands.
        Code::BrokerTransportFailure if reason.contains("SSL alert number") => Some(Code::SSL),
        _ => None,
    }
}

impl ProducerContext for Ear {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

/// Gives a client its token, if it needs one. By itself it would ask for it only in a poll, which some clients never
/// see, and say what is wrong with it in words of its own.
pub(super) fn sign_in(settings: &Settings, client: *mut RDKafka) -> Result<(), Error> {
    let Some(token) = settings.token()? else { return Ok(()) };
    give_token(client, &token).map_err(|error| Error::native("use the token", error))
}

/// How many brokers there are. Ends as soon as they refuse us, else within the time of a request.
pub(super) fn greet(settings: &Settings) -> Result<usize, Error> {
    let client: BaseProducer<Ear> = settings
        .client()
        .create_with_context(Ear::default())
        .map_err(|error| Error::call("make a client", &error))?;
    sign_in(settings, client.client().native_ptr())?;
    let end = Instant::now() + settings.timeouts.request;
    let mut wait = FIRST;
    loop {
        let left = end.saturating_duration_since(Instant::now());
        let metadata = client.client().fetch_metadata(None, wait.min(left));
        let error = match metadata {
            Ok(metadata) => return Ok(metadata.brokers().len()),
            Err(error) => error,
        };
        client.poll(LISTEN);
        let refusal = client.context().refusal.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some((code, text)) = refusal {
            return Err(Error::Refused { is_tls: code == Code::SSL, text });
        }
        if left.is_zero() {
            return Err(Error::call("ask for the brokers", &error));
        }
        wait *= 2;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_refuses_us_is_told_from_one_that_is_away() {
        let alert =
            "Disconnected: error:0A000412:SSL routines::ssl/tls alert bad certificate: SSL alert number 42";

        assert_eq!(refusal(Code::Authentication, "invalid_token"), Some(Code::Authentication));
        assert_eq!(refusal(Code::SSL, "certificate verify failed"), Some(Code::SSL));
        assert_eq!(refusal(Code::BrokerTransportFailure, alert), Some(Code::SSL));
        assert_eq!(refusal(Code::BrokerTransportFailure, "Connection refused"), None);
    }
}
