//! Finds a live order by its owner and number.
//!
//! Open addressing with a first and a second choice. The *place* of a key is one slot: (owner, number /
//! 1024) chooses a page of 64 cache lines, the number's low bits a slot in it. The successive pages of one
//! client go round the whole table before one comes again, whichever the client begins with: so a client
//! that numbers densely walks through whole lines of one page after another and meets its own orders only
//! where they are a table's length old; the number of pages is odd, so that one that numbers in steps of a
//! power of two goes round as well. Both pay one look. An order whose place is taken is a *stray*: it lies in the line
//! that a keyed hash of (owner, number / 16) chooses, whose key no client knows, or in one behind that.
//! Each line counts the strays whose place it
//! holds and those that passed over it, so that a search ends where there are none, and removal leaves no
//! tombstone. Numbers chosen to meet in one place cost their owner a second look, no more.
//!
//! The table stores slots of the order pool only: the key is the order's own, looked at where the order is
//! needed anyway. Neither the table's layout nor the hash can influence an outcome.

use crate::{NONE, grown};
use alloc::vec::Vec;
use lockstep_prefetch::prefetch;

const LINE_SLOTS: usize = 16;
const PAGE_LINES: usize = 64;
const PAGE_SLOTS: usize = LINE_SLOTS * PAGE_LINES;
/// Table slots for each order that it has room for: a table of as many orders is 29 % full.
const ROOM_NUMERATOR: usize = 7;
const ROOM_DENOMINATOR: usize = 2;

/// What a line knows of strays.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Strays {
    /// Orders whose place it holds and that lie elsewhere.
    displaced: u32,
    /// Strays that found it full.
    passed: u32,
}

const NO_STRAYS: Strays = Strays {
    displaced: 0,
    passed: 0,
};

#[derive(Debug)]
pub(crate) struct OrderIndex {
    /// Orders by place.
    slots: Vec<u32>,
    /// By line of 16 slots.
    strays: Vec<Strays>,
    /// Odd.
    pages: u64,
    /// 2^64 / `pages`, rounded up: one page on, as a fraction of the way round the table.
    page_step: u64,
    seed: u64,
}

/// Where a key was found or belongs: slot of the table, `line × 16 + slot`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Place(u32);

impl Place {
    pub const FIRST: Self = Self(0);
    /// Marks the place of a stray.
    const STRAY: u32 = 1 << 31;

    #[inline(always)]
    fn line(self) -> usize {
        self.0 as usize / LINE_SLOTS
    }

    #[inline(always)]
    fn slot(self) -> usize {
        self.0 as usize
    }
}

/// Every bit of the key reaches the result's upper half, from which lines are taken.
#[inline(always)]
fn mix(key: u64) -> u64 {
    let product = u128::from(key ^ 0x9E37_79B9_7F4A_7C15) * 0xA076_1D64_78BD_642F;
    ((product >> 64) as u64 ^ product as u64).wrapping_mul(0xE703_7ED1_A0B4_28DB)
}

/// The slots of a line, beginning with that of a stray's own number: nearly always it lies there, and no
/// other order has to be looked at.
#[inline(always)]
fn slots_from(number: u32) -> impl Iterator<Item = usize> {
    (0..LINE_SLOTS).map(move |slot| (number as usize + slot) % LINE_SLOTS)
}

impl OrderIndex {
    pub fn new() -> Self {
        let mut index = Self {
            slots: Vec::new(),
            strays: Vec::new(),
            pages: 1,
            page_step: 0,
            seed: 0,
        };
        index.grow(0, 0, core::iter::empty());
        index
    }

    /// Bytes of table for each order that it has room for, rounded up; a last page may come on top.
    pub const fn bytes_per_order() -> usize {
        let line = LINE_SLOTS * size_of::<u32>() + size_of::<Strays>();
        (line * ROOM_NUMERATOR).div_ceil(ROOM_DENOMINATOR * LINE_SLOTS)
    }

    /// Makes room for `orders_max` keys; `live` are those in the table now, as (owner, number, order).
    /// `seed` keys the hash, so that a client cannot choose numbers that meet in one place.
    pub fn grow(
        &mut self,
        orders_max: u32,
        seed: u64,
        live: impl Iterator<Item = (u32, u32, u32)>,
    ) {
        let slots = (orders_max as usize * ROOM_NUMERATOR).div_ceil(ROOM_DENOMINATOR);
        let pages = match orders_max {
            0 => 1,
            _ => slots.div_ceil(PAGE_SLOTS).max(2) | 1,
        };
        self.slots.clear();
        self.strays.clear();
        grown(&mut self.slots, pages * PAGE_SLOTS, NONE);
        grown(&mut self.strays, pages * PAGE_LINES, NO_STRAYS);
        self.pages = pages as u64;
        // Of one page: 0, as a whole turn wraps; that table holds nothing.
        self.page_step = (u64::MAX / self.pages).wrapping_add(1);
        self.seed = seed;
        for (owner, number, order) in live {
            self.insert(owner, number, order);
        }
    }

    #[inline(always)]
    fn place(&self, owner: u32, number: u32) -> Place {
        let block = u64::from(number) / PAGE_SLOTS as u64;
        let begin = u64::from(owner).wrapping_mul(0xD6E8_FEB8_6659_FD93);
        let way = u128::from(block) * u128::from(self.page_step);
        // Whole turns of all pages, and how far into the next one.
        let (turns, turn) = ((way >> 64) as u64, (way as u64).wrapping_add(begin));
        // Below 2^32, as `pages` is below 2^32.
        let page = ((turn >> 32) * self.pages) >> 32;
        // Each turn another slot, or numbers in steps of 16 would all have the same slots of a page.
        let shuffle = turns ^ (turns >> 6) ^ (begin >> 32);
        let slot = (u64::from(number) ^ shuffle) % PAGE_SLOTS as u64;
        Place(page as u32 * PAGE_SLOTS as u32 + slot as u32)
    }

    /// Both lines that a search for a key looks at; what they hold, folded.
    #[inline(always)]
    pub fn look_at_place(&self, owner: u32, number: u32) -> u32 {
        let place = self.place(owner, number);
        self.slots[place.slot()] ^ self.strays[place.line()].displaced
    }

    /// First line where a stray may lie.
    fn stray_line(&self, owner: u32, number: u32) -> usize {
        let group = number / LINE_SLOTS as u32;
        let mixed = mix(((u64::from(owner) << 32) | u64::from(group)) ^ self.seed);
        (((mixed >> 32) * self.strays.len() as u64) >> 32) as usize
    }

    fn line(&self, line: usize) -> &[u32] {
        &self.slots[line * LINE_SLOTS..][..LINE_SLOTS]
    }

    fn line_mut(&mut self, line: usize) -> &mut [u32] {
        &mut self.slots[line * LINE_SLOTS..][..LINE_SLOTS]
    }

    fn after(&self, line: usize) -> usize {
        if line + 1 == self.strays.len() {
            0
        } else {
            line + 1
        }
    }

    /// Asks for the line of a key's place; see [`crate::book::ahead`].
    #[inline(always)]
    pub fn warm(&self, owner: u32, number: u32) -> Place {
        let place = self.place(owner, number);
        prefetch(&self.slots, place.slot());
        place
    }

    /// The order at a place, whoever's it is, or `NONE`.
    #[inline(always)]
    pub fn at(&self, place: Place) -> u32 {
        self.slots.get(place.slot()).copied().unwrap_or(NONE)
    }

    /// The order of this key, or `NONE`, and where it was found. `is_it` tells whether an order of the
    /// table has the key.
    #[inline(always)]
    pub fn find(&self, owner: u32, number: u32, is_it: impl Fn(u32) -> bool) -> (u32, Place) {
        let place = self.place(owner, number);
        let order = self.slots[place.slot()];
        if order != NONE && is_it(order) {
            return (order, place);
        }
        if self.strays[place.line()].displaced == 0 {
            return (NONE, place);
        }
        self.find_stray(owner, number, is_it)
    }

    #[inline(never)]
    fn find_stray(&self, owner: u32, number: u32, is_it: impl Fn(u32) -> bool) -> (u32, Place) {
        let first = self.stray_line(owner, number);
        let mut line = first;
        loop {
            for slot in slots_from(number) {
                let order = self.line(line)[slot];
                if order != NONE && is_it(order) {
                    let place = (line * LINE_SLOTS + slot) as u32;
                    return (order, Place(place | Place::STRAY));
                }
            }
            let ends = self.strays[line].passed == 0;
            line = self.after(line);
            if ends || line == first {
                return (NONE, Place(0));
            }
        }
    }

    /// Adds a key that is not in the table. The caller keeps the number of keys within the bound.
    #[inline(always)]
    pub fn insert(&mut self, owner: u32, number: u32, order: u32) {
        debug_assert!(order != NONE);
        let place = self.place(owner, number);
        let slot = &mut self.slots[place.slot()];
        if *slot == NONE {
            *slot = order;
        } else {
            self.insert_stray(place, owner, number, order);
        }
    }

    #[inline(never)]
    fn insert_stray(&mut self, home: Place, owner: u32, number: u32, order: u32) {
        self.strays[home.line()].displaced += 1;
        let mut line = self.stray_line(owner, number);
        loop {
            let slots = self.line_mut(line);
            if let Some(slot) = slots_from(number).find(|&slot| slots[slot] == NONE) {
                slots[slot] = order;
                return;
            }
            self.strays[line].passed += 1;
            line = self.after(line);
        }
    }

    /// Removes a key that is in the table for `order`.
    #[inline(always)]
    pub fn remove(&mut self, owner: u32, number: u32, order: u32) {
        let place = self.place(owner, number);
        let slot = &mut self.slots[place.slot()];
        if *slot == order {
            *slot = NONE;
        } else {
            self.remove_stray(place, owner, number, order);
        }
    }

    /// Removes a key where `find` has just found it.
    #[inline(always)]
    pub fn remove_at(&mut self, place: Place, owner: u32, number: u32, order: u32) {
        if place.0 & Place::STRAY == 0 {
            self.slots[place.slot()] = NONE;
        } else {
            self.remove_stray(self.place(owner, number), owner, number, order);
        }
    }

    #[inline(never)]
    fn remove_stray(&mut self, home: Place, owner: u32, number: u32, order: u32) {
        debug_assert!(
            self.strays[home.line()].displaced > 0,
            "the key is not in the table"
        );
        self.strays[home.line()].displaced -= 1;
        let mut line = self.stray_line(owner, number);
        loop {
            if let Some(slot) = self.line_mut(line).iter_mut().find(|slot| **slot == order) {
                *slot = NONE;
                return;
            }
            debug_assert!(self.strays[line].passed > 0, "the key is not in the table");
            self.strays[line].passed -= 1;
            line = self.after(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use alloc::collections::BTreeMap;
    use proptest::prelude::*;

    /// Keys that share pages and places, and some that do not.
    fn key() -> impl Strategy<Value = (u32, u32)> {
        (
            1..4u32,
            prop_oneof![1..700u32, (1..300u32).prop_map(|i| i * 1024), 1..=u32::MAX],
        )
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 60, failure_persistence: None, ..ProptestConfig::default() })]

        /// Against an ordered map, in a table of one page that gets as good as full, so that most keys are
        /// strays and pass lines: every key is found, none that is not there, and when all are gone no line
        /// counts a stray.
        #[test]
        fn agrees_with_a_map(steps in proptest::collection::vec(key(), 1..3_000)) {
            const KEYS: usize = PAGE_SLOTS - 8;
            let mut index = OrderIndex::new();
            prop_assert_eq!(index.pages, 1);
            let mut keys = [(0, 0); KEYS];
            let mut free: Vec<u32> = (0..KEYS as u32).collect();
            let mut map = BTreeMap::new();
            for (owner, number) in steps {
                let is_it = |order: u32| keys[order as usize] == (owner, number);
                let (found, place) = index.find(owner, number, is_it);
                prop_assert_eq!((found != NONE).then_some(found), map.get(&(owner, number)).copied());
                if found != NONE {
                    map.remove(&(owner, number));
                    if number.is_multiple_of(2) {
                        index.remove(owner, number, found);
                    } else {
                        index.remove_at(place, owner, number, found);
                    }
                    free.push(found);
                } else if let Some(order) = free.pop() {
                    keys[order as usize] = (owner, number);
                    index.insert(owner, number, order);
                    map.insert((owner, number), order);
                }
            }
            for (&(owner, number), &order) in &map {
                let is_it = |order: u32| keys[order as usize] == (owner, number);
                prop_assert_eq!(index.find(owner, number, is_it).0, order);
            }
            for ((owner, number), order) in map {
                index.remove(owner, number, order);
            }
            prop_assert!(index.strays.iter().all(|&strays| strays == NO_STRAYS));
            prop_assert!(index.slots.iter().all(|&slot| slot == NONE));
        }
    }

    /// A client that numbers densely and has had its orders for as long as the table is: the golden ratio,
    /// by which pages were chosen once, brought one order in ten to the page of another one.
    #[test]
    fn orders_of_one_turn_of_the_table_do_not_meet() {
        for orders_max in [1_000u32, 16_384, 50_000] {
            let mut index = OrderIndex::new();
            index.grow(orders_max, 7, core::iter::empty());
            // A page less, as a turn may begin in the middle of one.
            let length = (index.slots.len() - PAGE_SLOTS) as u32;
            for number in 1..4 * index.slots.len() as u32 {
                index.insert(513, number, number);
                if number > length {
                    index.remove(513, number - length, number - length);
                }
                let line = index.place(513, number).line();
                assert_eq!(index.strays[line], NO_STRAYS, "order {number}");
            }
        }
    }

    /// However a client spaces its numbers, few of its orders stray, in a table with as many orders as it
    /// is made for.
    #[test]
    fn dense_and_sparse_numbers_find_their_places() {
        for step in [
            1u32, 2, 8, 16, 64, 100, 256, 1000, 1024, 4096, 65_536, 65_537,
        ] {
            let mut index = OrderIndex::new();
            index.grow(50_000, 99, core::iter::empty());
            for i in 0..50_000u32 {
                index.insert(1, (i + 1).wrapping_mul(step), i);
            }
            let strays: u64 = index.strays.iter().map(|s| u64::from(s.displaced)).sum();
            let passed: u64 = index.strays.iter().map(|s| u64::from(s.passed)).sum();
            assert!(
                strays < 12_000,
                "step {step}: {strays} of 50,000 keys strayed"
            );
            assert!(passed < 2_000, "step {step}: strays passed {passed} lines");
        }
    }
}
