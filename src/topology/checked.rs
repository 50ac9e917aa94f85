//! The checked topology: what the engine runs on. Only `check` makes one, so nobody checks it again.
//!
//! Names are resolved to indices: [`FieldIndex`] into `events.fields`, [`ColumnIndex`] into an
//! aggregate's `columns` (the names of its contributions that anything reads).

use jiff::tz::TimeZone;

/// Microseconds.
pub type Micros = i64;
pub type FieldIndex = usize;
pub type ColumnIndex = usize;
pub type ValueIndex = usize;

#[derive(Debug, Clone)]
pub struct Topology {
    pub name: String,
    pub deployment: String,
    pub events: Events,
    pub tenant: FieldIndex,
    pub category: Option<FieldIndex>,
    /// Of calendar windows. The lake's hours stay UTC.
    pub zone: Zone,
    pub clock: Clock,
    pub lateness: Micros,
    /// An event time beyond append time + this sets the unit aside as `future` (`lake.accept.future`).
    pub accept_future: Micros,
    /// Partitions of repartition, state, metrics, set-aside and histories: 1 to 256.
    pub partitions: u32,
    pub duplicates: Duplicates,
    /// By name: blocks and state number them, and a map in a file has no order.
    pub aggregates: Vec<Aggregate>,
    /// By name.
    pub histories: Vec<History>,
    pub lake: Lake,
    /// Empty: any category.
    pub categories: Vec<String>,
    /// The file, as it was read: kept beside the lake, so that whoever finishes a plan uses the topology that made it.
    pub text: String,
    /// Hash of all that decides event → rows and targets (a change needs a cut-over).
    pub routing_version: u64,
    /// Hash of everything that decides rows, panes, windows and files, and of the time-zone data's version.
    pub configuration_hash: u64,
}

#[derive(Debug, Clone)]
pub struct Events {
    pub topic: String,
    pub fields: Vec<Field>,
    pub id: EventId,
    /// The first that is present.
    pub time: Vec<TimeOrigin>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventId {
    /// The record's coordinate: no duplicate check.
    Coordinate,
    Fields(Vec<FieldIndex>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TimeOrigin {
    Field(FieldIndex),
    RecordTime,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    pub name: String,
    /// Member names from the event (or the list's item) down.
    pub path: Vec<String>,
    pub required: bool,
    pub ty: FieldType,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FieldType {
    Scalar(Scalar),
    /// Items that are objects with these fields.
    ListOfStruct(Vec<Field>),
    ListOfScalar(Scalar),
    /// Member names are text.
    Map(Scalar),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scalar {
    Text,
    /// Kept as text: lower case, with hyphens.
    Uuid,
    Int,
    Decimal {
        scale: u8,
        /// Rounds half away from zero instead of refusing as too precise.
        round: bool,
        /// The JSON integer counts units of the last digit (cents).
        minor: bool,
    },
    Double,
    Bool,
    Time,
    Date,
    /// The exact bytes of any JSON value, kept as text.
    Json,
}

#[derive(Debug, Clone)]
pub struct Zone {
    pub name: String,
    pub zone: TimeZone,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Clock {
    /// Links at the end of the raw log move time on quiet streams.
    Wall,
    /// Only events move time.
    Events,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Duplicates {
    /// Units of one target inside which a repeated id counts once.
    pub last: u64,
    /// And no longer than this between the two append times.
    pub horizon: Micros,
}

#[derive(Debug, Clone)]
pub struct Aggregate {
    pub name: String,
    /// Contribution columns that make the key, in the order of the file.
    pub by: Vec<ColumnIndex>,
    pub carry: Vec<ColumnIndex>,
    /// The names that contributions have here (fields and `set`), with one type each over all inputs.
    pub columns: Vec<ContributionColumn>,
    pub inputs: Vec<Input>,
    pub windows: Vec<Window>,
    /// By name.
    pub values: Vec<Value>,
    /// What a pane keeps, and what a row of a block may hold: first the values that are folded, in
    /// their order, then the carried columns. At most 64.
    pub slots: Vec<Slot>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContributionColumn {
    pub name: String,
    pub scalar: Scalar,
}

#[derive(Debug, Clone)]
pub struct Input {
    /// Tested on the event's fields (`Test::column` is a [`FieldIndex`] here), scalars only. Empty: takes every event.
    pub when: Condition,
    /// A list or a map field: one contribution an element.
    pub each: Option<FieldIndex>,
    /// For every entry of [`Aggregate::columns`] where it comes from in this input; `None`: absent.
    pub sources: Vec<Option<Expression>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Expression {
    Field(FieldIndex),
    /// `$item.<f>`: index into the list's fields. A plain list's `$item` is 0.
    Item(usize),
    /// `$key`
    MapKey,
    /// `$value`
    MapValue,
    /// `$index`
    Index,
    /// Scales add; a product outside `i64` is absent.
    Multiply(Box<Expression>, Box<Expression>),
}

#[derive(Debug, Clone)]
pub struct Window {
    pub kind: WindowKind,
    /// How long a row stays after its window ends. Rolling: 0.
    pub keep: Micros,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum WindowKind {
    Hour,
    Day,
    Week,
    Month,
    Ever,
    Rolling { length: Micros, pane: Micros },
}

#[derive(Debug, Clone)]
pub struct Value {
    pub name: String,
    pub function: Function,
    /// On the contribution's columns. Empty: always. Ratio and difference have none.
    pub when: Condition,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Function {
    /// An event counts once per key.
    CountEvents,
    CountElements,
    Sum(ColumnIndex),
    Min(ColumnIndex),
    Max(ColumnIndex),
    First(ColumnIndex),
    Last(ColumnIndex),
    Mean {
        column: ColumnIndex,
        scale: u8,
    },
    Distinct(ColumnIndex),
    Ratio {
        over: ValueIndex,
        under: ValueIndex,
        scale: u8,
    },
    /// Both counts, or both numbers of one scale.
    Difference(ValueIndex, ValueIndex),
}

/// One thing that a pane keeps and a row may bring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Slot {
    pub fold: Fold,
    /// How a present cell lies in a block.
    pub cell: CellKind,
    /// For carry: the column; for a value: its index. In the topology's order.
    pub origin: SlotOrigin,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotOrigin {
    Value(ValueIndex),
    Carry(ColumnIndex),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fold {
    Count,
    Sum,
    Min,
    Max,
    First,
    Last,
    Mean,
    Distinct,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CellKind {
    /// No bytes: presence is the value.
    Count,
    /// zigzag varint: int, decimal, bool, time, date.
    Number,
    /// 8 bytes, little-endian.
    Double,
    /// varint: index into the block's texts.
    Text,
    /// 16 bytes: xxh3-128 of the text form.
    Hash,
}

/// Any of these holds; a group holds if all of its tests do. No group at all: always true.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Condition {
    pub any: Vec<Vec<Test>>,
}

#[derive(Debug, Clone, PartialEq)]
pub struct Test {
    pub column: usize,
    pub check: Check,
}

/// On an absent value every check but `Present` is false; `Not` is plain negation.
#[derive(Debug, Clone, PartialEq)]
pub enum Check {
    OneOf(Vec<Literal>),
    Present(bool),
    AtLeast(Literal),
    AtMost(Literal),
    Above(Literal),
    Below(Literal),
    /// `{at_least, at_most, above, below}` with several members, or `{not: …}` inside.
    All(Vec<Check>),
    Not(Box<Check>),
}

/// A literal, read by the type of the column that it is compared with.
#[derive(Debug, Clone, PartialEq)]
pub enum Literal {
    Text(String),
    /// int, decimal at the column's scale, bool (0, 1), time (micros), date (days).
    Number(i64),
    Double(f64),
}

#[derive(Debug, Clone)]
pub struct History {
    pub name: String,
    /// Event fields, scalars.
    pub by: Vec<FieldIndex>,
    /// On the event's fields.
    pub when: Condition,
    pub columns: Vec<FieldIndex>,
    pub keep: Micros,
}

#[derive(Debug, Clone)]
pub struct Lake {
    pub table: String,
    pub partition: Vec<PartitionColumn>,
    pub roll_age: Micros,
    pub roll_bytes: u64,
    pub accept_past: Micros,
    pub accept_future: Micros,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum PartitionColumn {
    Category,
    TenantId,
    Year,
    Month,
    Day,
    Hour,
}

impl Scalar {
    /// How one value of this type lies in a block.
    pub fn cell(self) -> CellKind {
        match self {
            Scalar::Text | Scalar::Uuid | Scalar::Json => CellKind::Text,
            Scalar::Double => CellKind::Double,
            Scalar::Int | Scalar::Decimal { .. } | Scalar::Bool | Scalar::Time | Scalar::Date => {
                CellKind::Number
            }
        }
    }

    /// Digits behind the point of an exact number; `None` for what is no exact number.
    pub fn scale(self) -> Option<u8> {
        match self {
            Scalar::Int => Some(0),
            Scalar::Decimal { scale, .. } => Some(scale),
            _ => None,
        }
    }
}

impl WindowKind {
    /// As topologies and row keys spell it: `day`, `rolling 5m`.
    pub fn name(self) -> String {
        match self {
            WindowKind::Hour => "hour".into(),
            WindowKind::Day => "day".into(),
            WindowKind::Week => "week".into(),
            WindowKind::Month => "month".into(),
            WindowKind::Ever => "ever".into(),
            WindowKind::Rolling { length, .. } => format!("rolling {}", format_duration(length)),
        }
    }

    pub fn is_rolling(self) -> bool {
        matches!(self, WindowKind::Rolling { .. })
    }
}

impl PartitionColumn {
    pub fn name(self) -> &'static str {
        match self {
            PartitionColumn::Category => "category",
            PartitionColumn::TenantId => "tenant_id",
            PartitionColumn::Year => "year",
            PartitionColumn::Month => "month",
            PartitionColumn::Day => "day",
            PartitionColumn::Hour => "hour",
        }
    }
}

/// The largest unit that divides it: `90m`, `24h`, `30d`. Days only from 48 h on, so that `24h` stays `24h`.
pub fn format_duration(micros: Micros) -> String {
    const SECOND: Micros = 1_000_000;
    let units = [("d", 86_400 * SECOND), ("h", 3_600 * SECOND), ("m", 60 * SECOND), ("s", SECOND)];
    for (unit, length) in units {
        if micros % length == 0 && micros >= length && (unit != "d" || micros >= 2 * length) {
            return format!("{}{unit}", micros / length);
        }
    }
    format!("{micros}us")
}

/// Name of a topic of the deployment `<d>`; the raw topic's is in the topology.
pub fn topic_name(topology: &Topology, topic: crate::model::Topic) -> String {
    use crate::model::Topic;
    let deployment = &topology.deployment;
    match topic {
        Topic::Raw => topology.events.topic.clone(),
        Topic::Repartition => format!("{deployment}.repartition"),
        Topic::DeadLetters => format!("{deployment}.dead-letters"),
        Topic::State => format!("{deployment}.state"),
        Topic::Metrics => format!("{deployment}.metrics"),
        Topic::SetAside => format!("{deployment}.set-aside"),
        Topic::History(index) => {
            format!("{deployment}.history.{}", topology.histories[usize::from(index)].name)
        }
    }
}
