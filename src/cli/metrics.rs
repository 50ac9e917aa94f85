//! `metrics TOPOLOGY --embedded DIR`: one JSON line per live row, the members of its key, then of its value.

use super::args::Metrics;
use super::exit::Exit;
use super::files;
use super::row::join;
use super::topic::{self, Tail};
use crate::model::Topic;
use crate::port::Reader;
use crate::topology::Topology;
use serde_json::Value;
use std::io::Write;
use std::thread;
use std::time::Duration;

/// How long a reader of `--follow` waits at most for a row that is committed.
const FOLLOW_EVERY: Duration = Duration::from_millis(200);

pub(super) fn metrics(arguments: &Metrics, out: &mut dyn Write) -> Result<(), Exit> {
    let topology = files::load(&arguments.topology)?;
    let topic = topic_of(arguments, &topology)?;
    let mut reader = arguments.place.open_to_read(&topology)?.reader;
    let rows = Rows::new(arguments, &topology, topic)?;
    let mut tail = Tail::open(&mut *reader, topic)?;
    match topic {
        // Not compacted: every record is a fact of its own.
        Topic::SetAside => tail.advance(&mut *reader, |batch, record| {
            rows.print(out, batch.key(record).unwrap_or_default(), batch.value(record))
        })?,
        _ => {
            let mut live: Vec<_> = topic::live(&mut *reader, &mut tail)?.into_iter().collect();
            if let Topic::History(_) = topic {
                live.sort_by_cached_key(in_time);
            }
            for (key, value) in live {
                rows.print(out, &key, Some(&value))?;
            }
        }
    }
    if arguments.follow { follow(&mut *reader, &mut tail, &rows, out) } else { Ok(()) }
}

/// The records of one entity together, and these in the order of event time: the value begins with it, in six digits.
fn in_time((key, value): &(Vec<u8>, Vec<u8>)) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let id = memchr::memmem::rfind(key, b",\"event_id\":").unwrap_or(key.len());
    let time = memchr::memchr(b',', value).unwrap_or(value.len());
    (key[..id].to_vec(), value[..time].to_vec(), key[id..].to_vec())
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
