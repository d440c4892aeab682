//! Streams that a tick array or a hash table would suffer from: how the book degrades.
//!
//! Each begins with a part that only fills the books, which is played before the clock starts.

use crate::random::Random;
use crate::workload::generate::{Away, Generator, StreamShape, generate_shape};
use crate::workload::record::{Operation, TradeHash, WorkRecord};
use lockstep_core::book::BookBounds;
use lockstep_record::Side;

/// A stream and what the book must make of it.
#[derive(Clone, Debug)]
pub struct Shape {
    pub name: &'static str,
    pub what: &'static str,
    pub records: Vec<WorkRecord>,
    /// Records that only fill the books.
    pub filling: usize,
    pub books: u32,
    pub bounds: BookBounds,
    /// Trades and their shares; the hash counts if there is one book.
    pub trades: TradeHash,
}

/// How large the shapes are: the published sizes, or small ones for tests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Sizes {
    pub operations: usize,
    pub wide_ticks: u64,
    pub level_orders: u32,
    pub live_orders: u32,
    pub instruments: u32,
}

impl Default for Sizes {
    fn default() -> Self {
        Self {
            operations: 2_000_000,
            wide_ticks: 2_000_000,
            level_orders: 100_000,
            live_orders: 1_000_000,
            instruments: 10_000,
        }
    }
}

/// Live orders of each instrument of the round robin.
const INSTRUMENT_ORDERS: usize = 20;
const PRICE: i64 = 10_000_000;

pub fn shapes(sizes: &Sizes, seed: u64) -> impl Iterator<Item = Shape> {
    let makers: [fn(&Sizes, u64) -> Shape; 4] = [wide, one_level, many_orders, many_instruments];
    let sizes = *sizes;
    makers.into_iter().map(move |make| make(&sizes, seed))
}

fn stream(sizes: &Sizes, seed: u64, shape: StreamShape) -> (Vec<WorkRecord>, TradeHash) {
    let made = generate_shape(shape.live_orders + sizes.operations, seed, shape);
    (made.records, made.trades)
}

/// Prices anywhere in a wide domain: nearly every order has a level of its own.
fn wide(sizes: &Sizes, seed: u64) -> Shape {
    let live = StreamShape::default().live_orders;
    let shape = StreamShape {
        price: PRICE,
        away: Away::Anywhere(sizes.wide_ticks / 2),
        ..StreamShape::default()
    };
    let (records, trades) = stream(sizes, seed, shape);
    Shape {
        name: "wide",
        what: "prices anywhere in 2 million ticks",
        records,
        filling: live,
        books: 1,
        bounds: bounds(2 * live as u32, 2 * live as u32),
        trades,
    }
}

/// All orders at one price, cancelled anywhere in the queue while others join it; at the end all that is
/// left trades, first come first served.
fn one_level(sizes: &Sizes, seed: u64) -> Shape {
    let mut random = Random::new(seed);
    let (live_max, mut next_id) = (sizes.level_orders as usize, 1);
    let mut live: Vec<u64> = Vec::with_capacity(live_max);
    let mut records = Vec::new();
    while records.len() < live_max + sizes.operations {
        let filling = records.len() < live_max;
        if filling || live.len() < live_max - live_max / 20 || random.chance(500) {
            live.push(next_id);
            records.push(record(Operation::Add, Side::Sell, 1, next_id));
            next_id += 1;
        } else {
            let at = random.below(live.len() as u64) as usize;
            let id = live.swap_remove(at);
            records.push(record(Operation::Cancel, Side::Sell, 1, id));
        }
    }
    live.sort_unstable();
    let mut trades = TradeHash::default();
    for maker in &live {
        trades.trade(next_id, *maker, 1, PRICE);
    }
    let all = live.len() as u32;
    records.push(record(Operation::Aggress, Side::Buy, all, next_id));
    let orders_max = (live_max + sizes.operations) as u32;
    Shape {
        name: "one level",
        what: "100,000 orders at one price, cancels from the middle",
        records,
        filling: live_max,
        books: 1,
        bounds: bounds(orders_max.min(2 * sizes.level_orders + 4_096), 64),
        trades,
    }
}

fn record(operation: Operation, side: Side, quantity: u32, id: u64) -> WorkRecord {
    WorkRecord {
        operation,
        side,
        quantity,
        id,
        price: PRICE,
    }
}

/// The default stream's prices with a hundred times its orders.
fn many_orders(sizes: &Sizes, seed: u64) -> Shape {
    let shape = StreamShape {
        live_orders: sizes.live_orders as usize,
        ..StreamShape::default()
    };
    let (records, trades) = stream(sizes, seed, shape);
    Shape {
        name: "many orders",
        what: "1 million live orders",
        records,
        filling: shape.live_orders,
        books: 1,
        bounds: bounds(sizes.live_orders + sizes.live_orders / 4 + 1_024, 4_096),
        trades,
    }
}

/// A small market for each instrument, one operation of each in turn.
fn many_instruments(sizes: &Sizes, seed: u64) -> Shape {
    let shape = StreamShape {
        live_orders: INSTRUMENT_ORDERS,
        ..StreamShape::default()
    };
    let count = sizes.instruments as usize;
    // Any seed but 0 is good.
    let seed_of = |at: usize| Random::part(seed, at as u64).next() | 1;
    let mut markets: Vec<Generator> = (0..count)
        .map(|at| Generator::new(seed_of(at), shape))
        .collect();
    // Ids of a market count from 1; over all they count in the order of the stream.
    let mut ids: Vec<Vec<u64>> = vec![Vec::new(); count];
    let (mut next_id, mut records) = (1, Vec::new());
    let filling = INSTRUMENT_ORDERS * count;
    // Whole rounds only, so that a record's place says its instrument.
    let rounds = (filling + sizes.operations).div_ceil(count);
    for _ in 0..rounds {
        for (market, ids) in markets.iter_mut().zip(&mut ids) {
            let mut record = market.next_record();
            if record.id as usize > ids.len() {
                ids.push(next_id);
                next_id += 1;
            }
            record.id = ids[record.id as usize - 1];
            records.push(record);
        }
    }
    let mut trades = TradeHash::default();
    for market in &markets {
        trades.trades += market.trades().trades;
        trades.quantity += market.trades().quantity;
    }
    Shape {
        name: "many instruments",
        what: "10,000 instruments in turn",
        records,
        filling,
        books: sizes.instruments,
        bounds: bounds(filling as u32 * 2, filling as u32 * 2),
        trades,
    }
}

fn bounds(orders_max: u32, levels_max: u32) -> BookBounds {
    BookBounds {
        orders_max,
        levels_max,
    }
}
