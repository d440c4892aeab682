//! Random numbers of the state machine: drawn from a state that is in the log's hands alone.
//!
//! The state is part of the image. Each `DayOpen` stirs in its batch's time, which no client chooses or
//! knows in advance; who reads the log can compute what will be drawn. Never for secrets.

/// SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Random(pub u64);

impl Random {
    pub fn stir(&mut self, entropy: u64) {
        self.0 ^= entropy;
        self.next();
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        word ^ (word >> 31)
    }

    /// From 0 to `most`, both included: the upper half of a product, whose bias is below 2^-20 for what is
    /// drawn here (hours in ns).
    pub fn up_to(&mut self, most: u64) -> u64 {
        let product = u128::from(self.next()) * (u128::from(most) + 1);
        (product >> 64) as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published generator's first words from seed 0, and that every value of a small range comes.
    #[test]
    fn words_are_the_published_ones() {
        let mut random = Random(0);
        assert_eq!(random.next(), 0xE220_A839_7B1D_CDAF);
        assert_eq!(random.next(), 0x6E78_9E6A_A1B9_65F4);
        let mut seen = [0; 4];
        for _ in 0..400 {
            seen[random.up_to(3) as usize] += 1;
        }
        assert!(seen.iter().all(|&count| count > 50), "{seen:?}");
    }
}
