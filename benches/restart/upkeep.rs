//! After an hour of events the log has grown by live keys and retention only.

use crate::engine::River;
use crate::support::events::Events;
use crate::support::world::{self, LogClock, now};
use std::collections::HashMap;
use std::time::Duration;
use thalweg::embedded::EmbeddedLog;
use thalweg::model::{Partition, Topic, TopicPartition};
use thalweg::port::{Isolation, Log};

/// Cleaned topics may weigh so much more than what is live in them: what a store of runs needs for itself.
const SLACK: f64 = 1.25;

/// The last record of every key.
pub(crate) struct Live {
    pub(crate) keys: u64,
    pub(crate) bytes: u64,
}

/// An hour at 100 events a second, a commit each minute.
pub(crate) fn run(events: u64, rate: u64) -> anyhow::Result<()> {
    let dir = tempfile::tempdir()?;
    let topology = world::by_category()?;
    let clock = LogClock::new();
    let log = world::open(dir.path(), &topology, &clock)?;
    let lines = world::lines(&mut Events::new(11, rate), events);
    world::append(&log, &lines)?;
    let commit_events = 60 * rate;
    let flow = River { topology: &topology, raw: &log, out: &log, clock: &clock, commit_events }.run()?;
    println!(
        "\n{} events over {} s of their time, {} commits, {} keys",
        events,
        events / rate,
        flow.commits.len(),
        flow.keys
    );
    // Past the lag that protects young records.
    clock.pass(Duration::from_secs(120));
    for topic in [Topic::State, Topic::Metrics] {
        let before = log.bytes(topic)?;
        log.maintain_now()?;
        let (after, live) = (log.bytes(topic)?, live(&log, topic)?);
        let ratio = after as f64 / live.bytes as f64;
        println!(
            "{topic:?}: {} KiB written and kept till now, {} KiB after cleaning, {} KiB live in {} keys: {ratio:.2}",
            before >> 10,
            after >> 10,
            live.bytes >> 10,
            live.keys
        );
        anyhow::ensure!(ratio <= SLACK, "{topic:?} holds more than its live keys");
    }
    Ok(())
}

/// What a reader of the whole topic is left with.
pub(crate) fn live(log: &EmbeddedLog, topic: Topic) -> anyhow::Result<Live> {
    let mut reader = log.reader();
    let mut last: HashMap<Vec<u8>, u64> = HashMap::new();
    for partition in 0..now(reader.facts(topic))?.partitions {
        let at = TopicPartition { topic, partition: Partition(partition) };
        let ends = now(reader.ends(at, Isolation::ReadCommitted))?;
        let mut next = ends.first;
        while next < ends.next {
            let batch = now(reader.read(at, next, 4 << 20))?;
            for record in &batch.records {
                let key = batch.key(record).unwrap_or_default();
                let value = batch.value(record).map(<[u8]>::len);
                let headers =
                    |&(name, value): &(thalweg::model::Span, thalweg::model::Span)| name.len + value.len;
                let weight = value.map(|value| {
                    (key.len() + value) as u64
                        + record.headers.iter().map(|h| u64::from(headers(h))).sum::<u64>()
                });
                match weight {
                    Some(weight) => last.insert(key.to_vec(), weight),
                    None => last.remove(key),
                };
            }
            next = batch.next;
        }
    }
    Ok(Live { keys: last.len() as u64, bytes: last.values().sum() })
}
