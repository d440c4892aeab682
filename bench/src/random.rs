//! Seeded random numbers for load and flow: the same seed gives the same run on every machine.
//!
//! SplitMix64 (Steele, Lea, Flood 2014): one addition and three xor-multiplies a number, every seed
//! good, period 2^64. Not for secrets.

/// A generator.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Random(u64);

impl Random {
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A generator of its own for part `index` of a run.
    pub fn part(seed: u64, index: u64) -> Self {
        let mut parent = Self(seed ^ index.wrapping_mul(0xA24B_AED4_963E_E407));
        Self(parent.next())
    }

    #[inline]
    #[allow(clippy::should_implement_trait)] // A generator is no iterator: it never ends.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    /// `0..bound`, for a bound of at least 1; the bias is below `bound / 2^64`.
    #[inline]
    pub fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// True `per_mille` times in a thousand.
    #[inline]
    pub fn chance(&mut self, per_mille: u64) -> bool {
        self.below(1000) < per_mille
    }

    /// Index into `weights`, each taken in proportion; 0 if all are zero.
    #[inline]
    pub fn weighted(&mut self, weights: &[u32]) -> usize {
        let sum: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
        let mut left = self.below(sum.max(1));
        for (index, weight) in weights.iter().enumerate() {
            match left.checked_sub(u64::from(*weight)) {
                Some(rest) => left = rest,
                None => return index,
            }
        }
        0
    }

    /// Steps of a walk that goes on with `per_mille` of a thousand: 0, 1, 2 …, at most `max`.
    pub fn geometric(&mut self, per_mille: u64, max: u64) -> u64 {
        let mut steps = 0;
        while steps < max && self.chance(per_mille) {
            steps += 1;
        }
        steps
    }

    /// A value of a distribution given by its quantiles, equally spaced from 0 to 1: a uniform point
    /// between two neighbours.
    pub fn from_quantiles(&mut self, quantiles: &[u64]) -> u64 {
        let [first, .., _] = quantiles else {
            return quantiles.first().copied().unwrap_or(0);
        };
        let at = self.below(quantiles.len() as u64 - 1) as usize;
        let (low, high) = (
            quantiles.get(at).unwrap_or(first),
            quantiles.get(at + 1).unwrap_or(first),
        );
        low + self.below(high - low + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_published_first_numbers_come_out() {
        // Of the reference implementation, seed 1234567.
        let mut random = Random::new(1_234_567);
        let got: Vec<_> = (0..3).map(|_| random.next()).collect();
        assert_eq!(
            got,
            [
                6_457_827_717_110_365_317,
                3_203_168_211_198_807_973,
                9_817_491_932_198_370_423
            ]
        );
    }

    #[test]
    fn draws_stay_in_bounds_and_near_their_share() {
        let mut random = Random::part(1, 2);
        let mut counts = [0_u32; 3];
        for _ in 0..10_000 {
            assert!(random.below(7) < 7);
            counts[random.weighted(&[1, 0, 3])] += 1;
            assert!(random.geometric(900, 5) <= 5);
            assert!((10..=40).contains(&random.from_quantiles(&[10, 20, 40])));
        }
        assert_eq!(counts[1], 0);
        assert!((2_200..2_800).contains(&counts[0]), "{counts:?}");
        assert_eq!(random.weighted(&[]), 0);
        assert_eq!(random.from_quantiles(&[5]), 5);
    }
}
