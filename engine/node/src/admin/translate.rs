//! Commands as records. What a command does not name it takes from what is known of the state.
//!
//! A function of the command and of what is known: the state machine judges what comes of it, and nothing
//! here may panic because of what a command says.

use super::protocol::{Command, Problem, ProblemCode, SetState};
use super::views::{self, not_found};
use super::{auction, define, supervise};
use crate::definitions::{Known, padded};
use crate::operator;
use lockstep_record::command as body;

/// The records of a command that is nothing but records; `None` for a view, a reload, a snapshot and the days.
pub fn records(command: &Command, known: &impl Known) -> Result<Option<Vec<Vec<u8>>>, Problem> {
    let record = match command {
        Command::ShowStatus
        | Command::ShowDay
        | Command::ShowBounds
        | Command::ShowCounters
        | Command::ShowFirms
        | Command::ShowSessions
        | Command::ShowInstruments
        | Command::ShowFirm(_)
        | Command::ShowSession(_)
        | Command::ShowInstrument(_)
        | Command::ShowBook(_)
        | Command::ShowOrders(_)
        | Command::ShowPositions(_)
        | Command::ShowStatistics(_)
        | Command::OpenDay
        | Command::OpenDayOf(_)
        | Command::CloseDay
        | Command::Reload(_)
        | Command::TakeSnapshot
        | Command::ShowSnapshot(_) => return Ok(None),
        Command::SetState(set) => return set_state(set, known).map(Some),
        Command::StartAuction(start) => auction::start_auction(start, known)?,
        Command::SetSchedule(set) => auction::set_schedule(set, known)?,
        Command::SetReferencePrice(set) => auction::set_reference_price(set, known)?,
        Command::DefineFirm(define) => define::firm(define)?,
        Command::DefineSession(define) => define::session(define, known)?,
        Command::DefineInstrument(define) => define::instrument(define, known)?,
        Command::SetEntry(set) => unsigned(&supervise::set_entry(set)),
        Command::MassCancel(cancel) => unsigned(&supervise::mass_cancel(cancel, known)?),
        Command::CancelOrder(cancel) => unsigned(&supervise::cancel_order(cancel)),
        Command::BreakTrade(trade) => unsigned(&supervise::break_trade(trade)?),
        Command::SetLimits(set) => unsigned(&supervise::set_limits(set, known)?),
        Command::SetThrottle(set) => unsigned(&supervise::set_throttle(set)),
        Command::SetProtection(set) => unsigned(&supervise::set_protection(set)),
        Command::ResetProtection(reset) => unsigned(&supervise::reset_protection(reset)),
        Command::SetPosition(set) => unsigned(&supervise::set_position(set, known)?),
        Command::RetireInstrument(retire) => unsigned(&body::RetireInstrument {
            instrument: instrument_of(&retire.symbol, known)?,
            _reserved: [0; 4],
        }),
        Command::SetGrace(set) => unsigned(&body::SetGrace {
            grace: set.grace_ns,
        }),
    };
    Ok(Some(vec![record]))
}

/// A record whose operator is named when it is put in order.
pub(super) fn unsigned<B: lockstep_record::Body>(body: &B) -> Vec<u8> {
    operator::record(body, &[], "")
}

fn set_state(set: &SetState, known: &impl Known) -> Result<Vec<Vec<u8>>, Problem> {
    let ids = match &set.symbol {
        Some(symbol) => vec![instrument_of(symbol, known)?],
        None => known.instrument_ids(),
    };
    let record = |instrument| {
        unsigned(&body::SetInstrumentState {
            instrument,
            state: set.state.letter(),
            _reserved: [0; 3],
        })
    };
    Ok(ids.into_iter().map(record).collect())
}

pub(super) fn malformed(what: impl Into<String>) -> Problem {
    Problem::new(ProblemCode::Malformed, what)
}

/// The instrument of a symbol.
pub(super) fn instrument_of(symbol: &str, known: &impl Known) -> Result<u32, Problem> {
    let found = known.find_instrument(views::symbol(symbol)?);
    found.ok_or_else(|| not_found(format!("no instrument {symbol:?}")))
}

/// A text that fits its field; the state machine judges the rest.
pub(super) fn field<const N: usize>(name: &str, value: &str) -> Result<[u8; N], Problem> {
    let graphic = value.bytes().all(|b| b.is_ascii_graphic());
    if value.is_empty() || value.len() > N || !graphic {
        let what = format!("{name} {value:?}: must be 1 to {N} printable characters");
        return Err(malformed(what));
    }
    Ok(padded(value))
}
