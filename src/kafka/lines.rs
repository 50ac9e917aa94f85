//! What the producers of the roles see of their lines to the brokers, as the library counts it every few seconds.
//!
//! In: the library's statistics. Out: sums of all producers that a role has had. (Consumers tell nothing: their
//! statistics would come between records, in batches that the library is known to count wrongly then.)

use crate::model::Role;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// How often the library counts.
pub(super) const EVERY_MS: &str = "10000";

/// How the lines of one role are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Line {
    /// 99 of 100 answers took at most so long, from the slowest broker. `None`: nobody was asked lately.
    pub round_trip: Option<Duration>,
    /// Requests that were not sent yet.
    pub waiting: u64,
    pub retries: u64,
    pub timeouts: u64,
    pub disconnects: u64,
}

/// The lines of all roles that send.
#[derive(Debug, Default)]
pub struct Lines(Mutex<BTreeMap<Role, Account>>);

#[derive(Debug, Default)]
struct Account {
    /// Producers count from 1, and a newer one has a higher number.
    number: u64,
    /// What the present one says.
    now: Line,
    /// What those before it had counted when they said it last.
    before: Line,
}

#[derive(Deserialize)]
struct Told {
    name: String,
    brokers: BTreeMap<String, Broker>,
}

#[derive(Deserialize)]
struct Broker {
    outbuf_cnt: i64,
    txretries: u64,
    req_timeouts: u64,
    disconnects: u64,
    rtt: Rtt,
}

/// In microseconds, since the library counted last.
#[derive(Deserialize)]
struct Rtt {
    p99: u64,
    cnt: u64,
}

impl Lines {
    /// Notes the statistics of a producer of `role`. What cannot be read is nobody's loss.
    pub(super) fn note(&self, role: Role, json: &[u8]) {
        let Ok(told) = serde_json::from_slice::<Told>(json) else {
            tracing::debug!("statistics of the client not read");
            return;
        };
        let number = told.name.rsplit('-').next().and_then(|number| number.parse().ok()).unwrap_or(0);
        let mut accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let account = accounts.entry(role).or_default();
        if number < account.number {
            // The last word of one that was replaced.
            return;
        }
        if number > account.number {
            account.before = account.line();
            account.number = number;
        }
        account.now = Line::of(&told);
    }

    /// As the library counted last. A role that never sent is not there.
    pub fn look(&self) -> Vec<(Role, Line)> {
        let accounts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        accounts.iter().map(|(&role, account)| (role, account.line())).collect()
    }
}

impl Account {
    fn line(&self) -> Line {
        let Account { before, now, .. } = self;
        Line {
            retries: before.retries + now.retries,
            timeouts: before.timeouts + now.timeouts,
            disconnects: before.disconnects + now.disconnects,
            ..*now
        }
    }
}

impl Line {
    fn of(told: &Told) -> Line {
        let brokers = || told.brokers.values();
        let asked = brokers().filter(|broker| broker.rtt.cnt > 0);
        Line {
            round_trip: asked.map(|broker| Duration::from_micros(broker.rtt.p99)).max(),
            waiting: brokers().map(|broker| u64::try_from(broker.outbuf_cnt).unwrap_or_default()).sum(),
            retries: brokers().map(|broker| broker.txretries).sum(),
            timeouts: brokers().map(|broker| broker.req_timeouts).sum(),
            disconnects: brokers().map(|broker| broker.disconnects).sum(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(producer: u64, retries: u64, p99: u64) -> Vec<u8> {
        let broker = |cnt, p99| {
            format!(
                "{{\"outbuf_cnt\":2,\"txretries\":{retries},\"req_timeouts\":1,\"disconnects\":3,\"more\":[],\
                 \"rtt\":{{\"p99\":{p99},\"cnt\":{cnt}}}}}"
            )
        };
        let (busy, quiet) = (broker(9, p99), broker(0, 1_000_000));
        format!("{{\"name\":\"thalweg-a#producer-{producer}\",\"brokers\":{{\"a\":{busy},\"b\":{quiet}}}}}")
            .into_bytes()
    }

    #[test]
    fn what_a_producer_counted_is_kept_when_another_takes_its_place() {
        let lines = Lines::default();

        lines.note(Role::Route, &told(1, 10, 250));
        lines.note(Role::Route, &told(1, 11, 300));
        lines.note(Role::Route, &told(4, 1, 400));
        lines.note(Role::Route, &told(1, 99, 9_000));
        lines.note(Role::Aggregate, b"no statistics");

        let line = Line {
            round_trip: Some(Duration::from_micros(400)),
            waiting: 4,
            retries: 24,
            timeouts: 4,
            disconnects: 12,
        };
        assert_eq!(lines.look(), [(Role::Route, line)]);
    }
}
