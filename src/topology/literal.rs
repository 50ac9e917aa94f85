//! Literals of a topology, by the type of their field.

use super::checked::{Literal, Scalar};

/// Reads a literal as the field that it is compared with would be read; else what would be right.
pub(crate) fn literal(text: &str, scalar: Scalar) -> Result<Literal, String> {
    match scalar {
        Scalar::Text => Ok(Literal::Text(text.into())),
        Scalar::Uuid => uuid(text)
            .map(Literal::Text)
            .ok_or("a uuid such as `0198c7a2-3b5f-7c1d-9e42-5a6b7c8d9e0f`".into()),
        Scalar::Int => {
            decimal(text, 0).map(Literal::Number).ok_or("a whole number from -2^63 to 2^63-1".into())
        }
        Scalar::Decimal { scale, .. } => decimal(text, scale)
            .map(Literal::Number)
            .ok_or_else(|| format!("a number with at most {scale} digits behind the point")),
        Scalar::Double => double(text).map(Literal::Double).ok_or("a number such as `1.5` or `2e-3`".into()),
        Scalar::Bool => match text {
            "true" => Ok(Literal::Number(1)),
            "false" => Ok(Literal::Number(0)),
            _ => Err("`true` or `false`".into()),
        },
        Scalar::Time => time(text)
            .map(Literal::Number)
            .ok_or("a time with its zone and at most microseconds, such as `2026-11-01T12:30:00Z`".into()),
        Scalar::Date => date(text).map(Literal::Number).ok_or("a date such as `2026-11-01`".into()),
        Scalar::Json => Err("left out, or `{ present: true }`".into()),
    }
}

/// Lower case, with hyphens.
fn uuid(text: &str) -> Option<String> {
    let groups: Vec<&str> = text.split('-').collect();
    let hex = text.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    let right = hex && groups.iter().map(|group| group.len()).eq([8, 4, 4, 4, 12]);
    right.then(|| text.to_ascii_lowercase())
}

/// An exact decimal at `scale`; zeros behind its last digit do no harm.
fn decimal(text: &str, scale: u8) -> Option<i64> {
    let (negative, digits) = match text.strip_prefix('-') {
        Some(digits) => (true, digits),
        None => (false, text),
    };
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    if !is_digits(whole) || !is_digits(fraction) {
        return None;
    }
    let fraction = fraction.trim_end_matches('0');
    let missing = usize::from(scale).checked_sub(fraction.len())?;
    let unsigned: i128 = format!("{whole}{fraction}{}", "0".repeat(missing)).parse().ok()?;
    i64::try_from(if negative { -unsigned } else { unsigned }).ok()
}

fn double(text: &str) -> Option<f64> {
    // Rust also reads `inf` and `nan`; JSON has neither.
    let plain = text.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    text.parse().ok().filter(|value: &f64| plain && value.is_finite())
}

fn time(text: &str) -> Option<i64> {
    let time: jiff::Timestamp = text.parse().ok()?;
    (time.subsec_nanosecond() % 1_000 == 0).then(|| time.as_microsecond())
}

fn date(text: &str) -> Option<i64> {
    // jiff also reads compact and longer forms.
    let shape =
        |(at, byte): (usize, u8)| if at == 4 || at == 7 { byte == b'-' } else { byte.is_ascii_digit() };
    let right = text.len() == 10 && text.bytes().enumerate().all(shape);
    let date: jiff::civil::Date = right.then(|| text.parse().ok())??;
    let days = date.since(jiff::civil::date(1970, 1, 1)).ok()?;
    Some(i64::from(days.get_days()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{format_duration, parse_duration};

    #[test]
    fn a_printed_duration_reads_back() {
        for text in ["90s", "5m", "24h", "30d", "90m", "36h", "400d"] {
            assert_eq!(parse_duration(text).map(format_duration).as_deref(), Some(text));
        }
    }

    #[test]
    fn literals_are_read_by_the_type_of_their_field() {
        let money = Scalar::Decimal { scale: 2, round: false, minor: false };
        let read = |text, scalar| literal(text, scalar).ok();

        assert_eq!(read("NO", Scalar::Text), Some(Literal::Text("NO".into())));
        assert_eq!(read("007", Scalar::Text), Some(Literal::Text("007".into())));
        assert_eq!(read("007", Scalar::Int), Some(Literal::Number(7)));
        assert_eq!(read("-9223372036854775808", Scalar::Int), Some(Literal::Number(i64::MIN)));
        assert_eq!(read("9223372036854775808", Scalar::Int), None);
        assert_eq!(read("5.0", Scalar::Int), Some(Literal::Number(5)));
        assert_eq!(read("19.9", money), Some(Literal::Number(1990)));
        assert_eq!(read("19.990", money), Some(Literal::Number(1999)));
        assert_eq!(read("19.991", money), None);
        assert_eq!(read("-0.05", money), Some(Literal::Number(-5)));
        assert_eq!(read("1e3", Scalar::Double), Some(Literal::Double(1000.0)));
        assert_eq!(read("nan", Scalar::Double), None);
        assert_eq!(read("NO", Scalar::Bool), None);
        assert_eq!(read("true", Scalar::Bool), Some(Literal::Number(1)));
        assert_eq!(read("1970-01-02", Scalar::Date), Some(Literal::Number(1)));
        assert_eq!(read("1969-12-31", Scalar::Date), Some(Literal::Number(-1)));
        assert_eq!(read("2026-02-30", Scalar::Date), None);
        assert_eq!(read("1970-01-01T01:00:00+01:00", Scalar::Time), Some(Literal::Number(0)));
        assert_eq!(read("1970-01-01T00:00:00", Scalar::Time), None);
        assert_eq!(
            read("0198C7A2-3B5F-7C1D-9E42-5A6B7C8D9E0F", Scalar::Uuid),
            Some(Literal::Text("0198c7a2-3b5f-7c1d-9e42-5a6b7c8d9e0f".into()))
        );
        assert_eq!(read("0198c7a23b5f7c1d9e425a6b7c8d9e0f", Scalar::Uuid), None);
        assert_eq!(read("{}", Scalar::Json), None);
    }
}
