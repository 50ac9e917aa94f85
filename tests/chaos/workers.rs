//! The processes that are tormented, and the supervisor that starts them again.

use crate::deployment::Deployment;
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeMap;
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

/// At most so many at once, and at least [`FEWEST`].
pub(crate) const MOST: usize = 4;
pub(crate) const FEWEST: usize = 2;
const GRACE: Duration = Duration::from_secs(60);

enum Worker {
    Runs(Child),
    /// Killed; its supervisor has not noticed yet.
    Dead,
    /// Nobody wants it to run.
    Away,
}

pub(crate) struct Workers<'a> {
    deployment: &'a Deployment,
    all: Vec<Worker>,
    /// How those ended that nobody had killed or asked to end, and how often.
    pub(crate) ends: BTreeMap<String, usize>,
}

impl<'a> Workers<'a> {
    pub(crate) fn start(deployment: &'a Deployment) -> Self {
        let all = (0..MOST).map(|_| Worker::Away).collect();
        let mut workers = Workers { deployment, all, ends: BTreeMap::new() };
        (0..FEWEST).for_each(|ordinal| workers.launch(ordinal));
        workers
    }

    fn launch(&mut self, ordinal: usize) {
        let log = self.deployment.folder.path().join(format!("worker-{ordinal}.log"));
        let log = File::options().create(true).append(true).open(log).expect("a log can be written");
        let mut command = self.deployment.command("run");
        command.env("THALWEG__WORKER__ORDINAL", ordinal.to_string()).stdout(Stdio::null()).stderr(log);
        self.all[ordinal] = Worker::Runs(command.spawn().expect("a worker starts"));
    }

    pub(crate) fn running(&self) -> Vec<usize> {
        let runs = |ordinal: &usize| matches!(self.all[*ordinal], Worker::Runs(_));
        (0..self.all.len()).filter(runs).collect()
    }

    pub(crate) fn kill(&mut self, ordinal: usize) {
        if let Worker::Runs(mut child) = std::mem::replace(&mut self.all[ordinal], Worker::Dead) {
            child.kill().expect("a child can be killed");
            child.wait().expect("a child can be waited for");
        }
    }

    pub(crate) fn revive(&mut self, ordinal: usize) {
        if matches!(self.all[ordinal], Worker::Dead) {
            self.launch(ordinal);
        }
    }

    pub(crate) fn signal(&self, ordinal: usize, signal: Signal) {
        if let Worker::Runs(child) = &self.all[ordinal] {
            kill_process(Pid::from_child(child), signal).expect("a child can be told");
        }
    }

    /// `None`: there are enough.
    pub(crate) fn join(&mut self) -> Option<usize> {
        let free = self.all.iter().position(|worker| matches!(worker, Worker::Away))?;
        self.launch(free);
        Some(free)
    }

    /// Asked to end, it hands over what it has within its grace. `false`: there would be too few.
    pub(crate) fn leave(&mut self, ordinal: usize) -> bool {
        let is_spare = self.running().len() > FEWEST;
        if is_spare {
            self.end(ordinal);
        }
        is_spare
    }

    fn end(&mut self, ordinal: usize) {
        self.signal(ordinal, Signal::TERM);
        if let Worker::Runs(mut child) = std::mem::replace(&mut self.all[ordinal], Worker::Away) {
            let until = Instant::now() + GRACE;
            while child.try_wait().expect("a child can be waited for").is_none() {
                assert!(Instant::now() < until, "worker {ordinal} does not end");
                thread::sleep(Duration::from_millis(50));
            }
        }
    }

    pub(crate) fn kill_all_but_one(&mut self) {
        self.running().into_iter().skip(1).for_each(|ordinal| self.kill(ordinal));
    }

    pub(crate) fn end_all(&mut self) {
        self.running().into_iter().for_each(|ordinal| self.end(ordinal));
    }

    /// A worker that found out that somebody else does its work may have ended; like any supervisor, start it again.
    pub(crate) fn keep(&mut self) {
        for ordinal in self.running() {
            let Worker::Runs(child) = &mut self.all[ordinal] else { continue };
            if let Some(status) = child.try_wait().expect("a child can be waited for") {
                *self.ends.entry(how(status)).or_default() += 1;
                self.launch(ordinal);
            }
        }
    }

    /// A worker that fails on what it never expected has a fault, even if the books balance.
    pub(crate) fn surprises(&self) -> Vec<String> {
        const EXPECTED: [&str; 2] = ["exit code 1", "exit code 75"];
        let surprising = self.ends.iter().filter(|(how, _)| !EXPECTED.contains(&how.as_str()));
        surprising.map(|(how, times)| format!("{times} × {how}")).collect()
    }

    /// What their logs hold that is worth a look, for whoever has to explain a failure.
    pub(crate) fn last_words(&self) -> String {
        let mut words = String::new();
        for ordinal in 0..MOST {
            let log = self.deployment.folder.path().join(format!("worker-{ordinal}.log"));
            let Ok(text) = fs::read_to_string(log) else { continue };
            let lines: Vec<_> = text.lines().collect();
            let from = lines.len().saturating_sub(20);
            words.push_str(&format!("worker {ordinal}:\n{}\n", lines[from..].join("\n")));
        }
        words
    }
}

fn how(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (_, signal) => format!("signal {}", signal.unwrap_or_default()),
    }
}

impl Drop for Workers<'_> {
    fn drop(&mut self) {
        for ordinal in self.running() {
            self.kill(ordinal);
        }
    }
}
