//! The good way to do each stage's work by hand, for this one shape of event and nothing else.
//!
//! Floors share the data with the engine, and no code. They know the fields and their types, trust their
//! input, keep no promise across a kill and recognise nothing that is wrong: what is left is the work itself.

mod decode;
mod groups;
mod hop;
mod lake;
mod rows;
mod store;

pub(crate) use decode::decode;
pub(crate) use groups::Groups;
pub(crate) use hop::Hop;
pub(crate) use lake::{FloorLake, Layout};
pub(crate) use rows::write as write_rows;
pub(crate) use store::{Place, Store};

use crate::stage::{Commit, Made, Stage, Times};

pub(crate) const TARGETS: u64 = 4;
/// What one poll brings, as in the engine.
const POLL_BYTES: usize = 1 << 20;

/// Route and aggregate, taking turns as the engine's do. Writes and reads as many bytes of blocks, rows and
/// panes as the engine did in each commit.
pub(crate) fn river(
    raw: &Store,
    out: &Store,
    commits: &[Commit],
    commit_events: u64,
) -> anyhow::Result<Times> {
    let mut times = Times::default();
    let mut reading = Polling::new();
    let (mut hop, mut groups) = (Hop::new(), Groups::new());
    let mut taken = 0;
    for (number, commit) in commits.iter().enumerate() {
        while taken < (number as u64 + 1) * commit_events {
            let Some(bytes) = times.of(Stage::RouteRead, || reading.poll(raw))? else { break };
            let events = times.of(Stage::RouteDecode, || decode(&bytes))?;
            times.of(Stage::HopOne, || hop.take(&events, taken));
            taken += events.len() as u64;
            times.of(Stage::RouteDecode, || drop(events));
        }
        let place = Place::Blocks(number as u64);
        times.of(Stage::RouteWrite, || out.write(&[(place, commit.block_bytes)]))?;
        times.of(Stage::AggregateRead, || out.read_all(place))?;
        times.of(Stage::Aggregate, || groups.take(&hop.rows));
        times.of(Stage::HopOne, || hop.clear());
        let written = times.of(Stage::Rows, || write_rows(&mut groups, commit, number as u64));
        times.of(Stage::Rows, || drop(written));
        times
            .of(Stage::AggregateWrite, || out.write(&[(Place::Transaction(number as u64), commit.bytes)]))?;
    }
    Ok(times)
}

/// The lake with about as many rows in a chunk as the engine's had.
pub(crate) fn lake(raw: &Store, layout: Layout, engine: Made, times: &mut Times) -> anyhow::Result<Made> {
    let chunk_rows = engine.rows.div_ceil(engine.chunks.max(1));
    let mut lake = FloorLake::new(layout, chunk_rows);
    let mut reading = Polling::new();
    while let Some(bytes) = times.of(Stage::LakeRead, || reading.poll(raw))? {
        let events = times.of(Stage::LakeDecode, || decode(&bytes))?;
        let partition = reading.turn();
        times.of(Stage::Files, || lake.take(partition, &events))?;
        times.of(Stage::LakeDecode, || drop(events));
    }
    times.of(Stage::Files, || lake.close_all())?;
    Ok(lake.made)
}

/// Both raw partitions, in turns.
struct Polling {
    next: [u64; 2],
    turn: usize,
}

impl Polling {
    fn new() -> Polling {
        Polling { next: [0; 2], turn: 0 }
    }

    fn turn(&self) -> usize {
        self.turn
    }

    fn poll(&mut self, raw: &Store) -> anyhow::Result<Option<Vec<u8>>> {
        for _ in 0..2 {
            self.turn = 1 - self.turn;
            let bytes = raw.read(Place::Raw(self.turn), &mut self.next[self.turn], POLL_BYTES)?;
            if !bytes.is_empty() {
                return Ok(Some(bytes));
            }
        }
        Ok(None)
    }
}
