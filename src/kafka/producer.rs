//! The idempotent producer of route.

use super::error::Error;
use super::lines::Lines;
use super::ready;
use super::said::said;
use super::settings::Settings;
use super::token;
use crate::model::{LogTime, Offset, OutRecord, Role, TopicPartition};
use crate::port::{self, Delivery, Failure, Pending, Reaction, Ticket};
use rdkafka::client::{ClientContext, OAuthToken};
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::message::{DeliveryResult, Header, Message, OwnedHeaders};
use rdkafka::producer::{BaseRecord, ProducerContext, ThreadedProducer};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender};
use std::time::Duration;

type Outcome = Result<(Offset, LogTime), Error>;

/// Hands deliveries from the library's thread to ours.
struct Answers {
    to: Sender<(Ticket, Outcome)>,
    lines: Arc<Lines>,
}

pub(super) struct Producer {
    settings: Arc<Settings>,
    lines: Arc<Lines>,
    /// Made at the first send.
    client: Option<ThreadedProducer<Answers>>,
    tickets: u64,
    answers: Sender<(Ticket, Outcome)>,
    answered: Receiver<(Ticket, Outcome)>,
    /// Sends without an answer yet, and their bytes.
    open: BTreeMap<Ticket, usize>,
    bytes: usize,
}

impl ClientContext for Answers {
    const ENABLE_REFRESH_OAUTH_TOKEN: bool = true;

    fn log(&self, level: RDKafkaLogLevel, facility: &str, text: &str) {
        said(level as i32, facility, text);
    }

    /// Every failed delivery is told by itself.
    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "producer reported");
    }

    fn stats_raw(&self, statistics: &[u8]) {
        self.lines.note(Role::Route, statistics);
    }

    /// Asked on the crate's own thread, which polls all the time.
    fn generate_oauth_token(&self, source: Option<&str>) -> Result<OAuthToken, Box<dyn std::error::Error>> {
        let found = token::get(source.unwrap_or_default())?;
        let (principal_name, lifetime_ms) = (found.principal, found.expires.as_millisecond());
        Ok(OAuthToken { token: found.text, principal_name, lifetime_ms })
    }
}

impl ProducerContext for Answers {
    type DeliveryOpaque = usize;

    fn delivery(&self, result: &DeliveryResult<'_>, ticket: usize) {
        let outcome = match result {
            Ok(message) => {
                let time = message.timestamp().to_millis().unwrap_or_default();
                let offset = u64::try_from(message.offset()).unwrap_or_default();
                Ok((Offset(offset), LogTime(time.saturating_mul(1_000))))
            }
            Err((error, _)) => Err(Error::call("deliver a record", error)),
        };
        // A producer that is gone does not want to know.
        let _ = self.to.send((Ticket(ticket as u64), outcome));
    }
}

impl Producer {
    pub(super) fn new(settings: Arc<Settings>, lines: Arc<Lines>) -> Self {
        let (answers, answered) = mpsc::channel();
        let open = BTreeMap::new();
        Producer { settings, lines, client: None, tickets: 0, answers, answered, open, bytes: 0 }
    }

    fn client(&mut self) -> Result<&ThreadedProducer<Answers>, Error> {
        if self.client.is_none() {
            let context = Answers { to: self.answers.clone(), lines: Arc::clone(&self.lines) };
            let made = self.settings.producer().create_with_context(context);
            self.client = Some(made.map_err(|error| Error::call("make a producer", &error))?);
        }
        Ok(self.client.as_ref().expect("made above"))
    }

    fn send_now(&mut self, ticket: Ticket, to: TopicPartition, record: &OutRecord) -> Result<(), Error> {
        let topic = self.settings.topic(to.topic);
        let mut sent = BaseRecord::<[u8], [u8], usize>::with_opaque_to(&topic, ticket.0 as usize);
        sent = sent.partition(to.partition.0 as i32);
        if let Some(key) = &record.key {
            sent = sent.key(key.as_slice());
        }
        if let Some(value) = &record.value {
            sent = sent.payload(value.as_slice());
        }
        if !record.headers.is_empty() {
            let headers = OwnedHeaders::new_with_capacity(record.headers.len());
            let add = |headers: OwnedHeaders, (name, value): &(String, Vec<u8>)| {
                headers.insert(Header { key: name, value: Some(value) })
            };
            sent = sent.headers(record.headers.iter().fold(headers, add));
        }
        let taken = self.client()?.send(sent);
        taken.map_err(|(error, _): (KafkaError, _)| Error::call(format!("send to {topic}"), &error))
    }

    fn done(&mut self, (ticket, outcome): (Ticket, Outcome)) -> Delivery {
        self.bytes -= self.open.remove(&ticket).unwrap_or_default();
        Delivery { ticket, outcome: outcome.map_err(lost) }
    }
}

/// Whatever the reason, nothing behind a lost record may be sent by the same producer.
fn lost(error: Error) -> Failure {
    let failure = Failure::from(error);
    match failure.reaction {
        Reaction::Halt => failure,
        _ => Failure { reaction: Reaction::Replay, ..failure },
    }
}

impl port::Producer for Producer {
    fn send(&mut self, to: TopicPartition, record: OutRecord) -> Ticket {
        let ticket = Ticket(self.tickets);
        self.tickets += 1;
        let bytes = [&record.key, &record.value].map(|part| part.as_ref().map_or(0, Vec::len)).iter().sum();
        self.open.insert(ticket, bytes);
        self.bytes += bytes;
        if let Err(error) = self.send_now(ticket, to, &record) {
            // We hold the other end.
            let _ = self.answers.send((ticket, Err(error)));
        }
        ticket
    }

    fn queued_bytes(&self) -> usize {
        self.bytes
    }

    fn deliveries(&mut self, wait: Duration) -> Pending<'_, Vec<Delivery>> {
        let mut answered: Vec<_> = self.answered.try_iter().collect();
        if answered.is_empty() && !self.open.is_empty() {
            answered.extend(self.answered.recv_timeout(wait));
            answered.extend(self.answered.try_iter());
        }
        let deliveries = answered.into_iter().map(|answered| self.done(answered)).collect();
        ready(Ok::<_, Failure>(deliveries))
    }
}
