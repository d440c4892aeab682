//! `lockstep demo`: trade over real sockets, kill the venue in the middle, restart it, and prove that
//! nothing acknowledged was lost and nothing came twice.
//!
//! The record of what was acknowledged is the clients'; the venue is a child process ended by SIGKILL. A
//! proof that fails is exit code 1. Nothing but the own child is ever signalled.

// The tests over real processes use the whole of it (tools/tests/processes, tools/tests/soak).
#[allow(dead_code)]
mod flow;
mod latency;
mod proof;
// The tests over real processes use the whole of it (tools/tests/processes).
#[allow(dead_code)]
mod venue;

use clap::Args;
use flow::{Flow, FlowError, Sums};
use lockstep_journal::storage::Volatility;
use lockstep_node::fatal::{ExitCode, Fatal};
use lockstep_node::signals;
use proof::ProofError;
use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use thiserror::Error;
use venue::{Ended, VenueError, VenueFolder, VenuePlan, VenueProcess};

/// Seconds of load at most: clients remember every message of a run.
const SECONDS_MAX: u64 = 600;
/// Requests a second over all sessions.
const RATE_PER_S: u64 = 20_000;
const SESSIONS: u32 = 6;
/// One flow for everybody; what differs from run to run is when the kill meets it.
const SEED: u64 = 20_260_102;
/// For logins, catching up, hearing a day again.
const PATIENCE: Duration = Duration::from_secs(60);
/// A proof over less is none.
const MESSAGES_MIN: u64 = 1_000;
const TRADES_MIN: u64 = 50;

/// The venue shares the machine's cores with the demo's clients.
const LAYOUT: &str = "[[thread]]\nidle = \"park\"\n\
    agents = [\"gateway\", \"sequencer\", \"consensus\", \"journal\", \"engine\", \"stream\"]";

#[derive(Args)]
pub struct DemoArguments {
    /// Seconds of load, before and after the kill together
    #[arg(long, default_value_t = 6, value_parser = clap::value_parser!(u64).range(2..=SECONDS_MAX))]
    seconds: u64,
    /// A new folder for everything [default: demo-TIME in the build's target folder, else here]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Keep the folders of the latency table too
    #[arg(long)]
    keep: bool,
}

/// Why the demo ended early.
#[derive(Debug, Error)]
enum DemoError {
    #[error(transparent)]
    Venue(#[from] VenueError),
    #[error(transparent)]
    Flow(#[from] FlowError),
    #[error("PROOF FAILED: {0}")]
    Proof(#[from] ProofError),
    #[error("PROOF FAILED: {0}")]
    Clients(FlowError),
    #[error("{what} {}: {error}", path.display())]
    Folder {
        what: &'static str,
        path: PathBuf,
        error: std::io::Error,
    },
    #[error("interrupted; the venue was stopped")]
    Interrupted,
}

impl DemoError {
    /// The clients' accounts do not fit: that is a failed proof, the rest is the environment.
    fn of_clients(error: FlowError) -> Self {
        match error {
            FlowError::Venue(_) | FlowError::Trade { .. } | FlowError::TooSlow { .. } => {
                Self::Clients(error)
            }
            FlowError::Interrupted => Self::Interrupted,
            other => Self::Flow(other),
        }
    }
}

pub fn run(arguments: &DemoArguments) -> Result<(), Fatal> {
    let setup = |e| Fatal::new(ExitCode::Setup, format!("demo: {e}"));
    signals::install().map_err(setup)?;
    let binary = std::env::current_exe().map_err(setup)?;
    let path = match &arguments.dir {
        Some(path) => new_folder(path).map(|()| path.clone()),
        None => default_folder(&binary),
    };
    let failed = |e: DemoError| Fatal::new(ExitCode::CheckFailed, format!("demo: {e}"));
    let path = path.map_err(failed)?;
    say(&format!("everything is in {}", path.display()));
    let result = Demo::new(&binary, &path, arguments).and_then(|demo| demo.run());
    if let Err(error) = &result
        && !matches!(error, DemoError::Interrupted)
    {
        say(&format!(
            "journal, configuration and log stay in {}",
            path.display()
        ));
    }
    result.map_err(failed)
}

/// Standard output may be a pipe whose reader has gone.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _ = writeln!(out, "{text}").and_then(|()| out.flush());
}

fn new_folder(path: &Path) -> Result<(), DemoError> {
    let what = "a new folder could not be made at";
    let made = std::fs::create_dir(path);
    made.map_err(|error| DemoError::Folder {
        what,
        path: path.to_owned(),
        error,
    })
}

/// `demo-TIME` in the build's target folder; in the current folder for an installed binary.
fn default_folder(binary: &Path) -> Result<PathBuf, DemoError> {
    let target = binary.ancestors().find(|folder| folder.ends_with("target"));
    let (parent, name) = match target {
        Some(target) => (target.to_owned(), "demo"),
        None => (PathBuf::from("."), "lockstep-demo"),
    };
    let since = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default();
    let path = parent.join(format!("{name}-{}", since.as_millis()));
    new_folder(&path)?;
    let what = "cannot be found again:";
    path.canonicalize()
        .map_err(|error| DemoError::Folder { what, path, error })
}

/// A log buffer in memory where there is such a place, removed however the demo ends.
#[derive(Debug)]
struct LogBufferPlace(PathBuf);

impl LogBufferPlace {
    fn new(path: &Path, name: &str) -> Self {
        let memory = Path::new("/dev/shm");
        let file = format!("lockstep-demo-{}-{name}.log", std::process::id());
        Self(if memory.is_dir() {
            memory.join(file)
        } else {
            path.join(file)
        })
    }
}

impl Drop for LogBufferPlace {
    fn drop(&mut self) {
        // An orderly stop has removed it already.
        let _ = std::fs::remove_file(&self.0);
    }
}

struct Demo<'a> {
    binary: &'a Path,
    path: &'a Path,
    keep: bool,
    load: Duration,
    allow_volatile: bool,
    folder: VenueFolder,
    // Dropped after the process that uses it: `Demo::run` owns that.
    _log_buffer: LogBufferPlace,
}

impl<'a> Demo<'a> {
    fn new(binary: &'a Path, path: &'a Path, arguments: &DemoArguments) -> Result<Self, DemoError> {
        let what = "cannot look at";
        let volatility = Volatility::of(path).map_err(|error| DemoError::Folder {
            what,
            path: path.to_owned(),
            error,
        })?;
        let allow_volatile = volatility != Volatility::Durable;
        if let Volatility::Volatile(file_system) = volatility {
            say(&format!(
                "note: this folder is on {file_system}, which forgets at a power cut; so `durable` is no \
                 more than `local` here"
            ));
        }
        let log_buffer = LogBufferPlace::new(path, "venue");
        let plan = VenuePlan {
            sessions: SESSIONS,
            symbols: ["AAPL", "AMZN", "GOOG", "INTC", "MSFT"]
                .map(str::to_owned)
                .into(),
            more: LAYOUT.to_owned(),
            allow_volatile,
            segment_bytes: 16 << 20,
            log_buffer_bytes: 8 << 20,
            log_buffer: Some(log_buffer.0.clone()),
            ..VenuePlan::default()
        };
        Ok(Self {
            binary,
            path,
            keep: arguments.keep,
            load: Duration::from_secs(arguments.seconds),
            allow_volatile,
            folder: VenueFolder::create(path, plan)?,
            _log_buffer: log_buffer,
        })
    }

    fn run(mut self) -> Result<(), DemoError> {
        venue::format(self.binary, &self.folder)?;
        let mut flow = Flow::new(&self.folder, SEED).map_err(DemoError::of_clients)?;
        flow.stop_when(signals::stop_requested);
        for policy in ["durable", "local"] {
            self.crash(&mut flow, policy)?;
        }
        let ended = self.restart_and_trade(&mut flow)?;
        self.prove(&flow, &ended)?;
        self.latency();
        self.files();
        Ok(())
    }

    /// One life of the venue that ends by SIGKILL in the middle of the load.
    fn crash(&mut self, flow: &mut Flow, policy: &'static str) -> Result<(), DemoError> {
        let venue = self.start(policy)?;
        self.connect(flow, &venue)?;
        let begun = Instant::now();
        let kill_at = self.load * 2 / 5;
        let mut venue = Some(venue);
        let mut killed = None;
        let mut progress = Progress::new(flow.sums());
        let traded = flow.trade(self.load, RATE_PER_S, &mut |sums| {
            progress.show(sums);
            if begun.elapsed() >= kill_at
                && let Some(venue) = venue.take()
            {
                killed = Some(venue.kill());
            }
            !signals::stop_requested()
        });
        progress.end();
        traded.map_err(DemoError::of_clients)?;
        if signals::stop_requested() {
            return Err(DemoError::Interrupted);
        }
        flow.wait_down(PATIENCE).map_err(DemoError::of_clients)?;
        if let Some(ended) = killed {
            ended?;
        }
        let sums = flow.sums();
        say(&format!(
            "  SIGKILL under load: clients remember {} acknowledgements, {} requests are in doubt",
            sums.acknowledgements, sums.unanswered
        ));
        Ok(())
    }

    /// The last life: everything in doubt is cleared up, the day is heard again, an orderly end.
    fn restart_and_trade(&mut self, flow: &mut Flow) -> Result<Ended, DemoError> {
        let venue = self.start("durable")?;
        self.connect(flow, &venue)?;
        let mut progress = Progress::new(flow.sums());
        let traded = flow.trade(self.load / 5, RATE_PER_S, &mut |sums| {
            progress.show(sums);
            !signals::stop_requested()
        });
        progress.end();
        traded.map_err(DemoError::of_clients)?;
        if signals::stop_requested() {
            return Err(DemoError::Interrupted);
        }
        flow.settle(PATIENCE).map_err(DemoError::of_clients)?;
        let remembered = flow.sums().acknowledgements;
        let same = flow
            .hear_again(venue.address, PATIENCE)
            .map_err(DemoError::of_clients)?;
        say("proof");
        at_least("acknowledgements", remembered, MESSAGES_MIN)?;
        // More than remembered only by the answer to each session's own question after the login.
        at_least("acknowledgements heard again", same, remembered)?;
        say(&format!(
            "  heard the day again from number 1: all {remembered} acknowledgements are there, unchanged, \
             once, numbers unbroken"
        ));
        let trades = flow.check_trades().map_err(DemoError::of_clients)?;
        at_least("trades", trades, TRADES_MIN)?;
        say(&format!(
            "  each of {trades} trades was told to one buyer and one seller, alike"
        ));
        flow.log_out(PATIENCE).map_err(DemoError::of_clients)?;
        Ok(venue.stop()?)
    }

    /// Stopped: what the clients, the node and an independent replay say of the state.
    fn prove(&self, flow: &Flow, ended: &Ended) -> Result<(), DemoError> {
        if !ended.status.success() {
            let (status, log) = (ended.status, ended.log.clone());
            return Err(VenueError::Ended { status, log }.into());
        }
        let begun = Instant::now();
        let replayed = proof::replay(&self.folder.journal())?;
        let elapsed = begun.elapsed();
        proof::compare_hashes(ended.state(), &replayed)?;
        let apart = proof::replay_apart(self.binary, &self.folder.data())?;
        proof::compare_hashes(Some(apart), &replayed)?;
        say(&format!(
            "  the venue's state hash is an independent replay's: {} at sequence {}\n  \
             (`lockstep journal replay` in a process of its own; {} records in {} batches replayed in {} ms, {} digests in the log compared)",
            replayed.hash(),
            replayed.sequence(),
            replayed.records,
            replayed.batches,
            elapsed.as_millis(),
            replayed.digests_compared
        ));
        let compared = proof::compare_sessions(flow, &replayed.machine)?;
        at_least("messages in the state", compared.messages, MESSAGES_MIN)?;
        say(&format!(
            "  the state holds what {} sessions were told: {} open orders with their terms, next numbers \
             after {} messages",
            compared.sessions, compared.open_orders, compared.messages
        ));
        Ok(())
    }

    /// The table; a machine that cannot give figures does not fail the proof.
    fn latency(&self) {
        let cores = latency::Cores::of_this_machine();
        say(&format!(
            "latency, closed loop, one order in flight, {}, µs",
            cores.describe()
        ));
        say("  policy   driver       orders/s      p50      p99    p99.9      max");
        for policy in ["durable", "local"] {
            let path = self.path.join(format!("latency-{policy}"));
            let place = LogBufferPlace::new(&path, policy);
            let row = std::fs::create_dir(&path)
                .map_err(|error| VenueError::File {
                    what: "make",
                    path: path.clone(),
                    error,
                })
                .map_err(latency::LatencyError::from)
                .and_then(|()| {
                    let log_buffer = place.0.clone();
                    latency::measure(
                        self.binary,
                        &path,
                        policy,
                        cores,
                        log_buffer,
                        self.allow_volatile,
                    )
                });
            match row {
                Ok(row) => say(&table_row(&row)),
                Err(error) => say(&format!("  {policy:<8} no figures: {error}")),
            }
            if !self.keep {
                let _ = std::fs::remove_dir_all(&path);
            }
        }
        if cfg!(debug_assertions) {
            say(
                "  (not an optimised build: `cargo run --release -- demo` gives figures that mean something)",
            );
        }
    }

    fn files(&self) {
        say(&format!(
            "files in {}\n  venue.toml     configuration (users T1 to T{SESSIONS}, password {})\n  \
             data/journal   the log; `lockstep journal inspect | verify | replay`\n  data/streams   what each session was told\n  \
             data/counters  `lockstep counters FILE`\n  serve.log      the venue's log",
            self.path.display(),
            self.folder.password
        ));
    }

    fn start(&mut self, policy: &'static str) -> Result<VenueProcess, DemoError> {
        self.folder.plan.policy = policy;
        self.folder.write_config()?;
        let begun = Instant::now();
        let venue = VenueProcess::start(self.binary, &self.folder)?;
        for line in venue
            .lines()
            .iter()
            .filter(|line| line.starts_with("recover"))
        {
            say(&format!("  {line}"));
        }
        say(&format!(
            "venue under `{policy}`, process {}, on {} ({}), ready after {} ms",
            venue.id(),
            venue.address,
            venue.driver,
            begun.elapsed().as_millis()
        ));
        Ok(venue)
    }

    fn connect(&self, flow: &mut Flow, venue: &VenueProcess) -> Result<(), DemoError> {
        let before = flow.sums();
        flow.connect(venue.address, PATIENCE)
            .map_err(DemoError::of_clients)?;
        let after = flow.sums();
        let missed = after.acknowledgements - before.acknowledgements;
        say(&format!(
            "  {SESSIONS} sessions logged in from the next number they lack: heard {missed} messages, sent \
             {} requests again",
            after.resent - before.resent
        ));
        Ok(())
    }
}

fn at_least(what: &'static str, compared: u64, least: u64) -> Result<(), DemoError> {
    if compared < least {
        return Err(ProofError::TooFew {
            what,
            compared,
            least,
        }
        .into());
    }
    Ok(())
}

fn table_row(row: &latency::Row) -> String {
    let us = |ns: u64| format!("{}.{:02}", ns / 1000, ns % 1000 / 10);
    let s = &row.summary;
    format!(
        "  {:<8} {:<9} {:>11} {:>8} {:>8} {:>8} {:>8}",
        row.policy,
        row.driver,
        row.per_s,
        us(s.p50),
        us(s.p99),
        us(s.p99_9),
        us(s.max)
    )
}

/// One line that is written over on a terminal, and one a second elsewhere.
struct Progress {
    begun: Instant,
    shown: Instant,
    period: Duration,
    is_terminal: bool,
    before: Sums,
}

impl Progress {
    fn new(before: Sums) -> Self {
        let is_terminal = std::io::stdout().is_terminal();
        let period = Duration::from_millis(if is_terminal { 100 } else { 1000 });
        let now = Instant::now();
        Self {
            begun: now,
            shown: now,
            period,
            is_terminal,
            before,
        }
    }

    fn show(&mut self, sums: &Sums) {
        if self.shown.elapsed() < self.period {
            return;
        }
        self.shown = Instant::now();
        let ms = (self.begun.elapsed().as_millis() as u64).max(1);
        let line = format!(
            "  {:>5}.{} s  {} orders  {} trades  {} acknowledgements  {} requests/s",
            ms / 1000,
            ms % 1000 / 100,
            sums.orders,
            sums.trades,
            sums.acknowledgements,
            (sums.requests - self.before.requests) * 1000 / ms
        );
        if self.is_terminal {
            let mut out = std::io::stdout().lock();
            let _ = write!(out, "\r{line}").and_then(|()| out.flush());
        } else {
            say(&line);
        }
    }

    fn end(&self) {
        if self.is_terminal {
            say("");
        }
    }
}
