//! What firms may, what they have used of it, and their positions.

use super::super::desk::{Inquiries, PAGE_ENTRIES, PAGE_SCAN};
use super::super::protocol::{
    ExposureView, FirmDetail, LimitsView, PositionView, Problem, ProblemCode, ShowPositions,
};
use super::{bounds, find_instrument, firm_view, not_found, text, timed_out};
use lockstep_core::inspect;
use lockstep_core::{Exposure, Limits, StateMachine};
use lockstep_record::{FirmId, InstrumentId};

/// Limits of a session or a firm, and what is counted against them.
#[derive(Clone, Copy, Default)]
pub struct Account {
    pub limits: Option<Limits>,
    pub used: Option<Exposure>,
}

pub fn limits_view(account: &Account) -> LimitsView {
    let limits = account.limits.unwrap_or_default();
    LimitsView {
        order_quantity_max: limits.order_quantity_max,
        order_notional_max: limits.order_notional_max,
        open_orders_max: limits.open_orders_max,
        open_notional_max: limits.open_notional_max,
        long_max: limits.long_max,
        short_max: limits.short_max,
        gross_max: limits.gross_max,
        used: account.used.map(|used| ExposureView {
            open_orders: used.open_orders,
            open_notional: used.open_notional.to_string(),
        }),
    }
}

pub fn firm(inquiries: &Inquiries, id: u32) -> Result<FirmDetail, Problem> {
    let seen = (None, Account::default());
    let seen = inquiries.ask(seen, move |machine: &StateMachine, (firm, account)| {
        *firm = machine.firm_of(id);
        account.limits = machine.firm_limits(FirmId(id));
        account.used = machine.firm_counted(FirmId(id));
    });
    let (firm, account) = seen.ok_or_else(timed_out)?;
    let firm = firm.ok_or_else(|| not_found(format!("no firm {id}")))?;
    Ok(FirmDetail {
        firm: firm_view(&firm),
        limits: limits_view(&account),
    })
}

/// Which pairs of firm and instrument are looked for: one of the two runs over all ids.
#[derive(Clone, Copy)]
enum Pairs {
    OfFirm(FirmId),
    OfInstrument(InstrumentId),
    One(FirmId, InstrumentId),
}

impl Pairs {
    fn at(self, id: u32) -> (FirmId, InstrumentId) {
        match self {
            Self::OfFirm(firm) => (firm, InstrumentId(id)),
            Self::OfInstrument(instrument) => (FirmId(id), instrument),
            Self::One(firm, instrument) => (firm, instrument),
        }
    }
}

type Seen = (inspect::PositionView, [u8; 8]);

fn position_at(machine: &StateMachine, pairs: Pairs, id: u32) -> Option<Seen> {
    let (firm, instrument) = pairs.at(id);
    let position = machine.position(firm, instrument)?;
    Some((position, machine.instrument(instrument)?.symbol))
}

pub fn positions(
    inquiries: &Inquiries,
    asked: &ShowPositions,
) -> Result<Vec<PositionView>, Problem> {
    let bounds = bounds(inquiries)?;
    if let Some(id) = asked.firm {
        // Says so if there is none.
        firm(inquiries, id)?;
    }
    let symbol = asked.symbol.as_deref();
    let instrument = symbol.map(|symbol| find_instrument(inquiries, symbol));
    let (pairs, last) = match (asked.firm.map(FirmId), instrument.transpose()?) {
        (Some(firm), Some(instrument)) => (Pairs::One(firm, instrument), 1),
        (Some(firm), None) => (Pairs::OfFirm(firm), bounds.instruments_max),
        (None, Some(instrument)) => (Pairs::OfInstrument(instrument), bounds.firms_max),
        (None, None) => {
            let what = "show_positions: say a firm, a symbol, or both";
            return Err(Problem::new(ProblemCode::Malformed, what));
        }
    };
    let mut found: Vec<Seen> = Vec::new();
    let mut from = 1;
    while from <= last {
        let page = (Vec::with_capacity(PAGE_ENTRIES), from);
        let answer = inquiries.ask(
            page,
            move |machine, (entries, next): &mut (Vec<Seen>, _)| {
                let end = from.saturating_add(PAGE_SCAN).min(last + 1);
                while *next < end && entries.len() < PAGE_ENTRIES {
                    entries.extend(position_at(machine, pairs, *next));
                    *next += 1;
                }
            },
        );
        let (entries, next) = answer.ok_or_else(timed_out)?;
        found.extend(entries);
        from = next;
    }
    Ok(found.iter().map(position_view).collect())
}

fn position_view((position, symbol): &Seen) -> PositionView {
    PositionView {
        firm: position.firm.0,
        symbol: text(symbol),
        net: position.net.to_string(),
        bought: position.bought,
        sold: position.sold,
        open_buy: position.open_buy,
        open_sell: position.open_sell,
    }
}
