//! Stop orders: waiting, being triggered by a trade, and acting.
//!
//! A trade triggers; what is triggered acts in the order in which it was, one after the other, when what
//! the record did before is over and before the next record. A triggered order that trades may trigger
//! others, which act behind those that were triggered before: a list that is worked off, no recursion. Each
//! stop is triggered once, so the list ends.

use crate::NONE;
use crate::admission::{Admitted, Wanted};
use crate::book::Limit;
use crate::book::pool::{NewOrder, Order};
use crate::error::InvariantError;
use crate::execution::Aggressor;
use crate::extension::Extension;
use crate::instrument::{BookMark, Instrument};
use crate::machine::StateMachine;
use crate::option::Options;
use crate::order::Detail;
use crate::outbox::Outbox;
use crate::session::{owner_ref, owner_session};
use crate::state::TradingState;
use crate::stop::{Trigger, Waiting};
use lockstep_record::event::{CancelReason, Event, EventSink, PriorityUpdate, RejectReason};
use lockstep_record::{InstrumentId, OrderReference, PartTag, Price, SessionId, Side, Timestamp};

/// What an order waits for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum StopKind {
    None,
    /// A trade at its StopPrice or beyond.
    Fixed,
    /// The same, where the price follows the trades.
    Trailing,
}

impl Options {
    /// The kind of stop that the options ask for; `None`: a letter that nobody knows.
    pub(crate) fn stop_kind(&self) -> Option<StopKind> {
        match self.stop_kind {
            _ if !self.has(PartTag::STOP_KIND) && self.stop_price == 0 => Some(StopKind::None),
            _ if !self.has(PartTag::STOP_KIND) => Some(StopKind::Fixed),
            b'N' => Some(StopKind::None),
            b'S' => Some(StopKind::Fixed),
            b'T' => Some(StopKind::Trailing),
            _ => None,
        }
    }

    fn says_stop(&self) -> bool {
        self.has(PartTag::STOP_KIND)
            || self.has(PartTag::STOP_PRICE)
            || self.has(PartTag::TRAIL_OFFSET)
    }
}

impl StateMachine {
    /// Whether an order is to wait for a trigger.
    pub(crate) fn check_stop(
        &self,
        instrument: &Instrument,
        wanted: &Wanted,
        options: &Options,
    ) -> Result<bool, RejectReason> {
        let tick = instrument.tick_size;
        let (price, offset) = (options.stop_price, options.trail_offset);
        let legal =
            price != 0 && price <= self.features.price_max && price.is_multiple_of(u64::from(tick));
        let kind = options.stop_kind().unwrap_or(StopKind::None);
        let right = match kind {
            StopKind::None => price == 0 && offset == 0,
            StopKind::Fixed => legal && offset == 0,
            StopKind::Trailing => {
                let starts = legal || (price == 0 && instrument.last_price != 0);
                starts && offset > 0 && offset.unsigned_abs().is_multiple_of(tick)
            }
        };
        let stop = kind != StopKind::None;
        if right && !(stop && wanted.time_in_force == b'3') {
            Ok(stop)
        } else {
            Err(RejectReason::InvalidPrice)
        }
    }

    /// The trigger of a stop order whose options were checked.
    fn trigger_of(&self, order: &Aggressor, options: &Options) -> Trigger {
        let last = self.instruments.get(order.instrument).last_price;
        // price_max is within 31 bits (features.rs), and the offset was seen to be positive.
        let price = options.stop_price as u32;
        let side = order.admitted.side;
        match options.stop_kind() {
            Some(StopKind::Trailing) => {
                Trigger::trailing(side, options.trail_offset.unsigned_abs(), price, last)
            }
            _ => Trigger::fixed(side, price),
        }
    }

    /// What an accepted order does first: it acts, unless it is a stop whose trigger has not been reached.
    #[inline(always)]
    pub(crate) fn act_or_wait<S: EventSink>(
        &mut self,
        order: &Aggressor,
        price: u64,
        detail: &Detail,
        options: &Options,
        out: &mut Outbox<'_, S>,
    ) {
        if order.admitted.stop && !self.is_reached(order, options) {
            return self.wait(order, price, detail, options);
        }
        if order.admitted.peg {
            return self.enter_peg(order, price, detail, options, out);
        }
        self.trade_and_rest(order, detail, out);
    }

    fn is_reached(&self, order: &Aggressor, options: &Options) -> bool {
        let last = self.instruments.get(order.instrument).last_price;
        self.trigger_of(order, options)
            .is_reached(order.admitted.side, last)
    }

    #[cold]
    fn wait(&mut self, order: &Aggressor, price: u64, detail: &Detail, options: &Options) {
        let Admitted {
            side,
            hidden,
            deadline,
            max_floor,
            random_reserves,
            ..
        } = order.admitted;
        let trigger = self.trigger_of(order, options);
        let new = NewOrder {
            owner: order.owner,
            number: order.number,
            open: order.open,
            executed: order.executed,
            hidden,
        };
        let book = &self.instruments.get(order.instrument).book;
        let slot = self.pool.hold(book, side, &new);
        self.details[slot as usize] = *detail;
        let session = owner_session(order.owner);
        self.sessions.link(&mut self.details, session, slot);
        let extension = Extension {
            deadline,
            expire_time: order.expire_time,
            max_floor,
            random: random_reserves,
            ..Extension::NONE
        };
        let reference = detail.reference;
        let index = self.extensions.add(extension, reference, slot);
        self.details[slot as usize].extension = index;
        let waiting = Waiting {
            slot,
            reference,
            price,
            side,
        };
        self.stops.add(index, order.instrument.0, trigger, waiting);
        if self.risk.tracking {
            self.risk.opened(&self.counted(slot), order.open);
        }
    }

    /// Takes an order out of where it waits; its session's list and its extension are the caller's.
    #[cold]
    pub(crate) fn remove_waiting(&mut self, slot: u32) -> Order {
        let order = self.pool.remove_held(slot);
        let index = self.details[slot as usize].extension;
        if self.stops.holds(index) {
            self.stops.remove(index, order.book());
        }
        order
    }

    /// An order traded from this tick on to that one: they set the last trade price and trigger.
    #[inline(always)]
    pub(crate) fn traded_at(&mut self, instrument: InstrumentId, first: u32, last: u32) {
        let place = self.instruments.get_mut(instrument);
        // No trade is above price_max (features.rs).
        let price = |tick: u32| (u64::from(tick) * u64::from(place.tick_size)) as u32;
        let (first, last) = (price(first), price(last));
        place.last_price = last;
        if self.stops.any() {
            // An order's trades go one way, so those between trigger nothing that these two do not.
            self.stops.traded(instrument.0, first);
            if last != first {
                self.stops.traded(instrument.0, last);
            }
            if self.stops.any_triggered() {
                self.touched.add(instrument.0);
            }
        }
    }

    /// An instrument's orders have changed: what follows from it is left for the record's end.
    #[inline(always)]
    pub(crate) fn touch(&mut self, instrument: InstrumentId) {
        if self.pegs.any() && self.pegs.any_of(instrument.0) {
            self.touched.add(instrument.0);
        }
    }

    /// A triggered order becomes what it would have been at entry, with a new order reference.
    pub(crate) fn act<S: EventSink>(
        &mut self,
        index: u32,
        instrument: InstrumentId,
        out: &mut Outbox<'_, S>,
    ) {
        let Waiting { slot, price, .. } = *self.stops.get(index);
        let mut detail = self.details[slot as usize];
        let extension = *self.extensions.get(detail.extension);
        let order = self.remove_live(slot);
        self.last_reference += 1;
        detail.reference = self.last_reference;
        detail.extension = NONE;
        let update = PriorityUpdate {
            user_ref: owner_ref(order.owner, order.number),
            price: Price(price),
            display: detail.display,
            order_reference: OrderReference(detail.reference),
        };
        let session = owner_session(order.owner);
        out.deliver(&mut self.sessions, session, Event::PriorityUpdate(&update));
        let aggressor = self.returning(instrument, &order, &detail, &extension, price);
        self.trade_and_rest(&aggressor, &detail, out);
    }

    /// An order that was held comes to the book with what is left of it.
    pub(crate) fn returning(
        &self,
        instrument: InstrumentId,
        order: &Order,
        detail: &Detail,
        extension: &Extension,
        price: u64,
    ) -> Aggressor {
        Aggressor {
            instrument,
            owner: order.owner,
            number: order.number,
            admitted: self.readmitted(instrument, order, detail, extension, price),
            open: order.open,
            executed: order.executed,
            min_quantity: 0,
            self_trade: self.self_trade_of(order.owner, detail.self_trade),
            expire_time: extension.expire_time,
        }
    }

    /// What the checks made of an order's values at its entry, but for its trigger. A stop is never
    /// immediate and has no minimum quantity.
    fn readmitted(
        &self,
        instrument: InstrumentId,
        order: &Order,
        detail: &Detail,
        extension: &Extension,
        price: u64,
    ) -> Admitted {
        let market = price >= self.features.market_price_min;
        let tick_size = self.instruments.get(instrument).tick_size;
        // A limit price was seen to be on tick and at most price_max.
        let tick = (price / u64::from(tick_size)) as u32;
        Admitted {
            side: order.side(),
            limit: if market {
                Limit::Market
            } else {
                Limit::Tick(tick)
            },
            rests_at: (!market).then_some(tick),
            hidden: order.is_hidden(),
            // It acts only in continuous trading.
            book: BookMark::Own,
            takes: true,
            post_only: detail.post_only == b'P',
            deadline: extension.deadline,
            max_floor: extension.max_floor,
            random_reserves: extension.random,
            stop: false,
            peg: false,
        }
    }

    /// A replacement that says nothing of stops keeps the original's trigger, as it is now, if it waits.
    pub(crate) fn inherit_stop(&self, options: &mut Options, original: &Detail, time_in_force: u8) {
        let index = original.extension;
        if index == NONE || !self.stops.holds(index) || options.says_stop() || time_in_force == b'3'
        {
            return;
        }
        let trigger = self.stops.trigger(index);
        let price = trigger.price(self.stops.get(index).side);
        if price != 0 && u64::from(price) <= self.features.price_max {
            options.put(PartTag::STOP_PRICE);
            options.stop_price = u64::from(price);
        }
        options.put(PartTag::STOP_KIND);
        options.stop_kind = b'S';
        if trigger.is_trailing() {
            options.stop_kind = b'T';
            options.put(PartTag::TRAIL_OFFSET);
            options.trail_offset = trigger.distance() as i32;
        }
    }

    /// Day orders that wait, by session, oldest order reference first.
    pub(crate) fn expire_waiting<S: EventSink>(&mut self, out: &mut Outbox<'_, S>) {
        for id in (1..self.sessions.id_end()).map(SessionId) {
            let mut slot = self.sessions.get(id).first_order;
            while slot != NONE {
                let Detail {
                    next, extension, ..
                } = self.details[slot as usize];
                let held = self.pool.order(slot).is_held();
                if held && !self.extensions.of(extension).is_good_till_date() {
                    self.cancel_live(slot, CancelReason::Closed, out);
                }
                slot = next;
            }
        }
    }

    /// Price of a live order, in 1/10,000: where it rests, or what it was entered with.
    pub(crate) fn price_of(&self, slot: u32) -> u64 {
        let order = self.pool.order(slot);
        if order.is_held() {
            return self.limit_of(slot);
        }
        if order.mark() != BookMark::Own && self.pool.is_at_market(order) {
            return self.features.market_price_min;
        }
        let tick_size = self.instruments.get(order.instrument()).tick_size;
        u64::from(self.pool.tick(order)) * u64::from(tick_size)
    }

    /// The price that a live order was entered with, in 1/10,000.
    pub(crate) fn limit_of(&self, slot: u32) -> u64 {
        let index = self.details[slot as usize].extension;
        if index != NONE && self.pegs.holds(index) {
            self.pegs.get(index).price
        } else if self.pool.order(slot).is_held() {
            self.stops.get(index).price
        } else {
            self.price_of(slot)
        }
    }

    /// The trade price that triggers an order, if it waits for one.
    pub(crate) fn trigger_price(&self, slot: u32) -> Option<Price> {
        let order = self.pool.order(slot);
        let index = self.details[slot as usize].extension;
        (order.is_held() && self.stops.holds(index)).then(|| {
            let price = self.stops.trigger(index).price(order.side());
            Price(u64::from(price))
        })
    }

    /// Checks a live order that waits or is pegged.
    pub(crate) fn check_waiting(&self, slot: u32) -> Result<(), InvariantError> {
        let order = self.pool.order(slot);
        let wrong = |what| InvariantError::Book {
            instrument: InstrumentId(order.book()),
            what,
        };
        let detail = &self.details[slot as usize];
        let index = detail.extension;
        if index != NONE && self.pegs.holds(index) {
            return self.check_pegged(index).map_err(wrong);
        }
        if !order.is_held() {
            return Ok(());
        }
        if index == NONE || !self.stops.holds(index) {
            return Err(wrong("an order waits for nothing"));
        }
        let waiting = self.stops.get(index);
        if waiting.slot != slot
            || waiting.reference != detail.reference
            || waiting.side != order.side()
            || (waiting.side == Side::Buy) != (detail.side == b'B')
        {
            return Err(wrong("a waiting order and its trigger disagree"));
        }
        let place = self.instruments.get(InstrumentId(order.book()));
        let limit = waiting.price < self.features.market_price_min;
        let on_tick = waiting.price.is_multiple_of(u64::from(place.tick_size));
        let legal = on_tick && (1..=self.features.price_max).contains(&waiting.price);
        if limit && !legal {
            return Err(wrong("a waiting order has no legal price"));
        }
        let trigger = self.stops.trigger(index);
        let triggered = self.stops.is_triggered(index);
        if !triggered && trigger.is_reached(waiting.side, place.last_price) {
            return Err(wrong("a stop waits that the last trade reached"));
        }
        if triggered && place.state == TradingState::Trading && self.day.open {
            return Err(wrong("a triggered stop has not acted"));
        }
        let extension = self.extensions.get(index);
        let timed = extension.deadline != Timestamp(0);
        if (detail.display == b'N') != order.is_hidden() {
            return Err(wrong("a waiting order's display is not its own"));
        }
        let fits = matches!((detail.time_in_force, timed), (b'0', false) | (b'6', true));
        if extension.reserve != 0 || !fits || !extension.displays_well() {
            return Err(wrong("a waiting order has a reserve, or waits too long"));
        }
        Ok(())
    }
}
