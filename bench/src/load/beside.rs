//! Measured sessions alone and beside bad neighbours, turn about, and what the neighbours cost them.

use super::floor::{Against, against};
use super::neighbours::NeighbourOptions;
use super::report::LoadReport;
use super::run::{LoadError, LoadOptions, run_beside};
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// Rounds at most.
pub const ROUNDS_MAX: usize = 100;
/// After a login flood the venue refuses its address until it has forgotten as many failures as connections were
/// under way when it began to refuse: one in three seconds, unless configured otherwise.
const FORGIVEN_AFTER: Duration = Duration::from_millis(3_100);

/// Alone and beside, interleaved. In `Against` the venue is *beside* and the floor is *alone*.
#[derive(Clone, Debug, Serialize)]
pub struct BesideReport {
    /// `beside`: what kind of report this is.
    pub bench: &'static str,
    pub p50: Against,
    pub p99: Against,
    pub p99_9: Against,
    pub beside: Vec<LoadReport>,
    pub alone: Vec<LoadReport>,
}

impl BesideReport {
    fn new(beside: Vec<LoadReport>, alone: Vec<LoadReport>) -> Self {
        Self {
            bench: "beside",
            p50: against(&beside, &alone, |report| report.all.p50),
            p99: against(&beside, &alone, |report| report.all.p99),
            p99_9: against(&beside, &alone, |report| report.all.p99_9),
            beside,
            alone,
        }
    }

    /// Every run was valid.
    pub fn is_valid(&self) -> bool {
        let mut runs = self.beside.iter().chain(&self.alone);
        runs.all(LoadReport::is_valid)
    }
}

/// Runs `options` without and with `neighbours` and its idle sessions, `rounds` times.
pub fn run_rounds(
    options: &LoadOptions,
    neighbours: &NeighbourOptions,
    rounds: usize,
) -> Result<BesideReport, LoadError> {
    let alone_options = LoadOptions {
        idle_logins: Vec::new(),
        ..options.clone()
    };
    let (mut beside, mut alone) = (Vec::new(), Vec::new());
    for _ in 0..rounds.clamp(1, ROUNDS_MAX) {
        alone.push(run_beside(&alone_options, &NeighbourOptions::default())?.report);
        beside.push(run_beside(options, neighbours)?.report);
        let refused = beside.last().and_then(|run| run.neighbours);
        if refused.is_some_and(|counts| counts.logins_refused_per_s > 100) {
            std::thread::sleep(FORGIVEN_AFTER * neighbours.login_floods as u32);
        }
    }
    Ok(BesideReport::new(beside, alone))
}

impl fmt::Display for BesideReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (alone, beside) in self.alone.iter().zip(&self.beside) {
            writeln!(f, "--- alone\n{alone}\n--- beside\n{beside}")?;
        }
        writeln!(
            f,
            "--- median of {} round(s)     beside µs    alone µs    ratio",
            self.beside.len()
        )?;
        for (name, figure) in [
            ("p50", &self.p50),
            ("p99", &self.p99),
            ("p99.9", &self.p99_9),
        ] {
            let us = |ns: u64| format!("{}.{:02}", ns / 1000, ns % 1000 / 10);
            let ratio = figure.ratio_per_mille;
            let ratio = format!("{}.{:03}", ratio / 1000, ratio % 1000);
            let (beside, alone) = (us(figure.venue_ns), us(figure.floor_ns));
            writeln!(f, "{name:<28}{beside:>12}{alone:>12}{ratio:>9}")?;
        }
        f.write_str(if self.is_valid() {
            "valid"
        } else {
            "INVALID: see the runs above"
        })
    }
}
