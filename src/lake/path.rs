//! Where the lake's data files lie: typed values to an object key and back, one to one.

use crate::model::{Incarnation, NextOffset, Partition, Source};
pub use crate::model::{decode_text, encode_text};
use crate::topology::PartitionColumn;
use std::fmt::Write;

/// One part of a file's folder.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PartitionValue {
    Text(String),
    Number(i32),
}

/// All that a data file's key says. Nothing else names a file, so a key can be made from a plan alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileKey {
    /// With `_refused` for refused records.
    pub table: String,
    /// In the order of the path.
    pub partition: Vec<(PartitionColumn, PartitionValue)>,
    pub source: Source,
    /// Where its chunk starts.
    pub start: NextOffset,
    /// Its place among the files of its plan.
    pub ordinal: usize,
}

impl FileKey {
    /// `prefix` is empty or ends in `/`.
    pub fn path(&self, prefix: &str) -> String {
        let mut path = format!("{prefix}{}/", self.table);
        for (column, value) in &self.partition {
            path.push_str(column.name());
            path.push('=');
            match value {
                PartitionValue::Text(text) => path.push_str(&encode_text(text.as_bytes())),
                PartitionValue::Number(number) => {
                    write!(path, "{number:0width$}", width = width(*column))
                        .expect("a string takes everything");
                }
            }
            path.push('/');
        }
        let Source { incarnation, partition } = self.source;
        write!(path, "{incarnation}-p{partition}-o{}-{}.parquet", self.start, self.ordinal)
            .expect("a string takes everything");
        path
    }

    /// Reads a key back; `None` for whatever [`FileKey::path`] would not have written.
    pub fn parse(prefix: &str, path: &str) -> Option<FileKey> {
        let mut parts: Vec<&str> = path.strip_prefix(prefix)?.split('/').collect();
        let name = parts.pop()?.strip_suffix(".parquet")?;
        let (table, folders) = parts.split_first()?;
        let partition = folders.iter().map(|folder| parse_folder(folder)).collect::<Option<_>>()?;

        let mut name = name.splitn(4, '-');
        let incarnation: Incarnation = name.next()?.parse().ok()?;
        let source = Source { incarnation, partition: Partition(number(name.next()?, "p")?) };
        let start = NextOffset(number(name.next()?, "o")?);
        let ordinal = number(name.next()?, "")?;

        let key = FileKey { table: (*table).to_owned(), partition, source, start, ordinal };
        // One form only: no sign, no other padding, no lower-case escape.
        (key.path(prefix) == path).then_some(key)
    }
}

fn width(column: PartitionColumn) -> usize {
    if column == PartitionColumn::Year { 4 } else { 2 }
}

fn parse_folder(folder: &str) -> Option<(PartitionColumn, PartitionValue)> {
    use PartitionColumn as C;
    let (name, text) = folder.split_once('=')?;
    let column = [C::Category, C::TenantId, C::Year, C::Month, C::Day, C::Hour]
        .into_iter()
        .find(|c| c.name() == name)?;
    let value = match column {
        C::Category | C::TenantId => PartitionValue::Text(String::from_utf8(decode_text(text)?).ok()?),
        C::Year | C::Month | C::Day | C::Hour => PartitionValue::Number(text.parse().ok()?),
    };
    Some((column, value))
}

fn number<N: std::str::FromStr>(text: &str, before: &str) -> Option<N> {
    text.strip_prefix(before)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key(tenant: &str) -> FileKey {
        FileKey {
            table: "events".into(),
            partition: vec![
                (PartitionColumn::Category, PartitionValue::Text("OrderCreated".into())),
                (PartitionColumn::TenantId, PartitionValue::Text(tenant.into())),
                (PartitionColumn::Year, PartitionValue::Number(2026)),
                (PartitionColumn::Month, PartitionValue::Number(11)),
                (PartitionColumn::Day, PartitionValue::Number(1)),
                (PartitionColumn::Hour, PartitionValue::Number(7)),
            ],
            source: Source { incarnation: Incarnation(0xabc), partition: Partition(3) },
            start: NextOffset(1200),
            ordinal: 17,
        }
    }

    #[test]
    fn a_key_reads_as_the_layout_says() {
        let path = "lake/events/category=OrderCreated/tenant_id=t017/year=2026/month=11/day=01/hour=07/\
                    00000000000000000000000000000abc-p3-o1200-17.parquet";

        assert_eq!(key("t017").path("lake/"), path);
        assert_eq!(FileKey::parse("lake/", path), Some(key("t017")));
    }

    /// F42: whatever a tenant calls itself, its files stay in their folder.
    #[test]
    fn hostile_ids_stay_inside_their_folder() {
        let hostile = [
            ("../x", "..!2Fx"),
            ("a/b", "a!2Fb"),
            ("%2e%2e", "!252e!252e"),
            ("a\0b", "a!00b"),
            ("line\nbreak", "line!0Abreak"),
            ("hour=01", "hour!3D01"),
            ("__HIVE_DEFAULT_PARTITION__", "!5F_HIVE_DEFAULT_PARTITION__"),
            ("\u{202e}abc", "!E2!80!AEabc"),
            ("😀", "!F0!9F!98!80"),
            ("=cmd|' /C calc'!A0", "!3Dcmd!7C!27!20!2FC!20calc!27!21A0"),
            ("'; DROP TABLE t;--", "!27!3B!20DROP!20TABLE!20t!3B--"),
            ("", ""),
            ("..", ".."),
        ];
        for (id, encoded) in hostile {
            assert_eq!(encode_text(id.as_bytes()), encoded);
            assert_eq!(decode_text(encoded), Some(id.as_bytes().to_vec()));
            let path = key(id).path("");
            assert_eq!(path.split('/').count(), 8, "{path}");
            let is_safe = |byte: u8| byte.is_ascii_alphanumeric() || b"._-!=/".contains(&byte);
            assert!(path.bytes().all(is_safe), "{path}");
            assert_eq!(FileKey::parse("", &path), Some(key(id)));
        }
    }

    #[test]
    fn only_the_one_form_is_read() {
        let path = key("t").path("");
        for (from, to) in
            [("p3", "p03"), ("-17.", "-+17."), ("abc-", "ABC-"), ("day=01", "day=1"), ("p3", "p")]
        {
            assert_eq!(FileKey::parse("", &path.replace(from, to)), None, "{from} {to}");
        }
        assert_eq!(FileKey::parse("x/", &path), None);
    }

    proptest! {
        #[test]
        fn a_path_gives_its_key_back(
            category: String, tenant: String, year in -300_000..300_000, month in 1..13, hour in 0..24,
            incarnation: u128, partition: u32, start: u64, ordinal: usize, mask in 0u8..16,
        ) {
            let all = [
                (PartitionColumn::Category, PartitionValue::Text(category)),
                (PartitionColumn::TenantId, PartitionValue::Text(tenant)),
                (PartitionColumn::Year, PartitionValue::Number(year)),
                (PartitionColumn::Month, PartitionValue::Number(month)),
                (PartitionColumn::Hour, PartitionValue::Number(hour)),
            ];
            let partition_values = all.into_iter().enumerate().filter(|(at, _)| mask >> at & 1 == 0);
            let key = FileKey {
                table: "t_refused".into(),
                partition: partition_values.map(|(_, value)| value).collect(),
                source: Source { incarnation: Incarnation(incarnation), partition: Partition(partition) },
                start: NextOffset(start),
                ordinal,
            };
            prop_assert_eq!(FileKey::parse("p/", &key.path("p/")), Some(key));
        }

        #[test]
        fn any_path_is_answered(path: String) {
            let _ = FileKey::parse("", &path);
        }
    }
}
