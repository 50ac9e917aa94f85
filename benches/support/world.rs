//! The engine's world for a bench: topologies, logs in directories of their own, and a clock that the bench moves.

use super::events::{Events, FROM};
use anyhow::Context as _;
use std::future::Future;
use std::ops::ControlFlow;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use thalweg::embedded::{EmbeddedLog, Input, Layout, Options};
use thalweg::model::LogTime;
use thalweg::topology::{Topology, check};

const MARKETPLACE: &str = include_str!("../../topologies/marketplace/topology.yaml");
const BY_TENANT: &str = "partition: [category, tenant_id, year, month, day, hour]";

/// Marketplace with one file per chunk and category.
pub(crate) fn by_category() -> anyhow::Result<Arc<Topology>> {
    anyhow::ensure!(
        MARKETPLACE.contains(BY_TENANT),
        "the topology's lake is laid out as the benches know it"
    );
    checked(&MARKETPLACE.replace(BY_TENANT, "partition: [category]"))
}

/// Marketplace as it is: a file per category, tenant and hour.
pub(crate) fn by_tenant() -> anyhow::Result<Arc<Topology>> {
    checked(MARKETPLACE)
}

fn checked(text: &str) -> anyhow::Result<Arc<Topology>> {
    let checked = check(text);
    checked.map(Arc::new).map_err(|problems| anyhow::anyhow!("the topology has problems: {problems:?}"))
}

/// What the log stamps records with. Follows event time, so that nothing is late or of the future.
#[derive(Clone)]
pub(crate) struct LogClock(Arc<AtomicI64>);

impl LogClock {
    pub(crate) fn new() -> LogClock {
        LogClock(Arc::new(AtomicI64::new(FROM)))
    }

    pub(crate) fn set(&self, time: i64) {
        self.0.store(time, Ordering::Relaxed);
    }

    pub(crate) fn pass(&self, time: Duration) {
        self.0.fetch_add(time.as_micros() as i64, Ordering::Relaxed);
    }
}

pub(crate) fn open(dir: &Path, topology: &Topology, clock: &LogClock) -> anyhow::Result<EmbeddedLog> {
    let layout = Layout::new(&topology.deployment, topology.partitions, 1, Duration::ZERO);
    let time = clock.clone();
    let clock = Arc::new(move || LogTime(time.0.load(Ordering::Relaxed)));
    EmbeddedLog::open_with(dir, &layout, Options { clock, ..Options::default() }).context("the log opens")
}

/// Events as lines, by the demo's rule: line *k* goes to raw partition *k* mod 2.
pub(crate) fn lines(events: &mut Events, count: u64) -> Vec<u8> {
    let mut lines = Vec::new();
    (0..count).for_each(|_| events.write(&mut lines));
    lines
}

pub(crate) fn append(log: &EmbeddedLog, lines: &[u8]) -> anyhow::Result<()> {
    let mut stream = lines;
    let appended = log.append_input(Input::Stream(&mut stream), false, &mut |_| ControlFlow::Continue(()));
    appended.map(drop).context("lines are appended")
}

/// The embedded ports answer at once.
pub(crate) fn now<T, E>(future: impl Future<Output = Result<T, E>>) -> anyhow::Result<T>
where
    E: std::error::Error + Send + Sync + 'static,
{
    match pin!(future).as_mut().poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(answer) => Ok(answer?),
        Poll::Pending => anyhow::bail!("the embedded log's ports have nothing to wait for"),
    }
}
