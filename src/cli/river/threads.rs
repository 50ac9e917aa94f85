//! Every role on an OS thread of its own, with its own ports.

use crate::cli::exit::Exit;
use crate::cli::{Weight, say_as};
use crate::model::Role;
use crate::port::{Failure, Reaction};
use crate::worker::{Context, Control, Halt, Outcome};
use std::panic;
use std::process;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// Makes a role's ports. Called on the role's thread, because ports do not travel.
pub(in crate::cli) type MakeContext = dyn Fn(Role) -> Result<Context, Failure> + Send + Sync;

/// Drives a role to its end. Called on the role's thread.
pub(super) type Drive = fn(Role, Context) -> Result<Outcome, Failure>;

/// Roles that run, and how those ended that do not any more.
pub(in crate::cli) struct Running {
    control: Arc<Control>,
    news: Receiver<(Role, Result<Outcome, Failure>)>,
    left: usize,
    worst: Option<Exit>,
    was_idle: bool,
    /// How long some partition has stood still, as far as waits tell.
    halted_for: Duration,
    /// What stood still when that took too long: a role that drains lifts its halts.
    stuck: Vec<Halt>,
}

/// A halt may be forgiven by a record further on in the log: so long it is looked for before an `--until-idle` run, which
/// could never become idle, ends.
const HALT_PATIENCE: Duration = Duration::from_secs(5);

pub(super) fn start(
    roles: &[Role],
    control: Arc<Control>,
    context: &Arc<MakeContext>,
    drive: Drive,
) -> Result<Running, Exit> {
    exit_on_panic();
    let (to_us, news) = mpsc::channel();
    for &role in roles {
        let (context, to_us) = (Arc::clone(context), to_us.clone());
        let body = move || {
            let ended = context(role).and_then(|context| drive(role, context));
            // Nobody listens only while the process ends.
            let _ = to_us.send((role, ended));
        };
        thread::Builder::new().name(name(role).into()).spawn(body).map_err(|error| {
            Exit::failed(format_args!("cannot start a thread for {}: {error}", name(role)))
        })?;
    }
    Ok(Running {
        control,
        news,
        left: roles.len(),
        worst: None,
        was_idle: true,
        halted_for: Duration::ZERO,
        stuck: Vec::new(),
    })
}

/// A role that panicked is wrong about something: the whole process ends, as safe as `kill -9` (P4).
fn exit_on_panic() {
    let before = panic::take_hook();
    panic::set_hook(Box::new(move |info| {
        before(info);
        process::exit(i32::from(Exit::failed("").code));
    }));
}

impl Running {
    /// Waits at most `time` for all roles to end. The first that fails makes the others drain.
    pub(in crate::cli) fn wait(&mut self, time: Duration) -> bool {
        while self.left > 0 {
            match self.news.recv_timeout(time) {
                Ok((role, ended)) => self.note(role, ended),
                Err(RecvTimeoutError::Timeout) => {
                    self.mind_halts(time);
                    return false;
                }
                Err(RecvTimeoutError::Disconnected) => unreachable!("a role's thread tells how it ended"),
            }
        }
        true
    }

    fn mind_halts(&mut self, waited: Duration) {
        let is_stuck = self.control.goal().is_some() && !self.control.halts().is_empty();
        self.halted_for = if is_stuck { self.halted_for + waited } else { Duration::ZERO };
        if self.halted_for >= HALT_PATIENCE && !self.control.is_draining() {
            self.stuck = self.control.halts();
            self.control.drain();
        }
    }

    fn note(&mut self, role: Role, ended: Result<Outcome, Failure>) {
        self.left -= 1;
        match ended {
            Ok(outcome) => self.was_idle &= outcome == Outcome::Idle,
            Err(failure) => {
                self.fail(format!("{} stopped: {failure}", name(role)), failure.reaction);
            }
        }
    }

    fn fail(&mut self, message: String, reaction: Reaction) {
        say_as(Weight::Error, format_args!("{message}"));
        self.control.drain();
        self.was_idle = false;
        if self.worst.is_none() {
            // The sentence was said already.
            self.worst = Some(match reaction {
                Reaction::Retry => Exit::away(""),
                Reaction::Replay | Reaction::Rejoin | Reaction::Halt => Exit::failed(""),
            });
        }
    }

    /// Drains the roles because of something that is none of theirs.
    pub(in crate::cli) fn stop(&mut self, exit: Exit) {
        self.control.drain();
        self.was_idle = false;
        self.worst.get_or_insert(exit);
    }

    /// Whether every role did everything below its goal; the first failure; the halts.
    pub(in crate::cli) fn end(self) -> Result<bool, Exit> {
        if let Some(exit) = self.worst {
            return Err(exit);
        }
        let mut halts = self.control.halts();
        halts.extend(self.stuck.into_iter().filter(|stuck| !halts.contains(stuck)).collect::<Vec<_>>());
        for halt in &halts {
            let (role, partition) = (name(halt.role), halt.partition);
            let line = format_args!("{role} partition {partition} is halted: {}", halt.reason);
            say_as(Weight::Error, line);
        }
        match halts.len() {
            0 => Ok(self.was_idle),
            count => Err(Exit::failed(format_args!("{count} halted; a person has to act first"))),
        }
    }
}

fn name(role: Role) -> &'static str {
    match role {
        Role::Route => "route",
        Role::Aggregate => "aggregate",
        Role::Lake => "lake",
    }
}
