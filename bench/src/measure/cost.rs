//! What a stretch of code costs the process beside time: page faults and heap allocations.

use std::sync::OnceLock;

static ALLOCATION_COUNT: OnceLock<fn() -> u64> = OnceLock::new();

/// Tells where the process counts its heap allocations; the binary that owns the allocator does it once.
pub fn count_allocations_with(count: fn() -> u64) {
    // A second call could only name the same counter: there is one allocator.
    let _ = ALLOCATION_COUNT.set(count);
}

/// Page faults and allocations so far.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Cost {
    /// Of this thread, minor and major.
    pub page_faults: u64,
    /// Of the process; `None` if nobody counts.
    pub allocations: Option<u64>,
}

impl Cost {
    pub fn now() -> Self {
        // Read before the file, whose reading allocates.
        let allocations = ALLOCATION_COUNT.get().map(|count| count());
        let text = std::fs::read_to_string("/proc/thread-self/stat").unwrap_or_default();
        Self {
            page_faults: page_faults(&text).unwrap_or(0),
            allocations,
        }
    }

    /// What was spent since `earlier`. Two readings with nothing between them cost `idle`.
    pub fn since(&self, earlier: &Self, idle: &Self) -> Self {
        let allocations =
            |later: u64, earlier: u64, idle: u64| (later - earlier).saturating_sub(idle);
        Self {
            page_faults: (self.page_faults - earlier.page_faults).saturating_sub(idle.page_faults),
            allocations: match (self.allocations, earlier.allocations, idle.allocations) {
                (Some(later), Some(earlier), Some(idle)) => Some(allocations(later, earlier, idle)),
                _ => None,
            },
        }
    }

    /// The most of each over several stretches; nothing of none.
    pub fn most(costs: impl Iterator<Item = Self>) -> Self {
        let none = Self {
            page_faults: 0,
            allocations: None,
        };
        costs.fold(none, |most, cost| Self {
            page_faults: most.page_faults.max(cost.page_faults),
            allocations: most.allocations.max(cost.allocations),
        })
    }

    /// What two readings with nothing between them cost: the readings' own.
    pub fn of_reading() -> Self {
        let none = Self {
            page_faults: 0,
            allocations: Some(0),
        };
        // The first reading may fault code and buffers in.
        Self::now();
        let earlier = Self::now();
        Self::now().since(&earlier, &none)
    }
}

/// Minor and major faults of `/proc/…/stat`: fields 10 and 12, counted behind the command's bracket.
fn page_faults(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace().skip(7);
    let minor: u64 = fields.next()?.parse().ok()?;
    let major: u64 = fields.nth(1)?.parse().ok()?;
    Some(minor + major)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_are_read_behind_any_command_name() {
        let stat = "12 (a) b) c) R 1 2 3 4 5 6 100 7 23 8 9";
        assert_eq!(page_faults(stat), Some(123));
        assert_eq!(page_faults("nonsense"), None);
    }

    #[test]
    fn the_most_is_taken_of_each() {
        let cost = |page_faults, allocations| Cost {
            page_faults,
            allocations,
        };
        assert_eq!(Cost::most([].into_iter()), cost(0, None));
        let costs = [cost(3, Some(1)), cost(1, None), cost(2, Some(5))];
        assert_eq!(Cost::most(costs.into_iter()), cost(3, Some(5)));
    }

    #[test]
    fn touching_fresh_memory_is_seen() {
        let idle = Cost::of_reading();
        let before = Cost::now();
        // Larger than what an allocator keeps at hand.
        let pages: Vec<u8> = (0..64 << 20).map(|at: usize| (at >> 20) as u8).collect();
        std::hint::black_box(&pages);
        let spent = Cost::now().since(&before, &idle);
        assert!(spent.page_faults > 0, "{spent:?}");
    }
}
