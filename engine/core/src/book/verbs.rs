//! What the public books do: the same verbs, whether a pool holds one book or many.

use super::index::Place;
use super::ladder::TICK_MAX;
use super::pool::{Book, NewOrder, OrderPool, lane};
use super::take::{Fill, FillSink, Limit};
use super::{BookError, OrderKey, Side, Trade, TradeSink};
use crate::NONE;

impl OrderPool {
    /// Whether the values can be an order's.
    #[inline(always)]
    pub(super) fn check(number: u32, tick: u32, quantity: u32) -> Result<(), BookError> {
        if (number == 0) | (quantity == 0) | (tick > TICK_MAX) {
            return Err(refusal(tick));
        }
        Ok(())
    }

    /// As [`super::OrderBook::add`].
    #[inline(always)]
    pub(super) fn add<S: TradeSink>(
        &mut self,
        book: &mut Book,
        key: OrderKey,
        side: Side,
        tick: u32,
        quantity: u32,
        sink: &mut S,
    ) -> Result<u32, BookError> {
        Self::check(key.number, tick, quantity)?;
        if self.is_full() {
            return Err(BookError::OrdersFull);
        }
        if self.lacks_level(book, lane(side, false), tick) {
            return Err(BookError::LevelsFull);
        }
        Ok(self.enter(book, key, side, tick, quantity, sink))
    }

    #[inline(always)]
    fn enter<S: TradeSink>(
        &mut self,
        book: &mut Book,
        key: OrderKey,
        side: Side,
        tick: u32,
        quantity: u32,
        sink: &mut S,
    ) -> u32 {
        debug_assert!(self.find(key.owner, key.number) == NONE, "the key is live");
        let mut open = quantity;
        if book.crosses(side, tick) {
            open = self.take_for(book, key, side, Limit::Tick(tick), quantity, sink);
        }
        if open != 0 {
            let new = NewOrder {
                owner: key.owner,
                number: key.number,
                open,
                executed: 0,
                hidden: false,
            };
            self.rest(book, side, tick, &new);
        }
        open
    }

    /// As [`super::OrderBook::take`].
    #[inline(never)]
    pub(super) fn take_for<S: TradeSink>(
        &mut self,
        book: &mut Book,
        key: OrderKey,
        side: Side,
        limit: Limit,
        quantity: u32,
        sink: &mut S,
    ) -> u32 {
        let mut trades = Trades {
            aggressor: key,
            sink,
        };
        self.take(book, side, limit, quantity, &mut trades)
    }

    /// Lowers a live order as [`super::OrderBook::reduce`] does.
    pub(super) fn lower(&mut self, book: &mut Book, slot: u32, place: Place, open: u32) -> u32 {
        let before = self.order(slot).open;
        if open == 0 {
            self.remove_at(book, slot, place);
        } else if open < before {
            self.reduce(slot, open);
        }
        before.saturating_sub(open)
    }

    /// Replaces a live order as [`super::OrderBook::replace`] does; the values have been checked.
    #[inline(always)]
    #[allow(clippy::too_many_arguments)]
    pub(super) fn replace_at<S: TradeSink>(
        &mut self,
        book: &mut Book,
        slot: u32,
        place: Place,
        new: OrderKey,
        tick: u32,
        quantity: u32,
        sink: &mut S,
    ) -> Result<u32, BookError> {
        let order = *self.order(slot);
        let side = order.side();
        let alone = order.prev == NONE && order.next == NONE;
        if !alone && self.lacks_level(book, lane(side, false), tick) {
            return Err(BookError::LevelsFull);
        }
        self.remove_at(book, slot, place);
        Ok(self.enter(book, new, side, tick, quantity, sink))
    }
}

#[cold]
fn refusal(tick: u32) -> BookError {
    if tick > TICK_MAX {
        BookError::Tick(tick)
    } else {
        BookError::Zero
    }
}

struct Trades<'a, S> {
    aggressor: OrderKey,
    sink: &'a mut S,
}

impl<S: TradeSink> FillSink for Trades<'_, S> {
    #[inline(always)]
    fn filled(&mut self, fill: &Fill) -> u32 {
        self.sink.traded(&Trade {
            resting: OrderKey {
                owner: fill.owner,
                number: fill.number,
            },
            aggressor: self.aggressor,
            tick: fill.tick,
            quantity: fill.quantity,
            resting_open: fill.resting_open,
        });
        0
    }
}
