//! Looks at operations before their turn, so that what they will touch is in the caches by then.
//!
//! A cancel reads the index, then the order, then its level and neighbours: each after the other, and in a
//! large book each from main memory. Whoever has a batch of operations can have those reads go on beside
//! the work on earlier ones: each operation takes one of four *steps* when another is announced behind it.
//!
//! All operations take the same steps without a branch on what they are: which comes next is a coin's toss,
//! and to guess it wrong once more costs more than lines asked for in vain. What is asked for is a guess
//! anyhow: the book may change before the operation's turn. This module must never change a book, and
//! nothing may depend on what it finds.

pub(crate) use super::index::Place;
use super::ladder::Key;
use super::pool::{Book, Order, OrderPool, lane};
use super::{Limit, OrderKey, Side};
use crate::NONE;
use core::hint::select_unpredictable;
use lockstep_prefetch::{prefetch, prefetch_line};

/// An operation that is to come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Coming {
    /// Of the order that is to be cancelled, reduced or replaced, or to rest.
    pub key: OrderKey,
    /// Of an order that is to rest.
    pub side: Side,
    pub tick: u32,
}

/// What is known of an operation after its latest step. As long as a power of two, to be found by a shift.
#[derive(Clone, Copy, Debug)]
#[repr(align(32))]
struct Known {
    place: Place,
    /// The order in that place, or `NONE`: then one is to rest.
    slot: u32,
    /// Where it is to rest.
    book: u32,
    side: Side,
    tick: u32,
    /// The order's, or the one that it would join if its price is near the best.
    level: u32,
    /// The level whose orders it would meet, or `NONE`: it trades nothing.
    meets: u32,
}

const UNKNOWN: Known = Known {
    place: Place::FIRST,
    slot: NONE,
    book: 0,
    side: Side::Buy,
    tick: 0,
    level: NONE,
    meets: NONE,
};

/// Operations between two steps of one.
pub(crate) const STEP: usize = 4;
pub(crate) const RING: usize = 16;

/// The operations that have been announced and whose turn has not come.
#[derive(Clone, Debug)]
pub struct Ahead {
    ring: [Known; RING],
    announced: usize,
}

impl Default for Ahead {
    fn default() -> Self {
        Self {
            ring: [UNKNOWN; RING],
            announced: 0,
        }
    }
}

impl Ahead {
    /// How many operations before its turn one is best announced.
    pub const DISTANCE: usize = 4 * STEP - 1;

    /// Takes the first step of an operation, and the next ones of those announced before it. `book` gives a
    /// book for whatever number.
    ///
    /// `MANY`: one of many books, where an operation that will trade also asks for the orders that it will
    /// meet. The first orders of a book that stands alone are mostly in the caches: there it costs more than it
    /// saves.
    #[inline(always)]
    pub(super) fn announce<'a, const MANY: bool>(
        &mut self,
        pool: &OrderPool,
        (id, coming): (u32, &Coming),
        book: impl Fn(u32) -> &'a Book,
    ) {
        let now = self.announced;
        self.announced = now.wrapping_add(1);
        book(id).warm(lane(coming.side, false));
        self.ring[now % RING] = Known {
            place: pool.warm_key(coming.key.owner, coming.key.number),
            book: id,
            side: coming.side,
            tick: coming.tick,
            ..UNKNOWN
        };
        let second = &mut self.ring[now.wrapping_sub(STEP) % RING];
        second.slot = pool.warm_order(second.place);
        if MANY {
            // Few meet any, so that this branch is guessed right; one on the slot would be a coin's toss.
            let met = book(second.book).first_met(second.side, second.tick);
            let met = select_unpredictable(second.slot == NONE, met, NONE);
            if met != NONE {
                pool.levels.warm(met);
                second.meets = met;
            }
        }
        let third = &mut self.ring[now.wrapping_sub(2 * STEP) % RING];
        let order = pool.warm_links(third.slot);
        book(order.book()).warm(order.lane());
        let rests = pool.level_at(book(third.book), third.side, third.tick);
        third.level = select_unpredictable(third.slot == NONE, rests, order.level);
        pool.levels.warm(third.level);
        if MANY && third.meets != NONE {
            pool.warm_met_first(third.meets);
        }
        let fourth = self.ring[now.wrapping_sub(3 * STEP) % RING];
        pool.warm_tail(fourth.level, fourth.slot);
        if MANY && fourth.meets != NONE {
            pool.warm_met_next(fourth.meets);
        }
    }
}

impl Book {
    /// Asks for the lines of the best prices and of a ladder.
    #[inline(always)]
    pub fn warm(&self, lane: usize) {
        prefetch_line(&self.best);
        prefetch_line(&self.ladders[lane]);
    }

    /// The level whose orders one of this side and price would meet first, or `NONE`.
    #[inline(always)]
    fn first_met(&self, side: Side, tick: u32) -> u32 {
        let against = side.opposite();
        let best = self.best[self.next_lane(against)];
        let limit = Limit::Tick(tick & super::TICK_MAX).key(against);
        select_unpredictable(best.key <= limit, best.level, NONE)
    }
}

/// The steps; each needs what the one before asked for.
impl OrderPool {
    /// Asks for the index's line of a key.
    #[inline(always)]
    pub fn warm_key(&self, owner: u32, number: u32) -> Place {
        self.index.warm(owner, number)
    }

    /// Asks for the order at a place; returns its slot, or `NONE`.
    #[inline(always)]
    pub fn warm_order(&self, place: Place) -> u32 {
        let slot = self.index.at(place);
        prefetch(&self.orders, slot as usize);
        slot
    }

    /// An order for whatever slot: the one that nobody reads for `NONE`.
    #[inline(always)]
    fn order_for(&self, slot: u32) -> &Order {
        let unread = self.orders.len() - 1;
        &self.orders[(slot as usize).min(unread)]
    }

    /// Asks for the first order of a level that is met, and for the level behind it.
    #[inline(never)]
    fn warm_met_first(&self, level: u32) {
        let (head, _) = self.levels.ends(level);
        prefetch(&self.orders, head as usize);
        self.levels.warm(self.levels.behind_in_leaf(level));
    }

    /// Asks for where the index has that order, and for the orders that come next.
    #[inline(never)]
    fn warm_met_next(&self, level: u32) {
        let (head, _) = self.levels.ends(level);
        let order = self.order_for(head);
        self.index.warm(order.owner, order.number);
        prefetch(&self.orders, order.next as usize);
        let (head, _) = self.levels.ends(self.levels.behind_in_leaf(level));
        prefetch(&self.orders, head as usize);
    }

    /// Asks for an order's neighbours; returns it, or the one that nobody reads.
    #[inline(always)]
    pub fn warm_links(&self, slot: u32) -> &Order {
        let order = self.order_for(slot);
        prefetch(&self.orders, order.prev as usize);
        prefetch(&self.orders, order.next as usize);
        order
    }

    /// The level of a price if it is near the best, or one of another price, or none.
    #[inline(always)]
    pub fn level_at(&self, book: &Book, side: Side, tick: u32) -> u32 {
        let key = Key::of(side, tick & super::TICK_MAX);
        book.ladders[lane(side, false)].near_level(key)
    }

    /// Asks for the last order of a level behind which one is to rest: so it is if `slot` is none.
    #[inline(always)]
    pub fn warm_tail(&self, level: u32, slot: u32) {
        let (_, tail) = self.levels.ends(level);
        let behind = select_unpredictable(slot == NONE, tail, NONE);
        prefetch(&self.orders, behind as usize);
    }

    /// Asks for the order that an aggressor would meet first; returns its slot, or `NONE`.
    #[inline(always)]
    pub fn warm_first(&self, book: &Book, side: Side, limit: Limit) -> u32 {
        if !book.would_meet(side, limit) {
            return NONE;
        }
        let best = book.best[book.next_lane(side.opposite())];
        let first = self.levels.level(best.level).head;
        prefetch(&self.orders, first as usize);
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::{BookBounds, BookError, OrderBooks, Trade};
    use alloc::vec::Vec;
    use proptest::prelude::*;

    const BOOKS: u32 = 3;

    type Command = (u8, u32, u32, u32);

    fn play(commands: &[Command], announced: &[Command]) -> (Vec<Trade>, Vec<Option<u32>>) {
        let bounds = BookBounds {
            orders_max: 40,
            levels_max: 30,
        };
        let mut books = OrderBooks::new(bounds, BOOKS);
        let (mut ahead, mut trades, mut left) = (Ahead::default(), Vec::new(), Vec::new());
        let mut sink = |trade: &Trade| trades.push(*trade);
        for (at, &(what, book, number, tick)) in commands.iter().enumerate() {
            if let Some(coming) = announced.get(at) {
                let (book, coming) = coming_of(*coming);
                books.announce(&mut ahead, book, &coming);
            }
            let key = OrderKey { owner: 1, number };
            let side = if what & 1 == 0 { Side::Buy } else { Side::Sell };
            let live = books.open(key).is_some();
            left.push(match what / 2 {
                0 if live => books.cancel(key),
                0 => None,
                1 if live => books.replace(key, key, tick, 7, &mut sink).ok(),
                _ if live => books.reduce(key, 2).ok(),
                _ => match books.add(book, key, side, tick, number % 9 + 1, &mut sink) {
                    Ok(left) => Some(left),
                    Err(BookError::OrdersFull | BookError::LevelsFull) => None,
                    Err(error) => panic!("{error}"),
                },
            });
            books.check_invariants().unwrap();
        }
        (trades, left)
    }

    fn coming_of((what, book, number, tick): Command) -> (u32, Coming) {
        let coming = Coming {
            key: OrderKey { owner: 1, number },
            side: if what & 1 == 0 { Side::Buy } else { Side::Sell },
            tick,
        };
        (book, coming)
    }

    fn command() -> impl Strategy<Value = Command> {
        (0..8u8, 0..BOOKS, 1..70u32, 90..130u32)
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Right or wrong, of this book or of one that is not there: what is announced changes nothing.
        #[test]
        fn announcements_change_nothing(
            commands in proptest::collection::vec(command(), 100..400),
            noise in proptest::collection::vec(
                (0..8u8, any::<u32>(), any::<u32>(), any::<u32>()), 400),
        ) {
            let plain = play(&commands, &[]);
            let right: Vec<_> = commands.iter().skip(Ahead::DISTANCE).copied().collect();
            prop_assert_eq!(&play(&commands, &right), &plain);
            prop_assert_eq!(&play(&commands, &noise), &plain);
        }
    }
}
