//! What the roles' threads and the writer see of each other: the ends, who is a member, whether the log lives.

use super::error::Error;
use crate::model::{Role, TopicPartition};
use crate::port::Ends;
use std::collections::BTreeMap;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::Duration;

#[derive(Default)]
pub(super) struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
pub(super) struct State {
    pub(super) ends: BTreeMap<TopicPartition, Ends>,
    /// Of the newest member of each group; members of older ones are gone.
    pub(super) generations: BTreeMap<Role, i32>,
    /// The failure that ended the writer.
    pub(super) stopped: Option<Arc<Error>>,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread panics while it holds the state")
    }

    pub(super) fn look<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock())
    }

    /// Changes the state and wakes everybody who waits.
    pub(super) fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.changed.notify_all();
    }

    /// Waits until `look` finds something, at most `wait`.
    pub(super) fn wait_for<T>(&self, wait: Duration, mut look: impl FnMut(&State) -> Option<T>) -> Option<T> {
        let mut found = None;
        let nothing_yet = |state: &mut State| {
            found = look(state);
            found.is_none()
        };
        let waited = self.changed.wait_timeout_while(self.lock(), wait, nothing_yet);
        drop(waited.expect("no thread panics while it holds the state"));
        found
    }

    /// Nothing goes on once the writer has failed: what a person sees first is its reason.
    pub(super) fn check(&self) -> Result<(), Error> {
        self.look(|state| state.stopped.clone()).map_or(Ok(()), |first| Err(Error::Stopped(first)))
    }
}
