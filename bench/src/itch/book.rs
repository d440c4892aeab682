//! The displayed orders that a file says live, in queues of its own making: what the file believes, and
//! the oracle for what the venue answers. Naive on purpose; it never trades two orders with each other.

use crate::market::levels::is_better;
use lockstep_record::Side;
use std::collections::{BTreeMap, HashMap, VecDeque};

/// One live order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FileOrder {
    pub locate: u16,
    /// Where it lies: 0 is the stock's own book (`plan`).
    pub lane: u16,
    pub side: Side,
    pub price: u64,
    pub open: u32,
    /// Reference of the first order of its chain of replacements.
    pub root: u64,
}

/// Why a message cannot follow those before it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Unfit {
    /// It names an order that was never added, or has ended.
    Unknown,
    /// It takes more shares than are open.
    MoreThanOpen,
    /// An add of a reference that lives.
    Duplicate,
}

type Queues = BTreeMap<u64, VecDeque<u64>>;

#[derive(Debug, Default)]
struct SideQueues {
    bids: Queues,
    asks: Queues,
}

/// All live orders of a file.
#[derive(Debug, Default)]
pub struct FileBook {
    orders: HashMap<u64, FileOrder>,
    books: HashMap<(u16, u16), SideQueues>,
}

impl FileBook {
    pub fn get(&self, order: u64) -> Option<&FileOrder> {
        self.orders.get(&order)
    }

    pub fn live_count(&self) -> usize {
        self.orders.len()
    }

    /// In no particular order.
    pub fn iter(&self) -> impl Iterator<Item = (&u64, &FileOrder)> {
        self.orders.iter()
    }

    /// Best price of one book's side.
    pub fn best(&self, locate: u16, lane: u16, side: Side) -> Option<u64> {
        let queues = self.queues(locate, lane, side)?;
        match side {
            Side::Buy => queues.last_key_value().map(|(price, _)| *price),
            Side::Sell => queues.first_key_value().map(|(price, _)| *price),
        }
    }

    /// True if an order at this price would trade at once in that book.
    pub fn would_trade(&self, locate: u16, lane: u16, side: Side, price: u64) -> bool {
        self.best(locate, lane, side.opposite())
            .is_some_and(|best| !is_better(side, best, price))
    }

    /// True if no order stands before it: the best price, and the oldest there.
    pub fn is_first(&self, order: u64) -> bool {
        let Some(found) = self.orders.get(&order) else {
            return false;
        };
        let FileOrder {
            locate,
            lane,
            side,
            price,
            ..
        } = *found;
        let queue = self
            .queues(locate, lane, side)
            .and_then(|queues| queues.get(&price));
        self.best(locate, lane, side) == Some(price)
            && queue.and_then(VecDeque::front) == Some(&order)
    }

    pub fn add(&mut self, order: u64, terms: FileOrder) -> Result<(), Unfit> {
        if self.orders.contains_key(&order) {
            return Err(Unfit::Duplicate);
        }
        self.orders.insert(order, terms);
        let book = self.books.entry((terms.locate, terms.lane)).or_default();
        let queues = match terms.side {
            Side::Buy => &mut book.bids,
            Side::Sell => &mut book.asks,
        };
        queues.entry(terms.price).or_default().push_back(order);
        Ok(())
    }

    /// Takes shares out of an order; returns it as it was before.
    pub fn take(&mut self, order: u64, shares: u32) -> Result<FileOrder, Unfit> {
        let found = self.orders.get_mut(&order).ok_or(Unfit::Unknown)?;
        let before = *found;
        found.open = found.open.checked_sub(shares).ok_or(Unfit::MoreThanOpen)?;
        if found.open == 0 {
            self.remove(order)?;
        }
        Ok(before)
    }

    /// Removes an order; returns it as it was.
    pub fn remove(&mut self, order: u64) -> Result<FileOrder, Unfit> {
        let terms = self.orders.remove(&order).ok_or(Unfit::Unknown)?;
        let book = self.books.entry((terms.locate, terms.lane)).or_default();
        let queues = match terms.side {
            Side::Buy => &mut book.bids,
            Side::Sell => &mut book.asks,
        };
        if let Some(queue) = queues.get_mut(&terms.price) {
            queue.retain(|other| *other != order);
            if queue.is_empty() {
                queues.remove(&terms.price);
            }
        }
        Ok(terms)
    }

    fn queues(&self, locate: u16, lane: u16, side: Side) -> Option<&Queues> {
        let book = self.books.get(&(locate, lane))?;
        Some(match side {
            Side::Buy => &book.bids,
            Side::Sell => &book.asks,
        })
    }
}
