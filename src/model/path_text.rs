//! Text as part of an object key, one to one: tenants and categories in the lake's paths.
//!
//! `!` is safe in object keys and decoded by nobody on the way; percent text is decoded by some readers and
//! not by others.

use super::mutation::{self, Mutation};
use std::fmt::Write;

/// Bytes outside `[A-Za-z0-9._-]`, and a leading `_`, become `!XX`.
pub fn encode_text(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    if mutation::is(Mutation::TenantUnescaped) {
        return String::from_utf8_lossy(bytes).into_owned();
    }
    for (at, &byte) in bytes.iter().enumerate() {
        if is_plain(byte, at) {
            text.push(char::from(byte));
        } else {
            write!(text, "!{byte:02X}").expect("a string takes everything");
        }
    }
    text
}

/// The bytes behind an encoded text; `None` for whatever [`encode_text`] would not have written.
pub fn decode_text(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        if first == b'!' {
            let digits = std::str::from_utf8(behind.get(..2)?).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
            rest = &behind[2..];
        } else {
            bytes.push(first);
            rest = behind;
        }
    }
    (encode_text(&bytes) == text).then_some(bytes)
}

/// `_` also stands in front of names that engines keep for themselves, such as `__HIVE_DEFAULT_PARTITION__`.
fn is_plain(byte: u8, at: usize) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-') || (byte == b'_' && at > 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn only_the_one_form_is_read() {
        for text in ["!2f", "!41", "!", "!2", "!ZZ", "_x", "a b", "é", "!+1"] {
            assert_eq!(decode_text(text), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn encoded_text_gives_the_bytes_back(bytes: Vec<u8>) {
            let text = encode_text(&bytes);
            prop_assert!(text.bytes().enumerate().all(|(at, byte)| is_plain(byte, at) || byte == b'!'));
            prop_assert_eq!(decode_text(&text), Some(bytes));
        }

        #[test]
        fn what_is_read_is_what_would_be_written(text: String) {
            if let Some(bytes) = decode_text(&text) {
                prop_assert_eq!(encode_text(&bytes), text);
            }
        }
    }
}
