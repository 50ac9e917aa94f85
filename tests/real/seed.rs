//! One number that says what happens when.

use std::env;

/// `SplitMix64`: our own, so that no update can change what a seed means.
pub(crate) struct Seed(u64);

impl Seed {
    /// `SEED`, or always the same. Whoever takes it says which, so that a failure can be seen again.
    pub(crate) fn of_this_run() -> Seed {
        Seed(env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(2026))
    }

    pub(crate) fn new(number: u64) -> Seed {
        Seed(number)
    }

    /// Of the first draw.
    pub(crate) fn number(&self) -> u64 {
        self.0
    }

    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    pub(crate) fn shuffle<T>(&mut self, all: &mut [T]) {
        for place in (1..all.len()).rev() {
            all.swap(place, self.below(place as u64 + 1) as usize);
        }
    }
}
