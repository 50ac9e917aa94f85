//! How many different ids: exact up to a bound, then a sketch. Merging is free of order.

use crate::model::{Damaged, Reader, Writer};
use datasketches::hll::{HllSketch, HllType, HllUnion};

/// Above this a pane's set turns into a sketch, and its rows say so.
pub(crate) const EXACT_IDS_MAX: usize = 1_024;
/// 4,096 registers: a standard error of 1.6 %.
const LG_K: u8 = 12;

#[derive(Debug, Clone)]
pub(crate) enum Distinct {
    /// Sorted 128-bit hashes.
    Exact(Vec<u128>),
    Sketch(Box<HllSketch>),
}

impl Default for Distinct {
    fn default() -> Self {
        Distinct::Exact(Vec::new())
    }
}

impl Distinct {
    pub(crate) fn add(&mut self, hash: u128) {
        match self {
            Distinct::Exact(ids) => {
                if let Err(place) = ids.binary_search(&hash) {
                    ids.insert(place, hash);
                    self.bound();
                }
            }
            Distinct::Sketch(sketch) => sketch.update(hash),
        }
    }

    pub(crate) fn merge(&mut self, other: &Distinct) {
        match (&mut *self, other) {
            (Distinct::Exact(ids), Distinct::Exact(more)) => {
                ids.extend_from_slice(more);
                ids.sort_unstable();
                ids.dedup();
                self.bound();
            }
            (Distinct::Sketch(sketch), Distinct::Exact(more)) => more.iter().for_each(|id| sketch.update(id)),
            (Distinct::Exact(ids), Distinct::Sketch(theirs)) => {
                let mut sketch = theirs.clone();
                ids.iter().for_each(|id| sketch.update(id));
                *self = Distinct::Sketch(sketch);
            }
            (Distinct::Sketch(sketch), Distinct::Sketch(theirs)) => {
                let mut union = HllUnion::new(LG_K).expect("the size is a constant that the library takes");
                union.update(sketch);
                union.update(theirs);
                **sketch = union.to_sketch(HllType::Hll8);
            }
        }
    }

    fn bound(&mut self) {
        if let Distinct::Exact(ids) = self
            && ids.len() > EXACT_IDS_MAX
        {
            let sketch = HllSketch::new(LG_K, HllType::Hll8);
            let mut sketch = sketch.expect("the size is a constant that the library takes");
            ids.iter().for_each(|id| sketch.update(id));
            *self = Distinct::Sketch(Box::new(sketch));
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        matches!(self, Distinct::Exact(ids) if ids.is_empty())
    }

    pub(crate) fn is_approximate(&self) -> bool {
        matches!(self, Distinct::Sketch(_))
    }

    pub(crate) fn count(&self) -> u64 {
        match self {
            Distinct::Exact(ids) => ids.len() as u64,
            // The composite estimate depends on the registers alone, never on the order of updates.
            Distinct::Sketch(sketch) => sketch.composite_estimate().round() as u64,
        }
    }

    pub(crate) fn write(&self, to: &mut Writer) {
        match self {
            Distinct::Exact(ids) => {
                to.varint(ids.len() as u64 + 1);
                ids.iter().for_each(|&id| to.u128(id));
            }
            Distinct::Sketch(sketch) => {
                to.varint(0);
                to.blob(&sketch.serialize());
            }
        }
    }

    pub(crate) fn read(from: &mut Reader<'_>) -> Result<Self, Damaged> {
        let count = from.varint()?;
        if count == 0 {
            let sketch = HllSketch::deserialize(from.blob()?).map_err(|_| from.damaged())?;
            return Ok(Distinct::Sketch(Box::new(sketch)));
        }
        let ids = (1..count).map(|_| from.u128()).collect::<Result<_, _>>()?;
        Ok(Distinct::Exact(ids))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(ids: std::ops::Range<u128>) -> Distinct {
        let mut set = Distinct::default();
        ids.for_each(|id| set.add(id.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835)));
        set
    }

    #[test]
    fn a_set_is_exact_up_to_its_bound_and_says_when_it_is_not() {
        assert!(!of(0..1_024).is_approximate());
        assert_eq!(of(0..1_024).count(), 1_024);
        assert!(of(0..1_025).is_approximate());
        assert!((of(0..50_000).count() as f64 - 50_000.0).abs() < 2_500.0);
    }

    #[test]
    fn merging_is_free_of_order() {
        let parts = [of(0..600), of(500..1_500), of(1_400..9_000), of(0..3)];
        let fold = |order: &[usize]| {
            let mut all = Distinct::default();
            order.iter().for_each(|&part| all.merge(&parts[part]));
            all.count()
        };

        assert_eq!(fold(&[0, 1, 2, 3]), fold(&[3, 2, 1, 0]));
        assert_eq!(fold(&[0, 1, 2, 3]), fold(&[2, 0, 3, 1]));
    }

    #[test]
    fn a_set_comes_back() {
        for set in [of(0..0), of(0..1_024), of(0..3_000)] {
            let mut bytes = Writer::default();
            set.write(&mut bytes);
            let back = Distinct::read(&mut Reader::new(&bytes.bytes, "test")).unwrap();
            assert_eq!((back.count(), back.is_approximate()), (set.count(), set.is_approximate()));
        }
    }
}
