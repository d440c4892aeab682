//! The public order book on the deterministic order stream by which engines of the field are compared.
//!
//! The stream is generated here (a port of the published generator to integers and IEEE doubles, the same
//! operations in the same order) at a smaller size, and the book must give the trade count, quantity and
//! hash that a naive book gives; for the sizes below these were also printed by the original generator.

use lockstep_core::book::{BookBounds, OrderBook, OrderKey, Side, Trade};
use std::collections::{BTreeMap, VecDeque};

#[derive(Clone, Copy, Debug)]
struct Operation {
    op: u8,
    side: u8,
    quantity: u32,
    id: u64,
    price: i64,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Trades {
    count: u64,
    quantity: u64,
    hash: u64,
}

impl Trades {
    const NONE: Self = Self {
        count: 0,
        quantity: 0,
        hash: 1_469_598_103_934_665_603,
    };

    fn add(&mut self, taker: u64, maker: u64, quantity: u32, price: i64) {
        self.count += 1;
        self.quantity += u64::from(quantity);
        let mixed = maker
            .wrapping_mul(0x9E37_79B9_7F4A_7C15)
            .wrapping_add(u64::from(quantity))
            .wrapping_add((price as u64) << 20)
            .wrapping_add(taker);
        self.hash = (self.hash ^ mixed).wrapping_mul(1_099_511_628_211);
    }
}

/// The naive book of the generator.
struct Naive {
    /// By side and price, first come first.
    levels: [BTreeMap<i64, VecDeque<(u64, u32)>>; 2],
    places: BTreeMap<u64, (usize, i64)>,
    live: Vec<u64>,
    at: BTreeMap<u64, usize>,
    trades: Trades,
    fills: u32,
}

impl Naive {
    fn drop_live(&mut self, id: u64) {
        let at = self.at.remove(&id).unwrap();
        let last = self.live.pop().unwrap();
        if last != id {
            self.live[at] = last;
            self.at.insert(last, at);
        }
        self.places.remove(&id);
    }

    fn best(&self, side: usize) -> Option<i64> {
        let levels = &self.levels[side];
        let best = if side == 0 {
            levels.last_key_value()
        } else {
            levels.first_key_value()
        };
        best.map(|(price, _)| *price)
    }

    fn add(&mut self, side: usize, id: u64, mut quantity: u32, price: i64) {
        self.fills = 0;
        while quantity > 0 {
            let Some(best) = self.best(1 - side) else {
                break;
            };
            if if side == 0 {
                best > price
            } else {
                best < price
            } {
                break;
            }
            let level = self.levels[1 - side].get_mut(&best).unwrap();
            let maker = level.front_mut().unwrap();
            let traded = quantity.min(maker.1);
            let maker_id = maker.0;
            quantity -= traded;
            maker.1 -= traded;
            let done = maker.1 == 0;
            if done {
                level.pop_front();
            }
            if level.is_empty() {
                self.levels[1 - side].remove(&best);
            }
            self.trades.add(id, maker_id, traded, best);
            self.fills += 1;
            if done {
                self.drop_live(maker_id);
            }
        }
        if quantity > 0 {
            self.levels[side]
                .entry(price)
                .or_default()
                .push_back((id, quantity));
            self.places.insert(id, (side, price));
            self.at.insert(id, self.live.len());
            self.live.push(id);
        }
    }

    fn cancel(&mut self, id: u64) -> (usize, i64, u32) {
        let (side, price) = self.places[&id];
        let level = self.levels[side].get_mut(&price).unwrap();
        let at = level.iter().position(|order| order.0 == id).unwrap();
        let (_, quantity) = level.remove(at).unwrap();
        if level.is_empty() {
            self.levels[side].remove(&price);
        }
        self.drop_live(id);
        (side, price, quantity)
    }
}

struct Generator {
    seed: u64,
    fair: i64,
    next: u64,
    book: Naive,
}

const TARGET: usize = 10_000;

impl Generator {
    fn new(seed: u64) -> Self {
        let book = Naive {
            levels: [BTreeMap::new(), BTreeMap::new()],
            places: BTreeMap::new(),
            live: Vec::new(),
            at: BTreeMap::new(),
            trades: Trades::NONE,
            fills: 0,
        };
        Self {
            seed,
            fair: 100_000,
            next: 1,
            book,
        }
    }

    fn random(&mut self) -> u64 {
        self.seed ^= self.seed << 13;
        self.seed ^= self.seed >> 7;
        self.seed ^= self.seed << 17;
        self.seed
    }

    fn below(&mut self, n: u64) -> u64 {
        ((u128::from(self.random()) * u128::from(n)) >> 64) as u64
    }

    fn unit(&mut self) -> f64 {
        (self.random() >> 11) as f64 * (1.0 / 9_007_199_254_740_992.0)
    }

    fn geometric(&mut self, mean: f64) -> u32 {
        let p = 1.0 / (mean + 1.0);
        let q = 1.0 - p;
        let (mut u, mut acc, mut k) = (self.unit(), p, 0);
        while u >= acc && k < 400 {
            u -= acc;
            acc *= q;
            k += 1;
        }
        k
    }

    fn bid(&self) -> i64 {
        self.book.best(0).unwrap_or(i64::MIN)
    }

    fn ask(&self) -> i64 {
        self.book.best(1).unwrap_or(i64::MAX)
    }

    fn price(&mut self, side: usize) -> i64 {
        let distance = i64::from(1 + self.geometric(24.0));
        if side == 0 {
            let price = self.fair - distance;
            if self.ask() != i64::MAX && price >= self.ask() {
                return self.ask() - 1 - i64::from(self.geometric(2.0));
            }
            price
        } else {
            let price = self.fair + distance;
            if self.bid() != i64::MIN && price <= self.bid() {
                return self.bid() + 1 + i64::from(self.geometric(2.0));
            }
            price
        }
    }

    fn quantity(&mut self) -> u32 {
        1 + self.geometric(49.0)
    }

    fn any_live(&mut self) -> u64 {
        let at = self.below(self.book.live.len() as u64) as usize;
        self.book.live[at]
    }

    fn pick(&mut self) -> u64 {
        if self.unit() < 0.3 {
            return self.any_live();
        }
        let (mut best, mut nearest) = (0, i64::MAX);
        for _ in 0..4 {
            let id = self.any_live();
            let (side, price) = self.book.places[&id];
            let distance = if side == 0 {
                self.fair - price
            } else {
                price - self.fair
            };
            if distance < nearest {
                (best, nearest) = (id, distance);
            }
        }
        best
    }

    fn choose(&mut self, done: usize) -> u8 {
        if done < TARGET {
            return 0;
        }
        let draw = self.below(1000);
        let op = if draw < 50 {
            2
        } else if draw < 100 {
            3
        } else {
            let live = self.book.live.len() as f64;
            let adds = 0.53 + 4.0 * (TARGET as f64 - live) / TARGET as f64;
            if self.unit() < adds.clamp(0.1, 0.9) {
                0
            } else {
                1
            }
        };
        let one_sided = self.book.best(0).is_none() || self.book.best(1).is_none();
        if op == 3 && one_sided { 0 } else { op }
    }

    fn aggressive(&mut self) -> (u8, i64, u32) {
        let (to_bid, to_ask) = (self.fair - self.bid(), self.ask() - self.fair);
        let stale_ask = to_ask < to_bid;
        let mut side = if self.below(100) < 70 {
            u8::from(!stale_ask)
        } else {
            self.below(2) as u8
        };
        if to_ask == to_bid {
            side = self.below(2) as u8;
        }
        let id = self.next;
        self.next = id + 1;
        let k = self.below(100);
        let through = match k {
            0..80 => 0,
            80..95 => 1 + self.below(3) as i64,
            _ => 4 + self.below(8) as i64,
        };
        let price = if side == 0 {
            self.ask() + through
        } else {
            self.bid() - through
        };
        let times = match k {
            0..80 => 1,
            80..95 => 3,
            _ => 12,
        };
        (side, price, 1 + self.geometric(40.0) * times)
    }

    fn operation(&mut self, done: usize) -> Operation {
        if done >= TARGET && self.below(1000) < 5 {
            self.fair += if self.below(2) != 0 { 1 } else { -1 };
        }
        let op = self.choose(done);
        match op {
            0 => {
                let side = self.below(2) as u8;
                let id = self.next;
                self.next += 1;
                let price = self.price(side.into());
                let quantity = self.quantity();
                self.book.add(side.into(), id, quantity, price);
                assert_eq!(self.book.fills, 0);
                Operation {
                    op,
                    side,
                    quantity,
                    id,
                    price,
                }
            }
            1 => {
                let id = self.pick();
                let (side, price, quantity) = self.book.cancel(id);
                Operation {
                    op,
                    side: side as u8,
                    quantity,
                    id,
                    price,
                }
            }
            2 => {
                let id = self.pick();
                let (side, old, _) = self.book.cancel(id);
                let price = loop {
                    let mut price = self.price(side);
                    if price == old {
                        price += if side == 0 { -1 } else { 1 };
                    }
                    if price != old {
                        break price;
                    }
                };
                let quantity = self.quantity();
                self.book.add(side, id, quantity, price);
                assert_eq!(self.book.fills, 0);
                Operation {
                    op,
                    side: side as u8,
                    quantity,
                    id,
                    price,
                }
            }
            _ => {
                let id = self.next;
                let (side, price, quantity) = self.aggressive();
                self.book.add(side.into(), id, quantity, price);
                assert_ne!(self.book.fills, 0);
                Operation {
                    op,
                    side,
                    quantity,
                    id,
                    price,
                }
            }
        }
    }
}

fn side(side: u8) -> Side {
    if side == 0 { Side::Buy } else { Side::Sell }
}

/// Runs `count` operations through the book; returns its trades and the generator.
fn play(count: usize, seed: u64, bounds: BookBounds) -> (OrderBook, Trades, Generator) {
    let mut generator = Generator::new(seed);
    let mut book = OrderBook::new(bounds);
    let mut trades = Trades::NONE;
    for done in 0..count {
        let operation = generator.operation(done);
        let key = OrderKey {
            owner: 1,
            number: operation.id as u32,
        };
        let tick = operation.price as u32;
        let mut sink = |trade: &Trade| {
            let (taker, maker) = (trade.aggressor.number.into(), trade.resting.number.into());
            trades.add(taker, maker, trade.quantity, trade.tick.into());
        };
        match operation.op {
            0 | 3 => {
                book.add(
                    key,
                    side(operation.side),
                    tick,
                    operation.quantity,
                    &mut sink,
                )
                .unwrap();
            }
            1 => assert_eq!(book.cancel(key), Some(operation.quantity)),
            _ => {
                let rests = book
                    .replace(key, key, tick, operation.quantity, &mut sink)
                    .unwrap();
                assert_eq!(rests, operation.quantity);
            }
        }
        if done % 10_000 == 0 {
            book.check_invariants().unwrap();
        }
    }
    (book, trades, generator)
}

const BOUNDS: BookBounds = BookBounds {
    orders_max: 12_000,
    levels_max: 600,
};
/// The generator's own.
const SEED: u64 = 0x9E37_79B9_7F4A_7C15;

fn check(count: usize, seed: u64, wanted: Trades, live: u32) {
    let (book, trades, generator) = play(count, seed, BOUNDS);
    assert_eq!(trades, generator.book.trades, "the book and the naive book");
    assert_eq!(trades, wanted, "as printed by the original generator");
    assert_eq!(book.len(), live);
    for (side, own) in [(Side::Buy, 0), (Side::Sell, 1)] {
        let depth: Vec<(i64, u64)> = book
            .depth(side)
            .map(|(tick, quantity, _)| (tick.into(), quantity))
            .collect();
        let mut naive: Vec<(i64, u64)> = generator.book.levels[own]
            .iter()
            .map(|(price, orders)| (*price, orders.iter().map(|order| u64::from(order.1)).sum()))
            .collect();
        if own == 0 {
            naive.reverse();
        }
        assert_eq!(depth, naive);
    }
    book.check_invariants().unwrap();
}

#[test]
fn the_stream_of_the_default_seed_gives_the_known_trades() {
    let wanted = Trades {
        count: 21_280,
        quantity: 663_464,
        hash: 0x40c6_824d_4872_a1c7,
    };
    check(200_000, SEED, wanted, 10_013);
}

#[test]
fn the_stream_of_another_seed_gives_the_known_trades() {
    let wanted = Trades {
        count: 10_362,
        quantity: 314_415,
        hash: 0xe42a_e735_4983_10d3,
    };
    check(100_000, 42, wanted, 9_993);
}

/// Everything that the stream does not need to be: refusals leave the book as it was.
#[test]
fn the_book_refuses_what_it_cannot_hold() {
    use lockstep_core::book::BookError;
    let mut book = OrderBook::new(BookBounds {
        orders_max: 2,
        levels_max: 1,
    });
    let mut silent = |_: &Trade| panic!("nothing trades here");
    let key = |number| OrderKey {
        owner: u32::MAX,
        number,
    };
    assert_eq!(
        book.add(key(0), Side::Buy, 5, 1, &mut silent),
        Err(BookError::Zero)
    );
    assert_eq!(
        book.add(key(1), Side::Buy, 5, 0, &mut silent),
        Err(BookError::Zero)
    );
    assert_eq!(
        book.add(key(1), Side::Buy, 1 << 31, 1, &mut silent),
        Err(BookError::Tick(1 << 31))
    );
    assert_eq!(book.add(key(u32::MAX), Side::Buy, 5, 7, &mut silent), Ok(7));
    assert_eq!(
        book.add(key(2), Side::Buy, 6, 1, &mut silent),
        Err(BookError::LevelsFull)
    );
    assert_eq!(
        book.replace(key(3), key(4), 6, 1, &mut silent),
        Err(BookError::NotLive)
    );
    assert_eq!(book.add(key(2), Side::Buy, 5, 1, &mut silent), Ok(1));
    assert_eq!(
        book.add(key(3), Side::Buy, 5, 1, &mut silent),
        Err(BookError::OrdersFull)
    );
    assert_eq!(
        book.replace(key(2), key(3), 6, 1, &mut silent),
        Err(BookError::LevelsFull)
    );
    assert_eq!(book.reduce(key(2), 1), Ok(0));
    assert_eq!(book.reduce(key(u32::MAX), 3), Ok(4));
    assert_eq!(book.reduce(key(u32::MAX), 0), Ok(3));
    assert_eq!(book.cancel(key(u32::MAX)), None);
    assert_eq!(
        book.replace(key(2), key(3), (1 << 31) - 1, 9, &mut silent),
        Ok(9)
    );
    assert_eq!(
        book.depth(Side::Buy).collect::<Vec<_>>(),
        [((1 << 31) - 1, 9, 1)]
    );
    assert_eq!(book.open(key(3)), Some(9));
    book.check_invariants().unwrap();
}
