//! What the configuration defines and the log lacks, as records to be put through the log.
//!
//! Definitions are facts of the log; the file only proposes. Nothing is ever undefined by leaving it out,
//! and what an entry does not say stays as the log has it.

mod instrument;
mod known;
mod session;

use crate::config::{Config, InstrumentConfig, SessionConfig};
use crate::operator;
pub use instrument::{InstrumentChange, InstrumentDefinition, TickBands, tick_bands};
pub use known::{Known, set_schedule};
use lockstep_core::inspect::Schedule;
use lockstep_record::command::{
    DefineFirm, RetireInstrument, SetBounds, SetRiskBounds, SetSchedule,
};
pub use session::{PermittedFirms, SessionChange, SessionDefinition, permitted_firms};

/// Identity in the records that the node proposes by itself.
pub const OPERATOR: &str = "configuration";

/// A record that the log is to get.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Proposal {
    pub record: Vec<u8>,
    /// What it changes of an entry that is defined: `static_collar 500 -> 600`. Empty where all is new.
    pub changes: Vec<String>,
}

impl Proposal {
    fn new(record: Vec<u8>) -> Self {
        Self {
            record,
            changes: Vec::new(),
        }
    }
}

/// The records that make the log say what the configuration says, in dependency order.
pub fn proposals(config: &Config, known: &impl Known) -> Vec<Vec<u8>> {
    let explained = explained_proposals(config, known).into_iter();
    explained.map(|proposal| proposal.record).collect()
}

/// The same, each with what it changes.
pub fn explained_proposals(config: &Config, known: &impl Known) -> Vec<Proposal> {
    let mut all = Vec::new();
    let bounds = raised_bounds(config, &known.bounds());
    if bounds != known.bounds() {
        all.push(Proposal::new(operator::record(&bounds, &[], OPERATOR)));
    }
    let bounds = raised_risk_bounds(config, &known.risk_bounds());
    if bounds != known.risk_bounds() {
        all.push(Proposal::new(operator::record(&bounds, &[], OPERATOR)));
    }
    for firm in &config.firms {
        let body = DefineFirm {
            firm: firm.id,
            code: padded(&firm.code),
        };
        if known.firm(firm.id) != Some(body) {
            all.push(Proposal::new(operator::record(&body, &[], OPERATOR)));
        }
    }
    for session in &config.sessions {
        all.extend(session_proposal(config, session, known));
    }
    for instrument in &config.instruments {
        all.extend(instrument_proposals(instrument, known));
    }
    all
}

/// A definition's members by their keys, as text.
type Said = Vec<(&'static str, String)>;

/// What differs between two; nothing if there is no former one.
fn changes(before: Option<Said>, after: Said) -> Vec<String> {
    let pairs = before.into_iter().flatten().zip(after);
    let differing = pairs.filter(|(before, after)| before != after);
    differing
        .map(|((name, before), (_, after))| format!("{name} {before} -> {after}"))
        .collect()
}

/// Bounds may only be raised: a lower one in the file leaves the log's.
fn raised_bounds(config: &Config, known: &SetBounds) -> SetBounds {
    let wanted = &config.bounds;
    SetBounds {
        open_orders_max: wanted.open_orders_max.max(known.open_orders_max),
        instruments_max: wanted.instruments_max.max(known.instruments_max),
        sessions_max: wanted.sessions_max.max(known.sessions_max),
        firms_max: wanted.firms_max.max(known.firms_max),
        price_levels_max: wanted.price_levels_max.max(known.price_levels_max),
        _reserved: [0; 12],
    }
}

/// The same for what protection keeps.
fn raised_risk_bounds(config: &Config, known: &SetRiskBounds) -> SetRiskBounds {
    let wanted = &config.bounds;
    SetRiskBounds {
        positions_max: wanted.positions_max.max(known.positions_max),
        trades_max: wanted.trades_max.max(known.trades_max),
        protections_max: wanted.protections_max.max(known.protections_max),
        _reserved: [0; 4],
    }
}

fn session_proposal(
    config: &Config,
    session: &SessionConfig,
    known: &impl Known,
) -> Option<Proposal> {
    let change = session.change(&config.firms);
    let before = known.session(session.id);
    // A new one has firm and user of the file, which has checked them.
    let new = SessionDefinition::new(session.id, 0, [b' '; 6]);
    let wanted = before.unwrap_or(new).changed(&change);
    (before != Some(wanted)).then(|| Proposal {
        record: wanted.record(OPERATOR),
        changes: changes(before.map(|before| before.said()), wanted.said()),
    })
}

fn instrument_proposals(instrument: &InstrumentConfig, known: &impl Known) -> Vec<Proposal> {
    let (id, symbol) = (instrument.id, padded(&instrument.symbol));
    let before = known.instrument(id);
    if known.is_retired(id) {
        // Nothing changes it any more; it is gone when the next day opens.
        return Vec::new();
    }
    if instrument.retired {
        let same = before.is_some_and(|before| before.symbol == symbol);
        let body = RetireInstrument {
            instrument: id,
            _reserved: [0; 4],
        };
        let retire = same.then(|| Proposal::new(operator::record(&body, &[], OPERATOR)));
        return retire.into_iter().collect();
    }
    let mut records = Vec::new();
    let new = InstrumentDefinition::new(id, symbol);
    let wanted = before.unwrap_or(new).changed(&instrument.change());
    if before != Some(wanted) {
        records.push(Proposal {
            record: wanted.record(OPERATOR),
            changes: changes(before.map(|before| before.said()), wanted.said()),
        });
    }
    if let Some(schedule) = instrument.schedule() {
        let body = set_schedule(id, &schedule);
        let without = set_schedule(id, &Schedule::NONE);
        let before = known.schedule(id);
        if before.unwrap_or(without) != body {
            records.push(Proposal {
                record: operator::record(&body, &[], OPERATOR),
                changes: changes(before.map(|before| times_said(&before)), times_said(&body)),
            });
        }
    }
    records
}

fn times_said(schedule: &SetSchedule) -> Said {
    let time = |ms: u32| match ms {
        u32::MAX => "never".to_owned(),
        ms => ms.to_string(),
    };
    vec![
        ("pre_open_ms", time(schedule.pre_open_ms)),
        ("opening_auction_ms", time(schedule.opening_auction_ms)),
        ("trading_ms", time(schedule.trading_ms)),
        ("closing_auction_ms", time(schedule.closing_auction_ms)),
        ("closed_ms", time(schedule.closed_ms)),
        ("random_end_ms", schedule.random_end_ms.to_string()),
    ]
}

/// Letters without the spaces that pad them.
fn trimmed(letters: &[u8]) -> String {
    String::from_utf8_lossy(letters).trim_end().to_owned()
}

/// Text padded right with spaces; it was checked to fit.
pub(crate) fn padded<const N: usize>(text: &str) -> [u8; N] {
    let mut field = [b' '; N];
    for (to, from) in field.iter_mut().zip(text.bytes()) {
        *to = from;
    }
    field
}

#[cfg(test)]
pub(crate) mod tests;
