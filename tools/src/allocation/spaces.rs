//! Where large blocks lie in the mappings that they are taken from.
//!
//! Addresses only: nothing here maps, reads or writes memory, and nothing allocates, as the allocator itself
//! asks. Blocks lie next to each other, whole pages each; what is free between them is a *gap*, and gaps of
//! one mapping that touch become one. Searches walk the gaps, so this is for blocks that are seldom taken.

pub const PAGE: usize = 4 << 10;
pub const HUGE_PAGE: usize = 2 << 20;
/// Shortest mapping. One of this length is kept when its last block goes, so that one large buffer that
/// comes and goes is not mapped and zeroed each time; longer ones go back.
pub const MAPPING_MIN: usize = 32 << 20;

const MAPPINGS_MAX: usize = 64;
const GAPS_MAX: usize = 1_024;

/// Addresses from `begin` to before `end`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Span {
    pub begin: usize,
    pub end: usize,
}

const NOWHERE: Span = Span { begin: 0, end: 0 };

impl Span {
    pub fn length(self) -> usize {
        self.end - self.begin
    }

    fn holds(self, address: usize) -> bool {
        (self.begin..self.end).contains(&address)
    }
}

/// The mappings and their gaps.
#[derive(Debug)]
pub struct Spaces {
    mappings: [Span; MAPPINGS_MAX],
    mapping_count: usize,
    /// Ascending.
    gaps: [Span; GAPS_MAX],
    gap_count: usize,
    blocks: usize,
}

/// Length of the block that holds so many bytes; `None` beyond all addresses.
pub fn block_length(size: usize) -> Option<usize> {
    size.checked_next_multiple_of(PAGE)
}

/// Length of a new mapping for a block.
pub fn mapping_length(block: usize) -> Option<usize> {
    Some(block.checked_next_multiple_of(HUGE_PAGE)?.max(MAPPING_MIN))
}

impl Spaces {
    pub const fn new() -> Self {
        Self {
            mappings: [NOWHERE; MAPPINGS_MAX],
            mapping_count: 0,
            gaps: [NOWHERE; GAPS_MAX],
            gap_count: 0,
            blocks: 0,
        }
    }

    fn mapping_of(&self, address: usize) -> Option<usize> {
        let mappings = &self.mappings[..self.mapping_count];
        mappings.iter().position(|span| span.holds(address))
    }

    /// Whether an address lies in a mapping.
    pub fn holds(&self, address: usize) -> bool {
        self.mapping_of(address).is_some()
    }

    /// Blocks that are taken.
    pub fn blocks(&self) -> usize {
        self.blocks
    }

    /// Whether another block, and a mapping for it, can be kept account of. Each gap ends at a block or at the
    /// end of its mapping, so with this there is room for every gap that can come to be.
    pub fn has_room(&self) -> bool {
        self.mapping_count < MAPPINGS_MAX && self.blocks + self.mapping_count + 2 <= GAPS_MAX
    }

    /// Adds a mapping, all of it a gap. The caller has seen that there is room.
    pub fn add(&mut self, mapping: Span) {
        self.mappings[self.mapping_count] = mapping;
        self.mapping_count += 1;
        self.insert(mapping);
    }

    /// Takes a block from the first gap that is long enough. The caller has seen that there is room.
    pub fn take(&mut self, length: usize) -> Option<usize> {
        let gaps = &mut self.gaps[..self.gap_count];
        let at = gaps.iter().position(|gap| gap.length() >= length)?;
        let begin = gaps[at].begin;
        gaps[at].begin += length;
        if gaps[at].length() == 0 {
            self.remove(at);
        }
        self.blocks += 1;
        Some(begin)
    }

    /// Gives a block back. Returns a mapping that holds none any more and is given up.
    pub fn put(&mut self, begin: usize, length: usize) -> Option<Span> {
        let mapping = self.mapping_of(begin)?;
        let span = self.mappings[mapping];
        self.blocks -= 1;
        let gap = self.joined(
            Span {
                begin,
                end: begin + length,
            },
            span,
        );
        if gap == span && !self.keeps(span) {
            self.mapping_count -= 1;
            self.mappings[mapping] = self.mappings[self.mapping_count];
            return Some(span);
        }
        self.insert(gap);
        None
    }

    /// Whether an empty mapping stays: a short one if there is no other.
    fn keeps(&self, empty: Span) -> bool {
        let others = &self.mappings[..self.mapping_count];
        let gaps = &self.gaps[..self.gap_count];
        empty.length() == MAPPING_MIN && !others.iter().any(|other| gaps.contains(other))
    }

    /// A free span and the gaps of its mapping that touch it, which are taken out.
    fn joined(&mut self, mut free: Span, mapping: Span) -> Span {
        let after = self.gaps[..self.gap_count].partition_point(|gap| gap.begin < free.begin);
        if after < self.gap_count && self.gaps[after].begin == free.end && free.end < mapping.end {
            free.end = self.gaps[after].end;
            self.remove(after);
        }
        if after > 0 && self.gaps[after - 1].end == free.begin && free.begin > mapping.begin {
            free.begin = self.gaps[after - 1].begin;
            self.remove(after - 1);
        }
        free
    }

    fn insert(&mut self, gap: Span) {
        let at = self.gaps[..self.gap_count].partition_point(|other| other.begin < gap.begin);
        self.gaps.copy_within(at..self.gap_count, at + 1);
        self.gaps[at] = gap;
        self.gap_count += 1;
    }

    fn remove(&mut self, at: usize) {
        self.gaps.copy_within(at + 1..self.gap_count, at);
        self.gap_count -= 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Takes as the allocator does; new mappings touch each other, as the kernel likes to lay them.
    fn take(spaces: &mut Spaces, size: usize, end: &mut usize) -> Option<(usize, usize)> {
        let length = block_length(size)?;
        if !spaces.has_room() {
            return None;
        }
        let begin = spaces.take(length).or_else(|| {
            let begin = *end;
            *end += mapping_length(length)?;
            spaces.add(Span { begin, end: *end });
            spaces.take(length)
        })?;
        Some((begin, length))
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Against a list of what is taken: no two blocks overlap, each lies in one mapping, and when all are
        /// given back one short mapping is left at most, as one gap.
        #[test]
        fn blocks_never_overlap(
            steps in proptest::collection::vec((any::<bool>(), 1..80_usize, any::<prop::sample::Index>()), 1..300),
        ) {
            let mut spaces = Spaces::new();
            let mut end = 16 * HUGE_PAGE;
            let mut taken: Vec<(usize, usize)> = Vec::new();
            let mut mapped: Vec<Span> = Vec::new();
            for (takes, mib, which) in steps {
                if takes {
                    // From a little to more than a mapping.
                    let before = spaces.mapping_count;
                    let block = take(&mut spaces, (mib << 20) - mib * 100, &mut end);
                    let (begin, length) = block.expect("few blocks");
                    if spaces.mapping_count > before {
                        mapped.push(spaces.mappings[before]);
                    }
                    let span = Span { begin, end: begin + length };
                    prop_assert!(mapped.iter().any(|m| m.begin <= span.begin && span.end <= m.end));
                    prop_assert!(taken.iter().all(|&(b, l)| b + l <= span.begin || span.end <= b));
                    prop_assert!(spaces.holds(begin) && spaces.holds(span.end - 1));
                    taken.push((begin, length));
                } else if !taken.is_empty() {
                    let (begin, length) = taken.swap_remove(which.index(taken.len()));
                    if let Some(gone) = spaces.put(begin, length) {
                        prop_assert!(taken.iter().all(|&(b, _)| !gone.holds(b)));
                        prop_assert!(!spaces.holds(gone.begin));
                        mapped.retain(|m| *m != gone);
                    }
                }
                let gaps = &spaces.gaps[..spaces.gap_count];
                let free: usize = gaps.iter().map(|gap| gap.length()).sum();
                let used: usize = taken.iter().map(|&(_, length)| length).sum();
                let all: usize = mapped.iter().map(|m| m.length()).sum();
                prop_assert_eq!(free + used, all);
                prop_assert!(gaps.windows(2).all(|two| two[0].end <= two[1].begin));
            }
            for (begin, length) in taken {
                spaces.put(begin, length);
            }
            prop_assert!(spaces.mapping_count <= 1 && spaces.gap_count == spaces.mapping_count);
            if spaces.mapping_count == 1 {
                prop_assert_eq!(spaces.mappings[0], spaces.gaps[0]);
                prop_assert_eq!(spaces.gaps[0].length(), MAPPING_MIN);
            }
        }
    }

    /// As many blocks as can be kept account of, every second given back: the most gaps there can be.
    #[test]
    fn every_gap_finds_room() {
        let (mut spaces, mut end) = (Spaces::new(), HUGE_PAGE);
        let mut taken = Vec::new();
        while let Some(block) = take(&mut spaces, 128 << 10, &mut end) {
            taken.push(block);
        }
        assert!(taken.len() > 900);
        for &(begin, length) in taken.iter().step_by(2) {
            spaces.put(begin, length);
        }
        assert!(spaces.has_room());
        for &(begin, length) in taken.iter().skip(1).step_by(2) {
            spaces.put(begin, length);
        }
        assert_eq!(
            (spaces.mapping_count, spaces.gap_count, spaces.blocks),
            (1, 1, 0)
        );
    }

    #[test]
    fn no_size_is_too_large_to_be_refused() {
        assert_eq!(block_length(usize::MAX), None);
        assert_eq!(block_length(1), Some(PAGE));
        assert_eq!(mapping_length(usize::MAX - PAGE + 1), None);
        assert_eq!(mapping_length(PAGE), Some(MAPPING_MIN));
        assert_eq!(
            mapping_length(MAPPING_MIN + PAGE),
            Some(MAPPING_MIN + HUGE_PAGE)
        );
    }
}
