//! One member of a role's group.
//!
//! ```text
//! callback ─► notes a change ─► poll: Assigned │ Revoked │ Lost ─► start │ release
//! partitions that were started ─► batches by partition ─► poll: Records
//! ```
//!
//! A partition is assigned in the library only when it is started, at the position that the worker names: so nothing is
//! ever fetched from where the group's own offset points to. A revoke is answered by `release`.

use super::error::{Error, is_passing};
use super::native::{self, Change, Item, NativeError, topic_id};
use super::paused::Paused;
use super::reader::ends_failed;
use super::settings::Settings;
use super::{input, ready};
use crate::model::{
    CommittedOffset, Incarnation, NextOffset, Partition, RecordBatch, Role, Source, TopicPartition,
};
use crate::port::{self, Membership, Pending, Polled};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};
use rdkafka::types::RDKafkaErrorCode as Code;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// How long a poll waits before it looks at the group again.
const LOOK: Duration = Duration::from_millis(50);
/// How long leaving waits for the coordinator to ask for our partitions.
const LEAVE: Duration = Duration::from_secs(5);

pub(super) struct Consumer {
    settings: Arc<Settings>,
    role: Role,
    topic: String,
    /// Made at the first poll.
    member: Option<Member>,
    has_left: bool,
}

struct Member {
    client: native::Consumer,
    group: String,
    incarnation: Incarnation,
    started: BTreeSet<Partition>,
    paused: Paused,
    /// Read, and not handed out yet.
    read: BTreeMap<Partition, RecordBatch>,
    /// Whose turn it was last: each partition gets its turn.
    turn: Partition,
    /// Given, and not handed to the worker yet.
    given: Option<Vec<Partition>>,
    /// Asked back, and not released yet.
    revoked: Option<BTreeSet<Partition>>,
    /// What has to be taken out of the library's assignment with the answer.
    leaving: BTreeSet<Partition>,
}

impl Consumer {
    pub(super) fn new(settings: Arc<Settings>, role: Role) -> Self {
        let topic = settings.topic(input(role));
        Consumer { settings, role, topic, member: None, has_left: false }
    }

    fn poll_now(&mut self, bytes_max: usize, wait: Duration) -> Result<Polled, Error> {
        if self.has_left {
            thread::sleep(wait);
            return Ok(Polled::Idle);
        }
        let member = match &mut self.member {
            Some(member) => member,
            None => self.member.insert(Member::join(&self.settings, self.role, &self.topic)?),
        };
        member.settle(&self.topic)?;
        let end = Instant::now() + wait;
        loop {
            if let Some(polled) = member.change(&self.settings, &self.topic)? {
                return Ok(polled);
            }
            if let Some(batch) = member.next_batch() {
                return Ok(Polled::Records(batch));
            }
            let left = end.saturating_duration_since(Instant::now());
            member.read(bytes_max, left.min(LOOK))?;
            if left.is_zero() {
                if let Some(polled) = member.change(&self.settings, &self.topic)? {
                    return Ok(polled);
                }
                // Batches of paused partitions may wait: they end no poll, and keep none from its end.
                return Ok(member.next_batch().map_or(Polled::Idle, Polled::Records));
            }
        }
    }

    fn member(&mut self) -> Result<&mut Member, Error> {
        self.member.as_mut().ok_or(Error::NotAMember)
    }

    fn start_now(&mut self, partition: Partition, at: NextOffset) -> Result<(), Error> {
        let (topic, wait) = (self.topic.clone(), self.settings.timeouts.request);
        let place = TopicPartition { topic: input(self.role), partition };
        let member = self.member()?;
        let call = |error| Error::native(format!("start {topic} partition {partition}"), error);
        let patience = Instant::now() + wait;
        loop {
            match member.client.ends(&topic, partition, wait) {
                Ok((first, next)) if (first..=next).contains(&at.0) => break,
                // A new leader may need a moment to know how far its log is committed.
                Ok((first, _)) if at.0 >= first && Instant::now() < patience => {}
                Ok((first, next)) => {
                    return Err(Error::OutOfRange { topic, at: place, wanted: at, first, next });
                }
                Err(error) if is_passing(error.code) && Instant::now() < patience => {}
                Err(error) => return Err(ends_failed(&member.client, &topic, partition, wait, error)),
            }
            thread::sleep(LOOK);
        }
        member.read.remove(&partition);
        let list = one(&topic, partition, Some(at));
        if member.started.contains(&partition) {
            match member.client.seek(&list, wait) {
                // Retention had overtaken it: the library reads it no more, and starts it again only as a new one. Not
                // while a revoke waits for its answer: this would be taken for one.
                Err(error) if error.code == Code::State && member.revoked.is_none() => {
                    member.client.remove(&list).and_then(|()| member.client.add(&list)).map_err(call)
                }
                sought => sought.map_err(call),
            }
        } else {
            member.client.add(&list).map_err(call)?;
            member.started.insert(partition);
            Ok(())
        }
    }

    fn commit_now(&mut self, partition: Partition, offset: &CommittedOffset) -> Result<(), Error> {
        let topic = self.topic.clone();
        let mut list = TopicPartitionList::new();
        let mut element = list.add_partition(&topic, partition.0 as i32);
        element.set_metadata(&offset.metadata);
        let next = Offset::Offset(offset.next.0 as i64);
        element.set_offset(next).expect("an offset of a log is one of the client's");
        let committed = self.member()?.client.commit(&list);
        committed.map_err(|error| Error::native(format!("commit {topic} partition {partition}"), error))
    }

    fn committed_now(&mut self, partition: Partition) -> Result<Option<CommittedOffset>, Error> {
        let (topic, wait) = (self.topic.clone(), self.settings.timeouts.request);
        committed(&self.member()?.client, &topic, partition, wait)
    }

    fn leave_now(&mut self) -> Result<(), Error> {
        self.has_left = true;
        match self.member.take() {
            Some(member) => member.leave(&self.topic),
            None => Ok(()),
        }
    }
}

impl Member {
    fn join(settings: &Settings, role: Role, topic: &str) -> Result<Member, Error> {
        let client = native::Consumer::new(&settings.member(role))
            .map_err(|error| Error::call(format!("join {}", settings.group(role)), &error))?;
        let incarnation = look_up(&client, settings, topic)?;
        let subscribed = client.subscribe(topic);
        subscribed.map_err(|error| Error::native(format!("join {}", settings.group(role)), error))?;
        Ok(Member {
            client,
            group: settings.group(role),
            incarnation,
            started: BTreeSet::new(),
            paused: Paused::default(),
            read: BTreeMap::new(),
            turn: Partition(0),
            given: None,
            revoked: None,
            leaving: BTreeSet::new(),
        })
    }

    /// What the group wants next, answered where no worker has to be asked.
    fn change(&mut self, settings: &Settings, topic: &str) -> Result<Option<Polled>, Error> {
        if let Some(given) = self.given(settings, topic)? {
            return Ok(Some(Polled::Assigned(given)));
        }
        // One at a time: the next one waits until the worker has answered.
        while self.revoked.is_none()
            && let Some(change) = self.client.next_change()
        {
            match change {
                Change::Assign(partitions) => {
                    let nothing = TopicPartitionList::new();
                    self.client.add(&nothing).map_err(|error| Error::native("answer a rebalance", error))?;
                    self.given = Some(partitions);
                    return Ok(self.given(settings, topic)?.map(Polled::Assigned));
                }
                Change::Revoke { partitions, are_lost } => {
                    self.revoked = Some(partitions.iter().copied().collect());
                    if are_lost || partitions.is_empty() {
                        self.release(topic, &partitions)?;
                    }
                    match (partitions.is_empty(), are_lost) {
                        (true, _) => {}
                        (false, true) => return Ok(Some(Polled::Lost(partitions))),
                        (false, false) => return Ok(Some(Polled::Revoked(partitions))),
                    }
                }
            }
        }
        Ok(None)
    }

    /// What the group has given is kept until the topic could be looked up: it is told only once, and nobody else would
    /// read those partitions.
    fn given(&mut self, settings: &Settings, topic: &str) -> Result<Option<Vec<Partition>>, Error> {
        if self.given.is_some() {
            self.incarnation = look_up(&self.client, settings, topic)?;
        }
        Ok(self.given.take())
    }

    /// Answers the revoke once all of it is released.
    fn release(&mut self, topic: &str, partitions: &[Partition]) -> Result<(), Error> {
        let Some(revoked) = &mut self.revoked else { return Ok(()) };
        for partition in partitions {
            revoked.remove(partition);
            self.read.remove(partition);
            if self.paused.forget(*partition) {
                // It would still be paused when it comes back. One that the library does not know is not paused there.
                let _ = self.client.resume(&one(topic, *partition, None));
            }
            if self.started.remove(partition) {
                self.leaving.insert(*partition);
            }
        }
        if !revoked.is_empty() {
            return Ok(());
        }
        self.revoked = None;
        let mut list = TopicPartitionList::new();
        for partition in std::mem::take(&mut self.leaving) {
            list.add_partition(topic, partition.0 as i32);
        }
        self.client.remove(&list).map_err(|error| Error::native("answer a rebalance", error))
    }

    /// Tells the library who is paused, as far as it does not know. What fails is told again with the next poll: a
    /// partition that stays paused in there would stand still for ever.
    fn settle(&mut self, topic: &str) -> Result<(), Error> {
        let client = &self.client;
        self.paused.settle(|partition, is_paused| {
            let list = one(topic, partition, None);
            let (doing, told) = match is_paused {
                true => ("pause", client.pause(&list)),
                false => ("resume", client.resume(&list)),
            };
            told.map_err(|error| Error::native(format!("{doing} {topic} partition {partition}"), error))
        })
    }

    fn next_batch(&mut self) -> Option<RecordBatch> {
        let ready = |partition: &&Partition| !self.paused.is(**partition);
        let behind = self.read.keys().filter(ready).find(|partition| **partition > self.turn);
        let partition = *behind.or_else(|| self.read.keys().find(ready))?;
        self.turn = partition;
        self.read.remove(&partition)
    }

    /// Takes what there is, up to so many bytes; rebalances are noted meanwhile.
    fn read(&mut self, bytes_max: usize, mut wait: Duration) -> Result<(), Error> {
        let Member { client, group, read, started, incarnation, .. } = self;
        let (mut bytes, mut wrong, mut twin) = (0, None, None);
        while bytes < bytes_max {
            let count = client.read(wait, |item| match item {
                Item::Record(record) if started.contains(&record.partition()) => {
                    let partition = record.partition();
                    let source = Source { incarnation: *incarnation, partition };
                    let empty = || RecordBatch::empty(source, NextOffset(0));
                    bytes += record.put(read.entry(partition).or_insert_with(empty));
                }
                // Of a partition that is on its way out.
                Item::Record(_) | Item::End(..) => {}
                Item::Error(_, error) if is_passing(error.code) => {}
                Item::Error(_, error) if error.is_fatal => twin = Some(error),
                Item::Error(partition, error) => wrong = Some((partition, error)),
            });
            if count == 0 {
                break;
            }
            wait = Duration::ZERO;
        }
        if let Some(error) = twin {
            return Err(Error::Twin { group: group.clone(), text: error.text });
        }
        match wrong {
            Some((partition, error)) => Err(Error::native(format!("read partition {partition}"), error)),
            None => Ok(()),
        }
    }

    /// Unsubscribes, answers the last revoke, and lets the client close.
    fn leave(mut self, topic: &str) -> Result<(), Error> {
        let call = |error: NativeError| Error::native("leave the group", error);
        let pending: Vec<Partition> = self.revoked.iter().flatten().copied().collect();
        self.release(topic, &pending)?;
        self.client.unsubscribe().map_err(call)?;
        let end = Instant::now() + LEAVE;
        while Instant::now() < end && !self.started.is_empty() {
            self.client.read(LOOK, |_| ());
            while let Some(change) = self.client.next_change() {
                if let Change::Revoke { partitions, .. } = change {
                    self.revoked = Some(partitions.iter().copied().collect());
                    self.release(topic, &partitions)?;
                }
            }
        }
        // The group hears of it before the process may end.
        self.client.close(LEAVE);
        Ok(())
    }
}

fn look_up(client: &native::Consumer, settings: &Settings, topic: &str) -> Result<Incarnation, Error> {
    let found = topic_id(client.native(), topic, settings.timeouts.request);
    let (id, _) = found.map_err(|error| Error::native(format!("look up topic {topic}"), error))?;
    Ok(Incarnation(id))
}

/// The committed position of a consumer's group.
pub(super) fn committed(
    client: &native::Consumer,
    topic: &str,
    partition: Partition,
    wait: Duration,
) -> Result<Option<CommittedOffset>, Error> {
    let list = one(topic, partition, None);
    let end = Instant::now() + wait;
    loop {
        match client.committed(&list, wait) {
            Ok(()) => break,
            // A coordinator that is new, or on its way to another broker.
            Err(error) if is_passing(error.code) && Instant::now() < end => thread::sleep(LOOK),
            Err(error) => {
                let doing = format!("ask for the position of {topic} partition {partition}");
                return Err(Error::native(doing, error));
            }
        }
    }
    let elements = list.elements();
    let element = elements.first().expect("the list has one");
    Ok(match element.offset() {
        Offset::Offset(next) => Some(CommittedOffset {
            next: NextOffset(u64::try_from(next).unwrap_or_default()),
            metadata: element.metadata().to_owned(),
        }),
        _ => None,
    })
}

/// A list of one partition.
pub(super) fn one(topic: &str, partition: Partition, at: Option<NextOffset>) -> TopicPartitionList {
    let mut list = TopicPartitionList::new();
    let offset = at.map_or(Offset::Invalid, |at| Offset::Offset(at.0 as i64));
    list.add_partition_offset(topic, partition.0 as i32, offset).expect("a partition and an offset fit");
    list
}

impl port::Consumer for Consumer {
    fn poll(&mut self, bytes_max: usize, wait: Duration) -> Pending<'_, Polled> {
        ready(self.poll_now(bytes_max, wait))
    }

    fn start(&mut self, partition: Partition, at: NextOffset) -> Pending<'_, ()> {
        ready(self.start_now(partition, at))
    }

    fn release(&mut self, partitions: &[Partition]) -> Pending<'_, ()> {
        let topic = self.topic.clone();
        ready(self.member().and_then(|member| member.release(&topic, partitions)))
    }

    fn pause(&mut self, partition: Partition) {
        if let Some(member) = &mut self.member
            && member.started.contains(&partition)
        {
            member.paused.pause(partition);
            // The next poll says what failed. Until then what arrives waits in the batches.
            let _ = member.settle(&self.topic);
        }
    }

    fn resume(&mut self, partition: Partition) {
        if let Some(member) = &mut self.member {
            member.paused.resume(partition);
            // As above.
            let _ = member.settle(&self.topic);
        }
    }

    fn committed(&mut self, partition: Partition) -> Pending<'_, Option<CommittedOffset>> {
        ready(self.committed_now(partition))
    }

    fn commit(&mut self, partition: Partition, offset: CommittedOffset) -> Pending<'_, ()> {
        ready(self.commit_now(partition, &offset))
    }

    fn membership(&mut self) -> Option<Membership> {
        let (generation, member) = self.member.as_ref()?.client.member()?;
        Some(Membership { generation, member })
    }

    fn leave(&mut self) -> Pending<'_, ()> {
        ready(self.leave_now())
    }
}
