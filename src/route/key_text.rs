//! A row key's beginning, `{"aggregate":…,"tenant_id":…,"by":{…}`, written for one contribution after the other.

use super::contribution::Datum;
use super::plan::AggregatePlan;
use crate::model::write_json_bytes;

/// Memory that is used again.
#[derive(Default)]
pub(super) struct KeyText {
    /// What stands in every key of the event at hand, between the aggregate and the `by` values.
    tenant: Vec<u8>,
    key: Vec<u8>,
}

impl KeyText {
    pub(super) fn set_tenant(&mut self, tenant: &[u8]) {
        self.tenant.clear();
        write_json_bytes(&mut self.tenant, tenant);
        self.tenant.extend_from_slice(b",\"by\":{");
    }

    /// The key of a contribution; `None` if a `by` column is absent.
    pub(super) fn write(&mut self, aggregate: &AggregatePlan, values: &[Datum<'_>]) -> Option<&[u8]> {
        let KeyText { tenant, key } = self;
        key.clear();
        key.extend_from_slice(&aggregate.head);
        key.extend_from_slice(tenant);
        for by in &aggregate.by {
            key.extend_from_slice(&by.name);
            match values[by.column] {
                Datum::Absent => return None,
                Datum::Text(text) => write_json_bytes(key, text),
                // Nothing in a number, a time or a date needs an escape.
                value => {
                    key.push(b'"');
                    value.write_text(key, by.scalar);
                    key.push(b'"');
                }
            }
        }
        key.push(b'}');
        Some(key)
    }
}

/// Bytes of a batch as text.
pub(super) fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("decode checks UTF-8 and cuts at characters")
}
