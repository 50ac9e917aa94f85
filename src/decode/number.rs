//! Exact numbers from JSON's number text. No floating point on the way.

use super::json::NumberAt;
use crate::model::{DECIMAL_MAX, Rejection};

/// The number times 10^`scale`, half away from zero if `round`, else refused where digits are left over.
pub(super) fn exact(number: NumberAt<'_>, scale: u8, round: bool) -> Result<i64, Rejection> {
    // What nearly all numbers are: no exponent, no more digits than declared.
    if let Some((digits, fraction)) = number.plain
        && fraction <= scale
        && let Some(value) =
            10u64.checked_pow(u32::from(scale - fraction)).and_then(|by| digits.checked_mul(by))
    {
        return signed(value, number.negative);
    }
    from_text(number, scale, round)
}

/// A decimal field: [`exact`], within the digits that its lake column holds.
pub(super) fn decimal(number: NumberAt<'_>, scale: u8, round: bool) -> Result<i64, Rejection> {
    let value = exact(number, scale, round)?;
    if value.unsigned_abs() <= DECIMAL_MAX { Ok(value) } else { Err(Rejection::OutOfRange) }
}

/// Any number of digits and any exponent, in one pass over the text.
fn from_text(number: NumberAt<'_>, scale: u8, round: bool) -> Result<i64, Rejection> {
    let text = &number.text[usize::from(number.negative)..];
    let exponent_at = text.iter().position(|byte| matches!(byte, b'e' | b'E'));
    let (mantissa, exponent) = match exponent_at {
        Some(at) => (&text[..at], read_exponent(&text[at + 1..])),
        None => (text, 0),
    };
    let whole = mantissa.iter().position(|&byte| byte == b'.').unwrap_or(mantissa.len());
    let digits = mantissa.iter().filter(|&&byte| byte != b'.').map(|byte| u64::from(byte - b'0'));
    // Digits that count; those behind them are left over.
    let kept = exponent + whole as i64 + i64::from(scale);
    let (mut value, mut read) = (0u64, 0i64);
    let (mut is_exact, mut is_half) = (true, false);
    for digit in digits {
        if read < kept {
            value = times_ten(value, digit)?;
        } else {
            is_half |= read == kept && digit >= 5;
            is_exact &= digit == 0;
        }
        read += 1;
    }
    // Ends at once for 0, and by leaving the range for everything else.
    while read < kept && value > 0 {
        value = times_ten(value, 0)?;
        read += 1;
    }
    if !is_exact && !round {
        return Err(Rejection::TooPrecise);
    }
    signed(value + u64::from(is_half), number.negative)
}

fn times_ten(value: u64, plus: u64) -> Result<u64, Rejection> {
    let next = value.checked_mul(10).and_then(|value| value.checked_add(plus));
    // One place is left for rounding up.
    next.filter(|&next| next <= i64::MIN.unsigned_abs()).ok_or(Rejection::OutOfRange)
}

/// Bounded, so that sums with it cannot overflow: no record has so many digits.
fn read_exponent(text: &[u8]) -> i64 {
    let digits = text.iter().filter(|byte| byte.is_ascii_digit());
    let size = digits.fold(0i64, |sum, byte| (sum * 10 + i64::from(byte - b'0')).min(1 << 40));
    if text[0] == b'-' { -size } else { size }
}

fn signed(value: u64, negative: bool) -> Result<i64, Rejection> {
    let value = if negative { 0i64.checked_sub_unsigned(value) } else { i64::try_from(value).ok() };
    value.ok_or(Rejection::OutOfRange)
}

/// The nearest double, if there is a finite one.
pub(super) fn double(number: NumberAt<'_>) -> Result<f64, Rejection> {
    let value: Option<f64> = std::str::from_utf8(number.text).ok().and_then(|text| text.parse().ok());
    value.filter(|value| value.is_finite()).ok_or(Rejection::OutOfRange)
}

#[cfg(test)]
mod tests {
    use super::super::json::Json;
    use super::*;
    use crate::model::{divide_rounded, format_decimal, power_of_ten};
    use proptest::prelude::*;

    fn read(text: &str, scale: u8, round: bool) -> Result<i64, Rejection> {
        let number = Json::new(text.as_bytes(), 0).number().unwrap();
        assert_eq!(number.text, text.as_bytes());
        let slow = from_text(number, scale, round);
        let fast = exact(number, scale, round);
        assert_eq!(fast, slow, "{text}");
        fast
    }

    #[test]
    fn whole_numbers_are_whole_however_they_are_spelled() {
        for text in ["517", "517.0", "5.17e2", "51700e-2", "0.517E+3", "517000000000000000000000e-21"] {
            assert_eq!(read(text, 0, false), Ok(517), "{text}");
        }
        for text in ["0", "-0", "0.000", "0e999999999999999999999999", "-0.0e-99999999999999999999"] {
            assert_eq!(read(text, 6, false), Ok(0), "{text}");
        }
    }

    #[test]
    fn the_edges_of_64_bits_are_exact() {
        assert_eq!(read("9223372036854775807", 0, false), Ok(i64::MAX));
        assert_eq!(read("9223372036854775808", 0, false), Err(Rejection::OutOfRange));
        assert_eq!(read("-9223372036854775808", 0, false), Ok(i64::MIN));
        assert_eq!(read("-9223372036854775809", 0, false), Err(Rejection::OutOfRange));
        assert_eq!(read("92233720368547758.07", 2, false), Ok(i64::MAX));
        assert_eq!(read("9223372036854775807.4", 0, true), Ok(i64::MAX));
        assert_eq!(read("9223372036854775807.5", 0, true), Err(Rejection::OutOfRange));
        assert_eq!(read("-9223372036854775808.5", 0, true), Err(Rejection::OutOfRange));
        assert_eq!(read("1e400", 2, true), Err(Rejection::OutOfRange));
        assert_eq!(read("10", 18, true), Err(Rejection::OutOfRange));
        assert_eq!(read("9", 18, true), Ok(9_000_000_000_000_000_000));
    }

    #[test]
    fn digits_left_over_are_refused_or_rounded_half_away_from_zero() {
        assert_eq!(read("19.990000000000002", 2, false), Err(Rejection::TooPrecise));
        assert_eq!(read("19.990000000000002", 2, true), Ok(1999));
        assert_eq!(read("19.9900000000", 2, false), Ok(1999));
        assert_eq!(read("0.005", 2, true), Ok(1));
        assert_eq!(read("-0.005", 2, true), Ok(-1));
        assert_eq!(read("0.00499999999999999999999999", 2, true), Ok(0));
        assert_eq!(read("1e-400", 2, true), Ok(0));
        assert_eq!(read("1e-400", 2, false), Err(Rejection::TooPrecise));
        assert_eq!(read("9e-3", 2, true), Ok(1));
        assert_eq!(read("9e-4", 2, true), Ok(0));
    }

    #[test]
    fn doubles_are_finite() {
        let read = |text: &str| double(Json::new(text.as_bytes(), 0).number().unwrap());

        assert_eq!(read("-1.5e3"), Ok(-1500.0));
        assert_eq!(read("1e400"), Err(Rejection::OutOfRange));
    }

    proptest! {
        #[test]
        fn numbers_equal_the_integer_arithmetic(
            digits in -10_000_000_000_000_000i64..10_000_000_000_000_000, point in 0u8..6, exponent in -4i32..4,
            scale in 0u8..7,
        ) {
            let text = format!("{}e{exponent}", format_decimal(i128::from(digits), point));
            let shift = i32::from(scale) - i32::from(point) + exponent;
            let power = power_of_ten(shift.unsigned_abs() as u8);
            let whole = i128::from(digits);
            let expected = if shift < 0 { divide_rounded(whole, power) } else { whole * power };
            let is_exact = shift >= 0 || whole % power == 0;

            prop_assert_eq!(read(&text, scale, true), i64::try_from(expected).map_err(|_| Rejection::OutOfRange));
            if !is_exact {
                prop_assert_eq!(read(&text, scale, false), Err(Rejection::TooPrecise));
            }
        }
    }
}
