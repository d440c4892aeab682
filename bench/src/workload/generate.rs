//! The generator of the workload, with the reference book that it draws from: the same stream, byte
//! for byte, as the field's C++ generator makes for the same seed and length.
//!
//! Draws come from a 64-bit xorshift in a fixed order, so every expression below that draws is part of
//! the format. Its two distributions use IEEE doubles with plain multiplications and comparisons, which
//! are exact everywhere.

use super::record::{Operation, TradeHash, WorkRecord};
use lockstep_record::Side;
use std::collections::{BTreeMap, VecDeque};

pub const SEED_DEFAULT: u64 = 0x9E37_79B9_7F4A_7C15;
pub const OPERATIONS_DEFAULT: usize = 5_000_000;
/// What a stream is made of; the default is the published one's.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct StreamShape {
    /// Live orders that the stream keeps to; the first so many operations only add.
    pub live_orders: usize,
    /// Where the price begins, ticks.
    pub price: i64,
    pub away: Away,
}

/// How far from the price orders are entered.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Away {
    /// 1 tick and on average 24 more.
    Near,
    /// 1 to so many ticks, all alike.
    Anywhere(u64),
}

impl Default for StreamShape {
    fn default() -> Self {
        Self {
            live_orders: 10_000,
            price: 100_000,
            away: Away::Near,
        }
    }
}

/// Steps of the geometric distribution at most.
const STEPS_MAX: u32 = 400;

/// A generated stream and what a correct book makes of it.
#[derive(Clone, Debug)]
pub struct Workload {
    pub records: Vec<WorkRecord>,
    pub trades: TradeHash,
    pub live_orders: usize,
    pub live_quantity: u64,
    pub bid: Option<i64>,
    pub ask: Option<i64>,
}

/// Generates `operations` records from a seed that is not 0.
pub fn generate(operations: usize, seed: u64) -> Workload {
    generate_shape(operations, seed, StreamShape::default())
}

/// As `generate`, of another shape.
pub fn generate_shape(operations: usize, seed: u64, shape: StreamShape) -> Workload {
    let mut generator = Generator::new(seed, shape);
    let mut records = Vec::with_capacity(operations);
    while records.len() < operations {
        records.push(generator.next_record());
    }
    let book = generator.book;
    Workload {
        records,
        trades: book.trades,
        live_orders: book.live.len(),
        live_quantity: book
            .live
            .iter()
            .map(|id| u64::from(book.order(*id).quantity))
            .sum(),
        bid: book.best(Side::Buy),
        ask: book.best(Side::Sell),
    }
}

/// The random draws.
struct Draws(u64);

impl Draws {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn below(&mut self, bound: u64) -> u64 {
        ((u128::from(self.next()) * u128::from(bound)) >> 64) as u64
    }

    /// `0 <= x < 1`, of 53 bits.
    fn unit(&mut self) -> f64 {
        (self.next() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    /// 0, 1, 2 … with this mean.
    fn geometric(&mut self, mean: f64) -> i64 {
        let stop = 1.0 / (mean + 1.0);
        let (mut left, go_on, mut share, mut steps) = (self.unit(), 1.0 - stop, stop, 0);
        while left >= share && steps < STEPS_MAX {
            left -= share;
            share *= go_on;
            steps += 1;
        }
        i64::from(steps)
    }

    fn side(&mut self) -> Side {
        if self.below(2) == 0 {
            Side::Buy
        } else {
            Side::Sell
        }
    }

    fn quantity(&mut self) -> u32 {
        1 + self.geometric(49.0) as u32
    }
}

#[derive(Clone, Copy)]
struct Order {
    side: Side,
    price: i64,
    quantity: u32,
    /// Place in `ReferenceBook::live`.
    live_at: usize,
}

/// Price-time priority, as plainly as it can be said.
#[derive(Default)]
struct ReferenceBook {
    bids: BTreeMap<i64, VecDeque<u64>>,
    asks: BTreeMap<i64, VecDeque<u64>>,
    /// By id; ids are dense.
    orders: Vec<Option<Order>>,
    /// Ids in the order that the stream's draws pick from.
    live: Vec<u64>,
    trades: TradeHash,
}

impl ReferenceBook {
    fn side(&self, side: Side) -> &BTreeMap<i64, VecDeque<u64>> {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    fn side_mut(&mut self, side: Side) -> &mut BTreeMap<i64, VecDeque<u64>> {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    fn best(&self, side: Side) -> Option<i64> {
        let levels = self.side(side);
        let level = match side {
            Side::Buy => levels.last_key_value(),
            Side::Sell => levels.first_key_value(),
        };
        level.map(|(price, _)| *price)
    }

    fn order(&self, id: u64) -> Order {
        self.orders[id as usize].unwrap_or_else(|| unreachable!("only live ids are asked for"))
    }

    fn forget(&mut self, id: u64) {
        let at = self.order(id).live_at;
        self.live.swap_remove(at);
        self.orders[id as usize] = None;
        if let Some(moved) = self
            .live
            .get(at)
            .and_then(|id| self.orders[*id as usize].as_mut())
        {
            moved.live_at = at;
        }
    }

    fn cancel(&mut self, id: u64) {
        let Order { side, price, .. } = self.order(id);
        let levels = self.side_mut(side);
        if let Some(queue) = levels.get_mut(&price) {
            queue.retain(|other| *other != id);
            if queue.is_empty() {
                levels.remove(&price);
            }
        }
        self.forget(id);
    }

    /// Trades what crosses and rests the residual.
    fn add(&mut self, side: Side, id: u64, quantity: u32, price: i64) {
        let mut left = quantity;
        while left > 0
            && let Some(best) = self.best(side.opposite())
            && crosses(side, price, best)
        {
            left = self.trade_level(side, id, left, best);
        }
        if left == 0 {
            return;
        }
        let index = id as usize;
        self.orders.resize(self.orders.len().max(index + 1), None);
        self.orders[index] = Some(Order {
            side,
            price,
            quantity: left,
            live_at: self.live.len(),
        });
        self.live.push(id);
        self.side_mut(side).entry(price).or_default().push_back(id);
    }

    /// Trades with one level until it or the taker is done; returns what the taker has left.
    fn trade_level(&mut self, side: Side, taker: u64, quantity: u32, price: i64) -> u32 {
        let mut left = quantity;
        let levels = self.side_mut(side.opposite());
        let mut queue = levels.remove(&price).unwrap_or_default();
        while left > 0
            && let Some(maker) = queue.front().copied()
        {
            let open = self.order(maker).quantity;
            let traded = left.min(open);
            self.trades.trade(taker, maker, traded, price);
            left -= traded;
            if traded == open {
                self.forget(maker);
                queue.pop_front();
            } else if let Some(order) = self.orders[maker as usize].as_mut() {
                order.quantity -= traded;
            }
        }
        if !queue.is_empty() {
            self.side_mut(side.opposite()).insert(price, queue);
        }
        left
    }
}

fn crosses(side: Side, price: i64, opposite: i64) -> bool {
    match side {
        Side::Buy => opposite <= price,
        Side::Sell => opposite >= price,
    }
}

/// A stream in the making.
pub struct Generator {
    draws: Draws,
    book: ReferenceBook,
    shape: StreamShape,
    fair: i64,
    next_id: u64,
    written: usize,
}

impl std::fmt::Debug for Generator {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Generator({:?}, {} written)", self.shape, self.written)
    }
}

impl Generator {
    pub fn new(seed: u64, shape: StreamShape) -> Self {
        Self {
            draws: Draws(seed),
            book: ReferenceBook::default(),
            fair: shape.price,
            shape,
            next_id: 1,
            written: 0,
        }
    }

    /// Trades so far.
    pub fn trades(&self) -> TradeHash {
        self.book.trades
    }

    pub fn next_record(&mut self) -> WorkRecord {
        let is_filling = self.written < self.shape.live_orders;
        self.written += 1;
        if !is_filling && self.draws.below(1000) < 5 {
            self.fair += if self.draws.below(2) != 0 { 1 } else { -1 };
        }
        let operation = if is_filling {
            Operation::Add
        } else {
            self.draw_operation()
        };
        let is_one_sided = self.book.bids.is_empty() || self.book.asks.is_empty();
        match operation {
            Operation::Aggress if is_one_sided => self.add(),
            Operation::Add => self.add(),
            Operation::Cancel => self.cancel(),
            Operation::Replace => self.replace(),
            Operation::Aggress => self.aggress(),
        }
    }

    fn draw_operation(&mut self) -> Operation {
        match self.draws.below(1000) {
            0..50 => Operation::Replace,
            50..100 => Operation::Aggress,
            _ => {
                let (target, live) = (self.shape.live_orders as f64, self.book.live.len() as f64);
                let adds = (0.53 + 4.0 * (target - live) / target).clamp(0.1, 0.9);
                if self.draws.unit() < adds {
                    Operation::Add
                } else {
                    Operation::Cancel
                }
            }
        }
    }

    fn take_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id - 1
    }

    /// A price that does not cross.
    fn price(&mut self, side: Side) -> i64 {
        let away = 1 + match self.shape.away {
            Away::Near => self.draws.geometric(24.0),
            Away::Anywhere(ticks) => self.draws.below(ticks) as i64,
        };
        let opposite = self.book.best(side.opposite());
        let price = match side {
            Side::Buy => self.fair - away,
            Side::Sell => self.fair + away,
        };
        match opposite {
            Some(opposite) if crosses(side, price, opposite) => {
                let clear = 1 + self.draws.geometric(2.0);
                if side == Side::Buy {
                    opposite - clear
                } else {
                    opposite + clear
                }
            }
            _ => price,
        }
    }

    /// A live order: any one, or the nearest to the fair price of four.
    fn pick(&mut self) -> u64 {
        let live = self.book.live.len() as u64;
        if self.draws.unit() < 0.3 {
            return self.book.live[self.draws.below(live) as usize];
        }
        let (mut nearest, mut nearest_away) = (0, i64::MAX);
        for _ in 0..4 {
            let id = self.book.live[self.draws.below(live) as usize];
            let order = self.book.order(id);
            let away = match order.side {
                Side::Buy => self.fair - order.price,
                Side::Sell => order.price - self.fair,
            };
            if away < nearest_away {
                (nearest, nearest_away) = (id, away);
            }
        }
        nearest
    }

    fn add(&mut self) -> WorkRecord {
        let side = self.draws.side();
        let id = self.take_id();
        let price = self.price(side);
        let quantity = self.draws.quantity();
        self.book.add(side, id, quantity, price);
        WorkRecord {
            operation: Operation::Add,
            side,
            quantity,
            id,
            price,
        }
    }

    fn cancel(&mut self) -> WorkRecord {
        let id = self.pick();
        let Order {
            side,
            price,
            quantity,
            ..
        } = self.book.order(id);
        self.book.cancel(id);
        WorkRecord {
            operation: Operation::Cancel,
            side,
            quantity,
            id,
            price,
        }
    }

    fn replace(&mut self) -> WorkRecord {
        let id = self.pick();
        let Order {
            side, price: old, ..
        } = self.book.order(id);
        self.book.cancel(id);
        let mut price = self.price(side);
        if price == old {
            price += if side == Side::Buy { -1 } else { 1 };
        }
        let quantity = self.draws.quantity();
        self.book.add(side, id, quantity, price);
        WorkRecord {
            operation: Operation::Replace,
            side,
            quantity,
            id,
            price,
        }
    }

    fn aggress(&mut self) -> WorkRecord {
        let (bid, ask) = (self.book.best(Side::Buy), self.book.best(Side::Sell));
        let (bid, ask) = (bid.unwrap_or(self.fair), ask.unwrap_or(self.fair));
        let (bid_away, ask_away) = (self.fair - bid, ask - self.fair);
        let stale = if ask_away < bid_away {
            Side::Buy
        } else {
            Side::Sell
        };
        let mut side = if self.draws.below(100) < 70 {
            stale
        } else {
            self.draws.side()
        };
        if ask_away == bid_away {
            side = self.draws.side();
        }
        let id = self.take_id();
        let kind = self.draws.below(100);
        let through = match kind {
            0..80 => 0,
            80..95 => 1 + self.draws.below(3) as i64,
            _ => 4 + self.draws.below(8) as i64,
        };
        let price = if side == Side::Buy {
            ask + through
        } else {
            bid - through
        };
        let times = match kind {
            0..80 => 1,
            80..95 => 3,
            _ => 12,
        };
        let quantity = 1 + (self.draws.geometric(40.0) * times) as u32;
        self.book.add(side, id, quantity, price);
        WorkRecord {
            operation: Operation::Aggress,
            side,
            quantity,
            id,
            price,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sha2::{Digest, Sha256};

    fn sha256(records: &[WorkRecord]) -> String {
        let mut sha = Sha256::new();
        records
            .iter()
            .for_each(|record| sha.update(record.to_bytes()));
        sha.finalize()
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect()
    }

    /// Of the C++ generator: operations, seed, sha256, trades, quantity, hash, live, live quantity,
    /// bid, ask.
    type Published = (
        usize,
        u64,
        &'static str,
        u64,
        u64,
        u64,
        usize,
        u64,
        i64,
        i64,
    );

    fn check(published: Published) {
        let (operations, seed, sha, trades, quantity, hash, live, live_quantity, bid, ask) =
            published;
        let made = generate(operations, seed);
        assert_eq!(sha256(&made.records), sha);
        assert_eq!(
            made.trades,
            TradeHash {
                trades,
                quantity,
                hash
            }
        );
        assert_eq!(
            (made.live_orders, made.live_quantity),
            (live, live_quantity)
        );
        assert_eq!((made.bid, made.ask), (Some(bid), Some(ask)));
    }

    #[test]
    fn short_streams_are_those_of_the_published_generator() {
        check((
            50_000,
            SEED_DEFAULT,
            "0853f00c6e072dc00f1400a970126238c190af08994303702f496142b3876698",
            4_207,
            128_909,
            0x49b8_9461_53f0_b26f,
            10_015,
            500_725,
            100_000,
            100_001,
        ));
        check((
            50_000,
            12_345,
            "15edcaf939b3870154162a1f46b761a1e90f84dc041c199edff893304fc60721",
            4_570,
            138_624,
            0x5356_09c1_3432_0bc2,
            9_993,
            494_867,
            100_017,
            100_021,
        ));
    }

    /// Takes some seconds: the whole default stream and its published sum and hash.
    #[test]
    fn the_default_stream_is_the_published_one() {
        check((
            OPERATIONS_DEFAULT,
            SEED_DEFAULT,
            "e88b9b38afcbe7c6b4b8d57e7e78984544716b2a82883bc12eca6a5a1e3cb05b",
            558_270,
            17_133_114,
            0x7c41_8be9_0c8e_f62f,
            9_941,
            497_557,
            99_896,
            99_897,
        ));
    }
}
