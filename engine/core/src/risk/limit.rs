//! Limits of a session and of a firm, and the checks of an order against them.
//!
//! Checked on entry, for the worst that the order could do; what was live before a limit was lowered stays.

use super::{Account, Counted, notional};
use crate::NONE;
use crate::admission::{Admitted, Wanted};
use crate::book::Limit;
use crate::image::Walk;
use crate::instrument::BookMark;
use crate::machine::StateMachine;
use crate::session::owner_session;
use core::hint::select_unpredictable;
use lockstep_record::command::ArchivedSetLimits;
use lockstep_record::event::RejectReason;
use lockstep_record::{FirmId, InstrumentId, SessionId, Side};

/// 0 = no limit.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Limits {
    /// Shares of one order, of its whole chain.
    pub order_quantity_max: u32,
    pub open_orders_max: u32,
    /// Price times quantity of one order, in 1/10,000.
    pub order_notional_max: u64,
    /// The same over what is open of all live orders.
    pub open_notional_max: u64,
    /// By instrument: net position if all buys traded and no sell.
    pub long_max: u64,
    /// By instrument: net position below 0 if all sells traded and no buy.
    pub short_max: u64,
    /// By instrument: shares traded today and open on both sides.
    pub gross_max: u64,
}

impl Limits {
    pub(super) fn of(body: &ArchivedSetLimits) -> Self {
        Self {
            order_quantity_max: body.order_quantity_max.to_native(),
            open_orders_max: body.open_orders_max.to_native(),
            order_notional_max: body.order_notional_max.to_native(),
            open_notional_max: body.open_notional_max.to_native(),
            long_max: body.long_max.to_native(),
            short_max: body.short_max.to_native(),
            gross_max: body.gross_max.to_native(),
        }
    }

    pub(crate) fn walk(&mut self, walk: &mut impl Walk) {
        let Self {
            order_quantity_max,
            open_orders_max,
            order_notional_max,
            open_notional_max,
            long_max,
            short_max,
            gross_max,
        } = self;
        walk.u32(order_quantity_max);
        walk.u32(open_orders_max);
        walk.u64(order_notional_max);
        walk.u64(open_notional_max);
        walk.u64(long_max);
        walk.u64(short_max);
        walk.u64(gross_max);
    }

    /// Whether it limits positions.
    pub fn limits_position(&self) -> bool {
        self.long_max != 0 || self.short_max != 0 || self.gross_max != 0
    }
}

#[inline(always)]
fn exceeds(limit: u64, value: i128) -> bool {
    (limit != 0) & (value > i128::from(limit))
}

/// An order on its way in, as limits see it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entering {
    pub session: SessionId,
    pub firm: FirmId,
    pub instrument: InstrumentId,
    pub side: Side,
    /// In 1/10,000; of a market order the highest limit price.
    pub price: u64,
    /// Shares of the whole chain.
    pub total: u32,
    /// Shares that would be open.
    pub open: u32,
    /// Or wait for its trigger.
    pub may_rest: bool,
}

/// What an order on its way in adds to what a session or a firm does.
struct Wants {
    total: u32,
    worth: i128,
    may_rest: bool,
    /// Live orders more.
    orders: i64,
    /// Open notional more.
    notional: i128,
}

impl Account {
    /// A bit for each limit that would be exceeded, in the order in which they are looked at. Without a branch:
    /// nearly always none is.
    #[inline(always)]
    fn exceeded(&self, wants: &Wants) -> u32 {
        let Self { exposure, limits } = self;
        let open_orders = i64::from(exposure.open_orders) + wants.orders;
        let open_notional = exposure.open_notional as i128 + wants.notional;
        let most = limits.open_orders_max;
        let quantity = (limits.order_quantity_max != 0) & (wants.total > limits.order_quantity_max);
        let notional = exceeds(limits.order_notional_max, wants.worth);
        let orders = wants.may_rest & (most != 0) & (open_orders > i64::from(most));
        let open = wants.may_rest & exceeds(limits.open_notional_max, open_notional);
        u32::from(quantity)
            | u32::from(notional) << 1
            | u32::from(orders) << 2
            | u32::from(open) << 3
    }
}

#[cold]
fn first_exceeded(bits: u32) -> RejectReason {
    match bits.trailing_zeros() {
        0 => RejectReason::RiskMaxQuantity,
        1 => RejectReason::RiskSingleOrderNotional,
        2 => RejectReason::RiskAggregateExposure,
        _ => RejectReason::ExceedsMaxNotional,
    }
}

impl StateMachine {
    /// A live order as it counts against limits. Without an extension it neither waits nor is pegged.
    #[inline(always)]
    pub(crate) fn counted(&self, slot: u32) -> Counted {
        let (order, detail) = (self.pool.order(slot), &self.details[slot as usize]);
        let instrument = order.instrument();
        let price = if detail.extension == NONE && order.mark() == BookMark::Own {
            let tick_size = self.instruments.get(instrument).tick_size;
            u64::from(self.pool.tick(order)) * u64::from(tick_size)
        } else {
            self.limit_of(slot)
        };
        Counted {
            session: owner_session(order.owner),
            firm: detail.firm(),
            instrument,
            side: order.side(),
            price: price.min(self.features.price_max),
        }
    }

    /// Checks an order, or a replacement of the live order at `replaced`, against all limits.
    #[inline(always)]
    pub(crate) fn check_limits(
        &self,
        (session, firm, instrument): (SessionId, FirmId, InstrumentId),
        wanted: &Wanted,
        admitted: &Admitted,
        replaced: Option<u32>,
    ) -> Result<(), RejectReason> {
        if !self.risk.tracking {
            return Ok(());
        }
        let executed = replaced.map_or(0, |slot| self.pool.order(slot).executed);
        let entering = Entering {
            session,
            firm,
            instrument,
            side: admitted.side,
            price: match admitted.limit {
                Limit::Market => self.features.price_max,
                Limit::Tick(_) => wanted.price.min(self.features.price_max),
            },
            total: wanted.quantity,
            open: wanted.quantity - executed,
            may_rest: admitted.rests_at.is_some() || admitted.stop || admitted.peg,
        };
        self.check_entering(&entering, replaced)
    }

    #[inline(never)]
    fn check_entering(
        &self,
        entering: &Entering,
        replaced: Option<u32>,
    ) -> Result<(), RejectReason> {
        // What the order to be replaced gives free.
        let freed = replaced.map(|slot| (self.counted(slot), self.open_of(slot)));
        let (orders, freed_notional) = freed.map_or((0, 0), |(order, open)| {
            (1, notional(order.price, open) as i128)
        });
        // Prices and quantities are below 2^31 and 2^20 (features.rs).
        let worth = |quantity| notional(entering.price, quantity) as i128;
        let wants = Wants {
            total: entering.total,
            worth: worth(entering.total),
            may_rest: entering.may_rest,
            orders: 1 - orders,
            notional: worth(entering.open) - freed_notional,
        };
        let session = self.risk.session(entering.session).exceeded(&wants);
        let firm = self.risk.firm(entering.firm).account.exceeded(&wants);
        if session | firm != 0 {
            return Err(first_exceeded(session | firm));
        }
        let freed = freed.map_or(0, |(_, open)| i128::from(open));
        self.check_position(entering, freed)
    }

    /// The position limits are the firm's: `freed` shares of its open orders on this side go.
    fn check_position(&self, entering: &Entering, freed: i128) -> Result<(), RejectReason> {
        let positions = &self.risk.positions;
        if positions.lacks_room(entering.firm, entering.instrument) {
            return Err(RejectReason::Other);
        }
        let limits = &self.risk.firm(entering.firm).account.limits;
        if !limits.limits_position() {
            return Ok(());
        }
        let position = positions
            .find(entering.firm, entering.instrument)
            .unwrap_or(&super::position::FREE_POSITION);
        let open = i128::from(entering.open) - freed;
        let net = position.net();
        // Of a buy how far long, of a sell how far short; no branch on the side, which would be a coin's toss.
        let buys = entering.side == Side::Buy;
        let net = select_unpredictable(buys, net, -net);
        let opened = select_unpredictable(buys, position.open_buy, position.open_sell);
        let most = select_unpredictable(buys, limits.long_max, limits.short_max);
        let exceeded = exceeds(most, net + i128::from(opened) + open);
        if exceeded | exceeds(limits.gross_max, position.gross() + open) {
            return Err(RejectReason::SharesExceedThreshold);
        }
        Ok(())
    }
}
