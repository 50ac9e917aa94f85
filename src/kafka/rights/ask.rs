//! Asking brokers what we may do.

use super::{Answer, Need, Operation, Resource};
use crate::kafka::error::Error;
use crate::kafka::greet::sign_in;
use crate::kafka::native::{NativeError, Operations, TransactionalProducer, group_rights, topic_rights};
use crate::kafka::settings::Settings;
use rdkafka::producer::{BaseProducer, Producer};
use rdkafka::types::RDKafka;
use rdkafka::types::RDKafkaErrorCode as Code;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

/// Asks about several resources of one kind.
type Question =
    fn(*mut RDKafka, &[&str], Duration) -> Result<Vec<Result<Operations, NativeError>>, NativeError>;

/// What brokers say of each resource that somebody needs. Ask it of brokers that are known to answer: of others it
/// takes the time of several requests to find that out.
pub fn ask(settings: &Settings, needs: &[Need]) -> Result<BTreeMap<Resource, Answer>, Error> {
    let client: BaseProducer =
        settings.client().create().map_err(|error| Error::call("make a client", &error))?;
    let native = client.client().native_ptr();
    sign_in(settings, native)?;
    let resources: BTreeSet<&Resource> = needs.iter().map(|need| &need.resource).collect();
    let mut answers = BTreeMap::new();
    let (mut topics, mut groups) = (Vec::new(), Vec::new());
    for resource in resources {
        match resource {
            Resource::Topic(name) => topics.push((resource, name.as_str())),
            Resource::Group(name) => groups.push((resource, name.as_str())),
            Resource::TransactionalIds(prefix) => {
                answers.insert(resource.clone(), transactional(settings, prefix));
            }
        }
    }
    for (question, asked) in [(topic_rights as Question, topics), (group_rights as Question, groups)] {
        if asked.is_empty() {
            continue;
        }
        let names: Vec<&str> = asked.iter().map(|(_, name)| *name).collect();
        match question(native, &names, settings.timeouts.request) {
            Ok(told) => {
                let told = asked.iter().zip(told);
                answers.extend(told.map(|((resource, _), told)| ((*resource).clone(), answer(told))));
            }
            Err(error) => {
                let unknown = |(resource, _): &(&Resource, &str)| {
                    ((*resource).clone(), Answer::Unknown(error.to_string()))
                };
                answers.extend(asked.iter().map(unknown));
            }
        }
    }
    Ok(answers)
}

fn answer(told: Result<Operations, NativeError>) -> Answer {
    match told {
        Ok(Some(codes)) => Answer::May(Operation::of(&codes)),
        Ok(None) => Answer::Unknown("these brokers do not tell rights".into()),
        Err(error) => match error.code {
            Code::UnknownTopicOrPartition | Code::UnknownTopic => Answer::Absent,
            Code::TopicAuthorizationFailed | Code::GroupAuthorizationFailed => Answer::Hidden,
            _ => Answer::Unknown(error.to_string()),
        },
    }
}

/// There is no question for this: begins as a producer under an id that no worker has, and so fences nobody.
fn transactional(settings: &Settings, prefix: &str) -> Answer {
    let mut config = settings.transactional();
    config.set("transactional.id", format!("{prefix}doctor"));
    // A refusal is an answer here, and nothing for the client to cry out.
    config.set("log_level", "0");
    let producer = match TransactionalProducer::new(&config, Arc::default()) {
        Ok(producer) => producer,
        Err(error) => return Answer::Unknown(error.to_string()),
    };
    match producer.init(settings.timeouts.request) {
        Ok(()) => Answer::May([Operation::Write].into()),
        Err(error) => match error.code {
            Code::TransactionalIdAuthorizationFailed | Code::ClusterAuthorizationFailed => Answer::Hidden,
            Code::InvalidTransactionTimeout => Answer::Wrong(error.to_string()),
            _ => Answer::Unknown(error.to_string()),
        },
    }
}
