//! Joins the embedded log, the local store and the worker: every role on a thread of its own.

mod block_on;
mod clock;
pub(super) mod feed;
mod signals;
mod threads;

pub(super) use block_on::block_on;
pub(super) use signals::listen;
#[cfg(all(feature = "kafka", feature = "s3"))]
pub(super) use signals::listen_within;
pub(super) use threads::{MakeContext, Running};

use super::exit::Exit;
use super::progress::Progress;
use crate::embedded::{self, EmbeddedLog, Layout, Options, ReadOnlyLog};
use crate::model::Role;
use crate::objects::{LocalObjects, probe};
use crate::port::{Failure, Log, Objects, Reader};
use crate::topology::Topology;
use crate::worker::{self, Context, Control, Outcome, Settings};
use clock::MachineClock;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Everything of one deployment in one directory, open for writing.
pub(super) struct River {
    pub(super) control: Arc<Control>,
    pub(super) log: EmbeddedLog,
    topology: Arc<Topology>,
    dir: PathBuf,
    settings: Settings,
}

impl River {
    /// Opens the log, or makes one. The directory is this process's until the river is dropped.
    pub(super) fn open(dir: &Path, topology: Topology, settings: Settings) -> Result<Self, Exit> {
        let command = std::env::args().skip(1).take(1).collect::<String>();
        let options = Options { command: format!("thalweg {command}"), ..Options::default() };
        let log = EmbeddedLog::open_with(dir, &layout(&topology), options).map_err(refused)?;
        let control = Arc::new(Control::default());
        Ok(River { control, log, topology: Arc::new(topology), dir: dir.to_path_buf(), settings })
    }

    pub(super) fn reader(&self) -> Box<dyn Reader> {
        self.log.reader()
    }

    pub(super) fn lake(&self) -> PathBuf {
        self.dir.join("lake")
    }

    pub(super) fn topology(&self) -> &Topology {
        &self.topology
    }

    pub(super) fn start(&self, roles: &[Role]) -> Result<Running, Exit> {
        let (topology, log, control) =
            (Arc::clone(&self.topology), self.log.clone(), Arc::clone(&self.control));
        let (lake, settings) = (self.lake(), self.settings.clone());
        let context = move |role| {
            // One of us cleans up behind killed processes; the others do not write objects.
            let objects = match role {
                Role::Lake => LocalObjects::open(&lake)?,
                Role::Route | Role::Aggregate => LocalObjects::open_read_only(&lake),
            };
            if role == Role::Lake {
                block_on(probe(&objects, &settings.prefix))?;
            }
            Ok(self::context(&topology, Rc::new(log.clone()), Rc::new(objects), &settings, &control))
        };
        let context: Arc<MakeContext> = Arc::new(context);
        start(roles, Arc::clone(&self.control), &context)
    }
}

/// All that a role gets, on this machine's clock.
pub(super) fn context(
    topology: &Arc<Topology>,
    log: Rc<dyn Log>,
    objects: Rc<dyn Objects>,
    settings: &Settings,
    control: &Arc<Control>,
) -> Context {
    Context {
        topology: Arc::clone(topology),
        log,
        objects,
        clock: Rc::new(MachineClock { control: Arc::clone(control) }),
        settings: settings.clone(),
        control: Arc::clone(control),
    }
}

/// Every role on a thread of its own.
pub(super) fn start(
    roles: &[Role],
    control: Arc<Control>,
    context: &Arc<MakeContext>,
) -> Result<Running, Exit> {
    threads::start(roles, control, context, drive)
}

fn drive(role: Role, context: Context) -> Result<Outcome, Failure> {
    match role {
        Role::Route => block_on(worker::route::run(context)),
        Role::Aggregate => block_on(worker::aggregate::run(context)),
        Role::Lake => block_on(worker::lake::run(context, Rc::new(crate::lake::Parquet))),
    }
}

/// Waits for the roles to end, with a plain line on standard error now and then.
pub(super) fn plain(river: &River, running: &mut Running, feeding: &mut feed::Feeding) -> Result<(), Exit> {
    let mut progress = Progress::new(river);
    while !running.wait(LOOK_EVERY) {
        feeding.check(running, false);
        progress.line_if_due()?;
    }
    feeding.check(running, false);
    progress.line()
}

/// What the topology asks of the log.
fn layout(topology: &Topology) -> Layout {
    let windows = topology.aggregates.iter().flat_map(|aggregate| &aggregate.windows);
    let keep = windows.map(|window| window.keep).chain(topology.histories.iter().map(|history| history.keep));
    let longest = u64::try_from(keep.max().unwrap_or(0)).unwrap_or(0);
    let histories = u16::try_from(topology.histories.len()).expect("a topology has few histories");
    Layout::new(&topology.deployment, topology.partitions, histories, Duration::from_micros(longest))
}

/// For reading verbs: another process may be writing.
pub(super) fn open_to_read(dir: &Path) -> Result<ReadOnlyLog, Exit> {
    ReadOnlyLog::open(dir).map_err(refused)
}

/// Why a directory cannot be used.
pub(super) fn refused(error: embedded::Error) -> Exit {
    use embedded::Error as E;
    match error {
        E::Locked { .. } => Exit::away(error),
        E::OtherDeployment { .. } | E::OtherPartitions { .. } | E::Newer { .. } | E::Damaged { .. } => {
            Exit::invalid(error)
        }
        error => Exit::failed(error),
    }
}
