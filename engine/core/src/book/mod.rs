//! The order book alone: usable without sessions, days and records.
//!
//! [`OrderBook`] is one instrument's book ([`OrderBooks`] those of many) with the pool, the levels and the order index that the state
//! machine uses for all of its books; an outside harness drives it with `add`, `cancel`, `reduce` and
//! `replace` and hears of trades through a [`TradeSink`]. Prices are ticks.
//!
//! ```
//! use lockstep_core::book::{BookBounds, OrderBook, OrderKey, Side, Trade};
//!
//! let mut book = OrderBook::new(BookBounds { orders_max: 1_000, levels_max: 100 });
//! let mut trades = Vec::new();
//! let mut sink = |trade: &Trade| trades.push(*trade);
//! let key = |number| OrderKey { owner: 1, number };
//! book.add(key(1), Side::Sell, 100, 30, &mut sink).unwrap();
//! book.add(key(2), Side::Sell, 101, 30, &mut sink).unwrap();
//! // Takes 30 at 100 and 10 at 101; nothing is left to rest.
//! assert_eq!(book.add(key(3), Side::Buy, 101, 40, &mut sink), Ok(0));
//! assert_eq!(book.best(Side::Sell), Some(101));
//! assert_eq!(book.cancel(key(2)), Some(20));
//! assert_eq!((trades[0].tick, trades[0].quantity, trades[1].quantity), (100, 30, 10));
//! ```

pub(crate) mod ahead;
mod books;
mod check;
mod index;
pub(crate) mod ladder;
pub(crate) mod pool;
pub(crate) mod share;
pub(crate) mod take;
pub(crate) mod uncross;
mod verbs;

pub use ahead::{Ahead, Coming};
pub use books::OrderBooks;
pub use ladder::{LEVELS_MAX, TICK_MAX};
pub use lockstep_record::Side;
pub use pool::ORDERS_MAX;
pub use take::Limit;

use crate::NONE;
use pool::{Book, OrderPool, lane};
use thiserror::Error;

/// What a book can hold; reaching either is an error of the command, never of the book.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct BookBounds {
    /// Live orders, at most [`ORDERS_MAX`].
    pub orders_max: u32,
    /// Occupied price levels of both sides together, at most [`LEVELS_MAX`].
    pub levels_max: u32,
}

/// Names a live order. `number` is never 0.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct OrderKey {
    pub owner: u32,
    pub number: u32,
}

/// One trade, at the resting order's price.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Trade {
    pub resting: OrderKey,
    pub aggressor: OrderKey,
    pub tick: u32,
    pub quantity: u32,
    /// What is left of the resting order.
    pub resting_open: u32,
}

/// Hears of trades in the order in which they happen.
pub trait TradeSink {
    fn traded(&mut self, trade: &Trade);
}

impl<F: FnMut(&Trade)> TradeSink for F {
    #[inline(always)]
    fn traded(&mut self, trade: &Trade) {
        self(trade);
    }
}

/// Why a command was not done. The book is as before.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum BookError {
    #[error("order number 0 and quantity 0 are not orders")]
    Zero,
    #[error("tick {0} is above the highest, 2,147,483,647")]
    Tick(u32),
    #[error("the book holds as many orders as its bound allows")]
    OrdersFull,
    #[error("the book holds as many price levels as its bound allows")]
    LevelsFull,
    #[error("no live order has this key")]
    NotLive,
    #[error("there is no book {0}")]
    NoBook(u32),
}

/// One instrument's book in price-time priority.
#[derive(Debug)]
pub struct OrderBook {
    pool: OrderPool,
    book: Book,
}

impl OrderBook {
    /// Allocates and touches everything that the book will ever use.
    ///
    /// Panics if a bound is above its maximum.
    pub fn new(bounds: BookBounds) -> Self {
        let mut pool = OrderPool::new();
        pool.grow(bounds.orders_max, bounds.levels_max, 0);
        Self {
            pool,
            book: Book::new(0),
        }
    }

    /// Adds a limit order: it trades what it can up to `tick`, the rest rests. Returns what rests.
    ///
    /// The key must not be live. Refused as a whole when the order might not find room to rest.
    #[inline(always)]
    pub fn add<S: TradeSink>(
        &mut self,
        key: OrderKey,
        side: Side,
        tick: u32,
        quantity: u32,
        sink: &mut S,
    ) -> Result<u32, BookError> {
        self.pool
            .add(&mut self.book, key, side, tick, quantity, sink)
    }

    /// Trades what it can up to `limit` and returns what is left; nothing rests.
    #[inline]
    pub fn take<S: TradeSink>(
        &mut self,
        key: OrderKey,
        side: Side,
        limit: Limit,
        quantity: u32,
        sink: &mut S,
    ) -> u32 {
        self.pool
            .take_for(&mut self.book, key, side, limit, quantity, sink)
    }

    /// Cancels an order; returns the shares that were open, or `None` if it is not live.
    #[inline(always)]
    pub fn cancel(&mut self, key: OrderKey) -> Option<u32> {
        let (slot, place) = self.pool.find_place(key.owner, key.number);
        (slot != NONE).then(|| self.pool.remove_at(&mut self.book, slot, place).open)
    }

    /// Lowers an order's open quantity, priority kept; returns the shares taken off it. Nothing happens
    /// when `open` is not below what is open; 0 cancels.
    pub fn reduce(&mut self, key: OrderKey, open: u32) -> Result<u32, BookError> {
        let (slot, place) = self.pool.find_place(key.owner, key.number);
        if slot == NONE {
            return Err(BookError::NotLive);
        }
        Ok(self.pool.lower(&mut self.book, slot, place, open))
    }

    /// Cancels an order and enters a new one on its side, which may trade; priority is new. Returns what
    /// rests. `new` may be the old key, and must otherwise not be live.
    #[inline(always)]
    pub fn replace<S: TradeSink>(
        &mut self,
        key: OrderKey,
        new: OrderKey,
        tick: u32,
        quantity: u32,
        sink: &mut S,
    ) -> Result<u32, BookError> {
        OrderPool::check(new.number, tick, quantity)?;
        let (slot, place) = self.pool.find_place(key.owner, key.number);
        if slot == NONE {
            return Err(BookError::NotLive);
        }
        self.pool
            .replace_at(&mut self.book, slot, place, new, tick, quantity, sink)
    }

    /// Tells of the operation that will come [`Ahead::DISTANCE`] operations after the next one. It may come
    /// or not, sooner or later: only time is saved by it or lost.
    #[inline(always)]
    pub fn announce(&self, ahead: &mut Ahead, coming: &Coming) {
        ahead.announce::<false>(&self.pool, (0, coming), |_| &self.book);
    }

    /// Price of the best level, in ticks.
    #[inline]
    pub fn best(&self, side: Side) -> Option<u32> {
        self.book.best(side)
    }

    /// Live orders.
    pub fn len(&self) -> u32 {
        self.pool.live()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Open shares of a live order.
    pub fn open(&self, key: OrderKey) -> Option<u32> {
        let slot = self.pool.find(key.owner, key.number);
        (slot != NONE).then(|| self.pool.order(slot).open)
    }

    /// Levels of a side, best first: (tick, open shares, orders).
    pub fn depth(&self, side: Side) -> impl Iterator<Item = (u32, u64, u32)> + '_ {
        depth(&self.pool, &self.book, lane(side, false))
    }

    /// Memory held for each order that the book has room for, its index included, levels not.
    pub const fn bytes_per_order() -> usize {
        OrderPool::bytes_per_order()
    }

    /// Checks the whole book; says what is wrong.
    pub fn check_invariants(&self) -> Result<(), &'static str> {
        let (orders, levels) = self.pool.check_book(&self.book)?;
        if orders != self.pool.live() {
            return Err("the slab and the book disagree on the number of orders");
        }
        if levels != self.pool.levels.occupied() {
            return Err("the pool and the book disagree on the number of levels");
        }
        Ok(())
    }
}

/// Levels of a ladder, best first: (tick, open shares, orders). Counts orders by walking them.
pub(crate) fn depth<'a>(
    pool: &'a OrderPool,
    book: &'a Book,
    lane: usize,
) -> impl Iterator<Item = (u32, u64, u32)> + 'a {
    let mut at = None;
    core::iter::from_fn(move || {
        let (level, tick) = pool.next_level(book, lane, at)?;
        at = Some(level);
        let orders = pool.level_orders(level).count() as u32;
        Some((tick, pool.level(level).quantity, orders))
    })
}
