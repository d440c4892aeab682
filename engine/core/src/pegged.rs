//! Pegged orders: entering, and following the displayed quote.
//!
//! They are never displayed, so that none follows another. When a record's effects are over, and what it
//! triggered has acted, those of the instruments that it touched whose price is not what it should be leave
//! the book, and then come back one after the other: no pegged order meets another at a price of before.

use crate::NONE;
use crate::admission::{Admitted, Wanted};
use crate::book::Limit;
use crate::book::pool::{NewOrder, Order};
use crate::execution::{Aggressor, Outcome};
use crate::extension::Extension;
use crate::instrument::Instrument;
use crate::machine::StateMachine;
use crate::option::Options;
use crate::order::Detail;
use crate::outbox::Outbox;
use crate::peg::{Peg, PegKind, Quote};
use crate::session::{owner_ref, owner_session};
use crate::state::TradingState;
use lockstep_record::event::{CancelReason, Event, EventSink, RejectReason, Restated};
use lockstep_record::{InstrumentId, OrderReference, PartTag, Price, Side, Timestamp};

impl Instrument {
    fn quote(&self) -> Quote {
        Quote {
            bid: self.book.best(Side::Buy),
            ask: self.book.best(Side::Sell),
        }
    }
}

impl StateMachine {
    /// Whether an order is pegged. Its price is checked with all others'.
    pub(crate) fn check_peg(
        &self,
        wanted: &Wanted,
        options: &Options,
        tick_size: u32,
        continuous: bool,
    ) -> Result<bool, RejectReason> {
        let offset = options.peg_offset;
        // It has no price to wait for an auction at.
        if options.price_type != b'L' && !continuous {
            return Err(RejectReason::PeggingNotAllowed);
        }
        if options.price_type == b'L' {
            return if offset == 0 {
                Ok(false)
            } else {
                Err(RejectReason::PeggingNotAllowed)
            };
        }
        if PegKind::from_u8(options.price_type).is_none() {
            return Err(RejectReason::InvalidPegType);
        }
        let plain = wanted.display == b'N'
            && wanted.time_in_force != b'3'
            && options.post_only != b'P'
            && options.stop_kind() == Some(crate::trigger::StopKind::None);
        if plain && offset.unsigned_abs().is_multiple_of(tick_size) {
            Ok(true)
        } else {
            Err(RejectReason::PeggingNotAllowed)
        }
    }

    /// A replacement that says nothing of pegs keeps the original's, unless it is displayed or immediate.
    pub(crate) fn inherit_peg(
        &self,
        options: &mut Options,
        original: &Detail,
        tick_size: u32,
        plain: bool,
    ) {
        let says = options.has(PartTag::PRICE_TYPE) || options.has(PartTag::PEG_OFFSET);
        let index = original.extension;
        if plain || says || index == NONE || !self.pegs.holds(index) {
            return;
        }
        let Peg { kind, offset, .. } = *self.pegs.get(index);
        options.put(PartTag::PRICE_TYPE);
        options.put(PartTag::PEG_OFFSET);
        options.price_type = kind as u8;
        // It was a multiple of the tick.
        options.peg_offset = offset.saturating_mul(tick_size as i32);
    }

    /// What an accepted pegged order does first.
    #[cold]
    pub(crate) fn enter_peg<S: EventSink>(
        &mut self,
        order: &Aggressor,
        price: u64,
        detail: &Detail,
        options: &Options,
        out: &mut Outbox<'_, S>,
    ) {
        let tick_size = self.instruments.get(order.instrument).tick_size;
        let peg = Peg {
            kind: PegKind::from_u8(options.price_type).unwrap_or(PegKind::Primary),
            // Seen to be a multiple; a tick of 2^31 and more is not defined.
            offset: options.peg_offset / tick_size as i32,
            price,
        };
        let tick = self.peg_tick(order.instrument, order.admitted.side, &peg);
        self.place_peg(order, tick, peg, detail, out);
    }

    /// Where a pegged order belongs now.
    fn peg_tick(&self, instrument: InstrumentId, side: Side, peg: &Peg) -> Option<u32> {
        let place = self.instruments.get(instrument);
        let tick_size = u64::from(place.tick_size);
        // A limit was seen to be at most price_max, which is within a tick's range (features.rs).
        let limit =
            (peg.price < self.features.market_price_min).then(|| (peg.price / tick_size) as u32);
        let tick_max = (self.features.price_max / tick_size) as u32;
        peg.tick(side, limit, place.quote(), tick_max)
    }

    /// It trades what it can at its price and rests there, or waits without one.
    fn place_peg<S: EventSink>(
        &mut self,
        order: &Aggressor,
        tick: Option<u32>,
        peg: Peg,
        detail: &Detail,
        out: &mut Outbox<'_, S>,
    ) {
        let mut order = *order;
        let (mut left, mut executed) = (order.open, order.executed);
        if let Some(tick) = tick {
            order.admitted.limit = Limit::Tick(tick);
            let outcome: Outcome = self.execute(&order, detail, out);
            left = outcome.left;
            executed += outcome.traded;
        }
        if left == 0 {
            return;
        }
        let Admitted {
            side,
            hidden,
            deadline,
            ..
        } = order.admitted;
        let new = NewOrder {
            owner: order.owner,
            number: order.number,
            open: left,
            executed,
            hidden,
        };
        let lane = order.admitted.lane();
        let book = &mut self.instruments.get_mut(order.instrument).book;
        let slot = match tick {
            None => self.pool.hold(book, side, &new),
            Some(tick) if self.pool.lacks_level(book, lane, tick) => {
                return self.cancel_entering(&order, left, CancelReason::System, out);
            }
            Some(tick) => self.pool.rest(book, side, tick, &new),
        };
        self.details[slot as usize] = *detail;
        let session = owner_session(order.owner);
        self.sessions.link(&mut self.details, session, slot);
        let extension = Extension {
            deadline,
            expire_time: order.expire_time,
            ..Extension::NONE
        };
        let index = self.extensions.add(extension, detail.reference, slot);
        self.details[slot as usize].extension = index;
        self.pegs
            .add(index, order.instrument.0, peg, slot, detail.reference);
        if self.risk.tracking {
            self.risk.opened(&self.counted(slot), left);
        }
    }

    /// Pegged orders without a price, by instrument.
    pub(crate) fn waiting_pegs(&self) -> impl Iterator<Item = u32> + '_ {
        let all = self.instruments.defined().flat_map(|id| self.pegs.of(id.0));
        all.filter(|index| self.pool.order(self.pegs.slot(*index)).is_held())
    }

    /// What is left to do after a record, instrument by instrument.
    #[inline(never)]
    pub(crate) fn settle_all<S: EventSink>(&mut self, out: &mut Outbox<'_, S>) {
        while let Some(id) = self.touched.take() {
            self.settle(InstrumentId(id), out);
        }
    }

    /// Triggered orders act until none is left; then pegged orders follow the quote, which may trigger
    /// others. Each order is triggered once, so this ends.
    fn settle<S: EventSink>(&mut self, id: InstrumentId, out: &mut Outbox<'_, S>) {
        while self.day.open && self.instruments.get(id).state == TradingState::Trading {
            if let Some(index) = self.stops.first_triggered(id.0) {
                self.act(index, id, out);
                continue;
            }
            if self.pegs.any_of(id.0) {
                self.follow(id, out);
            }
            if self.stops.first_triggered(id.0).is_none() {
                break;
            }
        }
    }

    /// Pegged orders whose price is not what it should be leave the book and come back, oldest order
    /// reference first.
    fn follow<S: EventSink>(&mut self, id: InstrumentId, out: &mut Outbox<'_, S>) {
        let last = self.last_reference;
        self.pegs.begin(id.0);
        while let Some(index) = self.pegs.step(last) {
            self.leave_old_price(index, id, out);
        }
        self.pegs.begin(id.0);
        while let Some(index) = self.pegs.step(last) {
            self.take_new_price(index, id, out);
        }
    }

    fn leave_old_price<S: EventSink>(
        &mut self,
        index: u32,
        id: InstrumentId,
        out: &mut Outbox<'_, S>,
    ) {
        let slot = self.pegs.slot(index);
        let order = *self.pool.order(slot);
        if order.is_held() {
            return;
        }
        let tick = self.peg_tick(id, order.side(), self.pegs.get(index));
        if tick == Some(self.pool.tick(&order)) {
            return;
        }
        self.pool.lift(&mut self.instruments.get_mut(id).book, slot);
        if tick.is_none() {
            self.restate(&order, Price(0), None, out);
        }
    }

    fn take_new_price<S: EventSink>(
        &mut self,
        index: u32,
        id: InstrumentId,
        out: &mut Outbox<'_, S>,
    ) {
        let slot = self.pegs.slot(index);
        let order = *self.pool.order(slot);
        if !order.is_held() {
            return;
        }
        let peg = *self.pegs.get(index);
        let Some(tick) = self.peg_tick(id, order.side(), &peg) else {
            return;
        };
        let mut detail = self.details[slot as usize];
        let extension = *self.extensions.get(index);
        self.remove_live(slot);
        self.last_reference += 1;
        detail.reference = self.last_reference;
        detail.extension = NONE;
        let tick_size = self.instruments.get(id).tick_size;
        let price = Price(u64::from(tick) * u64::from(tick_size));
        self.restate(&order, price, Some(OrderReference(detail.reference)), out);
        let mut aggressor = self.returning(id, &order, &detail, &extension, peg.price);
        aggressor.admitted.peg = true;
        self.place_peg(&aggressor, Some(tick), peg, &detail, out);
    }

    fn restate<S: EventSink>(
        &mut self,
        order: &Order,
        price: Price,
        secondary_reference: Option<OrderReference>,
        out: &mut Outbox<'_, S>,
    ) {
        let restated = Restated {
            user_ref: owner_ref(order.owner, order.number),
            reason: b'P',
            display_quantity: None,
            display_price: Some(price),
            secondary_reference,
        };
        let session = owner_session(order.owner);
        out.deliver(&mut self.sessions, session, Event::Restated(&restated));
    }

    /// Checks a pegged order: it rests where it belongs.
    pub(crate) fn check_pegged(&self, index: u32) -> Result<(), &'static str> {
        let slot = self.pegs.slot(index);
        let order = self.pool.order(slot);
        let detail = &self.details[slot as usize];
        if order.open == 0 || detail.extension != index || !order.is_hidden() {
            return Err("a pegged order is not live, or displayed");
        }
        let id = InstrumentId(order.book());
        let place = self.instruments.get(id);
        let peg = self.pegs.get(index);
        let limit = peg.price < self.features.market_price_min;
        if peg.price == 0 || (limit && peg.price > self.features.price_max) {
            return Err("a pegged order has no legal limit");
        }
        let extension = self.extensions.get(index);
        let timed = extension.deadline != Timestamp(0);
        let fits = matches!((detail.time_in_force, timed), (b'0', false) | (b'6', true));
        if !fits || extension.max_floor != 0 || extension.reserve != 0 || detail.display != b'N' {
            return Err("a pegged order is displayed, has a reserve, or waits too long");
        }
        if !self.day.open || place.state != TradingState::Trading {
            return Ok(());
        }
        let now = (!order.is_held()).then(|| self.pool.tick(order));
        if now == self.peg_tick(id, order.side(), peg) {
            Ok(())
        } else {
            Err("a pegged order is not where it belongs")
        }
    }
}
