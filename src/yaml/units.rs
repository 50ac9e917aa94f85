//! Texts with a unit as numbers: durations and sizes.

const SECOND: i64 = 1_000_000;
/// 100 years: beyond it, sums of a time and a duration could leave the calendar.
pub(crate) const DURATION_MAX: i64 = 36_500 * 86_400 * SECOND;

/// `90s`, `5m`, `24h`, `30d`; at most 36,500 days.
pub fn parse_duration(text: &str) -> Option<i64> {
    let units = [("s", SECOND), ("m", 60 * SECOND), ("h", 3_600 * SECOND), ("d", 86_400 * SECOND)];
    let (count, unit) =
        units.iter().find_map(|(name, unit)| Some((number(text.strip_suffix(name)?)?, *unit)))?;
    let micros = i64::try_from(count).ok()?.checked_mul(unit)?;
    (micros <= DURATION_MAX).then_some(micros)
}

/// `64KiB`, `128MiB`, `1GiB`.
pub fn parse_bytes(text: &str) -> Option<u64> {
    let units = [("KiB", 1u64 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    units.iter().find_map(|(name, unit)| number(text.strip_suffix(name)?)?.checked_mul(*unit))
}

/// Digits and nothing else: no sign, no point, no underscore.
pub(crate) fn number(text: &str) -> Option<u64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes_carry_their_unit() {
        assert_eq!(parse_duration("5m"), Some(300 * SECOND));
        assert_eq!(parse_duration("0s"), Some(0));
        assert_eq!(parse_duration("36500d"), Some(DURATION_MAX));
        assert_eq!(parse_bytes("128MiB"), Some(128 << 20));
        for wrong in ["", "5", "m", "-5m", "5.5m", "5 m", "5M", "1w", "36501d", "99999999999999999999d"] {
            assert_eq!(parse_duration(wrong), None, "{wrong}");
        }
        for wrong in ["", "5", "KiB", "5kb", "5MB", "99999999999999999GiB"] {
            assert_eq!(parse_bytes(wrong), None, "{wrong}");
        }
    }
}
