//! The same log once more, in a calm world with other batches and commits: the same panes, byte for byte (I15).

use super::history::{History, settings, shape};
use super::{metrics, story};
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use thalweg::model::{NextOffset, Partition, Reader, Topic, TopicPartition};
use thalweg::sim::{Faults, Handles, Seed, Task, World};
use thalweg::worker::{Context, Control, Halt, aggregate};

/// A target's worker alone with the log that a history left.
pub(super) struct Replay {
    pub(super) world: World,
    controls: Rc<RefCell<Vec<Arc<Control>>>>,
    /// It came as far as the history.
    pub(super) is_there: bool,
}

impl Replay {
    /// What its last life halts over.
    pub(super) fn halts(&self) -> Vec<Halt> {
        self.controls.borrow().last().map(|control| control.halts()).unwrap_or_default()
    }
}

pub(super) fn check(history: &History, seed: u64) -> Result<(), String> {
    let replay = replay(history, seed);
    let ended = compare(history, &replay.world).and_then(|()| match replay.is_there {
        true => Ok(()),
        false => Err(format!("the replay did not finish; halts: {:?}", replay.halts())),
    });
    ended.map_err(|error| format!("I15, replayed: {error}"))
}

pub(super) fn replay(history: &History, seed: u64) -> Replay {
    let mut chance = Seed(!seed);
    let mut world = World::new(chance.draw(), shape(&history.setting), Faults::calm());
    for partition in (0..history.setting.targets).map(Partition) {
        let at = TopicPartition { topic: Topic::Repartition, partition };
        for kept in history.world.records(at, NextOffset(0)) {
            world.append(at, kept.time, kept.record);
        }
    }
    let (topology, settings) = (history.setting.topology.clone(), settings(&mut chance));
    let controls: Rc<RefCell<Vec<Arc<Control>>>> = Rc::default();
    let noted = controls.clone();
    world.spawn(0, move |handles: Handles| -> Task {
        let control = Arc::new(Control::default());
        noted.borrow_mut().push(control.clone());
        let context = Context {
            topology: topology.clone(),
            log: handles.log,
            objects: handles.objects,
            clock: handles.clock,
            settings: settings.clone(),
            control,
        };
        Box::pin(async move { aggregate::run(context).await.map(drop).map_err(|error| error.to_string()) })
    });
    let reached = |world: &World| {
        (0..history.setting.targets).all(|target| {
            let reached = metrics::reached(world, target);
            // Of a raw partition without records nothing was ever said.
            let is_there =
                |partition: u32| reached.get(&partition).copied().unwrap_or(0) >= history.raw.end(partition);
            (0..history.setting.raw_partitions).all(is_there)
        })
    };
    let is_there = (0..300).any(|_| {
        world.run_for(Duration::from_secs(1));
        reached(&world)
    });
    Replay { world, controls, is_there }
}

fn compare(history: &History, world: &World) -> Result<(), String> {
    metrics::check(world, &history.raw, &history.setting, true)?;
    for target in 0..history.setting.targets {
        let (first, again) = (panes(&history.world, target), panes(world, target));
        // A pane that is dead may be gone in one of them: tombstones come with a commit.
        for (key, pane) in &first {
            if again.get(key).is_some_and(|again| again != pane) {
                return Err(format!("pane {} of target {target} differs", story::text(key)));
            }
        }
    }
    Ok(())
}

/// The panes that `state` holds, without the position that each stands at.
fn panes(world: &World, target: u32) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut panes = BTreeMap::new();
    let at = TopicPartition { topic: Topic::State, partition: Partition(target) };
    for kept in world.records(at, NextOffset(0)) {
        let key = kept.record.key.unwrap_or_default();
        match kept.record.value {
            Some(value) if key != b"commit" => {
                let mut reader = Reader::new(&value, "pane");
                reader.varint().expect("a pane begins with its position");
                panes.insert(key, value[reader.position()..].to_vec());
            }
            Some(_) => {}
            None => drop(panes.remove(&key)),
        }
    }
    panes
}
