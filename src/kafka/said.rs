//! What the client library says by itself, in our log.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};

/// While brokers are away every client says so some ten times a second: one text is told once in so long a time.
const AGAIN: Duration = Duration::from_secs(60);
/// Texts that are remembered at most.
const TEXTS: usize = 256;

/// Does anybody listen? Else the library goes on writing to standard error as it likes.
pub(super) fn is_heard() -> bool {
    tracing::dispatcher::has_been_set()
}

/// `level` is one of syslog's. The library mends by itself what it calls an error, so nobody has to act: it is a warning.
pub(super) fn said(level: i32, facility: &str, text: &str) {
    static SAID: Mutex<Said> = Mutex::new(Said(BTreeMap::new()));
    let is_loud = level < 7;
    let is_new =
        || SAID.lock().expect("no thread panics while it compares texts").is_new(text, Instant::now());
    match level {
        ..=4 if is_new() => tracing::warn!(facility, said = text, "Kafka client"),
        5 | 6 if is_new() => tracing::info!(facility, said = text, "Kafka client"),
        _ => tracing::debug!(facility, said = text, again = is_loud, "Kafka client"),
    }
}

/// When each text was told.
struct Said(BTreeMap<String, Instant>);

impl Said {
    fn is_new(&mut self, text: &str, now: Instant) -> bool {
        if self.0.get(text).is_some_and(|&at| now.duration_since(at) < AGAIN) {
            return false;
        }
        if self.0.len() >= TEXTS {
            self.0.clear();
        }
        self.0.insert(text.to_owned(), now);
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_is_told_once_a_minute_and_others_beside_it() {
        let (mut said, now) = (Said(BTreeMap::new()), Instant::now());

        assert!(said.is_new("1/1 brokers are down", now));
        assert!(said.is_new("connection refused", now));
        assert!(!said.is_new("1/1 brokers are down", now + AGAIN / 2));
        assert!(said.is_new("1/1 brokers are down", now + AGAIN));
        for number in 0..TEXTS * 2 {
            said.is_new(&number.to_string(), now);
            assert!(said.0.len() <= TEXTS);
        }
    }
}
