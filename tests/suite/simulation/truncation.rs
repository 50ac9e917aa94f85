//! A log that lost what was read from it already (F40): whoever stands behind its end must say so, and stop.

use super::case::Case;
use super::{history, replay};
use std::time::Duration;
use thalweg::model::{NextOffset, Partition, Topic, TopicPartition};
use thalweg::sim::Faults;

#[test]
fn a_target_that_stands_behind_the_end_of_a_truncated_log_halts_by_name() {
    for seed in 0..8 {
        let (history, ended) = history::run(&Case::new(seed), &|faults| *faults = Faults::calm());
        assert_eq!(ended, Ok(()));
        let mut replayed = replay::replay(&history, seed);
        assert!(replayed.is_there && replayed.halts().is_empty(), "{:?}", replayed.halts());

        let at = TopicPartition { topic: Topic::Repartition, partition: Partition(0) };
        assert!(replayed.world.truncate(at, NextOffset(0)) > 0);
        replayed.world.crash(0);
        replayed.world.run_for(Duration::from_secs(120));

        let halts = replayed.halts();
        let is_named = halts
            .iter()
            .any(|halt| halt.partition == Partition(0) && halt.reason.contains("it lost records"));
        assert!(is_named, "seed {seed}: {halts:?}, {:?}", replayed.world.exits());
    }
}
