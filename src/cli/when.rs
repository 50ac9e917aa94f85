//! Times and durations as people type them.

use super::exit::Exit;
use crate::model::LogTime;
use crate::topology::parse_duration;
use crate::worker::Start;
use jiff::{Timestamp, civil};
use std::time::Duration;

/// An instant (`2026-11-01T00:00Z`), a UTC date (`2026-11-01`), or `now`.
pub(super) fn instant(text: &str) -> Result<LogTime, Exit> {
    if text == "now" {
        return Ok(LogTime(Timestamp::now().as_microsecond()));
    }
    let date = || Some(text.parse::<civil::Date>().ok()?.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp());
    let instant = text.parse::<Timestamp>().ok().or_else(date);
    instant.map(|instant| LogTime(instant.as_microsecond())).ok_or_else(|| {
        Exit::usage(format_args!("`{text}` is no time such as 2026-11-01T00:00Z, 2026-11-01 or now"))
    })
}

pub(super) fn start(text: &str) -> Result<Start, Exit> {
    match text {
        "earliest" => Ok(Start::Earliest),
        "latest" => Ok(Start::Latest),
        time => instant(time).map(Start::At).map_err(|_| {
            Exit::usage(format_args!(
                "--start is `{time}`, not earliest, latest or a time such as 2026-11-01T00:00Z"
            ))
        }),
    }
}

/// `90s`, `5m`, `2h`, `30d`.
pub(super) fn duration(text: &str) -> Result<Duration, Exit> {
    let micros = parse_duration(text).and_then(|micros| u64::try_from(micros).ok());
    micros
        .map(Duration::from_micros)
        .ok_or_else(|| Exit::usage(format_args!("`{text}` is no duration such as 90s, 5m, 2h or 1d")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_instants_or_utc_dates() {
        assert_eq!(instant("1970-01-01T00:00:01Z").unwrap(), LogTime(1_000_000));
        assert_eq!(instant("1970-01-02").unwrap(), LogTime(86_400_000_000));
        assert_eq!(instant("2026-11-01T00:00Z").unwrap(), instant("2026-11-01").unwrap());
        assert!(instant("yesterday").is_err());
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(duration("90s").unwrap(), Duration::from_secs(90));
        assert_eq!(duration("2h").unwrap(), Duration::from_secs(7_200));
        for wrong in ["", "5", "m", "5x", "-1s", "1.5h", "5µ", "99999999999999999999d"] {
            assert!(duration(wrong).is_err(), "{wrong}");
        }
    }
}
