//! Answers as text for people.

mod detail;

use crate::journal::fields;
use lockstep_node::admin::protocol::{
    Applied, BookView, BoundsView, Command, Commanded, CounterView, DayView, Fate, FirmView,
    InstrumentView, LevelView, OrderView, PositionView, SessionView, StatisticsView, StatusView,
};
use lockstep_node::fatal::{ExitCode, Fatal};
use lockstep_record::Record;
use serde_json::Value;

/// Rows as columns; the first row is the heading. A column is flush right if all it holds are numbers.
fn columns(rows: &[Vec<String>]) -> String {
    let count = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cell = |row: &Vec<String>, i: usize| row.get(i).cloned().unwrap_or_default();
    let widths: Vec<usize> = (0..count)
        .map(|i| {
            rows.iter()
                .map(|r| cell(r, i).chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let is_number = |text: &str| {
        text.bytes()
            .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'-'))
    };
    let numeric: Vec<bool> = (0..count)
        .map(|i| rows.iter().skip(1).all(|r| is_number(&cell(r, i))))
        .collect();
    let mut text = String::new();
    for row in rows {
        let cells: Vec<String> = (0..count)
            .map(|i| {
                let (cell, width) = (cell(row, i), widths[i]);
                if numeric[i] {
                    format!("{cell:>width$}")
                } else {
                    format!("{cell:<width$}")
                }
            })
            .collect();
        text.push_str(cells.join("  ").trim_end());
        text.push('\n');
    }
    text
}

fn heading(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn yes(value: bool) -> String {
    if value { "yes" } else { "no" }.to_owned()
}

/// A price in units of the currency.
fn price(value: u64) -> String {
    format!("{}.{:04}", value / 10_000, value % 10_000)
}

fn read<T: serde::de::DeserializeOwned>(answer: &Value) -> Result<T, Fatal> {
    super::read(answer)
}

/// The answer to a command that looks.
pub fn view(command: &Command, answer: &Value) -> Result<String, Fatal> {
    Ok(match command {
        Command::ShowStatus => status(&read(answer)?),
        Command::ShowDay => day(&read(answer)?),
        Command::ShowBounds => bounds(&read(answer)?),
        Command::ShowCounters => counters(&read::<Vec<CounterView>>(answer)?),
        Command::ShowFirms => firms(&read::<Vec<FirmView>>(answer)?),
        Command::ShowSessions => sessions(&read::<Vec<SessionView>>(answer)?),
        Command::ShowInstruments => instruments(&read::<Vec<InstrumentView>>(answer)?),
        Command::ShowBook(_) => book(&read(answer)?),
        Command::ShowFirm(_) => detail::firm(&read(answer)?),
        Command::ShowSession(_) => detail::session(&read(answer)?),
        Command::ShowInstrument(_) => detail::instrument(&read(answer)?),
        Command::ShowPositions(_) => detail::positions(&read::<Vec<PositionView>>(answer)?),
        Command::ShowStatistics(_) => detail::statistics(&read::<Vec<StatisticsView>>(answer)?),
        // Another view than this build has a table for.
        _ => format!("{answer:#}\n"),
    })
}

fn pairs(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    rows.iter()
        .map(|(name, value)| format!("{name:<width$}  {value}\n"))
        .collect()
}

fn status(s: &StatusView) -> String {
    pairs(&[
        ("version", s.version.clone()),
        ("process", s.pid.to_string()),
        ("data directory", s.data_directory.clone()),
        ("policy", s.policy.clone()),
        ("day", day_line(&s.day)),
        ("term", s.term.to_string()),
        ("index", s.index.to_string()),
        ("sequence", s.sequence.to_string()),
        ("digest", s.digest.clone()),
        ("open orders", s.open_orders.to_string()),
        ("firms", s.firms.to_string()),
        (
            "sessions",
            format!("{} ({} connected)", s.sessions, s.sessions_connected),
        ),
        ("instruments", s.instruments.to_string()),
        ("order entry", s.entry.clone()),
        ("grace", detail::milliseconds(s.grace_ns)),
        (
            "without effect",
            format!(
                "{} stale, {} refused, {} silent",
                s.stale, s.refused, s.silent
            ),
        ),
    ])
}

fn day_line(day: &DayView) -> String {
    match (day.open, day.date) {
        (true, date) => format!("{date} open, session {}", day.session_name),
        (false, 0) => "none yet".to_owned(),
        (false, date) => format!("{date} closed"),
    }
}

fn day(d: &DayView) -> String {
    let mut rows = vec![
        ("day", day_line(d)),
        ("midnight", d.midnight.to_string()),
        ("opening", d.opening.clone()),
    ];
    if let Some(at) = d.closes_at {
        rows.push(("closes at", at.to_string()));
    }
    pairs(&rows)
}

fn bounds(b: &BoundsView) -> String {
    pairs(&[
        ("open_orders_max", b.open_orders_max.to_string()),
        ("instruments_max", b.instruments_max.to_string()),
        ("sessions_max", b.sessions_max.to_string()),
        ("firms_max", b.firms_max.to_string()),
        ("price_levels_max", b.price_levels_max.to_string()),
        ("positions_max", b.positions_max.to_string()),
        ("trades_max", b.trades_max.to_string()),
        ("protections_max", b.protections_max.to_string()),
    ])
}

fn counters(values: &[CounterView]) -> String {
    let line = |c: &CounterView| format!("{:>20}  {}\n", c.value, c.label);
    values.iter().map(line).collect()
}

fn firms(firms: &[FirmView]) -> String {
    let mut rows = vec![heading(&["id", "code", "entry"])];
    let row = |f: &FirmView| vec![f.id.to_string(), f.code.clone(), f.entry.clone()];
    rows.extend(firms.iter().map(row));
    columns(&rows)
}

fn sessions(sessions: &[SessionView]) -> String {
    let names = [
        "id",
        "user",
        "firm",
        "permitted",
        "connected",
        "epoch",
        "next",
        "orders",
        "may enter",
        "entry",
        "cancel on disconnect",
        "group",
        "self-trade",
    ];
    let mut rows = vec![heading(&names)];
    rows.extend(sessions.iter().map(|s| {
        let permitted: Vec<_> = s.permitted_firms.iter().map(u32::to_string).collect();
        vec![
            s.id.to_string(),
            s.user.clone(),
            s.firm.to_string(),
            permitted.join(","),
            yes(s.connected),
            s.epoch.to_string(),
            s.next_outbound.to_string(),
            s.open_orders.to_string(),
            yes(s.order_entry),
            s.entry.clone(),
            yes(s.cancel_on_disconnect),
            s.self_trade_group.to_string(),
            s.self_trade_mode.clone(),
        ]
    }));
    columns(&rows)
}

fn instruments(instruments: &[InstrumentView]) -> String {
    let mut rows = vec![heading(&["id", "symbol", "tick", "lot", "state"])];
    rows.extend(instruments.iter().map(|i| {
        vec![
            i.id.to_string(),
            i.symbol.clone(),
            price(u64::from(i.tick_size)),
            i.lot_size.to_string(),
            if i.retired {
                format!("{}, retired", i.state)
            } else {
                i.state.clone()
            },
        ]
    }));
    columns(&rows)
}

pub fn book(book: &BookView) -> String {
    let mut rows = vec![heading(&[
        "orders", "bid size", "bid", "ask", "ask size", "orders",
    ])];
    let side = |level: Option<&LevelView>| match level {
        Some(l) => {
            let orders = l.orders.map_or("many".to_owned(), |n| n.to_string());
            [orders, l.quantity.to_string(), price(l.price)]
        }
        None => [String::new(), String::new(), String::new()],
    };
    for i in 0..book.bids.len().max(book.asks.len()) {
        let [bid_orders, bid_size, bid] = side(book.bids.get(i));
        let [ask_orders, ask_size, ask] = side(book.asks.get(i));
        rows.push(vec![bid_orders, bid_size, bid, ask, ask_size, ask_orders]);
    }
    let title = format!(
        "{} {} at sequence {}\n",
        book.symbol, book.state, book.sequence
    );
    title + &columns(&rows)
}

pub fn orders(orders: &[OrderView]) -> String {
    let names = [
        "reference",
        "user ref",
        "index",
        "instrument",
        "side",
        "price",
        "open",
        "shown",
        "executed",
        "tif",
        "cross",
        "trigger",
        "firm",
        "client order id",
    ];
    let mut rows = vec![heading(&names)];
    rows.extend(orders.iter().map(|o| {
        vec![
            o.reference.to_string(),
            o.user_ref.to_string(),
            o.user_ref_index.to_string(),
            o.instrument.to_string(),
            o.side.clone(),
            price(o.price),
            o.open.to_string(),
            o.shown.to_string(),
            o.executed.to_string(),
            o.time_in_force.clone(),
            o.cross_type.clone(),
            o.trigger.map_or(String::new(), price),
            o.firm.to_string(),
            o.client_order_id.clone(),
        ]
    }));
    columns(&rows)
}

/// Fields of a record from its bytes in hexadecimal; empty where this build does not know them.
fn record_fields(hex: &str) -> String {
    let digit = |b: u8| char::from(b).to_digit(16).map(|d| d as u8);
    let bytes: Option<Vec<u8>> = hex
        .as_bytes()
        .chunks(2)
        .map(|pair| Some(digit(*pair.first()?)? << 4 | digit(*pair.get(1)?)?))
        .collect();
    let Some(bytes) = bytes else {
        return String::new();
    };
    // The parser wants 8-aligned memory.
    let mut buffer = vec![0u8; bytes.len() + 8];
    let at = buffer.as_ptr().align_offset(8);
    let aligned = &mut buffer[at..at + bytes.len()];
    aligned.copy_from_slice(&bytes);
    let Ok((record, _)) = Record::parse(aligned) else {
        return String::new();
    };
    let mut words: Vec<String> = fields::body(&record)
        .unwrap_or_default()
        .iter()
        .map(|(name, value)| format!("{name}={}", fields::word(value)))
        .collect();
    words.extend(record.parts().map(|part| {
        let value = fields::part_value(&part);
        format!("+{}={}", fields::part_name(part.tag), fields::word(&value))
    }));
    words.join(" ")
}

fn outcome(record: &Applied) -> &'static str {
    match record.outcome {
        Fate::Applied => "applied",
        Fate::Refused => "refused",
        Fate::Unknown => "unknown",
        Fate::Proposed => "proposed",
    }
}

/// What a command's records came to, a line each.
pub fn commanded(commanded: &Commanded) -> String {
    let mut text = String::new();
    for record in &commanded.records {
        let place = match record.sequence {
            0 => String::new(),
            sequence => format!(" at sequence {sequence}"),
        };
        let why = record.reason.as_deref();
        let why = why.map_or_else(String::new, |why| format!(": {why}"));
        let (outcome, fields) = (outcome(record), record_fields(&record.record));
        text += &format!("{outcome}{place}{why}  {} {fields}\n", record.kind);
        for change in &record.changes {
            text += &format!("    {change}\n");
        }
    }
    if commanded.records.is_empty() {
        text += "nothing differs\n";
    }
    if !commanded.restart_needed.is_empty() {
        let sections = commanded.restart_needed.join(", ");
        text += &format!("needs a restart: {sections}\n");
    }
    text
}

/// Exit code 1 unless every record was applied (or only proposed).
pub fn verdict(commanded: &Commanded) -> Result<(), Fatal> {
    let count = |fate| {
        commanded
            .records
            .iter()
            .filter(|r| r.outcome == fate)
            .count()
    };
    let (refused, unknown) = (count(Fate::Refused), count(Fate::Unknown));
    if refused + unknown == 0 {
        return Ok(());
    }
    let what = format!(
        "admin: of {} records {refused} were refused and the fate of {unknown} is not known",
        commanded.records.len()
    );
    Err(Fatal::new(ExitCode::CheckFailed, what))
}
