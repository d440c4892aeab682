//! What `journal replay` prints: the state that the log led to.

use super::fields::{text, trimmed};
use super::folder::Opened;
use super::output::{Failure, per_second, row};
use super::record_line::Price;
use super::replay::{ReplayArguments, Replayed};
use super::stream_hash::StreamHashes;
use super::time::Utc;
use lockstep_core::StateMachine;
use lockstep_core::inspect::{InstrumentView, LevelView, OrderView, SessionView};
use lockstep_record::Side;
use serde_json::{Value, json};
use std::io::Write;

pub struct Report<'a> {
    pub arguments: &'a ReplayArguments,
    pub opened: &'a Opened,
    pub replayed: &'a Replayed,
    pub streams: Option<&'a StreamHashes>,
}

/// Bytes as hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Report<'_> {
    pub fn print(&self, out: &mut impl Write) -> Result<(), Failure> {
        if self.arguments.json {
            writeln!(out, "{}", self.to_json())?;
            return Ok(());
        }
        self.print_state(out)?;
        if self.arguments.sessions {
            self.print_sessions(out)?;
        }
        if self.arguments.books {
            self.print_books(out)?;
        }
        if self.arguments.orders {
            self.print_orders(out)?;
        }
        self.print_streams(out)
    }

    fn machine(&self) -> &StateMachine {
        &self.replayed.machine
    }

    fn speed(&self) -> u64 {
        per_second(self.replayed.records, self.replayed.elapsed)
    }

    fn print_state(&self, out: &mut impl Write) -> Result<(), Failure> {
        let (replayed, machine) = (self.replayed, self.machine());
        row(out, "journal", self.opened.folder.display())?;
        let counts = format!("{} batches, {} records", replayed.batches, replayed.records);
        row(out, "applied", counts)?;
        if replayed.log_buffer_batches > 0 {
            let ahead = format!(
                "{} batches, not yet in segments (--segments-only leaves them out)",
                replayed.log_buffer_batches
            );
            row(out, "from log buffer", ahead)?;
        }
        if let Some((applied, of)) = replayed.cut_batch {
            row(
                out,
                "cut batch",
                format!("its first {applied} of {of} records"),
            )?;
        }
        row(out, "log", self.log_state())?;
        row(out, "sequence", machine.last_sequence())?;
        row(out, "index", machine.last_index())?;
        row(out, "term", machine.last_term())?;
        row(out, "time", Utc(machine.last_timestamp().0))?;
        let day = machine.day();
        let state = if day.open { "open" } else { "closed" };
        let name = trimmed(&day.session_name);
        row(
            out,
            "day",
            format!("{} {state}, session `{name}`", day.date),
        )?;
        row(out, "state hash", hex(&machine.state_hash()))?;
        row(out, "digest", format!("{:016x}", machine.digest()))?;
        let compared = format!(
            "{} compared, {} too far back",
            replayed.digests_compared, replayed.digests_too_old
        );
        row(out, "digests in the log", compared)?;
        row(out, "open orders", machine.open_order_count())?;
        row(out, "firms", machine.firms().count())?;
        row(out, "sessions", machine.sessions().count())?;
        row(out, "instruments", machine.instruments().count())?;
        let counters = machine.counters();
        let counts = format!(
            "{} stale, {} refused, {} answered with silence",
            counters.stale, counters.refused, counters.silent
        );
        row(out, "without effect", counts)?;
        row(out, "speed", format!("{} records/s", self.speed()))?;
        Ok(())
    }

    fn log_state(&self) -> &'static str {
        match &self.replayed.verdict {
            Some(verdict) => verdict.outcome.meaning(),
            None => "goes on behind this sequence",
        }
    }

    fn print_sessions(&self, out: &mut impl Write) -> Result<(), Failure> {
        writeln!(
            out,
            "\n{:>8} {:<8} {:>6} {:>6} {:>12} {:>12} connected",
            "session", "user", "firm", "epoch", "next number", "open orders"
        )?;
        for session in self.machine().sessions() {
            writeln!(
                out,
                "{:>8} {:<8} {:>6} {:>6} {:>12} {:>12} {}",
                session.session.0,
                text(&session.user),
                session.firm.0,
                session.epoch.0,
                session.next_outbound.0,
                session.open_orders,
                session.connected
            )?;
        }
        Ok(())
    }

    fn print_books(&self, out: &mut impl Write) -> Result<(), Failure> {
        for instrument in self.machine().instruments() {
            writeln!(
                out,
                "\n{} (instrument {}, tick {}, {:?})",
                trimmed(&instrument.symbol),
                instrument.instrument,
                Price(u64::from(instrument.tick_size)),
                instrument.state
            )?;
            writeln!(
                out,
                "{:>8} {:>12} {:>14} | {:<14} {:<12} {:<8}",
                "orders", "shares", "bid", "ask", "shares", "orders"
            )?;
            let side = |side| self.machine().depth(instrument.instrument, side);
            let (mut bids, mut asks) = (side(Side::Buy), side(Side::Sell));
            loop {
                let (bid, ask) = (bids.next(), asks.next());
                if bid.is_none() && ask.is_none() {
                    break;
                }
                let cell = |level: Option<LevelView>| match level {
                    Some(l) => (
                        l.order_count.to_string(),
                        l.quantity.to_string(),
                        Price(l.price.0).to_string(),
                    ),
                    None => Default::default(),
                };
                let (bid, ask) = (cell(bid), cell(ask));
                writeln!(
                    out,
                    "{:>8} {:>12} {:>14} | {:<14} {:<12} {:<8}",
                    bid.0, bid.1, bid.2, ask.2, ask.1, ask.0
                )?;
            }
        }
        Ok(())
    }

    fn print_orders(&self, out: &mut impl Write) -> Result<(), Failure> {
        writeln!(
            out,
            "\n{:>12} {:>8} {:>10} {:<8} side {:>14} {:>10} {:>10} tif",
            "reference", "session", "user ref", "symbol", "price", "open", "executed"
        )?;
        for (symbol, order) in self.orders() {
            writeln!(
                out,
                "{:>12} {:>8} {:>10} {:<8} {:<4} {:>14} {:>10} {:>10} {}",
                order.reference.0,
                order.session.0,
                order.user_ref.number,
                trimmed(&symbol),
                text(&[order.side]),
                Price(order.price.0),
                order.open,
                order.executed,
                text(&[order.time_in_force])
            )?;
        }
        Ok(())
    }

    /// Every open order with its symbol: by instrument, bids first, in priority.
    fn orders(&self) -> impl Iterator<Item = ([u8; 8], OrderView)> + '_ {
        let machine = self.machine();
        machine.instruments().flat_map(move |instrument| {
            [Side::Buy, Side::Sell].into_iter().flat_map(move |side| {
                let orders = machine.book_orders(instrument.instrument, side);
                orders.map(move |order| (instrument.symbol, order))
            })
        })
    }

    fn print_streams(&self, out: &mut impl Write) -> Result<(), Failure> {
        let Some(streams) = self.streams else {
            return Ok(());
        };
        let name = streams.session_name.map(|name| trimmed(&name));
        writeln!(
            out,
            "\nstreams of trading session `{}`",
            name.unwrap_or_default()
        )?;
        writeln!(
            out,
            "{:>8} {:>12} {:>14} sha256",
            "session", "messages", "bytes"
        )?;
        for (session, stream) in &streams.sessions {
            writeln!(
                out,
                "{session:>8} {:>12} {:>14} {}",
                stream.last_number,
                stream.bytes,
                hex(&stream.sha256())
            )?;
        }
        Ok(())
    }

    fn to_json(&self) -> Value {
        let (replayed, machine) = (self.replayed, self.machine());
        let day = machine.day();
        let (arguments, counters) = (self.arguments, machine.counters());
        let mut object = json!({
            "journal": self.opened.folder.display().to_string(),
            "batches": replayed.batches,
            "records": replayed.records,
            "log_buffer_batches": replayed.log_buffer_batches,
            "cut_batch": replayed.cut_batch.map(|(applied, of)| json!({"applied": applied, "of": of})),
            "outcome": replayed.verdict.as_ref().map(|verdict| verdict.outcome.name()),
            "stopped": replayed.stopped.as_ref().map(|fatal| fatal.message.clone()),
            "sequence": machine.last_sequence().0,
            "index": machine.last_index().0,
            "term": machine.last_term().0,
            "time": Utc(machine.last_timestamp().0).to_string(),
            "time_ns": machine.last_timestamp().0,
            "day": {
                "open": day.open,
                "date": day.date,
                "midnight_ns": day.midnight,
                "session_name": trimmed(&day.session_name),
            },
            "state_hash": hex(&machine.state_hash()),
            "digest": format!("{:016x}", machine.digest()),
            "digests_compared": replayed.digests_compared,
            "digests_too_old": replayed.digests_too_old,
            "open_orders": machine.open_order_count(),
            "counters": {
                "stale": counters.stale,
                "refused": counters.refused,
                "silent": counters.silent,
            },
            "elapsed_ns": replayed.elapsed.as_nanos() as u64,
            "records_per_second": self.speed(),
        });
        let mut put = |name: &str, value: Vec<Value>| object[name] = value.into();
        if arguments.sessions {
            put("sessions", machine.sessions().map(session_json).collect());
        }
        if arguments.books {
            put(
                "books",
                machine.instruments().map(|i| self.book_json(&i)).collect(),
            );
        }
        if arguments.orders {
            put("orders", self.orders().map(order_json).collect());
        }
        if let Some(streams) = self.streams {
            let rows = streams.sessions.iter().map(|(session, stream)| {
                json!({
                    "session": session,
                    "last_number": stream.last_number,
                    "bytes": stream.bytes,
                    "sha256": hex(&stream.sha256()),
                })
            });
            put("streams", rows.collect());
        }
        object
    }

    fn book_json(&self, instrument: &InstrumentView) -> Value {
        let side = |side| -> Vec<Value> {
            let levels = self.machine().depth(instrument.instrument, side);
            levels
                .map(|level| {
                    json!({
                        "price": level.price.0,
                        "quantity": level.quantity,
                        "orders": level.order_count,
                    })
                })
                .collect()
        };
        json!({
            "instrument": instrument.instrument.0,
            "symbol": trimmed(&instrument.symbol),
            "tick_size": instrument.tick_size,
            "lot_size": instrument.lot_size,
            "state": format!("{:?}", instrument.state),
            "bids": side(Side::Buy),
            "asks": side(Side::Sell),
        })
    }
}

fn session_json(session: SessionView) -> Value {
    json!({
        "session": session.session.0,
        "user": trimmed(&session.user),
        "firm": session.firm.0,
        "connected": session.connected,
        "epoch": session.epoch.0,
        "next_outbound": session.next_outbound.0,
        "open_orders": session.open_orders,
    })
}

fn order_json((symbol, order): ([u8; 8], OrderView)) -> Value {
    json!({
        "reference": order.reference.0,
        "session": order.session.0,
        "user_ref_num": order.user_ref.number,
        "user_ref_idx": order.user_ref.index,
        "instrument": order.instrument.0,
        "symbol": trimmed(&symbol),
        "side": text(&[order.side]),
        "price": order.price.0,
        "open": order.open,
        "executed": order.executed,
        "time_in_force": text(&[order.time_in_force]),
        "display": text(&[order.display]),
        "firm": order.firm.0,
        "client_order_id": trimmed(&order.client_order_id),
    })
}
