//! The topics of a deployment: what each must be, what the brokers have, and the way from one to the other.

mod admin;
mod compare;

pub use admin::{Admin, Present, create};
pub use compare::{Difference, Remedy, differences, raw_differences};

use super::settings::Settings;
use crate::model::Topic;
use std::collections::BTreeMap;
use std::time::Duration;

/// What one topic must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    pub topic: Topic,
    pub name: String,
    pub partitions: u32,
    pub settings: BTreeMap<&'static str, String>,
}

/// What the topology and the operator decide.
#[derive(Debug, Clone)]
pub struct Shape {
    /// Of all topics that we make.
    pub partitions: u32,
    pub histories: u16,
    /// The longest `keep`: rows set aside and histories stay at least as long.
    pub keep: Duration,
    pub replication: u32,
    /// How long blocks stay: at least three times the longest outage to survive.
    pub repartition_retention: Duration,
}

const HOUR: Duration = Duration::from_secs(3_600);
/// What one record may weigh: a block, with room for its wrapping.
const RECORD_BYTES: usize = 8 << 20;

/// Every topic that we make, with the settings that the protocols lean on.
pub fn wanted(settings: &Settings, shape: &Shape) -> Vec<Wanted> {
    let fixed = [Topic::Repartition, Topic::State, Topic::Metrics, Topic::SetAside, Topic::DeadLetters];
    let histories = (0..shape.histories).map(Topic::History);
    let all = fixed.into_iter().chain(histories);
    all.map(|topic| Wanted {
        topic,
        name: settings.topic(topic),
        partitions: shape.partitions,
        settings: of(topic, shape),
    })
    .collect()
}

fn of(topic: Topic, shape: &Shape) -> BTreeMap<&'static str, String> {
    let ms = |time: Duration| time.as_millis().to_string();
    let mut all = BTreeMap::from([
        ("message.timestamp.type", "LogAppendTime".to_owned()),
        ("max.message.bytes", RECORD_BYTES.to_string()),
        ("unclean.leader.election.enable", "false".to_owned()),
        ("min.insync.replicas", compare::in_sync(shape.replication).to_string()),
    ]);
    let (policy, more) = match topic {
        Topic::Raw => unreachable!("the raw topic is its producers'"),
        Topic::Repartition => ("delete", vec![("retention.ms", ms(shape.repartition_retention))]),
        Topic::State | Topic::Metrics => ("compact", compaction()),
        Topic::DeadLetters => ("compact", Vec::new()),
        Topic::SetAside => ("delete", vec![("retention.ms", ms(shape.keep.max(24 * HOUR)))]),
        Topic::History(_) => ("compact,delete", vec![("retention.ms", ms(shape.keep.max(24 * HOUR)))]),
    };
    all.insert("cleanup.policy", policy.to_owned());
    all.extend(more);
    all
}

fn compaction() -> Vec<(&'static str, String)> {
    let ms = |time: Duration| time.as_millis().to_string();
    vec![
        ("delete.retention.ms", ms(24 * HOUR)),
        ("min.compaction.lag.ms", ms(Duration::from_secs(60))),
        ("max.compaction.lag.ms", ms(6 * HOUR)),
        ("min.cleanable.dirty.ratio", "0.3".to_owned()),
        ("segment.bytes", (64 << 20).to_string()),
        ("segment.ms", ms(Duration::from_secs(600))),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn state_is_compacted_and_blocks_expire() {
        let shape = Shape {
            partitions: 4,
            histories: 1,
            keep: 48 * HOUR,
            replication: 3,
            repartition_retention: 72 * HOUR,
        };
        let all = wanted(&Settings::new("a:1", "shop", "raw"), &shape);

        let of = |topic: Topic| all.iter().find(|one| one.topic == topic).unwrap();
        assert_eq!(all.len(), 6);
        assert!(all.iter().all(|one| one.partitions == 4 && one.settings["min.insync.replicas"] == "2"));
        assert_eq!(of(Topic::State).settings["cleanup.policy"], "compact");
        assert_eq!(of(Topic::Repartition).settings["retention.ms"], (72 * 3_600_000).to_string());
        assert_eq!(of(Topic::History(0)).settings["cleanup.policy"], "compact,delete");
    }
}
