//! What a history left in its topics, told for people: printed for a seed that is replayed and fails.

use super::workload::{START, Setting};
use thalweg::model::{HopOne, NextOffset, Partition, Topic, TopicPartition};
use thalweg::sim::{Kept, World};

pub(super) fn tell(world: &World, setting: &Setting) {
    for topic in [Topic::Repartition, Topic::State, Topic::SetAside, Topic::Metrics] {
        for partition in (0..setting.targets).map(Partition) {
            let at = TopicPartition { topic, partition };
            for kept in world.records(at, NextOffset(0)) {
                let millis = (kept.time.0 - START) / 1000;
                let cleaned = if kept.is_cleaned { " (cleaned)" } else { "" };
                println!(
                    "{topic:?} {partition} {} at {millis} ms{cleaned}: {}",
                    kept.offset,
                    text_of(topic, &kept)
                );
            }
        }
    }
    world.stored(0).iter().for_each(|stored| println!("{stored:?}"));
    println!("exits: {:?}", world.exits());
}

fn text_of(topic: Topic, kept: &Kept) -> String {
    let value = kept.record.value.as_deref().unwrap_or_default();
    if topic == Topic::Repartition {
        return HopOne::decode(value).map_or_else(|error| error.to_string(), |record| hop_one(&record));
    }
    let key = kept.record.key.as_deref().unwrap_or_default();
    match kept.record.value {
        Some(_) => format!("{} = {}", text(key), text(value)),
        None => format!("{} gone", text(key)),
    }
}

/// Readable, whatever it is.
pub(super) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).replace(char::is_control, " ")
}

fn hop_one(record: &HopOne) -> String {
    match record {
        HopOne::Block(block) => {
            let offsets: Vec<u64> = block.units.iter().map(|unit| unit.offset.0).collect();
            format!(
                "block of {} behind {:?}: {offsets:?}",
                block.source.partition,
                block.prev.map(|prev| prev.0)
            )
        }
        HopOne::Links(links) => {
            let link = links.links.iter().map(|link| {
                let last = link.last.map(|last| last.0);
                format!(
                    "{} below {} last {last:?} at end {:?}",
                    link.source.partition, link.below, link.at_end
                )
            });
            format!("links {}", link.collect::<Vec<_>>().join("; "))
        }
        other => format!("{other:?}"),
    }
}
