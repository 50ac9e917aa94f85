//! Row keys and the text forms in them. Compaction compares keys byte by byte, so there is one form of each:
//! a change here makes new keys of old ones, and needs a new name for the topology.

use super::plain::plain_end;
use super::write_exact;

const HEX: &[u8; 16] = b"0123456789abcdef";
const MICROS_A_DAY: i64 = 86_400_000_000;

/// Writes `text` as a JSON string, escaping only what must be, in one way.
pub fn write_json_string(out: &mut Vec<u8>, text: &str) {
    write_json_bytes(out, text.as_bytes());
}

/// The same of text whose UTF-8 was checked before.
pub fn write_json_bytes(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    let mut start = 0;
    loop {
        let end = plain_end(text, start);
        out.extend_from_slice(&text[start..end]);
        let Some(&byte) = text.get(end) else { break };
        write_escape(out, byte);
        start = end + 1;
    }
    out.push(b'"');
}

#[cold]
fn write_escape(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        0x08 => b'b',
        0x0c => b'f',
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        _ => {
            out.extend_from_slice(b"\\u00");
            out.push(HEX[usize::from(byte >> 4)]);
            out.push(HEX[usize::from(byte & 15)]);
            return;
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}

/// Writes the beginning of a key, up to where its `by` members go:
/// `{"aggregate":"vendor","tenant_id":"t017","by":{`. `kind` is `aggregate` or `history`.
pub fn begin_key(out: &mut Vec<u8>, kind: &str, name: &str, tenant: &str) {
    out.push(b'{');
    write_json_string(out, kind);
    out.push(b':');
    write_json_string(out, name);
    out.extend_from_slice(b",\"tenant_id\":");
    write_json_string(out, tenant);
    out.extend_from_slice(b",\"by\":{");
}

/// Writes one member of an open JSON object; its value is always a string.
pub fn write_member(out: &mut Vec<u8>, name: &str, text: &str) {
    begin_member(out, name);
    write_json_string(out, text);
}

/// Writes a member's name in an open JSON object, with the comma before it and the colon behind it.
pub fn begin_member(out: &mut Vec<u8>, name: &str) {
    if !matches!(out.last(), None | Some(b'{')) {
        out.push(b',');
    }
    write_json_string(out, name);
    out.push(b':');
}

/// Appends an exact number at its scale: `-12.30`.
pub fn write_decimal(out: &mut Vec<u8>, value: i64, scale: u8) {
    write_exact(out, i128::from(value), scale);
}

/// Appends the shortest text that reads back as the same number.
pub fn write_double(out: &mut Vec<u8>, value: f64) {
    out.extend_from_slice(value.to_string().as_bytes());
}

/// Appends UTC microseconds as RFC 3339, with no more digits than needed: `2026-11-01T00:00:00.5Z`.
pub fn write_time(out: &mut Vec<u8>, micros: i64) {
    write_seconds(out, micros);
    let mut fraction = micros.rem_euclid(1_000_000);
    if fraction != 0 {
        let mut digits = 6;
        while fraction % 10 == 0 {
            fraction /= 10;
            digits -= 1;
        }
        out.push(b'.');
        write_digits(out, fraction.unsigned_abs(), digits);
    }
    out.push(b'Z');
}

/// Appends UTC microseconds as RFC 3339 with all six digits: as text, such times sort by time.
pub fn write_time_micros(out: &mut Vec<u8>, micros: i64) {
    write_seconds(out, micros);
    out.push(b'.');
    write_digits(out, micros.rem_euclid(1_000_000).unsigned_abs(), 6);
    out.push(b'Z');
}

/// Appends days since 1970 as `2026-11-01`. Years outside 0 to 9999 carry a sign.
pub fn write_date(out: &mut Vec<u8>, days: i64) {
    let (year, month, day) = civil(days);
    if (0..=9999).contains(&year) {
        write_digits(out, year.unsigned_abs(), 4);
    } else {
        out.push(if year < 0 { b'-' } else { b'+' });
        write_digits(out, year.unsigned_abs(), 6);
    }
    out.push(b'-');
    write_digits(out, month, 2);
    out.push(b'-');
    write_digits(out, day, 2);
}

fn write_seconds(out: &mut Vec<u8>, micros: i64) {
    write_date(out, micros.div_euclid(MICROS_A_DAY));
    let seconds = (micros.rem_euclid(MICROS_A_DAY) / 1_000_000).unsigned_abs();
    out.push(b'T');
    write_digits(out, seconds / 3_600, 2);
    out.push(b':');
    write_digits(out, seconds / 60 % 60, 2);
    out.push(b':');
    write_digits(out, seconds % 60, 2);
}

/// At least `width` digits.
fn write_digits(out: &mut Vec<u8>, value: u64, width: usize) {
    let mut buffer = itoa::Buffer::new();
    let digits = buffer.format(value).as_bytes();
    out.extend(std::iter::repeat_n(b'0', width.saturating_sub(digits.len())));
    out.extend_from_slice(digits);
}

/// Year, month and day of a day since 1970 in the proleptic Gregorian calendar. Years are counted
/// from March on, in eras of 400 years (146,097 days), so that the leap day comes last.
fn civil(days: i64) -> (i64, u64, u64) {
    let days = i128::from(days) + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i128::from(month <= 2);
    (year as i64, month as u64, day as u64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn written(write: impl FnOnce(&mut Vec<u8>)) -> String {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_string_has_one_escape_form() {
        let text = "a\"b\\c/d\u{8}\u{c}\n\r\t\u{0}\u{1b}\u{7f}é\u{2028}😀";
        assert_eq!(
            written(|out| write_json_string(out, text)),
            "\"a\\\"b\\\\c/d\\b\\f\\n\\r\\t\\u0000\\u001b\u{7f}é\u{2028}😀\""
        );
    }

    #[test]
    fn a_key_begins_with_its_kind_name_and_tenant() {
        let key = written(|out| {
            begin_key(out, "aggregate", "vendor", "t\"017");
            write_member(out, "vendor_id", "v00042");
            write_member(out, "day", "");
        });
        assert_eq!(key, r#"{"aggregate":"vendor","tenant_id":"t\"017","by":{"vendor_id":"v00042","day":"""#);
    }

    #[test]
    fn times_and_dates_have_one_text_form() {
        let time = |micros| written(|out| write_time(out, micros));
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
        assert_eq!(time(1_793_491_200_000_000), "2026-11-01T00:00:00Z");
        assert_eq!(time(1_793_491_200_500_000), "2026-11-01T00:00:00.5Z");
        assert_eq!(time(-1), "1969-12-31T23:59:59.999999Z");
        assert_eq!(time(1_000_010), "1970-01-01T00:00:01.00001Z");
        assert_eq!(written(|out| write_time_micros(out, 1_500_000)), "1970-01-01T00:00:01.500000Z");
        let date = |days| written(|out| write_date(out, days));
        assert_eq!(date(11_016), "2000-02-29");
        assert_eq!(date(-719_528), "0000-01-01");
        assert_eq!(date(-719_529), "-000001-12-31");
        assert_eq!(date(2_932_897), "+010000-01-01");
    }

    #[test]
    fn numbers_have_one_text_form() {
        assert_eq!(written(|out| write_decimal(out, -1230, 2)), "-12.30");
        assert_eq!(written(|out| write_decimal(out, i64::MIN, 0)), "-9223372036854775808");
        assert_eq!(written(|out| write_double(out, 0.1)), "0.1");
    }

    proptest! {
        #[test]
        fn any_string_reads_back_as_itself(text: String) {
            let json = written(|out| write_json_string(out, &text));
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }

        #[test]
        fn times_read_back_as_themselves(micros in -62_000_000_000_000_000i64..253_000_000_000_000_000) {
            let text = written(|out| write_time(out, micros));
            prop_assert_eq!(text.parse::<jiff::Timestamp>().unwrap().as_microsecond(), micros);
        }

        #[test]
        fn any_number_is_answered(number: i64) {
            written(|out| write_time(out, number));
            written(|out| write_date(out, number));
        }
    }
}
