//! What a process that runs by a configuration lets others see: health and metrics at the admin port, and the lines of
//! its log that tell how far it is.

mod gather;
mod machine;
mod tell;

pub(super) use tell::Telling;

use super::exit::Exit;
use super::river::block_on;
use crate::config::Config;
use crate::http::{self, Limits, Page, Pages};
use crate::kafka::KafkaLog;
use crate::model::{Partition, Role};
use crate::objects::{RemoteObjects, StoreLimits};
use crate::port::Log;
use crate::watch::{self, Board, Look};
use crate::worker::Control;
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, OnceLock};
use std::thread;
use std::time::{Duration, SystemTime};

/// How often brokers are asked where their partitions end.
const MEASURE_EVERY: Duration = Duration::from_secs(5);
/// Beyond what any call may take.
const MARGIN: Duration = Duration::from_secs(60);

/// Everything that is known about this process while it runs.
pub(super) struct Admin {
    pub(super) control: Arc<Control>,
    pub(super) board: Arc<Board>,
    /// Each role has a store of its own.
    stores: Mutex<Vec<RemoteObjects>>,
    /// Whose producers send for the roles.
    log: OnceLock<KafkaLog>,
    began: SystemTime,
    weak_settings: usize,
    /// A role that is quiet for longer hangs.
    quiet_max: Duration,
}

impl Admin {
    pub(super) fn new(config: &Config, roles: &[Role], control: &Arc<Control>) -> Arc<Admin> {
        Arc::new(Admin {
            control: Arc::clone(control),
            board: Arc::new(Board::new(roles)),
            stores: Mutex::default(),
            log: OnceLock::new(),
            began: SystemTime::now(),
            weak_settings: config.weaknesses().len(),
            quiet_max: quiet_max(config),
        })
    }

    /// Before any role starts: two processes with one address are found out here.
    pub(super) fn listen(self: &Arc<Self>, config: &Config) -> Result<(), Exit> {
        let pages = Arc::clone(self);
        let bound =
            http::start(config.admin.address, Limits::default(), pages).map_err(|error| match error {
                http::Error::InUse { .. } => Exit::away(format_args!("`admin.address`: {error}")),
                http::Error::Listen { .. } => Exit::invalid(format_args!("`admin.address`: {error}")),
                http::Error::Start(_) => Exit::failed(error),
            })?;
        tracing::info!(address = %bound, "admin port open");
        Ok(())
    }

    /// Keeps asking where partitions end, on a thread of its own, until the process ends. Brokers that are away are the
    /// roles' to mind.
    pub(super) fn measure(self: &Arc<Self>, log: &KafkaLog) -> Result<(), Exit> {
        // Asked for once in the life of a process.
        let _ = self.log.set(log.clone());
        let (ours, log) = (Arc::clone(self), log.clone());
        let keep_measuring = move || {
            let mut reader = log.reader();
            loop {
                if let Err(error) = block_on(watch::measure(&mut *reader, &ours.board)) {
                    tracing::debug!(%error, "ends of partitions not told");
                }
                thread::sleep(MEASURE_EVERY);
            }
        };
        let spawned = thread::Builder::new().name("measure".into()).spawn(keep_measuring);
        spawned.map_err(|error| Exit::failed(format_args!("cannot start a thread: {error}")))?;
        Ok(())
    }

    pub(super) fn add_store(&self, store: &RemoteObjects) {
        self.stores.lock().expect("no thread panics while it holds the stores").push(store.clone());
    }

    fn ready(&self, looks: &[Look]) -> Result<String, String> {
        let halts = self.control.halts();
        let halted: BTreeSet<(Role, Partition)> =
            halts.iter().map(|halt| (halt.role, halt.partition)).collect();
        watch::is_ready(looks, &halted, self.control.is_draining())
    }
}

impl Pages for Admin {
    fn get(&self, path: &str) -> Option<Page> {
        Some(match path {
            "/livez" => page(watch::is_alive(&self.board.look(), self.quiet_max)),
            "/readyz" => page(self.ready(&self.board.look())),
            "/metrics" => Page { is_fine: true, kind: http::METRICS, text: self.metrics() },
            _ => return None,
        })
    }
}

fn page(health: Result<String, String>) -> Page {
    let is_fine = health.is_ok();
    let (Ok(text) | Err(text)) = health;
    Page { is_fine, kind: http::TEXT, text }
}

/// The longest that a role may be in one call, or wait between two.
fn quiet_max(config: &Config) -> Duration {
    let timeouts = &config.kafka.timeouts;
    let store = StoreLimits::default();
    let longest = [
        timeouts.watchdog,
        // A start asks for both ends, and for a position.
        timeouts.request * 3,
        // An attempt may begin at the end of a call's time.
        store.call + store.request + store.connect,
        config.pace.backoff.1,
    ];
    longest.into_iter().max().unwrap_or_default() + MARGIN
}
