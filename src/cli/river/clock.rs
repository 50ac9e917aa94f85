//! This machine's clock, for pacing only.

use crate::model::LogTime;
use crate::port;
use crate::worker::Control;
use std::future::{Future, ready};
use std::pin::Pin;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

/// One role owns its thread, so a sleep is a sleep. It ends early when the role is asked to drain.
pub(in crate::cli) struct MachineClock {
    pub(in crate::cli) control: Arc<Control>,
}

impl port::Clock for MachineClock {
    fn now(&self) -> LogTime {
        let now = jiff::Timestamp::now().as_microsecond();
        #[cfg(debug_assertions)]
        let now = now + crate::cli::wrong_clock::error_micros();
        LogTime(now)
    }

    fn sleep(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + '_>> {
        const SLICE: Duration = Duration::from_millis(50);
        let end = Instant::now() + time;
        while !self.control.is_draining() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            thread::sleep(left.min(SLICE));
        }
        Box::pin(ready(()))
    }
}
