//! Which file a record belongs to: the values of the partition columns, from the event or from its record time.

use super::path::{FileKey, PartitionValue};
use crate::model::{LogTime, NextOffset, Source};
use crate::topology::{
    FieldIndex, Lake, Micros, PartitionColumn, REFUSED_PARTITION, Topology, refused_table,
};
use indexmap::Equivalent;
use std::hash::{Hash, Hasher};

/// Why a row lies in the hour that it lies in. The body says it, so that a reader knows whom a pruned query may miss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FiledBy {
    EventTime,
    /// The event time is outside `lake.accept`; or the record was refused and has none.
    RecordTime,
    /// The chunk had its files; by record time.
    Overflow,
}

impl FiledBy {
    pub fn as_str(self) -> &'static str {
        match self {
            FiledBy::EventTime => "event_time",
            FiledBy::RecordTime => "record_time",
            FiledBy::Overflow => "overflow",
        }
    }
}

/// What of a topology decides where rows lie.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Of every object; empty or ending in `/`.
    pub prefix: String,
    pub table: String,
    pub refused_table: String,
    pub columns: Vec<PartitionColumn>,
    /// Fields whose text stands in the path, if it does.
    pub(super) category: Option<FieldIndex>,
    pub(super) tenant: Option<FieldIndex>,
    pub configuration: u64,
    accept_past: Micros,
    accept_future: Micros,
}

/// Where in time a file lies. Parts that the path does not have are 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub(super) struct Bucket {
    year: i32,
    month: u8,
    day: u8,
    hour: u8,
}

/// One file of a chunk. Texts that the path does not have are empty.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Group {
    Events { category: Box<[u8]>, tenant: Box<[u8]>, bucket: Bucket },
    Refused(Bucket),
}

/// A group as it is looked up: nothing is copied for an event whose file is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum GroupRef<'a> {
    Events { category: &'a [u8], tenant: &'a [u8], bucket: Bucket },
    Refused(Bucket),
}

impl Group {
    fn borrowed(&self) -> GroupRef<'_> {
        match self {
            Group::Events { category, tenant, bucket } => {
                GroupRef::Events { category, tenant, bucket: *bucket }
            }
            Group::Refused(bucket) => GroupRef::Refused(*bucket),
        }
    }
}

impl GroupRef<'_> {
    pub(super) fn owned(self) -> Group {
        match self {
            GroupRef::Events { category, tenant, bucket } => {
                Group::Events { category: category.into(), tenant: tenant.into(), bucket }
            }
            GroupRef::Refused(bucket) => Group::Refused(bucket),
        }
    }

    pub(super) fn with_bucket(self, bucket: Bucket) -> Self {
        match self {
            GroupRef::Events { category, tenant, .. } => GroupRef::Events { category, tenant, bucket },
            GroupRef::Refused(_) => GroupRef::Refused(bucket),
        }
    }
}

impl Hash for Group {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.borrowed().hash(state);
    }
}

impl Equivalent<Group> for GroupRef<'_> {
    fn equivalent(&self, group: &Group) -> bool {
        *self == group.borrowed()
    }
}

impl Layout {
    pub fn new(topology: &Topology, prefix: &str) -> Layout {
        let Lake { table, partition, accept_past, accept_future, .. } = &topology.lake;
        let has = |column| partition.contains(&column);
        Layout {
            prefix: prefix.to_owned(),
            table: table.clone(),
            refused_table: refused_table(&topology.lake),
            columns: partition.clone(),
            category: topology.category.filter(|_| has(PartitionColumn::Category)),
            tenant: has(PartitionColumn::TenantId).then_some(topology.tenant),
            configuration: topology.configuration_hash,
            accept_past: *accept_past,
            accept_future: *accept_future,
        }
    }

    /// Both ends of `lake.accept` are inside.
    pub(super) fn accepts(&self, event_time: i64, record_time: LogTime) -> bool {
        let LogTime(record_time) = record_time;
        event_time >= record_time.saturating_sub(self.accept_past)
            && event_time <= record_time.saturating_add(self.accept_future)
    }

    pub(super) fn bucket(&self, micros: i64) -> Bucket {
        Bucket::of(micros, &self.columns)
    }

    pub(super) fn refused_bucket(&self, time: LogTime) -> Bucket {
        Bucket::of(time.0, &REFUSED_PARTITION)
    }

    /// The key of the `ordinal`-th file of the chunk that starts at `start`.
    pub(super) fn key(&self, group: &Group, source: Source, start: NextOffset, ordinal: usize) -> String {
        let (table, columns, texts, bucket) = match group {
            Group::Events { category, tenant, bucket } => {
                (&self.table, self.columns.as_slice(), [category.as_ref(), tenant.as_ref()], bucket)
            }
            Group::Refused(bucket) => {
                (&self.refused_table, REFUSED_PARTITION.as_slice(), [&[][..]; 2], bucket)
            }
        };
        let value = |&column: &PartitionColumn| {
            let value = match column {
                PartitionColumn::Category => text(texts[0]),
                PartitionColumn::TenantId => text(texts[1]),
                PartitionColumn::Year => PartitionValue::Number(bucket.year),
                PartitionColumn::Month => PartitionValue::Number(bucket.month.into()),
                PartitionColumn::Day => PartitionValue::Number(bucket.day.into()),
                PartitionColumn::Hour => PartitionValue::Number(bucket.hour.into()),
            };
            (column, value)
        };
        let partition = columns.iter().map(value).collect();
        FileKey { table: table.clone(), partition, source, start, ordinal }.path(&self.prefix)
    }
}

fn text(bytes: &[u8]) -> PartitionValue {
    PartitionValue::Text(String::from_utf8_lossy(bytes).into_owned())
}

const HOUR: i64 = 3_600_000_000;

impl Bucket {
    /// The UTC hour of a time, as far as the path has it. Any number is a time: years run to six digits.
    fn of(micros: i64, columns: &[PartitionColumn]) -> Bucket {
        let hours = micros.div_euclid(HOUR);
        let (year, month, day) = civil(hours.div_euclid(24));
        let has = |column| columns.contains(&column);
        Bucket {
            year: if has(PartitionColumn::Year) { year } else { 0 },
            month: if has(PartitionColumn::Month) { month } else { 0 },
            day: if has(PartitionColumn::Day) { day } else { 0 },
            hour: if has(PartitionColumn::Hour) { hours.rem_euclid(24) as u8 } else { 0 },
        }
    }
}

/// Day number since 1970 to year, month and day in the proleptic Gregorian calendar. Years are counted from
/// March, so that the leap day comes last.
fn civil(days: i64) -> (i32, u8, u8) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 { from_march + 3 } else { from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year as i32, month as u8, day as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ALL: [PartitionColumn; 4] = REFUSED_PARTITION;

    #[test]
    fn hours_are_floored_on_both_sides_of_1970() {
        let hour = |year, month, day, hour| Bucket { year, month, day, hour };

        assert_eq!(Bucket::of(0, &ALL), hour(1970, 1, 1, 0));
        assert_eq!(Bucket::of(HOUR - 1, &ALL), hour(1970, 1, 1, 0));
        assert_eq!(Bucket::of(-1, &ALL), hour(1969, 12, 31, 23));
        assert_eq!(Bucket::of(i64::MAX, &ALL).year, 294_247);
        assert_eq!(Bucket::of(i64::MIN, &ALL).year, -290_308);
        assert_eq!(Bucket::of(-1, &ALL[..2]), hour(1969, 12, 0, 0));
    }

    proptest! {
        #[test]
        fn the_calendar_agrees_with_jiff(seconds in -377_705_000_000i64..253_402_207_200) {
            let time = jiff::Timestamp::from_second(seconds).unwrap().to_zoned(jiff::tz::TimeZone::UTC);
            let bucket = Bucket::of(seconds * 1_000_000, &ALL);

            prop_assert_eq!(i32::from(time.year()), bucket.year);
            prop_assert_eq!(time.month() as u8, bucket.month);
            prop_assert_eq!(time.day() as u8, bucket.day);
            prop_assert_eq!(time.hour() as u8, bucket.hour);
        }
    }
}
