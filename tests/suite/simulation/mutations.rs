//! A simulator that never fails proves nothing: each wrong behaviour must be noticed within so many seeds.
//!
//! `ROUNDS=n` asks for each n times, from other seeds, and tells the worst. `tests/mutations.md` is the table;
//! `BLESS=1` writes it anew.

use super::case::Case;
use super::{number, outcome};
use std::panic;
use thalweg::sim::Faults;

const SEEDS: u64 = 2_000;

/// How a wrong behaviour came out.
struct Caught {
    name: String,
    /// Seeds until it did, at worst.
    worst: u64,
    example: String,
}

/// The seeds until one fails, at worst, and what it says.
fn until_caught(name: String, broken: &dyn Fn(&mut Faults)) -> Result<Caught, String> {
    let mut caught = Caught { name, worst: 0, example: String::new() };
    for round in 0..number("ROUNDS").unwrap_or(1) {
        let from = round * 1_000_000;
        let fails = |seed| outcome(&Case::new(seed), broken).err().map(|error| (seed - from + 1, error));
        let Some((seeds, error)) = (from..from + SEEDS).find_map(fails) else {
            return Err(format!("{} in the seeds from {from} on", caught.name));
        };
        if seeds > caught.worst {
            (caught.worst, caught.example) = (seeds, error);
        }
    }
    println!("{}: {} seeds: {}", caught.name, caught.worst, short(&caught.example));
    Ok(caught)
}

fn short(error: &str) -> String {
    error.chars().take(100).map(|letter| if letter == '|' { '/' } else { letter }).collect()
}

/// Tells what was found for each, and fails if anything was not.
fn all_caught(all: impl Iterator<Item = Result<Caught, String>>) -> Vec<Caught> {
    // Panics are one way of noticing; their stories would hide the others.
    let hook = panic::take_hook();
    panic::set_hook(Box::new(|_| {}));
    let (caught, unnoticed): (Vec<_>, Vec<_>) = all.partition(Result::is_ok);
    panic::set_hook(hook);
    let unnoticed: Vec<String> = unnoticed.into_iter().filter_map(Result::err).collect();
    assert!(unnoticed.is_empty(), "nobody noticed {unnoticed:?}");
    caught.into_iter().filter_map(Result::ok).collect()
}

type Break = (&'static str, fn(&mut Faults));

const BROKEN_WORLDS: [Break; 4] = [
    ("a store that overwrites", |faults| faults.store_overwrites = true),
    ("restore to the last stable offset", |faults| faults.ends_at_last_stable = true),
    ("a producer used again after an abort", |faults| faults.keeps_epoch = true),
    ("commits of any generation", |faults| faults.admits_every_generation = true),
];

fn broken_worlds() -> Vec<Caught> {
    all_caught(BROKEN_WORLDS.into_iter().map(|(name, broken)| until_caught(name.into(), &broken)))
}

#[cfg(not(feature = "mutations"))]
#[test]
fn a_world_that_breaks_its_promises_is_noticed() {
    assert_eq!(broken_worlds().len(), BROKEN_WORLDS.len());
}

#[cfg(feature = "mutations")]
mod switched {
    use super::*;
    use std::path::Path;
    use std::{env, fs};
    use thalweg::model::mutation::{Mutation, mutate};

    #[test]
    fn every_wrong_behaviour_and_broken_world_is_noticed() {
        let mut caught = all_caught(Mutation::ALL.into_iter().map(|mutation| {
            mutate(Some(mutation));
            let caught = until_caught(format!("{mutation:?}"), &|_| {});
            mutate(None);
            caught
        }));
        caught.extend(broken_worlds());

        check_table(&caught);
    }

    /// Numbers change with every change of the workload; which behaviours there are must be told.
    fn check_table(caught: &[Caught]) {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/mutations.md");
        let before = fs::read_to_string(&path).unwrap_or_default();
        let (head, _) = before.split_once("\n| what is wrong").unwrap_or((&before, ""));
        if env::var_os("BLESS").is_some() {
            let rounds = number("ROUNDS").unwrap_or(1);
            let mut table =
                format!("{head}\n| what is wrong | caught within, worst of {rounds} | by |\n|---|---|---|\n");
            for Caught { name, worst, example } in caught {
                table += &format!("| {name} | {worst} | `{}` |\n", short(example).replace('`', "'"));
            }
            return fs::write(&path, table).expect("the table can be written");
        }
        let untold = caught.iter().filter(|caught| !before.contains(&format!("\n| {} |", caught.name)));
        let untold: Vec<&str> = untold.map(|caught| &caught.name[..]).collect();
        assert!(untold.is_empty(), "rerun with BLESS=1: tests/mutations.md does not tell of {untold:?}");
    }
}
