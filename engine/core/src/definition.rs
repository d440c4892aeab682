//! Definitions by the operator: bounds, firms, sessions and instruments.
//!
//! Each defines or changes in place. What is out of bounds or contradicts the state is refused as a whole
//! and counted; nothing is half done.

use crate::book::ladder::TICK_MAX;
use crate::book::share::Allocation;
use crate::bounds::Bounds;
use crate::extension::Extensions;
use crate::grown;
use crate::instrument::BLANK_FIRM;
use crate::machine::{Done, StateMachine};
use crate::order::FREE_DETAIL;
use crate::outbox::Outbox;
use crate::phase::AuctionRules;
use crate::session::PERMITTED_FIRMS_MAX;
use crate::tick::TickTable;
use lockstep_record::command::{
    ArchivedDefineFirm, ArchivedDefineInstrument, ArchivedDefineSession,
};
use lockstep_record::event::{Event, EventSink, Refusal, SystemEventCode};
use lockstep_record::{FirmId, InstrumentId, PartTag, Record, SessionId};

impl StateMachine {
    /// Takes and touches the memory that new bounds need; the only place that allocates.
    pub(crate) fn grow(&mut self, bounds: &Bounds) {
        self.bounds = *bounds;
        self.firms.grow(bounds.firms_max);
        self.sessions.grow(bounds.sessions_max);
        self.instruments.grow(bounds.instruments_max);
        self.ticks.grow(bounds.instruments_max);
        self.risk.grow(bounds.sessions_max, bounds.firms_max);
        // The hash's key: the same on every node, and nothing a client could have known or chosen.
        let seed = self.position.timestamp.0;
        self.pool
            .grow(bounds.open_orders_max, bounds.price_levels_max, seed);
        self.extensions
            .grow(bounds.open_orders_max, bounds.instruments_max);
        self.timers.grow(bounds.instruments_max);
        let room = Extensions::room(bounds.open_orders_max);
        self.stops.grow(room, bounds.instruments_max, seed);
        self.pegs.grow(room, bounds.instruments_max);
        self.touched.grow(bounds.instruments_max);
        grown(
            &mut self.details,
            bounds.open_orders_max as usize + 1,
            FREE_DETAIL,
        );
    }

    pub(crate) fn define_firm<S: EventSink>(
        &mut self,
        _: &Record<'_>,
        body: &ArchivedDefineFirm,
        _: &mut Outbox<'_, S>,
    ) -> Done {
        let firm = FirmId(body.firm.to_native());
        let taken = self
            .firms
            .defined()
            .any(|(id, code)| id != firm && code == body.code);
        if !self.firms.in_bounds(firm) {
            return Done::RefusedFor(Refusal::OutOfBounds);
        }
        if body.code == BLANK_FIRM {
            return Done::RefusedFor(Refusal::Value);
        }
        if taken {
            return Done::RefusedFor(Refusal::Taken);
        }
        *self.firms.code_mut(firm) = body.code;
        Done::Yes
    }

    pub(crate) fn define_session<S: EventSink>(
        &mut self,
        record: &Record<'_>,
        body: &ArchivedDefineSession,
        out: &mut Outbox<'_, S>,
    ) -> Done {
        let id = SessionId(body.session.to_native());
        let firm = FirmId(body.firm.to_native());
        let user = body.user.map(|letter| letter.to_ascii_uppercase());
        let taken = |other| other != id && self.sessions.get(other).user == user;
        if !self.sessions.in_bounds(id) {
            return Done::RefusedFor(Refusal::OutOfBounds);
        }
        if !self.firms.is_defined(firm) {
            return Done::RefusedFor(Refusal::Undefined);
        }
        if user == [b' '; 6] || body.cancel_on_disconnect > 1 || body.order_entry > 1 {
            return Done::RefusedFor(Refusal::Value);
        }
        if self.sessions.defined().any(taken) {
            return Done::RefusedFor(Refusal::Taken);
        }
        let Some((permitted, permitted_count)) = self.permitted_firms(record) else {
            return Done::RefusedFor(Refusal::Undefined);
        };
        let Some((self_trade_group, self_trade_mode)) = self_trade(record) else {
            return Done::RefusedFor(Refusal::Value);
        };
        let session = self.sessions.get_mut(id);
        let is_new = !session.defined;
        let before = *session;
        session.defined = true;
        session.firm = firm;
        session.user = user;
        session.cancel_on_disconnect = body.cancel_on_disconnect == 1;
        session.order_entry = body.order_entry == 1;
        session.permitted = permitted;
        session.permitted_count = permitted_count;
        session.self_trade_group = self_trade_group;
        session.self_trade_mode = self_trade_mode;
        // What the client has disabled stays so for each firm that stays.
        let disabled = session
            .firms()
            .zip(0u32..)
            .filter(|(firm, _)| before.is_disabled(*firm));
        session.disabled = disabled.fold(0, |mask, (_, at)| mask | 1 << at);
        if is_new && self.day.open {
            // Its stream of this day begins as all others did.
            out.deliver(
                &mut self.sessions,
                id,
                Event::System(SystemEventCode::StartOfDay),
            );
        }
        Done::Yes
    }

    /// The firms of a session's definition, in its order; `None` if one is not defined or too many.
    fn permitted_firms(&self, record: &Record<'_>) -> Option<([FirmId; PERMITTED_FIRMS_MAX], u8)> {
        let mut permitted = [FirmId(0); PERMITTED_FIRMS_MAX];
        let mut count = 0;
        for part in record
            .parts()
            .filter(|part| part.tag == PartTag::PERMITTED_FIRM)
        {
            let firm = FirmId(part.u32()?);
            *permitted.get_mut(count)? = self.firms.is_defined(firm).then_some(firm)?;
            count += 1;
        }
        Some((permitted, count as u8))
    }

    /// A redefinition must leave prices and symbol of live orders what they are.
    pub(crate) fn define_instrument<S: EventSink>(
        &mut self,
        record: &Record<'_>,
        body: &ArchivedDefineInstrument,
        _: &mut Outbox<'_, S>,
    ) -> Done {
        let id = InstrumentId(body.instrument.to_native());
        let (tick_size, lot_size) = (body.tick_size.to_native(), body.lot_size.to_native());
        if !self.instruments.in_bounds(id) {
            return Done::RefusedFor(Refusal::OutOfBounds);
        }
        if body.symbol == [b' '; 8]
            || !(1..=TICK_MAX).contains(&tick_size)
            || !(1..=self.features.quantity_max).contains(&lot_size)
        {
            return Done::RefusedFor(Refusal::Value);
        }
        let other = self.instruments.find(body.symbol);
        if other.is_some_and(|other| other != id) {
            return Done::RefusedFor(Refusal::Taken);
        }
        let Some(ticks) = TickTable::read(record, tick_size, self.features.price_max) else {
            return Done::RefusedFor(Refusal::Value);
        };
        let Some(allocation) = allocation_of(record) else {
            return Done::RefusedFor(Refusal::Value);
        };
        let now = self.instruments.get(id);
        if now.retired {
            return Done::RefusedFor(Refusal::Taken);
        }
        let Some(rules) = AuctionRules::of(record) else {
            return Done::RefusedFor(Refusal::Value);
        };
        let live =
            !self.instruments.is_empty(id) || self.stops.any_of(id.0) || self.pegs.any_of(id.0);
        if live && (now.tick_size != tick_size || now.symbol != body.symbol) {
            return Done::RefusedFor(Refusal::LiveOrders);
        }
        if live && self.day.open && now.allocation != allocation {
            return Done::RefusedFor(Refusal::LiveOrders);
        }
        self.instruments.get_mut(id).allocation = allocation;
        self.instruments
            .define(id, body.symbol, tick_size, lot_size);
        self.instruments.get_mut(id).banded = ticks.count != 0;
        *self.ticks.get_mut(id) = ticks;
        self.instruments.phase_mut(id).rules = rules;
        self.instruments.get_mut(id).collared = rules.collars();
        Done::Yes
    }
}

/// Group and mode of a session's definition; both 0 if it does not say.
fn self_trade(record: &Record<'_>) -> Option<(u32, u8)> {
    let group = match record.parts().find(PartTag::SELF_TRADE_GROUP) {
        Some(part) => part.u32()?,
        None => 0,
    };
    let mode = match record.parts().find(PartTag::SELF_TRADE_MODE) {
        Some(part) => part
            .u8()
            .filter(|mode| matches!(mode, b'N' | b'O' | b'B' | b'D'))?,
        None => 0,
    };
    Some((group, mode))
}

/// How an instrument's definition says that displayed orders share; price-time if it does not.
fn allocation_of(record: &Record<'_>) -> Option<Allocation> {
    let value = |tag| match record.parts().find(tag) {
        Some(part) => part.u32(),
        None => Some(0),
    };
    let letter = match record.parts().find(PartTag::ALLOCATION) {
        Some(part) => part.u8()?,
        None => b'F',
    };
    let minimum = value(PartTag::ALLOCATION_MINIMUM)?;
    Allocation::of(letter, minimum, value(PartTag::TOP_SHARE)?)
}
