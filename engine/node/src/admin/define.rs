//! Definitions and their changes as records: what is not named stays as it is.

use super::protocol::{DefineFirm, DefineInstrument, DefineSession, Problem};
use super::translate::{field, malformed, unsigned};
use crate::config::{CollarActionConfig, SelfTradeModeConfig, allocation_of};
use crate::definitions::{
    self, InstrumentChange, InstrumentDefinition, Known, SessionChange, SessionDefinition,
};
use lockstep_core::{PERMITTED_FIRMS_MAX, TICK_BANDS_MAX};
use lockstep_record::command as body;

pub(super) fn firm(define: &DefineFirm) -> Result<Vec<u8>, Problem> {
    Ok(unsigned(&body::DefineFirm {
        firm: define.id,
        code: field("code", &define.code)?,
    }))
}

/// A member that a new entry cannot do without.
fn needed<T>(value: Option<T>, entry: &str, id: u32, name: &str) -> Result<T, Problem> {
    value.ok_or_else(|| malformed(format!("{entry} {id} is new: it needs a {name}")))
}

pub(super) fn session(define: &DefineSession, known: &impl Known) -> Result<Vec<u8>, Problem> {
    let user = define.user.as_ref().map(|user| user.to_ascii_uppercase());
    let user = user.map(|user| field("user", &user)).transpose()?;
    let permitted = define.permitted_firms.as_ref().map(|firms| {
        let what = || malformed(format!("permitted_firms: at most {PERMITTED_FIRMS_MAX}"));
        if firms.contains(&0) {
            return Err(malformed("permitted_firms: ids begin at 1"));
        }
        definitions::permitted_firms(firms.iter().copied()).ok_or_else(what)
    });
    let change = SessionChange {
        firm: define.firm,
        user,
        cancel_on_disconnect: define.cancel_on_disconnect,
        order_entry: define.order_entry,
        permitted_firms: permitted.transpose()?,
        self_trade_group: define.self_trade_group,
        self_trade_mode: define.self_trade_mode.map(SelfTradeModeConfig::letter),
    };
    let before = match known.session(define.id) {
        Some(before) => before,
        None => SessionDefinition::new(
            define.id,
            needed(define.firm, "session", define.id, "firm")?,
            needed(user, "session", define.id, "user")?,
        ),
    };
    Ok(before.changed(&change).record(""))
}

pub(super) fn instrument(
    define: &DefineInstrument,
    known: &impl Known,
) -> Result<Vec<u8>, Problem> {
    let change = instrument_change(define)?;
    let before = match known.instrument(define.id) {
        Some(before) => before,
        None => {
            let symbol = needed(change.symbol, "instrument", define.id, "symbol")?;
            InstrumentDefinition::new(define.id, symbol)
        }
    };
    Ok(before.changed(&change).record(""))
}

fn instrument_change(define: &DefineInstrument) -> Result<InstrumentChange, Problem> {
    let symbol = define.symbol.as_ref();
    let symbol = symbol.map(|symbol| field("symbol", symbol)).transpose()?;
    let bands = define.tick_bands.as_ref().map(|bands| {
        let what = || malformed(format!("tick_bands: at most {TICK_BANDS_MAX}, none of 0"));
        let bands = bands.iter().map(|band| (band.from_price, band.tick_size));
        definitions::tick_bands(bands).ok_or_else(what)
    });
    let allocation = allocation_of(
        define.allocation,
        define.allocation_minimum,
        define.top_share,
    );
    let allocation = allocation.ok_or_else(|| {
        malformed(
            "allocation: allocation_minimum goes with \"pro-rata\" alone, top_share (1 to 100) with \
             \"top-share\" alone, and neither without the allocation",
        )
    })?;
    Ok(InstrumentChange {
        symbol,
        tick_size: define.tick_size,
        lot_size: define.lot_size,
        tick_bands: bands.transpose()?,
        allocation,
        static_collar: define.static_collar,
        dynamic_collar: define.dynamic_collar,
        collar_action: define.collar_action.map(CollarActionConfig::letter),
        auction_duration_ms: define.auction_duration_ms,
        auction_random_end_ms: define.auction_random_end_ms,
        indication_interval_ms: define.indication_interval_ms,
    })
}
