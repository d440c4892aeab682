//! Enter Order: the checks in their order, acceptance, and what does not rest.
//!
//! The first failing check decides (`docs/matching.md`, "Order entry", a row a check).

use crate::admission::{Admitted, Wanted};
use crate::book::pool::NewOrder;
use crate::execution::{Aggressor, Outcome};
use crate::extension::Extension;
use crate::instrument::BLANK_FIRM;
use crate::machine::StateMachine;
use crate::option::{ECHO_LENGTH_MAX, Options};
use crate::order::Detail;
use crate::outbox::Outbox;
use crate::risk::Counted;
use crate::session::{owner, owner_ref, owner_session};
use crate::state::TradingState;
use lockstep_prefetch::prefetch;
use lockstep_record::command::ArchivedEnterOrder;
use lockstep_record::event::{
    Accepted, CancelReason, Canceled, Event, EventSink, OrderState, OrderTerms, RejectReason,
    Rejected,
};
use lockstep_record::{FirmId, InstrumentId, OrderReference, PartTag, Parts, Price, SessionId};

/// What becomes of an order that has taken what it could within its instrument's collars.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Left {
    /// As without collars.
    Usual,
    /// It may not go on.
    Canceled(CancelReason),
    /// A volatility auction goes on with it.
    Called,
}

impl StateMachine {
    #[inline(always)]
    pub(crate) fn enter_order<S: EventSink>(
        &mut self,
        session: SessionId,
        body: &ArchivedEnterOrder,
        options: &Options,
        out: &mut Outbox<'_, S>,
    ) {
        let owner = owner(session, options.user_ref_idx);
        let number = body.user_ref_num.to_native();
        if !self.sessions.is_new(owner, number) {
            self.counters.silent += 1;
            return;
        }
        self.sessions.consume(owner, number);
        let wanted = Wanted {
            price: body.price.to_native(),
            quantity: body.quantity.to_native(),
            side: body.side,
            time_in_force: body.time_in_force,
            display: body.display,
            capacity: body.capacity,
            intermarket_sweep: body.intermarket_sweep,
            cross_type: body.cross_type,
            replaces: false,
            inherited_deadline: None,
        };
        match self.check_entry(session, body.symbol, &wanted, options) {
            Ok((instrument, firm, admitted)) => {
                let detail = Detail::new(&wanted, firm, body.client_order_id);
                self.accept(
                    instrument, owner, number, &wanted, &admitted, detail, options, out,
                );
            }
            Err(reason) => self.reject(owner, number, reason, body.client_order_id, out),
        }
    }

    #[inline(always)]
    fn check_entry(
        &self,
        session: SessionId,
        symbol: [u8; 8],
        wanted: &Wanted,
        options: &Options,
    ) -> Result<(InstrumentId, FirmId, Admitted), RejectReason> {
        if self.risk.over_rate {
            return Err(RejectReason::RiskPortMessageRate);
        }
        let instrument = self.instruments.find(symbol);
        if let Some(id) = instrument
            && self.risk.tracking
        {
            // Needed for the last of the checks, and seldom in a cache.
            let firm = self.sessions.get(session).firm;
            self.risk.positions.warm(firm, id);
        }
        let state = instrument.map(|id| self.instruments.get(id).state);
        let retired = instrument.is_some_and(|id| self.instruments.get(id).retired);
        if !self.day.open || state == Some(TradingState::Closed) || retired {
            return Err(RejectReason::DestinationClosed);
        }
        if !self.sessions.get(session).order_entry {
            return Err(RejectReason::Other);
        }
        if options.faulty || options.has(PartTag::SIDE) || options.unsupported() {
            return Err(RejectReason::Other);
        }
        let firm = self
            .named_firm(session, options.firm)
            .ok_or(RejectReason::FirmNotAuthorized)?;
        if self.sessions.get(session).is_disabled(firm)
            || !self.lets_in(session, firm, options.group_id)
        {
            return Err(RejectReason::Other);
        }
        let instrument = instrument.ok_or(RejectReason::InvalidSymbol)?;
        if state == Some(TradingState::Halted) {
            return Err(RejectReason::Halted);
        }
        let admitted = self.check_wanted(instrument, wanted, options)?;
        self.check_limits((session, firm, instrument), wanted, &admitted, None)?;
        let book = self.instruments.book(instrument, admitted.book);
        let full = if admitted.stop || admitted.peg {
            self.pool.is_full() || self.extensions.is_full()
        } else {
            admitted.rests_at.is_some_and(|tick| {
                self.pool.is_full()
                    || (admitted.is_extended() && self.extensions.is_full())
                    || self.pool.lacks_level(book, admitted.lane(), tick)
            })
        };
        if full {
            Err(RejectReason::Other)
        } else {
            Ok((instrument, firm, admitted))
        }
    }

    /// The firm that a request of a session names: its own if blank, or a permitted one.
    #[inline(always)]
    pub(crate) fn named_firm(&self, session: SessionId, code: [u8; 4]) -> Option<FirmId> {
        let session = self.sessions.get(session);
        if code == BLANK_FIRM {
            return Some(session.firm);
        }
        session.firms().find(|&firm| self.firms.code(firm) == code)
    }

    #[allow(clippy::too_many_arguments)]
    #[inline(always)]
    fn accept<S: EventSink>(
        &mut self,
        instrument: InstrumentId,
        owner: u32,
        number: u32,
        wanted: &Wanted,
        admitted: &Admitted,
        mut detail: Detail,
        options: &Options,
        out: &mut Outbox<'_, S>,
    ) {
        self.risk.positions.claim(detail.firm(), instrument);
        if admitted.takes {
            let book = &self.instruments.get(instrument).book;
            let first = self.pool.warm_first(book, admitted.side, admitted.limit);
            prefetch(&self.details, first as usize);
        }
        self.last_reference += 1;
        detail.reference = self.last_reference;
        options.keep(&mut detail);
        // Written only where there is something to echo.
        let mut echo;
        let symbol = self.instruments.get(instrument).symbol;
        let echoed = if options.any() {
            echo = [0; ECHO_LENGTH_MAX];
            echo_of(options, &mut echo)
        } else {
            Parts::NONE
        };
        let terms = detail.terms(owner, number, wanted.quantity, wanted.price, symbol, echoed);
        let accepted = Accepted { instrument, terms };
        out.deliver(
            &mut self.sessions,
            owner_session(owner),
            Event::Accepted(&accepted),
        );
        let aggressor = Aggressor {
            instrument,
            owner,
            number,
            admitted: *admitted,
            open: wanted.quantity,
            executed: 0,
            min_quantity: options.min_quantity,
            self_trade: self.self_trade_of(owner, options.self_trade_prevention),
            expire_time: options.expire_time,
        };
        self.act_or_wait(&aggressor, wanted.price, &detail, options, out);
    }

    /// Lets an order trade; what is left rests or is cancelled.
    #[inline(always)]
    pub(crate) fn trade_and_rest<S: EventSink>(
        &mut self,
        order: &Aggressor,
        detail: &Detail,
        out: &mut Outbox<'_, S>,
    ) {
        self.touch(order.instrument);
        if !order.admitted.takes {
            let whole = Outcome {
                left: order.open,
                traded: 0,
            };
            return self.come_to_rest(order, whole, CancelReason::ImmediateOrCancel, detail, out);
        }
        if order.admitted.post_only && self.would_take(order) {
            return self.cancel_entering(order, order.open, CancelReason::PostOnlyContra, out);
        }
        if self.instruments.get(order.instrument).collared {
            return self.trade_in_collar(order, detail, out);
        }
        let outcome = self.execute(order, detail, out);
        self.come_to_rest(order, outcome, CancelReason::ImmediateOrCancel, detail, out);
    }

    #[cold]
    fn trade_in_collar<S: EventSink>(
        &mut self,
        order: &Aggressor,
        detail: &Detail,
        out: &mut Outbox<'_, S>,
    ) {
        let (outcome, left) = self.execute_in_collar(order, detail, out);
        match left {
            Left::Usual => {
                self.come_to_rest(order, outcome, CancelReason::ImmediateOrCancel, detail, out);
            }
            Left::Canceled(reason) => self.cancel_entering(order, outcome.left, reason, out),
            Left::Called => {
                self.come_to_rest(order, outcome, CancelReason::MarketCollar, detail, out);
                self.call_volatility_auction(order.instrument, out);
            }
        }
    }

    /// What is left of an order rests, or is cancelled if it may not.
    #[inline(always)]
    fn come_to_rest<S: EventSink>(
        &mut self,
        order: &Aggressor,
        outcome: Outcome,
        reason: CancelReason,
        detail: &Detail,
        out: &mut Outbox<'_, S>,
    ) {
        let session = owner_session(order.owner);
        let Outcome { left, traded } = outcome;
        if left == 0 {
            return;
        }
        let Some(tick) = order.admitted.rests_at else {
            return self.cancel_entering(order, left, reason, out);
        };
        let shown = match order.admitted.max_floor {
            // Whole reserve orders take part in auctions.
            floor if floor != 0 && order.admitted.takes => left.min(floor),
            _ => left,
        };
        let new = NewOrder {
            owner: order.owner,
            number: order.number,
            open: shown,
            executed: order.executed + traded,
            hidden: order.admitted.hidden,
        };
        let book = self
            .instruments
            .book_mut(order.instrument, order.admitted.book);
        if self.pool.lacks_level(book, order.admitted.lane(), tick) {
            // A stop finds out only now; for all others it was seen at entry.
            return self.cancel_entering(order, left, CancelReason::System, out);
        }
        let slot = self.pool.rest(book, order.admitted.side, tick, &new);
        self.details[slot as usize] = *detail;
        self.sessions.link(&mut self.details, session, slot);
        if order.admitted.is_extended() {
            self.extend(slot, order, left - shown);
        }
        if self.risk.tracking {
            let counted = self.counted_at_rest(slot, order, detail.firm(), tick);
            self.risk.opened(&counted, left);
        }
    }

    /// An order that has just come to rest as it counts against limits, without looking for its price where
    /// it is known.
    #[inline(always)]
    fn counted_at_rest(&self, slot: u32, order: &Aggressor, firm: FirmId, tick: u32) -> Counted {
        if !order.admitted.takes || order.admitted.peg {
            return self.counted(slot);
        }
        let tick_size = self.instruments.get(order.instrument).tick_size;
        let price = u64::from(tick) * u64::from(tick_size);
        Counted {
            session: owner_session(order.owner),
            firm,
            instrument: order.instrument,
            side: order.admitted.side,
            price: price.min(self.features.price_max),
        }
    }

    #[cold]
    fn extend(&mut self, slot: u32, order: &Aggressor, reserve: u32) {
        let Admitted {
            deadline,
            max_floor,
            random_reserves,
            ..
        } = order.admitted;
        let expire_time = order.expire_time;
        let extension = Extension {
            deadline,
            expire_time,
            max_floor,
            random: random_reserves,
            reserve,
            ..Extension::NONE
        };
        let detail = &mut self.details[slot as usize];
        detail.extension = self.extensions.add(extension, detail.reference, slot);
        self.extensions.link(detail.extension, order.instrument);
    }

    /// Cancels what does not come to rest of an order that has been accepted.
    #[inline(never)]
    pub(crate) fn cancel_entering<S: EventSink>(
        &mut self,
        order: &Aggressor,
        quantity: u32,
        reason: CancelReason,
        out: &mut Outbox<'_, S>,
    ) {
        let user_ref = owner_ref(order.owner, order.number);
        let canceled = Canceled {
            user_ref,
            quantity,
            reason,
        };
        let session = owner_session(order.owner);
        out.deliver(&mut self.sessions, session, Event::Canceled(&canceled));
    }

    pub(crate) fn would_take(&self, order: &Aggressor) -> bool {
        let book = &self.instruments.get(order.instrument).book;
        book.would_meet(order.admitted.side, order.admitted.limit)
    }

    /// The self-trade prevention of an order: its own, or its session's.
    #[inline(always)]
    pub(crate) fn self_trade_of(&self, owner: u32, own: u8) -> u8 {
        match own {
            0 => self.sessions.get(owner_session(owner)).self_trade_mode,
            own => own,
        }
    }

    #[cold]
    pub(crate) fn reject<S: EventSink>(
        &mut self,
        owner: u32,
        number: u32,
        reason: RejectReason,
        client_order_id: [u8; 14],
        out: &mut Outbox<'_, S>,
    ) {
        let user_ref = owner_ref(owner, number);
        let rejected = Rejected {
            user_ref,
            reason,
            client_order_id,
        };
        out.deliver(
            &mut self.sessions,
            owner_session(owner),
            Event::Rejected(&rejected),
        );
    }
}

/// The options as they are echoed.
#[cold]
pub(crate) fn echo_of<'a>(options: &Options, echo: &'a mut [u8; ECHO_LENGTH_MAX]) -> Parts<'a> {
    let length = options.write(echo);
    let parts = Parts::parse(&echo[..length]);
    debug_assert!(parts.is_ok());
    parts.unwrap_or(Parts::NONE)
}

impl Detail {
    #[inline(always)]
    pub(crate) fn new(wanted: &Wanted, firm: FirmId, client_order_id: [u8; 14]) -> Self {
        Self {
            client_order_id,
            // Firm ids are bounded by 16 bits (bounds.rs).
            firm: firm.0 as u16,
            side: wanted.side,
            time_in_force: wanted.time_in_force,
            display: wanted.display,
            capacity: wanted.capacity,
            cross_type: wanted.cross_type,
            ..crate::order::FREE_DETAIL
        }
    }

    #[inline(always)]
    pub(crate) fn terms<'a>(
        &self,
        owner: u32,
        number: u32,
        quantity: u32,
        price: u64,
        symbol: [u8; 8],
        options: Parts<'a>,
    ) -> OrderTerms<'a> {
        OrderTerms {
            user_ref: owner_ref(owner, number),
            side: self.side,
            quantity,
            symbol,
            price: Price(price),
            time_in_force: self.time_in_force,
            display: self.display,
            order_reference: OrderReference(self.reference),
            capacity: self.capacity,
            // No other is accepted.
            intermarket_sweep: b'N',
            cross_type: self.cross_type,
            state: OrderState::Live,
            client_order_id: self.client_order_id,
            options,
        }
    }
}
