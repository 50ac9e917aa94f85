//! What went wrong between us and the brokers, and what the worker is to do about it.

use super::native::NativeError;
use super::token::Wrong;
use crate::model::{NextOffset, Partition, TopicPartition};
use crate::port::{Failure, Reaction};
use rdkafka::error::KafkaError;
use rdkafka::types::RDKafkaErrorCode as Code;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot {doing}: {text}")]
    Call { doing: String, text: String, code: Option<Code>, is_fatal: bool },

    #[error("a client setting is wrong: {0}")]
    Settings(String),

    #[error("{topic} partition {} is wanted from offset {wanted} on, and the brokers have [{first}, {next})", at.partition)]
    OutOfRange { topic: String, at: TopicPartition, wanted: NextOffset, first: u64, next: u64 },

    #[error("{group}: another process is the same member; give each process an ordinal of its own ({text})")]
    Twin { group: String, text: String },

    #[error("{} ({text}); see `kafka.security` of the configuration", refusal(*is_tls))]
    Refused { is_tls: bool, text: String },

    #[error("{file} {wrong}; see `kafka.security` of the configuration")]
    Token { file: String, wrong: Wrong },

    #[error("cannot sign in at Amazon MSK: {text}; see `kafka.security` of the configuration")]
    Keys { reaction: Reaction, text: String },

    #[error("no member of the group, so nothing can be committed")]
    NotAMember,

    #[error("the brokers did not answer in time: {0}")]
    Silent(String),

    #[error("{topic} has partition {partition}, and not every broker knows it yet ({text})")]
    Disagreed { topic: String, partition: Partition, text: String },

    #[error("{0}")]
    Misuse(&'static str),
}

impl Error {
    pub(super) fn call(doing: impl Into<String>, error: &KafkaError) -> Error {
        let code = error.rdkafka_error_code();
        match error {
            KafkaError::ClientConfig(_, text, key, value) if !is_secret(key) => {
                Error::Settings(format!("{key} = {value}: {text}"))
            }
            KafkaError::ClientConfig(_, text, key, _) => Error::Settings(format!("{key}: {text}")),
            KafkaError::ClientCreation(text) => Error::Settings(text.clone()),
            _ => Error::Call {
                doing: doing.into(),
                text: error.to_string(),
                code,
                is_fatal: code == Some(Code::Fatal),
            },
        }
    }

    pub(super) fn native(doing: impl Into<String>, error: NativeError) -> Error {
        let NativeError { code, text, is_fatal, .. } = error;
        Error::Call { doing: doing.into(), text, code: Some(code), is_fatal }
    }

    pub(super) fn code(doing: impl Into<String>, code: Code) -> Error {
        Error::Call { doing: doing.into(), text: code.to_string(), code: Some(code), is_fatal: false }
    }

    /// Whether brokers did not even let us look at a topic.
    pub fn is_hidden_topic(&self) -> bool {
        matches!(self, Error::Call { code: Some(Code::TopicAuthorizationFailed), .. })
    }

    fn reaction(&self) -> Reaction {
        match self {
            Error::Call { is_fatal: true, .. } | Error::NotAMember => Reaction::Rejoin,
            Error::Call { code: Some(code), .. } => reaction(*code),
            Error::Keys { reaction, .. } => *reaction,
            Error::Call { code: None, .. } | Error::Silent(_) | Error::Disagreed { .. } => Reaction::Retry,
            Error::Settings(_)
            | Error::Refused { .. }
            | Error::Token { .. }
            | Error::OutOfRange { .. }
            | Error::Twin { .. }
            | Error::Misuse(_) => Reaction::Halt,
        }
    }
}

fn refusal(is_tls: bool) -> &'static str {
    match is_tls {
        true => "no encrypted line to the brokers",
        false => "the brokers do not know us",
    }
}

pub(super) fn is_secret(key: &str) -> bool {
    ["password", "secret", "key", "token", "jaas"].iter().any(|word| key.contains(word))
}

/// What an error code asks for. Unknown ones pass, as most do; so does a broker that does not know us any more while we
/// run (at the start that is [`Error::Refused`]): whoever renews tokens or changes passwords may be late.
fn reaction(code: Code) -> Reaction {
    match code {
        Code::Fenced
        | Code::ProducerFenced
        | Code::InvalidProducerEpoch
        | Code::FencedInstanceId
        | Code::IllegalGeneration
        | Code::UnknownMemberId
        | Code::RebalanceInProgress
        | Code::AssignmentLost => Reaction::Rejoin,
        Code::TopicAuthorizationFailed
        | Code::GroupAuthorizationFailed
        | Code::ClusterAuthorizationFailed
        | Code::TransactionalIdAuthorizationFailed
        | Code::SaslAuthenticationFailed
        | Code::UnknownTopicOrPartition
        | Code::UnknownTopic
        | Code::UnknownPartition
        | Code::AutoOffsetReset
        | Code::OffsetOutOfRange
        | Code::InvalidTransactionTimeout
        | Code::UnsupportedVersion
        | Code::MessageSizeTooLarge => Reaction::Halt,
        _ => Reaction::Retry,
    }
}

/// No such topic, or no such partition, as far as whoever says it knows.
pub(super) fn is_unknown(code: Code) -> bool {
    matches!(code, Code::UnknownTopicOrPartition | Code::UnknownTopic | Code::UnknownPartition)
}

/// The library mends these itself, and tells of them all the same.
pub(super) fn is_passing(code: Code) -> bool {
    matches!(
        code,
        Code::AllBrokersDown
            | Code::BrokerTransportFailure
            | Code::Authentication
            | Code::Resolve
            | Code::OperationTimedOut
            | Code::RequestTimedOut
            | Code::PollExceeded
            | Code::NotCoordinator
            | Code::CoordinatorNotAvailable
            | Code::CoordinatorLoadInProgress
            | Code::LeaderNotAvailable
            | Code::NotLeaderForPartition
            | Code::NetworkException
    )
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::new(error.reaction(), error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_is_not_known_any_more_tries_again_and_who_never_was_halts() {
        let text = String::from("invalid_token");

        let late = Error::code("commit", Code::Authentication);
        let unknown = Error::Refused { is_tls: false, text };

        assert_eq!(Failure::from(late).reaction, Reaction::Retry);
        assert_eq!(Failure::from(unknown).reaction, Reaction::Halt);
    }
}
