//! Auctions, schedules and reference prices as records.

use super::protocol::{Auction, NextState, Problem, SetReferencePrice, SetSchedule, StartAuction};
use super::translate::{instrument_of, unsigned};
use crate::definitions::{self, Known};
use lockstep_record::command as body;

pub(super) fn start_auction(start: &StartAuction, known: &impl Known) -> Result<Vec<u8>, Problem> {
    let usual = match start.auction {
        Auction::Closing => NextState::Closed,
        Auction::Opening | Auction::Volatility => NextState::Trading,
    };
    Ok(unsigned(&body::StartAuction {
        instrument: instrument_of(&start.symbol, known)?,
        duration_ms: start.duration_ms,
        random_end_ms: start.random_end_ms,
        state: match start.auction {
            Auction::Opening => b'O',
            Auction::Volatility => b'V',
            Auction::Closing => b'L',
        },
        next_state: match start.next_state.unwrap_or(usual) {
            NextState::Trading => b'T',
            NextState::Closed => b'C',
        },
        _reserved: [0; 2],
    }))
}

pub(super) fn set_schedule(set: &SetSchedule, known: &impl Known) -> Result<Vec<u8>, Problem> {
    let instrument = instrument_of(&set.symbol, known)?;
    let schedule = set.schedule.schedule();
    Ok(unsigned(&definitions::set_schedule(instrument, &schedule)))
}

pub(super) fn set_reference_price(
    set: &SetReferencePrice,
    known: &impl Known,
) -> Result<Vec<u8>, Problem> {
    Ok(unsigned(&body::SetReferencePrice {
        price: set.price,
        instrument: instrument_of(&set.symbol, known)?,
        _reserved: 0,
    }))
}
