//! How many of something were at most so large.

/// Counts by explicit bounds.
#[derive(Debug, Clone, PartialEq)]
pub struct Histogram {
    bounds: &'static [f64],
    /// One for each bound, and one for what is larger than all.
    counts: Vec<u64>,
    sum: f64,
}

impl Histogram {
    /// Of calls over a network, in seconds: from what is quick to what is too late.
    pub const SECONDS: &'static [f64] =
        &[0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0];

    /// `bounds` rise.
    pub fn new(bounds: &'static [f64]) -> Self {
        Histogram { bounds, counts: vec![0; bounds.len() + 1], sum: 0.0 }
    }

    pub fn observe(&mut self, value: f64) {
        let place = self.bounds.partition_point(|&bound| bound < value);
        self.counts[place] += 1;
        self.sum += value;
    }

    /// Each bound with the number of those at or below it; the last one has no bound.
    pub(super) fn cumulative(&self) -> impl Iterator<Item = (Option<f64>, u64)> {
        let bounds = self.bounds.iter().map(|&bound| Some(bound)).chain([None]);
        bounds.zip(&self.counts).scan(0, |below, (bound, count)| {
            *below += count;
            Some((bound, *below))
        })
    }

    pub(super) fn sum(&self) -> f64 {
        self.sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_at_a_bound_is_below_it_and_the_last_bucket_holds_all() {
        let mut histogram = Histogram::new(&[1.0, 2.0]);

        for value in [0.5, 1.0, 1.5, 7.0] {
            histogram.observe(value);
        }

        let found: Vec<_> = histogram.cumulative().collect();
        assert_eq!(found, [(Some(1.0), 2), (Some(2.0), 3), (None, 4)]);
        assert_eq!(histogram.sum(), 10.0);
    }
}
