//! What a target will have taken once it has read its repartition partition to the end, without keeping what it counts.
//!
//! In: the commit record, then the records from its position on. Out: the sources as they will be, and the records that
//! halt. Promises: judges each record as [`super::Target`] does. Never: a pane, a row, a decision about an event.

use super::commit_record::CommitRecord;
use super::pane::read_cells;
use super::sources::{Halt, Sources, Verdict};
use crate::model::{Block, Cutover, Damaged, HopOne, NextOffset, Offset, RoutingVersion};
use crate::topology::Topology;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

#[derive(Debug)]
pub struct Scan {
    topology: Arc<Topology>,
    committed: Sources,
    sources: Sources,
    next: NextOffset,
    halts: BTreeMap<Offset, Halt>,
    forgiven: BTreeSet<Offset>,
    /// Takes cut-overs to any configuration.
    follows: bool,
    cutovers: Vec<(Offset, Cutover)>,
}

impl Scan {
    /// Of a target that has never committed if there is no record. `None`: the record is not one that this version can
    /// read.
    pub fn new(topology: Arc<Topology>, record: Option<&CommitRecord>) -> Option<Scan> {
        let (sources, next) = match record {
            Some(record) => (record.sources.parse()?, NextOffset(record.next)),
            None => {
                let version = RoutingVersion(topology.routing_version);
                (Sources::new(version, topology.configuration_hash), NextOffset(0))
            }
        };
        Some(Scan {
            topology,
            committed: sources.clone(),
            sources,
            next,
            halts: BTreeMap::new(),
            forgiven: BTreeSet::new(),
            follows: false,
            cutovers: Vec::new(),
        })
    }

    /// Over every cut-over, to whatever topology.
    #[must_use]
    pub fn following(self) -> Scan {
        Scan { follows: true, ..self }
    }

    /// Cut-overs that it came by, those that halt included.
    pub fn cutovers(&self) -> &[(Offset, Cutover)] {
        &self.cutovers
    }

    /// Where reading begins, and then goes on.
    pub fn next(&self) -> NextOffset {
        self.next
    }

    /// What the last commit had taken.
    pub fn committed(&self) -> &Sources {
        &self.committed
    }

    /// What will have been taken where the scan stands, if everything that halts is forgiven.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// Records that halt this target and that nobody has forgiven yet, by rising offset.
    pub fn halts(&self) -> impl DoubleEndedIterator<Item = (Offset, &Halt)> {
        let is_open = |offset: &Offset| !self.forgiven.contains(offset);
        self.halts.iter().map(|(&offset, halt)| (offset, halt)).filter(move |(offset, _)| is_open(offset))
    }

    /// The next record of the partition. A record that halts is skipped as a whole, as whoever is forgiven does.
    pub fn take(&mut self, offset: Offset, record: &[u8]) {
        self.next = offset.next();
        let taken = match HopOne::view(record) {
            Ok(HopOne::Block(block)) => self.block(&block).map_err(Halt::from),
            Ok(fact) => {
                if let HopOne::Reroute(reroute) = &fact {
                    self.forgiven.extend(reroute.forgives);
                }
                let mut configuration = self.topology.configuration_hash;
                if let HopOne::Cutover(cutover) = &fact {
                    self.cutovers.push((offset, cutover.clone()));
                    if self.follows {
                        configuration = cutover.configuration;
                    }
                }
                let before = self.sources.clone();
                let taken = self.sources.fact(&fact, configuration);
                if taken.is_err() {
                    self.sources = before;
                }
                taken
            }
            Err(damaged) => Err(Halt::from(damaged)),
        };
        if let Err(halt) = taken {
            self.halts.insert(offset, halt);
        }
    }

    /// The log begins behind the position: what lay between is gone. Forgiving the position forgives that.
    pub fn begins_late(&mut self, begins: NextOffset) {
        let position = self.next;
        self.halts.insert(Offset(position.0), Halt::BeginsLate { begins, position });
        self.next = begins;
    }

    /// Past holes at the end of a batch.
    pub fn skip_to(&mut self, next: NextOffset) {
        self.next = self.next.max(next);
    }

    fn block(&mut self, block: &Block<&[u8]>) -> Result<(), Damaged> {
        let before = self.sources.states.get(&block.source).map(|state| state.hw);
        let Verdict::Take(units) = self.sources.judge(block) else { return Ok(()) };
        // Rows are laid out by their version, and another one's layout is not known here.
        if block.version.0 != self.topology.routing_version {
            return Ok(());
        }
        let read = block.units[units].iter().try_for_each(|unit| self.read_rows(block, unit.rows.clone()));
        if read.is_err()
            && let (Some(hw), Some(state)) = (before, self.sources.states.get_mut(&block.source))
        {
            state.hw = hw;
        }
        read
    }

    fn read_rows(&self, block: &Block<&[u8]>, rows: std::ops::Range<u32>) -> Result<(), Damaged> {
        let mut given = Vec::new();
        for row in &block.rows[rows.start as usize..rows.end as usize] {
            let aggregate = usize::from(block.keys[row.key as usize].aggregate);
            let unknown = Damaged { what: "block: unknown aggregate", at: row.key as usize };
            let definition = self.topology.aggregates.get(aggregate).ok_or(unknown)?;
            read_cells(block, row, &definition.slots, &mut given)?;
        }
        Ok(())
    }
}
