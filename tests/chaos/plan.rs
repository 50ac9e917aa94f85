//! What is going to be broken, and in which order: all of it from one seed.

use crate::seed::Seed;
use std::time::Duration;

/// What happens to somebody. Who, when and for how long is the seed's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    KillWorker,
    PauseWorker,
    Join,
    Leave,
    KillBroker,
    StopBroker,
    PauseBroker,
    CutLine,
    LoseAnswers,
    LateEnds,
    KillStore,
    PauseStore,
}

impl Kind {
    pub(crate) const ALL: [Kind; 12] = [
        Kind::KillWorker,
        Kind::PauseWorker,
        Kind::Join,
        Kind::Leave,
        Kind::KillBroker,
        Kind::StopBroker,
        Kind::PauseBroker,
        Kind::CutLine,
        Kind::LoseAnswers,
        Kind::LateEnds,
        Kind::KillStore,
        Kind::PauseStore,
    ];

    /// For the last line, behind a number.
    pub(crate) fn words(self) -> &'static str {
        match self {
            Kind::KillWorker => "workers killed",
            Kind::PauseWorker => "workers paused",
            Kind::Join => "workers joined",
            Kind::Leave => "workers left",
            Kind::KillBroker => "brokers killed",
            Kind::StopBroker => "brokers restarted",
            Kind::PauseBroker => "brokers paused",
            Kind::CutLine => "lines cut",
            Kind::LoseAnswers => "lines without answers",
            Kind::LateEnds => "lines with late ends of transactions",
            Kind::KillStore => "stores killed",
            Kind::PauseStore => "stores paused",
        }
    }

    /// The shortest and the longest that it stays broken, in milliseconds.
    fn lasts(self) -> (u64, u64) {
        match self {
            // Back at once, as a supervisor does it, or after others have taken over.
            Kind::KillWorker => (0, 3_000),
            // Up to three times the session time-out of these deployments.
            Kind::PauseWorker => (1_000, 18_000),
            Kind::Join | Kind::Leave => (0, 1),
            Kind::KillBroker | Kind::StopBroker => (3_000, 8_000),
            Kind::PauseBroker | Kind::CutLine | Kind::LoseAnswers | Kind::LateEnds => (500, 12_000),
            Kind::KillStore | Kind::PauseStore => (1_000, 15_000),
        }
    }

    fn lasting(self, seed: &mut Seed) -> Duration {
        let (least, most) = self.lasts();
        Duration::from_millis(least + seed.below(most - least))
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct Fault {
    pub(crate) kind: Kind,
    /// Whom it hits, of as many as there are.
    pub(crate) whom: u64,
    /// Since the fault before it began.
    pub(crate) after: Duration,
    pub(crate) lasts: Duration,
}

impl Fault {
    fn of(kind: Kind, seed: &mut Seed) -> Fault {
        Fault {
            kind,
            whom: seed.below(1 << 32),
            after: Duration::from_millis(300 + seed.below(2_700)),
            lasts: kind.lasting(seed),
        }
    }
}

/// A fixed number of each kind, in an order of the seed's; both first workers are hit alike.
pub(crate) fn promised(seed: &mut Seed) -> Vec<Fault> {
    let counts = [
        (Kind::KillWorker, 40),
        (Kind::PauseWorker, 6),
        (Kind::Join, 2),
        (Kind::Leave, 2),
        (Kind::KillBroker, 3),
        (Kind::StopBroker, 1),
        (Kind::PauseBroker, 1),
        (Kind::CutLine, 2),
        (Kind::LoseAnswers, 2),
        (Kind::LateEnds, 2),
        (Kind::KillStore, 1),
        (Kind::PauseStore, 1),
    ];
    let mut all = Vec::new();
    for (kind, count) in counts {
        for nth in 0..count {
            let fault = Fault { whom: nth, ..Fault::of(kind, seed) };
            let lasts = if kind == Kind::PauseWorker { Duration::from_secs(18) } else { fault.lasts };
            all.push(Fault { lasts, ..fault });
        }
    }
    seed.shuffle(&mut all);
    all
}

/// Faults of some kinds, different ones for each seed, without an end: what is always on hides what only one finds.
pub(crate) fn swarm(mut seed: Seed) -> impl Iterator<Item = Fault> {
    let mut kinds = Kind::ALL.to_vec();
    seed.shuffle(&mut kinds);
    kinds.truncate(3 + seed.below(kinds.len() as u64 - 2) as usize);
    // Nothing is found where nobody ever dies.
    if !kinds.contains(&Kind::KillWorker) {
        kinds.push(Kind::KillWorker);
    }
    std::iter::from_fn(move || {
        let kind = kinds[seed.below(kinds.len() as u64) as usize];
        Some(Fault::of(kind, &mut seed))
    })
}
