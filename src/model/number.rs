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
    fn decimals_keep_their_scale() {
        assert_eq!(format_decimal(-1230, 2), "-12.30");
        assert_eq!(format_decimal(5, 2), "0.05");
        assert_eq!(format_decimal(0, 2), "0.00");
        assert_eq!(format_decimal(-7, 0), "-7");
    }
}
