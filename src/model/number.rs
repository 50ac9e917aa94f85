//! Exact decimal numbers: integers with a declared scale, never floating point.

/// 10^`scale`; scales end at 18, what an `i64` can hold.
pub fn power_of_ten(scale: u8) -> i128 {
    10i128.pow(u32::from(scale))
}

/// `numerator / denominator`, half away from zero. The denominator must not be 0.
pub fn divide_rounded(numerator: i128, denominator: i128) -> i128 {
    let quotient = numerator / denominator;
    let rest = (numerator % denominator).unsigned_abs();
    // Not `2 * rest`: that could pass the range.
    if rest >= denominator.unsigned_abs() - rest {
        let up = if (numerator < 0) == (denominator < 0) { 1 } else { -1 };
        quotient + up
    } else {
        quotient
    }
}

/// `numerator / denominator` as text with `scale` digits behind the point, half away from zero. Exact for all operands
/// whose denominator stays below 2^124. The denominator must not be 0.
pub fn format_quotient(numerator: i128, denominator: i128, scale: u8) -> String {
    let (top, bottom) = (numerator.unsigned_abs(), denominator.unsigned_abs());
    let mut digits = (top / bottom).to_string().into_bytes();
    let mut rest = top % bottom;
    for _ in 0..scale {
        rest *= 10;
        digits.push(b'0' + (rest / bottom) as u8);
        rest %= bottom;
    }
    if rest >= bottom - rest {
        increment(&mut digits);
    }
    let point = digits.len() - usize::from(scale);
    let is_zero = digits.iter().all(|&digit| digit == b'0');
    let mut text = String::with_capacity(digits.len() + 2);
    if (numerator < 0) != (denominator < 0) && !is_zero {
        text.push('-');
    }
    for (place, &digit) in digits.iter().enumerate() {
        if place == point && scale > 0 {
            text.push('.');
        }
        text.push(char::from(digit));
    }
    text
}

/// As [`format_quotient`], appended. Nothing is allocated for numbers of a usual size.
pub fn write_quotient(out: &mut Vec<u8>, numerator: i128, denominator: i128, scale: u8) {
    let small = |number: i128| u64::try_from(number.unsigned_abs()).ok();
    let shifted = small(numerator).and_then(|top| top.checked_mul(10u64.checked_pow(scale.into())?));
    let (Some(top), Some(bottom)) = (shifted, small(denominator)) else {
        return out.extend_from_slice(format_quotient(numerator, denominator, scale).as_bytes());
    };
    let (quotient, rest) = (top / bottom, top % bottom);
    let quotient = quotient + u64::from(rest >= bottom - rest);
    write_scaled(out, (numerator < 0) != (denominator < 0), quotient, scale);
}

/// As [`format_decimal`], appended. Nothing is allocated for numbers of a usual size.
pub fn write_exact(out: &mut Vec<u8>, value: i128, scale: u8) {
    match u64::try_from(value.unsigned_abs()) {
        Ok(digits) => write_scaled(out, value < 0, digits, scale),
        Err(_) => out.extend_from_slice(format_decimal(value, scale).as_bytes()),
    }
}

fn write_scaled(out: &mut Vec<u8>, is_negative: bool, digits: u64, scale: u8) {
    let mut buffer = itoa::Buffer::new();
    let (digits, scale) = (buffer.format(digits).as_bytes(), usize::from(scale));
    if is_negative && digits != b"0" {
        out.push(b'-');
    }
    if scale == 0 {
        return out.extend_from_slice(digits);
    }
    let (whole, fraction) = digits.split_at(digits.len().saturating_sub(scale));
    out.extend_from_slice(if whole.is_empty() { b"0" } else { whole });
    out.push(b'.');
    out.extend(std::iter::repeat_n(b'0', scale - fraction.len()));
    out.extend_from_slice(fraction);
}

/// One more, in decimal digits.
fn increment(digits: &mut Vec<u8>) {
    for digit in digits.iter_mut().rev() {
        if *digit < b'9' {
            *digit += 1;
            return;
        }
        *digit = b'0';
    }
    digits.insert(0, b'1');
}

/// Writes `value` at `scale` as people read it: `-12.30` for -1230 at scale 2.
pub fn format_decimal(value: i128, scale: u8) -> String {
    if scale == 0 {
        return value.to_string();
    }
    let digits = format!("{:0width$}", value.unsigned_abs(), width = usize::from(scale) + 1);
    let (whole, fraction) = digits.split_at(digits.len() - usize::from(scale));
    let sign = if value < 0 { "-" } else { "" };
    format!("{sign}{whole}.{fraction}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn division_rounds_half_away_from_zero() {
        assert_eq!(divide_rounded(5, 2), 3);
        assert_eq!(divide_rounded(-5, 2), -3);
        assert_eq!(divide_rounded(5, -2), -3);
        assert_eq!(divide_rounded(4, 3), 1);
        assert_eq!(divide_rounded(5, 3), 2);
        assert_eq!(divide_rounded(-1, 3), 0);
        assert_eq!(divide_rounded(0, 7), 0);
        assert_eq!(divide_rounded(i128::MAX, 1), i128::MAX);
    }

    #[test]
    fn quotients_are_exact_beyond_what_an_integer_holds() {
        assert_eq!(format_quotient(1, 3, 4), "0.3333");
        assert_eq!(format_quotient(2, 3, 4), "0.6667");
        assert_eq!(format_quotient(-5, 1000, 2), "-0.01");
        assert_eq!(format_quotient(-4, 1000, 2), "0.00");
        assert_eq!(format_quotient(999_999, 1_000, 2), "1000.00");
        assert_eq!(format_quotient(5, -2, 0), "-3");
        assert_eq!(format_quotient(i128::MAX, 1, 3), "170141183460469231731687303715884105727.000");
    }

    #[test]
    fn decimals_keep_their_scale() {
        assert_eq!(format_decimal(-1230, 2), "-12.30");
        assert_eq!(format_decimal(5, 2), "0.05");
        assert_eq!(format_decimal(0, 2), "0.00");
        assert_eq!(format_decimal(-7, 0), "-7");
    }
    proptest! {
        #[test]
        fn appended_numbers_are_the_formatted_ones(
            number: i128, small in -2_000i128..2_000, wide: i64, under: i64, scale in 0u8..=18,
        ) {
            for number in [number, small, i128::from(wide)] {
                let mut out = Vec::new();
                write_exact(&mut out, number, scale);
                prop_assert_eq!(String::from_utf8(out).unwrap(), format_decimal(number, scale));
                for under in [i128::from(under), small].into_iter().filter(|&under| under != 0) {
                    let mut out = Vec::new();
                    write_quotient(&mut out, number, under, scale);
                    prop_assert_eq!(String::from_utf8(out).unwrap(), format_quotient(number, under, scale));
                }
            }
        }
    }
}
