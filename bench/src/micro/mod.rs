//! `bench ring` and `bench codec`: what one hand-off between threads and one message's coding cost,
//! each beside an empty baseline, with a result hash that shows that the work was done.

pub mod codec;
pub mod ring;

use crate::measure::hash::ResultHash;
use crate::measure::setting::Setting;
use serde::Serialize;
use std::fmt;

/// One kind of operation, timed over several rounds; times in picoseconds, since one may take less than
/// a nanosecond.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    pub name: &'static str,
    /// Operations of a round.
    pub operations: u64,
    pub rounds_ps: Vec<u64>,
    pub median_ps: u64,
    pub best_ps: u64,
    pub worst_ps: u64,
    /// Equal in every round, on every machine.
    pub result_hash: ResultHash,
}

impl Row {
    fn new(name: &'static str, operations: u64) -> Self {
        Self {
            name,
            operations,
            rounds_ps: Vec::new(),
            median_ps: 0,
            best_ps: 0,
            worst_ps: 0,
            result_hash: ResultHash::default(),
        }
    }

    /// Adds a round. Panics if its result is not that of the rounds before: then it did something else.
    fn round(&mut self, elapsed_ns: u64, hash: ResultHash) {
        assert!(
            self.rounds_ps.is_empty() || self.result_hash == hash,
            "{}: two rounds with different results",
            self.name
        );
        self.result_hash = hash;
        let per = u128::from(elapsed_ns) * 1_000 / u128::from(self.operations.max(1));
        self.rounds_ps.push(u64::try_from(per).unwrap_or(u64::MAX));
        let mut sorted = self.rounds_ps.clone();
        sorted.sort_unstable();
        self.median_ps = sorted[sorted.len() / 2];
        self.best_ps = sorted[0];
        self.worst_ps = sorted[sorted.len() - 1];
    }
}

#[derive(Clone, Debug, Serialize)]
pub struct MicroReport {
    /// `ring` or `codec`.
    pub bench: &'static str,
    pub setting: Setting,
    pub rows: Vec<Row>,
}

impl fmt::Display for MicroReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.setting)?;
        write!(
            f,
            "{:<36} {:>11} {:>9} {:>9} {:>9}  result",
            "operation", "operations", "median ns", "best", "worst"
        )?;
        let ns = |ps: u64| format!("{}.{:02}", ps / 1000, ps % 1000 / 10);
        for row in &self.rows {
            write!(
                f,
                "\n{:<36} {:>11} {:>9} {:>9} {:>9}  {}",
                row.name,
                row.operations,
                ns(row.median_ps),
                ns(row.best_ps),
                ns(row.worst_ps),
                row.result_hash
            )?;
        }
        Ok(())
    }
}
