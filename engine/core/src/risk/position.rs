//! Positions: what each firm has bought, sold and has open in each instrument that it traded.
//!
//! Open addressing, at most half full; an entry is its own cache line, so that one multiplication leads to
//! the line that is needed. Pairs that were never used take no room. Nothing here allocates after `grow`.

use crate::grown;
use alloc::vec::Vec;
use core::hint::select_unpredictable;
use lockstep_prefetch::prefetch;
use lockstep_record::{FirmId, InstrumentId, Side};

/// Of a firm in an instrument; shares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(C, align(64))]
pub(crate) struct Position {
    /// Net position before today's trades; below 0 = short.
    pub carried: i128,
    /// By today's trades that were not broken.
    pub bought: u64,
    pub sold: u64,
    /// Of live orders, reserves included.
    pub open_buy: u64,
    pub open_sell: u64,
    /// 0: the entry is free.
    pub firm: u32,
    pub instrument: u32,
}
const _: () = assert!(size_of::<Position>() == 64);

pub(crate) const FREE_POSITION: Position = Position {
    carried: 0,
    bought: 0,
    sold: 0,
    open_buy: 0,
    open_sell: 0,
    firm: 0,
    instrument: 0,
};

impl Position {
    /// Shares bought less shares sold, over all days.
    pub fn net(&self) -> i128 {
        self.carried + i128::from(self.bought) - i128::from(self.sold)
    }

    /// Shares traded today and open on both sides.
    pub fn gross(&self) -> i128 {
        [self.bought, self.sold, self.open_buy, self.open_sell]
            .map(i128::from)
            .iter()
            .sum()
    }

    /// Shares are open.
    #[inline(always)]
    pub fn opened(&mut self, side: Side, quantity: u32) {
        let [buy, sell] = shares(side, quantity);
        self.open_buy += buy;
        self.open_sell += sell;
    }

    /// Shares that were open are not any more.
    #[inline(always)]
    pub fn closed(&mut self, side: Side, quantity: u32) {
        let [buy, sell] = shares(side, quantity);
        self.open_buy -= buy;
        self.open_sell -= sell;
    }

    /// The firm traded.
    #[inline(always)]
    pub fn traded(&mut self, side: Side, quantity: u32) {
        let [buy, sell] = shares(side, quantity);
        self.bought += buy;
        self.sold += sell;
    }

    /// A trade of today is undone.
    pub fn broken(&mut self, side: Side, quantity: u32) {
        let [buy, sell] = shares(side, quantity);
        self.bought -= buy;
        self.sold -= sell;
    }
}

/// Shares on either side, without a branch on the side, which would be a coin's toss.
#[inline(always)]
fn shares(side: Side, quantity: u32) -> [u64; 2] {
    let buy = select_unpredictable(side == Side::Buy, u64::from(quantity), 0);
    [buy, u64::from(quantity) - buy]
}

#[derive(Debug)]
pub(crate) struct Positions {
    table: Vec<Position>,
    live: u32,
    /// 0: positions are not kept.
    positions_max: u32,
}

impl Positions {
    pub fn new() -> Self {
        Self {
            table: Vec::new(),
            live: 0,
            positions_max: 0,
        }
    }

    #[inline(always)]
    pub fn are_kept(&self) -> bool {
        self.positions_max != 0
    }

    pub fn live(&self) -> u32 {
        self.live
    }

    /// Makes room for so many pairs, what there is included.
    pub fn grow(&mut self, positions_max: u32) {
        if positions_max == self.positions_max {
            return;
        }
        let slots = (positions_max as usize * 2).next_power_of_two();
        let before = core::mem::take(&mut self.table);
        grown(&mut self.table, slots, FREE_POSITION);
        self.positions_max = positions_max;
        for position in before.iter().filter(|position| position.firm != 0) {
            let at = self.free_from(self.home(position.firm, position.instrument));
            self.table[at] = *position;
        }
    }

    /// Gives up all of it: positions are not kept.
    pub fn clear(&mut self) {
        *self = Self::new();
    }

    #[inline(always)]
    fn home(&self, firm: u32, instrument: u32) -> usize {
        // Both have 16 bits (bounds.rs); the product's upper half depends on all of them.
        let key = u64::from(firm << 16 | instrument);
        (key.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32) as usize & (self.table.len() - 1)
    }

    /// Asks for the line where a pair is first looked for; see [`crate::ahead`].
    #[inline(always)]
    pub fn warm(&self, firm: FirmId, instrument: InstrumentId) {
        if self.are_kept() {
            prefetch(&self.table, self.home(firm.0, instrument.0));
        }
    }

    fn free_from(&self, mut at: usize) -> usize {
        while self.table[at].firm != 0 {
            at = (at + 1) & (self.table.len() - 1);
        }
        at
    }

    /// Where a pair's position is; positions are kept.
    #[inline(always)]
    fn place(&self, firm: u32, instrument: u32) -> Option<usize> {
        let mut at = self.home(firm, instrument);
        loop {
            let entry = &self.table[at];
            if entry.firm == firm && entry.instrument == instrument {
                return Some(at);
            }
            if entry.firm == 0 {
                return None;
            }
            at = (at + 1) & (self.table.len() - 1);
        }
    }

    #[inline(always)]
    pub fn find(&self, firm: FirmId, instrument: InstrumentId) -> Option<&Position> {
        if !self.are_kept() {
            return None;
        }
        let at = self.place(firm.0, instrument.0)?;
        Some(&self.table[at])
    }

    #[inline(always)]
    pub fn find_mut(&mut self, firm: FirmId, instrument: InstrumentId) -> Option<&mut Position> {
        if !self.are_kept() {
            return None;
        }
        let at = self.place(firm.0, instrument.0)?;
        Some(&mut self.table[at])
    }

    /// Whether a pair that has no position could not get one.
    #[inline(always)]
    pub fn lacks_room(&self, firm: FirmId, instrument: InstrumentId) -> bool {
        self.are_kept() && self.live == self.positions_max && self.find(firm, instrument).is_none()
    }

    /// The pair's position, a new one if it has none; `None` if they are not kept or there is no room.
    #[inline(always)]
    pub fn claim(&mut self, firm: FirmId, instrument: InstrumentId) -> Option<&mut Position> {
        if !self.are_kept() {
            return None;
        }
        let at = match self.place(firm.0, instrument.0) {
            Some(at) => at,
            None => self.add(firm.0, instrument.0)?,
        };
        Some(&mut self.table[at])
    }

    #[cold]
    fn add(&mut self, firm: u32, instrument: u32) -> Option<usize> {
        if self.live == self.positions_max {
            return None;
        }
        let at = self.free_from(self.home(firm, instrument));
        self.table[at] = Position {
            firm,
            instrument,
            ..FREE_POSITION
        };
        self.live += 1;
        Some(at)
    }

    /// Today's trades become part of what is carried; what `stays` does not want goes.
    pub fn begin_day(&mut self, stays: impl Fn(&Position) -> bool) {
        for position in &mut self.table {
            position.carried = position.net();
            position.bought = 0;
            position.sold = 0;
        }
        self.retain(stays);
    }

    /// What is open becomes 0 everywhere, to be counted again.
    pub fn forget_open(&mut self) {
        for position in &mut self.table {
            position.open_buy = 0;
            position.open_sell = 0;
        }
    }

    /// Keeps what `stays` wants.
    pub fn retain(&mut self, stays: impl Fn(&Position) -> bool) {
        let mut at = 0;
        while at < self.table.len() {
            if self.table[at].firm == 0 || stays(&self.table[at]) {
                at += 1;
            } else {
                // What moves into its place is looked at next.
                self.remove_at(at);
            }
        }
    }

    /// Takes an entry out and moves those behind it up, so that no search ends too early.
    fn remove_at(&mut self, mut hole: usize) {
        let mask = self.table.len() - 1;
        let mut at = hole;
        loop {
            at = (at + 1) & mask;
            let entry = self.table[at];
            if entry.firm == 0 {
                break;
            }
            // An entry may not move to before its home.
            let from_home = at.wrapping_sub(self.home(entry.firm, entry.instrument)) & mask;
            let from_hole = at.wrapping_sub(hole) & mask;
            if from_home >= from_hole {
                self.table[hole] = entry;
                hole = at;
            }
        }
        self.table[hole] = FREE_POSITION;
        self.live -= 1;
    }

    /// All there are, in no order.
    pub fn iter(&self) -> impl Iterator<Item = &Position> {
        self.table.iter().filter(|position| position.firm != 0)
    }

    /// All there are, by firm, then instrument. Allocates; not for the hot path.
    pub fn sorted(&self) -> Vec<Position> {
        let mut all: Vec<Position> = self.iter().copied().collect();
        all.sort_unstable_by_key(|position| (position.firm, position.instrument));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Claims and removals against an ordered map, with a table small enough to be full and wrap.
        #[test]
        fn a_pair_finds_its_own_position(
            steps in proptest::collection::vec((1..9u32, 1..9u32, 0..8u8), 1..200),
            positions_max in 1..24u32,
        ) {
            let mut positions = Positions::new();
            positions.grow(positions_max);
            let mut wanted: BTreeMap<(u32, u32), u64> = BTreeMap::new();
            for (count, (firm, instrument, what)) in (1..).zip(steps) {
                let (id, other) = (FirmId(firm), InstrumentId(instrument));
                if what == 0 {
                    positions.retain(|position| position.firm != firm);
                    wanted.retain(|pair, _| pair.0 != firm);
                } else {
                    let there = wanted.contains_key(&(firm, instrument));
                    let room = there || wanted.len() < positions_max as usize;
                    prop_assert_eq!(positions.lacks_room(id, other), !room);
                    let claimed = positions.claim(id, other);
                    prop_assert_eq!(claimed.is_some(), room);
                    if let Some(position) = claimed {
                        position.bought = count;
                        wanted.insert((firm, instrument), count);
                    }
                }
                prop_assert_eq!(positions.live() as usize, wanted.len());
                let sorted: Vec<_> = positions.sorted().iter().map(|p| ((p.firm, p.instrument), p.bought)).collect();
                prop_assert_eq!(sorted, wanted.iter().map(|(k, v)| (*k, *v)).collect::<Vec<_>>());
                for ((firm, instrument), bought) in &wanted {
                    let found = positions.find(FirmId(*firm), InstrumentId(*instrument));
                    prop_assert_eq!(found.map(|found| found.bought), Some(*bought));
                }
            }
            positions.grow(positions_max + 40);
            prop_assert_eq!(positions.sorted().len(), wanted.len());
            for (firm, instrument) in wanted.keys() {
                prop_assert!(positions.find(FirmId(*firm), InstrumentId(*instrument)).is_some());
            }
        }
    }
}
