//! Executions: an order takes from the book, and both sides hear of each fill; and self-trade prevention.
//!
//! Per fill the resting side hears first, then the aggressor; both with the same match number, at the
//! resting order's price. Where a fill would be one party's with itself, those that lose shares hear so in
//! the same order, and there is no match.

use crate::NONE;
use crate::admission::Admitted;
use crate::book::share::{Allocation, Sharing};
use crate::book::take::{Fill, FillSink, Meeting, Prospect};
use crate::extension::{Draw, Extensions};
use crate::machine::StateMachine;
use crate::order::Detail;
use crate::outbox::Outbox;
use crate::peg::Pegs;
use crate::risk::trade::{Trade, TradeSide};
use crate::risk::{Counted, Risk};
use crate::session::{Sessions, owner_ref, owner_session};
use lockstep_prefetch::prefetch;
use lockstep_record::event::{Event, EventSink, Executed, Restated, SelfMatchCanceled};
use lockstep_record::{InstrumentId, MatchNumber, Price, Side};

const ADDED: u8 = b'A';
const ADDED_HIDDEN: u8 = b'J';
const REMOVED: u8 = b'R';

/// An order on its way into the book.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Aggressor {
    pub instrument: InstrumentId,
    pub owner: u32,
    pub number: u32,
    pub admitted: Admitted,
    /// Shares that can trade.
    pub open: u32,
    /// Shares of its chain that traded before.
    pub executed: u32,
    /// If fewer than these can be had at once, none is taken.
    pub min_quantity: u32,
    /// `N` cancels the newest (this one), `O` the oldest (the resting one), `B` both, `D` decrements both;
    /// 0: it may trade with its own party.
    pub self_trade: u8,
    /// OUCH ExpireTime of its deadline; 0 = given as a date and time, or none.
    pub expire_time: u32,
}

/// What came of an order that took from the book.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Outcome {
    pub left: u32,
    pub traded: u32,
}

fn meeting(self_trade: u8) -> Meeting {
    match self_trade {
        b'N' => Meeting::CancelAggressor,
        b'O' => Meeting::CancelResting,
        b'B' => Meeting::CancelBoth,
        b'D' => Meeting::Decrement,
        _ => Meeting::Trade,
    }
}

/// Turns fills into events.
struct Executions<'a, 'b, S> {
    sessions: &'a mut Sessions,
    details: &'a mut [Detail],
    extensions: &'a mut Extensions,
    last_match: &'a mut u64,
    pegs: &'a mut Pegs,
    risk: &'a mut Risk,
    /// Highest price that an order counts with.
    price_max: u64,
    out: &'a mut Outbox<'b, S>,
    instrument: InstrumentId,
    tick_size: u32,
    lot_size: u32,
    random_seed: u64,
    /// The aggressor's side.
    side: Side,
    /// The aggressor.
    detail: &'a Detail,
    owner: u32,
    number: u32,
    self_trade: u8,
    traded: u32,
    /// Of the first and the last trade.
    first_tick: u32,
    last_tick: u32,
}

impl<S: EventSink> FillSink for Executions<'_, '_, S> {
    #[inline(always)]
    fn meets(&mut self, owner: u32) -> Meeting {
        if self.self_trade == 0 || !self.sessions.same_party(self.owner, owner) {
            return Meeting::Trade;
        }
        meeting(self.self_trade)
    }

    #[inline(always)]
    fn comes(&mut self, slot: u32) {
        prefetch(self.details, slot as usize);
    }

    #[inline(always)]
    fn filled(&mut self, fill: &Fill) -> u32 {
        if fill.meeting == Meeting::Trade {
            self.trade(fill);
        } else {
            self.prevent(fill);
        }
        let counted = self.risk.tracking.then(|| self.resting(fill));
        if let Some(order) = &counted {
            self.risk.reduced(order, fill.resting_loss);
        }
        if fill.resting_open != 0 {
            return 0;
        }
        let extension = self.details[fill.slot as usize].extension;
        // What a self-trade prevention takes away with the order.
        let reserve = self.extensions.of(extension).reserve;
        if extension != NONE {
            let refreshed = self.refresh_or_end(fill, extension);
            if refreshed != 0 {
                return refreshed;
            }
        }
        if let Some(order) = &counted {
            self.risk.closed(order, reserve);
        }
        let session = owner_session(fill.owner);
        self.sessions.unlink(self.details, session, fill.slot);
        0
    }
}

impl<S: EventSink> Executions<'_, '_, S> {
    #[inline(always)]
    fn price(&self, fill: &Fill) -> Price {
        Price(u64::from(fill.tick) * u64::from(self.tick_size))
    }

    /// The resting order as it counts against limits.
    fn resting(&self, fill: &Fill) -> Counted {
        let detail = &self.details[fill.slot as usize];
        // A pegged order counts with its limit, wherever it rests.
        let price = if detail.extension != NONE && self.pegs.holds(detail.extension) {
            self.pegs.get(detail.extension).price.min(self.price_max)
        } else {
            self.price(fill).0
        };
        Counted {
            session: owner_session(fill.owner),
            firm: detail.firm(),
            instrument: self.instrument,
            side: self.side.opposite(),
            price,
        }
    }

    /// Positions, the memory of trades, and market-maker protections.
    #[inline(always)]
    fn account(&mut self, fill: &Fill) {
        let resting = &self.details[fill.slot as usize];
        if self.risk.follows_trades() {
            let side = |owner, number, detail: &Detail| TradeSide {
                owner,
                number,
                firm: detail.firm(),
                client_order_id: detail.client_order_id,
            };
            self.risk.traded(&Trade {
                match_number: *self.last_match,
                instrument: self.instrument,
                quantity: fill.quantity,
                side: self.side,
                counted: false,
                resting: side(fill.owner, fill.number, resting),
                aggressor: side(self.owner, self.number, self.detail),
            });
        }
        let sides = [(fill.owner, resting), (self.owner, self.detail)];
        for (owner, detail) in sides {
            let first = self.sessions.get(owner_session(owner)).first_protection;
            if first != NONE {
                let now = self.out.timestamp;
                let protections = &mut self.risk.protections;
                protections.executed(first, detail.group_id, fill.quantity, now);
            }
        }
    }

    #[inline(always)]
    fn trade(&mut self, fill: &Fill) {
        *self.last_match += 1;
        self.account(fill);
        if self.traded == 0 {
            self.first_tick = fill.tick;
        }
        self.last_tick = fill.tick;
        self.traded += fill.quantity;
        let mut executed = Executed {
            user_ref: owner_ref(fill.owner, fill.number),
            quantity: fill.quantity,
            price: self.price(fill),
            liquidity: if fill.hidden { ADDED_HIDDEN } else { ADDED },
            match_number: MatchNumber(*self.last_match),
        };
        let resting = owner_session(fill.owner);
        self.out
            .deliver(self.sessions, resting, Event::Executed(&executed));
        executed.user_ref = owner_ref(self.owner, self.number);
        executed.liquidity = REMOVED;
        let aggressor = owner_session(self.owner);
        self.out
            .deliver(self.sessions, aggressor, Event::Executed(&executed));
    }

    /// Shares that a reserve order displays next, which it says; without any, its extension goes.
    fn refresh_or_end(&mut self, fill: &Fill, extension: u32) -> u32 {
        let whole = matches!(fill.meeting, Meeting::CancelResting | Meeting::CancelBoth);
        let shown = if whole {
            0
        } else {
            {
                let draw = Draw {
                    seed: self.random_seed,
                    reference: self.details[fill.slot as usize].reference,
                    lot_size: self.lot_size,
                };
                self.extensions.refresh(extension, &draw)
            }
        };
        if shown == 0 {
            if self.pegs.holds(extension) {
                self.pegs.remove(extension);
            }
            self.extensions.remove(extension);
            self.details[fill.slot as usize].extension = NONE;
            return 0;
        }
        let restated = Restated {
            user_ref: owner_ref(fill.owner, fill.number),
            reason: b'R',
            display_quantity: Some(shown),
            display_price: None,
            secondary_reference: None,
        };
        let session = owner_session(fill.owner);
        self.out
            .deliver(self.sessions, session, Event::Restated(&restated));
        shown
    }

    #[cold]
    fn prevent(&mut self, fill: &Fill) {
        let whole = matches!(fill.meeting, Meeting::CancelResting | Meeting::CancelBoth);
        let reserve = self
            .extensions
            .of(self.details[fill.slot as usize].extension)
            .reserve;
        let resting_loss = fill.resting_loss + if whole { reserve } else { 0 };
        let resting = (fill.owner, fill.number, resting_loss, ADDED);
        let aggressor = (self.owner, self.number, fill.aggressor_loss, REMOVED);
        for (owner, number, decrement, liquidity) in [resting, aggressor] {
            if decrement == 0 {
                continue;
            }
            let canceled = SelfMatchCanceled {
                user_ref: owner_ref(owner, number),
                decrement,
                quantity_prevented: fill.quantity,
                price: self.price(fill),
                liquidity,
                strategy: self.self_trade,
            };
            let session = owner_session(owner);
            self.out
                .deliver(self.sessions, session, Event::SelfMatchCanceled(&canceled));
        }
    }
}

impl StateMachine {
    /// Lets an order take what it can.
    #[inline(always)]
    pub(crate) fn execute<S: EventSink>(
        &mut self,
        order: &Aggressor,
        detail: &Detail,
        out: &mut Outbox<'_, S>,
    ) -> Outcome {
        if order.min_quantity != 0 && !self.can_take_minimum(order) {
            return Outcome {
                left: order.open,
                traded: 0,
            };
        }
        let Admitted { side, limit, .. } = order.admitted;
        let instrument = self.instruments.get_mut(order.instrument);
        if !instrument.book.would_meet(side, limit) {
            return Outcome {
                left: order.open,
                traded: 0,
            };
        }
        let first_match = self.last_match;
        let mut executions = Executions {
            sessions: &mut self.sessions,
            details: &mut self.details,
            extensions: &mut self.extensions,
            last_match: &mut self.last_match,
            pegs: &mut self.pegs,
            risk: &mut self.risk,
            price_max: self.features.price_max,
            out,
            instrument: order.instrument,
            tick_size: instrument.tick_size,
            lot_size: instrument.lot_size,
            random_seed: self.random_seed,
            side,
            detail,
            owner: order.owner,
            number: order.number,
            self_trade: order.self_trade,
            traded: 0,
            first_tick: 0,
            last_tick: 0,
        };
        let sharing = Sharing {
            allocation: instrument.allocation,
            lot_size: instrument.lot_size,
        };
        let book = &mut instrument.book;
        let (pool, open) = (&mut self.pool, order.open);
        let left = if sharing.allocation == Allocation::PriceTime {
            pool.take(book, side, limit, open, &mut executions)
        } else {
            pool.take_shared(book, side, limit, open, &sharing, &mut executions)
        };
        let (traded, first, last) = (
            executions.traded,
            executions.first_tick,
            executions.last_tick,
        );
        if traded != 0 {
            let trades = (self.last_match - first_match) as u32;
            let tick_size = instrument.tick_size;
            let [low, high] = [first, last].map(|tick| tick * tick_size);
            instrument
                .statistics
                .traded(low, high, u64::from(traded), trades);
            self.traded_at(order.instrument, first, last);
        }
        Outcome { left, traded }
    }

    fn can_take_minimum(&self, order: &Aggressor) -> bool {
        let Admitted { side, limit, .. } = order.admitted;
        let book = &self.instruments.get(order.instrument).book;
        let ahead = Ahead {
            machine: self,
            owner: order.owner,
            self_trade: order.self_trade,
            shared: self.instruments.get(order.instrument).allocation != Allocation::PriceTime,
        };
        let plain = order.self_trade == 0 && !self.extensions.any_reserve();
        let prospect: Option<&dyn Prospect> = if plain { None } else { Some(&ahead) };
        self.pool
            .can_take(book, side, limit, order.open, order.min_quantity, prospect)
    }
}

/// What an aggressor has ahead of it.
struct Ahead<'a> {
    machine: &'a StateMachine,
    owner: u32,
    self_trade: u8,
    shared: bool,
}

impl Prospect for Ahead<'_> {
    fn meets(&self, owner: u32) -> Meeting {
        let prevented = self.self_trade != 0 && self.machine.sessions.same_party(self.owner, owner);
        if prevented {
            meeting(self.self_trade)
        } else {
            Meeting::Trade
        }
    }

    fn reserve(&self, slot: u32) -> u32 {
        let detail = &self.machine.details[slot as usize];
        self.machine.extensions.of(detail.extension).reserve
    }

    fn is_shared(&self) -> bool {
        self.shared
    }

    fn displays(&self, slot: u32, round: u32) -> u32 {
        let detail = &self.machine.details[slot as usize];
        let extension = self.machine.extensions.of(detail.extension);
        let order = self.machine.pool.order(slot);
        let draw = Draw {
            seed: self.machine.random_seed,
            reference: detail.reference,
            lot_size: self
                .machine
                .instruments
                .get(InstrumentId(order.book()))
                .lot_size,
        };
        let size = |round| extension.next_size(&draw, round);
        let before: u64 = match extension.random {
            0 => u64::from(extension.max_floor) * u64::from(round - 1),
            _ => (1..round).map(|round| u64::from(size(round))).sum(),
        };
        let left = u64::from(extension.reserve).saturating_sub(before);
        // At most a u32's worth is left of one.
        left.min(u64::from(size(round))) as u32
    }
}
