//! A server's process: started so that it cannot outlive us, stopped so that nothing of it is left.
//!
//! Each gets a process group of its own, so that Ctrl-C in a terminal reaches the test process and not its servers. It
//! dies with the test process all the same, however that ends: `setpriv` asks the kernel for SIGKILL at the death
//! of the parent and then becomes the server, so the process that we start is the server itself. (Asking for that
//! from here would need unsafe code between fork and exec.) For the kernel the parent is the *thread* that started
//! the process, and a test's thread ends with its test; so one thread that never ends starts them all.
//!
//! What stays open: if the test process dies in the few milliseconds before `setpriv` has asked, the server
//! lives on.

use rustix::process::{Pid, Signal, kill_process_group};
use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

const LOOK_AGAIN: Duration = Duration::from_millis(20);
const STANDS: Duration = Duration::from_secs(20);

/// A running server. Dropped, it is killed.
#[derive(Debug)]
pub(crate) struct Process {
    child: Child,
}

impl Process {
    /// Starts `program`; what it prints is added to the end of `log`.
    pub(crate) fn start<A: AsRef<OsStr>>(
        program: &Path,
        arguments: impl IntoIterator<Item = A>,
        log: &Path,
    ) -> Result<Process, String> {
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", "--"]).arg(program).args(arguments).process_group(0);
        let of_log = |error| format!("{} cannot be written: {error}", log.display());
        let log = File::options().create(true).append(true).open(log).map_err(of_log)?;
        let for_errors = log.try_clone().map_err(of_log)?;
        command.stdin(Stdio::null()).stdout(log).stderr(for_errors);
        let child = spawn(command).map_err(|error| match error.kind() {
            io::ErrorKind::NotFound => {
                "the tests with real servers need setpriv of util-linux 2.33 or newer \
                                        (for example: apt-get install util-linux)"
                    .to_owned()
            }
            _ => format!("{} cannot be started: {error}", program.display()),
        })?;
        Ok(Process { child })
    }

    pub(crate) fn is_on(&mut self) -> bool {
        self.child.try_wait().expect("a child of ours can be waited for").is_none()
    }

    pub(crate) fn if_on(&mut self) -> Option<&mut Process> {
        self.is_on().then_some(self)
    }

    /// It stays, but does nothing, like one whose machine hangs. The signal takes effect a moment after it is sent: when
    /// this returns, every thread stands.
    pub(crate) fn pause(&mut self) {
        self.signal(Signal::STOP);
        let stands = wait_until(STANDS, || !self.is_on() || stands(self.child.id()));
        assert!(stands, "process {} goes on after SIGSTOP", self.child.id());
    }

    pub(crate) fn resume(&mut self) {
        self.signal(Signal::CONT);
    }

    /// SIGKILL. When this returns its last thread is gone, and with it its ports and the locks on its data.
    pub(crate) fn kill(&mut self) {
        self.signal(Signal::KILL);
        self.child.wait().expect("a child of ours can be waited for");
    }

    /// SIGTERM, and SIGKILL if that did not help in time.
    pub(crate) fn stop(&mut self, patience: Duration) {
        let until = Instant::now() + patience;
        self.signal(Signal::TERM);
        // A paused one would not hear of it.
        self.signal(Signal::CONT);
        while self.is_on() {
            if Instant::now() > until {
                return self.kill();
            }
            thread::sleep(LOOK_AGAIN);
        }
    }

    /// To all of its group, unless it has ended: its number may be somebody else's by then.
    fn signal(&mut self, signal: Signal) {
        if self.is_on() {
            // It may end in just this moment; we have not waited for it, so the number is still its own.
            let _ = kill_process_group(Pid::from_child(&self.child), signal);
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Starts a command on the thread that lives as long as this process.
fn spawn(command: Command) -> io::Result<Child> {
    type Request = (Command, Sender<io::Result<Child>>);
    static KEEPER: OnceLock<Sender<Request>> = OnceLock::new();
    let keeper = KEEPER.get_or_init(|| {
        let (requests, incoming) = channel::<Request>();
        let keep = move || {
            for (mut command, answer) in incoming {
                answer.send(command.spawn()).expect("whoever asks waits for the answer");
            }
        };
        thread::Builder::new().name("keeper".into()).spawn(keep).expect("a thread can be started");
        requests
    });
    let (answer, answered) = channel();
    keeper.send((command, answer)).expect("the keeper never ends");
    answered.recv().expect("the keeper answers every request")
}

/// Whether all threads of a process are stopped: state `T`, behind the name's bracket (proc(5)).
fn stands(process: u32) -> bool {
    let Ok(threads) = fs::read_dir(format!("/proc/{process}/task")) else { return true };
    threads.flatten().all(|thread| {
        // One that ended meanwhile stands, too.
        let Ok(stat) = fs::read_to_string(thread.path().join("stat")) else { return true };
        stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with(['T', 'Z', 'X']))
    })
}

/// Waits until `is_so`, and says whether it came to be.
pub(crate) fn wait_until(patience: Duration, mut is_so: impl FnMut() -> bool) -> bool {
    let until = Instant::now() + patience;
    while !is_so() {
        if Instant::now() > until {
            return false;
        }
        thread::sleep(LOOK_AGAIN);
    }
    true
}
