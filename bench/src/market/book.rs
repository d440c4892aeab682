//! The book as the venue's answers tell it: every session's acknowledged orders, added up by price.
//!
//! It must never hear of what was sent. A venue that answers one thing and does another is caught by
//! the next answer; a venue that does the wrong thing is caught here.

use super::levels::Level;
use crate::client::orders::{Change, Order};
use lockstep_record::Side;
use std::collections::BTreeMap;

/// Shares open by price, both sides, of one symbol.
#[derive(Debug, Default)]
pub struct AnsweredBook {
    bids: BTreeMap<u64, u64>,
    asks: BTreeMap<u64, u64>,
}

impl AnsweredBook {
    /// Follows one change of any session's orders.
    pub fn handle_change(&mut self, change: &Change) {
        match change {
            Change::Opened { order, .. } => self.add(order),
            Change::Replaced { before, order, .. } | Change::Repriced { before, order, .. } => {
                self.take(before, before.open);
                self.add(order);
            }
            Change::Reduced { order, by, .. } => self.take(order, *by),
            Change::Refused { .. } | Change::None => {}
        }
    }

    /// The best `depth` levels of a side, best first, into `out`.
    pub fn levels(&self, side: Side, depth: usize, out: &mut Vec<Level>) {
        out.clear();
        let level = |(price, quantity): (&u64, &u64)| Level {
            price: *price,
            quantity: *quantity,
        };
        match side {
            Side::Buy => out.extend(self.bids.iter().rev().take(depth).map(level)),
            Side::Sell => out.extend(self.asks.iter().take(depth).map(level)),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.bids.is_empty() && self.asks.is_empty()
    }

    fn add(&mut self, order: &Order) {
        if !order.is_immediate && order.open > 0 {
            *self.side(order.side).entry(order.price.0).or_default() += u64::from(order.open);
        }
    }

    fn take(&mut self, order: &Order, shares: u32) {
        if order.is_immediate {
            return;
        }
        let levels = self.side(order.side);
        // `Orders` has checked that the order held these shares, so its level does.
        if let Some(quantity) = levels.get_mut(&order.price.0) {
            *quantity = quantity.saturating_sub(u64::from(shares));
            if *quantity == 0 {
                levels.remove(&order.price.0);
            }
        }
    }

    fn side(&mut self, side: Side) -> &mut BTreeMap<u64, u64> {
        match side {
            Side::Buy => &mut self.bids,
            Side::Sell => &mut self.asks,
        }
    }
}
