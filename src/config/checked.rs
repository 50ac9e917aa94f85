//! The settings as the engine runs on them: whole, checked, with every default in its place.

use super::kafka::Kafka;
use super::lake::Lake;
use core::net::SocketAddr;
use std::time::Duration;

/// Only [`check`](super::check) makes one, so nobody checks it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Config {
    /// Names groups, topics and transactional ids. `None`: as the topology says.
    pub deployment: Option<String>,
    pub ordinal: Ordinal,
    /// From the signal that asks to stop until the process ends, whatever is not finished.
    pub grace: Duration,
    pub kafka: Kafka,
    pub lake: Lake,
    pub pace: Pace,
    pub admin: Admin,
    pub log: Log,
}

impl Config {
    /// Every protection that somebody switched off, as a sentence for the log: nobody should run so unawares.
    pub fn weaknesses(&self) -> Vec<String> {
        let mut all = self.kafka.weaknesses();
        all.extend(self.lake.weaknesses());
        all
    }
}

/// Distinct for each process of a deployment, and the same again after its restart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ordinal {
    Auto,
    Given(u32),
}

impl Ordinal {
    /// `auto` is the number behind the last hyphen of the host's name, as a StatefulSet gives it, else 0.
    pub fn resolve(self, host_name: &str) -> u32 {
        let suffix = || {
            let host = host_name.split('.').next().unwrap_or_default();
            let (_, digits) = host.rsplit_once('-')?;
            let is_number = (1..=6).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
            if is_number { digits.parse().ok() } else { None }
        };
        match self {
            Ordinal::Auto => suffix().unwrap_or(0),
            Ordinal::Given(ordinal) => ordinal,
        }
    }
}

/// How often and how much at once. No decision about a row depends on any of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pace {
    /// Between two transactions of `aggregate`.
    pub commit_every: Duration,
    /// Between two offset commits of `route`.
    pub route_commit_every: Duration,
    pub link_every: Duration,
    /// How long a poll waits, and how much it may bring.
    pub poll_wait: Duration,
    pub poll_bytes: usize,
    /// Of blocks taken into one transaction.
    pub commit_bytes: usize,
    /// A block is sent when it has grown to this.
    pub block_bytes: usize,
    /// Of `route`, sent and not acknowledged.
    pub in_flight_bytes: usize,
    /// First and longest pause after a failure that says "retry".
    pub backoff: (Duration, Duration),
}

/// Health and metrics.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Admin {
    pub address: SocketAddr,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Log {
    pub format: LogFormat,
    pub level: LogLevel,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    Json,
    Text,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LogLevel {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_of_a_stateful_set_knows_its_number() {
        let hosts = [
            ("shop-aggregate-0", 0),
            ("shop-aggregate-12", 12),
            ("shop-aggregate-12.shop.svc.cluster.local", 12),
            ("shop-007", 7),
        ];
        for (host, ordinal) in hosts {
            assert_eq!(Ordinal::Auto.resolve(host), ordinal, "{host}");
        }
        for host in ["", "shop", "shop-", "shop-x9", "shop-7f9c", "12", "shop-1234567", "shop-+1"] {
            assert_eq!(Ordinal::Auto.resolve(host), 0, "{host}");
        }
        assert_eq!(Ordinal::Given(3).resolve("shop-aggregate-12"), 3);
    }
}
