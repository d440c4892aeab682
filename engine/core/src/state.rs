//! Trading states: what each is, which may follow which, and what a change brings.
//!
//! The table of what an order may be in each state is in `docs/matching.md`, "Trading states".

use crate::NONE;
use crate::instrument::BookMark;
use crate::machine::{Done, StateMachine};
use crate::outbox::Outbox;
use crate::phase::{DAY_MS, RANDOM_END_MS_MAX};
use lockstep_record::command::{ArchivedSetInstrumentState, ArchivedStartAuction};
use lockstep_record::event::{CancelReason, Control, EventSink, Refusal};
use lockstep_record::{InstrumentId, Record, Timestamp};

/// Trading state of an instrument; the value is the letter of `SetInstrumentState`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum TradingState {
    /// Continuous trading.
    Trading = b'T',
    /// No entry or replacement; cancels work.
    Halted = b'H',
    /// The same, and said as "closed".
    Closed = b'C',
    /// Orders accumulate without trading.
    PreOpen = b'P',
    /// The call before the day's trading.
    OpeningAuction = b'O',
    /// A call within the day: after a halt, or when a collar stopped an order.
    VolatilityAuction = b'V',
    /// The call after the day's trading.
    ClosingAuction = b'L',
}

use TradingState::{
    Closed, ClosingAuction, Halted, OpeningAuction, PreOpen, Trading, VolatilityAuction,
};

impl TradingState {
    pub(crate) fn from_u8(letter: u8) -> Option<Self> {
        Some(match letter {
            b'T' => Trading,
            b'H' => Halted,
            b'C' => Closed,
            b'P' => PreOpen,
            b'O' => OpeningAuction,
            b'V' => VolatilityAuction,
            b'L' => ClosingAuction,
            _ => return None,
        })
    }

    /// Orders rest without trading, and may cross.
    pub(crate) fn accumulates(self) -> bool {
        self == PreOpen || self.is_auction()
    }

    pub(crate) fn is_auction(self) -> bool {
        matches!(self, OpeningAuction | VolatilityAuction | ClosingAuction)
    }

    /// Which states may follow; each may follow itself.
    pub(crate) fn may_become(self, next: Self) -> bool {
        self == next
            || match self {
                Closed => matches!(next, PreOpen | OpeningAuction | Trading | Halted),
                PreOpen => matches!(next, Closed | OpeningAuction | Trading | Halted),
                OpeningAuction => matches!(next, Closed | Trading | Halted),
                Trading => matches!(next, Closed | Halted | VolatilityAuction | ClosingAuction),
                Halted => true,
                VolatilityAuction => matches!(next, Closed | Trading | Halted | ClosingAuction),
                ClosingAuction => matches!(next, Closed | Trading | Halted),
            }
    }

    /// The cross type of an uncrossing that ends this state, as in executions.
    pub(crate) fn cross_type(self) -> u8 {
        match self {
            Closed | PreOpen | OpeningAuction | Trading => b'O',
            Halted | VolatilityAuction => b'H',
            ClosingAuction => b'C',
        }
    }

    /// Whether an order may be entered for this auction only: OUCH's cross type.
    pub(crate) fn takes_cross_type(self, cross_type: u8) -> bool {
        match cross_type {
            b'N' | b'C' => true,
            b'O' => matches!(self, PreOpen | OpeningAuction),
            b'H' => self == VolatilityAuction,
            _ => false,
        }
    }
}

impl StateMachine {
    pub(crate) fn set_instrument_state<S: EventSink>(
        &mut self,
        _: &Record<'_>,
        body: &ArchivedSetInstrumentState,
        out: &mut Outbox<'_, S>,
    ) -> Done {
        let id = InstrumentId(body.instrument.to_native());
        let Some(state) = TradingState::from_u8(body.state) else {
            return Done::RefusedFor(Refusal::Value);
        };
        if let Err(why) = self.may_enter_state(id, state) {
            return Done::RefusedFor(why);
        }
        self.enter_state(id, state, out);
        Done::Yes
    }

    pub(crate) fn start_auction<S: EventSink>(
        &mut self,
        _: &Record<'_>,
        body: &ArchivedStartAuction,
        out: &mut Outbox<'_, S>,
    ) -> Done {
        let id = InstrumentId(body.instrument.to_native());
        let states = (
            TradingState::from_u8(body.state),
            TradingState::from_u8(body.next_state),
        );
        let (Some(state), Some(next @ (Trading | Closed))) = states else {
            return Done::RefusedFor(Refusal::Value);
        };
        let (duration, random_end) = (body.duration_ms.to_native(), body.random_end_ms.to_native());
        if !state.is_auction() || duration > DAY_MS || random_end > RANDOM_END_MS_MAX {
            return Done::RefusedFor(Refusal::Value);
        }
        if let Err(why) = self.may_enter_state(id, state) {
            return Done::RefusedFor(why);
        }
        self.enter_state(id, state, out);
        let at = out
            .timestamp
            .0
            .saturating_add(u64::from(duration) * 1_000_000);
        self.end_call_after(id, Timestamp(at), random_end, next);
        Done::Yes
    }

    /// Between days nothing can be called.
    fn may_enter_state(&self, id: InstrumentId, state: TradingState) -> Result<(), Refusal> {
        if !self.instruments.is_live(id) {
            Err(Refusal::Undefined)
        } else if state.is_auction() && !self.day.open {
            Err(Refusal::NoDay)
        } else if !self.instruments.get(id).state.may_become(state) {
            Err(Refusal::State)
        } else {
            Ok(())
        }
    }

    /// Changes the state, with all that follows from it: an uncrossing before continuous trading and at the
    /// end of an auction before closing; then what could only trade in the auction is cancelled.
    pub(crate) fn enter_state<S: EventSink>(
        &mut self,
        id: InstrumentId,
        to: TradingState,
        out: &mut Outbox<'_, S>,
    ) {
        let from = self.instruments.get(id).state;
        if from == to {
            return;
        }
        let ends_call = to == Trading || (to == Closed && from.is_auction());
        let uncrosses = ends_call && self.day.open && self.is_crossed(id, from);
        if uncrosses || to.accumulates() {
            self.unfold_reserves(id);
        }
        if uncrosses {
            self.uncross(id, from, out);
        }
        self.cancel_auction_only(id, from, to, out);
        if !to.accumulates() && (uncrosses || from.accumulates()) {
            self.fold_reserves(id, out);
        }
        self.instruments.get_mut(id).state = to;
        out.control(&Control::InstrumentState {
            instrument: id,
            state: to as u8,
        });
        self.begin_call(id, to, out);
        if to == Trading {
            // What the uncrossing triggered acts, and pegged orders follow, when this is over.
            self.touched.add(id.0);
        }
    }

    /// Orders for auctions only, of the auction that ends or of all when the instrument closes: displayed
    /// bids, displayed asks, hidden ones; best price first, first come first.
    fn cancel_auction_only<S: EventSink>(
        &mut self,
        id: InstrumentId,
        from: TradingState,
        to: TradingState,
        out: &mut Outbox<'_, S>,
    ) {
        let unfilled = |traded| {
            if traded {
                CancelReason::ImmediateOrCancel
            } else {
                CancelReason::Closed
            }
        };
        if matches!(to, Trading | Closed) {
            let reason = unfilled(to == Trading || from.is_auction());
            self.cancel_book(id, BookMark::Call, reason, out);
        }
        if to == Closed || (to == Trading && from == ClosingAuction) {
            let reason = unfilled(from == ClosingAuction);
            self.cancel_book(id, BookMark::Close, reason, out);
        }
    }

    pub(crate) fn cancel_book<S: EventSink>(
        &mut self,
        id: InstrumentId,
        mark: BookMark,
        reason: CancelReason,
        out: &mut Outbox<'_, S>,
    ) {
        for lane in 0..crate::book::pool::LANES {
            while let Some((level, _)) =
                self.pool
                    .next_level(self.instruments.book(id, mark), lane, None)
            {
                let first = self.pool.level(level).head;
                debug_assert!(first != NONE);
                self.cancel_live(first, reason, out);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The table of `docs/matching.md`, "Trading states": rows from, columns to, in the order of `ALL`.
    #[test]
    fn the_transitions_are_the_tables() {
        const ALL: [TradingState; 7] = [
            Closed,
            PreOpen,
            OpeningAuction,
            Trading,
            Halted,
            VolatilityAuction,
            ClosingAuction,
        ];
        const TABLE: [&str; 7] = [
            "xxxxx..", "xxxxx..", "x.xxx..", "x..xxxx", "xxxxxxx", "x..xxxx", "x..xx.x",
        ];
        for (from, row) in ALL.iter().zip(TABLE) {
            for (to, mark) in ALL.iter().zip(row.chars()) {
                assert_eq!(from.may_become(*to), mark == 'x', "{from:?} to {to:?}");
                assert_eq!(TradingState::from_u8(*to as u8), Some(*to));
            }
        }
    }
}
