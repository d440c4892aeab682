//! Supervision of clients as records: entry, cancels, broken trades, limits, protection.

use super::protocol::{
    BreakTrade, CancelOrder, Entry, MassCancel, Problem, ResetProtection, Scope, SetEntry,
    SetLimits, SetPosition, SetProtection, SetThrottle,
};
use super::translate::{instrument_of, malformed};
use super::views::not_found;
use crate::definitions::Known;
use lockstep_core::Limits;
use lockstep_record::command as body;

/// A letter of the wire.
fn letter(name: &str, value: char) -> Result<u8, Problem> {
    let byte = u8::try_from(value).ok().filter(u8::is_ascii_graphic);
    byte.ok_or_else(|| malformed(format!("{name} {value:?}: must be a letter of the wire")))
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

pub(super) fn mass_cancel(
    cancel: &MassCancel,
    known: &impl Known,
) -> Result<body::OperatorMassCancel, Problem> {
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
    if [cancel.session, cancel.firm].contains(&Some(0)) {
        return Err(malformed("mass_cancel: session and firm ids begin at 1"));
    }
    let instrument = match &cancel.symbol {
        Some(symbol) => instrument_of(symbol, known)?,
        None => 0,
    };
    let side = match cancel.side {
        Some(side) => letter("side", side)?,
        None => 0,
    };
    let (group_id, by_group) = group(cancel.group_id);
    Ok(body::OperatorMassCancel {
        session: cancel.session.unwrap_or(0),
        firm: cancel.firm.unwrap_or(0),
        instrument,
        group_id,
        by_group,
        side,
    })
}

pub(super) fn set_position(
    set: &SetPosition,
    known: &impl Known,
) -> Result<body::SetPosition, Problem> {
    Ok(body::SetPosition {
        position: set.position,
        firm: set.firm,
        instrument: instrument_of(&set.symbol, known)?,
    })
}

pub(super) fn set_entry(set: &SetEntry) -> body::SetEntryState {
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

pub(super) fn cancel_order(cancel: &CancelOrder) -> body::OperatorCancel {
    body::OperatorCancel {
        reference: cancel.reference,
        session: cancel.session,
        user_ref_num: cancel.user_ref,
        user_ref_idx: cancel.user_ref_index,
        _reserved: [0; 7],
    }
}

pub(super) fn break_trade(trade: &BreakTrade) -> Result<body::BreakTrade, Problem> {
    Ok(body::BreakTrade {
        match_number: trade.match_number,
        reason: letter("reason", trade.reason)?,
        _reserved: [0; 7],
    })
}

/// A record sets all limits: those that are not named are repeated.
pub(super) fn set_limits(set: &SetLimits, known: &impl Known) -> Result<body::SetLimits, Problem> {
    let (id, scope) = scope(set.scope);
    let before = match set.scope {
        Scope::Session(id) => {
            let limits = known.session_limits(id);
            limits.ok_or_else(|| not_found(format!("no session {id}")))?
        }
        Scope::Firm(id) => {
            let limits = known.firm_limits(id);
            limits.ok_or_else(|| not_found(format!("no firm {id}")))?
        }
        // The state machine refuses it.
        Scope::Venue => Limits::default(),
    };
    let quantity = set.order_quantity_max.unwrap_or(before.order_quantity_max);
    let notional = set.order_notional_max.unwrap_or(before.order_notional_max);
    Ok(body::SetLimits {
        order_notional_max: notional,
        open_notional_max: set.open_notional_max.unwrap_or(before.open_notional_max),
        long_max: set.long_max.unwrap_or(before.long_max),
        short_max: set.short_max.unwrap_or(before.short_max),
        gross_max: set.gross_max.unwrap_or(before.gross_max),
        order_quantity_max: quantity,
        open_orders_max: set.open_orders_max.unwrap_or(before.open_orders_max),
        id,
        scope,
        _reserved: [0; 3],
    })
}

pub(super) fn set_throttle(set: &SetThrottle) -> body::SetThrottle {
    body::SetThrottle {
        window: set.window_ns,
        session: set.session,
        messages_max: set.messages_max,
    }
}

pub(super) fn set_protection(set: &SetProtection) -> body::SetProtection {
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

pub(super) fn reset_protection(reset: &ResetProtection) -> body::ResetProtection {
    let (group_id, by_group) = group(reset.group_id);
    body::ResetProtection {
        session: reset.session,
        group_id,
        by_group,
        _reserved: 0,
    }
}
