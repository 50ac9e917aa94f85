//! Reading a log without being a member of any group.

use super::consumer::{committed, one};
use super::error::{Error, is_passing, is_unknown};
use super::native::{self, Item, NativeError, topic_id};
use super::ready;
use super::settings::Settings;
use crate::model::{
    CommittedOffset, Incarnation, NextOffset, Partition, RecordBatch, Role, Source, Topic, TopicPartition,
};
use crate::port::{self, Ends, Isolation, Pending, TopicFacts};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// How long one look into the queue waits.
const LOOK: Duration = Duration::from_millis(100);

pub(super) struct Reader {
    settings: Arc<Settings>,
    /// What is read now.
    reading: Option<Reading>,
    /// Sees every record as soon as brokers have it; only asked for ends.
    uncommitted: Option<native::Consumer>,
    /// One for each group that is asked about.
    groups: BTreeMap<Role, native::Consumer>,
    facts: BTreeMap<Topic, TopicFacts>,
}

/// One partition, read on from where the last batch ended.
struct Reading {
    client: native::Consumer,
    at: Option<(TopicPartition, NextOffset)>,
}

fn open(config: &super::settings::Config) -> Result<native::Consumer, Error> {
    native::Consumer::new(config).map_err(|error| Error::call("make a client", &error))
}

/// What to make of ends that nobody gave. While a broker comes back, the client's list of leaders may miss some partitions
/// of a topic that has them all: only what brokers do not know when they are asked for the topic itself is really gone.
pub(super) fn ends_failed(
    client: &native::Consumer,
    topic: &str,
    partition: Partition,
    wait: Duration,
    error: NativeError,
) -> Error {
    let is_there =
        || topic_id(client.native(), topic, wait).is_ok_and(|(_, partitions)| partition.0 < partitions);
    match is_unknown(error.code) && is_there() {
        true => Error::Disagreed { topic: topic.to_owned(), partition, text: error.text },
        false => Error::native(format!("ask for the ends of {topic} partition {partition}"), error),
    }
}

impl Reader {
    pub(super) fn new(settings: Arc<Settings>) -> Self {
        Reader { settings, reading: None, uncommitted: None, groups: BTreeMap::new(), facts: BTreeMap::new() }
    }

    fn reading(&mut self) -> Result<&mut Reading, Error> {
        if self.reading.is_none() {
            self.reading = Some(Reading { client: open(&self.settings.reader())?, at: None });
        }
        Ok(self.reading.as_mut().expect("made above"))
    }

    fn facts_now(&mut self, topic: Topic) -> Result<TopicFacts, Error> {
        let (name, wait) = (self.settings.topic(topic), self.settings.timeouts.request);
        let native = self.reading()?.client.native();
        let (id, partitions) = topic_id(native, &name, wait)
            .map_err(|error| Error::native(format!("look up topic {name}"), error))?;
        let facts = TopicFacts { incarnation: Incarnation(id), partitions };
        self.facts.insert(topic, facts);
        Ok(facts)
    }

    fn ends_now(&mut self, at: TopicPartition, isolation: Isolation) -> Result<Ends, Error> {
        let (name, wait) = (self.settings.topic(at.topic), self.settings.timeouts.request);
        let client = match isolation {
            // Answers with the last stable offset.
            Isolation::ReadCommitted => &self.reading()?.client,
            Isolation::ReadUncommitted => {
                if self.uncommitted.is_none() {
                    let mut config = self.settings.reader();
                    config.set("isolation.level", "read_uncommitted");
                    self.uncommitted = Some(open(&config)?);
                }
                self.uncommitted.as_ref().expect("made above")
            }
        };
        match client.ends(&name, at.partition, wait) {
            Ok((first, next)) => Ok(Ends { first: NextOffset(first), next: NextOffset(next) }),
            Err(error) => Err(ends_failed(client, &name, at.partition, wait, error)),
        }
    }

    fn read_now(
        &mut self,
        at: TopicPartition,
        from: NextOffset,
        bytes_max: usize,
    ) -> Result<RecordBatch, Error> {
        let incarnation = match self.facts.get(&at.topic) {
            Some(facts) => facts.incarnation,
            None => self.facts_now(at.topic)?.incarnation,
        };
        let (name, wait) = (self.settings.topic(at.topic), self.settings.timeouts.request);
        self.move_to(at, from, &name)?;
        let reading = self.reading()?;
        let source = Source { incarnation, partition: at.partition };
        let mut batch = RecordBatch::empty(source, from);
        let (mut bytes, mut has_ended, end) = (0, false, Instant::now() + wait);
        while !has_ended && bytes < bytes_max {
            // Nothing is waited for behind the first record.
            let look = if batch.is_empty() { LOOK } else { Duration::ZERO };
            let item = reading.client.read_one(look, |item| match item {
                Item::Record(record) if record.partition() == at.partition => {
                    bytes += record.put(&mut batch);
                    Ok(false)
                }
                Item::End(partition, offset) if partition == at.partition => {
                    batch.next = batch.next.max(NextOffset(offset.0));
                    Ok(true)
                }
                Item::Record(_) | Item::End(..) => Ok(false),
                Item::Error(_, error) if is_passing(error.code) => Ok(false),
                Item::Error(_, error) => Err(error),
            });
            match item {
                Some(Ok(ended)) => has_ended = ended,
                Some(Err(error)) => {
                    reading.at = None;
                    return Err(Error::native(format!("read {name} {} from {from} on", at.partition), error));
                }
                None if !batch.is_empty() => break,
                None if Instant::now() >= end => {
                    reading.at = None;
                    return Err(Error::Silent(format!("{name} {} from {from} on", at.partition)));
                }
                None => {}
            }
        }
        // The library tells of one end only once: whoever reads on from there begins anew.
        reading.at = (!has_ended).then_some((at, batch.next));
        Ok(batch)
    }

    /// Goes on where the last batch ended, or begins anew.
    fn move_to(&mut self, at: TopicPartition, from: NextOffset, name: &str) -> Result<(), Error> {
        let reading = self.reading()?;
        if reading.at == Some((at, from)) {
            return Ok(());
        }
        // What still stands in the queue of another place is outdated, and the library drops it.
        let assigned = reading.client.assign(&one(name, at.partition, Some(from)));
        assigned.map_err(|error| Error::native(format!("read {name} partition {}", at.partition), error))
    }

    fn committed_now(&mut self, role: Role, partition: Partition) -> Result<Option<CommittedOffset>, Error> {
        let (topic, wait) = (self.settings.topic(super::input(role)), self.settings.timeouts.request);
        if !self.groups.contains_key(&role) {
            let mut config = self.settings.consumer();
            config.set("group.id", self.settings.group(role));
            self.groups.insert(role, open(&config)?);
        }
        committed(&self.groups[&role], &topic, partition, wait)
    }
}

impl port::Reader for Reader {
    fn facts(&mut self, topic: Topic) -> Pending<'_, TopicFacts> {
        ready(self.facts_now(topic))
    }

    fn ends(&mut self, at: TopicPartition, isolation: Isolation) -> Pending<'_, Ends> {
        ready(self.ends_now(at, isolation))
    }

    fn read(&mut self, at: TopicPartition, from: NextOffset, bytes_max: usize) -> Pending<'_, RecordBatch> {
        ready(self.read_now(at, from, bytes_max))
    }

    fn committed(&mut self, role: Role, partition: Partition) -> Pending<'_, Option<CommittedOffset>> {
        ready(self.committed_now(role, partition))
    }
}
