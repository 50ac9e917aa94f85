//! The first Ctrl-C or SIGTERM drains; the second, or the end of the grace, ends the process at once: as safe as
//! `kill -9` (P4).

use crate::cli::exit::Exit;
use crate::cli::{Weight, say, say_as};
use crate::worker::Control;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;
use std::time::Duration;

/// Which signal asked for the drain; 0: none did.
#[derive(Debug, Clone, Default)]
pub(in crate::cli) struct Asked(Arc<AtomicI32>);

impl Asked {
    pub(in crate::cli) fn by(&self) -> Option<i32> {
        Some(self.0.load(Ordering::Relaxed)).filter(|&signal| signal != 0)
    }
}

/// Listens until the process ends.
pub(in crate::cli) fn listen(control: Arc<Control>) -> Result<Asked, Exit> {
    listen_with(control, None)
}

/// As [`listen`]; the drain has so long to end.
#[cfg(all(feature = "kafka", feature = "s3"))]
pub(in crate::cli) fn listen_within(control: Arc<Control>, grace: Duration) -> Result<Asked, Exit> {
    listen_with(control, Some(grace))
}

fn listen_with(control: Arc<Control>, grace: Option<Duration>) -> Result<Asked, Exit> {
    let asked = Asked::default();
    let ours = asked.clone();
    let mut signals = Signals::new([SIGINT, SIGTERM])
        .map_err(|error| Exit::failed(format_args!("cannot listen to signals: {error}")))?;
    thread::spawn(move || {
        for signal in signals.forever() {
            if ours.0.swap(signal, Ordering::Relaxed) != 0 {
                process::exit(i32::from(Exit::signal(signal).code));
            }
            say(format_args!("draining: finishing what was begun; once more to stop at once"));
            control.drain();
            if let Some(grace) = grace {
                thread::spawn(move || end_after(grace, signal));
            }
        }
    });
    Ok(asked)
}

/// A process that ended in time takes this thread with it.
fn end_after(grace: Duration, signal: i32) {
    thread::sleep(grace);
    let line =
        format_args!("the grace of {grace:?} is over: what is not finished is read again by the next owner");
    say_as(Weight::Warn, line);
    process::exit(i32::from(Exit::signal(signal).code));
}
