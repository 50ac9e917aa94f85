//! Where Athena's tables stand, checked: Athena itself says what is wrong with a place only when it is asked.

use super::super::checked::{Micros, Topology};
use std::ops::RangeInclusive;

const YEAR: Micros = 365 * 86_400_000_000;
/// What the path's year is written with: four digits.
const YEARS_EVER: RangeInclusive<i32> = 1000..=9999;
/// Wide enough that nobody has to think of it for long, narrow enough that a query without a year ends.
const YEARS: RangeInclusive<i32> = 2020..=2039;
/// No event was filed before; `lake.accept.past` counts from here.
const FIRST_RUN: i32 = 2026;
const NAME_MAX: usize = 128;

/// Files, database and years of the tables. Only [`Glue::new`] makes one, so its texts need no escapes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Glue {
    /// `s3://bucket/prefix`, without a `/` at its end.
    pub(super) location: String,
    pub(super) database: String,
    pub(super) years: RangeInclusive<i32>,
}

impl Glue {
    /// `location` is what the lake's configuration calls its URL. The database is called like the topology if it
    /// has no name of its own. Years are wide by default: a year that is not among them is not seen, and not
    /// missed by anybody.
    pub fn new(
        topology: &Topology,
        location: &str,
        database: Option<&str>,
        (from, to): (Option<i32>, Option<i32>),
    ) -> Result<Glue, String> {
        let default = default_years(topology.lake.accept_past);
        let database = database.map_or_else(|| topology.name.replace('-', "_"), str::to_owned);
        let years = from.unwrap_or(*default.start())..=to.unwrap_or(*default.end());
        check_database(&database)?;
        check_years(&years)?;
        Ok(Glue { location: check_location(location)?, database, years })
    }
}

fn default_years(accept_past: Micros) -> RangeInclusive<i32> {
    let years_back = i32::try_from(accept_past / YEAR + 1).unwrap_or(i32::MAX);
    let oldest = FIRST_RUN.saturating_sub(years_back).max(*YEARS_EVER.start());
    oldest.min(*YEARS.start())..=*YEARS.end()
}

fn check_years(years: &RangeInclusive<i32>) -> Result<(), String> {
    for year in [years.start(), years.end()] {
        if !YEARS_EVER.contains(year) {
            return Err(format!("the year {year} has not four digits, as the lake's paths have"));
        }
    }
    match years.is_empty() {
        true => Err(format!("no year is from {} on and up to {}", years.start(), years.end())),
        false => Ok(()),
    }
}

fn check_database(name: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let begins = name.starts_with(|c: char| c.is_ascii_lowercase());
    if begins && name.len() <= NAME_MAX && name.chars().all(is_plain) {
        return Ok(());
    }
    Err(format!(
        "a database is called with a small letter and then up to {} small letters, digits and _, not `{name}`",
        NAME_MAX - 1
    ))
}

/// Text of a location stands in SQL, in Terraform and in a template: so it is plain, or refused.
fn check_location(url: &str) -> Result<String, String> {
    let rest =
        url.strip_prefix("s3://").ok_or("Athena reads what lies at s3://bucket/prefix, nothing else")?;
    let rest = rest.trim_end_matches('/');
    let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let in_bucket = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '-' | '.');
    if bucket.is_empty() || !bucket.chars().all(in_bucket) {
        return Err("the name of a bucket holds small letters, digits, `-` and `.` only".into());
    }
    let in_prefix = |c: char| c.is_ascii_alphanumeric() || "/._=!+@~-".contains(c);
    if let Some(strange) = prefix.chars().find(|c| !in_prefix(*c)) {
        return Err(format!("Athena is not trusted with {strange:?} in a prefix: lay the lake elsewhere"));
    }
    if prefix.split('/').any(|part| matches!(part, "." | "..")) || prefix.contains("//") {
        return Err("a part of the prefix is empty or made of dots".into());
    }
    Ok(format!("s3://{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_plain_or_refused() {
        for (url, kept) in [
            ("s3://shop-lake", "s3://shop-lake"),
            ("s3://shop-lake/", "s3://shop-lake"),
            ("s3://shop.lake/v1/Of=all/", "s3://shop.lake/v1/Of=all"),
        ] {
            assert_eq!(check_location(url).as_deref(), Ok(kept));
        }
        for url in [
            "",
            "lake",
            "gs://lake/v1",
            "s3a://lake",
            "s3://",
            "s3:///v1",
            "s3://Lake",
            "s3://lake/it's",
            "s3://lake/${x}",
            "s3://lake/a b",
            "s3://lake/a//b",
            "s3://lake/../b",
            "s3://lake/a\"b",
            "s3://lake/ü",
        ] {
            assert!(check_location(url).is_err(), "{url}");
        }
    }

    #[test]
    fn a_database_has_a_name_that_needs_no_quotes() {
        for name in ["shop", "shop_lake2", "s"] {
            assert_eq!(check_database(name), Ok(()));
        }
        for name in ["", "1shop", "_shop", "Shop", "shop-lake", "a`b", "ü", &"a".repeat(129)] {
            assert!(check_database(name).is_err(), "{name}");
        }
    }

    #[test]
    fn years_reach_back_as_far_as_events_are_accepted() {
        assert_eq!(default_years(400 * 86_400_000_000), 2020..=2039);
        assert_eq!(default_years(10 * YEAR), 2015..=2039);
        assert_eq!(default_years(i64::MAX), 1000..=2039);
        assert!(check_years(&(2026..=2026)).is_ok());
        #[expect(clippy::reversed_empty_ranges, reason = "that is what is refused")]
        let backward = 2027..=2026;
        for years in [backward, 999..=2026, 2026..=10_000] {
            assert!(check_years(&years).is_err(), "{years:?}");
        }
    }
}
