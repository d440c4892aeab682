//! The outcome of a replay, as a table and as JSON.

use super::counts::PlanCounts;
use super::mismatch::Mismatch;
use super::replay::{Compared, Replay};
use serde::{Serialize, Serializer};
use std::fmt;
use std::time::Instant;

/// How a replay ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// Every row was sent, answered and compared.
    Complete,
    /// Too many mismatches.
    GaveUp,
    /// The venue stopped answering; `row` waits for it.
    Silent { row: u64 },
}

/// Outcome of one replay.
#[derive(Clone, Debug, Serialize)]
pub struct MarketReport {
    /// Levels a side of the file; 0 for an empty file.
    pub depth: usize,
    pub plan: PlanCounts,
    pub compared: Compared,
    #[serde(serialize_with = "as_text")]
    pub mismatches: Vec<Mismatch>,
    pub ended: Ended,
    pub requests: u64,
    pub answers: u64,
    pub elapsed_ns: u64,
}

fn as_text<S: Serializer>(mismatches: &[Mismatch], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(mismatches.iter().map(ToString::to_string))
}

impl MarketReport {
    pub(super) fn new(replay: &Replay, depth: usize, ended: Ended, started: Instant) -> Self {
        Self {
            depth,
            plan: replay.counts().clone(),
            compared: *replay.compared(),
            mismatches: replay.mismatches().to_vec(),
            ended,
            requests: replay.requests(),
            answers: replay.answers(),
            elapsed_ns: u64::try_from(started.elapsed().as_nanos()).unwrap_or(u64::MAX),
        }
    }

    /// True if the venue answered everything and nothing disagreed.
    pub fn is_clean(&self) -> bool {
        self.ended == Ended::Complete && self.mismatches.is_empty()
    }
}

impl fmt::Display for MarketReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { plan, compared, .. } = self;
        let mut line = |name: &str, count: u64, note: &str| {
            let note = if note.is_empty() {
                String::new()
            } else {
                format!("  {note}")
            };
            writeln!(f, "  {name:<34}{count:>10}{note}")
        };
        line(
            "rows",
            plan.rows,
            &format!("{} level(s) a side", self.depth),
        )?;
        line("rows compared", compared.rows, "")?;
        line("  every visible level", compared.rows_in_full, "")?;
        line(
            "  all but one side's last level",
            compared.rows_but_last_level,
            "the file only reveals it",
        )?;
        line("levels compared", compared.levels, "")?;
        line(
            "executions compared",
            compared.fills,
            "order, size and price, by price-time priority",
        )?;
        line("mismatches", self.mismatches.len() as u64, "")?;
        for (why, count) in &plan.rows_not_compared {
            line("rows not compared", *count, &why.to_string())?;
        }
        line("orders entered", plan.new_orders, "type 1")?;
        line(
            "cancels of the named order",
            plan.cancels_direct,
            "types 2 and 3",
        )?;
        line(
            "cancels of revealed liquidity",
            plan.cancels_born_before_file,
            "order born before the file",
        )?;
        line(
            "cancels of revealed liquidity",
            plan.cancels_left_view,
            "order had left the view",
        )?;
        line(
            "cancels of another order",
            plan.cancels_queue_parted,
            "queues had parted",
        )?;
        line(
            "executions, named order in front",
            plan.executions_named_in_front,
            "type 4",
        )?;
        line(
            "executions, named order behind",
            plan.executions_named_behind,
            "queues had parted",
        )?;
        line(
            "executions of revealed liquidity",
            plan.executions_revealed,
            "",
        )?;
        line(
            "  not in front",
            plan.executions_revealed_behind,
            "queues had parted",
        )?;
        for (why, count) in &plan.messages_skipped {
            line("messages skipped", *count, &why.to_string())?;
        }
        line(
            "levels revealed",
            plan.levels_revealed_first_row,
            "by the first row",
        )?;
        line(
            "levels revealed",
            plan.levels_revealed_into_view,
            "came into view",
        )?;
        line(
            "levels revealed",
            plan.levels_revealed_grown,
            "grew unexplained",
        )?;
        line(
            "levels not revealed",
            plan.levels_not_revealed_crossed,
            "would have crossed",
        )?;
        line("shares revealed", plan.shares_revealed, "")?;
        line(
            "levels left the view",
            plan.levels_left_view,
            &format!("{} orders cancelled", plan.orders_left_view),
        )?;
        line(
            "levels trimmed",
            plan.levels_trimmed,
            "larger than the file shows",
        )?;
        line(
            "requests sent",
            self.requests,
            &format!("{} answers", self.answers),
        )?;
        writeln!(f, "  {:<34}{:>10}  ns {}", "time", "", self.elapsed_ns)?;
        writeln!(f, "  {:<34}  {}", "result hash", compared.hash)?;
        for mismatch in &self.mismatches {
            writeln!(f, "  mismatch: {mismatch}")?;
        }
        match self.ended {
            Ended::Complete => Ok(()),
            Ended::GaveUp => writeln!(f, "  gave up: too many mismatches"),
            Ended::Silent { row } => writeln!(f, "  the venue stopped answering at row {row}"),
        }
    }
}
