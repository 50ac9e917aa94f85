//! Calls that the client library may never return from.

use super::said::is_heard;
use std::process;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::Duration;

/// Exit code of a process that gave up on a broker: start it again.
const AWAY: i32 = 75;

/// Does `work`, and ends the process if it is not done in time. That is safe (P4), and the only way out: a call that
/// is given up half way leaves a transaction of which nobody here knows how it ended.
pub(super) fn guard<T>(doing: &'static str, limit: Duration, work: impl FnOnce() -> T) -> T {
    let (done, waits) = mpsc::channel::<()>();
    let watch = move || {
        if waits.recv_timeout(limit) == Err(RecvTimeoutError::Timeout) {
            say(doing, limit);
            process::exit(AWAY);
        }
    };
    let watching = thread::Builder::new().name("kafka-watchdog".into()).spawn(watch);
    let result = work();
    drop(done);
    if let Ok(watching) = watching {
        // It ends at once, because the channel is closed.
        let _ = watching.join();
    }
    result
}

#[expect(clippy::print_stderr, reason = "the last words of the process, where it keeps no log")]
fn say(doing: &str, limit: Duration) {
    if is_heard() {
        let limit_s = limit.as_secs();
        return tracing::error!(
            call = doing,
            limit_s,
            "watchdog ended the process: a call did not return, and the next one reads what was decided"
        );
    }
    eprintln!(
        "thalweg: {doing} did not end within {limit:?}; the process ends, and the next one reads what was decided"
    );
}
