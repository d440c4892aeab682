//! A venue against the floor: the same load, by the same client, on an echo server, turn about.

use super::report::{LoadOutcome, LoadReport};
use super::run::{LoadError, LoadOptions, run};
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
}

impl FloorReport {
    fn new(venue: Vec<LoadReport>, floor: Vec<LoadReport>) -> Self {
        let against = |pick: fn(&LoadReport) -> u64| {
            let (venue_ns, floor_ns) = (median(&venue, pick), median(&floor, pick));
            let ratio_per_mille = venue_ns.saturating_mul(1000) / floor_ns.max(1);
            Against {
                venue_ns,
                floor_ns,
                ratio_per_mille,
            }
        };
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
        }
    }

    /// Every run was valid.
    pub fn is_valid(&self) -> bool {
        self.venue
            .iter()
            .chain(&self.floor)
            .all(LoadReport::is_valid)
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
        ..options.clone()
    };
    Ok(run(&options)?)
}

fn median(reports: &[LoadReport], pick: fn(&LoadReport) -> u64) -> u64 {
    let mut values: Vec<u64> = reports.iter().map(pick).collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied().unwrap_or(0)
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
        f.write_str(if self.is_valid() {
            "valid"
        } else {
            "INVALID: see the runs above"
        })
    }
}
