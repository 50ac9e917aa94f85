//! Every key of the file, and what durations and sizes may be. Reading goes by these lists, and so does the test
//! that the page of documentation names them all.

use crate::yaml::{parse_bytes, parse_duration};
use std::time::Duration;

/// Each map of the file, by the path of its key, with the keys in it. The keys of `kafka.client` are the client's.
pub(super) const SECTIONS: &[(&str, &[&str])] = &[
    ("", &["deployment", "worker", "kafka", "lake", "pace", "admin", "log"]),
    ("worker", &["ordinal", "grace"]),
    (
        "kafka",
        &[
            "brokers",
            "security",
            "static_membership",
            "replication",
            "repartition_retention",
            "timeouts",
            "client",
        ],
    ),
    (
        "kafka.security",
        &[
            "protocol",
            "ca_file",
            "certificate_file",
            "key_file",
            "mechanism",
            "username",
            "password",
            "password_file",
            "token_file",
            "region",
        ],
    ),
    ("kafka.timeouts", &["request", "session", "heartbeat", "transaction", "watchdog"]),
    ("lake", &["url", "s3", "budget"]),
    (
        "lake.s3",
        &[
            "endpoint",
            "region",
            "path_style",
            "allow_http",
            "ca_file",
            "access_key",
            "secret_key",
            "secret_key_file",
            "sse",
            "kms_key",
        ],
    ),
    (
        "pace",
        &[
            "commit_every",
            "route_commit_every",
            "link_every",
            "poll_wait",
            "poll",
            "commit",
            "block",
            "in_flight",
            "backoff",
        ],
    ),
    ("pace.backoff", &["first", "longest"]),
    ("admin", &["address"]),
    ("log", &["format", "level"]),
];

/// The map at `path`: its path for as long as the program runs, and its keys.
pub(super) fn section(path: &str) -> (&'static str, &'static [&'static str]) {
    let found = SECTIONS.iter().find(|(known, _)| *known == path);
    *found.expect("every map that is read stands in the list")
}

/// What a duration or a size is if nobody says, and the least and the most that it may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    pub(super) key: &'static str,
    pub(super) default: &'static str,
    pub(super) low: &'static str,
    pub(super) high: &'static str,
}

const fn limit(key: &'static str, default: &'static str, low: &'static str, high: &'static str) -> Limit {
    Limit { key, default, low, high }
}

pub(super) const DURATIONS: &[Limit] = &[
    // Below the 30 s that Kubernetes waits before it kills.
    limit("worker.grace", "25s", "1s", "10m"),
    // An outage over a weekend, and once more. Duplicates are known for at most half of it.
    limit("kafka.repartition_retention", "7d", "1d", "365d"),
    limit("kafka.timeouts.request", "30s", "1s", "5m"),
    // What brokers take, unless somebody changed `group.min.session.timeout.ms` and its brother.
    limit("kafka.timeouts.session", "45s", "6s", "30m"),
    limit("kafka.timeouts.heartbeat", "3s", "100ms", "10m"),
    // Brokers refuse more than `transaction.max.timeout.ms`, by default 15 minutes.
    limit("kafka.timeouts.transaction", "15s", "1s", "15m"),
    limit("kafka.timeouts.watchdog", "5m", "5s", "1h"),
    limit("pace.commit_every", "1s", "10ms", "1m"),
    limit("pace.route_commit_every", "500ms", "10ms", "1m"),
    // A hole that no link has proved is an alarm after a minute.
    limit("pace.link_every", "10s", "100ms", "1m"),
    limit("pace.poll_wait", "100ms", "1ms", "5s"),
    limit("pace.backoff.first", "100ms", "1ms", "1m"),
    limit("pace.backoff.longest", "10s", "10ms", "10m"),
];

pub(super) const SIZES: &[Limit] = &[
    limit("lake.budget", "48MiB", "8MiB", "64GiB"),
    limit("pace.poll", "1MiB", "64KiB", "64MiB"),
    limit("pace.commit", "4MiB", "64KiB", "256MiB"),
    limit("pace.block", "60KiB", "1KiB", "1MiB"),
    limit("pace.in_flight", "8MiB", "1MiB", "1GiB"),
];

/// Copies of each partition: what is usual, and the most.
pub(super) const REPLICATION: u32 = 3;
pub(super) const REPLICATION_MAX: u32 = 9;

/// The largest `worker.ordinal`.
pub(super) const ORDINAL_MAX: u32 = 999_999;

pub(super) fn find(limits: &'static [Limit], key: &str) -> &'static Limit {
    let found = limits.iter().find(|limit| limit.key == key);
    found.expect("every duration and size that is read stands in the lists")
}

/// `500ms`, and what a topology takes: `15s`, `5m`, `2h`, `7d`.
pub(super) fn time(text: &str) -> Option<Duration> {
    match text.strip_suffix("ms") {
        Some(count) if count.bytes().all(|byte| byte.is_ascii_digit()) => {
            count.parse().ok().map(Duration::from_millis)
        }
        Some(_) => None,
        None => parse_duration(text).and_then(|micros| u64::try_from(micros).ok()).map(Duration::from_micros),
    }
}

pub(super) fn size(text: &str) -> Option<usize> {
    parse_bytes(text).and_then(|bytes| usize::try_from(bytes).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_duration_has_a_unit_from_milliseconds_to_days() {
        assert_eq!(time("0ms"), Some(Duration::ZERO));
        assert_eq!(time("1500ms"), Some(Duration::from_millis(1_500)));
        assert_eq!(time("15s"), Some(Duration::from_secs(15)));
        assert_eq!(time("2h"), Some(Duration::from_secs(7_200)));
        for wrong in ["", "ms", "5", "-5ms", "+5ms", "1.5s", "5 ms", "5MS", "99999999999999999999ms"] {
            assert_eq!(time(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn every_default_lies_within_its_limits() {
        for Limit { key, default, low, high } in DURATIONS {
            let [default, low, high] = [default, low, high].map(|text| time(text).expect("a duration"));
            assert!(low <= default && default <= high, "{key}");
        }
        for Limit { key, default, low, high } in SIZES {
            let [default, low, high] = [default, low, high].map(|text| size(text).expect("a size"));
            assert!(low <= default && default <= high, "{key}");
        }
    }
}
