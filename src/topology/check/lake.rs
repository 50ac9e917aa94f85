//! `lake`: table, partitions, and when files are closed.

use super::super::checked::{Lake, Micros, PartitionColumn};
use super::super::names::COLUMN;
use crate::yaml::{Name, Node, Problems, parse_duration, read};

const DAY: Micros = 86_400_000_000;
const ROLL_BYTES: u64 = 128 << 20;
const COLUMNS: [PartitionColumn; 6] = [
    PartitionColumn::Category,
    PartitionColumn::TenantId,
    PartitionColumn::Year,
    PartitionColumn::Month,
    PartitionColumn::Day,
    PartitionColumn::Hour,
];

pub(crate) fn lake(node: &Node, has_category: bool, problems: &mut Problems) -> Option<Lake> {
    let members = read::closed(node, "a map", &["table", "partition", "roll", "accept"], problems)?;
    let table = members
        .need("table", "a name such as `events`", problems)
        .and_then(|node| read::scalar(node, "a table's name", problems))
        .filter(|name| COLUMN.check(name.text, name.place, problems));
    let partition = members
        .need("partition", "an ordered part of `[category, tenant_id, year, month, day, hour]`", problems)
        .and_then(|node| partition(node, has_category, problems));
    let roll = members.get("roll").map_or(Some((None, None)), |node| roll(node, problems));
    let accept = members.get("accept").map_or(Some((None, None)), |node| accept(node, problems));
    let ((roll_age, roll_bytes), (past, future)) = (roll?, accept?);
    Some(Lake {
        table: table?.text.into(),
        partition: partition?,
        roll_age: roll_age.unwrap_or(parse_duration("5m")?),
        roll_bytes: roll_bytes.unwrap_or(ROLL_BYTES),
        accept_past: past.unwrap_or(400 * DAY),
        accept_future: future.unwrap_or(DAY),
    })
}

fn roll(node: &Node, problems: &mut Problems) -> Option<(Option<Micros>, Option<u64>)> {
    let members = read::closed(node, "a map of `age` and `bytes`", &["age", "bytes"], problems)?;
    let age = members.get("age").map(|node| read::duration_within(node, ("1s", "24h"), problems));
    let bytes = members.get("bytes").map(|node| read::bytes_within(node, ("1KiB", "1GiB"), problems));
    Some((transpose(age)?, transpose(bytes)?))
}

fn accept(node: &Node, problems: &mut Problems) -> Option<(Option<Micros>, Option<Micros>)> {
    let members = read::closed(node, "a map of `past` and `future`", &["past", "future"], problems)?;
    let past = members.get("past").map(|node| read::duration(node, problems));
    let future = members.get("future").map(|node| read::duration(node, problems));
    Some((transpose(past)?, transpose(future)?))
}

/// Absent stays absent; present but wrong is a problem already.
fn transpose<T>(read: Option<Option<T>>) -> Option<Option<T>> {
    match read {
        None => Some(None),
        Some(value) => value.map(Some),
    }
}

fn partition(node: &Node, has_category: bool, problems: &mut Problems) -> Option<Vec<PartitionColumn>> {
    let names = COLUMNS.map(PartitionColumn::name);
    let what = format!("a list of {} in this order", read::listed(&names));
    let given = read::one_or_more(node, &what, problems)?;
    let mut columns = Vec::new();
    for name in given {
        columns.push((name, column(name, problems)?));
    }
    for (at, (name, column)) in columns.iter().enumerate() {
        if at > 0 && columns[at - 1].1 >= *column {
            let message = format!("`{}` stands too late: the order is {}", name.text, read::listed(&names));
            return problems.none(name.place, message);
        }
        // A day without its month would put November and December into one place.
        let larger = COLUMNS.iter().take_while(|other| *other != column).last();
        let is_part = matches!(column, PartitionColumn::Month | PartitionColumn::Day | PartitionColumn::Hour);
        if let Some(larger) =
            larger.filter(|larger| is_part && !columns.iter().any(|(_, other)| other == *larger))
        {
            problems.add(name.place, format!("`{}` needs `{}` before it", name.text, larger.name()));
        }
        if *column == PartitionColumn::Category && !has_category {
            problems.add(name.place, "`category` needs the topology's `category`: the name of a field");
        }
    }
    Some(columns.into_iter().map(|(_, column)| column).collect())
}

fn column(name: Name<'_>, problems: &mut Problems) -> Option<PartitionColumn> {
    COLUMNS.into_iter().find(|column| column.name() == name.text).or_else(|| {
        let known = read::listed(&COLUMNS.map(PartitionColumn::name));
        problems.none(name.place, format!("`{}` is no partition column; known are {known}", name.text))
    })
}
