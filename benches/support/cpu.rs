//! CPU time, and what several repetitions of it say.
//!
//! User and system time of the whole process, so that the log's writer thread counts where it works for us. A
//! bench does one thing at a time. (`/proc/…/schedstat` moves only with the scheduler's tick: too coarse here.)

use rustix::time::{ClockId, clock_gettime};

/// Nanoseconds that this process has spent on a CPU.
pub(crate) fn now() -> u64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let part = |part: i64| u64::try_from(part).unwrap_or_default();
    part(time.tv_sec) * 1_000_000_000 + part(time.tv_nsec)
}

/// Runs `what` and adds its time to `to`.
pub(crate) fn add<T>(to: &mut u64, what: impl FnOnce() -> T) -> T {
    let began = now();
    let made = what();
    *to += now() - began;
    made
}

/// Smallest, middle and largest of some repetitions.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Spread {
    pub(crate) min: f64,
    pub(crate) median: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// At least one figure.
    pub(crate) fn of(figures: impl IntoIterator<Item = f64>) -> Spread {
        let mut figures: Vec<f64> = figures.into_iter().collect();
        figures.sort_by(f64::total_cmp);
        Spread { min: figures[0], median: figures[figures.len() / 2], max: figures[figures.len() - 1] }
    }
}

/// A `VmHWM` or `VmRSS` line of this process, in MiB; `None` where the system does not tell.
pub(crate) fn memory(name: &str) -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(name))?;
    let kib: u64 = line.trim_start_matches(':').trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib >> 10)
}

/// A number from the environment, or what is usual.
pub(crate) fn setting(name: &str, usual: u64) -> u64 {
    let set = std::env::var(name).ok();
    set.map_or(usual, |text| {
        text.replace('_', "").parse().unwrap_or_else(|_| panic!("{name}={text} is no number"))
    })
}
