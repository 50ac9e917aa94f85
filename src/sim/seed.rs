//! Chance from one number: SplitMix64, our own, so that no update of a library changes a stored seed.

#[derive(Debug, Clone)]
pub struct Seed(pub u64);

impl Seed {
    pub fn draw(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`; 0 for an empty range.
    pub fn below(&mut self, end: u64) -> u64 {
        // The high half of the product is even enough for any range that we draw from.
        ((u128::from(self.draw()) * u128::from(end)) >> 64) as u64
    }

    /// A number from `from` to `to`, both included.
    pub fn between(&mut self, from: u64, to: u64) -> u64 {
        from + self.below(to - from + 1)
    }

    pub fn one_in(&mut self, n: u64) -> bool {
        n > 0 && self.below(n) == 0
    }

    /// True in `n` of a thousand; draws nothing for 0, so that a fault that is off costs nothing.
    pub fn per_mille(&mut self, n: u32) -> bool {
        n > 0 && self.below(1000) < u64::from(n)
    }

    pub fn pick<'a, T>(&mut self, of: &'a [T]) -> Option<&'a T> {
        if of.is_empty() { None } else { of.get(self.below(of.len() as u64) as usize) }
    }

    pub fn shuffle<T>(&mut self, of: &mut [T]) {
        for at in (1..of.len()).rev() {
            of.swap(at, self.below(at as u64 + 1) as usize);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_seeds_keep_their_meaning() {
        let mut seed = Seed(7);
        assert_eq!([seed.draw(), seed.draw()], [7191089600892374487, 309689372594955804]);
    }

    #[test]
    fn numbers_stay_in_their_range() {
        let mut seed = Seed(1);
        assert!((0..1000).all(|_| seed.below(3) < 3));
        assert!((0..1000).all(|_| (5..=6).contains(&seed.between(5, 6))));
        assert_eq!(seed.below(0), 0);
    }
}
