//! The group of `route`, held by one verb alone.
//!
//! In: the group. Out: a member that holds every raw partition, from joining to leaving. Promises: while it holds them
//! nobody else can route, because a group gives a partition to one member of a generation, and every commit is checked
//! against that generation. A member without partitions has nothing to send, so holding all is proof enough and nobody
//! has to ask who the members are. Never: takes a partition from somebody who runs.

mod lent;

use super::{Control, Halt};
use crate::model::{CommittedOffset, NextOffset, Partition, Role, Topic};
use crate::port::{Clock, Consumer, Failure, Log, Polled, Reaction};
pub(super) use lent::Lending;
use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

/// How long a share of the partitions may stay a share: somebody may be leaving at this moment.
const SHARE_PATIENCE: Duration = Duration::from_secs(5);
/// How long the group may keep us waiting: a worker that was killed is a member until its session times out.
const JOIN_PATIENCE: Duration = Duration::from_secs(90);
const POLL: Duration = Duration::from_millis(100);

/// Why a verb that needs the group alone did not get it, or could not go on.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    #[error(
        "the group of `route` has another member: only {held} of {of} raw partitions came to us; \
         stop every route worker and try again"
    )]
    NotAlone { held: usize, of: u32 },
    #[error("somebody joined the group of `route` meanwhile; stop every route worker and try again")]
    Joined,
    #[error("the group of `route` did not answer within {} s", JOIN_PATIENCE.as_secs())]
    Silent,
    /// Something that waiting does not change.
    #[error("{0}")]
    Wrong(String),
    #[error(transparent)]
    World(#[from] Failure),
}

pub(super) struct Alone {
    slot: Rc<Slot>,
    partitions: BTreeSet<Partition>,
}

/// The member, while it is not lent.
#[derive(Default)]
struct Slot {
    consumer: RefCell<Option<Box<dyn Consumer>>>,
    is_lost: Cell<bool>,
    /// Why a loop that had borrowed it could not do its work.
    halts: RefCell<Vec<Halt>>,
}

impl Alone {
    /// Joins, and waits until every raw partition is here.
    pub(super) async fn join(log: &dyn Log, clock: &dyn Clock) -> Result<Alone, Refused> {
        let of = log.reader().facts(Topic::Raw).await?.partitions;
        let mut consumer = log.consumer(Role::Route);
        let joined = wait_for_all(&mut *consumer, clock, of).await;
        if let Err(refused) = joined {
            // The group finds out by itself, only later, if this fails.
            let _ = consumer.leave().await;
            return Err(refused);
        }
        let slot = Rc::new(Slot { consumer: RefCell::new(Some(consumer)), ..Slot::default() });
        Ok(Alone { slot, partitions: (0..of).map(Partition).collect() })
    }

    /// Still alone? Also tells the group that we live, so it has to be asked now and then.
    pub(super) async fn check(&self) -> Result<(), Refused> {
        let mut consumer = self.take()?;
        let polled = consumer.poll(1, Duration::ZERO).await;
        self.put(consumer);
        match polled {
            Ok(Polled::Revoked(_) | Polled::Lost(_)) => self.slot.is_lost.set(true),
            Ok(Polled::Records(_) | Polled::Assigned(_) | Polled::Idle) => {}
            Err(failure) if failure.reaction == Reaction::Retry => {}
            Err(failure) => return Err(failure.into()),
        }
        if self.slot.is_lost.get() { Err(Refused::Joined) } else { Ok(()) }
    }

    pub(super) async fn committed(&self, partition: Partition) -> Result<Option<CommittedOffset>, Refused> {
        let mut consumer = self.take()?;
        let committed = consumer.committed(partition).await;
        self.put(consumer);
        Ok(committed?)
    }

    /// Commits, and believes it when it is read back.
    pub(super) async fn commit(
        &self,
        clock: &dyn Clock,
        partition: Partition,
        offset: &CommittedOffset,
    ) -> Result<(), Refused> {
        let end = clock.now().0.saturating_add(JOIN_PATIENCE.as_micros() as i64);
        loop {
            self.check().await?;
            let mut consumer = self.take()?;
            let sent = consumer.commit(partition, offset.clone()).await;
            let read = consumer.committed(partition).await;
            self.put(consumer);
            match (sent, read) {
                (_, Ok(Some(read))) if read == *offset => return Ok(()),
                (Err(failure), _) | (_, Err(failure)) if failure.reaction != Reaction::Retry => {
                    return Err(failure.into());
                }
                (Err(failure), _) | (_, Err(failure)) if clock.now().0 > end => return Err(failure.into()),
                (Ok(()), Ok(_)) if clock.now().0 > end => {
                    let text = format!("the position of raw partition {partition} does not stay");
                    return Err(Refused::Wrong(text));
                }
                _ => clock.sleep(POLL).await,
            }
        }
    }

    pub(super) async fn leave(self) {
        if let Ok(mut consumer) = self.take() {
            let held: Vec<Partition> = self.partitions.iter().copied().collect();
            // The group finds out by itself, only later, if these do not arrive.
            let _ = consumer.release(&held).await;
            let _ = consumer.leave().await;
        }
    }

    /// The same log, on which the role `route` is this member and reads nothing at or behind `bounds`. It drains as soon
    /// as we are not alone any more, or something halts.
    pub(super) fn lend(
        &self,
        log: Rc<dyn Log>,
        control: Arc<Control>,
        bounds: BTreeMap<Partition, NextOffset>,
    ) -> Lending {
        let partitions = self.partitions.iter().copied().collect();
        Lending { log, control, slot: Rc::clone(&self.slot), partitions, bounds }
    }

    /// What halted a loop that had borrowed it.
    pub(super) fn halts(&self) -> Vec<Halt> {
        self.slot.halts.borrow().clone()
    }

    fn take(&self) -> Result<Box<dyn Consumer>, Refused> {
        self.slot.consumer.borrow_mut().take().ok_or(Refused::Joined)
    }

    fn put(&self, consumer: Box<dyn Consumer>) {
        *self.slot.consumer.borrow_mut() = Some(consumer);
    }
}

async fn wait_for_all(consumer: &mut dyn Consumer, clock: &dyn Clock, of: u32) -> Result<(), Refused> {
    let mut held: BTreeSet<Partition> = BTreeSet::new();
    let began = clock.now().0;
    let mut shared_since = None;
    loop {
        match consumer.poll(1, POLL).await {
            Ok(Polled::Assigned(partitions)) => {
                held.extend(partitions);
                shared_since.get_or_insert(clock.now().0);
            }
            Ok(Polled::Revoked(partitions)) => {
                held.retain(|partition| !partitions.contains(partition));
                consumer.release(&partitions).await?;
            }
            Ok(Polled::Lost(partitions)) => held.retain(|partition| !partitions.contains(partition)),
            Ok(Polled::Records(_) | Polled::Idle) => {}
            Err(failure) if failure.reaction == Reaction::Retry => clock.sleep(POLL).await,
            Err(failure) => return Err(failure.into()),
        }
        if held.len() == of as usize {
            return Ok(());
        }
        let passed = |since: i64, patience: Duration| {
            clock.now().0.saturating_sub(since) > i64::try_from(patience.as_micros()).unwrap_or(i64::MAX)
        };
        if shared_since.is_some_and(|since| passed(since, SHARE_PATIENCE)) {
            return Err(Refused::NotAlone { held: held.len(), of });
        }
        if passed(began, JOIN_PATIENCE) {
            return Err(Refused::Silent);
        }
    }
}
