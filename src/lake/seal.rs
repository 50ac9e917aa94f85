//! One plan from its decision to the offset commit behind it, as decisions without I/O.
//!
//! ```text
//! a closed chunk ─► Deciding ─created────────────────────────► Writing ─all there─┐
//!                     │  ▲                                      ▲  │ ▲            │
//!              unknown│  │not there                             │  ▼ │            │
//!              or taken  │                                      │ Comparing       │
//!                     ▼  │                                      │                 ▼
//!                   Reading ─theirs─► Examining ─missing─► Excusing ─► Rebuilding │
//!                                       ▲  │                  │ │         │gone   │
//! the last plan of the chain ───────────┘  │                  │ │         ▼       │
//!                                          │     marked lost  │ │       Losing    │
//!                                          └──all there──► Checkpointing ◄────────┘
//!                                                              └─► Committing ─► Done
//! ```
//!
//! The plan comes first and every object is create-only, so all of this may be dropped at any point (crash,
//! lost partition): whoever comes next finds the plan in its slot and goes on. A contradiction is an
//! error at any place, and halts the partition.

use super::control::{Checkpoint, ControlKey, Lost, hint};
use super::plan::{Decided, Footer, Plan};
use super::position::slot_plan;
use crate::model::{
    CommittedOffset,
    mutation::{self, Mutation},
};
use std::collections::VecDeque;
use std::rc::Rc;

/// What the worker is to do next. It reports with a [`Fact`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    /// Create a control object.
    Create(ControlKey, Vec<u8>),
    Read(ControlKey),
    /// Read the footer of the plan's file.
    Look(usize),
    /// Make a chunk again from the log that holds the rows of these files, or of as many of them, from the front, as
    /// fit; compare it with the plan.
    Rebuild(Vec<usize>),
    /// Create the plan's file from the chunk.
    Write(usize),
    Commit(CommittedOffset),
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    /// A create was the first.
    Created,
    /// The key was there before.
    Taken,
    /// Created or not: only a read can tell.
    Unknown,
    Object(Option<Vec<u8>>),
    /// `None`: the file is not there.
    Footer(Option<Footer>),
    /// The chunk is the plan's, and holds the rows of so many of the files that were asked for.
    Rebuilt(usize),
    /// The log does not have the plan's records any more.
    Gone,
    Committed,
}

#[derive(Debug, Clone)]
pub struct Seal {
    state: State,
    /// Is the plan the one that this worker's own chunk proposed?
    is_ours: bool,
}

#[derive(Debug, Clone)]
enum State {
    Deciding {
        ours: Rc<Decided>,
    },
    Reading {
        ours: Rc<Decided>,
        is_taken: bool,
    },
    Examining {
        plan: Rc<Decided>,
        file: usize,
        missing: Vec<usize>,
    },
    Excusing {
        plan: Rc<Decided>,
        missing: Vec<usize>,
    },
    Rebuilding {
        plan: Rc<Decided>,
        missing: Vec<usize>,
    },
    /// `pending` are in the chunk; `later` wait for another pass.
    Writing {
        plan: Rc<Decided>,
        pending: VecDeque<usize>,
        later: Vec<usize>,
    },
    /// Is the first of `pending` there, and is it the plan's?
    Comparing {
        plan: Rc<Decided>,
        pending: VecDeque<usize>,
        later: Vec<usize>,
        is_taken: bool,
    },
    Losing {
        plan: Rc<Decided>,
        missing: Vec<usize>,
    },
    Checkpointing {
        plan: Rc<Decided>,
        k: u64,
    },
    Committing {
        plan: Rc<Decided>,
    },
    Done {
        plan: Rc<Decided>,
    },
}

impl Seal {
    /// A chunk was closed: its plan is only a proposal until the slot has decided. Also for gaps.
    pub fn propose(ours: Plan) -> Seal {
        Seal { state: State::Deciding { ours: Rc::new(Decided::new(ours)) }, is_ours: true }
    }

    /// Finishes the last plan of a chain, whoever made it.
    pub fn finish(plan: Plan) -> Seal {
        Seal { state: examine(Rc::new(Decided::new(plan)), 0, Vec::new()), is_ours: false }
    }

    /// The plan that is followed now.
    pub fn plan(&self) -> &Decided {
        match &self.state {
            State::Deciding { ours: plan }
            | State::Reading { ours: plan, .. }
            | State::Examining { plan, .. }
            | State::Excusing { plan, .. }
            | State::Rebuilding { plan, .. }
            | State::Writing { plan, .. }
            | State::Comparing { plan, .. }
            | State::Losing { plan, .. }
            | State::Checkpointing { plan, .. }
            | State::Committing { plan }
            | State::Done { plan } => plan,
        }
    }

    /// Is the chunk that made the proposal still of use?
    pub fn is_ours(&self) -> bool {
        self.is_ours
    }

    /// Nothing of it stands in the store yet, as far as this worker knows.
    pub fn is_undecided(&self) -> bool {
        matches!(self.state, State::Deciding { .. })
    }

    /// The files that are to be created, in this order or any other: the plan has decided all of them.
    pub fn unwritten(&self) -> impl Iterator<Item = usize> {
        let pending = match &self.state {
            State::Writing { pending, .. } => Some(pending),
            _ => None,
        };
        pending.into_iter().flatten().copied()
    }

    /// `None` when it is done.
    pub fn ask(&self) -> Option<Ask> {
        Some(match &self.state {
            State::Deciding { ours } => Ask::Create(ControlKey::Plan(ours.plan.s), ours.plan.encode()),
            State::Reading { ours, .. } => Ask::Read(ControlKey::Plan(ours.plan.s)),
            State::Examining { file, .. } => Ask::Look(*file),
            State::Excusing { plan, .. } => Ask::Read(ControlKey::Lost(plan.plan.s)),
            State::Rebuilding { missing, .. } => Ask::Rebuild(missing.clone()),
            State::Writing { pending, .. } => Ask::Write(pending[0]),
            State::Comparing { pending, .. } => Ask::Look(pending[0]),
            State::Losing { plan, missing } => {
                let Plan { s, e, files, .. } = &plan.plan;
                let missing = missing.iter().map(|&file| files[file].key.clone()).collect();
                let lost = Lost { s: *s, e: *e, missing };
                Ask::Create(ControlKey::Lost(*s), serde_json::to_vec(&lost).expect("texts are JSON"))
            }
            State::Checkpointing { plan, k } => {
                let checkpoint = Checkpoint { n: plan.plan.n, s: plan.plan.s };
                let body = serde_json::to_vec(&checkpoint).expect("numbers are JSON");
                Ask::Create(ControlKey::Checkpoint(*k), body)
            }
            State::Committing { plan } => Ask::Commit(hint(plan.plan.s, plan.plan.e)),
            State::Done { .. } => return None,
        })
    }

    /// The next state, or why the partition halts.
    pub fn tell(self, fact: Fact) -> Result<Seal, String> {
        let is_ours = self.is_ours;
        let state = match (self.state, fact) {
            (State::Deciding { ours }, Fact::Created) => write_all(ours),
            (State::Deciding { ours }, Fact::Taken) => State::Reading { ours, is_taken: true },
            (State::Deciding { ours }, Fact::Unknown) => State::Reading { ours, is_taken: false },
            (State::Reading { ours, .. }, Fact::Object(Some(body))) => {
                return adopt(ours, &body);
            }
            (State::Reading { ours, is_taken: false }, Fact::Object(None)) => State::Deciding { ours },
            // Files may exist under the vanished plan: a new one could hold their rows again.
            (State::Reading { ours, is_taken: true }, Fact::Object(None)) => {
                return Err(format!("the plan at {} was there and has vanished", ours.plan.s));
            }
            (State::Examining { plan, file, mut missing }, Fact::Footer(footer)) => {
                match footer {
                    Some(footer) => same(&plan, file, footer)?,
                    None => missing.push(file),
                }
                examine(plan, file + 1, missing)
            }
            (State::Excusing { plan, .. }, Fact::Object(Some(_))) => checkpoint(plan),
            (State::Excusing { plan, missing }, Fact::Object(None)) => State::Rebuilding { plan, missing },
            (State::Rebuilding { plan, mut missing }, Fact::Rebuilt(held)) => {
                let later = missing.split_off(held.min(missing.len()));
                write(plan, missing.into(), later)
            }
            (State::Rebuilding { plan, missing }, Fact::Gone) => State::Losing { plan, missing },
            (State::Writing { plan, pending, later }, Fact::Created) => written(plan, pending, later),
            (State::Writing { plan, pending, later }, Fact::Taken) => {
                State::Comparing { plan, pending, later, is_taken: true }
            }
            (State::Writing { plan, pending, later }, Fact::Unknown) => {
                State::Comparing { plan, pending, later, is_taken: false }
            }
            (State::Comparing { plan, pending, later, .. }, Fact::Footer(Some(footer))) => {
                same(&plan, pending[0], footer)?;
                written(plan, pending, later)
            }
            (State::Comparing { plan, pending, later, is_taken: false }, Fact::Footer(None)) => {
                State::Writing { plan, pending, later }
            }
            (State::Comparing { plan, pending, is_taken: true, .. }, Fact::Footer(None)) => {
                return Err(format!("`{}` was there and has vanished", plan.plan.files[pending[0]].key));
            }
            (State::Losing { plan, .. }, Fact::Created | Fact::Taken) => checkpoint(plan),
            (State::Checkpointing { plan, .. }, Fact::Created | Fact::Taken) => State::Committing { plan },
            // Create-only, and the same for everybody: asking again does no harm.
            (state @ (State::Losing { .. } | State::Checkpointing { .. }), Fact::Unknown) => state,
            (State::Committing { plan }, Fact::Committed) => State::Done { plan },
            (state, fact) => unreachable!("{fact:?} cannot answer {state:?}"),
        };
        Ok(Seal { state, is_ours })
    }
}

/// Somebody planned this slot first, or it was our own create whose answer was lost on the way.
fn adopt(ours: Rc<Decided>, body: &[u8]) -> Result<Seal, String> {
    let plan = slot_plan(ours.plan.s, body)?;
    if plan == ours.plan || mutation::is(Mutation::EndByClock) {
        return Ok(Seal { state: write_all(ours), is_ours: true });
    }
    if plan.n != ours.plan.n {
        return Err(format!("the plan at {} has index {}, the chain is at {}", plan.s, plan.n, ours.plan.n));
    }
    // Theirs is the truth; ours was only a proposal.
    Ok(Seal::finish(plan))
}

fn examine(plan: Rc<Decided>, file: usize, missing: Vec<usize>) -> State {
    if file < plan.plan.files.len() {
        State::Examining { plan, file, missing }
    } else if missing.is_empty() {
        checkpoint(plan)
    } else {
        State::Excusing { plan, missing }
    }
}

fn write_all(plan: Rc<Decided>) -> State {
    if mutation::is(Mutation::CommitBeforeUpload) {
        return State::Committing { plan };
    }
    let pending = (0..plan.plan.files.len()).collect();
    write(plan, pending, Vec::new())
}

fn write(plan: Rc<Decided>, pending: VecDeque<usize>, later: Vec<usize>) -> State {
    match (pending.is_empty(), later.is_empty()) {
        (false, _) => State::Writing { plan, pending, later },
        (true, false) => State::Rebuilding { plan, missing: later },
        (true, true) => checkpoint(plan),
    }
}

fn written(plan: Rc<Decided>, mut pending: VecDeque<usize>, later: Vec<usize>) -> State {
    pending.pop_front();
    write(plan, pending, later)
}

/// Before the next plan, so that checkpoints have no hole and can be found by doubling.
fn checkpoint(plan: Rc<Decided>) -> State {
    match plan.plan.checkpoint() {
        Some(k) => State::Checkpointing { plan, k },
        None => State::Committing { plan },
    }
}

fn same(plan: &Decided, file: usize, found: Footer) -> Result<(), String> {
    let expected = plan.footer(file);
    if found == expected {
        return Ok(());
    }
    let key = &plan.plan.files[file].key;
    Err(format!("`{key}` is not what its plan says: found {found:?}, expected {expected:?}"))
}

#[cfg(test)]
mod tests {
    use super::super::plan::tests::plan;
    use super::*;
    use crate::model::NextOffset;

    fn tell(seal: Seal, facts: impl IntoIterator<Item = Fact>) -> Result<Seal, String> {
        facts.into_iter().try_fold(seal, Seal::tell)
    }

    fn there(file: usize) -> Fact {
        Fact::Footer(Some(Decided::new(plan(7, 10, 15)).footer(file)))
    }

    fn is_committing(seal: &Seal) -> bool {
        matches!(seal.ask(), Some(Ask::Commit(offset)) if offset.next == NextOffset(15) && offset.metadata == "{\"q\":10}")
    }

    #[test]
    fn files_follow_the_plan_and_the_commit_follows_all_files() {
        let seal = Seal::propose(plan(7, 10, 15));
        assert_eq!(seal.ask(), Some(Ask::Create(ControlKey::Plan(NextOffset(10)), plan(7, 10, 15).encode())));
        let seal = tell(seal, [Fact::Created]).unwrap();
        assert_eq!(seal.ask(), Some(Ask::Write(0)));
        let seal = tell(seal, [Fact::Created]).unwrap();
        assert_eq!(seal.ask(), Some(Ask::Write(1)));
        let seal = tell(seal, [Fact::Created]).unwrap();
        assert!(is_committing(&seal));
        assert_eq!(tell(seal, [Fact::Committed]).unwrap().ask(), None);
    }

    #[test]
    fn a_plan_that_was_there_first_is_adopted_even_if_it_ends_elsewhere() {
        let theirs = plan(7, 10, 99);
        let taken = [Fact::Taken, Fact::Object(Some(theirs.encode()))];

        let seal = tell(Seal::propose(plan(7, 10, 15)), taken).unwrap();

        assert!(!seal.is_ours());
        assert_eq!((&seal.plan().plan, seal.ask()), (&theirs, Some(Ask::Look(0))));
    }

    #[test]
    fn our_own_create_whose_answer_was_lost_is_ours() {
        let lost = [Fact::Unknown, Fact::Object(Some(plan(7, 10, 15).encode()))];
        let seal = tell(Seal::propose(plan(7, 10, 15)), lost).unwrap();
        assert_eq!((seal.is_ours(), seal.ask()), (true, Some(Ask::Write(0))));

        let never_came = tell(Seal::propose(plan(7, 10, 15)), [Fact::Unknown, Fact::Object(None)]).unwrap();
        assert!(matches!(never_came.ask(), Some(Ask::Create(ControlKey::Plan(_), _))));
    }

    #[test]
    fn a_vanished_plan_halts_and_is_never_replaced() {
        let vanished = tell(Seal::propose(plan(7, 10, 15)), [Fact::Taken, Fact::Object(None)]);

        assert!(vanished.unwrap_err().contains("vanished"));
    }

    #[test]
    fn a_plan_of_another_place_in_the_chain_halts() {
        let other = [Fact::Taken, Fact::Object(Some(plan(8, 10, 15).encode()))];

        assert!(tell(Seal::propose(plan(7, 10, 15)), other).unwrap_err().contains("index 8"));
    }

    #[test]
    fn finishing_asks_for_every_footer_and_rebuilds_only_what_is_missing() {
        let seal = Seal::finish(plan(7, 10, 15));
        assert!(is_committing(&tell(seal.clone(), [there(0), there(1)]).unwrap()));

        let seal = tell(seal, [there(0), Fact::Footer(None)]).unwrap();
        assert_eq!(seal.ask(), Some(Ask::Read(ControlKey::Lost(NextOffset(10)))));
        let rebuilding = tell(seal.clone(), [Fact::Object(None)]).unwrap();
        assert_eq!(rebuilding.ask(), Some(Ask::Rebuild(vec![1])));
        let seal_again = tell(rebuilding.clone(), [Fact::Rebuilt(1)]).unwrap();
        assert_eq!(seal_again.ask(), Some(Ask::Write(1)));
        assert!(is_committing(&tell(seal_again, [Fact::Created]).unwrap()));

        let marked = tell(seal, [Fact::Object(Some(b"{}".to_vec()))]).unwrap();
        assert!(is_committing(&marked), "what is marked lost is finished");
        let gone = tell(rebuilding, [Fact::Gone]).unwrap();
        let body = b"{\"s\":10,\"e\":15,\"missing\":[\"b.parquet\"]}".to_vec();
        assert_eq!(gone.ask(), Some(Ask::Create(ControlKey::Lost(NextOffset(10)), body)));
        assert!(is_committing(&tell(gone, [Fact::Unknown, Fact::Taken]).unwrap()));
    }

    #[test]
    fn what_does_not_fit_is_rebuilt_in_another_pass() {
        let missing = [Fact::Footer(None), Fact::Footer(None), Fact::Object(None)];
        let seal = tell(Seal::finish(plan(7, 10, 15)), missing).unwrap();
        assert_eq!(seal.ask(), Some(Ask::Rebuild(vec![0, 1])));

        let seal = tell(seal, [Fact::Rebuilt(1), Fact::Created]).unwrap();

        assert_eq!(seal.ask(), Some(Ask::Rebuild(vec![1])));
        assert!(is_committing(&tell(seal, [Fact::Rebuilt(1), Fact::Created]).unwrap()));
    }

    #[test]
    fn a_file_that_was_there_must_be_the_plans() {
        let writing = || tell(Seal::propose(plan(7, 10, 15)), [Fact::Created]).unwrap();
        let equal = tell(writing(), [Fact::Taken, there(0)]).unwrap();
        assert_eq!(equal.ask(), Some(Ask::Write(1)));
        for wrong in [there(1), Fact::Footer(Some(Decided::new(plan(7, 10, 16)).footer(0)))] {
            let halt = tell(writing(), [Fact::Taken, wrong]).unwrap_err();
            assert!(halt.contains("`a.parquet` is not what its plan says"), "{halt}");
        }
        assert!(tell(writing(), [Fact::Taken, Fact::Footer(None)]).unwrap_err().contains("vanished"));
        let unknown = tell(writing(), [Fact::Unknown, Fact::Footer(None)]).unwrap();
        assert_eq!(unknown.ask(), Some(Ask::Write(0)), "it never came");
    }

    #[test]
    fn a_checkpoint_stands_before_the_offset_moves_past_its_plan() {
        let seal = Seal::finish(plan(2000, 10, 15));
        let footers = [0, 1].map(|file| Fact::Footer(Some(seal.plan().footer(file))));
        let seal = tell(seal, footers).unwrap();

        let body = b"{\"n\":2000,\"s\":10}".to_vec();
        assert_eq!(seal.ask(), Some(Ask::Create(ControlKey::Checkpoint(2), body)));
        assert!(is_committing(&tell(seal, [Fact::Taken]).unwrap()));
    }

    #[test]
    fn a_gap_has_no_file_to_wait_for() {
        let gap = Plan::gap(7, NextOffset(10), NextOffset(15), 1);

        assert!(is_committing(&tell(Seal::propose(gap), [Fact::Created]).unwrap()));
    }
}
