//! The orders that the planner has put into the venue's book, as price-time priority must keep them.
//!
//! It decides nothing about comparisons: those use what the venue answers. It serves to know which
//! order a cancel must name, and which orders an aggressor must hit, in which order.

use super::levels::{Level, is_better};
use lockstep_record::Side;
use std::collections::{BTreeMap, VecDeque};

/// Which of the replay's sessions sends an order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Role {
    /// Resting orders that the file reports.
    Maker,
    /// Aggressors of reported executions.
    Taker,
    /// Liquidity that the file shows without having reported its orders.
    Reveal,
}

impl Role {
    pub const ALL: [Self; 3] = [Self::Maker, Self::Taker, Self::Reveal];

    /// Index of its session on the link.
    pub const fn session(self) -> usize {
        match self {
            Self::Maker => 0,
            Self::Taker => 1,
            Self::Reveal => 2,
        }
    }

    pub fn of_session(session: usize) -> Option<Self> {
        Self::ALL.get(session).copied()
    }

    pub const fn name(self) -> &'static str {
        match self {
            Self::Maker => "maker",
            Self::Taker => "taker",
            Self::Reveal => "reveal",
        }
    }
}

/// An order, as its session numbers it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct OrderKey {
    pub role: Role,
    pub user_ref: u32,
}

/// A resting order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Resting {
    pub key: OrderKey,
    /// The file's order id; `None` for revealed liquidity.
    pub file_id: Option<u64>,
    /// OUCH's chain total: what was entered minus what cancels removed.
    pub total: u32,
    /// Shares open.
    pub open: u32,
}

/// Shares that an aggressor must take from one order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fill {
    pub key: OrderKey,
    pub quantity: u32,
}

/// How a reduction found the order it reduces.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Found {
    /// The order that the file names.
    Named,
    /// Revealed liquidity that stands for it.
    Revealed,
    /// Another reported order: the file's queue and the venue's have parted.
    Other,
}

/// One order to reduce.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reduction {
    pub key: OrderKey,
    /// OUCH's quantity of a cancel: the new total, 0 if nothing stays open.
    pub new_total: u32,
    pub removes: u32,
    pub found: Found,
}

type Queue = VecDeque<Resting>;

/// Price levels of both sides, each a queue in time priority.
#[derive(Debug, Default)]
pub struct ExpectedBook {
    bids: BTreeMap<u64, Queue>,
    asks: BTreeMap<u64, Queue>,
}

impl ExpectedBook {
    fn side(&self, side: Side) -> &BTreeMap<u64, Queue> {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    fn side_mut(&mut self, side: Side) -> &mut BTreeMap<u64, Queue> {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }

    pub fn best(&self, side: Side) -> Option<u64> {
        let levels = self.side(side);
        match side {
            Side::Buy => levels.last_key_value().map(|(price, _)| *price),
            Side::Sell => levels.first_key_value().map(|(price, _)| *price),
        }
    }

    /// Levels best first.
    pub fn levels(&self, side: Side) -> Vec<Level> {
        let level = |(price, queue): (&u64, &Queue)| Level {
            price: *price,
            quantity: queue.iter().map(|order| u64::from(order.open)).sum(),
        };
        match side {
            Side::Buy => self.bids.iter().rev().map(level).collect(),
            Side::Sell => self.asks.iter().map(level).collect(),
        }
    }

    pub fn quantity_at(&self, side: Side, price: u64) -> u64 {
        let queue = self.side(side).get(&price);
        queue.map_or(0, |queue| {
            queue.iter().map(|order| u64::from(order.open)).sum()
        })
    }

    /// True if an order of `side` at `price` would trade at once.
    pub fn would_trade(&self, side: Side, price: u64) -> bool {
        self.best(side.opposite())
            .is_some_and(|best| !is_better(side, best, price))
    }

    pub fn add(&mut self, side: Side, price: u64, order: Resting) {
        self.side_mut(side)
            .entry(price)
            .or_default()
            .push_back(order);
    }

    /// What an aggressor takes from the level `price` of `side`, first come first served.
    /// The caller has checked that the level holds `quantity`; what it lacks is left out.
    pub fn execute(&mut self, side: Side, price: u64, quantity: u32) -> Vec<Fill> {
        let mut fills = Vec::new();
        let mut left = quantity;
        let levels = self.side_mut(side);
        let Some(queue) = levels.get_mut(&price) else {
            return fills;
        };
        while left > 0
            && let Some(order) = queue.front_mut()
        {
            let taken = left.min(order.open);
            order.open -= taken;
            left -= taken;
            fills.push(Fill {
                key: order.key,
                quantity: taken,
            });
            if order.open == 0 {
                queue.pop_front();
            }
        }
        if queue.is_empty() {
            levels.remove(&price);
        }
        fills
    }

    /// The file's id of the order in front of a level; `Some(None)` for revealed liquidity.
    pub fn front_id(&self, side: Side, price: u64) -> Option<Option<u64>> {
        let queue = self.side(side).get(&price)?;
        queue.front().map(|order| order.file_id)
    }

    pub fn holds(&self, side: Side, price: u64, file_id: u64) -> bool {
        let queue = self.side(side).get(&price);
        queue.is_some_and(|queue| queue.iter().any(|order| order.file_id == Some(file_id)))
    }

    /// Takes `quantity` from the level by cancels: first from the order the file names, then from
    /// revealed liquidity, then from whatever is there, oldest first.
    pub fn reduce(
        &mut self,
        side: Side,
        price: u64,
        named: Option<u64>,
        quantity: u32,
    ) -> Vec<Reduction> {
        let mut reductions = Vec::new();
        let mut left = quantity;
        let levels = self.side_mut(side);
        let Some(queue) = levels.get_mut(&price) else {
            return reductions;
        };
        for found in [Found::Named, Found::Revealed, Found::Other] {
            for order in queue.iter_mut() {
                let fits = match found {
                    Found::Named => named.is_some() && order.file_id == named,
                    Found::Revealed => order.file_id.is_none(),
                    Found::Other => true,
                };
                let removes = left.min(order.open);
                if !fits || removes == 0 {
                    continue;
                }
                left -= removes;
                reductions.push(order.reduce(removes, found));
            }
        }
        queue.retain(|order| order.open > 0);
        if queue.is_empty() {
            levels.remove(&price);
        }
        reductions
    }

    /// Takes a whole level out, by cancels.
    pub fn remove_level(&mut self, side: Side, price: u64) -> Vec<Reduction> {
        let queue = self.side_mut(side).remove(&price).unwrap_or_default();
        queue
            .into_iter()
            .map(|mut order| {
                let found = match order.file_id {
                    Some(_) => Found::Named,
                    None => Found::Revealed,
                };
                order.reduce(order.open, found)
            })
            .collect()
    }

    /// Prices of a side, best first.
    pub fn prices(&self, side: Side) -> Vec<u64> {
        self.levels(side).iter().map(|level| level.price).collect()
    }
}

impl Resting {
    fn reduce(&mut self, removes: u32, found: Found) -> Reduction {
        self.open -= removes;
        self.total -= removes;
        Reduction {
            key: self.key,
            new_total: if self.open == 0 { 0 } else { self.total },
            removes,
            found,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn order(user_ref: u32, file_id: Option<u64>, open: u32) -> Resting {
        let role = if file_id.is_some() {
            Role::Maker
        } else {
            Role::Reveal
        };
        Resting {
            key: OrderKey { role, user_ref },
            file_id,
            total: open,
            open,
        }
    }

    fn book() -> ExpectedBook {
        let mut book = ExpectedBook::default();
        book.add(Side::Buy, 100, order(1, Some(11), 10));
        book.add(Side::Buy, 100, order(1, None, 20));
        book.add(Side::Buy, 100, order(2, Some(12), 30));
        book.add(Side::Buy, 99, order(3, Some(13), 5));
        book
    }

    #[test]
    fn executions_take_the_oldest_first() {
        let mut book = book();
        let fills = book.execute(Side::Buy, 100, 35);
        let got: Vec<_> = fills
            .iter()
            .map(|fill| (fill.key.role, fill.key.user_ref, fill.quantity))
            .collect();
        assert_eq!(
            got,
            [
                (Role::Maker, 1, 10),
                (Role::Reveal, 1, 20),
                (Role::Maker, 2, 5)
            ]
        );
        assert_eq!(book.quantity_at(Side::Buy, 100), 25);
        assert_eq!(book.front_id(Side::Buy, 100), Some(Some(12)));
        book.execute(Side::Buy, 100, 25);
        assert_eq!(book.best(Side::Buy), Some(99));
    }

    #[test]
    fn reductions_prefer_the_named_order_then_revealed_ones() {
        let mut book = book();
        let got = book.reduce(Side::Buy, 100, Some(12), 55);
        let short: Vec<_> = got
            .iter()
            .map(|one| (one.found, one.removes, one.new_total))
            .collect();
        assert_eq!(
            short,
            [
                (Found::Named, 30, 0),
                (Found::Revealed, 20, 0),
                (Found::Other, 5, 5)
            ]
        );
        assert_eq!(
            book.levels(Side::Buy)[0],
            Level {
                price: 100,
                quantity: 5
            }
        );
    }

    #[test]
    fn a_cancel_after_a_partial_execution_names_the_chain_total() {
        let mut book = ExpectedBook::default();
        book.add(Side::Sell, 100, order(1, Some(11), 10));
        book.execute(Side::Sell, 100, 4);
        let got = book.reduce(Side::Sell, 100, Some(11), 5);
        // 10 entered, 5 cancelled: 5 in all, of which 4 have traded and 1 stays open.
        assert_eq!((got[0].new_total, got[0].removes), (5, 5));
        assert_eq!(book.quantity_at(Side::Sell, 100), 1);
        assert!(book.would_trade(Side::Buy, 100) && !book.would_trade(Side::Buy, 99));
    }
}
