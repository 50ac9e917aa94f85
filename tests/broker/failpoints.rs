//! F01 to F22: a process ends by its own SIGKILL at each place where a crash falls between two acts, one place after
//! another over one deployment under load; and F23: it stops there, is replaced, and wakes as a zombie.

use crate::contract::now;
use crate::deployment::{Deployment, Shape, said};
use crate::python::Python;
use crate::servers::ports::Port;
use crate::servers::proxy::{Act, Gate, PRODUCE, proxy};
use crate::servers::{Kafka, S3};
use rustix::process::{Pid, Signal, kill_process};
use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};
use thalweg::model::failpoint::Failpoint::{self, *};
use thalweg::model::{Partition, Role, Topic, TopicPartition};
use thalweg::port::{Isolation, Log};

/// From one kill to the next: the process has started, restored, and come as far as it was told to.
const RESUMES_MAX: Duration = Duration::from_secs(20);
/// Until a worker is asked for partitions while it is not in the middle of a commit.
const PATIENCE: Duration = Duration::from_secs(90);
const LOOK: Duration = Duration::from_millis(20);
/// More than any run takes; the load is stopped when all places were reached.
const EVENTS: u64 = 1_000_000;
const RATE: u64 = 300;
/// Three times the session time-out of the tests' deployments.
const PAUSE: Duration = Duration::from_secs(18);
/// A client cannot mend it, so the transaction is aborted.
const INVALID_REQUIRED_ACKS: i16 = 21;

/// Each place, and at which of its hits the process ends. The second hit is proof that work was done before. Where a
/// plan is finished the first is: the one before died in the same plan.
const KILLS: &[(Failpoint, u32)] = &[
    (RouteSent, 7),
    (RouteCommitting, 2),
    (RouteCommitted, 2),
    (AggregateBeginning, 2),
    (AggregateProduced, 2),
    (AggregateOffsetsSent, 2),
    (AggregateEndSent, 2),
    (AggregateCommitted, 2),
    (AggregateRestoring, 1),
    (AggregateHalfRestored, 3),
    (AggregateRestored, 4),
    (AggregateAborting, 1),
    (AggregateAborted, 1),
    (AggregateProducerMade, 2),
    (LakeBuffered, 5),
    (LakePlanning, 2),
    (LakePlanned, 2),
    (LakeWriting, 1),
    (LakeFirstFile, 1),
    (LakeLastFile, 1),
    (LakeCommitting, 1),
    (LakeCommitted, 1),
    (AggregateRevoked, 1),
];

struct River<'a> {
    deployment: Deployment,
    store: &'a S3,
    _kafka: Kafka,
    /// The next record of a transaction is refused.
    refuses: Arc<AtomicBool>,
    load: Child,
}

impl River<'_> {
    fn start(store: &S3) -> Option<River<'_>> {
        let (setup, port) = (Kafka::setup(1)?, Port::reserve());
        let broker = setup.ports()[0];
        let kafka = setup.advertise(&[port.number()]).start();
        let refuses = Arc::new(AtomicBool::new(false));
        let asked = Arc::clone(&refuses);
        proxy(&port, broker, move |request| {
            let is_next = request.api() == PRODUCE && request.is_transactional();
            match is_next && asked.swap(false, Ordering::SeqCst) {
                true => Act::Refuse(Gate::open_after(Duration::ZERO), INVALID_REQUIRED_ACKS),
                false => Act::Pass,
            }
        });
        // Small steps: so that a restore has several parts, and a plan is never far.
        let config =
            "pace: { commit_every: 200ms, route_commit_every: 200ms, link_every: 1s, poll: 64KiB }\n";
        let deployment = Deployment::with(&kafka, store, &Shape { config, ..Shape::default() });
        deployment.edit_topology("age: 5m, bytes: 128MiB", "age: 1s, bytes: 1MiB");
        deployment.make_topics();
        let load = deployment.generating(&["--events", &EVENTS.to_string(), "--rate", &RATE.to_string()]);
        Some(River { deployment, store, _kafka: kafka, refuses, load })
    }

    fn log_path(&self, ordinal: u32) -> PathBuf {
        self.deployment.folder.path().join(format!("worker-{ordinal}.log"))
    }

    fn log_of(&self, ordinal: u32) -> String {
        fs::read_to_string(self.log_path(ordinal)).unwrap_or_default()
    }

    /// A worker with a log of its own, and a place to end or to stop at.
    fn worker(&self, ordinal: u32, roles: &str, failpoint: Option<&str>) -> Child {
        let mut command = self.deployment.command("run");
        command.args(["--roles", roles]).env("THALWEG__WORKER__ORDINAL", ordinal.to_string());
        if let Some(failpoint) = failpoint {
            command.env("THALWEG_FAILPOINT", failpoint);
        }
        let log = File::create(self.log_path(ordinal)).unwrap();
        command.stdout(Stdio::null()).stderr(log).spawn().unwrap()
    }

    /// Other workers come and go until this one has ended: one that commits at the very moment when another joins is
    /// refused, and starts over; nothing is revoked of it then.
    fn ended_beside_others(&self, what: &str, worker: &mut Child) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        loop {
            let before = self.committed(Role::Aggregate);
            until("a commit before another worker", RESUMES_MAX, || self.committed(Role::Aggregate) > before);
            let mut other = self.worker(1, "route,aggregate,lake", None);
            let stays = Instant::now() + RESUMES_MAX;
            while worker.try_wait().unwrap().is_none() && Instant::now() < stays {
                thread::sleep(LOOK);
            }
            other.kill().unwrap();
            other.wait().unwrap();
            if let Some(status) = worker.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < end, "{what}: not within {PATIENCE:?}");
        }
    }

    /// How far a role has committed, over all partitions.
    fn committed(&self, role: Role) -> u64 {
        let partitions = if role == Role::Aggregate { 4 } else { 2 };
        let mut reader = self.deployment.log.reader();
        let at = |partition| now(reader.committed(role, Partition(partition))).unwrap();
        (0..partitions).map(at).map(|at| at.map_or(0, |at| at.next.0)).sum()
    }

    /// Ends the load, lets one more worker finish, and proves all of it.
    fn balances(&mut self) {
        self.load.kill().unwrap();
        self.load.wait().unwrap();
        let mut reader = self.deployment.log.reader();
        let end = |partition| {
            let at = TopicPartition { topic: Topic::Raw, partition: Partition(partition) };
            now(reader.ends(at, Isolation::ReadCommitted)).unwrap().next.0
        };
        let events = (0..2).map(end).sum();
        self.deployment.fine("run", &["--until-idle"]);
        self.deployment.proved(events);
    }
}

#[track_caller]
fn until(what: &str, patience: Duration, mut is_so: impl FnMut() -> bool) {
    let end = Instant::now() + patience;
    while !is_so() {
        assert!(Instant::now() < end, "{what}: not within {patience:?}");
        thread::sleep(LOOK);
    }
}

#[track_caller]
fn ended(what: &str, worker: &mut Child) -> ExitStatus {
    until(what, RESUMES_MAX, || worker.try_wait().unwrap().is_some());
    worker.wait().unwrap()
}

#[test]
fn a_kill_between_any_two_acts_loses_and_doubles_nothing_and_work_goes_on_within_twenty_seconds() {
    let (Some(python), Some(store)) = (Python::or_left_out(), S3::shared()) else { return };
    let Some(mut river) = River::start(store) else { return };
    let missing: Vec<_> =
        Failpoint::ALL.into_iter().filter(|point| !KILLS.iter().any(|(known, _)| known == point)).collect();
    assert_eq!(missing, [], "every place is tried");
    let stop = river.deployment.folder.path().join("stop");
    let [events, refused] = ["marketplace_events", "marketplace_events_refused"]
        .map(|table| river.deployment.glob(river.store, table));
    let poll = python
        .oracle("poll.py", &[&events, &refused, stop.to_str().unwrap(), "2"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();

    for (point, nth) in KILLS {
        let (failpoint, began) = (format!("{point:?}:{nth}:kill"), Instant::now());
        if matches!(point, AggregateAborting | AggregateAborted | AggregateProducerMade) {
            river.refuses.store(true, Ordering::SeqCst);
        }
        let mut worker = river.worker(0, "route,aggregate,lake", Some(&failpoint));
        let status = match point {
            AggregateRevoked => river.ended_beside_others(&failpoint, &mut worker),
            _ => ended(&failpoint, &mut worker),
        };
        let log = river.log_of(0);
        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "{failpoint}: {status}\n{log}");
        assert!(log.contains(&format!("failpoint reached: {failpoint}")), "{log}");
        println!("{failpoint} after {:?}", began.elapsed());
    }

    river.balances();
    fs::write(&stop, "").unwrap();
    let verdict = poll.wait_with_output().unwrap();
    assert!(verdict.status.success(), "{}", said(&verdict));
}

/// All of its threads stand.
fn is_stopped(worker: &Child) -> bool {
    let stat = fs::read_to_string(format!("/proc/{}/stat", worker.id())).unwrap_or_default();
    stat.rsplit(')').next().is_some_and(|rest| rest.trim_start().starts_with('T'))
}

/// With its transaction open, behind a plan that it has just created, and ahead of its last commit.
#[test]
fn zombies_that_wake_after_they_were_replaced_do_no_harm_and_take_part_again() {
    let Some(store) = S3::shared() else { return };
    let Some(mut river) = River::start(store) else { return };
    let all = "route,aggregate,lake";
    // What the one of `route` has committed before it stops is enough for the other's first transaction.
    let places = [
        (0, "aggregate", "AggregateProduced:1:stop"),
        (1, "lake", "LakePlanned:2:stop"),
        (2, "route", "RouteCommitting:12:stop"),
    ];
    let mut zombies: Vec<_> =
        places.iter().map(|&(ordinal, roles, place)| river.worker(ordinal, roles, Some(place))).collect();
    for (zombie, (_, _, place)) in zombies.iter_mut().zip(places) {
        until(place, RESUMES_MAX * 2, || {
            assert!(zombie.try_wait().unwrap().is_none(), "{place}: ended");
            is_stopped(zombie)
        });
    }

    let stopped = Instant::now();
    let roles = [Role::Route, Role::Aggregate, Role::Lake];
    let before = roles.map(|role| river.committed(role));
    let mut successor = river.worker(3, all, None);
    for (role, before) in roles.into_iter().zip(before) {
        // Up to the end of the zombies' sessions nobody may have what is theirs.
        until("the successor's commits", RESUMES_MAX * 2, || river.committed(role) > before + 200);
    }
    thread::sleep(PAUSE.saturating_sub(stopped.elapsed()));
    for zombie in &zombies {
        kill_process(Pid::from_child(zombie), Signal::CONT).unwrap();
    }
    let with_zombies = roles.map(|role| river.committed(role));
    for (role, before) in roles.into_iter().zip(with_zombies) {
        until("commits beside the zombies", RESUMES_MAX, || river.committed(role) > before);
    }
    successor.kill().unwrap();
    successor.wait().unwrap();
    let alone = roles.map(|role| river.committed(role));
    for (role, before) in roles.into_iter().zip(alone) {
        until("the zombies' own commits", RESUMES_MAX * 2, || {
            // One that found out that it was replaced may have ended; like any supervisor, start it again.
            for (zombie, (ordinal, roles, place)) in zombies.iter_mut().zip(places) {
                if let Some(status) = zombie.try_wait().unwrap() {
                    println!("{place}: {status}, and started again");
                    *zombie = river.worker(ordinal, roles, None);
                }
            }
            river.committed(role) > before + 200
        });
    }
    for zombie in &mut zombies {
        zombie.kill().unwrap();
        zombie.wait().unwrap();
    }

    river.balances();
}
