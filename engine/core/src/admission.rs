//! The checks that orders and replacements share, in their order, and what they make of the values.
//!
//! The first failing check decides (`docs/matching.md`, "Order entry", a row a check).

use crate::book::Limit;
use crate::book::pool::lane;
use crate::book::uncross::market_tick;
use crate::instrument::{BookMark, Instrument};
use crate::machine::StateMachine;
use crate::option::Options;
use crate::state::TradingState;
use crate::trigger::StopKind;
use core::hint::select_unpredictable;
use lockstep_record::event::RejectReason;
use lockstep_record::{InstrumentId, PartTag, Side, Timestamp};

/// OUCH ExpireTime lies below it.
const SECONDS_PER_DAY: u32 = 86_400;

/// The values of an order or of a replacement that are checked alike.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Wanted {
    pub price: u64,
    /// Of the whole chain.
    pub quantity: u32,
    pub side: u8,
    pub time_in_force: u8,
    pub display: u8,
    pub capacity: u8,
    pub intermarket_sweep: u8,
    pub cross_type: u8,
    /// A replacement keeps its cross type in whatever state.
    pub replaces: bool,
    /// Of the original order that a replacement with time in force `6` does not give a new one.
    pub inherited_deadline: Option<Timestamp>,
}

/// What the checks make of them.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Admitted {
    pub side: Side,
    pub limit: Limit,
    /// At this tick, if anything is left.
    pub rests_at: Option<u32>,
    pub hidden: bool,
    /// The book in which it rests.
    pub book: BookMark,
    /// Takes from the book before it rests; otherwise the next auction's uncrossing is its first trade.
    pub takes: bool,
    /// Is cancelled whole rather than take from the book.
    pub post_only: bool,
    /// When it expires; 0 = it does not by itself.
    pub deadline: Timestamp,
    /// Most shares displayed at a time; 0 = all.
    pub max_floor: u32,
    /// How far displays differ from `max_floor`, either way.
    pub random_reserves: u32,
    /// Waits for its trigger before it acts.
    pub stop: bool,
    /// Follows the displayed quote.
    pub peg: bool,
}

impl Admitted {
    /// Whether it needs an extension when it rests.
    #[inline(always)]
    pub fn is_extended(&self) -> bool {
        self.deadline != Timestamp(0) || self.max_floor != 0
    }

    /// The ladder it would rest on.
    #[inline(always)]
    pub fn lane(&self) -> usize {
        lane(self.side, self.hidden)
    }
}

impl StateMachine {
    /// Checks the values that orders and replacements share.
    #[inline(always)]
    pub(crate) fn check_wanted(
        &self,
        id: InstrumentId,
        wanted: &Wanted,
        options: &Options,
    ) -> Result<Admitted, RejectReason> {
        let instrument = self.instruments.get(id);
        let buys = wanted.side == b'B';
        if !(buys | matches!(wanted.side, b'S' | b'T' | b'E')) {
            return Err(RejectReason::InvalidSide);
        }
        // No branch on the side, which would be a coin's toss.
        let side = select_unpredictable(buys, Side::Buy, Side::Sell);
        let lot = instrument.lot_size;
        let in_range = (1..=self.features.quantity_max).contains(&wanted.quantity);
        if !in_range || (lot != 1 && !wanted.quantity.is_multiple_of(lot)) {
            return Err(RejectReason::InvalidQuantity);
        }
        let immediate = wanted.time_in_force == b'3';
        if immediate && instrument.state.accumulates() {
            return Err(RejectReason::Other);
        }
        let deadline = self
            .deadline_of(wanted, options)
            .ok_or(RejectReason::Other)?;
        if !matches!(wanted.capacity, b'A' | b'P' | b'R' | b'O') {
            return Err(RejectReason::Other);
        }
        if wanted.cross_type != b'N' && !may_cross(instrument.state, wanted, options) {
            return Err(RejectReason::InvalidCrossOrder);
        }
        if !matches!(wanted.display, b'Y' | b'A' | b'N') {
            return Err(RejectReason::InvalidDisplay);
        }
        if wanted.intermarket_sweep != b'N' || options.any() {
            self.check_options(instrument, wanted, options)?;
        }
        let (limit, tick) = self.check_price(instrument, wanted, options)?;
        let stop = options.any() && self.check_stop(instrument, wanted, options)?;
        let continuous = instrument.state == TradingState::Trading && wanted.cross_type == b'N';
        let (rests_at, book) = if continuous {
            let plain = !stop && options.price_type == b'L';
            let breaks = |tick| plain && self.breaks_collar(id, side, tick);
            if instrument.collared && tick.is_some_and(breaks) {
                return Err(RejectReason::InvalidPrice);
            }
            (tick.filter(|_| !immediate), BookMark::Own)
        } else {
            // At the market it waits for the auction.
            let tick = tick.unwrap_or(market_tick(side));
            (Some(tick), auction_book(instrument.state, wanted, limit))
        };
        Ok(Admitted {
            side,
            limit,
            rests_at,
            hidden: wanted.display == b'N',
            book,
            takes: continuous,
            post_only: options.post_only == b'P',
            deadline,
            max_floor: options.max_floor,
            random_reserves: options.random_reserves,
            stop,
            peg: options.price_type != b'L',
        })
    }

    /// When the order expires: 0 unless its time in force is `6`, which needs exactly one of ExpireTime and
    /// the venue's ExpireDateTime; `None` if time in force and options do not fit.
    #[inline(always)]
    fn deadline_of(&self, wanted: &Wanted, options: &Options) -> Option<Timestamp> {
        match wanted.time_in_force {
            b'0' | b'3' if !options.any() => Some(Timestamp(0)),
            b'0' | b'3' => {
                let none = options.expire_time == 0 && options.expire_date_time == 0;
                none.then_some(Timestamp(0))
            }
            b'6' => self.good_till(wanted, options),
            _ => None,
        }
    }

    #[cold]
    fn good_till(&self, wanted: &Wanted, options: &Options) -> Option<Timestamp> {
        let now = self.position.timestamp.0;
        if let Some(inherited) = wanted.inherited_deadline {
            return Some(inherited);
        }
        let deadline = match (options.expire_time, options.expire_date_time) {
            (seconds @ 1..SECONDS_PER_DAY, 0) => {
                now.saturating_add(u64::from(seconds) * 1_000_000_000)
            }
            (0, date_time) if date_time > now => date_time,
            _ => return None,
        };
        Some(Timestamp(deadline))
    }

    /// The checks that only options and the sweep flag can fail.
    fn check_options(
        &self,
        instrument: &Instrument,
        wanted: &Wanted,
        options: &Options,
    ) -> Result<(), RejectReason> {
        let lot = instrument.lot_size;
        let floor = options.max_floor;
        let market = wanted.price >= self.features.market_price_min;
        let auction = wanted.cross_type != b'N';
        let plain = wanted.time_in_force == b'3' || wanted.display == b'N' || market || auction;
        let random = options.random_reserves;
        // The fewest that it may display at a time.
        let shown = u64::from(floor.saturating_sub(random)) * u64::from(self.features.displays_max);
        let bad = plain || !floor.is_multiple_of(lot) || shown < u64::from(wanted.quantity);
        let odd = random != 0 && (random >= floor || !random.is_multiple_of(lot));
        if (floor != 0 && bad) || odd {
            return Err(RejectReason::InvalidMaxFloor);
        }
        let continuous = instrument.state == TradingState::Trading && !auction;
        self.check_peg(wanted, options, instrument.tick_size, continuous)?;
        if options.has(PartTag::ROUTE) {
            return Err(RejectReason::RoutingNotAllowed);
        }
        if wanted.intermarket_sweep != b'N' {
            return Err(RejectReason::IsoNotAllowed);
        }
        if options.post_only == b'P' && (wanted.time_in_force == b'3' || auction) {
            return Err(RejectReason::Other);
        }
        let min = options.min_quantity;
        let immediate = wanted.time_in_force == b'3';
        if min != 0 && (!immediate || min > wanted.quantity || !min.is_multiple_of(lot)) {
            return Err(RejectReason::InvalidMinQuantity);
        }
        Ok(())
    }

    /// Whether an instrument allows a price.
    #[inline(always)]
    pub(crate) fn on_tick(&self, instrument: &Instrument, price: u64) -> bool {
        price.is_multiple_of(u64::from(instrument.tick_size))
            && (!instrument.banded
                || self
                    .ticks
                    .get(InstrumentId(instrument.book.id))
                    .allows(price))
    }

    /// The limit, and its tick unless it is a market order's.
    #[inline(always)]
    fn check_price(
        &self,
        instrument: &Instrument,
        wanted: &Wanted,
        options: &Options,
    ) -> Result<(Limit, Option<u32>), RejectReason> {
        if wanted.price >= self.features.market_price_min && options.post_only != b'P' {
            return Ok((Limit::Market, None));
        }
        let on_tick = self.on_tick(instrument, wanted.price);
        if wanted.price == 0 || wanted.price > self.features.price_max || !on_tick {
            return Err(RejectReason::InvalidPrice);
        }
        // price_max is within a tick's range (features.rs).
        let tick = (wanted.price / u64::from(instrument.tick_size)) as u32;
        Ok((Limit::Tick(tick), Some(tick)))
    }
}

/// Whether an order may be for an auction only now.
#[cold]
fn may_cross(state: TradingState, wanted: &Wanted, options: &Options) -> bool {
    let waits = options.stop_kind() != Some(StopKind::None);
    let plain = wanted.time_in_force == b'0' && !waits;
    plain && (wanted.replaces || state.takes_cross_type(wanted.cross_type))
}

/// The book of an order that does not trade at once.
#[cold]
fn auction_book(state: TradingState, wanted: &Wanted, limit: Limit) -> BookMark {
    match wanted.cross_type {
        b'C' => BookMark::Close,
        b'O' | b'H' => BookMark::Call,
        _ if limit != Limit::Market => BookMark::Own,
        _ if state == TradingState::ClosingAuction => BookMark::Close,
        _ => BookMark::Call,
    }
}

impl Options {
    /// Whether an option wants something that is not built.
    pub(crate) fn unsupported(&self) -> bool {
        self.any()
            && (self.discretion_price != 0
                || self.discretion_price_type != b'L'
                || self.discretion_peg_offset != 0
                || !matches!(self.post_only, b'P' | b'N')
                || !matches!(self.self_trade_prevention, 0 | b'N' | b'O' | b'B' | b'D')
                || (self.has(PartTag::SELF_TRADE_PREVENTION) && self.self_trade_prevention == 0)
                || self.handle_inst != b' '
                || !matches!(self.customer_type, b'R' | b'N' | b' ')
                || !matches!(self.trade_now, b'Y' | b'N' | b' ')
                || !matches!(self.shares_located, b'Y' | b'N')
                || self.stop_kind().is_none())
    }
}
