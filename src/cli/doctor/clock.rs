//! How far this machine's clock is from others'. No row depends on it; signatures of requests to a store do.

use super::finding::{Finding, State};
use crate::model::LogTime;
use jiff::Timestamp;

pub(super) const CHECK: &str = "clock";
const SECOND: i64 = 1_000_000;
const WEAK: i64 = 30 * SECOND;
/// Stores of Amazon's kind refuse what was signed more than 15 minutes away from their time.
const MISSING: i64 = 300 * SECOND;
const ADVICE: &str = "set this machine's clock, and keep it so with NTP: stores refuse what is signed too early or too \
                      late, and times in metrics and logs mislead";

pub(super) fn now() -> LogTime {
    LogTime(Timestamp::now().as_microsecond())
}

/// What an object shows that was created between two looks at our clock. The store says whole seconds.
pub(super) fn of_store(before: LogTime, taken: LogTime, after: LogTime) -> Finding {
    let behind = (taken.0 - after.0).max(0);
    let ahead = (before.0 - (taken.0 + SECOND)).max(0);
    match (behind, ahead) {
        (0, 0) => Finding::ok(CHECK, "the store's time is ours"),
        _ => finding(behind - ahead, "the store's"),
    }
}

/// What the newest record shows: it is not from the future.
pub(super) fn of_records(newest: Option<LogTime>, now: LogTime) -> Finding {
    let Some(newest) = newest else {
        let fact = "no record yet that brokers stamped, so their time is not known";
        return Finding::new(CHECK, State::Unknown, fact, "ask again once events flow");
    };
    match newest.0 - now.0 {
        behind @ 1.. => finding(behind, "the brokers'"),
        _ => {
            let age = seconds(now.0 - newest.0);
            Finding::ok(CHECK, format!("the brokers' newest record is {age} old, and not from the future"))
        }
    }
}

/// `behind` is negative where we are ahead.
fn finding(behind: i64, whose: &str) -> Finding {
    let state = match behind.abs() {
        off if off <= WEAK => State::Ok,
        off if off <= MISSING => State::Weak,
        _ => State::Missing,
    };
    let side = if behind > 0 { "behind" } else { "ahead of" };
    Finding::new(CHECK, state, format!("at least {} {side} {whose} time", seconds(behind.abs())), ADVICE)
}

fn seconds(micros: i64) -> String {
    format!("{:.1} s", micros as f64 / SECOND as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_793_491_200 * SECOND;

    fn at(micros: i64) -> LogTime {
        LogTime(NOW + micros)
    }

    fn store(skew: i64) -> (State, String) {
        let found = of_store(at(0), at(skew), at(SECOND / 2));
        (found.state, found.fact)
    }

    #[test]
    fn a_time_that_is_cut_to_the_second_is_no_difference() {
        for skew in [-SECOND + 1, -SECOND / 2, 0, SECOND / 2] {
            assert_eq!(store(skew), (State::Ok, "the store's time is ours".into()), "{skew}");
        }
    }

    #[test]
    fn half_a_minute_is_weak_and_five_minutes_are_too_much_on_either_side() {
        for (seconds, state) in
            [(20, State::Ok), (60, State::Weak), (290, State::Weak), (400, State::Missing)]
        {
            let (behind, fact) = store(seconds * SECOND);
            assert_eq!(behind, state, "{fact}");
            assert!(fact.contains("behind the store's"), "{fact}");
            let (ahead, fact) = store(-seconds * SECOND);
            assert_eq!(ahead, state, "{fact}");
            assert!(fact.contains("ahead of the store's"), "{fact}");
        }
    }

    #[test]
    fn only_a_record_from_the_future_says_something_of_our_clock() {
        assert_eq!(of_records(None, at(0)).state, State::Unknown);
        assert_eq!(of_records(Some(at(-3_600 * SECOND)), at(0)).state, State::Ok);
        assert_eq!(of_records(Some(at(10 * SECOND)), at(0)).state, State::Ok);
        assert_eq!(of_records(Some(at(31 * SECOND)), at(0)).state, State::Weak);
        assert_eq!(of_records(Some(at(301 * SECOND)), at(0)).state, State::Missing);
    }
}
