//! The topics that belong together have one partition for each target: another count would give keys other targets.

use super::Member;
use crate::model::Topic;
use crate::port::{Failure, Reaction};

impl Member<'_> {
    pub(super) async fn check_partition_counts(&mut self) -> Result<(), Failure> {
        let expected = self.context.topology.partitions;
        let topics = [
            (Topic::Repartition, "repartition"),
            (Topic::State, "state"),
            (Topic::Metrics, "metrics"),
            (Topic::SetAside, "set-aside"),
        ];
        for (topic, name) in topics {
            let found = self.reader.facts(topic).await?.partitions;
            if found != expected {
                let text = format!("the {name} topic has {found} partitions, the topology says {expected}");
                return Err(Failure::new(Reaction::Halt, text));
            }
        }
        Ok(())
    }
}
