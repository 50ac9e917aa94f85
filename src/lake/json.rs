//! How our types lie in the lake's small JSON objects. Hashes are hex text: many readers round large numbers.

/// A position as a number.
pub(super) mod position {
    use crate::model::NextOffset;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(in crate::lake) fn serialize<S: Serializer>(at: &NextOffset, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u64(at.0)
    }

    pub(in crate::lake) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<NextOffset, D::Error> {
        u64::deserialize(from).map(NextOffset)
    }
}

/// A hash as 16 hex digits.
pub(super) mod hex64 {
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(in crate::lake) fn serialize<S: Serializer>(hash: &u64, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(&format_args!("{hash:016x}"))
    }

    pub(in crate::lake) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
        let text = String::deserialize(from)?;
        let hash = u64::from_str_radix(&text, 16).ok().filter(|hash| format!("{hash:016x}") == text);
        hash.ok_or_else(|| D::Error::custom(format!("`{text}` is not 16 hex digits")))
    }
}
