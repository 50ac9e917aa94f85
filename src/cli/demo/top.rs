//! The vendors that earned most on the newest day, from metrics rows as they come.

use serde_json::Value;
use std::collections::BTreeMap;

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Vendor {
    pub(super) tenant: String,
    pub(super) vendor: String,
    pub(super) revenue: String,
    pub(super) orders: u64,
}

impl Vendor {
    pub(super) fn line(&self) -> String {
        format!("  {:<8} {:<12} {:>14}  {:>7} orders", self.tenant, self.vendor, self.revenue, self.orders)
    }
}

/// Day rows by vendor; a later row of the same key replaces the earlier one.
#[derive(Debug, Default)]
pub(super) struct Top {
    /// Day → key → (revenue in cents, the vendor).
    days: BTreeMap<String, BTreeMap<Vec<u8>, (i128, Vendor)>>,
}

impl Top {
    pub(super) fn take(&mut self, key: &[u8], value: &[u8]) {
        if let Some((day, revenue, vendor)) = read(key, value) {
            self.days.entry(day).or_default().insert(key.to_vec(), (revenue, vendor));
            while self.days.len() > 1 {
                self.days.pop_first();
            }
        }
    }

    pub(super) fn first(&self, count: usize) -> Vec<Vendor> {
        let mut all: Vec<_> = self.days.values().next_back().into_iter().flat_map(BTreeMap::values).collect();
        all.sort_by(|a, b| (b.0, &a.1.tenant, &a.1.vendor).cmp(&(a.0, &b.1.tenant, &b.1.vendor)));
        all.into_iter().take(count).map(|(_, vendor)| vendor.clone()).collect()
    }
}

fn read(key: &[u8], value: &[u8]) -> Option<(String, i128, Vendor)> {
    let key: Value = serde_json::from_slice(key).ok()?;
    if key["aggregate"] != "vendor" || key["window"] != "day" {
        return None;
    }
    let value: Value = serde_json::from_slice(value).ok()?;
    let revenue = value["values"]["revenue"].as_str()?;
    let cents = revenue.replace('.', "").parse().ok()?;
    let vendor = Vendor {
        tenant: key["tenant_id"].as_str()?.into(),
        vendor: key["by"]["vendor_id"].as_str()?.into(),
        revenue: revenue.into(),
        orders: value["values"]["completed_orders"].as_u64()?,
    };
    Some((key["start"].as_str()?.into(), cents, vendor))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(top: &mut Top, day: &str, vendor: &str, revenue: &str) {
        let key = format!(
            r#"{{"aggregate":"vendor","tenant_id":"t","by":{{"vendor_id":"{vendor}"}},"window":"day","start":"{day}"}}"#
        );
        let value = format!(r#"{{"values":{{"completed_orders":1,"revenue":"{revenue}"}}}}"#);
        top.take(key.as_bytes(), value.as_bytes());
    }

    #[test]
    fn the_newest_day_counts_and_the_last_row_of_a_vendor() {
        let mut top = Top::default();
        take(&mut top, "2026-11-01", "rich", "900.00");
        take(&mut top, "2026-11-02", "a", "5.00");
        take(&mut top, "2026-11-02", "b", "10.00");
        take(&mut top, "2026-11-02", "a", "40.00");
        take(&mut top, "2026-11-01", "rich", "1900.00");

        let names: Vec<_> = top.first(5).into_iter().map(|vendor| (vendor.vendor, vendor.revenue)).collect();

        assert_eq!(names, [("a".into(), "40.00".into()), ("b".into(), String::from("10.00"))]);
    }
}
