//! `THALWEG_CLOCK=86400:0,-86400:5`: this process's clock is a day fast, and from its fifth second on a day slow.
//!
//! For tests alone, so it is in no release. Nothing but pacing asks this clock: what a row holds must not depend on it.

use super::exit::Exit;
use std::env;
use std::sync::OnceLock;
use std::time::{Duration, Instant};

const VARIABLE: &str = "THALWEG_CLOCK";

/// Seconds that the clock is wrong by, and since when; in the order of time.
type Errors = Vec<(i64, Duration)>;

static ERRORS: OnceLock<(Instant, Errors)> = OnceLock::new();

/// Does nothing unless the variable is set.
pub(super) fn set() -> Result<(), Exit> {
    let Ok(text) = env::var(VARIABLE) else { return Ok(()) };
    let errors = parse(&text)
        .ok_or_else(|| Exit::usage(format_args!("{VARIABLE} is `{text}`, and not SECONDS:AFTER,…")))?;
    let _ = ERRORS.set((Instant::now(), errors));
    Ok(())
}

pub(super) fn error_micros() -> i64 {
    let Some((began, errors)) = ERRORS.get() else { return 0 };
    let passed = began.elapsed();
    let now = errors.iter().rev().find(|(_, after)| *after <= passed);
    now.map_or(0, |(seconds, _)| seconds * 1_000_000)
}

fn parse(text: &str) -> Option<Errors> {
    let one = |text: &str| {
        let (seconds, after) = text.split_once(':')?;
        Some((seconds.parse().ok()?, Duration::from_secs(after.parse().ok()?)))
    };
    text.split(',').map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_and_when_they_begin_are_understood_and_nothing_else() {
        let seconds = Duration::from_secs;
        assert_eq!(parse("86400:0,-86400:5"), Some(vec![(86_400, seconds(0)), (-86_400, seconds(5))]));
        assert!(["", "1", "1:", "1:-1", "1:2,"].into_iter().all(|text| parse(text).is_none()));
    }
}
