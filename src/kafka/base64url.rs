//! Base64 as tokens are written (RFC 7515): `-` and `_` for its last two letters, and nothing to fill up its end.

#[cfg(any(test, feature = "s3"))]
const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

#[cfg(any(test, feature = "s3"))]
pub(super) fn encoded(bytes: &[u8]) -> String {
    let three = |three: &[u8]| {
        let bits = (0..3).fold(0, |bits, at| bits << 8 | u32::from(*three.get(at).unwrap_or(&0)));
        let letter = move |at: usize| char::from(LETTERS[(bits >> (18 - 6 * at) & 63) as usize]);
        (0..=three.len()).map(letter)
    };
    bytes.chunks(3).flat_map(three).collect()
}

/// `None` if it is none.
pub(super) fn decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3 + 2);
    let (mut bits, mut count) = (0_u32, 0);
    for letter in text.bytes() {
        let six = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'-' => 62,
            b'_' => 63,
            _ => return None,
        };
        (bits, count) = (bits << 6 | u32::from(six), count + 6);
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count) as u8);
            bits &= (1 << count) - 1;
        }
    }
    // One letter alone is less than a byte.
    (count < 6).then_some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64url_is_read_and_written_at_every_length() {
        let bytes: Vec<u8> = (0..=255).rev().collect();

        for len in 0..bytes.len() {
            assert_eq!(decoded(&encoded(&bytes[..len])).as_deref(), Some(&bytes[..len]));
        }
        assert_eq!(encoded(b"a?~\xff"), "YT9-_w");
        assert_eq!(decoded("_-8").as_deref(), Some(&[255, 239][..]));
        for text in ["a", "abcde", "ab==", "a+b/", "ü"] {
            assert_eq!(decoded(text), None, "{text}");
        }
    }
}
