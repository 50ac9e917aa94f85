//! Where secrets come from.

use crate::model::Secret;
use std::path::PathBuf;

/// A value, or the place of one. A file is read by whoever starts the clients ([`Secret::from_file`]).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SecretFrom {
    Value(Secret),
    File(PathBuf),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_stands_in_the_configuration_is_not_shown() {
        assert_eq!(format!("{:?}", SecretFrom::Value(Secret::new("hunter2"))), "Value(***)");
    }
}
