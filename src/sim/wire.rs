//! What every handle holds: the world's state, and whose handle it is. Waiting happens here.

use super::state::State;
use crate::model::LogTime;
use crate::port::{Clock, Failure, Reaction};
use std::cell::{RefCell, RefMut};
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::rc::Rc;
use std::task::Poll;
use std::time::Duration;

#[derive(Debug, Clone)]
pub(super) struct Wire {
    state: Rc<RefCell<State>>,
    pub(super) task: usize,
}

impl Wire {
    pub(super) fn new(state: Rc<RefCell<State>>, task: usize) -> Self {
        Wire { state, task }
    }

    /// Never held over an `await`.
    pub(super) fn state(&self) -> RefMut<'_, State> {
        self.state.borrow_mut()
    }

    /// One way through the network: others may act, and this worker may die here.
    pub(super) async fn hop(&self) {
        let until = {
            let mut state = self.state();
            let latency = state.latency();
            state.now + latency
        };
        self.sleep_until(until).await;
    }

    /// The way there of a call that may fail in passing, without effect.
    pub(super) async fn call(&self, what: &str) -> Result<(), Failure> {
        self.hop().await;
        let mut state = self.state();
        let rate = state.faults.transient;
        match state.strikes(rate) {
            true => Err(failure(Reaction::Retry, format!("{what} failed in passing"))),
            false => Ok(()),
        }
    }

    pub(super) async fn sleep_until(&self, until: i64) {
        poll_fn(|_| {
            let mut state = self.state();
            if state.now >= until {
                return Poll::Ready(());
            }
            let task = &mut state.tasks[self.task];
            task.wake = task.wake.min(until);
            Poll::Pending
        })
        .await;
    }

    /// Until something of `interest` changes after `seen` changes, or the time has come.
    pub(super) async fn changed(&self, interest: u8, seen: u64, until: i64) {
        poll_fn(|_| {
            let mut state = self.state();
            if state.now >= until || state.change_count(interest) != seen {
                return Poll::Ready(());
            }
            let task = &mut state.tasks[self.task];
            task.wake = task.wake.min(until);
            task.interest |= interest;
            Poll::Pending
        })
        .await;
    }
}

pub(super) fn failure(reaction: Reaction, what: impl Into<String>) -> Failure {
    Failure::new(reaction, what.into())
}

pub(super) fn micros(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4)
}

/// A worker's clock, perhaps a wrong one.
#[derive(Debug)]
pub(super) struct SimClock(pub(super) Wire);

impl Clock for SimClock {
    fn now(&self) -> LogTime {
        let state = self.0.state();
        LogTime(state.now + state.tasks[self.0.task].skew)
    }

    fn sleep(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + '_>> {
        // Even no time at all gives way to the others.
        let until = self.0.state().now.saturating_add(micros(time).max(1));
        Box::pin(async move { self.0.sleep_until(until).await })
    }
}
