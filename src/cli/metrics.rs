//! `metrics TOPOLOGY --embedded DIR`: one JSON line per live row, the members of its key, then of its value.

use super::args::Metrics;
use super::exit::Exit;
use super::files;
use super::river;
use super::topic::{self, Tail};
use crate::model::Topic;
use crate::port::Reader;
use crate::topology::Topology;
use serde_json::{Map, Value};
use std::io::Write;
use std::thread;
use std::time::Duration;

/// How long a reader of `--follow` waits at most for a row that is committed.
const FOLLOW_EVERY: Duration = Duration::from_millis(200);

pub(super) fn metrics(arguments: &Metrics, out: &mut dyn Write) -> Result<(), Exit> {
    let topology = files::load(&arguments.topology)?;
    let topic = topic_of(arguments, &topology)?;
    let log = river::open_to_read(&arguments.place.embedded)?;
    let mut reader = log.reader();
    let rows = Rows::new(arguments, &topology, topic)?;
    let mut tail = Tail::open(&mut *reader, topic)?;
    match topic {
        // Not compacted: every record is a fact of its own.
        Topic::SetAside => tail.advance(&mut *reader, |batch, record| {
            rows.print(out, batch.key(record).unwrap_or_default(), batch.value(record))
        })?,
        _ => {
            for (key, value) in topic::live(&mut *reader, &mut tail)? {
                rows.print(out, &key, Some(&value))?;
            }
        }
    }
    if arguments.follow { follow(&mut *reader, &mut tail, &rows, out) } else { Ok(()) }
}

/// Prints rows as they are committed, until the process is stopped or nobody reads any more.
fn follow(reader: &mut dyn Reader, tail: &mut Tail, rows: &Rows, out: &mut dyn Write) -> Result<(), Exit> {
    loop {
        out.flush()?;
        thread::sleep(FOLLOW_EVERY);
        tail.advance(reader, |batch, record| {
            rows.print(out, batch.key(record).unwrap_or_default(), batch.value(record))
        })?;
    }
}

fn topic_of(arguments: &Metrics, topology: &Topology) -> Result<Topic, Exit> {
    if arguments.set_aside {
        return Ok(Topic::SetAside);
    }
    let Some(name) = &arguments.history else { return Ok(Topic::Metrics) };
    match topology.histories.iter().position(|history| history.name == *name) {
        Some(index) => Ok(Topic::History(u16::try_from(index).expect("a topology has few histories"))),
        None => Err(Exit::usage(format_args!(
            "there is no history `{name}`{}",
            among(topology.histories.iter().map(|history| history.name.as_str()))
        ))),
    }
}

fn among<'a>(names: impl Iterator<Item = &'a str>) -> String {
    let names: Vec<_> = names.collect();
    if names.is_empty() { String::new() } else { format!(": there is {}", names.join(", ")) }
}

/// Which rows are wanted.
struct Rows {
    aggregate: Option<String>,
    tenant: Option<String>,
}

impl Rows {
    fn new(arguments: &Metrics, topology: &Topology, topic: Topic) -> Result<Self, Exit> {
        let Metrics { aggregate, tenant, .. } = arguments;
        if let Some(name) = aggregate {
            let mut names = topology.aggregates.iter().map(|aggregate| aggregate.name.as_str());
            if topic != Topic::Metrics {
                return Err(Exit::usage(
                    "--aggregate chooses metrics rows, not histories or what was set aside",
                ));
            }
            if !names.clone().any(|other| other == name) {
                return Err(Exit::usage(format_args!("there is no aggregate `{name}`{}", among(&mut names))));
            }
        }
        Ok(Rows { aggregate: aggregate.clone(), tenant: tenant.clone() })
    }

    fn print(&self, out: &mut dyn Write, key: &[u8], value: Option<&[u8]>) -> Result<(), Exit> {
        let Some(row) = join(key, value)? else { return Ok(()) };
        let is = |member: &str, wanted: &Option<String>| {
            wanted.as_deref().is_none_or(|wanted| row.get(member).and_then(Value::as_str) == Some(wanted))
        };
        if is("aggregate", &self.aggregate) && is("tenant_id", &self.tenant) {
            serde_json::to_writer(&mut *out, &row).map_err(std::io::Error::from)?;
            writeln!(out)?;
        }
        Ok(())
    }
}

/// The members of the key, then those of the value that the key does not have. `None`: a position, no row.
pub(super) fn join(key: &[u8], value: Option<&[u8]>) -> Result<Option<Map<String, Value>>, Exit> {
    let members = |bytes: &[u8]| {
        serde_json::from_slice::<Map<String, Value>>(bytes)
            .map_err(|error| Exit::failed(format_args!("a row is damaged: {error}")))
    };
    let mut row = if key.is_empty() { Map::new() } else { members(key)? };
    if row.contains_key("position") {
        return Ok(None);
    }
    match value {
        None => {
            row.insert("values".into(), Value::Null);
        }
        Some(value) => {
            for (name, value) in members(value)? {
                row.entry(name).or_insert(value);
            }
        }
    }
    Ok(Some(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(key: &str, value: Option<&str>) -> String {
        let row = join(key.as_bytes(), value.map(str::as_bytes)).unwrap();
        row.map(|row| serde_json::to_string(&row).unwrap()).unwrap_or_default()
    }

    #[test]
    fn a_row_is_its_key_and_then_its_value_and_says_nothing_twice() {
        let key = r#"{"aggregate":"vendor","tenant_id":"t","by":{"v":"1"},"window":"day","start":"S"}"#;

        let row = line(key, Some(r#"{"start":"S","end":"E","values":{"n":1}}"#));

        assert_eq!(
            row,
            r#"{"aggregate":"vendor","tenant_id":"t","by":{"v":"1"},"window":"day","start":"S","end":"E","values":{"n":1}}"#
        );
    }

    #[test]
    fn a_tombstone_has_no_values_and_a_position_is_no_row() {
        assert_eq!(line(r#"{"a":1}"#, None), r#"{"a":1,"values":null}"#);
        assert_eq!(line(r#"{"position":3}"#, Some(r#"{"commit":1}"#)), "");
    }
}
