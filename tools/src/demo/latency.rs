//! The demo's short table: closed-loop latency of one session under each policy.
//!
//! It shows orders of magnitude on the reader's machine. It must never be quoted as a benchmark: that is
//! `lockstep bench`, open loop, with its floor beside it.

use super::venue::{VenueError, VenueFolder, VenuePlan, VenueProcess, format};
use lockstep_bench::load::run::{LoadError, LoadOptions, Pace, run};
use lockstep_bench::load::schedule::Profile;
use lockstep_bench::load::stream::{Market, Mix};
use lockstep_bench::measure::latency::Summary;
use lockstep_bench::measure::thread::Idle;
use lockstep_net::DriverKind;
use std::path::{Path, PathBuf};
use std::time::Duration;
use thiserror::Error;

const WARM_UP: Duration = Duration::from_millis(300);
const DURATION: Duration = Duration::from_millis(1000);

#[derive(Debug, Error)]
pub enum LatencyError {
    #[error(transparent)]
    Venue(#[from] VenueError),
    #[error(transparent)]
    Load(#[from] LoadError),
    #[error("login: {0}")]
    Login(#[from] lockstep_wire::soup::CredentialError),
    #[error("the run means nothing: {}", .0.join("; "))]
    Invalid(Vec<String>),
}

/// Which cores a two-ended run takes on this machine.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cores {
    /// One for the venue, one for the load, both spinning.
    Two,
    /// Both ends share one and sleep when idle.
    Shared,
}

impl Cores {
    pub fn of_this_machine() -> Self {
        match std::thread::available_parallelism() {
            Ok(cores) if cores.get() >= 2 => Self::Two,
            _ => Self::Shared,
        }
    }

    /// `[[thread]]` tables of the venue.
    fn layout(self) -> &'static str {
        match self {
            Self::Two => {
                "[[thread]]\ncore = 1\nidle = \"spin\"\n\
                 agents = [\"gateway\", \"sequencer\", \"consensus\", \"journal\", \"engine\", \"stream\"]"
            }
            Self::Shared => super::LAYOUT,
        }
    }

    pub fn describe(self) -> &'static str {
        match self {
            Self::Two => "venue on core 1, client on core 0, both spinning",
            Self::Shared => "venue and client share the cores and sleep when idle",
        }
    }
}

/// One row of the table.
#[derive(Clone, Debug)]
pub struct Row {
    pub policy: &'static str,
    pub driver: String,
    pub per_s: u64,
    pub summary: Summary,
}

/// Runs a venue of its own in `path` and measures.
pub fn measure(
    binary: &Path,
    path: &Path,
    policy: &'static str,
    cores: Cores,
    log_buffer: PathBuf,
    allow_volatile: bool,
) -> Result<Row, LatencyError> {
    let plan = VenuePlan {
        policy,
        sessions: 1,
        symbols: vec!["DEMO".to_owned()],
        more: cores.layout().to_owned(),
        allow_volatile,
        log_buffer: Some(log_buffer),
        ..VenuePlan::default()
    };
    let folder = VenueFolder::create(path, plan)?;
    format(binary, &folder)?;
    let venue = VenueProcess::start(binary, &folder)?;
    let (core, idle) = match cores {
        Cores::Two => (Some(0), Idle::Spin),
        Cores::Shared => (None, Idle::Park),
    };
    let options = LoadOptions {
        address: venue.address,
        driver: DriverKind::Auto,
        logins: vec![folder.login(1, 0)?],
        idle_logins: Vec::new(),
        markets: vec![Market {
            symbol: *b"DEMO    ",
            price: 1_000_000,
            tick: 100,
            quantity: 100,
        }],
        pace: Pace::Window { requests: 1 },
        profile: Profile::Even,
        mix: Mix::default(),
        seed: 1,
        warm_up: WARM_UP,
        duration: DURATION,
        in_flight_max: 64,
        resting_max: 1000,
        core,
        idle,
        policy: policy.to_owned(),
        server_layout: cores.describe().to_owned(),
        counters: None,
        venue_pid: None,
    };
    // On a thread of its own: pinning is for the measurement only.
    let outcome = std::thread::scope(|scope| scope.spawn(|| run(&options)).join());
    let report = match outcome {
        Ok(outcome) => outcome?.report,
        Err(panic) => std::panic::resume_unwind(panic),
    };
    let driver = venue.driver.clone();
    venue.stop()?;
    if !report.is_valid() {
        return Err(LatencyError::Invalid(report.invalid));
    }
    Ok(Row {
        policy,
        driver,
        per_s: report.answered_per_s,
        summary: report.all,
    })
}
