//! Uncrossing: the price at which the most shares of a crossed book trade, and who trades first.
//!
//! Several books of one instrument take part side by side. This module knows ticks and shares; it must not
//! know of states, days or protocols.

use super::ladder::{Key, TICK_MAX};
use super::pool::{Book, LANES, Order, OrderPool, side_of};
use crate::NONE;
use core::cmp::Ordering;
use lockstep_record::Side;

/// Books that take part: the instrument's own, then those of orders for auctions only.
pub(crate) type Books<'a> = [&'a Book; BOOKS];
pub(crate) const BOOKS: usize = 3;
/// Ladders of one side.
const WALKS: usize = BOOKS * LANES / 2;

/// The tick at which an order at the market rests: better than every limit.
pub(crate) const fn market_tick(side: Side) -> u32 {
    match side {
        Side::Buy => TICK_MAX,
        Side::Sell => 0,
    }
}

/// What an uncrossing does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Equilibrium {
    pub tick: u32,
    /// Shares that trade; never 0.
    pub quantity: u64,
    /// Shares that would trade at this price, but find no other side.
    pub imbalance: u64,
    /// The side that has them.
    pub surplus: Option<Side>,
}

/// All orders of one side, level by level, best price first.
struct Walk<'a> {
    pool: &'a OrderPool,
    books: Books<'a>,
    side: Side,
    /// The next level of each ladder, or `NONE`.
    at: [u32; WALKS],
}

/// The ladder of a side that stands at this place: displayed orders of each book, then hidden ones.
fn place(side: Side, at: usize) -> (usize, usize) {
    (at % BOOKS, side as usize | (at / BOOKS) << 1)
}

impl<'a> Walk<'a> {
    fn new(pool: &'a OrderPool, books: Books<'a>, side: Side) -> Self {
        let mut at = [NONE; WALKS];
        for (index, level) in at.iter_mut().enumerate() {
            let (book, lane) = place(side, index);
            *level = books[book].best[lane].level;
        }
        Self {
            pool,
            books,
            side,
            at,
        }
    }

    fn best(&self) -> Key {
        let keys = self.at.iter().map(|&level| match level {
            NONE => Key(NONE),
            level => self.pool.levels.key(level),
        });
        keys.min().unwrap_or(Key(NONE))
    }

    /// The next price in ticks and the shares of all orders at it.
    fn next(&mut self) -> Option<(u32, u64)> {
        let best = self.best();
        if best == Key(NONE) {
            return None;
        }
        let mut quantity = 0;
        for at in 0..WALKS {
            let level = self.at[at];
            if level == NONE || self.pool.levels.key(level) != best {
                continue;
            }
            quantity += self.pool.level(level).quantity;
            let (book, lane) = place(self.side, at);
            self.at[at] = self
                .pool
                .levels
                .behind(&self.books[book].ladders[lane], level);
        }
        Some((best.tick(self.side), quantity))
    }

    /// Shares at a price or better, and the first level behind it.
    fn up_to(&mut self, tick: u32) -> (u64, Option<(u32, u64)>) {
        let mut sum = 0;
        while let Some((next, quantity)) = self.next() {
            let behind = match self.side {
                Side::Buy => next < tick,
                Side::Sell => next > tick,
            };
            if behind {
                return (sum, Some((next, quantity)));
            }
            sum += quantity;
        }
        (sum, None)
    }

    /// Best and worst limit price.
    fn limits(mut self) -> Option<(u32, u32)> {
        let mut limits = None;
        while let Some((tick, _)) = self.next() {
            if tick != market_tick(self.side) {
                let (best, _) = limits.unwrap_or((tick, tick));
                limits = Some((best, tick));
            }
        }
        limits
    }
}

/// The most that can trade, and the ticks between which it can.
struct Range {
    quantity: u64,
    low: u32,
    high: u32,
}

impl OrderPool {
    /// The outcome of an uncrossing: most shares, then least imbalance, then the price to which the surplus
    /// presses, then the price nearest to the reference; without a reference, the middle.
    ///
    /// Looks at levels, at each a few times.
    pub fn equilibrium(&self, books: Books<'_>, reference: Option<u32>) -> Option<Equilibrium> {
        let range = self.most(books)?;
        let quantity = range.quantity;
        let Some(Range { low, high, .. }) = self.within_limits(books, &range) else {
            // Orders at the market meet each other: only the reference says at which price.
            return self.at_reference(books, quantity, reference?);
        };
        let mut bids = Walk::new(self, books, Side::Buy);
        let mut asks = Walk::new(self, books, Side::Sell);
        let (bid_sum, next_bid) = bids.up_to(high);
        let (ask_sum, next_ask) = asks.up_to(low);
        let of = |tick, imbalance, side| Equilibrium {
            tick,
            quantity,
            imbalance,
            surplus: (imbalance != 0).then_some(side),
        };
        if bid_sum > quantity {
            return Some(of(high, bid_sum - quantity, Side::Buy));
        }
        if ask_sum > quantity {
            return Some(of(low, ask_sum - quantity, Side::Sell));
        }
        let nearest = |low: u32, high: u32| {
            let middle = low + (high - low) / 2;
            reference.map_or(middle, |tick| tick.clamp(low, high))
        };
        let from = next_bid.map_or(low, |(tick, _)| low.max(tick + 1));
        let to = next_ask.map_or(high, |(tick, _)| high.min(tick - 1));
        let (Some((bid, bid_over)), Some((ask, ask_over))) = (next_bid, next_ask) else {
            return Some(of(nearest(from, to), 0, Side::Buy));
        };
        if from <= to {
            // Nobody is left over between the next bid and the next ask.
            return Some(of(nearest(from, to), 0, Side::Buy));
        }
        // They are neighbours: one or the other is left over.
        let lowest = bids.next().map_or(low, |(tick, _)| low.max(tick + 1));
        let highest = asks.next().map_or(high, |(tick, _)| high.min(tick - 1));
        let tick = match bid_over.cmp(&ask_over) {
            Ordering::Less => bid,
            Ordering::Greater => ask,
            Ordering::Equal => nearest(lowest, highest),
        };
        Some(if tick <= bid {
            of(tick, bid_over, Side::Buy)
        } else {
            of(tick, ask_over, Side::Sell)
        })
    }

    /// Matches best against best while they cross.
    fn most(&self, books: Books<'_>) -> Option<Range> {
        let mut bids = Walk::new(self, books, Side::Buy);
        let mut asks = Walk::new(self, books, Side::Sell);
        let (mut bid, mut ask) = (bids.next(), asks.next());
        let mut range = None;
        while let (Some((high, bid_left)), Some((low, ask_left))) = (bid, ask)
            && high >= low
        {
            let matched = bid_left.min(ask_left);
            let quantity = range.map_or(0, |range: Range| range.quantity) + matched;
            range = Some(Range {
                quantity,
                low,
                high,
            });
            bid = step(&mut bids, high, bid_left - matched);
            ask = step(&mut asks, low, ask_left - matched);
        }
        range
    }

    /// The range without prices beyond all limits; `None` if there is no limit at all.
    fn within_limits(&self, books: Books<'_>, range: &Range) -> Option<Range> {
        let Range {
            quantity,
            low,
            high,
        } = *range;
        let open = low == market_tick(Side::Sell) || high == market_tick(Side::Buy);
        let (mut lowest, mut highest) = (low, high);
        if open {
            let bids = Walk::new(self, books, Side::Buy).limits();
            let asks = Walk::new(self, books, Side::Sell).limits();
            let ticks = [bids, asks].into_iter().flatten();
            let (first, last) = (
                ticks.clone().map(|(best, worst)| best.min(worst)).min()?,
                ticks.map(|(best, worst)| best.max(worst)).max()?,
            );
            (lowest, highest) = (first, last);
        }
        Some(Range {
            quantity,
            low: low.max(lowest),
            high: high.min(highest),
        })
    }

    fn at_reference(&self, books: Books<'_>, quantity: u64, tick: u32) -> Option<Equilibrium> {
        let (bids, _) = Walk::new(self, books, Side::Buy).up_to(tick);
        let (asks, _) = Walk::new(self, books, Side::Sell).up_to(tick);
        let surplus = match bids.cmp(&asks) {
            Ordering::Less => Some(Side::Sell),
            Ordering::Equal => None,
            Ordering::Greater => Some(Side::Buy),
        };
        Some(Equilibrium {
            tick,
            quantity,
            imbalance: bids.abs_diff(asks),
            surplus,
        })
    }

    /// Whether orders of these books would trade with each other.
    pub fn is_crossed(&self, books: Books<'_>) -> bool {
        let (bid, ask) = (
            Walk::new(self, books, Side::Buy).best(),
            Walk::new(self, books, Side::Sell).best(),
        );
        bid != Key(NONE) && ask != Key(NONE) && bid.tick(Side::Buy) >= ask.tick(Side::Sell)
    }

    /// The order of a side that trades first: best price, displayed before hidden, the instrument's own book
    /// before orders for auctions only, first come first.
    pub fn first_in_auction(&self, books: Books<'_>, side: Side) -> u32 {
        let walk = Walk::new(self, books, side);
        let best = walk.best();
        let at = walk
            .at
            .iter()
            .find(|&&level| level != NONE && self.levels.key(level) == best);
        at.map_or(NONE, |&level| self.levels.level(level).head)
    }

    /// A live order trades less than it has open; it keeps its place.
    pub fn fill(&mut self, slot: u32, quantity: u32) {
        let order = &mut self.orders[slot as usize];
        debug_assert!(quantity != 0 && quantity < order.open);
        order.open -= quantity;
        order.executed += quantity;
        self.levels.level_mut(order.level).quantity -= u64::from(quantity);
    }

    /// Adds shares to a live order; it keeps its place.
    pub fn raise(&mut self, slot: u32, quantity: u32) {
        let order = &mut self.orders[slot as usize];
        debug_assert!(order.open != 0);
        order.open += quantity;
        self.levels.level_mut(order.level).quantity += u64::from(quantity);
    }

    /// Whether a live order rests at the market, in a book for auctions only.
    pub fn is_at_market(&self, order: &Order) -> bool {
        self.tick(order) == market_tick(side_of(order.lane()))
    }
}

fn step(walk: &mut Walk<'_>, tick: u32, left: u64) -> Option<(u32, u64)> {
    if left == 0 {
        walk.next()
    } else {
        Some((tick, left))
    }
}
