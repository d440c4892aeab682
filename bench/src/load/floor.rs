//! A venue against the floor: the same load, by the same client, on an echo server, turn about.

use super::report::{LoadOutcome, LoadReport};
use super::run::{LoadError, LoadOptions, Pace, run};
use crate::echo::{EchoError, EchoOptions, EchoServer};
use crate::measure::thread::describe;
use serde::Serialize;
use std::fmt;
use std::io;
use thiserror::Error;

/// Rounds at most.
pub const ROUNDS_MAX: usize = 100;

/// Why there is no comparison.
#[derive(Debug, Error)]
pub enum FloorError {
    #[error(transparent)]
    Echo(#[from] EchoError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("cannot stop or continue the venue: {0}")]
    Turn(io::Error),
}

/// A ratio in thousandths: 1250 is 1.25 times.
pub type PerMille = u64;

/// Median latencies of the rounds, ns, and their ratios.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Against {
    pub venue_ns: u64,
    pub floor_ns: u64,
    pub ratio_per_mille: PerMille,
}

/// Median answers a second of the rounds, and their ratio.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Throughput {
    pub venue_per_s: u64,
    pub floor_per_s: u64,
    pub ratio_per_mille: PerMille,
}

/// Venue and floor, interleaved.
#[derive(Clone, Debug, Serialize)]
pub struct FloorReport {
    /// `floor`: what kind of report this is.
    pub bench: &'static str,
    /// Answers a second; of a closed loop, the throughput.
    pub throughput: Throughput,
    pub p50: Against,
    pub p99: Against,
    pub p99_9: Against,
    pub venue: Vec<LoadReport>,
    pub floor: Vec<LoadReport>,
    /// The venue at half of what it sustained, if that was asked for.
    pub half: Option<HalfReport>,
}

/// A venue at half of its highest throughput, open loop.
#[derive(Clone, Debug, Serialize)]
pub struct HalfReport {
    pub offered_per_s: u64,
    /// Medians of the runs.
    pub p50_ns: u64,
    pub p99_ns: u64,
    /// p99 in thousandths of p50.
    pub spread_per_mille: PerMille,
    pub runs: Vec<LoadReport>,
}

impl FloorReport {
    fn new(venue: Vec<LoadReport>, floor: Vec<LoadReport>) -> Self {
        let against = |pick: fn(&LoadReport) -> u64| against(&venue, &floor, pick);
        let rate = |report: &LoadReport| report.answered_per_s;
        let (venue_per_s, floor_per_s) = (median(&venue, rate), median(&floor, rate));
        Self {
            bench: "floor",
            throughput: Throughput {
                venue_per_s,
                floor_per_s,
                ratio_per_mille: venue_per_s.saturating_mul(1000) / floor_per_s.max(1),
            },
            p50: against(|report| report.all.p50),
            p99: against(|report| report.all.p99),
            p99_9: against(|report| report.all.p99_9),
            venue,
            floor,
            half: None,
        }
    }

    /// Every run was valid.
    pub fn is_valid(&self) -> bool {
        let half = self.half.iter().flat_map(|half| &half.runs);
        self.venue
            .iter()
            .chain(&self.floor)
            .chain(half)
            .all(LoadReport::is_valid)
    }

    /// Runs the venue at half of the throughput that this report found, `rounds` times.
    pub fn add_half(&mut self, options: &LoadOptions, rounds: usize) -> Result<(), LoadError> {
        let offered_per_s = (self.throughput.venue_per_s / 2).max(1);
        let options = LoadOptions {
            pace: Pace::Rate {
                per_s: offered_per_s,
            },
            ..options.clone()
        };
        let mut runs = Vec::new();
        for _ in 0..rounds.clamp(1, ROUNDS_MAX) {
            runs.push(run(&options)?.report);
        }
        let p50_ns = median(&runs, |report| report.all.p50);
        let p99_ns = median(&runs, |report| report.all.p99);
        self.half = Some(HalfReport {
            offered_per_s,
            p50_ns,
            p99_ns,
            spread_per_mille: p99_ns.saturating_mul(1000) / p50_ns.max(1),
            runs,
        });
        Ok(())
    }
}

/// Which of the two a round turns to next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Turn {
    Venue,
    Floor,
}

/// Runs `options` against the venue and, between its runs, against an echo server started as `echo`
/// says: with the core, idle strategy and driver of the venue's gateway.
///
/// `turn` is called before each run. Two servers that spin on one core halve each other's figures, so
/// it must keep the venue off the core during the floor's turn (stop its process, and let it continue
/// for the venue's turn).
pub fn against_floor(
    options: &LoadOptions,
    echo: &EchoOptions,
    rounds: usize,
    turn: &mut dyn FnMut(Turn) -> io::Result<()>,
) -> Result<FloorReport, FloorError> {
    let outcome = take_turns(options, echo, rounds, turn);
    // Whatever happened, the venue is not left stopped.
    turn(Turn::Venue).map_err(FloorError::Turn)?;
    let (venue, floor) = outcome?;
    Ok(FloorReport::new(venue, floor))
}

fn take_turns(
    options: &LoadOptions,
    echo: &EchoOptions,
    rounds: usize,
    turn: &mut dyn FnMut(Turn) -> io::Result<()>,
) -> Result<(Vec<LoadReport>, Vec<LoadReport>), FloorError> {
    let (mut venue, mut floor) = (Vec::new(), Vec::new());
    for _ in 0..rounds.clamp(1, ROUNDS_MAX) {
        turn(Turn::Venue).map_err(FloorError::Turn)?;
        venue.push(run(options)?.report);
        turn(Turn::Floor).map_err(FloorError::Turn)?;
        floor.push(run_floor(options, echo)?.report);
    }
    Ok((venue, floor))
}

/// One run against an echo server that lives as long as the run.
pub fn run_floor(options: &LoadOptions, echo: &EchoOptions) -> Result<LoadOutcome, FloorError> {
    let server = EchoServer::start(*echo)?;
    let options = LoadOptions {
        address: server.address(),
        policy: "none (echo)".to_owned(),
        server_layout: format!(
            "echo {} {}",
            server.driver(),
            describe(echo.core, echo.idle)
        ),
        // The echo server is in this process and has no counters.
        counters: None,
        venue_pid: None,
        ..options.clone()
    };
    Ok(run(&options)?)
}

/// Medians of a latency over two sets of runs.
pub(super) fn against(
    venue: &[LoadReport],
    floor: &[LoadReport],
    pick: fn(&LoadReport) -> u64,
) -> Against {
    let (venue_ns, floor_ns) = (median(venue, pick), median(floor, pick));
    Against {
        venue_ns,
        floor_ns,
        ratio_per_mille: venue_ns.saturating_mul(1000) / floor_ns.max(1),
    }
}

fn median(reports: &[LoadReport], pick: fn(&LoadReport) -> u64) -> u64 {
    let mut values: Vec<u64> = reports.iter().map(pick).collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
}

impl fmt::Display for HalfReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for run in &self.runs {
            writeln!(f, "--- venue at half of its throughput\n{run}")?;
        }
        let us = |ns: u64| format!("{}.{:02}", ns / 1000, ns % 1000 / 10);
        write!(
            f,
            "half of it, {}/s: p50 {} µs, p99 {} µs, {}.{:03} times p50",
            self.offered_per_s,
            us(self.p50_ns),
            us(self.p99_ns),
            self.spread_per_mille / 1000,
            self.spread_per_mille % 1000
        )
    }
}

impl fmt::Display for FloorReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, reports) in [("venue", &self.venue), ("floor", &self.floor)] {
            for report in reports {
                writeln!(f, "--- {name}\n{report}")?;
            }
        }
        writeln!(
            f,
            "--- median of {} round(s)      venue µs    floor µs    ratio",
            self.venue.len()
        )?;
        for (
            name,
            Against {
                venue_ns,
                floor_ns,
                ratio_per_mille,
            },
        ) in [("p50", self.p50), ("p99", self.p99), ("p99.9", self.p99_9)]
        {
            let us = |ns: u64| format!("{}.{:02}", ns / 1000, ns % 1000 / 10);
            let ratio = format!("{}.{:03}", ratio_per_mille / 1000, ratio_per_mille % 1000);
            writeln!(
                f,
                "{name:<28}{:>12}{:>12}{ratio:>9}",
                us(venue_ns),
                us(floor_ns)
            )?;
        }
        let Throughput {
            venue_per_s,
            floor_per_s,
            ratio_per_mille,
        } = self.throughput;
        let ratio = format!("{}.{:03}", ratio_per_mille / 1000, ratio_per_mille % 1000);
        writeln!(
            f,
            "{:<28}{venue_per_s:>12}{floor_per_s:>12}{ratio:>9}",
            "answers/s"
        )?;
        if let Some(half) = &self.half {
            writeln!(f, "{half}")?;
        }
        f.write_str(if self.is_valid() {
            "valid"
        } else {
            "INVALID: see the runs above"
        })
    }
}
