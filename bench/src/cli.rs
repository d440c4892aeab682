//! `bench …` of the command line: options, tables, JSON.
//!
//! Everything is a function of the parsed options; the binary only hands them over. Tables and JSON go
//! to standard output, progress to standard error.

use crate::client::request::symbol;
use crate::echo::{EchoError, EchoOptions};
use crate::load::floor::{FloorError, FloorReport, Turn, against_floor, run_floor};
use crate::load::run::{LoadError, LoadOptions, Pace, run as run_load};
use crate::load::stream::{Market, Mix};
use crate::local::{LocalLimits, LocalVenue};
use crate::market::link::{LinkError, VenueLink};
use crate::market::lobster::{LobsterError, LobsterFiles, symbol_of};
use crate::market::replay::{MISMATCHES_MAX, ReplayOptions, WINDOW_MAX};
use crate::market::report::MarketReport;
use crate::market::run::{ReplayError, RunLimits, run as run_replay};
use crate::market::sockets::{SocketLink, SocketOptions};
use crate::measure::setting::Setting;
use crate::measure::thread::Idle;
use clap::{Args, Subcommand};
use lockstep_core::ApplyError;
use lockstep_net::{DriverKind, Limits};
use lockstep_wire::soup::Login;
use serde::Serialize;
use std::fmt::Display;
use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;
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

/// The load, whatever it is put on.
#[derive(Clone, Debug, Args)]
pub struct LoadArgs {
    /// Requests a second over all sessions, evenly spaced (open loop).
    #[arg(long, default_value_t = 20_000, conflicts_with = "window")]
    pub rate: u64,
    /// Closed loop instead: so many requests of each session unanswered.
    #[arg(long)]
    pub window: Option<usize>,
    /// Weights of enter:cancel:replace:cross.
    #[arg(long, default_value = "430:390:50:130", value_parser = parse_mix)]
    pub mix: Mix,
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// Seconds sent and not measured.
    #[arg(long, default_value = "2", value_parser = parse_seconds)]
    pub warm_up: Duration,
    /// Seconds measured.
    #[arg(long, default_value = "10", value_parser = parse_seconds)]
    pub duration: Duration,
    /// Unanswered requests of a session at most.
    #[arg(long, default_value_t = 16_384)]
    pub in_flight_max: usize,
    /// Own resting orders of a session at most.
    #[arg(long, default_value_t = 1_000)]
    pub resting_max: usize,
    /// Core of the generator.
    #[arg(long)]
    pub core: Option<usize>,
    /// What the generator does while nothing is due.
    #[arg(long, value_enum, default_value_t = Idle::Spin)]
    pub idle: Idle,
    /// Socket driver: auto, io_uring or epoll.
    #[arg(long, default_value = "auto")]
    pub driver: DriverKind,
    /// Symbol to trade; repeatable, sessions take turns.
    #[arg(long = "symbol", default_value = "LKST", value_parser = parse_symbol)]
    pub symbols: Vec<Symbol>,
    /// Price around which orders are entered, in 1/10,000.
    #[arg(long, default_value_t = 1_000_000)]
    pub price: u64,
    /// Tick of the symbols, in 1/10,000.
    #[arg(long, default_value_t = 100)]
    pub tick: u64,
    /// Shares of every order.
    #[arg(long, default_value_t = 100)]
    pub quantity: u32,
    /// One JSON object instead of the table.
    #[arg(long)]
    pub json: bool,
    /// Write PREFIX-CLASS.hgrm files of the raw histograms.
    #[arg(long, value_name = "PREFIX")]
    pub hgrm: Option<PathBuf>,
}

/// The echo server that is the floor.
#[derive(Clone, Debug, Args)]
pub struct ServerArgs {
    /// Core of the echo server.
    #[arg(long)]
    pub server_core: Option<usize>,
    /// What the echo server does while nothing arrives.
    #[arg(long, value_enum, default_value_t = Idle::Spin)]
    pub server_idle: Idle,
}

#[derive(Clone, Debug, Args)]
pub struct OrderArgs {
    /// OUCH address of the venue.
    #[arg(long)]
    pub address: SocketAddr,
    /// USER:PASSWORD of a session that sends; repeatable.
    #[arg(long = "login", required = true, value_parser = parse_login)]
    pub logins: Vec<Login>,
    /// USER:PASSWORD of a session that only stays logged in; repeatable.
    #[arg(long = "idle-login", value_parser = parse_login)]
    pub idle_logins: Vec<Login>,
    /// The venue's acknowledgement policy, for the report.
    #[arg(long, default_value = "not stated")]
    pub policy: String,
    /// The venue's thread layout, for the report.
    #[arg(long, default_value = "not stated")]
    pub server_layout: String,
    /// Rounds of venue and echo server by turns; 0 measures the venue alone.
    #[arg(long, default_value_t = 0)]
    pub floor_rounds: usize,
    /// Process of the venue, stopped (SIGSTOP) while the echo server has its turn.
    #[arg(long)]
    pub venue_pid: Option<u32>,
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub load: LoadArgs,
}

#[derive(Clone, Debug, Args)]
pub struct EchoArgs {
    /// Sessions that send.
    #[arg(long, default_value_t = 1)]
    pub sessions: usize,
    /// Sessions that only stay logged in.
    #[arg(long, default_value_t = 0)]
    pub idle_sessions: usize,
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub load: LoadArgs,
}

#[derive(Clone, Debug, Args)]
pub struct ReplayMarketArgs {
    /// LOBSTER message files, plain or .xz; the order-book file beside each is found by its name.
    #[arg(required = true)]
    pub files: Vec<PathBuf>,
    /// OUCH address of the venue; without it, the state machine in this process.
    #[arg(long, requires_all = ["maker", "taker", "reveal"])]
    pub address: Option<SocketAddr>,
    /// USER:PASSWORD for resting orders.
    #[arg(long, value_parser = parse_login)]
    pub maker: Option<Login>,
    /// USER:PASSWORD for aggressors.
    #[arg(long, value_parser = parse_login)]
    pub taker: Option<Login>,
    /// USER:PASSWORD for liquidity that the file only reveals.
    #[arg(long, value_parser = parse_login)]
    pub reveal: Option<Login>,
    /// Requests in flight at most.
    #[arg(long, default_value_t = 64, value_parser = clap::value_parser!(u16).range(1..=WINDOW_MAX as i64))]
    pub window: u16,
    /// Rows to replay at most.
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true)]
    pub rows_max: u64,
    /// Rows that must have been compared for the outcome to count.
    #[arg(long, default_value_t = 1)]
    pub rows_min: u64,
    /// Give up after so many mismatches.
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u16).range(1..=MISMATCHES_MAX as i64))]
    pub mismatches_max: u16,
    /// Seconds to wait for an answer.
    #[arg(long, default_value = "10", value_parser = parse_seconds)]
    pub answer_timeout: Duration,
    /// Leave what rests at the end in the book.
    #[arg(long)]
    pub keep_book: bool,
    /// Socket driver: auto, io_uring or epoll.
    #[arg(long, default_value = "auto")]
    pub driver: DriverKind,
    /// What to do while answers are awaited.
    #[arg(long, value_enum, default_value_t = Idle::Yield)]
    pub idle: Idle,
    /// One JSON object instead of the table.
    #[arg(long)]
    pub json: bool,
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
        BenchCommand::Replay(args) => replay(args, out),
    }
}

impl LoadArgs {
    /// Options of the load on `address`.
    pub fn options(
        &self,
        address: SocketAddr,
        logins: Vec<Login>,
        idle_logins: Vec<Login>,
    ) -> LoadOptions {
        let market = |Symbol(symbol): &Symbol| Market {
            symbol: *symbol,
            price: self.price,
            tick: self.tick,
            quantity: self.quantity,
        };
        LoadOptions {
            address,
            driver: self.driver,
            logins,
            idle_logins,
            markets: self.symbols.iter().map(market).collect(),
            pace: match self.window {
                Some(requests) => Pace::Window { requests },
                None => Pace::Rate { per_s: self.rate },
            },
            mix: self.mix,
            seed: self.seed,
            warm_up: self.warm_up,
            duration: self.duration,
            in_flight_max: self.in_flight_max,
            resting_max: self.resting_max,
            core: self.core,
            idle: self.idle,
            policy: String::new(),
            server_layout: String::new(),
        }
    }
}

impl ServerArgs {
    fn options(&self, driver: DriverKind, sessions: usize) -> EchoOptions {
        EchoOptions {
            address: SocketAddr::from(([127, 0, 0, 1], 0)),
            driver,
            core: self.server_core,
            idle: self.server_idle,
            limits: Limits {
                connections_max: u32::try_from(sessions.max(1)).unwrap_or(u32::MAX),
                ..Limits::default()
            },
        }
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
    if let Some(prefix) = &args.load.hgrm {
        outcome
            .write_hgrm_files(prefix)
            .map_err(|source| BenchError::Write {
                what: prefix.display().to_string(),
                source,
            })?;
    }
    print(&outcome.report, args.load.json, out)?;
    Ok(Verdict::of(outcome.report.is_valid()))
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
    if let Some(prefix) = &args.load.hgrm {
        outcome
            .write_hgrm_files(prefix)
            .map_err(|source| BenchError::Write {
                what: prefix.display().to_string(),
                source,
            })?;
    }
    print(&outcome.report, args.load.json, out)?;
    Ok(Verdict::of(outcome.report.is_valid()))
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

/// One file's outcome, for JSON.
#[derive(Serialize)]
struct FileReport {
    file: String,
    symbol: String,
    setting: Setting,
    report: MarketReport,
}

fn replay(args: &crate::replay::ReplayArgs, out: &mut dyn Write) -> Result<Verdict, BenchError> {
    print(&crate::replay::run(args)?, args.json, out)?;
    Ok(Verdict::Good)
}

fn replay_market(args: &ReplayMarketArgs, out: &mut dyn Write) -> Result<Verdict, BenchError> {
    let mut reports = Vec::new();
    let mut is_good = true;
    for path in &args.files {
        let mut files = LobsterFiles::open(path)?;
        let ticker = symbol_of(path)?;
        let name = path
            .file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned();
        let (driver, report) = replay_one(args, &mut files, &ticker, &name)?;
        is_good &= report.is_clean() && report.compared.rows >= args.rows_min;
        if !args.json {
            write(&format!("{name} ({ticker}, {driver})\n{report}"), out)?;
            if report.compared.rows < args.rows_min {
                let (rows, rows_min) = (report.compared.rows, args.rows_min);
                eprintln!("{name}: {rows} rows compared, fewer than the {rows_min} asked for");
            }
        }
        reports.push(FileReport {
            file: name,
            symbol: ticker,
            setting: Setting::new(
                &driver,
                "not stated",
                &format!("client unpinned {}", args.idle),
            ),
            report,
        });
    }
    if args.json {
        let whole = serde_json::json!({ "files": reports, "is_good": is_good });
        write(&serde_json::to_string_pretty(&whole)?, out)?;
    }
    Ok(Verdict::of(is_good))
}

fn replay_one(
    args: &ReplayMarketArgs,
    files: &mut LobsterFiles,
    ticker: &str,
    name: &str,
) -> Result<(String, MarketReport), BenchError> {
    let Symbol(symbol) = parse_symbol(ticker).unwrap_or(Symbol([b' '; 8]));
    let mut options = ReplayOptions::new(symbol);
    options.window = usize::from(args.window);
    options.mismatches_max = usize::from(args.mismatches_max);
    options.cancels_at_end = !args.keep_book;
    let (Some(address), Some(maker), Some(taker), Some(reveal)) =
        (args.address, args.maker, args.taker, args.reveal)
    else {
        let users = [*b"MAKER ", *b"TAKER ", *b"REVEAL"];
        let mut venue = LocalVenue::new(&users, &[symbol], LocalLimits::default())?;
        let report = replay_through(args, files, &mut venue, options, name)?;
        return Ok(("state machine in this process".to_owned(), report));
    };
    let mut link = SocketLink::connect(&SocketOptions {
        address,
        logins: [maker, taker, reveal],
        driver: args.driver,
        idle: args.idle,
    })?;
    options.last_user_refs = link.last_user_refs();
    let driver = link.driver().to_string();
    let report = replay_through(args, files, &mut link, options, name)?;
    link.log_out();
    Ok((driver, report))
}

fn replay_through<L: VenueLink>(
    args: &ReplayMarketArgs,
    files: &mut LobsterFiles,
    link: &mut L,
    options: ReplayOptions,
    name: &str,
) -> Result<MarketReport, BenchError> {
    let limits = RunLimits {
        answer_timeout: args.answer_timeout,
        rows_max: args.rows_max,
    };
    let shows = io::stderr().is_terminal();
    let mut progress = |row: u64| {
        if shows {
            eprint!("\r{name}: row {row}");
        }
    };
    let report = run_replay(files, link, options, limits, &mut progress);
    if shows {
        eprint!("\r\x1b[K");
    }
    Ok(report?)
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

/// A symbol as on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Symbol(pub [u8; 8]);

fn parse_symbol(text: &str) -> Result<Symbol, String> {
    symbol(text)
        .map(Symbol)
        .ok_or_else(|| "a symbol has 1 to 8 printable characters without spaces".to_owned())
}

/// `USER:PASSWORD`, for new messages only.
pub fn parse_login(text: &str) -> Result<Login, String> {
    let (user, password) = text.split_once(':').ok_or("a login is USER:PASSWORD")?;
    Login::new(user, password, 0).map_err(|error| error.to_string())
}

fn parse_mix(text: &str) -> Result<Mix, String> {
    let weights: Vec<u32> = text
        .split(':')
        .filter_map(|weight| weight.parse().ok())
        .collect();
    match weights.as_slice() {
        [enter, cancel, replace, cross]
            if text.split(':').count() == 4 && weights.iter().any(|weight| *weight > 0) =>
        {
            Ok(Mix {
                enter: *enter,
                cancel: *cancel,
                replace: *replace,
                cross: *cross,
            })
        }
        _ => Err("a mix is four weights, not all 0: enter:cancel:replace:cross".to_owned()),
    }
}

/// Seconds with up to three decimals.
fn parse_seconds(text: &str) -> Result<Duration, String> {
    let complaint = || "seconds, with up to three decimals, at most 86400".to_owned();
    let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
    if decimals.len() > 3
        || decimals.is_empty()
        || !decimals.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Err(complaint());
    }
    let seconds: u64 = whole.parse().map_err(|_| complaint())?;
    let millis: u64 = format!("{decimals:0<3}").parse().map_err(|_| complaint())?;
    if seconds > 86_400 {
        return Err(complaint());
    }
    Ok(Duration::from_millis(seconds * 1000 + millis))
}

#[cfg(test)]
#[path = "cli_tests.rs"]
mod tests;
