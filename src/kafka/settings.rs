//! Where the brokers are, how clients show who they are, and the settings that the protocols lean on.

use super::error::{Error, is_secret};
use super::lines::EVERY_MS;
use super::token::{self, Token};
use crate::model::{Role, Topic};
use rdkafka::config::{ClientConfig, RDKafkaLogLevel};
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// Settings of one client.
pub(super) type Config = ClientConfig;

/// What differs between deployments.
#[derive(Clone)]
pub struct Settings {
    /// `host:port`, with commas between them.
    pub brokers: String,
    /// Names groups, transactional ids and the topics that we make.
    pub deployment: String,
    pub raw_topic: String,
    /// Distinct for each process of the deployment, and the same again after its restart.
    pub ordinal: u32,
    /// Names of the histories, by their place in the topology.
    pub histories: Vec<String>,
    /// Client settings for TLS and SASL, by librdkafka's names (`security.protocol`, `sasl.password` …).
    pub security: BTreeMap<String, String>,
    /// Further client settings, which win over ours. Whoever fills them in has refused those that the protocols lean on.
    pub client: BTreeMap<String, String>,
    /// A member that comes back within the session time-out under the same name keeps its partitions.
    pub is_static_member: bool,
    /// Of a verb that writes beside the workers; theirs are made of their ordinals.
    pub transactional_id: Option<String>,
    pub timeouts: Timeouts,
}

#[derive(Debug, Clone)]
pub struct Timeouts {
    /// A question to a broker.
    pub request: Duration,
    /// After so long without a heartbeat a member's partitions go to others.
    pub session: Duration,
    pub heartbeat: Duration,
    /// After so long the broker aborts an open transaction. Below `session`, so that a new owner never waits for
    /// a transaction whose member is still in the group.
    pub transaction: Duration,
    /// A commit or abort that takes longer ends the process: the next owner reads what was decided.
    pub watchdog: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Timeouts {
            request: Duration::from_secs(30),
            session: Duration::from_secs(45),
            heartbeat: Duration::from_secs(3),
            transaction: Duration::from_secs(15),
            watchdog: Duration::from_secs(300),
        }
    }
}

/// Without what only clients should see.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("brokers", &self.brokers)
            .field("deployment", &self.deployment)
            .field("raw_topic", &self.raw_topic)
            .field("ordinal", &self.ordinal)
            .field("security", &self.security.keys())
            .field("client", &self.client.keys())
            .finish_non_exhaustive()
    }
}

impl Settings {
    pub fn new(brokers: &str, deployment: &str, raw_topic: &str) -> Self {
        Settings {
            brokers: brokers.to_owned(),
            deployment: deployment.to_owned(),
            raw_topic: raw_topic.to_owned(),
            ordinal: 0,
            histories: Vec::new(),
            security: BTreeMap::new(),
            client: BTreeMap::new(),
            is_static_member: false,
            transactional_id: None,
            timeouts: Timeouts::default(),
        }
    }

    /// What must stand in no log.
    pub fn secrets(&self) -> impl Iterator<Item = &str> {
        let all = self.security.iter().chain(&self.client);
        all.filter(|(name, _)| is_secret(name)).map(|(_, value)| value.as_str())
    }

    /// The broker's name for a topic.
    pub fn topic(&self, topic: Topic) -> String {
        let own = |name: &str| format!("{}.{name}", self.deployment);
        match topic {
            Topic::Raw => self.raw_topic.clone(),
            Topic::Repartition => own("repartition"),
            Topic::DeadLetters => own("dead-letters"),
            Topic::State => own("state"),
            Topic::Metrics => own("metrics"),
            Topic::SetAside => own("set-aside"),
            Topic::History(place) => match self.histories.get(usize::from(place)) {
                Some(name) => own(&format!("history.{name}")),
                None => own(&format!("history.{place}")),
            },
        }
    }

    pub fn group(&self, role: Role) -> String {
        let name = match role {
            Role::Route => "route",
            Role::Aggregate => "aggregate",
            Role::Lake => "lake",
        };
        format!("{}-{name}", self.deployment)
    }

    /// The name under which a member may come back.
    pub(super) fn instance(&self, role: Role) -> Option<String> {
        self.is_static_member.then(|| format!("{}-{}", self.group(role), self.ordinal))
    }

    /// How those of all workers begin.
    pub(super) fn transactional_ids(&self) -> String {
        format!("{}-aggregate-", self.deployment)
    }

    fn transactional_id(&self) -> String {
        let own = || format!("{}{}-0", self.transactional_ids(), self.ordinal);
        self.transactional_id.clone().unwrap_or_else(own)
    }

    /// The one of `dead-letters redrive`: whoever begins with it ends whoever had it before.
    pub fn redriving(&self) -> String {
        format!("{}-redrive", self.deployment)
    }

    /// What every client has.
    pub(super) fn client(&self) -> ClientConfig {
        let mut config = ClientConfig::new();
        config.set_log_level(RDKafkaLogLevel::Warning);
        config.set("bootstrap.servers", &self.brokers);
        config.set("client.id", format!("thalweg-{}", self.deployment));
        config.set("reconnect.backoff.max.ms", "1000");
        config.set("socket.timeout.ms", ms(self.timeouts.request));
        config.set("topic.metadata.refresh.interval.ms", "60000");
        for (name, value) in &self.security {
            config.set(name, value);
        }
        self.given(config)
    }

    /// What a client needs before it connects to anybody, if these are settings with tokens.
    pub(super) fn token(&self) -> Result<Option<Token>, Error> {
        token::source(&self.client()).map(token::get).transpose()
    }

    /// What an operator set has the last word.
    fn given(&self, mut config: ClientConfig) -> ClientConfig {
        for (name, value) in &self.client {
            config.set(name, value);
        }
        config
    }

    /// A member of a role's group.
    pub(super) fn member(&self, role: Role) -> ClientConfig {
        let mut config = self.consumer();
        config.set("group.id", self.group(role));
        config.set("partition.assignment.strategy", "cooperative-sticky");
        config.set("session.timeout.ms", ms(self.timeouts.session));
        config.set("heartbeat.interval.ms", ms(self.timeouts.heartbeat));
        // A restore or a slow store must not cost the membership.
        config.set("max.poll.interval.ms", "3600000");
        if let Some(name) = self.instance(role) {
            config.set("group.instance.id", name);
        }
        self.given(config)
    }

    /// A consumer that is in no group. End-of-partition events would make batches lose records, so none here.
    pub(super) fn consumer(&self) -> ClientConfig {
        let mut config = self.client();
        config.set("group.id", format!("{}-none", self.deployment));
        config.set("isolation.level", "read_committed");
        config.set("enable.auto.commit", "false");
        config.set("enable.auto.offset.store", "false");
        config.set("auto.offset.reset", "error");
        config.set("enable.partition.eof", "false");
        config.set("check.crcs", "true");
        config.set("allow.auto.create.topics", "false");
        config.set("fetch.wait.max.ms", "100");
        config.set("queued.min.messages", "10000");
        config.set("queued.max.messages.kbytes", "16384");
        self.given(config)
    }

    /// A reader that sees where partitions end.
    pub(super) fn reader(&self) -> ClientConfig {
        let mut config = self.consumer();
        config.set("enable.partition.eof", "true");
        // The end is told once a long poll is over.
        config.set("fetch.wait.max.ms", "20");
        self.given(config)
    }

    pub(super) fn producer(&self) -> ClientConfig {
        let mut config = self.client();
        config.set("enable.idempotence", "true");
        config.set("acks", "all");
        config.set("max.in.flight.requests.per.connection", "5");
        config.set("compression.type", "lz4");
        config.set("linger.ms", "5");
        config.set("batch.size", "1048576");
        config.set("message.max.bytes", "8388608");
        // The roles bound what they send by bytes.
        config.set("queue.buffering.max.messages", "0");
        config.set("queue.buffering.max.kbytes", "1048576");
        config.set("message.timeout.ms", "120000");
        config.set("statistics.interval.ms", EVERY_MS);
        self.given(config)
    }

    pub(super) fn transactional(&self) -> ClientConfig {
        let mut config = self.producer();
        config.set("transactional.id", self.transactional_id());
        config.set("transaction.timeout.ms", ms(self.timeouts.transaction));
        config.set("message.timeout.ms", ms(self.timeouts.transaction.mul_f64(0.9)));
        // The client refuses to be made with a longer one.
        config.set("socket.timeout.ms", ms(self.timeouts.request.min(self.timeouts.transaction)));
        self.given(config)
    }
}

fn ms(time: Duration) -> String {
    time.as_millis().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_named_by_the_deployment() {
        let settings = Settings::new("a:1", "shop", "orders.v1");

        assert_eq!(settings.topic(Topic::Raw), "orders.v1");
        assert_eq!(settings.topic(Topic::DeadLetters), "shop.dead-letters");
        assert_eq!(settings.group(Role::Lake), "shop-lake");
        assert_eq!(settings.transactional_id(), "shop-aggregate-0-0");
    }

    #[test]
    fn no_secret_is_shown() {
        let mut settings = Settings::new("a:1", "shop", "orders.v1");
        settings.security.insert("sasl.password".into(), "hunter2".into());

        assert!(!format!("{settings:?}").contains("hunter2"));
        assert_eq!(settings.client().get("sasl.password"), Some("hunter2"));
        assert_eq!(settings.secrets().collect::<Vec<_>>(), ["hunter2"]);
    }
}
