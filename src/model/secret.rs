//! Values that are never shown.

use std::fmt;

/// A password, a key, a token. `Debug` and `Display` say `***`; only [`Secret::reveal`] gives it away.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    pub fn new(value: impl Into<String>) -> Self {
        Secret(value.into())
    }

    /// What a file of a secret holds: its text without the line break that editors put at its end. `None` where
    /// nothing is left, or where more than one line is.
    pub fn from_file(text: &str) -> Option<Self> {
        let line = text.strip_suffix('\n').unwrap_or(text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        let is_one_line = !line.is_empty() && !line.contains(char::is_control);
        is_one_line.then(|| Secret::new(line))
    }

    /// For the client that needs it, and for nobody else.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_shown_to_nobody_who_does_not_ask_for_it() {
        assert_eq!(format!("{} {:#?}", Secret::new("hunter2"), Secret::new("hunter2")), "*** ***");
        assert_eq!(Secret::new("hunter2").reveal(), "hunter2");
    }

    #[test]
    fn a_file_of_a_secret_ends_with_a_line_break_that_is_not_its_own() {
        for text in [" 007", " 007\n", " 007\r\n"] {
            assert_eq!(Secret::from_file(text), Some(Secret::new(" 007")), "{text:?}");
        }
        for text in ["", "\n", "\r\n", "a\nb\n", "a\n\n", "a\0b"] {
            assert_eq!(Secret::from_file(text), None, "{text:?}");
        }
    }
}
