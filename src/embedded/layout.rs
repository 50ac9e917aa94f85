//! Which topics a deployment has, how many partitions each, and what happens to old records.

use crate::model::Topic;
use std::time::Duration;

/// `--input` sends line *k* to raw partition *k* mod this.
pub const RAW_PARTITIONS: u32 = 2;

const WEEK: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// The topics of one deployment. Partition counts are frozen when the directory is made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    pub deployment: String,
    pub topics: Vec<TopicLayout>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicLayout {
    pub topic: Topic,
    pub partitions: u32,
    pub cleanup: Cleanup,
}

/// What may go: all but the last record of a key, records of a certain age, or both.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cleanup {
    pub is_compacted: bool,
    pub retention: Option<Duration>,
}

impl Cleanup {
    pub const COMPACT: Cleanup = Cleanup { is_compacted: true, retention: None };

    pub fn delete(retention: Duration) -> Self {
        Cleanup { is_compacted: false, retention: Some(retention) }
    }

    pub fn compact_and_delete(retention: Duration) -> Self {
        Cleanup { is_compacted: true, retention: Some(retention) }
    }
}

impl Layout {
    /// `keep` is the longest time that a row stays: set-aside coordinates and histories must outlive it.
    pub fn new(deployment: &str, targets: u32, histories: u16, keep: Duration) -> Self {
        let long = WEEK.max(keep);
        let topic = |topic, partitions, cleanup| TopicLayout { topic, partitions, cleanup };
        let mut topics = vec![
            topic(Topic::Raw, RAW_PARTITIONS, Cleanup::delete(WEEK)),
            topic(Topic::Repartition, targets, Cleanup::delete(WEEK)),
            topic(Topic::DeadLetters, targets, Cleanup::COMPACT),
            topic(Topic::State, targets, Cleanup::COMPACT),
            topic(Topic::Metrics, targets, Cleanup::COMPACT),
            topic(Topic::SetAside, targets, Cleanup::delete(long)),
        ];
        let history = |h| topic(Topic::History(h), targets, Cleanup::compact_and_delete(long));
        topics.extend((0..histories).map(history));
        Layout { deployment: deployment.to_owned(), topics }
    }
}

/// A topic's number in the store's keys. Never reuse one: directories outlive versions.
pub(super) fn code(topic: Topic) -> u16 {
    match topic {
        Topic::Raw => 0,
        Topic::Repartition => 1,
        Topic::DeadLetters => 2,
        Topic::State => 3,
        Topic::Metrics => 4,
        Topic::SetAside => 5,
        Topic::History(place) => 16 + place,
    }
}

pub(super) fn topic(code: u16) -> Option<Topic> {
    Some(match code {
        0 => Topic::Raw,
        1 => Topic::Repartition,
        2 => Topic::DeadLetters,
        3 => Topic::State,
        4 => Topic::Metrics,
        5 => Topic::SetAside,
        _ => Topic::History(code.checked_sub(16)?),
    })
}

/// As people write it.
pub(super) fn name(topic: Topic) -> String {
    match topic {
        Topic::Raw => "raw".to_owned(),
        Topic::Repartition => "repartition".to_owned(),
        Topic::DeadLetters => "dead-letters".to_owned(),
        Topic::State => "state".to_owned(),
        Topic::Metrics => "metrics".to_owned(),
        Topic::SetAside => "set-aside".to_owned(),
        Topic::History(place) => format!("history {place}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_topic_comes_back_from_its_code() {
        for layout in Layout::new("d", 4, 3, Duration::ZERO).topics {
            assert_eq!(topic(code(layout.topic)), Some(layout.topic));
        }
        assert_eq!(topic(6), None);
    }
}
