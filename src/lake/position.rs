//! Where a role goes on: found on the chain, never believed.
//!
//! ```text
//!          ┌─ proved ─────────────────────────────────────┐
//! Hint ────┤                                              ▼
//!          └─ else ─► Genesis ─► Doubling ─► Halving ─► Walking ─no plan here─► Found
//!                        └─none─► Starting ─► Creating ─┘
//! ```
//!
//! Each state asks for one object or fact; the answer leads to the next state. Reading may be broken off at
//! any point: nothing is written here but the create-only genesis.

use super::control::{Checkpoint, ControlKey, Genesis, hinted_slot};
use super::plan::Plan;
use crate::model::{
    CommittedOffset, NextOffset,
    mutation::{self, Mutation},
};
use serde::de::DeserializeOwned;

/// The end of the chain as it was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Position {
    /// Where the next chunk starts.
    pub at: NextOffset,
    /// Index of the next plan.
    pub n: u64,
    /// The last plan, which may be unfinished. All before it are finished.
    pub last: Option<Plan>,
}

/// What a walk needs to know next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ask {
    Read(ControlKey),
    /// Where a source without a chain starts, by the settings.
    Start,
    Create(ControlKey, Vec<u8>),
}

/// What the worker found out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fact {
    Object(Option<Vec<u8>>),
    Start(NextOffset),
    /// It is there, whoever created it: only a read shows what it holds.
    Created,
}

/// One step further.
#[derive(Debug)]
pub enum Step {
    On(Walk),
    Found(Position),
}

#[derive(Debug, Clone)]
pub struct Walk(State);

#[derive(Debug, Clone)]
enum State {
    /// The committed offset says that the plan of `slot` ends at `end`.
    Proving {
        end: NextOffset,
        slot: NextOffset,
    },
    Genesis,
    Starting,
    Creating {
        start: NextOffset,
    },
    /// The newest checkpoint known is `low`; is there one at `k`?
    Doubling {
        start: NextOffset,
        low: Option<(u64, Checkpoint)>,
        k: u64,
    },
    /// There is one at `low` and none at `high`.
    Halving {
        low: (u64, Checkpoint),
        high: u64,
    },
    /// Is there a plan at `at`? The checkpoint's own plan must be.
    Walking {
        at: NextOffset,
        n: u64,
        last: Option<Plan>,
        must_be: bool,
    },
}

impl Walk {
    /// From what the group has committed. Without the proof it counts for nothing.
    pub fn from_commit(committed: Option<&CommittedOffset>) -> Walk {
        if mutation::is(Mutation::HintTrusted)
            && let Some(committed) = committed
        {
            return Walk(State::Walking { at: committed.next, n: 0, last: None, must_be: false });
        }
        let proving = committed.and_then(|committed| {
            Some(State::Proving { end: committed.next, slot: hinted_slot(committed)? })
        });
        Walk(proving.unwrap_or(State::Genesis))
    }

    /// On from a plan that was found by other means and is finished.
    pub fn behind(plan: Plan) -> Walk {
        Walk(State::Walking { at: plan.e, n: plan.n + 1, last: Some(plan), must_be: false })
    }

    pub fn ask(&self) -> Ask {
        match &self.0 {
            State::Proving { slot, .. } => Ask::Read(ControlKey::Plan(*slot)),
            State::Genesis => Ask::Read(ControlKey::Genesis),
            State::Starting => Ask::Start,
            State::Creating { start } => {
                let body = serde_json::to_vec(&Genesis { s: *start }).expect("a number is JSON");
                Ask::Create(ControlKey::Genesis, body)
            }
            State::Doubling { k, .. } => Ask::Read(ControlKey::Checkpoint(*k)),
            State::Halving { low, high } => Ask::Read(ControlKey::Checkpoint(middle(low.0, *high))),
            State::Walking { at, .. } => Ask::Read(ControlKey::Plan(*at)),
        }
    }

    /// An error halts: the chain is not what a chain can be.
    pub fn tell(self, fact: Fact) -> Result<Step, String> {
        let state = match (self.0, fact) {
            (State::Proving { end, slot }, Fact::Object(body)) => prove(end, slot, body)?,
            (State::Genesis, Fact::Object(None)) => State::Starting,
            (State::Genesis, Fact::Object(Some(body))) => {
                let Genesis { s: start } = parse(&body, "genesis")?;
                State::Doubling { start, low: None, k: 1 }
            }
            (State::Starting, Fact::Start(start)) => State::Creating { start },
            // Whoever created it: what it says is the start.
            (State::Creating { .. }, Fact::Created) => State::Genesis,
            (State::Doubling { start, low, k }, Fact::Object(body)) => double(start, low, k, body)?,
            (State::Halving { low, high }, Fact::Object(body)) => halve(low, high, body)?,
            (State::Walking { at, n, last, must_be }, Fact::Object(None)) => {
                if must_be {
                    return Err(format!("plan {n} at {at} is named by a checkpoint, but is not there"));
                }
                return Ok(Step::Found(Position { at, n, last }));
            }
            (State::Walking { at, n, .. }, Fact::Object(Some(body))) => {
                let plan = slot_plan(at, &body)?;
                if plan.n != n {
                    return Err(format!("the plan at {at} has index {}, the chain is at {n}", plan.n));
                }
                State::Walking { at: plan.e, n: n + 1, last: Some(plan), must_be: false }
            }
            (state, fact) => unreachable!("{fact:?} cannot answer {state:?}"),
        };
        Ok(Step::On(Walk(state)))
    }
}

/// The plan that a slot holds; it must say so itself.
pub fn slot_plan(slot: NextOffset, body: &[u8]) -> Result<Plan, String> {
    let plan = Plan::decode(body).map_err(|error| format!("slot {slot}: {error}"))?;
    if plan.s == slot { Ok(plan) } else { Err(format!("slot {slot} holds a plan that starts at {}", plan.s)) }
}

fn prove(end: NextOffset, slot: NextOffset, body: Option<Vec<u8>>) -> Result<State, String> {
    let Some(body) = body else { return Ok(State::Genesis) };
    let plan = slot_plan(slot, &body)?;
    if plan.e != end {
        return Ok(State::Genesis);
    }
    Ok(Walk::behind(plan).0)
}

fn double(
    start: NextOffset,
    low: Option<(u64, Checkpoint)>,
    k: u64,
    body: Option<Vec<u8>>,
) -> Result<State, String> {
    if let Some(body) = body {
        let low = Some((k, checkpoint(k, &body)?));
        return Ok(State::Doubling { start, low, k: k.saturating_mul(2) });
    }
    Ok(match low {
        None => State::Walking { at: start, n: 0, last: None, must_be: false },
        Some(low) => narrowed(low, k),
    })
}

fn halve(low: (u64, Checkpoint), high: u64, body: Option<Vec<u8>>) -> Result<State, String> {
    let k = middle(low.0, high);
    Ok(match body {
        Some(body) => narrowed((k, checkpoint(k, &body)?), high),
        None => narrowed(low, k),
    })
}

fn narrowed(low: (u64, Checkpoint), high: u64) -> State {
    if high - low.0 > 1 {
        State::Halving { low, high }
    } else {
        State::Walking { at: low.1.s, n: low.1.n, last: None, must_be: true }
    }
}

fn middle(low: u64, high: u64) -> u64 {
    low + (high - low) / 2
}

fn checkpoint(k: u64, body: &[u8]) -> Result<Checkpoint, String> {
    let checkpoint: Checkpoint = parse(body, "checkpoint")?;
    if Some(checkpoint.n) == k.checked_mul(super::plan::CHECKPOINT_EVERY) {
        Ok(checkpoint)
    } else {
        Err(format!("checkpoint {k} names plan {}", checkpoint.n))
    }
}

fn parse<T: DeserializeOwned>(body: &[u8], what: &str) -> Result<T, String> {
    serde_json::from_slice(body).map_err(|error| format!("damaged {what}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::super::control::hint;
    use super::super::plan::CHECKPOINT_EVERY;
    use super::super::plan::tests::plan;
    use super::*;
    use std::collections::BTreeMap;

    /// A chain of plans over five records each, from offset 7 on, with its checkpoints.
    #[derive(Default)]
    struct Objects(BTreeMap<String, Vec<u8>>);

    const FIRST: u64 = 7;

    fn slot(n: u64) -> NextOffset {
        NextOffset(FIRST + 5 * n)
    }

    impl Objects {
        fn with_plans(count: u64) -> Objects {
            let mut objects = Objects::default();
            objects.put(ControlKey::Genesis, format!("{{\"s\":{FIRST}}}").into_bytes());
            for n in 0..count {
                let plan = plan(n, slot(n).0, slot(n + 1).0);
                objects.put(ControlKey::Plan(plan.s), plan.encode());
                if n > 0 && n % CHECKPOINT_EVERY == 0 && n + 1 < count {
                    let body = format!("{{\"n\":{n},\"s\":{}}}", plan.s);
                    objects.put(ControlKey::Checkpoint(n / CHECKPOINT_EVERY), body.into_bytes());
                }
            }
            objects
        }

        fn put(&mut self, key: ControlKey, body: Vec<u8>) {
            self.0.insert(format!("{key:?}"), body);
        }

        /// Walks to the end; says how many questions it took.
        fn walk(&mut self, mut walk: Walk) -> Result<(Position, usize), String> {
            for asked in 1.. {
                let fact = match walk.ask() {
                    Ask::Read(key) => Fact::Object(self.0.get(&format!("{key:?}")).cloned()),
                    Ask::Start => Fact::Start(NextOffset(FIRST)),
                    Ask::Create(key, body) => {
                        self.put(key, body);
                        Fact::Created
                    }
                };
                match walk.tell(fact)? {
                    Step::On(next) => walk = next,
                    Step::Found(position) => return Ok((position, asked)),
                }
            }
            unreachable!()
        }
    }

    fn end(count: u64) -> (NextOffset, u64, Option<u64>) {
        (slot(count), count, count.checked_sub(1))
    }

    fn facts(position: &Position) -> (NextOffset, u64, Option<u64>) {
        (position.at, position.n, position.last.as_ref().map(|plan| plan.n))
    }

    #[test]
    fn a_first_start_is_written_down_before_it_is_used() {
        let mut objects = Objects::default();

        let (position, _) = objects.walk(Walk::from_commit(None)).unwrap();

        assert_eq!(facts(&position), end(0));
        assert_eq!(objects.0["Genesis"], b"{\"s\":7}");
    }

    #[test]
    fn a_genesis_that_somebody_else_created_is_the_start() {
        let mut objects = Objects::default();
        let mut walk = Walk::from_commit(None);
        for fact in [Fact::Object(None), Fact::Start(NextOffset(3)), Fact::Created] {
            let Ok(Step::On(next)) = walk.tell(fact) else { panic!("there is more to ask") };
            walk = next;
        }
        objects.put(ControlKey::Genesis, b"{\"s\":9}".to_vec());

        assert_eq!(objects.walk(walk).unwrap().0.at, NextOffset(9));
    }

    #[test]
    fn the_end_is_found_from_any_hint_proved_or_not() {
        for count in [1, 2, 999, 1000, 1001, 1002, 2001, 3002, 4500] {
            let mut objects = Objects::with_plans(count);
            let by_hand =
                |metadata: &str| CommittedOffset { next: NextOffset(12), metadata: metadata.into() };
            // Genesis, checkpoints by doubling and halving, then less than a thousand plans.
            let unproved = 1 + 30 + CHECKPOINT_EVERY as usize;
            let hints = [
                (Some(hint(slot(count - 1), slot(count))), 2),
                (Some(hint(slot(count / 2), slot(count / 2 + 1))), (count - count / 2 + 1) as usize),
                (None, unproved),
                (Some(by_hand("")), unproved),
                (Some(by_hand("{\"q\":")), unproved),
                (Some(hint(slot(count - 1), NextOffset(8))), unproved + 1),
                (Some(hint(NextOffset(8), slot(count))), unproved + 1),
            ];
            for (hint, most) in hints {
                let (position, asked) = objects.walk(Walk::from_commit(hint.as_ref())).unwrap();
                assert_eq!(facts(&position), end(count), "{count} plans, {hint:?}");
                assert!(asked <= most, "{asked} questions for {count} plans, {hint:?}");
            }
        }
    }

    #[test]
    fn a_chain_that_cannot_be_halts() {
        type Damage = fn(&mut Objects);
        let broken: [(&str, Damage); 5] = [
            ("holds a plan that starts at", |o| o.put(ControlKey::Plan(slot(1)), plan(1, 99, 100).encode())),
            ("has index 9", |o| o.put(ControlKey::Plan(slot(1)), plan(9, slot(1).0, slot(2).0).encode())),
            ("damaged plan", |o| o.put(ControlKey::Plan(slot(1)), b"{\"transform\":1".to_vec())),
            ("transform version 5", |o| o.put(ControlKey::Plan(slot(1)), b"{\"transform\":5}".to_vec())),
            ("damaged genesis", |o| o.put(ControlKey::Genesis, b"{}".to_vec())),
        ];
        for (expected, damage) in broken {
            let mut objects = Objects::with_plans(3);
            damage(&mut objects);
            let halt = objects.walk(Walk::from_commit(None)).unwrap_err();
            assert!(halt.contains(expected), "{halt}");
        }
        let mut objects = Objects::with_plans(1500);
        objects.0.remove(&format!("{:?}", ControlKey::Plan(slot(1000))));
        assert!(objects.walk(Walk::from_commit(None)).unwrap_err().contains("named by a checkpoint"));
        objects.put(ControlKey::Checkpoint(1), b"{\"n\":7,\"s\":42}".to_vec());
        assert!(objects.walk(Walk::from_commit(None)).unwrap_err().contains("checkpoint 1 names plan 7"));
    }
}
