//! Price collars: how far from the reference price and from the last trade an order may trade.
//!
//! Only what an order would take from the book is bounded; a passive price may be anywhere. Both collars
//! are taken as they are before the order trades.

use crate::book::{Limit, TICK_MAX};
use crate::entry::Left;
use crate::execution::{Aggressor, Outcome};
use crate::instrument::Instrument;
use crate::machine::StateMachine;
use crate::order::Detail;
use crate::outbox::Outbox;
use crate::phase::Phase;
use crate::state::TradingState;
use lockstep_record::event::{CancelReason, EventSink};
use lockstep_record::{InstrumentId, Side, Timestamp};

/// 1/10,000: the unit of a collar's width.
const WHOLE: u64 = 10_000;

/// The worst tick at which an order of a side may trade; `None` = any.
pub(crate) fn collar_tick(instrument: &Instrument, phase: &Phase, side: Side) -> Option<u32> {
    let reference = phase.reference_price;
    let last = match instrument.statistics.last_price {
        0 => reference,
        last => last,
    };
    let collars = [
        (reference, phase.rules.static_collar),
        (last, phase.rules.dynamic_collar),
    ];
    let ticks = collars
        .into_iter()
        .filter(|&(around, width)| around != 0 && width != 0)
        .map(|(around, width)| {
            let (around, tick_size) = (u64::from(around), u64::from(instrument.tick_size));
            let distance = around * u64::from(width) / WHOLE;
            let tick = match side {
                Side::Buy => (around + distance) / tick_size,
                Side::Sell => around.saturating_sub(distance).div_ceil(tick_size),
            };
            tick.min(u64::from(TICK_MAX)) as u32
        });
    match side {
        Side::Buy => ticks.min(),
        Side::Sell => ticks.max(),
    }
}

impl StateMachine {
    /// Whether a limit is worse than a collar that rejects.
    #[cold]
    pub(crate) fn breaks_collar(&self, id: InstrumentId, side: Side, tick: u32) -> bool {
        let (instrument, phase) = (self.instruments.get(id), self.instruments.phase(id));
        let collar = collar_tick(instrument, phase, side);
        phase.rules.collar_action == b'R'
            && collar.is_some_and(|collar| match side {
                Side::Buy => tick > collar,
                Side::Sell => tick < collar,
            })
    }

    /// Lets an order take what it can within the collars, and says what becomes of the rest.
    #[cold]
    pub(crate) fn execute_in_collar<S: EventSink>(
        &mut self,
        order: &Aggressor,
        detail: &Detail,
        out: &mut Outbox<'_, S>,
    ) -> (Outcome, Left) {
        let id = order.instrument;
        let side = order.admitted.side;
        let (instrument, phase) = (self.instruments.get(id), self.instruments.phase(id));
        let volatility = phase.rules.collar_action == b'V';
        let Some(collar) = collar_tick(instrument, phase, side) else {
            return (self.execute(order, detail, out), Left::Usual);
        };
        let mut bounded = *order;
        bounded.admitted.limit = match (side, order.admitted.limit) {
            (_, Limit::Market) => Limit::Tick(collar),
            (Side::Buy, Limit::Tick(tick)) => Limit::Tick(tick.min(collar)),
            (Side::Sell, Limit::Tick(tick)) => Limit::Tick(tick.max(collar)),
        };
        let outcome = self.execute(&bounded, detail, out);
        let minimum_missed = order.min_quantity != 0 && outcome.traded == 0;
        let stopped = outcome.left != 0 && !minimum_missed && self.would_take(order);
        let left = match (stopped, volatility) {
            (false, _) => Left::Usual,
            (true, false) => Left::Canceled(CancelReason::MarketCollar),
            (true, true) => Left::Called,
        };
        (outcome, left)
    }

    /// A collar has stopped an order: trading goes on by an auction.
    pub(crate) fn call_volatility_auction<S: EventSink>(
        &mut self,
        id: InstrumentId,
        out: &mut Outbox<'_, S>,
    ) {
        self.enter_state(id, TradingState::VolatilityAuction, out);
        let rules = self.instruments.phase(id).rules;
        let at = out
            .timestamp
            .0
            .saturating_add(u64::from(rules.duration_ms) * 1_000_000);
        let next = TradingState::Trading;
        self.end_call_after(id, Timestamp(at), rules.random_end_ms, next);
    }
}
