//! Protection: what the operator allows sessions, firms and the venue, and what is counted against it.
//!
//! Tables by id, sized with the bounds. What live orders amount to is counted only while somebody needs it
//! (`tracking`); it is a function of the live orders, and the whole-state check recomputes it from them. It
//! must never be corrected here by guessing.

pub(crate) mod command;
pub(crate) mod limit;
pub(crate) mod position;
pub(crate) mod protection;
pub(crate) mod throttle;
pub(crate) mod trade;
pub(crate) mod view;

use crate::grown;
use crate::image::Walk;
use alloc::vec::Vec;
use limit::Limits;
use lockstep_prefetch::{prefetch, prefetch_line};
use lockstep_record::event::CancelReason;
use lockstep_record::{FirmId, InstrumentId, SessionId, Side, Timestamp};
use position::Positions;
use protection::Protections;
use throttle::Throttle;
use trade::{Trade, Trades};

/// Said of what a tripped protection or the end of a grace period cancels.
pub(crate) const BY_SYSTEM: CancelReason = CancelReason::System;

/// What the operator lets a session, a firm or the venue enter; the value is the letter of `SetEntryState`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(u8)]
pub enum EntryState {
    #[default]
    Enabled = b'E',
    /// No entry and no replacement; live orders stay.
    Disabled = b'D',
    /// The same, and its live orders were cancelled.
    Killed = b'K',
}

impl EntryState {
    pub(crate) fn from_u8(letter: u8) -> Option<Self> {
        match letter {
            b'E' => Some(Self::Enabled),
            b'D' => Some(Self::Disabled),
            b'K' => Some(Self::Killed),
            _ => None,
        }
    }

    /// Its letter, both ways; an unknown one is refused.
    pub(crate) fn walk(&mut self, walk: &mut impl Walk) {
        let mut letter = *self as u8;
        walk.u8(&mut letter);
        match Self::from_u8(letter) {
            Some(known) => *self = known,
            None => walk.refuse("an entry state is unknown"),
        }
    }
}

/// Whom an operator's record is about; its letter stands in the record.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Scope {
    Session(SessionId),
    Firm(FirmId),
    Venue,
}

impl Scope {
    pub(crate) fn read(letter: u8, id: u32) -> Option<Self> {
        match letter {
            b'S' => Some(Self::Session(SessionId(id))),
            b'F' => Some(Self::Firm(FirmId(id))),
            b'V' if id == 0 => Some(Self::Venue),
            _ => None,
        }
    }
}

/// What the live orders of a session or a firm amount to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Exposure {
    pub open_orders: u32,
    /// Price times open shares over all of them, in 1/10,000.
    pub open_notional: u128,
}

/// A session or a firm: what it may and what it does.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(C)]
pub(crate) struct Account {
    /// Only while it is tracked.
    pub exposure: Exposure,
    pub limits: Limits,
}

/// A session as protection sees it, in cache lines of its own.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub(crate) struct SessionAccount {
    pub account: Account,
    pub throttle: Throttle,
}
const _: () = assert!(size_of::<SessionAccount>() == 128);

/// A firm as protection sees it, in cache lines of its own.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(64))]
pub(crate) struct Firm {
    pub account: Account,
    pub entry: EntryState,
}
const _: () = assert!(size_of::<Firm>() == 128);

/// A live order as it counts against limits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counted {
    pub session: SessionId,
    pub firm: FirmId,
    pub instrument: InstrumentId,
    pub side: Side,
    /// In 1/10,000; at most the highest limit price.
    pub price: u64,
}

/// Bounds of what is kept; all 0 before the first `SetRiskBounds`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct RiskBounds {
    /// Pairs of firm and instrument with a position.
    pub positions_max: u32,
    /// Latest trades that can be broken.
    pub trades_max: u32,
    /// Market-maker protections over all sessions.
    pub protections_max: u32,
}

/// How long sessions may stay away after a change of leader.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub(crate) struct Grace {
    /// ns; 0 = for ever.
    pub period: u64,
    /// When those that are in grace lose their orders; 0 = nobody is.
    pub deadline: Timestamp,
}

#[derive(Debug)]
pub(crate) struct Risk {
    /// Of the whole venue.
    pub entry: EntryState,
    pub bounds: RiskBounds,
    /// Exposures are counted. It cannot influence an outcome: what is not counted has no limit.
    pub tracking: bool,
    /// The request that is being applied is one too many for its session.
    pub over_rate: bool,
    pub grace: Grace,
    /// By session id; entry 0 is never used.
    pub sessions: Vec<SessionAccount>,
    /// By firm id; entry 0 is never used.
    pub firms: Vec<Firm>,
    pub positions: Positions,
    pub trades: Trades,
    pub protections: Protections,
}

impl Risk {
    pub fn new() -> Self {
        Self {
            entry: EntryState::Enabled,
            bounds: RiskBounds::default(),
            tracking: false,
            over_rate: false,
            grace: Grace::default(),
            sessions: Vec::new(),
            firms: Vec::new(),
            positions: Positions::new(),
            trades: Trades::new(),
            protections: Protections::new(),
        }
    }

    pub fn grow(&mut self, sessions_max: u32, firms_max: u32) {
        let (sessions, firms) = (sessions_max as usize + 1, firms_max as usize + 1);
        grown(&mut self.sessions, sessions, SessionAccount::default());
        grown(&mut self.firms, firms, Firm::default());
    }

    /// Asks for what a session is held against; see [`crate::ahead`].
    #[inline(always)]
    pub fn warm_session(&self, id: SessionId) {
        let last = self.sessions.len().saturating_sub(1);
        if let Some(session) = self.sessions.get((id.0 as usize).min(last)) {
            prefetch_line(&session.account.exposure);
            prefetch_line(&session.account.limits.gross_max);
        }
    }

    /// Asks for what a firm is held against in an instrument.
    #[inline(always)]
    pub fn warm_firm(&self, firm: FirmId, instrument: InstrumentId) {
        prefetch(&self.firms, firm.0 as usize);
        self.positions.warm(firm, instrument);
    }

    /// A firm that the caller knows to be within the bounds.
    #[inline(always)]
    pub fn firm(&self, id: FirmId) -> &Firm {
        &self.firms[id.0 as usize]
    }

    pub fn firm_mut(&mut self, id: FirmId) -> &mut Firm {
        &mut self.firms[id.0 as usize]
    }

    /// A session that the caller knows to be within the bounds.
    #[inline(always)]
    pub fn session(&self, id: SessionId) -> &Account {
        &self.sessions[id.0 as usize].account
    }

    pub fn session_mut(&mut self, id: SessionId) -> &mut Account {
        &mut self.sessions[id.0 as usize].account
    }

    pub fn throttle(&self, id: SessionId) -> &Throttle {
        &self.sessions[id.0 as usize].throttle
    }

    #[inline(always)]
    pub fn throttle_mut(&mut self, id: SessionId) -> &mut Throttle {
        &mut self.sessions[id.0 as usize].throttle
    }

    /// An order goes live with so many open shares.
    #[inline(always)]
    pub fn opened(&mut self, order: &Counted, quantity: u32) {
        if !self.tracking {
            return;
        }
        let notional = notional(order.price, quantity);
        for exposure in self.exposures(order) {
            exposure.open_orders += 1;
            exposure.open_notional += notional;
        }
        if let Some(position) = self.positions.claim(order.firm, order.instrument) {
            position.opened(order.side, quantity);
        }
    }

    /// A live order loses open shares.
    #[inline(always)]
    pub fn reduced(&mut self, order: &Counted, quantity: u32) {
        if !self.tracking || quantity == 0 {
            return;
        }
        let notional = notional(order.price, quantity);
        for exposure in self.exposures(order) {
            exposure.open_notional -= notional;
        }
        if let Some(position) = self.positions.find_mut(order.firm, order.instrument) {
            position.closed(order.side, quantity);
        }
    }

    /// A live order is not live any more, and loses what it had open.
    #[inline(always)]
    pub fn closed(&mut self, order: &Counted, quantity: u32) {
        if !self.tracking {
            return;
        }
        let notional = notional(order.price, quantity);
        for exposure in self.exposures(order) {
            exposure.open_orders -= 1;
            exposure.open_notional -= notional;
        }
        if let Some(position) = self.positions.find_mut(order.firm, order.instrument) {
            position.closed(order.side, quantity);
        }
    }

    #[inline(always)]
    fn exposures(&mut self, order: &Counted) -> [&mut Exposure; 2] {
        [
            &mut self.sessions[order.session.0 as usize].account.exposure,
            &mut self.firms[order.firm.0 as usize].account.exposure,
        ]
    }

    /// Two orders traded: positions and the memory of trades.
    #[inline(always)]
    pub fn traded(&mut self, trade: &Trade) {
        if self.positions.are_kept() {
            let sides = [
                (trade.resting.firm, trade.side.opposite()),
                (trade.aggressor.firm, trade.side),
            ];
            for (firm, side) in sides {
                if let Some(position) = self.positions.claim(firm, trade.instrument) {
                    position.traded(side, trade.quantity);
                }
            }
        }
        if self.trades.are_kept() {
            self.trades.keep(&Trade {
                counted: self.positions.are_kept(),
                ..*trade
            });
        }
    }

    /// Whether anybody wants to know of trades.
    #[inline(always)]
    pub fn follows_trades(&self) -> bool {
        self.positions.are_kept() || self.trades.are_kept()
    }

    /// Nothing is open; counting begins anew.
    pub fn forget_open(&mut self) {
        for session in &mut self.sessions {
            session.account.exposure = Exposure::default();
        }
        for firm in &mut self.firms {
            firm.account.exposure = Exposure::default();
        }
        self.positions.forget_open();
    }
}

/// Price times quantity.
#[inline(always)]
pub(crate) fn notional(price: u64, quantity: u32) -> u128 {
    u128::from(price) * u128::from(quantity)
}
