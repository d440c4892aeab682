//! What some live orders have beside the others: a reserve that is not displayed, or a time at which they
//! expire; and the order in which they expire.
//!
//! A slab of its own, so that plain orders do not pay for it, with room for a quarter of the open-order
//! bound; a heap of deadlines with each entry's position kept in its extension. Nothing here allocates
//! after `grow`.

use crate::{NONE, grown};
use alloc::vec::Vec;
use lockstep_record::{InstrumentId, Timestamp};

/// Of an order with a reserve or a deadline.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Extension {
    /// When it expires; 0 = it does not by itself.
    pub deadline: Timestamp,
    /// OUCH ExpireTime in seconds if the deadline was given so; 0 = as a date and time.
    pub expire_time: u32,
    /// OUCH MaxFloor: most shares that are displayed at a time; 0 = all.
    pub max_floor: u32,
    /// OUCH RandomReserves: how far what is displayed anew may be from `max_floor`, either way; 0 = not.
    pub random: u32,
    /// How often it has displayed anew.
    pub refreshed: u32,
    /// Open shares that are not displayed.
    pub reserve: u32,
    /// Position in the heap, in a free extension the next free one; nobody else's business.
    pub at: u32,
    /// Of its order.
    pub slot: u32,
    /// In whose list of reserve orders it is; 0 = in none.
    pub instrument: u32,
    /// Behind and before it in that list, oldest order reference first.
    pub next: u32,
    pub prev: u32,
}
const _: () = assert!(size_of::<Extension>() == 48);

impl Extension {
    pub const NONE: Self = Self {
        deadline: Timestamp(0),
        expire_time: 0,
        max_floor: 0,
        random: 0,
        refreshed: 0,
        reserve: 0,
        at: NONE,
        slot: NONE,
        instrument: 0,
        next: NONE,
        prev: NONE,
    };

    /// What it would display at its `round`-th refreshment from now, from 1, with enough in reserve.
    pub fn next_size(&self, draw: &Draw, round: u32) -> u32 {
        if self.random == 0 {
            return self.max_floor;
        }
        // Its random part is below max_floor and in lots at entry; a lot may have changed since.
        let random = u64::from(self.random / draw.lot_size);
        let number = u64::from(self.refreshed) + u64::from(round);
        let lots = draw.below(2 * random + 1, number) as u32;
        let least = self.max_floor - self.random / draw.lot_size * draw.lot_size;
        least.saturating_add(lots.saturating_mul(draw.lot_size))
    }

    /// Whether what it displays, and how that varies, fit.
    pub fn displays_well(&self) -> bool {
        self.random == 0 || self.random < self.max_floor
    }

    /// Good till a date and time: outlives the day.
    pub fn is_good_till_date(&self) -> bool {
        self.deadline != Timestamp(0) && self.expire_time == 0
    }
}

/// What the size of a reserve order's next display is drawn from: a function of the day's seed, the order and
/// how often it has displayed anew, so that any node, and whoever looks ahead, draws the same.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Draw {
    pub seed: u64,
    pub reference: u64,
    pub lot_size: u32,
}

impl Draw {
    /// A number below `span`: the `number`-th of this order.
    fn below(&self, span: u64, number: u64) -> u64 {
        let mut bits = self.seed
            ^ self.reference.wrapping_mul(0x9E37_79B9_7F4A_7C15)
            ^ number.wrapping_mul(0xD1B5_4A32_D192_ED03);
        // The finalizer of SplitMix64.
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^= bits >> 31;
        ((u128::from(bits) * u128::from(span)) >> 64) as u64
    }
}

/// Shares of one order that may expire; ordered by (deadline, order reference).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Deadline {
    deadline: Timestamp,
    reference: u64,
    slot: u32,
    extension: u32,
}

#[derive(Debug)]
pub(crate) struct Extensions {
    table: Vec<Extension>,
    free: u32,
    /// A binary heap, the earliest first.
    deadlines: Vec<Deadline>,
    live: u32,
    /// Reserve shares of all orders.
    reserve: u64,
    /// By instrument id: first and last of its reserve orders.
    reserves: Vec<(u32, u32)>,
}

impl Extensions {
    pub fn new() -> Self {
        Self {
            table: Vec::new(),
            free: NONE,
            deadlines: Vec::new(),
            live: 0,
            reserve: 0,
            reserves: Vec::new(),
        }
    }

    /// How many orders of so many may have one.
    pub const fn room(open_orders_max: u32) -> u32 {
        open_orders_max.div_ceil(4)
    }

    pub fn grow(&mut self, open_orders_max: u32, instruments_max: u32) {
        grown(
            &mut self.reserves,
            instruments_max as usize + 1,
            (NONE, NONE),
        );
        let from = self.table.len() as u32;
        let room = Self::room(open_orders_max);
        grown(&mut self.table, room as usize, Extension::NONE);
        for index in (from..room).rev() {
            self.table[index as usize].at = self.free;
            self.free = index;
        }
        self.deadlines
            .reserve_exact(room as usize - self.deadlines.len());
        // Touches what later pushes will use.
        let length = self.deadlines.len();
        let unused = Deadline {
            deadline: Timestamp(0),
            reference: 0,
            slot: NONE,
            extension: NONE,
        };
        self.deadlines.resize(room as usize, unused);
        self.deadlines.truncate(length);
    }

    pub fn is_full(&self) -> bool {
        self.free == NONE
    }

    #[cfg(test)]
    pub fn get_mut(&mut self, index: u32) -> &mut Extension {
        &mut self.table[index as usize]
    }

    pub fn get(&self, index: u32) -> &Extension {
        &self.table[index as usize]
    }

    /// The extension, or one without anything for `NONE`.
    #[inline(always)]
    pub fn of(&self, index: u32) -> Extension {
        if index == NONE {
            Extension::NONE
        } else {
            self.table[index as usize]
        }
    }

    /// Whether any order has a reserve.
    pub fn any_reserve(&self) -> bool {
        self.reserve != 0
    }

    pub fn live(&self) -> u32 {
        self.live
    }

    /// Gives an order an extension; the caller has seen that there is room.
    pub fn add(&mut self, extension: Extension, reference: u64, slot: u32) -> u32 {
        let index = self.free;
        self.free = self.table[index as usize].at;
        self.table[index as usize] = Extension {
            at: NONE,
            slot,
            ..extension
        };
        self.live += 1;
        self.reserve += u64::from(extension.reserve);
        if extension.deadline != Timestamp(0) {
            let deadline = extension.deadline;
            self.deadlines.push(Deadline {
                deadline,
                reference,
                slot,
                extension: index,
            });
            self.rise(self.deadlines.len() - 1);
        }
        index
    }

    /// Takes the extension of an order that leaves.
    pub fn remove(&mut self, index: u32) -> Extension {
        let extension = self.table[index as usize];
        if extension.instrument != 0 {
            self.unlink(index);
        }
        self.live -= 1;
        self.reserve -= u64::from(extension.reserve);
        if extension.deadline != Timestamp(0) {
            let at = extension.at as usize;
            self.deadlines.swap_remove(at);
            if at < self.deadlines.len() {
                self.sink(at);
                self.rise(at);
            }
        }
        self.table[index as usize] = Extension {
            at: self.free,
            ..Extension::NONE
        };
        self.free = index;
        extension
    }

    /// The instrument's reserve order with the lowest order reference, or `NONE`.
    pub fn first_reserve(&self, instrument: InstrumentId) -> u32 {
        self.reserves[instrument.0 as usize].0
    }

    /// Puts a reserve order that rests behind all others of its instrument: it has the highest order
    /// reference. Does nothing for another order.
    pub fn link(&mut self, index: u32, instrument: InstrumentId) {
        if self.table[index as usize].max_floor == 0 {
            return;
        }
        self.table[index as usize].instrument = instrument.0;
        let ends = &mut self.reserves[instrument.0 as usize];
        let last = ends.1;
        ends.1 = index;
        if last == NONE {
            ends.0 = index;
        } else {
            self.table[last as usize].next = index;
        }
        self.table[index as usize].prev = last;
        self.table[index as usize].next = NONE;
    }

    fn unlink(&mut self, index: u32) {
        let Extension {
            instrument,
            next,
            prev,
            ..
        } = self.table[index as usize];
        let ends = &mut self.reserves[instrument as usize];
        if prev == NONE {
            ends.0 = next;
        }
        if next == NONE {
            ends.1 = prev;
        }
        if prev != NONE {
            self.table[prev as usize].next = next;
        }
        if next != NONE {
            self.table[next as usize].prev = prev;
        }
    }

    /// Makes shares of an order a reserve that has none.
    pub fn hold_back(&mut self, index: u32, reserve: u32) {
        let extension = &mut self.table[index as usize];
        debug_assert!(extension.reserve == 0 && extension.max_floor != 0);
        extension.reserve = reserve;
        self.reserve += u64::from(reserve);
    }

    /// Lowers a reserve to what is left of it.
    pub fn set_reserve(&mut self, index: u32, reserve: u32) {
        let extension = &mut self.table[index as usize];
        self.reserve -= u64::from(extension.reserve - reserve);
        extension.reserve = reserve;
    }

    /// Displays the next shares of a reserve; returns how many, 0 if none are left.
    pub fn refresh(&mut self, index: u32, draw: &Draw) -> u32 {
        let extension = &mut self.table[index as usize];
        let size = extension.next_size(draw, 1);
        let shown = size.min(extension.reserve);
        if extension.random != 0 {
            extension.refreshed = extension.refreshed.wrapping_add(1);
        }
        let extension = &self.table[index as usize];
        self.set_reserve(index, extension.reserve - shown);
        shown
    }

    /// The earliest deadline and the slot of its order.
    pub fn first(&self) -> Option<(Timestamp, u32)> {
        self.deadlines
            .first()
            .map(|first| (first.deadline, first.slot))
    }

    fn place(&mut self, at: usize, entry: Deadline) {
        self.deadlines[at] = entry;
        self.table[entry.extension as usize].at = at as u32;
    }

    fn rise(&mut self, mut at: usize) {
        let entry = self.deadlines[at];
        while at != 0 {
            let parent = (at - 1) / 2;
            if self.deadlines[parent] < entry {
                break;
            }
            self.place(at, self.deadlines[parent]);
            at = parent;
        }
        self.place(at, entry);
    }

    fn sink(&mut self, mut at: usize) {
        let entry = self.deadlines[at];
        loop {
            let left = at * 2 + 1;
            let Some(&first) = self.deadlines.get(left) else {
                break;
            };
            let (child, below) = match self.deadlines.get(left + 1) {
                Some(&right) if right < first => (left + 1, right),
                _ => (left, first),
            };
            if entry < below {
                break;
            }
            self.place(at, below);
            at = child;
        }
        self.place(at, entry);
    }

    /// Checks heap, positions and totals.
    pub fn check(&self) -> Result<(), &'static str> {
        for (at, entry) in self.deadlines.iter().enumerate() {
            if at != 0 && self.deadlines[(at - 1) / 2] > *entry {
                return Err("a deadline lies above an earlier one");
            }
            let extension = self.get(entry.extension);
            if extension.at as usize != at || extension.deadline != entry.deadline {
                return Err("a deadline and its order disagree");
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Deadlines against a sorted list: the earliest is always first, whatever leaves in between.
        #[test]
        fn the_earliest_deadline_is_first(steps in proptest::collection::vec((0..40u64, any::<u16>()), 1..200)) {
            let mut extensions = Extensions::new();
            extensions.grow(1_000, 1);
            let mut sorted: Vec<(u64, u64, u32)> = Vec::new();
            for (reference, (deadline, pick)) in (1..).zip(steps) {
                if pick % 3 == 0 && !sorted.is_empty() {
                    let (_, _, index) = sorted.remove(usize::from(pick) % sorted.len());
                    extensions.remove(index);
                } else {
                    let extension = Extension { deadline: Timestamp(deadline), ..Extension::NONE };
                    let index = extensions.add(extension, reference, reference as u32);
                    if deadline != 0 {
                        sorted.push((deadline, reference, index));
                        sorted.sort_unstable();
                    }
                }
                prop_assert_eq!(extensions.check(), Ok(()));
                let wanted = sorted.first().map(|first| (Timestamp(first.0), first.1 as u32));
                prop_assert_eq!(extensions.first(), wanted);
            }
        }
    }
}
