//! What is defined already, as whoever proposes or changes something needs to know it.

use super::instrument::InstrumentDefinition;
use super::session::SessionDefinition;
use lockstep_core::inspect::Schedule;
use lockstep_core::{Limits, StateMachine};
use lockstep_record::command::{DefineFirm, SetBounds, SetRiskBounds, SetSchedule};
use lockstep_record::{FirmId, InstrumentId, SessionId};

/// The state machine answers, or somebody who asks it.
pub trait Known {
    fn bounds(&self) -> SetBounds;
    fn risk_bounds(&self) -> SetRiskBounds;
    fn firm(&self, id: u32) -> Option<DefineFirm>;
    fn session(&self, id: u32) -> Option<SessionDefinition>;
    fn instrument(&self, id: u32) -> Option<InstrumentDefinition>;
    /// Whether an instrument is out of trading for the rest of the day.
    fn is_retired(&self, id: u32) -> bool;
    fn schedule(&self, id: u32) -> Option<SetSchedule>;
    /// The instrument of a symbol, padded right with spaces.
    fn find_instrument(&self, symbol: [u8; 8]) -> Option<u32>;
    /// Ids of all that are in trading, ascending.
    fn instrument_ids(&self) -> Vec<u32>;
    fn session_limits(&self, id: u32) -> Option<Limits>;
    fn firm_limits(&self, id: u32) -> Option<Limits>;
}

/// The record of a schedule.
pub fn set_schedule(instrument: u32, schedule: &Schedule) -> SetSchedule {
    let [
        pre_open_ms,
        opening_auction_ms,
        trading_ms,
        closing_auction_ms,
        closed_ms,
    ] = schedule.times_ms;
    SetSchedule {
        instrument,
        pre_open_ms,
        opening_auction_ms,
        trading_ms,
        closing_auction_ms,
        closed_ms,
        random_end_ms: schedule.random_end_ms,
        _reserved: 0,
    }
}

impl Known for StateMachine {
    fn bounds(&self) -> SetBounds {
        let bounds = Self::bounds(self);
        SetBounds {
            open_orders_max: bounds.open_orders_max,
            instruments_max: bounds.instruments_max,
            sessions_max: bounds.sessions_max,
            firms_max: bounds.firms_max,
            price_levels_max: bounds.price_levels_max,
            _reserved: [0; 12],
        }
    }

    fn risk_bounds(&self) -> SetRiskBounds {
        let bounds = Self::risk_bounds(self);
        SetRiskBounds {
            positions_max: bounds.positions_max,
            trades_max: bounds.trades_max,
            protections_max: bounds.protections_max,
            _reserved: [0; 4],
        }
    }

    fn firm(&self, id: u32) -> Option<DefineFirm> {
        let firm = self.firm_of(id)?;
        Some(DefineFirm {
            firm: id,
            code: firm.code,
        })
    }

    fn session(&self, id: u32) -> Option<SessionDefinition> {
        SessionDefinition::of(self, id)
    }

    fn instrument(&self, id: u32) -> Option<InstrumentDefinition> {
        InstrumentDefinition::of(self, id)
    }

    fn is_retired(&self, id: u32) -> bool {
        Self::instrument(self, InstrumentId(id)).is_some_and(|instrument| instrument.retired)
    }

    fn schedule(&self, id: u32) -> Option<SetSchedule> {
        let known = Self::schedule(self, InstrumentId(id))?;
        Some(set_schedule(id, &known))
    }

    fn find_instrument(&self, symbol: [u8; 8]) -> Option<u32> {
        Self::find_instrument(self, symbol).map(|id| id.0)
    }

    fn instrument_ids(&self) -> Vec<u32> {
        let live = self.instruments().filter(|instrument| !instrument.retired);
        live.map(|instrument| instrument.instrument.0).collect()
    }

    fn session_limits(&self, id: u32) -> Option<Limits> {
        Self::session_limits(self, SessionId(id))
    }

    fn firm_limits(&self, id: u32) -> Option<Limits> {
        Self::firm_limits(self, FirmId(id))
    }
}
