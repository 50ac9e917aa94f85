//! What a process has cost once it has ended: its own CPU time and its largest size, as the kernel counted them.
#![expect(unsafe_code, reason = "waiting for a process together with what it used is a call of C")]

use std::fs::{self, File};
use std::mem::MaybeUninit;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

/// Seconds, of all threads of one process from its start to its end.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Used {
    pub(crate) user: f64,
    pub(crate) system: f64,
    /// On the clock.
    pub(crate) wall: f64,
    /// At most, in MiB.
    pub(crate) memory: f64,
}

impl Used {
    pub(crate) fn cpu(self) -> f64 {
        self.user + self.system
    }
}

/// Runs it to its end; what it prints goes to `log`, and is the error if it does not end well.
pub(crate) fn run(command: &mut Command, log: &Path) -> anyhow::Result<Used> {
    let file = File::create(log)?;
    let began = Instant::now();
    command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
    let child = command.spawn()?;
    let (status, used) = wait(libc::pid_t::try_from(child.id())?)?;
    let said = || fs::read_to_string(log).unwrap_or_default();
    anyhow::ensure!(status.success(), "{command:?}: {status}\n{}", said());
    Ok(Used { wall: began.elapsed().as_secs_f64(), ..used })
}

/// Takes the place of `Child::wait`, which does not say what the process used.
fn wait(process: libc::pid_t) -> anyhow::Result<(ExitStatus, Used)> {
    let mut status = 0;
    let mut used = MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: both are ours, and filled before the call returns. Zeros are a valid answer, too.
    let (waited, used) = unsafe {
        let waited = libc::wait4(process, &raw mut status, 0, used.as_mut_ptr());
        (waited, used.assume_init())
    };
    anyhow::ensure!(
        waited == process,
        "process {process} cannot be waited for: {}",
        std::io::Error::last_os_error()
    );
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    // Linux counts the size in KiB.
    let memory = used.ru_maxrss as f64 / 1024.0;
    let used =
        Used { user: seconds(used.ru_utime), system: seconds(used.ru_stime), memory, ..Used::default() };
    Ok((ExitStatus::from_raw(status), used))
}
