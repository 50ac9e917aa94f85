//! `kafka.client`: settings of the client by its own names, but for those that the protocols lean on.

use super::section::{Section, is_line};
use crate::model::Secret;
use crate::yaml::{Kind, Problems, key_name};
use std::collections::BTreeMap;

/// Settings that nobody may change, under every name that the client knows them by, and why.
const OURS: &[(&[&str], &str)] = &[
    (&["bootstrap.servers", "metadata.broker.list"], "it is `kafka.brokers` here"),
    (&["security.protocol"], "it is `kafka.security.protocol` here"),
    (&["sasl.mechanism", "sasl.mechanisms"], "it is `kafka.security.mechanism` here"),
    (&["sasl.username"], "it is `kafka.security.username` here"),
    (&["sasl.password"], "it is `kafka.security.password` here"),
    (
        &["sasl.oauthbearer.config", "sasl.oauthbearer.method", "enable.sasl.oauthbearer.unsecure.jwt"],
        "tokens come from `kafka.security.token_file`",
    ),
    (&["ssl.ca.location", "ssl.ca.pem"], "it is `kafka.security.ca_file` here"),
    (&["ssl.certificate.location", "ssl.certificate.pem"], "it is `kafka.security.certificate_file` here"),
    (&["ssl.key.location", "ssl.key.pem"], "it is `kafka.security.key_file` here"),
    (&["socket.timeout.ms"], "it is `kafka.timeouts.request` here"),
    (&["session.timeout.ms"], "it is `kafka.timeouts.session` here"),
    (&["heartbeat.interval.ms"], "it is `kafka.timeouts.heartbeat` here"),
    (&["transaction.timeout.ms"], "it is `kafka.timeouts.transaction` here"),
    (
        &["group.instance.id"],
        "it is made of `deployment` and `worker.ordinal`, with `kafka.static_membership`",
    ),
    (&["group.id"], "groups are named by `deployment`"),
    (
        &["transactional.id"],
        "it is made of `deployment` and `worker.ordinal`: a second one would fence nobody",
    ),
    (&["isolation.level"], "an aborted transaction would be counted: the roles read `read_committed`"),
    (
        &["enable.auto.commit", "auto.commit.enable", "auto.commit.interval.ms", "enable.auto.offset.store"],
        "offsets are committed by the roles, when what they stand for is safe",
    ),
    (&["auto.offset.reset"], "a position that is gone has to halt, and never to jump"),
    (&["enable.partition.eof"], "with it a batch can pass over a record"),
    (&["check.crcs"], "a record that was damaged on its way must not be counted"),
    (
        &["partition.assignment.strategy", "group.protocol", "group.remote.assignor"],
        "the roles give partitions back in the way of `cooperative-sticky`",
    ),
    (&["max.poll.interval.ms"], "a restore or a slow store must not cost the membership"),
    (&["allow.auto.create.topics"], "a topic that the broker makes by itself has the wrong settings"),
    (
        &["enable.idempotence", "enable.gapless.guarantee", "message.send.max.retries", "retries"],
        "producers are idempotent, and try again until the time is over",
    ),
    (&["acks", "request.required.acks"], "what a link states must survive the loss of a broker: it is `all`"),
    (
        &["max.in.flight.requests.per.connection", "max.in.flight"],
        "more than 5 would break the order of records",
    ),
    (&["queuing.strategy"], "blocks have to stand in the log in their order"),
    (
        &["message.timeout.ms", "delivery.timeout.ms"],
        "it follows from `kafka.timeouts.transaction`, and has to stay below it",
    ),
    (&["message.max.bytes"], "the largest block has to fit"),
    (&["plugin.library.paths"], "a plugin could change what is read and sent"),
    (
        &["test.mock.num.brokers", "test.mock.broker.rtt"],
        "a broker that is no real one shows what was aborted",
    ),
];

pub(super) fn client(kafka: &Section<'_>, problems: &mut Problems) -> BTreeMap<String, Secret> {
    let mut settings = BTreeMap::new();
    for member in kafka.open_map("client", problems) {
        let (name, at) = (&member.key, member.place);
        if let Some((_, why)) = OURS.iter().find(|(names, _)| names.contains(&name.as_str())) {
            problems.add(at, format!("`{name}` cannot be set: {why}"));
        } else if !is_name(name) {
            let message = "is no setting of the client: those are of small letters, with points between";
            problems.add(at, format!("`{}` {message}", key_name(name)));
        }
        match &member.value.kind {
            Kind::Scalar(value) if is_line(value) => {
                settings.insert(name.clone(), Secret::new(value));
            }
            _ => problems.add(member.value.place, format!("`{}` should be one line of text", key_name(name))),
        }
    }
    settings
}

fn is_name(name: &str) -> bool {
    let part = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '.' | '_');
    !name.is_empty() && name.chars().all(part)
}

pub(super) fn weaknesses(settings: &BTreeMap<String, Secret>) -> Vec<String> {
    let switches: [(&str, &[&str], &str); 2] = [
        ("enable.ssl.certificate.verification", &["false", "f", "0"], "brokers are not verified"),
        ("ssl.endpoint.identification.algorithm", &["none"], "the names of brokers are not verified"),
    ];
    let is_on = |name: &str, values: &[&str]| {
        let given = settings.get(name).map(|value| value.reveal().to_ascii_lowercase());
        given.is_some_and(|given| values.contains(&given.as_str()))
    };
    let on = switches.iter().filter(|(name, values, _)| is_on(name, values));
    on.map(|(name, _, what)| format!("kafka.client.{name}: {what}")).collect()
}
