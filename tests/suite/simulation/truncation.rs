//! A log that lost what was read from it already (F40): whoever stands behind its end must say so, and stop.

use super::case::Case;
use super::history::{self, History};
use thalweg::model::{NextOffset, Partition, Topic, TopicPartition};
use thalweg::sim::Faults;

/// A history that went well, in which nobody does anything any more.
fn finished(seed: u64) -> History {
    let (history, ended) = history::run(&Case::new(seed), &|faults| *faults = Faults::calm());
    assert_eq!(ended, Ok(()));
    history
}

#[test]
fn a_target_that_stands_behind_the_end_of_a_truncated_log_halts_by_name() {
    for seed in 0..8 {
        let mut history = finished(seed);
        let at = TopicPartition { topic: Topic::Repartition, partition: Partition(0) };

        assert!(history.world.truncate(at, NextOffset(0)) > 0);
        history.world.crash(0);
        let is_named =
            |history: &History| history.halted().is_some_and(|halted| halted.contains("lost records"));

        assert!(history.settle(is_named), "seed {seed}: {:?}, {:?}", history.halted(), history.world.exits());
    }
}
