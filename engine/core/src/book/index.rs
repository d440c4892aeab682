//! Finds a live order by its owner and number.
//!
//! Open addressing over cache lines of eight entries. The home line of a key is a keyed hash of (owner,
//! number / 8), so a client that numbers densely has eight neighbours in one line, and one that numbers
//! sparsely anywhere in u32 pays nothing extra. A line that is full spills into the next; each line
//! counts the entries that passed over it, so a search ends at the first line that nobody passed, and
//! removal leaves no tombstone. The table has at least two entries of room for each order.
//!
//! Owner and number of an entry are the order's own: the table stores the number and the order only.
//! Neither the table's layout nor the hash can influence an outcome.

use crate::{NONE, grown};
use alloc::vec::Vec;

const LINE_ENTRIES: usize = 8;

#[derive(Clone, Copy, Debug)]
#[repr(C)]
struct Entry {
    /// 0: empty; no live order has number 0.
    number: u32,
    order: u32,
}

const EMPTY: Entry = Entry {
    number: 0,
    order: NONE,
};

#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line {
    entries: [Entry; LINE_ENTRIES],
}
const _: () = assert!(size_of::<Line>() == 64);

#[derive(Debug)]
pub(crate) struct OrderIndex {
    lines: Vec<Line>,
    /// By line: entries that found it full on their way from their home.
    passed: Vec<u32>,
    seed: u64,
}

impl OrderIndex {
    pub fn new() -> Self {
        let mut index = Self {
            lines: Vec::new(),
            passed: Vec::new(),
            seed: 0,
        };
        index.grow(0, 0, core::iter::empty());
        index
    }

    /// Bytes of table for each order that it has room for.
    pub const fn bytes_per_order() -> usize {
        2 * size_of::<Entry>()
    }

    /// Makes room for `orders_max` keys; `live` are those in the table now, as (owner, number, order).
    /// `seed` keys the hash, so that a client cannot choose numbers that meet in one line.
    pub fn grow(
        &mut self,
        orders_max: u32,
        seed: u64,
        live: impl Iterator<Item = (u32, u32, u32)>,
    ) {
        let lines = (orders_max as usize * 2).div_ceil(LINE_ENTRIES).max(2);
        self.lines.clear();
        self.passed.clear();
        grown(
            &mut self.lines,
            lines,
            Line {
                entries: [EMPTY; LINE_ENTRIES],
            },
        );
        grown(&mut self.passed, lines, 0);
        self.seed = seed;
        for (owner, number, order) in live {
            self.insert(owner, number, order);
        }
    }

    #[inline(always)]
    fn home(&self, owner: u32, number: u32) -> usize {
        let group = number / LINE_ENTRIES as u32;
        let key = ((u64::from(owner) << 32) | u64::from(group)) ^ self.seed;
        let product = u128::from(key ^ 0x9E37_79B9_7F4A_7C15) * 0xA076_1D64_78BD_642F;
        let mixed = (product >> 64) as u64 ^ product as u64;
        (((mixed >> 32) * self.lines.len() as u64) >> 32) as usize
    }

    #[inline(always)]
    fn after(&self, line: usize) -> usize {
        if line + 1 == self.lines.len() {
            0
        } else {
            line + 1
        }
    }

    /// The order of this key. `owner_of` tells the owner of an order in the table.
    #[inline(always)]
    pub fn find(&self, owner: u32, number: u32, owner_of: impl Fn(u32) -> u32) -> u32 {
        let home = self.home(owner, number);
        let entry = self.lines[home].entries[number as usize % LINE_ENTRIES];
        if entry.number == number && number != 0 && owner_of(entry.order) == owner {
            return entry.order;
        }
        self.find_in_lines(home, owner, number, owner_of)
    }

    fn find_in_lines(
        &self,
        mut line: usize,
        owner: u32,
        number: u32,
        owner_of: impl Fn(u32) -> u32,
    ) -> u32 {
        if number == 0 {
            return NONE;
        }
        loop {
            for entry in &self.lines[line].entries {
                if entry.number == number && owner_of(entry.order) == owner {
                    return entry.order;
                }
            }
            if self.passed[line] == 0 {
                return NONE;
            }
            line = self.after(line);
        }
    }

    /// Adds a key that is not in the table. The caller keeps the number of keys within the bound.
    #[inline(always)]
    pub fn insert(&mut self, owner: u32, number: u32, order: u32) {
        debug_assert!(number != 0 && order != NONE);
        let mut line = self.home(owner, number);
        let entry = &mut self.lines[line].entries[number as usize % LINE_ENTRIES];
        if entry.number == 0 {
            *entry = Entry { number, order };
            return;
        }
        loop {
            if let Some(entry) = self.lines[line]
                .entries
                .iter_mut()
                .find(|entry| entry.number == 0)
            {
                *entry = Entry { number, order };
                return;
            }
            self.passed[line] += 1;
            line = self.after(line);
        }
    }

    /// Removes a key that is in the table for `order`.
    #[inline(always)]
    pub fn remove(&mut self, owner: u32, number: u32, order: u32) {
        let home = self.home(owner, number);
        let entry = &mut self.lines[home].entries[number as usize % LINE_ENTRIES];
        if entry.number == number && entry.order == order {
            *entry = EMPTY;
            return;
        }
        let mut line = home;
        loop {
            let held = |entry: &&mut Entry| entry.number == number && entry.order == order;
            if let Some(entry) = self.lines[line].entries.iter_mut().find(held) {
                *entry = EMPTY;
                return;
            }
            // It was not found here, so it passed over this line when it came.
            debug_assert!(self.passed[line] > 0, "the key is not in the table");
            self.passed[line] -= 1;
            line = self.after(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    proptest! {
        /// Against an ordered map, with so few lines that most keys spill: every key is found, none that
        /// is not there, and when all are gone nothing counts as passed.
        #[test]
        fn agrees_with_a_map(steps in proptest::collection::vec((1..4u32, prop_oneof![1..40u32, proptest::num::u32::ANY]), 1..400)) {
            const ORDERS_MAX: usize = 24;
            let mut index = OrderIndex::new();
            index.grow(ORDERS_MAX as u32, 7, core::iter::empty());
            let mut owners = [0; ORDERS_MAX];
            let mut free: Vec<u32> = (0..ORDERS_MAX as u32).collect();
            let mut map = BTreeMap::new();
            for (owner, number) in steps {
                let found = index.find(owner, number, |order| owners[order as usize]);
                prop_assert_eq!((found != NONE).then_some(found), map.get(&(owner, number)).copied());
                if let Some(order) = map.remove(&(owner, number)) {
                    index.remove(owner, number, order);
                    free.push(order);
                } else if number != 0 && let Some(order) = free.pop() {
                    owners[order as usize] = owner;
                    index.insert(owner, number, order);
                    map.insert((owner, number), order);
                }
            }
            for (&(owner, number), &order) in &map {
                prop_assert_eq!(index.find(owner, number, |order| owners[order as usize]), order);
            }
            for ((owner, number), order) in map {
                index.remove(owner, number, order);
            }
            prop_assert!(index.passed.iter().all(|&passed| passed == 0));
            prop_assert!(index.lines.iter().all(|line| line.entries.iter().all(|entry| entry.number == 0)));
        }
    }

    /// A client that numbers densely fills lines; one that numbers sparsely spreads. Neither makes long
    /// searches.
    #[test]
    fn dense_and_sparse_numbers_stay_near_home() {
        for step in [1u32, 8, 4096, 65_537] {
            let mut index = OrderIndex::new();
            index.grow(10_000, 99, core::iter::empty());
            for i in 0..10_000u32 {
                index.insert(1, (i + 1).wrapping_mul(step), i);
            }
            let passed: u64 = index.passed.iter().map(|&p| u64::from(p)).sum();
            assert!(
                passed < 10_000,
                "step {step}: {passed} lines passed by 10,000 keys"
            );
        }
    }
}
