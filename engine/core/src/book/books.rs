//! Many books over one pool, as the state machine holds them.

use super::pool::{Book, OrderPool, lane};
use super::{Ahead, BookBounds, BookError, Coming, OrderKey, Side, TradeSink, depth};
use crate::NONE;
use alloc::vec::Vec;

/// The books of many instruments, numbered from 0. A key is live in one of them at most.
///
/// ```
/// use lockstep_core::book::{BookBounds, BookError, OrderBooks, OrderKey, Side, Trade};
///
/// let mut books = OrderBooks::new(BookBounds { orders_max: 1_000, levels_max: 100 }, 2);
/// let mut sink = |_: &Trade| {};
/// let key = |number| OrderKey { owner: 7, number };
/// books.add(0, key(1), Side::Sell, 100, 30, &mut sink).unwrap();
/// // Another instrument: they do not meet.
/// assert_eq!(books.add(1, key(2), Side::Buy, 100, 40, &mut sink), Ok(40));
/// // An order is found without naming its book.
/// assert_eq!(books.cancel(key(1)), Some(30));
/// assert_eq!(books.best(1, Side::Buy), Some(100));
/// assert_eq!(books.add(2, key(3), Side::Buy, 1, 1, &mut sink), Err(BookError::NoBook(2)));
/// ```
#[derive(Debug)]
pub struct OrderBooks {
    pool: OrderPool,
    books: Vec<Lines>,
}

/// A book in cache lines of its own.
#[derive(Debug)]
#[repr(C, align(64))]
struct Lines(Book);

impl OrderBooks {
    /// Allocates and touches everything that the books will ever use. The bounds are for all together.
    ///
    /// Panics if a bound is above its maximum, or the number of books 0 or above 2^30.
    pub fn new(bounds: BookBounds, books: u32) -> Self {
        assert!(
            (1..=1 << 30).contains(&books),
            "a book at least, and an order holds its book in 30 bits"
        );
        let mut pool = OrderPool::new();
        pool.grow(bounds.orders_max, bounds.levels_max, 0);
        Self {
            pool,
            books: (0..books).map(Book::new).map(Lines).collect(),
        }
    }

    /// As [`super::OrderBook::add`], on a book.
    #[inline(always)]
    pub fn add<S: TradeSink>(
        &mut self,
        book: u32,
        key: OrderKey,
        side: Side,
        tick: u32,
        quantity: u32,
        sink: &mut S,
    ) -> Result<u32, BookError> {
        let Some(Lines(at)) = self.books.get_mut(book as usize) else {
            return Err(BookError::NoBook(book));
        };
        self.pool.add(at, key, side, tick, quantity, sink)
    }

    /// As [`super::OrderBook::cancel`], wherever the order is.
    #[inline(always)]
    pub fn cancel(&mut self, key: OrderKey) -> Option<u32> {
        let (slot, place) = self.pool.find_place(key.owner, key.number);
        (slot != NONE).then(|| {
            let book = &mut self.books[self.pool.order(slot).book() as usize].0;
            self.pool.remove_at(book, slot, place).open
        })
    }

    /// As [`super::OrderBook::reduce`], wherever the order is.
    pub fn reduce(&mut self, key: OrderKey, open: u32) -> Result<u32, BookError> {
        let (slot, place) = self.pool.find_place(key.owner, key.number);
        if slot == NONE {
            return Err(BookError::NotLive);
        }
        let book = &mut self.books[self.pool.order(slot).book() as usize].0;
        Ok(self.pool.lower(book, slot, place, open))
    }

    /// As [`super::OrderBook::replace`], in the order's book.
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
        let book = &mut self.books[self.pool.order(slot).book() as usize].0;
        self.pool
            .replace_at(book, slot, place, new, tick, quantity, sink)
    }

    /// As [`super::OrderBook::announce`]; `book` is where an order is to rest, and any for other operations.
    #[inline(always)]
    pub fn announce(&self, ahead: &mut Ahead, book: u32, coming: &Coming) {
        let last = self.books.len() - 1;
        let at = |id: u32| &self.books[(id as usize).min(last)].0;
        ahead.announce::<true>(&self.pool, (book, coming), at);
    }

    /// Open shares of a live order.
    pub fn open(&self, key: OrderKey) -> Option<u32> {
        let slot = self.pool.find(key.owner, key.number);
        (slot != NONE).then(|| self.pool.order(slot).open)
    }

    /// Price of a book's best level, in ticks; `None` also without such a book.
    pub fn best(&self, book: u32, side: Side) -> Option<u32> {
        self.books.get(book as usize)?.0.best(side)
    }

    /// Levels of a side of a book, best first: (tick, open shares, orders).
    pub fn depth(&self, book: u32, side: Side) -> impl Iterator<Item = (u32, u64, u32)> + '_ {
        let book = self.books.get(book as usize).into_iter();
        book.flat_map(move |book| depth(&self.pool, &book.0, lane(side, false)))
    }

    /// Live orders over all books.
    pub fn len(&self) -> u32 {
        self.pool.live()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Checks every book; says what is wrong.
    pub fn check_invariants(&self) -> Result<(), &'static str> {
        let (mut orders, mut levels) = (0, 0);
        for Lines(book) in &self.books {
            let counts = self.pool.check_book(book)?;
            orders += counts.0;
            levels += counts.1;
        }
        if orders != self.pool.live() {
            return Err("the slab and the books disagree on the number of orders");
        }
        if levels != self.pool.levels.occupied() {
            return Err("the pool and the books disagree on the number of levels");
        }
        Ok(())
    }
}
