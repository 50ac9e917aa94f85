//! Times and dates from text, by hand: the layout is fixed, and this is done for every event.

use crate::model::Rejection;

const DAY_SECONDS: i64 = 86_400;
/// Year 1 begins, year 10000 begins.
const DAYS: std::ops::Range<i64> = -719_162..2_932_897;

/// An RFC 3339 time as UTC microseconds. The offset must be there. What is finer than a microsecond is
/// cut off; more than nine digits are refused.
pub(super) fn time(text: &[u8]) -> Result<i64, Rejection> {
    let (
        &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T' | b't', h1, h2, b':', n1, n2, b':', s1, s2],
        rest,
    ) = text.split_first_chunk::<19>().ok_or(Rejection::WrongType)?
    else {
        return Err(Rejection::WrongType);
    };
    let (year, month, day) = (number([y1, y2, y3, y4])?, number([m1, m2])?, number([d1, d2])?);
    let (hour, minute, second) = (number([h1, h2])?, number([n1, n2])?, number([s1, s2])?);
    let (micros, offset_minutes) = fraction_and_offset(rest)?;
    let days = days(year, month, day)?;
    // No leap seconds: no clock of ours could hold one.
    if hour > 23 || minute > 59 || second > 59 {
        return Err(Rejection::OutOfRange);
    }
    let seconds = days * DAY_SECONDS + hour * 3600 + (minute - offset_minutes) * 60 + second;
    if !DAYS.contains(&seconds.div_euclid(DAY_SECONDS)) {
        return Err(Rejection::OutOfRange);
    }
    Ok(seconds * 1_000_000 + micros)
}

/// `YYYY-MM-DD` as days since 1970.
pub(super) fn date(text: &[u8]) -> Result<i64, Rejection> {
    let &[y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2] = text else {
        return Err(Rejection::WrongType);
    };
    days(number([y1, y2, y3, y4])?, number([m1, m2])?, number([d1, d2])?)
}

/// What stands behind the seconds: microseconds, and minutes to take off.
fn fraction_and_offset(text: &[u8]) -> Result<(i64, i64), Rejection> {
    let (mut micros, mut text) = (0, text);
    if let Some(behind) = text.strip_prefix(b".") {
        let len = behind.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if len == 0 {
            return Err(Rejection::WrongType);
        }
        if len > 9 {
            return Err(Rejection::TooPrecise);
        }
        let digit = |at: usize| if at < len { i64::from(behind[at] - b'0') } else { 0 };
        micros = (0..6).fold(0, |sum, at| sum * 10 + digit(at));
        text = &behind[len..];
    }
    match *text {
        [b'Z' | b'z'] => Ok((micros, 0)),
        [sign @ (b'+' | b'-'), h1, h2, b':', m1, m2] => {
            let (hours, minutes) = (number([h1, h2])?, number([m1, m2])?);
            if hours > 23 || minutes > 59 {
                return Err(Rejection::OutOfRange);
            }
            let offset = hours * 60 + minutes;
            Ok((micros, if sign == b'+' { offset } else { -offset }))
        }
        _ => Err(Rejection::WrongType),
    }
}

fn number<const N: usize>(digits: [u8; N]) -> Result<i64, Rejection> {
    digits.iter().try_fold(0, |sum, byte| match byte {
        b'0'..=b'9' => Ok(sum * 10 + i64::from(byte - b'0')),
        _ => Err(Rejection::WrongType),
    })
}

/// Days since 1970 of a day that exists.
fn days(year: i64, month: i64, day: i64) -> Result<i64, Rejection> {
    let is_leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let length = match month {
        2 => 28 + i64::from(is_leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return Err(Rejection::OutOfRange),
    };
    if year == 0 || !(1..=length).contains(&day) {
        return Err(Rejection::OutOfRange);
    }
    // Counted in years that begin in March, so that the leap day is a year's last.
    let year = year - i64::from(month <= 2);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    Ok(year * 365 + year / 4 - year / 100 + year / 400 + day_of_year - 719_468)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn one_instant_is_one_number_however_it_is_spelled() {
        let texts = [
            "2026-11-01T00:00:00Z",
            "2026-11-01t00:00:00z",
            "2026-11-01T00:00:00.000000000Z",
            "2026-11-01T02:00:00+02:00",
            "2026-10-31T19:30:00.0-04:30",
            "2026-11-01T00:00:00-00:00",
        ];
        for text in texts {
            assert_eq!(time(text.as_bytes()), Ok(1_793_491_200_000_000), "{text}");
        }
        assert_eq!(time(b"2026-11-01T00:00:00.1239999Z"), Ok(1_793_491_200_123_999));
        assert_eq!(time(b"1969-12-31T23:59:59.999999999Z"), Ok(-1));
    }

    #[test]
    fn what_is_no_time_is_refused_by_what_is_wrong() {
        let wrong_type = [
            "",
            "2026-11-01",
            "2026-11-01T00:00:00",
            "2026-11-01 00:00:00Z",
            "2026-11-01T00:00Z",
            "2026-11-01T00:00:00.Z",
            "2026-11-01T00:00:00+0200",
            "2026-11-01T00:00:00+02",
            "26-11-01T00:00:00Z",
            "2026-11-01T00:00:00ZZ",
            "2026-1a-01T00:00:00Z",
            "+2026-11-01T00:00:00Z",
            "2026-11-01T00:00:00é",
            "１２026-11-01T00:00:00Z",
            "now",
        ];
        let out_of_range = [
            "0000-12-31T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2026-11-31T00:00:00Z",
            "2026-11-00T00:00:00Z",
            "2026-11-01T24:00:00Z",
            "2026-11-01T00:60:00Z",
            "2016-12-31T23:59:60Z",
            "2026-11-01T00:00:00+24:00",
            "2026-11-01T00:00:00+00:60",
            "0001-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
        ];

        for text in wrong_type {
            assert_eq!(time(text.as_bytes()), Err(Rejection::WrongType), "{text}");
        }
        for text in out_of_range {
            assert_eq!(time(text.as_bytes()), Err(Rejection::OutOfRange), "{text}");
        }
        assert_eq!(time(b"2026-11-01T00:00:00.0000000000Z"), Err(Rejection::TooPrecise));
    }

    #[test]
    fn the_first_and_the_last_time_are_taken() {
        assert_eq!(time(b"0001-01-01T00:00:00Z"), Ok(-62_135_596_800_000_000));
        assert_eq!(time(b"9999-12-31T23:59:59.999999Z"), Ok(253_402_300_799_999_999));
        assert_eq!(time(b"2000-02-29T00:00:00Z"), Ok(951_782_400_000_000));
    }

    #[test]
    fn dates_are_days_that_exist() {
        assert_eq!(date(b"1970-01-01"), Ok(0));
        assert_eq!(date(b"0001-01-01"), Ok(-719_162));
        assert_eq!(date(b"9999-12-31"), Ok(2_932_896));
        assert_eq!(date(b"2026-02-29"), Err(Rejection::OutOfRange));
        assert_eq!(date(b"2026-2-28"), Err(Rejection::WrongType));
        assert_eq!(date(b"2026-02-28T00:00:00Z"), Err(Rejection::WrongType));
    }

    proptest! {
        #[test]
        fn times_equal_those_of_a_general_parser(micros in -62_135_596_800_000_000i64..253_402_207_200_000_000) {
            let timestamp = jiff::Timestamp::from_microsecond(micros).unwrap();

            prop_assert_eq!(time(timestamp.to_string().as_bytes()), Ok(micros));
            let day = timestamp.to_string()[..10].to_owned();
            prop_assert_eq!(date(day.as_bytes()), Ok(micros.div_euclid(86_400_000_000)));
        }

        #[test]
        fn any_text_is_answered(text in "[0-9TZtz:.+-]{0,40}") {
            let _ = (time(text.as_bytes()), date(text.as_bytes()));
        }
    }
}
