//! A checked topology as text that people review: topics with their settings, keys, panes, windows,
//! files and columns. Kept as `description.txt` beside each topology, so that a change is a diff.

use super::check::scalar_name;
use super::checked::{
    Aggregate, Clock, EventId, Field, Function, History, Input, Micros, PartitionColumn, Topology,
    WindowKind, topic_name,
};
use super::columns::{
    LakeColumn, LakeScalar, LakeType, REFUSED_PARTITION, lake_columns, refused_columns, refused_table,
};
use super::words;
use crate::model::{Topic, begin_key};

const DAY: Micros = 86_400_000_000;
const OURS: &str = "replication 3, min.insync.replicas 2, unclean election off, LogAppendTime";
const COMPACTED: &str =
    "compact; delete.retention.ms 24h, compaction lag 1m to 6h, dirty ratio 0.3, segments of 64MiB and 10m";

/// The text. Ends with a line break.
pub fn describe(topology: &Topology) -> String {
    let mut page = Page::default();
    page.line(0, format!("topology {}, deployment {}", topology.name, topology.deployment));
    page.line(0, format!("routing version {:016x}", topology.routing_version));
    page.line(0, format!("configuration {:016x}", topology.configuration_hash));
    events(&mut page, topology);
    time(&mut page, topology);
    topics(&mut page, topology);
    for aggregate in &topology.aggregates {
        self::aggregate(&mut page, topology, aggregate);
    }
    for history in &topology.histories {
        self::history(&mut page, topology, history);
    }
    lake(&mut page, topology);
    page.0
}

/// Lines of text, and tables whose columns stand under each other.
#[derive(Default)]
struct Page(String);

impl Page {
    fn line(&mut self, depth: usize, text: impl AsRef<str>) {
        self.0.push_str(&"  ".repeat(depth));
        self.0.push_str(text.as_ref().trim_end());
        self.0.push('\n');
    }

    fn section(&mut self, title: impl AsRef<str>) {
        self.0.push('\n');
        self.line(0, title);
    }

    fn table(&mut self, depth: usize, rows: &[(String, String)]) {
        let width = rows.iter().map(|(left, _)| left.chars().count()).max().unwrap_or(0);
        for (left, right) in rows {
            self.line(depth, format!("{left:width$}  {right}"));
        }
    }
}

fn row(left: impl Into<String>, right: impl Into<String>) -> (String, String) {
    (left.into(), right.into())
}

fn events(page: &mut Page, topology: &Topology) {
    let events = &topology.events;
    let id = match &events.id {
        EventId::Coordinate => format!("{}: every record is an event of its own", words::event_id(topology)),
        EventId::Fields(_) => format!(
            "{}; of repeats within the last {} units of a partition and {}, one counts",
            words::event_id(topology),
            words::count(topology.duplicates.last),
            words::duration(topology.duplicates.horizon)
        ),
    };
    let name = |index: usize| events.fields[index].name.clone();
    page.section("events");
    let mut rows = vec![
        row("topic", format!("{} (json)", events.topic)),
        row(
            "checked",
            "delete policy, retention at least 24h, replication 3, min.insync.replicas 2, unclean election off",
        ),
        row("id", id),
        row("time", words::event_time(topology)),
        row("tenant", name(topology.tenant)),
    ];
    if let Some(category) = topology.category {
        rows.push(row("category", name(category)));
    }
    page.table(1, &rows);
    page.section("fields");
    let fields = |field: &Field| row(&field.name, words::field(field));
    page.table(1, &events.fields.iter().map(fields).collect::<Vec<_>>());
}

fn time(page: &mut Page, topology: &Topology) {
    let clock = match topology.clock {
        Clock::Wall => "wall: a quiet stream's time goes on",
        Clock::Events => "events: only events move time",
    };
    page.section("time");
    page.table(
        1,
        &[
            row("zone", format!("{} for calendar windows; the lake's hours are UTC", topology.zone.name)),
            row("clock", clock),
            row(
                "late",
                format!(
                    "{} after a window's end; from then on it does not change",
                    words::duration(topology.lateness)
                ),
            ),
            row(
                "future",
                format!(
                    "more than {} after the append time is set aside",
                    words::duration(topology.accept_future)
                ),
            ),
        ],
    );
}

fn topics(page: &mut Page, topology: &Topology) {
    let longest = longest_keep(topology);
    let retention = |keep: Micros| format!("retention at least {}", words::duration(keep));
    let mut rows = vec![
        (Topic::Repartition, "delete; retention at least 3 times the longest outage to survive".into()),
        (Topic::State, COMPACTED.into()),
        (Topic::Metrics, COMPACTED.into()),
        (Topic::SetAside, format!("delete; {}", retention(longest))),
        (Topic::DeadLetters, "compact; key is the coordinate".into()),
    ];
    for (index, history) in topology.histories.iter().enumerate() {
        let index = u16::try_from(index).expect("`check` bounds the histories");
        rows.push((Topic::History(index), format!("compact,delete; {}", retention(history.keep))));
    }
    page.section(format!("topics, {} partitions each and for ever; {OURS}", topology.partitions));
    let rows: Vec<_> = rows.into_iter().map(|(topic, text)| row(topic_name(topology, topic), text)).collect();
    page.table(1, &rows);
    let groups = ["route", "aggregate", "lake"].map(|role| format!("{}-{role}", topology.deployment));
    page.line(1, format!("groups {}", groups.join(", ")));
}

/// What is set aside must last as long as any row that it explains.
fn longest_keep(topology: &Topology) -> Micros {
    let windows = topology.aggregates.iter().flat_map(|aggregate| &aggregate.windows);
    let lengths = windows.map(|window| match window.kind {
        WindowKind::Rolling { length, .. } => length,
        _ => window.keep,
    });
    lengths.chain(topology.histories.iter().map(|history| history.keep)).max().unwrap_or(DAY)
}

fn aggregate(page: &mut Page, topology: &Topology, aggregate: &Aggregate) {
    page.section(format!("aggregate {}", aggregate.name));
    let column = |index: usize| words::column(aggregate, index);
    let names = |indices: &[usize]| indices.iter().map(|index| column(*index).0).collect::<Vec<_>>();
    page.table(
        1,
        &[row("key", key(&aggregate.name, &names(&aggregate.by), "\"window\":\"…\"", ",\"start\":\"…\""))],
    );
    for input in &aggregate.inputs {
        self::input(page, topology, aggregate, input);
    }
    page.line(1, "windows");
    let windows = aggregate.windows.iter().map(|window| {
        let text = match window.kind {
            WindowKind::Rolling { pane, .. } => format!("panes of {}", words::duration(pane)),
            WindowKind::Ever => "one pane, never ends".into(),
            _ => format!("panes of its own, kept {} after its end", words::duration(window.keep)),
        };
        row(window.kind.name(), text)
    });
    page.table(2, &windows.collect::<Vec<_>>());
    if !aggregate.carry.is_empty() {
        page.line(1, format!("carried, the last one: {}", names(&aggregate.carry).join(", ")));
    }
    page.line(1, format!("values, {} slots a pane", aggregate.slots.len()));
    let values = aggregate.values.iter().map(|value| {
        let when = match value.when.any.is_empty() {
            true => String::new(),
            false => format!(" when {}", words::condition(&value.when, &column)),
        };
        row(
            &value.name,
            format!(
                "{}{}{when}",
                words::function(&value.function, aggregate),
                type_of(aggregate, &value.function)
            ),
        )
    });
    page.table(2, &values.collect::<Vec<_>>());
}

fn type_of(aggregate: &Aggregate, function: &Function) -> String {
    match function {
        Function::Sum(column)
        | Function::Min(column)
        | Function::Max(column)
        | Function::First(column)
        | Function::Last(column) => format!(" ({})", scalar_name(aggregate.columns[*column].scalar)),
        _ => String::new(),
    }
}

/// Only what is not simply the field of the same name is worth a line.
fn input(page: &mut Page, topology: &Topology, aggregate: &Aggregate, input: &Input) {
    page.line(1, format!("takes {}", words::input(topology, input)));
    let fields = &topology.events.fields;
    let set = aggregate.columns.iter().zip(&input.sources).filter_map(|(column, source)| match source {
        Some(source) => {
            let text = words::expression(topology, input.each, source);
            let is_itself = fields.iter().any(|field| field.name == text) && text == column.name;
            (!is_itself).then(|| row(&column.name, format!("= {text} ({})", words::scalar(column.scalar))))
        }
        None => Some(row(&column.name, "is absent")),
    });
    page.table(2, &set.collect::<Vec<_>>());
}

/// As its bytes lie in the topic, with dots where a value stands.
fn key(aggregate: &str, by: &[String], first: &str, second: &str) -> String {
    let mut key = Vec::new();
    begin_key(&mut key, "aggregate", aggregate, "…");
    let members: Vec<String> = by.iter().map(|name| format!("\"{name}\":\"…\"")).collect();
    let begun = String::from_utf8(key).expect("names are text");
    format!("{begun}{}}},{first}{second}}}", members.join(","))
}

fn history(page: &mut Page, topology: &Topology, history: &History) {
    let names = |indices: &[usize]| {
        indices.iter().map(|index| topology.events.fields[*index].name.clone()).collect::<Vec<_>>().join(", ")
    };
    page.section(format!("history {}", history.name));
    let mut rows = vec![row("by", format!("{} and the event id", names(&history.by)))];
    if !history.when.any.is_empty() {
        rows.push(row(
            "when",
            words::condition(&history.when, &|index| words::field_column(topology, index)),
        ));
    }
    rows.push(row("columns", names(&history.columns)));
    rows.push(row("kept", words::duration(history.keep)));
    page.table(1, &rows);
}

fn lake(page: &mut Page, topology: &Topology) {
    let lake = &topology.lake;
    page.section(format!("lake table {}", lake.table));
    page.table(
        1,
        &[
            row(
                "files",
                format!(
                    "{}/{}/<incarnation>-p<partition>-o<offset>-<n>.parquet",
                    lake.table,
                    folders(&lake.partition)
                ),
            ),
            row("refused", format!("{}/{}/…", refused_table(lake), folders(&REFUSED_PARTITION))),
            row(
                "closed",
                format!(
                    "after {} or {} of decoded rows",
                    words::duration(lake.roll_age),
                    words::bytes(lake.roll_bytes)
                ),
            ),
            row(
                "filed",
                format!(
                    "by event time; by record time where it is more than {} before or {} after it",
                    words::duration(lake.accept_past),
                    words::duration(lake.accept_future)
                ),
            ),
        ],
    );
    page.line(1, "columns");
    page.table(2, &lake_columns(topology).iter().map(lake_row).collect::<Vec<_>>());
    page.line(1, "columns of refused records");
    page.table(2, &refused_columns().iter().map(lake_row).collect::<Vec<_>>());
}

fn folders(partition: &[PartitionColumn]) -> String {
    partition.iter().map(|column| format!("{}=…", column.name())).collect::<Vec<_>>().join("/")
}

fn lake_row(column: &LakeColumn) -> (String, String) {
    let ty = match &column.ty {
        LakeType::Scalar(scalar) => lake_scalar_name(*scalar),
        LakeType::List(scalar) => format!("list of {}", lake_scalar_name(*scalar)),
        LakeType::Map(scalar) => format!("map of {}", lake_scalar_name(*scalar)),
        LakeType::ListOfStruct(members) => {
            let members: Vec<String> = members
                .iter()
                .map(|member| format!("{} {}", member.name, lake_scalar_name(member.scalar)))
                .collect();
            format!("list of struct {{ {} }}", members.join(", "))
        }
    };
    row(&column.name, format!("{ty}{}", if column.nullable { "" } else { ", never null" }))
}

fn lake_scalar_name(scalar: LakeScalar) -> String {
    match scalar {
        LakeScalar::Text => "string".into(),
        LakeScalar::Int32 => "int32".into(),
        LakeScalar::Int64 => "int64".into(),
        LakeScalar::Decimal { scale } => format!("decimal(18,{scale})"),
        LakeScalar::Double => "double".into(),
        LakeScalar::Bool => "boolean".into(),
        LakeScalar::Timestamp => "timestamp, UTC microseconds".into(),
        LakeScalar::Date => "date".into(),
        LakeScalar::Binary => "binary".into(),
    }
}
