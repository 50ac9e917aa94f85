//! `dead-letters redrive`: refused records go to the raw topic again, each once.
//!
//! ```text
//! end our predecessor ─► read letters and marks to the end ─► choose ─► { raw records + marks } in one transaction, …
//! ```
//!
//! In: the topic of dead letters. Out: the records as they were, in the raw partitions that they came from, so that the
//! order of a source stays; and beside each letter a mark. Promises: a letter is marked if and only if its record stands
//! in the raw topic, because both are of one transaction; marks are read behind the last transaction of whoever redrove
//! before, and whoever still does is fenced. So no kill and no second run sends anything twice. Never: a decision which
//! letters are worth it.

mod letter;

pub use letter::{Letter, NotWhole, ORIGIN};

use crate::model::{
    Coordinate, NextOffset, OutBatch, OutRecord, Partition, RecordBatch, RecordSlice, Topic, TopicPartition,
};
use crate::port::{Clock, Ends, Failure, Isolation, Log, Reaction, Reader, Transactions};
use letter::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::mem;
use std::time::Duration;

const READ_BYTES: usize = 1 << 20;
/// Of one transaction: well within its time-out.
const LETTERS_MAX: usize = 500;
const BYTES_MAX: usize = 4 << 20;
/// Of a run that is held back: many small steps, and no burst.
const TRANSACTIONS_A_SECOND: u32 = 5;
/// How long a foreign transaction may hide the end of the dead letters.
const HIDDEN_PATIENCE: Duration = Duration::from_secs(30);
const LOOK_AGAIN: Duration = Duration::from_millis(200);

/// All dead letters in the order of the log, and which of them were sent again.
#[derive(Debug, Default)]
pub struct Letters {
    pub all: Vec<Letter>,
    pub redriven: BTreeSet<String>,
}

/// As far as they are committed. The topic is compacted, and a record may have been refused by several sessions: the last
/// letter of a coordinate stands for it.
pub async fn read(reader: &mut dyn Reader) -> Result<Letters, Failure> {
    let mut found = Found::default();
    for at in partitions(reader).await? {
        let ends = reader.ends(at, Isolation::ReadCommitted).await?;
        found.take(reader, at, ends).await?;
    }
    Ok(found.letters())
}

async fn partitions(reader: &mut dyn Reader) -> Result<Vec<TopicPartition>, Failure> {
    let topic = Topic::DeadLetters;
    let partitions = reader.facts(topic).await?.partitions;
    Ok((0..partitions).map(|partition| TopicPartition { topic, partition: Partition(partition) }).collect())
}

#[derive(Default)]
struct Found {
    /// By place; what names none stands last.
    letters: BTreeMap<(bool, Option<Coordinate>, String), Letter>,
    redriven: BTreeSet<String>,
    /// Where reading goes on.
    next: BTreeMap<Partition, NextOffset>,
}

impl Found {
    /// Reads on, at most to `end`; returns how far it came.
    async fn take(
        &mut self,
        reader: &mut dyn Reader,
        at: TopicPartition,
        ends: Ends,
    ) -> Result<NextOffset, Failure> {
        let known = self.next.get(&at.partition).copied().unwrap_or_default();
        let mut next = known.max(ends.first);
        while next < ends.next {
            let batch = reader.read(at, next, READ_BYTES).await?;
            batch.records.iter().for_each(|record| self.note(&batch, record));
            if batch.next <= next {
                break;
            }
            next = batch.next;
        }
        self.next.insert(at.partition, next);
        Ok(next)
    }

    fn note(&mut self, batch: &RecordBatch, record: &RecordSlice) {
        match Entry::of(batch, record) {
            Some(Entry::Letter(letter)) => {
                let place = letter.place();
                self.letters.insert((place.is_none(), place, letter.coordinate.clone()), letter);
            }
            Some(Entry::Mark(coordinate)) => {
                self.redriven.insert(coordinate);
            }
            None => {}
        }
    }

    /// Reads on to the ends as they stand now, whoever still has a transaction open there.
    async fn take_all(&mut self, reader: &mut dyn Reader, clock: &dyn Clock) -> Result<(), Failure> {
        for at in partitions(reader).await? {
            let ends = reader.ends(at, Isolation::ReadUncommitted).await?;
            let mut waited = Duration::ZERO;
            while self.take(reader, at, ends).await? < ends.next {
                if waited > HIDDEN_PATIENCE {
                    let text = "an open transaction of somebody else hides dead letters; end it, or wait until it \
                                times out";
                    return Err(Failure::new(Reaction::Retry, text));
                }
                clock.sleep(LOOK_AGAIN).await;
                waited += LOOK_AGAIN;
            }
        }
        Ok(())
    }

    fn letters(&mut self) -> Letters {
        Letters { all: mem::take(&mut self.letters).into_values().collect(), redriven: self.redriven.clone() }
    }
}

/// Whoever sends letters again.
pub struct Redrive<'a> {
    log: &'a dyn Log,
    clock: &'a dyn Clock,
    reader: Box<dyn Reader>,
    /// For one transaction.
    transactions: Option<Box<dyn Transactions>>,
    found: Found,
    letters: Letters,
    raw_partitions: u32,
}

impl<'a> Redrive<'a> {
    pub async fn begin(log: &'a dyn Log, clock: &'a dyn Clock) -> Result<Redrive<'a>, Failure> {
        let mut reader = log.reader();
        let raw_partitions = reader.facts(Topic::Raw).await?.partitions;
        let (found, letters) = (Found::default(), Letters::default());
        let mut redrive = Redrive { log, clock, reader, transactions: None, found, letters, raw_partitions };
        redrive.fence().await?;
        redrive.letters = redrive.found.letters();
        Ok(redrive)
    }

    /// First the fence, then the look: a transaction that ends between the two would be sent again. And a fence for
    /// every transaction: with it a late copy of what ended the one before is of an epoch that is over, and cannot end
    /// half of this one.
    async fn fence(&mut self) -> Result<(), Failure> {
        self.transactions = None;
        self.transactions = Some(self.log.transactions().await?);
        self.found.take_all(&mut *self.reader, self.clock).await
    }

    /// As they stood at the beginning.
    pub fn letters(&self) -> &Letters {
        &self.letters
    }

    /// Sends letters, by their places in the list and in its order. `told` hears how many more are done after each
    /// transaction.
    pub async fn send(
        &mut self,
        chosen: &[usize],
        a_second: Option<u32>,
        told: &mut dyn FnMut(usize),
    ) -> Result<usize, Failure> {
        let (mut rest, mut sent) = (chosen, 0);
        let most = a_second
            .map_or(LETTERS_MAX, |rate| LETTERS_MAX.min(rate.div_ceil(TRANSACTIONS_A_SECOND) as usize));
        while !rest.is_empty() {
            let began = self.clock.now();
            let (now, later) = rest.split_at(self.fitting(&rest[..rest.len().min(most)]));
            if self.transactions.is_none() {
                self.fence().await?;
            }
            let done = self.transact(now).await?;
            told(now.len());
            sent += done;
            rest = later;
            if let Some(rate) = a_second.filter(|_| !rest.is_empty()) {
                let took = Duration::from_micros(self.clock.now().0.saturating_sub(began.0).max(0) as u64);
                let due = Duration::from_secs(1) * u32::try_from(now.len()).unwrap_or(u32::MAX) / rate;
                self.clock.sleep(due.saturating_sub(took)).await;
            }
        }
        Ok(sent)
    }

    /// How many fit into one transaction by their bytes: one at least.
    fn fitting(&self, chosen: &[usize]) -> usize {
        let mut bytes = 0;
        let fits = |place: &&usize| {
            bytes += self.letters.all[**place].payload.len();
            bytes <= BYTES_MAX
        };
        chosen.iter().take_while(fits).count().max(1)
    }

    /// Says how many were sent: somebody else may have sent the others meanwhile.
    async fn transact(&mut self, chosen: &[usize]) -> Result<usize, Failure> {
        let mut transactions = self.transactions.take().expect("there is a fence before each transaction");
        let written = self.write(&mut *transactions, chosen).await;
        match written {
            Ok(0) => Ok(0),
            // However clean it was: the next one has a producer of its own.
            Ok(sent) => transactions.commit().await.map(|_| sent),
            Err(failure) => {
                // What broke it is told. A transaction that stays open ends with its time-out, or with the next run.
                let _ = transactions.abort().await;
                Err(failure)
            }
        }
    }

    async fn write(&self, transactions: &mut dyn Transactions, chosen: &[usize]) -> Result<usize, Failure> {
        let chosen: Vec<&Letter> = chosen.iter().map(|&place| &self.letters.all[place]).collect();
        let left = chosen.into_iter().filter(|letter| !self.found.redriven.contains(&letter.coordinate));
        let left: Vec<&Letter> = left.collect();
        if left.is_empty() {
            return Ok(0);
        }
        let now = self.clock.now();
        let mut marks: BTreeMap<Partition, OutBatch> = BTreeMap::new();
        transactions.begin().await?;
        for letter in &left {
            let (to, record) = self.addressed(letter)?;
            letter.mark(now, marks.entry(letter.lies_in).or_default());
            transactions.send_one(to, &record).await?;
        }
        for (partition, marks) in &marks {
            let to = TopicPartition { topic: Topic::DeadLetters, partition: *partition };
            transactions.send(to, marks).await?;
        }
        Ok(left.len())
    }

    /// Into the partition that it came from; if the topic was made again with fewer, into one of those.
    fn addressed(&self, letter: &Letter) -> Result<(TopicPartition, OutRecord), Failure> {
        let refused = |why: NotWhole| Failure::new(Reaction::Halt, format!("{}: {why}", letter.coordinate));
        let record = letter.original().map_err(refused)?;
        let place = letter.place().expect("a letter without a place is not whole");
        let partition = Partition(place.source.partition.0 % self.raw_partitions.max(1));
        Ok((TopicPartition { topic: Topic::Raw, partition }, record))
    }
}
