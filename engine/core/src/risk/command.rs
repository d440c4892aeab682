//! The operator's records about limits, rates, protections, positions and trades.
//!
//! Each is refused as a whole when what it names is not there or a value is not allowed.

use super::limit::Limits;
use super::protection::{FREE_PROTECTION, Protection, whom};
use super::throttle::Throttle;
use super::{BY_SYSTEM, RiskBounds, Scope};
use crate::NONE;
use crate::bounds::Capacity;
use crate::error::ApplyError;
use crate::machine::{Done, StateMachine};
use crate::outbox::Outbox;
use crate::session::{owner_ref, owner_session};
use lockstep_record::command::{
    ArchivedBreakTrade, ArchivedResetProtection, ArchivedSetGrace, ArchivedSetLimits,
    ArchivedSetPosition, ArchivedSetProtection, ArchivedSetRiskBounds, ArchivedSetThrottle,
};
use lockstep_record::event::{Broken, Event, EventSink, Refusal};
use lockstep_record::{FirmId, InstrumentId, MatchNumber, Record, SessionId, Timestamp};

/// Most positions: twice as many entries of 64 bytes are taken.
pub const POSITIONS_MAX: u32 = 1 << 26;
pub const TRADES_MAX: u32 = 1 << 28;
pub const PROTECTIONS_MAX: u32 = 1 << 24;

impl RiskBounds {
    pub(crate) fn of(body: &ArchivedSetRiskBounds) -> Self {
        Self {
            positions_max: body.positions_max.to_native(),
            trades_max: body.trades_max.to_native(),
            protections_max: body.protections_max.to_native(),
        }
    }

    /// Each with its name, its structural maximum and what a process can hold.
    fn rows(&self, capacity: &Capacity) -> [(&'static str, u32, u32, u32); 3] {
        [
            (
                "positions_max",
                self.positions_max,
                POSITIONS_MAX,
                capacity.positions_max,
            ),
            (
                "trades_max",
                self.trades_max,
                TRADES_MAX,
                capacity.trades_max,
            ),
            (
                "protections_max",
                self.protections_max,
                PROTECTIONS_MAX,
                capacity.protections_max,
            ),
        ]
    }

    /// Whether these may follow `before`: none above its maximum, or lower.
    pub(crate) fn may_follow(&self, before: &Self) -> bool {
        let any = Capacity::default();
        let (now, then) = (self.rows(&any), before.rows(&any));
        now.iter()
            .zip(&then)
            .all(|(now, then)| now.1 <= now.2 && now.1 >= then.1)
    }

    /// The first that a process of this capacity cannot hold: (name, wanted, held).
    pub(crate) fn beyond(&self, capacity: &Capacity) -> Option<(&'static str, u32, u32)> {
        let row = self.rows(capacity).into_iter().find(|row| row.1 > row.3)?;
        Some((row.0, row.1, row.3))
    }
}

impl StateMachine {
    /// Outside the common way of operators' records: a node that cannot hold the bounds stops.
    pub(crate) fn set_risk_bounds(
        &mut self,
        body: &ArchivedSetRiskBounds,
    ) -> Result<Done, ApplyError> {
        let bounds = RiskBounds::of(body);
        if !bounds.may_follow(&self.risk.bounds) {
            return Ok(Done::RefusedFor(Refusal::BoundLowered));
        }
        if let Some((bound, wanted, held)) = bounds.beyond(&self.capacity) {
            let sequence = self.position.sequence;
            return Err(ApplyError::BoundsExceedNode {
                sequence,
                bound,
                wanted,
                held,
            });
        }
        Ok(self.grow_risk(&bounds))
    }

    /// Takes the memory. Positions begin with those of the firms that have live orders: refused if these
    /// are more than there would be room for.
    pub(crate) fn grow_risk(&mut self, bounds: &RiskBounds) -> Done {
        if bounds.positions_max != 0 {
            let began = !self.risk.positions.are_kept();
            self.risk.positions.grow(bounds.positions_max);
            if began && !self.live_orders_have_positions() {
                self.risk.positions.clear();
                return Done::RefusedFor(Refusal::LiveOrders);
            }
            self.track();
        }
        self.risk.trades.grow(bounds.trades_max);
        self.risk.protections.grow(bounds.protections_max);
        self.risk.bounds = *bounds;
        Done::Yes
    }

    fn live_orders_have_positions(&mut self) -> bool {
        for id in (1..self.sessions.id_end()).map(SessionId) {
            let mut slot = self.sessions.get(id).first_order;
            while slot != NONE {
                let order = self.counted(slot);
                let position = self.risk.positions.claim(order.firm, order.instrument);
                if position.is_none() {
                    return false;
                }
                slot = self.details[slot as usize].next;
            }
        }
        true
    }

    /// Counts what is open from now on, beginning with what there is.
    pub(crate) fn track(&mut self) {
        self.risk.tracking = true;
        self.risk.forget_open();
        for id in (1..self.sessions.id_end()).map(SessionId) {
            let mut slot = self.sessions.get(id).first_order;
            while slot != NONE {
                let (order, open) = (self.counted(slot), self.open_of(slot));
                self.risk.opened(&order, open);
                slot = self.details[slot as usize].next;
            }
        }
    }

    pub(crate) fn set_limits<S: EventSink>(
        &mut self,
        _: &Record<'_>,
        body: &ArchivedSetLimits,
        _: &mut Outbox<'_, S>,
    ) -> Done {
        let limits = Limits::of(body);
        let scope = Scope::read(body.scope, body.id.to_native());
        let firm = matches!(scope, Some(Scope::Firm(_)));
        // Positions are firms', and of firms only where they are kept.
        if limits.limits_position() && !(firm && self.risk.positions.are_kept()) {
            return Done::RefusedFor(Refusal::Value);
        }
        match scope {
            Some(Scope::Session(id)) if self.sessions.find(id).is_some() => {
                self.risk.session_mut(id).limits = limits;
            }
            Some(Scope::Firm(id)) if self.firms.is_defined(id) => {
                self.risk.firm_mut(id).account.limits = limits;
            }
            Some(Scope::Session(_) | Scope::Firm(_)) => {
                return Done::RefusedFor(Refusal::Undefined);
            }
            _ => return Done::RefusedFor(Refusal::Value),
        }
        if !self.risk.tracking {
            self.track();
        }
        Done::Yes
    }

    pub(crate) fn set_throttle<S: EventSink>(
        &mut self,
        _: &Record<'_>,
        body: &ArchivedSetThrottle,
        _: &mut Outbox<'_, S>,
    ) -> Done {
        let id = SessionId(body.session.to_native());
        let (window, messages_max) = (body.window.to_native(), body.messages_max.to_native());
        if self.sessions.find(id).is_none() {
            return Done::RefusedFor(Refusal::Undefined);
        }
        if (window == 0) != (messages_max == 0) {
            return Done::RefusedFor(Refusal::Value);
        }
        self.sessions.get_mut(id).throttled = messages_max != 0;
        *self.risk.throttle_mut(id) = Throttle {
            window,
            messages_max,
            ..Throttle::default()
        };
        Done::Yes
    }

    pub(crate) fn set_protection<S: EventSink>(
        &mut self,
        _: &Record<'_>,
        body: &ArchivedSetProtection,
        _: &mut Outbox<'_, S>,
    ) -> Done {
        let id = SessionId(body.session.to_native());
        if self.sessions.find(id).is_none() {
            return Done::RefusedFor(Refusal::Undefined);
        }
        let (executions_max, quantity_max) = (
            body.executions_max.to_native(),
            body.quantity_max.to_native(),
        );
        let (window, group_id) = (body.window.to_native(), body.group_id.to_native());
        let ends = executions_max == 0 && quantity_max == 0;
        if !names_group(body.by_group, group_id) || (window == 0) != ends {
            return Done::RefusedFor(Refusal::Value);
        }
        let whom = whom(body.by_group == 1, group_id);
        let protections = &mut self.risk.protections;
        let first = &mut self.sessions.get_mut(id).first_protection;
        if ends {
            protections.end(first, whom);
            return Done::Yes;
        }
        if protections.is_full() && !protections.has(*first, whom) {
            return Done::RefusedFor(Refusal::Full);
        }
        let new = Protection {
            window,
            quantity_max,
            executions_max,
            whom,
            session: id,
            ..FREE_PROTECTION
        };
        match protections.set(first, &new) {
            Some(()) => Done::Yes,
            None => Done::RefusedFor(Refusal::Full),
        }
    }

    pub(crate) fn reset_protection<S: EventSink>(
        &mut self,
        _: &Record<'_>,
        body: &ArchivedResetProtection,
        _: &mut Outbox<'_, S>,
    ) -> Done {
        let id = SessionId(body.session.to_native());
        let group_id = body.group_id.to_native();
        let Some(session) = self.sessions.find(id) else {
            return Done::RefusedFor(Refusal::Undefined);
        };
        if !names_group(body.by_group, group_id) {
            return Done::RefusedFor(Refusal::Value);
        }
        let whom = whom(body.by_group == 1, group_id);
        let first = session.first_protection;
        if whom != 0 && !self.risk.protections.has(first, whom) {
            return Done::RefusedFor(Refusal::Undefined);
        }
        self.risk
            .protections
            .reset(first, |protection| whom == 0 || protection.whom == whom);
        Done::Yes
    }

    /// Pulls what has tripped, by session, then all orders before groups, then by group; each oldest order
    /// reference first.
    #[cold]
    #[inline(never)]
    pub(crate) fn pull_tripped<S: EventSink>(&mut self, out: &mut Outbox<'_, S>) {
        while let Some((at, index)) = self.next_tripped() {
            self.risk.protections.pending.swap_remove(at);
            let Protection { session, .. } = *self.risk.protections.get(index);
            let group_id = self.risk.protections.get(index).group_id();
            let which = crate::mass::Which {
                firm: None,
                instrument: None,
                side: None,
                group_id,
            };
            self.cancel_all(session, &which, BY_SYSTEM, out);
        }
    }

    /// (place in the list of pending ones, protection) of what is pulled next.
    fn next_tripped(&self) -> Option<(usize, u32)> {
        let protections = &self.risk.protections;
        let order = |index: u32| {
            let protection = protections.get(index);
            (protection.session, protection.whom)
        };
        let pending = protections.pending.iter().copied().enumerate();
        pending.min_by_key(|(_, index)| order(*index))
    }

    pub(crate) fn set_position<S: EventSink>(
        &mut self,
        _: &Record<'_>,
        body: &ArchivedSetPosition,
        _: &mut Outbox<'_, S>,
    ) -> Done {
        let firm = FirmId(body.firm.to_native());
        let instrument = InstrumentId(body.instrument.to_native());
        if !self.firms.is_defined(firm) || !self.instruments.is_defined(instrument) {
            return Done::RefusedFor(Refusal::Undefined);
        }
        match self.risk.positions.claim(firm, instrument) {
            Some(position) => {
                position.carried = i128::from(body.position.to_native());
                Done::Yes
            }
            None => Done::RefusedFor(Refusal::Full),
        }
    }

    pub(crate) fn break_trade<S: EventSink>(
        &mut self,
        _: &Record<'_>,
        body: &ArchivedBreakTrade,
        out: &mut Outbox<'_, S>,
    ) -> Done {
        if !self.day.open {
            return Done::RefusedFor(Refusal::NoDay);
        }
        if !matches!(body.reason, b'E' | b'C' | b'S' | b'X') {
            return Done::RefusedFor(Refusal::Value);
        }
        let Some(trade) = self.risk.trades.take(body.match_number.to_native()) else {
            return Done::RefusedFor(Refusal::NotKnown);
        };
        let sides = [
            (trade.resting, trade.side.opposite()),
            (trade.aggressor, trade.side),
        ];
        for (side, traded) in sides {
            let position = self.risk.positions.find_mut(side.firm, trade.instrument);
            if let Some(position) = position.filter(|_| trade.counted) {
                position.broken(traded, trade.quantity);
            }
            let broken = Broken {
                user_ref: owner_ref(side.owner, side.number),
                match_number: MatchNumber(trade.match_number),
                reason: body.reason,
                client_order_id: side.client_order_id,
            };
            let session = owner_session(side.owner);
            out.deliver(&mut self.sessions, session, Event::Broken(&broken));
        }
        Done::Yes
    }

    pub(crate) fn set_grace<S: EventSink>(
        &mut self,
        _: &Record<'_>,
        body: &ArchivedSetGrace,
        _: &mut Outbox<'_, S>,
    ) -> Done {
        self.risk.grace.period = body.grace.to_native();
        Done::Yes
    }

    /// Trades of earlier days cannot be broken, and count as carried; protections begin anew.
    pub(crate) fn begin_risk_day(&mut self) {
        self.forget_retired();
        let risk = &mut self.risk;
        risk.trades.begin_day(self.last_match);
        risk.protections.reset_all();
        risk.positions.begin_day(|position| {
            position.carried != 0 || position.open_buy != 0 || position.open_sell != 0
        });
    }

    /// A new leader begins: who was connected may stay away for a while.
    pub(crate) fn begin_grace(&mut self, now: Timestamp) {
        let period = self.risk.grace.period;
        let away = self.sessions.leave_all();
        if away && period != 0 && self.day.open {
            self.risk.grace.deadline = Timestamp(now.0.saturating_add(period));
        }
    }

    /// When those that are away lose their orders, if that is to come.
    pub(crate) fn grace_deadline(&self) -> Option<Timestamp> {
        let deadline = self.risk.grace.deadline;
        (deadline != Timestamp(0) && self.day.open).then_some(deadline)
    }

    /// Who did not come back in time loses its orders, if it wants that; by session, oldest order
    /// reference first.
    pub(crate) fn end_grace<S: EventSink>(&mut self, out: &mut Outbox<'_, S>) {
        if self
            .grace_deadline()
            .is_none_or(|deadline| deadline > out.timestamp)
        {
            return;
        }
        self.risk.grace.deadline = Timestamp(0);
        for id in (1..self.sessions.id_end()).map(SessionId) {
            if core::mem::take(&mut self.sessions.get_mut(id).away) {
                self.cancel_on_disconnect(id, out);
            }
        }
    }
}

/// Whether a record names a group or none, and not both.
fn names_group(by_group: u8, group_id: u16) -> bool {
    by_group == 1 || (by_group == 0 && group_id == 0)
}
