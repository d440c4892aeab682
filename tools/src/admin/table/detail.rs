//! One entry with everything about it; positions and statistics.

use super::{columns, heading, pairs, price, yes};
use lockstep_node::admin::protocol::{
    FirmDetail, InstrumentDetail, LimitsView, PositionView, ProtectionView, SessionDetail,
    StatisticsView,
};
use lockstep_node::config::{AllocationConfig, CollarActionConfig, ScheduleConfig};

pub fn milliseconds(ns: u64) -> String {
    match ns {
        0 => "for ever".to_owned(),
        ns => format!("{} ms", ns / 1_000_000),
    }
}

/// A limit, or "-" for none.
fn limit(value: impl Into<u64>) -> String {
    match value.into() {
        0 => "-".to_owned(),
        value => value.to_string(),
    }
}

fn limits(limits: &LimitsView) -> String {
    let used = limits.used.as_ref();
    let orders = used.map_or(String::new(), |used| used.open_orders.to_string());
    let notional = used.map_or(String::new(), |used| used.open_notional.clone());
    let row = |name: &str, value: String, used: String| vec![name.to_owned(), value, used];
    columns(&[
        heading(&["limit", "most", "used"]),
        row(
            "order_quantity_max",
            limit(limits.order_quantity_max),
            String::new(),
        ),
        row(
            "order_notional_max",
            limit(limits.order_notional_max),
            String::new(),
        ),
        row("open_orders_max", limit(limits.open_orders_max), orders),
        row(
            "open_notional_max",
            limit(limits.open_notional_max),
            notional,
        ),
        row("long_max", limit(limits.long_max), String::new()),
        row("short_max", limit(limits.short_max), String::new()),
        row("gross_max", limit(limits.gross_max), String::new()),
    ])
}

pub fn firm(detail: &FirmDetail) -> String {
    let firm = &detail.firm;
    let head = pairs(&[
        ("firm", firm.id.to_string()),
        ("code", firm.code.clone()),
        ("order entry", firm.entry.clone()),
    ]);
    head + &limits(&detail.limits)
}

pub fn session(detail: &SessionDetail) -> String {
    let session = &detail.session;
    let permitted: Vec<_> = session.permitted_firms.iter().map(u32::to_string).collect();
    let throttle = detail.throttle.map_or("-".to_owned(), |throttle| {
        format!(
            "{} messages in {}, {} used",
            throttle.messages_max,
            milliseconds(throttle.window_ns),
            throttle.messages
        )
    });
    let head = pairs(&[
        ("session", session.id.to_string()),
        ("user", session.user.clone()),
        ("firm", session.firm.to_string()),
        ("permitted firms", permitted.join(",")),
        ("connected", yes(session.connected)),
        ("next outbound", session.next_outbound.to_string()),
        ("open orders", session.open_orders.to_string()),
        ("may enter", yes(session.order_entry)),
        ("order entry", session.entry.clone()),
        ("cancel on disconnect", yes(session.cancel_on_disconnect)),
        ("self-trade group", limit(session.self_trade_group)),
        ("self-trade mode", session.self_trade_mode.clone()),
        ("throttle", throttle),
    ]);
    let mut text = head + &limits(&detail.limits);
    if !detail.protections.is_empty() {
        text += &protections(&detail.protections);
    }
    if detail.more_protections {
        text += "and more protections\n";
    }
    text
}

fn protections(protections: &[ProtectionView]) -> String {
    let names = [
        "protection",
        "window",
        "executions",
        "most",
        "quantity",
        "most",
        "tripped",
    ];
    let mut rows = vec![heading(&names)];
    rows.extend(protections.iter().map(|p| {
        vec![
            p.group_id
                .map_or("all orders".to_owned(), |g| format!("group {g}")),
            milliseconds(p.window_ns),
            p.executions.to_string(),
            limit(p.executions_max),
            p.quantity.to_string(),
            limit(p.quantity_max),
            yes(p.tripped),
        ]
    }));
    columns(&rows)
}

/// A share of 1/10,000 in per cent.
fn collar(value: Option<u32>) -> String {
    match value.unwrap_or(0) {
        0 => "-".to_owned(),
        value => format!("{}.{:02} %", value / 100, value % 100),
    }
}

/// Milliseconds after midnight as a time of day.
fn time(ms: u32) -> String {
    let (seconds, ms) = (ms / 1000, ms % 1000);
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match ms {
        0 => format!("{hours:02}:{minutes:02}:{seconds:02}"),
        ms => format!("{hours:02}:{minutes:02}:{seconds:02}.{ms:03}"),
    }
}

fn schedule(schedule: &ScheduleConfig) -> String {
    let times = [
        ("pre-open", schedule.pre_open_ms),
        ("opening auction", schedule.opening_auction_ms),
        ("trading", schedule.trading_ms),
        ("closing auction", schedule.closing_auction_ms),
        ("closed", schedule.closed_ms),
    ];
    let said = times.iter().filter_map(|(name, at)| Some((name, (*at)?)));
    let mut words: Vec<_> = said
        .map(|(name, at)| format!("{name} {}", time(at)))
        .collect();
    if schedule.random_end_ms != 0 {
        words.push(format!("up to {} ms later", schedule.random_end_ms));
    }
    if words.is_empty() {
        words.push("-".to_owned());
    }
    words.join(", ")
}

fn allocation(detail: &InstrumentDetail) -> String {
    let definition = &detail.definition;
    match definition.allocation {
        None | Some(AllocationConfig::PriceTime) => "price-time".to_owned(),
        Some(AllocationConfig::ProRata) => format!(
            "pro-rata, smallest share {}",
            definition.allocation_minimum.unwrap_or(0)
        ),
        Some(AllocationConfig::TopShare) => {
            format!("top-share of {} %", definition.top_share.unwrap_or(0))
        }
    }
}

pub fn instrument(detail: &InstrumentDetail) -> String {
    let d = &detail.definition;
    let number = |value: Option<u32>| value.unwrap_or(0).to_string();
    let tick = |value: u32| price(u64::from(value));
    let bands = d.tick_bands.iter().flatten();
    let bands = bands.map(|b| format!(", {} from {}", tick(b.tick_size), tick(b.from_price)));
    let action = match d.collar_action {
        Some(CollarActionConfig::Auction) => "auction",
        _ => "reject",
    };
    let retired = if detail.retired { ", retired" } else { "" };
    let mut rows = vec![
        ("instrument", d.id.to_string()),
        ("symbol", d.symbol.clone().unwrap_or_default()),
        ("state", format!("{}{retired}", detail.state)),
        (
            "tick size",
            tick(d.tick_size.unwrap_or(0)) + &bands.collect::<String>(),
        ),
        ("lot size", number(d.lot_size)),
        ("allocation", allocation(detail)),
        ("static collar", collar(d.static_collar)),
        ("dynamic collar", collar(d.dynamic_collar)),
        ("beyond a collar", action.to_owned()),
        (
            "volatility auction",
            format!(
                "{} ms, up to {} ms longer",
                number(d.auction_duration_ms),
                number(d.auction_random_end_ms)
            ),
        ),
        (
            "indications",
            format!("every {} ms", number(d.indication_interval_ms)),
        ),
        ("schedule", schedule(&detail.schedule)),
        ("reference price", price(detail.reference_price)),
    ];
    if detail.call_ends != 0 {
        rows.push(("call ends", detail.call_ends.to_string()));
    }
    if let Some(outcome) = &detail.outcome {
        let text = format!(
            "{} at {}, {} {} left over",
            outcome.quantity,
            price(outcome.price),
            outcome.imbalance,
            outcome.imbalance_side
        );
        rows.push(("would trade", text));
    }
    pairs(&rows) + &statistics(std::slice::from_ref(&detail.statistics))
}

pub fn positions(positions: &[PositionView]) -> String {
    let names = [
        "firm",
        "symbol",
        "net",
        "bought",
        "sold",
        "open buy",
        "open sell",
    ];
    let mut rows = vec![heading(&names)];
    rows.extend(positions.iter().map(|p| {
        vec![
            p.firm.to_string(),
            p.symbol.clone(),
            p.net.clone(),
            p.bought.to_string(),
            p.sold.to_string(),
            p.open_buy.to_string(),
            p.open_sell.to_string(),
        ]
    }));
    columns(&rows)
}

pub fn statistics(days: &[StatisticsView]) -> String {
    let names = [
        "symbol", "open", "high", "low", "last", "closing", "previous", "trades", "volume",
    ];
    let mut rows = vec![heading(&names)];
    let paid = |value: u32| match value {
        0 => String::new(),
        value => price(u64::from(value)),
    };
    rows.extend(days.iter().map(|day| {
        vec![
            day.symbol.clone(),
            paid(day.open_price),
            paid(day.high_price),
            paid(day.low_price),
            paid(day.last_price),
            paid(day.closing_price),
            paid(day.previous_close_price),
            day.trade_count.to_string(),
            day.volume.to_string(),
        ]
    }));
    columns(&rows)
}
