//! When something is due again.

use crate::model::LogTime;
use std::time::Duration;

/// Something that is done again and again.
pub(super) struct Pace {
    every: i64,
    last: LogTime,
}

impl Pace {
    pub(super) fn new(every: Duration, now: LogTime) -> Self {
        Pace { every: i64::try_from(every.as_micros()).unwrap_or(i64::MAX), last: now }
    }

    /// Whether it is time; then the next one counts from now. A clock that was set back must not stop it.
    pub(super) fn is_due(&mut self, now: LogTime) -> bool {
        let is_due = now < self.last || now.0.saturating_sub(self.last.0) >= self.every;
        if is_due {
            self.last = now;
        }
        is_due
    }
}
