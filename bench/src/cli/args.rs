//! Options of the bench commands, and what they mean.

use crate::client::request::symbol;
use crate::echo::EchoOptions;
use crate::load::neighbours::{NeighbourOptions, STALL_REQUESTS};
use crate::load::run::{LoadOptions, Pace};
use crate::load::schedule::Profile;
use crate::load::stream::{Market, Mix};
use crate::load::sweep::Range;
use crate::market::replay::{MISMATCHES_MAX, WINDOW_MAX};
use crate::measure::thread::Idle;
use clap::Args;
use lockstep_net::{DriverKind, Limits};
use lockstep_wire::soup::Login;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

/// The load, whatever it is put on.
#[derive(Clone, Debug, Args)]
pub struct LoadArgs {
    /// Requests a second over all sessions (open loop).
    #[arg(long, default_value_t = 20_000, conflicts_with = "window")]
    pub rate: u64,
    /// How they are spread: even, bursts:N (N at once), market (as in a recorded day).
    #[arg(long, default_value = "even", conflicts_with = "window")]
    pub profile: Profile,
    /// One rate after another, FROM:TO requests a second, each half as high again, up to the knee.
    #[arg(long, value_name = "FROM:TO", conflicts_with_all = ["window", "rate"])]
    pub sweep: Option<Range>,
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
    /// Write an interval log of all classes together.
    #[arg(long, value_name = "FILE", conflicts_with = "sweep")]
    pub hlog: Option<PathBuf>,
    /// Write the report as one HTML file with charts, readable offline.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
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
    #[arg(long = "login", required_unless_present = "sessions", value_parser = parse_login)]
    pub logins: Vec<Login>,
    /// So many sessions that send, named by --login-pattern.
    #[arg(long, requires = "pattern", conflicts_with = "logins", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub sessions: Option<u64>,
    /// USER:PASSWORD of those sessions; % in USER stands for 1, 2, 3 …
    #[arg(long = "login-pattern", id = "pattern", requires = "sessions")]
    pub pattern: Option<String>,
    /// USER:PASSWORD of a session that only stays logged in; repeatable.
    #[arg(long = "idle-login", value_parser = parse_login)]
    pub idle_logins: Vec<Login>,
    #[command(flatten)]
    pub neighbours: NeighbourArgs,
    /// The venue's acknowledgement policy, for the report.
    #[arg(long, default_value = "not stated")]
    pub policy: String,
    /// The venue's thread layout, for the report.
    #[arg(long, default_value = "not stated")]
    pub server_layout: String,
    /// The venue's counters file: what it did meanwhile is printed beside the figures.
    #[arg(long, value_name = "FILE")]
    pub counters: Option<PathBuf>,
    /// Rounds of venue and echo server by turns; 0 measures the venue alone.
    #[arg(long, default_value_t = 0)]
    pub floor_rounds: usize,
    /// Behind the rounds, so many runs of the venue at half of its median throughput, open loop.
    #[arg(long, default_value_t = 0, requires = "floor_rounds")]
    pub half_rounds: usize,
    /// Process of the venue, stopped (SIGSTOP) while the echo server has its turn.
    #[arg(long)]
    pub venue_pid: Option<u32>,
    #[command(flatten)]
    pub server: ServerArgs,
    #[command(flatten)]
    pub load: LoadArgs,
}

/// Who else is at the venue while the sessions are measured. Users are numbered on behind those that send.
#[derive(Clone, Debug, Args)]
pub struct NeighbourArgs {
    /// So many further sessions of the pattern that only stay logged in.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=10_000))]
    pub idle_sessions: u64,
    /// … that send as fast as the venue takes it.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=1_000))]
    pub flooders: u64,
    /// Unanswered requests of each of them.
    #[arg(long, default_value_t = 8_192, value_parser = clap::value_parser!(u64).range(1..=1 << 20))]
    pub flood_window: u64,
    /// … that log in, send and never read.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=1_000))]
    pub stalled_readers: u64,
    /// Connections at once that log in with a wrong password, again and again.
    #[arg(long, default_value_t = 0, value_parser = clap::value_parser!(u64).range(0..=1_000))]
    pub login_floods: u64,
    /// Rounds without and with them by turns; 0 measures once, with them.
    #[arg(long, default_value_t = 0, conflicts_with_all = ["floor_rounds", "sweep"])]
    pub beside_rounds: usize,
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
pub struct FlowArgs {
    /// LOBSTER message files or ITCH 5.0 files to stand beside the model.
    #[arg(long, num_args = 1.., value_name = "FILE")]
    pub compare: Vec<PathBuf>,
    /// Of the model's run.
    #[arg(long)]
    pub seed: Option<u64>,
    /// One JSON object instead of the table.
    #[arg(long)]
    pub json: bool,
}

#[derive(Clone, Debug, Args)]
pub struct ReplayMarketArgs {
    /// LOBSTER message files, plain or .xz (the order-book file beside each is found by its name), or
    /// ITCH 5.0 files, plain or .gz, known by `itch` in their names.
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
    /// Print the [[instrument]] tables that a venue needs for the files, and do nothing else.
    #[arg(long)]
    pub instruments: bool,
    /// Rows (ITCH: messages) to replay at most.
    #[arg(long, default_value_t = u64::MAX, hide_default_value = true)]
    pub rows_max: u64,
    /// Rows compared (ITCH: events reproduced) without which the outcome does not count.
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

impl OrderArgs {
    /// The sessions that send.
    pub fn senders(&self) -> Result<Vec<Login>, String> {
        match self.sessions {
            Some(sessions) => self.patterned(0, sessions),
            None => Ok(self.logins.clone()),
        }
    }

    /// The sessions that only stay logged in.
    pub fn idle(&self) -> Result<Vec<Login>, String> {
        let patterned =
            self.patterned(self.sessions.unwrap_or(0), self.neighbours.idle_sessions)?;
        Ok([self.idle_logins.as_slice(), &patterned].concat())
    }

    /// The bad neighbours.
    pub fn neighbours(&self) -> Result<NeighbourOptions, String> {
        let args = &self.neighbours;
        let behind_idle = self.sessions.unwrap_or(0) + args.idle_sessions;
        let wrong = |user: &str| parse_login(&format!("{user}:WRONG"));
        Ok(NeighbourOptions {
            flooders: self.patterned(behind_idle, args.flooders)?,
            flood_window: args.flood_window as usize,
            stalled_readers: self.patterned(behind_idle + args.flooders, args.stalled_readers)?,
            stall_requests: STALL_REQUESTS,
            login_floods: args.login_floods as usize,
            wrong_login: Some(wrong("NOBODY")?),
        })
    }

    /// `count` sessions of the pattern behind the first `behind`.
    fn patterned(&self, behind: u64, count: u64) -> Result<Vec<Login>, String> {
        if count == 0 {
            return Ok(Vec::new());
        }
        let Some(pattern) = &self.pattern else {
            return Err("sessions by their number need --sessions and --login-pattern".to_owned());
        };
        if !pattern.contains('%') && behind + count > 1 {
            return Err("a login pattern for several sessions has a % in USER".to_owned());
        }
        (behind + 1..=behind + count)
            .map(|number| parse_login(&pattern.replacen('%', &number.to_string(), 1)))
            .collect()
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
            profile: self.profile,
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
            counters: None,
            venue_pid: None,
        }
    }
}

impl ServerArgs {
    pub(super) fn options(&self, driver: DriverKind, sessions: usize) -> EchoOptions {
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

/// A symbol as on the wire.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Symbol(pub [u8; 8]);

pub(super) fn parse_symbol(text: &str) -> Result<Symbol, String> {
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
