//! Which partitions are paused, and whether the library knows.

use crate::model::Partition;
use std::collections::BTreeSet;

#[derive(Debug, Default)]
pub(super) struct Paused {
    paused: BTreeSet<Partition>,
    /// Those of which the library was not told yet, or would not hear it.
    untold: BTreeSet<Partition>,
}

impl Paused {
    pub(super) fn is(&self, partition: Partition) -> bool {
        self.paused.contains(&partition)
    }

    pub(super) fn pause(&mut self, partition: Partition) {
        if self.paused.insert(partition) {
            self.untold.insert(partition);
        }
    }

    pub(super) fn resume(&mut self, partition: Partition) {
        if self.paused.remove(&partition) {
            self.untold.insert(partition);
        }
    }

    /// It is not ours any more. Says whether it may be paused in the library, which does not forget that by itself.
    pub(super) fn forget(&mut self, partition: Partition) -> bool {
        self.untold.remove(&partition) | self.paused.remove(&partition)
    }

    /// Tells what was not told; of what fails the first failure comes back, and all of it is told again next time.
    pub(super) fn settle<E>(
        &mut self,
        mut tell: impl FnMut(Partition, bool) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut first = Ok(());
        let paused = &self.paused;
        self.untold.retain(|&partition| match tell(partition, paused.contains(&partition)) {
            Ok(()) => false,
            Err(error) => {
                if first.is_ok() {
                    first = Err(error);
                }
                true
            }
        });
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: Partition = Partition(1);
    const TWO: Partition = Partition(2);

    #[test]
    fn a_resume_that_failed_is_told_again_until_it_is_heard() {
        let mut paused = Paused::default();
        paused.pause(ONE);
        paused.pause(TWO);
        paused.settle(|_, _| Ok::<_, ()>(())).unwrap();
        paused.resume(ONE);

        assert_eq!(paused.settle(|_, _| Err("no")), Err("no"));
        let mut told = Vec::new();
        let mut note = |partition, is_paused| {
            told.push((partition, is_paused));
            Ok::<_, ()>(())
        };
        paused.settle(&mut note).unwrap();
        paused.settle(&mut note).unwrap();

        assert_eq!(told, [(ONE, false)]);
        assert!(paused.is(TWO) && !paused.is(ONE));
    }

    #[test]
    fn one_failure_keeps_nobody_else_from_being_told() {
        let mut paused = Paused::default();
        paused.pause(ONE);
        paused.pause(TWO);

        assert_eq!(
            paused.settle(|partition, _| if partition == ONE { Err("no") } else { Ok(()) }),
            Err("no")
        );

        let mut told = Vec::new();
        let note = |partition, _| {
            told.push(partition);
            Ok::<_, ()>(())
        };
        paused.settle(note).unwrap();
        assert_eq!(told, [ONE]);
    }

    #[test]
    fn a_partition_that_is_gone_is_forgotten() {
        let mut paused = Paused::default();
        paused.pause(ONE);

        assert!(paused.forget(ONE) && !paused.forget(ONE));

        assert_eq!(paused.settle(|_, _| Err("told of a partition that is not ours")), Ok(()));
    }
}
