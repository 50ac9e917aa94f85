//! The chunk of a plan that stands, made again from the log: whole, or in passes when it is bigger than the budget.
//!
//! ```text
//! Whole ─fits─► holds every file
//!   └─too big─► Survey ─► Pass: holds the files that fit ─► Pass …
//! ```
//!
//! A survey holds nothing but counts; it checks the plan before any pass, and each pass checks it again.

use super::Lake;
use super::step::Stop;
use crate::decode::Decoder;
use crate::lake::seal::Fact;
use crate::lake::{Chain, Chunk, Decided, Keep, Layout, Plan, Taken, weight};
use crate::model::{NextOffset, Topic, TopicPartition};
use crate::port::{Isolation, Reaction};
use crate::topology::Topology;
use std::rc::Rc;
use std::sync::Arc;

pub(super) struct Rebuild {
    pub(super) topology: Arc<Topology>,
    pub(super) chunk: Chunk,
    layout: Rc<Layout>,
    decoder: Decoder,
    phase: Phase,
    /// Decoded bytes of the whole range.
    total: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Phase {
    Whole,
    Survey,
    /// Holds so many of the files that were asked for.
    Pass(usize),
    /// A chunk with so many of the files is there.
    Ready(usize),
}

impl Rebuild {
    fn new(topology: Arc<Topology>, chain: &Chain, plan: &Plan, prefix: &str) -> Rebuild {
        let layout = Rc::new(Layout::new(&topology, prefix));
        let chunk = Chunk::again(chain.source, plan, Rc::clone(&layout), Keep::All);
        let decoder = Decoder::new(&topology);
        Rebuild { topology, chunk, layout, decoder, phase: Phase::Whole, total: 0 }
    }

    pub(super) fn bytes(&self) -> usize {
        self.chunk.bytes()
    }

    /// The next pass over the plan: files from the front of `wanted`, at least one, as many as the budget holds.
    fn pass(&mut self, chain: &Chain, plan: &Plan, wanted: &[usize], budget: usize) {
        let mut bytes = 0usize;
        let fits = |&&file: &&usize| {
            bytes = bytes.saturating_add(self.chunk.share(file, self.total));
            bytes <= budget
        };
        let count = wanted.iter().take_while(fits).count().max(1);
        let keep = Keep::Files(wanted.iter().take(count).copied().collect());
        self.chunk = Chunk::again(chain.source, plan, Rc::clone(&self.layout), keep);
        self.phase = Phase::Pass(count);
    }
}

impl Lake {
    /// One read further; `None` while there is more to read.
    pub(super) async fn rebuild_step(
        &mut self,
        chain: &Chain,
        plan: &Decided,
        wanted: &[usize],
        rebuild: &mut Option<Rebuild>,
    ) -> Result<Option<Fact>, Stop> {
        let Decided { plan, .. } = plan;
        let budget = self.context.settings.lake_budget;
        let of = match rebuild {
            None => {
                let topology = self.store.topology(plan.configuration).await?;
                let made = Rebuild::new(topology, chain, plan, &self.store.prefix);
                rebuild.insert(made)
            }
            Some(of) => {
                // What it holds is written; these are the files that were left for later.
                if matches!(of.phase, Phase::Ready(_)) {
                    of.pass(chain, plan, wanted, budget);
                }
                of
            }
        };
        let Some(batch) = self.read_again(chain, plan, of.chunk.next()).await? else {
            return Ok(Some(Fact::Gone));
        };
        let events = Rc::new(of.decoder.decode(batch));
        if matches!(of.phase, Phase::Whole | Phase::Survey) {
            of.total = of.total.saturating_add(weight(&events));
        }
        let taken = of.chunk.push(&events);
        if of.phase == Phase::Whole && of.chunk.bytes() > budget {
            of.chunk.forget();
            of.phase = Phase::Survey;
        }
        if taken == Taken::All && of.chunk.next() < plan.e {
            return Ok(None);
        }
        if let Some(contradiction) = of.chunk.contradiction(plan) {
            return Err(Stop::Halt(contradiction));
        }
        match of.phase {
            Phase::Survey => {
                of.pass(chain, plan, wanted, budget);
                Ok(None)
            }
            Phase::Whole => {
                of.phase = Phase::Ready(wanted.len());
                Ok(Some(Fact::Rebuilt(wanted.len())))
            }
            Phase::Pass(count) | Phase::Ready(count) => {
                of.phase = Phase::Ready(count);
                Ok(Some(Fact::Rebuilt(count)))
            }
        }
    }

    /// The plan's records from `from` on; `None` if retention took some of them.
    async fn read_again(
        &mut self,
        chain: &Chain,
        plan: &Plan,
        from: NextOffset,
    ) -> Result<Option<crate::model::RecordBatch>, Stop> {
        let at = TopicPartition { topic: Topic::Raw, partition: chain.source.partition };
        let ends = self.reader.ends(at, Isolation::ReadCommitted).await?;
        if ends.first > from {
            return Ok(None);
        }
        if ends.next < plan.e {
            let text =
                format!("the log ends at {}, before the plan's end {}: was it truncated?", ends.next, plan.e);
            return Err(Stop::Short(text));
        }
        match self.reader.read(at, from, self.context.settings.poll_bytes).await {
            Ok(batch) if batch.source != chain.source => {
                let found = batch.source.incarnation;
                Err(Stop::Halt(format!("the raw topic is incarnation {found}, the plan's is another")))
            }
            // Holes up to the end, or a log that is shorter than it said.
            Ok(batch) if batch.is_empty() && batch.next <= from => {
                Err(Stop::Short(format!("the log ends at {from}, before the plan's end {}", plan.e)))
            }
            Ok(batch) => Ok(Some(batch)),
            // Retention was faster than the question.
            Err(failure) if failure.reaction == Reaction::Halt => {
                let ends = self.reader.ends(at, Isolation::ReadCommitted).await?;
                if ends.first > from { Ok(None) } else { Err(failure.into()) }
            }
            Err(failure) => Err(failure.into()),
        }
    }
}
