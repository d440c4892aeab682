//! A stream through the order book: what each record does, and the hash of its trades.
//!
//! The same code runs in every pass, timed or not. It must not know what is right: a first, checked pass
//! finds out whether a stream can be played at all, the others only play it.

use crate::workload::record::{Operation, TradeHash, WorkRecord};
use lockstep_core::book::{
    Ahead, BookBounds, BookError, Coming, OrderBook, OrderBooks, OrderKey, TICK_MAX, Trade,
    TradeSink,
};
use std::hint::select_unpredictable;
use thiserror::Error;

/// Why a stream cannot be played.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum StreamError {
    #[error("record {number}: order id {id}; the low half of an id may not be 0")]
    Id { number: usize, id: u64 },
    #[error("record {number}: price {price} is no tick from 0 to {TICK_MAX}")]
    Price { number: usize, price: i64 },
    #[error("record {number} adds order {id}, which is live")]
    Live { number: usize, id: u64 },
    #[error("record {number} names order {id}, which is not live")]
    NotLive { number: usize, id: u64 },
    #[error("record {number}: {error}")]
    Refused { number: usize, error: BookError },
}

/// Hashes trades as the published generator does.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trades(pub TradeHash);

fn id(key: OrderKey) -> u64 {
    u64::from(key.owner - OWNER) << 32 | u64::from(key.number)
}

impl TradeSink for Trades {
    #[inline(always)]
    fn traded(&mut self, trade: &Trade) {
        let (taker, maker) = (id(trade.aggressor), id(trade.resting));
        self.0
            .trade(taker, maker, trade.quantity, i64::from(trade.tick));
    }
}

/// Owner of ids below 2^32; the next 2^32 ids belong to the next, and so on.
const OWNER: u32 = 1;

#[inline(always)]
fn key(record: &WorkRecord) -> OrderKey {
    OrderKey {
        owner: OWNER.wrapping_add((record.id >> 32) as u32),
        number: record.id as u32,
    }
}

/// One book or many, driven by records.
pub trait Driven {
    fn new(bounds: BookBounds, books: u32) -> Self;
    /// Plays a record; `at` counts the stream's records from 0. False: the book refused.
    fn play(&mut self, at: usize, record: &WorkRecord, trades: &mut Trades) -> bool;
    /// Tells of the record that will be played as the `at`-th.
    fn announce(&self, ahead: &mut Ahead, at: usize, record: &WorkRecord);
    fn open(&self, key: OrderKey) -> Option<u32>;
    fn live(&self) -> u32;
}

#[inline(always)]
fn coming(record: &WorkRecord) -> Coming {
    Coming {
        key: key(record),
        side: record.side,
        tick: record.price as u32,
    }
}

/// The one book of a stream.
#[derive(Debug)]
pub struct One(pub OrderBook);

/// The books of a stream whose records go round all of them.
#[derive(Debug)]
pub struct Many {
    books: OrderBooks,
    count: u32,
}

impl Many {
    /// The book of the stream's `at`-th record; a stream has fewer than 2^32.
    #[inline(always)]
    fn book_of(&self, at: usize) -> u32 {
        at as u32 % self.count
    }
}

impl Driven for One {
    fn new(bounds: BookBounds, _: u32) -> Self {
        Self(OrderBook::new(bounds))
    }

    #[inline(always)]
    fn play(&mut self, _: usize, record: &WorkRecord, trades: &mut Trades) -> bool {
        let key = key(record);
        let (side, tick, quantity) = (record.side, record.price as u32, record.quantity);
        // Compared, not jumped to by a table: that would be found out later if it was guessed wrong.
        match record.operation {
            Operation::Cancel => self.0.cancel(key).is_some(),
            Operation::Replace => self.0.replace(key, key, tick, quantity, trades).is_ok(),
            _ => self.0.add(key, side, tick, quantity, trades).is_ok(),
        }
    }

    #[inline(always)]
    fn announce(&self, ahead: &mut Ahead, _: usize, record: &WorkRecord) {
        self.0.announce(ahead, &coming(record));
    }

    fn open(&self, key: OrderKey) -> Option<u32> {
        self.0.open(key)
    }

    fn live(&self) -> u32 {
        self.0.len()
    }
}

impl Driven for Many {
    fn new(bounds: BookBounds, books: u32) -> Self {
        Self {
            books: OrderBooks::new(bounds, books),
            count: books,
        }
    }

    #[inline(always)]
    fn play(&mut self, at: usize, record: &WorkRecord, trades: &mut Trades) -> bool {
        let key = key(record);
        let (tick, quantity) = (record.price as u32, record.quantity);
        match record.operation {
            Operation::Cancel => self.books.cancel(key).is_some(),
            Operation::Replace => self.books.replace(key, key, tick, quantity, trades).is_ok(),
            _ => {
                let book = self.book_of(at);
                let added = self
                    .books
                    .add(book, key, record.side, tick, quantity, trades);
                added.is_ok()
            }
        }
    }

    #[inline(always)]
    fn announce(&self, ahead: &mut Ahead, at: usize, record: &WorkRecord) {
        // Who cancels does not name the book. No branch on which it is: a coin's toss.
        let rests = matches!(record.operation, Operation::Add | Operation::Aggress);
        let book = select_unpredictable(rests, self.book_of(at), 0);
        self.books.announce(ahead, book, &coming(record));
    }

    fn open(&self, key: OrderKey) -> Option<u32> {
        self.books.open(key)
    }

    fn live(&self) -> u32 {
        self.books.len()
    }
}

/// What a checked pass found.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Checked {
    pub trades: TradeHash,
    /// Most live orders at a time.
    pub live_max: u32,
    /// Live orders at the end.
    pub live_end: u32,
}

/// Whether every record is one that the book can take; `bounds` are those of the check only.
pub fn check<B: Driven>(
    records: &[WorkRecord],
    bounds: BookBounds,
    books: u32,
) -> Result<(B, Checked), StreamError> {
    let mut book = B::new(bounds, books);
    let mut trades = Trades::default();
    let mut live_max = 0;
    for (number, record) in records.iter().enumerate() {
        let (id, price) = (record.id, record.price);
        let key = key(record);
        if key.number == 0 || key.owner < OWNER {
            return Err(StreamError::Id { number, id });
        }
        let names_live = book.open(key).is_some();
        let must_live = matches!(record.operation, Operation::Cancel | Operation::Replace);
        match (names_live, must_live) {
            (true, false) => return Err(StreamError::Live { number, id }),
            (false, true) => return Err(StreamError::NotLive { number, id }),
            _ => {}
        }
        if record.operation != Operation::Cancel && !(0..=i64::from(TICK_MAX)).contains(&price) {
            return Err(StreamError::Price { number, price });
        }
        if !book.play(number, record, &mut trades) {
            // Everything else has been looked at.
            let error = BookError::OrdersFull;
            return Err(StreamError::Refused { number, error });
        }
        live_max = live_max.max(book.live());
    }
    let checked = Checked {
        trades: trades.0,
        live_max,
        live_end: book.live(),
    };
    Ok((book, checked))
}
