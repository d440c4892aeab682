//! What a replay of a file did, could not do, and why. Every message is in exactly one count.

use crate::market::report::Ended;
use crate::measure::hash::ResultHash;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fmt;

/// Events of a file that a venue can be made to repeat.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    Add,
    Execute,
    Cancel,
    Delete,
    Replace,
}

impl Event {
    pub const fn name(self) -> &'static str {
        match self {
            Self::Add => "adds",
            Self::Execute => "executions",
            Self::Cancel => "cancels in part",
            Self::Delete => "deletes",
            Self::Replace => "replaces",
        }
    }
}

/// Why a message was not sent.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum Skip {
    /// `P`: its order was never shown.
    HiddenTrade,
    /// `Q`: an auction.
    CrossTrade,
    /// It says nothing of orders: the message's type.
    Other(char),
    /// It names an order of which the file has no add.
    BornBeforeFile,
    /// It names an order that was left out.
    LeftOut,
    /// Shares or price beyond what OUCH can say.
    NotEnterable,
    MoreThanOpen,
    Duplicate,
}

impl fmt::Display for Skip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HiddenTrade => f.write_str("type P: trade with an order that was never shown"),
            Self::CrossTrade => f.write_str("type Q: trade in an auction"),
            Self::Other(kind) => write!(f, "type {}: not about orders", kind.escape_default()),
            Self::BornBeforeFile => f.write_str("of an order that the file never added"),
            Self::LeftOut => f.write_str("of an order that was left out"),
            Self::NotEnterable => f.write_str("shares or price beyond OUCH's bounds"),
            Self::MoreThanOpen => f.write_str("takes more shares than are open"),
            Self::Duplicate => f.write_str("adds a reference that lives"),
        }
    }
}

impl Serialize for Skip {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Counts of a plan: messages, orders.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct ItchCounts {
    pub messages: u64,
    pub skipped: BTreeMap<Skip, u64>,
    /// Orders entered into their stock.
    pub orders_in_stock: u64,
    /// … into a lane beside it, since they would have traded at once.
    pub orders_crossing: u64,
    /// … into a lane of their own, since they execute while another stands before them.
    pub orders_out_of_turn: u64,
    /// Replaces that are a cancel and a new order: they change lanes, or the chain's shares are too many.
    pub replaces_in_two: u64,
    /// Executions (`C`) whose printed price is not the order's; they trade at the order's.
    pub printed_elsewhere: u64,
}

impl ItchCounts {
    pub(super) fn skip(&mut self, why: Skip) {
        *self.skipped.entry(why).or_default() += 1;
    }

    pub(super) fn lane(&mut self, lane: u16) {
        *match lane {
            0 => &mut self.orders_in_stock,
            1 | 2 => &mut self.orders_crossing,
            _ => &mut self.orders_out_of_turn,
        } += 1;
    }
}

/// What was compared.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct ItchCompared {
    /// Events that the venue repeated exactly: order, shares, price, both ends of a trade.
    pub reproduced: BTreeMap<Event, u64>,
    /// Orders open at the file's end, each held against the venue's answers.
    pub open_orders: u64,
    /// Over every event reproduced and every open order.
    pub hash: ResultHash,
}

impl ItchCompared {
    pub fn events(&self) -> u64 {
        self.reproduced.values().sum()
    }
}

/// The outcome.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ItchReport {
    pub plan: ItchCounts,
    pub compared: ItchCompared,
    pub stocks: u64,
    pub instruments: u64,
    pub mismatches: Vec<ItchMismatch>,
    pub ended: Ended,
    pub requests: u64,
    pub answers: u64,
    pub elapsed_ns: u64,
}

/// One disagreement.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct ItchMismatch {
    /// Number of the oldest message that was waiting; 0 if none was.
    pub message: u64,
    pub what: String,
}

impl ItchReport {
    /// Everything was answered, and nothing disagreed.
    pub fn is_clean(&self) -> bool {
        self.ended == Ended::Complete && self.mismatches.is_empty()
    }

    fn lines(&self) -> Vec<(String, u64, String)> {
        let line = |name: &str, count: u64, note: &str| (name.to_owned(), count, note.to_owned());
        let Self { plan, compared, .. } = self;
        let mut lines = vec![
            line(
                "messages",
                plan.messages,
                &format!("{} stocks", self.stocks),
            ),
            line(
                "events reproduced",
                compared.events(),
                "shares, price, both ends",
            ),
        ];
        for (event, count) in &compared.reproduced {
            lines.push(line(&format!("  {}", event.name()), *count, ""));
        }
        lines.extend([
            line(
                "open orders compared",
                compared.open_orders,
                "at the file's end",
            ),
            line("mismatches", self.mismatches.len() as u64, ""),
        ]);
        for (why, count) in &plan.skipped {
            lines.push(line("messages skipped", *count, &why.to_string()));
        }
        lines.extend([
            line("orders in their stock's book", plan.orders_in_stock, ""),
            line(
                "orders in lanes: crossing",
                plan.orders_crossing,
                "would have traded at once",
            ),
            line(
                "orders in lanes: out of turn",
                plan.orders_out_of_turn,
                "execute behind others",
            ),
            line(
                "replaces in two",
                plan.replaces_in_two,
                "cancel and new order",
            ),
            line(
                "printed elsewhere",
                plan.printed_elsewhere,
                "type C, traded at the order's price",
            ),
            line("instruments", self.instruments, "stocks and lanes"),
            line(
                "requests sent",
                self.requests,
                &format!("{} answers", self.answers),
            ),
            line("time", self.elapsed_ns / 1_000_000, "ms"),
        ]);
        lines
    }
}

impl fmt::Display for ItchReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, count, note) in self.lines() {
            let text = format!("  {name:<34}{count:>10}  {note}");
            writeln!(f, "{}", text.trim_end())?;
        }
        write!(f, "  {:<34}{}", "result hash", self.compared.hash)?;
        for ItchMismatch { message, what } in &self.mismatches {
            write!(f, "\n  mismatch: message {message}: {what}")?;
        }
        match self.ended {
            Ended::Complete => Ok(()),
            Ended::GaveUp => write!(f, "\n  gave up: too many mismatches"),
            Ended::Silent { row } => {
                write!(f, "\n  the venue stopped answering at message {row}")
            }
        }
    }
}
