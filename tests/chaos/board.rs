//! What a person sees while it runs: each thing that breaks, and how far the books are.

use crate::books::Pulse;
use std::io::{IsTerminal, Write, stderr};
use std::time::{Duration, Instant};

const ON_TERMINAL: Duration = Duration::from_millis(500);
const ELSEWHERE: Duration = Duration::from_secs(10);

pub(crate) struct Board<'a> {
    began: Instant,
    looked: Instant,
    pulse: Pulse<'a>,
    is_watched: bool,
}

impl<'a> Board<'a> {
    pub(crate) fn new(pulse: Pulse<'a>) -> Self {
        Board { began: Instant::now(), looked: Instant::now(), pulse, is_watched: stderr().is_terminal() }
    }

    fn line(&self, text: &str, end: &str) {
        let clear = if self.is_watched { "\r\x1b[2K" } else { "" };
        let mut stderr = stderr().lock();
        let _ = write!(stderr, "{clear}{:7.1} s  {text}{end}", self.began.elapsed().as_secs_f64());
        let _ = stderr.flush();
    }

    pub(crate) fn say(&self, what: &str) {
        self.line(what, "\n");
    }

    /// Now and then: how far everybody is.
    pub(crate) fn look(&mut self, broken: &str) {
        let every = if self.is_watched { ON_TERMINAL } else { ELSEWHERE };
        if self.looked.elapsed() < every {
            return;
        }
        self.looked = Instant::now();
        let broken = if broken.is_empty() { "nothing".to_owned() } else { broken.to_owned() };
        let text = format!("{} · broken: {broken}", self.pulse.take());
        self.line(&text, if self.is_watched { "" } else { "\n" });
    }
}
