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

impl MarketReport {
    /// Rows of the table: name, count, note.
    fn lines(&self) -> Vec<(&'static str, u64, String)> {
        let Self { plan, compared, .. } = self;
        let depth = format!("{} level(s) a side", self.depth);
        let mut lines = vec![
            ("rows", plan.rows, depth.as_str()),
            ("rows compared", compared.rows, ""),
            ("  every visible level", compared.rows_in_full, ""),
            (
                "  all but one side's last level",
                compared.rows_but_last_level,
                "the file only reveals it",
            ),
            ("levels compared", compared.levels, ""),
            (
                "executions compared",
                compared.fills,
                "order, size and price, by price-time priority",
            ),
            ("mismatches", self.mismatches.len() as u64, ""),
        ];
        let whys: Vec<_> = plan
            .rows_not_compared
            .iter()
            .map(|(why, count)| (why.to_string(), *count))
            .collect();
        lines.extend(
            whys.iter()
                .map(|(why, count)| ("rows not compared", *count, why.as_str())),
        );
        lines.extend([
            ("orders entered", plan.new_orders, "type 1"),
            (
                "cancels of the named order",
                plan.cancels_direct,
                "types 2 and 3",
            ),
            (
                "cancels of revealed liquidity",
                plan.cancels_born_before_file,
                "order born before the file",
            ),
            (
                "cancels of revealed liquidity",
                plan.cancels_left_view,
                "order had left the view",
            ),
            (
                "cancels of another order",
                plan.cancels_queue_parted,
                "queues had parted",
            ),
            (
                "executions, named order in front",
                plan.executions_named_in_front,
                "type 4",
            ),
            (
                "executions, named order behind",
                plan.executions_named_behind,
                "queues had parted",
            ),
            (
                "executions of revealed liquidity",
                plan.executions_revealed,
                "",
            ),
            (
                "  not in front",
                plan.executions_revealed_behind,
                "queues had parted",
            ),
        ]);
        let skips: Vec<_> = plan
            .messages_skipped
            .iter()
            .map(|(why, count)| (why.to_string(), *count))
            .collect();
        lines.extend(
            skips
                .iter()
                .map(|(why, count)| ("messages skipped", *count, why.as_str())),
        );
        let (left, answers) = (
            format!("{} orders cancelled", plan.orders_left_view),
            format!("{} answers", self.answers),
        );
        lines.extend([
            (
                "levels revealed",
                plan.levels_revealed_first_row,
                "by the first row",
            ),
            (
                "levels revealed",
                plan.levels_revealed_into_view,
                "came into view",
            ),
            (
                "levels revealed",
                plan.levels_revealed_grown,
                "grew unexplained",
            ),
            (
                "levels not revealed",
                plan.levels_not_revealed_crossed,
                "would have crossed",
            ),
            ("shares revealed", plan.shares_revealed, ""),
            ("levels left the view", plan.levels_left_view, left.as_str()),
            (
                "levels trimmed",
                plan.levels_trimmed,
                "larger than the file shows",
            ),
            ("requests sent", self.requests, answers.as_str()),
            ("time", self.elapsed_ns / 1_000_000, "ms"),
        ]);
        lines
            .into_iter()
            .map(|(name, count, note)| (name, count, note.to_owned()))
            .collect()
    }
}

impl fmt::Display for MarketReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, count, note) in self.lines() {
            writeln!(
                f,
                "{}",
                format!("  {name:<34}{count:>10}  {note}").trim_end()
            )?;
        }
        write!(f, "  {:<34}{}", "result hash", self.compared.hash)?;
        for mismatch in &self.mismatches {
            write!(f, "\n  mismatch: {mismatch}")?;
        }
        match self.ended {
            Ended::Complete => Ok(()),
            Ended::GaveUp => write!(f, "\n  gave up: too many mismatches"),
            Ended::Silent { row } => write!(f, "\n  the venue stopped answering at row {row}"),
        }
    }
}
