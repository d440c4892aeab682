//! What the state looks like, asked page by page.

mod book;
mod instrument;
mod orders;
mod risk;
mod session;

use super::desk::{Inquiries, PAGE_ENTRIES, PAGE_SCAN};
use super::protocol::{BoundsView, DayView, FirmView, Problem, ProblemCode};
use crate::config::DayConfig;
use crate::day;
pub use book::book;
pub use instrument::{instrument, instruments, statistics};
use lockstep_core::StateMachine;
use lockstep_core::inspect;
use lockstep_record::InstrumentId;
pub use orders::orders;
pub use risk::{firm, positions};
pub use session::{session, sessions};

pub fn timed_out() -> Problem {
    let what = "the engine did not answer in time; is the node overloaded or stopping?";
    Problem::new(ProblemCode::TimedOut, what)
}

pub fn not_found(what: impl Into<String>) -> Problem {
    Problem::new(ProblemCode::NotFound, what)
}

/// Text without the padding on its right.
pub fn text(padded: &[u8]) -> String {
    let text = String::from_utf8_lossy(padded);
    text.trim_end_matches([' ', '\0']).to_owned()
}

pub fn letter(byte: u8) -> String {
    char::from(byte).to_string()
}

/// Entries of ids 1, 2, … as they were when each page was looked at.
pub fn by_id<R: Send + Copy + 'static>(
    inquiries: &Inquiries,
    ids_end: u32,
    look: fn(&StateMachine, u32) -> Option<R>,
) -> Result<Vec<R>, Problem> {
    let mut found = Vec::new();
    let mut from = 1;
    while from < ids_end {
        let page = (Vec::with_capacity(PAGE_ENTRIES), from);
        let (entries, next) = inquiries
            .ask(page, move |machine, (entries, next)| {
                let end = from.saturating_add(PAGE_SCAN).min(ids_end);
                while *next < end && entries.len() < PAGE_ENTRIES {
                    entries.extend(look(machine, *next));
                    *next += 1;
                }
            })
            .ok_or_else(timed_out)?;
        found.extend(entries);
        from = next;
    }
    Ok(found)
}

pub fn bounds(inquiries: &Inquiries) -> Result<BoundsView, Problem> {
    let bounds = inquiries.ask(None, |machine: &StateMachine, answer| {
        *answer = Some((machine.bounds(), machine.risk_bounds()));
    });
    let (bounds, risk) = bounds.flatten().ok_or_else(timed_out)?;
    Ok(BoundsView {
        open_orders_max: bounds.open_orders_max,
        instruments_max: bounds.instruments_max,
        sessions_max: bounds.sessions_max,
        firms_max: bounds.firms_max,
        price_levels_max: bounds.price_levels_max,
        positions_max: risk.positions_max,
        trades_max: risk.trades_max,
        protections_max: risk.protections_max,
    })
}

pub fn day_view(day: &inspect::DayView, config: &DayConfig) -> DayView {
    let closes_at = day
        .open
        .then(|| day::venue_day(config, day.midnight).and_then(|d| d.close_ns))
        .flatten();
    DayView {
        open: day.open,
        date: day.date,
        midnight: day.midnight,
        session_name: text(&day.session_name).trim_start().to_owned(),
        opening: format!("{:?}", config.opening).to_lowercase(),
        closes_at,
    }
}

pub fn day(inquiries: &Inquiries, config: &DayConfig) -> Result<DayView, Problem> {
    let day = inquiries.ask(None, |machine, answer| *answer = Some(machine.day()));
    Ok(day_view(&day.flatten().ok_or_else(timed_out)?, config))
}

pub fn firms(inquiries: &Inquiries) -> Result<Vec<FirmView>, Problem> {
    let end = bounds(inquiries)?.firms_max.saturating_add(1);
    let firms = by_id(inquiries, end, |machine, id| machine.firm_of(id))?;
    Ok(firms.iter().map(firm_view).collect())
}

fn firm_view(firm: &inspect::FirmView) -> FirmView {
    FirmView {
        id: firm.firm.0,
        code: text(&firm.code),
        entry: lower(firm.entry),
    }
}

/// A state's name as the protocol has it.
pub fn lower(state: impl std::fmt::Debug) -> String {
    let mut name = String::new();
    for letter in format!("{state:?}").chars() {
        if letter.is_uppercase() && !name.is_empty() {
            name.push('_');
        }
        name.push(letter.to_ascii_lowercase());
    }
    name
}

/// A symbol as the state knows it.
pub fn symbol(name: &str) -> Result<[u8; 8], Problem> {
    let unknown = || not_found(format!("no instrument {name:?}"));
    let mut symbol = [b' '; 8];
    let field = symbol.get_mut(..name.len()).ok_or_else(unknown)?;
    field.copy_from_slice(name.as_bytes());
    Ok(symbol)
}

/// The instrument of a symbol.
pub fn find_instrument(inquiries: &Inquiries, name: &str) -> Result<InstrumentId, Problem> {
    let symbol = symbol(name)?;
    let found = inquiries.ask(None, move |machine: &StateMachine, answer| {
        *answer = machine.find_instrument(symbol);
    });
    let found = found.ok_or_else(timed_out)?;
    found.ok_or_else(|| not_found(format!("no instrument {name:?}")))
}
