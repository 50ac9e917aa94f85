//! Appends input to the raw topic while the roles run, and then sets the goal of `--until-idle`.

use super::{River, Running, refused};
use crate::cli::exit::Exit;
use crate::cli::files;
use crate::cli::progress::grouped;
use crate::cli::say;
use crate::embedded::{self, EmbeddedLog, InputReport};
use crate::worker::Control;
use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, TryRecvError};
use std::thread;

/// Lines on their way to the raw topic.
pub(in crate::cli) enum Input {
    None,
    File { path: PathBuf, again: bool },
    Stream(Box<dyn BufRead + Send>),
}

impl Input {
    /// `-` is standard input. A file that cannot be opened is named before anything starts.
    pub(in crate::cli) fn open(path: Option<&Path>, again: bool) -> Result<Self, Exit> {
        match path {
            None => Ok(Input::None),
            Some(path) if path == Path::new("-") => Ok(Input::Stream(Box::new(BufReader::new(io::stdin())))),
            Some(path) => {
                File::open(path).map_err(|error| files::cannot_read(path, error))?;
                Ok(Input::File { path: path.to_path_buf(), again })
            }
        }
    }
}

/// The thread that appends.
pub(in crate::cli) struct Feeding(Receiver<Result<InputReport, embedded::Error>>);

impl Feeding {
    /// Looks whether the input ended; if it failed, the roles are stopped.
    pub(in crate::cli) fn check(&mut self, running: &mut Running, is_quiet: bool) {
        match self.0.try_recv() {
            Ok(Ok(report)) if !is_quiet => tell(report),
            Ok(Err(error)) => running.stop(refused(error)),
            Ok(Ok(_)) | Err(TryRecvError::Empty | TryRecvError::Disconnected) => {}
        }
    }
}

/// With `until_idle` the goal is everything that stands in the log once the input is acknowledged.
pub(in crate::cli) fn start(river: &River, input: Input, until_idle: bool) -> Feeding {
    let (log, control) = (river.log.clone(), Arc::clone(&river.control));
    let (to_us, ended) = mpsc::channel();
    // Not waited for: a read of standard input may never end, and what was not acknowledged is not there.
    thread::spawn(move || {
        let report = append(&log, &control, input);
        if until_idle && report.as_ref().is_ok_and(|report| report.is_finished) {
            control.set_goal(log.raw_ends());
        }
        let _ = to_us.send(report);
    });
    Feeding(ended)
}

fn append(log: &EmbeddedLog, control: &Control, input: Input) -> Result<InputReport, embedded::Error> {
    let mut go_on =
        |_| if control.is_draining() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) };
    match input {
        Input::None => Ok(InputReport { is_finished: true, ..InputReport::default() }),
        Input::File { path, again } => log.append_input(embedded::Input::File(&path), again, &mut go_on),
        Input::Stream(mut lines) => log.append_input(embedded::Input::Stream(&mut *lines), false, &mut go_on),
    }
}

fn tell(report: InputReport) {
    let InputReport { lines, bytes_before, truncated, .. } = report;
    if bytes_before > 0 {
        say(format_args!("{} bytes of the input were appended before", grouped(bytes_before)));
    }
    if lines > 0 {
        say(format_args!("{} lines of input appended", grouped(lines)));
    }
    if truncated > 0 {
        say(format_args!(
            "{} lines were longer than an event may be: each becomes a dead letter",
            grouped(truncated)
        ));
    }
}
