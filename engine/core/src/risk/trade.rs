//! The latest trades of the day, which the operator can break.
//!
//! A ring by match number: match numbers are dense, so a number says where its trade is. What is broken, of
//! an earlier day, or has been overwritten is not known any more. Nothing here allocates after `grow`.

use crate::grown;
use alloc::vec::Vec;
use lockstep_record::{FirmId, InstrumentId, Side};

/// One side of a trade.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TradeSide {
    pub owner: u32,
    pub number: u32,
    pub firm: FirmId,
    pub client_order_id: [u8; 14],
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Trade {
    /// 0: none.
    pub match_number: u64,
    pub instrument: InstrumentId,
    pub quantity: u32,
    /// The aggressor's; of an auction the buyer counts as aggressor.
    pub side: Side,
    /// It counts in the positions.
    pub counted: bool,
    pub resting: TradeSide,
    pub aggressor: TradeSide,
}

const NO_SIDE: TradeSide = TradeSide {
    owner: 0,
    number: 0,
    firm: FirmId(0),
    client_order_id: [b' '; 14],
};

pub(crate) const NO_TRADE: Trade = Trade {
    match_number: 0,
    instrument: InstrumentId(0),
    quantity: 0,
    side: Side::Buy,
    counted: false,
    resting: NO_SIDE,
    aggressor: NO_SIDE,
};

#[derive(Debug)]
pub(crate) struct Trades {
    ring: Vec<Trade>,
    /// Match numbers below it are of earlier days.
    today: u64,
}

impl Trades {
    pub fn new() -> Self {
        Self {
            ring: Vec::new(),
            today: 0,
        }
    }

    #[inline(always)]
    pub fn are_kept(&self) -> bool {
        !self.ring.is_empty()
    }

    /// Makes room for so many, those there are included.
    pub fn grow(&mut self, trades_max: u32) {
        if trades_max as usize == self.ring.len() {
            return;
        }
        let before = core::mem::take(&mut self.ring);
        grown(&mut self.ring, trades_max as usize, NO_TRADE);
        for trade in before.iter().filter(|trade| trade.match_number != 0) {
            self.keep(trade);
        }
    }

    #[inline(always)]
    fn place(&self, match_number: u64) -> usize {
        // Below the ring's length, which is a u32.
        (match_number % self.ring.len() as u64) as usize
    }

    #[inline(always)]
    pub fn keep(&mut self, trade: &Trade) {
        let at = self.place(trade.match_number);
        self.ring[at] = *trade;
    }

    /// Trades up to this match number are of earlier days.
    pub fn begin_day(&mut self, last_match: u64) {
        self.today = last_match.saturating_add(1);
    }

    /// Takes a trade out if it is known.
    pub fn take(&mut self, match_number: u64) -> Option<Trade> {
        if !self.are_kept() || match_number == 0 || match_number < self.today {
            return None;
        }
        let at = self.place(match_number);
        let known = self.ring[at].match_number == match_number;
        known.then(|| core::mem::replace(&mut self.ring[at], NO_TRADE))
    }

    pub fn get(&self, match_number: u64) -> Option<&Trade> {
        if !self.are_kept() || match_number == 0 || match_number < self.today {
            return None;
        }
        let trade = &self.ring[self.place(match_number)];
        (trade.match_number == match_number).then_some(trade)
    }

    /// Those that are known, by match number; `last` is the last one given.
    pub fn known(&self, last: u64) -> impl Iterator<Item = &Trade> + Clone {
        let first = last.saturating_sub(self.ring.len() as u64) + 1;
        (first.max(self.today)..=last).filter_map(|number| self.get(number))
    }
}
