//! Every schedule, not a random one: two workers that both believe that the partition is theirs, two chunks, one crash,
//! one delay, and the production loop of the lake.
//!
//! ```text
//! choose ─► one worker does its next call on the store or the group  ─┐
//!           … with its answer lost, and its effect later (once)       ├─► judge ─► known? ─► choose …
//!           … dies and is started again (once)                        │
//!           what was held up takes effect                            ─┘
//! ```
//!
//! A worker knows only what it was told. So two ways of getting somewhere are the same if the store is, and both workers
//! were told the same since they were started, or since they sealed their last chunk: such a state is entered once. Each state is reached by playing its
//! choices again from the start.

mod ports;
mod world;

use std::collections::BTreeSet;
use world::{Choice, Limits, Start, World};

/// What became of a whole search.
#[derive(Debug)]
struct Searched {
    states: usize,
    /// Ways that end: nothing is left to choose.
    ends: usize,
    choices: usize,
    wrong: Option<(Vec<Choice>, String)>,
}

/// A model that grows past this is none that CI can search.
const STATES_MAX: usize = 2_000_000;

/// Depth first, each state once.
fn search(limits: Limits) -> Searched {
    let mut searched = Searched { states: 0, ends: 0, choices: 0, wrong: None };
    let mut known: BTreeSet<u128> = BTreeSet::new();
    let mut open: Vec<Vec<Choice>> = vec![Vec::new()];
    let start = Start::new(limits);
    while let Some(mut way) = open.pop() {
        let mut world = World::new(&start);
        for &choice in &way {
            world.act(choice);
        }
        loop {
            if let Err(error) = world.judge() {
                searched.wrong = Some((way, error));
                return searched;
            }
            if !known.insert(world.state()) {
                break;
            }
            searched.states += 1;
            if searched.states.is_multiple_of(10_000) {
                println!("{limits:?}: {} states so far", searched.states);
            }
            assert!(searched.states < STATES_MAX, "{limits:?} is no small model: {searched:?}");
            let choices = world.choices();
            searched.choices += choices.len();
            let Some((&first, others)) = choices.split_first() else {
                searched.ends += 1;
                if let Err(error) = world.judge_end() {
                    searched.wrong = Some((way, error));
                    return searched;
                }
                break;
            };
            for &other in others {
                open.push(way.iter().copied().chain([other]).collect());
            }
            way.push(first);
            world.act(first);
        }
    }
    searched
}

const SMALL: Limits = Limits { crashes: 1, delays: 1, files: 1 };

fn tell(limits: Limits, searched: &Searched) {
    let Searched { states, choices, ends, .. } = searched;
    println!("{limits:?}: {states} states, {choices} choices, {ends} ends");
}

#[test]
fn every_schedule_of_two_workers_leaves_every_row_once() {
    // More files in a plan take minutes.
    let mut all = vec![SMALL];
    if std::env::var_os("EXHAUSTIVE").is_some() {
        all.extend([(1, 0), (0, 1), (1, 1)].map(|(crashes, delays)| Limits { crashes, delays, files: 2 }));
    }
    for limits in all {
        let searched = search(limits);
        tell(limits, &searched);
        assert!(searched.wrong.is_none(), "{:?}", searched.wrong);
        assert!(searched.states > 100 && searched.ends > 0, "hardly anything was tried: {searched:?}");
    }
}

#[cfg(feature = "mutations")]
#[test]
fn mutations_are_found_by_the_search() {
    use thalweg::model::mutation::{Mutation, mutate};

    let all = [
        Mutation::PlanSkipped,
        Mutation::EndByClock,
        Mutation::UnfinishedPlanPassed,
        Mutation::PlansPipelined,
        Mutation::CommitBeforeUpload,
        Mutation::HintTrusted,
    ];
    for mutation in all {
        mutate(Some(mutation));
        let searched = search(SMALL);
        mutate(None);
        tell(SMALL, &searched);
        let (way, error) = searched.wrong.unwrap_or_else(|| panic!("nobody noticed {mutation:?}"));
        println!("{mutation:?} by {way:?}: {error}");
    }
}
