//! What is in use of limits, rates and protections, for tools, tests and administration. Never on the hot
//! path.

use super::limit::Limits;
use super::position::Position;
use super::{Exposure, RiskBounds};
use crate::NONE;
use crate::machine::StateMachine;
use lockstep_record::{FirmId, InstrumentId, MatchNumber, SessionId, Timestamp};

/// A firm's position in an instrument, in shares.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct PositionView {
    pub firm: FirmId,
    pub instrument: InstrumentId,
    /// Below 0 = short.
    pub net: i128,
    /// By today's trades that were not broken.
    pub bought: u64,
    pub sold: u64,
    /// Of live orders.
    pub open_buy: u64,
    pub open_sell: u64,
}

/// A session's throttle and what of it is used in the window that began last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ThrottleView {
    /// ns.
    pub window: u64,
    pub messages_max: u32,
    pub count: u32,
    pub start: Timestamp,
}

/// A market-maker protection and what it has counted in the window that began last.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ProtectionView {
    /// `None`: all orders of the session.
    pub group_id: Option<u16>,
    /// ns.
    pub window: u64,
    /// 0 = any number.
    pub executions_max: u32,
    pub quantity_max: u64,
    pub executions: u32,
    pub quantity: u64,
    pub start: Timestamp,
    /// Its orders were pulled, and new ones are refused.
    pub tripped: bool,
}

impl StateMachine {
    pub fn risk_bounds(&self) -> RiskBounds {
        self.risk.bounds
    }

    pub fn session_limits(&self, id: SessionId) -> Option<Limits> {
        self.sessions.find(id).map(|_| self.risk.session(id).limits)
    }

    pub fn firm_limits(&self, id: FirmId) -> Option<Limits> {
        let defined = self.firms.is_defined(id);
        defined.then(|| self.risk.firm(id).account.limits)
    }

    /// What a session's live orders amount to, as it is counted; `None` while nobody has limits or positions.
    pub fn session_counted(&self, id: SessionId) -> Option<Exposure> {
        let counted = self.risk.tracking && self.sessions.find(id).is_some();
        counted.then(|| self.risk.session(id).exposure)
    }

    /// The same of a firm.
    pub fn firm_counted(&self, id: FirmId) -> Option<Exposure> {
        let counted = self.risk.tracking && self.firms.is_defined(id);
        counted.then(|| self.risk.firm(id).account.exposure)
    }

    /// How long sessions may stay away after a change of leader, in ns; 0 = for ever.
    pub fn grace_period(&self) -> u64 {
        self.risk.grace.period
    }

    /// What a session's live orders amount to. Walks them.
    pub fn session_exposure(&self, id: SessionId) -> Exposure {
        self.exposure_of(id, |_| true)
    }

    /// What a firm's live orders amount to. Walks all live orders.
    pub fn firm_exposure(&self, firm: FirmId) -> Exposure {
        let mut sum = Exposure::default();
        for id in self.sessions.defined() {
            let part = self.exposure_of(id, |of| of == firm);
            sum.open_orders += part.open_orders;
            sum.open_notional += part.open_notional;
        }
        sum
    }

    fn exposure_of(&self, id: SessionId, meant: impl Fn(FirmId) -> bool) -> Exposure {
        let mut sum = Exposure::default();
        let mut slot = self
            .sessions
            .find(id)
            .map_or(NONE, |session| session.first_order);
        while slot != NONE {
            let order = self.counted(slot);
            if meant(order.firm) {
                sum.open_orders += 1;
                sum.open_notional += super::notional(order.price, self.open_of(slot));
            }
            slot = self.details[slot as usize].next;
        }
        sum
    }

    /// All positions, by firm, then instrument. Allocates.
    pub fn positions(&self) -> impl Iterator<Item = PositionView> + '_ {
        let sorted = self.risk.positions.sorted();
        sorted.into_iter().map(|position| position_view(&position))
    }

    /// A firm's position in an instrument, if it has one.
    pub fn position(&self, firm: FirmId, instrument: InstrumentId) -> Option<PositionView> {
        let defined = self.firms.is_defined(firm);
        let position = defined.then(|| self.risk.positions.find(firm, instrument));
        position.flatten().map(position_view)
    }

    /// `None`: the session is not throttled.
    pub fn throttle(&self, id: SessionId) -> Option<ThrottleView> {
        let session = self.sessions.find(id)?;
        let throttle = self.risk.throttle(id);
        session.throttled.then_some(ThrottleView {
            window: throttle.window,
            messages_max: throttle.messages_max,
            count: throttle.count,
            start: throttle.start,
        })
    }

    /// A session's market-maker protections: of all orders first, then by group.
    pub fn protections(&self, id: SessionId) -> impl Iterator<Item = ProtectionView> + '_ {
        let first = self
            .sessions
            .find(id)
            .map_or(NONE, |session| session.first_protection);
        let list = self.risk.protections.list(first);
        list.map(|protection| ProtectionView {
            group_id: protection.group_id(),
            window: protection.window,
            executions_max: protection.executions_max,
            quantity_max: protection.quantity_max,
            executions: protection.executions,
            quantity: protection.quantity,
            start: protection.start,
            tripped: protection.tripped,
        })
    }

    /// Match numbers of the trades that can be broken, ascending.
    pub fn known_trades(&self) -> impl Iterator<Item = MatchNumber> + '_ {
        let known = self.risk.trades.known(self.last_match);
        known.map(|trade| MatchNumber(trade.match_number))
    }
}

fn position_view(position: &Position) -> PositionView {
    PositionView {
        firm: FirmId(position.firm),
        instrument: InstrumentId(position.instrument),
        net: position.net(),
        bought: position.bought,
        sold: position.sold,
        open_buy: position.open_buy,
        open_sell: position.open_sell,
    }
}
