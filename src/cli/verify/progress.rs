//! How far a proof is: a bar on a terminal, and a plain line now and then elsewhere.

use crate::cli::progress::grouped;
use crate::cli::say;
use crate::verify::Part;
use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

const SHOW_EVERY: Duration = Duration::from_millis(100);
const SAY_EVERY: Duration = Duration::from_secs(5);
const WIDTH: u64 = 30;

pub(super) struct Progress {
    step: Option<Part>,
    is_watched: bool,
    said: Instant,
}

impl Progress {
    pub(super) fn new(step: Option<Part>) -> Self {
        Progress { step, is_watched: io::stderr().is_terminal(), said: Instant::now() }
    }

    pub(super) fn tell(&mut self, done: u64, of: u64) {
        let every = if self.is_watched { SHOW_EVERY } else { SAY_EVERY };
        let is_last = done >= of;
        if self.said.elapsed() < every && !(is_last && self.is_watched) {
            return;
        }
        self.said = Instant::now();
        if !self.is_watched {
            return say(format_args!("verify: {}", text(self.step, done, of)));
        }
        let end = if is_last { "\r\x1b[2K" } else { "" };
        let _ = write!(io::stderr().lock(), "\r\x1b[2K{} {}{end}", bar(done, of), text(self.step, done, of));
    }
}

fn text(step: Option<Part>, done: u64, of: u64) -> String {
    let step = step.map_or(String::new(), |step| format!("step {} of {}, ", step.number + 1, step.of));
    format!("{step}file {} of {}", grouped(done), grouped(of))
}

fn bar(done: u64, of: u64) -> String {
    let full = (done.min(of) * WIDTH).checked_div(of).unwrap_or(WIDTH);
    format!("[{}{}]", "#".repeat(full as usize), ".".repeat((WIDTH - full) as usize))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bar_is_empty_at_the_beginning_and_full_at_the_end() {
        assert_eq!(bar(0, 3), format!("[{}]", ".".repeat(30)));
        assert_eq!(bar(1, 3), format!("[{}{}]", "#".repeat(10), ".".repeat(20)));
        assert_eq!(bar(3, 3), format!("[{}]", "#".repeat(30)));
        assert_eq!(bar(0, 0), bar(3, 3));
        assert_eq!(text(Some(Part { number: 1, of: 8 }), 1_000, 2_000), "step 2 of 8, file 1,000 of 2,000");
    }
}
