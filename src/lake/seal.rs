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
use crate::model::CommittedOffset;
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
    if plan == ours.plan {
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
