//! The first Ctrl-C or SIGTERM drains, the second ends the process at once: as safe as `kill -9` (P4).

use crate::cli::exit::Exit;
use crate::cli::say;
use crate::worker::Control;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::process;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;

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
        }
    });
    Ok(asked)
}
