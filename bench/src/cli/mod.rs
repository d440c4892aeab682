//! `bench …` of the command line: options, tables, JSON.
//!
//! Everything is a function of the parsed options; the binary only hands them over. Tables and JSON go
//! to standard output, progress to standard error.

mod args;
mod market;

pub use args::{EchoArgs, LoadArgs, OrderArgs, ReplayMarketArgs, ServerArgs, Symbol, parse_login};

use crate::echo::EchoError;
use crate::load::floor::{FloorError, FloorReport, Turn, against_floor, run_floor};
use crate::load::report::LoadOutcome;
use crate::load::run::{LoadError, run as run_load};
use crate::market::link::LinkError;
use crate::market::lobster::LobsterError;
use crate::market::run::ReplayError;
use clap::Subcommand;
use lockstep_core::ApplyError;
use market::replay_market;
use serde::Serialize;
use std::fmt::Display;
use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use thiserror::Error;

/// Measures a venue, or replays a recorded market through it.
#[derive(Clone, Debug, Subcommand)]
pub enum BenchCommand {
    /// OUCH load on a running venue: open or closed loop, latency from the intended send time.
    Order(OrderArgs),
    /// The same load on an echo server of the same message sizes: the floor.
    Echo(EchoArgs),
    /// Replays LOBSTER files through a venue and compares its book, row by row.
    ReplayMarket(ReplayMarketArgs),
    /// The order book alone, on the stream by which engines are compared: throughput, latency, memory.
    Book(crate::book::BookArgs),
    /// Makes a journal and replays it: records a second, and where the time goes.
    Replay(crate::replay::ReplayArgs),
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
    Link(#[from] LinkError),
    #[error(transparent)]
    Book(#[from] crate::book::BookBenchError),
    #[error(transparent)]
    Replay(#[from] crate::replay::ReplayBenchError),
    #[error(transparent)]
    Local(#[from] ApplyError),
    #[error("cannot write {what}: {source}")]
    Write { what: String, source: io::Error },
    #[error("cannot print the report as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

impl From<ReplayError> for BenchError {
    fn from(error: ReplayError) -> Self {
        match error {
            ReplayError::File(error) => Self::Lobster(error),
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
    match command {
        BenchCommand::Order(args) => order(args, out),
        BenchCommand::Echo(args) => echo(args, out),
        BenchCommand::ReplayMarket(args) => replay_market(args, out),
        BenchCommand::Book(args) => book(args, out),
        BenchCommand::Replay(args) => replay(args, out),
    }
}

fn order(args: &OrderArgs, out: &mut dyn Write) -> Result<Verdict, BenchError> {
    let mut options =
        args.load
            .options(args.address, args.logins.clone(), args.idle_logins.clone());
    options.policy.clone_from(&args.policy);
    options.server_layout.clone_from(&args.server_layout);
    if args.floor_rounds > 0 {
        let sessions = options.logins.len() + options.idle_logins.len();
        let echo = args.server.options(args.load.driver, sessions);
        let mut turn = |turn| signal_venue(args.venue_pid, turn);
        let report: FloorReport = against_floor(&options, &echo, args.floor_rounds, &mut turn)?;
        print(&report, args.load.json, out)?;
        return Ok(Verdict::of(report.is_valid()));
    }
    let outcome = run_load(&options)?;
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
    let outcome = run_floor(
        &options,
        &args.server.options(args.load.driver, sessions + idle),
    )?;
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

/// Writes the histograms if asked to, and prints the report.
fn finish(
    outcome: &LoadOutcome,
    args: &LoadArgs,
    out: &mut dyn Write,
) -> Result<Verdict, BenchError> {
    if let Some(prefix) = &args.hgrm {
        write_histograms(outcome, prefix)?;
    }
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
