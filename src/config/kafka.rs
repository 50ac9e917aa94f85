//! `kafka`: where the brokers are, and how patient we are with them.

use super::client;
use super::limits::{REPLICATION, REPLICATION_MAX};
use super::section::Section;
use super::security::{self, Security};
use crate::model::Secret;
use crate::yaml::Problems;
use core::net::Ipv6Addr;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kafka {
    /// Each `host:port`.
    pub brokers: Vec<String>,
    pub security: Security,
    /// A member that comes back within the session time-out under the same name keeps its partitions.
    pub static_membership: bool,
    /// Copies of each partition of the topics that we make; fewer than three are a weakness that somebody chose.
    pub replication: u32,
    /// How long blocks stay: at least three times the longest outage to survive.
    pub repartition_retention: Duration,
    pub timeouts: Timeouts,
    /// Further settings by the client's own names; none that the protocols lean on. They may hold secrets.
    pub client: BTreeMap<String, Secret>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timeouts {
    /// A question to a broker.
    pub request: Duration,
    /// After so long without a heartbeat a member's partitions go to others.
    pub session: Duration,
    pub heartbeat: Duration,
    /// After so long the broker aborts an open transaction.
    pub transaction: Duration,
    /// A commit or abort that takes longer ends the process.
    pub watchdog: Duration,
}

impl Kafka {
    pub(super) fn weaknesses(&self) -> Vec<String> {
        let mut all = self.security.weaknesses();
        all.extend(client::weaknesses(&self.client));
        if self.replication < REPLICATION {
            let copies = self.replication;
            all.push(format!(
                "`kafka.replication` is {copies}: a broker that is lost may take acknowledged records with it"
            ));
        }
        all
    }
}

pub(super) fn kafka(root: &Section<'_>, problems: &mut Problems) -> Option<Kafka> {
    let kafka = root.section("kafka", problems);
    let brokers = brokers(&kafka, problems);
    let security = security::security(&kafka, problems);
    let static_membership = flag_or(&kafka, "static_membership", false, problems);
    let what = format!("a number from 1 to {REPLICATION_MAX}");
    let replication = if kafka.has("replication") {
        kafka.integer("replication", 1..=REPLICATION_MAX, &what, problems)
    } else {
        Some(REPLICATION)
    };
    let repartition_retention = kafka.duration("repartition_retention", problems);
    let timeouts = timeouts(&kafka, problems);
    let client = client::client(&kafka, problems);
    Some(Kafka {
        brokers: brokers?,
        security: security?,
        static_membership: static_membership?,
        replication: replication?,
        repartition_retention: repartition_retention?,
        timeouts: timeouts?,
        client,
    })
}

pub(super) fn flag_or(
    section: &Section<'_>,
    key: &str,
    default: bool,
    problems: &mut Problems,
) -> Option<bool> {
    if section.has(key) { section.flag(key, problems) } else { Some(default) }
}

fn brokers(kafka: &Section<'_>, problems: &mut Problems) -> Option<Vec<String>> {
    if !kafka.need("brokers", "such as `host:9092,other:9092`", problems) {
        return None;
    }
    let given = kafka.texts("brokers", problems)?;
    let mut seen = BTreeSet::new();
    for name in &given {
        if !is_broker(name.text) {
            let what = "should hold `host:port`, without a protocol: that stands in `kafka.security`";
            problems.add(name.place, format!("{} {what}", kafka.name("brokers")));
        } else if !seen.insert(name.text) {
            problems.add(name.place, format!("{} names a broker twice", kafka.name("brokers")));
        }
    }
    Some(given.iter().map(|name| name.text.to_owned()).collect())
}

fn is_broker(text: &str) -> bool {
    let Some((host, port)) = text.rsplit_once(':') else { return false };
    let is_port =
        port.bytes().all(|byte| byte.is_ascii_digit()) && port.parse().is_ok_and(|port: u16| port > 0);
    let part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    let is_name = (1..=253).contains(&host.len()) && host.chars().all(part);
    let inner = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    is_port && (is_name || inner.is_some_and(|inner| inner.parse::<Ipv6Addr>().is_ok()))
}

fn timeouts(kafka: &Section<'_>, problems: &mut Problems) -> Option<Timeouts> {
    let section = kafka.section("timeouts", problems);
    let mut duration = |key| section.duration(key, problems);
    let (request, session, heartbeat) = (duration("request"), duration("session"), duration("heartbeat"));
    let (transaction, watchdog) = (duration("transaction"), duration("watchdog"));
    let session_name = section.name("session");
    // A transaction must die before its partitions move, or the next owner waits for it.
    if transaction.zip(session).is_some_and(|(transaction, session)| transaction >= session) {
        below_session(&section, "transaction", &format!("below {session_name}"), problems);
    }
    // Two heartbeats may be lost.
    if heartbeat.zip(session).is_some_and(|(heartbeat, session)| heartbeat * 3 > session) {
        below_session(&section, "heartbeat", &format!("at most a third of {session_name}"), problems);
    }
    Some(Timeouts {
        request: request?,
        session: session?,
        heartbeat: heartbeat?,
        transaction: transaction?,
        watchdog: watchdog?,
    })
}

/// Points at what is there: if `key` has its default, it is `session` that was given.
fn below_session(section: &Section<'_>, key: &str, what: &str, problems: &mut Problems) {
    let at = section.place(section.first(&[key]).unwrap_or("session"));
    problems.add(at, format!("{} should be {what}", section.name(key)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_is_a_host_and_a_port() {
        for right in ["a:1", "broker-1.example_net:65535", "10.0.0.1:9092", "[::1]:9092"] {
            assert!(is_broker(right), "{right}");
        }
        let wrong = [
            "",
            "a",
            ":9092",
            "a:",
            "a:0",
            "a:65536",
            "a:+1",
            "a b:1",
            "SSL://a:1",
            "me:pw@a:1",
            "::1:9092",
            "[x]:1",
        ];
        for wrong in wrong {
            assert!(!is_broker(wrong), "{wrong}");
        }
    }
}
