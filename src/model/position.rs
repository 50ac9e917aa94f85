//! Places in a log, and times. Numbers that must not be mixed have types of their own.

use std::fmt;

/// Where a record sits in its partition.
///
/// Offsets only grow, but they have holes (compaction, transaction markers), so the difference
/// of two offsets estimates a lag and never counts records.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Offset(pub u64);

/// The first offset that is not done yet: what brokers commit, and where a chunk ends.
///
/// Kept apart from [`Offset`], so that an off-by-one replay does not compile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct NextOffset(pub u64);

impl Offset {
    /// Brokers commit the next offset to read, so one past this record.
    pub fn next(self) -> NextOffset {
        NextOffset(self.0 + 1)
    }
}

impl NextOffset {
    /// The record just before this position, if there is one.
    pub fn last(self) -> Option<Offset> {
        self.0.checked_sub(1).map(Offset)
    }
}

/// Number of a partition inside its topic: a raw partition (source) or a repartition partition (target).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Partition(pub u32);

/// One life of a topic: its topic id. A topic that was deleted and made again is another incarnation.
/// Prints as 32 hex digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Incarnation(pub u128);

/// *s*: a raw partition in one incarnation of its topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Source {
    pub incarnation: Incarnation,
    pub partition: Partition,
}

/// Where a raw record stands, for ever.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Coordinate {
    pub source: Source,
    pub offset: Offset,
}

/// Hash of all that decides event → rows and targets.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RoutingVersion(pub u64);

/// When something happened, as its producer says: UTC microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct EventTime(pub i64);

/// When a log took a record (record time of a raw record, append time of a block): UTC microseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LogTime(pub i64);

impl fmt::Display for Offset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
impl fmt::Display for NextOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
impl fmt::Display for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
impl fmt::Display for Incarnation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}
impl fmt::Display for Coordinate {
    /// `<incarnation>-p<partition>-o<offset>`, as dead letters and people name a raw record.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-p{}-o{}", self.source.incarnation, self.source.partition, self.offset)
    }
}
impl fmt::Display for RoutingVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl std::str::FromStr for Coordinate {
    type Err = ();
    /// What [`fmt::Display`] writes.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.splitn(3, '-');
        let mut part = |begin: &str| parts.next().and_then(|part| part.strip_prefix(begin)).ok_or(());
        let incarnation = part("")?.parse().map_err(|_| ())?;
        let partition = Partition(part("p")?.parse().map_err(|_| ())?);
        let offset = Offset(part("o")?.parse().map_err(|_| ())?);
        Ok(Coordinate { source: Source { incarnation, partition }, offset })
    }
}

impl std::str::FromStr for Incarnation {
    type Err = std::num::ParseIntError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u128::from_str_radix(text, 16).map(Incarnation)
    }
}
