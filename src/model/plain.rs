//! Finds the bytes of JSON text that are not plain, many at a time.

/// Of a record: is all of it ASCII, and is it free of backslashes and control characters? One pass without a branch, so
/// that the compiler takes many bytes at a time.
pub(crate) fn survey(record: &[u8]) -> (bool, bool) {
    let (mut all, mut special) = (0u8, 0u8);
    for &byte in record {
        all |= byte;
        special |= u8::from(byte < 0x20) | u8::from(byte == b'\\');
    }
    (all < 0x80, special == 0)
}

/// The first quote from `at` on, eight bytes a step; else the end.
pub(crate) fn quote(bytes: &[u8], mut at: usize) -> usize {
    while let Some(&chunk) = bytes[at..].first_chunk::<8>() {
        let found = below(u64::from_le_bytes(chunk) ^ (ONES * u64::from(b'"')), 1) & (ONES << 7);
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    at + bytes[at..].iter().position(|&byte| byte == b'"').unwrap_or(bytes.len() - at)
}

/// The first quote, backslash or control character from `at` on, eight bytes a step; else the end.
pub(crate) fn plain_end(bytes: &[u8], mut at: usize) -> usize {
    while let Some(&chunk) = bytes[at..].first_chunk::<8>() {
        let stops = stops(u64::from_le_bytes(chunk));
        if stops != 0 {
            return at + stops.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    let is_stop = |byte: &u8| matches!(byte, b'"' | b'\\' | 0..0x20);
    at + bytes[at..].iter().position(is_stop).unwrap_or(bytes.len() - at)
}

const ONES: u64 = u64::MAX / 255;

/// The high bit of each byte that is below `limit`, as far as nothing was borrowed; other bits may be set.
fn below(word: u64, limit: u8) -> u64 {
    word.wrapping_sub(ONES * u64::from(limit)) & !word
}

/// The high bit of each byte that ends plain text. Right up to the first of them; those above it
/// may be wrong, because the subtraction borrows.
fn stops(word: u64) -> u64 {
    let quote = below(word ^ (ONES * u64::from(b'"')), 1);
    let backslash = below(word ^ (ONES * u64::from(b'\\')), 1);
    (quote | backslash | below(word, 0x20)) & (ONES << 7)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_edges_of_what_is_plain_are_where_they_should_be() {
        for (text, expected) in [
            (&b"{\"a\": 1}"[..], (true, true)),
            (b"", (true, true)),
            (b" ~\x7f", (true, true)),
            (b"\x1f", (true, false)),
            (b"{\n}", (true, false)),
            (b"\\", (true, false)),
            ("\u{80}".as_bytes(), (false, true)),
            ("\u{80}\t".as_bytes(), (false, false)),
        ] {
            assert_eq!(survey(text), expected, "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn plain_text_ends_at_the_first_byte_that_is_not_plain(bytes: Vec<u8>, at in 0usize..9) {
            let at = at.min(bytes.len());
            let slow = (at..bytes.len()).find(|&at| bytes[at] < 0x20 || bytes[at] == b'"' || bytes[at] == b'\\');

            prop_assert_eq!(plain_end(&bytes, at), slow.unwrap_or(bytes.len()));
        }

        #[test]
        fn a_plain_string_ends_at_the_first_quote(bytes: Vec<u8>, at in 0usize..9) {
            let at = at.min(bytes.len());
            let slow = (at..bytes.len()).find(|&at| bytes[at] == b'"');

            prop_assert_eq!(quote(&bytes, at), slow.unwrap_or(bytes.len()));
        }

        #[test]
        fn a_record_is_plain_without_backslashes_and_control_characters(bytes: Vec<u8>) {
            let is_plain = !bytes.iter().any(|&byte| byte < 0x20 || byte == b'\\');

            prop_assert_eq!(survey(&bytes), (bytes.is_ascii(), is_plain));
        }
    }
}
