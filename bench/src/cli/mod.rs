//! `bench …` of the command line: options, tables, JSON.
//!
//! Everything is a function of the parsed options; the binary only hands them over. Tables and JSON go
//! to standard output, progress to standard error.

mod args;
mod market;

pub use args::{
    EchoArgs, FlowArgs, LoadArgs, NeighbourArgs, OrderArgs, ReplayMarketArgs, ServerArgs, Symbol,
    parse_login,
};

use crate::compare::{CompareArgs, CompareError};
use crate::echo::EchoError;
use crate::html::{Page, page};
use crate::itch::reader::ItchError;
use crate::jitter::JitterArgs;
use crate::load::beside::run_rounds;
use crate::load::floor::{FloorError, Turn, against_floor, run_floor};
use crate::load::report::{LoadOutcome, LoadReport};
use crate::load::run::{LoadError, LoadOptions, run as run_load, run_beside};
use crate::load::sweep::{Range, Step, sweep};
use crate::market::link::LinkError;
use crate::market::lobster::LobsterError;
use crate::market::run::ReplayError;
use crate::measure::thread::PinError;
use clap::Subcommand;
use lockstep_core::ApplyError;
use market::replay_market;
use serde::Serialize;
use std::fmt::Display;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use thiserror::Error;

/// Measures a venue, or replays a recorded market through it.
#[derive(Clone, Debug, Subcommand)]
pub enum BenchCommand {
    /// OUCH load on a running venue: open or closed loop, latency from the intended send time.
    Order(Box<OrderArgs>),
    /// The same load on an echo server of the same message sizes: the floor.
    Echo(EchoArgs),
    /// Replays LOBSTER and ITCH files through a venue and compares what it answers, event by event.
    ReplayMarket(ReplayMarketArgs),
    /// The flow model's statistics beside those of recorded files, with its bands.
    Flow(FlowArgs),
    /// The order book alone, on the stream by which engines are compared: throughput, latency, memory.
    Book(crate::book::BookArgs),
    /// The whole state machine, records in, OUCH messages out: throughput, latency, memory.
    Engine(crate::engine::EngineArgs),
    /// Holds two sets of JSON reports against each other: medians, spread, verdict.
    Compare(CompareArgs),
    /// What the host steals from a core that only spins.
    Jitter(JitterArgs),
    /// What a hand-off between two threads costs
    Ring(crate::micro::ring::RingArgs),
    /// What coding one message costs
    Codec(crate::micro::codec::CodecArgs),
    /// Makes a journal and replays it: records a second, and where the time goes.
    Replay(crate::replay::ReplayArgs),
    /// The journal's writer beside raw writes of the same sizes, flags and depth
    Journal(crate::journal::JournalArgs),
    /// Latency from ring to ring, with and without a snapshot being taken on another core
    Snapshots(crate::snapshots::SnapshotsArgs),
    /// Latency from ring to ring with everything on one core, and with the gateway on another
    Layout(crate::layout::LayoutArgs),
}

/// What a run ended with.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// The figures are valid, the comparison is clean.
    Good,
    /// The command ran, but its outcome is not to be trusted, or not what it should be; it said why.
    Bad,
}

impl Verdict {
    const fn of(is_good: bool) -> Self {
        if is_good { Self::Good } else { Self::Bad }
    }
}

/// Why a bench command could not run.
#[derive(Debug, Error)]
pub enum BenchError {
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error(transparent)]
    Floor(#[from] FloorError),
    #[error(transparent)]
    Echo(#[from] EchoError),
    #[error(transparent)]
    Lobster(#[from] LobsterError),
    #[error(transparent)]
    Itch(#[from] ItchError),
    #[error(transparent)]
    Link(#[from] LinkError),
    #[error(transparent)]
    Book(#[from] crate::book::BookBenchError),
    #[error(transparent)]
    Engine(#[from] crate::engine::EngineBenchError),
    #[error(transparent)]
    Replay(#[from] crate::replay::ReplayBenchError),
    #[error(transparent)]
    Journal(#[from] crate::journal::JournalBenchError),
    #[error(transparent)]
    Snapshots(#[from] crate::snapshots::SnapshotsBenchError),
    #[error(transparent)]
    Layout(#[from] crate::layout::LayoutBenchError),
    #[error(transparent)]
    Local(#[from] ApplyError),
    #[error(transparent)]
    Compare(#[from] CompareError),
    #[error(transparent)]
    Flow(#[from] crate::flow::compare::CompareFlowError),
    #[error(transparent)]
    Pin(#[from] PinError),
    #[error("--login-pattern: {0}")]
    Pattern(String),
    #[error("--sweep measures one server: leave --floor-rounds out")]
    SweepAgainstFloor,
    #[error(transparent)]
    Ring(#[from] crate::micro::ring::RingBenchError),
    #[error("cannot write {what}: {source}")]
    Write { what: String, source: io::Error },
    #[error("cannot print the report as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl From<ReplayError> for BenchError {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::File(error) => Self::Lobster(error),
            ReplayError::Itch(error) => Self::Itch(error),
            ReplayError::Link(error) => Self::Link(error),
        }
    }
}

/// Runs a bench command and prints its report; an error is for the caller to print.
pub fn run(command: &BenchCommand) -> Result<Verdict, BenchError> {
    run_to(command, &mut io::stdout())
}

/// As `run`, to any output.
pub fn run_to(command: &BenchCommand, out: &mut dyn Write) -> Result<Verdict, BenchError> {
    // As `serve` does. Where it cannot be done, the page faults show in the figures.
    let _ = lockstep_node::residence::populate_program();
    match command {
        BenchCommand::Order(args) => order(args, out),
        BenchCommand::Echo(args) => echo(args, out),
        BenchCommand::ReplayMarket(args) => replay_market(args, out),
        BenchCommand::Book(args) => book(args, out),
        BenchCommand::Engine(args) => {
            print(&crate::engine::run(args)?, args.json, out)?;
            Ok(Verdict::Good)
        }
        BenchCommand::Compare(args) => {
            let report = crate::compare::run(args)?;
            print(&report, args.json, out)?;
            Ok(Verdict::of(report.is_good()))
        }
        BenchCommand::Flow(args) => {
            let files: Vec<_> = args.compare.iter().map(PathBuf::as_path).collect();
            let report = crate::flow::compare::compare(&files, args.seed)?;
            print(&report, args.json, out)?;
            Ok(Verdict::of(report.is_good()))
        }
        BenchCommand::Jitter(args) => {
            print(&crate::jitter::run(args)?, args.json, out)?;
            Ok(Verdict::Good)
        }
        BenchCommand::Ring(args) => {
            print(&crate::micro::ring::run(args)?, args.json, out)?;
            Ok(Verdict::Good)
        }
        BenchCommand::Codec(args) => {
            print(&crate::micro::codec::run(args)?, args.json, out)?;
            Ok(Verdict::Good)
        }
        BenchCommand::Replay(args) => replay(args, out),
        BenchCommand::Journal(args) => {
            print(&crate::journal::run(args)?, args.json, out)?;
            Ok(Verdict::Good)
        }
        BenchCommand::Snapshots(args) => {
            print(&crate::snapshots::run(args)?, args.json, out)?;
            Ok(Verdict::Good)
        }
        BenchCommand::Layout(args) => {
            print(&crate::layout::run(args)?, args.json, out)?;
            Ok(Verdict::Good)
        }
    }
}

fn order(args: &OrderArgs, out: &mut dyn Write) -> Result<Verdict, BenchError> {
    let senders = args.senders().map_err(BenchError::Pattern)?;
    let idle = args.idle().map_err(BenchError::Pattern)?;
    let mut options = args.load.options(args.address, senders, idle);
    options.policy.clone_from(&args.policy);
    options.server_layout.clone_from(&args.server_layout);
    options.counters.clone_from(&args.counters);
    options.venue_pid = args.venue_pid;
    if args.load.sweep.is_some() && args.floor_rounds > 0 {
        return Err(BenchError::SweepAgainstFloor);
    }
    if args.floor_rounds > 0 {
        let sessions = options.logins.len() + options.idle_logins.len();
        let echo = args.server.options(args.load.driver, sessions);
        let mut turn = |turn| signal_venue(args.venue_pid, turn);
        let mut report = against_floor(&options, &echo, args.floor_rounds, &mut turn)?;
        if args.half_rounds > 0 {
            report
                .add_half(&options, args.half_rounds)
                .map_err(FloorError::Load)?;
        }
        write_page(&report, &args.load)?;
        print(&report, args.load.json, out)?;
        return Ok(Verdict::of(report.is_valid()));
    }
    if let Some(range) = args.load.sweep {
        let mut step = |options: &LoadOptions| Ok(run_load(options)?.report);
        return sweep_to(&options, range, &mut step, &args.load, out);
    }
    let neighbours = args.neighbours().map_err(BenchError::Pattern)?;
    if args.neighbours.beside_rounds > 0 {
        let report = run_rounds(&options, &neighbours, args.neighbours.beside_rounds)?;
        write_page(&report, &args.load)?;
        print(&report, args.load.json, out)?;
        return Ok(Verdict::of(report.is_valid()));
    }
    let outcome = run_beside(&options, &neighbours)?;
    finish(&outcome, &args.load, out)
}

fn echo(args: &EchoArgs, out: &mut dyn Write) -> Result<Verdict, BenchError> {
    let login = |number: usize| {
        parse_login(&format!("E{number}:FLOOR")).unwrap_or_else(|_| unreachable!("legal"))
    };
    let (sessions, idle) = (args.sessions.min(99_999), args.idle_sessions.min(99_999));
    let logins = (0..sessions).map(login).collect();
    let idle_logins = (sessions..sessions + idle).map(login).collect();
    let nowhere = SocketAddr::from(([127, 0, 0, 1], 0));
    let options = args.load.options(nowhere, logins, idle_logins);
    let server = args.server.options(args.load.driver, sessions + idle);
    if let Some(range) = args.load.sweep {
        // A server a step: one of so many connections may not have noticed yet that the last step's are gone.
        let mut step = |options: &LoadOptions| Ok(run_floor(options, &server)?.report);
        return sweep_to(&options, range, &mut step, &args.load, out);
    }
    let outcome = run_floor(&options, &server)?;
    finish(&outcome, &args.load, out)
}

fn book(args: &crate::book::BookArgs, out: &mut dyn Write) -> Result<Verdict, BenchError> {
    print(&crate::book::run(args)?, args.json, out)?;
    Ok(Verdict::Good)
}

fn replay(args: &crate::replay::ReplayArgs, out: &mut dyn Write) -> Result<Verdict, BenchError> {
    print(&crate::replay::run(args)?, args.json, out)?;
    Ok(Verdict::Good)
}

fn sweep_to(
    options: &LoadOptions,
    range: Range,
    run: &mut dyn FnMut(&LoadOptions) -> Result<LoadReport, BenchError>,
    args: &LoadArgs,
    out: &mut dyn Write,
) -> Result<Verdict, BenchError> {
    let mut progress = |step: &Step| {
        let (offered, p99) = (step.offered_per_s, step.report.all.p99 / 1000);
        eprintln!("{offered} requests/s: p99 {p99} µs");
    };
    let report = sweep(options, range, run, &mut progress)?;
    write_page(&report, args)?;
    print(&report, args.json, out)?;
    Ok(Verdict::of(report.is_valid()))
}

fn write_page(report: &dyn Page, args: &LoadArgs) -> Result<(), BenchError> {
    let Some(path) = &args.html else {
        return Ok(());
    };
    std::fs::write(path, page(report)).map_err(|source| BenchError::Write {
        what: path.display().to_string(),
        source,
    })
}

/// Writes the histograms and the page if asked to, and prints the report.
fn finish(
    outcome: &LoadOutcome,
    args: &LoadArgs,
    out: &mut dyn Write,
) -> Result<Verdict, BenchError> {
    if let Some(prefix) = &args.hgrm {
        write_histograms(outcome, prefix)?;
    }
    if let Some(path) = &args.hlog {
        outcome
            .write_hlog_file(path)
            .map_err(|source| BenchError::Write {
                what: path.display().to_string(),
                source,
            })?;
    }
    write_page(&outcome.report, args)?;
    print(&outcome.report, args.json, out)?;
    Ok(Verdict::of(outcome.report.is_valid()))
}

fn write_histograms(outcome: &LoadOutcome, prefix: &Path) -> Result<(), BenchError> {
    let written = outcome.write_hgrm_files(prefix);
    written.map(drop).map_err(|source| BenchError::Write {
        what: prefix.display().to_string(),
        source,
    })
}

/// Stops the venue for the floor's turn and lets it go on for its own.
fn signal_venue(venue: Option<u32>, turn: Turn) -> io::Result<()> {
    let Some(process) = venue else {
        return Ok(());
    };
    let signal = match turn {
        Turn::Venue => "-CONT",
        Turn::Floor => "-STOP",
    };
    // The crate has no unsafe code, so no kill(2) of its own; POSIX has the command.
    let status = Command::new("kill")
        .arg(signal)
        .arg(process.to_string())
        .status()?;
    if status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!(
        "kill {signal} {process} failed: {status}"
    )))
}

fn print<R: Serialize + Display>(
    report: &R,
    as_json: bool,
    out: &mut dyn Write,
) -> Result<(), BenchError> {
    let text = if as_json {
        serde_json::to_string_pretty(report)?
    } else {
        report.to_string()
    };
    write(&text, out)
}

fn write(text: &str, out: &mut dyn Write) -> Result<(), BenchError> {
    writeln!(out, "{text}").map_err(|source| BenchError::Write {
        what: "the report".to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests;
