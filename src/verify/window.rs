//! Windows, worked out afresh for every event on civil dates.

use crate::topology::{WindowKind, Zone};
use jiff::civil::{Date, DateTime};
use jiff::{Timestamp, ToSpan};

/// [start, end) in UTC microseconds; `ever` has the widest.
pub(super) fn window(kind: WindowKind, zone: &Zone, time: i64) -> (i64, i64) {
    if kind == WindowKind::Ever {
        return (i64::MIN, i64::MAX);
    }
    let local =
        Timestamp::from_microsecond(time).unwrap_or(Timestamp::UNIX_EPOCH).to_zoned(zone.zone.clone());
    let day = |date: Date| at(zone, date.at(0, 0, 0, 0));
    let date = local.date();
    let monday = date.saturating_sub(i64::from(date.weekday().since(jiff::civil::Weekday::Monday)).days());
    match kind {
        WindowKind::Hour => {
            let past = local.datetime().time();
            let into = i64::from(past.minute()) * 60_000_000
                + i64::from(past.second()) * 1_000_000
                + i64::from(past.subsec_nanosecond()) / 1_000;
            (time - into, time - into + 3_600_000_000)
        }
        WindowKind::Day => (day(date), day(date.saturating_add(1.day()))),
        WindowKind::Week => (day(monday), day(monday.saturating_add(7.days()))),
        WindowKind::Month => {
            let first = Date::new(date.year(), date.month(), 1).unwrap_or(date);
            (day(first), day(first.saturating_add(1.month())))
        }
        WindowKind::Ever | WindowKind::Rolling { .. } => {
            unreachable!("`ever` is above, rolling windows have no grid")
        }
    }
}

fn at(zone: &Zone, local: DateTime) -> i64 {
    let zoned = zone.zone.to_ambiguous_zoned(local).compatible();
    zoned.map_or(i64::MAX, |zoned| zoned.timestamp().as_microsecond())
}

/// Is an event of this time in the rolling window that ends at the first edge of a pane at or after `now`?
pub(super) fn in_rolling(time: i64, now: i64, length: i64, pane: i64) -> bool {
    let end = -((-now).div_euclid(pane)) * pane;
    let first = time - time.rem_euclid(pane);
    first >= end - length && first < end
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rolling_window_takes_whole_panes() {
        assert!(in_rolling(100, 130, 30, 10));
        assert!(!in_rolling(99, 130, 30, 10));
        assert!(in_rolling(129, 121, 30, 10));
        assert!(!in_rolling(130, 121, 30, 10));
    }
}
