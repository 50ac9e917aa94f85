//! A simulator that never fails proves nothing: each wrong behaviour must be noticed within so many seeds.

use super::case::Case;
use super::outcome;
use std::panic;
use thalweg::sim::Faults;

const SEEDS: u64 = 2_000;

/// The first seed that fails, and what it says.
fn first_failure(broken: &dyn Fn(&mut Faults)) -> Option<(u64, String)> {
    (0..SEEDS).find_map(|seed| outcome(&Case::new(seed), broken).err().map(|error| (seed, error)))
}

/// Tells what was found for each, and fails if anything was not.
fn expect_all<'a>(checks: impl Iterator<Item = (String, Box<dyn Fn() -> Option<(u64, String)> + 'a>)>) {
    // Panics are one way of noticing; their stories would hide the others.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let mut unnoticed = Vec::new();
    for (name, check) in checks {
        match check() {
            Some((seed, error)) => {
                println!("{name}: seed {seed}: {}", error.chars().take(160).collect::<String>())
            }
            None => unnoticed.push(name),
        }
    }
    panic::set_hook(hook);
    assert!(unnoticed.is_empty(), "nobody noticed {unnoticed:?}");
}

#[test]
fn a_world_that_breaks_its_promises_is_noticed() {
    type Break = (&'static str, fn(&mut Faults));
    let broken: [Break; 4] = [
        ("a store that overwrites", |faults| faults.store_overwrites = true),
        ("restore to the last stable offset", |faults| faults.ends_at_last_stable = true),
        ("a producer used again after an abort", |faults| faults.keeps_epoch = true),
        ("commits of any generation", |faults| faults.admits_every_generation = true),
    ];

    expect_all(broken.into_iter().map(|(name, broken)| {
        let check = move || first_failure(&broken);
        (name.to_owned(), Box::new(check) as Box<dyn Fn() -> Option<(u64, String)>>)
    }));
}

#[cfg(feature = "mutations")]
#[test]
fn every_wrong_behaviour_is_noticed() {
    use thalweg::model::mutation::{Mutation, mutate};

    expect_all(Mutation::ALL.into_iter().map(|mutation| {
        let check = move || {
            mutate(Some(mutation));
            let found = first_failure(&|_| {});
            mutate(None);
            found
        };
        (format!("{mutation:?}"), Box::new(check) as Box<dyn Fn() -> Option<(u64, String)>>)
    }));
}
