//! Call auctions: what one would do, the uncrossing itself, and reserve orders in it.
//!
//! Who trades at which price is decided in `book/uncross.rs`; here both sides hear of it. Each trade is said
//! to the buyer first; all have one price.

use crate::NONE;
use crate::book::pool::Book;
use crate::book::uncross::{Books, Equilibrium};
use crate::instrument::BookMark;
use crate::machine::StateMachine;
use crate::outbox::Outbox;
use crate::risk::trade::{Trade, TradeSide};
use crate::session::{owner_ref, owner_session};
use crate::state::TradingState;
use lockstep_record::event::{Control, Event, EventSink, Executed, Restated};
use lockstep_record::{InstrumentId, MatchNumber, Price, Side};

static NO_BOOK: Book = Book::new(0);

impl StateMachine {
    /// The books that take part in an uncrossing at the end of a state: orders for the closing auction only
    /// in that one.
    pub(crate) fn auction_books(&self, id: InstrumentId, state: TradingState) -> Books<'_> {
        let close = if state == TradingState::ClosingAuction {
            self.instruments.book(id, BookMark::Close)
        } else {
            &NO_BOOK
        };
        [
            self.instruments.book(id, BookMark::Own),
            self.instruments.book(id, BookMark::Call),
            close,
        ]
    }

    pub(crate) fn is_crossed(&self, id: InstrumentId, state: TradingState) -> bool {
        self.pool.is_crossed(self.auction_books(id, state))
    }

    /// What an uncrossing at the end of a state would do.
    pub(crate) fn equilibrium(&self, id: InstrumentId, state: TradingState) -> Option<Equilibrium> {
        let reference = match self.instruments.phase(id).reference_price {
            0 => None,
            price => Some(price / self.instruments.get(id).tick_size),
        };
        self.pool
            .equilibrium(self.auction_books(id, state), reference)
    }

    pub(crate) fn indicate<S: EventSink>(&self, id: InstrumentId, out: &mut Outbox<'_, S>) {
        let instrument = self.instruments.get(id);
        let equilibrium = self.equilibrium(id, instrument.state);
        let (price, quantity, imbalance, side) = match equilibrium {
            None => (0, 0, 0, b'N'),
            Some(e) => {
                let side = match e.surplus {
                    None => b'N',
                    Some(Side::Buy) => b'B',
                    Some(Side::Sell) => b'S',
                };
                let price = u64::from(e.tick) * u64::from(instrument.tick_size);
                (price, e.quantity, e.imbalance, side)
            }
        };
        out.control(&Control::Indication {
            instrument: id,
            price: Price(price),
            quantity,
            imbalance,
            imbalance_side: side,
        });
    }

    /// Trades all that can trade at one price, at the end of a state. Reserves are unfolded.
    pub(crate) fn uncross<S: EventSink>(
        &mut self,
        id: InstrumentId,
        state: TradingState,
        out: &mut Outbox<'_, S>,
    ) {
        let Some(equilibrium) = self.equilibrium(id, state) else {
            return;
        };
        let price =
            Price(u64::from(equilibrium.tick) * u64::from(self.instruments.get(id).tick_size));
        let first_match = self.last_match;
        let mut left = equilibrium.quantity;
        while left != 0 {
            left -= u64::from(self.cross_one(id, state, price, left, out));
        }
        let trades = (self.last_match - first_match) as u32;
        self.auction_traded(id, state, price, equilibrium.quantity, trades);
        self.traded_at(id, equilibrium.tick, equilibrium.tick);
        out.control(&Control::Uncrossed {
            instrument: id,
            price,
            quantity: equilibrium.quantity,
            cross_type: state.cross_type(),
        });
    }

    /// The first bid and the first ask trade; returns the shares.
    fn cross_one<S: EventSink>(
        &mut self,
        id: InstrumentId,
        state: TradingState,
        price: Price,
        left: u64,
        out: &mut Outbox<'_, S>,
    ) -> u32 {
        let books = self.auction_books(id, state);
        let slots = [Side::Buy, Side::Sell].map(|side| self.pool.first_in_auction(books, side));
        debug_assert!(!slots.contains(&NONE));
        let open = slots.map(|slot| self.pool.order(slot).open);
        let smaller = open[0].min(open[1]);
        let quantity = u32::try_from(left).map_or(smaller, |left| left.min(smaller));
        self.last_match += 1;
        self.account_crossing(id, slots, quantity, out);
        for slot in slots {
            let order = *self.pool.order(slot);
            let executed = Executed {
                user_ref: owner_ref(order.owner, order.number),
                quantity,
                price,
                liquidity: state.cross_type(),
                match_number: MatchNumber(self.last_match),
            };
            let session = owner_session(order.owner);
            out.deliver(&mut self.sessions, session, Event::Executed(&executed));
            if order.open == quantity {
                self.remove_live(slot);
                continue;
            }
            if self.risk.tracking {
                self.risk.reduced(&self.counted(slot), quantity);
            }
            self.pool.fill(slot, quantity);
        }
        quantity
    }

    /// Positions, the memory of trades, and market-maker protections; the buyer counts as aggressor.
    fn account_crossing<S>(
        &mut self,
        id: InstrumentId,
        slots: [u32; 2],
        quantity: u32,
        out: &Outbox<'_, S>,
    ) {
        if self.risk.follows_trades() {
            let [aggressor, resting] = slots.map(|slot| {
                let (order, detail) = (self.pool.order(slot), &self.details[slot as usize]);
                TradeSide {
                    owner: order.owner,
                    number: order.number,
                    firm: detail.firm(),
                    client_order_id: detail.client_order_id,
                }
            });
            self.risk.traded(&Trade {
                match_number: self.last_match,
                instrument: id,
                quantity,
                side: Side::Buy,
                counted: false,
                resting,
                aggressor,
            });
        }
        for slot in slots {
            let session = owner_session(self.pool.order(slot).owner);
            let first = self.sessions.get(session).first_protection;
            if first != NONE {
                let group_id = self.details[slot as usize].group_id;
                let protections = &mut self.risk.protections;
                protections.executed(first, group_id, quantity, out.timestamp);
            }
        }
    }

    fn auction_traded(
        &mut self,
        id: InstrumentId,
        state: TradingState,
        price: Price,
        quantity: u64,
        trades: u32,
    ) {
        let price = price.0 as u32;
        let statistics = &mut self.instruments.get_mut(id).statistics;
        statistics.traded(price, price, quantity, trades);
        if state == TradingState::ClosingAuction {
            statistics.closing_price = price;
        }
        self.instruments.phase_mut(id).reference_price = price;
    }

    /// Whole reserve orders take part in auctions: nothing is held back, and each keeps its place.
    pub(crate) fn unfold_reserves(&mut self, id: InstrumentId) {
        let mut index = self.extensions.first_reserve(id);
        while index != NONE {
            let extension = *self.extensions.get(index);
            if extension.reserve != 0 {
                self.pool.raise(extension.slot, extension.reserve);
                self.extensions.set_reserve(index, 0);
            }
            index = extension.next;
        }
    }

    /// Continuous trading begins, or none: reserve orders display their size again and say so, oldest order
    /// reference first. Between days nothing is said.
    pub(crate) fn fold_reserves<S: EventSink>(
        &mut self,
        id: InstrumentId,
        out: &mut Outbox<'_, S>,
    ) {
        let mut index = self.extensions.first_reserve(id);
        while index != NONE {
            let extension = *self.extensions.get(index);
            let order = *self.pool.order(extension.slot);
            let shown = order.open.min(extension.max_floor);
            if shown != order.open {
                self.pool.reduce(extension.slot, shown);
                self.extensions.hold_back(index, order.open - shown);
            }
            if self.day.open {
                let restated = Restated {
                    user_ref: owner_ref(order.owner, order.number),
                    reason: b'R',
                    display_quantity: Some(shown),
                    display_price: None,
                    secondary_reference: None,
                };
                let session = owner_session(order.owner);
                out.deliver(&mut self.sessions, session, Event::Restated(&restated));
            }
            index = extension.next;
        }
    }
}
