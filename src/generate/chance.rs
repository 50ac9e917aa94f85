//! A random stream of our own (SplitMix64), so that no update can change what a seed stands for.

#[derive(Debug, Clone)]
pub(super) struct Chance(u64);

impl Chance {
    pub(super) fn new(seed: u64) -> Chance {
        Chance(seed)
    }

    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mix(self.0)
    }

    /// Evenly from 0 up to `end`, which must not be 0.
    pub(super) fn below(&mut self, end: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(end)) >> 64) as u64
    }
}

/// One value to one other that looks unrelated.
pub(super) fn mix(value: u64) -> u64 {
    let value = (value ^ value >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ value >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ value >> 31
}

/// Few are wanted often: the *k*-th of `count` with a weight of 1/*k*, in integers.
#[derive(Debug)]
pub(super) struct Popularity {
    /// Sums of the weights up to and with each rank.
    sums: Vec<u64>,
}

impl Popularity {
    pub(super) fn new(count: u32) -> Popularity {
        let mut sum = 0;
        let weights = (1..=u64::from(count)).map(|rank| (1u64 << 32) / rank);
        let sums = weights.map(|weight| {
            sum += weight;
            sum
        });
        Popularity { sums: sums.collect() }
    }

    pub(super) fn pick(&self, chance: &mut Chance) -> u32 {
        let all = self.sums.last().copied().unwrap_or(1);
        let at = chance.below(all);
        self.sums.partition_point(|&sum| sum <= at) as u32
    }
}
