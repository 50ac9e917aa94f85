//! One step of one partition: ask the core what it needs, carry it out, tell it.

use super::Lake;
use super::all_of::all_of;
use super::held::{Buffering, Held, Sealing, Stage, Walking};
use crate::lake::position::{self, Position, Step, Walk};
use crate::lake::seal::{self, Fact, Seal};
use crate::lake::{Chain, Chunk, ControlKey, Plan, Taken};
use crate::model::failpoint::{self, Failpoint};
use crate::model::{
    NextOffset, Partition, Source, Topic, TopicPartition,
    mutation::{self, Mutation},
};
use crate::port::{Created, Failure, Isolation, Reaction};
use crate::topology::topic_name;
use crate::worker::Counts;
use std::cell::Cell;
use std::rc::Rc;

/// Files of one plan on their way at a time, and what their bodies may hold in memory; one larger file goes alone.
const FILES_AT_ONCE: usize = 8;
const BYTES_AT_ONCE: usize = 8 << 20;

/// Why a step did not get through.
#[derive(Debug)]
pub(super) enum Stop {
    Failure(Failure),
    /// The chain, the files or the log are not what they must be.
    Halt(String),
    /// The log ends before what its own plans say: for a moment after a change of leader, or for good.
    Short(String),
}

impl From<Failure> for Stop {
    fn from(failure: Failure) -> Stop {
        Stop::Failure(failure)
    }
}

impl Lake {
    /// A failure leaves the stage as it was, to be tried again.
    pub(super) async fn step(&mut self, partition: Partition, held: &mut Held) -> Result<(), Stop> {
        match &mut held.stage {
            Stage::Fresh => {
                let walking = self.look_up(partition).await?;
                held.stage = Stage::Walking(walking);
            }
            Stage::Walking(walking) => {
                if let Some(stage) = self.walk(walking).await? {
                    held.pace.succeed();
                    held.stage = stage;
                }
            }
            Stage::Placing { chain, at, n } => {
                let stage = self.place(chain.clone(), *at, *n).await?;
                held.has_missed = false;
                held.pace.succeed();
                held.stage = stage;
            }
            Stage::Sealing(_) => self.seal(held).await?,
            Stage::Buffering(_) | Stage::Halted | Stage::Moving => {}
        }
        Ok(())
    }

    async fn look_up(&mut self, partition: Partition) -> Result<Walking, Stop> {
        let facts = self.reader.facts(Topic::Raw).await?;
        let committed = self.consumer.committed(partition).await?;
        let topic = topic_name(&self.context.topology, Topic::Raw);
        let chain = Chain { topic, source: Source { incarnation: facts.incarnation, partition } };
        Ok(Walking { chain, walk: Walk::from_commit(committed.as_ref()), finished: None, searched: None })
    }

    /// One object further along the chain; a stage when its end is found.
    async fn walk(&mut self, walking: &mut Walking) -> Result<Option<Stage>, Stop> {
        let fact = match walking.walk.ask() {
            position::Ask::Read(key) => position::Fact::Object(self.store.read(&walking.chain, key).await?),
            position::Ask::Create(key, body) => {
                if self.store.create(&walking.chain, key, body).await? == Created::Unknown {
                    let text = "nobody can tell whether the genesis is there";
                    return Err(Failure::new(Reaction::Retry, text).into());
                }
                position::Fact::Created
            }
            position::Ask::Start => match self.first_start(walking).await? {
                Some(start) => position::Fact::Start(start),
                None => return Ok(None),
            },
        };
        match walking.walk.clone().tell(fact).map_err(Stop::Halt)? {
            Step::On(walk) => {
                walking.walk = walk;
                Ok(None)
            }
            Step::Found(found) => Ok(Some(behind(walking, found))),
        }
    }

    /// Reads from the chain's end on, or plans a gap where retention was faster.
    async fn place(&mut self, chain: Chain, at: NextOffset, n: u64) -> Result<Stage, Stop> {
        let Source { partition, .. } = chain.source;
        let raw = TopicPartition { topic: Topic::Raw, partition };
        let ends = self.reader.ends(raw, Isolation::ReadCommitted).await?;
        if at < ends.first {
            let gap = Plan::gap(n, at, ends.first, self.layout.configuration);
            return Ok(Stage::sealing(chain, Seal::propose(gap)));
        }
        if at > ends.next {
            let text =
                format!("the position is {at}, but the log ends at {}: truncated or recreated?", ends.next);
            return Err(Stop::Short(text));
        }
        self.consumer.start(partition, at).await?;
        let chunk = Chunk::new(chain.source, at, Rc::clone(&self.layout));
        Ok(Stage::Buffering(Buffering::new(chain, n, chunk)))
    }

    async fn seal(&mut self, held: &mut Held) -> Result<(), Stop> {
        let Stage::Sealing(sealing) = &mut held.stage else { return Ok(()) };
        let Some(ask) = sealing.seal.ask() else {
            held.pace.succeed();
            self.sealed(held);
            return Ok(());
        };
        let Some(fact) = self.carry_out(sealing, ask).await? else { return Ok(()) };
        let is_unknown = fact == Fact::Unknown;
        if matches!(fact, Fact::Created | Fact::Taken | Fact::Committed | Fact::Rebuilt(_)) {
            held.pace.succeed();
        }
        sealing.seal = sealing.seal.clone().tell(fact).map_err(Stop::Halt)?;
        if !sealing.seal.is_ours() {
            // Ours was only a proposal; the records behind the plan that stands are read again.
            (sealing.chunk, sealing.rest) = (None, None);
        }
        if is_unknown {
            held.pace.fail(self.context.clock.now(), self.context.settings.backoff);
        }
        Ok(())
    }

    /// `None`: it takes more than one step.
    async fn carry_out(&mut self, sealing: &mut Sealing, ask: seal::Ask) -> Result<Option<Fact>, Stop> {
        if let seal::Ask::Write(file) = ask {
            return Ok(Some(told(self.write(sealing, file).await?)));
        }
        let Sealing { chain, seal, rebuild, .. } = sealing;
        let plan = seal.plan();
        Ok(Some(match ask {
            seal::Ask::Create(key, body) => {
                if matches!(key, ControlKey::Plan(_)) {
                    if mutation::is(Mutation::PlanSkipped) {
                        return Ok(Some(Fact::Created));
                    }
                    self.store.store_topology().await?;
                    failpoint::reached(Failpoint::LakePlanning);
                    let created = self.store.create(chain, key, body).await?;
                    failpoint::reached(Failpoint::LakePlanned);
                    return Ok(Some(told(created)));
                }
                told(self.store.create(chain, key, body).await?)
            }
            seal::Ask::Read(key) => Fact::Object(self.store.read(chain, key).await?),
            seal::Ask::Look(file) => Fact::Footer(self.store.look(plan, file).await?),
            seal::Ask::Rebuild(files) => {
                let Some(fact) = self.rebuild_step(chain, plan, &files, rebuild).await? else {
                    return Ok(None);
                };
                fact
            }
            seal::Ask::Write(_) => unreachable!("answered above"),
            seal::Ask::Commit(_) if self.store.has_late() => Fact::Committed,
            seal::Ask::Commit(offset) => {
                failpoint::reached(Failpoint::LakeCommitting);
                self.consumer.commit(chain.source.partition, offset).await?;
                failpoint::reached(Failpoint::LakeCommitted);
                Fact::Committed
            }
        }))
    }

    /// What became of the plan's file. The next ones are created beside it: a store answers many requests in the time of
    /// one. Their order is free, because the plan has decided them all.
    async fn write(&mut self, sealing: &mut Sealing, file: usize) -> Result<Created, Stop> {
        let Sealing { seal, chunk, rebuild, written, .. } = sealing;
        if let Some(created) = written.remove(&file) {
            return Ok(created);
        }
        let (topology, chunk) = match (rebuild, chunk) {
            (Some(rebuild), _) => (&rebuild.topology, &rebuild.chunk),
            (None, Some(chunk)) => (&self.context.topology, &*chunk),
            (None, None) => unreachable!("a file is written from a chunk"),
        };
        let plan = seal.plan();
        let (mut bodies, mut bytes) = (Vec::new(), 0);
        for file in seal.unwritten().filter(|file| !written.contains_key(file)).take(FILES_AT_ONCE) {
            let body = self.store.format.write(topology, chunk, plan, file);
            bytes += body.len();
            bodies.push((file, body));
            if bytes >= BYTES_AT_ONCE {
                break;
            }
        }
        let all = plan.plan.files.len();
        let done = Cell::new(all - seal.unwritten().count() + written.len());
        if done.get() == 0 {
            failpoint::reached(Failpoint::LakeWriting);
        }
        let creates = bodies.into_iter().map(|(file, body)| {
            let (planned, len) = (&plan.plan.files[file], body.len() as u64);
            let create = self.store.create_file(&planned.key, body);
            let done = &done;
            async move {
                let created = create.await;
                done.set(done.get() + 1);
                is_there(done.get(), all);
                (file, planned.rows, len, created)
            }
        });
        let mut failure = None;
        for (file, rows, len, created) in all_of(creates.collect()).await {
            match created {
                Ok(created) => {
                    written.insert(file, created);
                    if created == Created::Now {
                        let counts = &self.context.control.counts;
                        Counts::add(&counts.lake_files, 1);
                        Counts::add(&counts.lake_rows, rows);
                        Counts::add(&counts.lake_bytes, len);
                    }
                }
                Err(stop) => failure = failure.or(Some(stop)),
            }
        }
        match (written.remove(&file), failure) {
            (Some(created), _) => Ok(created),
            (None, Some(stop)) => Err(stop),
            (None, None) => unreachable!("the file that is asked for is the first that is created"),
        }
    }

    /// All of the plan stands, and so does the offset commit behind it.
    fn sealed(&self, held: &mut Held) {
        let Stage::Sealing(sealing) = std::mem::replace(&mut held.stage, Stage::Moving) else { return };
        let Sealing { chain, seal, chunk, rest, .. } = *sealing;
        let plan = &seal.plan().plan;
        let (at, n) = (plan.e, plan.n + 1);
        if chunk.is_none() || held.has_missed {
            // Somebody else may have gone on behind it, or reading has to start anew.
            let (finished, walk) = (Some(plan.s), Walk::behind(plan.clone()));
            held.stage = Stage::Walking(Walking { chain, walk, finished, searched: None });
            return;
        }
        let chunk = Chunk::new(chain.source, at, Rc::clone(&self.layout));
        let mut buffering = Buffering::new(chain, n, chunk);
        let taken = rest.as_ref().map(|rest| buffering.take(rest, self.context.clock.now()));
        held.stage = Stage::Buffering(buffering);
        if taken == Some(Taken::Full) {
            held.close(rest);
        }
    }
}

fn behind(walking: &Walking, found: Position) -> Stage {
    let chain = walking.chain.clone();
    match found.last {
        Some(last) if Some(last.s) != walking.finished && !mutation::is(Mutation::UnfinishedPlanPassed) => {
            Stage::sealing(chain, Seal::finish(last))
        }
        _ => Stage::Placing { chain, at: found.at, n: found.n },
    }
}

fn told(created: Created) -> Fact {
    match created {
        Created::Now => Fact::Created,
        Created::Before => Fact::Taken,
        Created::Unknown => Fact::Unknown,
    }
}

/// So many files of a plan of so many.
fn is_there(done: usize, all: usize) {
    if done == 1 {
        failpoint::reached(Failpoint::LakeFirstFile);
    }
    if done + 1 == all {
        failpoint::reached(Failpoint::LakeLastFile);
    }
}
