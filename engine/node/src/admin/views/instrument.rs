//! Instruments: all by id, one with its rules and where it is in its day, and statistics.

use super::super::desk::Inquiries;
use super::super::protocol::{
    DefineInstrument, InstrumentDetail, InstrumentView, OutcomeView, Problem, ShowStatistics,
    StatisticsView,
};
use super::{bounds, by_id, find_instrument, letter, lower, not_found, text, timed_out};
use crate::config::{AllocationConfig, CollarActionConfig, ScheduleConfig, TickBandConfig};
use crate::definitions::InstrumentDefinition;
use lockstep_core::StateMachine;
use lockstep_core::inspect::{self, Allocation, Schedule, Statistics};
use lockstep_record::InstrumentId;

pub fn instruments(inquiries: &Inquiries) -> Result<Vec<InstrumentView>, Problem> {
    let end = bounds(inquiries)?.instruments_max.saturating_add(1);
    let look = |machine: &StateMachine, id| machine.instrument(InstrumentId(id));
    let instruments = by_id(inquiries, end, look)?;
    let view = |instrument: &inspect::InstrumentView| InstrumentView {
        id: instrument.instrument.0,
        symbol: text(&instrument.symbol),
        tick_size: instrument.tick_size,
        lot_size: instrument.lot_size,
        state: lower(instrument.state),
        retired: instrument.retired,
    };
    Ok(instruments.iter().map(view).collect())
}

#[derive(Clone, Copy)]
struct Seen {
    definition: InstrumentDefinition,
    schedule: Schedule,
    retired: bool,
    auction: inspect::AuctionView,
    statistics: Statistics,
}

fn seen(machine: &StateMachine, id: InstrumentId) -> Option<Seen> {
    Some(Seen {
        definition: InstrumentDefinition::of(machine, id.0)?,
        schedule: machine.schedule(id)?,
        retired: machine.instrument(id)?.retired,
        auction: machine.auction(id)?,
        statistics: machine.statistics(id)?,
    })
}

pub fn instrument(inquiries: &Inquiries, symbol: &str) -> Result<InstrumentDetail, Problem> {
    let id = find_instrument(inquiries, symbol)?;
    let answer = inquiries.ask(None, move |machine, answer| *answer = seen(machine, id));
    let answer = answer.ok_or_else(timed_out)?;
    let seen = answer.ok_or_else(|| not_found(format!("no instrument {symbol:?}")))?;
    Ok(InstrumentDetail {
        definition: definition_view(&seen.definition),
        schedule: schedule_view(&seen.schedule),
        retired: seen.retired,
        state: lower(seen.auction.state),
        reference_price: seen.auction.reference_price.0,
        call_ends: seen.auction.call_ends.0,
        outcome: seen.auction.outcome.map(|outcome| OutcomeView {
            price: outcome.price.0,
            quantity: outcome.quantity,
            imbalance: outcome.imbalance,
            imbalance_side: letter(outcome.imbalance_side),
        }),
        statistics: statistics_view(&(seen.definition.symbol, seen.statistics)),
    })
}

/// All of a definition, said as one that would define it so.
fn definition_view(definition: &InstrumentDefinition) -> DefineInstrument {
    let bands = definition.used_bands();
    let bands = bands.map(|(from_price, tick_size)| TickBandConfig {
        from_price,
        tick_size,
    });
    let (allocation, minimum, top_share) = match definition.allocation {
        Allocation::PriceTime => (AllocationConfig::PriceTime, None, None),
        Allocation::ProRata { minimum } => (AllocationConfig::ProRata, Some(minimum), None),
        Allocation::TopShare { percent } => (AllocationConfig::TopShare, None, Some(percent)),
    };
    let rules = &definition.rules;
    DefineInstrument {
        id: definition.id,
        symbol: Some(text(&definition.symbol)),
        tick_size: Some(definition.tick_size),
        lot_size: Some(definition.lot_size),
        tick_bands: Some(bands.collect()),
        allocation: Some(allocation),
        allocation_minimum: minimum,
        top_share,
        static_collar: Some(rules.static_collar),
        dynamic_collar: Some(rules.dynamic_collar),
        collar_action: Some(match rules.collar_action {
            b'V' => CollarActionConfig::Auction,
            _ => CollarActionConfig::Reject,
        }),
        auction_duration_ms: Some(rules.duration_ms),
        auction_random_end_ms: Some(rules.random_end_ms),
        indication_interval_ms: Some(rules.indication_interval_ms),
    }
}

fn schedule_view(schedule: &Schedule) -> ScheduleConfig {
    let times = schedule
        .times_ms
        .map(|time| Some(time).filter(|time| *time != u32::MAX));
    let [
        pre_open_ms,
        opening_auction_ms,
        trading_ms,
        closing_auction_ms,
        closed_ms,
    ] = times;
    ScheduleConfig {
        pre_open_ms,
        opening_auction_ms,
        trading_ms,
        closing_auction_ms,
        closed_ms,
        random_end_ms: schedule.random_end_ms,
    }
}

type Day = ([u8; 8], Statistics);

fn day_of(machine: &StateMachine, id: u32) -> Option<Day> {
    let id = InstrumentId(id);
    Some((machine.instrument(id)?.symbol, machine.statistics(id)?))
}

pub fn statistics(
    inquiries: &Inquiries,
    asked: &ShowStatistics,
) -> Result<Vec<StatisticsView>, Problem> {
    let days = match &asked.symbol {
        Some(symbol) => {
            let id = find_instrument(inquiries, symbol)?.0;
            let answer = inquiries.ask(None, move |machine, day| *day = day_of(machine, id));
            answer.ok_or_else(timed_out)?.into_iter().collect()
        }
        None => {
            let end = bounds(inquiries)?.instruments_max.saturating_add(1);
            by_id(inquiries, end, day_of)?
        }
    };
    Ok(days.iter().map(statistics_view).collect())
}

fn statistics_view((symbol, day): &Day) -> StatisticsView {
    StatisticsView {
        symbol: text(symbol),
        open_price: day.open_price,
        high_price: day.high_price,
        low_price: day.low_price,
        last_price: day.last_price,
        closing_price: day.closing_price,
        previous_close_price: day.previous_close_price,
        trade_count: day.trade_count,
        volume: day.volume,
    }
}
