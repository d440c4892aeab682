//! Supervision of clients as records: entry, cancels, broken trades, limits, protection.

use super::commands::Reply;
use super::protocol::{
    BreakTrade, CancelOrder, Command, Entry, MassCancel, Problem, ProblemCode, ResetProtection,
    Scope, SetEntry, SetLimits, SetPosition, SetProtection, SetThrottle,
};
use super::server::Office;
use super::views;
use crate::operator;
use lockstep_record::command as body;

fn malformed(what: &str) -> Problem {
    Problem::new(ProblemCode::Malformed, what)
}

/// A letter of the wire.
fn letter(name: &str, value: char) -> Result<u8, Problem> {
    let byte = u8::try_from(value).ok().filter(u8::is_ascii_graphic);
    byte.ok_or_else(|| malformed(&format!("{name} {value:?}: must be a letter of the wire")))
}

fn scope(scope: Scope) -> (u32, u8) {
    match scope {
        Scope::Session(id) => (id, b'S'),
        Scope::Firm(id) => (id, b'F'),
        Scope::Venue => (0, b'V'),
    }
}

/// Group and whether it chooses.
fn group(group_id: Option<u16>) -> (u16, u8) {
    (group_id.unwrap_or(0), u8::from(group_id.is_some()))
}

/// The record of a command that needs nothing of the state; `None` for another command.
fn record_of(command: &Command) -> Result<Option<Vec<u8>>, Problem> {
    Ok(Some(match command {
        Command::SetEntry(set) => operator::record(&set_entry(set), &[], ""),
        Command::CancelOrder(cancel) => operator::record(&cancel_order(cancel), &[], ""),
        Command::BreakTrade(trade) => operator::record(&break_trade(trade)?, &[], ""),
        Command::SetLimits(set) => operator::record(&set_limits(set), &[], ""),
        Command::SetThrottle(set) => operator::record(&set_throttle(set), &[], ""),
        Command::SetProtection(set) => operator::record(&set_protection(set), &[], ""),
        Command::ResetProtection(reset) => operator::record(&reset_protection(reset), &[], ""),
        _ => return Ok(None),
    }))
}

impl Office {
    /// Carries out a command of supervision; `None` for another command.
    pub(super) fn supervise(&mut self, command: &Command, identity: &str) -> Option<Reply> {
        let record = match command {
            Command::MassCancel(cancel) => self.mass_cancel(cancel),
            Command::SetPosition(set) => self.set_position(set),
            Command::RetireInstrument(retire) => {
                self.instrument(&retire.symbol).map(|instrument| {
                    let body = body::RetireInstrument {
                        instrument,
                        _reserved: [0; 4],
                    };
                    operator::record(&body, &[], "")
                })
            }
            other => match record_of(other) {
                Ok(Some(record)) => Ok(record),
                Ok(None) => return None,
                Err(problem) => Err(problem),
            },
        };
        Some(record.and_then(|record| self.put(&[record], identity)))
    }

    fn instrument(&self, symbol: &str) -> Result<u32, Problem> {
        let found = views::find_instrument(&self.inquiries, symbol)?;
        Ok(found.instrument.0)
    }

    fn mass_cancel(&self, cancel: &MassCancel) -> Result<Vec<u8>, Problem> {
        let chooses = cancel.session.is_some()
            || cancel.firm.is_some()
            || cancel.symbol.is_some()
            || cancel.side.is_some()
            || cancel.group_id.is_some();
        // An empty choice is every order of the venue: that must be said, not left out.
        if chooses == cancel.all {
            return Err(malformed(
                "mass_cancel: choose what to cancel, or say `all`",
            ));
        }
        let zero = [cancel.session, cancel.firm].contains(&Some(0));
        if zero {
            return Err(malformed("mass_cancel: session and firm ids begin at 1"));
        }
        let instrument = match &cancel.symbol {
            Some(symbol) => self.instrument(symbol)?,
            None => 0,
        };
        let side = match cancel.side {
            Some(side) => letter("side", side)?,
            None => 0,
        };
        let (group_id, by_group) = group(cancel.group_id);
        let body = body::OperatorMassCancel {
            session: cancel.session.unwrap_or(0),
            firm: cancel.firm.unwrap_or(0),
            instrument,
            group_id,
            by_group,
            side,
        };
        Ok(operator::record(&body, &[], ""))
    }

    fn set_position(&self, set: &SetPosition) -> Result<Vec<u8>, Problem> {
        let body = body::SetPosition {
            position: set.position,
            firm: set.firm,
            instrument: self.instrument(&set.symbol)?,
        };
        Ok(operator::record(&body, &[], ""))
    }
}

fn set_entry(set: &SetEntry) -> body::SetEntryState {
    let (id, scope) = scope(set.scope);
    body::SetEntryState {
        id,
        scope,
        state: match set.entry {
            Entry::Enabled => b'E',
            Entry::Disabled => b'D',
            Entry::Killed => b'K',
        },
        _reserved: [0; 2],
    }
}

fn cancel_order(cancel: &CancelOrder) -> body::OperatorCancel {
    body::OperatorCancel {
        reference: cancel.reference,
        session: cancel.session,
        user_ref_num: cancel.user_ref,
        user_ref_idx: cancel.user_ref_index,
        _reserved: [0; 7],
    }
}

fn break_trade(trade: &BreakTrade) -> Result<body::BreakTrade, Problem> {
    Ok(body::BreakTrade {
        match_number: trade.match_number,
        reason: letter("reason", trade.reason)?,
        _reserved: [0; 7],
    })
}

fn set_limits(set: &SetLimits) -> body::SetLimits {
    let (id, scope) = scope(set.scope);
    body::SetLimits {
        order_notional_max: set.order_notional_max,
        open_notional_max: set.open_notional_max,
        long_max: set.long_max,
        short_max: set.short_max,
        gross_max: set.gross_max,
        order_quantity_max: set.order_quantity_max,
        open_orders_max: set.open_orders_max,
        id,
        scope,
        _reserved: [0; 3],
    }
}

fn set_throttle(set: &SetThrottle) -> body::SetThrottle {
    body::SetThrottle {
        window: set.window_ns,
        session: set.session,
        messages_max: set.messages_max,
    }
}

fn set_protection(set: &SetProtection) -> body::SetProtection {
    let (group_id, by_group) = group(set.group_id);
    body::SetProtection {
        window: set.window_ns,
        quantity_max: set.quantity_max,
        session: set.session,
        executions_max: set.executions_max,
        group_id,
        by_group,
        _reserved: [0; 5],
    }
}

fn reset_protection(reset: &ResetProtection) -> body::ResetProtection {
    let (group_id, by_group) = group(reset.group_id);
    body::ResetProtection {
        session: reset.session,
        group_id,
        by_group,
        _reserved: 0,
    }
}
