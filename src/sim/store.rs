//! The object store: create-if-absent, with answers that get lost and effects that come late.

use super::state::{Event, SECOND, State};
use super::wire::{Wire, failure};
use crate::port::{Created, Objects, Pending, Reaction};
use std::collections::BTreeMap;

/// A create that took effect.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stored {
    pub key: String,
    /// Simulated microseconds.
    pub time: i64,
    /// `None`: nobody heard of it, it came late.
    pub worker: Option<u32>,
}

#[derive(Debug, Default)]
pub(super) struct Store {
    pub(super) objects: BTreeMap<String, Vec<u8>>,
    /// All creates that took effect, in order.
    pub(super) history: Vec<Stored>,
}

impl State {
    pub(super) fn create_object(&mut self, key: String, body: Vec<u8>, worker: Option<u32>) -> Created {
        if self.store.objects.contains_key(&key) && !self.faults.store_overwrites {
            return Created::Before;
        }
        self.trace(12, self.store.history.len() as u64, body.len() as u64);
        self.store.history.push(Stored { key: key.clone(), time: self.now, worker });
        if let Some(before) = self.store.objects.insert(key.clone(), body)
            && before != self.store.objects[&key]
        {
            self.violation(format!("I6: `{key}` has changed"));
        }
        Created::Now
    }
}

#[derive(Debug)]
pub(super) struct SimObjects(pub(super) Wire);

impl SimObjects {
    /// The worker stands still at the worst of all moments, and mostly for so long that it was replaced when it goes on.
    async fn stall(&self) {
        let until = {
            let mut state = self.0.state();
            let rate = state.faults.create_stalled;
            if !state.strikes(rate) {
                return;
            }
            let (now, session) = (state.now, state.session);
            let until = now + session / 2 + state.chance.below(2 * session as u64) as i64;
            state.stop(self.0.task, until);
            until
        };
        self.0.sleep_until(until).await;
    }
}

impl Objects for SimObjects {
    fn create<'a>(&'a self, key: &'a str, body: Vec<u8>) -> Pending<'a, Created> {
        Box::pin(async move {
            self.stall().await;
            self.0.hop().await;
            let answer = {
                let mut state = self.0.state();
                let worker = Some(state.tasks[self.0.task].worker);
                let (refused, unknown) = (state.faults.create_refused, state.faults.create_unknown);
                if state.strikes(refused) {
                    return Err(failure(Reaction::Retry, format!("create of `{key}` met another")));
                }
                let is_unknown = state.strikes(unknown);
                let fate = if is_unknown { state.chance.below(3) } else { 0 };
                let answer = match fate {
                    0 => state.create_object(key.to_owned(), body, worker),
                    1 => {
                        let late = Event::LateCreate { key: key.to_owned(), body };
                        state.schedule_late(60 * SECOND, late);
                        Created::Unknown
                    }
                    _ => Created::Unknown,
                };
                if is_unknown { Created::Unknown } else { answer }
            };
            self.0.hop().await;
            Ok(answer)
        })
    }

    fn read<'a>(&'a self, key: &'a str) -> Pending<'a, Option<Vec<u8>>> {
        self.read_tail(key, usize::MAX)
    }

    fn read_tail<'a>(&'a self, key: &'a str, len: usize) -> Pending<'a, Option<Vec<u8>>> {
        Box::pin(async move {
            self.0.call("a read of an object").await?;
            let found = {
                let state = self.0.state();
                let body = state.store.objects.get(key);
                body.map(|body| body[body.len().saturating_sub(len)..].to_vec())
            };
            self.0.hop().await;
            Ok(found)
        })
    }

    fn list<'a>(&'a self, prefix: &'a str) -> Pending<'a, Vec<String>> {
        Box::pin(async move {
            self.0.call("a listing").await?;
            let state = self.0.state();
            let from = state.store.objects.range(prefix.to_owned()..);
            Ok(from.map(|(key, _)| key).take_while(|key| key.starts_with(prefix)).cloned().collect())
        })
    }
}
