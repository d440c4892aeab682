//! The generator of flow: draws what happens next in each symbol and keeps its belief in step.

use super::book::{BelievedBook, BelievedOrder};
use super::options::{
    BEHIND_TICKS_MAX, Behaviour, FlowError, FlowOptions, QUANTITY_MAX, SymbolOptions, check,
};
use crate::market::levels::is_better;
use crate::random::Random;
use lockstep_record::Side;

/// Ticks that the reference price moves at once at most.
const WALK_TICKS_MAX: u64 = 20;
/// Whole orders that an aggressor takes at most.
const WHOLE_ORDERS_MAX: u64 = 8;

/// An order of the flow: dense over all symbols, `0..Flow::slot_count`, and reused once the order is
/// gone. A caller keeps what it knows of the order in a table by slot.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct OrderSlot(pub u32);

/// What a trader does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FlowAction {
    /// A day order that rests, in a slot that was free.
    Enter {
        slot: OrderSlot,
        side: Side,
        price: u64,
        quantity: u32,
    },
    /// An IOC order.
    Aggress {
        side: Side,
        price: u64,
        quantity: u32,
        /// Orders that it is believed to trade with.
        fills: u32,
    },
    /// Cancels down to `new_total` of the chain, executed shares included; 0 = all, and the slot is
    /// free again.
    Cancel { slot: OrderSlot, new_total: u32 },
    /// Replaces the order, in the same slot; `total` of the chain, executed shares included.
    Replace {
        slot: OrderSlot,
        side: Side,
        price: u64,
        total: u32,
        /// Shares open afterwards.
        open: u32,
    },
}

/// One event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FlowEvent {
    /// ns since the flow began; never goes back.
    pub at_ns: u64,
    /// Index of the symbol in the options.
    pub symbol: u16,
    pub trader: u16,
    pub action: FlowAction,
}

#[derive(Debug)]
struct Symbol {
    options: SymbolOptions,
    book: BelievedBook,
    /// Where the market believes the price to be.
    reference: u64,
    last_aggressor: Side,
    next_ns: u64,
    /// ns between events on average.
    mean_gap_ns: u64,
    first_slot: u32,
}

/// A running flow.
#[derive(Debug)]
pub struct Flow {
    random: Random,
    symbols: Vec<Symbol>,
    behaviour: Behaviour,
    traders: u16,
    slot_count: u32,
    /// Mean of the gap table, ppm: what scales it to the rate.
    gap_mean_ppm: u64,
    /// Shares of each execution that the last event is believed to cause.
    fills: Vec<u32>,
}

impl Flow {
    pub fn new(options: &FlowOptions) -> Result<Self, FlowError> {
        check(options)?;
        let weights: u64 = options
            .symbols
            .iter()
            .map(|symbol| u64::from(symbol.weight))
            .sum();
        let mut slot_count = 0;
        let mut symbols = Vec::new();
        for symbol in &options.symbols {
            let share = u128::from(weights) * 1_000_000_000;
            let rate = u128::from(options.events_per_s) * u128::from(symbol.weight);
            symbols.push(Symbol {
                options: *symbol,
                book: BelievedBook::new(symbol.live_orders * 2),
                reference: symbol.price,
                last_aggressor: Side::Buy,
                next_ns: 0,
                mean_gap_ns: u64::try_from(share / rate.max(1)).unwrap_or(u64::MAX),
                first_slot: slot_count,
            });
            slot_count += symbol.live_orders * 2;
        }
        Ok(Self {
            random: Random::new(options.seed),
            symbols,
            behaviour: options.behaviour,
            traders: options.traders,
            slot_count,
            gap_mean_ppm: quantile_mean(options.behaviour.gaps_ppm).max(1),
            fills: Vec::new(),
        })
    }

    /// Slots are `0..slot_count`.
    pub fn slot_count(&self) -> u32 {
        self.slot_count
    }

    /// Orders believed to rest, over all symbols.
    pub fn live_count(&self) -> usize {
        self.symbols
            .iter()
            .map(|symbol| symbol.book.live_count())
            .sum()
    }

    /// Shares of each execution that the last event is believed to cause; empty unless it was an aggressor.
    pub fn last_fills(&self) -> &[u32] {
        &self.fills
    }

    /// Best believed price of a symbol's side.
    pub fn best(&self, symbol: u16, side: Side) -> Option<u64> {
        self.symbols.get(usize::from(symbol))?.book.best(side)
    }

    /// The next event. A flow never ends.
    pub fn next_event(&mut self) -> FlowEvent {
        let due = self
            .symbols
            .iter()
            .enumerate()
            .min_by_key(|(_, symbol)| symbol.next_ns);
        let index = due.map_or(0, |(index, _)| index);
        let gap_ppm = self.random.from_quantiles(self.behaviour.gaps_ppm);
        let symbol = &mut self.symbols[index];
        let at_ns = symbol.next_ns;
        let gap_ns =
            u128::from(gap_ppm) * u128::from(symbol.mean_gap_ns) / u128::from(self.gap_mean_ppm);
        symbol.next_ns = at_ns.saturating_add(u64::try_from(gap_ns).unwrap_or(u64::MAX));
        self.fills.clear();
        let mut draw = Draw {
            fills: &mut self.fills,
            random: &mut self.random,
            behaviour: &self.behaviour,
            traders: self.traders,
            symbol,
        };
        let (trader, action) = draw.next();
        FlowEvent {
            at_ns,
            symbol: index as u16,
            trader,
            action,
        }
    }
}

/// One draw in one symbol.
struct Draw<'a> {
    fills: &'a mut Vec<u32>,
    random: &'a mut Random,
    behaviour: &'a Behaviour,
    traders: u16,
    symbol: &'a mut Symbol,
}

impl Draw<'_> {
    fn next(&mut self) -> (u16, FlowAction) {
        self.walk();
        let Behaviour {
            new,
            cancel,
            replace,
            aggress,
            ..
        } = *self.behaviour;
        // A book that holds too little gets more new orders, one that holds too much more cancels.
        let live = self.symbol.book.live_count() as u64;
        let target = u64::from(self.symbol.options.live_orders.max(1));
        let tilt = |weight: u32, pull: u64| {
            (u64::from(weight) * pull / target).min(u64::from(u32::MAX)) as u32
        };
        let fewer = (2 * target).saturating_sub(live);
        let weights = [
            tilt(new, fewer),
            tilt(cancel, live),
            tilt(replace, target),
            tilt(aggress, live.min(target)),
        ];
        let drawn = match self.random.weighted(&weights) {
            1 => self.cancel(),
            2 => self.replace(),
            3 => self.aggress(),
            _ => None,
        };
        drawn
            .or_else(|| self.enter())
            .or_else(|| self.cancel())
            .unwrap_or_else(|| self.nothing())
    }

    /// The reference price takes a step now and then, and leans back where its range ends.
    fn walk(&mut self) {
        let SymbolOptions {
            price,
            tick,
            range_ticks,
            ..
        } = self.symbol.options;
        if !self.random.chance(self.behaviour.walk_per_mille) {
            return;
        }
        let on = self.behaviour.walk_on_per_mille;
        let step = tick * (1 + self.random.geometric(on, WALK_TICKS_MAX));
        let is_up = match self.symbol.reference {
            high if high >= price + range_ticks * tick => false,
            low if low <= price.saturating_sub(range_ticks * tick).max(2 * tick) => true,
            _ => self.random.chance(500),
        };
        let reference = &mut self.symbol.reference;
        *reference = if is_up {
            *reference + step
        } else {
            // `check` keeps the range far above it.
            reference.saturating_sub(step).max(tick)
        };
    }

    fn trader(&mut self) -> u16 {
        self.random.below(u64::from(self.traders)) as u16
    }

    fn slot(&self, slot: u32) -> OrderSlot {
        OrderSlot(self.symbol.first_slot + slot)
    }

    fn size(&mut self, quantiles: &[u64]) -> u32 {
        self.random.from_quantiles(quantiles).clamp(1, QUANTITY_MAX) as u32
    }

    /// A price of `side` that rests: improving, joining or behind the best, never trading.
    fn resting_price(&mut self, side: Side) -> u64 {
        let Behaviour {
            improve_per_mille,
            join_per_mille,
            behind_per_mille,
            ..
        } = *self.behaviour;
        let tick = self.symbol.options.tick;
        let limit = self.limit(side);
        let best = self.symbol.book.best(side).unwrap_or(limit);
        let may_improve = is_better(side, limit, best);
        let draw = self.random.below(1000);
        if draw < improve_per_mille && may_improve {
            // Where the market has moved on, the next quote follows it.
            let half_spread = 2 * self.symbol.options.half_spread_ticks;
            let behind = (limit.abs_diff(best) / tick).saturating_sub(half_spread);
            let step = (1 + self.random.geometric(300, 5)).max(behind) * tick;
            let price = if side == Side::Buy {
                best + step
            } else {
                best.saturating_sub(step)
            };
            let price = if is_better(side, price, limit) {
                limit
            } else {
                price
            };
            return self.keep_apart(side, price);
        }
        let is_join = draw < improve_per_mille + join_per_mille && draw >= improve_per_mille;
        let steps = if is_join {
            0
        } else {
            1 + self.random.geometric(behind_per_mille, BEHIND_TICKS_MAX)
        };
        // Nobody quotes out of all proportion, however far the best has fallen.
        let farthest = tick * (2 * self.symbol.options.half_spread_ticks + 2 * BEHIND_TICKS_MAX);
        let reference = self.symbol.reference;
        let price = match side {
            Side::Buy => best
                .saturating_sub(steps * tick)
                .max(reference.saturating_sub(farthest)),
            Side::Sell => (best + steps * tick).min(reference + farthest),
        };
        self.keep_apart(side, price)
    }

    /// The best price that a trader of `side` would quote now: some way from the reference.
    fn limit(&mut self, side: Side) -> u64 {
        let SymbolOptions {
            tick,
            half_spread_ticks,
            ..
        } = self.symbol.options;
        let away = tick * (self.random.below(2 * half_spread_ticks) + 1);
        match side {
            Side::Buy => self.symbol.reference.saturating_sub(away),
            Side::Sell => self.symbol.reference + away,
        }
    }

    /// `price`, moved to where it does not trade, and above zero.
    fn keep_apart(&self, side: Side, price: u64) -> u64 {
        let tick = self.symbol.options.tick;
        let price = price.max(tick);
        match (side, self.symbol.book.best(side.opposite())) {
            (Side::Buy, Some(ask)) if price >= ask => ask.saturating_sub(tick),
            (Side::Sell, Some(bid)) if price <= bid => bid + tick,
            _ => price,
        }
    }

    fn enter(&mut self) -> Option<(u16, FlowAction)> {
        if !self.symbol.book.has_room() {
            return None;
        }
        let side = if self.random.chance(500) {
            Side::Buy
        } else {
            Side::Sell
        };
        let price = self.resting_price(side);
        if price == 0 {
            return None;
        }
        let quantity = self.size(self.behaviour.sizes);
        let trader = self.trader();
        let slot = self.symbol.book.add(trader, side, price, quantity, 0)?;
        let slot = self.slot(slot);
        Some((
            trader,
            FlowAction::Enter {
                slot,
                side,
                price,
                quantity,
            },
        ))
    }

    fn pick(&mut self) -> Option<BelievedOrder> {
        let Behaviour {
            best_per_mille,
            young_per_mille,
            stale_per_mille,
            ..
        } = *self.behaviour;
        if let Some(side) = self.stale_side()
            && self.random.chance(stale_per_mille)
        {
            return self.symbol.book.youngest_at_best(side).copied();
        }
        let book = &self.symbol.book;
        let draw = self.random.below(1000);
        if draw < best_per_mille {
            let side = if self.random.chance(500) {
                Side::Buy
            } else {
                Side::Sell
            };
            return book
                .youngest_at_best(side)
                .or_else(|| book.nth_youngest(0))
                .copied();
        }
        let is_young = draw < best_per_mille + young_per_mille;
        let span = if is_young {
            book.span().min(8)
        } else {
            book.span()
        };
        let back = self.random.below(span.max(1) as u64) as usize;
        book.nth_youngest(back).copied()
    }

    /// The side whose best price the market has passed: its traders take their orders back.
    fn stale_side(&self) -> Option<Side> {
        let SymbolOptions {
            tick,
            half_spread_ticks,
            ..
        } = self.symbol.options;
        // Half of the usual distance is near enough to be in danger.
        let near = tick * half_spread_ticks / 2;
        let (reference, book) = (self.symbol.reference, &self.symbol.book);
        if book
            .best(Side::Buy)
            .is_some_and(|bid| bid + near > reference)
        {
            return Some(Side::Buy);
        }
        let is_low = book
            .best(Side::Sell)
            .is_some_and(|ask| ask < reference + near);
        is_low.then_some(Side::Sell)
    }

    fn cancel(&mut self) -> Option<(u16, FlowAction)> {
        let order = self.pick()?;
        let is_partial =
            order.open > 1 && self.random.chance(self.behaviour.partial_cancel_per_mille);
        let keeps = if is_partial {
            1 + self.random.below(u64::from(order.open) - 1) as u32
        } else {
            0
        };
        self.symbol.book.reduce(order.slot, order.open - keeps);
        let new_total = if keeps == 0 {
            0
        } else {
            order.executed + keeps
        };
        let slot = self.slot(order.slot);
        Some((order.trader, FlowAction::Cancel { slot, new_total }))
    }

    fn replace(&mut self) -> Option<(u16, FlowAction)> {
        let order = self.pick()?;
        let quantity = self.size(self.behaviour.sizes);
        let total = order
            .executed
            .checked_add(quantity)
            .filter(|total| u64::from(*total) <= QUANTITY_MAX)?;
        let price = self.resting_price(order.side);
        if price == 0 {
            return None;
        }
        let book = &mut self.symbol.book;
        book.remove(order.slot);
        // The slot freed last is the first to be taken: the order keeps it.
        let slot = book.add(order.trader, order.side, price, quantity, order.executed)?;
        debug_assert!(slot == order.slot);
        let slot = self.slot(slot);
        let action = FlowAction::Replace {
            slot,
            side: order.side,
            price,
            total,
            open: quantity,
        };
        Some((order.trader, action))
    }

    fn aggress(&mut self) -> Option<(u16, FlowAction)> {
        let side = self.aggressor_side();
        let price = self.symbol.book.best(side.opposite())?;
        let quantity = self.aggressor_size(side);
        let shown = self.symbol.book.best_quantity(side.opposite());
        // Most aggressors take what is shown at the best price, or less; some sweep on.
        let through = if quantity > shown {
            self.random.geometric(300, 3) * self.symbol.options.tick
        } else {
            0
        };
        let limit = match side {
            Side::Buy => price + through,
            Side::Sell => price.saturating_sub(through).max(self.symbol.options.tick),
        };
        self.symbol.book.trade(side, limit, quantity, self.fills);
        let fills = self.fills.len() as u32;
        self.symbol.last_aggressor = side;
        let trader = self.trader();
        let action = FlowAction::Aggress {
            side,
            price: limit,
            quantity,
            fills,
        };
        Some((trader, action))
    }

    /// Shares of an aggressor: whole orders of the best price, or a size of its own.
    fn aggressor_size(&mut self, side: Side) -> u32 {
        let Behaviour {
            whole_per_mille,
            whole_on_per_mille,
            aggressor_sizes,
            ..
        } = *self.behaviour;
        if !self.random.chance(whole_per_mille) {
            return self.size(aggressor_sizes);
        }
        let orders = 1 + self.random.geometric(whole_on_per_mille, WHOLE_ORDERS_MAX);
        let whole = self
            .symbol
            .book
            .oldest_quantity(side.opposite(), orders as usize);
        whole.clamp(1, QUANTITY_MAX as u32)
    }

    /// The side of the last one most of the time, unless the price has run away from the reference.
    fn aggressor_side(&mut self) -> Side {
        let (reference, last) = (self.symbol.reference, self.symbol.last_aggressor);
        let book = &self.symbol.book;
        if book.best(Side::Buy).is_some_and(|bid| bid >= reference) {
            return Side::Sell;
        }
        if book.best(Side::Sell).is_some_and(|ask| ask <= reference) {
            return Side::Buy;
        }
        if self.random.chance(self.behaviour.persist_per_mille) {
            last
        } else {
            last.opposite()
        }
    }

    /// A book that is full, empty and in nobody's hands at once cannot be: `check` sees to it.
    fn nothing(&self) -> (u16, FlowAction) {
        unreachable!("a book with room takes an order, one without has one to cancel")
    }
}

/// Mean of a distribution given by equally spaced quantiles.
pub fn quantile_mean(quantiles: &[u64]) -> u64 {
    let segments = quantiles.len().saturating_sub(1).max(1) as u128;
    let sum: u128 = quantiles
        .windows(2)
        .map(|pair| u128::from(pair[0]) + u128::from(pair[1]))
        .sum();
    u64::try_from(sum / (2 * segments)).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[path = "model_tests.rs"]
mod tests;
