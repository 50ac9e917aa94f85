//! What of a deployment is looked at: all of it, or the tenants of one part.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

/// One of so many equal parts of the tenants, by hash: a sample, or one step of a long proof.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Part {
    /// From 0.
    pub number: u32,
    pub of: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scope {
    /// `None`: every tenant.
    pub part: Option<Part>,
    /// Also whether the lake is the log, and dead letters the refused rows: this is nobody's tenant.
    pub has_log: bool,
    /// Counts by hour and tenant, too.
    pub by_hour: bool,
}

impl Default for Scope {
    fn default() -> Self {
        Scope { part: None, has_log: true, by_hour: false }
    }
}

impl Scope {
    pub(super) fn takes(&self, tenant: &str) -> bool {
        self.part.is_none_or(|part| part.takes(tenant))
    }

    /// For keys of rows and histories: `{"aggregate":"a","tenant_id":"t",…`. What names none is taken, to be told.
    pub(super) fn takes_key(&self, key: &str) -> bool {
        self.part.is_none() || tenant_of(key).is_none_or(|tenant| self.takes(&tenant))
    }
}

impl Part {
    pub fn takes(self, tenant: &str) -> bool {
        // Other bits than those that choose a target.
        (xxh3_64(tenant.as_bytes()) >> 32) % u64::from(self.of.max(1)) == u64::from(self.number)
    }
}

/// The tenant that a row's key names.
pub(super) fn tenant_of(key: &str) -> Option<String> {
    let (_, rest) = key.split_once("\"tenant_id\":")?;
    let mut texts = serde_json::Deserializer::from_str(rest).into_iter::<String>();
    texts.next()?.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tenant_is_in_one_part_and_parts_are_about_equal() {
        let mut counts = [0; 4];
        for tenant in (0..1_000).map(|number| format!("t{number}")) {
            let of = |number| Part { number, of: 4 };
            let takers: Vec<u32> = (0..4).filter(|&number| of(number).takes(&tenant)).collect();
            assert_eq!(takers.len(), 1);
            counts[takers[0] as usize] += 1;
        }

        assert!(counts.iter().all(|count| (180..320).contains(count)), "{counts:?}");
    }

    #[test]
    fn a_key_names_its_tenant_whatever_stands_in_it() {
        assert_eq!(tenant_of(r#"{"aggregate":"a","tenant_id":"t\",1","by":{}"#).as_deref(), Some("t\",1"));
        assert_eq!(tenant_of(r#"{"position":1}"#), None);
    }
}
