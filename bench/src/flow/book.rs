//! The flow's own belief of one symbol: live orders in price-time priority. Naive on purpose.

use lockstep_record::Side;
use std::collections::{BTreeMap, VecDeque};

/// An entry of `live` whose order has ended.
const HOLE: u32 = u32::MAX;

/// One believed order.
#[derive(Clone, Copy, Debug)]
pub(super) struct BelievedOrder {
    pub slot: u32,
    pub trader: u16,
    pub side: Side,
    pub price: u64,
    pub open: u32,
    /// Shares of the whole chain that have traded.
    pub executed: u32,
}

/// Live orders of one symbol. Order slots are dense: `0..orders_max`, reused.
#[derive(Debug)]
pub(super) struct BelievedBook {
    bids: BTreeMap<u64, VecDeque<u32>>,
    asks: BTreeMap<u64, VecDeque<u32>>,
    /// By slot; `None` if free.
    orders: Vec<Option<BelievedOrder>>,
    free: Vec<u32>,
    /// Slots of live orders, youngest last, with holes where orders have ended.
    live: Vec<u32>,
    /// Where in `live` an order stands, by slot.
    places: Vec<u32>,
    live_count: usize,
}

impl BelievedBook {
    pub fn new(orders_max: u32) -> Self {
        Self {
            bids: BTreeMap::new(),
            asks: BTreeMap::new(),
            orders: vec![None; orders_max as usize],
            free: (0..orders_max).rev().collect(),
            live: Vec::with_capacity(2 * orders_max as usize),
            places: vec![0; orders_max as usize],
            live_count: 0,
        }
    }

    pub fn live_count(&self) -> usize {
        self.live_count
    }

    pub fn has_room(&self) -> bool {
        !self.free.is_empty()
    }

    pub fn best(&self, side: Side) -> Option<u64> {
        match side {
            Side::Buy => self.bids.last_key_value().map(|(price, _)| *price),
            Side::Sell => self.asks.first_key_value().map(|(price, _)| *price),
        }
    }

    /// Shares of the first so many orders at the best price.
    pub fn oldest_quantity(&self, side: Side, orders: usize) -> u32 {
        let queue = self
            .best(side)
            .and_then(|price| self.levels(side).get(&price));
        let oldest = queue.into_iter().flatten().take(orders);
        oldest
            .filter_map(|slot| self.get(*slot))
            .fold(0, |sum: u32, order| sum.saturating_add(order.open))
    }

    /// Shares at the best price.
    pub fn best_quantity(&self, side: Side) -> u32 {
        let queue = self
            .best(side)
            .and_then(|price| self.levels(side).get(&price));
        queue.map_or(0, |queue| {
            queue
                .iter()
                .filter_map(|slot| self.get(*slot))
                .map(|order| order.open)
                .sum()
        })
    }

    pub fn get(&self, slot: u32) -> Option<&BelievedOrder> {
        self.orders.get(slot as usize)?.as_ref()
    }

    /// The `back`-th youngest live order, roughly: holes count, and give way to the next older order, or at
    /// the old end to a younger one.
    pub fn nth_youngest(&self, back: usize) -> Option<&BelievedOrder> {
        let at = self.live.len().saturating_sub(back + 1);
        let older = self.live.get(..=at)?.iter().rev();
        let younger = self.live[at..].iter();
        older
            .chain(younger)
            .find(|slot| **slot != HOLE)
            .and_then(|slot| self.get(*slot))
    }

    /// Entries of `live`, holes included: `nth_youngest` takes any number below it.
    pub fn span(&self) -> usize {
        self.live.len()
    }

    /// The newest order at the best price of a side.
    pub fn youngest_at_best(&self, side: Side) -> Option<&BelievedOrder> {
        let queue = self.levels(side).get(&self.best(side)?)?;
        self.get(*queue.back()?)
    }

    /// Adds a resting order; `None` if every slot is taken.
    pub fn add(
        &mut self,
        trader: u16,
        side: Side,
        price: u64,
        open: u32,
        executed: u32,
    ) -> Option<u32> {
        let slot = self.free.pop()?;
        self.orders[slot as usize] = Some(BelievedOrder {
            slot,
            trader,
            side,
            price,
            open,
            executed,
        });
        self.levels_mut(side)
            .entry(price)
            .or_default()
            .push_back(slot);
        self.places[slot as usize] = self.live.len() as u32;
        self.live.push(slot);
        self.live_count += 1;
        Some(slot)
    }

    pub fn reduce(&mut self, slot: u32, shares: u32) {
        let Some(order) = self.orders.get_mut(slot as usize).and_then(Option::as_mut) else {
            return;
        };
        order.open = order.open.saturating_sub(shares);
        if order.open == 0 {
            self.remove(slot);
        }
    }

    pub fn remove(&mut self, slot: u32) {
        let Some(order) = self.orders.get_mut(slot as usize).and_then(Option::take) else {
            return;
        };
        let levels = self.levels_mut(order.side);
        if let Some(queue) = levels.get_mut(&order.price) {
            // The youngest end first, and most often.
            if let Some(at) = queue.iter().rposition(|other| *other == slot) {
                queue.remove(at);
            }
            if queue.is_empty() {
                levels.remove(&order.price);
            }
        }
        self.live[self.places[slot as usize] as usize] = HOLE;
        self.live_count -= 1;
        while self.live.last() == Some(&HOLE) {
            self.live.pop();
        }
        if self.live.len() > 2 * self.live_count + 16 {
            self.close_holes();
        }
        self.free.push(slot);
    }

    fn close_holes(&mut self) {
        self.live.retain(|slot| *slot != HOLE);
        for (place, slot) in (0..).zip(&self.live) {
            self.places[*slot as usize] = place;
        }
    }

    /// Trades an aggressor of `side` up to `limit`; the shares of each fill go to `fills`.
    pub fn trade(&mut self, side: Side, limit: u64, quantity: u32, fills: &mut Vec<u32>) {
        let mut traded = 0;
        while traded < quantity
            && let Some(slot) = self.front(side.opposite(), limit)
        {
            let open = self.get(slot).map_or(0, |order| order.open);
            let shares = open.min(quantity - traded);
            traded += shares;
            fills.push(shares);
            if shares == open {
                self.remove(slot);
            } else if let Some(order) = self.orders[slot as usize].as_mut() {
                order.open -= shares;
                order.executed += shares;
            }
        }
    }

    /// The oldest order at the best price of `side`, if that is within an opposite limit.
    fn front(&self, side: Side, limit: u64) -> Option<u32> {
        let best = self.best(side)?;
        let is_within = match side {
            Side::Sell => best <= limit,
            Side::Buy => best >= limit,
        };
        let queue = self.levels(side).get(&best).filter(|_| is_within)?;
        queue.front().copied()
    }

    fn levels(&self, side: Side) -> &BTreeMap<u64, VecDeque<u32>> {
        match side {
            Side::Buy => &self.bids,
            Side::Sell => &self.asks,
        }
    }

    fn levels_mut(&mut self, side: Side) -> &mut BTreeMap<u64, VecDeque<u32>> {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }
}
