//! Live orders of many books in one slab, in price-time order through their levels.
//!
//! An order is 32 bytes and known by its *slot* in the slab. Links are u32 slots; free slots form a LIFO
//! list, so that the slot just freed, still in the cache, is taken next. Adding, reducing and removing an
//! order cost the same however many there are.
//!
//! This module knows prices as ticks and clients as an opaque (owner, number); it must not know of
//! sessions, days or protocols.

use super::index::{OrderIndex, Place};
use super::ladder::{Best, Key, Ladder, Level, LevelPool, TICK_MAX};
use crate::{NONE, grown};
use alloc::vec::Vec;
use core::hint::select_unpredictable;
use lockstep_record::Side;

/// Most live orders: slots and the free list are u32, `NONE` is none.
pub const ORDERS_MAX: u32 = (1 << 27) - 1;

/// A live order. In a free slot `next` is the next free one and `open` is 0.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(32))]
pub(crate) struct Order {
    /// Behind it on its level.
    pub next: u32,
    /// Before it on its level.
    pub prev: u32,
    pub level: u32,
    /// Shares that can still trade; never 0 in a live order.
    pub open: u32,
    /// Shares of the whole chain of replacements that have traded.
    pub executed: u32,
    pub number: u32,
    pub owner: u32,
    /// `book << 2 | hidden << 1 | side`.
    pub place: u32,
}
const _: () = assert!(size_of::<Order>() == 32);

pub(crate) const FREE_ORDER: Order = Order {
    next: NONE,
    prev: NONE,
    level: NONE,
    open: 0,
    executed: 0,
    number: 0,
    owner: 0,
    place: 0,
};

impl Order {
    #[inline(always)]
    pub fn side(&self) -> Side {
        if self.place & 1 == 0 {
            Side::Buy
        } else {
            Side::Sell
        }
    }

    #[inline(always)]
    pub fn book(&self) -> u32 {
        self.place >> 2
    }

    /// Index of its ladder in its book.
    #[inline(always)]
    pub fn lane(&self) -> usize {
        self.place as usize & 3
    }

    /// Live, but in no book: it waits for something.
    #[inline(always)]
    pub fn is_held(&self) -> bool {
        self.level == NONE
    }

    #[inline(always)]
    pub fn is_hidden(&self) -> bool {
        self.place & 2 != 0
    }
}

/// An order about to rest.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NewOrder {
    pub owner: u32,
    pub number: u32,
    pub open: u32,
    pub executed: u32,
    /// Not displayed: trades after all displayed orders of its price.
    pub hidden: bool,
}

/// Both sides of one instrument: a cache line a ladder, and one that its owner may use the rest of.
#[derive(Clone, Copy, Debug)]
#[repr(C)]
pub(crate) struct Book {
    /// Displayed bids, displayed asks, hidden bids, hidden asks.
    pub ladders: [Ladder; LANES],
    /// Of the same.
    pub best: [Best; LANES],
    /// Its index among the books of the pool.
    pub id: u32,
}

pub(crate) const LANES: usize = 4;

/// Index of a ladder in its book.
#[inline(always)]
pub(crate) fn lane(side: Side, hidden: bool) -> usize {
    side as usize | usize::from(hidden) << 1
}

impl Book {
    pub const fn new(id: u32) -> Self {
        Self {
            ladders: [Ladder::EMPTY; LANES],
            best: [Best::NONE; LANES],
            id,
        }
    }

    /// Price of the best displayed level, in ticks.
    pub fn best(&self, side: Side) -> Option<u32> {
        let best = &self.best[lane(side, false)];
        (!best.is_none()).then(|| best.key.tick(side))
    }

    pub fn is_empty(&self) -> bool {
        self.best.iter().all(Best::is_none)
    }

    /// Whether an order of this side at this price would meet any other.
    #[inline(always)]
    pub fn crosses(&self, side: Side, tick: u32) -> bool {
        let against = side as usize ^ 1;
        let (displayed, hidden) = (&self.best[against], &self.best[against | 2]);
        // A key counts from the best price of its own side: what bounds the other side's is its mirror.
        let limit = Key(Key::of(side, tick).0 ^ TICK_MAX);
        displayed.key.min(hidden.key) <= limit
    }

    /// The ladder of a side that an aggressor takes from next: a hidden price only if it is better.
    #[inline(always)]
    pub(super) fn next_lane(&self, side: Side) -> usize {
        let (displayed, hidden) = (lane(side, false), lane(side, true));
        let hidden_is_better = self.best[hidden].key < self.best[displayed].key;
        if hidden_is_better { hidden } else { displayed }
    }
}

/// All live orders, their levels and their index.
#[derive(Debug)]
pub(crate) struct OrderPool {
    /// By slot; one more than the bound, behind all slots, which takes the links of `NONE`.
    pub(super) orders: Vec<Order>,
    free: u32,
    live: u32,
    orders_max: u32,
    pub(super) index: OrderIndex,
    pub levels: LevelPool,
}

impl OrderPool {
    pub fn new() -> Self {
        Self {
            orders: Vec::new(),
            free: NONE,
            live: 0,
            orders_max: 0,
            index: OrderIndex::new(),
            levels: LevelPool::new(),
        }
    }

    /// Bytes held for each order that the pool has room for, its index included.
    pub const fn bytes_per_order() -> usize {
        size_of::<Order>() + OrderIndex::bytes_per_order()
    }

    /// Makes room, touches all of it, and keys the index. Allocates; not on the hot path.
    pub fn grow(&mut self, orders_max: u32, levels_max: u32, seed: u64) {
        assert!(orders_max >= self.orders_max && orders_max <= ORDERS_MAX);
        let from = self.orders_max;
        self.orders_max = orders_max;
        grown(&mut self.orders, orders_max as usize + 1, FREE_ORDER);
        for slot in (from..orders_max).rev() {
            self.orders[slot as usize].next = self.free;
            self.free = slot;
        }
        let live = self
            .orders
            .iter()
            .zip(0..)
            .filter(|(order, _)| order.open != 0);
        self.index.grow(
            orders_max,
            seed,
            live.map(|(order, slot)| (order.owner, order.number, slot)),
        );
        self.levels.grow(levels_max);
    }

    #[inline(always)]
    pub fn live(&self) -> u32 {
        self.live
    }

    #[inline(always)]
    pub fn is_full(&self) -> bool {
        self.free == NONE
    }

    #[inline(always)]
    pub fn order(&self, slot: u32) -> &Order {
        &self.orders[slot as usize]
    }

    #[cfg(test)]
    pub fn order_mut(&mut self, slot: u32) -> &mut Order {
        &mut self.orders[slot as usize]
    }

    /// Price of a live order, in ticks.
    #[inline(always)]
    pub fn tick(&self, order: &Order) -> u32 {
        self.levels.key(order.level).tick(order.side())
    }

    /// Slot of the live order of this key, or `NONE`.
    #[inline(always)]
    pub fn find(&self, owner: u32, number: u32) -> u32 {
        self.find_place(owner, number).0
    }

    /// The same with where the index holds it, good for the next `remove_at`.
    #[inline(always)]
    pub fn find_place(&self, owner: u32, number: u32) -> (u32, Place) {
        let is_it = |slot: u32| {
            let order = &self.orders[slot as usize];
            (order.number ^ number) | (order.owner ^ owner) == 0
        };
        self.index.find(owner, number, is_it)
    }

    /// Looks where a search for a key would look, so that many wait for memory together.
    #[inline(always)]
    pub fn look_at_place(&self, owner: u32, number: u32) -> u32 {
        self.index.look_at_place(owner, number)
    }

    /// Whether an order at this price needs a level that is not there while all are taken.
    #[inline(always)]
    pub fn lacks_level(&self, book: &Book, lane: usize, tick: u32) -> bool {
        self.levels.is_full() && {
            let key = Key::of(side_of(lane), tick);
            self.levels.find_occupied(&book.ladders[lane], key) == NONE
        }
    }

    /// Puts an order behind all others of its price; returns its slot.
    ///
    /// The caller has seen that neither orders nor levels are full and that the key is not live.
    #[inline(always)]
    pub fn rest(&mut self, book: &mut Book, side: Side, tick: u32, new: &NewOrder) -> u32 {
        debug_assert!(new.open != 0 && self.free != NONE);
        let (slot, lane) = (self.free, lane(side, new.hidden));
        self.index.insert(new.owner, new.number, slot);
        let level = self.levels.occupy(
            &mut book.best[lane],
            &mut book.ladders[lane],
            Key::of(side, tick),
        );
        let entry = self.levels.level_mut(level);
        let last = entry.tail;
        entry.tail = slot;
        entry.quantity += u64::from(new.open);
        if last == NONE {
            entry.head = slot;
        }
        let order = &mut self.orders[slot as usize];
        self.free = order.next;
        *order = Order {
            next: NONE,
            prev: last,
            level,
            open: new.open,
            executed: new.executed,
            number: new.number,
            owner: new.owner,
            place: (book.id << 2) | lane as u32,
        };
        self.neighbour(last).next = slot;
        self.live += 1;
        slot
    }

    /// Gives an order a slot on no level; the same conditions but for levels.
    pub fn hold(&mut self, book: &Book, side: Side, new: &NewOrder) -> u32 {
        debug_assert!(new.open != 0);
        let slot = self.free;
        let order = &mut self.orders[slot as usize];
        self.free = order.next;
        *order = Order {
            open: new.open,
            executed: new.executed,
            number: new.number,
            owner: new.owner,
            place: (book.id << 2) | lane(side, new.hidden) as u32,
            ..FREE_ORDER
        };
        self.live += 1;
        self.index.insert(new.owner, new.number, slot);
        slot
    }

    /// Takes out an order that is held.
    pub fn remove_held(&mut self, slot: u32) -> Order {
        let order = self.orders[slot as usize];
        debug_assert!(order.open != 0 && order.is_held());
        self.index.remove(order.owner, order.number, slot);
        self.release(slot);
        order
    }

    /// Lowers the open quantity of an order that is held.
    pub fn reduce_held(&mut self, slot: u32, open: u32) {
        let order = &mut self.orders[slot as usize];
        debug_assert!(open != 0 && open < order.open && order.is_held());
        order.open = open;
    }

    /// The order in a slot, or the one that nobody reads for `NONE`: so that a link is set without asking
    /// whether there is an order at its end, which no branch predictor could know.
    #[inline(always)]
    fn neighbour(&mut self, slot: u32) -> &mut Order {
        let unread = self.orders.len() - 1;
        &mut self.orders[(slot as usize).min(unread)]
    }

    /// Takes an order out of the book, its level and the index.
    #[inline(always)]
    pub fn remove(&mut self, book: &mut Book, slot: u32) -> Order {
        let order = self.orders[slot as usize];
        self.index.remove(order.owner, order.number, slot);
        self.unlink(book, slot, order)
    }

    /// The same for an order whose place in the index has just been found.
    #[inline(always)]
    pub fn remove_at(&mut self, book: &mut Book, slot: u32, place: Place) -> Order {
        let order = self.orders[slot as usize];
        self.index.remove_at(place, order.owner, order.number, slot);
        self.unlink(book, slot, order)
    }

    /// Takes a resting order off its level; it is held then.
    pub fn lift(&mut self, book: &mut Book, slot: u32) {
        let order = self.orders[slot as usize];
        self.leave_level(book, &order);
        let lifted = &mut self.orders[slot as usize];
        (lifted.level, lifted.prev, lifted.next) = (NONE, NONE, NONE);
    }

    #[inline(always)]
    fn unlink(&mut self, book: &mut Book, slot: u32, order: Order) -> Order {
        self.leave_level(book, &order);
        self.release(slot);
        order
    }

    #[inline(always)]
    fn leave_level(&mut self, book: &mut Book, order: &Order) {
        debug_assert!(order.open != 0 && order.book() == book.id);
        let (is_first, is_last) = (order.prev == NONE, order.next == NONE);
        let entry = self.levels.level_mut(order.level);
        entry.quantity -= u64::from(order.open);
        entry.head = select_unpredictable(is_first, order.next, entry.head);
        self.neighbour(order.prev).next = order.next;
        self.neighbour(order.next).prev = order.prev;
        let entry = self.levels.level_mut(order.level);
        entry.tail = select_unpredictable(is_last, order.prev, entry.tail);
        if is_first & is_last {
            let lane = order.lane();
            self.levels
                .vacate(&mut book.best[lane], &mut book.ladders[lane], order.level);
        }
    }

    #[inline(always)]
    pub(super) fn release(&mut self, slot: u32) {
        let order = &mut self.orders[slot as usize];
        order.open = 0;
        order.next = self.free;
        self.free = slot;
        self.live -= 1;
    }

    /// Lowers an order's open quantity, priority kept. `open` is above 0 and below what it is.
    #[inline(always)]
    pub fn reduce(&mut self, slot: u32, open: u32) {
        let order = &mut self.orders[slot as usize];
        debug_assert!(open != 0 && open < order.open);
        self.levels.level_mut(order.level).quantity -= u64::from(order.open - open);
        order.open = open;
    }

    /// The best level of a ladder behind `level` (or the best of all, from `None`) with its price in ticks.
    pub fn next_level(&self, book: &Book, lane: usize, level: Option<u32>) -> Option<(u32, u32)> {
        let next = match level {
            None => book.best[lane].level,
            Some(level) => self.levels.behind(&book.ladders[lane], level),
        };
        (next != NONE).then(|| (next, self.levels.key(next).tick(side_of(lane))))
    }

    /// The best level of a ladder behind a price (worse than it), whether or not a level is there.
    pub fn level_behind(&self, book: &Book, lane: usize, tick: u32) -> Option<(u32, u32)> {
        let side = side_of(lane);
        let behind = Key(Key::of(side, tick).0 + 1);
        let next = self.levels.at_or_behind(&book.ladders[lane], behind);
        (next != NONE).then(|| (next, self.levels.key(next).tick(side)))
    }

    pub fn level(&self, level: u32) -> &Level {
        self.levels.level(level)
    }

    /// Slots of a level's orders, first served first.
    pub fn level_orders(&self, level: u32) -> impl Iterator<Item = u32> + '_ {
        let mut slot = self.levels.level(level).head;
        core::iter::from_fn(move || {
            let this = slot;
            if this == NONE {
                return None;
            }
            slot = self.orders[this as usize].next;
            Some(this)
        })
    }
}

/// The side of a ladder of a book.
#[inline(always)]
pub(crate) fn side_of(lane: usize) -> Side {
    if lane & 1 == 0 { Side::Buy } else { Side::Sell }
}
