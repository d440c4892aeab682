//! Whole-book checks, for tests and the simulator: they read everything.

use super::pool::{Book, LANES, OrderPool};
use crate::NONE;

impl OrderPool {
    /// Checks one book; returns its number of orders and levels, or what is wrong.
    pub fn check_book(&self, book: &Book) -> Result<(u32, u32), &'static str> {
        let mut counts = (0, 0);
        for lane in 0..LANES {
            let occupied = self.levels.check(&book.best[lane], &book.ladders[lane])?;
            let mut levels = 0;
            let mut at = None;
            while let Some((level, tick)) = self.next_level(book, lane, at) {
                at = Some(level);
                levels += 1;
                counts.0 += self.check_level(book, lane, level, tick)?;
            }
            if levels != occupied {
                return Err("walking the levels does not visit each once");
            }
            counts.1 += levels;
        }
        Ok(counts)
    }

    fn check_level(
        &self,
        book: &Book,
        lane: usize,
        id: u32,
        tick: u32,
    ) -> Result<u32, &'static str> {
        let level = self.level(id);
        let (mut count, mut quantity, mut last) = (0, 0u64, NONE);
        for slot in self.level_orders(id) {
            let order = self.order(slot);
            if order.open == 0 {
                return Err("a resting order has nothing open");
            }
            if order.level != id || order.book() != book.id || order.lane() != lane {
                return Err("an order is not on the level that holds it");
            }
            if self.tick(order) != tick || order.prev != last {
                return Err("an order's price or link is wrong");
            }
            if self.find(order.owner, order.number) != slot {
                return Err("the index does not find a live order");
            }
            count += 1;
            quantity += u64::from(order.open);
            last = slot;
        }
        if level.tail != last || level.quantity != quantity {
            return Err("a level's tail or quantity is not that of its orders");
        }
        Ok(count)
    }
}
