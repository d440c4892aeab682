//! Read-only views of the state, for tools, tests and administration. Never on the hot path.

use crate::book::TICK_MAX;
use crate::book::pool::lane;
pub use crate::book::share::Allocation;
use crate::bounds::Bounds;
use crate::features::Features;
use crate::instrument::BookMark;
use crate::machine::{Counters, StateMachine};
pub use crate::phase::{AuctionRules, Schedule};
pub use crate::risk::EntryState;
pub use crate::risk::view::{PositionView, ProtectionView, ThrottleView};
use crate::session::{owner_ref, owner_session};
pub use crate::state::TradingState;
pub use crate::statistics::Statistics;
use crate::tick::TickBand;
use lockstep_record::event::UserRef;
use lockstep_record::{
    ConnectionEpoch, FirmId, InstrumentId, OrderReference, Price, SessionId, Side, StreamNumber,
    Term, Timestamp,
};

/// The trading day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DayView {
    pub open: bool,
    /// YYYYMMDD of the open day, or of the last one; 0 = none yet.
    pub date: u32,
    /// ns since the Unix epoch.
    pub midnight: u64,
    pub session_name: [u8; 10],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FirmView {
    pub firm: FirmId,
    pub code: [u8; 4],
    /// What the operator lets it enter.
    pub entry: EntryState,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionView {
    pub session: SessionId,
    pub firm: FirmId,
    pub user: [u8; 6],
    pub connected: bool,
    pub epoch: ConnectionEpoch,
    /// Number that the outbound stream gives its next message.
    pub next_outbound: StreamNumber,
    pub open_orders: u32,
    pub order_entry: bool,
    /// What the operator lets it enter.
    pub entry: EntryState,
    pub cancel_on_disconnect: bool,
    /// 0 = a group of its own.
    pub self_trade_group: u32,
    /// `N`, `O`, `B`, `D`; 0 = none.
    pub self_trade_mode: u8,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct InstrumentView {
    pub instrument: InstrumentId,
    pub symbol: [u8; 8],
    /// In 1/10,000.
    pub tick_size: u32,
    pub lot_size: u32,
    /// Out of trading; gone when the next day opens.
    pub retired: bool,
    pub state: TradingState,
    pub allocation: Allocation,
}

/// Where an instrument is in its day.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct AuctionView {
    pub state: TradingState,
    /// When the call ends, its random part included; 0 = not by itself.
    pub call_ends: Timestamp,
    /// 0 = none.
    pub reference_price: Price,
    /// `None`: nothing would trade, or orders do not accumulate.
    pub outcome: Option<OutcomeView>,
}

/// What an uncrossing would do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OutcomeView {
    pub price: Price,
    /// Shares that would trade.
    pub quantity: u64,
    /// Shares that would trade at this price, but find no other side.
    pub imbalance: u64,
    /// Their side: `B`, `S`; `N` = none are.
    pub imbalance_side: u8,
}

/// One price level.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LevelView {
    pub price: Price,
    /// Open shares.
    pub quantity: u64,
    pub order_count: u32,
}

/// One price level, looked at within a bound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DepthView {
    pub price: Price,
    /// Open shares.
    pub quantity: u64,
    /// `None`: more than were to be walked.
    pub order_count: Option<u32>,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct OrderView {
    pub session: SessionId,
    pub user_ref: UserRef,
    pub instrument: InstrumentId,
    pub reference: OrderReference,
    /// As on the wire: `B`, `S`, `T`, `E`.
    pub side: u8,
    /// From 200,000 on: at the market, waiting for an auction.
    pub price: Price,
    /// Open shares, those not displayed included.
    pub open: u32,
    /// Open shares that take part at its priority now; the rest is its reserve.
    pub shown: u32,
    /// Shares of its chain that have traded.
    pub executed: u32,
    pub time_in_force: u8,
    pub display: u8,
    /// As on the wire: `N`, or the auction that it is for.
    pub cross_type: u8,
    pub firm: FirmId,
    pub client_order_id: [u8; 14],
    /// When it expires; 0 = it does not by itself.
    pub deadline: Timestamp,
    /// The trade price that triggers it, as it is now, if it waits out of the book for one.
    pub trigger: Option<Price>,
}

impl StateMachine {
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    pub fn features(&self) -> Features {
        self.features
    }

    pub fn counters(&self) -> Counters {
        self.counters
    }

    pub fn last_term(&self) -> Term {
        self.position.term
    }

    pub fn last_timestamp(&self) -> Timestamp {
        self.position.timestamp
    }

    /// Live orders over all books.
    pub fn open_order_count(&self) -> u32 {
        self.pool.live()
    }

    /// Memory held for each order that the bounds allow, its index included, price levels not.
    pub const fn bytes_per_order() -> usize {
        crate::book::OrderBook::bytes_per_order() + size_of::<crate::order::Detail>()
    }

    pub fn day(&self) -> DayView {
        let crate::machine::Day {
            open,
            date,
            midnight,
            session_name,
        } = self.day;
        DayView {
            open,
            date,
            midnight,
            session_name,
        }
    }

    /// Defined firms by id.
    pub fn firms(&self) -> impl Iterator<Item = FirmView> + '_ {
        self.firms.defined().map(|(firm, code)| FirmView {
            firm,
            code,
            entry: self.risk.firm(firm).entry,
        })
    }

    /// What the operator lets the whole venue enter.
    pub fn venue_entry(&self) -> EntryState {
        self.risk.entry
    }

    /// Defined sessions by id.
    pub fn sessions(&self) -> impl Iterator<Item = SessionView> + '_ {
        self.sessions.defined().filter_map(|id| self.session(id))
    }

    pub fn session(&self, id: SessionId) -> Option<SessionView> {
        self.sessions.find(id).map(|session| SessionView {
            session: id,
            firm: session.firm,
            user: session.user,
            connected: session.connected,
            epoch: session.epoch,
            next_outbound: StreamNumber(session.next_outbound),
            open_orders: session.open_orders,
            order_entry: session.order_entry,
            entry: session.entry,
            cancel_on_disconnect: session.cancel_on_disconnect,
            self_trade_group: session.self_trade_group,
            self_trade_mode: session.self_trade_mode,
        })
    }

    /// A defined firm.
    pub fn firm_of(&self, id: u32) -> Option<FirmView> {
        let firm = FirmId(id);
        let defined = self.firms.in_bounds(firm) && self.firms.is_defined(firm);
        defined.then(|| FirmView {
            firm,
            code: self.firms.code(firm),
            entry: self.risk.firm(firm).entry,
        })
    }

    /// Firms that a session may enter orders for beside its own; empty if it is not defined.
    pub fn session_permitted_firms(&self, id: SessionId) -> &[FirmId] {
        let session = self.sessions.find(id);
        session.map_or(&[], |s| &s.permitted[..usize::from(s.permitted_count)])
    }

    /// Last user reference number of a session's channel today; 0 = none.
    pub fn last_user_ref(&self, id: SessionId, channel: u8) -> u32 {
        let defined = self.sessions.find(id).is_some();
        if defined {
            self.sessions
                .last_number(crate::session::owner(id, channel))
        } else {
            0
        }
    }

    /// Defined instruments by id.
    pub fn instruments(&self) -> impl Iterator<Item = InstrumentView> + '_ {
        self.instruments
            .defined()
            .map(|id| self.instrument_view(id))
    }

    fn instrument_view(&self, id: InstrumentId) -> InstrumentView {
        let instrument = self.instruments.get(id);
        InstrumentView {
            instrument: id,
            symbol: instrument.symbol,
            tick_size: instrument.tick_size,
            lot_size: instrument.lot_size,
            retired: instrument.retired,
            state: instrument.state,
            allocation: instrument.allocation,
        }
    }

    /// Its tick table beside the tick size that holds below all bands, by price.
    pub fn tick_bands(&self, id: InstrumentId) -> &[TickBand] {
        if self.instruments.is_defined(id) {
            self.ticks.get(id).bands()
        } else {
            &[]
        }
    }

    /// A defined instrument.
    pub fn instrument(&self, id: InstrumentId) -> Option<InstrumentView> {
        let defined = self.instruments.in_bounds(id) && self.instruments.get(id).is_defined();
        defined.then(|| self.instrument_view(id))
    }

    /// The instrument of a symbol (padded right with spaces).
    pub fn find_instrument(&self, symbol: [u8; 8]) -> Option<InstrumentId> {
        self.instruments.find(symbol)
    }

    /// A day's prices of an instrument.
    pub fn statistics(&self, id: InstrumentId) -> Option<Statistics> {
        let defined = self.instruments.is_defined(id);
        defined.then(|| self.instruments.get(id).statistics)
    }

    /// Collars and auctions as an instrument's definition has them.
    pub fn auction_rules(&self, id: InstrumentId) -> Option<AuctionRules> {
        let defined = self.instruments.is_defined(id);
        defined.then(|| self.instruments.phase(id).rules)
    }

    pub fn schedule(&self, id: InstrumentId) -> Option<Schedule> {
        let defined = self.instruments.is_defined(id);
        defined.then(|| self.instruments.phase(id).schedule)
    }

    /// Where an instrument is in its day, and what an uncrossing would do now; looks at price levels.
    pub fn auction(&self, id: InstrumentId) -> Option<AuctionView> {
        if !self.instruments.is_defined(id) {
            return None;
        }
        let (instrument, phase) = (self.instruments.get(id), self.instruments.phase(id));
        let accumulates = instrument.state.accumulates();
        let outcome = accumulates.then(|| self.equilibrium(id, instrument.state));
        let outcome = outcome.flatten().map(|e| OutcomeView {
            price: Price(u64::from(e.tick) * u64::from(instrument.tick_size)),
            quantity: e.quantity,
            imbalance: e.imbalance,
            imbalance_side: match e.surplus {
                None => b'N',
                Some(Side::Buy) => b'B',
                Some(Side::Sell) => b'S',
            },
        });
        Some(AuctionView {
            state: instrument.state,
            call_ends: phase.call_ends,
            reference_price: Price(u64::from(phase.reference_price)),
            outcome,
        })
    }

    /// Displayed price levels of one side, best first; nothing if the instrument is not defined.
    pub fn depth(&self, id: InstrumentId, side: Side) -> impl Iterator<Item = LevelView> + '_ {
        let defined = self
            .instruments
            .in_bounds(id)
            .then(|| self.instruments.get(id));
        defined.into_iter().flat_map(move |instrument| {
            let levels = crate::book::depth(&self.pool, &instrument.book, lane(side, false));
            levels.map(|(tick, quantity, order_count)| LevelView {
                price: Price(u64::from(tick) * u64::from(instrument.tick_size)),
                quantity,
                order_count,
            })
        })
    }

    /// Displayed price levels of one side behind a price, whether or not a level is there (`None`: from the
    /// best on), best first. At most `orders_max` orders are walked to count them: it ends before the level
    /// that would take more, but for a first one.
    pub fn depth_behind(
        &self,
        id: InstrumentId,
        side: Side,
        behind: Option<Price>,
        orders_max: u32,
    ) -> impl Iterator<Item = DepthView> + '_ {
        let instrument = self
            .instruments
            .is_defined(id)
            .then(|| self.instruments.get(id));
        let lane = lane(side, false);
        let tick_size = instrument.map_or(1, |instrument| u64::from(instrument.tick_size));
        let (mut left, mut at) = (orders_max, None);
        let mut behind = behind.map(|price| match side {
            Side::Buy => price.0.div_ceil(tick_size),
            Side::Sell => price.0 / tick_size,
        });
        core::iter::from_fn(move || {
            let book = &instrument?.book;
            let (level, tick) = match behind.take() {
                // No bid is below 0, and no ask above every price.
                Some(0) if side == Side::Buy => return None,
                Some(tick) if tick < u64::from(TICK_MAX) => {
                    self.pool.level_behind(book, lane, tick as u32)?
                }
                Some(_) if side == Side::Sell => return None,
                _ => self.pool.next_level(book, lane, at)?,
            };
            let is_first = left == orders_max;
            let orders = self.pool.level_orders(level).take(left as usize + 1);
            let walked = orders.count() as u32;
            if left == 0 || (walked > left && !is_first) {
                return None;
            }
            let order_count = (walked <= left).then_some(walked);
            left -= walked.min(left);
            at = Some(level);
            Some(DepthView {
                price: Price(u64::from(tick) * tick_size),
                quantity: self.pool.level(level).quantity,
                order_count,
            })
        })
    }

    /// Live orders of one side: displayed ones in priority, then hidden ones in priority, then likewise those
    /// for the next auction only and those for the closing auction only; nothing if the instrument is not
    /// defined.
    pub fn book_orders(
        &self,
        id: InstrumentId,
        side: Side,
    ) -> impl Iterator<Item = OrderView> + '_ {
        let defined = self
            .instruments
            .in_bounds(id)
            .then(|| self.instruments.get(id));
        let ladders = defined.into_iter().flat_map(move |instrument| {
            let id = InstrumentId(instrument.book.id);
            BookMark::ALL.into_iter().flat_map(move |mark| {
                let book = self.instruments.book(id, mark);
                [false, true].map(|hidden| (book, lane(side, hidden)))
            })
        });
        ladders.flat_map(move |(book, lane)| {
            let mut at = None;
            let levels = core::iter::from_fn(move || {
                let (level, _) = self.pool.next_level(book, lane, at)?;
                at = Some(level);
                Some(level)
            });
            levels
                .flat_map(|level| self.pool.level_orders(level))
                .map(|slot| self.order_view(slot))
        })
    }

    /// A session's live orders, oldest order reference first.
    pub fn open_orders(&self, id: SessionId) -> impl Iterator<Item = OrderView> + '_ {
        let mut slot = self
            .sessions
            .find(id)
            .map_or(crate::NONE, |session| session.first_order);
        core::iter::from_fn(move || {
            if slot == crate::NONE {
                return None;
            }
            let view = self.order_view(slot);
            slot = self.details[slot as usize].next;
            Some(view)
        })
    }

    /// The same, behind one of them; from the oldest if there is none or it is not live (any more).
    pub fn open_orders_behind(
        &self,
        id: SessionId,
        at: Option<UserRef>,
    ) -> impl Iterator<Item = OrderView> + '_ {
        let defined = self.sessions.find(id);
        let at = at.filter(|_| defined.is_some()).map_or(crate::NONE, |at| {
            self.pool
                .find(crate::session::owner(id, at.index), at.number)
        });
        let mut slot = if at == crate::NONE {
            defined.map_or(crate::NONE, |session| session.first_order)
        } else {
            self.details[at as usize].next
        };
        core::iter::from_fn(move || {
            if slot == crate::NONE {
                return None;
            }
            let view = self.order_view(slot);
            slot = self.details[slot as usize].next;
            Some(view)
        })
    }

    fn order_view(&self, slot: u32) -> OrderView {
        let order = self.pool.order(slot);
        let detail = &self.details[slot as usize];
        let instrument = order.instrument();
        OrderView {
            session: owner_session(order.owner),
            user_ref: owner_ref(order.owner, order.number),
            instrument,
            reference: OrderReference(detail.reference),
            side: detail.side,
            price: Price(self.price_of(slot)),
            open: self.open_of(slot),
            shown: order.open,
            executed: order.executed,
            time_in_force: detail.time_in_force,
            display: detail.display,
            cross_type: detail.cross_type,
            firm: detail.firm(),
            client_order_id: detail.client_order_id,
            deadline: self.extensions.of(detail.extension).deadline,
            trigger: self.trigger_price(slot),
        }
    }
}
