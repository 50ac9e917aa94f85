//! Rows of keys beyond the cap, which have none of their own.

use super::expected::Expected;
use crate::topology::Aggregate;
use std::collections::HashMap;

/// Stands in a key between its tenant and its `by`.
const BY: &str = ",\"by\":";

/// Keys without a row of their own, where the tenant has a row that sums such keys. A key is in that row with all its
/// living windows, or with none: so what lacks a row is exactly what that row has.
pub(super) struct Others {
    /// Beginnings of keys, up to `by`, to the row that sums their others.
    prefixes: HashMap<String, String>,
    /// By aggregate, prefix of the summing row, window.
    pub rows: HashMap<(usize, String, (usize, i64)), Expected>,
}

impl Others {
    pub(super) fn of(rows: &HashMap<String, String>) -> Others {
        let prefix = |key: &String| {
            let (tenant, rest) = key.split_once(BY)?;
            let by = rest.starts_with("{\"__other__\":").then(|| rest.split_inclusive('}').next())??;
            Some((tenant.to_owned(), format!("{tenant}{BY}{by}")))
        };
        Others { prefixes: rows.keys().filter_map(prefix).collect(), rows: HashMap::new() }
    }

    fn summing(&self, prefix: &str) -> Option<&String> {
        self.prefixes.get(prefix.split_once(BY)?.0)
    }

    pub(super) fn has(&self, prefix: &str) -> bool {
        self.summing(prefix).is_some()
    }

    pub(super) fn add(
        &mut self,
        definition: &Aggregate,
        (aggregate, prefix, window): (usize, &str, (usize, i64)),
        expected: Expected,
    ) {
        let Some(summing) = self.summing(prefix) else { return };
        let sum = self.rows.entry((aggregate, summing.clone(), window));
        sum.or_insert_with(|| Expected::new(definition)).merge(definition, expected);
    }
}
